/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The two meanings of the riscv64 rows: on random instructions of every row
 * and on random blocks the interpreter and the evaluated IR leave the same registers, flags, traps
 * and memory.  HULL_TEST_CASES: cases per row; HULL_TEST_SEED repeats a run.
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
#include "engine/riscv64/block.h"
#include "engine/riscv64/lift.h"
#include "isa/riscv64/disasm.h"
#include "support/rvgen.h"
#include "support/rvrig.h"

/* Code, handler and data are pages of a small RAM; pages around it do not exist. */
enum { PAGES = 8, CODE = 0, HANDLER = 2, DATA = 4, BLOCK_MAX = 24 };
#define BASE UINT64_C(0x80000000)

static struct rvrig left, right; /* interpreted, evaluated */
static struct rv_eval *eval;
static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static uint64_t seed;

static uint64_t from_env(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : usual;
}

static int setup(void **state)
{
	seed = from_env("HULL_TEST_SEED", 1);
	print_message("HULL_TEST_SEED=%llu\n", (unsigned long long)seed);
	eval = malloc(sizeof(*eval));
	return eval && hull_rv_decoder_init(&decoder) &&
	                       rvrig_init(&left, BASE, PAGES * HULL_PAGE_SIZE) &&
	                       rvrig_init(&right, BASE, PAGES * HULL_PAGE_SIZE)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&left);
	rvrig_fini(&right);
	free(eval);
	return 0;
}

/* A value that often makes a good address. */
static uint64_t random_register(void)
{
	uint64_t at = BASE + DATA * HULL_PAGE_SIZE + hull_prng_below(&prng, HULL_PAGE_SIZE);

	switch (hull_prng_below(&prng, 8)) {
	case 0:
	case 1: return at & ~UINT64_C(7);
	case 2: return at;
	case 3: return BASE + hull_prng_below(&prng, PAGES * HULL_PAGE_SIZE + 16) - 8;
	default: return rvgen_operand(&prng);
	}
}

/* The same random state on both sides. */
static void random_state(void)
{
	struct rv_hart *h = left.hart, *g = right.hart;
	static const uint8_t privs[] = { RV_PRIV_M, RV_PRIV_M, RV_PRIV_S, RV_PRIV_U };
	uint64_t mstatus = hull_prng_next(&prng);

	if (hull_prng_below(&prng, 16))
		mstatus |= MSTATUS_FS;
	mstatus &= ~(uint64_t)(MSTATUS_MIE | MSTATUS_SIE | MSTATUS_MPRV);
	for (unsigned i = 1; i < 32; i++)
		h->x[i] = g->x[i] = random_register();
	for (unsigned i = 0; i < 32; i++)
		h->f[i] = g->f[i] = rvgen_operand(&prng);
	h->fp.flags = g->fp.flags = (uint8_t)(hull_prng_next(&prng) & 31);
	h->frm = g->frm = (uint8_t)hull_prng_below(&prng, hull_prng_below(&prng, 4) ? 5 : 8);
	h->priv = g->priv = privs[hull_prng_below(&prng, 4)];
	h->reserved = g->reserved = UINT64_MAX;
	h->csr.menvcfg = g->csr.menvcfg =
		hull_prng_next(&prng) & (ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
	h->csr.senvcfg = g->csr.senvcfg =
		hull_prng_next(&prng) & (ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
	h->csr.mtvec = g->csr.mtvec = BASE + HANDLER * HULL_PAGE_SIZE;
	h->csr.stvec = g->csr.stvec = BASE + HANDLER * HULL_PAGE_SIZE + 64;
	h->csr.medeleg = g->csr.medeleg = hull_prng_next(&prng) & 0xb3ff;
	h->csr.mideleg = g->csr.mideleg = 0;
	h->sbi = g->sbi = hull_prng_below(&prng, 4) == 0;
	h->csr.mie = g->csr.mie = h->csr.satp = g->csr.satp = 0;
	h->csr.soft_mip = g->csr.soft_mip = h->mip = g->mip = 0;
	h->csr.stimecmp = g->csr.stimecmp = UINT64_MAX;
	h->csr.mepc = g->csr.mepc = BASE + HANDLER * HULL_PAGE_SIZE;
	h->csr.sepc = g->csr.sepc = BASE + HANDLER * HULL_PAGE_SIZE;
	h->csr.mcause = g->csr.mcause = h->csr.mtval = g->csr.mtval = 0;
	h->csr.mcounteren = g->csr.mcounteren = hull_prng_next(&prng) & 7;
	h->csr.scounteren = g->csr.scounteren = hull_prng_next(&prng) & 7;
	h->csr.instret_base = g->csr.instret_base = 0;
	h->csr.cycle_base = g->csr.cycle_base = 0;
	memset(h->csr.pmpcfg, 0, sizeof(h->csr.pmpcfg));
	memset(g->csr.pmpcfg, 0, sizeof(g->csr.pmpcfg));
	memset(h->csr.pmpaddr, 0, sizeof(h->csr.pmpaddr));
	memset(g->csr.pmpaddr, 0, sizeof(g->csr.pmpaddr));
	/* Open memory for S and U. */
	h->csr.pmpaddr[15] = g->csr.pmpaddr[15] = low_mask(54);
	h->csr.pmpcfg[15] = g->csr.pmpcfg[15] = 0x1f;
	h->pmp_active = g->pmp_active = true;
	rv_set_mstatus(h, mstatus);
	rv_set_mstatus(g, mstatus);
	rv_fp_changed(h);
	rv_fp_changed(g);
	rv_flush_tlb(h);
	rv_flush_tlb(g);
}

static void random_memory(void)
{
	uint8_t *page = left.ram + DATA * HULL_PAGE_SIZE;

	for (unsigned i = 0; i < HULL_PAGE_SIZE; i += 8)
		store_le64(page + i, i % 64 ? hull_prng_next(&prng) : rvgen_operand(&prng));
	memcpy(right.ram, left.ram, right.size);
}

/* A loop of one instruction, `j .`, so that a trap shows. */
static void make_handler(void)
{
	for (unsigned i = 0; i < HULL_PAGE_SIZE; i += 4)
		store_le32(left.ram + HANDLER * HULL_PAGE_SIZE + i, 0x0000006f);
}

static void show(const uint8_t *code, unsigned bytes)
{
	for (unsigned at = 0; at < bytes;) {
		unsigned len = hull_rv_length(load_le16(code + at));
		char text[HULL_RV_TEXT_MAX];

		hull_rv_disasm(&decoder, len == 4 ? load_le32(code + at) : load_le16(code + at),
		               BASE + at, text, sizeof(text));
		print_message("  %llx: %s\n", (unsigned long long)(BASE + at), text);
		at += len;
	}
}

static bool differ(const char *what, unsigned nr, uint64_t a, uint64_t b)
{
	if (a == b)
		return false;
	print_message("%s%u: interpreter %llx, IR %llx\n", what, nr, (unsigned long long)a,
	              (unsigned long long)b);
	return true;
}

static bool states_differ(void)
{
	struct rv_hart *h = left.hart, *g = right.hart;
	bool bad = false;

	for (unsigned i = 1; i < 32; i++)
		bad |= differ("x", i, h->x[i], g->x[i]);
	for (unsigned i = 0; i < 32; i++)
		bad |= differ("f", i, h->f[i], g->f[i]);
	bad |= differ("x", 0, h->x[0], 0);
	bad |= differ("x", 0, 0, g->x[0]);
	bad |= differ("pc", 0, h->pc, g->pc);
	bad |= differ("fflags", 0, h->fp.flags, g->fp.flags);
	bad |= differ("mcause", 0, h->csr.mcause, g->csr.mcause);
	bad |= differ("mtval", 0, h->csr.mtval, g->csr.mtval);
	bad |= differ("scause", 0, h->csr.scause, g->csr.scause);
	bad |= differ("mepc", 0, h->csr.mepc, g->csr.mepc);
	bad |= differ("mstatus", 0, rv_mstatus(h), rv_mstatus(g));
	bad |= differ("priv", 0, h->priv, g->priv);
	bad |= differ("frm", 0, h->frm, g->frm);
	bad |= differ("retired", 0, h->retired, g->retired);
	bad |= differ("reserved", 0, h->reserved, g->reserved);
	for (unsigned i = 0; i < 4096; i++) {
		uint64_t a = 0, b = 0;

		if (rv_csr_peek(h, i, &a) && rv_csr_peek(g, i, &b))
			bad |= differ("csr", i, a, b);
	}
	if (memcmp(left.ram, right.ram, left.size)) {
		unsigned at = 0;

		while (left.ram[at] == right.ram[at])
			at++;
		bad |= differ("byte", at, left.ram[at], right.ram[at]);
	}
	return bad;
}

/* Run what is at BASE on both sides for `insns` instructions and compare. */
static void compare(const char *what, unsigned bytes, uint64_t insns)
{
	struct rv_hart *h = left.hart, *g = right.hart;
	struct hull_exit a = { 0 }, b = { 0 };
	uint8_t code[4 * BLOCK_MAX];
	bool bad;

	memcpy(code, left.ram, sizeof(code));
	h->pc = g->pc = BASE;
	g->retired = h->retired;
	rv_sys_fence_i(h);
	rv_sys_fence_i(g);
	h->retire_limit = g->retire_limit = h->retired + insns;
	rv_interpret(h, &a);
	rv_evaluate(g, eval, &b);
	bad = differ("exit", 0, a.kind, b.kind);
	bad |= states_differ();
	if (bad) {
		show(code, bytes);
		fail_msg("%s, seed %llu", what, (unsigned long long)seed);
	}
}

/* Loads and stores far away and traps are wanted, but most should hit. */
static void aim(uint32_t bits)
{
	struct hull_rv_insn i;
	uint64_t at = BASE + DATA * HULL_PAGE_SIZE + hull_prng_below(&prng, HULL_PAGE_SIZE);

	hull_rv_decode(&decoder, bits, &i);
	if ((bits & 0x7f) == 0x2f) /* atomics want alignment */
		at &= ~UINT64_C(7);
	if (i.rs1 && hull_prng_below(&prng, 4))
		left.hart->x[i.rs1] = right.hart->x[i.rs1] = at - (uint64_t)(int64_t)i.imm;
}

static bool touches_memory(enum hull_rv_id id)
{
	return strchr(hull_rv_rows[id].syntax, '(') && !strchr(hull_rv_rows[id].syntax, 'j');
}

static unsigned put_insn(unsigned at, uint32_t bits)
{
	unsigned len = hull_rv_length((uint16_t)bits);

	store_le16(left.ram + at, (uint16_t)bits);
	if (len == 4)
		store_le16(left.ram + at + 2, (uint16_t)(bits >> 16));
	return at + len;
}

static void single_instructions(void **state)
{
	uint64_t cases = from_env("HULL_TEST_CASES", 60);

	hull_prng_seed(&prng, seed);
	make_handler();
	random_memory();
	for (uint64_t n = 0; n < cases; n++) {
		for (unsigned id = 0; id < HULL_RV_COUNT; id++) {
			uint32_t bits = rvgen_bits(&prng, &decoder, (enum hull_rv_id)id);
			unsigned end;

			random_state();
			if (touches_memory((enum hull_rv_id)id))
				aim(bits);
			end = put_insn(0, bits);
			put_insn(end, 0x0000006f);
			memcpy(right.ram, left.ram, end + 4);
			compare(hull_rv_rows[id].name, end, 1);
		}
	}
}

/* Rows that make a block short are rare in random ones. */
static uint32_t block_insn(void)
{
	for (;;) {
		enum hull_rv_id id = (enum hull_rv_id)hull_prng_below(&prng, HULL_RV_COUNT);
		const char *syntax = hull_rv_rows[id].syntax;

		if ((!*syntax || strpbrk(syntax, "bjBJ")) && hull_prng_below(&prng, 6))
			continue;
		return rvgen_bits(&prng, &decoder, id);
	}
}

static void blocks(void **state)
{
	uint64_t cases = from_env("HULL_TEST_CASES", 60) * HULL_RV_COUNT / 8;

	hull_prng_seed(&prng, seed + 1);
	make_handler();
	random_memory();
	for (uint64_t n = 0; n < cases; n++) {
		unsigned count = 1 + (unsigned)hull_prng_below(&prng, BLOCK_MAX - 1), at = 0;

		random_state();
		for (unsigned i = 0; i < count; i++) {
			uint32_t bits = block_insn();

			aim(bits);
			at = put_insn(at, bits);
		}
		put_insn(at, 0x0000006f);
		memcpy(right.ram, left.ram, at + 4);
		/* A whole block in one go needs room for the longest one. */
		compare("block", at, hull_prng_below(&prng, 2) ? count : count + RV_BLOCK_INSNS);
	}
}

static void lifted_code_is_valid(void **state)
{
	hull_prng_seed(&prng, seed + 2);
	for (unsigned n = 0; n < 20000; n++) {
		uint8_t code[RV_BLOCK_BYTES];
		unsigned at;

		hull_prng_fill(&prng, code, sizeof(code));
		if (n % 2) { /* valid rows, as many as fit */
			for (at = 0; at + 4 <= sizeof(code);) {
				uint32_t bits = block_insn();

				store_le32(code + at, bits);
				at += hull_rv_length((uint16_t)bits);
			}
		}
		if (rv_lift(&decoder, code, sizeof(code), &eval->ir)) {
			const char *why = hull_ir_verify(&eval->ir, &at);

			if (why)
				fail_msg("node %u: %s", at, why);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lifted_code_is_valid),
		cmocka_unit_test(single_instructions),
		cmocka_unit_test(blocks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
