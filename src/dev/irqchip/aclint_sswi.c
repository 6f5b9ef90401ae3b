/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ACLINT SSWI: supervisor software interrupts, without a trip to firmware.
 *
 * Spec: RISC-V ACLINT specification 1.0-rc4, ch. 4.
 *
 * There is no state.  Writing 1 to SETSSIP of hart h pulses output h; the
 * hart itself keeps and clears the pending bit (sip.SSIP).
 */
#include "core/dev_impl.h"

enum { HARTS }; /* property */

static uint64_t sswi_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	(void)size;
	if (off / 4 >= d->prop[HARTS])
		hull_guest_error(d, "read of a reserved register", off);
	return 0;
}

static void sswi_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	(void)size;
	if (off / 4 >= d->prop[HARTS]) {
		hull_guest_error(d, "write to a reserved register", off);
		return;
	}
	if (val & 1) {
		hull_irq_set(d->irq[off / 4], true);
		hull_irq_set(d->irq[off / 4], false);
	}
}

static void sswi_reset(struct hull_dev *d)
{
	(void)d;
}

static const struct hull_prop sswi_props[] = {
	{ "harts", "number of harts; output h pulses SSIP of hart h", 1, 1, HULL_MAX_VCPUS },
};

HULL_DEVICE(aclint_sswi) = {
	.name = "aclint-sswi",
	.summary = "RISC-V ACLINT: supervisor software interrupts",
	.compatible = "riscv,aclint-sswi",
	.node = "sswi",
	.state_size = sizeof(struct hull_dev),
	.region_size = 0x4000,
	.access_sizes = 4,
	.irqs = HULL_MAX_VCPUS,
	.reset = sswi_reset,
	.read = sswi_read,
	.write = sswi_write,
	.props = sswi_props,
	.nprops = ARRAY_LEN(sswi_props),
};
