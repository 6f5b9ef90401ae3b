/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Values that do not change while a region runs: computed from constants and from slots that
 * nothing in the region SETs.  They cannot fault, so it does not matter that the path to them may
 * never be taken.
 */
#include "engine/jit/flow.h"

#include "base/bits.h"
#include "base/mem.h"

enum {
	LOOP_SHIFT = 3, /* a loop is executed 8 times, more or less */
	WORTH = 8,      /* a register for less is none for others */
	OFFSET = 2048,  /* what an access adds to its base */
	MULTIPLY_HIGH = 4,
	MULTIPLY = 3,
	DIVIDE = 20,
};

static bool is_far(uint64_t v)
{
	return (int64_t)v != (int32_t)v;
}

/* Host instructions, more or less, that computing a node takes beside those of its operands. */
static unsigned own_cost(const struct hull_ir_node *n)
{
	switch (n->op) {
	case HULL_IR_GET: return 0;
	case HULL_IR_CONST: return is_far(n->imm);
	case HULL_IR_MUL: return MULTIPLY;
	case HULL_IR_MULH:
	case HULL_IR_MULHU:
	case HULL_IR_MULHSU: return MULTIPLY_HIGH;
	case HULL_IR_DIV:
	case HULL_IR_DIVU:
	case HULL_IR_REM:
	case HULL_IR_REMU: return DIVIDE;
	default: return 1;
	}
}

/* The number of such a node in v->ir, which may be a new one; 0: there is no room. */
static uint16_t enter(struct jit_invariants *v, const struct hull_ir_node *n)
{
	struct hull_ir *ir = &v->ir;
	unsigned at;

	for (at = 1; at < ir->count; at++)
		if (!memcmp(&ir->nodes[at], n, sizeof(*n)))
			return (uint16_t)at;
	if (at == JIT_INVARIANT_NODES)
		return 0;
	ir->nodes[at] = *n;
	ir->count++;
	v->cost[at] = own_cost(n) + v->cost[n->a] + v->cost[n->b] + v->cost[n->c];
	return (uint16_t)at;
}

/* Which nodes of block b are invariant: v->at[node] is the number in v->ir, or 0. */
static void look_at(struct jit_invariants *v, const struct jit_block *blocks,
                    const struct jit_block *b)
{
	for (unsigned i = 1; i < b->ir->count; i++) {
		struct hull_ir_node n = b->ir->nodes[i];
		unsigned operands = hull_ir_ops[n.op].operands;
		bool all = (!n.a || v->at[n.a]) && (!n.b || v->at[n.b]) && (!n.c || v->at[n.c]);

		v->at[i] = 0;
		switch (n.op) {
		case HULL_IR_CONST: break;
		case HULL_IR_GET: all = n.imm < v->first_f && !(v->changed >> n.imm & 1); break;
		case HULL_IR_PC:
			n.imm += (uint64_t)(b->page * 4096 + b->offset - blocks[0].offset);
			break;
		default: /* not what may be a call of C */
			all &= n.op >= HULL_IR_ADD && n.op <= HULL_IR_ZX32 && operands;
		}
		if (!all)
			continue;
		n.a = v->at[n.a];
		n.b = v->at[n.b];
		n.c = v->at[n.c];
		v->at[i] = enter(v, &n);
	}
}

static bool is_compare(unsigned op)
{
	return op == HULL_IR_EQ || op == HULL_IR_NE || op == HULL_IR_LT || op == HULL_IR_LTU;
}

/* What `user` gains if its operand, node `at` of v->ir, is there already. */
static unsigned gain_of(const struct jit_invariants *v, const struct hull_ir_node *user,
                        unsigned at)
{
	const struct hull_ir_node *n = &v->ir.nodes[at];
	unsigned cost = v->cost[at];
	bool is_free =
		user->op == HULL_IR_SET || /* as short as a move */
		((user->op == HULL_IR_BRANCH || user->op == HULL_IR_SEL) && is_compare(n->op)) ||
		(user->op == HULL_IR_AND && n->op == HULL_IR_CONST && n->imm <= UINT32_MAX);

	return cost && is_free ? cost - 1 : cost;
}

/* An access adds a constant to its base at no cost: the base is what it uses. */
static unsigned base_of(const struct jit_invariants *v, const struct hull_ir_node *user,
                        unsigned at)
{
	const struct hull_ir_node *n = &v->ir.nodes[at], *by = &v->ir.nodes[n->b];

	if ((user->op == HULL_IR_LOAD || user->op == HULL_IR_STORE) && n->op == HULL_IR_ADD &&
	    by->op == HULL_IR_CONST && by->imm + OFFSET < 2 * OFFSET)
		return n->a;
	return at;
}

/* Each is computed once in a block, however many use it there. */
static void weigh(struct jit_invariants *v, const struct jit_block *b, unsigned often)
{
	unsigned gain[JIT_INVARIANT_NODES] = { 0 };

	for (unsigned i = 1; i < b->ir->count; i++) {
		const struct hull_ir_node *n = &b->ir->nodes[i];
		const uint16_t operands[3] = { n->a, n->b, n->c };

		for (unsigned k = 0; k < 3 && !v->at[i]; k++) {
			unsigned at = v->at[operands[k]];

			if (!operands[k] || !at)
				continue;
			if (!k)
				at = base_of(v, n, at);
			gain[at] = MAX(gain[at], gain_of(v, n, at));
		}
	}
	for (unsigned at = 1; at < v->ir.count; at++)
		v->weight[at] += gain[at] * often;
}

void jit_invariants_find(struct jit_invariants *v, const struct jit_block *blocks, unsigned count,
                         const struct jit_flow *flow, unsigned first_f)
{
	memset(v, 0, sizeof(*v));
	v->ir.arch = blocks[0].ir->arch;
	v->ir.count = 1;
	v->first_f = first_f;
	for (unsigned b = 0; b < count; b++)
		for (unsigned i = 1; i < blocks[b].ir->count; i++)
			if (blocks[b].ir->nodes[i].op == HULL_IR_SET)
				v->changed |= BIT(blocks[b].ir->nodes[i].imm);
	for (unsigned b = 0; b < count; b++) {
		look_at(v, blocks, &blocks[b]);
		weigh(v, &blocks[b], 1u << LOOP_SHIFT * MIN(flow->depth[b], 4u));
	}
}

unsigned jit_invariants_best(const struct jit_invariants *v, unsigned *ret_weight)
{
	unsigned best = 0;

	*ret_weight = WORTH - 1;
	for (unsigned at = 1; at < v->ir.count && v->count < JIT_KEPT; at++)
		if (!v->kept[at] && v->weight[at] > *ret_weight) {
			best = at;
			*ret_weight = v->weight[at];
		}
	return best;
}

void jit_invariants_keep(struct jit_invariants *v, unsigned at)
{
	v->kept[at] = (uint8_t)++v->count;
}

void jit_invariants_use(struct jit_invariants *v, const struct jit_block *blocks,
                        struct hull_ir *irs, unsigned count)
{
	unsigned nodes = v->ir.count;

	for (unsigned b = 0; b < count && v->count; b++) {
		look_at(v, blocks, &blocks[b]);
		for (unsigned i = 1; i < irs[b].count; i++)
			if (v->kept[v->at[i]])
				irs[b].nodes[i] =
					(struct hull_ir_node){ .op = HULL_IR_KEPT,
					                       .imm = v->kept[v->at[i]] - 1u };
	}
	for (unsigned at = 1; at < nodes; at++)
		if (v->kept[at])
			v->ir.nodes[v->ir.count++] = (struct hull_ir_node){
				.op = HULL_IR_KEEP, .a = (uint16_t)at, .imm = v->kept[at] - 1u
			};
}
