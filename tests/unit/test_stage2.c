/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Stage-2 tables beside an array, page by page; and a TLB that forgets nothing unless it is told.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <hull/accel.h>

#include "base/bits.h"
#include "base/prng.h"
#include "isa/aarch64/stage2.h"

/* The window of addresses that the random test plays in: 16 MiB at the border of two GiB. */
enum { PAGES = 4096 };
#define WINDOW (UINT64_C(0x80000000) - PAGES / 2 * HULL_PAGE_SIZE)

struct space {
	struct hull_a64_s2 s2;
	int tables, budget;  /* pages in use; how many more may be had */
	hull_hpa tlb[PAGES]; /* what a CPU that has seen every page may still use; 0: nothing */
	unsigned publishes, flushes;
	uint64_t *watched; /* a descriptor, and what it was at each of the flushes */
	uint64_t seen[4];
};

static hull_hpa table_alloc(void *arg, unsigned pages)
{
	struct space *t = arg;
	void *p;

	if (t->budget < (int)pages)
		return 0;
	p = aligned_alloc(pages * HULL_PAGE_SIZE, pages * HULL_PAGE_SIZE);
	assert_non_null(p);
	memset(p, 0, pages * HULL_PAGE_SIZE);
	t->budget -= (int)pages;
	t->tables += (int)pages;
	return (hull_hpa)(uintptr_t)p;
}

static void table_free(void *arg, hull_hpa table, unsigned pages)
{
	struct space *t = arg;

	t->tables -= (int)pages;
	t->budget += (int)pages;
	free((void *)(uintptr_t)table);
}

static uint64_t *table_at(void *arg, hull_hpa table)
{
	return (uint64_t *)(uintptr_t)table;
}

static void publish(void *arg)
{
	((struct space *)arg)->publishes++;
}

static void flush(void *arg, hull_gpa ipa, uint64_t bytes)
{
	struct space *t = arg;

	if (t->watched && t->flushes < ARRAY_LEN(t->seen))
		t->seen[t->flushes] = *t->watched;
	t->flushes++;
	for (uint64_t at = ipa; at < ipa + bytes; at += HULL_PAGE_SIZE)
		if (at >= WINDOW && at < WINDOW + PAGES * HULL_PAGE_SIZE)
			t->tlb[(at - WINDOW) / HULL_PAGE_SIZE] = 0;
		else if (at >= WINDOW)
			break;
}

static const struct hull_a64_s2_ops ops = { table_alloc, table_free, table_at, publish, flush };

static void begin(struct space *t, unsigned bits)
{
	memset(t, 0, sizeof(*t));
	t->budget = 1000;
	assert_int_equal(hull_a64_s2_init(&t->s2, &ops, t, bits), 0);
}

static void finish(struct space *t)
{
	hull_a64_s2_fini(&t->s2);
	assert_int_equal(t->tables, 0);
}

/* What a page of the window should be. */
struct page {
	hull_hpa pa;
	unsigned attr;
};

static void compare(struct space *t, const struct page *model)
{
	for (unsigned i = 0; i < PAGES; i++) {
		hull_gpa ipa = WINDOW + i * HULL_PAGE_SIZE;
		struct hull_a64_s2_leaf l;
		bool found = hull_a64_s2_lookup(&t->s2, ipa, &l);

		assert_int_equal(found, model[i].attr != 0);
		if (t->tlb[i])
			assert_int_equal(t->tlb[i], model[i].pa);
		if (!found)
			continue;
		assert_int_equal(l.pa + (ipa - l.ipa), model[i].pa);
		assert_int_equal(l.attr, model[i].attr);
		t->tlb[i] = model[i].pa; /* a CPU touches it */
	}
}

static bool all_free(const struct page *model, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		if (model[i].attr)
			return false;
	return true;
}

static void one_step(struct space *t, struct page *model, struct hull_prng *r)
{
	unsigned from = (unsigned)(hull_prng_next(r) % PAGES);
	unsigned n = 1 + (unsigned)(hull_prng_next(r) % (PAGES - from));
	unsigned attr = HULL_MEM_R | (hull_prng_next(r) & (HULL_MEM_W | HULL_MEM_X));
	hull_gpa ipa;
	hull_hpa pa;
	int rc;

	if (hull_prng_next(r) % 2) { /* shapes that blocks fit */
		from = (unsigned)align_down(from, 512);
		n = (unsigned)MIN(align_up(n, 512), (uint64_t)(PAGES - from));
	}
	ipa = WINDOW + from * HULL_PAGE_SIZE;
	pa = UINT64_C(0x100000000) + ipa + hull_prng_next(r) % 2 * HULL_PAGE_SIZE;
	switch (hull_prng_next(r) % 4) {
	case 0:
	case 1:
		rc = hull_a64_s2_map(&t->s2, ipa, pa, n * HULL_PAGE_SIZE, attr);
		assert_true(rc == 0 || rc == HULL_EEXIST || rc == HULL_ENOMEM);
		if (!all_free(model, from, n))
			assert_int_not_equal(rc, 0);
		/* Undone by unmapping its own part: what was there before stays. */
		for (unsigned i = 0; !rc && i < n; i++)
			model[from + i] = (struct page){ pa + i * HULL_PAGE_SIZE, attr };
		break;
	case 2:
		rc = hull_a64_s2_unmap(&t->s2, ipa, n * HULL_PAGE_SIZE);
		assert_true(rc == 0 || rc == HULL_ENOMEM);
		if (!rc)
			memset(model + from, 0, n * sizeof(*model));
		break;
	default:
		rc = hull_a64_s2_protect(&t->s2, ipa, n * HULL_PAGE_SIZE, attr);
		assert_true(rc == 0 || rc == HULL_ENOMEM);
		for (unsigned i = from; !rc && i < from + n; i++)
			if (model[i].attr)
				model[i].attr = attr;
	}
}

static void test_random(void **state)
{
	static struct page model[PAGES];
	static struct space t;
	struct hull_prng r;

	for (unsigned seed = 1; seed <= 6; seed++) {
		hull_prng_seed(&r, seed);
		memset(model, 0, sizeof(model));
		begin(&t, seed % 2 ? 40 : 44);
		if (seed > 4) /* now and then there is no memory for a table */
			t.budget = 8;
		for (unsigned i = 0; i < 300; i++) {
			one_step(&t, model, &r);
			compare(&t, model);
		}
		finish(&t);
	}
}

static void test_block_sizes(void **state)
{
	static struct space t;
	struct hull_a64_s2_leaf l;
	const uint64_t gib = UINT64_C(1) << 30, mib2 = UINT64_C(2) << 20;

	begin(&t, 40);
	assert_int_equal(hull_a64_s2_map(&t.s2, gib, 4 * gib, 2 * gib + mib2 + HULL_PAGE_SIZE,
	                                 HULL_MEM_R | HULL_MEM_W | HULL_MEM_X),
	                 0);
	assert_true(hull_a64_s2_lookup(&t.s2, gib + 5, &l));
	assert_int_equal(l.bytes, gib);
	assert_true(hull_a64_s2_lookup(&t.s2, 3 * gib, &l));
	assert_int_equal(l.bytes, mib2);
	assert_true(hull_a64_s2_lookup(&t.s2, 3 * gib + mib2, &l));
	assert_int_equal(l.bytes, HULL_PAGE_SIZE);
	assert_false(hull_a64_s2_lookup(&t.s2, 3 * gib + mib2 + HULL_PAGE_SIZE, &l));
	assert_false(hull_a64_s2_lookup(&t.s2, UINT64_C(1) << 40, &l));
	/* One page out of a GiB: two tables more, the neighbours as they were. */
	assert_int_equal(hull_a64_s2_unmap(&t.s2, gib + 7 * HULL_PAGE_SIZE, HULL_PAGE_SIZE), 0);
	assert_false(hull_a64_s2_lookup(&t.s2, gib + 7 * HULL_PAGE_SIZE, &l));
	assert_true(hull_a64_s2_lookup(&t.s2, gib + 8 * HULL_PAGE_SIZE, &l));
	assert_int_equal(l.pa, 4 * gib + 8 * HULL_PAGE_SIZE);
	assert_true(hull_a64_s2_lookup(&t.s2, gib + gib / 2, &l));
	assert_int_equal(l.bytes, mib2);
	finish(&t);
}

static void test_bad_ranges(void **state)
{
	static struct space t;
	const unsigned rw = HULL_MEM_R | HULL_MEM_W;

	assert_int_equal(hull_a64_s2_init(&t.s2, &ops, &t, 31), HULL_EINVAL);
	assert_int_equal(hull_a64_s2_init(&t.s2, &ops, &t, 49), HULL_EINVAL);
	begin(&t, 36);
	assert_int_equal(hull_a64_s2_map(&t.s2, 0, 0, 0, rw), HULL_EINVAL);
	assert_int_equal(hull_a64_s2_map(&t.s2, 1, 0, 4096, rw), HULL_EINVAL);
	assert_int_equal(hull_a64_s2_map(&t.s2, 0, 2048, 4096, rw), HULL_EINVAL);
	assert_int_equal(hull_a64_s2_map(&t.s2, 0, UINT64_C(1) << 48, 4096, rw), HULL_EINVAL);
	assert_int_equal(hull_a64_s2_map(&t.s2, (UINT64_C(1) << 36) - 4096, 0, 8192, rw),
	                 HULL_EINVAL);
	assert_int_equal(hull_a64_s2_map(&t.s2, UINT64_MAX - 4095, 0, 4096, rw), HULL_EINVAL);
	assert_int_equal(hull_a64_s2_map(&t.s2, (UINT64_C(1) << 36) - 4096, 0, 4096, rw), 0);
	finish(&t);
}

/*
 * Break before make (D8.16.1): a leaf of another memory type is not there for a moment, one with
 * other rights is replaced at once.
 */
static void test_break_before_make(void **state)
{
	static struct space t;
	const uint64_t mib2 = UINT64_C(2) << 20;
	const unsigned rw = HULL_MEM_R | HULL_MEM_W;

	begin(&t, 39);
	assert_int_equal(hull_a64_s2_map(&t.s2, 0, mib2, mib2, rw), 0);
	t.watched = (uint64_t *)(uintptr_t)(*(uint64_t *)(uintptr_t)t.s2.root &
	                                    ~(uint64_t)HULL_PAGE_MASK);
	t.flushes = 0;
	assert_int_equal(hull_a64_s2_protect(&t.s2, 0, mib2, HULL_MEM_R), 0);
	assert_int_equal(t.flushes, 1);
	assert_int_equal(t.seen[0], *t.watched);
	t.flushes = 0;
	assert_int_equal(hull_a64_s2_protect(&t.s2, 0, mib2, rw | HULL_MEM_UNCACHED), 0);
	assert_int_equal(t.flushes, 1);
	assert_int_equal(t.seen[0], 0);
	assert_true(*t.watched & 1);
	t.flushes = 0;
	assert_int_equal(hull_a64_s2_protect(&t.s2, 0, mib2, rw | HULL_MEM_DEVICE), 0);
	assert_int_equal(t.seen[0], 0);
	t.watched = NULL;
	finish(&t);
}

/* Arm ARM, VTCR_EL2. */
static void test_vtcr(void **state)
{
	static struct space t;

	begin(&t, 40);
	assert_int_equal(t.s2.root_pages, 2);
	assert_int_equal(hull_a64_s2_vtcr(&t.s2, 2), 0x80023558);
	finish(&t);
	begin(&t, 48);
	assert_int_equal(t.s2.root_pages, 1);
	assert_int_equal(hull_a64_s2_vtcr(&t.s2, 5), 0x80053590);
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_block_sizes),
		cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_vtcr),
		cmocka_unit_test(test_break_before_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
