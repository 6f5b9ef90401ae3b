/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Shared by the parts of the aarch64 host layer: registers, instruction words, operands.
 *
 * x28 is the state, x27 the fuel.  Scratch: x13 to x17, x30 (a64_use() never picks it), v29 to
 * v31.  x18 belongs to the platform, x29 stays the C frame pointer.  Functions here that take a
 * scratch register say what they may change.  Nothing sets NZCV except what is said to.
 */
#ifndef HULL_ENGINE_JIT_AARCH64_H
#define HULL_ENGINE_JIT_AARCH64_H

#include "engine/jit/host.h"

enum a64_register {
	A64_X13 = 13,
	A64_ADDEND = 14,
	A64_X15 = 15,
	A64_X16 = 16,
	A64_X17 = 17,
	A64_FUEL = 27,
	A64_STATE = 28,
	A64_FP = 29,
	A64_LR = 30,
	A64_ZR = 31, /* as an operand of most instructions */
	A64_SP = 31, /* as a base address, and of ADD_I, SUB_I */
	A64_V29 = 29,
	A64_V30 = 30,
	A64_V31 = 31,
};

enum a64_insn {
#define A64(name, word, text) A64_##name = (int)word,
#include "engine/jit/aarch64.def"
#undef A64
};

/* Architecture's condition codes; the lowest bit inverts. */
enum a64_cond {
	A64_EQ = 0,
	A64_NE = 1,
	A64_HS = 2,
	A64_LO = 3,
	A64_MI = 4,
	A64_PL,
	A64_VS = 6,
	A64_HI = 8,
	A64_LS = 9,
	A64_GE = 10,
	A64_LT = 11,
	A64_GT = 12,
	A64_AL = 14,
};

enum a64_fixup { A64_IMM26, A64_IMM19 };

void a64_put(struct host_emit *e, uint32_t word);

/* The word of the row, or of its 32-bit form. */
static inline uint32_t a64_w(enum a64_insn i, bool w)
{
	return (uint32_t)i & ~((uint32_t)w << 31);
}

/* The word of a floating-point row, or its form for 32-bit values. */
static inline uint32_t a64_s(enum a64_insn i, unsigned bits)
{
	return (uint32_t)i & ~((uint32_t)(bits == 32) << 22);
}

static inline void a64_rrr(struct host_emit *e, uint32_t word, unsigned d, unsigned n, unsigned m)
{
	a64_put(e, word | m << 16 | n << 5 | d);
}

static inline void a64_rr(struct host_emit *e, uint32_t word, unsigned d, unsigned n)
{
	a64_put(e, word | n << 5 | d);
}

/* With the third operand shifted left. */
static inline void a64_rrr_lsl(struct host_emit *e, uint32_t word, unsigned d, unsigned n,
                               unsigned m, unsigned shift)
{
	a64_put(e, word | m << 16 | shift << 10 | n << 5 | d);
}

/* CSEL, CSINC, CSINV, FCSEL */
static inline void a64_csel(struct host_emit *e, uint32_t word, unsigned d, unsigned n, unsigned m,
                            enum a64_cond cond)
{
	a64_put(e, word | m << 16 | cond << 12 | n << 5 | d);
}

/* d = cond ? 1 : 0 */
static inline void a64_cset(struct host_emit *e, unsigned d, enum a64_cond cond)
{
	a64_csel(e, A64_CSINC, d, A64_ZR, A64_ZR, cond ^ 1);
}

/* SBFM, UBFM */
static inline void a64_bfm(struct host_emit *e, enum a64_insn i, unsigned d, unsigned n,
                           unsigned immr, unsigned imms)
{
	a64_put(e, (uint32_t)i | immr << 16 | imms << 10 | n << 5 | d);
}

static inline void a64_sxtw(struct host_emit *e, unsigned d, unsigned n)
{
	a64_bfm(e, A64_SBFM, d, n, 0, 31);
}

static inline void a64_mov(struct host_emit *e, unsigned d, unsigned n)
{
	if (d != n)
		a64_rrr(e, A64_ORR, d, A64_ZR, n);
}

void a64_mov_imm(struct host_emit *e, unsigned d, uint64_t v);
/* The field N:immr:imms at bit 10 of logical instructions; false if v is none of their constants.
 */
bool a64_logical_imm(uint64_t v, bool w, uint32_t *field);

/* d = n + v; may use x30, so n must not be x30.  Neither is the stack pointer. */
void a64_add_imm(struct host_emit *e, bool w, unsigned d, unsigned n, uint64_t v);
/* Compare n with v: sets NZCV; may use x30. */
void a64_cmp_imm(struct host_emit *e, unsigned n, uint64_t v);

/* Load or store: t at n + offset.  `size` in bytes.  May use x30, so that n and t must not be it
 * unless the offset is small. */
void a64_mem(struct host_emit *e, enum a64_insn i, unsigned size, unsigned t, unsigned n,
             int64_t offset);
/* t at n + m */
void a64_mem_rr(struct host_emit *e, enum a64_insn i, unsigned t, unsigned n, unsigned m);

/* The operand as a register: its own, or `scratch` after it was brought there. */
unsigned a64_use(struct host_emit *e, struct host_operand a, unsigned scratch);
/* The same; the zero register for the constant 0. */
unsigned a64_use_z(struct host_emit *e, struct host_operand a, unsigned scratch);

/* A jump: B, or B_COND with the condition, CBZ, CBNZ with a register in the low bits. */
void a64_branch(struct host_emit *e, uint32_t word, host_label to);

/* The jump at offset `at` leads here. */
void a64_land(struct host_emit *e, uint32_t at);

/* What is left to emit at the end. */
void a64_late(struct host_emit *e);

/* A short jump forward within one function: here, and then where it leads to. */
uint8_t *a64_skip(struct host_emit *e, uint32_t word);
void a64_skip_end(struct host_emit *e, uint8_t *skip);

#endif
