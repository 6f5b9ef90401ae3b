/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The integer kinds that every layer shares.
 *
 * A guest-physical address, a guest-virtual address and a host-physical
 * address are different things that happen to be 64-bit integers; the type
 * says which one a function means.  Host-virtual addresses are pointers.
 */
#ifndef HULL_TYPES_H
#define HULL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t hull_gpa; /* guest-physical address */
typedef uint64_t hull_va;  /* guest-virtual address */
typedef uint64_t hull_hpa; /* host-physical address */

#define HULL_PAGE_SIZE UINT64_C(4096)
#define HULL_PAGE_MASK (HULL_PAGE_SIZE - 1)
#define HULL_NEVER     UINT64_MAX /* a deadline that does not come, in ns */

/* Build constant that configurations are checked against. */
#define HULL_MAX_VCPUS 64

#define HULL_CHECK_RESULT __attribute__((warn_unused_result))
#define HULL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HULL_EXPORT       __attribute__((visibility("default")))

/* Guest architectures. */
enum hull_isa { HULL_ISA_RISCV64, HULL_ISA_AARCH64, HULL_ISA_X86_64 };

#endif
