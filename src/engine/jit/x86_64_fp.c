/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Floating point on x86-64 hosts.
 *
 * SSE and AVX detect tininess after rounding, as RISC-V does; their flags are RISC-V's but for
 * the denormal one, which is ignored.  Only 128-bit forms are used, so upper halves stay clean.
 * budget: host.h gives the parameters: operands, their format, and a label.
 */
#if defined(__x86_64__)
#include "base/bits.h"
#include "engine/jit/x86_64.h"
#include "isa/fp.h"

/* The row of a pair for this width. */
static enum x86_insn pick(enum x86_insn single, unsigned bits)
{
	return single + (bits == 64);
}

static bool avx(const struct host_emit *e)
{
	return e->features & HOST_AVX;
}

/* Instructions of one or two operands. */
static void two(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, struct x86_rm rm)
{
	if (avx(e))
		x86_vex(e, op, w, reg, 0, rm);
	else
		x86_op(e, op, w, reg, rm);
}

/* fd = fa op b; without AVX b must not be fd, unless fa is. */
static void three(struct host_emit *e, enum x86_insn op, bool w, host_reg fd, host_reg fa,
                  struct x86_rm b)
{
	if (avx(e)) {
		x86_vex(e, op, w, fd, fa, b);
		return;
	}
	host_fmov(e, fd, fa);
	x86_op(e, op, w, fd, b);
}

/* The same, where the order of operands does not matter or fd may be any. */
static void arithmetic(struct host_emit *e, enum x86_insn op, bool commutes, host_reg fd,
                       host_reg fa, host_reg fb)
{
	if (avx(e) || fd != fb || fa == fb) {
		three(e, op, false, fd, fa, x86_r(fb));
	} else if (commutes) {
		x86_op(e, op, false, fd, x86_r(fa));
	} else {
		three(e, op, false, 0, fa, x86_r(fb));
		host_fmov(e, fd, 0);
	}
}

static void to_nan(struct host_emit *e, unsigned bits, host_reg f, host_label nan)
{
	two(e, pick(X86_UCOMISS, bits), false, f, x86_r(f));
	x86_jump(e, CC_P, nan);
}

void host_fget(struct host_emit *e, unsigned bits, host_reg fd, int32_t state)
{
	two(e, pick(X86_MOVSS, bits), false, fd, x86_state(state));
}

void host_fput(struct host_emit *e, unsigned bits, int32_t state, host_reg fs)
{
	two(e, pick(X86_MOVSS_MR, bits), false, fs, x86_state(state));
	if (bits == 32) {
		x86_op(e, X86_MOV_MI, false, 0, x86_state(state + 4));
		x86_imm(e, UINT32_MAX, 4);
	}
}

void host_fmov(struct host_emit *e, host_reg fd, host_reg fs)
{
	if (fd != fs)
		two(e, X86_MOVAPS, false, fd, x86_r(fs));
}

void host_load_f(struct host_emit *e, unsigned bits, host_reg fd, host_reg addend,
                 struct host_operand base, int32_t off)
{
	two(e, pick(X86_MOVSS, bits), false, fd, x86_mx(addend, x86_in(e, base, RCX), off));
}

void host_store_f(struct host_emit *e, unsigned bits, host_reg fs, host_reg addend,
                  struct host_operand base, int32_t off)
{
	two(e, pick(X86_MOVSS_MR, bits), false, fs, x86_mx(addend, x86_in(e, base, RCX), off));
}

static void clear(struct host_emit *e, host_reg fd)
{
	three(e, X86_XORPS, false, fd, fd, x86_r(fd));
}

void host_f_from_gpr(struct host_emit *e, unsigned bits, host_reg fd, struct host_operand a)
{
	if (a.kind == HOST_STATE)
		host_fget(e, bits, fd, a.state);
	else if (a.kind == HOST_IMM && !(bits == 32 ? (uint32_t)a.imm : a.imm))
		clear(e, fd);
	else
		two(e, X86_MOVD, bits == 64, fd, x86_rm(e, a, RAX));
}

void host_f_to_gpr(struct host_emit *e, unsigned bits, host_reg d, host_reg fs)
{
	two(e, X86_MOVD_MR, bits == 64, fs, x86_r(d));
}

void host_branch_unboxed(struct host_emit *e, int32_t state, host_label to)
{
	x86_alu_imm(e, X86_CMP, false, x86_state(state + 4), -1);
	x86_jump(e, CC_NE, to);
}

/* --- arithmetic --- */

void host_fop(struct host_emit *e, enum host_fop op, unsigned bits, host_reg fd, host_reg fa,
              host_reg fb, host_label nan)
{
	static const uint8_t ops[] = { X86_ADDSS, X86_SUBSS, X86_MULSS, X86_DIVSS };

	arithmetic(e, pick(ops[op], bits), op == HOST_FADD || op == HOST_FMUL, fd, fa, fb);
	to_nan(e, bits, fd, nan);
}

void host_fsqrt(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_label nan)
{
	if (avx(e))
		x86_vex(e, pick(X86_SQRTSS, bits), false, fd, fa, x86_r(fa));
	else
		x86_op(e, pick(X86_SQRTSS, bits), false, fd, x86_r(fa));
	to_nan(e, bits, fd, nan);
}

bool host_fma(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_reg fb,
              host_reg fc, bool negate_product, bool negate_c, host_label nan)
{
	static const uint8_t ops[2][2] = { { X86_FMADD213, X86_FMSUB213 },
		                           { X86_FNMADD213, X86_FNMSUB213 } };

	struct host_late *late = &e->late[e->late_count];

	if (!(e->features & HOST_FMA))
		return false;
	if (e->late_count == HOST_LATE) {
		e->full = true;
		return true;
	}
	two(e, X86_MOVAPS, false, 0, x86_r(fa));
	x86_vex(e, ops[negate_product][negate_c], bits == 64, 0, fb, x86_r(fc));
	two(e, pick(X86_UCOMISS, bits), false, 0, x86_r(0));
	x86_bytes(e, 0x8a0f, 2); /* jp */
	x86_imm(e, 0, 4);
	e->late_count++;
	*late = (struct host_late){
		.at = host_here(e), .to = nan, .bits = (uint8_t)bits, .d = fd, .a = fa, .b = fb
	};
	host_fmov(e, fd, 0);
	return true;
}

/*
 * Infinity * 0 + a quiet NaN is invalid on RISC-V, on x86 it is not.  |fa| * |fb| + infinity is
 * invalid then, and otherwise raises nothing that has not been raised.
 */
void x86_fma_late(struct host_emit *e)
{
	for (unsigned i = 0; i < e->late_count && !e->full; i++) {
		const struct host_late *l = &e->late[i];
		bool w = l->bits == 64;

		store_le32(e->start + l->at - 4, host_here(e) - l->at);
		x86_vex(e, X86_PCMPEQD, false, 0, 0, x86_r(0));
		x86_vex(e, w ? X86_PSHIFTQ_I : X86_PSHIFTD_I, false, 2, 0, x86_r(0));
		x86_imm(e, 1, 1);
		x86_vex(e, X86_ANDPS, false, 1, 0, x86_r(l->b));
		x86_vex(e, X86_ANDPS, false, 0, 0, x86_r(l->a));
		host_f_from_gpr(e, l->bits, l->d, host_i(w ? 0x7ff0000000000000 : 0x7f800000));
		x86_vex(e, X86_FMADD213, w, 0, 1, x86_r(l->d));
		x86_jump(e, CC_ALWAYS, l->to);
	}
}

void host_fnan(struct host_emit *e, unsigned bits, host_reg fd)
{
	host_f_from_gpr(e, bits, fd, host_i(bits == 32 ? 0x7fc00000 : 0x7ff8000000000000));
}

/* --- comparisons --- */

void host_fcompare(struct host_emit *e, enum host_fcmp op, unsigned bits, host_reg d, host_reg fa,
                   host_reg fb)
{
	if (op == HOST_FEQ) { /* a mask; predicate 0: equal, ordered, quiet */
		three(e, pick(X86_CMPSS, bits), false, 0, fa, x86_r(fb));
		x86_imm(e, 0, 1);
		two(e, X86_MOVD_MR, false, 0, x86_r(d));
		x86_alu_imm(e, X86_AND, false, x86_r(d), 1);
		return;
	}
	/* fb above fa: false if unordered. */
	x86_op(e, X86_XOR, false, d, x86_r(d));
	two(e, pick(X86_COMISS, bits), false, fb, x86_r(fa));
	x86_cc_op(e, X86_SETCC, op == HOST_FLT ? CC_A : CC_AE, false, 0, x86_r(d));
}

void host_fminmax(struct host_emit *e, bool max, unsigned bits, host_reg fd, host_reg fa,
                  host_reg fb, host_label slow)
{
	two(e, pick(X86_UCOMISS, bits), false, fa, x86_r(fb));
	x86_jump(e, CC_E, slow); /* unordered, too */
	arithmetic(e, pick(max ? X86_MAXSS : X86_MINSS, bits), true, fd, fa, fb);
}

/* --- integers --- */

/*
 * To `slow` unless 0 <= fa < 2^log2, by its bits alone: the conversion to 64-bit integers raises
 * other flags than RISC-V's for what is not a result of the narrower or unsigned type.
 */
static void check_range(struct host_emit *e, unsigned bits, unsigned log2, host_reg fa,
                        host_label slow)
{
	host_f_to_gpr(e, bits, RAX, fa);
	if (bits == 32) {
		x86_alu_imm(e, X86_CMP, false, x86_r(RAX), (int32_t)((127 + log2) << 23));
	} else {
		x86_op(e, X86_SHIFT_I, true, 5, x86_r(RAX)); /* shr: sign and exponent */
		x86_imm(e, 52, 1);
		x86_alu_imm(e, X86_CMP, false, x86_r(RAX), (int32_t)(1023 + log2));
	}
	x86_jump(e, CC_AE, slow);
}

void host_f_to_int(struct host_emit *e, unsigned bits, enum host_int to, host_reg d, host_reg fa,
                   host_label slow)
{
	bool is_signed = to == HOST_I32 || to == HOST_I64, w = to != HOST_I32;

	if (!is_signed)
		check_range(e, bits, to == HOST_U32 ? 32 : 63, fa, slow);
	two(e, pick(X86_CVTTSS2SI, bits), w, RAX, x86_r(fa));
	if (is_signed) { /* the least number: that, or invalid, which NV is, too */
		x86_alu_imm(e, X86_CMP, w, x86_r(RAX), 1);
		x86_jump(e, CC_O, slow);
	}
	if (to == HOST_I32 || to == HOST_U32)
		x86_op(e, X86_MOVSXD, true, d, x86_r(RAX));
	else
		x86_move(e, d, RAX);
}

/* fd = the signed integer; cleared first, since only a part of it is written. */
static void from_signed(struct host_emit *e, unsigned bits, bool w, host_reg fd, struct x86_rm a)
{
	clear(e, fd);
	three(e, pick(X86_CVTSI2SS, bits), w, fd, fd, a);
}

/* 64 bits unsigned: halve large ones to odd, so that they round as the whole does, and double. */
static void from_u64(struct host_emit *e, unsigned bits, host_reg fd, struct host_operand a)
{
	uint8_t *large, *done;

	host_mov(e, RAX, a);
	clear(e, fd);
	x86_op(e, X86_TEST, true, RAX, x86_r(RAX));
	large = x86_skip(e, CC_S);
	three(e, pick(X86_CVTSI2SS, bits), true, fd, fd, x86_r(RAX));
	done = x86_skip(e, CC_ALWAYS);
	x86_land(e, large);
	x86_op(e, X86_MOV, false, RCX, x86_r(RAX));
	x86_alu_imm(e, X86_AND, false, x86_r(RCX), 1);
	x86_op(e, X86_SHIFT_1, true, 5, x86_r(RAX));
	x86_op(e, X86_OR, true, RAX, x86_r(RCX));
	three(e, pick(X86_CVTSI2SS, bits), true, fd, fd, x86_r(RAX));
	three(e, pick(X86_ADDSS, bits), false, fd, fd, x86_r(fd));
	x86_land(e, done);
}

bool host_f_from_int(struct host_emit *e, unsigned bits, enum host_int from, host_reg fd,
                     struct host_operand a)
{
	switch (from) {
	case HOST_I32: from_signed(e, bits, false, fd, x86_rm(e, a, RAX)); break;
	case HOST_I64: from_signed(e, bits, true, fd, x86_rm(e, a, RAX)); break;
	case HOST_U32:
		x86_op(e, X86_MOV, false, RAX, x86_rm(e, a, RAX));
		from_signed(e, bits, true, fd, x86_r(RAX));
		break;
	default: from_u64(e, bits, fd, a); break;
	}
	return true;
}

void host_fconvert(struct host_emit *e, unsigned from, host_reg fd, host_reg fa, host_label nan)
{
	enum x86_insn op = from == 32 ? X86_CVTSS2SD : X86_CVTSD2SS;

	if (avx(e))
		x86_vex(e, op, false, fd, fa, x86_r(fa));
	else
		x86_op(e, op, false, fd, x86_r(fa));
	to_nan(e, 96 - from, fd, nan);
}

/* --- the register of flags and rounding --- */

unsigned host_fp_flags(void)
{
	enum {
		INVALID = 1,
		ZERO = 4,
		OVERFLOW = 8,
		UNDERFLOW = 16,
		INEXACT = 32,
		INITIAL = 0x1f80
	};
	unsigned v = __builtin_ia32_stmxcsr();

	if (v != INITIAL)
		__builtin_ia32_ldmxcsr(INITIAL);
	return (v & INVALID ? HULL_FP_NV : 0) | (v & ZERO ? HULL_FP_DZ : 0) |
	       (v & OVERFLOW ? HULL_FP_OF : 0) | (v & UNDERFLOW ? HULL_FP_UF : 0) |
	       (v & INEXACT ? HULL_FP_NX : 0);
}

#endif
