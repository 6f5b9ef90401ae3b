/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Compressed clusters; see qcow2.h.  They lie byte by byte behind each other,
 * several in a cluster of the file, whose refcount is the number of compressed
 * clusters that touch it.
 */
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"

static int unpack_cluster(struct hull_q2 *q, uint64_t word, uint8_t *out)
{
	uint64_t at, len;
	uint8_t *in;
	int rc;

	hull_q2_packed_range(q, word, &at, &len);
	/* Such an entry can name more than any compressor makes; twice a cluster is plenty. */
	len = MIN(len, 2 * q->cluster + 512);
	if (at >= hull_load_acquire(&q->base.file->size))
		return HULL_EFORMAT;
	in = malloc(len);
	if (!in)
		return HULL_ENOMEM;
	rc = hull_q2_pread(q, at, in, len);
	if (!rc)
		rc = q->codec->unpack(in, len, out, q->cluster);
	free(in);
	return rc;
}

/* Is it the cluster unpacked last?  Then copy from there. */
static bool copy_last(struct hull_q2 *q, uint64_t word, uint32_t from, uint64_t len,
                      struct hull_q2_cursor *c)
{
	bool hit;

	pthread_mutex_lock(&q->unpack_lock);
	hit = q->unpacked_entry == word;
	if (hit)
		hull_q2_copy_out(c, q->unpacked + from, len);
	pthread_mutex_unlock(&q->unpack_lock);
	return hit;
}

int hull_q2_unpack(struct hull_q2 *q, uint64_t word, uint32_t from, uint64_t len,
                   struct hull_q2_cursor *c)
{
	uint8_t *buf;
	int rc;

	if (copy_last(q, word, from, len, c))
		return 0;
	buf = malloc(q->cluster);
	if (!buf)
		return HULL_ENOMEM;
	rc = unpack_cluster(q, word, buf);
	if (rc) {
		free(buf);
		return rc;
	}
	hull_q2_copy_out(c, buf + from, len);
	pthread_mutex_lock(&q->unpack_lock);
	free(q->unpacked);
	q->unpacked = buf;
	q->unpacked_entry = word;
	pthread_mutex_unlock(&q->unpack_lock);
	return 0;
}

/* A place for `len` bytes (at most a cluster), each cluster touched counted once more.  X */
static int find_place(struct hull_q2 *q, uint64_t len, uint64_t *ret)
{
	uint64_t in = q->packed_at & (q->cluster - 1), left = in ? q->cluster - in : 0, c, n;
	uint64_t max = low_mask(1u << q->refcount_order), count = max;
	int rc = 0;

	if (left)
		rc = hull_q2_refcount(q, q->packed_at >> q->cluster_bits, &count);
	if (rc)
		return rc;
	if (count >= max)
		left = 0;
	*ret = q->packed_at;
	if (left < len) {
		rc = hull_q2_alloc(q, 1, &c, &n);
		if (rc)
			return rc;
		(void)hull_q2_take_fresh(q, c, 1);
		/* It may have flushed, and that may have freed the last one. */
		if (!left || !q->packed_at || c != (q->packed_at >> q->cluster_bits) + 1) {
			*ret = c << q->cluster_bits;
			left = 0;
		}
	}
	if (left)
		rc = hull_q2_ref_add(q, *ret >> q->cluster_bits, 1, 1);
	if (!rc)
		q->packed_at = *ret + len;
	if (!(q->packed_at & (q->cluster - 1)))
		q->packed_at = 0;
	return rc;
}

static uint64_t packed_word(const struct hull_q2 *q, uint64_t at, uint64_t len)
{
	uint64_t sectors = ((at + len - 1) >> 9) - (at >> 9);

	return at | sectors << (62 - (q->cluster_bits - 8)) | Q2_PACKED;
}

/* The cluster of `off` gets compressed data; HULL_EAGAIN if it has some. */
static int enter(struct hull_q2 *q, uint64_t off, const uint8_t *data, uint64_t len)
{
	struct hull_q2_busy busy = { .first = off >> q->cluster_bits, .n = 1 };
	struct hull_q2_entry e = { 0 };
	uint64_t at = 0;
	uint8_t *slice;
	uint32_t i;
	int rc;

	pthread_rwlock_wrlock(&q->lock);
	hull_q2_wait_busy(q, busy.first, 1);
	rc = hull_q2_l2_own(q, off, &slice, &i);
	if (!rc) {
		e = hull_q2_entry_get(q, slice, i);
		rc = e.word || e.bits ? HULL_EAGAIN : find_place(q, len, &at);
	}
	if (!rc && at + len > BIT(62 - (q->cluster_bits - 8)))
		rc = HULL_EAGAIN;
	if (!rc)
		hull_q2_busy_add(q, &busy);
	pthread_rwlock_unlock(&q->lock);
	if (rc)
		return rc;
	rc = hull_q2_pwrite(q, at, data, len);
	pthread_rwlock_wrlock(&q->lock);
	if (!rc)
		rc = hull_q2_l2_own(q, off, &slice, &i);
	e.word = packed_word(q, at, len);
	if (!rc)
		hull_q2_entry_set(q, slice, i, e);
	else
		hull_q2_free_entry(q, e.word);
	hull_q2_busy_remove(q, &busy);
	pthread_rwlock_unlock(&q->lock);
	return rc;
}

int hull_q2_write_compressed(struct hull_image *img, uint64_t off, const void *buf, uint64_t len)
{
	struct hull_q2 *q = hull_q2_of(img);
	uint8_t *whole = NULL, *out;
	int rc = hull_q2_writable(q);

	if (rc)
		return rc;
	if (!is_aligned(off, q->cluster) || !len || len > q->cluster ||
	    (len < q->cluster && off + len != hull_load_acquire(&img->size)))
		return HULL_EINVAL;
	out = malloc(q->cluster);
	if (len < q->cluster)
		whole = calloc(1, q->cluster);
	if (!out || (len < q->cluster && !whole)) {
		free(out);
		free(whole);
		return HULL_ENOMEM;
	}
	if (whole)
		memcpy(whole, buf, len);
	rc = q->codec->pack(whole ? whole : buf, q->cluster, out, q->cluster - 1);
	if (rc >= 0) {
		/* One at a time: neighbours share sectors. */
		pthread_mutex_lock(&q->pack_lock);
		rc = enter(q, off, out, (uint64_t)rc);
		pthread_mutex_unlock(&q->pack_lock);
	}
	free(out);
	free(whole);
	return rc;
}
