/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Promotion: when is code worth a better tier?
 *
 * Generated code counts nothing.  Each time its slice of instructions is used up, the place where
 * that happened is a sample: code is as hot as it has had samples lately.  What becomes of samples
 * is a row of a table, so that another policy is another row.
 *
 * Threading: a struct jit_heat belongs to one thread.
 */
#ifndef HULL_ENGINE_JIT_PROMOTE_H
#define HULL_ENGINE_JIT_PROMOTE_H

#include <stdbool.h>
#include <stdint.h>

struct jit_heat {
	uint32_t now;       /* samples so far, of all code */
	uint32_t threshold; /* samples that make code hot */
};

struct jit_promotion {
	const char *name;
	/*
	 * Code whose heat is *heat (0 at first, the policy's own encoding, JIT_NEVER apart) got a
	 * sample; true: it should go to tier 2 now.
	 */
	bool (*sample)(struct jit_heat *h, uint32_t *heat);
};

enum { JIT_PROMOTIONS = 2 };
#define JIT_NEVER UINT32_MAX /* heat of code that cannot be promoted */

extern const struct jit_promotion jit_promotions[JIT_PROMOTIONS]; /* by enum hull_promotion */

#endif
