/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The promotion policies. */
#include "engine/jit/promote.h"

enum { HALF_LIFE = 256 }; /* samples of all code */

/* Heat: samples in the low half, when the last one was in the high half. */
static bool sample_fixed(struct jit_heat *h, uint32_t *heat)
{
	uint32_t count = *heat & 0xffff, age = (h->now - (*heat >> 16)) & 0xffff;

	h->now++;
	if (*heat == JIT_NEVER)
		return false;
	count = age / HALF_LIFE < 16 ? count >> (age / HALF_LIFE) : 0;
	count += count < 0xfff0;
	*heat = count | h->now << 16;
	return count >= h->threshold;
}

static bool sample_eager(struct jit_heat *h, uint32_t *heat)
{
	h->now++;
	return *heat != JIT_NEVER;
}

const struct jit_promotion jit_promotions[JIT_PROMOTIONS] = {
	{ "fixed", sample_fixed },
	{ "eager", sample_eager },
};
