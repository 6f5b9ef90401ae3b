/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Arithmetic on sizes and addresses that somebody else chose.
 *
 * The result is written only if it is exact; false means that it would have
 * wrapped.  Ranges are {start, length}; every overlap test in Hull is
 * hull_ranges_overlap(), every bounds test hull_range_within().
 */
#ifndef HULL_BASE_CHECKED_H
#define HULL_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool hull_add(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
	uint64_t r;

	if (__builtin_add_overflow(a, b, &r))
		return false;
	*ret_sum = r;
	return true;
}

static inline bool hull_mul(uint64_t a, uint64_t b, uint64_t *ret_product)
{
	uint64_t r;

	if (__builtin_mul_overflow(a, b, &r))
		return false;
	*ret_product = r;
	return true;
}

/* Does [start, start + len) fit into [base, base + size)?  An empty range fits where it starts. */
static inline bool hull_range_within(uint64_t start, uint64_t len, uint64_t base, uint64_t size)
{
	return start >= base && start - base <= size && len <= size - (start - base);
}

/* Do two ranges share an address?  Empty ranges share none; ends may touch 2^64. */
static inline bool hull_ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	if (!alen || !blen)
		return false;
	return a <= b ? b - a < alen : a - b < blen;
}

/* May a range of `len` bytes start at `start` without passing 2^64?  Its end may be 2^64. */
static inline bool hull_range_valid(uint64_t start, uint64_t len)
{
	return !len || len - 1 <= UINT64_MAX - start;
}

#endif
