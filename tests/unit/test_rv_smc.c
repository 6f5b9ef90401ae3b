/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Code that changes: after fence.i what is executed is what memory says, whoever wrote it and by
 * what way; before, it is what memory says or said.
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
#include "core/aspace.h"
#include "support/rvrig.h"

/* RAM begins on a multiple of 512 MiB.  S-mode, identity mapping; ALIAS maps all of it again. */
#define BASE  UINT64_C(0xa0000000)
#define ALIAS UINT64_C(0x10000000)
#define EXTRA UINT64_C(0x90000000)
enum { PAGES = 32, ROOT = 16, MID = 17, LOW = 18, CODE = 2, CODE_PAGES = 3, FNS = 6, NEXT = 128 };

/* Snippets of page 1; all park at the end. */
enum { STORE = 0x1000, FENCE = 0x1010, AMO = 0x1020, PARK = 0x1030, ALL = 0x1040 };

static struct rvrig rig;

static void put(uint64_t offset, uint32_t insn)
{
	store_le32(rig.ram + offset, insn);
}

static uint32_t li_a0(uint32_t value)
{
	return 0x00000513 | value << 20;
}

static uint32_t jal_ra(int32_t by)
{
	uint32_t u = (uint32_t)by;

	return 0xef | (u >> 20 & 1) << 31 | (u >> 1 & 1023) << 21 | (u >> 11 & 1) << 20 |
	       (u >> 12 & 255) << 12;
}

/* Function n returns its number, and the one 64 bytes behind that plus one: they are linked. */
static uint64_t offset_of(unsigned n)
{
	return (CODE + n % CODE_PAGES) * HULL_PAGE_SIZE + n / CODE_PAGES * NEXT;
}

static void write_program(void)
{
	put(STORE, 0x00b62023);     /* sw a1,0(a2) */
	put(STORE + 4, 0x0000006f); /* j . */
	put(FENCE, 0x0000100f);     /* fence.i */
	put(FENCE + 4, 0x0000006f);
	put(AMO, 0x08b6202f); /* amoswap.w zero,a1,(a2) */
	put(AMO + 4, 0x0000006f);
	put(PARK, 0x0000006f);
	put(ALL, 0x00b62023);
	put(ALL + 4, 0x0000100f);
	put(ALL + 8, 0x00068067); /* jr a3 */
	for (unsigned n = 0; n < FNS; n++) {
		uint64_t at = offset_of(n);

		put(at, li_a0(n));
		put(at + 4, 0x00008067);   /* ret */
		put(at + 64, 0x00008313);  /* mv t1,ra */
		put(at + 68, jal_ra(-68)); /* jal . - 68 */
		put(at + 72, 0x00150513);  /* addi a0,a0,1 */
		put(at + 76, 0x00030067);  /* jr t1 */
	}
}

static void map_all(void)
{
	const uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;

	store_le64(rig.ram + ROOT * HULL_PAGE_SIZE + 16, UINT64_C(0x80000000) >> 2 | flags);
	store_le64(rig.ram + ROOT * HULL_PAGE_SIZE, (BASE + MID * HULL_PAGE_SIZE) >> 2 | PTE_V);
	store_le64(rig.ram + MID * HULL_PAGE_SIZE + (ALIAS >> 21) * 8,
	           (BASE + LOW * HULL_PAGE_SIZE) >> 2 | PTE_V);
	for (unsigned i = 0; i < PAGES; i++)
		store_le64(rig.ram + LOW * HULL_PAGE_SIZE + i * 8,
		           (BASE + i * HULL_PAGE_SIZE) >> 2 | flags);
}

static bool start(bool jit)
{
	if (jit ? !rvrig_init_jit(&rig, BASE, PAGES * HULL_PAGE_SIZE, 2, 1 << 20)
	        : !rvrig_init(&rig, BASE, PAGES * HULL_PAGE_SIZE))
		return false;
	write_program();
	map_all();
	rig.hart->csr.menvcfg = ENVCFG_ADUE;
	rv_pmp_write_addr(rig.hart, 15, low_mask(54)); /* everything to everybody */
	rv_pmp_write_cfg(rig.hart, 2, UINT64_C(0x1f) << 56);
	rv_csr_poke(rig.hart, 0x180, UINT64_C(8) << 60 | (BASE + ROOT * HULL_PAGE_SIZE) >> 12);
	assert_int_equal(rv_reg_set(rig.hart, HULL_RV_REG_PRIV, RV_PRIV_S), 0);
	return true;
}

/* Run what is at pc until it parks. */
static void run(uint64_t pc)
{
	struct hull_exit exit = { .kind = HULL_EXIT_NONE };
	struct rv_hart *h = rig.hart;

	h->pc = pc;
	h->x[1] = BASE + PARK;
	h->retire_limit = h->retired + 200;
	if (h->jit)
		(void)rv_jit_run(h, &exit);
	else
		(void)rv_interpret(h, &exit);
	assert_int_equal(exit.kind, HULL_EXIT_BUDGET);
	assert_int_equal(h->csr.mcause, 0);
}

static uint64_t call(unsigned n, bool outer)
{
	run(BASE + offset_of(n) + (outer ? 64 : 0));
	return rig.hart->x[10] - outer;
}

/* Replace the first instruction of the function, in one of many ways; true: with fence.i. */
static bool replace(unsigned n, uint32_t insn, unsigned way)
{
	struct rv_hart *h = rig.hart;
	uint64_t at = BASE + offset_of(n);
	struct hull_dma dma;

	h->x[11] = insn;
	h->x[12] = way & 1 ? ALIAS + offset_of(n) : at;
	h->x[13] = at;
	switch (way / 2) {
	case 0: run(BASE + STORE); return false;
	case 1: run(BASE + AMO); return false;
	case 2:
		run(BASE + ALL);
		assert_int_equal(h->x[10], insn >> 20);
		return true;
	case 3: assert_int_equal(hull_vm_write(rig.vm, at, &insn, 4), 0); return false;
	case 4: assert_true(hull_mem_store32(rig.vm, at, insn)); return false;
	case 5: assert_true(hull_mem_write(rig.vm, at, &insn, 4)); return false;
	default:
		assert_int_equal(hull_dma_begin(rig.vm, at, 4, true, &dma), 0);
		store_le32(dma.hva, insn);
		hull_dma_end(rig.vm, &dma);
		return false;
	}
}

/* trouble: now and then there are more pages of code than can be watched. */
static void change_at_random(bool jit, bool watch, bool trouble)
{
	uint64_t may[FNS]; /* bit n: return n * 8 + number, which was or is in memory */
	unsigned last[FNS] = { 0 };
	struct hull_prng prng;

	if (!start(jit))
		skip();
	rig.hart->watch.on = watch;
	hull_prng_seed(&prng, 1);
	for (unsigned n = 0; n < FNS; n++)
		may[n] = 1;
	for (unsigned round = 0; round < 6000; round++) {
		unsigned n = (unsigned)hull_prng_below(&prng, FNS), times;
		unsigned value = (unsigned)hull_prng_below(&prng, 8);
		bool fenced =
			replace(n, li_a0(value * 8 + n), (unsigned)hull_prng_below(&prng, 14));

		may[n] |= BIT(value);
		last[n] = value;
		if (trouble && !hull_prng_below(&prng, 16))
			rig.hart->watch.count = RV_WATCH_MAX;
		if (!fenced && hull_prng_below(&prng, 2)) {
			run(BASE + FENCE);
			fenced = true;
		}
		for (unsigned i = 0; i < FNS && fenced; i++)
			may[i] = BIT(last[i]);
		times = (unsigned)hull_prng_below(&prng, 12);
		for (unsigned i = 0; i < times; i++) {
			uint64_t got = call(i % FNS, hull_prng_below(&prng, 2));

			if (got > 63 || got % 8 != i % FNS || !(may[i % FNS] & BIT(got / 8)))
				fail_msg("round %u: function %u returns %u", round, i % FNS,
				         (unsigned)got);
		}
	}
	rvrig_fini(&rig);
}

static void interpreted(void **state)
{
	change_at_random(false, true, false);
}

static void translated(void **state)
{
	change_at_random(true, true, false);
}

static void unwatched(void **state)
{
	change_at_random(true, false, false);
}

static void more_pages_than_are_watched(void **state)
{
	change_at_random(true, true, true);
}

/* Stores that hit no code cost fence.i nothing: the code stays good, jumps included. */
static void only_written_code_is_suspect(void **state)
{
	struct rv_hart *h;
	uint64_t epoch, key;

	if (!start(true))
		skip();
	h = rig.hart;
	for (unsigned i = 0; i < 8; i++)
		for (unsigned n = 0; n < FNS; n++)
			assert_int_equal(call(n, true), n);
	epoch = h->code_epoch;
	key = h->cpu.jump_key;
	h->x[12] = BASE + 8 * HULL_PAGE_SIZE;
	run(BASE + STORE);
	assert_int_equal(hull_vm_write(rig.vm, h->x[12], &epoch, 8), 0);
	run(BASE + FENCE);
	assert_int_equal(h->stats.code_invalidated, 0);
	for (unsigned i = 0; i < 8; i++) {
		(void)replace(0, li_a0(100 + i), 0);
		run(BASE + FENCE);
		assert_int_equal(call(0, true), 100 + i);
		assert_int_equal(call(3, true), 3);
		assert_int_equal(h->code_epoch, epoch);
	}
	assert_int_equal(h->cpu.jump_key >> 12, key >> 12);
	assert_int_not_equal(h->stats.code_invalidated, 0);
	assert_int_equal(hull_vm_write(rig.vm, BASE + offset_of(0), &(uint32_t){ li_a0(7) }, 4), 0);
	run(BASE + FENCE);
	assert_int_not_equal(h->code_epoch, epoch);
	assert_int_equal(call(0, true), 7);
	rvrig_fini(&rig);
}

/* Memory of the caller's may be written without a word. */
static void memory_of_others(void **state)
{
	uint8_t *page = aligned_alloc(HULL_PAGE_SIZE, HULL_PAGE_SIZE);
	const unsigned rwx = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X;

	assert_non_null(page);
	if (!start(true)) {
		free(page);
		skip();
	}
	memset(page, 0, HULL_PAGE_SIZE);
	assert_int_equal(hull_vm_map(rig.vm, EXTRA, page, HULL_PAGE_SIZE, rwx, NULL), 0);
	store_le32(page + 4, 0x00008067);
	for (unsigned i = 0; i < 8; i++) {
		store_le32(page, li_a0(i));
		run(BASE + FENCE);
		for (unsigned k = 0; k < 5; k++) {
			run(EXTRA);
			assert_int_equal(rig.hart->x[10], i);
		}
	}
	assert_int_equal(hull_vm_unmap(rig.vm, EXTRA, HULL_PAGE_SIZE, NULL), 0);
	rvrig_fini(&rig);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreted),
		cmocka_unit_test(translated),
		cmocka_unit_test(unwatched),
		cmocka_unit_test(more_pages_than_are_watched),
		cmocka_unit_test(only_written_code_is_suspect),
		cmocka_unit_test(memory_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
