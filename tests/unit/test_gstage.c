/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* G-stage tables beside an array, page by page, and beside what a walk by the book finds. */
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
#include "isa/riscv64/gstage.h"

/* The window of addresses that the random test plays in: 16 MiB at the border of two GiB. */
enum { PAGES = 4096, RWX = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
#define WINDOW (UINT64_C(0x80000000) - PAGES / 2 * HULL_PAGE_SIZE)
#define GIB    (UINT64_C(1) << 30)
#define MIB2   (UINT64_C(2) << 20)
#define END    (UINT64_C(1) << 41)

struct space {
	struct hull_rv_gs gs;
	int tables, budget;    /* pages in use; how many more may be had */
	uint64_t stale[PAGES]; /* what a walker may remember; 0: nothing */
	uint8_t known[PAGES];  /* that it does */
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

static void flush(void *arg, hull_gpa gpa, uint64_t bytes)
{
	struct space *t = arg;

	for (unsigned i = 0; i < PAGES; i++)
		if (WINDOW + i * HULL_PAGE_SIZE - gpa < bytes)
			t->known[i] = 0;
}

static const struct hull_rv_gs_ops ops = { table_alloc, table_free, table_at, flush };

static void begin(struct space *t)
{
	memset(t, 0, sizeof(*t));
	t->budget = 1000;
	assert_int_equal(hull_rv_gs_init(&t->gs, &ops, t), 0);
}

static void finish(struct space *t)
{
	hull_rv_gs_fini(&t->gs);
	assert_int_equal(t->tables, 0);
	hull_rv_gs_fini(&t->gs);
}

/*
 * The page that a CPU finds, with its low ten bits of flags; 0: a fault.  Privileged ISA 12.3.2 as
 * the "H" extension changes it, in a few lines that share nothing with what is tested.
 */
static uint64_t hardware(const struct space *t, hull_gpa gpa)
{
	const uint64_t *table =
		(const uint64_t *)(uintptr_t)((hull_rv_gs_hgatp(&t->gs) << 20) >> 8);
	uint64_t n = gpa >> 30;

	for (int shift = 30;; shift -= 9, n = gpa >> shift & 511) {
		uint64_t e = table[n], low = (UINT64_C(1) << shift) - 1;

		if (!(e & 1) || (e & 6) == 4 || e >> 54)
			return 0;
		if (e & 14) { /* a leaf for U, accessed and dirty, not askew */
			assert_int_equal(e & 0xd0, 0xd0);
			assert_int_equal((e >> 10 << 12) & low, 0);
			return (((e >> 10 << 12) | (gpa & low)) & ~UINT64_C(0xfff)) | (e & 15);
		}
		assert_true(shift > 12);
		assert_int_equal(e & 0xf0, 0);
		table = (const uint64_t *)(uintptr_t)(e >> 10 << 12);
	}
}

/* What a page of the window should be. */
struct page {
	hull_hpa pa;
	unsigned attr;
	bool mapped;
};

/* An entry: V, R, W, X from bit 0 on, as far as it can say so. */
static uint64_t expected(const struct page *p)
{
	unsigned rwx = p->attr & RWX;

	if (!p->mapped || !rwx || (rwx & (HULL_MEM_R | HULL_MEM_W)) == HULL_MEM_W)
		return 0;
	return p->pa | 1 | (rwx & HULL_MEM_R ? 2 : 0) | (rwx & HULL_MEM_W ? 4 : 0) |
	       (rwx & HULL_MEM_X ? 8 : 0);
}

static void compare(struct space *t, const struct page *model)
{
	for (unsigned i = 0; i < PAGES; i++) {
		hull_gpa gpa = WINDOW + i * HULL_PAGE_SIZE;
		struct hull_rv_gs_leaf l;
		bool found = hull_rv_gs_lookup(&t->gs, gpa, &l);
		uint64_t seen = hardware(t, gpa);

		assert_int_equal(found, model[i].mapped);
		assert_int_equal(seen, expected(&model[i]));
		if (found)
			assert_int_equal(l.pa + (gpa - l.gpa), model[i].pa);
		/* What was seen before, and not flushed, is still so. */
		if (t->known[i])
			assert_int_equal(t->stale[i], seen);
		t->known[i] = 1;
		t->stale[i] = seen;
	}
}

static bool all_free(const struct page *model, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		if (model[i].mapped)
			return false;
	return true;
}

static void one_step(struct space *t, struct page *model, struct hull_prng *r)
{
	unsigned from = (unsigned)(hull_prng_next(r) % PAGES);
	unsigned n = 1 + (unsigned)(hull_prng_next(r) % (PAGES - from));
	unsigned attr = hull_prng_next(r) & RWX, kind = hull_prng_next(r) % 4;
	hull_gpa gpa;
	hull_hpa pa;
	int rc;

	if (hull_prng_next(r) % 2) { /* shapes that blocks fit */
		from = (unsigned)align_down(from, 512);
		n = (unsigned)MIN(align_up(n, 512), (uint64_t)(PAGES - from));
	}
	gpa = WINDOW + from * HULL_PAGE_SIZE;
	pa = UINT64_C(0x100000000) + gpa + hull_prng_next(r) % 2 * HULL_PAGE_SIZE;
	if (kind < 2)
		rc = hull_rv_gs_map(&t->gs, gpa, pa, n * HULL_PAGE_SIZE, attr);
	else if (kind == 2)
		rc = hull_rv_gs_unmap(&t->gs, gpa, n * HULL_PAGE_SIZE);
	else
		rc = hull_rv_gs_protect(&t->gs, gpa, n * HULL_PAGE_SIZE, attr);
	assert_true(rc == 0 || rc == HULL_ENOMEM || (rc == HULL_EEXIST && kind < 2));
	assert_true(rc || kind >= 2 || all_free(model, from, n));
	for (unsigned i = from; !rc && i < from + n; i++) {
		if (kind < 2)
			model[i] = (struct page){ pa + (i - from) * HULL_PAGE_SIZE, attr, true };
		else if (kind == 2)
			model[i].mapped = false;
		else
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
		begin(&t);
		if (seed > 4) /* now and then there is no memory for a table */
			t.budget = 6;
		for (unsigned i = 0; i < 300; i++) {
			one_step(&t, model, &r);
			compare(&t, model);
		}
		finish(&t);
	}
}

static uint64_t leaf_bytes(const struct space *t, hull_gpa gpa)
{
	struct hull_rv_gs_leaf l;

	return hull_rv_gs_lookup(&t->gs, gpa, &l) ? l.bytes : 0;
}

static void test_block_sizes(void **state)
{
	static struct space t;

	begin(&t);
	assert_int_equal(hull_rv_gs_map(&t.gs, GIB, 4 * GIB, 2 * GIB + MIB2 + HULL_PAGE_SIZE, RWX),
	                 0);
	assert_int_equal(leaf_bytes(&t, GIB + 5), GIB);
	assert_int_equal(leaf_bytes(&t, 3 * GIB), MIB2);
	assert_int_equal(leaf_bytes(&t, 3 * GIB + MIB2), HULL_PAGE_SIZE);
	assert_int_equal(leaf_bytes(&t, 3 * GIB + MIB2 + HULL_PAGE_SIZE), 0);
	assert_int_equal(t.tables, 4 + 2);
	/* One page out of a GiB: the neighbours as they were. */
	assert_int_equal(hull_rv_gs_unmap(&t.gs, GIB + 7 * HULL_PAGE_SIZE, HULL_PAGE_SIZE), 0);
	assert_int_equal(hardware(&t, GIB + 7 * HULL_PAGE_SIZE), 0);
	assert_int_equal(hardware(&t, GIB + 8 * HULL_PAGE_SIZE),
	                 (4 * GIB + 8 * HULL_PAGE_SIZE) | 15);
	assert_int_equal(leaf_bytes(&t, GIB + GIB / 2), MIB2);
	assert_int_equal(hardware(&t, GIB + GIB / 2), (4 * GIB + GIB / 2) | 15);
	finish(&t);
}

static void test_bad_ranges(void **state)
{
	static struct space t;

	begin(&t);
	assert_int_equal(hull_rv_gs_map(&t.gs, 0, 0, 0, RWX), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_map(&t.gs, 1, 0, 4096, RWX), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_map(&t.gs, 0, 2048, 4096, RWX), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_map(&t.gs, 0, UINT64_C(1) << 56, 4096, RWX), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_map(&t.gs, 0, UINT64_MAX - 4095, 8192, RWX), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_map(&t.gs, END - 4096, 0, 8192, RWX), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_unmap(&t.gs, UINT64_MAX - 4095, 4096), HULL_EINVAL);
	assert_int_equal(hull_rv_gs_protect(&t.gs, END, 4096, RWX), HULL_EINVAL);
	assert_int_equal(leaf_bytes(&t, END), 0);
	/* The last page, behind the root's 2,048th entry. */
	assert_int_equal(hull_rv_gs_map(&t.gs, END - 4096, 0x1000, 4096, RWX), 0);
	assert_int_equal(hardware(&t, END - 4096), 0x1000 | 15);
	assert_int_equal(hull_rv_gs_unmap(&t.gs, END - 4096, 4096), 0);
	finish(&t);
	begin(&t);
	t.budget = 0;
	assert_int_equal(hull_rv_gs_map(&t.gs, 0, 0, 4096, RWX), HULL_ENOMEM);
	finish(&t);
}

/* Sv39x4 and the root's page. */
static void test_hgatp(void **state)
{
	static struct space t;

	begin(&t);
	assert_int_equal(hull_rv_gs_hgatp(&t.gs), UINT64_C(8) << 60 | t.gs.root >> 12);
	assert_int_equal(t.gs.root % 16384, 0);
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_block_sizes),
		cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_hgatp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
