/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Code of an earlier run is used where all guest code that it was made from is there, in pages that
 * are mapped as they were to each other; wherever they are.  Nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "engine/jit/store_impl.h"
#include "engine/riscv64/jit.h"
#include "engine/riscv64/region.h"
#include "support/rvrig.h"

/*
 * RAM begins on a multiple of 512 MiB.  S-mode: RAM at its own addresses, and two pages of code at
 * VA, which are pages of RAM that the table says.
 */
#define BASE UINT64_C(0xa0000000)
#define VA   UINT64_C(0x10000000)
enum {
	PAGES = 32,
	ROOT = 16,
	MID = 17,
	LOW = 18,
	FIRST = 2,
	SECOND = 3,
	OTHER = 5,
	SAME = 6,
	FAR = 8
};
enum { LOOP = 0x100, PART = 0x200, TURNS = 4000 };

static struct rvrig rig;

static void put(unsigned page, unsigned offset, uint32_t insn)
{
	store_le32(rig.ram + page * HULL_PAGE_SIZE + offset, insn);
}

static uint32_t j(int32_t by)
{
	uint32_t u = (uint32_t)by;

	return 0x6f | (u >> 20 & 1) << 31 | (u >> 1 & 1023) << 21 | (u >> 11 & 1) << 20 |
	       (u >> 12 & 255) << 12;
}

/* The loop goes through both pages: a1 turns, each adds `by` to a0. */
static void first_page(unsigned page)
{
	const int way = (int)HULL_PAGE_SIZE + PART - LOOP;

	put(page, LOOP, j(way));
	put(page, LOOP + 4, 0xfff58593); /* addi a1,a1,-1 */
	put(page, LOOP + 8, 0xfe059ce3); /* bnez a1,.-8 */
	put(page, LOOP + 12, 0x0000006f);
}

static void second_page(unsigned page, uint32_t by)
{
	put(page, PART, 0x00050513 | by << 20);
	put(page, PART + 4, j(-(int)HULL_PAGE_SIZE - PART + LOOP));
}

static void map(unsigned at, unsigned page)
{
	const uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;

	store_le64(rig.ram + LOW * HULL_PAGE_SIZE + at * 8,
	           (BASE + page * HULL_PAGE_SIZE) >> 2 | flags);
	rv_sfence(rig.hart, false, VA + at * HULL_PAGE_SIZE, true, 0);
}

static void unmap_execution(unsigned at)
{
	uint8_t *entry = rig.ram + LOW * HULL_PAGE_SIZE + at * 8;

	store_le64(entry, load_le64(entry) & ~(uint64_t)PTE_X);
	rv_sfence(rig.hart, false, VA + at * HULL_PAGE_SIZE, true, 0);
}

/* Turn the loop; returns what it has added. */
static uint64_t turn(void)
{
	struct rv_hart *h = rig.hart;

	assert_int_equal(rv_reg_set(h, HULL_RV_REG_PRIV, RV_PRIV_S), 0);
	h->pc = VA + LOOP;
	h->x[10] = 0;
	h->x[11] = TURNS;
	h->csr.mcause = 0;
	assert_int_equal(rvrig_run(&rig, 5 * TURNS + 100), HULL_EXIT_BUDGET);
	return h->x[10];
}

/* The code that goes through both pages; NULL: there is none. */
static const struct jit_code *region(void)
{
	const struct jit_code *c = NULL;

	while ((c = jit_cache_next(rig.hart->jit->cache, c)))
		for (unsigned i = 0; i < c->range_count; i++)
			if (c->ranges[i].range.page == 1)
				return c;
	return NULL;
}

static enum jit_bail refuse(struct jit_gen *g, const struct jit_input *in, struct jit_unit *ret)
{
	return JIT_BAIL_UNKNOWN_OP;
}

static int setup(void **state)
{
	const uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;

	if (!rvrig_init_opt(&rig, BASE, PAGES * HULL_PAGE_SIZE, 2, 1))
		return rig.vm ? -1 : 0;
	store_le64(rig.ram + ROOT * HULL_PAGE_SIZE + 16, UINT64_C(0x80000000) >> 2 | flags);
	store_le64(rig.ram + ROOT * HULL_PAGE_SIZE, (BASE + MID * HULL_PAGE_SIZE) >> 2 | PTE_V);
	store_le64(rig.ram + MID * HULL_PAGE_SIZE + (VA >> 21) * 8,
	           (BASE + LOW * HULL_PAGE_SIZE) >> 2 | PTE_V);
	rv_pmp_write_addr(rig.hart, 15, low_mask(54)); /* everything to everybody */
	rv_pmp_write_cfg(rig.hart, 2, UINT64_C(0x1f) << 56);
	rv_csr_poke(rig.hart, 0x180, UINT64_C(8) << 60 | (BASE + ROOT * HULL_PAGE_SIZE) >> 12);
	put(0, 0, 0x0000006f);
	rig.hart->csr.mtvec = BASE;
	first_page(FIRST);
	second_page(SECOND, 3);
	map(0, FIRST);
	map(1, SECOND);
	for (unsigned n = 0; !region(); n++) { /* it is waited for, but may be dropped at once */
		assert_true(n < 1000);
		assert_int_equal(turn(), 3 * TURNS);
	}
	if (rv_regions_ready(rig.hart->jit->regions))
		rv_regions_install(rig.hart);
	rig.hart->jit->chaotic = false;
	rig.hart->jit->generate = refuse; /* what is there from now on has been kept */
	assert_true(rvrig_keep(&rig));
	assert_null(region());
	return 0;
}

static int teardown(void **state)
{
	rvrig_fini(&rig);
	return 0;
}

/* Does a run take the region from the store? */
static bool taken(uint32_t by)
{
	assert_int_equal(turn(), (uint64_t)by * TURNS);
	assert_int_equal(turn(), (uint64_t)by * TURNS);
	assert_int_equal(rig.hart->csr.mcause, 0);
	return region() != NULL;
}

static void used(void **state)
{
	if (!rig.vm)
		skip();
	assert_true(taken(3));
	assert_int_equal(rig.hart->stats.cache_rejected, 0);
}

static void used_elsewhere(void **state)
{
	const struct jit_code *c;
	bool seen = false;

	if (!rig.vm)
		skip();
	first_page(FAR);
	second_page(SAME, 3);
	map(0, FAR);
	map(1, SAME);
	rv_suspect_code(rig.hart);
	assert_true(taken(3));
	c = region();
	for (unsigned i = 0; i < c->range_count; i++) {
		unsigned page = c->ranges[i].range.page ? SAME : FAR;

		assert_int_equal(c->ranges[i].gpa & ~HULL_PAGE_MASK, BASE + page * HULL_PAGE_SIZE);
		seen |= page == SAME;
	}
	assert_true(seen);
}

static void another_second_page(void **state)
{
	if (!rig.vm)
		skip();
	second_page(OTHER, 5);
	map(1, OTHER); /* SECOND is still there */
	assert_false(taken(5));
}

static void changed(void **state)
{
	if (!rig.vm)
		skip();
	second_page(SECOND, 7);
	rv_suspect_code(rig.hart);
	assert_false(taken(7));
}

static void remapped_later(void **state)
{
	if (!rig.vm)
		skip();
	second_page(OTHER, 5);
	second_page(SAME, 3);
	assert_true(taken(3));
	for (unsigned n = 0; n < 4; n++) {
		map(1, OTHER);
		assert_int_equal(turn(), 5 * TURNS);
		map(1, n % 2 ? SAME : SECOND);
		assert_int_equal(turn(), 3 * TURNS);
	}
	second_page(SECOND, 7);
	map(1, SECOND);
	rv_suspect_code(rig.hart);
	assert_int_equal(turn(), 7 * TURNS);
}

static void not_executable_later(void **state)
{
	if (!rig.vm)
		skip();
	assert_true(taken(3));
	unmap_execution(1);
	assert_int_equal(turn(), 0);
	assert_int_equal(rig.hart->csr.mcause, RV_INSN_PAGE);
}

/* Every region of several pages in the store, as fn makes it; with its sum right or not. */
static void change_regions(void (*fn)(struct jit_unit *u), bool sum)
{
	struct store_image *image = &rig.hart->jit->store->image;

	for (uint32_t i = 0; i < image->header->units; i++) {
		struct store_entry *e = (struct store_entry *)&image->entries[i];
		struct jit_unit u;

		assert_true(store_unit(image, i, &u));
		if (u.tier == 1)
			continue;
		fn(&u);
		if (sum)
			e->sum = store_sum(image->data + 8ull * e->at, e->bytes, 0);
	}
}

static void another_distance(struct jit_unit *u)
{
	for (unsigned i = 0; i < u->range_count; i++)
		if (u->ranges[i].page == 1)
			((struct jit_range *)u->ranges)[i].page = 2;
}

static void other_code(struct jit_unit *u)
{
	((uint8_t *)u->code)[u->code_bytes / 2] ^= 0x80;
}

/* It is the code at another distance that counts. */
static void distance(void **state)
{
	if (!rig.vm)
		skip();
	change_regions(another_distance, true);
	second_page(OTHER, 5);
	map(2, OTHER);
	assert_false(taken(3));
	assert_int_equal(rig.hart->stats.cache_rejected, 0);
}

static void damaged(void **state)
{
	if (!rig.vm)
		skip();
	change_regions(other_code, false);
	assert_false(taken(3));
	assert_int_not_equal(rig.hart->stats.cache_rejected, 0);
}

/* An engine without tier 2 leaves it alone. */
static void without_tier_2(void **state)
{
	if (!rig.vm)
		skip();
	rig.hart->jit->tier2 = false;
	assert_int_equal(turn(), 3 * TURNS);
	assert_int_equal(rig.hart->stats.regions_loaded, 0);
	assert_int_not_equal(rig.hart->stats.cache_loaded, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(used, setup, teardown),
		cmocka_unit_test_setup_teardown(used_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(another_second_page, setup, teardown),
		cmocka_unit_test_setup_teardown(changed, setup, teardown),
		cmocka_unit_test_setup_teardown(remapped_later, setup, teardown),
		cmocka_unit_test_setup_teardown(not_executable_later, setup, teardown),
		cmocka_unit_test_setup_teardown(distance, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(without_tier_2, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
