/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Memory that is given back all at once: texts and lists that belong to one
 * owner.  A zeroed arena is empty and valid.  One thread at a time.
 */
#ifndef HULL_MANAGE_ARENA_H
#define HULL_MANAGE_ARENA_H

#include <stddef.h>

struct hull_arena {
	struct hull_arena_chunk *chunks;
	size_t left; /* bytes free at the end of the first chunk */
};

/* `size` zeroed bytes aligned for any type; NULL if there is no memory. */
void *hull_arena_alloc(struct hull_arena *a, size_t size);

/* A terminated copy of `len` bytes; NULL if there is no memory. */
char *hull_arena_copy(struct hull_arena *a, const char *text, size_t len);

/* Give everything back; the arena is empty and valid again. */
void hull_arena_free(struct hull_arena *a);

#endif
