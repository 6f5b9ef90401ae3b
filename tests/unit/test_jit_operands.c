/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Units of generated code for random guest blocks: tier 1, hot, and regions with their pins; with
 * and without each feature of the host; for one CPU and for several.
 *
 * With HULL_JIT_UNITS=FILE they are written there, one JSON object per line, behind one that says
 * where things are in the guest CPU; tests/cli/jit_operands.py reads each operand of their code.
 * HULL_TEST_SEED gives other blocks, HULL_TEST_CASES their number.
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
#include "base/prng.h"
#include "engine/jit/flow.h"
#include "engine/jit/gen_impl.h"
#include "engine/riscv64/jit.h"
#include "engine/riscv64/region.h"
#include "support/rvasm.h"
#include "support/rvgen.h"

enum { BLOCKS = 6, BLOCK_BYTES = 240, CASES = 600 };

static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static struct jit_gen *gens[2]; /* one CPU, several */
static struct hull_ir irs[BLOCKS];
static FILE *out;
static unsigned units, bails;

static unsigned below(unsigned n)
{
	return (unsigned)hull_prng_below(&prng, n);
}

static unsigned number_of(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

/* --- what is written --- */

static void field(const char *name, size_t offset, size_t bytes)
{
	fprintf(out, "\"%s\": [%zu, %zu], ", name, offset, bytes);
}

#define HART(name, member) \
	field(name, offsetof(struct rv_hart, member), sizeof(((struct rv_hart *)0)->member))

static void write_layout(void)
{
	fprintf(out, "{\"host\": \"%s\", \"cpu\": %zu, \"hart\": %zu, \"exits\": %d, ",
	        host_info.name, offsetof(struct rv_hart, cpu), sizeof(struct rv_hart),
	        JIT_EXITS_END);
	fprintf(out, "\"lookup\": %d, \"stubs\": %d, \"tlb_size\": %d, \"jump_size\": %d, ",
	        JIT_LOOKUP, JIT_STUBS, ENGINE_TLB_SIZE, ENGINE_JUMP_SIZE);
	fprintf(out, "\"held_step\": %d, \"held_last\": %d, ", ENGINE_HELD_STEP, ENGINE_HELD_LAST);
	HART("x", x);
	HART("f", f);
	HART("rm", fp.rm);
	HART("cause", cause);
	HART("tval", tval);
	HART("reserved", reserved);
	HART("reserved_value", reserved_value);
	HART("page", cpu.page);
	HART("target", cpu.target);
	HART("arg", cpu.arg);
	HART("data_context", cpu.data_context);
	HART("site_context", cpu.site_context);
	HART("sites_used", cpu.sites_used);
	HART("jump_key", cpu.jump_key);
	HART("fp_fast", cpu.fp_fast);
	HART("stub", cpu.stub);
	HART("spill", cpu.spill);
	HART("sites", cpu.sites);
	HART("held", cpu.held);
	HART("tlb.read", cpu.tlb[0].read);
	HART("tlb.write", cpu.tlb[0].write);
	HART("tlb.addend", cpu.tlb[0].addend);
	HART("jumps.pc", cpu.jumps[0].pc);
	HART("jumps.key", cpu.jumps[0].key);
	HART("jumps.code", cpu.jumps[0].code);
	fputs("\"units\": true}\n", out);
}

static void write_unit(const struct jit_unit *u, const char *what)
{
	fprintf(out, "{\"name\": \"%u: %s\", \"exits\": [", units, what);
	for (unsigned i = 0; i < u->exit_count; i++)
		fprintf(out, "%s%u", i ? ", " : "", u->exits[i].site);
	fputs("], \"code\": \"", out);
	for (unsigned i = 0; i < u->code_bytes; i++)
		fprintf(out, "%02x", u->code[i]);
	fputs("\"}\n", out);
}

/* --- guest code --- */

struct code {
	uint8_t bytes[BLOCK_BYTES];
	unsigned count;
};

static void add_bits(struct code *c, uint32_t bits)
{
	unsigned len = hull_rv_length((uint16_t)bits);

	if (c->count + 4 > sizeof(c->bytes))
		return;
	store_le32(c->bytes + c->count, bits);
	c->count += len;
}

static void add_text(struct code *c, const char *text)
{
	uint32_t bits;

	if (!rvasm(&decoder, text, 0, &bits))
		fail_msg("cannot assemble \"%s\"", text);
	add_bits(c, bits);
}

/* Loads or stores that are close to one another: a group, mostly. */
static void add_group(struct code *c)
{
	static const char *const loads[] = { "ld a", "lw s", "lbu t", "lhu a", "fld fa", "flw ft" };
	static const char *const stores[] = { "sd a", "sw s", "sb t", "sh a", "fsd fa", "fsw ft" };
	static const char *const bases[] = { "sp", "s0", "a5", "s11", "t6", "a0" };
	const char *const *how = below(2) ? loads : stores, *base = bases[below(6)];
	int from = (int)below(3000) - 1500;
	char text[64];

	for (unsigned n = 2 + below(6); n; n--) {
		snprintf(text, sizeof(text), "%s%u,%d(%s)", how[below(6)],
		         below(6) + (how == stores), from + (int)below(below(4) ? 64 : 500), base);
		add_text(c, text);
	}
}

/* What takes its address from a value that was just computed, and jumps far. */
static void add_mixture(struct code *c)
{
	static const char *const texts[] = {
		"lui a0,0x12345",
		"addi a0,a0,-1",
		"lr.d a0,(a1)",
		"sc.d a2,a3,(a1)",
		"lr.w s2,(s3)",
		"sc.w s2,s4,(s3)",
		"amoadd.d zero,a1,(a2)",
		"amoswap.w a1,a1,(a1)",
		"amomaxu.d t0,t1,(t2)",
		"fence rw,rw",
		"csrrs a0,cycle,zero",
		"csrrw a0,sscratch,a0",
		"div a0,a1,a2",
		"remw s5,s6,s7",
		"mulhsu a0,a0,a0",
		"fadd.d fa0,fa1,fa2",
		"fmadd.s fa0,fa1,fa2,fa3",
		"ld a0,2047(a0)",
		"sd a0,-2048(a0)",
		"sh zero,0(zero)",
		"ld t6,0(t6)",
	};

	for (unsigned n = 1 + below(4); n; n--)
		add_text(c, texts[below(ARRAY_LEN(texts))]);
}

/* A register that grows; another value ends that. */
static void add_step(struct code *c)
{
	static const char *const bases[] = { "sp", "s0", "a5", "s11", "t6", "a0" };
	const char *base = bases[below(6)];
	char text[64];

	snprintf(text, sizeof(text), "addi %s,%s,%d", base, base,
	         below(8) ? 1 + (int)below(16) : (int)below(4096) - 2048);
	add_text(c, text);
}

/* Often to another block of the region. */
static void add_branch(struct code *c)
{
	enum { AT = 0x10000 };
	unsigned to = AT + (below(8 * BLOCK_BYTES) & ~1u) - 4 * BLOCK_BYTES;
	char text[64];
	uint32_t bits;

	if (below(2)) /* to the begin of a block */
		to = AT - c->count + (below(2 * BLOCKS) - BLOCKS) * BLOCK_BYTES;
	if (below(4))
		snprintf(text, sizeof(text), "bltu a%u,s%u,0x%x", below(8), below(12), to);
	else if (below(2))
		snprintf(text, sizeof(text), "jalr ra,%d(a5)", (int)below(4096) - 2048);
	else
		snprintf(text, sizeof(text), "jal ra,0x%x", to);
	if (!rvasm(&decoder, text, AT, &bits))
		fail_msg("cannot assemble \"%s\"", text);
	add_bits(c, bits);
}

static void make_code(struct code *c)
{
	unsigned most = 1 + below(40);

	c->count = 0;
	for (unsigned i = 0; i < most; i++)
		switch (below(8)) {
		case 0:
		case 1: add_group(c); break;
		case 2: add_mixture(c); break;
		case 3: add_branch(c); break;
		case 4: add_step(c); break;
		default:
			add_bits(c, rvgen_bits(&prng, &decoder,
			                       (enum hull_rv_id)below(HULL_RV_COUNT)));
		}
}

/* --- units --- */

static void check_unit(const struct jit_unit *u)
{
	assert_in_range(u->code_bytes, 1, JIT_CODE_BYTES);
	for (unsigned i = 0; i < u->exit_count; i++) {
		assert_in_range(u->exits[i].site, 1, u->code_bytes - 4);
		assert_int_equal(u->exits[i].site % 4, 0);
	}
}

static void generate(const struct jit_input *in, const char *what)
{
	struct jit_gen *g = gens[below(2)];
	struct jit_unit unit;

	if (jit_generate(g, in, &unit)) {
		bails++;
		return;
	}
	check_unit(&unit);
	units++;
	if (out)
		write_unit(&unit, what);
}

/* Blocks that do not overlap, somewhere in a page; the last one often at its end. */
static unsigned make_blocks(struct jit_block *blocks, unsigned most)
{
	unsigned n = 0, at = below(2) ? 4096 - most * BLOCK_BYTES : below(1000) * 2;
	struct code c;

	for (; n < most; n++) {
		unsigned insns;

		make_code(&c);
		insns = rv_lift(&decoder, c.bytes, c.count, &irs[n]);
		if (!insns)
			return n;
		blocks[n] = (struct jit_block){ &irs[n], (uint16_t)at, (uint16_t)insns };
		at += BLOCK_BYTES;
	}
	return n;
}

static void generate_some(void)
{
	struct jit_block blocks[BLOCKS];
	static struct jit_invariants inv;
	struct jit_pin pins[HULL_IR_SLOTS];
	host_reg kept[JIT_KEPT];
	unsigned n = make_blocks(blocks, BLOCKS), count;

	assert_int_equal(n, BLOCKS);
	generate(&(struct jit_input){ .blocks = blocks, .block_count = 1 }, "tier 1");
	for (unsigned i = 0; i < n; i++)
		jit_reduce(&irs[i], &inv.ir);
	generate(&(struct jit_input){ .blocks = blocks + 5, .block_count = 1, .hot = true }, "hot");
	n = 1 + below(BLOCKS);
	count = rv_region_pins(blocks, n, &inv, pins, kept);
	jit_invariants_use(&inv, blocks, irs, n);
	for (unsigned i = 1; i < n && below(2); i++) { /* some in other pages, or of a call */
		blocks[i].page = (int8_t)((int)below(3) - 1);
		blocks[i].context = (uint8_t)below(2);
		blocks[i].back = (uint8_t)below(n + 1);
	}
	generate(&(struct jit_input){ .blocks = blocks,
	                              .block_count = n,
	                              .pins = pins,
	                              .pin_count = count,
	                              .hot = true,
	                              .entry = inv.count ? &inv.ir : NULL,
	                              .kept = kept,
	                              .kept_count = inv.count },
	         "region");
}

static void all_units(void **state)
{
	unsigned all = host_features(), cases = number_of("HULL_TEST_CASES", CASES);

	for (unsigned i = 0; i < cases; i++) {
		unsigned without = below(3) ? 1u << below(16) : (unsigned)hull_prng_next(&prng);

		gens[0]->features = gens[1]->features = below(3) ? all : all & ~without;
		generate_some();
	}
	print_message("# %u units, %u blocks not translated\n", units, bails);
	assert_true(bails < units / 4);
}

static int setup(void **state)
{
	const char *path = getenv("HULL_JIT_UNITS");

	hull_prng_seed(&prng, number_of("HULL_TEST_SEED", 1));
	for (unsigned i = 0; i < 2; i++)
		if (!(gens[i] = jit_gen_new(&rv_jit_arch, i)))
			return -1;
	if (path && !(out = fopen(path, "w")))
		return -1;
	if (out)
		write_layout();
	return hull_rv_decoder_init(&decoder) ? 0 : -1;
}

static int teardown(void **state)
{
	jit_gen_free(gens[0]);
	jit_gen_free(gens[1]);
	return out ? fclose(out) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_units) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
