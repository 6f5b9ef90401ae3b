/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Pure operators: which of the host's functions computes them, and which patterns of them are one.
 */
#include "engine/jit/gen_impl.h"

static bool is_lazy(const struct jit_gen *g, unsigned n, enum hull_ir_op op)
{
	const struct value *v = &g->v[n];

	return n && gen_node(g, n)->op == op && !v->done && v->reg == HOST_NO_REG && !v->home &&
	       !v->spill && v->freg == HOST_NO_REG;
}

static bool is_const_of(const struct jit_gen *g, unsigned n, uint64_t k)
{
	uint64_t v;

	return n && gen_const(g, n, &v) && v == k;
}

/* --- conditions --- */

static bool compare_of(enum hull_ir_op op, enum host_cond *ret)
{
	switch (op) {
	case HULL_IR_EQ: *ret = HOST_EQ; return true;
	case HULL_IR_NE: *ret = HOST_NE; return true;
	case HULL_IR_LT: *ret = HOST_LT; return true;
	case HULL_IR_LTU: *ret = HOST_LTU; return true;
	default: return false;
	}
}

static enum host_cond opposite(enum host_cond c)
{
	return (enum host_cond)(c ^ 1);
}

void gen_condition(struct jit_gen *g, unsigned n, enum host_cond *ret, unsigned *ret_a,
                   unsigned *ret_b)
{
	bool negated = false;
	enum host_cond cond;

	/* x == 0 of a comparison is its opposite. */
	while (is_lazy(g, n, HULL_IR_EQ) && is_const_of(g, gen_node(g, n)->b, 0) &&
	       compare_of((enum hull_ir_op)gen_node(g, gen_node(g, n)->a)->op, &cond) &&
	       is_lazy(g, gen_node(g, n)->a, (enum hull_ir_op)gen_node(g, gen_node(g, n)->a)->op)) {
		negated = !negated;
		n = gen_node(g, n)->a;
	}
	if (compare_of((enum hull_ir_op)gen_node(g, n)->op, &cond) &&
	    is_lazy(g, n, (enum hull_ir_op)gen_node(g, n)->op)) {
		*ret = negated ? opposite(cond) : cond;
		*ret_a = gen_node(g, n)->a;
		*ret_b = gen_node(g, n)->b;
		return;
	}
	*ret = negated ? HOST_EQ : HOST_NE;
	*ret_a = n;
	*ret_b = 0;
}

static void compute_condition(struct jit_gen *g, unsigned n)
{
	struct host_operand oa, ob;
	enum host_cond cond;
	unsigned a, b;

	gen_condition(g, n, &cond, &a, &b);
	gen_eval(g, a);
	gen_eval(g, b);
	gen_operands(g, a, b, &oa, &ob);
	g->v[n].done = true;
	gen_release(g, gen_node(g, n)->a);
	gen_release(g, gen_node(g, n)->b);
	host_set(&g->e, cond, gen_result(g, n), oa, ob);
}

static void compute_select(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct host_operand oa, ob, oy, on;
	enum host_cond cond;
	unsigned a, b;

	gen_condition(g, node->a, &cond, &a, &b);
	gen_eval(g, a);
	gen_eval(g, b);
	gen_eval(g, node->b);
	gen_eval(g, node->c);
	oa = gen_operand(g, a);
	ob = gen_operand(g, b);
	oy = gen_operand(g, node->b);
	on = gen_operand(g, node->c);
	g->v[n].done = true;
	gen_release(g, node->a);
	gen_release(g, node->b);
	gen_release(g, node->c);
	host_select(&g->e, cond, oa, ob, gen_result(g, n), oy, on);
}

/* --- two operands --- */

/* What an operator becomes: one of the host's functions on the nodes a and b. */
struct form {
	enum { FORM_NONE, FORM_ALU, FORM_SHIFT, FORM_DIVW, FORM_ADD_SHIFTED, FORM_COMPUTE } kind;
	unsigned op; /* of the kind */
	bool w;
	unsigned a, b;
	bool with_imm; /* in the place of b */
	uint64_t imm;  /* ADD_SHIFTED: by which b is shifted */
};

static struct form plain_form(const struct hull_ir_node *n)
{
	switch (n->op) {
	case HULL_IR_ADD: return (struct form){ FORM_ALU, HOST_ADD, false, n->a, n->b };
	case HULL_IR_SUB: return (struct form){ FORM_ALU, HOST_SUB, false, n->a, n->b };
	case HULL_IR_AND: return (struct form){ FORM_ALU, HOST_AND, false, n->a, n->b };
	case HULL_IR_OR: return (struct form){ FORM_ALU, HOST_OR, false, n->a, n->b };
	case HULL_IR_XOR: return (struct form){ FORM_ALU, HOST_XOR, false, n->a, n->b };
	case HULL_IR_MUL: return (struct form){ FORM_ALU, HOST_MUL, false, n->a, n->b };
	case HULL_IR_SHL: return (struct form){ FORM_SHIFT, HOST_SHL, false, n->a, n->b };
	case HULL_IR_SHR: return (struct form){ FORM_SHIFT, HOST_SHR, false, n->a, n->b };
	case HULL_IR_SAR: return (struct form){ FORM_SHIFT, HOST_SAR, false, n->a, n->b };
	case HULL_IR_ROR: return (struct form){ FORM_SHIFT, HOST_ROR, false, n->a, n->b };
	default: return (struct form){ FORM_COMPUTE, n->op, false, n->a, n->b };
	}
}

/* Division of what has no sign, and multiplication, by a power of two. */
static struct form short_form(const struct jit_gen *g, const struct hull_ir_node *n)
{
	struct form f = plain_form(n);
	uint64_t k;

	if (!n->b || !gen_const(g, n->b, &k) || !k || (k & (k - 1)))
		return f;
	f.imm = (uint64_t)__builtin_ctzll(k);
	switch (n->op) {
	case HULL_IR_MUL: f.kind = FORM_SHIFT, f.op = HOST_SHL, f.with_imm = true; break;
	case HULL_IR_DIVU: f.kind = FORM_SHIFT, f.op = HOST_SHR, f.with_imm = true; break;
	case HULL_IR_REMU:
		f.kind = FORM_ALU, f.op = HOST_AND, f.with_imm = true;
		f.imm = k - 1;
		break;
	default: break;
	}
	return f;
}

/* The count of a 32-bit shift: the node that is masked, or a constant below 32; 0 if it is neither.
 */
static unsigned count_32(const struct jit_gen *g, unsigned n)
{
	uint64_t k;

	if (gen_const(g, n, &k))
		return n && k < 32 ? n : 0;
	if (is_lazy(g, n, HULL_IR_AND) && is_const_of(g, gen_node(g, n)->b, 31))
		return gen_node(g, n)->a;
	return 0;
}

static bool is_division(unsigned op)
{
	return op == HULL_IR_DIV || op == HULL_IR_DIVU || op == HULL_IR_REM || op == HULL_IR_REMU;
}

/* SX32 of a lazy operator: the same on 32 bits, if there is one. */
static struct form sx32_form(const struct jit_gen *g, unsigned a)
{
	const struct hull_ir_node *n = gen_node(g, a);
	struct form f = plain_form(n);
	enum hull_ir_op extend =
		n->op == HULL_IR_DIV || n->op == HULL_IR_REM ? HULL_IR_SX32 : HULL_IR_ZX32;
	unsigned count;

	if (!is_lazy(g, a, (enum hull_ir_op)n->op))
		return (struct form){ 0 };
	f.w = true;
	if (f.kind == FORM_ALU)
		return f;
	if (n->op == HULL_IR_SHL && (count = count_32(g, n->b))) {
		f.b = count;
		return f;
	}
	if (n->op == HULL_IR_SHR && is_lazy(g, n->a, HULL_IR_ZX32) && (count = count_32(g, n->b)))
		return (struct form){ FORM_SHIFT, HOST_SHR, true, gen_node(g, n->a)->a, count };
	if (is_division(n->op) && is_lazy(g, n->a, extend) && is_lazy(g, n->b, extend))
		return (struct form){ FORM_DIVW, n->op, true, gen_node(g, n->a)->a,
			              gen_node(g, n->b)->a };
	return (struct form){ 0 };
}

/* A sum with something that is shifted left by a little. */
static struct form shifted_form(const struct jit_gen *g, unsigned a, unsigned shifted)
{
	const struct hull_ir_node *n = gen_node(g, shifted);
	uint64_t k;

	if (!is_lazy(g, shifted, HULL_IR_SHL) || g->v[shifted].uses != 1 ||
	    !gen_const(g, n->b, &k) || k < 1 || k > 3 || gen_const(g, a, &k))
		return (struct form){ 0 };
	gen_const(g, n->b, &k);
	return (struct form){ FORM_ADD_SHIFTED, 0, false, a, n->a, false, k };
}

static struct form form_of(const struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct form f;
	unsigned count;

	if (node->op == HULL_IR_SX32) {
		f = sx32_form(g, node->a);
		if (f.kind)
			return f;
	}
	if (node->op == HULL_IR_SAR && is_lazy(g, node->a, HULL_IR_SX32) &&
	    (count = count_32(g, node->b)))
		return (struct form){ FORM_SHIFT, HOST_SAR, true, gen_node(g, node->a)->a, count };
	if (node->op == HULL_IR_ADD) {
		f = shifted_form(g, node->a, node->b);
		if (!f.kind)
			f = shifted_form(g, node->b, node->a);
		if (f.kind)
			return f;
	}
	return short_form(g, node);
}

static void compute_form(struct jit_gen *g, unsigned n, const struct form *f)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct host_operand a, b;
	host_reg d;

	gen_eval(g, f->a);
	gen_eval(g, f->b);
	gen_operands(g, f->a, f->b, &a, &b);
	if (f->with_imm)
		b = host_i(f->imm);
	g->v[n].done = true;
	if (f->kind != FORM_COMPUTE) {
		gen_release(g, node->a);
		gen_release(g, node->b);
	}
	switch (f->kind) {
	case FORM_ALU: host_alu(&g->e, (enum host_alu)f->op, f->w, gen_result(g, n), a, b); return;
	case FORM_SHIFT:
		host_shift(&g->e, (enum host_shift)f->op, f->w, gen_result(g, n), a, b);
		return;
	case FORM_ADD_SHIFTED:
		host_add_shifted(&g->e, gen_result(g, n), a, b, (unsigned)f->imm);
		return;
	case FORM_DIVW: host_divw(&g->e, (enum hull_ir_op)f->op, gen_result(g, n), a, b); return;
	default: break;
	}
	/* Into a temporary: whether the host can is known only afterwards. */
	g->v[n].uses++; /* keeps it while the operands are released */
	d = gen_result(g, n);
	g->v[n].uses--;
	if (host_compute(&g->e, (enum hull_ir_op)f->op, d, a, b)) {
		gen_release(g, node->a);
		gen_release(g, node->b);
		return;
	}
	host_set_state(&g->e, ENGINE_STATE(arg[0]), a);
	host_set_state(&g->e, ENGINE_STATE(arg[1]), b);
	host_set_state(&g->e, ENGINE_STATE(arg[3]), host_i(node->op));
	gen_release(g, node->a);
	gen_release(g, node->b);
	host_call(&g->e, JIT_COMPUTE + (gen_any_f(g) ? JIT_KEEP_F : 0), gen_desc(g), gen_any_f(g));
	host_call_done(&g->e, d, gen_fault(g));
}

void gen_compute(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct form f;

	if (g->v[n].done) { /* and lost: its operands may be, too */
		g->bail = JIT_BAIL_UNKNOWN_OP;
		return;
	}
	switch (node->op) {
	case HULL_IR_EQ:
	case HULL_IR_NE:
	case HULL_IR_LT:
	case HULL_IR_LTU: compute_condition(g, n); return;
	case HULL_IR_SEL: compute_select(g, n); return;
	case HULL_IR_CALL:
		gen_helper(g, n, JIT_HELPER, node->imm | (uint64_t)node->aux << 32, false);
		return;
	default: break;
	}
	if (hull_ir_ops[node->op].kind != HULL_IR_PURE || node->op == HULL_IR_GET) {
		g->bail = JIT_BAIL_UNKNOWN_OP; /* of a value that is not there yet: not in order */
		return;
	}
	f = form_of(g, n);
	compute_form(g, n, &f);
}
