/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The SiFive test finisher: one register that ends or restarts the machine.
 *
 * Spec: Linux, Documentation/devicetree/bindings/power/reset/syscon-*.yaml,
 * and the "test finisher" of the SiFive FE310 and Freedom U SDKs: bits 15..0
 * say what, bits 31..16 the exit code of a failure.
 */
#include "core/dev_impl.h"
#include "core/vcpu.h"

enum { FAIL = 0x3333, PASS = 0x5555, RESET = 0x7777 };

static uint64_t syscon_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	(void)size;
	if (off)
		hull_guest_error(d, "read of a reserved register", off);
	return 0;
}

static void syscon_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	uint64_t code = bits(val, 31, 16);

	(void)size;
	if (off) {
		hull_guest_error(d, "write to a reserved register", off);
		return;
	}
	switch (val & 0xffff) {
	/* A failure is never reported as success. */
	case FAIL: hull_vm_system_event(d->vm, HULL_SYSTEM_OFF, code ? code : 1); return;
	case PASS: hull_vm_system_event(d->vm, HULL_SYSTEM_OFF, 0); return;
	case RESET: hull_vm_system_event(d->vm, HULL_SYSTEM_RESET, 0); return;
	}
	hull_guest_error(d, "unknown command", val);
}

static void syscon_reset(struct hull_dev *d)
{
	(void)d;
}

HULL_DEVICE(syscon) = {
	.name = "syscon",
	.summary = "SiFive test finisher: power off and reset",
	.compatible = "sifive,test1;sifive,test0;syscon",
	.node = "test",
	.state_size = sizeof(struct hull_dev),
	.region_size = 0x1000,
	.access_sizes = 2 | 4,
	.reset = syscon_reset,
	.read = syscon_read,
	.write = syscon_write,
};
