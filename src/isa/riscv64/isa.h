/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the CPU implements, for device trees and the configuration. */
#ifndef HULL_ISA_RISCV64_ISA_H
#define HULL_ISA_RISCV64_ISA_H

#include <stddef.h>
#include <stdint.h>

enum { HULL_RV_CACHE_BLOCK = 64 }; /* bytes: Zicbom and Zicboz */

/* Room for the texts below; no extension has a number as high as the second. */
enum { HULL_RV_ISA_MAX = 256, HULL_RV_EXTENSIONS_MAX = 64 };

/* The name of the n-th extension; NULL after the last. */
const char *hull_riscv64_isa_extension(unsigned n);

/*
 * Those of which `have` has a bit, as the old device-tree string "rv64imafdc_...", and one after
 * the other, each NUL-terminated.  The length: of the list with all NULs.
 */
size_t hull_riscv64_isa_string(uint64_t have, char dst[HULL_RV_ISA_MAX]);
size_t hull_riscv64_isa_extensions(uint64_t have, char dst[HULL_RV_ISA_MAX]);

#endif
