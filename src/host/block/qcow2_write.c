/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Writing qcow2 images; see qcow2.h.
 *
 * A cluster that is ours alone is written in place.  Everything else is a job:
 * find a place under the lock, write the data without it, then enter the place
 * in the L2 table.  Until then the guest's clusters are "busy", and who else
 * wants to change them waits.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"

enum { AGAIN = 1 };

struct job {
	uint64_t off, len; /* what the guest writes of it */
	uint64_t lo, hi;   /* what is written: whole granules, with what was there before */
	uint64_t host;     /* of the first cluster */
	bool reuse;        /* its present place */
	bool fresh;        /* the place reads as zero */
	struct hull_q2_busy busy;
};

int hull_q2_writable(struct hull_q2 *q)
{
	if (q->base.read_only)
		return HULL_EPERM;
	return hull_load_relaxed(&q->corrupt) ? HULL_EFORMAT : 0;
}

static bool hits_metadata(const struct hull_q2 *q, uint64_t at, uint64_t len)
{
	uint64_t last = (at + len - 1) >> q->cluster_bits;

	for (uint64_t c = at >> q->cluster_bits; c <= last; c++)
		if (hull_q2_set_has(&q->meta, c))
			return true;
	return false;
}

bool hull_q2_in_place(struct hull_q2 *q, const struct hull_q2_extent *e)
{
	return e->kind == HULL_Q2_DATA && e->own && !hits_metadata(q, e->at, e->len);
}

int hull_q2_settle(struct hull_q2 *q)
{
	return hull_load_relaxed(&q->much_freed) ? hull_q2_flush(q) : 0;
}

static unsigned granule_bits(const struct hull_q2 *q)
{
	return q->cluster_bits - q->sub_bits;
}

/* Subclusters [from, to) of a cluster, as a mask of `allocated` bits. */
static uint64_t sub_mask(unsigned from, unsigned to)
{
	return low_mask(to) & ~low_mask(from);
}

static bool has_own_place(struct hull_q2_entry e)
{
	return !(e.word & Q2_PACKED) && (e.word & Q2_COPIED) && (e.word & Q2_AT);
}

/* How many clusters from the entry on need a new place. */
static uint64_t run_of_new(struct hull_q2 *q, const uint8_t *slice, uint32_t i, uint64_t first,
                           uint64_t max)
{
	uint64_t n = 1;

	max = MIN(max, (uint64_t)(hull_q2_slice_entries(q) - i));
	for (; n < max; n++) {
		if (has_own_place(hull_q2_entry_get(q, slice, i + (uint32_t)n)))
			break;
		for (const struct hull_q2_busy *b = q->busy; b; b = b->next)
			if (first + n >= b->first && first + n < b->first + b->n)
				return n;
	}
	return n;
}

/* With subclusters, what has data must move along: widen the job to it. */
static void widen(const struct hull_q2 *q, struct job *j, struct hull_q2_entry e, uint64_t cluster)
{
	uint64_t start = cluster << q->cluster_bits, end = start + q->cluster;
	uint32_t data = (uint32_t)e.bits;

	if (e.word & Q2_PACKED) {
		j->lo = MIN(j->lo, start);
		j->hi = MAX(j->hi, end);
	} else if (data) {
		unsigned low = (unsigned)__builtin_ctz(data);
		unsigned high = 32 - (unsigned)__builtin_clz(data);

		j->lo = MIN(j->lo, start + ((uint64_t)low << granule_bits(q)));
		j->hi = MAX(j->hi, start + ((uint64_t)high << granule_bits(q)));
	}
}

static int plan_new(struct hull_q2 *q, struct job *j, uint8_t *slice, uint32_t i, uint64_t len)
{
	uint64_t first = j->off >> q->cluster_bits, n, cluster;
	uint64_t last = (j->off + len - 1) >> q->cluster_bits, g = BIT(granule_bits(q));
	struct hull_q2_entry a, b;
	int rc;

	n = run_of_new(q, slice, i, first, last - first + 1);
	rc = hull_q2_alloc(q, n, &cluster, &n);
	if (rc)
		return rc;
	a = hull_q2_entry_get(q, slice, i);
	b = hull_q2_entry_get(q, slice, i + (uint32_t)n - 1);
	j->host = cluster << q->cluster_bits;
	j->fresh = hull_q2_take_fresh(q, cluster, n);
	j->len = MIN(len, ((first + n) << q->cluster_bits) - j->off);
	j->lo = align_down(j->off, g);
	j->hi = align_up(j->off + j->len, g);
	if (q->subs > 1) {
		widen(q, j, a, first);
		widen(q, j, b, first + n - 1);
	}
	j->busy.n = n;
	return 0;
}

/* Find a place for the first part of [off, off + len).  X */
static int plan(struct hull_q2 *q, struct job *j, uint64_t len)
{
	uint64_t first = j->off >> q->cluster_bits;
	struct hull_q2_extent ext;
	struct hull_q2_entry e;
	uint8_t *slice;
	uint32_t i;
	int rc;

	if (hull_q2_wait_busy(q, first, 1))
		return AGAIN;
	rc = hull_q2_l2_own(q, j->off, &slice, &i);
	if (!rc)
		rc = hull_q2_map(q, j->off, len, &ext);
	if (rc)
		return rc;
	e = hull_q2_entry_get(q, slice, i);
	if (ext.kind == HULL_Q2_DATA && ext.own)
		return hull_q2_in_place(q, &ext) ? AGAIN : hull_q2_damage(q);
	j->busy.first = first;
	if (!has_own_place(e)) {
		rc = plan_new(q, j, slice, i, len);
	} else {
		uint64_t end = MIN(j->off + ext.len, (first + 1) << q->cluster_bits);

		if (hits_metadata(q, e.word & Q2_AT, 1))
			return hull_q2_damage(q);
		j->reuse = true;
		j->host = e.word & Q2_AT;
		j->len = end - j->off;
		j->lo = align_down(j->off, BIT(granule_bits(q)));
		j->hi = align_up(end, BIT(granule_bits(q)));
		j->busy.n = 1;
	}
	if (!rc)
		hull_q2_busy_add(q, &j->busy);
	return rc;
}

/* What was in [off, off + len) before, into `buf`. */
static int old_contents(struct hull_q2 *q, uint64_t off, uint8_t *buf, uint64_t len)
{
	struct iovec v = { buf, len };

	if (!hull_q2_reads_zero(q, off, len))
		return hull_q2_read(&q->base, off, &v, 1, len);
	memset(buf, 0, len);
	return 0;
}

/* What is written before and behind the guest's data: `head` and `tail` bytes of `buf`. */
struct around {
	uint8_t *buf;
	uint64_t head, tail;
};

static int write_around(struct hull_q2 *q, uint64_t at, const struct around *a,
                        struct hull_q2_cursor *c, uint64_t len)
{
	uint64_t before = a->head;
	int rc = 0;

	while (!rc && len) {
		struct iovec v[Q2_IOV + 2] = { { a->buf, before } };
		uint64_t take = len, after;
		int n = before != 0;

		n += hull_q2_slice(c, v + n, &take);
		if (!take)
			return HULL_EINVAL;
		hull_q2_skip(c, take);
		len -= take;
		after = len ? 0 : a->tail;
		if (after)
			v[n++] = (struct iovec){ a->buf + a->head, after };
		rc = hull_q2_pwritev(q, at, v, n, before + take + after);
		at += before + take;
		before = 0;
	}
	return rc;
}

static int perform(struct hull_q2 *q, const struct job *j, struct hull_q2_cursor *c)
{
	uint64_t end = j->off + j->len, start = j->busy.first << q->cluster_bits;
	struct around a = { NULL, j->off - j->lo, j->hi - end };
	int rc = 0;

	if (j->fresh && a.head && hull_q2_reads_zero(q, j->lo, a.head))
		a.head = 0;
	if (j->fresh && a.tail && hull_q2_reads_zero(q, end, a.tail))
		a.tail = 0;
	if (a.head + a.tail) {
		a.buf = malloc(a.head + a.tail);
		if (!a.buf)
			return HULL_ENOMEM;
		if (a.head)
			rc = old_contents(q, j->lo, a.buf, a.head);
		if (!rc && a.tail)
			rc = old_contents(q, end, a.buf + a.head, a.tail);
	}
	if (!rc)
		rc = write_around(q, j->host + (j->off - a.head - start), &a, c, j->len);
	free(a.buf);
	return rc;
}

/* Enter the place in the table.  X */
static int finish(struct hull_q2 *q, const struct job *j)
{
	unsigned bits = granule_bits(q);
	uint8_t *slice;
	uint32_t i;
	int rc = hull_q2_l2_own(q, j->off, &slice, &i);

	if (rc)
		return rc;
	for (uint64_t k = 0; k < j->busy.n; k++) {
		uint64_t start = (j->busy.first + k) << q->cluster_bits;
		uint64_t from = MAX(j->lo, start), to = MIN(j->hi, start + q->cluster);
		struct hull_q2_entry old = hull_q2_entry_get(q, slice, i + (uint32_t)k), e = old;

		e.word = (j->host + (k << q->cluster_bits)) | Q2_COPIED;
		if (q->subs > 1) {
			uint64_t mask = sub_mask((unsigned)((from - start) >> bits),
			                         (unsigned)((to - start) >> bits));

			e.bits = (old.bits & ~(mask << 32)) | mask;
		}
		hull_q2_entry_set(q, slice, i + (uint32_t)k, e);
		if (!j->reuse)
			hull_q2_free_entry(q, old.word);
	}
	return 0;
}

/* Write the first part of [off, off + len) to a new place; *ret: bytes. */
static int write_job(struct hull_q2 *q, uint64_t off, uint64_t len, struct hull_q2_cursor *c,
                     uint64_t *ret)
{
	struct job j = { .off = off };
	int rc;

	pthread_rwlock_wrlock(&q->lock);
	rc = hull_load_relaxed(&q->stopping) ? AGAIN : plan(q, &j, len);
	pthread_rwlock_unlock(&q->lock);
	if (rc) {
		if (hull_load_relaxed(&q->stopping))
			sched_yield();
		return rc;
	}
	rc = perform(q, &j, c);
	pthread_rwlock_wrlock(&q->lock);
	if (!rc)
		rc = finish(q, &j);
	if (rc && !j.reuse)
		hull_q2_free(q, j.host >> q->cluster_bits, j.busy.n);
	hull_q2_busy_remove(q, &j.busy);
	pthread_rwlock_unlock(&q->lock);
	*ret = j.len;
	return rc;
}

int hull_q2_reserve(struct hull_q2 *q, uint64_t off, uint64_t len, uint64_t *ret)
{
	static const uint8_t zeroes[512];
	struct job j = { .off = off };
	int rc;

	pthread_rwlock_wrlock(&q->lock);
	rc = plan(q, &j, len);
	/* The file reaches to the end of the last one. */
	if (!rc) {
		uint64_t end = j.host + (j.busy.n << q->cluster_bits);

		rc = hull_q2_pwrite(q, end - sizeof(zeroes), zeroes, sizeof(zeroes));
		if (!rc)
			rc = finish(q, &j);
		hull_q2_busy_remove(q, &j.busy);
	}
	pthread_rwlock_unlock(&q->lock);
	*ret = j.len;
	return rc;
}

/* The shared lock is held and given back. */
static int write_in_place(struct hull_q2 *q, const struct hull_q2_extent *e,
                          struct hull_q2_cursor *c)
{
	unsigned epoch = hull_q2_pin(q);
	uint64_t at = e->at, len = e->len;
	struct iovec part[Q2_IOV];
	int rc = 0;

	pthread_rwlock_unlock(&q->lock);
	while (!rc && len) {
		uint64_t take = len;
		int n = hull_q2_slice(c, part, &take);

		rc = take ? hull_q2_pwritev(q, at, part, n, take) : HULL_EINVAL;
		hull_q2_skip(c, take);
		at += take;
		len -= take;
	}
	hull_q2_unpin(q, epoch);
	return rc;
}

int hull_q2_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                  uint64_t len, bool fua)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_q2_cursor c = { iov, n, 0 };
	struct hull_q2_extent e;
	int rc = hull_q2_writable(q);

	while (!rc && len) {
		uint64_t done = 0;

		rc = hull_q2_map_shared(q, off, len, &e);
		if (rc)
			break;
		if (hull_q2_in_place(q, &e)) {
			done = e.len;
			rc = write_in_place(q, &e, &c);
		} else {
			pthread_rwlock_unlock(&q->lock);
			rc = write_job(q, off, len, &c, &done);
			if (rc == AGAIN)
				rc = hull_q2_writable(q);
		}
		off += done;
		len -= done;
	}
	if (!rc)
		rc = hull_q2_settle(q);
	return rc || !fua ? rc : hull_q2_flush(q);
}
