/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Helpers: the floating-point ones inline, the others as calls of C. */
#include "engine/jit/gen_impl.h"

#include "base/bits.h"

enum { ROUND_NEAREST = 0, ROUND_TO_ZERO = 1, ROUND_DYNAMIC = 7 };

/* Generated code runs with round to nearest even, and only while that is the dynamic mode. */
static bool rounds_as_host(const struct jit_gen *g)
{
	return g->rm == ROUND_NEAREST || g->rm == ROUND_DYNAMIC;
}

/* Once a block: the unit is on, dirty, and rounds to nearest; else another tier does the
 * instruction. */
void gen_fp_on(struct jit_gen *g)
{
	if (g->fp_checked)
		return;
	host_branch_byte(&g->e, ENGINE_STATE(fp_fast), gen_step(g));
	g->fp_checked = true;
}

static void drop_unused(struct jit_gen *g, unsigned n)
{
	if (g->v[n].uses)
		return;
	g->v[n].uses = 1;
	gen_release(g, n);
}

static void set_rounding(struct jit_gen *g, unsigned n)
{
	unsigned effects = gen_node(g, n)->op == HULL_IR_CALL
	                           ? g->ir->arch->helpers[gen_node(g, n)->aux].effects
	                           : 0;

	if (effects & HULL_IR_ROUNDS)
		host_set_state8(&g->e, g->arch->rm, g->rm == ROUND_DYNAMIC ? 0 : g->rm);
}

/* A conversion's bits are those of its operand; it is between 32 and 64. */
static unsigned result_bits(const struct jit_call *c)
{
	return c->kind == JIT_C_F_CONVERT ? 96u - c->bits : c->bits;
}

void gen_helper(struct jit_gen *g, unsigned n, unsigned number, uint64_t imm, bool f_result)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct value *v = &g->v[n];
	unsigned bits = 64;
	bool keep_f;
	host_reg d = HOST_NO_REG;

	gen_put(g, ENGINE_STATE(arg[0]), node->a);
	gen_put(g, ENGINE_STATE(arg[1]), node->b);
	if (node->c)
		gen_put(g, ENGINE_STATE(arg[2]), node->c);
	host_set_state(&g->e, ENGINE_STATE(arg[3]), host_i(imm));
	set_rounding(g, n);
	v->done = true;
	gen_release(g, node->a);
	gen_release(g, node->b);
	gen_release(g, node->c);
	if (v->uses && f_result) {
		bits = result_bits(&g->arch->calls[node->aux]);
		d = gen_f_result(g, n, bits);
	} else if (v->uses) {
		d = gen_result(g, n);
	}
	keep_f = gen_any_f(g);
	host_call(&g->e, number + (keep_f ? JIT_KEEP_F : 0), gen_desc(g), keep_f);
	host_call_done(&g->e, f_result ? HOST_NO_REG : d, gen_fault(g));
	if (d != HOST_NO_REG && f_result)
		host_fget(&g->e, bits, d, ENGINE_STATE(arg[3]));
}

static void plain_helper(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);

	gen_helper(g, n, JIT_HELPER, node->imm | (uint64_t)node->aux << 32,
	           g->arch->calls[node->aux].f_result);
}

static struct stub *nan_stub(struct jit_gen *g, host_reg d, unsigned bits)
{
	struct stub *s = gen_stub(g, STUB_NAN);

	s->d = d;
	s->f_bits = (uint8_t)bits;
	return s;
}

static void fop(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	host_reg ab[2], d;
	struct stub *s;

	gen_in_fregs(g, (const unsigned[]){ node->a, node->b }, 2, c->bits, ab);
	gen_release(g, node->a);
	gen_release(g, node->b);
	d = gen_f_result(g, n, c->bits);
	s = nan_stub(g, d, c->bits);
	host_fop(&g->e, (enum host_fop)c->op, c->bits, d, ab[0], ab[1], s->at);
	host_bind(&g->e, s->back);
}

static void fsqrt_or_convert(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	host_reg a = gen_in_freg(g, node->a, c->bits), d;
	unsigned bits = result_bits(c);
	struct stub *s;

	gen_release(g, node->a);
	d = gen_f_result(g, n, bits);
	s = nan_stub(g, d, bits);
	if (c->kind == JIT_C_FSQRT)
		host_fsqrt(&g->e, bits, d, a, s->at);
	else
		host_fconvert(&g->e, c->bits, d, a, s->at);
	host_bind(&g->e, s->back);
}

/* The node whose negative n is, or 0: the rows negate by flipping the sign bit. */
static unsigned negative_of(const struct jit_gen *g, unsigned n, unsigned bits)
{
	const struct hull_ir_node *node = gen_node(g, n);
	uint64_t k;

	if (node->op != HULL_IR_XOR || g->v[n].done || g->v[n].reg != HOST_NO_REG ||
	    g->v[n].freg != HOST_NO_REG || !gen_const(g, node->b, &k) || k != BIT(bits - 1))
		return 0;
	return node->a;
}

static void fused(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	unsigned na = negative_of(g, node->a, c->bits), nc = negative_of(g, node->c, c->bits);
	host_reg abc[3], d;
	struct stub *s;

	gen_in_fregs(g, (const unsigned[]){ na ? na : node->a, node->b, nc ? nc : node->c }, 3,
	             c->bits, abc);
	gen_release(g, node->a);
	gen_release(g, node->b);
	gen_release(g, node->c);
	d = gen_f_result(g, n, c->bits);
	s = nan_stub(g, d, c->bits);
	if (!host_fma(&g->e, c->bits, d, abc[0], abc[1], abc[2], na, nc, s->at))
		g->bail = JIT_BAIL_UNKNOWN_OP;
	host_bind(&g->e, s->back);
}

/* The helper behind an inline operation on numbers. */
static struct stub *slow_stub(struct jit_gen *g, unsigned n, host_reg a, host_reg b)
{
	const struct hull_ir_node *node = gen_node(g, n);
	const struct jit_call *c = &g->arch->calls[node->aux];
	struct stub *s = gen_stub(g, STUB_CALL);

	s->a = host_r(a);
	s->b = host_r(b);
	s->a_is_f = true;
	s->b_is_f = b != HOST_NO_REG;
	s->number = c->bits;
	s->imm = node->imm | (uint64_t)node->aux << 32;
	s->insns = g->rm;
	s->keep_f = true;
	s->desc = gen_desc(g);
	s->offset = gen_fault(g);
	return s;
}

static void fminmax(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct stub *s;
	host_reg ab[2];

	gen_in_fregs(g, (const unsigned[]){ node->a, node->b }, 2, c->bits, ab);
	s = slow_stub(g, n, ab[0], ab[1]);
	gen_release(g, node->a);
	gen_release(g, node->b);
	s->d = gen_f_result(g, n, c->bits);
	s->f_bits = c->bits;
	host_fminmax(&g->e, c->op, c->bits, s->d, ab[0], ab[1], s->at);
	host_bind(&g->e, s->back);
}

static void fcompare(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	host_reg ab[2];

	gen_in_fregs(g, (const unsigned[]){ node->a, node->b }, 2, c->bits, ab);
	gen_release(g, node->a);
	gen_release(g, node->b);
	host_fcompare(&g->e, (enum host_fcmp)c->op, c->bits, gen_result(g, n), ab[0], ab[1]);
}

static void f_to_int(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	host_reg a = gen_in_freg(g, node->a, c->bits);
	struct stub *s = slow_stub(g, n, a, HOST_NO_REG);

	gen_release(g, node->a);
	s->d = gen_result(g, n);
	host_f_to_int(&g->e, c->bits, (enum host_int)c->op, s->d, a, s->at);
	if (c->op == HOST_U32) /* the helper's value is not sign-extended */
		host_compute(&g->e, HULL_IR_ZX32, s->d, host_r(s->d), host_i(0));
	host_bind(&g->e, s->back);
}

static void f_from_int(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	const struct hull_ir_node *node = gen_node(g, n);
	struct host_operand a;
	host_reg d;

	gen_eval(g, node->a);
	gen_operand(g, node->a);
	d = gen_f_result(g, n, c->bits);
	a = gen_operand(g, node->a);
	if (!host_f_from_int(&g->e, c->bits, (enum host_int)c->op, d, a)) {
		host_set_state(&g->e, ENGINE_STATE(arg[0]), a);
		host_set_state(&g->e, ENGINE_STATE(arg[3]),
		               host_i(node->imm | (uint64_t)node->aux << 32));
		set_rounding(g, n);
		host_call(&g->e, JIT_HELPER + JIT_KEEP_F, gen_desc(g), true);
		host_call_done(&g->e, HOST_NO_REG, gen_fault(g));
		host_fget(&g->e, c->bits, d, ENGINE_STATE(arg[3]));
	}
	gen_release(g, node->a);
}

static void leaves(struct jit_gen *g, unsigned n)
{
	unsigned index = HULL_IR_INSN_INDEX(g->insn);

	if (index)
		host_fuel_add(&g->e, -(int32_t)index);
	gen_glue_out(g);
	host_leave(&g->e, JIT_EXIT_CALL,
	           JIT_DESC(g->block->offset + HULL_IR_INSN_OFFSET(g->insn), gen_node(g, n)->aux));
}

static void inline_call(struct jit_gen *g, unsigned n, const struct jit_call *c)
{
	switch (c->kind) {
	case JIT_C_AMO: gen_amo(g, n); return;
	case JIT_C_LR: gen_lr(g, n); return;
	case JIT_C_SC: gen_sc(g, n); return;
	case JIT_C_FOP: fop(g, n, c); return;
	case JIT_C_FSQRT:
	case JIT_C_F_CONVERT: fsqrt_or_convert(g, n, c); return;
	case JIT_C_FMA: fused(g, n, c); return;
	case JIT_C_FCMP: fcompare(g, n, c); return;
	case JIT_C_FMINMAX: fminmax(g, n, c); return;
	case JIT_C_F_TO_INT: f_to_int(g, n, c); return;
	case JIT_C_F_FROM_INT: f_from_int(g, n, c); return;
	default: plain_helper(g, n);
	}
}

static bool in_c(const struct jit_gen *g, unsigned effects, const struct jit_call *c)
{
	if (c->kind == JIT_C_F_TO_INT)
		return g->rm != ROUND_TO_ZERO;
	if (c->kind == JIT_C_FMA && !(g->e.features & HOST_FMA))
		return true;
	return (effects & HULL_IR_ROUNDS) && !rounds_as_host(g);
}

void gen_call(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	const struct jit_call *c = &g->arch->calls[node->aux];
	uint8_t effects = g->ir->arch->helpers[node->aux].effects;

	if (!effects)
		return; /* pure: when somebody wants it */
	if (c->kind == JIT_C_LEAVES) {
		leaves(g, n);
		return;
	}
	if (in_c(g, effects, c))
		plain_helper(g, n);
	else
		inline_call(g, n, c);
	if (effects & HULL_IR_SYSTEM) {
		g->fp_checked = false;
		gen_let_go_all(g);
	}
	drop_unused(g, n);
}
