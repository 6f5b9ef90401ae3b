/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The meanings of the riscv64 rows: on random instructions of every row
 * and on random blocks the interpreter, the evaluated IR and the code that is generated from it
 * leave the same registers, flags, traps and memory.  HULL_TEST_CASES: cases per row;
 * HULL_TEST_SEED repeats a run.
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
#include "engine/riscv64/jit.h"
#include "engine/riscv64/lift.h"
#include "isa/riscv64/disasm.h"
#include "support/rvgen.h"
#include "support/rvrig.h"

/* Code, handler and data are pages of a small RAM; pages around it do not exist. */
enum { PAGES = 8, CODE = 0, HANDLER = 2, DATA = 4, BLOCK_MAX = 24 };
#define BASE UINT64_C(0x80000000)

static struct rvrig left, right, third; /* interpreted, evaluated, translated */
static struct rv_eval *eval;
static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static uint64_t seed;
static unsigned not_translated;

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
	                       rvrig_init(&right, BASE, PAGES * HULL_PAGE_SIZE) &&
	                       (rvrig_init_jit(&third, BASE, PAGES * HULL_PAGE_SIZE, 0, 0) ||
	                        !third.vm)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&left);
	rvrig_fini(&right);
	rvrig_fini(&third);
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

/* Of the left side; compare() copies it. */
static void random_state(void)
{
	struct rv_hart *h = left.hart;
	static const uint8_t privs[] = { RV_PRIV_M, RV_PRIV_M, RV_PRIV_S, RV_PRIV_U };
	uint64_t mstatus = hull_prng_next(&prng);

	if (hull_prng_below(&prng, 16))
		mstatus |= MSTATUS_FS;
	mstatus &= ~(uint64_t)(MSTATUS_MIE | MSTATUS_SIE | MSTATUS_MPRV);
	for (unsigned i = 1; i < 32; i++)
		h->x[i] = random_register();
	for (unsigned i = 0; i < 32; i++)
		h->f[i] = rvgen_operand(&prng);
	h->fp.flags = (uint8_t)(hull_prng_next(&prng) & 31);
	h->frm = (uint8_t)hull_prng_below(&prng, hull_prng_below(&prng, 4) ? 5 : 8);
	h->priv = privs[hull_prng_below(&prng, 4)];
	h->reserved = UINT64_MAX;
	h->csr.menvcfg = hull_prng_next(&prng) & (ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
	h->csr.senvcfg = hull_prng_next(&prng) & (ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
	h->csr.mtvec = BASE + HANDLER * HULL_PAGE_SIZE;
	h->csr.stvec = BASE + HANDLER * HULL_PAGE_SIZE + 64;
	h->csr.medeleg = hull_prng_next(&prng) & 0xb3ff;
	h->csr.mideleg = 0;
	h->sbi = hull_prng_below(&prng, 4) == 0;
	h->csr.mie = h->csr.satp = 0;
	h->csr.soft_mip = h->mip = 0;
	h->csr.stimecmp = UINT64_MAX;
	h->csr.mepc = BASE + HANDLER * HULL_PAGE_SIZE;
	h->csr.sepc = BASE + HANDLER * HULL_PAGE_SIZE;
	h->csr.mcause = h->csr.mtval = 0;
	h->csr.mcounteren = hull_prng_next(&prng) & 7;
	h->csr.scounteren = hull_prng_next(&prng) & 7;
	h->csr.instret_base = 0;
	h->csr.cycle_base = 0;
	memset(h->csr.pmpcfg, 0, sizeof(h->csr.pmpcfg));
	memset(h->csr.pmpaddr, 0, sizeof(h->csr.pmpaddr));
	/*
	 * Even for M, code is read-only and data no code: before fence.i, tiers may differ in what
	 * they see of code that changed itself.
	 */
	h->csr.pmpaddr[0] = (BASE >> 2) | (DATA * HULL_PAGE_SIZE / 8 - 1);
	h->csr.pmpcfg[0] = 0x9d;
	h->csr.pmpaddr[1] = (BASE + DATA * HULL_PAGE_SIZE) >> 2 | (DATA * HULL_PAGE_SIZE / 8 - 1);
	h->csr.pmpcfg[1] = 0x9b;
	/* Open memory for S and U. */
	h->csr.pmpaddr[15] = low_mask(54);
	h->csr.pmpcfg[15] = 0x1f;
	h->pmp_active = true;
	rv_set_mstatus(h, mstatus);
	rv_fp_changed(h);
	rv_flush_tlb(h);
}

static void random_memory(void)
{
	uint8_t *page = left.ram + DATA * HULL_PAGE_SIZE;

	for (unsigned i = 0; i < HULL_PAGE_SIZE; i += 8)
		store_le64(page + i, i % 64 ? hull_prng_next(&prng) : rvgen_operand(&prng));
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
		print_message("  %llx: %0*x %s\n", (unsigned long long)(BASE + at), (int)(2 * len),
		              len == 4 ? load_le32(code + at) : load_le16(code + at), text);
		at += len;
	}
}

static uint64_t entered(void)
{
	return third.hart->stats.entries;
}

/*
 * Run what is at BASE on all sides for `insns` instructions and compare.  Generated code is entered
 * only if there is room for a longest block.
 */
static void compare(const char *what, unsigned bytes, uint64_t insns)
{
	struct rv_hart *h = left.hart, *g = right.hart, *t = third.hart;
	struct hull_exit a = { 0 }, b = { 0 };
	uint64_t before = t ? entered() : 0;
	uint8_t code[4 * BLOCK_MAX];
	bool bad;

	memcpy(code, left.ram, sizeof(code));
	h->pc = BASE;
	rvrig_copy(&left, &right);
	if (t)
		rvrig_copy(&left, &third);
	rv_suspect_code(h);
	rv_flush_tlb(h);
	h->retire_limit = g->retire_limit = h->retired + insns;
	if (t)
		t->retire_limit = h->retire_limit;
	rv_interpret(h, &a);
	rv_evaluate(g, eval, &b);
	bad = a.kind != b.kind || rvrig_differ(&left, &right);
	if (!bad && t) {
		what = insns > RV_BLOCK_INSNS ? "translated" : "stepped";
		rv_jit_run(t, &b);
		bad = a.kind != b.kind || rvrig_differ(&left, &third);
		if (insns > RV_JIT_MARGIN && entered() == before)
			not_translated++;
	}
	if (bad) {
		show(code, bytes);
		fail_msg("%s: exits %u and %u, seed %llu", what, a.kind, b.kind,
		         (unsigned long long)seed);
	}
}

static bool is_jump(unsigned id)
{
	return id == HULL_RV_jalr || id == HULL_RV_c_jr || id == HULL_RV_c_jalr;
}

/* Loads and stores far away and traps are wanted, but most should hit. */
static void aim(uint32_t bits)
{
	struct hull_rv_insn i;
	uint64_t at = BASE + DATA * HULL_PAGE_SIZE + hull_prng_below(&prng, HULL_PAGE_SIZE);

	hull_rv_decode(&decoder, bits, &i);
	if ((bits & 0x7f) == 0x2f) /* atomics want alignment */
		at &= ~UINT64_C(7);
	if (is_jump(i.id)) { /* not to data: code that it changes itself may differ */
		left.hart->x[i.rs1] = i.rs1 ? at - (DATA - HANDLER) * HULL_PAGE_SIZE : 0;
		return;
	}
	if (i.rs1 && hull_prng_below(&prng, 4))
		left.hart->x[i.rs1] = at - (uint64_t)(int64_t)i.imm;
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
			if (touches_memory((enum hull_rv_id)id) || is_jump(id))
				aim(bits);
			end = put_insn(0, bits);
			put_insn(end, 0x0000006f);
			compare(hull_rv_rows[id].name, end, n % 4 ? RV_JIT_MARGIN + 2 : 1);
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
		/* A whole block in one go needs room for the longest one. */
		compare("block", at, hull_prng_below(&prng, 2) ? count : count + RV_BLOCK_INSNS);
	}
}

/* Encodings of no instruction, alone and behind others. */
static void illegal(uint32_t bits)
{
	struct hull_rv_insn i;
	unsigned at = 0;

	hull_rv_decode(&decoder, bits, &i);
	if (i.id != HULL_RV_INVALID && strncmp(hull_rv_rows[i.id].name, "reserved_", 9))
		return;
	random_state();
	if (hull_prng_below(&prng, 2))
		at = put_insn(at, rvgen_bits(&prng, &decoder, HULL_RV_addi));
	at = put_insn(at, bits);
	compare("illegal", at, RV_JIT_MARGIN + 3);
}

static void illegal_encodings(void **state)
{
	hull_prng_seed(&prng, seed + 3);
	make_handler();
	for (uint32_t bits = 0; bits < 0x10000; bits++)
		if (hull_rv_length((uint16_t)bits) == 2)
			illegal(bits);
	for (unsigned n = 0; n < 10000; n++)
		illegal((uint32_t)hull_prng_next(&prng) | 3);
}

/* Of all the runs above that had room for generated code. */
static void nothing_was_left_out(void **state)
{
	if (third.vm && third.hart->stats.bail_no_host_op)
		fail_msg("the generator lost a value in %llu blocks",
		         (unsigned long long)third.hart->stats.bail_no_host_op);
	if (third.vm && not_translated)
		fail_msg("%u runs were not translated", not_translated);
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
		cmocka_unit_test(illegal_encodings),
		cmocka_unit_test(nothing_was_left_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
