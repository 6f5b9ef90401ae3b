/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Writing metadata back in an order that every crash survives; see qcow2.h and
 * docs/internals/qcow2.md.
 *
 * What names a cluster is written after what it names: data and refcounts,
 * then L2 tables, then the L1 table, with a barrier between.  References go
 * before refcounts drop.
 */
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"
#include "host/os/os.h"

enum { STOP_TRIES = 200 /* of 100 us */ };

/* What a flush writes once the things that it rests on are stable. */
struct batch {
	uint8_t *l2; /* copies, q->l2.slice each */
	uint64_t *at;
	uint32_t n;
	uint8_t *l1;
	uint64_t l1_at;
	uint32_t l1_from, l1_n; /* entries */
};

int hull_q2_write_refs(struct hull_q2 *q)
{
	/* The dirty bit says that refcounts may be old. */
	if ((q->compatible & Q2_LAZY) && (q->incompatible & Q2_DIRTY))
		return 0;
	return hull_q2_write_refs_now(q);
}

int hull_q2_write_refs_now(struct hull_q2 *q)
{
	uint32_t from = q->reftable_dirty_from, to = q->reftable_dirty_to;
	int rc = hull_q2_cache_write(q, &q->refs);
	uint8_t *raw;

	if (rc || from >= to)
		return rc;
	rc = hull_q2_barrier(q);
	if (rc)
		return rc;
	raw = malloc((size_t)(to - from) * 8);
	if (!raw)
		return HULL_ENOMEM;
	for (uint32_t i = from; i < to; i++)
		store_be64(raw + 8 * (i - from), q->reftable[i]);
	rc = hull_q2_pwrite(q, q->reftable_at + 8 * (uint64_t)from, raw, (uint64_t)(to - from) * 8);
	free(raw);
	if (rc)
		return rc;
	q->reftable_dirty_from = UINT32_MAX;
	q->reftable_dirty_to = 0;
	return 0;
}

int hull_q2_write_l2(struct hull_q2 *q)
{
	int rc = hull_q2_write_refs(q);

	if (!rc && q->l2.ndirty)
		rc = hull_q2_barrier(q);
	return rc ? rc : hull_q2_cache_write(q, &q->l2);
}

static int write_l1(struct hull_q2 *q, const uint64_t *l1, uint32_t from, uint32_t n)
{
	uint8_t *raw = malloc((size_t)n * 8);
	int rc;

	if (!raw)
		return HULL_ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		store_be64(raw + 8 * (size_t)i, l1[from + i]);
	rc = hull_q2_pwrite(q, q->l1_at + 8 * (uint64_t)from, raw, (uint64_t)n * 8);
	free(raw);
	return rc;
}

int hull_q2_write_all(struct hull_q2 *q)
{
	int rc = hull_q2_write_l2(q);

	if (!rc)
		rc = hull_q2_barrier(q);
	if (!rc && q->l1_dirty_from < q->l1_dirty_to) {
		rc = write_l1(q, q->l1, q->l1_dirty_from, q->l1_dirty_to - q->l1_dirty_from);
		if (!rc)
			rc = hull_q2_barrier(q);
		if (rc)
			return rc;
		q->l1_dirty_from = UINT32_MAX;
		q->l1_dirty_to = 0;
	}
	if (rc)
		return rc;
	hull_q2_frees_move(&q->stable, &q->unlinked);
	return hull_q2_drain(q);
}

int hull_q2_set_dirty(struct hull_q2 *q, bool dirty)
{
	uint64_t before = q->incompatible;
	int rc;

	q->incompatible = dirty ? before | Q2_DIRTY : before & ~Q2_DIRTY;
	if (q->version < 3 || q->incompatible == before) {
		q->incompatible = before;
		return 0;
	}
	rc = hull_q2_header_update(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (rc)
		q->incompatible = before;
	return rc;
}

static void batch_free(struct batch *b)
{
	free(b->l2);
	free(b->at);
	free(b->l1);
}

static int copy_l2(struct hull_q2 *q, struct batch *b)
{
	struct hull_q2_cache *c = &q->l2;

	if (!c->ndirty)
		return 0;
	b->l2 = malloc((size_t)c->ndirty * c->slice);
	b->at = malloc((size_t)c->ndirty * sizeof(*b->at));
	if (!b->l2 || !b->at)
		return HULL_ENOMEM;
	for (uint32_t i = 0; i < c->filled && b->n < c->ndirty; i++) {
		if (!c->slots[i].dirty)
			continue;
		b->at[b->n] = c->slots[i].at;
		memcpy(b->l2 + (size_t)b->n++ * c->slice, c->data + (size_t)i * c->slice, c->slice);
		c->slots[i].changed = false;
	}
	return 0;
}

static int copy_l1(struct hull_q2 *q, struct batch *b)
{
	if (q->l1_dirty_from >= q->l1_dirty_to)
		return 0;
	b->l1_from = q->l1_dirty_from;
	b->l1_n = q->l1_dirty_to - q->l1_dirty_from;
	b->l1_at = q->l1_at;
	b->l1 = malloc((size_t)b->l1_n * 8);
	if (!b->l1)
		return HULL_ENOMEM;
	for (uint32_t i = 0; i < b->l1_n; i++)
		store_be64(b->l1 + 8 * (size_t)i, q->l1[b->l1_from + i]);
	q->l1_dirty_from = UINT32_MAX;
	q->l1_dirty_to = 0;
	return 0;
}

/* Nobody sees a difference in between: refcounts go out, the rest is copied. */
static int collect(struct hull_q2 *q, struct batch *b)
{
	int rc;

	pthread_rwlock_wrlock(&q->lock);
	hull_store_relaxed(&q->much_freed, false);
	rc = hull_q2_write_refs(q);
	if (!rc)
		rc = copy_l2(q, b);
	if (!rc)
		rc = copy_l1(q, b);
	if (!rc)
		hull_q2_frees_move(&q->flushing, &q->unlinked);
	pthread_rwlock_unlock(&q->lock);
	return rc;
}

/* The copies, but for what somebody wrote meanwhile. */
static int write_copies(struct hull_q2 *q, const struct batch *b)
{
	struct hull_q2_cache *c = &q->l2;
	int rc = 0;

	pthread_rwlock_wrlock(&q->lock);
	for (uint32_t i = 0; !rc && i < b->n; i++) {
		uint8_t *p = hull_q2_cache_find(c, b->at[i]);
		struct hull_q2_slot *s = p ? &c->slots[(size_t)(p - c->data) / c->slice] : NULL;

		/* Dropped: the table was given up.  Clean: what is newer is in the file. */
		if (!s || !s->dirty)
			continue;
		rc = hull_q2_pwrite(q, b->at[i], b->l2 + (size_t)i * c->slice, c->slice);
		if (!rc && !s->changed) {
			s->dirty = false;
			c->ndirty--;
		}
	}
	pthread_rwlock_unlock(&q->lock);
	return rc ? rc : hull_q2_barrier(q);
}

static void failed(struct hull_q2 *q, const struct batch *b)
{
	pthread_rwlock_wrlock(&q->lock);
	if (b->l1) {
		q->l1_dirty_from = MIN(q->l1_dirty_from, b->l1_from);
		q->l1_dirty_to = MAX(q->l1_dirty_to, b->l1_from + b->l1_n);
	}
	hull_q2_frees_move(&q->unlinked, &q->flushing);
	pthread_rwlock_unlock(&q->lock);
}

static int flush_locked(struct hull_q2 *q)
{
	struct batch b = { 0 };
	int rc = collect(q, &b);

	if (!rc)
		rc = hull_q2_barrier(q);
	if (!rc && b.n)
		rc = write_copies(q, &b);
	if (!rc && b.l1) {
		rc = hull_q2_pwrite(q, b.l1_at + 8 * (uint64_t)b.l1_from, b.l1,
		                    (uint64_t)b.l1_n * 8);
		if (!rc)
			rc = hull_q2_barrier(q);
	}
	if (rc) {
		failed(q, &b);
	} else {
		pthread_rwlock_wrlock(&q->lock);
		hull_q2_frees_move(&q->stable, &q->flushing);
		rc = hull_q2_drain(q);
		pthread_rwlock_unlock(&q->lock);
	}
	batch_free(&b);
	return rc;
}

int hull_q2_flush(struct hull_q2 *q)
{
	uint64_t mine = hull_load_seqcst(&q->flush_begun);
	int rc = 0;

	if (q->base.read_only)
		return 0;
	pthread_mutex_lock(&q->flush_lock);
	/* One that began after we were asked has done our work. */
	if (hull_load_relaxed(&q->flush_ended) <= mine) {
		uint64_t number = hull_add_seqcst(&q->flush_begun, 1) + 1;

		rc = flush_locked(q);
		if (!rc)
			hull_store_relaxed(&q->flush_ended, number);
	}
	pthread_mutex_unlock(&q->flush_lock);
	return rc;
}

int hull_q2_clean(struct hull_q2 *q)
{
	int rc = 0;

	/* A flush frees, and what it has freed is written by the next. */
	for (int round = 0; !rc && round < 3; round++)
		rc = hull_q2_flush(q);
	hull_q2_stop(q);
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	if (!rc && !q->unsure && (q->incompatible & Q2_DIRTY)) {
		rc = hull_q2_barrier(q);
		if (!rc)
			rc = hull_q2_set_dirty(q, false);
	}
	hull_q2_go(q);
	return rc;
}

static bool pinned(const struct hull_q2 *q)
{
	return hull_load_acquire(&q->pins[0]) || hull_load_acquire(&q->pins[1]);
}

void hull_q2_stop(struct hull_q2 *q)
{

	pthread_mutex_lock(&q->flush_lock);
	pthread_rwlock_wrlock(&q->lock);
	/* No new jobs; no new pins while the lock is held. */
	hull_store_relaxed(&q->stopping, true);
	for (;;) {
		hull_q2_wait_busy(q, 0, UINT64_MAX);
		for (unsigned i = 0; i < STOP_TRIES && pinned(q); i++)
			hull_os_sleep(100000);
		if (!pinned(q))
			break;
		/* Who is to give a pin back may be waiting for the lock. */
		pthread_rwlock_unlock(&q->lock);
		hull_os_sleep(100000);
		pthread_rwlock_wrlock(&q->lock);
	}
	hull_store_relaxed(&q->stopping, false);
}

void hull_q2_go(struct hull_q2 *q)
{
	/* Clusters may have been freed behind the back of these. */
	q->packed_at = 0;
	pthread_mutex_lock(&q->unpack_lock);
	q->unpacked_entry = 0;
	pthread_mutex_unlock(&q->unpack_lock);
	pthread_rwlock_unlock(&q->lock);
	pthread_mutex_unlock(&q->flush_lock);
}
