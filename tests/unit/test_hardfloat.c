/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* engine/hardfloat.h equals isa/fp.c in value and flags, from any state of the environment. */
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bits.h"
#include "engine/hardfloat.h"
#include "support/fp_operands.h"

#define RUN(PREFIX, N, M)                                                                        \
	static uint64_t PREFIX##N(enum fp_op op, struct hull_fp *e, const uint64_t v[3])         \
	{                                                                                        \
		uint##N##_t a = (uint##N##_t)v[0], b = (uint##N##_t)v[1], c = (uint##N##_t)v[2]; \
                                                                                                 \
		switch (op) {                                                                    \
		case FP_ADD: return PREFIX##_f##N##_add(e, a, b);                                \
		case FP_SUB: return PREFIX##_f##N##_sub(e, a, b);                                \
		case FP_MUL: return PREFIX##_f##N##_mul(e, a, b);                                \
		case FP_DIV: return PREFIX##_f##N##_div(e, a, b);                                \
		case FP_SQRT: return PREFIX##_f##N##_sqrt(e, a);                                 \
		case FP_FMA: return PREFIX##_f##N##_fma(e, a, b, c);                             \
		case FP_MIN: return PREFIX##_f##N##_min(e, a, b);                                \
		case FP_MAX: return PREFIX##_f##N##_max(e, a, b);                                \
		case FP_EQ: return PREFIX##_f##N##_eq(e, a, b);                                  \
		case FP_LT: return PREFIX##_f##N##_lt(e, a, b);                                  \
		case FP_LE: return PREFIX##_f##N##_le(e, a, b);                                  \
		case FP_TO_I32: return (uint64_t)PREFIX##_f##N##_to_i32(e, a);                   \
		case FP_TO_U32: return PREFIX##_f##N##_to_u32(e, a);                             \
		case FP_TO_I64: return (uint64_t)PREFIX##_f##N##_to_i64(e, a);                   \
		case FP_TO_U64: return PREFIX##_f##N##_to_u64(e, a);                             \
		case FP_FROM_I32: return PREFIX##_f##N##_from_i32(e, (int32_t)v[0]);             \
		case FP_FROM_U32: return PREFIX##_f##N##_from_u32(e, (uint32_t)v[0]);            \
		case FP_FROM_I64: return PREFIX##_f##N##_from_i64(e, (int64_t)v[0]);             \
		case FP_FROM_U64: return PREFIX##_f##N##_from_u64(e, v[0]);                      \
		default: return PREFIX##_f##N##_to_f##M(e, a);                                   \
		}                                                                                \
	}

RUN(hull, 32, 64)
RUN(hull, 64, 32)
RUN(hard, 32, 64)
RUN(hard, 64, 32)

static void same(void **state)
{
	enum fp_op op = (enum fp_op)(uintptr_t)*state;
	uint64_t v[3];

	for (uint64_t i = fp_test_cases(40000); i; i--) {
		uint64_t r = fp_random(), want, got;
		bool wide = r & 1;
		struct hull_fp soft = { r & 2 ? HULL_FP_RNE : (r >> 8) % 5, r >> 16 & 31 };
		struct hull_fp hard;

		if (r & 4)
			soft.flags |= HULL_FP_NX;
		hard = soft;
		fp_operands(op, wide ? 64 : 32, v);
		want = wide ? hull64(op, &soft, v) : hull32(op, &soft, v);
		got = wide ? hard64(op, &hard, v) : hard32(op, &hard, v);
		if (want != got || soft.flags != hard.flags)
			fp_test_fail(op, wide ? 64 : 32, soft.rm, v,
			             (uint64_t[]){ want, soft.flags },
			             (uint64_t[]){ got, hard.flags });
	}
}

static void other_rounding_is_noticed(void **state)
{
	static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };

	assert_true(hard_fp_usable());
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		volatile bool usable; /* computed before the mode is put back */

		assert_int_equal(fesetround(modes[i]), 0);
		usable = hard_fp_usable();
		fesetround(FE_TONEAREST);
		assert_false(usable);
	}
	assert_true(hard_fp_usable());
}

static int set_up(void **state)
{
	fp_test_init();
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[FP_OPS + 1] = { cmocka_unit_test(other_rounding_is_noticed) };
	size_t count = 1;

	for (unsigned op = 0; op < FP_OPS; op++)
		if (op != FP_RINT && op != FP_COMPARE && op != FP_CLASSIFY && op != FP_TO_F16)
			tests[count++] =
				(struct CMUnitTest){ .name = fp_op_names[op],
				                     .test_func = same,
				                     .initial_state = (void *)(uintptr_t)op };
	return _cmocka_run_group_tests("hardfloat", tests, count, set_up, NULL);
}
