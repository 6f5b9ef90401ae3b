/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Random floating-point operands, mostly corner cases, for the tests of the
 * floating-point layers.  HULL_TEST_SEED repeats a run, HULL_TEST_CASES sets
 * how many cases each operation gets.  One thread.
 */
#ifndef TESTS_SUPPORT_FP_OPERANDS_H
#define TESTS_SUPPORT_FP_OPERANDS_H

#include <stdbool.h>
#include <stdint.h>

enum fp_op {
	FP_ADD,
	FP_SUB,
	FP_MUL,
	FP_DIV,
	FP_SQRT,
	FP_FMA,
	FP_RINT,
	FP_MIN,
	FP_MAX,
	FP_EQ,
	FP_LT,
	FP_LE,
	FP_COMPARE,
	FP_CLASSIFY,
	FP_TO_I32,
	FP_TO_U32,
	FP_TO_I64,
	FP_TO_U64,
	FP_FROM_I32,
	FP_FROM_U32,
	FP_FROM_I64,
	FP_FROM_U64,
	FP_TO_F16,
	FP_TO_F32,
	FP_TO_F64,
	FP_OPS
};

extern const char *const fp_op_names[FP_OPS];

/* Read the environment, seed the generator, print the seed.  Before anything else. */
void fp_test_init(void);

/* HULL_TEST_CASES, or `usual`. */
uint64_t fp_test_cases(uint64_t usual);

uint64_t fp_random(void);

/* Operands of `op` in the format of n bits into v[0..2]; integers for FP_FROM_... */
void fp_operands(enum fp_op op, unsigned n, uint64_t v[3]);

/* Stop the test with a line that shows the case and the seed. */
_Noreturn void fp_test_fail(enum fp_op op, unsigned n, unsigned rm, const uint64_t v[3],
                            const uint64_t want[2], const uint64_t got[2]);

#endif
