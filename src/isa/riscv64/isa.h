/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the CPU implements, for device trees and the configuration. */
#ifndef HULL_ISA_RISCV64_ISA_H
#define HULL_ISA_RISCV64_ISA_H

#include <stddef.h>

enum { HULL_RV_CACHE_BLOCK = 64 }; /* bytes: Zicbom and Zicboz */

/* The old device-tree string "rv64imafdc_...". */
const char *hull_riscv64_isa_string(void);

/* The extension names one after the other, each NUL-terminated; *ret_len is the whole length. */
const char *hull_riscv64_isa_extensions(size_t *ret_len);

#endif
