/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The IR builder: the same rows as the interpreter, with operators that name values.
 */
#include "engine/riscv64/lift.h"

#include "base/bits.h"

static const struct hull_ir_helper helpers[RV_CALLS] = {
#define FAULTS                             HULL_IR_FAULTS
#define EXACT                              HULL_IR_EXACT
#define FLAGS                              HULL_IR_FLAGS
#define ROUNDS                             HULL_IR_ROUNDS
#define MEMORY                             HULL_IR_MEMORY
#define SYSTEM                             HULL_IR_SYSTEM
#define LEAVES                             HULL_IR_LEAVES
#define NO_VALUE                           HULL_IR_NO_VALUE
#define HELPER(name, operands, effects)    [RV_CALL_##name] = { #name, operands, effects },
#define FP_HELPER(name, operands, effects) [RV_CALL_##name] = { #name, operands, effects },
#include "engine/riscv64/helpers.def"
};

static const char *const slots[] = {
	"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",  "x10", "x11", "x12",
	"x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
	"x26", "x27", "x28", "x29", "x30", "x31", "f0",  "f1",  "f2",  "f3",  "f4",  "f5",  "f6",
	"f7",  "f8",  "f9",  "f10", "f11", "f12", "f13", "f14", "f15", "f16", "f17", "f18", "f19",
	"f20", "f21", "f22", "f23", "f24", "f25", "f26", "f27", "f28", "f29", "f30", "f31",
};

const struct hull_ir_arch rv_ir_arch = { helpers, RV_CALLS, slots, ARRAY_LEN(slots) };

struct lift {
	struct hull_ir_builder b;
	struct hull_rv_insn i;
	unsigned at; /* offset of the instruction in the block */
	uint32_t bits;
};

typedef hull_ir_name_t name;

static name make(struct lift *l, enum hull_ir_op op, name a, name b, name c, uint64_t imm)
{
	return hull_ir_name(&l->b, (struct hull_ir_node){
					   .op = (uint8_t)op, .a = a, .b = b, .c = c, .imm = imm });
}

static name call(struct lift *l, enum rv_call helper, name a, name b, name c, uint64_t imm)
{
	return hull_ir_name(&l->b, (struct hull_ir_node){ .op = HULL_IR_CALL,
	                                                  .aux = (uint8_t)helper,
	                                                  .a = a,
	                                                  .b = b,
	                                                  .c = c,
	                                                  .imm = imm });
}

static name constant(struct lift *l, uint64_t v)
{
	return make(l, HULL_IR_CONST, 0, 0, 0, v);
}

static name get_x(struct lift *l, unsigned reg)
{
	return reg ? make(l, HULL_IR_GET, 0, 0, 0, RV_SLOT_X + reg) : constant(l, 0);
}

static name get_f(struct lift *l, unsigned reg)
{
	return make(l, HULL_IR_GET, 0, 0, 0, RV_SLOT_F + reg);
}

static void set_x(struct lift *l, unsigned reg, name v)
{
	if (reg)
		hull_ir_set(&l->b, RV_SLOT_X + reg, v);
	else
		hull_ir_drop(&l->b, v);
}

static void act(struct lift *l, enum hull_ir_op op, unsigned aux, name a, name b, uint64_t imm)
{
	hull_ir_do(&l->b,
	           (struct hull_ir_node){
			   .op = (uint8_t)op, .aux = (uint8_t)aux, .a = a, .b = b, .imm = imm });
}

static name load(struct lift *l, enum hull_ir_load kind, name addr)
{
	name v = hull_ir_name(&l->b, (struct hull_ir_node){
					     .op = HULL_IR_LOAD, .aux = (uint8_t)kind, .a = addr });

	hull_ir_use(&l->b, v); /* now, whoever wants the value */
	return v;
}

/* Set rd to where the next instruction is and go to `target`, which rd may be part of. */
static void jump_link(struct lift *l, unsigned reg, name target)
{
	hull_ir_use(&l->b, target);
	set_x(l, reg, make(l, HULL_IR_PC, 0, 0, 0, l->at + l->i.len));
	act(l, HULL_IR_JUMP, 0, target, 0, 0);
}

static void access_csr(struct lift *l, enum rv_csr_op op, name operand)
{
	unsigned csr = (unsigned)l->i.imm & 0xfff;
	bool write = op == RV_CSR_write || l->i.rs1;
	name old = call(l, RV_CALL_csr, operand, 0, 0, rv_csr_request(csr, op, l->i.rd, write));

	hull_ir_use(&l->b, old);
	set_x(l, l->i.rd, old);
	if (!rv_csr_is_simple(csr))
		act(l, HULL_IR_LOOK, 0, 0, 0, l->at + l->i.len);
}

/* A fence with w or o before it and r or i behind it; fence.tso leaves that order out (2.7). */
static bool orders_store_load(uint32_t bits)
{
	return (bits >> 24 & 5) && (bits >> 20 & 10) && bits >> 28 != 8;
}

/* --- values --- */
#define RS1               get_x(l, l->i.rs1)
#define RS2               get_x(l, l->i.rs2)
#define RD                get_x(l, l->i.rd)
#define SP                get_x(l, 2)
#define FS1               get_f(l, l->i.rs1)
#define FS2               get_f(l, l->i.rs2)
#define FS3               get_f(l, l->i.rs3)
#define IMM               constant(l, (uint64_t)(int64_t)l->i.imm)
#define ZIMM              constant(l, l->i.rs1)
#define PC                make(l, HULL_IR_PC, 0, 0, 0, l->at)
#define K(v)              constant(l, (uint64_t)(v))
#define V1(op, a)         make(l, HULL_IR_##op, a, 0, 0, 0)
#define V2(op, a, b)      make(l, HULL_IR_##op, a, b, 0, 0)
#define ADD(a, b)         V2(ADD, a, b)
#define SUB(a, b)         V2(SUB, a, b)
#define MUL(a, b)         V2(MUL, a, b)
#define MULH(a, b)        V2(MULH, a, b)
#define MULHU(a, b)       V2(MULHU, a, b)
#define MULHSU(a, b)      V2(MULHSU, a, b)
#define DIV(a, b)         V2(DIV, a, b)
#define DIVU(a, b)        V2(DIVU, a, b)
#define REM(a, b)         V2(REM, a, b)
#define REMU(a, b)        V2(REMU, a, b)
#define AND(a, b)         V2(AND, a, b)
#define OR(a, b)          V2(OR, a, b)
#define XOR(a, b)         V2(XOR, a, b)
#define NOT(a)            V1(NOT, a)
#define SHL(a, b)         V2(SHL, a, b)
#define SHR(a, b)         V2(SHR, a, b)
#define SAR(a, b)         V2(SAR, a, b)
#define ROR(a, b)         V2(ROR, a, b)
#define EQ(a, b)          V2(EQ, a, b)
#define NE(a, b)          V2(NE, a, b)
#define LT(a, b)          V2(LT, a, b)
#define LTU(a, b)         V2(LTU, a, b)
#define SEL(c, a, b)      make(l, HULL_IR_SEL, c, a, b, 0)
#define SX8(a)            V1(SX8, a)
#define SX16(a)           V1(SX16, a)
#define SX32(a)           V1(SX32, a)
#define ZX16(a)           V1(ZX16, a)
#define ZX32(a)           V1(ZX32, a)
#define CLZ(a)            V1(CLZ, a)
#define CTZ(a)            V1(CTZ, a)
#define POP(a)            V1(POP, a)
#define REV8(a)           V1(REV8, a)
#define ORCB(a)           V1(ORCB, a)
#define CLMUL(a, b)       V2(CLMUL, a, b)
#define CLMULH(a, b)      V2(CLMULH, a, b)
#define CLMULR(a, b)      V2(CLMULR, a, b)
#define BOX16(a)          V1(BOX16, a)
#define BOX32(a)          V1(BOX32, a)
#define UNBOX16(a)        V1(UNBOX16, a)
#define UNBOX32(a)        V1(UNBOX32, a)
#define NEG16(a)          XOR(a, K(0x8000))
#define NEG32(a)          XOR(a, K(UINT32_C(0x80000000)))
#define NEG64(a)          XOR(a, K(UINT64_C(0x8000000000000000)))
#define FP0(fn, a)        call(l, RV_CALL_##fn, a, 0, 0, 0)
#define FP1(fn, a)        call(l, RV_CALL_##fn, a, 0, 0, 0)
#define FP2(fn, a, b)     call(l, RV_CALL_##fn, a, b, 0, 0)
#define FP1R(fn, a)       FP1(fn, a)
#define FP2R(fn, a, b)    FP2(fn, a, b)
#define FP3R(fn, a, b, c) call(l, RV_CALL_##fn, a, b, c, 0)

/* --- statements: each ends with its semicolon, since rows may have two --- */
#define SET_RD(v) set_x(l, l->i.rd, v);
#define SET_SP(v) set_x(l, 2, v);
#define SET_FD(v) hull_ir_set(&l->b, RV_SLOT_F + l->i.rd, v);
#define NOP
#define FENCE            act(l, HULL_IR_FENCE, 0, 0, 0, orders_store_load(l->bits));
#define FP_ON            act(l, HULL_IR_FP_ON, 0, 0, 0, 0);
#define FP_ROUND         act(l, HULL_IR_FP_ROUND, 0, 0, 0, l->i.rm);
#define LOAD(kind, addr) set_x(l, l->i.rd, load(l, HULL_IR_##kind, addr));
#define FBOX_16(v)       BOX16(v)
#define FBOX_32(v)       BOX32(v)
#define FBOX_64(v)       (v)
#define LOAD_F(bits, addr) \
	hull_ir_set(&l->b, RV_SLOT_F + l->i.rd, FBOX_##bits(load(l, HULL_IR_u##bits, addr)));
#define STORE(bits, addr, v) act(l, HULL_IR_STORE, bits, addr, v, 0);
#define AMO_RESULT_32(v)     SX32(v)
#define AMO_RESULT_64(v)     (v)
#define AMO(op, bits)     \
	set_x(l, l->i.rd, \
	      AMO_RESULT_##bits(call_now(l, RV_CALL_amo, RS1, RS2, RV_AMO_##op | bits << 8)));
#define LR(bits)  set_x(l, l->i.rd, call_now(l, RV_CALL_lr, RS1, 0, bits));
#define SC(bits)  set_x(l, l->i.rd, call_now(l, RV_CALL_sc, RS1, RS2, bits));
#define CBO(op)   call_now(l, RV_CALL_cbo, RS1, 0, RV_CBO_##op);
#define BRANCH(v) act(l, HULL_IR_BRANCH, 0, v, 0, l->at + (uint64_t)(int64_t)l->i.imm);
#define GOTO      act(l, HULL_IR_GOTO, 0, 0, 0, l->at + (uint64_t)(int64_t)l->i.imm);
#define GOTO_LINK                                                          \
	set_x(l, l->i.rd, make(l, HULL_IR_PC, 0, 0, 0, l->at + l->i.len)); \
	GOTO
#define JUMP(target)      act(l, HULL_IR_JUMP, 0, target, 0, 0);
#define JUMP_LINK(target) jump_link(l, l->i.rd, target);
#define JUMP_RA(target)   jump_link(l, 1, target);
#define CSR(op, source)   access_csr(l, RV_CSR_##op, source);
#define ILLEGAL           act(l, HULL_IR_TRAP, 0, constant(l, l->bits), 0, RV_ILLEGAL);
#define LOOK              act(l, HULL_IR_LOOK, 0, 0, 0, l->at + l->i.len);

#define SYS(what)   SYS_##what
#define SYS_ecall   call_now(l, RV_CALL_ecall, 0, 0, 0);
#define SYS_ebreak  act(l, HULL_IR_TRAP, 0, PC, 0, RV_BREAKPOINT);
#define SYS_mret    call_now(l, RV_CALL_mret, 0, 0, 0);
#define SYS_sret    call_now(l, RV_CALL_sret, 0, 0, 0);
#define SYS_wfi     call_now(l, RV_CALL_wfi, 0, 0, 0);
#define SYS_wrs_nto LOOK
#define SYS_wrs_sto LOOK
#define SYS_fence_i                            \
	call_now(l, RV_CALL_fence_i, 0, 0, 0); \
	LOOK
#define SYS_sfence_vma                                                                          \
	call_now(l, RV_CALL_sfence_vma, RS1, RS2, (l->i.rs1 ? 0u : 1u) | (l->i.rs2 ? 0u : 2u)); \
	LOOK
#define SYS_sfence_order call_now(l, RV_CALL_sfence_order, 0, 0, 0);

static name call_now(struct lift *l, enum rv_call helper, name a, name b, uint64_t imm)
{
	name v = call(l, helper, a, b, 0, imm);

	hull_ir_use(&l->b, v);
	return v;
}

#define INSN(id, pattern, syntax, meaning)    \
	static void lift_##id(struct lift *l) \
	{                                     \
		meaning                       \
	}
#include "isa/riscv64/insns.def"
#undef INSN

static void lift_unknown(struct lift *l)
{
	ILLEGAL
}

static void (*const lifters[HULL_RV_COUNT + 1])(struct lift *l) = {
#define INSN(id, pattern, syntax, meaning) [HULL_RV_##id] = lift_##id,
#include "isa/riscv64/insns.def"
#undef INSN
	[HULL_RV_INVALID] = lift_unknown,
};

unsigned rv_lift(const struct hull_rv_decoder *d, const uint8_t *code, unsigned bytes,
                 struct hull_ir *ret)
{
	struct lift l = { .at = 0 };
	unsigned n = 0;

	hull_ir_begin(&l.b, ret, &rv_ir_arch);
	while (!l.b.ended && bytes - l.at >= 2 && hull_ir_room(&l.b)) {
		unsigned len = hull_rv_length(load_le16(code + l.at));

		if (bytes - l.at < len)
			break;
		l.bits = len == 4 ? load_le32(code + l.at) : load_le16(code + l.at);
		hull_rv_decode(d, l.bits, &l.i);
		hull_ir_insn_begin(&l.b, l.bits, l.at, n++);
		lifters[l.i.id](&l);
		l.at += len;
	}
	if (n && !l.b.ended)
		act(&l, HULL_IR_GOTO, 0, 0, 0, l.at);
	return l.b.full ? 0 : n;
}
