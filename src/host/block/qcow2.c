/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The qcow2 image format, versions 2 and 3, on any file that image.h opens.
 *
 * Not here: encryption, external data files (both refused by name), and the
 * contents of bitmaps, which are kept but not updated.  The parts are listed
 * in qcow2.h, the rules of their order in docs/internals/qcow2.md.
 */
#include "host/block/qcow2.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static void release(struct hull_q2 *q)
{
	hull_q2_snapshots_free(q);
	hull_q2_cache_fini(&q->l2);
	hull_q2_cache_fini(&q->refs);
	free(q->meta.keys);
	free(q->l1);
	free(q->reftable);
	free(q->extensions);
	free(q->unpacked);
	free(q->unlinked.runs);
	free(q->flushing.runs);
	free(q->stable.runs);
	free(q->old.runs);
	pthread_rwlock_destroy(&q->lock);
	pthread_mutex_destroy(&q->flush_lock);
	pthread_mutex_destroy(&q->pack_lock);
	pthread_mutex_destroy(&q->wait_lock);
	pthread_mutex_destroy(&q->unpack_lock);
	pthread_cond_destroy(&q->waiters);
	free(q);
}

static void init_locks(struct hull_q2 *q)
{
	pthread_rwlockattr_t a;

	/* Readers come all the time: a writer must not wait for ever. */
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&q->lock, &a);
	pthread_rwlockattr_destroy(&a);
	pthread_mutex_init(&q->flush_lock, NULL);
	pthread_mutex_init(&q->pack_lock, NULL);
	pthread_mutex_init(&q->wait_lock, NULL);
	pthread_mutex_init(&q->unpack_lock, NULL);
	pthread_cond_init(&q->waiters, NULL);
}

/* A power of two, `most` at most, enough for `want` bytes of tables. */
static uint32_t cache_bytes(uint64_t want, uint32_t most)
{
	uint32_t bytes = Q2_CACHE_MIN;

	while (bytes < most && bytes < want)
		bytes *= 2;
	return bytes;
}

int hull_q2_caches(struct hull_q2 *q, uint64_t size)
{
	uint32_t slice = (uint32_t)MIN(q->cluster, (uint64_t)Q2_SLICE);
	struct hull_q2_cache l2 = { 0 }, refs = { 0 };
	uint64_t clusters = size >> q->cluster_bits;

	/* The file may have twice as many clusters as the disk, and more with snapshots. */
	if (hull_q2_cache_init(&l2, slice, cache_bytes(clusters * q->entry_bytes, Q2_L2_CACHE)) ||
	    hull_q2_cache_init(&refs, slice,
	                       cache_bytes((clusters << q->refcount_order) / 4, Q2_REF_CACHE))) {
		hull_q2_cache_fini(&l2);
		hull_q2_cache_fini(&refs);
		return HULL_ENOMEM;
	}
	hull_q2_cache_fini(&q->l2);
	hull_q2_cache_fini(&q->refs);
	q->l2 = l2;
	q->refs = refs;
	return 0;
}

static int load(struct hull_q2 *q, const struct hull_image_options *o, struct hull_err *err)
{
	int rc = hull_q2_header_read(q, err);

	if (rc)
		return rc;
	q->codec = q->compression ? &hull_codec_zstd : &hull_codec_zlib;
	if (hull_q2_caches(q, q->base.size))
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the tables of a disk");
	q->fixed_end = !q->base.file->grows;
	q->fresh = align_up(hull_load_acquire(&q->base.file->size), q->cluster);
	rc = hull_q2_snapshots_read(q, err);
	if (!rc && !q->base.read_only) {
		rc = hull_q2_meta_build(q, err);
		if (rc == HULL_EFORMAT && o->for_check)
			rc = 0;
	}
	return rc;
}

/* An image that somebody left in the middle of a change: count all references again. */
static int repair(struct hull_q2 *q, struct hull_err *err)
{
	struct hull_image_check result = { 0 };
	int rc = hull_q2_check(&q->base, true, true, &result, err);

	if (rc)
		return rc;
	if (result.corruptions)
		return hull_q2_bad(q, err, "it was not closed, and repairing it failed");
	return 0;
}

static int make_writable(struct hull_q2 *q, const struct hull_image_options *o,
                         struct hull_err *err)
{
	uint64_t autoclear = q->autoclear & Q2_BITMAPS;
	int rc = 0;

	if (o->for_check)
		return 0;
	if (q->incompatible & Q2_CORRUPT) {
		hull_fail(err, HULL_EFORMAT, 324,
		          "the qcow2 image \"%s\" is marked as corrupt; it can only be read",
		          q->base.file->path);
		hull_err_fix(err, "repair it: hull disk check --repair all %s", q->base.file->path);
		return HULL_EFORMAT;
	}
	if (autoclear != q->autoclear) {
		q->autoclear = autoclear;
		rc = hull_q2_header_update(q);
		if (rc)
			return hull_q2_io_failed(q, err, rc, "its header cannot be written");
	}
	rc = hull_q2_bitmaps_in_use(q, err);
	if (!rc && (q->incompatible & Q2_DIRTY))
		rc = repair(q, err);
	return rc;
}

static int q2_open(const struct hull_image_options *o, struct hull_image *file,
                   struct hull_image **ret, struct hull_err *err)
{
	struct hull_q2 *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	init_locks(q);
	q->base.file = file;
	q->base.read_only = o->read_only;
	q->no_flush = o->no_flush;
	q->checked = o->for_check;
	rc = load(q, o, err);
	if (!rc && !o->read_only)
		rc = make_writable(q, o, err);
	if (rc) {
		release(q);
		return rc;
	}
	*ret = &q->base;
	return 0;
}

static void q2_close(struct hull_image *img)
{
	struct hull_q2 *q = hull_q2_of(img);

	if (!img->read_only && !q->checked)
		(void)hull_q2_clean(q);
	release(q);
}

static int q2_flush(struct hull_image *img)
{
	return hull_q2_flush(hull_q2_of(img));
}

static int q2_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	int rc = hull_image_get_info(img->file, ret, err);

	if (rc)
		return rc;
	pthread_rwlock_rdlock(&q->lock);
	ret->format = "qcow2";
	ret->size = img->size;
	ret->file_bytes = hull_load_acquire(&img->file->size);
	ret->cluster_bytes = (uint32_t)q->cluster;
	hull_text_copy(ret->backing, sizeof(ret->backing), q->backing);
	hull_text_copy(ret->backing_format, sizeof(ret->backing_format), q->backing_format);
	ret->version = q->version;
	ret->dirty = q->incompatible & Q2_DIRTY;
	ret->corrupt = q->incompatible & Q2_CORRUPT;
	ret->lazy_refcounts = q->compatible & Q2_LAZY;
	ret->extended_l2 = q->subs > 1;
	hull_text_copy(ret->compression, sizeof(ret->compression), q->codec->name);
	ret->refcount_bits = 1u << q->refcount_order;
	ret->nsnapshots = q->nsnapshots;
	ret->nbitmaps = q->nbitmaps;
	pthread_rwlock_unlock(&q->lock);
	return 0;
}

static int q2_set_backing(struct hull_image *img, const char *path, const char *format,
                          struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	char old[sizeof(q->backing)], old_format[sizeof(q->backing_format)];
	int rc = hull_q2_writable(q);

	if (rc)
		return hull_q2_io_failed(q, err, rc, "it cannot be written");
	memcpy(old, q->backing, sizeof(old));
	memcpy(old_format, q->backing_format, sizeof(old_format));
	if (!hull_text_copy(q->backing, sizeof(q->backing), path ? path : "") ||
	    !hull_text_copy(q->backing_format, sizeof(q->backing_format), format ? format : ""))
		rc = hull_fail(err, HULL_EOVERFLOW, 323,
		               "the name of the backing image is too long");
	hull_q2_stop(q);
	if (!rc)
		rc = hull_q2_write_all(q) ? hull_q2_io_failed(q, err, HULL_EIO, "flushing") : 0;
	if (!rc)
		rc = hull_q2_header_write(q, err);
	if (!rc && hull_q2_barrier(q))
		rc = hull_q2_io_failed(q, err, HULL_EIO, "flushing");
	if (rc) {
		memcpy(q->backing, old, sizeof(old));
		memcpy(q->backing_format, old_format, sizeof(old_format));
	}
	hull_q2_go(q);
	return rc;
}

static bool q2_probe(const uint8_t *head, size_t n)
{
	uint32_t version = load_be32(head + 4);

	return load_be32(head) == Q2_MAGIC && version >= 2 && version <= 3;
}

HULL_IMAGE_FORMAT(qcow2) = {
	.name = "qcow2",
	.summary = "QEMU's image format: grows as needed, overlays, snapshots, compression",
	.probe = q2_probe,
	.open = q2_open,
	.create = hull_q2_create,
	.measure = hull_q2_measure,
	.close = q2_close,
	.read = hull_q2_read,
	.write = hull_q2_write,
	.write_zeroes = hull_q2_write_zeroes,
	.discard = hull_q2_discard,
	.flush = q2_flush,
	.read_now = hull_q2_read_now,
	.direct = hull_q2_direct,
	.direct_end = hull_q2_direct_end,
	.map = hull_q2_extent_at,
	.resize = hull_q2_resize,
	.info = q2_info,
	.check = hull_q2_check,
	.write_compressed = hull_q2_write_compressed,
	.make_empty = hull_q2_make_empty,
	.set_backing = q2_set_backing,
	.snapshot_at = hull_q2_snapshot_at,
	.snapshot_create = hull_q2_snapshot_create,
	.snapshot_apply = hull_q2_snapshot_apply,
	.snapshot_delete = hull_q2_snapshot_delete,
};
