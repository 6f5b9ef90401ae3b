/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The operators as data, the verifier and the printer. */
#include "engine/ir/ir.h"

#include "base/bits.h"
#include "base/text.h"

const struct hull_ir_op_info hull_ir_ops[HULL_IR_OPS] = {
	[HULL_IR_NONE] = { "none", HULL_IR_PURE, 0, "nothing" },
#define IR_OP(name, kind, operands, meaning) \
	[HULL_IR_##name] = { #name, HULL_IR_##kind, operands, meaning },
#include "engine/ir/ops.def"
#undef IR_OP
};

static const struct hull_ir_helper *helper_of(const struct hull_ir *ir,
                                              const struct hull_ir_node *n)
{
	if (n->op != HULL_IR_CALL || n->aux >= ir->arch->helper_count)
		return NULL;
	return &ir->arch->helpers[n->aux];
}

static bool has_value(const struct hull_ir *ir, unsigned at)
{
	const struct hull_ir_node *n = &ir->nodes[at];
	const struct hull_ir_helper *h = helper_of(ir, n);

	if (h && (h->effects & HULL_IR_NO_VALUE))
		return false;
	return hull_ir_ops[n->op].kind == HULL_IR_PURE || hull_ir_ops[n->op].kind == HULL_IR_VALUE;
}

static bool always_leaves(const struct hull_ir *ir, const struct hull_ir_node *n)
{
	const struct hull_ir_helper *h = helper_of(ir, n);

	return (hull_ir_ops[n->op].kind == HULL_IR_EXIT && n->op != HULL_IR_BRANCH) ||
	       (h && (h->effects & HULL_IR_LEAVES));
}

/* The constants of one operator. */
static const char *check_constants(const struct hull_ir *ir, const struct hull_ir_node *n)
{
	switch (n->op) {
	case HULL_IR_GET:
	case HULL_IR_SET: return n->imm < ir->arch->slot_count ? NULL : "no such slot";
	case HULL_IR_LOAD: return n->aux < HULL_IR_LOADS ? NULL : "no such kind of load";
	case HULL_IR_STORE:
		return n->aux == 8 || n->aux == 16 || n->aux == 32 || n->aux == 64 ? NULL
		                                                                   : "no such size";
	case HULL_IR_CALL: return helper_of(ir, n) ? NULL : "no such helper";
	case HULL_IR_KEPT:
	case HULL_IR_KEEP: return "of a region only";
	case HULL_IR_FP_ROUND: return n->imm < 8 ? NULL : "no such rounding field";
	default: return NULL;
	}
}

static const char *check_operands(const struct hull_ir *ir, unsigned at)
{
	const struct hull_ir_node *n = &ir->nodes[at];
	const struct hull_ir_helper *h = helper_of(ir, n);
	unsigned operands = h ? h->operands : hull_ir_ops[n->op].operands;
	const uint16_t v[3] = { n->a, n->b, n->c };

	for (unsigned i = 0; i < 3; i++) {
		if (i >= operands && v[i])
			return "too many operands";
		if (i < operands && (!v[i] || v[i] >= at))
			return "an operand is used before it is defined";
		if (i < operands && !has_value(ir, v[i]))
			return "an operand has no value";
	}
	return NULL;
}

/* What must have come before: an INSN before effects, FP_ROUND before what rounds. */
static const char *check_order(const struct hull_ir *ir, const struct hull_ir_node *n, bool in_insn,
                               bool rounds)
{
	const struct hull_ir_helper *h = helper_of(ir, n);

	if (!in_insn && n->op != HULL_IR_INSN && hull_ir_ops[n->op].kind != HULL_IR_PURE)
		return "an effect outside an instruction";
	if (h && (h->effects & HULL_IR_ROUNDS) && !rounds)
		return "rounding without FP_ROUND in the instruction";
	return NULL;
}

const char *hull_ir_verify(const struct hull_ir *ir, unsigned *ret_at)
{
	bool in_insn = false, rounds = false;
	unsigned offset = 0, index = 0;
	const char *why = NULL;

	*ret_at = 0;
	if (ir->count < 2 || ir->count > HULL_IR_MAX)
		return "no nodes, or too many";
	for (unsigned i = 1; i < ir->count && !why; i++) {
		const struct hull_ir_node *n = &ir->nodes[i];

		*ret_at = i;
		if (n->op == HULL_IR_NONE || n->op >= HULL_IR_OPS)
			return "no such operator";
		why = check_constants(ir, n);
		why = why ? why : check_operands(ir, i);
		why = why ? why : check_order(ir, n, in_insn, rounds);
		if (!why && always_leaves(ir, n) != (i == ir->count - 1))
			why = "a block ends with its only exit that always leaves";
		if (n->op == HULL_IR_FP_ROUND)
			rounds = true;
		if (n->op != HULL_IR_INSN)
			continue;
		if (in_insn && (HULL_IR_INSN_OFFSET(n->imm) <= offset ||
		                HULL_IR_INSN_INDEX(n->imm) != index + 1))
			why = "instructions out of order";
		in_insn = true;
		rounds = false;
		offset = HULL_IR_INSN_OFFSET(n->imm);
		index = HULL_IR_INSN_INDEX(n->imm);
	}
	return why;
}

/* --- printing --- */

struct out {
	char *dst;
	size_t size, len;
};

#define PUT(o, ...)                                                                        \
	do {                                                                               \
		char put_none[1];                                                          \
		bool put_room = (o)->len < (o)->size;                                      \
		(o)->len += hull_format(put_room ? (o)->dst + (o)->len : put_none,         \
		                        put_room ? (o)->size - (o)->len : 1, __VA_ARGS__); \
	} while (0)

static void put_lower(struct out *o, const char *s)
{
	for (; *s; s++)
		PUT(o, "%c", *s >= 'A' && *s <= 'Z' ? *s + ('a' - 'A') : *s);
}

/* Small numbers in decimal, both signs; others in hexadecimal. */
static void put_number(struct out *o, uint64_t v)
{
	if (v + 4096 < 8192)
		PUT(o, "%lld", (long long)v);
	else
		PUT(o, "0x%llx", (unsigned long long)v);
}

static void put_operands(struct out *o, const struct hull_ir_node *n)
{
	const uint16_t v[3] = { n->a, n->b, n->c };

	for (unsigned i = 0; i < 3 && v[i]; i++)
		PUT(o, "%s v%u", i ? "," : "", v[i]);
}

static void put_node(struct out *o, const struct hull_ir *ir, unsigned at)
{
	static const char *const loads[] = { "u8", "u16", "u32", "u64", "s8", "s16", "s32" };
	const struct hull_ir_node *n = &ir->nodes[at];

	if (n->op == HULL_IR_INSN) {
		PUT(o, "+%u: insn %u, %x\n", HULL_IR_INSN_OFFSET(n->imm),
		    HULL_IR_INSN_INDEX(n->imm), HULL_IR_INSN_BITS(n->imm));
		return;
	}
	PUT(o, "\t");
	if (has_value(ir, at))
		PUT(o, "v%u = ", at);
	if (n->op == HULL_IR_CALL)
		PUT(o, "%s", ir->arch->helpers[n->aux].name);
	else
		put_lower(o, hull_ir_ops[n->op].name);
	if (n->op == HULL_IR_LOAD)
		PUT(o, ".%s", loads[n->aux]);
	if (n->op == HULL_IR_STORE)
		PUT(o, ".%u", n->aux);
	put_operands(o, n);
	switch (n->op) {
	case HULL_IR_GET: PUT(o, " %s", ir->arch->slots[n->imm]); break;
	case HULL_IR_SET: PUT(o, " -> %s", ir->arch->slots[n->imm]); break;
	case HULL_IR_CONST:
	case HULL_IR_KEPT:
	case HULL_IR_KEEP:
	case HULL_IR_FP_ROUND:
	case HULL_IR_TRAP:
		PUT(o, " ");
		put_number(o, n->imm);
		break;
	case HULL_IR_PC:
	case HULL_IR_GOTO:
	case HULL_IR_LOOK:
	case HULL_IR_BRANCH:
		PUT(o, " pc%s%lld", (int64_t)n->imm < 0 ? "" : "+", (long long)n->imm);
		break;
	case HULL_IR_CALL:
		if (n->imm)
			PUT(o, " #0x%llx", (unsigned long long)n->imm);
		break;
	}
	PUT(o, "\n");
}

size_t hull_ir_print(const struct hull_ir *ir, char *dst, size_t size)
{
	struct out o = { dst, size, 0 };

	dst[0] = 0;
	for (unsigned i = 1; i < ir->count; i++)
		put_node(&o, ir, i);
	return o.len;
}
