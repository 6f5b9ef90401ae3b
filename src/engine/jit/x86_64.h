/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the files of the x86-64 host share: the assembler below host.h.
 *
 * Registers: rbp points 128 bytes into the guest CPU, so that its first 32 words are within a
 * one-byte displacement; r15 is the fuel counter; rax (the addend), rcx, rdx, xmm0 and xmm1 are
 * scratch.  In generated code rsp is a multiple of 16.
 */
#ifndef HULL_ENGINE_JIT_X86_64_H
#define HULL_ENGINE_JIT_X86_64_H

#include "engine/jit/host.h"

enum x86_reg {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15,
};

enum { X86_STATE = RBP, X86_STATE_BIAS = 128, X86_FUEL = R15 };

enum x86_cc {
	CC_O,
	CC_NO,
	CC_B,
	CC_AE,
	CC_E,
	CC_NE,
	CC_BE,
	CC_A,
	CC_S,
	CC_NS,
	CC_P,
	CC_NP,
	CC_L,
	CC_GE,
	CC_LE,
	CC_G,
	CC_ALWAYS,
};

enum x86_insn {
#define X86(name, prefix, map, opcode, form) X86_##name,
#include "engine/jit/x86_64.def"
#undef X86
};

/* A register, or memory at base + (index << scale) + disp; HOST_NO_REG: no such part. */
struct x86_rm {
	bool memory;
	host_reg reg, index; /* reg: or the base */
	uint8_t scale;
	int32_t disp;
};

static inline struct x86_rm x86_r(unsigned reg)
{
	return (struct x86_rm){ .reg = (host_reg)reg };
}
static inline struct x86_rm x86_m(unsigned base, int32_t disp)
{
	return (struct x86_rm){ true, (host_reg)base, HOST_NO_REG, 0, disp };
}
static inline struct x86_rm x86_mx(unsigned base, unsigned index, int32_t disp)
{
	return (struct x86_rm){ true, (host_reg)base, (host_reg)index, 0, disp };
}
static inline struct x86_rm x86_state(int32_t offset)
{
	return x86_m(X86_STATE, offset - X86_STATE_BIAS);
}

static inline bool x86_fits8(int64_t v)
{
	return v == (int8_t)v;
}
static inline bool x86_fits32(uint64_t v)
{
	return (int64_t)v == (int32_t)v;
}
static inline bool x86_is(struct host_operand o, host_reg r)
{
	return o.kind == HOST_REG && o.reg == r;
}

/* One instruction; w: 64-bit operands (REX.W or VEX.W).  Immediates are appended with the next. */
void x86_op(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, struct x86_rm rm);
void x86_lock_op(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, struct x86_rm rm);
void x86_vex(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, unsigned second,
             struct x86_rm rm);
void x86_imm(struct host_emit *e, uint64_t v, unsigned bytes);
/* Instructions without operands in up to 4 bytes, the first in the low byte. */
void x86_bytes(struct host_emit *e, uint32_t v, unsigned bytes);

/* A row's 8-bit opcode + cc. */
void x86_cc_op(struct host_emit *e, enum x86_insn op, unsigned cc, bool w, unsigned reg,
               struct x86_rm rm);

/* op (X86_ADD to X86_CMP) rm, v */
void x86_alu_imm(struct host_emit *e, enum x86_insn op, bool w, struct x86_rm rm, int32_t v);
void x86_const(struct host_emit *e, host_reg d, uint64_t v); /* keeps the flags */
void x86_move(struct host_emit *e, host_reg d, host_reg a);  /* 64 bits; nothing if equal */

/* The operand in a register, or as register or memory; what cannot be goes to `scratch`.  The
 * flags stay. */
host_reg x86_in(struct host_emit *e, struct host_operand o, host_reg scratch);
struct x86_rm x86_rm(struct host_emit *e, struct host_operand o, host_reg scratch);

/* Jumps to labels; cc may be CC_ALWAYS. */
void x86_jump(struct host_emit *e, unsigned cc, host_label to);
/* Short jumps forward within a sequence, to where x86_land() is told of them. */
uint8_t *x86_skip(struct host_emit *e, unsigned cc);
void x86_land(struct host_emit *e, uint8_t *from);

/* The rare cases of host_fma(). */
void x86_fma_late(struct host_emit *e);

#endif
