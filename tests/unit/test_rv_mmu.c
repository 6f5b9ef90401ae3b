/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a riscv64 hart remembers about memory: translations, the host's mappings.  None of it may
 * be used when it does not hold any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "support/rvrig.h"

/* RAM begins on a multiple of 512 MiB. */
#define BASE  UINT64_C(0xa0000000)
#define EXTRA UINT64_C(0x40000000)
enum { PAGES = 32, RWX = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };

static struct rvrig rig;
static uint8_t *extra[2]; /* host pages */

static int setup(void **state)
{
	if (!rvrig_init(&rig, BASE, PAGES * HULL_PAGE_SIZE))
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		extra[i] = aligned_alloc(HULL_PAGE_SIZE, HULL_PAGE_SIZE);
		if (!extra[i])
			return -1;
		memset(extra[i], 0x11 * (int)(i + 1), HULL_PAGE_SIZE);
	}
	return 0;
}

static int teardown(void **state)
{
	rvrig_fini(&rig);
	free(extra[0]);
	free(extra[1]);
	return 0;
}

static void expect_load(uint64_t va, uint64_t want)
{
	uint64_t v = 0;

	(void)rv_poll(rig.hart);
	assert_true(rv_load_slow(rig.hart, va, 8, &v));
	assert_int_equal(v, want);
}

static void expect_fault(uint64_t va, uint64_t cause)
{
	uint64_t v;

	(void)rv_poll(rig.hart);
	assert_false(rv_load_slow(rig.hart, va, 8, &v));
	assert_int_equal(rig.hart->cause, cause);
}

static void mappings_of_the_host_change(void **state)
{
	struct rv_hart *h = rig.hart;

	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(
			hull_vm_map(rig.vm, EXTRA, extra[i & 1], HULL_PAGE_SIZE, RWX, NULL), 0);
		expect_load(EXTRA, 0x11 * ((i & 1) + 1));
		assert_non_null(rv_fetch_page(h, EXTRA));
		expect_load(BASE, 0);
		assert_int_equal(hull_vm_protect(rig.vm, EXTRA, HULL_PAGE_SIZE, HULL_MEM_R, NULL),
		                 0);
		expect_load(EXTRA, 0x11 * ((i & 1) + 1));
		assert_false(rv_store_slow(h, EXTRA, 8, 1));
		assert_null(rv_fetch_page(h, EXTRA));
		assert_int_equal(hull_vm_unmap(rig.vm, EXTRA, HULL_PAGE_SIZE, NULL), 0);
		expect_fault(EXTRA, RV_LOAD_ACCESS);
	}
}

/* Whoever looks at a stopped vCPU must not follow pointers that nobody has told it to drop. */
static void debugger_sees_tables_that_are_gone(void **state)
{
	struct rv_hart *h = rig.hart;
	uint64_t gpa;

	assert_int_equal(hull_vm_map(rig.vm, EXTRA, extra[0], HULL_PAGE_SIZE, RWX, NULL), 0);
	store_le64(extra[0], (BASE & ~low_mask(30)) >> 2 | PTE_V | PTE_R | PTE_X | PTE_A);
	assert_int_equal(rv_reg_set(h, HULL_RV_REG_SBI, 1), 0);
	rv_csr_poke(h, 0x180, UINT64_C(8) << 60 | EXTRA >> 12);
	assert_int_equal(rv_reg_set(h, HULL_RV_REG_PRIV, RV_PRIV_S), 0);
	expect_load(BASE & low_mask(30), 0);
	assert_true(rv_translate(h, BASE & low_mask(30), RV_READ, &gpa));
	assert_int_equal(gpa, BASE);
	assert_int_equal(hull_vm_unmap(rig.vm, EXTRA, HULL_PAGE_SIZE, NULL), 0);
	assert_false(rv_translate(h, BASE & low_mask(30), RV_READ, &gpa)); /* not polled yet */
	expect_fault(BASE & low_mask(30), RV_LOAD_ACCESS);
}

static bool is_dirty(unsigned page)
{
	uint64_t bitmap = 0;

	assert_int_equal(hull_vm_dirty_fetch(rig.vm, BASE, &bitmap, PAGES), 0);
	assert_int_equal(bitmap & ~BIT(page), 0);
	return bitmap;
}

static void writes_are_logged(void **state)
{
	struct rv_hart *h = rig.hart;
	const uint64_t va = BASE + 3 * HULL_PAGE_SIZE;
	const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];

	assert_true(rv_store_slow(h, va, 8, 1));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(hull_vm_dirty_start(rig.vm, NULL), 0);
		expect_load(va, 1);
		assert_int_equal(e->write, 0);
		assert_false(is_dirty(3));
		for (unsigned k = 0; k < 3; k++) {
			(void)rv_poll(h);
			assert_true(rv_store_slow(h, va, 8, 1));
			assert_int_equal(e->write, va | h->cpu.data_context);
			assert_true(is_dirty(3));
			expect_load(va, 1);
			assert_int_equal(e->write, 0);
			assert_false(is_dirty(3));
		}
		assert_int_equal(hull_vm_dirty_stop(rig.vm), 0);
		(void)rv_poll(h);
		assert_true(rv_store_slow(h, va, 8, 1));
		expect_load(va, 1);
		assert_int_equal(e->write, va | h->cpu.data_context);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mappings_of_the_host_change, setup, teardown),
		cmocka_unit_test_setup_teardown(debugger_sees_tables_that_are_gone, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(writes_are_logged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
