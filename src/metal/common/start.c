/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/start.h"

#include <hull/accel.h>

#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"
#include "metal/common/shell.h"
#include "metal/common/vms.h"

/* Does the accelerator do what it should? */
static bool self_test(void)
{
	struct hull_accel_caps caps;
	struct hull_err err = { 0 };

	if (hull_accels[0]->probe(&metal_hal, &caps, &err)) {
		metal_say("hull: %s does not work here: %s", hull_accels[0]->name, err.text);
		return false;
	}
	metal_say("hull: %s works, %llu MIPS", hull_accels[0]->name, (unsigned long long)caps.mips);
	return true;
}

void metal_start(const void *package, uint64_t bytes)
{
	uint64_t before = metal_frames_left();
	bool good;

	if (!self_test())
		return;
	metal_shell_init();
	metal_vms_start(package, bytes);
	good = metal_vms_finish();
	metal_say("hull: %s, %lld bytes are not back", good ? "done" : "a VM failed",
	          (long long)(before - metal_frames_left()));
}
