/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Loads and stores, as GNU as encodes them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bits.h"
#include "isa/riscv64/access.h"

static const struct {
	uint32_t bits;
	struct hull_rv_access want; /* bytes 0: none */
} rows[] = {
	{ 0x0055c783, { 15, 4, 1, false, false } }, /* lbu a5, 5(a1) */
	{ 0xfff58783, { 15, 4, 1, false, true } },  /* lb a5, -1(a1) */
	{ 0x00059f83, { 31, 4, 2, false, true } },  /* lh t6, 0(a1) */
	{ 0x0005d003, { 0, 4, 2, false, false } },  /* lhu zero, 0(a1) */
	{ 0x0005a283, { 5, 4, 4, false, true } },   /* lw t0, 0(a1) */
	{ 0x0005e283, { 5, 4, 4, false, false } },  /* lwu t0, 0(a1) */
	{ 0x00053683, { 13, 4, 8, false, false } }, /* ld a3, 0(a0) */
	{ 0x00e58023, { 14, 4, 1, true, false } },  /* sb a4, 0(a1) */
	{ 0x01f59123, { 31, 4, 2, true, false } },  /* sh t6, 2(a1) */
	{ 0x0005a023, { 0, 4, 4, true, false } },   /* sw zero, 0(a1) */
	{ 0x00d53023, { 13, 4, 8, true, false } },  /* sd a3, 0(a0) */
	{ 0x419c, { 15, 2, 4, false, true } },      /* c.lw a5, 0(a1) */
	{ 0x619c, { 15, 2, 8, false, false } },     /* c.ld a5, 0(a1) */
	{ 0xc19c, { 15, 2, 4, true, false } },      /* c.sw a5, 0(a1) */
	{ 0xe19c, { 15, 2, 8, true, false } },      /* c.sd a5, 0(a1) */
	{ 0x4782, { 15, 2, 4, false, true } },      /* c.lwsp a5, 0(sp) */
	{ 0x6782, { 15, 2, 8, false, false } },     /* c.ldsp a5, 0(sp) */
	{ 0xc03e, { 15, 2, 4, true, false } },      /* c.swsp a5, 0(sp) */
	{ 0xe03e, { 15, 2, 8, true, false } },      /* c.sdsp a5, 0(sp) */
	{ 0x00052787, { 0 } },                      /* flw fa5, 0(a0) */
	{ 0x00b5252f, { 0 } },                      /* amoadd.w a0, a1, (a0) */
	{ 0x00b50533, { 0 } },                      /* add a0, a0, a1 */
	{ 0x0005f283, { 0 } },                      /* width 7 of LOAD */
	{ 0x0000, { 0 } },
};

static void test_rows(void **state)
{
	static struct hull_rv_decoder d;

	assert_true(hull_rv_decoder_init(&d));
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_rv_access got = { 0 };
		const struct hull_rv_access *want = &rows[i].want;

		assert_int_equal(hull_rv_access_decode(&d, rows[i].bits, &got), want->bytes != 0);
		assert_int_equal(got.reg, want->reg);
		assert_int_equal(got.insn_bytes, want->insn_bytes);
		assert_int_equal(got.bytes, want->bytes);
		assert_int_equal(got.write, want->write);
		assert_int_equal(got.sign, want->sign);
	}
}

static uint64_t loaded(uint8_t bytes, bool sign, uint64_t data)
{
	struct hull_rv_access a = { .bytes = bytes, .sign = sign };

	return hull_rv_access_value(&a, data);
}

static void test_values(void **state)
{
	assert_int_equal(loaded(1, true, 0x180), (uint64_t)-0x80);
	assert_int_equal(loaded(1, false, 0x180), 0x80);
	assert_int_equal(loaded(2, true, 0x7fff), 0x7fff);
	assert_int_equal(loaded(4, true, 0xffffffff), UINT64_MAX);
	assert_int_equal(loaded(4, false, UINT64_MAX), 0xffffffff);
	assert_int_equal(loaded(8, false, UINT64_MAX - 1), UINT64_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
