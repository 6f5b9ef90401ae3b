/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/prng.h"
#include "isa/fp.h"
#include "support/fp_operands.h"

const char *const fp_op_names[FP_OPS] = {
	"add",      "sub",    "mul",    "div",    "sqrt",     "fma",      "rint",
	"min",      "max",    "eq",     "lt",     "le",       "cmp",      "class",
	"to_i32",   "to_u32", "to_i64", "to_u64", "from_i32", "from_u32", "from_i64",
	"from_u64", "to_f16", "to_f32", "to_f64",
};

static uint64_t seed, now;

void fp_test_init(void)
{
	const char *text = getenv("HULL_TEST_SEED");
	struct timespec now_ts;

	timespec_get(&now_ts, TIME_UTC);
	seed = text ? strtoull(text, NULL, 0)
	            : (uint64_t)now_ts.tv_sec << 30 ^ (uint64_t)now_ts.tv_nsec ^ (uint64_t)getpid();
	now = seed;
	printf("# HULL_TEST_SEED=%" PRIu64 "\n", seed);
}

uint64_t fp_test_cases(uint64_t usual)
{
	const char *text = getenv("HULL_TEST_CASES");

	return text ? strtoull(text, NULL, 0) : usual;
}

uint64_t fp_random(void)
{
	return hull_splitmix64(&now);
}

static uint64_t below(uint64_t n)
{
	return fp_random() % n;
}

static unsigned frac_bits(unsigned n)
{
	return n == 64 ? 52 : n == 32 ? 23 : 10;
}

static int max_exp(unsigned n)
{
	return (int)low_mask(n - 1 - frac_bits(n));
}

/* Significand bits in which rounding is likely to be decided. */
static uint64_t fraction(unsigned n)
{
	unsigned w = frac_bits(n), at = (unsigned)below(w);
	uint64_t v = fp_random(), edge;

	switch (below(9)) {
	case 0: v = 0; break;
	case 1: v = UINT64_MAX; break;
	case 2: v = BIT(at); break;
	case 3: v = ~BIT(at); break;
	case 4: v = low_mask(at); break;
	case 5: v = ~low_mask(at); break;
	case 6: /* beside the middle of something `at` bits up */
		edge = BIT(at) + below(3) - 1;
		v = (v & ~low_mask(at + 1)) + edge;
		break;
	case 7: v &= ~low_mask(at); break;
	}
	return v & low_mask(w);
}

static uint64_t make(unsigned n, int exp, uint64_t frac)
{
	exp = exp < 0 ? 0 : MIN(exp, max_exp(n) - 1);
	return (fp_random() & BIT(n - 1)) | (uint64_t)exp << frac_bits(n) | frac;
}

static int exp_of(unsigned n, uint64_t a)
{
	return (int)((a & low_mask(n - 1)) >> frac_bits(n));
}

static uint64_t operand(unsigned n)
{
	int w = (int)frac_bits(n), bias = max_exp(n) / 2;
	uint64_t inf = (uint64_t)max_exp(n) << w, sign = fp_random() & BIT(n - 1);
	uint64_t specials[] = { 0,
		                1,
		                BIT(w) - 1,
		                BIT(w),
		                BIT(w) + 1,
		                inf - 1,
		                inf,
		                inf + 1,
		                inf | BIT(w - 1),
		                inf | low_mask((unsigned)w),
		                (uint64_t)bias << w,
		                ((uint64_t)bias << w) + 1,
		                ((uint64_t)bias << w) - 1 };

	switch (below(8)) {
	case 0: return fp_random() & low_mask(n);
	case 1: return sign | specials[below(ARRAY_LEN(specials))];
	case 2: return make(n, 0, fraction(n));
	case 3: return make(n, (int)below((uint64_t)w + 4), fraction(n));
	case 4: return make(n, max_exp(n) - 1 - (int)below((uint64_t)w + 4), fraction(n));
	case 5: return make(n, (int)below((uint64_t)max_exp(n)), fraction(n));
	default: return make(n, bias - 2 + (int)below(68), fraction(n));
	}
}

/* A number that meets `a` in the middle of its significand, cancels it, or is a neighbour. */
static uint64_t related(unsigned n, uint64_t a)
{
	int w = (int)frac_bits(n), e = exp_of(n, a);

	switch (below(4)) {
	case 0: return (a ^ (fp_random() & BIT(n - 1))) & low_mask(n);
	case 1: return ((a ^ BIT(n - 1)) + below(9) - 4) & low_mask(n);
	case 2: return make(n, e + (int)below((uint64_t)w * 2 + 8) - w - 4, fraction(n));
	default: return make(n, e + (int)below(3) - 1, fraction(n));
	}
}

/* A biased exponent near one end of the range. */
static int edge_exp(unsigned n)
{
	int w = (int)frac_bits(n);

	return below(2) ? (int)below((uint64_t)w + 5) - w - 2 : max_exp(n) - 2 + (int)below(4);
}

static uint64_t integer(void)
{
	unsigned at = (unsigned)below(64);
	uint64_t v = fp_random(), edge = below(3) - 1;

	switch (below(6)) {
	case 0: v >>= at; break;
	case 1: v = BIT(at) + below(5) - 2; break;
	case 2: v = -(BIT(at) + below(5) - 2); break;
	case 3: v = (v & ~low_mask(at)) + (BIT(at) >> 1) + edge; break;
	case 4: v = ((v & ~low_mask(at)) + (BIT(at) >> 1) + edge) >> below(64); break;
	}
	return v;
}

/* a * b + c, more or less. */
#define NEAR(N, a, b, c)                                                             \
	((N) == 64   ? hull_f64_fma(&e, a, b, c)                                     \
	 : (N) == 32 ? hull_f32_fma(&e, (uint32_t)(a), (uint32_t)(b), (uint32_t)(c)) \
	             : hull_f16_fma(&e, (uint16_t)(a), (uint16_t)(b), (uint16_t)(c)))

void fp_operands(enum fp_op op, unsigned n, uint64_t v[3])
{
	struct hull_fp e = { HULL_FP_RNE, 0 };
	int bias = max_exp(n) / 2;
	uint64_t product;

	for (unsigned i = 0; i < 3; i++)
		v[i] = op >= FP_FROM_I32 && op <= FP_FROM_U64 ? integer() : operand(n);
	if ((op >= FP_FROM_I32 && op <= FP_FROM_U64) || below(3) == 0)
		return;
	if ((op == FP_MUL || op == FP_FMA) && below(2))
		v[1] = make(n, edge_exp(n) + bias - exp_of(n, v[0]), fraction(n));
	product = NEAR(n, v[0], v[1], 0);
	switch (op) {
	case FP_DIV:
		if (below(2))
			v[1] = make(n, exp_of(n, v[0]) - edge_exp(n) + bias, fraction(n));
		else
			v[0] = (product + below(3) - 1) & low_mask(n);
		break;
	case FP_SQRT: v[0] = (NEAR(n, v[0], v[0], 0) + below(3) - 1) & low_mask(n); break;
	case FP_FMA: v[2] = below(4) ? related(n, product) : v[2]; break;
	case FP_MUL: break;
	default: v[1] = related(n, v[0]); break;
	}
}

void fp_test_fail(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3],
                  const uint64_t want[2], const uint64_t got[2])
{
	static const char *const modes[] = { "rne", "rtz", "rdn", "rup", "rmm" };

	print_error("f%u %s %s %#" PRIx64 " %#" PRIx64 " %#" PRIx64 ": want %#" PRIx64
	            " flags %#" PRIx64 ", got %#" PRIx64 " flags %#" PRIx64
	            " (HULL_TEST_SEED=%" PRIu64 ")\n",
	            n, fp_op_names[op], modes[rm], v[0], v[1], v[2], want[0], want[1], got[0],
	            got[1], seed);
	fail();
	abort();
}
