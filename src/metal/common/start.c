/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/start.h"

#include <hull/accel.h>

#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"

void metal_start(void)
{
	uint64_t before = metal_frames_left();

	for (unsigned i = 0; hull_accels[i]; i++) {
		struct hull_accel_caps caps;
		struct hull_err err = { 0 };

		if (hull_accels[i]->probe(&metal_hal, &caps, &err))
			metal_say("hull: %s does not work here: %s", hull_accels[i]->name,
			          err.text);
		else
			metal_say("hull: %s works, %llu MIPS", hull_accels[i]->name,
			          (unsigned long long)caps.mips);
	}
	metal_say("hull: %llu bytes lost", (unsigned long long)(before - metal_frames_left()));
	metal_say("hull: there are no VMs in this image");
}
