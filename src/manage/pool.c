/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)16 << 10)

struct hull_pool_chunk {
	struct hull_pool_chunk *next;
	size_t size;
	alignas(max_align_t) char data[];
};

void *hull_pool_alloc(struct hull_pool *a, size_t size)
{
	struct hull_pool_chunk *c = a->chunks;
	void *at;

	if (size > (size_t)1 << 40)
		return NULL;
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!c || a->left < size) {
		size_t room = size > CHUNK ? size : CHUNK;

		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		c->size = room;
		c->next = a->chunks;
		a->chunks = c;
		a->left = room;
	}
	at = c->data + c->size - a->left;
	a->left -= size;
	return memset(at, 0, size);
}

char *hull_pool_copy(struct hull_pool *a, const char *text, size_t len)
{
	char *copy = hull_pool_alloc(a, len + 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}

void hull_pool_free(struct hull_pool *a)
{
	struct hull_pool_chunk *c, *next;

	for (c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	memset(a, 0, sizeof(*a));
}
