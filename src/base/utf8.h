/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* UTF-8, checked.  Pure; any thread. */
#ifndef HULL_BASE_UTF8_H
#define HULL_BASE_UTF8_H

#include <stdbool.h>
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

/*
 * Does a control character begin at `s`, which is terminated?  C0, DEL, and C1 in UTF-8
 * (U+0080 to U+009F), which terminals obey, too.
 */
static inline bool hull_utf8_is_control(const char *s)
{
	const uint8_t *b = (const uint8_t *)s;

	return (b[0] < ' ' && b[0]) || b[0] == 0x7f ||
	       (b[0] == 0xc2 && b[1] >= 0x80 && b[1] < 0xa0);
}

/* Make one line of visible characters of a text: each byte of a control character becomes '?'. */
static inline void hull_utf8_one_line(char *s)
{
	for (; *s; s++) {
		if (!hull_utf8_is_control(s))
			continue;
		if ((uint8_t)*s == 0xc2)
			*s++ = '?';
		*s = '?';
	}
}

#endif
