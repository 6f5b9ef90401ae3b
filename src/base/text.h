/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Text without libc: a bounded formatter, number and size parsing, and the
 * nearest-match search behind every "did you mean".  Pure; any thread.
 */
#ifndef HULL_BASE_TEXT_H
#define HULL_BASE_TEXT_H

#include <stdarg.h>
#include <hull/types.h>

/*
 * Format into `dst` (size > 0), always terminated, cut if too long.  Knows
 * %s %c %d %i %u %x %X %p %%, the lengths hh h l ll z j t, a width, a
 * precision for %s (either may be *), and the flags 0 and -.  Returns the length that the whole
 * text has.
 */
size_t hull_format(char *dst, size_t size, const char *format, ...) HULL_PRINTF(3, 4);
size_t hull_vformat(char *dst, size_t size, const char *format, va_list args);

/*
 * Parse all of `text` as an unsigned number: decimal, 0x, 0o or 0b, with single
 * underscores between digits.  False, and *ret untouched, if it is anything else or above 2^64 - 1.
 */
bool hull_parse_u64(const char *text, uint64_t *ret);

/*
 * Parse a size in bytes: a number or decimal fraction with an optional unit.
 * K M G T and KiB MiB GiB TiB are powers of 1024, kB MB GB TB of 1000.
 * The result must be a whole number of bytes below 2^64.
 */
bool hull_parse_size(const char *text, uint64_t *ret);

/* Parse a duration into nanoseconds: 10ns 5us 500ms 5s 2m 1h, fractions allowed; the unit is
 * required. */
bool hull_parse_duration(const char *text, uint64_t *ret_ns);

/*
 * The candidate nearest to `word` by edit distance, or NULL if none is near
 * enough to be a likely typo.  Bounded: words longer than 64 characters match nothing.
 */
const char *hull_nearest(const char *word, const char *const *candidates, size_t count);

#endif
