/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The four memory functions that a freestanding compiler may call anyway, so
 * that no file of the core includes <string.h>, and the two string helpers
 * that the core needs.
 */
#ifndef HULL_BASE_MEM_H
#define HULL_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* Length of a NUL-terminated text. */
size_t hull_text_len(const char *s);

/* Are two NUL-terminated texts equal?  NULL equals only NULL. */
bool hull_text_eq(const char *a, const char *b);

/* Copy at most size - 1 characters and terminate; returns false if `src` was cut.  size > 0. */
bool hull_text_copy(char *dst, size_t size, const char *src);

#endif
