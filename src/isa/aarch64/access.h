/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Loads and stores, decoded: for accesses of a guest that the processor's syndrome does not
 * describe.
 *
 * Spec: Arm ARM, C4.1.95 "Loads and Stores".  Threading: pure.
 */
#ifndef HULL_ISA_AARCH64_ACCESS_H
#define HULL_ISA_AARCH64_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

enum { HULL_A64_ACCESS_REGS = 4, HULL_A64_ACCESS_BYTES = 64 };
enum { HULL_A64_NO_REG = 255 };

struct hull_a64_access {
	bool exclusive; /* or atomic: nothing else is set but `write` */
	bool write;
	bool simd;         /* V registers, else X */
	bool sign, wide;   /* of loads: sign-extended; to 64 bits, else 32 */
	bool post, update; /* address before the offset is added; base register changes */
	bool literal;      /* the base is the address of the instruction */
	uint8_t size;      /* bytes of each register: 1 to 16 */
	uint8_t nregs;
	uint8_t rt[HULL_A64_ACCESS_REGS]; /* X: 31 is zero */
	uint8_t rn;                       /* 31: the stack pointer */
	uint8_t rm;                       /* the offset is this one, extended; HULL_A64_NO_REG */
	uint8_t option, shift;            /* of rm, as ExtendReg() has them */
	int64_t offset;                   /* without rm */
};

/*
 * False: no load or store, one that is unallocated or CONSTRAINED UNPREDICTABLE, a prefetch, or
 * one of those that are left out: interleaved and single-lane SIMD structures, tags, pointer
 * authentication, vectors of other extensions.
 */
bool hull_a64_access_decode(uint32_t insn, struct hull_a64_access *ret);

/*
 * The address of its first byte; `base` and `rm` are the registers' values (any if unused).
 * *ret_base: what the base register becomes, if `update`.
 */
uint64_t hull_a64_access_address(const struct hull_a64_access *a, uint64_t base, uint64_t rm,
                                 uint64_t *ret_base);

/* What a general register becomes by a load of `value`. */
uint64_t hull_a64_access_extend(const struct hull_a64_access *a, uint64_t value);

#endif
