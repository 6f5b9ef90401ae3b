/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every operation works on `struct num`, which is wide enough for all three
 * formats; only unpack() and pack() know a format.  An operation therefore
 * leaves its result unrounded: 64 bits of significand, the last one standing
 * for everything below it ("jamming").  That bit is at least 11 places below
 * the last bit of any format, so rounding the jammed number equals rounding
 * the exact one.  An invalid operation returns a signalling NaN; pack() turns
 * it into the flag and the canonical NaN.
 *
 * Shifts and leading-zero counts are spelled out because compilers call
 * library functions for the 128-bit and, on some hosts, the 64-bit ones.
 */
#include "isa/fp.h"
#include "base/bits.h"

/* In the order in which one operand decides about a sum. */
enum kind { ZERO, FINITE, INF, QNAN, SNAN };

/* FINITE: (-1)^sign * sig / 2^63 * 2^exp, sig >= 2^63. */
struct num {
	uint64_t sig;
	int32_t exp;
	uint8_t kind;
	bool sign;
};

static inline unsigned frac_bits(unsigned n)
{
	return n == 64 ? 52 : n == 32 ? 23 : 10;
}

static inline uint64_t inf_bits(unsigned n)
{
	return low_mask(n - 1) & ~low_mask(frac_bits(n));
}

static inline int bias(unsigned n)
{
	return (int)low_mask(n - 2 - frac_bits(n));
}

static inline bool is_nan(unsigned n, uint64_t a)
{
	return (a & low_mask(n - 1)) > inf_bits(n);
}

static inline bool is_snan(unsigned n, uint64_t a)
{
	return is_nan(n, a) && !(a & BIT(frac_bits(n) - 1));
}

/* v != 0 */
static inline unsigned leading_zeros(uint64_t v)
{
	unsigned count = 0;

	for (unsigned step = 32; step; step >>= 1) {
		if (!(v >> (64 - step))) {
			v <<= step;
			count += step;
		}
	}
	return count;
}

/* v / 2^n for any n >= 0, with the bits that fall off jammed into the last one. */
static inline uint64_t shift_jam(uint64_t v, unsigned n)
{
	if (!n)
		return v;
	return n > 63 ? v != 0 : v >> n | (v << (64 - n) != 0);
}

/* sig / 2^shift as an integer, shift = 1..63; a carry out of the top bit is part of the result. */
static inline uint64_t round_shift(unsigned rm, bool sign, uint64_t sig, unsigned shift)
{
	uint64_t whole = sig >> shift, rest = sig << (64 - shift);
	bool up = false;

	switch (rm) {
	case HULL_FP_RNE: up = rest > BIT(63) - (whole & 1); break;
	case HULL_FP_RMM: up = rest >= BIT(63); break;
	case HULL_FP_RDN: up = sign && rest; break;
	case HULL_FP_RUP: up = !sign && rest; break;
	}
	return whole + up;
}

static inline struct num unpack(unsigned n, uint64_t a)
{
	unsigned shift = 63 - frac_bits(n);
	uint64_t mag = a & low_mask(n - 1), frac = a & low_mask(frac_bits(n));
	int biased = (int)(mag >> frac_bits(n));
	struct num x = { BIT(63) | frac << shift, biased - bias(n), FINITE, a >> (n - 1) & 1 };

	if (UNLIKELY(mag >= inf_bits(n))) {
		x.kind = !frac ? INF : is_snan(n, a) ? SNAN : QNAN;
	} else if (UNLIKELY(!biased)) {
		if (!frac) {
			x.kind = ZERO;
			return x;
		}
		x.sig = frac << shift;
		shift = leading_zeros(x.sig);
		x.sig <<= shift;
		x.exp = 1 - bias(n) - (int)shift;
	}
	return x;
}

static uint64_t pack_special(struct hull_fp *e, unsigned n, struct num x)
{
	uint64_t sign = (uint64_t)x.sign << (n - 1);

	if (x.kind == ZERO)
		return sign;
	if (x.kind == INF)
		return sign | inf_bits(n);
	if (x.kind == SNAN)
		e->flags |= HULL_FP_NV;
	return inf_bits(n) | BIT(frac_bits(n) - 1);
}

static uint64_t pack_overflow(struct hull_fp *e, unsigned n, bool sign)
{
	bool to_inf = e->rm == HULL_FP_RNE || e->rm == HULL_FP_RMM ||
	              e->rm == (sign ? HULL_FP_RDN : HULL_FP_RUP);

	e->flags |= HULL_FP_OF | HULL_FP_NX;
	return (uint64_t)sign << (n - 1) | (inf_bits(n) - !to_inf);
}

/*
 * Round and encode.  Adding the exponent field to the significand with its
 * leading one lets a rounding carry move into the exponent by itself.  It
 * cannot wrap: no operation leaves an exponent beyond twice the range of f64.
 */
static inline uint64_t pack(struct hull_fp *e, unsigned n, struct num x)
{
	unsigned frac = frac_bits(n), shift = 63 - frac;
	int biased = x.exp + bias(n);
	bool tiny = false;
	uint64_t r;

	if (UNLIKELY(x.kind != FINITE))
		return pack_special(e, n, x);
	if (UNLIKELY(biased <= 0)) {
		/* Tiny unless rounding to full precision reaches the smallest normal number. */
		tiny = biased < 0 || !(round_shift(e->rm, x.sign, x.sig, shift) >> (frac + 1));
		x.sig = shift_jam(x.sig, (unsigned)(1 - biased));
		biased = 1;
	}
	r = ((uint64_t)(biased - 1) << frac) + round_shift(e->rm, x.sign, x.sig, shift);
	if (x.sig & low_mask(shift))
		e->flags |= tiny ? HULL_FP_UF | HULL_FP_NX : HULL_FP_NX;
	if (UNLIKELY(r >= inf_bits(n)))
		return pack_overflow(e, n, x.sign);
	return (uint64_t)x.sign << (n - 1) | r;
}

static struct num add_special(struct hull_fp *e, struct num a, struct num b)
{
	if (a.kind != b.kind)
		return a.kind > b.kind ? a : b;
	if (a.sign != b.sign && a.kind == ZERO)
		a.sign = e->rm == HULL_FP_RDN;
	if (a.sign != b.sign && a.kind == INF)
		a.kind = SNAN;
	return a;
}

/*
 * a + b, both FINITE; alo and blo continue the significands.  If the smaller
 * operand loses bits it is at least two places away, so the difference stays
 * within one place of the larger one and the jammed bit stays far below.
 */
static struct num add_wide(struct hull_fp *e, struct num a, uint64_t alo, struct num b,
                           uint64_t blo)
{
	unsigned __int128 x = (unsigned __int128)a.sig << 64 | alo, y;
	unsigned n = (unsigned)(a.exp - b.exp);
	uint64_t hi, lo;

	if (a.exp < b.exp || (a.exp == b.exp && (a.sig < b.sig || (a.sig == b.sig && alo < blo))))
		return add_wide(e, b, blo, a, alo);
	if (n >= 64) {
		blo = shift_jam(b.sig, n - 64) | (blo != 0);
		b.sig = 0;
	} else if (n) {
		blo = shift_jam(blo, n) | b.sig << (64 - n);
		b.sig >>= n;
	}
	y = (unsigned __int128)b.sig << 64 | blo;
	if (a.sign == b.sign) {
		y += x;
		hi = (uint64_t)(y >> 64);
		lo = (uint64_t)y;
		if (y < x) {
			lo |= hi & 1;
			hi = hi >> 1 | BIT(63);
			a.exp++;
		}
	} else {
		x -= y;
		hi = (uint64_t)(x >> 64);
		lo = (uint64_t)x;
		if (!hi) {
			hi = lo;
			lo = 0;
			a.exp -= 64;
		}
		if (!hi) {
			a.kind = ZERO;
			a.sign = e->rm == HULL_FP_RDN;
			return a;
		}
		n = leading_zeros(hi);
		if (n) {
			hi = hi << n | lo >> (64 - n);
			lo <<= n;
			a.exp -= (int)n;
		}
	}
	a.sig = hi | (lo != 0);
	return a;
}

static struct num add(struct hull_fp *e, struct num a, struct num b)
{
	if (UNLIKELY(a.kind != FINITE || b.kind != FINITE))
		return add_special(e, a, b);
	return add_wide(e, a, 0, b, 0);
}

static struct num mul_special(struct num a, struct num b)
{
	uint8_t high = MAX(a.kind, b.kind), low = MIN(a.kind, b.kind);

	a.sign ^= b.sign;
	a.kind = high;
	if (high == FINITE)
		a.kind = ZERO;
	else if (high == INF && low == ZERO)
		a.kind = SNAN;
	return a;
}

/* a * b with *ret_lo continuing the significand; that is only meaningful for a FINITE result. */
static inline struct num mul_wide(struct num a, struct num b, uint64_t *ret_lo)
{
	unsigned __int128 p = (unsigned __int128)a.sig * b.sig;
	uint64_t hi = (uint64_t)(p >> 64), lo = (uint64_t)p;

	*ret_lo = 0;
	if (UNLIKELY(a.kind != FINITE || b.kind != FINITE))
		return mul_special(a, b);
	a.exp += b.exp + 1;
	a.sign ^= b.sign;
	if (!(hi >> 63)) {
		hi = hi << 1 | lo >> 63;
		lo <<= 1;
		a.exp--;
	}
	a.sig = hi;
	*ret_lo = lo;
	return a;
}

static struct num mul(struct num a, struct num b)
{
	uint64_t lo;

	a = mul_wide(a, b, &lo);
	a.sig |= lo != 0;
	return a;
}

static struct num mul_add(struct hull_fp *e, struct num a, struct num b, struct num c)
{
	uint64_t lo;

	a = mul_wide(a, b, &lo);
	if (LIKELY(a.kind == FINITE && c.kind == FINITE))
		return add_wide(e, a, lo, c, 0);
	a.sig |= lo != 0;
	return add_special(e, a, c);
}

static struct num div_special(struct hull_fp *e, struct num a, struct num b)
{
	a.sign ^= b.sign;
	if (a.kind >= QNAN || b.kind >= QNAN) {
		a.kind = MAX(a.kind, b.kind);
	} else if (a.kind == b.kind) {
		a.kind = SNAN;
	} else if (b.kind == INF) {
		a.kind = ZERO;
	} else if (b.kind == ZERO && a.kind == FINITE) {
		a.kind = INF;
		e->flags |= HULL_FP_DZ;
	}
	return a;
}

/*
 * Schoolbook division of a.sig * 2^64 by b.sig in two digits of 32 bits
 * (Knuth, volume 2, 4.3.1, algorithm D).  a.sig < b.sig makes the first digit fit;
 * halving a.sig for that is exact, its low bits are zero.
 */
static struct num div(struct hull_fp *e, struct num a, struct num b)
{
	uint64_t d = b.sig, high = d >> 32, low = (uint32_t)d, u = a.sig, q = 0;

	if (UNLIKELY(a.kind != FINITE || b.kind != FINITE))
		return div_special(e, a, b);
	a.sign ^= b.sign;
	a.exp -= b.exp;
	if (u >= d)
		u >>= 1;
	else
		a.exp--;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t digit = u / high, rest = u % high;

		while (!(rest >> 32) && (digit >> 32 || digit * low > rest << 32)) {
			digit--;
			rest += high;
		}
		u = (u << 32) - digit * d;
		q = q << 32 | digit;
	}
	a.sig = q | (u != 0);
	return a;
}

/*
 * Digit by digit, two bits more than format n keeps.  With m = a.sig in
 * [1, 4) at binary point 60: rest = (m - root^2) scaled, twice = 2 * root.
 * Both stay below 2^63, so that the sign of a difference tells whether a digit
 * is 1: no processor predicts a branch on that.
 */
static struct num square_root(unsigned n, struct num a)
{
	uint64_t rest = a.sig >> 3, twice = 0;

	if (UNLIKELY(a.kind != FINITE || a.sign)) {
		if (a.sign && a.kind != ZERO && a.kind != QNAN)
			a.kind = SNAN;
		return a;
	}
	if (a.exp & 1)
		rest <<= 1;
	for (uint64_t bit = BIT(60); bit >= BIT(60 - frac_bits(n) - 2); bit >>= 1) {
		uint64_t one = ~(uint64_t)((int64_t)(rest - (twice + bit)) >> 63);

		rest = (rest - ((twice + bit) & one)) << 1;
		twice += bit << 1 & one;
	}
	a.sig = twice << 2 | (rest != 0);
	a.exp >>= 1;
	return a;
}

/* |x| as an integer; x is FINITE and x.exp <= 63.  The low bits of x.sig are zero. */
static uint64_t to_whole(struct hull_fp *e, struct num x, bool *ret_exact)
{
	unsigned shift = (unsigned)(62 - MAX(x.exp, -2));

	*ret_exact = true;
	if (x.exp >= 62)
		return x.sig >> (63 - x.exp);
	/* Everything below 1/4 rounds as 1/4 does. */
	x.sig >>= 1;
	if (shift == 64) {
		x.sig = BIT(61);
		shift = 63;
	}
	*ret_exact = !(x.sig & low_mask(shift));
	return round_shift(e->rm, x.sign, x.sig, shift);
}

static uint64_t to_int(struct hull_fp *e, struct num x, uint64_t max, uint64_t min_magnitude)
{
	uint64_t v, limit = x.sign && x.kind < QNAN ? min_magnitude : max;
	bool negative = x.sign && x.kind < QNAN, exact = true;

	if (x.kind == ZERO)
		return 0;
	if (x.kind != FINITE || x.exp > 63 || (v = to_whole(e, x, &exact)) > limit) {
		e->flags |= HULL_FP_NV;
		v = limit;
	} else if (!exact) {
		e->flags |= HULL_FP_NX;
	}
	return negative ? -v : v;
}

static struct num from_int(bool sign, uint64_t magnitude)
{
	struct num x = { magnitude, 63, magnitude ? FINITE : ZERO, sign };

	if (magnitude) {
		unsigned n = leading_zeros(magnitude);

		x.sig <<= n;
		x.exp -= (int)n;
	}
	return x;
}

static inline struct num from_signed(int64_t v)
{
	return from_int(v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

static struct num to_integral(struct hull_fp *e, struct num x)
{
	bool exact;

	if (x.kind != FINITE || x.exp >= 63)
		return x;
	x = from_int(x.sign, to_whole(e, x, &exact));
	if (!exact)
		e->flags |= HULL_FP_NX;
	return x;
}

/* Numbers in the order of their values; both zeros are 0. */
static inline int64_t key(unsigned n, uint64_t a)
{
	int64_t mag = (int64_t)(a & low_mask(n - 1));

	return a >> (n - 1) & 1 ? -mag : mag;
}

static inline int compare(struct hull_fp *e, unsigned n, uint64_t a, uint64_t b, bool signalling)
{
	int64_t x = key(n, a), y = key(n, b);

	if (UNLIKELY(is_nan(n, a) || is_nan(n, b))) {
		if (signalling || is_snan(n, a) || is_snan(n, b))
			e->flags |= HULL_FP_NV;
		return HULL_FP_UNORDERED;
	}
	return (x > y) - (x < y);
}

static inline uint64_t pick(struct hull_fp *e, unsigned n, uint64_t a, uint64_t b, bool want_less)
{
	int order = compare(e, n, a, b, false);

	if (UNLIKELY(order == HULL_FP_UNORDERED)) {
		if (!is_nan(n, a))
			return a;
		return is_nan(n, b) ? inf_bits(n) | BIT(frac_bits(n) - 1) : b;
	}
	/* Equal numbers that differ are zeros: the signed one is the lesser. */
	return (order == HULL_FP_LESS || (order == HULL_FP_EQUAL && a >> (n - 1))) == want_less ? a
	                                                                                        : b;
}

static inline uint32_t classify(unsigned n, uint64_t a)
{
	uint64_t mag = a & low_mask(n - 1);
	bool sign = a >> (n - 1);

	if (is_nan(n, a))
		return is_snan(n, a) ? 1u << 8 : 1u << 9;
	if (mag == inf_bits(n))
		return sign ? 1u << 0 : 1u << 7;
	if (mag >= BIT(frac_bits(n)))
		return sign ? 1u << 1 : 1u << 6;
	if (mag)
		return sign ? 1u << 2 : 1u << 5;
	return sign ? 1u << 3 : 1u << 4;
}

#define FORMAT(N)                                                                                 \
	static struct num unpack##N(uint##N##_t a) {                                              \
		return unpack(N, a);                                                              \
	} static uint##N##_t pack##N(struct hull_fp *e, struct num x)                             \
	{                                                                                         \
		return (uint##N##_t)pack(e, N, x);                                                \
	}                                                                                         \
	uint##N##_t hull_f##N##_add(struct hull_fp *e, uint##N##_t a, uint##N##_t b)              \
	{                                                                                         \
		return pack##N(e, add(e, unpack##N(a), unpack##N(b)));                            \
	}                                                                                         \
	uint##N##_t hull_f##N##_sub(struct hull_fp *e, uint##N##_t a, uint##N##_t b)              \
	{                                                                                         \
		return hull_f##N##_add(e, a, (uint##N##_t)(b ^ BIT(N - 1)));                      \
	}                                                                                         \
	uint##N##_t hull_f##N##_mul(struct hull_fp *e, uint##N##_t a, uint##N##_t b)              \
	{                                                                                         \
		return pack##N(e, mul(unpack##N(a), unpack##N(b)));                               \
	}                                                                                         \
	uint##N##_t hull_f##N##_div(struct hull_fp *e, uint##N##_t a, uint##N##_t b)              \
	{                                                                                         \
		return pack##N(e, div(e, unpack##N(a), unpack##N(b)));                            \
	}                                                                                         \
	uint##N##_t hull_f##N##_sqrt(struct hull_fp *e, uint##N##_t a)                            \
	{                                                                                         \
		return pack##N(e, square_root(N, unpack##N(a)));                                  \
	}                                                                                         \
	uint##N##_t hull_f##N##_fma(struct hull_fp *e, uint##N##_t a, uint##N##_t b,              \
	                            uint##N##_t c)                                                \
	{                                                                                         \
		return pack##N(e, mul_add(e, unpack##N(a), unpack##N(b), unpack##N(c)));          \
	}                                                                                         \
	uint##N##_t hull_f##N##_rint(struct hull_fp *e, uint##N##_t a)                            \
	{                                                                                         \
		return pack##N(e, to_integral(e, unpack##N(a)));                                  \
	}                                                                                         \
	uint##N##_t hull_f##N##_min(struct hull_fp *e, uint##N##_t a, uint##N##_t b)              \
	{                                                                                         \
		return (uint##N##_t)pick(e, N, a, b, true);                                       \
	}                                                                                         \
	uint##N##_t hull_f##N##_max(struct hull_fp *e, uint##N##_t a, uint##N##_t b)              \
	{                                                                                         \
		return (uint##N##_t)pick(e, N, a, b, false);                                      \
	}                                                                                         \
	int hull_f##N##_compare(struct hull_fp *e, uint##N##_t a, uint##N##_t b, bool signalling) \
	{                                                                                         \
		return compare(e, N, a, b, signalling);                                           \
	}                                                                                         \
	uint32_t hull_f##N##_classify(uint##N##_t a)                                              \
	{                                                                                         \
		return classify(N, a);                                                            \
	}                                                                                         \
	int32_t hull_f##N##_to_i32(struct hull_fp *e, uint##N##_t a)                              \
	{                                                                                         \
		return (int32_t)to_int(e, unpack##N(a), INT32_MAX, BIT(31));                      \
	}                                                                                         \
	uint32_t hull_f##N##_to_u32(struct hull_fp *e, uint##N##_t a)                             \
	{                                                                                         \
		return (uint32_t)to_int(e, unpack##N(a), UINT32_MAX, 0);                          \
	}                                                                                         \
	int64_t hull_f##N##_to_i64(struct hull_fp *e, uint##N##_t a)                              \
	{                                                                                         \
		return (int64_t)to_int(e, unpack##N(a), INT64_MAX, BIT(63));                      \
	}                                                                                         \
	uint64_t hull_f##N##_to_u64(struct hull_fp *e, uint##N##_t a)                             \
	{                                                                                         \
		return to_int(e, unpack##N(a), UINT64_MAX, 0);                                    \
	}                                                                                         \
	uint##N##_t hull_f##N##_from_i32(struct hull_fp *e, int32_t v)                            \
	{                                                                                         \
		return pack##N(e, from_signed(v));                                                \
	}                                                                                         \
	uint##N##_t hull_f##N##_from_u32(struct hull_fp *e, uint32_t v)                           \
	{                                                                                         \
		return pack##N(e, from_int(false, v));                                            \
	}                                                                                         \
	uint##N##_t hull_f##N##_from_i64(struct hull_fp *e, int64_t v)                            \
	{                                                                                         \
		return pack##N(e, from_signed(v));                                                \
	}                                                                                         \
	uint##N##_t hull_f##N##_from_u64(struct hull_fp *e, uint64_t v)                           \
	{                                                                                         \
		return pack##N(e, from_int(false, v));                                            \
	}

FORMAT(16)
FORMAT(32)
FORMAT(64)

#define CONVERT(FROM, TO)                                                         \
	uint##TO##_t hull_f##FROM##_to_f##TO(struct hull_fp *e, uint##FROM##_t a) \
	{                                                                         \
		return pack##TO(e, unpack##FROM(a));                              \
	}

CONVERT(16, 32)
CONVERT(16, 64)
CONVERT(32, 16)
CONVERT(32, 64)
CONVERT(64, 16)
CONVERT(64, 32)
