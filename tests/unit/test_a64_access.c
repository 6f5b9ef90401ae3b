/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Decoded loads and stores beside what the assembler (llvm-mc) writes for the same words. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/prng.h"
#include "isa/aarch64/access.h"

enum { W = 1, V = 2, S = 4, L = 8, POST = 16, UPDATE = 32, LIT = 64, EX = 128 };

static const struct row {
	uint32_t insn;
	unsigned flags, size, nregs, rt, rt2, rn, rm;
	int64_t offset;
	const char *text;
} rows[] = {
	{ 0xa9410861, L, 8, 2, 1, 2, 3, 255, 16, "ldp x1, x2, [x3, #16]" },
	{ 0xa8c10861, L | POST | UPDATE, 8, 2, 1, 2, 3, 255, 16, "ldp x1, x2, [x3], #16" },
	{ 0xa9bf0be1, W | L | UPDATE, 8, 2, 1, 2, 31, 255, -16, "stp x1, x2, [sp, #-16]!" },
	{ 0x29000861, W | L, 4, 2, 1, 2, 3, 255, 0, "stp w1, w2, [x3]" },
	{ 0x69410861, S | L, 4, 2, 1, 2, 3, 255, 8, "ldpsw x1, x2, [x3, #8]" },
	{ 0xad000861, W | V | L, 16, 2, 1, 2, 3, 255, 0, "stp q1, q2, [x3]" },
	{ 0x6d410861, V | L, 8, 2, 1, 2, 3, 255, 16, "ldp d1, d2, [x3, #16]" },
	{ 0x2d410861, V | L, 4, 2, 1, 2, 3, 255, 8, "ldp s1, s2, [x3, #8]" },
	{ 0xa8010861, W | L, 8, 2, 1, 2, 3, 255, 16, "stnp x1, x2, [x3, #16]" },
	{ 0xf8408c61, L | UPDATE, 8, 1, 1, 0, 3, 255, 8, "ldr x1, [x3, #8]!" },
	{ 0xb85fc461, L | POST | UPDATE, 4, 1, 1, 0, 3, 255, -4, "ldr w1, [x3], #-4" },
	{ 0x38001461, W | L | POST | UPDATE, 1, 1, 1, 0, 3, 255, 1, "strb w1, [x3], #1" },
	{ 0x38c01c61, S | UPDATE, 1, 1, 1, 0, 3, 255, 1, "ldrsb w1, [x3, #1]!" },
	{ 0x78801c61, S | L | UPDATE, 2, 1, 1, 0, 3, 255, 1, "ldrsh x1, [x3, #1]!" },
	{ 0xb8802461, S | L | POST | UPDATE, 4, 1, 1, 0, 3, 255, 2, "ldrsw x1, [x3], #2" },
	{ 0xf8403061, L, 8, 1, 1, 0, 3, 255, 3, "ldur x1, [x3, #3]" },
	{ 0xb9400861, L, 4, 1, 1, 0, 3, 255, 8, "ldr w1, [x3, #8]" },
	{ 0x3dc00461, V, 16, 1, 1, 0, 3, 255, 16, "ldr q1, [x3, #16]" },
	{ 0x3c9f0c61, W | V | UPDATE, 16, 1, 1, 0, 3, 255, -16, "str q1, [x3, #-16]!" },
	{ 0xfc400461, V | POST | UPDATE, 8, 1, 1, 0, 3, 255, 0, "ldr d1, [x3], #0" },
	{ 0x38626861, L, 1, 1, 1, 0, 3, 2, 0, "ldrb w1, [x3, x2]" },
	{ 0xf8627861, L, 8, 1, 1, 0, 3, 2, 0, "ldr x1, [x3, x2, lsl #3]" },
	{ 0xb862d861, L, 4, 1, 1, 0, 3, 2, 0, "ldr w1, [x3, w2, sxtw #2]" },
	{ 0x88dffc61, L, 4, 1, 1, 0, 3, 255, 0, "ldar w1, [x3]" },
	{ 0xc89ffc61, W | L, 8, 1, 1, 0, 3, 255, 0, "stlr x1, [x3]" },
	{ 0xf8bfc061, L, 8, 1, 1, 0, 3, 255, 0, "ldapr x1, [x3]" },
	{ 0xd9408061, L, 8, 1, 1, 0, 3, 255, 8, "ldapur x1, [x3, #8]" },
	{ 0x58000041, L | LIT, 8, 1, 1, 0, 2, 255, 8, "ldr x1, #8" },
	{ 0x98000041, S | L | LIT, 4, 1, 1, 0, 2, 255, 8, "ldrsw x1, #8" },
	{ 0x4c407061, V, 16, 1, 1, 0, 3, 255, 0, "ld1 { v1.16b }, [x3]" },
	{ 0x4c9f2061, W | V | POST | UPDATE, 16, 4, 1, 2, 3, 255, 64,
	  "st1 { v1.16b, v2.16b, v3.16b, v4.16b }, [x3], #64" },
	{ 0x0cc2a861, V | POST | UPDATE, 8, 2, 1, 2, 3, 2, 0, "ld1 { v1.2s, v2.2s }, [x3], x2" },
	{ 0xc85f7c61, EX, 0, 1, 1, 0, 3, 255, 0, "ldxr x1, [x3]" },
	{ 0xc8027c61, EX | W, 0, 1, 1, 0, 3, 255, 0, "stxr w2, x1, [x3]" },
	{ 0xf8220061, EX | W, 0, 1, 1, 0, 3, 255, 0, "ldadd x2, x1, [x3]" },
	{ 0xc8a27c61, EX | W, 0, 1, 1, 0, 3, 255, 0, "cas x2, x1, [x3]" },
};

static const uint32_t refused[] = {
	0xf9800061, /* prfm pldl1strm, [x3] */
	0xd8000041, /* prfm pldl1strm, #8 */
	0xa9c10463, /* ldp x3, x1, [x3, #16]! */
	0xa9400461, /* ldp x1, x1, [x3] */
	0xf8408c63, /* ldr x3, [x3, #8]! */
	0x4c408061, /* ld2 { v1.16b, v2.16b }, [x3] */
	0x4d400061, /* ld1 { v1.b }[8], [x3] */
	0x69000861, /* stgp x1, x2, [x3] */
	0xf8200461, /* ldraa x1, [x3] */
	0xd503201f, /* nop */
	0x91000421, /* add x1, x1, #1 */
};

static unsigned flags_of(const struct hull_a64_access *a)
{
	return (a->write ? W : 0) | (a->simd ? V : 0) | (a->sign ? S : 0) |
	       (a->wide && !a->simd ? L : 0) | (a->post ? POST : 0) | (a->update ? UPDATE : 0) |
	       (a->literal ? LIT : 0) | (a->exclusive ? EX : 0);
}

static void test_rows(void **state)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct hull_a64_access a;
		unsigned ignore = r->flags & V ? L : r->flags & EX ? L : 0;

		if (!hull_a64_access_decode(r->insn, &a))
			fail_msg("%s is refused", r->text);
		if ((flags_of(&a) & ~ignore) != (r->flags & ~ignore) ||
		    (r->size && a.size != r->size) || a.nregs != r->nregs || a.rt[0] != r->rt ||
		    (r->nregs > 1 && a.rt[1] != r->rt2) || (!a.literal && a.rn != r->rn) ||
		    a.rm != r->rm || a.offset != r->offset)
			fail_msg("%s: flags %#x, size %u, %u registers, offset %lld", r->text,
			         flags_of(&a), a.size, a.nregs, (long long)a.offset);
	}
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
		struct hull_a64_access a;

		if (hull_a64_access_decode(refused[i], &a))
			fail_msg("%#x is taken", refused[i]);
	}
}

static void test_addresses(void **state)
{
	struct hull_a64_access a;
	uint64_t base;

	assert_true(hull_a64_access_decode(0xa8c10861, &a)); /* ldp post */
	assert_int_equal(hull_a64_access_address(&a, 0x1000, 0, &base), 0x1000);
	assert_int_equal(base, 0x1010);
	assert_true(hull_a64_access_decode(0xa9bf0be1, &a)); /* stp pre */
	assert_int_equal(hull_a64_access_address(&a, 0x1000, 0, &base), 0xff0);
	assert_int_equal(base, 0xff0);
	assert_true(hull_a64_access_decode(0xf8627861, &a)); /* lsl #3 */
	assert_int_equal(hull_a64_access_address(&a, 0x1000, 2, &base), 0x1010);
	assert_int_equal(base, 0x1000);
	assert_true(hull_a64_access_decode(0xb862d861, &a)); /* sxtw #2 */
	assert_int_equal(hull_a64_access_address(&a, 0x1000, 0x5ffffffff, &base), 0xffc);
	assert_true(hull_a64_access_decode(0x38c01c61, &a)); /* ldrsb w */
	assert_int_equal(hull_a64_access_extend(&a, 0x180), 0xffffff80);
	assert_true(hull_a64_access_decode(0x78801c61, &a)); /* ldrsh x */
	assert_int_equal(hull_a64_access_extend(&a, 0x8000), UINT64_C(0xffffffffffff8000));
	assert_true(hull_a64_access_decode(0xb9400861, &a)); /* ldr w */
	assert_int_equal(hull_a64_access_extend(&a, UINT64_MAX), UINT32_MAX);
}

/* Whatever the word, what is taken is an access that can be performed. */
static void test_any_word(void **state)
{
	struct hull_prng rng;

	hull_prng_seed(&rng, 1);
	for (unsigned i = 0; i < 2000000; i++) {
		struct hull_a64_access a;

		if (!hull_a64_access_decode((uint32_t)hull_prng_next(&rng), &a) || a.exclusive)
			continue;
		assert_true(a.nregs >= 1 && a.nregs <= HULL_A64_ACCESS_REGS);
		assert_true(is_pow2(a.size) && a.size <= (a.simd ? 16 : 8));
		assert_true(a.nregs * a.size <= HULL_A64_ACCESS_BYTES);
		for (unsigned k = 0; k < a.nregs; k++)
			assert_true(a.rt[k] < 32);
		assert_true(a.rn < 32 && (a.rm < 32 || a.rm == HULL_A64_NO_REG));
		assert_true(a.shift <= 4 && (!a.post || a.update));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_any_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
