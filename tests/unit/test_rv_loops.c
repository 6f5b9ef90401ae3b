/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Loops with what the passes of tier 2 look for: values that do not change, constants and copies
 * that are carried into other blocks, division by constants, sums of shifted values.  Interpreted,
 * as IR, and as generated code.
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
#include "support/rvasm.h"
#include "support/rvgen.h"
#include "support/rvrig.h"

#define BASE UINT64_C(0x80000000)
enum { HANDLER = 4 * 4096, DATA = 5 * 4096, PAGES = 8, TURNS = 50, CASES = 40, SLICES = 8 };

static struct rvrig left, middle, right; /* interpreted, evaluated, translated */
static struct rv_eval *eval;
static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static unsigned at; /* where the next instruction goes */
static uint64_t seed = 1;

static int setup(void **state)
{
	if (getenv("HULL_TEST_SEED"))
		seed = strtoull(getenv("HULL_TEST_SEED"), NULL, 0);
	eval = malloc(sizeof(*eval));
	return eval && hull_rv_decoder_init(&decoder) && rvrig_init(&left, BASE, PAGES * 4096) &&
	                       rvrig_init(&middle, BASE, PAGES * 4096) &&
	                       (rvrig_init_opt(&right, BASE, PAGES * 4096, 0, 0) || !right.vm)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&left);
	rvrig_fini(&middle);
	rvrig_fini(&right);
	free(eval);
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
	at += 4;
}

static const char *stays(void)
{
	static const char *const names[] = { "s2", "s3", "s4", "s5" };

	return names[below(4)];
}

static const char *changes(void)
{
	static const char *const names[] = { "a0", "a1", "a2", "a3", "a4", "t3", "s7" };

	return names[below(7)];
}

static const char *any(void)
{
	return below(3) ? changes() : stays();
}

static const char *operator(void)
{
	static const char *const names[] = { "add", "sub",  "xor", "and",  "or",   "sll",  "srl",
		                             "sra", "addw", "mul", "sltu", "subw", "mulhu" };

	return names[below(13)];
}

/* t0 = a constant */
static void put_constant(void)
{
	switch (below(4)) {
	case 0: put("addi t0,zero,%d", (int)below(64) - 20); break;
	case 1: put("addi t0,zero,%d", 1 << below(11)); break;
	case 2: put("lui t0,0x%x", below(1 << 20) << 12); break;
	default:
		put("lui t0,0x%x", below(1 << 20) << 12);
		put("addi t0,t0,%d", (int)below(4096) - 2048);
		put("slli t0,t0,%u", 1 + below(30));
		put("xori t0,t0,%d", (int)below(4096) - 2048);
	}
}

static void put_unit(void)
{
	static const char *const by[] = { "div",  "divu",  "rem",  "remu",  "mul",
		                          "divw", "divuw", "remw", "remuw", "mulw" };

	switch (below(11)) {
	case 0:
		put_constant();
		put("%s %s,%s,t0", by[below(10)], changes(), any());
		return;
	case 1:
		put_constant();
		put("%s %s,%s,t0", operator(), changes(), any());
		return;
	case 2: /* does not change */
		put("%s t1,%s,%s", operator(), stays(), stays());
		put("%s t1,t1,%s", operator(), stays());
		put("%s %s,%s,t1", operator(), changes(), changes());
		return;
	case 3:
		put("auipc t2,0x%x", below(16) << 12);
		put("%s %s,%s,t2", operator(), changes(), changes());
		return;
	case 4: put("slli t1,%s,%u", any(), 1 + below(4)); break;
	case 5:
		put("slli t2,%s,%u", any(), 1 + below(3));
		put("add t2,t2,%s", any());
		put("add %s,%s,t2", changes(), changes());
		return;
	case 6: put("addi %s,%s,0", changes(), any()); return;
	case 7: put("addi %s,zero,%u", changes(), below(3)); return;
	case 8: put("%s %s,%u(gp)", below(2) ? "ld" : "sw", changes(), 8 * below(200)); return;
	default: break;
	}
	put("%s %s,%s,%s", operator(), changes(), any(), below(2) ? any() : "t1");
}

/* Over the next units, or not. */
static void put_branch(void)
{
	static const char *const ops[] = { "beq", "bne", "blt", "bgeu" };
	const char *op = ops[below(4)], *a = any(), *b = below(3) ? any() : "zero";
	unsigned from = at, end;

	at += 4;
	for (unsigned n = 1 + below(3); n; n--)
		put_unit();
	end = at;
	at = from;
	put("%s %s,%s,0x%x", op, a, b, (unsigned)BASE + end);
	at = end;
}

static void put_units(unsigned n)
{
	while (n--)
		if (below(4))
			put_unit();
		else
			put_branch();
}

/* An outer loop and an inner one, which may go on in the next page. */
static void make_program(void)
{
	unsigned outer, inner;

	memset(left.ram, 0, left.size);
	for (unsigned i = 0; i < 4096; i += 8)
		store_le64(left.ram + DATA + i, rvgen_operand(&prng));
	for (unsigned i = 0; i < 4096; i += 4)
		store_le32(left.ram + HANDLER + i, 0x0000006f);
	at = below(3) ? 0 : 4096 - 4 * below(40);
	left.hart->pc = BASE + at;
	outer = at;
	put("addi s11,zero,%u", TURNS);
	put_units(below(4));
	inner = at;
	put_units(2 + below(7));
	put("addi s11,s11,-1");
	put("bne s11,zero,0x%x", (unsigned)BASE + inner);
	if (below(2))
		put("addi %s,%s,1", stays(), stays());
	put("jal zero,0x%x", (unsigned)BASE + outer);
}

static void begin(void)
{
	struct rv_hart *h = left.hart;

	rv_hart_reset(h);
	make_program();
	for (unsigned i = 1; i < 32; i++)
		h->x[i] = rvgen_operand(&prng);
	h->x[3] = BASE + DATA;
	h->csr.mtvec = BASE + HANDLER;
	rv_flush_tlb(h);
	rv_sys_fence_i(h);
	rvrig_copy(&left, &middle);
	rvrig_copy(&left, &right);
}

static void evaluate(uint64_t insns)
{
	struct rv_hart *h = middle.hart;
	struct hull_exit exit = { 0 };

	h->retire_limit = h->retired + insns;
	assert_int_equal(rv_evaluate(h, eval, &exit), 0);
}

static void test_loops(void **state)
{
	const char *text = getenv("HULL_TEST_CASES");
	unsigned cases = text ? (unsigned)strtoul(text, NULL, 0) : CASES;
	const struct hull_engine_stats *s;

	if (!right.vm)
		skip();
	right.hart->cache->hot_limit = 0;
	hull_prng_seed(&prng, seed);
	for (unsigned nr = 0; nr < cases; nr++) {
		begin();
		for (unsigned n = 0; n < SLICES; n++) {
			unsigned insns = 1 + below(15000);

			rvrig_run(&left, insns);
			evaluate(insns);
			rvrig_run(&right, insns);
			if (rvrig_differ(&left, &middle) || rvrig_differ(&left, &right))
				fail_msg("HULL_TEST_SEED=%llu, program %u",
				         (unsigned long long)seed, nr);
		}
	}
	s = &right.hart->stats;
	print_message("# %u loops, %u constants, %u copies, %u reduced, %u invariants\n",
	              (unsigned)s->regions_compiled, (unsigned)s->region_constants,
	              (unsigned)s->region_copies, (unsigned)s->region_reduced,
	              (unsigned)s->region_invariants);
	assert_true(s->regions_compiled > cases / 3);
	assert_true(s->region_reduced > cases / 3);
	assert_true(s->region_invariants > cases / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_loops) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
