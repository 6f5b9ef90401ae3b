/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * IEEE 754 binary16, binary32 and binary64 arithmetic in integer code, exact
 * to the bit and to the flag on every host.
 *
 * Values are bit patterns.  Every operation rounds once, in the mode e->rm,
 * and ORs the exceptions that it raised into e->flags; nothing is cleared.
 * The rules are those of the RISC-V F, D and Zfh extensions (unprivileged
 * manual, the chapters of those names): every NaN result is the canonical quiet
 * NaN, tininess is detected after rounding.  Pure apart from *e; any thread.
 * No operand is invalid, nothing fails.
 */
#ifndef HULL_ISA_FP_H
#define HULL_ISA_FP_H

#include <stdbool.h>
#include <stdint.h>

/* Rounding modes, numbered as the RISC-V rm field. */
enum {
	HULL_FP_RNE = 0, /* to nearest, ties to even */
	HULL_FP_RTZ = 1, /* towards zero */
	HULL_FP_RDN = 2, /* down */
	HULL_FP_RUP = 3, /* up */
	HULL_FP_RMM = 4, /* to nearest, ties away from zero */
};

/* Exceptions, placed as in the RISC-V fflags register. */
enum {
	HULL_FP_NX = 1,  /* inexact */
	HULL_FP_UF = 2,  /* underflow: tiny and inexact */
	HULL_FP_OF = 4,  /* overflow */
	HULL_FP_DZ = 8,  /* division of a finite number by zero */
	HULL_FP_NV = 16, /* invalid operation */
};

/* rm: HULL_FP_RNE..RMM; the caller refuses other values (they act as RTZ).  flags: accrued. */
struct hull_fp {
	uint8_t rm;
	uint8_t flags;
};

/* Results of hull_f<N>_compare. */
enum { HULL_FP_LESS = -1, HULL_FP_EQUAL = 0, HULL_FP_GREATER = 1, HULL_FP_UNORDERED = 2 };

/*
 * For N = 16, 32, 64:
 *
 * add sub mul div sqrt   a+b, a-b, a*b, a/b, square root of a
 * fma                    a*b+c; infinity times zero is invalid even if c is a quiet NaN
 * rint                   a rounded to an integral number of the same format; NX if that changes it
 * min max                IEEE 754-2019 minimumNumber, maximumNumber: a NaN loses against a number,
 *                        -0 < +0, a signalling NaN sets NV
 * compare                HULL_FP_LESS...; NV for a signalling NaN and, if `signalling`, for any NaN
 * eq                     quiet comparison; lt le: signalling ones
 * classify               the one bit 0..9 of the RISC-V fclass instruction; raises nothing
 * to_i32 ... to_u64      rounded to an integer; NaN (as the maximum) and what is out of range
 *                        (saturated) raise NV and nothing else
 * from_i32 ... from_u64  the number nearest in e->rm
 */
#define HULL_FP_DECLARE(N)                                                                         \
	uint##N##_t hull_f##N##_add(struct hull_fp *e, uint##N##_t a, uint##N##_t b);              \
	uint##N##_t hull_f##N##_sub(struct hull_fp *e, uint##N##_t a, uint##N##_t b);              \
	uint##N##_t hull_f##N##_mul(struct hull_fp *e, uint##N##_t a, uint##N##_t b);              \
	uint##N##_t hull_f##N##_div(struct hull_fp *e, uint##N##_t a, uint##N##_t b);              \
	uint##N##_t hull_f##N##_sqrt(struct hull_fp *e, uint##N##_t a);                            \
	uint##N##_t hull_f##N##_fma(struct hull_fp *e, uint##N##_t a, uint##N##_t b,               \
	                            uint##N##_t c);                                                \
	uint##N##_t hull_f##N##_rint(struct hull_fp *e, uint##N##_t a);                            \
	uint##N##_t hull_f##N##_min(struct hull_fp *e, uint##N##_t a, uint##N##_t b);              \
	uint##N##_t hull_f##N##_max(struct hull_fp *e, uint##N##_t a, uint##N##_t b);              \
	int hull_f##N##_compare(struct hull_fp *e, uint##N##_t a, uint##N##_t b, bool signalling); \
	uint32_t hull_f##N##_classify(uint##N##_t a);                                              \
	int32_t hull_f##N##_to_i32(struct hull_fp *e, uint##N##_t a);                              \
	uint32_t hull_f##N##_to_u32(struct hull_fp *e, uint##N##_t a);                             \
	int64_t hull_f##N##_to_i64(struct hull_fp *e, uint##N##_t a);                              \
	uint64_t hull_f##N##_to_u64(struct hull_fp *e, uint##N##_t a);                             \
	uint##N##_t hull_f##N##_from_i32(struct hull_fp *e, int32_t v);                            \
	uint##N##_t hull_f##N##_from_u32(struct hull_fp *e, uint32_t v);                           \
	uint##N##_t hull_f##N##_from_i64(struct hull_fp *e, int64_t v);                            \
	uint##N##_t hull_f##N##_from_u64(struct hull_fp *e, uint64_t v);                           \
	static inline bool hull_f##N##_eq(struct hull_fp *e, uint##N##_t a, uint##N##_t b)         \
	{                                                                                          \
		return hull_f##N##_compare(e, a, b, false) == HULL_FP_EQUAL;                       \
	}                                                                                          \
	static inline bool hull_f##N##_lt(struct hull_fp *e, uint##N##_t a, uint##N##_t b)         \
	{                                                                                          \
		return hull_f##N##_compare(e, a, b, true) == HULL_FP_LESS;                         \
	}                                                                                          \
	static inline bool hull_f##N##_le(struct hull_fp *e, uint##N##_t a, uint##N##_t b)         \
	{                                                                                          \
		return hull_f##N##_compare(e, a, b, true) <= HULL_FP_EQUAL;                        \
	}

HULL_FP_DECLARE(16)
HULL_FP_DECLARE(32)
HULL_FP_DECLARE(64)

/* Between formats: widening is exact, narrowing rounds; a signalling NaN sets NV. */
uint32_t hull_f16_to_f32(struct hull_fp *e, uint16_t a);
uint64_t hull_f16_to_f64(struct hull_fp *e, uint16_t a);
uint16_t hull_f32_to_f16(struct hull_fp *e, uint32_t a);
uint64_t hull_f32_to_f64(struct hull_fp *e, uint32_t a);
uint16_t hull_f64_to_f16(struct hull_fp *e, uint64_t a);
uint32_t hull_f64_to_f32(struct hull_fp *e, uint64_t a);

#endif
