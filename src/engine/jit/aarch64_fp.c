/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The aarch64 host: floating point.  Generated code runs with FPCR.DN, so that every NaN result is
 * the default NaN, which is RISC-V's canonical one: no function here goes to `nan`.
 * Infinity * 0 + a quiet NaN is invalid here as on RISC-V.
 *
 * budget: host.h gives the parameters: operands, their format, and a label.
 */
#include "engine/jit/host.h"

#if defined(__aarch64__)

#include "engine/jit/aarch64.h"
#include "isa/fp.h"

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

void host_fop(struct host_emit *e, enum host_fop op, unsigned bits, host_reg fd, host_reg fa,
              host_reg fb, host_label nan)
{
	static const uint32_t insn[] = { [HOST_FADD] = A64_FADD,
		                         [HOST_FSUB] = A64_FSUB,
		                         [HOST_FMUL] = A64_FMUL,
		                         [HOST_FDIV] = A64_FDIV };

	a64_rrr(e, a64_s(insn[op], bits), fd, fa, fb);
}

void host_fsqrt(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_label nan)
{
	a64_rr(e, a64_s(A64_FSQRT, bits), fd, fa);
}

bool host_fma(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_reg fb,
              host_reg fc, bool negate_product, bool negate_c, host_label slow)
{
	/* FMSUB is c - a * b, FNMSUB a * b - c. */
	enum a64_insn i = negate_product ? (negate_c ? A64_FNMADD : A64_FMSUB)
	                                 : (negate_c ? A64_FNMSUB : A64_FMADD);

	a64_rrr(e, a64_s(i, bits) | (uint32_t)fc << 10, fd, fa, fb);
	return true;
}

void host_fnan(struct host_emit *e, unsigned bits, host_reg fd)
{
	host_f_from_gpr(e, bits, fd, host_i(bits == 32 ? 0x7fc00000 : (uint64_t)0x7ff8 << 48));
}

void host_fsign(struct host_emit *e, enum host_fsign op, unsigned bits, host_reg fd, host_reg fa)
{
	a64_rr(e, a64_s(op == HOST_FABS ? A64_FABS : A64_FNEG, bits), fd, fa);
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
	a64_rr(e, from == 32 ? A64_FCVT_DS : A64_FCVT_SD, fd, fa);
}

unsigned host_fp_flags(void)
{
	/* FPSR: IOC DZC OFC UFC IXC, from bit 0 on: HULL_FP_* in reverse. */
	enum { FPSR_FLAGS = 0x9f, FPCR_DN = 1 << 25, FPCR_OTHERS = 0x05c89f07 };
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
	flags |= (status & 4 ? HULL_FP_OF : 0) | (status & 8 ? HULL_FP_UF : 0);
	return flags | (status & 16 ? HULL_FP_NX : 0);
}

#endif
