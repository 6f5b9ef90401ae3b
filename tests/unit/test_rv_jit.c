/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* When generated code is made, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bits.h"
#include "engine/jit/cache.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
