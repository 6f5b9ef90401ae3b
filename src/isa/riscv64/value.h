/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The pure operators of the instruction tables, as C.  Used by the
 * interpreter and by the IR evaluator; the JIT has its own code for them.
 */
#ifndef HULL_ISA_RISCV64_VALUE_H
#define HULL_ISA_RISCV64_VALUE_H

#include <stdint.h>

static inline uint64_t rv_mulh(uint64_t a, uint64_t b)
{
	return (uint64_t)(((__int128)(int64_t)a * (int64_t)b) >> 64);
}

static inline uint64_t rv_mulhu(uint64_t a, uint64_t b)
{
	return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

static inline uint64_t rv_mulhsu(uint64_t a, uint64_t b)
{
	return (uint64_t)(((__int128)(int64_t)a * (__int128)b) >> 64);
}

/* Division by zero gives all ones, overflow the dividend (unprivileged ISA, table 11). */
static inline uint64_t rv_div(uint64_t a, uint64_t b)
{
	if (b == 0)
		return UINT64_MAX;
	if (b == UINT64_MAX)
		return 0 - a;
	return (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint64_t rv_divu(uint64_t a, uint64_t b)
{
	return b ? a / b : UINT64_MAX;
}

static inline uint64_t rv_rem(uint64_t a, uint64_t b)
{
	if (b == 0)
		return a;
	if (b == UINT64_MAX)
		return 0;
	return (uint64_t)((int64_t)a % (int64_t)b);
}

static inline uint64_t rv_remu(uint64_t a, uint64_t b)
{
	return b ? a % b : a;
}

static inline uint64_t rv_ror(uint64_t a, uint64_t n)
{
	return a >> (n & 63) | a << (-n & 63);
}

static inline uint64_t rv_clz(uint64_t a)
{
	return a ? (uint64_t)__builtin_clzll(a) : 64;
}

static inline uint64_t rv_ctz(uint64_t a)
{
	return a ? (uint64_t)__builtin_ctzll(a) : 64;
}

/* Without the libgcc call that __builtin_popcountll may become. */
static inline uint64_t rv_pop(uint64_t a)
{
	a -= a >> 1 & UINT64_C(0x5555555555555555);
	a = (a & UINT64_C(0x3333333333333333)) + (a >> 2 & UINT64_C(0x3333333333333333));
	a = (a + (a >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return a * UINT64_C(0x0101010101010101) >> 56;
}

/* Every byte that is not zero becomes 0xff. */
static inline uint64_t rv_orcb(uint64_t a)
{
	const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint64_t nonzero = (((a & low7) + low7) | a) & ~low7;

	return (nonzero >> 7) * 0xff;
}

static inline uint64_t rv_clmul(uint64_t a, uint64_t b)
{
	uint64_t r = 0;

	for (; b; b &= b - 1)
		r ^= a << __builtin_ctzll(b);
	return r;
}

/* Bits 126:63 of the product, as clmulr returns them; clmulh is that without its lowest bit. */
static inline uint64_t rv_clmulr(uint64_t a, uint64_t b)
{
	uint64_t r = 0;

	for (; b; b &= b - 1)
		r ^= a >> (63 - __builtin_ctzll(b));
	return r;
}

static inline uint64_t rv_clmulh(uint64_t a, uint64_t b)
{
	return rv_clmulr(a, b) >> 1;
}

/* NaN boxing: unprivileged ISA, 22.2. */
static inline uint32_t rv_unbox32(uint64_t f)
{
	return f >> 32 == UINT32_MAX ? (uint32_t)f : UINT32_C(0x7fc00000);
}

static inline uint16_t rv_unbox16(uint64_t f)
{
	return f >> 16 == UINT64_C(0xffffffffffff) ? (uint16_t)f : (uint16_t)0x7e00;
}

static inline uint64_t rv_box32(uint64_t v)
{
	return v | UINT64_C(0xffffffff00000000);
}

static inline uint64_t rv_box16(uint64_t v)
{
	return v | UINT64_C(0xffffffffffff0000);
}

/* The operators that mean the same wherever values are C integers. */
#define K(v)         ((uint64_t)(v))
#define ADD(a, b)    ((uint64_t)(a) + (uint64_t)(b))
#define SUB(a, b)    ((uint64_t)(a) - (uint64_t)(b))
#define MUL(a, b)    ((uint64_t)(a) * (uint64_t)(b))
#define MULH(a, b)   rv_mulh(a, b)
#define MULHU(a, b)  rv_mulhu(a, b)
#define MULHSU(a, b) rv_mulhsu(a, b)
#define DIV(a, b)    rv_div(a, b)
#define DIVU(a, b)   rv_divu(a, b)
#define REM(a, b)    rv_rem(a, b)
#define REMU(a, b)   rv_remu(a, b)
#define AND(a, b)    ((uint64_t)(a) & (uint64_t)(b))
#define OR(a, b)     ((uint64_t)(a) | (uint64_t)(b))
#define XOR(a, b)    ((uint64_t)(a) ^ (uint64_t)(b))
#define NOT(a)       (~(uint64_t)(a))
#define SHL(a, b)    ((uint64_t)(a) << ((b) & 63))
#define SHR(a, b)    ((uint64_t)(a) >> ((b) & 63))
#define SAR(a, b)    ((uint64_t)((int64_t)(a) >> ((b) & 63)))
#define ROR(a, b)    rv_ror(a, b)
#define EQ(a, b)     ((uint64_t)((uint64_t)(a) == (uint64_t)(b)))
#define NE(a, b)     ((uint64_t)((uint64_t)(a) != (uint64_t)(b)))
#define LT(a, b)     ((uint64_t)((int64_t)(a) < (int64_t)(b)))
#define LTU(a, b)    ((uint64_t)((uint64_t)(a) < (uint64_t)(b)))
#define SEL(c, a, b) ((c) ? (uint64_t)(a) : (uint64_t)(b))
#define SX8(a)       ((uint64_t)(int8_t)(a))
#define SX16(a)      ((uint64_t)(int16_t)(a))
#define SX32(a)      ((uint64_t)(int32_t)(a))
#define ZX8(a)       ((uint64_t)(uint8_t)(a))
#define ZX16(a)      ((uint64_t)(uint16_t)(a))
#define ZX32(a)      ((uint64_t)(uint32_t)(a))
#define CLZ(a)       rv_clz(a)
#define CTZ(a)       rv_ctz(a)
#define POP(a)       rv_pop(a)
#define REV8(a)      __builtin_bswap64(a)
#define ORCB(a)      rv_orcb(a)
#define CLMUL(a, b)  rv_clmul(a, b)
#define CLMULH(a, b) rv_clmulh(a, b)
#define CLMULR(a, b) rv_clmulr(a, b)
#define UNBOX16(f)   rv_unbox16(f)
#define UNBOX32(f)   rv_unbox32(f)
#define BOX16(v)     rv_box16((uint16_t)(v))
#define BOX32(v)     rv_box32((uint32_t)(v))
#define NEG16(v)     ((uint16_t)((v) ^ 0x8000))
#define NEG32(v)     ((uint32_t)(v) ^ UINT32_C(0x80000000))
#define NEG64(v)     ((v) ^ UINT64_C(0x8000000000000000))

#endif
