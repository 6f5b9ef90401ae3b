/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A deterministic generator: the same seed gives the same numbers on every
 * host, for tests, fuzzers, chaos runs and machines with deterministic chance.
 * Not for secrets: whoever sees a few outputs can compute all others.  A
 * guest's entropy comes from the host's generator unless the VM is deterministic.
 *
 * xoshiro256** 1.0 seeded by SplitMix64: D. Blackman and S. Vigna,
 * "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47 (2021);
 * G. Steele, D. Lea and C. Flood, OOPSLA 2014.
 *
 * Threading: a generator belongs to one thread at a time.  It is a plain
 * value: copying it forks the sequence, saving its four words saves its state.
 */
#ifndef HULL_BASE_PRNG_H
#define HULL_BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct hull_prng {
	uint64_t s[4]; /* never all zero */
};

/* One step of SplitMix64; every state is valid.  Also a good mixer of small numbers. */
uint64_t hull_splitmix64(uint64_t *state);

/* Any seed will do; seeds that differ in one bit give unrelated sequences. */
void hull_prng_seed(struct hull_prng *p, uint64_t seed);

/* The next 64 bits; the period is 2^256 - 1. */
uint64_t hull_prng_next(struct hull_prng *p);

/* A number below `bound`, all equally likely; 0 if bound is 0. */
uint64_t hull_prng_below(struct hull_prng *p, uint64_t bound);

/* Fill `len` bytes with the numbers' little-endian bytes; the rest of the last number is lost. */
void hull_prng_fill(struct hull_prng *p, void *buf, size_t len);

#endif
