/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The aarch64 host: floating point.  Generated code runs with FPCR.DN, so that every NaN result is
 * the default NaN, which is RISC-V's canonical one: no function here goes to `nan`.
 * Infinity * 0 + a quiet NaN is invalid here as on RISC-V.
 *
 * Underflow.  RISC-V wants to know whether a result is tiny after rounding, Arm looks before:
 * they differ where only rounding makes it the smallest normal number.  So after an operation
 * that can underflow a result near zero goes to rare code, which looks whether UFC has been set,
 * finds out whether that is right, and says so in IDC, a flag that is of no other use
 * without FPCR.FZ.  UFC is clear between operations, or it would hide who has set it.
 *
 * budget: host.h gives the parameters: operands, their format, and a label.
 */
#include "engine/jit/host.h"

#if defined(__aarch64__)

#include "engine/jit/aarch64.h"
#include "isa/fp.h"

/* Bits of FPSR; the flags are HULL_FP_* in reverse. */
enum { FPSR_UFC = 8, FPSR_IDC = 0x80, FPSR_FLAGS = 0x9f };

void host_fget(struct host_emit *e, unsigned bits, host_reg fd, int32_t state)
{
	a64_mem(e, bits == 32 ? A64_LDR_S : A64_LDR_D, bits / 8, fd, A64_STATE, state);
}

void host_fput(struct host_emit *e, unsigned bits, int32_t state, host_reg fs)
{
	if (bits == 64) {
		a64_mem(e, A64_STR_D, 8, fs, A64_STATE, state);
		return;
	}
	host_f_to_gpr(e, 32, A64_X16, fs);
	host_alu(e, HOST_OR, false, A64_X16, host_r(A64_X16), host_i(UINT64_MAX << 32));
	a64_mem(e, A64_STR, 8, A64_X16, A64_STATE, state);
}

void host_fmov(struct host_emit *e, host_reg fd, host_reg fs)
{
	if (fd != fs)
		a64_rr(e, A64_FMOV, fd, fs);
}

void host_f_from_gpr(struct host_emit *e, unsigned bits, host_reg fd, struct host_operand a)
{
	unsigned n = a64_use_z(e, a, A64_X16);

	a64_rr(e, a64_w(a64_s(A64_FMOV_DX, bits), bits == 32), fd, n);
}

void host_f_to_gpr(struct host_emit *e, unsigned bits, host_reg d, host_reg fs)
{
	a64_rr(e, a64_w(a64_s(A64_FMOV_XD, bits), bits == 32), d, fs);
}

void host_branch_unboxed(struct host_emit *e, int32_t state, host_label to)
{
	a64_mem(e, A64_LDRSW, 4, A64_X16, A64_STATE, state + 4);
	a64_cmp_imm(e, A64_X16, UINT64_MAX);
	a64_branch(e, A64_B_COND | A64_NE, to);
}

/* What the rare code has to repeat. */
enum late_op { LATE_MUL, LATE_DIV, LATE_CONVERT, LATE_FMADD, LATE_FMSUB, LATE_FNMADD, LATE_FNMSUB };

static const uint32_t late_insns[] = {
	[LATE_MUL] = A64_FMUL,      [LATE_DIV] = A64_FDIV,    [LATE_CONVERT] = A64_FCVT_SD,
	[LATE_FMADD] = A64_FMADD,   [LATE_FMSUB] = A64_FMSUB, [LATE_FNMADD] = A64_FNMADD,
	[LATE_FNMSUB] = A64_FNMSUB,
};

static void late_insn(struct host_emit *e, const struct host_late *l, unsigned d, unsigned a,
                      unsigned c)
{
	uint32_t word = late_insns[l->op];

	if (l->op == LATE_CONVERT)
		a64_rr(e, word, d, a);
	else if (l->op < LATE_FMADD)
		a64_rrr(e, a64_s(word, l->bits), d, a, l->b);
	else
		a64_rrr(e, a64_s(word, l->bits) | c << 10, d, a, l->b);
}

/* An operation that can underflow; where the sources are needed afterwards, into v31 first. */
static void underflowing(struct host_emit *e, struct host_late l, unsigned fd)
{
	unsigned low = l.bits == 32 ? 23 : 52;

	l.d = fd == l.a || fd == l.b || fd == l.c ? A64_V31 : (host_reg)fd;
	late_insn(e, &l, l.d, l.a, l.c);
	host_f_to_gpr(e, l.bits, A64_X16, l.d);
	a64_bfm(e, A64_UBFM, A64_X16, A64_X16, low, l.bits - 2);
	a64_cmp_imm(e, A64_X16, 1);
	l.at = host_here(e);
	a64_put(e, A64_B_COND | A64_LS);
	host_fmov(e, (host_reg)fd, l.d);
	if (e->late_count == HOST_LATE)
		e->full = true;
	else
		e->late[e->late_count++] = l;
}

/* Back to an offset before. */
static void late_back(struct host_emit *e, uint32_t word, uint32_t to)
{
	uint32_t words = (to - host_here(e)) / 4;

	if (host_here(e) >= 1u << 20)
		e->full = true;
	a64_put(e, word | (words & 0x7ffff) << 5);
}

/*
 * It repeats the operation, scaled into the normal range: exact but for the one rounding, which
 * is the one with an unbounded exponent.  Nothing overflows: with a product or a quotient near
 * the smallest normal number, or two addends that cancel down to it and leave a remainder,
 * the first operand is at most 2^106 (32 bits: 2^48).
 */
static void late(struct host_emit *e, const struct host_late *l)
{
	bool one = l->bits == 32;
	/* Of the sources: a conversion is from 64 bits. */
	bool from_one = one && l->op != LATE_CONVERT;
	unsigned by = one ? 60 : 108, from = from_one ? 32 : 64;
	uint64_t scale = from_one ? (uint64_t)(127 + by) << 23 : (uint64_t)(1023 + by) << 52;
	uint8_t *right;

	a64_land(e, l->at);
	a64_put(e, A64_MRS_FPSR | A64_X16);
	host_alu(e, HOST_AND, false, A64_X17, host_r(A64_X16), host_i(FPSR_UFC));
	late_back(e, A64_CBZ | A64_X17, l->at + 4);
	host_alu(e, HOST_XOR, false, A64_X16, host_r(A64_X16), host_i(FPSR_UFC));
	a64_mov_imm(e, A64_X17, scale);
	host_f_from_gpr(e, from, A64_V30, host_r(A64_X17));
	a64_rrr(e, a64_s(A64_FMUL, from), A64_V29, l->a, A64_V30);
	if (l->op >= LATE_FMADD)
		a64_rrr(e, a64_s(A64_FMUL, from), A64_V30, l->c, A64_V30);
	late_insn(e, l, A64_V29, A64_V29, A64_V30);
	a64_rr(e, a64_s(A64_FABS, l->bits), A64_V29, A64_V29);
	host_f_to_gpr(e, l->bits, A64_X17, A64_V29);
	a64_mov_imm(e, A64_X15, (uint64_t)(1 + by) << (one ? 23 : 52));
	a64_rrr(e, A64_SUBS, A64_ZR, A64_X15, A64_X17);
	right = a64_skip(e, A64_B_COND | A64_EQ);
	host_alu(e, HOST_OR, false, A64_X16, host_r(A64_X16), host_i(FPSR_IDC));
	a64_skip_end(e, right);
	a64_put(e, A64_MSR_FPSR | A64_X16);
	late_back(e, A64_B_COND | A64_AL, l->at + 4);
}

void a64_late(struct host_emit *e)
{
	for (unsigned i = 0; i < e->late_count && !e->full; i++)
		late(e, &e->late[i]);
	e->late_count = 0;
}

void host_fop(struct host_emit *e, enum host_fop op, unsigned bits, host_reg fd, host_reg fa,
              host_reg fb, host_label nan)
{
	struct host_late l = { .bits = (uint8_t)bits, .a = fa, .b = fb, .c = HOST_NO_REG };

	/* A sum that is tiny is exact. */
	if (op == HOST_FADD || op == HOST_FSUB) {
		a64_rrr(e, a64_s(op == HOST_FADD ? A64_FADD : A64_FSUB, bits), fd, fa, fb);
		return;
	}
	l.op = op == HOST_FMUL ? LATE_MUL : LATE_DIV;
	underflowing(e, l, fd);
}

void host_fsqrt(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_label nan)
{
	a64_rr(e, a64_s(A64_FSQRT, bits), fd, fa);
}

bool host_fma(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_reg fb,
              host_reg fc, bool negate_product, bool negate_c, host_label slow)
{
	/* FMSUB is c - a * b, FNMSUB a * b - c. */
	enum late_op op = negate_product ? (negate_c ? LATE_FNMADD : LATE_FMSUB)
	                                 : (negate_c ? LATE_FNMSUB : LATE_FMADD);
	struct host_late l = {
		.op = (uint8_t)op, .bits = (uint8_t)bits, .a = fa, .b = fb, .c = fc
	};

	underflowing(e, l, fd);
	return true;
}

void host_fnan(struct host_emit *e, unsigned bits, host_reg fd)
{
	host_f_from_gpr(e, bits, fd, host_i(bits == 32 ? 0x7fc00000 : (uint64_t)0x7ff8 << 48));
}

void host_fcompare(struct host_emit *e, enum host_fcmp op, unsigned bits, host_reg d, host_reg fa,
                   host_reg fb)
{
	a64_rrr(e, a64_s(op == HOST_FEQ ? A64_FCMP : A64_FCMPE, bits), 0, fa, fb);
	/* Unordered sets C and V only. */
	a64_cset(e, d, op == HOST_FEQ ? A64_EQ : op == HOST_FLT ? A64_MI : A64_LS);
}

void host_fminmax(struct host_emit *e, bool max, unsigned bits, host_reg fd, host_reg fa,
                  host_reg fb, host_label slow)
{
	a64_rrr(e, a64_s(A64_FCMP, bits), 0, fa, fb);
	a64_branch(e, A64_B_COND | A64_EQ, slow);
	a64_branch(e, A64_B_COND | A64_VS, slow);
	a64_csel(e, a64_s(A64_FCSEL, bits), fd, fa, fb, max ? A64_GT : A64_MI);
}

/*
 * The exponent decides, before any flag is raised: numbers below 2^31, 2^32, 2^63, 2^64 fit, and
 * for unsigned types the sign, which is above the exponent, must be clear.
 */
void host_f_to_int(struct host_emit *e, unsigned bits, enum host_int to, host_reg d, host_reg fa,
                   host_label slow)
{
	static const uint8_t exponents[] = {
		[HOST_I32] = 31, [HOST_U32] = 32, [HOST_I64] = 63, [HOST_U64] = 64
	};
	bool is_signed = to == HOST_I32 || to == HOST_I64, w = to == HOST_I32 || to == HOST_U32;
	unsigned low = bits == 32 ? 23 : 52, bias = bits == 32 ? 127 : 1023;

	host_f_to_gpr(e, bits, A64_X16, fa);
	a64_bfm(e, A64_UBFM, A64_X16, A64_X16, low, bits - 1 - is_signed);
	a64_cmp_imm(e, A64_X16, bias + exponents[to]);
	a64_branch(e, A64_B_COND | A64_HS, slow);
	a64_rr(e, a64_w(a64_s(is_signed ? A64_FCVTZS : A64_FCVTZU, bits), w), d, fa);
	if (w)
		a64_sxtw(e, d, d);
}

bool host_f_from_int(struct host_emit *e, unsigned bits, enum host_int from, host_reg fd,
                     struct host_operand a)
{
	bool is_signed = from == HOST_I32 || from == HOST_I64;
	bool w = from == HOST_I32 || from == HOST_U32;
	unsigned n = a64_use_z(e, a, A64_X16);

	a64_rr(e, a64_w(a64_s(is_signed ? A64_SCVTF : A64_UCVTF, bits), w), fd, n);
	return true;
}

void host_fconvert(struct host_emit *e, unsigned from, host_reg fd, host_reg fa, host_label nan)
{
	struct host_late l = {
		.op = LATE_CONVERT, .bits = 32, .a = fa, .b = HOST_NO_REG, .c = HOST_NO_REG
	};

	if (from == 32)
		a64_rr(e, A64_FCVT_DS, fd, fa);
	else
		underflowing(e, l, fd);
}

unsigned host_fp_flags(void)
{
	enum { FPCR_DN = 1 << 25, FPCR_OTHERS = 0x05c89f07 };
	uint64_t status, control, wanted;
	unsigned flags;

	__asm__ volatile("mrs %0, fpsr\n\tmrs %1, fpcr" : "=r"(status), "=r"(control));
	if (status & FPSR_FLAGS)
		__asm__ volatile("msr fpsr, %0" : : "r"(status & ~(uint64_t)FPSR_FLAGS) : "memory");
	/* No flushing, traps, half-precision oddities; to nearest even. */
	wanted = (control & ~(uint64_t)FPCR_OTHERS) | FPCR_DN;
	if (control != wanted)
		__asm__ volatile("msr fpcr, %0" : : "r"(wanted) : "memory");
	flags = (status & 1 ? HULL_FP_NV : 0) | (status & 2 ? HULL_FP_DZ : 0);
	flags |= (status & 4 ? HULL_FP_OF : 0) | (status & (FPSR_UFC | FPSR_IDC) ? HULL_FP_UF : 0);
	return flags | (status & 16 ? HULL_FP_NX : 0);
}

#endif
