/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Counting references, and writing the refcounts of a qcow2 image anew; see
 * qcow2.h.  Memory is taken for the parts of the file that are named, 1 GiB at
 * most.
 */
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"

enum { PAGE = 1024, PAGES_MAX = 1 << 18 };

#define CLUSTERS_MAX BIT(34)

int hull_q2_counts_init(struct hull_q2_counts *n, uint64_t clusters)
{
	*n = (struct hull_q2_counts){ .clusters = clusters };
	if (clusters > CLUSTERS_MAX)
		return HULL_EOVERFLOW;
	/* Room for what a rebuild appends. */
	n->room = clusters / PAGE + clusters / (64 * PAGE) + 64;
	n->pages = calloc(n->room, sizeof(*n->pages));
	return n->pages ? 0 : HULL_ENOMEM;
}

void hull_q2_counts_fini(struct hull_q2_counts *n)
{
	for (uint64_t i = 0; n->pages && i < n->room; i++)
		free(n->pages[i]);
	free(n->pages);
	*n = (struct hull_q2_counts){ 0 };
}

uint32_t hull_q2_counts_get(const struct hull_q2_counts *n, uint64_t cluster)
{
	const uint32_t *page = cluster / PAGE < n->room ? n->pages[cluster / PAGE] : NULL;

	return page ? page[cluster % PAGE] : 0;
}

int hull_q2_counts_add(struct hull_q2_counts *n, uint64_t cluster)
{
	uint64_t i = cluster / PAGE;

	if (i >= n->room || (!n->pages[i] && n->npages >= PAGES_MAX))
		return HULL_EOVERFLOW;
	if (!n->pages[i]) {
		n->pages[i] = calloc(PAGE, sizeof(**n->pages));
		if (!n->pages[i])
			return HULL_ENOMEM;
		n->npages++;
	}
	n->pages[i][cluster % PAGE]++;
	n->end = MAX(n->end, cluster + 1);
	return 0;
}

bool hull_q2_counts_any(const struct hull_q2_counts *n, uint64_t from, uint64_t to)
{
	to = MIN(to, n->end);
	while (from < to) {
		if (from / PAGE < n->room && !n->pages[from / PAGE]) {
			from = (from / PAGE + 1) * PAGE;
			continue;
		}
		if (hull_q2_counts_get(n, from++))
			return true;
	}
	return false;
}

struct rebuild {
	struct hull_q2 *q;
	struct hull_q2_counts *n;
	uint64_t *table; /* places of the new blocks */
	uint64_t entries, clusters;
	uint64_t at; /* of the new table, in clusters */
};

/* A new block for each range that is in use and has none; true: there were some. */
static int place_blocks(struct rebuild *r, uint64_t *next, bool *ret_more)
{
	unsigned bits = r->q->refblock_bits;
	int rc = 0;

	*ret_more = false;
	for (uint64_t i = 0; !rc && i < r->entries; i++) {
		if (r->table[i] || !hull_q2_counts_any(r->n, i << bits, (i + 1) << bits))
			continue;
		r->table[i] = *next << r->q->cluster_bits;
		rc = hull_q2_counts_add(r->n, (*next)++);
		*ret_more = true;
	}
	return rc;
}

static int write_block(struct rebuild *r, uint64_t i, uint8_t *block)
{
	struct hull_q2 *q = r->q;
	uint64_t max = low_mask(1u << q->refcount_order);

	memset(block, 0, q->cluster);
	for (uint64_t k = 0; k < BIT(q->refblock_bits); k++) {
		uint64_t v = hull_q2_counts_get(r->n, (i << q->refblock_bits) + k);

		if (v > max)
			return HULL_EOVERFLOW;
		if (v)
			hull_q2_count_set(block, q->refcount_order, k, v);
	}
	return hull_q2_pwrite(q, r->table[i], block, q->cluster);
}

static int write_structure(struct rebuild *r)
{
	struct hull_q2 *q = r->q;
	uint8_t *block = malloc(MAX(q->cluster, r->entries * 8));
	int rc = block ? 0 : HULL_ENOMEM;

	for (uint64_t i = 0; !rc && i < r->entries; i++)
		if (r->table[i])
			rc = write_block(r, i, block);
	for (uint64_t i = 0; !rc && i < r->entries; i++)
		store_be64(block + 8 * i, r->table[i]);
	if (!rc)
		rc = hull_q2_pwrite(q, r->at << q->cluster_bits, block, r->entries * 8);
	free(block);
	return rc ? rc : hull_q2_barrier(q);
}

static int adopt(struct rebuild *r)
{
	struct hull_q2 *q = r->q;
	uint64_t *old = q->reftable;
	int rc;

	q->reftable = r->table;
	q->reftable_at = r->at << q->cluster_bits;
	q->reftable_clusters = (uint32_t)r->clusters;
	q->reftable_dirty_from = UINT32_MAX;
	q->reftable_dirty_to = 0;
	hull_q2_cache_clear(&q->refs);
	r->table = NULL;
	free(old);
	rc = hull_q2_header_update(q);
	return rc ? rc : hull_q2_barrier(q);
}

int hull_q2_rebuild(struct hull_q2 *q, struct hull_q2_counts *n)
{
	struct rebuild r = { .q = q, .n = n };
	uint64_t next = MAX(n->end, n->clusters), per_block = BIT(q->refblock_bits);
	bool more = true;
	int rc = 0;

	/* The table, then blocks; it counts twice of what there is, more than the blocks add. */
	r.clusters = (next / per_block * 2 + 64) * 8 / q->cluster + 1;
	r.entries = r.clusters << (q->cluster_bits - 3);
	if (r.clusters << q->cluster_bits > Q2_REFTABLE_BYTES_MAX)
		return HULL_EOVERFLOW;
	r.table = calloc(r.entries, sizeof(*r.table));
	if (!r.table)
		return HULL_ENOMEM;
	r.at = next;
	for (uint64_t i = 0; !rc && i < r.clusters; i++)
		rc = hull_q2_counts_add(n, next++);
	while (!rc && more)
		rc = place_blocks(&r, &next, &more);
	if (!rc && next > r.entries << q->refblock_bits)
		rc = HULL_EOVERFLOW;
	if (!rc)
		rc = write_structure(&r);
	if (!rc)
		rc = adopt(&r);
	if (!rc) {
		q->hint = 0;
		q->fresh = MAX(q->fresh, next << q->cluster_bits);
	}
	free(r.table);
	return rc;
}
