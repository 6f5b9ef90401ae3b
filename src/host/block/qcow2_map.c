/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From guest offsets to places in the file: L1 and L2 tables; see qcow2.h. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "host/block/qcow2.h"

/* Subclusters of an entry: bit i of the low half: allocated; of the high half: zero. */
#define SUB_DATA(i) BIT(i)
#define SUB_ZERO(i) BIT(32 + (i))

uint32_t hull_q2_slice_entries(const struct hull_q2 *q)
{
	return q->l2.slice / q->entry_bytes;
}

struct hull_q2_entry hull_q2_entry_get(const struct hull_q2 *q, const uint8_t *slice, uint32_t i)
{
	const uint8_t *p = slice + (size_t)i * q->entry_bytes;
	struct hull_q2_entry e = { load_be64(p), 0 };

	if (q->entry_bytes == 16)
		e.bits = load_be64(p + 8);
	return e;
}

void hull_q2_entry_set(struct hull_q2 *q, uint8_t *slice, uint32_t i, struct hull_q2_entry e)
{
	uint8_t *p = slice + (size_t)i * q->entry_bytes;

	store_be64(p, e.word);
	if (q->entry_bytes == 16)
		store_be64(p + 8, e.bits);
	hull_q2_cache_dirty(&q->l2, slice);
}

static uint64_t l1_index(const struct hull_q2 *q, uint64_t off)
{
	return off >> (q->cluster_bits + q->l2_bits);
}

static uint64_t l2_index(const struct hull_q2 *q, uint64_t off)
{
	return (off >> q->cluster_bits) & (BIT(q->l2_bits) - 1);
}

/* Where the slice of `off` is in the file; 0: there is no table; or HULL_EFORMAT. */
static int slice_at(const struct hull_q2 *q, uint64_t off, uint64_t *ret)
{
	uint64_t i = l1_index(q, off), table;

	table = i < q->l1_size ? q->l1[i] & Q2_AT : 0;
	if (!is_aligned(table, q->cluster))
		return HULL_EFORMAT;
	*ret = table ? table + align_down(l2_index(q, off) * q->entry_bytes, q->l2.slice) : 0;
	return 0;
}

/* What the granule (cluster or subcluster) of an entry is. */
static int decode(const struct hull_q2 *q, struct hull_q2_entry e, unsigned sub,
                  struct hull_q2_extent *ret)
{
	uint64_t at = e.word & Q2_AT;

	ret->own = e.word & Q2_COPIED;
	ret->at = at;
	if (e.word & Q2_PACKED) {
		ret->kind = HULL_Q2_PACKED;
		ret->own = false;
		ret->at = e.word;
		return e.bits ? HULL_EFORMAT : 0;
	}
	if (!is_aligned(at, q->cluster))
		return HULL_EFORMAT;
	if (q->subs > 1) {
		bool data = e.bits & SUB_DATA(sub), zero = e.bits & SUB_ZERO(sub);

		ret->kind = zero ? HULL_Q2_ZERO : data ? HULL_Q2_DATA : HULL_Q2_NONE;
		return (data && zero) || (data && !at) ? HULL_EFORMAT : 0;
	}
	if (q->version >= 3 && (e.word & Q2_ZERO_FLAG))
		ret->kind = HULL_Q2_ZERO;
	else
		ret->kind = at ? HULL_Q2_DATA : HULL_Q2_NONE;
	return 0;
}

/* Does `b`, `len` bytes behind `a`, go on as `a` does? */
static bool goes_on(const struct hull_q2_extent *a, const struct hull_q2_extent *b, uint64_t len)
{
	if (a->kind != b->kind || a->kind == HULL_Q2_PACKED)
		return false;
	if (a->kind == HULL_Q2_DATA)
		return a->own == b->own && b->at == a->at + len;
	return true;
}

/* Everything that goes on as the first byte does, within the slice. */
static int gather(const struct hull_q2 *q, const uint8_t *slice, uint64_t off, uint64_t len,
                  struct hull_q2_extent *ret)
{
	uint32_t n = hull_q2_slice_entries(q), i = (uint32_t)(l2_index(q, off) % n);
	unsigned granule_bits = q->cluster_bits - q->sub_bits;
	uint64_t in_cluster = off & (q->cluster - 1), in_granule = off & (BIT(granule_bits) - 1);
	unsigned sub = (unsigned)(in_cluster >> granule_bits);
	int rc = decode(q, hull_q2_entry_get(q, slice, i), sub, ret);

	if (rc)
		return rc;
	if (ret->kind == HULL_Q2_PACKED) {
		ret->len = MIN(len, q->cluster - in_cluster);
		return 0;
	}
	if (ret->kind == HULL_Q2_DATA)
		ret->at += in_cluster;
	ret->len = BIT(granule_bits) - in_granule;
	while (ret->len < len) {
		struct hull_q2_extent next = { 0 };
		uint64_t in;

		if (++sub == q->subs) {
			sub = 0;
			i++;
		}
		if (i == n || decode(q, hull_q2_entry_get(q, slice, i), sub, &next))
			break;
		in = (uint64_t)sub << granule_bits;
		next.at += in;
		if (!goes_on(ret, &next, ret->len))
			break;
		ret->len += BIT(granule_bits);
	}
	ret->len = MIN(ret->len, len);
	return 0;
}

int hull_q2_map(struct hull_q2 *q, uint64_t off, uint64_t len, struct hull_q2_extent *ret)
{
	uint8_t *slice;
	uint64_t at;
	int rc = slice_at(q, off, &at);

	if (rc)
		return rc;
	if (!at) {
		uint64_t span = BIT(q->cluster_bits + q->l2_bits);

		*ret = (struct hull_q2_extent){ .kind = HULL_Q2_NONE };
		ret->len = MIN(len, span - (off & (span - 1)));
		return 0;
	}
	slice = hull_q2_cache_find(&q->l2, at);
	return slice ? gather(q, slice, off, len, ret) : 1;
}

int hull_q2_map_load(struct hull_q2 *q, uint64_t off)
{
	uint8_t *slice;
	uint64_t at;
	int rc = slice_at(q, off, &at);

	if (rc || !at)
		return rc;
	/* A table outside the file would read as zeroes: as if the guest had written nothing. */
	if (!hull_range_within(at, q->l2.slice, 0, hull_load_acquire(&q->base.file->size)))
		return HULL_EFORMAT;
	return hull_q2_cache_get(q, &q->l2, at, &slice);
}

int hull_q2_map_shared(struct hull_q2 *q, uint64_t off, uint64_t len, struct hull_q2_extent *ret)
{
	int rc;

	pthread_rwlock_rdlock(&q->lock);
	/* Another thread may push out what this one loads: not for ever, but again and again. */
	while ((rc = hull_q2_map(q, off, len, ret)) == 1) {
		pthread_rwlock_unlock(&q->lock);
		pthread_rwlock_wrlock(&q->lock);
		rc = hull_q2_map_load(q, off);
		pthread_rwlock_unlock(&q->lock);
		pthread_rwlock_rdlock(&q->lock);
		if (rc)
			break;
	}
	if (!rc)
		return 0;
	pthread_rwlock_unlock(&q->lock);
	if (rc == HULL_EFORMAT) {
		pthread_rwlock_wrlock(&q->lock);
		rc = hull_q2_damage(q);
		pthread_rwlock_unlock(&q->lock);
	}
	return rc;
}

static int set_l1(struct hull_q2 *q, uint64_t i, uint64_t entry)
{
	uint64_t old = q->l1[i] & Q2_AT;
	int rc = hull_q2_set_add(&q->meta, (entry & Q2_AT) >> q->cluster_bits);

	if (rc)
		return rc;
	if (old) {
		hull_q2_set_remove(&q->meta, old >> q->cluster_bits);
		hull_q2_cache_drop(&q->l2, old, q->cluster);
		hull_q2_free(q, old >> q->cluster_bits, 1);
	}
	q->l1[i] = entry;
	q->l1_dirty_from = MIN(q->l1_dirty_from, (uint32_t)i);
	q->l1_dirty_to = MAX(q->l1_dirty_to, (uint32_t)i + 1);
	return 0;
}

/* The table `from` as it is now, cached changes included, into `to`; 0: zeroes. */
static int copy_table(struct hull_q2 *q, uint64_t from, uint64_t to)
{
	uint8_t *slice;
	int rc = 0;

	hull_q2_cache_drop(&q->l2, to, q->cluster);
	if (!from)
		return hull_q2_zero_file(q, to, q->cluster);
	for (uint64_t i = 0; !rc && i < q->cluster; i += q->l2.slice) {
		rc = hull_q2_cache_get(q, &q->l2, from + i, &slice);
		if (!rc)
			rc = hull_q2_pwrite(q, to + i, slice, q->l2.slice);
	}
	return rc;
}

int hull_q2_l2_own(struct hull_q2 *q, uint64_t off, uint8_t **ret_slice, uint32_t *ret_i)
{
	uint64_t i = l1_index(q, off), at, cluster;
	int rc;

	if (i >= q->l1_size)
		return HULL_EFORMAT;
	if (!(q->l1[i] & Q2_AT) || !(q->l1[i] & Q2_COPIED)) {
		rc = slice_at(q, off, &at);
		if (!rc)
			rc = hull_q2_alloc_table(q, 1, &cluster);
		if (!rc)
			rc = copy_table(q, q->l1[i] & Q2_AT, cluster << q->cluster_bits);
		if (!rc)
			rc = set_l1(q, i, cluster << q->cluster_bits | Q2_COPIED);
		if (rc)
			return rc == HULL_EFORMAT || rc == HULL_EEXIST ? hull_q2_damage(q) : rc;
	}
	rc = slice_at(q, off, &at);
	if (!rc)
		rc = hull_q2_map_load(q, off);
	if (!rc)
		rc = hull_q2_cache_get(q, &q->l2, at, ret_slice);
	*ret_i = (uint32_t)(l2_index(q, off) % hull_q2_slice_entries(q));
	return rc == HULL_EFORMAT ? hull_q2_damage(q) : rc;
}

static int add_range(struct hull_q2 *q, uint64_t at, uint64_t len)
{
	uint64_t from = at >> q->cluster_bits, to;
	int rc = 0;

	if (!len)
		return 0;
	to = (at + len - 1) >> q->cluster_bits;
	for (uint64_t c = from; !rc && c <= to; c++)
		rc = hull_q2_set_add(&q->meta, c);
	return rc;
}

/* Clusters that an array of entries names, each once. */
static int add_tables(struct hull_q2 *q, const uint64_t *entries, uint64_t n, uint64_t mask)
{
	int rc = 0;

	for (uint64_t i = 0; !rc && i < n; i++) {
		uint64_t at = entries[i] & mask;

		if (!at)
			continue;
		if (!is_aligned(at, q->cluster) || at >> 56)
			return HULL_EFORMAT;
		rc = hull_q2_set_add(&q->meta, at >> q->cluster_bits);
	}
	return rc;
}

int hull_q2_meta_build(struct hull_q2 *q, struct hull_err *err)
{
	static const char *const names[] = { "the header",       "the L1 table",
		                             "the snapshots",    "the refcount table",
		                             "the bitmaps",      "an L1 table of a snapshot",
		                             "a refcount block", "an L2 table" };
	uint64_t entries = (uint64_t)q->reftable_clusters << (q->cluster_bits - 3);
	int rc, what = 0;

	free(q->meta.keys);
	q->meta = (struct hull_q2_set){ 0 };
	rc = add_range(q, 0, q->cluster);
	if (!rc && ++what)
		rc = add_range(q, q->l1_at, (uint64_t)q->l1_size * 8);
	if (!rc && ++what)
		rc = add_range(q, q->snapshots_at, q->snapshots_len);
	if (!rc && ++what)
		rc = add_range(q, q->reftable_at, entries * 8);
	if (!rc && ++what)
		rc = add_range(q, q->bitmaps_at, q->bitmaps_len);
	if (!rc)
		what++;
	for (unsigned i = 0; !rc && i < q->nsnapshots; i++)
		rc = add_range(q, q->snapshots[i].l1_at, (uint64_t)q->snapshots[i].l1_size * 8);
	if (!rc && ++what)
		rc = add_tables(q, q->reftable, entries, UINT64_MAX);
	if (!rc && ++what)
		rc = add_tables(q, q->l1, q->l1_size, Q2_AT);
	if (rc == HULL_EEXIST || rc == HULL_EFORMAT)
		return hull_q2_bad(q, err, "%s %s", names[what],
		                   rc == HULL_EEXIST ? "lies where other metadata lie"
		                                     : "is misplaced");
	return rc ? hull_fail(err, rc, 120, "no memory for the tables of a disk") : 0;
}

unsigned hull_q2_pin(struct hull_q2 *q)
{
	unsigned epoch = q->epoch;

	hull_add_relaxed(&q->pins[epoch], 1);
	return epoch;
}

void hull_q2_unpin(struct hull_q2 *q, unsigned epoch)
{
	/* Pairs with hull_q2_drain(). */
	hull_add_seqcst(&q->pins[epoch], -1);
}

static bool is_busy(const struct hull_q2 *q, uint64_t first, uint64_t n)
{
	for (const struct hull_q2_busy *b = q->busy; b; b = b->next)
		if (hull_ranges_overlap(b->first, b->n, first, n))
			return true;
	return false;
}

bool hull_q2_wait_busy(struct hull_q2 *q, uint64_t first, uint64_t n)
{
	bool waited = false;

	while (is_busy(q, first, n)) {
		uint64_t seen = q->busy_changes;

		/* It changes with `lock` held, so none is missed. */
		pthread_rwlock_unlock(&q->lock);
		pthread_mutex_lock(&q->wait_lock);
		while (q->busy_changes == seen)
			pthread_cond_wait(&q->waiters, &q->wait_lock);
		pthread_mutex_unlock(&q->wait_lock);
		pthread_rwlock_wrlock(&q->lock);
		waited = true;
	}
	return waited;
}

void hull_q2_busy_add(struct hull_q2 *q, struct hull_q2_busy *b)
{
	b->next = q->busy;
	q->busy = b;
}

void hull_q2_busy_remove(struct hull_q2 *q, struct hull_q2_busy *b)
{
	struct hull_q2_busy **p = &q->busy;

	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
	pthread_mutex_lock(&q->wait_lock);
	q->busy_changes++;
	pthread_cond_broadcast(&q->waiters);
	pthread_mutex_unlock(&q->wait_lock);
}
