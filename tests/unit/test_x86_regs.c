/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The register numbers of x86_64: each has a name of its own, a class and a width. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "isa/x86_64/regs.h"

static void test_names_are_different(void **state)
{
	char names[256][X86_REG_NAME_MAX];
	unsigned n = 0;
	uint32_t number;

	while ((number = hull_x86_reg_at(n)) != UINT32_MAX) {
		struct x86_reg r = hull_x86_reg(number);

		assert_true(n < ARRAY_LEN(names));
		hull_x86_reg_name(number, names[n]);
		assert_true(r.class != X86_CLASS_NONE && r.class != X86_CLASS_MSR);
		assert_true(r.bits >= 8 && r.bits <= 64);
		assert_string_not_equal(names[n], "?");
		for (unsigned i = 0; i < n; i++) {
			assert_string_not_equal(names[i], names[n]);
			assert_int_not_equal(hull_x86_reg_at(i), number);
		}
		n++;
	}
	/* 16 + 2 general, 5 control, XCR0, 6 debug, 4 of tables, 4 FPU; segments; st, xmm, ymmh */
	assert_int_equal(n, 38 + 8 * 4 + 8 * 2 + 2 * 16 * 2);
}

static void check(uint32_t number, const char *name, enum x86_reg_class class, unsigned bits)
{
	char got[X86_REG_NAME_MAX];

	hull_x86_reg_name(number, got);
	assert_string_equal(got, name);
	assert_int_equal(hull_x86_reg(number).class, class);
	assert_int_equal(hull_x86_reg(number).bits, bits);
}

static void test_some_of_each_class(void **state)
{
	check(HULL_X86_REG_RBX, "rbx", X86_CLASS_GENERAL, 64);
	check(15, "r15", X86_CLASS_GENERAL, 64);
	check(HULL_X86_REG_CR8, "cr8", X86_CLASS_CONTROL, 64);
	check(HULL_X86_REG_DR7, "dr7", X86_CLASS_DEBUG, 64);
	check(HULL_X86_REG_IDTR_LIMIT, "idtr_limit", X86_CLASS_TABLE, 16);
	check(HULL_X86_REG_SEG + 4 * HULL_X86_GS + HULL_X86_BASE, "gs_base", X86_CLASS_SEGMENT, 64);
	check(HULL_X86_REG_SEG + 4 * HULL_X86_TR + HULL_X86_SELECTOR, "tr", X86_CLASS_SEGMENT, 16);
	check(HULL_X86_REG_ST + 3, "st1_high", X86_CLASS_FPU, 16);
	check(HULL_X86_REG_XMM + 31, "xmm15_high", X86_CLASS_FPU, 64);
	check(HULL_X86_REG_YMMH, "ymmh0", X86_CLASS_FPU, 64);
	assert_int_equal(hull_x86_reg(HULL_X86_REG_ST + 2).offset, 48);
	assert_int_equal(hull_x86_reg(HULL_X86_REG_XMM + 3).offset, 184);
	assert_int_equal(hull_x86_reg(HULL_X86_REG_YMMH + 2).offset, 592);
	assert_int_equal(hull_x86_reg(HULL_X86_REG_MXCSR).offset, 24);
}

static void test_msrs(void **state)
{
	static const uint32_t msrs[] = { 0x10,       0x1fff,     0x40000000,
		                         0x40001fff, 0xc0000080, 0xc001ffff };

	for (unsigned i = 0; i < ARRAY_LEN(msrs); i++) {
		uint32_t number = hull_x86_msr_reg(msrs[i]);

		assert_int_equal(hull_x86_reg(number).class, X86_CLASS_MSR);
		assert_int_equal(hull_x86_reg(number).msr, msrs[i]);
	}
	check(hull_x86_msr_reg(0xc0000080), "msr_c0000080", X86_CLASS_MSR, 64);
	assert_int_equal(hull_x86_msr_reg(0x2000), UINT32_MAX);
	assert_int_equal(hull_x86_msr_reg(0xc0020000), UINT32_MAX);
	check(HULL_X86_REG_MSR - 1, "?", X86_CLASS_NONE, 0);
	check(HULL_X86_REG_MSR_C + 0x20000, "?", X86_CLASS_NONE, 0);
	check(UINT32_MAX, "?", X86_CLASS_NONE, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_different),
		cmocka_unit_test(test_some_of_each_class),
		cmocka_unit_test(test_msrs),
	};

	return cmocka_run_group_tests_name("x86_regs", tests, NULL, NULL);
}
