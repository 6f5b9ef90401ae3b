/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Pages that a region holds: what a loop accesses through a register that stays, or only grows, is
 * looked up when it comes to a page, not at each access (cpu.h: engine_held).
 */
#include "engine/jit/gen_impl.h"

#include "base/bits.h"
#include "base/mem.h"
#include "engine/jit/flow.h"

enum {
	REACH = 1024,   /* offsets from the register */
	LOOP_SHIFT = 3, /* a loop is executed 8 times, more or less */
	GAIN = 3,       /* host instructions that an access gets shorter by */
	LOSS = 16,      /* those of another look at the TLB after the register was SET */
};

struct candidate {
	unsigned weight; /* accesses */
	int32_t lo, hi;
};

struct plan {
	struct candidate of[HULL_IR_SLOTS][2];
	unsigned lost[HULL_IR_SLOTS];  /* SETs to anything else than a little more */
	uint16_t value[HULL_IR_SLOTS]; /* node that the slot has now */
};

/* The node is `old` and a little more. */
static bool grows(const struct hull_ir *ir, unsigned n, unsigned old)
{
	const struct hull_ir_node *node = &ir->nodes[n], *by = &ir->nodes[node->b];

	return old && node->op == HULL_IR_ADD && node->a == old && by->op == HULL_IR_CONST &&
	       by->imm && by->imm < ENGINE_HELD_STEP;
}

static void count_access(struct plan *p, const struct hull_ir *ir, const struct hull_ir_node *n,
                         unsigned often)
{
	bool write = n->op == HULL_IR_STORE;
	int32_t bytes = (int32_t)(write ? n->aux : hull_ir_load_bits(n->aux)) / 8, lo = 0;
	const struct hull_ir_node *a = &ir->nodes[n->a], *by = &ir->nodes[a->b];
	unsigned base = n->a;

	if (a->op == HULL_IR_ADD && by->op == HULL_IR_CONST) {
		if (by->imm + REACH >= 2 * REACH)
			return;
		lo = (int32_t)by->imm;
		base = a->a;
	}
	for (unsigned s = 1; s < HULL_IR_SLOTS; s++) {
		struct candidate *c = &p->of[s][write];

		if (!base || p->value[s] != base)
			continue;
		c->lo = c->weight ? MIN(c->lo, lo) : lo;
		c->hi = c->weight ? MAX(c->hi, lo + bytes - 1) : lo + bytes - 1;
		c->weight += often;
	}
}

static bool changes_translations(const struct hull_ir *ir, const struct hull_ir_node *n)
{
	return n->op == HULL_IR_CALL && (ir->arch->helpers[n->aux].effects & HULL_IR_SYSTEM);
}

static void count_block(struct plan *p, const struct hull_ir *ir, unsigned often)
{
	memset(p->value, 0, sizeof(p->value));
	for (unsigned i = 1; i < ir->count; i++) {
		const struct hull_ir_node *n = &ir->nodes[i];

		if (n->op == HULL_IR_GET)
			p->value[n->imm] = (uint16_t)i;
		if (n->op == HULL_IR_LOAD || n->op == HULL_IR_STORE)
			count_access(p, ir, n, often);
		if (n->op == HULL_IR_SET) {
			p->lost[n->imm] += grows(ir, n->a, p->value[n->imm]) ? 0 : often;
			p->value[n->imm] = n->a;
		}
		for (unsigned s = 1; s < HULL_IR_SLOTS && changes_translations(ir, n); s++)
			p->lost[s] += often;
	}
}

/* What it is worth to hold the pages of a slot; 0: nothing. */
static unsigned gain_of(const struct jit_gen *g, const struct plan *p, unsigned slot, bool write)
{
	const struct candidate *c = &p->of[slot][write];
	unsigned gain = GAIN * c->weight, loss = LOSS * (p->lost[slot] + 1);

	if (slot >= g->arch->first_f || g->pin_reg[slot] == HOST_NO_REG || c->hi - c->lo >= REACH)
		return 0;
	return gain > loss ? gain - loss : 0;
}

void gen_hold_pages(struct jit_gen *g)
{
	struct plan p = { 0 };
	struct jit_flow flow;

	g->held_count = 0;
	if (!g->regional || !host_info.holds)
		return;
	jit_flow_find(g->in->blocks, g->in->block_count, &flow);
	for (unsigned b = 0; b < g->in->block_count; b++)
		count_block(&p, g->in->blocks[b].ir, 1u << LOOP_SHIFT * MIN(flow.depth[b], 4u));
	while (g->held_count < ENGINE_HELD) {
		unsigned best = 0, gain = 0;

		for (unsigned i = 2; i < 2 * HULL_IR_SLOTS; i++) {
			unsigned more = gain_of(g, &p, i / 2, i & 1);

			if (more > gain) {
				gain = more;
				best = i;
			}
		}
		if (!gain)
			return;
		g->held[g->held_count++] =
			(struct held){ (uint8_t)(best / 2), best & 1, p.of[best / 2][best & 1].lo,
			               p.of[best / 2][best & 1].hi };
		p.of[best / 2][best & 1].weight = 0;
	}
}

unsigned gen_held(const struct jit_gen *g, unsigned base, int32_t lo, int32_t hi, bool write)
{
	for (unsigned i = 0; i < g->held_count; i++) {
		const struct held *h = &g->held[i];

		if (h->write == write && g->slot_value[h->slot] == base && base &&
		    g->v[base].reg == g->pin_reg[h->slot] && lo >= h->lo && hi <= h->hi)
			return i + 1;
	}
	return 0;
}

void gen_hold(struct jit_gen *g, const struct stub *s)
{
	const struct held *h = &g->held[s->held - 1];
	host_label slow = host_new_label(&g->e);

	host_tlb(&g->e, h->write, s->a, h->lo, h->hi, host_info.addend, slow);
	host_hold(&g->e, s->held - 1u, s->a.reg, h->hi, host_info.addend);
	host_jump(&g->e, s->fast);
	host_bind(&g->e, slow);
}

static void let_go(struct jit_gen *g, uint64_t slots)
{
	for (unsigned i = 0; i < g->held_count; i++)
		if (slots >> g->held[i].slot & 1)
			host_let_go(&g->e, i);
}

void gen_let_go_set(struct jit_gen *g, unsigned slot, unsigned n)
{
	if (g->in_group)
		g->group_sets |= BIT(slot);
	else if (!grows(g->ir, n, g->slot_value[slot]))
		let_go(g, BIT(slot));
}

void gen_let_go_group(struct jit_gen *g)
{
	g->in_group = false;
	let_go(g, g->group_sets);
}

void gen_let_go_all(struct jit_gen *g)
{
	let_go(g, UINT64_MAX);
}
