/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Strength reduction: division and remainder by constants become a multiplication, and products
 * with some constants sums.
 *
 * For x of at most N bits and a divisor d that is no power of two, x / d = x * m >> p, rounded
 * down, with m = 2^p / d rounded up and e = m * d - 2^p, if x * e < 2^p (Granlund and Montgomery,
 * "Division by Invariant Integers using Multiplication", 1994).  Of a negative x the same is one
 * less than the quotient that is rounded towards 0.
 */
#include "engine/jit/flow.h"

#include "base/bits.h"
#include "base/mem.h"

enum { ROOM = 16 }; /* nodes that one may become */

struct reduce {
	struct hull_ir *to;
	uint16_t map[HULL_IR_MAX]; /* of the nodes before: where their values are */
};

static uint16_t append(struct reduce *r, struct hull_ir_node n)
{
	r->to->nodes[r->to->count] = n;
	return (uint16_t)r->to->count++;
}

static uint16_t number(struct reduce *r, uint64_t v)
{
	return append(r, (struct hull_ir_node){ .op = HULL_IR_CONST, .imm = v });
}

static uint16_t two(struct reduce *r, enum hull_ir_op op, uint16_t a, uint16_t b)
{
	return append(r, (struct hull_ir_node){ .op = (uint8_t)op, .a = a, .b = b });
}

static uint16_t with(struct reduce *r, enum hull_ir_op op, uint16_t a, uint64_t k)
{
	return two(r, op, a, number(r, k));
}

static bool is_number(const struct reduce *r, uint16_t n, uint64_t *ret)
{
	*ret = r->to->nodes[n].imm;
	return r->to->nodes[n].op == HULL_IR_CONST;
}

/* Of how many bits is the value, at most, without a sign?  64: not known. */
static unsigned bits_of(const struct reduce *r, uint16_t at)
{
	const struct hull_ir_node *n = &r->to->nodes[at];
	uint64_t k;

	switch (n->op) {
	case HULL_IR_CONST: return n->imm ? 64 - (unsigned)__builtin_clzll(n->imm) : 0;
	case HULL_IR_LOAD: return n->aux < HULL_IR_u64 ? hull_ir_load_bits(n->aux) : 64;
	case HULL_IR_ZX8: return 8;
	case HULL_IR_ZX16: return 16;
	case HULL_IR_ZX32: return 32;
	case HULL_IR_EQ:
	case HULL_IR_NE:
	case HULL_IR_LT:
	case HULL_IR_LTU: return 1;
	case HULL_IR_AND:
		return is_number(r, n->b, &k) && k ? 64 - (unsigned)__builtin_clzll(k) : 64;
	default: return 64;
	}
}

/* Is it the sign extension of its low 32 bits? */
static bool is_int32(const struct reduce *r, uint16_t at)
{
	const struct hull_ir_node *n = &r->to->nodes[at];

	switch (n->op) {
	case HULL_IR_CONST: return (int64_t)n->imm == (int32_t)n->imm;
	case HULL_IR_SX8:
	case HULL_IR_SX16:
	case HULL_IR_SX32: return true;
	case HULL_IR_LOAD: return n->aux >= HULL_IR_s8 || n->aux < HULL_IR_u32;
	default: return bits_of(r, at) < 32;
	}
}

static unsigned log2_of(uint64_t d)
{
	return 63 - (unsigned)__builtin_clzll(d);
}

/* high * 2^64 / d, rounded up; *ret_over: times d, how much that is more. */
static uint64_t divide_up(uint64_t high, uint64_t d, uint64_t *ret_over)
{
	unsigned __int128 n = (unsigned __int128)high << 64, m = (n - 1) / d + 1;

	*ret_over = (uint64_t)(m * d - n);
	return (uint64_t)m;
}

/* x / d, neither signed */
static uint16_t divide(struct reduce *r, uint16_t x, uint64_t d)
{
	unsigned log = d ? log2_of(d) : 0;
	uint64_t m, over;
	uint16_t high;

	if (!d)
		return number(r, UINT64_MAX);
	if (is_pow2(d))
		return with(r, HULL_IR_SHR, x, log);
	m = divide_up(1, d, &over);
	if (bits_of(r, x) <= 32 && d <= UINT32_MAX)
		return with(r, HULL_IR_MULHU, x, m);
	m = divide_up(BIT(log), d, &over);
	if (over <= BIT(log))
		return with(r, HULL_IR_SHR, with(r, HULL_IR_MULHU, x, m), log);
	/* One bit more: m is without its 2^64, and x + high might not fit. */
	m = divide_up(2 * BIT(log) - d, d, &over);
	high = with(r, HULL_IR_MULHU, x, m);
	x = with(r, HULL_IR_SHR, two(r, HULL_IR_SUB, x, high), 1);
	return with(r, HULL_IR_SHR, two(r, HULL_IR_ADD, x, high), log);
}

/* What a negative x must be corrected by: 2^log - 1, else 0. */
static uint16_t round_up(struct reduce *r, uint16_t x, unsigned log)
{
	uint16_t sign = with(r, HULL_IR_SAR, x, 63);

	return two(r, HULL_IR_ADD, x, log ? with(r, HULL_IR_SHR, sign, 64 - log) : number(r, 0));
}

/* x / d, both signed */
static uint16_t divide_signed(struct reduce *r, uint16_t x, uint64_t d)
{
	bool negative = (int64_t)d < 0;
	uint64_t by = negative ? -d : d, m, over;
	unsigned log = by ? log2_of(by) : 0;
	uint16_t q, sign;

	if (!d)
		return number(r, UINT64_MAX);
	if (is_pow2(by)) {
		q = by == 1 ? x : with(r, HULL_IR_SAR, round_up(r, x, log), log);
		return negative ? two(r, HULL_IR_SUB, number(r, 0), q) : q;
	}
	sign = with(r, HULL_IR_SAR, x, 63);
	m = divide_up(1, by, &over);
	if (is_int32(r, x) && by <= UINT32_MAX) {
		q = with(r, HULL_IR_MULH, x, m);
	} else if (m = divide_up(BIT(log) / 2, by, &over), over <= BIT(log)) {
		q = with(r, HULL_IR_SAR, with(r, HULL_IR_MULH, x, m), log - 1);
	} else { /* as a signed number, m is 2^64 too little */
		m = divide_up(BIT(log), by, &over);
		q = two(r, HULL_IR_ADD, with(r, HULL_IR_MULH, x, m), x);
		q = with(r, HULL_IR_SAR, q, log);
	}
	return negative ? two(r, HULL_IR_SUB, sign, q) : two(r, HULL_IR_SUB, q, sign);
}

/* 0: there is nothing better than to multiply. */
static uint16_t multiply(struct reduce *r, uint16_t x, uint64_t k)
{
	bool far = (int64_t)k != (int32_t)k;

	if (!k)
		return number(r, 0);
	if (is_pow2(k))
		return with(r, HULL_IR_SHL, x, log2_of(k));
	if (k == UINT64_MAX)
		return two(r, HULL_IR_SUB, number(r, 0), x);
	if (is_pow2(k - 1) && (k <= 9 || far))
		return two(r, HULL_IR_ADD, with(r, HULL_IR_SHL, x, log2_of(k - 1)), x);
	if (is_pow2(k + 1) && far)
		return two(r, HULL_IR_SUB, with(r, HULL_IR_SHL, x, log2_of(k + 1)), x);
	return 0;
}

static uint16_t product(struct reduce *r, uint16_t x, uint64_t k)
{
	uint16_t n = multiply(r, x, k);

	return n ? n : with(r, HULL_IR_MUL, x, k);
}

static uint16_t remainder_of(struct reduce *r, bool is_signed, uint16_t x, uint64_t d)
{
	uint64_t by = is_signed && (int64_t)d < 0 ? -d : d;

	if (!d)
		return x;
	if (by == 1)
		return number(r, 0);
	if (is_pow2(by) && !is_signed)
		return with(r, HULL_IR_AND, x, by - 1);
	if (is_pow2(by))
		return two(r, HULL_IR_SUB, x,
		           with(r, HULL_IR_AND, round_up(r, x, log2_of(by)), -by));
	return two(r, HULL_IR_SUB, x,
	           product(r, is_signed ? divide_signed(r, x, by) : divide(r, x, by), by));
}

/* Something simpler than *n, whose operands are in `to`; 0: there is nothing. */
static uint16_t simpler(struct reduce *r, const struct hull_ir_node *n)
{
	uint64_t k = 0;

	if (hull_ir_ops[n->op].operands < 2 || !is_number(r, n->b, &k))
		return 0;
	switch (n->op) {
	case HULL_IR_MUL: return multiply(r, n->a, k);
	case HULL_IR_DIVU: return divide(r, n->a, k);
	case HULL_IR_DIV: return divide_signed(r, n->a, k);
	case HULL_IR_REMU: return remainder_of(r, false, n->a, k);
	case HULL_IR_REM: return remainder_of(r, true, n->a, k);
	default: return 0;
	}
}

unsigned jit_reduce(struct hull_ir *ir, struct hull_ir *scratch)
{
	struct reduce r = { .to = scratch };
	unsigned reduced = 0;

	scratch->arch = ir->arch;
	scratch->count = 1;
	scratch->nodes[0] = ir->nodes[0];
	for (unsigned i = 1; i < ir->count; i++) {
		struct hull_ir_node n = ir->nodes[i];

		if (scratch->count + ROOM > HULL_IR_MAX)
			return 0;
		n.a = r.map[n.a];
		n.b = r.map[n.b];
		n.c = r.map[n.c];
		r.map[i] = simpler(&r, &n);
		reduced += r.map[i] != 0;
		if (!r.map[i])
			r.map[i] = append(&r, n);
	}
	if (reduced)
		memcpy(ir->nodes, scratch->nodes, scratch->count * sizeof(scratch->nodes[0]));
	if (reduced)
		ir->count = scratch->count;
	return reduced;
}
