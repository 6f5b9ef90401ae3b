/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Integer operations on x86-64 hosts.
 * budget: host.h gives the parameters: a choice has six operands.
 */
#if defined(__x86_64__)
#include "base/bits.h"
#include "engine/jit/x86_64.h"

static bool is_imm(struct host_operand o)
{
	return o.kind == HOST_IMM;
}

/* d = a, or what has the same low 32 bits. */
static void move_low(struct host_emit *e, bool w, host_reg d, struct host_operand a)
{
	if (is_imm(a))
		x86_const(e, d, w ? (uint32_t)a.imm : a.imm);
	else if (!x86_is(a, d))
		x86_op(e, X86_MOV, !w, d, x86_rm(e, a, d));
}

static void zero(struct host_emit *e, host_reg d)
{
	x86_op(e, X86_XOR, false, d, x86_r(d));
}

static void sign_extend32(struct host_emit *e, host_reg d, struct x86_rm a)
{
	x86_op(e, X86_MOVSXD, true, d, a);
}

void host_mov(struct host_emit *e, host_reg d, struct host_operand a)
{
	if (is_imm(a) && !a.imm)
		zero(e, d);
	else
		move_low(e, false, d, a);
}

void host_set_state(struct host_emit *e, int32_t state, struct host_operand a)
{
	if (is_imm(a) && x86_fits32(a.imm)) {
		x86_op(e, X86_MOV_MI, true, 0, x86_state(state));
		x86_imm(e, a.imm, 4);
	} else if (a.kind != HOST_STATE || a.state != state) {
		x86_op(e, X86_MOV_MR, true, x86_in(e, a, RAX), x86_state(state));
	}
}

void host_set_state8(struct host_emit *e, int32_t state, uint8_t v)
{
	x86_op(e, X86_MOV_MI8, false, 0, x86_state(state));
	x86_imm(e, v, 1);
}

/* --- arithmetic --- */

static void swap(struct host_operand *a, struct host_operand *b)
{
	struct host_operand t = *a;

	*a = *b;
	*b = t;
}

static uint64_t fold(enum host_alu op, uint64_t a, uint64_t b)
{
	switch (op) {
	case HOST_ADD: return a + b;
	case HOST_SUB: return a - b;
	case HOST_AND: return a & b;
	case HOST_OR: return a | b;
	case HOST_XOR: return a ^ b;
	default: return a * b;
	}
}

static void multiply(struct host_emit *e, bool w, host_reg d, struct host_operand a,
                     struct host_operand b)
{
	if (is_imm(b) && x86_fits32(b.imm)) {
		bool small = x86_fits8((int64_t)b.imm);

		x86_op(e, small ? X86_IMUL_I8 : X86_IMUL_I32, !w, d, x86_rm(e, a, RAX));
		x86_imm(e, b.imm, small ? 1 : 4);
		return;
	}
	if (is_imm(b))
		b = host_r(x86_in(e, b, RAX));
	move_low(e, w, d, a);
	x86_op(e, X86_IMUL, !w, d, x86_rm(e, b, RAX));
}

/* AND with a mask that has a shorter form. */
static bool and_mask(struct host_emit *e, host_reg d, struct host_operand a, uint64_t mask)
{
	if (mask == 0xff)
		x86_op(e, X86_MOVZX8, false, d, x86_rm(e, a, RAX));
	else if (mask == 0xffff)
		x86_op(e, X86_MOVZX16, false, d, x86_rm(e, a, RAX));
	else if (mask == UINT32_MAX)
		x86_op(e, X86_MOV, false, d, x86_rm(e, a, RAX));
	else if (mask <= UINT32_MAX) {
		move_low(e, true, d, a);
		x86_alu_imm(e, X86_AND, false, x86_r(d), (int32_t)mask);
	} else
		return false;
	return true;
}

/* a is no constant, op neither SUB nor MUL. */
static void alu_const(struct host_emit *e, enum x86_insn op, bool w, host_reg d,
                      struct host_operand a, uint64_t v)
{
	if (!v && op != X86_AND) {
		if (w && !x86_is(a, d))
			sign_extend32(e, d, x86_rm(e, a, RAX));
		else
			move_low(e, false, d, a);
	} else if (op == X86_AND && !w && and_mask(e, d, a, v)) {
		return;
	} else if (op == X86_XOR && v == UINT64_MAX) {
		move_low(e, w, d, a);
		x86_op(e, X86_GROUP3, !w, 2, x86_r(d));
	} else if (op == X86_ADD && x86_fits32(v) && a.kind == HOST_REG && a.reg != d) {
		x86_op(e, X86_LEA, !w, d, x86_m(a.reg, (int32_t)v));
	} else if (x86_fits32(v)) {
		move_low(e, w, d, a);
		x86_alu_imm(e, op, !w, x86_r(d), (int32_t)v);
	} else if (x86_is(a, d)) {
		x86_const(e, RAX, v);
		x86_op(e, op, !w, d, x86_r(RAX));
	} else {
		x86_const(e, d, v);
		x86_op(e, op, !w, d, x86_rm(e, a, RAX));
	}
}

static void subtract(struct host_emit *e, bool w, host_reg d, struct host_operand a,
                     struct host_operand b)
{
	if (is_imm(a) && !a.imm) {
		move_low(e, w, d, b);
		x86_op(e, X86_GROUP3, !w, 3, x86_r(d));
	} else if (x86_is(b, d) && !x86_is(a, d)) {
		x86_op(e, X86_GROUP3, !w, 3, x86_r(d));
		if (is_imm(a) && x86_fits32(a.imm))
			x86_alu_imm(e, X86_ADD, !w, x86_r(d), (int32_t)a.imm);
		else
			x86_op(e, X86_ADD, !w, d, x86_rm(e, a, RAX));
	} else {
		move_low(e, w, d, a);
		x86_op(e, X86_SUB, !w, d, x86_rm(e, b, RAX));
	}
}

void host_alu(struct host_emit *e, enum host_alu op, bool w, host_reg d, struct host_operand a,
              struct host_operand b)
{
	static const uint8_t ops[] = { X86_ADD, X86_SUB, X86_AND, X86_OR, X86_XOR };

	if (is_imm(a) && is_imm(b)) {
		uint64_t v = fold(op, a.imm, b.imm);

		host_mov(e, d, host_i(w ? (uint64_t)(int32_t)v : v));
		return;
	}
	if (op == HOST_SUB && is_imm(b)) {
		op = HOST_ADD;
		b.imm = -b.imm;
	}
	if (w && is_imm(a))
		a.imm = (uint64_t)(int32_t)a.imm;
	if (w && is_imm(b))
		b.imm = (uint64_t)(int32_t)b.imm;
	/* What is in d already, or else in a register, comes first; constants last. */
	if (op != HOST_SUB && (is_imm(a) || (x86_is(b, d) && !x86_is(a, d)) ||
	                       (a.kind == HOST_STATE && b.kind == HOST_REG)))
		swap(&a, &b);
	if (op == HOST_MUL && is_imm(b) && is_pow2(b.imm)) {
		host_shift(e, HOST_SHL, w, d, a, host_i((uint64_t)__builtin_ctzll(b.imm)));
		return;
	}
	if (op == HOST_MUL)
		multiply(e, w, d, a, b);
	else if (op == HOST_SUB)
		subtract(e, w, d, a, b);
	else if (is_imm(b)) {
		alu_const(e, ops[op], w, d, a, b.imm);
		if (w && !b.imm && op != HOST_AND && !x86_is(a, d))
			return; /* extended already */
	} else if (op == HOST_ADD && a.kind == HOST_REG && b.kind == HOST_REG && d != a.reg) {
		x86_op(e, X86_LEA, !w, d, x86_mx(a.reg, b.reg, 0));
	} else {
		move_low(e, w, d, a);
		x86_op(e, ops[op], !w, d, x86_rm(e, b, RAX));
	}
	if (w)
		sign_extend32(e, d, x86_r(d));
}

/* --- shifts --- */

enum { DIGIT_ROR = 1, DIGIT_SHL = 4, DIGIT_SHR = 5, DIGIT_SAR = 7 };

static void shift_const(struct host_emit *e, enum host_shift op, bool w, host_reg d,
                        struct host_operand a, unsigned n)
{
	static const uint8_t digits[] = { DIGIT_SHL, DIGIT_SHR, DIGIT_SAR, DIGIT_ROR };

	if (w && (!n || op == HOST_SAR)) {
		sign_extend32(e, d, x86_rm(e, a, RAX));
		w = false;
	} else if (op == HOST_ROR && n && (e->features & HOST_BMI2) && !x86_is(a, d)) {
		x86_vex(e, X86_RORX, !w, d, 0, x86_rm(e, a, RAX));
		x86_imm(e, n, 1);
		n = 0;
	} else if (op == HOST_SHL && n && n <= 3 && a.kind == HOST_REG && a.reg != d) {
		struct x86_rm m = n == 1 ? x86_mx(a.reg, a.reg, 0) : x86_mx(HOST_NO_REG, a.reg, 0);

		m.scale = n == 1 ? 0 : (uint8_t)n;
		x86_op(e, X86_LEA, !w, d, m);
		n = 0;
	} else {
		move_low(e, w, d, a);
	}
	if (n) {
		x86_op(e, n == 1 ? X86_SHIFT_1 : X86_SHIFT_I, !w, digits[op], x86_r(d));
		if (n != 1)
			x86_imm(e, n, 1);
	}
	if (w && op != HOST_SHR) /* n is not 0: the sign is */
		sign_extend32(e, d, x86_r(d));
}

void host_shift(struct host_emit *e, enum host_shift op, bool w, host_reg d, struct host_operand a,
                struct host_operand b)
{
	static const uint8_t bmi[] = { X86_SHLX, X86_SHRX, X86_SARX };
	static const uint8_t digits[] = { DIGIT_SHL, DIGIT_SHR, DIGIT_SAR, DIGIT_ROR };

	if (is_imm(b)) {
		if (is_imm(a))
			a = host_r(x86_in(e, a, RAX));
		shift_const(e, op, w, d, a, (unsigned)b.imm & (w ? 31 : 63));
		return;
	}
	if (op != HOST_ROR && (e->features & HOST_BMI2)) {
		host_reg count = x86_in(e, b, RCX);

		x86_vex(e, bmi[op], !w, d, count, x86_rm(e, a, RAX));
	} else {
		move_low(e, true, RCX, b);
		move_low(e, w, d, a);
		x86_op(e, X86_SHIFT_CL, !w, digits[op], x86_r(d));
	}
	if (w)
		sign_extend32(e, d, x86_r(d));
}

void host_add_shifted(struct host_emit *e, host_reg d, struct host_operand a, struct host_operand b,
                      unsigned shift)
{
	struct x86_rm m = x86_mx(x86_in(e, a, RAX), x86_in(e, b, RCX), 0);

	m.scale = (uint8_t)shift;
	x86_op(e, X86_LEA, true, d, m);
}

/* --- other operators --- */

static void multiply_high(struct host_emit *e, enum hull_ir_op op, host_reg d,
                          struct host_operand a, struct host_operand b)
{
	if (op == HULL_IR_MULHU && (e->features & HOST_BMI2)) {
		host_reg x = x86_in(e, b, RCX);

		move_low(e, false, RDX, a);
		x86_vex(e, X86_MULX, true, d, RAX, x86_r(x));
		return;
	}
	move_low(e, false, RAX, a);
	x86_op(e, X86_GROUP3, true, op == HULL_IR_MULH ? 5 : 4, x86_rm(e, b, RCX));
	if (op == HULL_IR_MULHSU) { /* a < 0: 2^64 too much */
		move_low(e, false, RAX, a);
		x86_op(e, X86_SHIFT_I, true, DIGIT_SAR, x86_r(RAX));
		x86_imm(e, 63, 1);
		x86_op(e, X86_AND, true, RAX, x86_rm(e, b, RCX));
		x86_op(e, X86_SUB, true, RDX, x86_r(RAX));
	}
	x86_move(e, d, RDX);
}

/* The result, in rax or rdx, where `by` is 0, or -1 and signed; then rdx = by + 1. */
static void divide_special(struct host_emit *e, enum hull_ir_op op, bool w)
{
	switch (op) {
	case HULL_IR_DIV: /* -1 or -a */
		x86_op(e, X86_GROUP3, !w, 3, x86_r(RDX));
		x86_op(e, X86_GROUP3, !w, 3, x86_r(RAX));
		x86_op(e, X86_OR, !w, RAX, x86_r(RDX));
		break;
	case HULL_IR_REM: /* a or 0 */
		x86_op(e, X86_GROUP3, !w, 3, x86_r(RDX));
		x86_op(e, X86_AND, !w, RDX, x86_r(RAX));
		break;
	case HULL_IR_DIVU: x86_alu_imm(e, X86_OR, !w, x86_r(RAX), -1); break;
	default: x86_op(e, X86_MOV, !w, RDX, x86_r(RAX)); break;
	}
}

static void divide(struct host_emit *e, enum hull_ir_op op, bool w, host_reg d,
                   struct host_operand a, struct host_operand b)
{
	bool is_signed = op == HULL_IR_DIV || op == HULL_IR_REM;
	host_reg result = op == HULL_IR_DIV || op == HULL_IR_DIVU ? RAX : RDX;
	uint64_t v = w ? (uint64_t)(int32_t)b.imm : b.imm;
	bool checked = !is_imm(b) || !v || (is_signed && v == UINT64_MAX);
	host_reg by = x86_in(e, b, RCX);
	uint8_t *special = NULL, *small = NULL, *done = NULL;

	move_low(e, w, RAX, a);
	if (checked && is_signed) {
		x86_op(e, X86_LEA, !w, RDX, x86_m(by, 1));
		x86_alu_imm(e, X86_CMP, !w, x86_r(RDX), 1);
		special = x86_skip(e, CC_BE);
	} else if (checked) {
		x86_op(e, X86_TEST, !w, by, x86_r(by));
		special = x86_skip(e, CC_E);
	}
	if (!w) { /* the short division is much faster on many CPUs */
		x86_op(e, X86_MOV, true, RDX, x86_r(RAX));
		x86_op(e, X86_OR, true, RDX, x86_r(by));
		x86_op(e, X86_SHIFT_I, true, DIGIT_SHR, x86_r(RDX));
		x86_imm(e, 32, 1);
		small = x86_skip(e, CC_E);
	}
	if (is_signed)
		x86_bytes(e, w ? 0x99 : 0x9948, w ? 1 : 2); /* cdq, cqo */
	else
		zero(e, RDX);
	x86_op(e, X86_GROUP3, !w, is_signed ? 7 : 6, x86_r(by));
	if (small) {
		done = x86_skip(e, CC_ALWAYS);
		x86_land(e, small);
		x86_op(e, X86_GROUP3, false, 6, x86_r(by));
	}
	if (special) {
		uint8_t *over = x86_skip(e, CC_ALWAYS);

		x86_land(e, special);
		divide_special(e, op, w);
		x86_land(e, over);
	}
	if (done)
		x86_land(e, done);
	if (w)
		sign_extend32(e, d, x86_r(result));
	else
		x86_move(e, d, result);
}

void host_divw(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
               struct host_operand b)
{
	divide(e, op, true, d, a, b);
}

static void count_zeros(struct host_emit *e, bool leading, host_reg d, struct host_operand a)
{
	struct x86_rm x = x86_rm(e, a, RAX);

	if (e->features & (leading ? HOST_LZCNT : HOST_BMI1)) {
		x86_op(e, leading ? X86_LZCNT : X86_TZCNT, true, d, x);
		return;
	}
	x86_const(e, RCX, leading ? 127 : 64);
	x86_op(e, leading ? X86_BSR : X86_BSF, true, RDX, x);
	x86_cc_op(e, X86_CMOVCC, CC_E, true, RDX, x86_r(RCX));
	if (leading)
		x86_alu_imm(e, X86_XOR, false, x86_r(RDX), 63);
	x86_move(e, d, RDX);
}

static void to_vector(struct host_emit *e, unsigned xmm, struct host_operand a)
{
	x86_op(e, X86_MOVD, true, xmm, x86_rm(e, a, RAX));
}

static void carry_less(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
                       struct host_operand b)
{
	to_vector(e, 0, a);
	to_vector(e, 1, b);
	x86_op(e, X86_PCLMULQDQ, false, 0, x86_r(1));
	x86_imm(e, 0, 1);
	if (op == HULL_IR_CLMULR)
		x86_op(e, X86_MOVD_MR, true, 0, x86_r(RAX));
	if (op != HULL_IR_CLMUL)
		x86_op(e, X86_MOVHLPS, false, 0, x86_r(0));
	x86_op(e, X86_MOVD_MR, true, 0, x86_r(d));
	if (op == HULL_IR_CLMULR) {
		x86_op(e, X86_SHLD_I, true, RAX, x86_r(d));
		x86_imm(e, 1, 1);
	}
}

static void or_combine(struct host_emit *e, host_reg d, struct host_operand a)
{
	to_vector(e, 0, a);
	x86_op(e, X86_XORPS, false, 1, x86_r(1));
	x86_op(e, X86_PCMPEQB, false, 0, x86_r(1));
	x86_op(e, X86_MOVD_MR, true, 0, x86_r(d));
	x86_op(e, X86_GROUP3, true, 2, x86_r(d));
}

static void unbox(struct host_emit *e, bool half, host_reg d, struct host_operand a)
{
	if (half) {
		struct x86_rm x = x86_rm(e, a, RAX);

		x86_op(e, X86_MOVZX16, false, RDX, x);
		x86_alu_imm(e, X86_CMP, true, x, -65536);
		x86_const(e, RCX, 0x7e00);
		x86_cc_op(e, X86_CMOVCC, CC_B, false, RDX, x86_r(RCX));
	} else {
		move_low(e, false, RAX, a);
		x86_op(e, X86_MOV, false, RDX, x86_r(RAX));
		x86_op(e, X86_SHIFT_I, true, DIGIT_SHR, x86_r(RAX));
		x86_imm(e, 32, 1);
		x86_alu_imm(e, X86_CMP, false, x86_r(RAX), -1);
		x86_const(e, RCX, 0x7fc00000);
		x86_cc_op(e, X86_CMOVCC, CC_NE, false, RDX, x86_r(RCX));
	}
	x86_move(e, d, RDX);
}

static void extend(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a)
{
	static const struct {
		uint8_t insn, w;
	} how[] = { { X86_MOVSX8, 1 }, { X86_MOVSX16, 1 }, { X86_MOVSXD, 1 },
		    { X86_MOVZX8, 0 }, { X86_MOVZX16, 0 }, { X86_MOV, 0 } };
	unsigned i = op - HULL_IR_SX8;

	x86_op(e, how[i].insn, how[i].w, d, x86_rm(e, a, RAX));
}

bool host_compute(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
                  struct host_operand b)
{
	if (is_imm(a) && (is_imm(b) || hull_ir_ops[op].operands == 1)) {
		host_mov(e, d, host_i(hull_ir_compute(op, a.imm, b.imm, 0)));
		return true;
	}
	switch (op) {
	case HULL_IR_MULH:
	case HULL_IR_MULHU:
	case HULL_IR_MULHSU: multiply_high(e, op, d, a, b); return true;
	case HULL_IR_DIV:
	case HULL_IR_DIVU:
	case HULL_IR_REM:
	case HULL_IR_REMU: divide(e, op, false, d, a, b); return true;
	case HULL_IR_SX8:
	case HULL_IR_SX16:
	case HULL_IR_SX32:
	case HULL_IR_ZX8:
	case HULL_IR_ZX16:
	case HULL_IR_ZX32: extend(e, op, d, a); return true;
	case HULL_IR_CLZ:
	case HULL_IR_CTZ: count_zeros(e, op == HULL_IR_CLZ, d, a); return true;
	case HULL_IR_POP:
		if (!(e->features & HOST_POPCNT))
			return false;
		x86_op(e, X86_POPCNT, true, d, x86_rm(e, a, RAX));
		return true;
	case HULL_IR_NOT:
		move_low(e, false, d, a);
		x86_op(e, X86_GROUP3, true, 2, x86_r(d));
		return true;
	case HULL_IR_REV8: /* bswap */
		move_low(e, false, d, a);
		x86_bytes(e, 0xc80f48u | d >> 3 | (d & 7u) << 16, 3);
		return true;
	case HULL_IR_ORCB: or_combine(e, d, a); return true;
	case HULL_IR_CLMUL:
	case HULL_IR_CLMULH:
	case HULL_IR_CLMULR:
		if (!(e->features & HOST_PCLMUL))
			return false;
		carry_less(e, op, d, a, b);
		return true;
	case HULL_IR_BOX16:
		move_low(e, true, d, a);
		x86_alu_imm(e, X86_OR, true, x86_r(d), -65536);
		return true;
	case HULL_IR_BOX32:
		x86_const(e, RAX, ~(uint64_t)UINT32_MAX);
		move_low(e, true, d, a);
		x86_op(e, X86_OR, true, d, x86_r(RAX));
		return true;
	case HULL_IR_UNBOX16:
	case HULL_IR_UNBOX32: unbox(e, op == HULL_IR_UNBOX16, d, a); return true;
	default: return false;
	}
}

/* --- conditions --- */

/* Sets the flags; returns the condition. */
static unsigned compare(struct host_emit *e, enum host_cond cond, struct host_operand a,
                        struct host_operand b)
{
	static const uint8_t cc[2][6] = {
		{ CC_E, CC_NE, CC_L, CC_GE, CC_B, CC_AE },
		{ CC_E, CC_NE, CC_G, CC_LE, CC_A, CC_BE }, /* operands exchanged */
	};
	bool swapped = is_imm(a) && !is_imm(b);

	if (swapped)
		swap(&a, &b);
	if (is_imm(b) && !b.imm && a.kind == HOST_REG)
		x86_op(e, X86_TEST, true, a.reg, x86_r(a.reg));
	else if (is_imm(b) && x86_fits32(b.imm))
		x86_alu_imm(e, X86_CMP, true, x86_rm(e, a, RAX), (int32_t)b.imm);
	else if (a.kind == HOST_STATE && b.kind != HOST_STATE)
		x86_op(e, X86_CMP_MR, true, x86_in(e, b, RCX), x86_state(a.state));
	else {
		host_reg x = x86_in(e, a, RAX);

		x86_op(e, X86_CMP, true, x, x86_rm(e, b, RCX));
	}
	return cc[swapped][cond];
}

void host_set(struct host_emit *e, enum host_cond cond, host_reg d, struct host_operand a,
              struct host_operand b)
{
	bool in_use = x86_is(a, d) || x86_is(b, d);
	unsigned cc;

	if (cond == HOST_LT && is_imm(b) && !b.imm && !is_imm(a)) { /* the sign */
		shift_const(e, HOST_SHR, false, d, a, 63);
		return;
	}
	if (!in_use)
		zero(e, d);
	cc = compare(e, cond, a, b);
	x86_cc_op(e, X86_SETCC, cc, false, 0, x86_r(in_use ? RAX : d));
	if (in_use)
		x86_op(e, X86_MOVZX8, false, d, x86_r(RAX));
}

void host_branch(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_label to)
{
	x86_jump(e, compare(e, cond, a, b), to);
}

void host_select(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_reg d, struct host_operand yes, struct host_operand no)
{
	unsigned cc = compare(e, cond, a, b);

	/* What is in d stays there; else a constant is better put there than into scratch. */
	if (x86_is(yes, d) || (is_imm(yes) && !is_imm(no) && !x86_is(no, d))) {
		swap(&yes, &no);
		cc ^= 1;
	}
	move_low(e, false, d, no);
	if (!x86_is(yes, d))
		x86_cc_op(e, X86_CMOVCC, cc, true, d, x86_rm(e, yes, RCX));
}

void host_jump(struct host_emit *e, host_label to)
{
	x86_jump(e, CC_ALWAYS, to);
}

void host_branch_byte(struct host_emit *e, int32_t state, host_label if_zero)
{
	x86_op(e, X86_GROUP1_BYTE, false, 7, x86_state(state));
	x86_imm(e, 0, 1);
	x86_jump(e, CC_E, if_zero);
}

#endif
