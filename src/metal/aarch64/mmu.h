/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hypervisor's own translation: addresses are physical ones, 39 bits of them.
 *
 * Spec: Arm ARM, D8.3; one level-1 table, nothing is both writable and executable.
 *
 * Threading: map while one CPU runs, or under the caller's lock.
 */
#ifndef HULL_METAL_AARCH64_MMU_H
#define HULL_METAL_AARCH64_MMU_H

#include <hull/types.h>

enum { METAL_VA_BITS = 39 };

enum metal_mem { METAL_CODE, METAL_CONST, METAL_DATA, METAL_DEVICE };

/* Map a range, whole pages.  False: no memory for tables, beyond 39 bits, or mapped already. */
bool metal_map(hull_hpa start, uint64_t bytes, enum metal_mem kind);

/* Use the tables that metal_map() made, from now on and on CPUs that start later. */
void metal_mmu_switch(void);

/* TTBR0_EL2 and TCR_EL2, for a CPU that starts. */
uint64_t metal_ttbr(void);
uint64_t metal_tcr(void);

#endif
