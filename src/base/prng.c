/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The generator of base/prng.h. */
#include "base/prng.h"

#include "base/bits.h"
#include "base/mem.h"

static uint64_t rotate_left(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

/* Constants: Steele, Lea and Flood, with the finalizer "Mix13" of D. Stafford. */
uint64_t hull_splitmix64(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void hull_prng_seed(struct hull_prng *p, uint64_t seed)
{
	size_t i;

	/* Four consecutive outputs are never all zero: each input has one output. */
	for (i = 0; i < ARRAY_LEN(p->s); i++)
		p->s[i] = hull_splitmix64(&seed);
}

/* Blackman and Vigna, the xoshiro256 engine with a = 17, b = 45 and the ** scrambler 5, 7, 9. */
uint64_t hull_prng_next(struct hull_prng *p)
{
	uint64_t *s = p->s;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t hull_prng_below(struct hull_prng *p, uint64_t bound)
{
	uint64_t v, skip;

	if (!bound)
		return 0;
	/* 2^64 mod bound values would make small results likelier; each draw avoids them with p >
	 * 1/2. */
	skip = (0 - bound) % bound;
	do
		v = hull_prng_next(p);
	while (v < skip);
	return v % bound;
}

void hull_prng_fill(struct hull_prng *p, void *buf, size_t len)
{
	uint8_t *b = buf, word[8];
	size_t n;

	for (; len; len -= n, b += n) {
		n = MIN(len, sizeof(word));
		store_le64(word, hull_prng_next(p));
		memcpy(b, word, n);
	}
}
