/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where values are: registers, pins, words of the state. */
#include "engine/jit/gen_impl.h"

#include "base/bits.h"
#include "base/mem.h"

static bool is_temp(const struct jit_gen *g, host_reg r)
{
	for (unsigned i = 0; i < g->temp_count; i++)
		if (g->temps[i] == r)
			return true;
	return false;
}

static bool is_f_temp(const struct jit_gen *g, host_reg r)
{
	for (unsigned i = 0; i < g->f_temp_count; i++)
		if (g->f_temps[i] == r)
			return true;
	return false;
}

static bool is_pinned(const struct jit_gen *g, unsigned slot)
{
	return g->pin_reg[slot] != HOST_NO_REG;
}

static bool is_f_slot(const struct jit_gen *g, unsigned slot)
{
	return slot >= g->arch->first_f;
}

static int32_t spill_state(unsigned spill)
{
	return ENGINE_STATE(spill) + 8 * (int32_t)(spill - 1);
}

static bool has_place(const struct value *v)
{
	return v->reg != HOST_NO_REG || v->freg != HOST_NO_REG || v->home || v->spill;
}

static void spill(struct jit_gen *g, struct value *v)
{
	unsigned k = g->spills == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~g->spills);

	if (k >= ENGINE_SPILLS) {
		g->bail = JIT_BAIL_TOO_LONG;
		return;
	}
	g->spills |= BIT(k);
	v->spill = (uint8_t)(k + 1);
	if (v->reg != HOST_NO_REG)
		host_set_state(&g->e, spill_state(v->spill), host_r(v->reg));
	else
		host_fput(&g->e, v->f_bits, spill_state(v->spill), v->freg);
}

/* Pins and constants are never in the tables of temporaries, so every entry may have to be saved.
 */
static void evict(struct jit_gen *g, uint16_t *entry, bool is_f)
{
	struct value *v = &g->v[*entry];
	bool elsewhere;

	if (!*entry)
		return;
	elsewhere = v->home || v->spill || (is_f ? v->reg : v->freg) != HOST_NO_REG;
	if (v->uses && !elsewhere)
		spill(g, v);
	*(is_f ? &v->freg : &v->reg) = HOST_NO_REG;
	*entry = 0;
}

static bool is_locked(const struct jit_gen *g, unsigned k, bool is_f)
{
	return is_f ? g->f_locked >> g->f_temps[k] & 1 : g->temps[k] == g->locked;
}

/* A free temporary, else the one that was taken longest ago: two that are taken in a row differ. */
static unsigned take(struct jit_gen *g, uint16_t *values, unsigned count, unsigned *next, bool is_f)
{
	unsigned k = count;

	for (unsigned i = 0; i < count; i++) {
		unsigned at = (*next + i) % count;

		if (is_locked(g, at, is_f))
			continue;
		if (k == count)
			k = at;
		if (!values[at]) {
			k = at;
			break;
		}
	}
	*next = k + 1;
	evict(g, &values[k], is_f);
	return k;
}

static host_reg take_temp(struct jit_gen *g, unsigned n)
{
	unsigned k = take(g, g->temp_value, g->temp_count, &g->temp_next, false);

	g->temp_value[k] = (uint16_t)n;
	g->v[n].reg = g->temps[k];
	return g->temps[k];
}

static host_reg take_f_temp(struct jit_gen *g, unsigned n, unsigned bits)
{
	unsigned k = take(g, g->f_temp_value, g->f_temp_count, &g->f_temp_next, true);

	g->f_temp_value[k] = (uint16_t)n;
	g->v[n].freg = g->f_temps[k];
	g->v[n].f_bits = (uint8_t)bits;
	g->v[n].boxed = false;
	return g->f_temps[k];
}

static void free_places(struct jit_gen *g, unsigned n)
{
	struct value *v = &g->v[n];

	for (unsigned i = 0; i < g->temp_count; i++)
		if (g->temp_value[i] == n)
			g->temp_value[i] = 0;
	for (unsigned i = 0; i < g->f_temp_count; i++)
		if (g->f_temp_value[i] == n)
			g->f_temp_value[i] = 0;
	if (v->spill)
		g->spills_over |= BIT(v->spill - 1);
	v->spill = 0;
}

void gen_save_temps(struct jit_gen *g)
{
	for (unsigned i = 0; i < g->temp_count + g->f_temp_count; i++) {
		bool is_f = i >= g->temp_count;
		unsigned n = is_f ? g->f_temp_value[i - g->temp_count] : g->temp_value[i];
		struct value *v = &g->v[n];
		uint64_t k;

		if (n && v->uses && !v->home && !v->spill && !gen_const(g, n, &k))
			spill(g, v);
	}
}

void gen_release(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct value *v = &g->v[n];

	if (!n || !v->uses)
		return;
	if (--v->uses)
		return;
	free_places(g, n);
	if (!v->done) {
		v->done = true;
		gen_release(g, node->a);
		gen_release(g, node->b);
		gen_release(g, node->c);
	}
}

bool gen_const(const struct jit_gen *g, unsigned n, uint64_t *ret)
{
	const struct hull_ir_node *node = gen_node(g, n);

	if (n && node->op != HULL_IR_CONST)
		return false;
	*ret = n ? node->imm : 0;
	return true;
}

/* Uses of `what` that end when the lazy value n is computed, which others may want, too, if `top`.
 */
static unsigned uses_below(const struct jit_gen *g, unsigned n, unsigned what, bool top)
{
	const struct hull_ir_node *node = gen_node(g, n);

	if (!n)
		return 0;
	if (n == what)
		return !top;
	if (g->v[n].done || has_place(&g->v[n]) || (!top && g->v[n].uses > 1) ||
	    node->op == HULL_IR_CONST || node->op == HULL_IR_GET)
		return 0;
	return uses_below(g, node->a, what, false) + uses_below(g, node->b, what, false) +
	       uses_below(g, node->c, what, false);
}

/* Would a write to the slot's place now destroy a value that somebody still wants, n's computation
 * apart? */
static bool in_the_way(const struct jit_gen *g, unsigned slot, unsigned below)
{
	unsigned old = g->slot_value[slot];
	const struct value *v = &g->v[old];
	host_reg pin = g->pin_reg[slot];
	bool here;

	if (!old || !v->uses)
		return false;
	if (!is_pinned(g, slot))
		here = v->home == slot + 1 && v->reg == HOST_NO_REG && v->freg == HOST_NO_REG;
	else
		here = is_f_slot(g, slot) ? v->freg == pin : v->reg == pin;
	return here && v->uses > below;
}

/* Another place of the old value, before its slot is overwritten. */
static void displace(struct jit_gen *g, unsigned slot)
{
	unsigned old = g->slot_value[slot];
	host_reg pin = g->pin_reg[slot];
	struct value *v = &g->v[old];

	if (is_f_slot(g, slot)) {
		bool boxed = v->boxed;

		if (!is_pinned(g, slot)) {
			gen_in_freg(g, old, 64);
			v->home = 0; /* no longer: if the register is taken, too, it is spilled */
			return;
		}
		v->freg = HOST_NO_REG;
		host_fmov(&g->e, take_f_temp(g, old, v->f_bits), pin);
		v->boxed = boxed;
		return;
	}
	if (!is_pinned(g, slot)) {
		gen_in_reg(g, old);
		v->home = 0;
		return;
	}
	v->reg = HOST_NO_REG;
	host_mov(&g->e, take_temp(g, old), host_r(pin));
}

/* The old value of a slot is no longer in the slot's place. */
static void forget_slot(struct jit_gen *g, unsigned slot)
{
	unsigned old = g->slot_value[slot];
	struct value *v = &g->v[old];
	host_reg pin = g->pin_reg[slot];

	g->slot_value[slot] = 0;
	if (!old)
		return;
	if (v->home == slot + 1)
		v->home = 0;
	if (is_pinned(g, slot) && !is_f_slot(g, slot) && v->reg == pin)
		v->reg = HOST_NO_REG;
	if (is_pinned(g, slot) && is_f_slot(g, slot) && v->freg == pin)
		v->freg = HOST_NO_REG;
	if (!v->uses)
		return;
	for (unsigned s = 1; s < HULL_IR_SLOTS; s++) { /* another slot may have the same value */
		if (g->slot_value[s] != old)
			continue;
		if (!is_pinned(g, s))
			v->home = (uint8_t)(s + 1);
		else if (!is_f_slot(g, s) && v->reg == HOST_NO_REG)
			v->reg = g->pin_reg[s];
	}
}

host_reg gen_result(struct jit_gen *g, unsigned n)
{
	struct value *v = &g->v[n];
	unsigned slot = v->set - 1u;

	v->done = true;
	if (v->set && !is_f_slot(g, slot) && is_pinned(g, slot) && !in_the_way(g, slot, 0)) {
		forget_slot(g, slot);
		v->reg = g->pin_reg[slot];
		g->slot_value[slot] = (uint16_t)n; /* SET follows before anything can look */
		return v->reg;
	}
	return take_temp(g, n);
}

host_reg gen_f_result(struct jit_gen *g, unsigned n, unsigned bits)
{
	struct value *v = &g->v[n];
	unsigned slot = v->set - 1u;

	v->done = true;
	if (v->set && is_f_slot(g, slot) && is_pinned(g, slot) && g->pin_bits[slot] == bits &&
	    !in_the_way(g, slot, 0)) {
		forget_slot(g, slot);
		v->freg = g->pin_reg[slot];
		v->boxed = false; /* the number itself; its BOX32 is what the slot gets */
		v->f_bits = (uint8_t)bits;
		g->slot_value[slot] = (uint16_t)n;
		return v->freg;
	}
	return take_f_temp(g, n, bits);
}

/* An address near the code, or anywhere: sums of it and constants are such nodes, too. */
static void place(struct jit_gen *g, unsigned n)
{
	int64_t offset = (int64_t)(gen_node(g, n)->imm + g->block->offset);
	bool is_near = offset == (int32_t)offset;
	host_reg d = gen_result(g, n);

	host_page_address(&g->e, d, is_near ? (int32_t)offset : 0);
	if (!is_near)
		host_alu(&g->e, HOST_ADD, false, d, host_r(d), host_i((uint64_t)offset));
}

void gen_eval(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);

	if (!n || node->op == HULL_IR_CONST || has_place(&g->v[n]) || g->bail)
		return;
	if (node->op == HULL_IR_PC)
		place(g, n);
	else
		gen_compute(g, n);
}

/* A number that is in a floating-point register only, into a general one. */
static void from_freg(struct jit_gen *g, unsigned n)
{
	struct value *v = &g->v[n];
	host_reg f = v->freg, r = take_temp(g, n);

	host_f_to_gpr(&g->e, v->f_bits, r, f);
	if (v->boxed)
		host_compute(&g->e, HULL_IR_BOX32, r, host_r(r), host_i(0));
}

struct host_operand gen_operand(struct jit_gen *g, unsigned n)
{
	struct value *v = &g->v[n];
	uint64_t k;

	if (gen_const(g, n, &k))
		return host_i(k);
	if (v->reg == HOST_NO_REG && !v->home && !v->spill && v->freg != HOST_NO_REG)
		from_freg(g, n);
	if (v->reg != HOST_NO_REG)
		return host_r(v->reg);
	if (v->home)
		return host_s(g->arch->slot_state[v->home - 1]);
	if (v->spill)
		return host_s(spill_state(v->spill));
	g->bail = JIT_BAIL_UNKNOWN_OP;
	return host_i(0);
}

void gen_operands(struct jit_gen *g, unsigned a, unsigned b, struct host_operand *ret_a,
                  struct host_operand *ret_b)
{
	/* Bringing b may evict a, bringing that again does not evict b, which is the latest. */
	gen_operand(g, a);
	*ret_b = gen_operand(g, b);
	*ret_a = gen_operand(g, a);
}

host_reg gen_in_reg(struct jit_gen *g, unsigned n)
{
	struct host_operand o;
	host_reg r;

	gen_eval(g, n);
	o = gen_operand(g, n);
	if (o.kind == HOST_REG)
		return o.reg;
	r = take_temp(g, n);
	host_mov(&g->e, r, o);
	return r;
}

void gen_put(struct jit_gen *g, int32_t state, unsigned n)
{
	struct value *v = &g->v[n];

	gen_eval(g, n);
	if (v->freg != HOST_NO_REG && v->reg == HOST_NO_REG)
		host_fput(&g->e, v->f_bits, state, v->freg);
	else
		host_set_state(&g->e, state, gen_operand(g, n));
}

bool gen_any_f(const struct jit_gen *g)
{
	for (unsigned i = 0; i < g->f_temp_count; i++)
		if (g->f_temp_value[i])
			return true;
	for (unsigned i = 0; i < g->pin_count; i++)
		if (g->pins[i].f_bits)
			return true;
	return false;
}

/* The number that a boxed 32-bit value holds, into a register of n, which is UNBOX32. */
static host_reg unbox(struct jit_gen *g, unsigned n)
{
	unsigned boxed = gen_node(g, n)->a;
	const struct hull_ir_node *node = gen_node(g, boxed);
	struct value *v = &g->v[boxed];
	host_reg r;

	if (node->op == HULL_IR_BOX32 && !v->done)
		return gen_in_freg(g, node->a, 32);
	if (v->freg != HOST_NO_REG && v->boxed)
		return v->freg;
	if (v->home && v->reg == HOST_NO_REG && v->freg == HOST_NO_REG) {
		int32_t state = g->arch->slot_state[v->home - 1];

		host_branch_unboxed(&g->e, state, gen_step(g));
		r = take_f_temp(g, n, 32);
		host_fget(&g->e, 32, r, state);
		g->v[n].done = true;
		gen_release(g, boxed);
		return r;
	}
	gen_compute(g, n);
	return gen_in_freg(g, n, 32);
}

host_reg gen_in_freg(struct jit_gen *g, unsigned n, unsigned bits)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct value *v = &g->v[n];
	host_reg r;

	if (g->bail)
		return g->f_temps[0];
	if (v->freg != HOST_NO_REG && (v->f_bits == bits || (v->f_bits == 64 && bits == 32)))
		return v->freg; /* a boxed number's low half is what a store of 32 bits wants */
	if (node->op == HULL_IR_UNBOX32 && bits == 32 && !has_place(v))
		return unbox(g, n);
	gen_eval(g, n);
	if (v->freg != HOST_NO_REG && v->f_bits == bits)
		return v->freg;
	if (v->freg != HOST_NO_REG) /* the wrong width: boxed, or half of a number */
		from_freg(g, n);
	if (v->reg == HOST_NO_REG && (v->home || v->spill)) {
		int32_t state = v->home ? g->arch->slot_state[v->home - 1] : spill_state(v->spill);

		r = take_f_temp(g, n, bits);
		host_fget(&g->e, bits, r, state);
		return r;
	}
	r = take_f_temp(g, n, bits);
	host_f_from_gpr(&g->e, bits, r, gen_operand(g, n));
	return r;
}

void gen_in_fregs(struct jit_gen *g, const unsigned *nodes, unsigned count, unsigned bits,
                  host_reg *ret)
{
	for (unsigned i = 0; i < count; i++) {
		ret[i] = gen_in_freg(g, nodes[i], bits);
		g->f_locked |= (uint32_t)BIT(ret[i]);
	}
	g->f_locked = 0;
}

/* The number whose BOX32 n is, if n has not been computed; else 0. */
static unsigned payload_of(const struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);

	return node->op == HULL_IR_BOX32 && !g->v[n].done && !has_place(&g->v[n]) ? node->a : 0;
}

/*
 * A pinned slot gets the number in node n: a pin of 32 bits the payload of a boxed one.  Its
 * content is known by that node.
 */
static void set_f_pin(struct jit_gen *g, unsigned slot, unsigned n)
{
	unsigned bits = g->pin_bits[slot], payload = bits == 32 ? payload_of(g, n) : 0;
	unsigned known = payload ? payload : n;
	host_reg r = gen_in_freg(g, known, bits), pin = g->pin_reg[slot];

	if (r != pin) {
		if (in_the_way(g, slot, 0)) {
			g->f_locked = (uint32_t)BIT(r);
			displace(g, slot);
			g->f_locked = 0;
		}
		host_fmov(&g->e, pin, r);
	}
	if (g->slot_value[slot] != known)
		forget_slot(g, slot);
	g->slot_value[slot] = (uint16_t)known;
	if (!is_f_temp(g, g->v[known].freg)) {
		g->v[known].freg = pin;
		g->v[known].f_bits = (uint8_t)bits;
	}
}

static void set_f(struct jit_gen *g, unsigned slot, unsigned n)
{
	int32_t state = g->arch->slot_state[slot];
	unsigned boxed = payload_of(g, n);

	if (boxed) {
		gen_eval(g, boxed);
		if (g->v[boxed].freg != HOST_NO_REG && !g->v[boxed].boxed) {
			host_fput(&g->e, 32, state, g->v[boxed].freg);
			return;
		}
	}
	gen_eval(g, n);
	if (g->v[n].freg != HOST_NO_REG && g->v[n].reg == HOST_NO_REG &&
	    (g->v[n].f_bits == 64 || g->v[n].boxed))
		host_fput(&g->e, g->v[n].f_bits, state, g->v[n].freg);
	else
		host_set_state(&g->e, state, gen_operand(g, n));
}

static void set_x(struct jit_gen *g, unsigned slot, unsigned n)
{
	struct value *v = &g->v[n];
	host_reg pin = g->pin_reg[slot];
	uint64_t k;

	if (!is_pinned(g, slot)) {
		gen_eval(g, n);
		/* Computing n may have taken the register of the old value, which is here, too. */
		if (g->slot_value[slot] != n && in_the_way(g, slot, 0))
			displace(g, slot);
		host_set_state(&g->e, g->arch->slot_state[slot], gen_operand(g, n));
		return;
	}
	if (!has_place(v) && !v->done && !gen_const(g, n, &k)) {
		v->set = (uint8_t)(slot + 1);
		gen_eval(g, n);
		v->set = 0;
	}
	if (v->reg == pin)
		return;
	host_mov(&g->e, pin, gen_operand(g, n));
	if (gen_const(g, n, &k) || (v->reg != HOST_NO_REG && !is_temp(g, v->reg)))
		return;
	for (unsigned i = 0; i < g->temp_count; i++) /* the pin will do from now on */
		if (g->temp_value[i] == n)
			g->temp_value[i] = 0;
	v->reg = pin;
}

void gen_set_slot(struct jit_gen *g, unsigned slot, unsigned n)
{
	struct value *v = &g->v[n];
	bool same = g->slot_value[slot] == n;
	bool here = is_pinned(g, slot) ? v->reg == g->pin_reg[slot] : v->home == slot + 1;

	gen_let_go_set(g, slot, n);
	if (is_f_slot(g, slot) && is_pinned(g, slot)) {
		set_f_pin(g, slot, n);
		gen_release(g, n);
		return;
	}
	if (!(same && here)) {
		struct value *old = &g->v[g->slot_value[slot]];

		if (!same && in_the_way(g, slot, uses_below(g, n, g->slot_value[slot], true)))
			displace(g, slot);
		else if (!same && !is_pinned(g, slot) && old->home == slot + 1 &&
		         (old->reg != HOST_NO_REG || old->freg != HOST_NO_REG))
			old->home = 0; /* if the register is taken for n, it must be spilled */
		if (is_f_slot(g, slot))
			set_f(g, slot, n);
		else
			set_x(g, slot, n);
	}
	if (g->slot_value[slot] != n)
		forget_slot(g, slot);
	g->slot_value[slot] = (uint16_t)n;
	if (!is_pinned(g, slot))
		v->home = (uint8_t)(slot + 1);
	gen_release(g, n);
}

static bool may_leave(const struct hull_ir *ir, const struct hull_ir_node *n)
{
	switch (n->op) {
	case HULL_IR_LOAD:
	case HULL_IR_STORE:
	case HULL_IR_FP_ON:
	case HULL_IR_FP_ROUND: return true;
	case HULL_IR_CALL:
		return ir->arch->helpers[n->aux].effects &
		       (HULL_IR_FAULTS | HULL_IR_LEAVES | HULL_IR_SYSTEM | HULL_IR_EXACT);
	default: return hull_ir_ops[n->op].kind == HULL_IR_EXIT;
	}
}

void gen_values_begin(struct jit_gen *g)
{
	const struct hull_ir *ir = g->ir;
	uint64_t overwritten = 0; /* slots that are SET further on, before the block can be left */

	memset(g->v, 0, ir->count * sizeof(g->v[0]));
	memset(g->slot_value, 0, sizeof(g->slot_value));
	memset(g->temp_value, 0, sizeof(g->temp_value));
	memset(g->f_temp_value, 0, sizeof(g->f_temp_value));
	g->spills = g->spills_over = 0;
	for (unsigned i = 0; i < ir->count; i++) {
		bool kept = ir->nodes[i].op == HULL_IR_KEPT;

		g->v[i].done = kept;
		g->v[i].reg = kept ? g->in->kept[ir->nodes[i].imm] : HOST_NO_REG;
		g->v[i].freg = HOST_NO_REG;
	}
	for (unsigned i = ir->count; i-- > 1;) {
		const struct hull_ir_node *n = &ir->nodes[i];
		bool pure = hull_ir_ops[n->op].kind == HULL_IR_PURE ||
		            (n->op == HULL_IR_CALL && !ir->arch->helpers[n->aux].effects);

		if (may_leave(ir, n))
			overwritten = 0;
		if (n->op == HULL_IR_SET) {
			g->v[i].dead = overwritten >> n->imm & 1;
			overwritten |= BIT(n->imm);
		}
		if ((pure && !g->v[i].uses) || g->v[i].dead)
			continue;
		g->v[n->a].uses++;
		g->v[n->b].uses++;
		g->v[n->c].uses++;
	}
}
