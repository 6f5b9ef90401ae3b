/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Regions: pins of their own, and the way from and to the canonical ones. */
#include "engine/jit/gen_impl.h"

#include "base/bits.h"

/* Does the slot stay where it is, in the same register on both sides? */
static bool stays(const struct jit_gen *g, const struct jit_pin *canonical)
{
	return g->pin_reg[canonical->slot] == canonical->reg;
}

static bool is_canonical(const struct jit_gen *g, const struct jit_pin *pin)
{
	for (unsigned i = 0; i < g->canonical_count; i++)
		if (g->canonical[i].slot == pin->slot && g->canonical[i].reg == pin->reg)
			return true;
	return false;
}

void gen_find_dirty(struct jit_gen *g)
{
	g->dirty = 0;
	for (unsigned b = 0; b < g->in->block_count; b++) {
		const struct hull_ir *ir = g->in->blocks[b].ir;

		for (unsigned i = 1; i < ir->count; i++)
			if (ir->nodes[i].op == HULL_IR_SET)
				g->dirty |= BIT(ir->nodes[i].imm);
	}
}

/* Another tier takes it from here, until the FP unit is on and numbers are boxed. */
static struct stub *step_at_entry(struct jit_gen *g)
{
	struct stub *s = gen_stub(g, STUB_LEAVE);

	s->number = JIT_EXIT_STEP;
	s->canonical = true;
	s->desc = JIT_DESC(g->in->blocks[0].offset, 0);
	return s;
}

void gen_keep(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);

	gen_eval(g, node->a);
	host_mov(&g->e, g->in->kept[node->imm], gen_operand(g, node->a));
	gen_release(g, node->a);
}

void gen_entry(struct jit_gen *g)
{
	if (!g->in->entry)
		return;
	g->block = &g->in->blocks[0];
	g->ir = g->in->entry;
	gen_values_begin(g);
	for (unsigned i = 1; i < g->ir->count && !g->bail; i++)
		gen_perform(g, i);
}

void gen_glue_in(struct jit_gen *g)
{
	struct host_emit *e = &g->e;
	struct stub *s = NULL;

	if (g->in->blocks[0].fp_on) {
		s = step_at_entry(g);
		host_branch_byte(e, ENGINE_STATE(fp_fast), s->at);
	}
	for (unsigned i = 0; i < g->pin_count; i++) {
		if (g->pins[i].f_bits != 32)
			continue;
		if (!s)
			s = step_at_entry(g);
		host_branch_unboxed(e, g->arch->slot_state[g->pins[i].slot], s->at);
	}
	for (unsigned i = 0; i < g->canonical_count; i++)
		if (!stays(g, &g->canonical[i]))
			host_set_state(e, g->arch->slot_state[g->canonical[i].slot],
			               host_r(g->canonical[i].reg));
	for (unsigned i = 0; i < g->pin_count; i++) {
		const struct jit_pin *p = &g->pins[i];

		if (p->f_bits)
			host_fget(e, p->f_bits, p->reg, g->arch->slot_state[p->slot]);
		else if (!is_canonical(g, p))
			host_mov(e, p->reg, host_s(g->arch->slot_state[p->slot]));
	}
	gen_let_go_all(g);
	gen_entry(g);
}

void gen_glue_out(struct jit_gen *g)
{
	struct host_emit *e = &g->e;

	if (!g->regional)
		return;
	for (unsigned i = 0; i < g->pin_count; i++) {
		const struct jit_pin *p = &g->pins[i];

		if (!(g->dirty & BIT(p->slot)))
			continue;
		if (p->f_bits)
			host_fput(e, p->f_bits, g->arch->slot_state[p->slot], p->reg);
		else if (!is_canonical(g, p))
			host_set_state(e, g->arch->slot_state[p->slot], host_r(p->reg));
	}
	for (unsigned i = 0; i < g->canonical_count; i++)
		if (!stays(g, &g->canonical[i]))
			host_mov(e, g->canonical[i].reg,
			         host_s(g->arch->slot_state[g->canonical[i].slot]));
}
