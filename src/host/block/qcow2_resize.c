/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Other sizes of qcow2 disks; see qcow2.h. */
#include <stdlib.h>
#include <string.h>

#include "host/block/qcow2.h"

int hull_q2_l1_grow(struct hull_q2 *q, uint32_t n)
{
	struct hull_q2_l1 l1 = { .n = n };
	int rc;

	l1.entries = calloc(n, sizeof(*l1.entries));
	if (!l1.entries)
		return HULL_ENOMEM;
	memcpy(l1.entries, q->l1, q->l1_size * sizeof(*q->l1));
	rc = hull_q2_l1_store(q, &l1);
	if (!rc)
		rc = hull_q2_l1_switch(q, &l1, q->base.size);
	free(l1.entries);
	return rc;
}

static int set_size(struct hull_q2 *q, uint64_t size)
{
	uint64_t old = q->base.size;
	int rc;

	hull_store_release(&q->base.size, size);
	rc = hull_q2_header_update(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (rc)
		hull_store_release(&q->base.size, old);
	return rc;
}

static int grow(struct hull_q2 *q, uint64_t size, struct hull_err *err)
{
	uint64_t span = BIT(q->cluster_bits + q->l2_bits), old = q->base.size, shows;
	uint64_t need = size / span + (size % span != 0);
	int rc = 0;

	if (need > Q2_L1_BYTES_MAX / 8)
		return hull_fail(err, HULL_EINVAL, 304,
		                 "%llu bytes are too large for a disk with clusters of %llu bytes",
		                 (unsigned long long)size, (unsigned long long)q->cluster);
	hull_q2_stop(q);
	rc = hull_q2_write_all(q);
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	if (!rc)
		rc = hull_q2_caches(q, size);
	if (need > q->l1_size) {
		if (!rc)
			rc = hull_q2_l1_grow(q, (uint32_t)need);
		if (!rc)
			rc = hull_q2_meta_build(q, NULL);
	}
	hull_q2_go(q);
	/* A backing image that is longer than the disk was must not show in what is new. */
	shows = q->base.backing ? hull_load_acquire(&q->base.backing->size) : 0;
	if (!rc && old < MIN(shows, size))
		rc = hull_q2_write_zeroes(&q->base, old, MIN(shows, size) - old, true, true);
	if (!rc) {
		hull_q2_stop(q);
		rc = set_size(q, size);
		hull_q2_go(q);
	}
	return rc ? hull_q2_io_failed(q, err, rc, "it cannot be made larger") : 0;
}

static int shrink(struct hull_q2 *q, uint64_t size, struct hull_err *err)
{
	uint64_t old = q->base.size;
	int rc = hull_q2_write_zeroes(&q->base, size, old - size, true, true);

	if (!rc) {
		hull_q2_stop(q);
		rc = set_size(q, size);
		hull_q2_go(q);
	}
	return rc ? hull_q2_io_failed(q, err, rc, "it cannot be made smaller") : 0;
}

int hull_q2_resize(struct hull_image *img, uint64_t size, struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	int rc = hull_q2_writable(q);

	if (rc)
		return hull_q2_io_failed(q, err, rc, "it cannot be written");
	if (q->nbitmaps) {
		hull_fail(err, HULL_ENOTSUP, 327, "\"%s\" has bitmaps, which fit its size only",
		          img->file->path);
		hull_err_fix(err, "remove them: qemu-img bitmap --remove FILE NAME");
		return HULL_ENOTSUP;
	}
	if (q->version < 3 && q->nsnapshots)
		return hull_fail(err, HULL_ENOTSUP, 327,
		                 "\"%s\" has snapshots, and version 2 does not store their size",
		                 img->file->path);
	if (size == img->size)
		return 0;
	return size > img->size ? grow(q, size, err) : shrink(q, size, err);
}
