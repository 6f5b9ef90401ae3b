/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What is known at the begin of each block of a region, whichever way it was reached: slots that
 * are constants or addresses of code, slots that have the same value, and that the FP unit is on.
 *
 * The analysis is optimistic: a block that was not reached yet says nothing, and edges that a known
 * condition excludes are none.
 */
#include "engine/jit/flow.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"

struct known {
	enum { ANY, NUMBER, PLACE } kind; /* PLACE: bytes from the first one of the entry's page */
	uint64_t v;
};

struct state {
	struct known slot[HULL_IR_SLOTS];
	uint8_t same[HULL_IR_SLOTS]; /* the first slot that has the same value */
	bool fp_on;
};

struct jit_facts {
	struct state in[JIT_BLOCKS];
	struct known value[HULL_IR_MAX];
	uint64_t reached, work;
	/* The block that is looked at. */
	const struct jit_block *blocks;
	unsigned count, first_f; /* slots from there are floating-point */
	struct state now;        /* `same` apart: */
	/*
	 * Numbers of values: below HULL_IR_SLOTS, what that slot had at the begin of the block,
	 * else HULL_IR_SLOTS + the node.
	 */
	uint16_t slot_number[HULL_IR_SLOTS], number[HULL_IR_MAX];
	/* While nodes are changed: the node that has the value of node i; that has what a slot had.
	 */
	uint16_t in_place_of[HULL_IR_MAX], got[HULL_IR_SLOTS];
	struct jit_passes *done;
};

struct jit_facts *jit_facts_new(unsigned first_f)
{
	struct jit_facts *f = calloc(1, sizeof(*f));

	if (f)
		f->first_f = first_f;
	return f;
}

void jit_facts_free(struct jit_facts *f)
{
	free(f);
}

static uint64_t base_of(const struct jit_block *b)
{
	return (uint64_t)((int64_t)b->page * 4096 + b->offset);
}

static bool same(struct known a, struct known b)
{
	return a.kind == b.kind && (a.kind == ANY || a.v == b.v);
}

/* The first slot up to s that has the same value now, and had where `in` was made, if not NULL. */
static uint8_t first_same(const struct jit_facts *f, const struct state *in, unsigned s)
{
	unsigned t = s < f->first_f ? 1 : s;

	while (t < s &&
	       (f->slot_number[t] != f->slot_number[s] || (in && in->same[t] != in->same[s])))
		t++;
	return (uint8_t)t;
}

/* Slots that are no longer the same on all ways to `in`: were there any? */
static bool part(const struct jit_facts *f, struct state *in)
{
	struct state before = *in;
	bool changed = false;

	for (unsigned s = 1; s < f->first_f; s++) {
		if (before.same[s] == s)
			continue;
		in->same[s] = first_same(f, &before, s);
		changed |= in->same[s] != before.same[s];
	}
	return changed;
}

/* Block `to`, number + 1, may be reached with what is known now. */
static void flow_to(struct jit_facts *f, unsigned to)
{
	struct state *in;
	bool changed = false;

	if (!to)
		return;
	in = &f->in[to - 1];
	if (!(f->reached & BIT(to - 1))) {
		f->reached |= BIT(to - 1);
		f->work |= BIT(to - 1);
		*in = f->now;
		for (unsigned s = 0; s < HULL_IR_SLOTS; s++)
			in->same[s] = first_same(f, NULL, s);
		return;
	}
	changed = part(f, in);
	for (unsigned s = 0; s < HULL_IR_SLOTS; s++)
		if (in->slot[s].kind != ANY && !same(in->slot[s], f->now.slot[s])) {
			in->slot[s].kind = ANY;
			changed = true;
		}
	if (in->fp_on && !f->now.fp_on) {
		in->fp_on = false;
		changed = true;
	}
	if (changed)
		f->work |= BIT(to - 1);
}

static struct known value_of(const struct jit_facts *f, const struct jit_block *b,
                             const struct hull_ir_node *n)
{
	const struct known *a = &f->value[n->a], *c = &f->value[n->b];
	unsigned operands = hull_ir_ops[n->op].operands;

	switch (n->op) {
	case HULL_IR_CONST: return (struct known){ NUMBER, n->imm };
	case HULL_IR_PC: return (struct known){ PLACE, base_of(b) + n->imm };
	case HULL_IR_GET: return f->now.slot[n->imm];
	default: break;
	}
	if (hull_ir_ops[n->op].kind != HULL_IR_PURE)
		return (struct known){ ANY, 0 };
	if (a->kind == PLACE && c->kind == NUMBER &&
	    (n->op == HULL_IR_ADD || (n->op == HULL_IR_AND && c->v == ~UINT64_C(1))))
		return (struct known){ PLACE, n->op == HULL_IR_ADD ? a->v + c->v : a->v & c->v };
	if (a->kind != NUMBER || (operands > 1 && c->kind != NUMBER) ||
	    (operands > 2 && f->value[n->c].kind != NUMBER))
		return (struct known){ ANY, 0 };
	return (struct known){ NUMBER, hull_ir_compute((enum hull_ir_op)n->op, a->v, c->v,
		                                       operands > 2 ? f->value[n->c].v : 0) };
}

/* A jump to a known address is as good as a GOTO there. */
static bool is_near(struct known to)
{
	return to.kind == PLACE && !(to.v & 1) && to.v + (1 << 20) < 1 << 21;
}

/* Node i of b, its value and where it goes; false: nothing behind it is performed. */
static bool step(struct jit_facts *f, const struct jit_block *b, unsigned i)
{
	const struct hull_ir_node *n = &b->ir->nodes[i];
	struct known a = f->value[n->a];

	f->value[i] = value_of(f, b, n);
	f->number[i] =
		n->op == HULL_IR_GET ? f->slot_number[n->imm] : (uint16_t)(HULL_IR_SLOTS + i);
	switch (n->op) {
	case HULL_IR_SET:
		f->now.slot[n->imm] = a;
		f->slot_number[n->imm] = f->number[n->a];
		return true;
	case HULL_IR_FP_ON:
	case HULL_IR_FP_ROUND: f->now.fp_on = true; return true;
	case HULL_IR_CALL:
		if (b->ir->arch->helpers[n->aux].effects & HULL_IR_SYSTEM)
			f->now.fp_on = false;
		return true;
	case HULL_IR_BRANCH:
		if (a.kind != NUMBER || a.v)
			flow_to(f, jit_block_at(f->blocks, f->count, b, b->offset + (int32_t)n->imm,
			                        b->context));
		return a.kind != NUMBER || !a.v;
	case HULL_IR_GOTO:
		flow_to(f, jit_block_after(f->blocks, f->count, b, b->offset + (int32_t)n->imm));
		return false;
	case HULL_IR_JUMP:
		flow_to(f, is_near(a) ? jit_block_after(f->blocks, f->count, b,
		                                        (int32_t)(a.v - (uint64_t)(b->page * 4096)))
		                      : b->back);
		return false;
	default: return true;
	}
}

static void begin(struct jit_facts *f, unsigned at)
{
	f->now = f->in[at];
	for (unsigned s = 0; s < HULL_IR_SLOTS; s++)
		f->slot_number[s] = f->in[at].same[s];
}

static void look_at(struct jit_facts *f, unsigned at)
{
	const struct jit_block *b = &f->blocks[at];

	begin(f, at);
	for (unsigned i = 1; i < b->ir->count && step(f, b, i);)
		i++;
}

/* Does the entry block use the FP unit, whatever happens in it? */
static bool begins_with_fp(const struct hull_ir *ir)
{
	for (unsigned i = 1; i < ir->count && ir->nodes[i].op != HULL_IR_BRANCH; i++)
		if (ir->nodes[i].op == HULL_IR_FP_ON || ir->nodes[i].op == HULL_IR_FP_ROUND)
			return true;
	return false;
}

/* A register that has the number already is better than what does not fit into an instruction. */
static bool dear(const struct jit_facts *f, const struct hull_ir_node *n, uint64_t v)
{
	return n->op == HULL_IR_GET && (n->imm >= f->first_f || (int64_t)v != (int32_t)v);
}

/* The slot has the value already that node n is about to give it. */
static bool has_already(const struct jit_facts *f, const struct hull_ir_node *n)
{
	struct known is = f->now.slot[n->imm], a = f->value[n->a];

	return f->slot_number[n->imm] == f->number[n->a] || (is.kind == NUMBER && same(is, a));
}

/* Node i reads a slot: an older node will do, or another slot. */
static void get_same(struct jit_facts *f, struct hull_ir_node *n, unsigned i)
{
	unsigned first = f->number[i];

	if (first >= HULL_IR_SLOTS)
		return;
	if (f->got[first]) {
		f->in_place_of[i] = f->got[first];
		*n = (struct hull_ir_node){ .op = HULL_IR_CONST };
		f->done->copies++;
		return;
	}
	f->got[first] = (uint16_t)i;
	if (n->imm != first && f->slot_number[first] == first) {
		n->imm = first;
		f->done->copies++;
	}
}

/* Put what is known into the nodes of a block. */
static void rewrite(struct jit_facts *f, struct jit_block *b, struct hull_ir *ir, unsigned at)
{
	begin(f, at);
	memset(f->got, 0, sizeof(f->got));
	for (unsigned i = 1; i < ir->count; i++) {
		struct hull_ir_node *n = &ir->nodes[i];
		struct known a = f->value[n->a], v;
		bool needless = n->op == HULL_IR_SET && has_already(f, n);
		bool on = step(f, b, i);

		v = f->value[i];
		f->in_place_of[i] = (uint16_t)i;
		n->a = f->in_place_of[n->a];
		n->b = f->in_place_of[n->b];
		n->c = f->in_place_of[n->c];
		if (needless) {
			*n = (struct hull_ir_node){ .op = HULL_IR_CONST };
			f->done->copies++;
		} else if (v.kind == NUMBER && !dear(f, n, v.v)) {
			f->done->constants += n->op != HULL_IR_CONST;
			*n = (struct hull_ir_node){ .op = HULL_IR_CONST, .imm = v.v };
		} else if (n->op == HULL_IR_GET) {
			get_same(f, n, i);
		} else if (n->op == HULL_IR_JUMP && is_near(a)) {
			*n = (struct hull_ir_node){ .op = HULL_IR_GOTO, .imm = a.v - base_of(b) };
		} else if (n->op == HULL_IR_BRANCH && a.kind == NUMBER && !a.v) {
			*n = (struct hull_ir_node){ .op = HULL_IR_CONST };
		} else if (n->op == HULL_IR_BRANCH && a.kind == NUMBER) {
			*n = (struct hull_ir_node){ .op = HULL_IR_GOTO, .imm = n->imm };
			b->callee = b->back = 0;
		}
		if (!on)
			ir->count = i + 1;
	}
}

void jit_facts_use(struct jit_facts *f, struct jit_block *blocks, struct hull_ir *irs,
                   unsigned count, struct jit_passes *done)
{
	f->done = done;
	f->blocks = blocks;
	f->count = count;
	f->reached = f->work = 1;
	memset(&f->in[0], 0, sizeof(f->in[0]));
	for (unsigned s = 0; s < HULL_IR_SLOTS; s++)
		f->in[0].same[s] = (uint8_t)s;
	f->in[0].fp_on = begins_with_fp(&irs[0]);
	while (f->work) {
		unsigned at = (unsigned)__builtin_ctzll(f->work);

		f->work &= f->work - 1;
		look_at(f, at);
	}
	for (unsigned i = 0; i < count; i++)
		if (f->reached >> i & 1) {
			blocks[i].fp_on = f->in[i].fp_on;
			rewrite(f, &blocks[i], &irs[i], i);
		}
}
