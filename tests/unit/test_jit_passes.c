/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The passes over the IR of a region leave what it does as it was: random regions are performed
 * before and after, and slots are compared wherever the region may be left.  Division by constants
 * is compared with division.
 *
 * HULL_TEST_CASES: regions; HULL_TEST_SEED repeats a run.
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
#include "engine/jit/flow.h"
#include "engine/riscv64/lift.h"
#include "engine/riscv64/region.h"
#include "support/rvgen.h"

enum { BLOCKS = 8, BLOCK_BYTES = 1024, SLOTS = 10, SET_SLOTS = 6, STEPS = 60, RUNS = 4 };
#define VA UINT64_C(0x12345000) /* of the entry's page */

static struct hull_prng prng;

static unsigned below(unsigned bound)
{
	return (unsigned)hull_prng_below(&prng, bound);
}

static uint64_t from_env(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : usual;
}

/* --- making regions --- */

struct region {
	struct jit_block blocks[BLOCKS];
	struct hull_ir ir[BLOCKS];
	const struct hull_ir *entry; /* NULL: nothing is kept */
};

static struct hull_ir_builder builder;

static hull_ir_name_t name(unsigned op, hull_ir_name_t a, hull_ir_name_t b, uint64_t imm)
{
	return hull_ir_name(&builder,
	                    (struct hull_ir_node){ .op = (uint8_t)op, .a = a, .b = b, .imm = imm });
}

static hull_ir_name_t get(unsigned slots)
{
	return name(HULL_IR_GET, 0, 0, 1 + below(slots));
}

static uint64_t some_number(void)
{
	static const uint64_t some[] = { 0, 1, 2, 3, 8, 10, UINT64_C(0x123456789abcdef) };

	return below(4) ? some[below(ARRAY_LEN(some))] : rvgen_operand(&prng);
}

static hull_ir_name_t number(uint64_t v)
{
	return name(HULL_IR_CONST, 0, 0, v);
}

/* Operators of one and two operands. */
static hull_ir_name_t value(void)
{
	unsigned op = HULL_IR_ADD + below(HULL_IR_ZX32 - HULL_IR_ADD + 1);

	switch (below(8)) {
	case 0:
	case 1: return get(SLOTS);
	case 2: return number(some_number());
	case 3: return name(HULL_IR_PC, 0, 0, 16 * below(64));
	case 4:
		op = below(2) ? HULL_IR_MUL : HULL_IR_DIV + below(4);
		return name(op, get(SLOTS), number(some_number()), 0);
	default:
		if (op == HULL_IR_SEL)
			op = HULL_IR_ADD;
		return name(op, get(SLOTS), hull_ir_ops[op].operands == 2 ? get(SLOTS) : 0, 0);
	}
}

/* From block `from` to any, or out of the region. */
static uint64_t way(const struct jit_block *from)
{
	unsigned to = below(BLOCKS + 1);

	return (uint64_t)((int64_t)to * BLOCK_BYTES - (from->page * 4096 + from->offset));
}

static void make_insn(const struct jit_block *b, unsigned index)
{
	hull_ir_name_t address, v;

	hull_ir_insn_begin(&builder, 0, 4 * index, index);
	switch (below(8)) {
	case 0:
		address = name(HULL_IR_ADD, get(SLOTS), number(below(64) * 8), 0);
		v = hull_ir_name(&builder, (struct hull_ir_node){ .op = HULL_IR_LOAD,
		                                                  .aux = (uint8_t)below(7),
		                                                  .a = address });
		hull_ir_set(&builder, 1 + below(SET_SLOTS), v);
		return;
	case 1:
		hull_ir_do(&builder,
		           (struct hull_ir_node){
				   .op = HULL_IR_STORE, .aux = 64, .a = value(), .b = value() });
		return;
	case 2:
		v = name(below(2) ? HULL_IR_EQ : HULL_IR_LTU, get(SLOTS), get(SLOTS), 0);
		hull_ir_do(&builder,
		           (struct hull_ir_node){ .op = HULL_IR_BRANCH, .a = v, .imm = way(b) });
		return;
	default: hull_ir_set(&builder, 1 + below(SET_SLOTS), value());
	}
}

static void make_region(struct region *r)
{
	memset(r->blocks, 0, sizeof(r->blocks));
	r->entry = NULL;
	for (unsigned i = 0; i < BLOCKS; i++) {
		struct jit_block *b = &r->blocks[i];
		unsigned n = 1 + below(6);

		*b = (struct jit_block){ .ir = &r->ir[i],
			                 .offset = i * BLOCK_BYTES % 4096,
			                 .page = (int8_t)(i * BLOCK_BYTES / 4096),
			                 .insns = (uint16_t)n };
		hull_ir_begin(&builder, &r->ir[i], &rv_ir_arch);
		for (unsigned k = 0; k + 1 < n; k++)
			make_insn(b, k);
		hull_ir_insn_begin(&builder, 0, 4 * (n - 1), n - 1);
		if (below(6))
			hull_ir_do(&builder,
			           (struct hull_ir_node){ .op = HULL_IR_GOTO, .imm = way(b) });
		else
			hull_ir_do(&builder,
			           (struct hull_ir_node){ .op = HULL_IR_JUMP,
			                                  .a = name(HULL_IR_PC, 0, 0, way(b)) });
	}
}

/* --- performing them --- */

struct run {
	const struct region *region;
	uint64_t slot[HULL_IR_SLOTS], kept[JIT_KEPT], v[HULL_IR_MAX];
	uint64_t seen; /* hash of what the world may see */
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static void see(struct run *r, uint64_t what)
{
	r->seen = mix(r->seen, what);
	for (unsigned s = 1; s <= SLOTS; s++)
		r->seen = mix(r->seen, r->slot[s]);
}

static uint64_t va_of(const struct jit_block *b)
{
	return VA + (uint64_t)(b->page * 4096 + b->offset);
}

static uint64_t loaded(const struct hull_ir_node *n, uint64_t at)
{
	uint64_t v = mix(1, at);
	unsigned unused = 64 - hull_ir_load_bits(n->aux);

	v <<= unused;
	return n->aux < HULL_IR_s8 ? v >> unused : (uint64_t)((int64_t)v >> unused);
}

/* One node; true: go on at *ret_to. */
static bool perform(struct run *r, const struct jit_block *b, unsigned i, uint64_t *ret_to)
{
	const struct hull_ir_node *n = &b->ir->nodes[i];
	uint64_t a = r->v[n->a];

	switch (n->op) {
	case HULL_IR_INSN: return false;
	case HULL_IR_CONST: r->v[i] = n->imm; return false;
	case HULL_IR_PC: r->v[i] = va_of(b) + n->imm; return false;
	case HULL_IR_GET: r->v[i] = r->slot[n->imm]; return false;
	case HULL_IR_KEPT: r->v[i] = r->kept[n->imm]; return false;
	case HULL_IR_KEEP: r->kept[n->imm] = a; return false;
	case HULL_IR_SET: r->slot[n->imm] = a; return false;
	case HULL_IR_LOAD:
		see(r, a);
		r->v[i] = loaded(n, a);
		return false;
	case HULL_IR_STORE:
		see(r, a);
		see(r, r->v[n->b]);
		return false;
	case HULL_IR_BRANCH: *ret_to = va_of(b) + n->imm; return a;
	case HULL_IR_GOTO: *ret_to = va_of(b) + n->imm; return true;
	case HULL_IR_JUMP: *ret_to = a; return true;
	default:
		assert_int_equal(hull_ir_ops[n->op].kind, HULL_IR_PURE);
		r->v[i] = hull_ir_compute((enum hull_ir_op)n->op, a, r->v[n->b], r->v[n->c]);
		return false;
	}
}

/* What is seen of the region if it begins with slots that follow from `start`. */
static uint64_t run(const struct region *region, uint64_t start)
{
	struct run r = { .region = region };
	struct jit_block entry = region->blocks[0];
	unsigned at = 0;

	for (unsigned s = 1; s <= SLOTS; s++)
		r.slot[s] = mix(start, s) % (s % 3 ? 5 : UINT64_MAX);
	entry.ir = region->entry;
	for (unsigned i = 1; entry.ir && i < entry.ir->count; i++)
		assert_false(perform(&r, &entry, i, NULL));
	for (unsigned step = 0; step < STEPS && at < BLOCKS; step++) {
		const struct jit_block *b = &region->blocks[at];
		uint64_t to = 0;
		unsigned i = 1;

		while (i < b->ir->count && !perform(&r, b, i, &to))
			i++;
		assert_true(i < b->ir->count);
		see(&r, to);
		for (at = 0; at < BLOCKS && va_of(&region->blocks[at]) != to;)
			at++;
	}
	return r.seen;
}

/* Like tier 2. */
static void optimize(struct region *r, struct jit_facts *facts, struct jit_passes *done)
{
	static struct jit_invariants inv;
	struct jit_pin pins[HULL_IR_SLOTS];
	host_reg kept[JIT_KEPT];

	jit_facts_use(facts, r->blocks, r->ir, BLOCKS, done);
	for (unsigned i = 0; i < BLOCKS; i++)
		done->reduced += jit_reduce(&r->ir[i], &inv.ir);
	rv_region_pins(r->blocks, BLOCKS, &inv, pins, kept);
	jit_invariants_use(&inv, r->blocks, r->ir, BLOCKS);
	done->invariants += inv.count;
	r->entry = inv.count ? &inv.ir : NULL;
}

static void regions_stay_the_same(void **state)
{
	uint64_t cases = from_env("HULL_TEST_CASES", 3000), seed = from_env("HULL_TEST_SEED", 1);
	struct jit_facts *facts = jit_facts_new(RV_SLOT_F);
	struct jit_passes done = { 0 };
	static struct region r;
	uint64_t seen[RUNS];

	if (!host_info.gpr_count) { /* nothing to keep values in */
		jit_facts_free(facts);
		skip();
	}
	assert_non_null(facts);
	for (uint64_t n = 0; n < cases; n++) {
		hull_prng_seed(&prng, seed * 1000003 + n);
		make_region(&r);
		for (unsigned i = 0; i < RUNS; i++)
			seen[i] = run(&r, i);
		optimize(&r, facts, &done);
		for (unsigned i = 0; i < RUNS; i++)
			if (run(&r, i) != seen[i])
				fail_msg("HULL_TEST_SEED=%llu: region %llu",
				         (unsigned long long)seed, (unsigned long long)n);
	}
	jit_facts_free(facts);
	print_message("# %u constants, %u copies, %u reduced, %u invariants\n", done.constants,
	              done.copies, done.reduced, done.invariants);
	assert_true(done.constants > cases / 10);
	assert_true(done.copies > cases / 5);
	assert_true(done.reduced > cases / 2);
	assert_true(done.invariants > cases / 2);
}

/* --- operators with constants --- */

/* What the IR of one SET leaves in slot 1 if slot 2 is x. */
static uint64_t result_of(const struct hull_ir *ir, uint64_t x)
{
	struct jit_block b = { .ir = ir };
	struct run r = { .slot[2] = x };
	uint64_t to;

	for (unsigned i = 1; i + 1 < ir->count; i++)
		assert_false(perform(&r, &b, i, &to));
	return r.slot[1];
}

/* x or a part of it, as the instructions of 32 bits have it. */
static const uint8_t parts[] = { HULL_IR_NONE, HULL_IR_SX32, HULL_IR_ZX32 };

static void check_operator(unsigned op, unsigned part, uint64_t k)
{
	static struct hull_ir ir, scratch;
	hull_ir_name_t x = name(HULL_IR_GET, 0, 0, 2);

	hull_ir_begin(&builder, &ir, &rv_ir_arch);
	hull_ir_insn_begin(&builder, 0, 0, 0);
	x = name(HULL_IR_GET, 0, 0, 2);
	if (part)
		x = name(part, x, 0, 0);
	hull_ir_set(&builder, 1, name(op, x, number(k), 0));
	hull_ir_do(&builder, (struct hull_ir_node){ .op = HULL_IR_GOTO });
	assert_true(jit_reduce(&ir, &scratch) == 1 || op == HULL_IR_MUL);
	for (unsigned i = 1; i < ir.count; i++)
		assert_false(ir.nodes[i].op >= HULL_IR_DIV && ir.nodes[i].op <= HULL_IR_REMU);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t v = rvgen_operand(&prng);

		if (i % 3 == 1) /* around multiples, where rounding shows */
			v = v / (k ? k : 1) * k + (i % 2 ? 0 : UINT64_MAX);
		if (i % 3 == 2)
			v = k * (uint64_t)below(7) + UINT64_MAX + below(3);
		uint64_t a = part ? hull_ir_compute((enum hull_ir_op)part, v, 0, 0) : v;
		uint64_t want = hull_ir_compute((enum hull_ir_op)op, a, k, 0);

		if (result_of(&ir, v) != want)
			fail_msg("%s %llx, %llx: %llx, not %llx", hull_ir_ops[op].name,
			         (unsigned long long)a, (unsigned long long)k,
			         (unsigned long long)result_of(&ir, v), (unsigned long long)want);
	}
}

static void operators_with_constants(void **state)
{
	static const uint8_t ops[] = { HULL_IR_DIV, HULL_IR_DIVU, HULL_IR_REM, HULL_IR_REMU,
		                       HULL_IR_MUL };

	hull_prng_seed(&prng, from_env("HULL_TEST_SEED", 1));
	for (unsigned n = 0; n < 1500; n++) {
		uint64_t k = n < 300   ? BIT(n / 4 % 64) + n % 4 - 1 - (n % 4 == 3)
		             : n < 500 ? n - 300
		                       : rvgen_operand(&prng);

		if (n % 2)
			k = -k;
		for (unsigned o = 0; o < ARRAY_LEN(ops); o++)
			for (unsigned p = 0; p < ARRAY_LEN(parts); p++)
				check_operator(ops[o], parts[p], k);
	}
}

/* A block that has no room for more stays as it is. */
static void long_blocks(void **state)
{
	static struct hull_ir ir, before, scratch;

	hull_ir_begin(&builder, &ir, &rv_ir_arch);
	hull_ir_insn_begin(&builder, 0, 0, 0);
	for (unsigned i = 0; i < 300; i++) {
		hull_ir_insn_begin(&builder, 0, 4 * i, i);
		hull_ir_set(&builder, 1,
		            name(HULL_IR_REM, name(HULL_IR_GET, 0, 0, 1), number(i + 7), 0));
	}
	before = ir;
	assert_int_equal(jit_reduce(&ir, &scratch), 0);
	assert_memory_equal(&ir, &before, sizeof(ir));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_stay_the_same),
		cmocka_unit_test(operators_with_constants),
		cmocka_unit_test(long_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
