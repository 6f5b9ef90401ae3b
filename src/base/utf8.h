/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* UTF-8, checked.  Pure; any thread. */
#ifndef HULL_BASE_UTF8_H
#define HULL_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `s`, of which `left` > 0 may be read; 0 if malformed (RFC 3629, 4). */
static inline size_t hull_utf8_length(const uint8_t *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	size_t i;

	if (!n || n > left || s[0] > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

#endif
