/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Loops through pointers that stay, grow, shrink, are loaded from memory, or run out of memory:
 * interpreted, and with tier 2, which holds pages (engine/cpu.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/jit/host.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"
#include "support/rvasm.h"
#include "support/rvrig.h"

#define BASE UINT64_C(0x80000000)
enum { HANDLER = 4096, DATA = 2 * 4096, DATA_PAGES = 9, TABLES = 12 * 4096, PAGES = 16 };
enum { TURNS = 60, CASES = 80, SLICES = 12 };

static struct rvrig left, right; /* interpreted, translated */
static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static unsigned at; /* where the next instruction goes */
static uint64_t seed = 1;

static int setup(void **state)
{
	if (getenv("HULL_TEST_SEED"))
		seed = strtoull(getenv("HULL_TEST_SEED"), NULL, 0);
	return hull_rv_decoder_init(&decoder) && rvrig_init(&left, BASE, PAGES * 4096) &&
	                       (rvrig_init_opt(&right, BASE, PAGES * 4096, 0, seed) || !right.vm)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&left);
	rvrig_fini(&right);
	return 0;
}

static unsigned below(unsigned n)
{
	return (unsigned)(hull_prng_next(&prng) >> 33) % n;
}

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	char text[64];
	uint32_t bits;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!rvasm(&decoder, text, BASE + at, &bits))
		fail_msg("%s", text);
	store_le32(left.ram + at, bits);
	at += hull_rv_length((uint16_t)bits);
}

/* Through a0 to a3: the first two grow, the third stays, the fourth is anything. */
static void put_accesses(void)
{
	static const char *const ops[] = { "ld", "sd",  "lw",  "sw",  "lbu",
		                           "sb", "fld", "fsd", "flw", "fsw" };
	const char *op = ops[below(10)];
	unsigned pointer = below(4);

	for (unsigned n = 1 + below(3); n; n--)
		put("%s %s%u,%d(a%u)", op, op[0] == 'f' ? "fa" : "s", 2 + below(6),
		    (int)below(16) * 8 - 64 + (below(8) ? 0 : 3), pointer);
}

static void put_change(void)
{
	switch (below(6)) {
	case 0: put("addi a0,a0,%u", 1 + below(96)); break;
	case 1: put("addi a1,a1,8"); break;
	case 2: put("addi a3,a3,-%u", 1 + below(64)); break;
	case 3: put("add a3,a4,zero"); break;
	case 4: put("ld a3,%u(a5)", 8 * below(8)); break;
	default: put("add a0,a0,t%u", below(2)); break;
	}
}

/* Pages of data are anywhere, so that a wrong addend shows; the one behind them is not mapped. */
static void make_tables(void)
{
	uint8_t to[DATA_PAGES];

	for (unsigned i = 0; i < DATA_PAGES; i++)
		to[i] = (uint8_t)i;
	for (unsigned i = 1; i < DATA_PAGES - 1; i++) { /* the first one stays */
		unsigned other = i + below(DATA_PAGES - i);
		uint8_t was = to[i];

		to[i] = to[other];
		to[other] = was;
	}
	store_le64(left.ram + TABLES + 8 * 2, (BASE + TABLES + 4096) >> 2 | 1);
	store_le64(left.ram + TABLES + 4096, (BASE + TABLES + 8192) >> 2 | 1);
	for (unsigned i = 0; i < PAGES; i++) {
		unsigned n = i - DATA / 4096;
		uint64_t page = n < DATA_PAGES ? DATA / 4096u + to[n] : i;
		uint64_t rights = n < DATA_PAGES ? 0xc7 : 0xcb; /* read, and write or execute */

		if (n != DATA_PAGES)
			store_le64(left.ram + TABLES + 8192 + 8 * i,
			           (BASE + page * 4096) >> 2 | rights);
	}
}

/* An outer loop that begins anew, and an inner one; sometimes a pointer leaves the memory. */
static void make_program(void)
{
	unsigned outer, inner, changes = below(3);

	memset(left.ram, 0, left.size);
	make_tables();
	for (unsigned i = 0; i < 4096; i += 4)
		store_le32(left.ram + HANDLER + i, 0x0000006f);
	at = 0;
	outer = at;
	put("addi s11,zero,%u", TURNS);
	switch (below(3)) {
	case 0:
		put("ld a0,%u(a5)", 8 * below(8));
		put("ld a1,%u(a5)", 8 * below(8));
		put("ld a3,%u(a5)", 8 * below(8));
		put("addi a5,a5,8");
		break;
	case 1: put("addi a0,s8,%u", below(2048)); break;
	default: put("addi a3,s10,%u", below(2048)); break;
	}
	inner = at;
	for (unsigned n = 2 + below(6); n; n--) {
		put_accesses();
		if (changes && below(2))
			put_change();
	}
	put("addi a0,a0,%u", below(128));
	put("addi s11,s11,-1");
	put("bne s11,zero,0x%x", (unsigned)BASE + inner);
	put("jal zero,0x%x", (unsigned)BASE + outer);
}

/* Somewhere in the data. */
static uint64_t place(void)
{
	return BASE + DATA + 4096 + 8 * below(512 * (DATA_PAGES - 3));
}

static void begin(void)
{
	struct rv_hart *h = left.hart;
	bool last = !below(4);

	rv_hart_reset(h);
	for (unsigned i = 1; i < 32; i++) {
		h->x[i] = i >= 10 && i < 28 ? place() : hull_prng_next(&prng);
		h->f[i] = hull_prng_next(&prng);
	}
	h->x[5] = 8, h->x[6] = 24; /* t0, t1 */
	h->x[15] = BASE + DATA;
	for (unsigned i = 0; i < 512; i++) /* what a5 points at: places to go on at */
		store_le64(left.ram + DATA + 8 * i, place());
	if (last)
		h->x[24 + below(3)] = BASE + DATA + (DATA_PAGES - 1) * 4096 - 512;
	h->pc = BASE;
	h->csr.mtvec = BASE + HANDLER;
	h->csr.satp = UINT64_C(8) << 60 | (BASE + TABLES) >> 12;
	h->priv = RV_PRIV_S;
	h->csr.pmpaddr[15] = low_mask(54); /* everything */
	h->csr.pmpcfg[15] = 0x1f;
	h->pmp_active = true;
	rv_set_mstatus(h, MSTATUS_FS);
	rv_flush_tlb(h);
	rv_sys_fence_i(h);
	rvrig_copy(&left, &right);
}

static bool holds(void)
{
	for (unsigned i = 0; i < ENGINE_HELD; i++)
		if (right.hart->cpu.held[i].end)
			return true;
	return false;
}

static void test_pointers(void **state)
{
	const char *text = getenv("HULL_TEST_CASES");
	unsigned cases = text ? (unsigned)strtoul(text, NULL, 0) : CASES, held = 0;

	if (!right.vm)
		skip();
	hull_prng_seed(&prng, seed);
	for (unsigned nr = 0; nr < cases; nr++) {
		make_program();
		begin();
		for (unsigned n = 0; n < SLICES; n++) {
			unsigned insns = 1 + below(4000);

			rvrig_run(&left, insns);
			rvrig_run(&right, insns);
			if (rvrig_differ(&left, &right))
				fail_msg("HULL_TEST_SEED=%llu, program %u",
				         (unsigned long long)seed, nr);
			held += holds();
		}
	}
	print_message("# %u of %u times something was held\n", held, cases * SLICES);
	assert_true(!host_info.holds || held > cases / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pointers) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
