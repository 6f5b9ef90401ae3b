/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/rvgen.h"

#include "base/bits.h"

static void put(uint32_t *bits, int8_t low, uint32_t mask, uint64_t value)
{
	if (low >= 0)
		*bits = (*bits & ~(mask << low)) | ((uint32_t)value & mask) << low;
}

/* Registers 8 to 11 are reachable by compressed forms, too. */
static void few_registers(struct hull_prng *p, const struct hull_rv_format *f, uint32_t *bits)
{
	const int8_t low[4] = { f->rd, f->rs1, f->rs2, f->rs3 };

	for (unsigned i = 0; i < 4; i++) {
		bool is_short = f->short_regs >> i & 1;

		put(bits, low[i], is_short ? 7 : 31, (is_short ? 0 : 8) + hull_prng_below(p, 4));
	}
}

uint32_t rvgen_bits(struct hull_prng *p, const struct hull_rv_decoder *d, enum hull_rv_id id)
{
	const struct hull_rv_format *f = &d->formats[id];
	uint32_t whole = f->len == 4 ? UINT32_MAX : UINT16_MAX;
	struct hull_rv_insn i;

	for (;;) { /* ends: no row is covered by more special ones */
		uint32_t bits = (uint32_t)hull_prng_next(p) & whole;
		bool few = hull_prng_next(p) & 1;

		if (few)
			few_registers(p, f, &bits);
		bits = (bits & ~f->mask) | f->match;
		hull_rv_decode(d, bits, &i);
		if (i.id == id)
			return bits;
	}
}

/* A number of `exp` exponent and `frac` fraction bits, mostly at an edge of something. */
static uint64_t float_operand(struct hull_prng *p, unsigned exp, unsigned frac)
{
	uint64_t max = low_mask(exp), bias = max >> 1, r = hull_prng_next(p), e, m;

	switch (hull_prng_below(p, 6)) {
	case 0: e = 0; break;
	case 1: e = max; break;
	case 2: e = bias + hull_prng_below(p, 2 * frac + 4) - frac; break;
	case 3: e = hull_prng_below(p, 3); break;
	case 4: e = max - hull_prng_below(p, 3); break;
	default: e = hull_prng_next(p); break;
	}
	switch (hull_prng_below(p, 5)) {
	case 0: m = 0; break;
	case 1: m = r % 4 - 2; break;
	case 2: m = UINT64_C(1) << (frac - 1); break;
	case 3: m = ~UINT64_C(0) << (r % frac); break;
	default: m = r; break;
	}
	return (r >> 63) << (exp + frac) | (e & max) << frac | (m & low_mask(frac));
}

uint64_t rvgen_operand(struct hull_prng *p)
{
	unsigned shift = (unsigned)hull_prng_below(p, 64);
	uint64_t r = hull_prng_next(p);

	switch (hull_prng_below(p, 10)) {
	case 0: return r % 5 - 2;
	case 1: return (UINT64_C(1) << shift) + r % 3 - 1;
	case 2: return (~UINT64_C(0) << shift) + r % 3 - 1;
	case 3: return (uint64_t)(int64_t)(int32_t)r;
	case 4: return (uint32_t)r;
	case 5: return r & 0xff00ff0000ff00ff;
	case 6: return float_operand(p, 11, 52);
	case 7: return UINT64_C(0xffffffff00000000) | float_operand(p, 8, 23);
	case 8: return UINT64_C(0xffffffffffff0000) | float_operand(p, 5, 10);
	default: return r;
	}
}
