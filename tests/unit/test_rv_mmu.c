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
#include "base/prng.h"
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

/*
 * Three address spaces (Sv39, the ASID is their number): at LOCAL each has its own 512 pages, at
 * SHARED all have the same.  Tables from page 16 on: roots, middles, low tables.
 */
#define LOCAL  UINT64_C(0x10000000)
#define SHARED UINT64_C(0x10200000)
enum { SPACES = 3, ROOT = 16, MID = 19, LOW = 22, LOW_SHARED = 25 };
#define RWXAD (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

static uint64_t page_at(unsigned page)
{
	return BASE + (uint64_t)page * HULL_PAGE_SIZE;
}

static void set_entry(unsigned table, uint64_t index, uint64_t pte)
{
	store_le64(rig.ram + table * HULL_PAGE_SIZE + index * 8, pte);
}

static void set_local(unsigned space, unsigned i, unsigned page, uint64_t flags)
{
	set_entry(LOW + space, i, page_at(page) >> 2 | flags);
}

static uint64_t satp_of(unsigned space)
{
	return UINT64_C(8) << 60 | (uint64_t)space << 44 | page_at(ROOT + space) >> 12;
}

static void enter_space(unsigned space)
{
	assert_true(rv_csr_poke(rig.hart, 0x180, satp_of(space)));
}

static void set_mode(unsigned priv, uint64_t status)
{
	const uint64_t all = MSTATUS_SUM | MSTATUS_MXR | MSTATUS_MPRV | MSTATUS_MPP;

	assert_int_equal(rv_reg_set(rig.hart, HULL_RV_REG_PRIV, priv), 0);
	rv_set_mstatus(rig.hart, (rig.hart->csr.mstatus & ~all) | status);
}

/* Data page n, up to 7, is full of bytes n + 1.  S-mode, space 0. */
static int setup_spaces(void **state)
{
	if (setup(state))
		return -1;
	for (unsigned i = 0; i < 8; i++)
		memset(rig.ram + i * HULL_PAGE_SIZE, (int)i + 1, HULL_PAGE_SIZE);
	for (unsigned s = 0; s < SPACES; s++) {
		set_entry(ROOT + s, LOCAL >> 30, page_at(MID + s) >> 2 | PTE_V);
		set_entry(MID + s, LOCAL >> 21 & 511, page_at(LOW + s) >> 2 | PTE_V);
		set_entry(MID + s, SHARED >> 21 & 511, page_at(LOW_SHARED) >> 2 | PTE_V);
	}
	rig.hart->csr.menvcfg = ENVCFG_ADUE;
	rv_pmp_write_addr(rig.hart, 15, low_mask(54)); /* everything to everybody */
	rv_pmp_write_cfg(rig.hart, 2, UINT64_C(0x1f) << 56);
	enter_space(0);
	set_mode(RV_PRIV_S, 0);
	return 0;
}

static bool hits(uint64_t va)
{
	return rig.hart->cpu.tlb[engine_tlb_index(va)].read ==
	       ((va & ~HULL_PAGE_MASK) | rig.hart->cpu.data_context);
}

/* A load as generated code does it: the byte, or -1 with the trap set. */
static int load(uint64_t va)
{
	uint64_t v;

	if (hits(va))
		return *(uint8_t *)(va + rig.hart->cpu.tlb[engine_tlb_index(va)].addend);
	return rv_load_slow(rig.hart, va, 8, &v) ? (int)v : -1;
}

static int fetch(uint64_t va)
{
	const struct rv_fetch_entry *e = rv_fetch_page(rig.hart, va);

	return e ? *e->hva : -1;
}

static void only_global_pages_outlive_the_space(void **state)
{
	for (unsigned n = 1; n < 512; n *= 2) { /* few of them, and more than are noted */
		for (unsigned s = 0; s < SPACES; s++)
			for (unsigned i = 0; i < n; i++)
				set_local(s, i, s + 1, RWXAD);
		set_entry(LOW_SHARED, 0, page_at(0) >> 2 | RWXAD | PTE_G);
		rv_sfence(rig.hart, true, 0, true, 0);
		for (unsigned s = 0; s < 2 * SPACES; s++) {
			enter_space(s % SPACES);
			assert_int_equal(hits(SHARED), s && n <= RV_LOCAL);
			assert_int_equal(load(SHARED), 1);
			for (unsigned i = 0; i < n; i++) {
				assert_int_equal(load(LOCAL + i * HULL_PAGE_SIZE), s % SPACES + 2);
				assert_int_equal(fetch(LOCAL + i * HULL_PAGE_SIZE), s % SPACES + 2);
			}
		}
	}
}

static void jumps_of_global_pages_outlive_the_space(void **state)
{
	uint64_t key;

	set_entry(LOW_SHARED, 0, page_at(0) >> 2 | RWXAD | PTE_G);
	for (unsigned s = 0; s < SPACES; s++)
		set_local(s, 0, s + 1, RWXAD);
	assert_int_equal(fetch(SHARED), 1);
	key = rig.hart->cpu.jump_key;
	enter_space(1);
	assert_int_equal(rig.hart->cpu.jump_key, key);
	assert_int_equal(fetch(LOCAL), 3);
	enter_space(2);
	assert_int_not_equal(rig.hart->cpu.jump_key, key);
	assert_int_equal(fetch(LOCAL), 4);
}

/* 12.1.11: changes of satp.MODE from and to Bare need no fence. */
static void nothing_outlives_translation(void **state)
{
	set_entry(LOW_SHARED, 0, page_at(0) >> 2 | RWXAD | PTE_G);
	assert_int_equal(load(SHARED), 1);
	assert_int_equal(fetch(SHARED), 1);
	assert_true(rv_csr_poke(rig.hart, 0x180, 0));
	assert_int_equal(load(SHARED), -1);
	assert_int_equal(fetch(SHARED), -1);
	assert_int_equal(load(page_at(1)), 2);
	assert_int_equal(fetch(page_at(1)), 2);
	enter_space(0);
	assert_int_equal(load(page_at(1)), -1);
	assert_int_equal(fetch(page_at(1)), -1);
}

static void user_pages_need_sum(void **state)
{
	struct rv_hart *h = rig.hart;

	for (unsigned n = 1; n < 512; n *= 2) {
		for (unsigned i = 0; i < n; i++)
			set_local(0, i, 1, RWXAD | PTE_U);
		rv_sfence(h, true, 0, true, 0);
		for (unsigned round = 0; round < 4; round++) {
			if (round & 1) /* with and without entries of U-mode */
				set_mode(RV_PRIV_U, 0);
			for (unsigned i = 0; round & 1 && i < n; i++)
				assert_int_equal(load(LOCAL + i * HULL_PAGE_SIZE), 2);
			set_mode(RV_PRIV_S, MSTATUS_SUM);
			for (unsigned i = 0; i < n; i++)
				assert_int_equal(load(LOCAL + i * HULL_PAGE_SIZE), 2);
			set_mode(RV_PRIV_S, 0);
			for (unsigned i = 0; i < n; i++) {
				assert_int_equal(load(LOCAL + i * HULL_PAGE_SIZE), -1);
				assert_int_equal(h->cause, RV_LOAD_PAGE);
			}
			set_mode(RV_PRIV_U, 0);
			for (unsigned i = 0; round & 1 && i < n; i++)
				assert_true(hits(LOCAL + i * HULL_PAGE_SIZE));
		}
	}
}

/* The entry of U-mode that waits for the end of SUM is fenced, too. */
static void fences_reach_what_sum_hides(void **state)
{
	struct rv_hart *h = rig.hart;

	for (unsigned kind = 0; kind < 4; kind++) {
		set_local(0, 0, 1, RWXAD | PTE_U);
		rv_sfence(h, true, 0, true, 0);
		set_mode(RV_PRIV_U, 0);
		assert_int_equal(load(LOCAL), 2);
		set_mode(RV_PRIV_S, MSTATUS_SUM);
		assert_int_equal(load(LOCAL), 2);
		set_local(0, 0, 2, RWXAD | PTE_U);
		switch (kind) {
		case 0: rv_sfence(h, true, 0, true, 0); break;
		case 1: rv_sfence(h, false, LOCAL, true, 0); break;
		case 2: rv_sfence(h, true, 0, false, 0); break;
		default: rv_sfence(h, false, LOCAL, false, 0);
		}
		assert_int_equal(load(LOCAL), 3);
		set_mode(RV_PRIV_S, 0);
		assert_int_equal(load(LOCAL), -1);
		set_mode(RV_PRIV_U, 0);
		assert_int_equal(load(LOCAL), 3);
	}
}

static void spaces_change_under_sum(void **state)
{
	for (unsigned s = 0; s < SPACES; s++)
		set_local(s, 0, s + 1, RWXAD | PTE_U);
	set_mode(RV_PRIV_U, 0);
	assert_int_equal(load(LOCAL), 2);
	set_mode(RV_PRIV_S, MSTATUS_SUM);
	for (unsigned s = 0; s < 2 * SPACES; s++) {
		enter_space(s % SPACES);
		assert_int_equal(load(LOCAL), s % SPACES + 2);
	}
	set_mode(RV_PRIV_U, 0);
	for (unsigned s = 0; s < 2 * SPACES; s++) {
		enter_space(s % SPACES);
		assert_int_equal(load(LOCAL), s % SPACES + 2);
	}
}

static void borrowed_privilege(void **state)
{
	const uint64_t mpp = UINT64_C(1) << 11;

	set_local(0, 0, 1, RWXAD);
	set_local(0, 1, 2, RWXAD | PTE_U);
	for (unsigned round = 0; round < 3; round++) {
		set_mode(RV_PRIV_S, MSTATUS_SUM);
		assert_int_equal(load(LOCAL), 2);
		assert_int_equal(load(LOCAL + HULL_PAGE_SIZE), 3);
		set_mode(RV_PRIV_M, 0);
		assert_int_equal(load(LOCAL), -1);
		assert_int_equal(rig.hart->cause, RV_LOAD_ACCESS);
		set_mode(RV_PRIV_M, MSTATUS_MPRV | mpp | MSTATUS_SUM);
		assert_int_equal(load(LOCAL), 2);
		assert_int_equal(load(LOCAL + HULL_PAGE_SIZE), 3);
		set_mode(RV_PRIV_M, MSTATUS_MPRV | mpp);
		assert_int_equal(load(LOCAL), 2);
		assert_int_equal(load(LOCAL + HULL_PAGE_SIZE), -1);
		set_mode(RV_PRIV_M, MSTATUS_MPRV);
		assert_int_equal(load(LOCAL), -1);
		assert_int_equal(load(LOCAL + HULL_PAGE_SIZE), 3);
	}
}

static void zeroing_needs_the_right_to_write(void **state)
{
	struct rv_hart *h = rig.hart;

	h->csr.menvcfg |= ENVCFG_CBZE | ENVCFG_CBCFE;
	set_local(0, 0, 1, RWXAD & ~PTE_W);
	set_local(0, 1, 2, RWXAD | PTE_U);
	assert_int_equal(load(LOCAL), 2);
	assert_true(rv_cbo(h, RV_CBO_clean, LOCAL));
	assert_false(rv_cbo(h, RV_CBO_zero, LOCAL + 4));
	assert_int_equal(h->cause, RV_STORE_PAGE);
	assert_int_equal(h->tval, LOCAL + 4);
	set_mode(RV_PRIV_S, MSTATUS_SUM);
	for (unsigned i = 0; i < 2; i++)
		assert_true(rv_cbo(h, RV_CBO_zero, LOCAL + HULL_PAGE_SIZE + 100));
	assert_int_equal(load(LOCAL + HULL_PAGE_SIZE), 3);
	assert_int_equal(load(LOCAL + HULL_PAGE_SIZE + 64), 0);
	assert_int_equal(load(LOCAL + HULL_PAGE_SIZE + 128), 3);
	set_mode(RV_PRIV_S, 0);
	assert_false(rv_cbo(h, RV_CBO_zero, LOCAL + HULL_PAGE_SIZE));
}

/* A reservation is for a physical address. */
static void reservations_end_with_the_translation(void **state)
{
	struct rv_hart *h = rig.hart;
	uint64_t old, failed;

	for (unsigned s = 0; s < SPACES; s++) {
		memset(rig.ram + (s + 1) * HULL_PAGE_SIZE, 0, HULL_PAGE_SIZE);
		set_local(s, 0, s + 1, RWXAD);
	}
	set_local(0, 1, 1, RWXAD | PTE_U);
	for (unsigned kind = 0; kind < 5; kind++) {
		enter_space(0);
		set_mode(RV_PRIV_S, MSTATUS_SUM);
		assert_true(rv_lr(h, 64, LOCAL + (kind == 2 ? HULL_PAGE_SIZE : 0), &old));
		switch (kind) {
		case 0: enter_space(1); break;
		case 1: rv_sfence(h, false, LOCAL, true, 0); break;
		case 2: set_mode(RV_PRIV_U, 0); break;
		case 3:
			enter_space(1);
			enter_space(0);
			break;
		default: set_mode(RV_PRIV_S, 0); /* no other translation */
		}
		assert_true(rv_sc(h, 64, LOCAL + (kind == 2 ? HULL_PAGE_SIZE : 0), old, &failed));
		assert_int_equal(failed, kind != 4);
	}
}

/* What the TLBs would allow now is what the tables allow. */
static void expect_truth(uint64_t base, unsigned round)
{
	struct rv_hart *h = rig.hart;
	uint64_t gpa;

	for (uint64_t va = base; va < base + 8 * HULL_PAGE_SIZE; va += HULL_PAGE_SIZE) {
		const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];
		const struct rv_fetch_entry *f = &h->fetch_tlb[(va >> 12) % RV_FETCH_TLB_SIZE];

		if (e->read == (va | h->cpu.data_context) &&
		    (!rv_translate(h, va, RV_READ, &gpa) || gpa != e->gpa))
			fail_msg("round %u: read 0x%llx", round, (unsigned long long)va);
		if (e->write == (va | h->cpu.data_context) &&
		    (!rv_translate(h, va, RV_WRITE, &gpa) || gpa != e->gpa))
			fail_msg("round %u: write 0x%llx", round, (unsigned long long)va);
		if (f->tag == (va | h->fetch_context) &&
		    (!rv_translate(h, va, RV_FETCH, &gpa) || gpa != f->gpa))
			fail_msg("round %u: fetch 0x%llx", round, (unsigned long long)va);
	}
}

static void change_page(struct hull_prng *prng)
{
	struct rv_hart *h = rig.hart;
	unsigned space = (unsigned)hull_prng_below(prng, SPACES);
	unsigned i = (unsigned)hull_prng_below(prng, 8);
	bool shared = hull_prng_below(prng, 2);
	uint64_t flags = PTE_V | PTE_A | PTE_D | (shared ? PTE_G : 0);
	uint64_t va = (shared ? SHARED : LOCAL) + i * HULL_PAGE_SIZE;
	static const uint64_t rights[] = { PTE_R, PTE_X, PTE_R | PTE_W, PTE_R | PTE_X,
		                           PTE_R | PTE_W | PTE_X };

	flags |= rights[hull_prng_below(prng, 5)] | (hull_prng_below(prng, 2) ? PTE_U : 0);
	set_entry(shared ? LOW_SHARED : LOW + space, i,
	          page_at((unsigned)hull_prng_below(prng, 8)) >> 2 | flags);
	if (shared || hull_prng_below(prng, 2))
		rv_sfence(h, hull_prng_below(prng, 2), va, true, 0);
	else
		rv_sfence(h, hull_prng_below(prng, 2), va, false, space);
}

static void touch_pages(struct hull_prng *prng)
{
	struct rv_hart *h = rig.hart;
	uint64_t v;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = hull_prng_below(prng, 16);
		uint64_t va = (at < 8 ? LOCAL : SHARED) + (at & 7) * HULL_PAGE_SIZE;

		switch (hull_prng_below(prng, 3)) {
		case 0: (void)rv_load_slow(h, va, 64, &v); break;
		case 1: (void)rv_store_slow(h, va + 8, 64, i); break;
		default: (void)rv_fetch_page(h, va);
		}
	}
}

static void translations_are_true(void **state)
{
	static const unsigned privs[] = { RV_PRIV_U, RV_PRIV_S, RV_PRIV_M };
	struct hull_prng prng;
	uint64_t status = 0;

	hull_prng_seed(&prng, 1);
	for (unsigned round = 0; round < 60000; round++) {
		touch_pages(&prng);
		switch (hull_prng_below(&prng, 4)) {
		case 0: change_page(&prng); break;
		case 1: enter_space((unsigned)hull_prng_below(&prng, SPACES)); break;
		case 2:
			status = (hull_prng_below(&prng, 2) ? MSTATUS_SUM : 0) |
			         (hull_prng_below(&prng, 4) ? 0 : MSTATUS_MXR) |
			         (hull_prng_below(&prng, 2) ? MSTATUS_MPRV : 0) |
			         (hull_prng_below(&prng, 2) << 11);
			/* fall through */
		default: set_mode(privs[hull_prng_below(&prng, 3)], status);
		}
		expect_truth(LOCAL, round);
		expect_truth(SHARED, round);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mappings_of_the_host_change, setup, teardown),
		cmocka_unit_test_setup_teardown(debugger_sees_tables_that_are_gone, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(writes_are_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(only_global_pages_outlive_the_space, setup_spaces,
		                                teardown),
		cmocka_unit_test_setup_teardown(jumps_of_global_pages_outlive_the_space,
		                                setup_spaces, teardown),
		cmocka_unit_test_setup_teardown(nothing_outlives_translation, setup_spaces,
		                                teardown),
		cmocka_unit_test_setup_teardown(user_pages_need_sum, setup_spaces, teardown),
		cmocka_unit_test_setup_teardown(fences_reach_what_sum_hides, setup_spaces,
		                                teardown),
		cmocka_unit_test_setup_teardown(spaces_change_under_sum, setup_spaces, teardown),
		cmocka_unit_test_setup_teardown(zeroing_needs_the_right_to_write, setup_spaces,
		                                teardown),
		cmocka_unit_test_setup_teardown(borrowed_privilege, setup_spaces, teardown),
		cmocka_unit_test_setup_teardown(reservations_end_with_the_translation, setup_spaces,
		                                teardown),
		cmocka_unit_test_setup_teardown(translations_are_true, setup_spaces, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
