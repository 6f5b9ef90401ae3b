/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The IR itself: golden texts of lifted code, and what the verifier refuses.
 *
 * tests/golden/ir/NAME.txt holds blocks: lines "> instruction" at address
 * 0x80000000, then their IR up to an empty line.  With HULL_REBASE=1 the test
 * writes the files anew; the difference is to be reviewed.
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
#include "engine/riscv64/lift.h"
#include "support/rvasm.h"

enum { TEXT_MAX = 65536 };

static struct hull_rv_decoder decoder;
static struct hull_ir ir;

static int setup(void **state)
{
	return hull_rv_decoder_init(&decoder) ? 0 : -1;
}

struct block {
	uint8_t code[256];
	unsigned bytes;
};

static void assemble(struct block *b, const char *text)
{
	uint64_t pc = UINT64_C(0x80000000) + b->bytes;
	uint32_t bits;

	if (sscanf(text, ".word %x", &bits) != 1 && !rvasm(&decoder, text, pc, &bits))
		fail_msg("cannot assemble \"%s\"", text);
	store_le32(b->code + b->bytes, bits);
	b->bytes += hull_rv_length((uint16_t)bits);
	assert_true(b->bytes < sizeof(b->code) - 4);
}

/* The IR of a block behind what is in `out` already. */
static size_t finish(struct block *b, char *out, size_t len)
{
	const char *why;
	unsigned at;

	if (!b->bytes)
		return len;
	assert_true(rv_lift(&decoder, b->code, b->bytes, &ir) > 0);
	why = hull_ir_verify(&ir, &at);
	if (why)
		fail_msg("node %u: %s", at, why);
	len += hull_ir_print(&ir, out + len, TEXT_MAX - len);
	b->bytes = 0;
	return len;
}

/* What the golden file should say: its comments and instructions with fresh IR. */
static void renew(FILE *f, char *out)
{
	struct block b = { .bytes = 0 };
	char line[256];
	size_t len = 0;

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '\n')
			len = finish(&b, out, len);
		if (!strchr("#>\n", line[0]))
			continue; /* old IR */
		len += (size_t)snprintf(out + len, TEXT_MAX - len, "%s", line);
		line[strcspn(line, "\n")] = 0;
		if (line[0] == '>')
			assemble(&b, line + 2);
	}
	finish(&b, out, len);
}

static void check_golden(const char *name)
{
	const char *root = getenv("HULL_SOURCE"), *rebase = getenv("HULL_REBASE");
	char *want = calloc(1, TEXT_MAX), *have = calloc(1, TEXT_MAX), path[4096];
	FILE *f;

	assert_true(want && have);
	snprintf(path, sizeof(path), "%s/tests/golden/ir/%s.txt", root ? root : ".", name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("cannot read %s", path);
	renew(f, want);
	rewind(f);
	assert_true(fread(have, 1, TEXT_MAX - 1, f) > 0);
	fclose(f);
	if (rebase && *rebase == '1') {
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(want, f);
		fclose(f);
	} else if (strcmp(have, want)) {
		print_message("%s", want);
		fail_msg("%s differs; HULL_REBASE=1 writes it anew", path);
	}
	free(want);
	free(have);
}

static void golden_basics(void **state)
{
	check_golden("basics");
}

static void golden_memory(void **state)
{
	check_golden("memory");
}

static void golden_flow(void **state)
{
	check_golden("flow");
}

static void golden_system(void **state)
{
	check_golden("system");
}

static void golden_float(void **state)
{
	check_golden("float");
}

#define NODE(o, ...) ((struct hull_ir_node){ .op = HULL_IR_##o, __VA_ARGS__ })

static const char *verdict(const struct hull_ir_node *nodes, unsigned count)
{
	unsigned at;

	ir.arch = &rv_ir_arch;
	ir.count = count + 1;
	memcpy(ir.nodes + 1, nodes, count * sizeof(*nodes));
	return hull_ir_verify(&ir, &at);
}

static void verifier_refuses(void **state)
{
	const uint64_t second = hull_ir_insn(0, 4, 1);
	const struct hull_ir_node bad[][4] = {
		{ NODE(INSN), NODE(CONST), NODE(SET, .a = 2, .imm = 64), NODE(GOTO) },
		{ NODE(INSN), NODE(ADD, .a = 3, .b = 3), NODE(CONST), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(NOT, .a = 1), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(NOT, .a = 2, .b = 2), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(LOAD, .aux = HULL_IR_LOADS, .a = 2), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(STORE, .aux = 7, .a = 2, .b = 2), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(CALL, .aux = 255, .a = 2), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(GOTO), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(CONST), NODE(BRANCH, .a = 2) },
		{ NODE(INSN), NODE(CONST), NODE(CONST), NODE(CONST) },
		{ NODE(CONST), NODE(FENCE), NODE(INSN), NODE(GOTO) },
		{ NODE(INSN, .imm = second), NODE(CONST), NODE(INSN, .imm = second), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(CALL, .aux = RV_CALL_f64_add, .a = 2, .b = 2),
		  NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), NODE(NONE), NODE(GOTO) },
		{ NODE(INSN), NODE(CONST), { .op = HULL_IR_OPS }, NODE(GOTO) },
		{ NODE(INSN), NODE(FP_ROUND, .imm = 8), NODE(CONST), NODE(GOTO) },
		{ NODE(INSN), NODE(CALL, .aux = RV_CALL_fence_i), NODE(SET, .a = 2, .imm = 1),
		  NODE(GOTO) },
		{ NODE(INSN), NODE(CALL, .aux = RV_CALL_mret), NODE(CONST), NODE(GOTO) },
	};
	const struct hull_ir_node good[] = { NODE(INSN), NODE(CONST), NODE(BRANCH, .a = 2),
		                             NODE(INSN, .imm = second), NODE(GOTO) };

	assert_null(verdict(good, ARRAY_LEN(good)));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		if (!verdict(bad[i], 4))
			fail_msg("case %u passes", i);
	assert_non_null(verdict(good, 0));
}

/* Random nodes: an answer, whatever they are, and a text that fits or is cut. */
static void verifier_survives(void **state)
{
	struct hull_prng p;
	unsigned at;
	char text[200];

	hull_prng_seed(&p, 5);
	for (unsigned n = 0; n < 20000; n++) {
		ir.arch = &rv_ir_arch;
		ir.count = 1 + (unsigned)hull_prng_below(&p, 12);
		for (unsigned i = 1; i < ir.count; i++)
			ir.nodes[i] = (struct hull_ir_node){
				.op = (uint8_t)hull_prng_below(&p, HULL_IR_OPS + 2),
				.aux = (uint8_t)hull_prng_below(&p, 80),
				.a = (uint16_t)hull_prng_below(&p, 14),
				.b = (uint16_t)hull_prng_below(&p, 3),
				.imm = hull_prng_below(&p, 80),
			};
		if (!hull_ir_verify(&ir, &at))
			hull_ir_print(&ir, text, sizeof(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_basics),     cmocka_unit_test(golden_memory),
		cmocka_unit_test(golden_flow),       cmocka_unit_test(golden_system),
		cmocka_unit_test(golden_float),      cmocka_unit_test(verifier_refuses),
		cmocka_unit_test(verifier_survives),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
