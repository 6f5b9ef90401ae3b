/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The four functions that compilers call by themselves; GCC must not turn them into themselves. */
#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/mem.h"

/* Words of whatever type the memory has. */
typedef uint64_t __attribute__((may_alias)) word;

static bool aligned(const void *a, const void *b)
{
	return is_aligned((uintptr_t)a | (uintptr_t)b, sizeof(word));
}

void *memcpy(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (aligned(d, s))
		for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word), s += sizeof(word))
			*(word *)(void *)d = *(const word *)(const void *)s;
	while (n--)
		*d++ = *s++;
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

void *memset(void *dst, int byte, size_t n)
{
	uint8_t *d = dst;
	uint64_t v = UINT64_C(0x0101010101010101) * (uint8_t)byte;

	if (aligned(d, d))
		for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word))
			*(word *)(void *)d = v;
	while (n--)
		*d++ = (uint8_t)byte;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
