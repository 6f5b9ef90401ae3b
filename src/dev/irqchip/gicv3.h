/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where a board puts the registers of a "gicv3" (struct hull_dev_place): the distributor and the
 * redistributors in memory, the SGI registers among the system registers.
 */
#ifndef HULL_DEV_IRQCHIP_GICV3_H
#define HULL_DEV_IRQCHIP_GICV3_H

enum {
	HULL_GICV3_MAX_CPUS = 64,
	HULL_GICV3_MAX_SPIS = 224,
	/* Offsets in the device. */
	HULL_GICV3_DIST = 0,
	HULL_GICV3_DIST_BYTES = 0x10000,
	HULL_GICV3_REDIST = HULL_GICV3_DIST_BYTES,
	HULL_GICV3_REDIST_BYTES = 0x20000, /* for each vCPU */
	HULL_GICV3_ICC = 0x1000000,        /* ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1 */
	HULL_GICV3_ICC_REGS = 3,
};

#endif
