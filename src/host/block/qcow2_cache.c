/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Caches of slices of L2 tables and refcount blocks; see qcow2.h.  A fixed
 * number of slots, a hash by place in the file, and a clock hand that looks
 * for a slot to use again.
 */
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"

int hull_q2_cache_init(struct hull_q2_cache *c, uint32_t slice, uint32_t bytes)
{
	c->slice = slice;
	c->nslots = bytes / slice;
	c->data = aligned_alloc(4096, bytes);
	c->slots = calloc(c->nslots, sizeof(*c->slots));
	c->buckets = calloc(c->nslots, sizeof(*c->buckets));
	return c->data && c->slots && c->buckets ? 0 : HULL_ENOMEM;
}

void hull_q2_cache_fini(struct hull_q2_cache *c)
{
	free(c->data);
	free(c->slots);
	free(c->buckets);
	*c = (struct hull_q2_cache){ 0 };
}

static uint32_t *bucket(struct hull_q2_cache *c, uint64_t at)
{
	uint64_t h = (at / c->slice) * UINT64_C(0x9e3779b97f4a7c15);

	return &c->buckets[(h >> 32) & (c->nslots - 1)];
}

uint8_t *hull_q2_cache_find(struct hull_q2_cache *c, uint64_t at)
{
	for (uint32_t i = *bucket(c, at); i; i = c->slots[i - 1].chain) {
		struct hull_q2_slot *s = &c->slots[i - 1];

		if (s->at != at)
			continue;
		/* Shared by readers: store only what changes. */
		if (!hull_load_relaxed(&s->used))
			hull_store_relaxed(&s->used, 1);
		return c->data + (size_t)(i - 1) * c->slice;
	}
	return NULL;
}

static void unlink_slot(struct hull_q2_cache *c, uint32_t i)
{
	uint32_t *p = bucket(c, c->slots[i].at);

	while (*p != i + 1)
		p = &c->slots[*p - 1].chain;
	*p = c->slots[i].chain;
	c->ndirty -= c->slots[i].dirty;
	c->slots[i] = (struct hull_q2_slot){ 0 };
}

/* A slot that nothing needs; -1: all that have not been used lately are dirty. */
static int64_t victim(struct hull_q2_cache *c)
{
	if (c->filled < c->nslots)
		return c->filled++;
	for (uint32_t n = 0; n < 2 * c->nslots; n++) {
		struct hull_q2_slot *s = &c->slots[c->hand];
		uint32_t i = c->hand;

		c->hand = (c->hand + 1) & (c->nslots - 1);
		if (!s->at)
			return i;
		if (s->dirty)
			continue;
		if (hull_load_relaxed(&s->used)) {
			hull_store_relaxed(&s->used, 0);
			continue;
		}
		unlink_slot(c, i);
		return i;
	}
	return -1;
}

int hull_q2_cache_get(struct hull_q2 *q, struct hull_q2_cache *c, uint64_t at, uint8_t **ret)
{
	uint8_t *data = hull_q2_cache_find(c, at);
	uint32_t *head;
	int64_t i;
	int rc;

	*ret = data;
	if (data)
		return 0;
	/* Before the cache is full of dirty slices: one barrier for all of them. */
	if (c->ndirty > c->nslots / 4 * 3) {
		rc = c == &q->l2 ? hull_q2_write_l2(q) : hull_q2_cache_write(q, c);
		if (rc)
			return rc;
	}
	i = victim(c);
	if (i < 0)
		return HULL_EIO;
	data = c->data + (size_t)i * c->slice;
	rc = hull_q2_pread(q, at, data, c->slice);
	if (rc)
		return rc;
	head = bucket(c, at);
	c->slots[i] = (struct hull_q2_slot){ .at = at, .chain = *head, .used = 1 };
	*head = (uint32_t)i + 1;
	*ret = data;
	return 0;
}

void hull_q2_cache_dirty(struct hull_q2_cache *c, const uint8_t *p)
{
	struct hull_q2_slot *s = &c->slots[(size_t)(p - c->data) / c->slice];

	c->ndirty += !s->dirty;
	s->dirty = s->changed = true;
}

void hull_q2_cache_drop(struct hull_q2_cache *c, uint64_t at, uint64_t len)
{
	for (uint64_t end = at + len; at < end; at += c->slice) {
		uint8_t *p = hull_q2_cache_find(c, at);

		if (p)
			unlink_slot(c, (uint32_t)((size_t)(p - c->data) / c->slice));
	}
}

void hull_q2_cache_clear(struct hull_q2_cache *c)
{
	memset(c->slots, 0, c->nslots * sizeof(*c->slots));
	memset(c->buckets, 0, c->nslots * sizeof(*c->buckets));
	c->filled = c->hand = c->ndirty = 0;
}

int hull_q2_cache_write(struct hull_q2 *q, struct hull_q2_cache *c)
{
	for (uint32_t i = 0; i < c->filled && c->ndirty; i++) {
		struct hull_q2_slot *s = &c->slots[i];
		int rc;

		if (!s->dirty)
			continue;
		rc = hull_q2_pwrite(q, s->at, c->data + (size_t)i * c->slice, c->slice);
		if (rc)
			return rc;
		s->dirty = false;
		c->ndirty--;
	}
	return 0;
}
