/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Random valid riscv64 encodings, from the rows' patterns. */
#ifndef TESTS_RVGEN_H
#define TESTS_RVGEN_H

#include "base/prng.h"
#include "isa/riscv64/insn.h"

/*
 * A random encoding that decodes to row `id`, ignored bits included; the same
 * seed gives the same one.  Registers are drawn from a few, so that
 * instructions meet, half of the time.
 */
uint32_t rvgen_bits(struct hull_prng *p, const struct hull_rv_decoder *d, enum hull_rv_id id);

/* A random operand: small numbers, edges of every width, patterns, NaN boxes, random bits. */
uint64_t rvgen_operand(struct hull_prng *p);

#endif
