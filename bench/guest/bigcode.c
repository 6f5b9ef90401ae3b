/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The functions of ctl/bigcode: 4096 small ones, each with its own constants and a condition. */
#include "bench.h"

#define ONE(n)                                                     \
	static FAR uint32_t small_##n(uint32_t x)                  \
	{                                                          \
		enum { N = 0x##n };                                \
		uint32_t y = (x ^ (N * 40503u + 7)) * (2 * N + 1); \
		if (y & 1u << (N % 29))                            \
			y += x >> (N % 13);                        \
		else                                               \
			y ^= x << (N % 11);                        \
		return y - N;                                      \
	}
#define NAME(n) small_##n,

#define X16(m, n)                                                                               \
	m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7) m(n##8) m(n##9) m(n##a) \
		m(n##b) m(n##c) m(n##d) m(n##e) m(n##f)
#define X256(m, n)   \
	X16(m, n##0) \
	X16(m, n##1) \
	X16(m, n##2) \
	X16(m, n##3) \
	X16(m, n##4) \
	X16(m, n##5) \
	X16(m, n##6) \
	X16(m, n##7) \
	X16(m, n##8) \
	X16(m, n##9) \
	X16(m, n##a) \
	X16(m, n##b) \
	X16(m, n##c) \
	X16(m, n##d) \
	X16(m, n##e) \
	X16(m, n##f)
#define X4096(m)   \
	X256(m, 0) \
	X256(m, 1) \
	X256(m, 2) \
	X256(m, 3) \
	X256(m, 4) \
	X256(m, 5) \
	X256(m, 6) \
	X256(m, 7) \
	X256(m, 8) \
	X256(m, 9) \
	X256(m, a) \
	X256(m, b) \
	X256(m, c) \
	X256(m, d) \
	X256(m, e) \
	X256(m, f)

X4096(ONE)

bench_small *const bench_big[4096] = { X4096(NAME) };
