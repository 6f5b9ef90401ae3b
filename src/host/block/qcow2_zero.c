/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Zeroes and giving clusters back; see qcow2.h. */
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"

enum { CHUNK = 64 << 10 };

#define SUB_ALL UINT64_C(0xffffffff)

/* What is wanted of a range of granules. */
struct wish {
	bool unmap;   /* give the clusters back */
	bool discard; /* and nothing else: what is not there stays so */
};

static int plain_zeroes(struct hull_q2 *q, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[CHUNK];
	int rc = 0;

	if (hull_q2_reads_zero(q, off, len))
		return 0;
	while (!rc && len) {
		uint64_t take = MIN(len, (uint64_t)CHUNK);
		struct iovec v = { (void *)(uintptr_t)zeroes, take };

		rc = hull_q2_write(&q->base, off, &v, 1, take, false);
		off += take;
		len -= take;
	}
	return rc;
}

/* Does nothing shine through where this image has nothing? */
static bool is_bare(const struct hull_q2 *q, uint64_t off)
{
	const struct hull_image *b = q->base.backing;

	/* A name alone counts: the image may be opened without it now. */
	return !q->backing[0] && (!b || off >= hull_load_acquire(&b->size));
}

/* The entry with subclusters of `mask` zero; false: it cannot say so. */
static bool zero_entry(struct hull_q2 *q, const struct wish *w, uint64_t off, uint64_t mask,
                       struct hull_q2_entry e, struct hull_q2_entry *ret)
{
	bool own = !(e.word & Q2_PACKED) && (e.word & Q2_COPIED) && (e.word & Q2_AT);
	bool whole = q->subs == 1 || mask == SUB_ALL, bare = is_bare(q, off);

	*ret = e;
	if (w->discard && !e.word)
		return true;
	if (whole && (w->unmap || !own || q->version < 3)) {
		ret->word = bare || q->subs > 1 ? 0 : Q2_ZERO_FLAG;
		ret->bits = bare || q->subs == 1 ? 0 : SUB_ALL << 32;
		return true;
	}
	if (q->subs == 1) {
		ret->word |= Q2_ZERO_FLAG;
		return true;
	}
	if (e.word & Q2_PACKED)
		return false;
	ret->bits = (e.bits & ~mask) | mask << 32;
	return true;
}

/* One cluster: bytes [off, end) of it, whole granules.  X; true: it must be written. */
static bool zero_cluster(struct hull_q2 *q, const struct wish *w, uint8_t *slice, uint32_t i,
                         uint64_t off, uint64_t end)
{
	unsigned bits = q->cluster_bits - q->sub_bits;
	uint64_t start = align_down(off, q->cluster);
	uint64_t mask = low_mask((unsigned)((end - start) >> bits)) &
	                ~low_mask((unsigned)((off - start) >> bits));
	struct hull_q2_entry old = hull_q2_entry_get(q, slice, i), e;

	if (!zero_entry(q, w, off, mask, old, &e))
		return true;
	if (e.word == old.word && e.bits == old.bits)
		return false;
	hull_q2_entry_set(q, slice, i, e);
	if (!(e.word & Q2_AT))
		hull_q2_free_entry(q, old.word);
	return false;
}

/* Is there nothing to do for the first part of the range?  Its length, or 0. */
static uint64_t nothing_there(struct hull_q2 *q, const struct wish *w, uint64_t off, uint64_t len)
{
	struct hull_q2_extent e;

	if (hull_q2_map(q, off, len, &e) || e.kind != HULL_Q2_NONE || e.at)
		return 0;
	return w->discard || is_bare(q, off) ? e.len : 0;
}

/* The first part of [off, end), granules; *ret: bytes done.  X */
static int zero_slice(struct hull_q2 *q, const struct wish *w, uint64_t off, uint64_t end,
                      uint64_t *ret, bool *ret_plain)
{
	uint32_t n = hull_q2_slice_entries(q), i;
	uint64_t first = off >> q->cluster_bits, last, at = off;
	uint8_t *slice;
	int rc;

	rc = hull_q2_map_load(q, off);
	*ret = rc ? 0 : nothing_there(q, w, off, end - off);
	if (rc || *ret)
		return rc == HULL_EFORMAT ? hull_q2_damage(q) : rc;
	end = MIN(end, (first - first % n + n) << q->cluster_bits);
	last = (end - 1) >> q->cluster_bits;
	hull_q2_wait_busy(q, first, last - first + 1);
	rc = hull_q2_l2_own(q, off, &slice, &i);
	if (rc)
		return rc;
	for (*ret_plain = false; at < end && !*ret_plain; i++) {
		uint64_t stop = MIN(end, align_down(at, q->cluster) + q->cluster);

		*ret_plain = zero_cluster(q, w, slice, i, at, stop);
		/* The one that cannot say so is the caller's, alone. */
		if (*ret_plain && at > off) {
			*ret_plain = false;
			break;
		}
		at = stop;
	}
	*ret = at - off;
	return 0;
}

static int zero_range(struct hull_q2 *q, const struct wish *w, uint64_t off, uint64_t end)
{
	int rc = 0;

	while (!rc && off < end) {
		bool plain = false;
		uint64_t done;

		rc = hull_q2_writable(q);
		if (rc)
			break;
		pthread_rwlock_wrlock(&q->lock);
		rc = zero_slice(q, w, off, end, &done, &plain);
		pthread_rwlock_unlock(&q->lock);
		if (!rc && plain && !w->discard)
			rc = plain_zeroes(q, off, done);
		off += done;
		if (!rc)
			rc = hull_q2_settle(q);
	}
	return rc;
}

int hull_q2_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap, bool fua)
{
	struct hull_q2 *q = hull_q2_of(img);
	uint64_t g = q->cluster >> q->sub_bits, end = off + len, from, to;
	struct wish w = { .unmap = unmap };
	int rc = hull_q2_writable(q);

	from = align_up(off, g);
	/* Behind the end of the disk nobody looks. */
	to = end == hull_load_acquire(&img->size) ? align_up(end, q->cluster) : align_down(end, g);
	if (rc)
		return rc;
	if (from >= to || (q->version < 3 && !is_bare(q, off))) {
		rc = plain_zeroes(q, off, len);
	} else {
		rc = plain_zeroes(q, off, from - off);
		if (!rc)
			rc = zero_range(q, &w, from, to);
		if (!rc && to < end)
			rc = plain_zeroes(q, to, end - to);
	}
	return rc || !fua ? rc : hull_q2_flush(q);
}

int hull_q2_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	struct hull_q2 *q = hull_q2_of(img);
	uint64_t end = off + len, from = align_up(off, q->cluster), to;
	struct wish w = { .unmap = true, .discard = true };
	int rc = hull_q2_writable(q);

	to = align_down(end, q->cluster);
	if (end == hull_load_acquire(&img->size))
		to = align_up(end, q->cluster);
	/* Version 2 cannot say that there are zeroes above a backing image. */
	if (rc || from >= to || (q->version < 3 && !is_bare(q, off)))
		return rc;
	return zero_range(q, &w, from, to);
}
