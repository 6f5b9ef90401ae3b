/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* When generated code is made, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bits.h"
#include "engine/jit/cache.h"
#include "engine/jit/promote.h"
#include "engine/riscv64/jit.h"
#include "support/rvrig.h"

#define BASE UINT64_C(0x80000000)
enum { FLOOD = 32768, SIZE = 4 * FLOOD + HULL_PAGE_SIZE, HEAT = 8, ROUNDS = 40 };

static const uint32_t nextinsn = 0x0040006f; /* jal x0, .+4: a block of its own */
static const uint32_t back = 0x00008067;     /* jalr x0, 0(x1) */

/* Far more blocks than the cache holds: none is translated again each time that it is entered. */
static void flood(void **state)
{
	struct rvrig r;
	struct hull_exit exit = { .kind = HULL_EXIT_NONE };

	if (!rvrig_init_jit(&r, BASE, SIZE, HEAT, JIT_CACHE_MIN))
		skip();
	for (unsigned i = 0; i < FLOOD; i++)
		store_le32(r.ram + 4 * i, nextinsn);
	store_le32(r.ram + 4 * FLOOD, back);
	r.hart->x[1] = BASE;
	r.hart->pc = BASE;
	r.hart->retire_limit = r.hart->retired + (FLOOD + 1) * ROUNDS;
	assert_int_equal(rv_jit_run(r.hart, &exit), 0);
	assert_int_equal(exit.kind, HULL_EXIT_BUDGET);
	assert_int_equal(r.hart->pc, BASE);
	assert_true(r.hart->stats.blocks_translated >= FLOOD);
	assert_true(r.hart->stats.blocks_translated <= FLOOD * (ROUNDS / HEAT + 1));
	rvrig_fini(&r);
}

/* A loop of 100 turns; a0 counts them. */
static const uint32_t loop[] = {
	0x00000513, /* addi a0, x0, 0 */
	0x06400593, /* addi a1, x0, 100 */
	0x00150513, /* addi a0, a0, 1 */
	0xfeb51ee3, /* bne a0, a1, .-4 */
	0x00008067, /* jalr x0, 0(ra) */
};

static unsigned asked;

static enum jit_bail refuse(struct jit_gen *g, const struct jit_input *in, struct jit_unit *ret)
{
	asked++;
	return JIT_BAIL_UNKNOWN_OP;
}

static enum jit_bail count(struct jit_gen *g, const struct jit_input *in, struct jit_unit *ret)
{
	asked++;
	return jit_generate(g, in, ret);
}

/* Whatever the generator does, the guest computes the same. */
static void run_loop(jit_generate_fn generate, bool translated)
{
	struct rvrig r;
	struct hull_exit exit = { .kind = HULL_EXIT_NONE };

	if (!rvrig_init_jit(&r, BASE, HULL_PAGE_SIZE, HEAT, JIT_CACHE_MIN))
		skip();
	for (unsigned i = 0; i < ARRAY_LEN(loop); i++)
		store_le32(r.ram + 4 * i, loop[i]);
	r.hart->jit->generate = generate;
	asked = 0;
	r.hart->x[1] = BASE;
	r.hart->pc = BASE;
	r.hart->retire_limit = r.hart->retired + 10000 * 203;
	assert_int_equal(rv_jit_run(r.hart, &exit), 0);
	assert_int_equal(exit.kind, HULL_EXIT_BUDGET);
	assert_int_equal(r.hart->pc, BASE);
	assert_int_equal(r.hart->x[10], 100);
	assert_true(asked > 0);
	assert_int_equal(r.hart->stats.blocks_translated > 0, translated);
	rvrig_fini(&r);
}

static void another_generator(void **state)
{
	run_loop(count, true);
	run_loop(refuse, false);
}

static void promotion(void **state)
{
	struct jit_heat h = { .threshold = 3 };
	uint32_t heat = 0, never = JIT_NEVER, cold = 0;
	bool (*fixed)(struct jit_heat *, uint32_t *) = jit_promotions[HULL_PROMOTION_FIXED].sample;
	bool (*eager)(struct jit_heat *, uint32_t *) = jit_promotions[HULL_PROMOTION_EAGER].sample;

	assert_false(fixed(&h, &heat));
	assert_false(fixed(&h, &heat));
	assert_true(fixed(&h, &heat));
	assert_false(fixed(&h, &never));
	/* Seen now and then only, it never gets hot. */
	for (unsigned i = 0; i < 20; i++) {
		assert_false(fixed(&h, &cold));
		h.now += 1000;
	}
	cold = 0;
	assert_true(eager(&h, &cold));
	assert_false(eager(&h, &never));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flood),
		cmocka_unit_test(another_generator),
		cmocka_unit_test(promotion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
