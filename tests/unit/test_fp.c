/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * isa/fp.c against MPFR, value and flags.  An operation is computed with
 * PRECISION bits and rounded to odd, which keeps every later decision exact
 * (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008);
 * rounding to the format is then rounding of a scaled number to an integer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <mpfr.h>
#include <cmocka.h>

#include "base/bits.h"
#include "isa/fp.h"
#include "support/fp_operands.h"

#define PRECISION 320

struct result {
	uint64_t value, flags;
};

static const unsigned formats[] = { 16, 32, 64 };
static mpfr_t in[3], exact, scaled, rounded;

static int frac_bits(unsigned n)
{
	return n == 64 ? 52 : n == 32 ? 23 : 10;
}

static int bias(unsigned n)
{
	return n == 64 ? 1023 : n == 32 ? 127 : 15;
}

static uint64_t inf_bits(unsigned n)
{
	return (uint64_t)(2 * bias(n) + 1) << frac_bits(n);
}

static uint64_t nan_bits(unsigned n)
{
	return inf_bits(n) | BIT(frac_bits(n) - 1);
}

static bool is_snan(unsigned n, uint64_t a)
{
	a &= low_mask(n - 1);
	return a > inf_bits(n) && !(a & BIT(frac_bits(n) - 1));
}

static void decode(mpfr_t x, unsigned n, uint64_t a)
{
	uint64_t frac = a & low_mask((unsigned)frac_bits(n));
	int exp = (int)((a & low_mask(n - 1)) >> frac_bits(n));
	bool negative = a >> (n - 1) & 1;

	if (exp == 2 * bias(n) + 1) {
		if (frac)
			mpfr_set_nan(x);
		else
			mpfr_set_inf(x, negative ? -1 : 1);
		return;
	}
	if (exp)
		frac |= BIT(frac_bits(n));
	else
		exp = 1;
	mpfr_set_ui_2exp(x, frac, exp - bias(n) - frac_bits(n), MPFR_RNDN);
	mpfr_setsign(x, x, negative, MPFR_RNDN);
}

/* r = x rounded to an integer. */
static void round_integer(mpfr_t r, mpfr_t x, unsigned rm)
{
	switch (rm) {
	case HULL_FP_RNE: mpfr_roundeven(r, x); break;
	case HULL_FP_RTZ: mpfr_trunc(r, x); break;
	case HULL_FP_RDN: mpfr_floor(r, x); break;
	case HULL_FP_RUP: mpfr_ceil(r, x); break;
	default: mpfr_round(r, x); break;
	}
}

/* rounded = exact rounded to a multiple of 2^ulp. */
static void round_multiple(unsigned rm, long ulp)
{
	mpfr_mul_2si(scaled, exact, -ulp, MPFR_RNDN);
	round_integer(rounded, scaled, rm);
	mpfr_mul_2si(rounded, rounded, ulp, MPFR_RNDN);
}

/* Encode `exact`, which is no NaN. */
static struct result finish(unsigned n, unsigned rm)
{
	long min_exp = 1 - bias(n), ulp, exp;
	bool negative = mpfr_signbit(exact), tiny;
	struct result r = { negative ? BIT(n - 1) : 0, 0 };

	if (mpfr_inf_p(exact))
		r.value |= inf_bits(n);
	if (!mpfr_regular_p(exact))
		return r;
	ulp = mpfr_get_exp(exact) - 1 - frac_bits(n);
	round_multiple(rm, ulp);
	tiny = mpfr_get_exp(rounded) - 1 < min_exp;
	round_multiple(rm, MAX(ulp, min_exp - frac_bits(n)));
	if (mpfr_cmp(rounded, exact) != 0)
		r.flags = tiny ? HULL_FP_NX | HULL_FP_UF : HULL_FP_NX;
	if (mpfr_zero_p(rounded))
		return r;
	exp = mpfr_get_exp(rounded) - 1;
	if (exp > bias(n)) {
		bool away = rm == HULL_FP_RNE || rm == HULL_FP_RMM ||
		            rm == (negative ? HULL_FP_RDN : HULL_FP_RUP);

		r.flags = HULL_FP_OF | HULL_FP_NX;
		r.value |= inf_bits(n) - !away;
		return r;
	}
	exp = MAX(exp, min_exp);
	mpfr_mul_2si(rounded, rounded, frac_bits(n) - exp, MPFR_RNDN);
	mpfr_abs(rounded, rounded, MPFR_RNDN);
	r.value |= mpfr_get_ui(rounded, MPFR_RNDN) + ((uint64_t)(exp - min_exp) << frac_bits(n));
	return r;
}

static int calculate(enum fp_op op, mpfr_rnd_t mode)
{
	switch (op) {
	case FP_ADD: return mpfr_add(exact, in[0], in[1], mode);
	case FP_SUB: return mpfr_sub(exact, in[0], in[1], mode);
	case FP_MUL: return mpfr_mul(exact, in[0], in[1], mode);
	case FP_DIV: return mpfr_div(exact, in[0], in[1], mode);
	case FP_SQRT: return mpfr_sqrt(exact, in[0], mode);
	case FP_FMA: return mpfr_fma(exact, in[0], in[1], in[2], mode);
	default: return mpfr_set(exact, in[0], mode);
	}
}

static struct result arithmetic(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3])
{
	unsigned count = op == FP_SQRT || op == FP_RINT || op > FP_FROM_U64 ? 1
	                 : op == FP_FMA                                     ? 3
	                                                                    : 2;
	bool nan = false, snan = false;
	unsigned to = op == FP_TO_F16 ? 16 : op == FP_TO_F32 ? 32 : op == FP_TO_F64 ? 64 : n;
	struct result r = { nan_bits(to), 0 };

	for (unsigned i = 0; i < count; i++) {
		decode(in[i], n, v[i]);
		nan |= mpfr_nan_p(in[i]) != 0;
		snan |= is_snan(n, v[i]);
	}
	if (calculate(op, MPFR_RNDZ) && mpfr_min_prec(exact) < PRECISION) {
		if (mpfr_signbit(exact))
			mpfr_nextbelow(exact);
		else
			mpfr_nextabove(exact);
	}
	if (mpfr_zero_p(exact) && rm == HULL_FP_RDN)
		calculate(op, MPFR_RNDD);
	if (mpfr_nan_p(exact)) {
		if (op == FP_FMA)
			mpfr_mul(scaled, in[0], in[1], MPFR_RNDN);
		if (snan || !nan ||
		    (op == FP_FMA && mpfr_nan_p(scaled) && !mpfr_nan_p(in[0]) &&
		     !mpfr_nan_p(in[1])))
			r.flags = HULL_FP_NV;
		return r;
	}
	if (op == FP_RINT && mpfr_regular_p(exact)) {
		bool negative = mpfr_signbit(exact);

		round_integer(exact, exact, rm);
		mpfr_setsign(exact, exact, negative, MPFR_RNDN);
		r = finish(n, rm);
		r.flags = mpfr_cmp(exact, in[0]) ? HULL_FP_NX : 0;
		return r;
	}
	r = finish(to, rm);
	if (op == FP_DIV && mpfr_zero_p(in[1]) && mpfr_regular_p(in[0]))
		r.flags |= HULL_FP_DZ;
	return r;
}

static uint64_t class_of(unsigned n, uint64_t a)
{
	bool negative = mpfr_signbit(in[0]);

	if (mpfr_nan_p(in[0]))
		return is_snan(n, a) ? BIT(8) : BIT(9);
	if (mpfr_inf_p(in[0]))
		return negative ? BIT(0) : BIT(7);
	if (mpfr_zero_p(in[0]))
		return negative ? BIT(3) : BIT(4);
	if (mpfr_get_exp(in[0]) - 1 < 1 - bias(n))
		return negative ? BIT(2) : BIT(5);
	return negative ? BIT(1) : BIT(6);
}

static struct result comparison(enum fp_op op, unsigned n, const uint64_t v[3])
{
	bool snan = is_snan(n, v[0]) || is_snan(n, v[1]), nan, zeros, first;
	struct result r = { 0, 0 };

	decode(in[0], n, v[0]);
	decode(in[1], n, v[1]);
	nan = mpfr_unordered_p(in[0], in[1]);
	zeros = mpfr_zero_p(in[0]) && mpfr_zero_p(in[1]);
	if (snan || (nan && (op == FP_LT || op == FP_LE)))
		r.flags = HULL_FP_NV;
	switch (op) {
	case FP_CLASSIFY: return (struct result){ class_of(n, v[0]), 0 };
	case FP_EQ: r.value = mpfr_equal_p(in[0], in[1]) != 0; break;
	case FP_LT: r.value = mpfr_less_p(in[0], in[1]) != 0; break;
	case FP_LE: r.value = mpfr_lessequal_p(in[0], in[1]) != 0; break;
	case FP_COMPARE:
		r.value = nan ? 2 : (uint64_t)(int64_t)mpfr_cmp(in[0], in[1]);
		if (!nan && r.value)
			r.value = (int64_t)r.value < 0 ? UINT64_MAX : 1;
		break;
	default:
		if (nan) {
			r.value = !mpfr_nan_p(in[0])   ? v[0]
			          : !mpfr_nan_p(in[1]) ? v[1]
			                               : nan_bits(n);
			break;
		}
		first = zeros ? mpfr_signbit(in[0]) : mpfr_less_p(in[0], in[1]);
		r.value = v[first == (op == FP_MIN) ? 0 : 1];
	}
	return r;
}

static struct result to_integer(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3])
{
	static const struct {
		int64_t min;
		uint64_t max;
	} range[] = { { INT32_MIN, INT32_MAX },
		      { 0, UINT32_MAX },
		      { INT64_MIN, INT64_MAX },
		      { 0, UINT64_MAX } };
	unsigned i = op - FP_TO_I32;

	decode(in[0], n, v[0]);
	if (mpfr_nan_p(in[0]))
		return (struct result){ range[i].max, HULL_FP_NV };
	round_integer(rounded, in[0], rm);
	if (mpfr_cmp_ui(rounded, range[i].max) > 0)
		return (struct result){ range[i].max, HULL_FP_NV };
	if (mpfr_cmp_si(rounded, range[i].min) < 0)
		return (struct result){ (uint64_t)range[i].min, HULL_FP_NV };
	return (struct result){ mpfr_signbit(rounded) ? (uint64_t)mpfr_get_si(rounded, MPFR_RNDN)
		                                      : mpfr_get_ui(rounded, MPFR_RNDN),
		                mpfr_cmp(rounded, in[0]) ? HULL_FP_NX : 0 };
}

static struct result from_integer(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3])
{
	switch (op) {
	case FP_FROM_I32: mpfr_set_si(exact, (int32_t)v[0], MPFR_RNDN); break;
	case FP_FROM_U32: mpfr_set_ui(exact, (uint32_t)v[0], MPFR_RNDN); break;
	case FP_FROM_I64: mpfr_set_si(exact, (int64_t)v[0], MPFR_RNDN); break;
	default: mpfr_set_ui(exact, v[0], MPFR_RNDN); break;
	}
	return finish(n, rm);
}

static struct result reference(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3])
{
	if (op >= FP_MIN && op <= FP_CLASSIFY)
		return comparison(op, n, v);
	if (op >= FP_TO_I32 && op <= FP_TO_U64)
		return to_integer(op, n, rm, v);
	if (op >= FP_FROM_I32 && op <= FP_FROM_U64)
		return from_integer(op, n, rm, v);
	return arithmetic(op, n, rm, v);
}

/* Converting a value to its own format is no operation; the generator does not ask for it. */
static uint64_t hull_f16_to_f16(struct hull_fp *e, uint16_t a)
{
	fail();
	return a;
}

static uint64_t hull_f32_to_f32(struct hull_fp *e, uint32_t a)
{
	fail();
	return a;
}

static uint64_t hull_f64_to_f64(struct hull_fp *e, uint64_t a)
{
	fail();
	return a;
}

#define RUN(N)                                                                                   \
	static uint64_t run##N(enum fp_op op, struct hull_fp *e, const uint64_t v[3])            \
	{                                                                                        \
		uint##N##_t a = (uint##N##_t)v[0], b = (uint##N##_t)v[1], c = (uint##N##_t)v[2]; \
                                                                                                 \
		switch (op) {                                                                    \
		case FP_ADD: return hull_f##N##_add(e, a, b);                                    \
		case FP_SUB: return hull_f##N##_sub(e, a, b);                                    \
		case FP_MUL: return hull_f##N##_mul(e, a, b);                                    \
		case FP_DIV: return hull_f##N##_div(e, a, b);                                    \
		case FP_SQRT: return hull_f##N##_sqrt(e, a);                                     \
		case FP_FMA: return hull_f##N##_fma(e, a, b, c);                                 \
		case FP_RINT: return hull_f##N##_rint(e, a);                                     \
		case FP_MIN: return hull_f##N##_min(e, a, b);                                    \
		case FP_MAX: return hull_f##N##_max(e, a, b);                                    \
		case FP_EQ: return hull_f##N##_eq(e, a, b);                                      \
		case FP_LT: return hull_f##N##_lt(e, a, b);                                      \
		case FP_LE: return hull_f##N##_le(e, a, b);                                      \
		case FP_COMPARE: return (uint64_t)(int64_t)hull_f##N##_compare(e, a, b, false);  \
		case FP_CLASSIFY: return hull_f##N##_classify(a);                                \
		case FP_TO_I32: return (uint64_t)(int64_t)hull_f##N##_to_i32(e, a);              \
		case FP_TO_U32: return hull_f##N##_to_u32(e, a);                                 \
		case FP_TO_I64: return (uint64_t)hull_f##N##_to_i64(e, a);                       \
		case FP_TO_U64: return hull_f##N##_to_u64(e, a);                                 \
		case FP_FROM_I32: return hull_f##N##_from_i32(e, (int32_t)v[0]);                 \
		case FP_FROM_U32: return hull_f##N##_from_u32(e, (uint32_t)v[0]);                \
		case FP_FROM_I64: return hull_f##N##_from_i64(e, (int64_t)v[0]);                 \
		case FP_FROM_U64: return hull_f##N##_from_u64(e, v[0]);                          \
		case FP_TO_F16: return hull_f##N##_to_f16(e, a);                                 \
		case FP_TO_F32: return hull_f##N##_to_f32(e, a);                                 \
		case FP_TO_F64: return hull_f##N##_to_f64(e, a);                                 \
		default: fail(); return 0;                                                       \
		}                                                                                \
	}

RUN(16)
RUN(32)
RUN(64)

static void check(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3])
{
	struct result want = reference(op, n, rm, v);
	struct hull_fp e = { (uint8_t)rm, 0 };
	uint64_t got = n == 64 ? run64(op, &e, v) : n == 32 ? run32(op, &e, v) : run16(op, &e, v);

	if (got != want.value || e.flags != want.flags)
		fp_test_fail(op, n, rm, v, (uint64_t[]){ want.value, want.flags },
		             (uint64_t[]){ got, e.flags });
}

static void random_cases(void **state)
{
	enum fp_op op = (enum fp_op)(uintptr_t)*state;
	uint64_t v[3];

	for (uint64_t i = fp_test_cases(20000); i; i--) {
		unsigned n = formats[fp_random() % 3];

		if (op >= FP_TO_F16 && n == formats[op - FP_TO_F16])
			continue;
		fp_operands(op, n, v);
		check(op, n, (unsigned)(fp_random() % 5), v);
	}
}

/* All of binary16 through every conversion and the unary operations. */
static void every_f16(void **state)
{
	static const enum fp_op ops[] = { FP_SQRT,   FP_RINT,   FP_CLASSIFY, FP_TO_I32, FP_TO_U32,
		                          FP_TO_I64, FP_TO_U64, FP_TO_F32,   FP_TO_F64 };
	uint64_t v[3] = { 0 };

	for (v[0] = 0; v[0] <= UINT16_MAX; v[0]++)
		for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
			check(ops[i], 16, ops[i] == FP_TO_F64 ? 0 : (unsigned)(v[0] + i) % 5, v);
}

/* The numbers where rounding to binary16 changes: each one, each middle, and their neighbours. */
static void every_f16_boundary(void **state)
{
	struct hull_fp e = { 0, 0 };

	for (uint32_t h = 0; h < 0x7c00; h++) {
		uint32_t low = hull_f16_to_f32(&e, (uint16_t)h);
		uint32_t high = h == 0x7bff ? 0x47800000 : hull_f16_to_f32(&e, (uint16_t)(h + 1));
		uint32_t middle = h ? low + (high - low) / 2 : 0x33000000;
		uint32_t points[] = { low, low + 1, middle - 1, middle, middle + 1, high - 1 };

		for (unsigned i = 0; i < ARRAY_LEN(points); i++) {
			uint64_t sign = (uint64_t)(h + i) & 1, a = points[i] | sign << 31;
			uint64_t wide = hull_f32_to_f64(&e, (uint32_t)a);

			for (unsigned rm = 0; rm < 5; rm++)
				check(FP_TO_F16, 32, rm, (uint64_t[3]){ a });
			check(FP_TO_F16, 64, (h + i) % 5, (uint64_t[3]){ wide + h % 3 - 1 });
		}
	}
}

/* Worked by hand, so that an error shared with the reference above would show. */
static void known_values(void **state)
{
	struct hull_fp e = { HULL_FP_RNE, 0 };

	assert_int_equal(hull_f64_add(&e, 0x3ff0000000000000, 0x4000000000000000),
	                 0x4008000000000000); /* 1 + 2 */
	assert_int_equal(e.flags, 0);
	assert_int_equal(hull_f64_div(&e, 0x3ff0000000000000, 0x4008000000000000),
	                 0x3fd5555555555555); /* 1 / 3 */
	assert_int_equal(e.flags, HULL_FP_NX);
	assert_int_equal(hull_f32_sqrt(&e, 0x40000000), 0x3fb504f3); /* sqrt 2 */
	assert_int_equal(hull_f16_mul(&e, 0x7bff, 0x4000), 0x7c00);  /* 65504 * 2 */
	assert_int_equal(e.flags, HULL_FP_NX | HULL_FP_OF);
	e.flags = 0;
	/* Infinity times zero is invalid whatever is added. */
	assert_int_equal(hull_f32_fma(&e, 0x7f800000, 0, 0x7fc00001), 0x7fc00000);
	assert_int_equal(e.flags, HULL_FP_NV);
	e.flags = 0;
	/* (1 - 2^-24) * 2^-126 has 24 bits: tiny, though it rounds to the smallest normal number.
	 */
	assert_int_equal(hull_f32_mul(&e, 0x3f7fffff, 0x00800000), 0x00800000);
	assert_int_equal(e.flags, HULL_FP_NX | HULL_FP_UF);
	e.flags = 0;
	/* (1 - 2^-53) * 2^-126 is not: 24 bits cannot hold it. */
	assert_int_equal(hull_f64_to_f32(&e, 0x380fffffffffffff), 0x00800000);
	assert_int_equal(e.flags, HULL_FP_NX);
	assert_int_equal(hull_f64_to_i32(&e, 0xffffffffffffffff), INT32_MAX);
	assert_int_equal(hull_f64_to_u64(&e, 0xbff0000000000000), 0);
	assert_int_equal(e.flags, HULL_FP_NX | HULL_FP_NV);
}

static int set_up(void **state)
{
	mpfr_t *all[] = { &in[0], &in[1], &in[2], &exact, &scaled, &rounded };

	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		mpfr_init2(*all[i], PRECISION);
	fp_test_init();
	return 0;
}

static int tear_down(void **state)
{
	mpfr_clears(in[0], in[1], in[2], exact, scaled, rounded, (mpfr_ptr)NULL);
	mpfr_free_cache();
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[FP_OPS + 3] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(every_f16),
		cmocka_unit_test(every_f16_boundary),
	};

	for (unsigned op = 0; op < FP_OPS; op++)
		tests[3 + op] = (struct CMUnitTest){ .name = fp_op_names[op],
			                             .test_func = random_cases,
			                             .initial_state = (void *)(uintptr_t)op };
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
