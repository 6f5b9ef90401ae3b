/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* String helpers of base/mem.h. */
#include "base/mem.h"

size_t hull_text_len(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

bool hull_text_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool hull_text_copy(char *dst, size_t size, const char *src)
{
	size_t i;

	for (i = 0; i + 1 < size && src[i]; i++)
		dst[i] = src[i];
	dst[i] = 0;
	return !src[i];
}
