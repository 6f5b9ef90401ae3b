/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The operations of isa/fp.h on the host's floating-point unit, where that is
 * provably the same, flags included; everything else goes to isa/fp.c.
 *
 * Each hard_f<N>_<op> has the contract of hull_f<N>_<op>.  The host computes
 * the IEEE 754 result r, rounded to nearest even; its flags are never read.
 * r is the answer, and e->flags stays as it is, because:
 *
 *  NV, DZ  r is finite.  These exceptions deliver a NaN or an infinity.
 *  OF      Rounding to nearest, overflow delivers an infinity; r is finite.
 *  UF      |r| is greater than the smallest normal number, hence so is what r would be with an
 *          unbounded exponent: not tiny.  (An r equal to the smallest normal number may
 *          have been tiny.)  A sum or a difference needs no such test: it is a multiple of the
 *          smallest subnormal number, so when it is that small it is exact.  Neither does a
 *          square root, which is never that small, nor a product or quotient whose zero
 *          comes from a zero operand.
 *  NX      It has accrued already, so raising it again changes nothing; or the result
 *          is exact, and then the rounding mode does not matter either.
 *
 * What is assumed of the host: IEEE 754 formats, evaluation in the type of the
 * operands, no contraction (-ffp-contract=off), round to nearest, subnormal
 * numbers not flushed, an fma that rounds once.  hard_fp_usable() measures it.
 * The host's environment belongs to a thread, and a library that was linked with
 * -ffast-math may have changed it.
 */
#ifndef HULL_ENGINE_HARDFLOAT_H
#define HULL_ENGINE_HARDFLOAT_H

#include <float.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "isa/fp.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float and double operations must not have excess precision");
_Static_assert(FLT_MANT_DIG == 24 && DBL_MANT_DIG == 53 && DBL_MAX_EXP == 1024, "IEEE 754 formats");

/* May inexact results be taken from the host?  RNE, and NX has accrued. */
static inline bool hard_may_round(const struct hull_fp *e)
{
	return LIKELY(e->rm == HULL_FP_RNE && (e->flags & HULL_FP_NX));
}

/*
 * For N, the C type, the bits of its smallest normal number and of its infinity:
 * value and bits of a number; a finite result; one that is surely normal; a zero.
 */
#define HARD_FP_HELPERS(N, T, MIN_NORMAL, INFINITE)                                   \
	static inline T hard_f##N##_value(uint##N##_t a)                              \
	{                                                                             \
		T v;                                                                  \
		__builtin_memcpy(&v, &a, sizeof(v));                                  \
		return v;                                                             \
	}                                                                             \
	static inline uint##N##_t hard_f##N##_bits(T v)                               \
	{                                                                             \
		uint##N##_t a;                                                        \
		__builtin_memcpy(&a, &v, sizeof(a));                                  \
		return a;                                                             \
	}                                                                             \
	static inline bool hard_f##N##_finite(uint##N##_t a)                          \
	{                                                                             \
		return LIKELY((a & ~(UINT##N##_C(1) << (N - 1))) < INFINITE);         \
	}                                                                             \
	static inline bool hard_f##N##_normal(uint##N##_t a)                          \
	{                                                                             \
		return LIKELY((a & ~(UINT##N##_C(1) << (N - 1))) - (MIN_NORMAL + 1) < \
		              INFINITE - (MIN_NORMAL + 1));                           \
	}                                                                             \
	static inline bool hard_f##N##_zero(uint##N##_t a)                            \
	{                                                                             \
		return !(uint##N##_t)(a << 1);                                        \
	}

HARD_FP_HELPERS(32, float, UINT32_C(0x00800000), UINT32_C(0x7f800000))
HARD_FP_HELPERS(64, double, UINT64_C(0x0010000000000000), UINT64_C(0x7ff0000000000000))

/* `x` and `y` are the operands' values; `r` is what may be returned if `safe`. */
#define HARD_FP_BINARY(N, T, NAME, RESULT, SAFE)                                       \
	static inline uint##N##_t hard_f##N##_##NAME(struct hull_fp *e, uint##N##_t a, \
	                                             uint##N##_t b)                    \
	{                                                                              \
		if (hard_may_round(e)) {                                               \
			T x = hard_f##N##_value(a), y = hard_f##N##_value(b);          \
			uint##N##_t r = hard_f##N##_bits(RESULT);                      \
                                                                                       \
			if (SAFE)                                                      \
				return r;                                              \
		}                                                                      \
		return hull_f##N##_##NAME(e, a, b);                                    \
	}

/* Comparisons and the choice of the lesser or greater: ordered numbers raise nothing. */
#define HARD_FP_COMPARE(N, T, TYPE, NAME, WHEN, RESULT)                                        \
	static inline TYPE hard_f##N##_##NAME(struct hull_fp *e, uint##N##_t a, uint##N##_t b) \
	{                                                                                      \
		T x = hard_f##N##_value(a), y = hard_f##N##_value(b);                          \
                                                                                               \
		return LIKELY(WHEN) ? (RESULT) : hull_f##N##_##NAME(e, a, b);                  \
	}

/*
 * To integers: the C conversion truncates and is defined inside the bounds,
 * which are exact as double and which a NaN fails.  If converting back gives
 * the operand, the conversion was exact.  That way is exact itself: a truncated
 * number has no more digits than the number.
 */
#define HARD_FP_TO_INT(N, INT, NAME, INSIDE)                                                     \
	static inline INT hard_f##N##_##NAME(struct hull_fp *e, uint##N##_t a)                   \
	{                                                                                        \
		double x = (double)hard_f##N##_value(a);                                         \
                                                                                                 \
		if (LIKELY(INSIDE)) {                                                            \
			INT v = (INT)x;                                                          \
                                                                                                 \
			if ((double)v == x || (e->rm == HULL_FP_RTZ && (e->flags & HULL_FP_NX))) \
				return v;                                                        \
		}                                                                                \
		return hull_f##N##_##NAME(e, a);                                                 \
	}

static inline bool hard_fits(uint64_t v, unsigned digits)
{
	return v <= UINT64_C(1) << digits;
}

static inline bool hard_fits_signed(int64_t v, unsigned digits)
{
	return hard_fits(v < 0 ? -(uint64_t)v : (uint64_t)v, digits);
}

/* From integers: exact, and then with no flag and the same in every mode, if EXACT. */
#define HARD_FP_FROM_INT(N, T, INT, NAME, EXACT)                               \
	static inline uint##N##_t hard_f##N##_##NAME(struct hull_fp *e, INT v) \
	{                                                                      \
		if (LIKELY(EXACT) || hard_may_round(e))                        \
			return hard_f##N##_bits((T)v);                         \
		return hull_f##N##_##NAME(e, v);                               \
	}

#define HARD_FP_DEFINE(N, T, SUFFIX, DIGITS)                                                       \
	HARD_FP_BINARY(N, T, add, x + y, hard_f##N##_finite(r))                                    \
	HARD_FP_BINARY(N, T, sub, x - y, hard_f##N##_finite(r))                                    \
	HARD_FP_BINARY(N, T, mul, x *y,                                                            \
	               hard_f##N##_normal(r) || (hard_f##N##_zero(r) && (!x || !y)))               \
	HARD_FP_BINARY(N, T, div, x / y, hard_f##N##_normal(r) || (hard_f##N##_zero(r) && !x))     \
	static inline uint##N##_t hard_f##N##_sqrt(struct hull_fp *e, uint##N##_t a)               \
	{                                                                                          \
		if (hard_may_round(e)) {                                                           \
			T x = hard_f##N##_value(a);                                                \
			uint##N##_t r = hard_f##N##_bits(__builtin_sqrt##SUFFIX(x));               \
                                                                                                   \
			if (hard_f##N##_finite(r))                                                 \
				return r;                                                          \
		}                                                                                  \
		return hull_f##N##_sqrt(e, a);                                                     \
	}                                                                                          \
	static inline uint##N##_t hard_f##N##_fma(struct hull_fp *e, uint##N##_t a, uint##N##_t b, \
	                                          uint##N##_t c)                                   \
	{                                                                                          \
		if (hard_may_round(e)) {                                                           \
			T x = hard_f##N##_value(a), y = hard_f##N##_value(b);                      \
			T z = hard_f##N##_value(c);                                                \
			uint##N##_t r = hard_f##N##_bits(__builtin_fma##SUFFIX(x, y, z));          \
                                                                                                   \
			if (hard_f##N##_normal(r))                                                 \
				return r;                                                          \
		}                                                                                  \
		return hull_f##N##_fma(e, a, b, c);                                                \
	}                                                                                          \
	HARD_FP_COMPARE(N, T, uint##N##_t, min, x<y || x> y, x < y ? a : b)                        \
	HARD_FP_COMPARE(N, T, uint##N##_t, max, x<y || x> y, x > y ? a : b)                        \
	HARD_FP_COMPARE(N, T, bool, eq, !__builtin_isunordered(x, y), x == y)                      \
	HARD_FP_COMPARE(N, T, bool, lt, !__builtin_isunordered(x, y), x < y)                       \
	HARD_FP_COMPARE(N, T, bool, le, !__builtin_isunordered(x, y), x <= y)                      \
	HARD_FP_TO_INT(N, int32_t, to_i32, x > -2147483649.0 && x < 2147483648.0)                  \
	HARD_FP_TO_INT(N, uint32_t, to_u32, x > -1.0 && x < 4294967296.0)                          \
	HARD_FP_TO_INT(N, int64_t, to_i64, x >= -0x1p63 && x < 0x1p63)                             \
	HARD_FP_TO_INT(N, uint64_t, to_u64, x > -1.0 && x < 0x1p64)                                \
	HARD_FP_FROM_INT(N, T, int32_t, from_i32, hard_fits_signed(v, DIGITS))                     \
	HARD_FP_FROM_INT(N, T, uint32_t, from_u32, hard_fits(v, DIGITS))                           \
	HARD_FP_FROM_INT(N, T, int64_t, from_i64, hard_fits_signed(v, DIGITS))                     \
	HARD_FP_FROM_INT(N, T, uint64_t, from_u64, hard_fits(v, DIGITS))

HARD_FP_DEFINE(32, float, f, FLT_MANT_DIG)
HARD_FP_DEFINE(64, double, , DBL_MANT_DIG)

/* Widening is exact for whatever is not a NaN. */
static inline uint64_t hard_f32_to_f64(struct hull_fp *e, uint32_t a)
{
	float x = hard_f32_value(a);

	return LIKELY(x == x) ? hard_f64_bits((double)x) : hull_f32_to_f64(e, a);
}

/* Narrowing: exact if it can be undone, whatever the size of the number; else as above. */
static inline uint32_t hard_f64_to_f32(struct hull_fp *e, uint64_t a)
{
	double x = hard_f64_value(a);
	float y = (float)x;
	uint32_t r = hard_f32_bits(y);

	if ((double)y == x || (hard_may_round(e) && hard_f32_normal(r)))
		return r;
	return hull_f64_to_f32(e, a);
}

/* Hosts have no binary16 arithmetic: the same names, so that tables need not know. */
#define hard_f16_add      hull_f16_add
#define hard_f16_sub      hull_f16_sub
#define hard_f16_mul      hull_f16_mul
#define hard_f16_div      hull_f16_div
#define hard_f16_sqrt     hull_f16_sqrt
#define hard_f16_fma      hull_f16_fma
#define hard_f16_min      hull_f16_min
#define hard_f16_max      hull_f16_max
#define hard_f16_eq       hull_f16_eq
#define hard_f16_lt       hull_f16_lt
#define hard_f16_le       hull_f16_le
#define hard_f16_to_i32   hull_f16_to_i32
#define hard_f16_to_u32   hull_f16_to_u32
#define hard_f16_to_i64   hull_f16_to_i64
#define hard_f16_to_u64   hull_f16_to_u64
#define hard_f16_from_i32 hull_f16_from_i32
#define hard_f16_from_u32 hull_f16_from_u32
#define hard_f16_from_i64 hull_f16_from_i64
#define hard_f16_from_u64 hull_f16_from_u64
#define hard_f16_to_f32   hull_f16_to_f32
#define hard_f16_to_f64   hull_f16_to_f64
#define hard_f32_to_f16   hull_f32_to_f16
#define hard_f64_to_f16   hull_f64_to_f16

/*
 * Does the host do, on this thread, what this header assumes of it?  A thread
 * asks once, before its first use; if not, it has to call the hull_ functions.
 */
static inline bool hard_fp_usable(void)
{
	volatile double one = 1, half_ulp = 0x1p-53, tiny = DBL_MIN, x = 1 + 0x1p-30;
	volatile float xf = 1 + 0x1p-12f;
	double odd = one + 2 * half_ulp;

	tiny = tiny / 2;
	return one + half_ulp == one && odd + half_ulp > odd && tiny * 2 == DBL_MIN &&
	       __builtin_fma(x, x, -(1 + 0x1p-29)) == 0x1p-60 &&
	       __builtin_fmaf(xf, xf, -(1 + 0x1p-11f)) == 0x1p-24f;
}

#endif
