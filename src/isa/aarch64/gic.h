/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where the interrupt controllers of virt-aarch64 are: accelerators that have them below must put
 * them there.  The map is the one that kernels and firmware know from other emulators.
 */
#ifndef HULL_ISA_AARCH64_GIC_H
#define HULL_ISA_AARCH64_GIC_H

#include <stdint.h>

#define HULL_GIC_DIST   UINT64_C(0x08000000)
#define HULL_GIC_CPU    UINT64_C(0x08010000) /* GICv2: the CPU interface */
#define HULL_GIC_ITS    UINT64_C(0x08080000)
#define HULL_GIC_REDIST UINT64_C(0x080a0000)

enum {
	HULL_GIC_DIST_BYTES = 0x10000,
	HULL_GIC_CPU_BYTES = 0x20000,
	HULL_GIC_ITS_BYTES = 0x20000,
	HULL_GIC_REDIST_BYTES = 0x20000, /* of each vCPU */
	HULL_GIC_SPI = 32,               /* the interrupt number of SPI 0 */
	HULL_GIC_SPIS = 224,
	HULL_GIC_V2_CPUS = 8, /* at most */
};

#endif
