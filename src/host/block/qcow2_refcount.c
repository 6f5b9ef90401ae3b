/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Who uses which cluster of the file: refcounts, allocation, freeing; see qcow2.h.
 *
 * A freed cluster keeps its refcount until the table entry that named it is
 * gone from the disk and every transfer that may know its place has ended;
 * hull_q2_free() only notes it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "host/block/qcow2.h"

uint64_t hull_q2_count_get(const uint8_t *block, unsigned order, uint64_t i)
{
	switch (order) {
	case 3: return block[i];
	case 4: return load_be16(block + 2 * i);
	case 5: return load_be32(block + 4 * i);
	case 6: return load_be64(block + 8 * i);
	default: /* 1, 2, 4 bits: the first in the low bits */
		return block[(i << order) / 8] >> ((i << order) % 8) & low_mask(1u << order);
	}
}

void hull_q2_count_set(uint8_t *block, unsigned order, uint64_t i, uint64_t v)
{
	unsigned shift = (unsigned)((i << order) % 8);
	uint8_t *p;

	switch (order) {
	case 3: block[i] = (uint8_t)v; break;
	case 4: store_be16(block + 2 * i, (uint16_t)v); break;
	case 5: store_be32(block + 4 * i, (uint32_t)v); break;
	case 6: store_be64(block + 8 * i, v); break;
	default:
		p = &block[(i << order) / 8];
		*p = (uint8_t)((*p & ~(low_mask(1u << order) << shift)) | v << shift);
	}
}

static uint64_t count_max(const struct hull_q2 *q)
{
	return low_mask(1u << q->refcount_order);
}

static uint64_t table_entries(const struct hull_q2 *q)
{
	return (uint64_t)q->reftable_clusters << (q->cluster_bits - 3);
}

/* The place of the block that counts `cluster`; 0: there is none, all are 0. */
static int block_of(struct hull_q2 *q, uint64_t cluster, uint64_t *ret)
{
	uint64_t i = cluster >> q->refblock_bits;

	*ret = i < table_entries(q) ? q->reftable[i] : 0;
	if (!is_aligned(*ret, q->cluster) || *ret >> 56)
		return hull_q2_damage(q);
	return 0;
}

/* The slice with the count of `cluster`, and the count's index in it. */
static int slice_of(struct hull_q2 *q, uint64_t block, uint64_t cluster, uint8_t **ret,
                    uint64_t *ret_i)
{
	uint64_t i = cluster & (BIT(q->refblock_bits) - 1);
	uint64_t per_slice = ((uint64_t)q->refs.slice * 8) >> q->refcount_order;
	int rc = hull_q2_cache_get(q, &q->refs, block + i / per_slice * q->refs.slice, ret);

	*ret_i = i % per_slice;
	return rc;
}

int hull_q2_refcount(struct hull_q2 *q, uint64_t cluster, uint64_t *ret)
{
	uint64_t block, i;
	uint8_t *slice;
	int rc = block_of(q, cluster, &block);

	*ret = 0;
	if (rc || !block)
		return rc;
	rc = slice_of(q, block, cluster, &slice, &i);
	if (!rc)
		*ret = hull_q2_count_get(slice, q->refcount_order, i);
	return rc;
}

/* A new block for the range of `cluster`, in `cluster` itself, which it then counts. */
static int new_block(struct hull_q2 *q, uint64_t cluster)
{
	uint64_t i = cluster >> q->refblock_bits, at = cluster << q->cluster_bits, index;
	uint8_t *slice;
	int rc;

	if (hull_q2_set_has(&q->meta, cluster))
		return hull_q2_damage(q);
	hull_q2_cache_drop(&q->refs, at, q->cluster);
	rc = hull_q2_zero_file(q, at, q->cluster);
	if (!rc)
		rc = hull_q2_set_add(&q->meta, cluster);
	if (!rc)
		rc = slice_of(q, at, cluster, &slice, &index);
	if (rc)
		return rc;
	hull_q2_count_set(slice, q->refcount_order, index, 1);
	hull_q2_cache_dirty(&q->refs, slice);
	q->reftable[i] = at;
	q->reftable_dirty_from = MIN(q->reftable_dirty_from, (uint32_t)i);
	q->reftable_dirty_to = MAX(q->reftable_dirty_to, (uint32_t)i + 1);
	q->fresh = MAX(q->fresh, at + q->cluster);
	return 0;
}

static uint64_t clusters_for(const struct hull_q2 *q, uint64_t bytes)
{
	return (bytes + q->cluster - 1) >> q->cluster_bits;
}

/* Counts of the new blocks and of the new table behind them. */
static int write_new_blocks(struct hull_q2 *q, uint64_t first, uint64_t nblocks, uint64_t used)
{
	uint8_t *block = malloc(q->cluster);
	uint64_t per_block = BIT(q->refblock_bits);
	int rc = block ? 0 : HULL_ENOMEM;

	for (uint64_t b = 0; !rc && b < nblocks; b++) {
		memset(block, 0, q->cluster);
		for (uint64_t i = 0; i < per_block && b * per_block + i < used; i++)
			hull_q2_count_set(block, q->refcount_order, i, 1);
		rc = hull_q2_pwrite(q, (first + b) << q->cluster_bits, block, q->cluster);
	}
	free(block);
	return rc;
}

static int write_table(struct hull_q2 *q, const uint64_t *table, uint64_t entries, uint64_t at)
{
	uint8_t *raw = malloc(entries * 8);
	int rc;

	if (!raw)
		return HULL_ENOMEM;
	for (uint64_t i = 0; i < entries; i++)
		store_be64(raw + 8 * i, table[i]);
	rc = hull_q2_pwrite(q, at, raw, entries * 8);
	free(raw);
	return rc;
}

/* Make the new table the image's. */
static int switch_table(struct hull_q2 *q, uint64_t *table, uint64_t clusters, uint64_t at)
{
	uint64_t old_at = q->reftable_at, old_clusters = q->reftable_clusters, *old = q->reftable;
	int rc = hull_q2_barrier(q);

	if (rc)
		return rc;
	q->reftable = table;
	q->reftable_at = at;
	q->reftable_clusters = (uint32_t)clusters;
	rc = hull_q2_header_update(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (rc) {
		/* Nobody knows what the disk holds now. */
		hull_store_relaxed(&q->corrupt, true);
		q->reftable = old;
		q->reftable_at = old_at;
		q->reftable_clusters = (uint32_t)old_clusters;
		return rc;
	}
	free(old);
	for (uint64_t i = 0; i < old_clusters; i++)
		hull_q2_set_remove(&q->meta, (old_at >> q->cluster_bits) + i);
	hull_q2_free(q, old_at >> q->cluster_bits, old_clusters);
	q->reftable_dirty_from = UINT32_MAX;
	q->reftable_dirty_to = 0;
	return 0;
}

/*
 * A larger refcount table, in the first clusters that the present one cannot
 * count, behind the blocks that count them.
 */
static int grow_table(struct hull_q2 *q)
{
	uint64_t entries = table_entries(q), first = entries << q->refblock_bits;
	uint64_t nblocks = 1, clusters, used, before, *table;
	int rc = HULL_ENOMEM;

	do {
		before = nblocks;
		clusters = clusters_for(q, (entries + entries / 2 + nblocks + 1) * 8);
		used = nblocks + clusters;
		nblocks = (used + BIT(q->refblock_bits) - 1) >> q->refblock_bits;
	} while (nblocks != before);
	if (clusters << q->cluster_bits > Q2_REFTABLE_BYTES_MAX)
		return HULL_EOVERFLOW;
	table = calloc(clusters, q->cluster);
	if (table) {
		memcpy(table, q->reftable, entries * 8);
		for (uint64_t b = 0; b < nblocks; b++)
			table[entries + b] = (first + b) << q->cluster_bits;
		rc = hull_q2_cache_write(q, &q->refs);
	}
	if (!rc)
		rc = write_new_blocks(q, first, nblocks, used);
	if (!rc)
		rc = write_table(q, table, clusters << (q->cluster_bits - 3),
		                 (first + nblocks) << q->cluster_bits);
	for (uint64_t i = 0; !rc && i < used; i++) {
		rc = hull_q2_set_add(&q->meta, first + i);
		if (rc == HULL_EEXIST)
			rc = hull_q2_damage(q);
	}
	if (!rc)
		rc = switch_table(q, table, clusters, (first + nblocks) << q->cluster_bits);
	if (rc)
		free(table);
	else
		q->fresh = MAX(q->fresh, (first + used) << q->cluster_bits);
	return rc;
}

/* Set one count, making the block if need be. */
static int change(struct hull_q2 *q, uint64_t cluster, uint64_t count, int delta)
{
	uint64_t block, i, v;
	uint8_t *slice;
	int rc = block_of(q, cluster, &block);

	if (!rc && !block)
		rc = delta < 0 ? hull_q2_damage(q) : HULL_ENOENT;
	if (!rc)
		rc = slice_of(q, block, cluster, &slice, &i);
	if (rc)
		return rc;
	v = hull_q2_count_get(slice, q->refcount_order, i);
	if (delta < 0 && !v)
		return hull_q2_damage(q);
	if (delta > 0 && v == count_max(q))
		return HULL_EOVERFLOW;
	hull_q2_count_set(slice, q->refcount_order, i, delta ? v + (uint64_t)delta : count);
	hull_q2_cache_dirty(&q->refs, slice);
	if (delta < 0 && v == 1)
		q->hint = MIN(q->hint, cluster);
	return 0;
}

int hull_q2_ref_add(struct hull_q2 *q, uint64_t cluster, uint64_t n, int delta)
{
	int rc = 0;

	for (uint64_t i = 0; !rc && i < n; i++)
		rc = change(q, cluster + i, 0, delta);
	/* An entry names a cluster that nothing counts: the image was damaged before. */
	return rc == HULL_ENOENT ? hull_q2_damage(q) : rc;
}

int hull_q2_ref_set(struct hull_q2 *q, uint64_t cluster, uint64_t count)
{
	return change(q, cluster, count, 0);
}

/* Move *c to the next free cluster, making blocks on the way. */
static int find_free(struct hull_q2 *q, uint64_t *c)
{
	uint64_t per_slice = ((uint64_t)q->refs.slice * 8) >> q->refcount_order;
	uint8_t *slice;
	int rc;

	while (*c < BIT(56) >> q->cluster_bits) {
		uint64_t block, i;

		rc = block_of(q, *c, &block);
		if (rc)
			return rc;
		if (*c >> q->refblock_bits >= table_entries(q)) {
			rc = grow_table(q);
			if (rc)
				return rc;
			continue;
		}
		if (!block) {
			rc = new_block(q, *c);
			if (rc)
				return rc;
			++*c;
			continue;
		}
		rc = slice_of(q, block, *c, &slice, &i);
		if (rc)
			return rc;
		for (; i < per_slice; i++, ++*c)
			if (!hull_q2_count_get(slice, q->refcount_order, i))
				return 0;
	}
	return HULL_EOVERFLOW;
}

/* How many of the clusters from `c` on are free, at most `n`, in the same slice of counts. */
static int run_length(struct hull_q2 *q, uint64_t c, uint64_t n, uint64_t *ret)
{
	uint64_t per_slice = ((uint64_t)q->refs.slice * 8) >> q->refcount_order, block, i;
	uint8_t *slice;
	int rc = block_of(q, c, &block);

	if (!rc)
		rc = slice_of(q, block, c, &slice, &i);
	if (rc)
		return rc;
	for (*ret = 0; *ret < n && i + *ret < per_slice; ++*ret) {
		if (hull_q2_count_get(slice, q->refcount_order, i + *ret))
			break;
		if (hull_q2_set_has(&q->meta, c + *ret))
			return hull_q2_damage(q);
	}
	for (uint64_t k = 0; k < *ret; k++)
		hull_q2_count_set(slice, q->refcount_order, i + k, 1);
	hull_q2_cache_dirty(&q->refs, slice);
	return 0;
}

static int before_change(struct hull_q2 *q)
{
	if ((q->compatible & Q2_LAZY) && !(q->incompatible & Q2_DIRTY))
		return hull_q2_set_dirty(q, true);
	return 0;
}

int hull_q2_alloc(struct hull_q2 *q, uint64_t n, uint64_t *ret_cluster, uint64_t *ret_n)
{
	uint64_t c;
	int rc = before_change(q);

	if (!rc)
		rc = hull_q2_drain(q);
	c = q->hint;
	if (!rc)
		rc = find_free(q, &c);
	if (!rc)
		rc = run_length(q, c, n, ret_n);
	if (rc)
		return rc;
	*ret_cluster = c;
	q->hint = c + *ret_n;
	return 0;
}

bool hull_q2_take_fresh(struct hull_q2 *q, uint64_t cluster, uint64_t n)
{
	bool fresh = !q->fixed_end && cluster << q->cluster_bits >= q->fresh;

	q->fresh = MAX(q->fresh, (cluster + n) << q->cluster_bits);
	return fresh;
}

/* Behind everything that is in use: `n` free clusters in a row. */
static int find_end(struct hull_q2 *q, uint64_t n, uint64_t *ret)
{
	uint64_t c = q->fixed_end ? q->hint : MAX(q->hint, clusters_for(q, q->fresh)), got = 0;
	int rc = find_free(q, &c);

	for (*ret = c; !rc && got < n;) {
		uint64_t next = c;

		rc = find_free(q, &next);
		if (next != c) {
			*ret = c = next;
			got = 0;
			continue;
		}
		got++;
		c++;
	}
	return rc;
}

int hull_q2_alloc_table(struct hull_q2 *q, uint64_t n, uint64_t *ret_cluster)
{
	uint64_t c, got;
	int rc;

	if (n == 1) {
		rc = hull_q2_alloc(q, 1, ret_cluster, &got);
		if (!rc)
			(void)hull_q2_take_fresh(q, *ret_cluster, 1);
		return rc;
	}
	rc = before_change(q);
	if (!rc)
		rc = find_end(q, n, &c);
	for (uint64_t done = 0; !rc && done < n; done += got)
		rc = run_length(q, c + done, n - done, &got);
	if (!rc) {
		*ret_cluster = c;
		(void)hull_q2_take_fresh(q, c, n);
	}
	return rc;
}

static bool push(struct hull_q2_frees *f, uint64_t cluster, uint64_t n)
{
	struct hull_q2_free *last = f->n ? &f->runs[f->n - 1] : NULL;

	if (last && last->cluster + last->n == cluster) {
		last->n += n;
		f->clusters += n;
		return true;
	}
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 64;
		struct hull_q2_free *runs;

		runs = room <= Q2_FREES_MAX ? realloc(f->runs, room * sizeof(*runs)) : NULL;
		if (!runs)
			return false;
		f->runs = runs;
		f->room = room;
	}
	f->runs[f->n++] = (struct hull_q2_free){ cluster, n };
	f->clusters += n;
	return true;
}

void hull_q2_free(struct hull_q2 *q, uint64_t cluster, uint64_t n)
{
	/* Without room for the note it is a leak, which a check repairs. */
	if (n)
		(void)push(&q->unlinked, cluster, n);
	if (q->unlinked.n >= Q2_FREES_FLUSH ||
	    q->unlinked.clusters << q->cluster_bits >= Q2_FREES_BYTES)
		hull_store_relaxed(&q->much_freed, true);
}

void hull_q2_packed_range(const struct hull_q2 *q, uint64_t word, uint64_t *ret_at,
                          uint64_t *ret_len)
{
	unsigned x = 62 - (q->cluster_bits - 8);
	uint64_t at = word & low_mask(x);

	*ret_at = at;
	*ret_len = (bits(word, 61, x) + 1) * 512 - at % 512;
}

void hull_q2_free_entry(struct hull_q2 *q, uint64_t word)
{
	uint64_t at = word & Q2_AT, len;

	if (word & Q2_PACKED) {
		hull_q2_packed_range(q, word, &at, &len);
		hull_q2_free(q, at >> q->cluster_bits,
		             ((at + len - 1) >> q->cluster_bits) - (at >> q->cluster_bits) + 1);
	} else if (at) {
		hull_q2_free(q, at >> q->cluster_bits, 1);
	}
}

void hull_q2_frees_move(struct hull_q2_frees *to, struct hull_q2_frees *from)
{
	if (!to->n) {
		struct hull_q2_frees t = *to;

		*to = *from;
		*from = t;
		return;
	}
	for (size_t i = 0; i < from->n; i++)
		(void)push(to, from->runs[i].cluster, from->runs[i].n);
	from->n = 0;
	from->clusters = 0;
}

/* The clusters of `run` whose count has become 0 need no room on the host any more. */
static int release(struct hull_q2 *q, const struct hull_q2_free *run)
{
	uint64_t from = run->cluster, count = 0;
	int rc = 0;

	for (uint64_t i = 0; !rc && i <= run->n; i++) {
		uint64_t c = run->cluster + i;

		if (i < run->n) {
			rc = hull_q2_ref_add(q, c, 1, -1);
			if (!rc)
				rc = hull_q2_refcount(q, c, &count);
		}
		if (i < run->n && !rc && !count) {
			if (q->packed_at >> q->cluster_bits == c)
				q->packed_at = 0;
			continue;
		}
		if (c > from)
			rc = rc ? rc
			        : hull_image_discard(q->base.file, from << q->cluster_bits,
			                             (c - from) << q->cluster_bits);
		from = c + 1;
	}
	return rc;
}

int hull_q2_drain(struct hull_q2 *q)
{
	int rc = 0;

	for (int round = 0; round < 2; round++) {
		/* Pairs with hull_q2_unpin(): what was read or written is done. */
		if (q->old.n && hull_load_acquire(&q->pins[q->old_epoch]))
			return rc;
		if (q->old.n) {
			pthread_mutex_lock(&q->unpack_lock);
			q->unpacked_entry = 0;
			pthread_mutex_unlock(&q->unpack_lock);
		}
		for (size_t i = 0; i < q->old.n && !rc; i++)
			rc = release(q, &q->old.runs[i]);
		q->old.n = 0;
		q->old.clusters = 0;
		if (rc || !q->stable.n)
			return rc;
		/* Nobody is left in the other epoch: what comes now cannot know these clusters. */
		hull_q2_frees_move(&q->old, &q->stable);
		q->old_epoch = q->epoch;
		q->epoch ^= 1;
	}
	return rc;
}
