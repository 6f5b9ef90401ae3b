/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Guest memory: inline where the TLB answers, a call behind the code where it does not. */
#include "engine/jit/gen_impl.h"

#include "base/bits.h"

/* The address in node n as a base and an offset. */
static unsigned split(const struct jit_gen *g, unsigned n, int32_t *ret_offset)
{
	const struct hull_ir_node *node = gen_node(g, n);
	const struct value *v = &g->v[n];
	uint64_t k;

	*ret_offset = 0;
	if (node->op != HULL_IR_ADD || v->done || !gen_const(g, node->b, &k))
		return n;
	if ((int64_t)k < -(INT64_C(1) << 30) || (int64_t)k > INT64_C(1) << 30)
		return n;
	*ret_offset = (int32_t)k;
	return node->a;
}

/* The result is wanted as a floating-point number of that width; 0: as an integer. */
static unsigned wanted_f(const struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);

	if (g->v[n].set <= g->arch->first_f)
		return 0;
	if (node->op != HULL_IR_LOAD)
		return 0;
	return node->aux == HULL_IR_u32 ? 32 : node->aux == HULL_IR_u64 ? 64 : 0;
}

static void drop_unused(struct jit_gen *g, unsigned n)
{
	if (g->v[n].uses)
		return;
	g->v[n].uses = 1;
	gen_release(g, n);
}

/*
 * Sites are shared by chance only, by instructions at the same place of other pages; but loads
 * and stores never share one: what may be read may not be written.
 */
static unsigned site_of(const struct jit_gen *g, bool write)
{
	return (g->site_salt + (gen_desc(g) >> 1)) % (ENGINE_SITES / 2) * 2 + write;
}

/* Get the addend for the access of stub s. */
static void look_up(struct jit_gen *g, struct stub *s, bool write, unsigned bytes)
{
	unsigned site = site_of(g, write);

	s->fast = host_new_label(&g->e);
	if (s->held)
		host_held(&g->e, s->held - 1u, s->a.reg, host_info.addend, s->at);
	else if (host_site(&g->e, site, s->a, s->offset, bytes, host_info.addend, s->at))
		s->site = (uint16_t)(site + 1);
	else
		host_tlb(&g->e, write, s->a, s->offset, s->offset + (int32_t)bytes - 1,
		         host_info.addend, s->at);
	host_bind(&g->e, s->fast);
}

void gen_site_missed(struct jit_gen *g, const struct stub *s, bool write, unsigned bytes)
{
	host_label slow = host_new_label(&g->e);

	if (s->held)
		gen_hold(g, s);
	if (!s->site && !s->held)
		return;
	host_tlb(&g->e, write, s->a, s->offset, s->offset + (int32_t)bytes - 1, host_info.addend,
	         slow);
	if (s->site)
		host_site_fill(&g->e, s->site - 1u, s->a, s->offset, host_info.addend);
	host_jump(&g->e, s->fast);
	host_bind(&g->e, slow);
}

void gen_load(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	unsigned bytes = hull_ir_load_bits(node->aux) / 8, f_bits = wanted_f(g, n);
	int32_t offset;
	unsigned at = split(g, node->a, &offset);
	host_reg base = gen_in_reg(g, at), d;
	struct stub *s = gen_stub(g, STUB_LOAD);

	s->held = (uint8_t)gen_held(g, at, offset, offset + (int32_t)bytes - 1, false);
	gen_release(g, node->a);
	d = f_bits ? gen_f_result(g, n, f_bits) : gen_result(g, n);
	s->a = host_r(base);
	s->offset = offset;
	s->number = node->aux;
	s->f_bits = (uint8_t)f_bits;
	s->d = d;
	s->keep_f = gen_any_f(g);
	s->desc = gen_desc(g);
	s->imm = gen_fault(g);
	look_up(g, s, false, bytes);
	if (f_bits)
		host_load_f(&g->e, f_bits, d, host_info.addend, host_r(base), offset);
	else
		host_load(&g->e, node->aux, d, host_info.addend, host_r(base), offset);
	host_bind(&g->e, s->back);
	drop_unused(g, n);
}

void gen_store(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct value *v = &g->v[node->b];
	unsigned bits = node->aux, at;
	struct stub *s = gen_stub(g, STUB_STORE);
	bool is_f;
	int32_t offset;
	host_reg base;

	at = split(g, node->a, &offset);
	gen_eval(g, at);
	gen_eval(g, node->b);
	is_f = v->freg != HOST_NO_REG && v->reg == HOST_NO_REG &&
	       (v->f_bits == bits || (v->f_bits == 64 && bits == 32));
	if (!is_f)
		gen_operand(g, node->b);
	base = gen_in_reg(g, at);
	s->held = (uint8_t)gen_held(g, at, offset, offset + (int32_t)bits / 8 - 1, true);
	s->a = host_r(base);
	s->b_is_f = is_f;
	if (is_f) {
		s->d = v->freg;
		s->f_bits = v->f_bits;
	} else {
		s->b = gen_operand(g, node->b);
	}
	s->offset = offset;
	s->number = (uint8_t)bits;
	s->keep_f = gen_any_f(g);
	s->desc = gen_desc(g);
	s->imm = gen_fault(g);
	look_up(g, s, true, bits / 8);
	if (is_f)
		host_store_f(&g->e, bits, v->freg, host_info.addend, host_r(base), offset);
	else
		host_store(&g->e, bits, s->b, host_info.addend, host_r(base), offset);
	host_bind(&g->e, s->back);
	gen_release(g, node->a);
	gen_release(g, node->b);
}

/* The slow way of an atomic access is its helper. */
static struct stub *atomic_stub(struct jit_gen *g, unsigned n, host_reg base, host_reg d)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct stub *s = gen_stub(g, STUB_CALL);

	s->a = host_r(base);
	s->imm = node->imm | (uint64_t)node->aux << 32;
	s->d = d;
	s->keep_f = gen_any_f(g);
	s->desc = gen_desc(g);
	s->offset = gen_fault(g);
	return s;
}

/* The begin of an access at a that writes b: the stub has base, value and result; it is aligned. */
static struct stub *atomic_write(struct jit_gen *g, unsigned n, unsigned bits)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct host_operand value;
	host_reg base;
	struct stub *s;

	gen_eval(g, node->a);
	gen_eval(g, node->b);
	gen_operand(g, node->b);
	base = gen_in_reg(g, node->a);
	value = gen_operand(g, node->b);
	gen_release(g, node->a);
	gen_release(g, node->b);
	s = atomic_stub(g, n, base, gen_result(g, n));
	s->b = value;
	host_check_aligned(&g->e, s->a, 0, bits / 8, s->at);
	return s;
}

void gen_amo(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	unsigned bits = (unsigned)node->imm >> 8;
	struct stub *s = atomic_write(g, n, bits);

	host_tlb(&g->e, true, s->a, 0, (int32_t)bits / 8 - 1, host_info.addend, s->at);
	host_atomic(&g->e, (enum host_atomic)(node->imm & 255), bits, s->d, s->b, host_info.addend,
	            s->a);
	host_bind(&g->e, s->back);
}

void gen_lr(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	unsigned bits = (unsigned)node->imm;
	host_reg base = gen_in_reg(g, node->a), d;
	struct stub *s;

	gen_release(g, node->a);
	d = gen_result(g, n);
	s = atomic_stub(g, n, base, d);
	s->b = s->a; /* no operand: anything but what scratch registers hold */
	host_check_aligned(&g->e, host_r(base), 0, bits / 8, s->at);
	host_set_state(&g->e, g->arch->reserved, host_r(base));
	host_tlb(&g->e, false, host_r(base), 0, (int32_t)bits / 8 - 1, host_info.addend, s->at);
	host_load(&g->e, bits == 32 ? HULL_IR_s32 : HULL_IR_u64, d, host_info.addend, host_r(base),
	          0);
	host_set_state(&g->e, g->arch->reserved_value, host_r(d));
	host_bind(&g->e, s->back);
}

/*
 * A reservation of another address fails in the helper, which faults where it should.  LR.W may
 * have reserved what is no address for SC.D, so alignment comes first.
 */
void gen_sc(struct jit_gen *g, unsigned n)
{
	unsigned bits = (unsigned)gen_node(g, n)->imm;
	struct stub *s = atomic_write(g, n, bits);

	host_branch(&g->e, HOST_NE, s->a, host_s(g->arch->reserved), s->at);
	host_tlb(&g->e, true, s->a, 0, (int32_t)bits / 8 - 1, host_info.addend, s->at);
	host_compare_swap(&g->e, bits, s->d, g->arch->reserved_value, s->b, host_info.addend, s->a);
	host_set_state(&g->e, g->arch->reserved, host_i(UINT64_MAX));
	host_bind(&g->e, s->back);
}

/* --- groups --- */

struct group {
	unsigned base; /* node */
	bool write;
	int32_t lo, hi; /* of all bytes, from the base */
	unsigned count, end;
};

/* May this store be in a group: is its value to be had without writing code? */
static bool plain_value(const struct jit_gen *g, unsigned n, unsigned bits)
{
	const struct value *v = &g->v[n];
	uint64_t k;

	if (gen_const(g, n, &k))
		return true;
	if (gen_node(g, n)->op == HULL_IR_GET && !v->done) { /* comes with this instruction */
		unsigned slot = (unsigned)gen_node(g, n)->imm;

		return slot < g->arch->first_f || g->pin_bits[slot] != 32;
	}
	return v->reg != HOST_NO_REG || v->home || v->spill ||
	       (v->freg != HOST_NO_REG && (v->f_bits == bits || (v->f_bits == 64 && bits == 32)));
}

/*
 * The instruction whose INSN is at node `at`: returns the node behind it if it is one access and,
 * for a load, one SET; *ret: the access.  Else 0.
 */
static unsigned one_access(const struct jit_gen *g, unsigned at, unsigned *ret, unsigned *ret_slot)
{
	const struct hull_ir_node *nodes = g->ir->nodes;
	unsigned i = at + 1;

	*ret = 0;
	*ret_slot = HULL_IR_SLOTS;
	for (; i < g->ir->count && nodes[i].op != HULL_IR_INSN; i++) {
		const struct hull_ir_node *n = &nodes[i];

		if ((n->op == HULL_IR_LOAD || n->op == HULL_IR_STORE) && !*ret) {
			*ret = i;
		} else if (n->op == HULL_IR_SET && !g->v[i].dead && *ret &&
		           *ret_slot == HULL_IR_SLOTS &&
		           (n->a == *ret ||
		            (nodes[n->a].op == HULL_IR_BOX32 && nodes[n->a].a == *ret))) {
			*ret_slot = (unsigned)n->imm;
		} else if (n->op == HULL_IR_FP_ON) {
			if (!g->fp_checked)
				return 0;
		} else if (hull_ir_ops[n->op].kind != HULL_IR_PURE) {
			return 0;
		}
	}
	if (!*ret || i == g->ir->count)
		return 0;
	if (nodes[*ret].op == HULL_IR_LOAD && *ret_slot == HULL_IR_SLOTS)
		return 0;
	return i;
}

static bool fits(const struct group *group, int32_t lo, int32_t hi)
{
	return (hi > group->hi ? hi : group->hi) - (lo < group->lo ? lo : group->lo) < 2048;
}

/* Could the access join the group?  If so its bytes are added. */
static bool join(struct jit_gen *g, struct group *group, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	bool write = node->op == HULL_IR_STORE;
	int32_t bytes = (int32_t)(write ? node->aux : hull_ir_load_bits(node->aux)) / 8, lo;
	unsigned base = split(g, node->a, &lo);
	uint64_t k;

	if (gen_const(g, base, &k) || (write && !plain_value(g, node->b, node->aux)))
		return false;
	if (!group->count) {
		*group = (struct group){ base, write, lo, lo + bytes - 1, 0, 0 };
	} else if (base != group->base || write != group->write ||
	           !fits(group, lo, lo + bytes - 1)) {
		return false;
	}
	group->lo = MIN(group->lo, lo);
	group->hi = MAX(group->hi, lo + bytes - 1);
	group->count++;
	return true;
}

static void find_group(struct jit_gen *g, unsigned at, struct group *ret)
{
	unsigned f_results = 0;
	uint64_t set = 0;

	*ret = (struct group){ 0 };
	while (ret->count < GEN_GROUP && g->member_count + ret->count < GEN_MEMBERS) {
		struct group grown = *ret;
		unsigned access, slot, end = one_access(g, at, &access, &slot);
		bool base_lost;

		if (!end)
			return;
		/* A slot whose old value is wanted, or a second time, would take more code. */
		if (slot < HULL_IR_SLOTS && (set & BIT(slot)))
			return;
		base_lost = slot < HULL_IR_SLOTS && gen_slot_wanted(g, slot);
		if (base_lost && !(ret->count && g->slot_value[slot] == ret->base &&
		                   g->pin_reg[slot] == HOST_NO_REG))
			return;
		/* None of the results may have to make room for another: the slow way would not
		 * know. */
		f_results += slot < HULL_IR_SLOTS && slot >= g->arch->first_f &&
		             g->pin_reg[slot] == HOST_NO_REG;
		if (f_results >= g->f_temp_count || !join(g, &grown, access))
			return;
		*ret = grown;
		ret->end = at = end;
		if (slot < HULL_IR_SLOTS)
			set |= BIT(slot);
		if (base_lost)
			return;
	}
}

/* The access at node n, without a look at the TLB, and what the slow way has to know of it. */
static void member_access(struct jit_gen *g, unsigned n, host_reg base)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct value *v = &g->v[node->b];
	struct member *m = &g->members[g->member_count++];

	*m = (struct member){ .write = node->op == HULL_IR_STORE,
		              .width = node->aux,
		              .fault = gen_fault(g),
		              .desc = gen_desc(g) };
	split(g, node->a, &m->offset);
	if (!m->write) {
		unsigned f_bits = wanted_f(g, n), slot = g->v[n].set - 1u;

		gen_release(g, node->a);
		m->d = f_bits ? gen_f_result(g, n, f_bits) : gen_result(g, n);
		m->f_bits = (uint8_t)f_bits;
		m->slot = g->pin_reg[slot] == HOST_NO_REG ? g->v[n].set : 0;
		m->pin = m->slot || !f_bits || m->d == g->pin_reg[slot] ? HOST_NO_REG
		                                                        : g->pin_reg[slot];
		if (f_bits)
			host_load_f(&g->e, f_bits, m->d, host_info.addend, host_r(base), m->offset);
		else
			host_load(&g->e, node->aux, m->d, host_info.addend, host_r(base),
			          m->offset);
		return;
	}
	if (v->freg != HOST_NO_REG && v->reg == HOST_NO_REG && !v->home && !v->spill) {
		m->f_bits = v->f_bits;
		m->d = v->freg;
		host_store_f(&g->e, node->aux, m->d, host_info.addend, host_r(base), m->offset);
	} else {
		m->value = gen_operand(g, node->b);
		host_store(&g->e, node->aux, m->value, host_info.addend, host_r(base), m->offset);
	}
	gen_release(g, node->a);
	gen_release(g, node->b);
}

/* Get the addend for the group of stub s. */
static void look_up_group(struct jit_gen *g, struct stub *s, const struct group *group)
{
	s->held = (uint8_t)gen_held(g, group->base, group->lo, group->hi, group->write);
	s->fast = host_new_label(&g->e);
	if (s->held)
		host_held(&g->e, s->held - 1u, s->a.reg, host_info.addend, s->at);
	else
		host_tlb(&g->e, group->write, s->a, group->lo, group->hi, host_info.addend, s->at);
	host_bind(&g->e, s->fast);
}

unsigned gen_group(struct jit_gen *g, unsigned at)
{
	struct group group;
	struct stub *s;
	host_reg base = HOST_NO_REG;

	find_group(g, at, &group);
	if (group.count < 2)
		return at;
	gen_save_temps(g);
	s = gen_stub(g, STUB_GROUP);
	g->in_group = true;
	g->group_sets = 0;
	s->offset = (int32_t)g->member_count;
	s->insns = (uint16_t)group.count;
	for (unsigned i = at; i < group.end; i++) {
		const struct hull_ir_node *node = gen_node(g, i);

		if (node->op != HULL_IR_LOAD && node->op != HULL_IR_STORE) {
			gen_perform(g, i);
			continue;
		}
		if (base == HOST_NO_REG) {
			base = g->locked = gen_in_reg(g, group.base);
			s->a = host_r(base);
			s->keep_f = gen_any_f(g);
			gen_save_temps(g);
			look_up_group(g, s, &group);
		}
		if (node->op == HULL_IR_LOAD)
			g->v[i].set = gen_destination(g, i);
		member_access(g, i, base);
	}
	s->keep_f |= gen_any_f(g); /* results, too: the next access may take the slow way */
	g->locked = HOST_NO_REG;
	host_bind(&g->e, s->back);
	gen_let_go_group(g);
	return group.end;
}

static void single_load(struct jit_gen *g, const struct member *m, struct stub *s)
{
	struct host_emit *e = &g->e;
	int32_t bytes = (int32_t)hull_ir_load_bits(m->width) / 8;

	host_tlb(e, false, s->a, m->offset, m->offset + bytes - 1, host_info.addend, s->at);
	if (m->f_bits)
		host_load_f(e, m->f_bits, m->d, host_info.addend, s->a, m->offset);
	else
		host_load(e, m->width, m->d, host_info.addend, s->a, m->offset);
	host_bind(e, s->back);
	if (m->pin != HOST_NO_REG)
		host_fmov(e, m->pin, m->d);
	if (m->slot && m->f_bits)
		host_fput(e, m->f_bits, g->arch->slot_state[m->slot - 1], m->d);
	else if (m->slot)
		host_set_state(e, g->arch->slot_state[m->slot - 1], host_r(m->d));
}

static void single_store(struct jit_gen *g, const struct member *m, struct stub *s)
{
	struct host_emit *e = &g->e;

	s->b = m->value;
	s->b_is_f = m->f_bits != 0;
	host_tlb(e, true, s->a, m->offset, m->offset + m->width / 8 - 1, host_info.addend, s->at);
	if (m->f_bits)
		host_store_f(e, m->width, m->d, host_info.addend, s->a, m->offset);
	else
		host_store(e, m->width, m->value, host_info.addend, s->a, m->offset);
	host_bind(e, s->back);
}

/* Each access of the group by itself, as if there were no group: it spans two pages, say. */
void gen_group_slow(struct jit_gen *g, unsigned first, unsigned count, struct host_operand base,
                    bool keep_f)
{
	for (unsigned i = first; i < first + count; i++) {
		const struct member *m = &g->members[i];
		struct stub *s = gen_stub(g, m->write ? STUB_STORE : STUB_LOAD);

		s->a = base;
		s->offset = m->offset;
		s->number = m->width;
		s->f_bits = m->f_bits;
		s->d = m->d;
		s->keep_f = keep_f;
		s->desc = m->desc;
		s->imm = m->fault;
		if (m->write)
			single_store(g, m, s);
		else
			single_load(g, m, s);
	}
}
