/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Memory that is given back all at once: texts and lists that belong to one
 * owner.  A zeroed pool is empty and valid.  One thread at a time.
 */
#ifndef HULL_MANAGE_POOL_H
#define HULL_MANAGE_POOL_H

#include <stddef.h>

struct hull_pool {
	struct hull_pool_chunk *chunks;
	size_t left; /* bytes free at the end of the first chunk */
};

/* `size` zeroed bytes aligned for any type; NULL if there is no memory. */
void *hull_pool_alloc(struct hull_pool *a, size_t size);

/* A terminated copy of `len` bytes; NULL if there is no memory. */
char *hull_pool_copy(struct hull_pool *a, const char *text, size_t len);

/* Give everything back; the pool is empty and valid again. */
void hull_pool_free(struct hull_pool *a);

#endif
