/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Building blocks: names become nodes when statements use them. */
#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"
#include "engine/ir/ir.h"
#include "isa/riscv64/value.h"

uint64_t hull_ir_compute(enum hull_ir_op op, uint64_t a, uint64_t b, uint64_t c)
{
	switch (op) {
	case HULL_IR_ADD: return ADD(a, b);
	case HULL_IR_SUB: return SUB(a, b);
	case HULL_IR_MUL: return MUL(a, b);
	case HULL_IR_MULH: return MULH(a, b);
	case HULL_IR_MULHU: return MULHU(a, b);
	case HULL_IR_MULHSU: return MULHSU(a, b);
	case HULL_IR_DIV: return DIV(a, b);
	case HULL_IR_DIVU: return DIVU(a, b);
	case HULL_IR_REM: return REM(a, b);
	case HULL_IR_REMU: return REMU(a, b);
	case HULL_IR_AND: return AND(a, b);
	case HULL_IR_OR: return OR(a, b);
	case HULL_IR_XOR: return XOR(a, b);
	case HULL_IR_SHL: return SHL(a, b);
	case HULL_IR_SHR: return SHR(a, b);
	case HULL_IR_SAR: return SAR(a, b);
	case HULL_IR_ROR: return ROR(a, b);
	case HULL_IR_EQ: return EQ(a, b);
	case HULL_IR_NE: return NE(a, b);
	case HULL_IR_LT: return LT(a, b);
	case HULL_IR_LTU: return LTU(a, b);
	case HULL_IR_CLMUL: return CLMUL(a, b);
	case HULL_IR_CLMULH: return CLMULH(a, b);
	case HULL_IR_CLMULR: return CLMULR(a, b);
	case HULL_IR_NOT: return NOT(a);
	case HULL_IR_SX8: return SX8(a);
	case HULL_IR_SX16: return SX16(a);
	case HULL_IR_SX32: return SX32(a);
	case HULL_IR_ZX8: return ZX8(a);
	case HULL_IR_ZX16: return ZX16(a);
	case HULL_IR_ZX32: return ZX32(a);
	case HULL_IR_CLZ: return CLZ(a);
	case HULL_IR_CTZ: return CTZ(a);
	case HULL_IR_POP: return POP(a);
	case HULL_IR_REV8: return REV8(a);
	case HULL_IR_ORCB: return ORCB(a);
	case HULL_IR_BOX16: return BOX16(a);
	case HULL_IR_BOX32: return BOX32(a);
	case HULL_IR_UNBOX16: return UNBOX16(a);
	case HULL_IR_UNBOX32: return UNBOX32(a);
	case HULL_IR_SEL: return SEL(a, b, c);
	default: return 0;
	}
}

void hull_ir_begin(struct hull_ir_builder *b, struct hull_ir *ir, const struct hull_ir_arch *arch)
{
	memset(b, 0, offsetof(struct hull_ir_builder, chain));
	b->ended = b->full = false;
	b->ir = ir;
	ir->arch = arch;
	ir->count = 1;
	ir->nodes[0] = (struct hull_ir_node){ 0 };
}

static uint16_t append(struct hull_ir_builder *b, const struct hull_ir_node *n)
{
	if (b->ir->count == HULL_IR_MAX) {
		b->full = true;
		return 0;
	}
	b->ir->nodes[b->ir->count] = *n;
	return (uint16_t)b->ir->count++;
}

static unsigned bucket_of(const struct hull_ir_node *n)
{
	uint64_t h = n->op | (uint64_t)n->aux << 8 | (uint64_t)n->a << 16 | (uint64_t)n->b << 32 |
	             (uint64_t)n->c << 48;

	h = (h ^ n->imm * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(h >> 55); /* 512 buckets */
}

static bool same(const struct hull_ir_node *x, const struct hull_ir_node *y)
{
	return x->op == y->op && x->aux == y->aux && x->a == y->a && x->b == y->b && x->c == y->c &&
	       x->imm == y->imm;
}

/* The node that is equal to *n, or a new one. */
static uint16_t number(struct hull_ir_builder *b, const struct hull_ir_node *n)
{
	uint16_t *head = &b->hash[bucket_of(n)], at;

	for (at = *head; at; at = b->chain[at])
		if (same(&b->ir->nodes[at], n))
			return at;
	at = append(b, n);
	if (at) {
		b->chain[at] = *head;
		*head = at;
	}
	return at;
}

static uint16_t constant(struct hull_ir_builder *b, uint64_t v)
{
	return number(b, &(struct hull_ir_node){ .op = HULL_IR_CONST, .imm = v });
}

static bool is_const(const struct hull_ir_builder *b, uint16_t at, uint64_t *ret)
{
	const struct hull_ir_node *n = &b->ir->nodes[at];

	if (n->op != HULL_IR_CONST)
		return false;
	*ret = n->imm;
	return true;
}

/*
 * A value that is there already and equals *n, or 0.  No rule makes a node other than
 * a constant, so rules cannot grow the block.
 */
static uint16_t fold(struct hull_ir_builder *b, struct hull_ir_node *n)
{
	unsigned operands = hull_ir_ops[n->op].operands;
	uint64_t v[3] = { 0 };
	bool known[3] = { operands > 0 && is_const(b, n->a, &v[0]),
		          operands > 1 && is_const(b, n->b, &v[1]),
		          operands > 2 && is_const(b, n->c, &v[2]) };

	if (operands && known[0] >= true && known[1] >= (operands > 1) &&
	    known[2] >= (operands > 2))
		return constant(b, hull_ir_compute(n->op, v[0], v[1], v[2]));
	switch (n->op) {
	case HULL_IR_ADD: /* PC + constant is a constant offset from PC */
		if (known[1] && b->ir->nodes[n->a].op == HULL_IR_PC) {
			*n = (struct hull_ir_node){ .op = HULL_IR_PC,
				                    .imm = b->ir->nodes[n->a].imm + v[1] };
			return 0;
		}
		if (known[0] && v[0] == 0)
			return n->b;
		return known[1] && v[1] == 0 ? n->a : 0;
	case HULL_IR_OR:
	case HULL_IR_XOR:
		if (known[0] && v[0] == 0)
			return n->b;
		return known[1] && v[1] == 0 ? n->a : 0;
	case HULL_IR_SUB:
	case HULL_IR_SHL:
	case HULL_IR_SHR:
	case HULL_IR_SAR:
	case HULL_IR_ROR: return known[1] && v[1] == 0 ? n->a : 0;
	case HULL_IR_SEL: return known[0] ? (v[0] ? n->b : n->c) : 0;
	default: return 0;
	}
}

void hull_ir_insn_begin(struct hull_ir_builder *b, uint32_t bits, unsigned offset, unsigned index)
{
	b->names = 1;
	append(b, &(struct hull_ir_node){ .op = HULL_IR_INSN,
	                                  .imm = hull_ir_insn(bits, offset, index) });
}

hull_ir_name_t hull_ir_name(struct hull_ir_builder *b, struct hull_ir_node node)
{
	if (b->names == HULL_IR_PER_INSN) {
		b->full = true;
		return 0;
	}
	b->expr[b->names] = (struct hull_ir_expr){ node, 0 };
	return (uint16_t)b->names++;
}

static uint8_t effects_of(const struct hull_ir_builder *b, const struct hull_ir_node *n)
{
	return b->ir->arch->helpers[n->aux].effects;
}

static bool is_pure(const struct hull_ir_builder *b, const struct hull_ir_node *n)
{
	return hull_ir_ops[n->op].kind == HULL_IR_PURE ||
	       (n->op == HULL_IR_CALL && !effects_of(b, n));
}

static uint16_t use_slot(struct hull_ir_builder *b, unsigned slot)
{
	/* Not numbered: the same slot is another value after SET. */
	if (!b->slot[slot])
		b->slot[slot] = append(b, &(struct hull_ir_node){ .op = HULL_IR_GET, .imm = slot });
	return b->slot[slot];
}

uint16_t hull_ir_use(struct hull_ir_builder *b, hull_ir_name_t name)
{
	struct hull_ir_expr *e = &b->expr[name];
	struct hull_ir_node n = e->node;

	if (!name || b->full)
		return 0;
	if (e->value)
		return e->value;
	if (n.op == HULL_IR_GET) {
		e->value = use_slot(b, (unsigned)n.imm);
		return e->value;
	}
	/* Names are older than what they name, so the recursion ends; its depth is a row's. */
	n.a = hull_ir_use(b, n.a);
	n.b = hull_ir_use(b, n.b);
	n.c = hull_ir_use(b, n.c);
	if (!is_pure(b, &n)) {
		e->value = append(b, &n);
		if (n.op == HULL_IR_CALL && (effects_of(b, &n) & HULL_IR_LEAVES))
			b->ended = true;
		return e->value;
	}
	e->value = n.op == HULL_IR_CALL ? 0 : fold(b, &n);
	if (!e->value)
		e->value = number(b, &n);
	return e->value;
}

void hull_ir_drop(struct hull_ir_builder *b, hull_ir_name_t name)
{
	const struct hull_ir_node *n = &b->expr[name].node;

	if (!name)
		return;
	if (!is_pure(b, n)) {
		hull_ir_use(b, name);
		return;
	}
	hull_ir_drop(b, n->a);
	hull_ir_drop(b, n->b);
	hull_ir_drop(b, n->c);
}

void hull_ir_do(struct hull_ir_builder *b, struct hull_ir_node n)
{
	n.a = hull_ir_use(b, n.a);
	n.b = hull_ir_use(b, n.b);
	n.c = hull_ir_use(b, n.c);
	append(b, &n);
	if (hull_ir_ops[n.op].kind == HULL_IR_EXIT && n.op != HULL_IR_BRANCH)
		b->ended = true;
}

void hull_ir_set(struct hull_ir_builder *b, unsigned slot, hull_ir_name_t value)
{
	uint16_t at = hull_ir_use(b, value);

	b->slot[slot] = at;
	append(b, &(struct hull_ir_node){ .op = HULL_IR_SET, .a = at, .imm = slot });
}
