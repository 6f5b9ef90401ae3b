/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The aarch64 host: integers, guest memory, control.  See host.h.
 *
 * budget: an access or a choice has that many operands; host.h gives the parameters.
 */
#include "engine/jit/host.h"

#if defined(__aarch64__)

#include "engine/jit/aarch64.h"

/* Registers that C leaves alone come first; see aarch64.h for those that are missing. */
const struct host_info host_info = {
	.name = "aarch64",
	.gpr_count = 21,
	.gpr_saved = 8,
	.gpr = { 19, 20, 21, 22, 23, 24, 25, 26, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
	.fpr_count = 29,
	.fpr = { 8, 9,  10, 11, 12, 13, 14, 15, 0,  1,  2,  3,  4,  5, 6,
	         7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28 },
	.addend = A64_ADDEND,
};

static const uint8_t conditions[] = {
	[HOST_EQ] = A64_EQ, [HOST_NE] = A64_NE,  [HOST_LT] = A64_LT,
	[HOST_GE] = A64_GE, [HOST_LTU] = A64_LO, [HOST_GEU] = A64_HS,
};

/* --- integers --- */

void host_mov(struct host_emit *e, host_reg d, struct host_operand a)
{
	a64_mov(e, d, a64_use(e, a, d));
}

void host_set_state(struct host_emit *e, int32_t state, struct host_operand a)
{
	a64_mem(e, A64_STR, 8, a64_use_z(e, a, A64_X16), A64_STATE, state);
}

void host_set_state8(struct host_emit *e, int32_t state, uint8_t v)
{
	a64_mem(e, A64_STRB, 1, a64_use_z(e, host_i(v), A64_X16), A64_STATE, state);
}

static void logical(struct host_emit *e, enum host_alu op, bool w, unsigned d,
                    struct host_operand a, struct host_operand b)
{
	static const uint32_t with_register[] = {
		[HOST_AND] = A64_AND, [HOST_OR] = A64_ORR, [HOST_XOR] = A64_EOR
	};
	static const uint32_t with_constant[] = {
		[HOST_AND] = A64_AND_I, [HOST_OR] = A64_ORR_I, [HOST_XOR] = A64_EOR_I
	};
	unsigned n = a64_use_z(e, a, A64_X16);
	uint32_t field;

	if (b.kind == HOST_IMM && a64_logical_imm(b.imm, w, &field))
		a64_rr(e, a64_w(with_constant[op], w) | field, d, n);
	else
		a64_rrr(e, a64_w(with_register[op], w), d, n, a64_use_z(e, b, A64_X17));
}

void host_alu(struct host_emit *e, enum host_alu op, bool w, host_reg d, struct host_operand a,
              struct host_operand b)
{
	bool commutes = op != HOST_SUB;
	unsigned n;

	if (commutes && a.kind == HOST_IMM) {
		struct host_operand c = a;
		a = b;
		b = c;
	}
	if (op == HOST_AND || op == HOST_OR || op == HOST_XOR) {
		logical(e, op, w, d, a, b);
	} else if (op != HOST_MUL && b.kind == HOST_IMM) {
		n = a64_use(e, a, A64_X16);
		a64_add_imm(e, w, d, n, op == HOST_SUB ? -b.imm : b.imm);
	} else {
		n = a64_use_z(e, a, A64_X16);
		unsigned m = a64_use_z(e, b, A64_X17);
		if (op == HOST_MUL)
			a64_rrr(e, a64_w(A64_MADD, w) | A64_ZR << 10, d, n, m);
		else
			a64_rrr(e, a64_w(op == HOST_ADD ? A64_ADD : A64_SUB, w), d, n, m);
	}
	if (w)
		a64_sxtw(e, d, d);
}

/* By a constant; the 32-bit ones but ROR extend at once. */
static void shift_imm(struct host_emit *e, enum host_shift op, bool w, unsigned d, unsigned n,
                      unsigned by)
{
	unsigned top = w ? 31 : 63;

	if (by == 0 && w)
		a64_sxtw(e, d, n);
	else if (by == 0)
		a64_mov(e, d, n);
	else if (op == HOST_SHL)
		a64_bfm(e, w ? A64_SBFM : A64_UBFM, d, n, 64 - by, top - by);
	else if (op == HOST_SHR)
		a64_bfm(e, A64_UBFM, d, n, by, top);
	else if (op == HOST_SAR)
		a64_bfm(e, A64_SBFM, d, n, by, top);
	else
		a64_put(e, A64_EXTR | n << 16 | by << 10 | n << 5 | d);
}

void host_shift(struct host_emit *e, enum host_shift op, bool w, host_reg d, struct host_operand a,
                struct host_operand b)
{
	static const uint32_t variable[] = { [HOST_SHL] = A64_LSLV,
		                             [HOST_SHR] = A64_LSRV,
		                             [HOST_SAR] = A64_ASRV,
		                             [HOST_ROR] = A64_RORV };
	unsigned n = a64_use_z(e, a, A64_X16);

	if (b.kind == HOST_IMM && !(w && op == HOST_ROR)) {
		shift_imm(e, op, w, d, n, b.imm & (w ? 31 : 63));
		return;
	}
	a64_rrr(e, a64_w(variable[op], w), d, n, a64_use_z(e, b, A64_X17));
	if (w)
		a64_sxtw(e, d, d);
}

void host_add_shifted(struct host_emit *e, host_reg d, struct host_operand a, struct host_operand b,
                      unsigned shift)
{
	unsigned n = a64_use_z(e, a, A64_X16);

	a64_rrr_lsl(e, A64_ADD, d, n, a64_use_z(e, b, A64_X17), shift);
}

static void divide(struct host_emit *e, enum hull_ir_op op, bool w, unsigned d, unsigned n,
                   unsigned m)
{
	bool is_signed = op == HULL_IR_DIV || op == HULL_IR_REM;

	/* A division by zero gives 0 here. */
	a64_rrr(e, a64_w(is_signed ? A64_SDIV : A64_UDIV, w), A64_X15, n, m);
	if (op == HULL_IR_REM || op == HULL_IR_REMU) {
		a64_rrr(e, a64_w(A64_MSUB, w) | n << 10, d, A64_X15, m);
	} else {
		a64_rrr(e, a64_w(A64_SUBS, w), A64_ZR, m, A64_ZR);
		a64_csel(e, a64_w(A64_CSINV, w), d, A64_X15, A64_ZR, A64_NE);
	}
	if (w)
		a64_sxtw(e, d, d);
}

void host_divw(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
               struct host_operand b)
{
	unsigned n = a64_use_z(e, a, A64_X16);

	divide(e, op, true, d, n, a64_use_z(e, b, A64_X17));
}

static bool compute_two(struct host_emit *e, enum hull_ir_op op, unsigned d, struct host_operand a,
                        struct host_operand b)
{
	bool clmul = op == HULL_IR_CLMUL || op == HULL_IR_CLMULH || op == HULL_IR_CLMULR;
	unsigned n, m;

	if (clmul && !(e->features & HOST_PCLMUL))
		return false;
	n = a64_use_z(e, a, A64_X16);
	m = a64_use_z(e, b, A64_X17);
	if (clmul) {
		a64_rr(e, A64_FMOV_DX, A64_V30, n);
		a64_rr(e, A64_FMOV_DX, A64_V31, m);
		a64_rrr(e, A64_PMULL_1Q, A64_V31, A64_V31, A64_V30);
		if (op != HULL_IR_CLMUL)
			a64_rr(e, A64_FMOV_X_HIGH, d, A64_V31);
		else
			a64_rr(e, A64_FMOV_XD, d, A64_V31);
		if (op == HULL_IR_CLMULR) {
			a64_rr(e, A64_FMOV_XD, A64_X17, A64_V31);
			a64_rrr(e, A64_EXTR | 63 << 10, d, d, A64_X17);
		}
	} else if (op == HULL_IR_MULH) {
		a64_rrr(e, A64_SMULH, d, n, m);
	} else if (op == HULL_IR_MULHU) {
		a64_rrr(e, A64_UMULH, d, n, m);
	} else if (op == HULL_IR_MULHSU) {
		/* A negative a is 2^64 less than it looks. */
		a64_bfm(e, A64_SBFM, A64_X15, n, 63, 63);
		a64_rrr(e, A64_AND, A64_X15, A64_X15, m);
		a64_rrr(e, A64_UMULH, d, n, m);
		a64_rrr(e, A64_SUB, d, d, A64_X15);
	} else {
		divide(e, op, false, d, n, m);
	}
	return true;
}

static void count(struct host_emit *e, enum hull_ir_op op, unsigned d, unsigned n)
{
	if (op == HULL_IR_CLZ) {
		a64_rr(e, A64_CLZ, d, n);
	} else if (op == HULL_IR_CTZ) {
		a64_rr(e, A64_RBIT, d, n);
		a64_rr(e, A64_CLZ, d, d);
	} else {
		a64_rr(e, A64_FMOV_DX, A64_V31, n);
		if (op == HULL_IR_ORCB) {
			a64_rrr(e, A64_CMTST_8B, A64_V31, A64_V31, A64_V31);
		} else {
			a64_rr(e, A64_CNT_8B, A64_V31, A64_V31);
			a64_rr(e, A64_ADDV_8B, A64_V31, A64_V31);
		}
		a64_rr(e, A64_FMOV_XD, d, A64_V31);
	}
}

/* d = the low `bits` of n if all bits above are ones, else the canonical NaN */
static void unbox(struct host_emit *e, unsigned bits, unsigned d, unsigned n)
{
	a64_bfm(e, A64_SBFM, A64_X17, n, bits, 63);
	a64_bfm(e, A64_UBFM, A64_X15, n, 0, bits - 1);
	a64_cmp_imm(e, A64_X17, UINT64_MAX);
	a64_mov_imm(e, A64_X17, bits == 16 ? 0x7e00 : 0x7fc00000);
	a64_csel(e, A64_CSEL, d, A64_X15, A64_X17, A64_EQ);
}

bool host_compute(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
                  struct host_operand b)
{
	unsigned n;

	switch (op) {
	case HULL_IR_MULH:
	case HULL_IR_MULHU:
	case HULL_IR_MULHSU:
	case HULL_IR_DIV:
	case HULL_IR_DIVU:
	case HULL_IR_REM:
	case HULL_IR_REMU:
	case HULL_IR_CLMUL:
	case HULL_IR_CLMULH:
	case HULL_IR_CLMULR: return compute_two(e, op, d, a, b);
	case HULL_IR_BOX16:
	case HULL_IR_BOX32:
		host_alu(e, HOST_OR, false, d, a,
		         host_i(UINT64_MAX << (op == HULL_IR_BOX16 ? 16 : 32)));
		return true;
	default: break;
	}
	n = a64_use_z(e, a, A64_X16);
	switch (op) {
	case HULL_IR_NOT: a64_rrr(e, A64_ORN, d, A64_ZR, n); return true;
	case HULL_IR_SX8:
	case HULL_IR_SX16:
	case HULL_IR_SX32:
		a64_bfm(e, A64_SBFM, d, n, 0, (8u << (op - HULL_IR_SX8)) - 1);
		return true;
	case HULL_IR_ZX8:
	case HULL_IR_ZX16:
	case HULL_IR_ZX32:
		a64_bfm(e, A64_UBFM, d, n, 0, (8u << (op - HULL_IR_ZX8)) - 1);
		return true;
	case HULL_IR_CLZ:
	case HULL_IR_CTZ:
	case HULL_IR_POP:
	case HULL_IR_ORCB: count(e, op, d, n); return true;
	case HULL_IR_REV8: a64_rr(e, A64_REV, d, n); return true;
	case HULL_IR_UNBOX16:
	case HULL_IR_UNBOX32: unbox(e, op == HULL_IR_UNBOX16 ? 16 : 32, d, n); return true;
	default: return false;
	}
}

/* Sets NZCV; changes x16, x17, x30. */
static void compare(struct host_emit *e, struct host_operand a, struct host_operand b)
{
	unsigned n = a64_use_z(e, a, A64_X16);

	if (b.kind == HOST_IMM)
		a64_cmp_imm(e, n, b.imm);
	else
		a64_rrr(e, A64_SUBS, A64_ZR, n, a64_use(e, b, A64_X17));
}

void host_set(struct host_emit *e, enum host_cond cond, host_reg d, struct host_operand a,
              struct host_operand b)
{
	compare(e, a, b);
	a64_cset(e, d, conditions[cond]);
}

void host_branch(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_label to)
{
	if (b.kind == HOST_IMM && b.imm == 0 && cond <= HOST_NE) {
		a64_branch(e, (cond == HOST_EQ ? A64_CBZ : A64_CBNZ) | a64_use_z(e, a, A64_X16),
		           to);
		return;
	}
	compare(e, a, b);
	a64_branch(e, A64_B_COND | conditions[cond], to);
}

void host_select(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_reg d, struct host_operand yes, struct host_operand no)
{
	unsigned n, m;

	compare(e, a, b);
	n = a64_use_z(e, yes, A64_X16);
	m = a64_use_z(e, no, A64_X17);
	a64_csel(e, A64_CSEL, d, n, m, conditions[cond]);
}

void host_jump(struct host_emit *e, host_label to)
{
	a64_branch(e, A64_B, to);
}

void host_branch_byte(struct host_emit *e, int32_t state, host_label if_zero)
{
	a64_mem(e, A64_LDRB, 1, A64_X16, A64_STATE, state);
	a64_branch(e, A64_CBZ | A64_X16, if_zero);
}

/* --- guest memory --- */

void host_tlb(struct host_emit *e, bool write, struct host_operand base, int32_t lo, int32_t hi,
              host_reg addend, host_label slow)
{
	size_t tag = write ? offsetof(struct engine_tlb_entry, write)
	                   : offsetof(struct engine_tlb_entry, read);
	unsigned n = a64_use(e, base, A64_X15), from = n;
	uint32_t page = 0;

	_Static_assert(sizeof(struct engine_tlb_entry) == 32, "scale of the index");
	if (lo != 0) {
		from = A64_X16;
		a64_add_imm(e, false, from, n, (uint64_t)(int64_t)lo);
	}
	a64_bfm(e, A64_UBFM, A64_X17, from, 12, 12 + ENGINE_TLB_SHIFT - 1);
	if (hi != lo) {
		from = A64_X16;
		a64_add_imm(e, false, from, n, (uint64_t)(int64_t)hi);
	}
	a64_rrr_lsl(e, A64_ADD, A64_X17, A64_STATE, A64_X17, 5);
	(void)a64_logical_imm(~(uint64_t)0xfff, false, &page);
	a64_rr(e, A64_AND_I | page, A64_X16, from);
	a64_mem(e, A64_LDR, 8, A64_X15, A64_STATE, ENGINE_STATE(data_context));
	a64_rrr(e, A64_ORR, A64_X16, A64_X16, A64_X15);
	a64_mem(e, A64_LDR, 8, A64_X15, A64_X17, ENGINE_STATE(tlb) + (int64_t)tag);
	a64_rrr(e, A64_SUBS, A64_ZR, A64_X15, A64_X16);
	a64_branch(e, A64_B_COND | A64_NE, slow);
	a64_mem(e, A64_LDR, 8, addend, A64_X17,
	        ENGINE_STATE(tlb) + (int64_t)offsetof(struct engine_tlb_entry, addend));
}

bool host_jump_shared(struct host_emit *e, unsigned insns, const struct host_operand *a,
                      int32_t add, unsigned number)
{
	return false;
}

bool host_jump_glue(struct host_emit *e, unsigned exit)
{
	return false;
}

bool host_site(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
               unsigned size, host_reg addend, host_label miss)
{
	return false;
}

void host_site_fill(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
                    host_reg addend)
{
}

/* host_info.holds is false. */
void host_held(struct host_emit *e, unsigned n, host_reg base, host_reg addend, host_label miss)
{
}

void host_hold(struct host_emit *e, unsigned n, host_reg base, int32_t hi, host_reg addend)
{
}

void host_let_go(struct host_emit *e, unsigned n)
{
}

void host_check_aligned(struct host_emit *e, struct host_operand base, int32_t off, unsigned size,
                        host_label slow)
{
	unsigned n;
	uint32_t field;

	if (size <= 1 || !a64_logical_imm(size - 1, false, &field))
		return;
	n = a64_use(e, base, A64_X16);
	if (((uint32_t)off & (size - 1)) != 0) {
		a64_add_imm(e, false, A64_X16, n, (uint64_t)(int64_t)off);
		n = A64_X16;
	}
	a64_rr(e, A64_ANDS_I | field, A64_ZR, n);
	a64_branch(e, A64_B_COND | A64_NE, slow);
}

/* Changes x16, x30, never the addend. */
static void access_memory(struct host_emit *e, enum a64_insn i, unsigned size, unsigned t,
                          unsigned addend, struct host_operand base, int32_t off)
{
	unsigned n = a64_use(e, base, A64_X16);

	if (off == 0) {
		a64_mem_rr(e, i, t, addend, n);
	} else {
		a64_rrr(e, A64_ADD, A64_X16, addend, n);
		a64_mem(e, i, size, t, A64_X16, off);
	}
}

void host_load(struct host_emit *e, unsigned kind, host_reg d, host_reg addend,
               struct host_operand base, int32_t off)
{
	static const uint32_t insn[HULL_IR_LOADS] = {
		[HULL_IR_u8] = A64_LDRB,   [HULL_IR_u16] = A64_LDRH, [HULL_IR_u32] = A64_LDR_W,
		[HULL_IR_u64] = A64_LDR,   [HULL_IR_s8] = A64_LDRSB, [HULL_IR_s16] = A64_LDRSH,
		[HULL_IR_s32] = A64_LDRSW,
	};

	access_memory(e, insn[kind], hull_ir_load_bits(kind) / 8, d, addend, base, off);
}

void host_load_f(struct host_emit *e, unsigned bits, host_reg fd, host_reg addend,
                 struct host_operand base, int32_t off)
{
	access_memory(e, bits == 32 ? A64_LDR_S : A64_LDR_D, bits / 8, fd, addend, base, off);
}

void host_store(struct host_emit *e, unsigned bits, struct host_operand v, host_reg addend,
                struct host_operand base, int32_t off)
{
	enum a64_insn i = bits == 8    ? A64_STRB
	                  : bits == 16 ? A64_STRH
	                  : bits == 32 ? A64_STR_W
	                               : A64_STR;

	if (v.kind == HOST_IMM && bits < 64)
		v.imm &= ((uint64_t)1 << bits) - 1;
	access_memory(e, i, bits / 8, a64_use_z(e, v, A64_X17), addend, base, off);
}

void host_store_f(struct host_emit *e, unsigned bits, host_reg fs, host_reg addend,
                  struct host_operand base, int32_t off)
{
	access_memory(e, bits == 32 ? A64_STR_S : A64_STR_D, bits / 8, fs, addend, base, off);
}

/* d = base + addend, a host address */
static void place(struct host_emit *e, host_reg d, host_reg addend, struct host_operand base)
{
	a64_rrr(e, A64_ADD, d, addend, a64_use_z(e, base, A64_X16));
}

void host_fence(struct host_emit *e, bool store_load)
{
	(void)store_load;
	a64_put(e, A64_DMB_ISH);
}

static void fence_atomic(struct host_emit *e)
{
	if (e->smp)
		host_fence(e, true);
}

/* x17 = what is at x16, for a store_back() that may fail. */
static uint8_t *load_exclusive(struct host_emit *e, bool w)
{
	uint8_t *again = e->p;

	if (e->smp)
		a64_rr(e, w ? A64_LDAXR_W : A64_LDAXR, A64_X17, A64_X16);
	else
		a64_mem(e, w ? A64_LDR_W : A64_LDR, w ? 4 : 8, A64_X17, A64_X16, 0);
	return again;
}

/* Store t; do it all again if somebody else has been there. */
static void store_exclusive(struct host_emit *e, bool w, unsigned t, uint8_t *again)
{
	if (!e->smp) {
		a64_mem(e, w ? A64_STR_W : A64_STR, w ? 4 : 8, t, A64_X16, 0);
		return;
	}
	/* The status goes to x30. */
	a64_rrr(e, w ? A64_STLXR_W : A64_STLXR, t, A64_X16, A64_LR);
	uint32_t back = (uint32_t)((again - e->p) / 4) & 0x7ffff;
	a64_put(e, a64_w(A64_CBNZ, true) | back << 5 | A64_LR);
}

/* t = x17 op v */
static void atomic_step(struct host_emit *e, enum host_atomic op, bool w, unsigned t, unsigned v)
{
	static const struct {
		uint32_t insn;
		uint8_t cond; /* CSEL: take the old value */
	} how[] = {
		[HOST_A_ADD] = { A64_ADD, 0 },        [HOST_A_XOR] = { A64_EOR, 0 },
		[HOST_A_AND] = { A64_AND, 0 },        [HOST_A_OR] = { A64_ORR, 0 },
		[HOST_A_MIN] = { A64_CSEL, A64_LT },  [HOST_A_MAX] = { A64_CSEL, A64_GT },
		[HOST_A_MINU] = { A64_CSEL, A64_LO }, [HOST_A_MAXU] = { A64_CSEL, A64_HI },
	};

	if (how[op].insn == (uint32_t)A64_CSEL) {
		a64_rrr(e, a64_w(A64_SUBS, w), A64_ZR, A64_X17, v);
		a64_csel(e, A64_CSEL, t, A64_X17, v, how[op].cond);
	} else {
		a64_rrr(e, how[op].insn, t, A64_X17, v);
	}
}

/*
 * A barrier follows: a store-release alone lets later loads pass, which nothing that follows an
 * amo.aqrl may do.
 */
void host_atomic(struct host_emit *e, enum host_atomic op, unsigned bits, host_reg d,
                 struct host_operand v, host_reg addend, struct host_operand base)
{
	bool w = bits == 32;
	unsigned m, t = A64_X13;
	uint8_t *again;

	place(e, A64_X16, addend, base);
	m = a64_use_z(e, v, A64_X15);
	again = load_exclusive(e, w);
	if (op == HOST_A_SWAP)
		t = m;
	else
		atomic_step(e, op, w, t, m);
	store_exclusive(e, w, t, again);
	if (w && d != HOST_NO_REG)
		a64_sxtw(e, d, A64_X17);
	else if (d != HOST_NO_REG)
		a64_mov(e, d, A64_X17);
	fence_atomic(e);
}

void host_compare_swap(struct host_emit *e, unsigned bits, host_reg d, int32_t expected,
                       struct host_operand v, host_reg addend, struct host_operand base)
{
	bool w = bits == 32;
	unsigned t;
	uint8_t *again, *differs;

	place(e, A64_X16, addend, base);
	t = a64_use_z(e, v, A64_X15);
	a64_mem(e, A64_LDR, 8, A64_X13, A64_STATE, expected);
	again = load_exclusive(e, w);
	a64_rrr(e, a64_w(A64_SUBS, w), A64_ZR, A64_X17, A64_X13);
	differs = a64_skip(e, A64_B_COND | A64_NE);
	store_exclusive(e, w, t, again);
	a64_skip_end(e, differs);
	a64_cset(e, d, A64_NE);
	fence_atomic(e);
}

/* --- control --- */

static void burn(struct host_emit *e, unsigned insns)
{
	if (insns >= 0x1000) {
		a64_mov_imm(e, A64_X16, insns);
		a64_rrr(e, A64_SUBS, A64_FUEL, A64_FUEL, A64_X16);
	} else {
		a64_put(e, A64_SUBS_I | insns << 10 | A64_FUEL << 5 | A64_FUEL);
	}
}

void host_fuel(struct host_emit *e, unsigned insns, host_label over)
{
	burn(e, insns);
	a64_branch(e, A64_B_COND | A64_MI, over);
}

void host_fuel_jump(struct host_emit *e, unsigned insns, host_label to)
{
	burn(e, insns);
	a64_branch(e, A64_B_COND | A64_PL, to);
}

void host_fuel_add(struct host_emit *e, int32_t delta)
{
	a64_add_imm(e, false, A64_FUEL, A64_FUEL, (uint64_t)(int64_t)delta);
}

void host_page_address(struct host_emit *e, host_reg d, int32_t offset)
{
	a64_mem(e, A64_LDR, 8, A64_X16, A64_STATE, ENGINE_STATE(page));
	a64_add_imm(e, false, d, A64_X16, (uint64_t)(int64_t)offset);
}

uint32_t host_link(struct host_emit *e, host_label to)
{
	uint32_t at = host_here(e);

	a64_branch(e, A64_B, to);
	return at;
}

/* Go on at the address in x16. */
static void jump_x16(struct host_emit *e, host_label miss)
{
	const int64_t at = ENGINE_STATE(jumps), far = at & ~(int64_t)0xfff, near = at & 0xfff;
	uint8_t *misses[2];

	_Static_assert(sizeof(struct engine_jump_entry) == 32, "scale of the index");
	a64_bfm(e, A64_UBFM, A64_X17, A64_X16, 1, 1 + ENGINE_JUMP_SHIFT - 1);
	a64_rrr_lsl(e, A64_ADD, A64_X17, A64_STATE, A64_X17, 5);
	a64_add_imm(e, false, A64_X17, A64_X17, (uint64_t)far);
	a64_mem(e, A64_LDR, 8, A64_X15, A64_X17,
	        near + (int64_t)offsetof(struct engine_jump_entry, pc));
	a64_rrr(e, A64_SUBS, A64_ZR, A64_X15, A64_X16);
	misses[0] = a64_skip(e, A64_B_COND | A64_NE);
	a64_mem(e, A64_LDR, 8, A64_X15, A64_X17,
	        near + (int64_t)offsetof(struct engine_jump_entry, key));
	a64_mem(e, A64_LDR, 8, A64_LR, A64_STATE, ENGINE_STATE(jump_key));
	a64_rrr(e, A64_SUBS, A64_ZR, A64_X15, A64_LR);
	misses[1] = a64_skip(e, A64_B_COND | A64_NE);
	a64_mem(e, A64_LDR, 8, A64_X17, A64_X17,
	        near + (int64_t)offsetof(struct engine_jump_entry, code));
	host_alu(e, HOST_AND, false, A64_X15, host_r(A64_X16), host_i(~(uint64_t)0xfff));
	a64_mem(e, A64_STR, 8, A64_X15, A64_STATE, ENGINE_STATE(page));
	a64_rr(e, A64_BR, 0, A64_X17);
	for (unsigned i = 0; i < 2; i++)
		a64_skip_end(e, misses[i]);
	a64_mem(e, A64_STR, 8, A64_X16, A64_STATE, ENGINE_STATE(target));
	a64_branch(e, A64_B, miss);
}

void host_jump_guest(struct host_emit *e, struct host_operand a, int32_t add, host_label miss)
{
	unsigned n = a64_use(e, a, A64_X16);

	if (add != 0) {
		a64_add_imm(e, false, A64_X16, n, (uint64_t)(int64_t)add);
		n = A64_X16;
	}
	host_alu(e, HOST_AND, false, A64_X16, host_r((host_reg)n), host_i(~(uint64_t)1));
	jump_x16(e, miss);
}

void host_jump_page(struct host_emit *e, int32_t offset, host_label miss)
{
	host_page_address(e, A64_X16, offset & ~1);
	jump_x16(e, miss);
}

#endif
