/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * New qcow2 images; see qcow2.h.  A small image is written first (header,
 * refcount table, one refcount block, L1 table), the rest is done by opening it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "host/block/qcow2.h"

enum { USUAL_CLUSTER = 65536, USUAL_EXTENDED = 131072, FILL = 1 << 20 };

static int invalid(const struct hull_image_create *c, struct hull_err *err, const char *what)
{
	return hull_fail(err, HULL_EINVAL, 329, "cannot create the qcow2 image \"%s\": %s", c->path,
	                 what);
}

/* Fill in what is to be written. */
static int choose(const struct hull_image_create *c, struct hull_q2 *q, struct hull_err *err)
{
	uint32_t usual = c->extended_l2 ? USUAL_EXTENDED : USUAL_CLUSTER;
	uint32_t cluster = c->cluster_bytes ? c->cluster_bytes : usual;
	unsigned bits = c->refcount_bits ? c->refcount_bits : 16;

	q->version = c->version ? c->version : 3;
	if (q->version < 2 || q->version > 3)
		return invalid(c, err, "there are versions 2 and 3");
	if (!is_pow2(cluster) || cluster < 512 || cluster > 2 << 20)
		return invalid(c, err, "clusters have 512 bytes to 2 MiB, a power of two");
	if (!is_pow2(bits) || bits > 64)
		return invalid(c, err, "refcounts have 1, 2, 4, 8, 16, 32 or 64 bits");
	if (c->extended_l2 && cluster < 16384)
		return invalid(c, err, "subclusters need clusters of 16 KiB or more");
	if (c->compression && strcmp(c->compression, "zlib") && strcmp(c->compression, "zstd"))
		return invalid(c, err, "compression is zlib or zstd");
	q->compression = c->compression && !strcmp(c->compression, "zstd");
	if (q->version < 3 && (bits != 16 || c->extended_l2 || c->lazy_refcounts || q->compression))
		return invalid(c, err, "version 2 has none of these features");
	q->cluster = cluster;
	q->cluster_bits = (unsigned)__builtin_ctz(cluster);
	q->refcount_order = (unsigned)__builtin_ctz(bits);
	q->refblock_bits = q->cluster_bits + 3 - q->refcount_order;
	q->entry_bytes = c->extended_l2 ? 16 : 8;
	q->l2_bits = q->cluster_bits - (c->extended_l2 ? 4 : 3);
	q->header_len = q->version < 3 ? 72 : 112;
	q->incompatible =
		(c->extended_l2 ? Q2_EXTENDED_L2 : 0) | (q->compression ? Q2_COMPRESSION : 0);
	q->compatible = c->lazy_refcounts ? Q2_LAZY : 0;
	if (!hull_text_copy(q->backing, sizeof(q->backing), c->backing ? c->backing : "") ||
	    !hull_text_copy(q->backing_format, sizeof(q->backing_format),
	                    c->backing_format ? c->backing_format : ""))
		return invalid(c, err, "the name of the backing image is too long");
	return 0;
}

/* Cluster 0 the header, 1 the refcount table, 2 its first block, then the L1 table. */
static int write_first(const struct hull_image_create *c, struct hull_q2 *q, struct hull_err *err)
{
	uint64_t l1_clusters = ((uint64_t)q->l1_size * 8 + q->cluster - 1) >> q->cluster_bits;
	uint64_t per_block = BIT(q->refblock_bits), used = 3 + l1_clusters;
	uint64_t blocks = (used + per_block - 1) / per_block, table = 1;
	uint8_t *buf = NULL;
	int rc;

	/* Large L1 tables of tiny clusters need more blocks and a longer table. */
	for (uint64_t before = 0; before != blocks + table;) {
		before = blocks + table;
		table = (blocks * 8 + q->cluster - 1) >> q->cluster_bits;
		used = 1 + table + blocks + l1_clusters;
		blocks = (used + per_block - 1) / per_block;
	}
	q->reftable_at = q->cluster;
	q->reftable_clusters = (uint32_t)table;
	q->l1_at = (1 + table + blocks) << q->cluster_bits;
	if (MAX(table, blocks) > Q2_REFTABLE_BYTES_MAX >> 9)
		return invalid(c, err, "the size is too large for such clusters");
	buf = calloc(MAX(table, blocks), q->cluster);
	if (!buf)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the tables of a disk");
	for (uint64_t i = 0; i < blocks; i++)
		store_be64(buf + 8 * i, (1 + table + i) << q->cluster_bits);
	rc = hull_q2_pwrite(q, q->cluster, buf, table << q->cluster_bits);
	memset(buf, 0, blocks << q->cluster_bits);
	for (uint64_t i = 0; i < used; i++)
		hull_q2_count_set(buf + ((i >> q->refblock_bits) << q->cluster_bits),
		                  q->refcount_order, i & (per_block - 1), 1);
	if (!rc)
		rc = hull_q2_pwrite(q, (1 + table) << q->cluster_bits, buf,
		                    blocks << q->cluster_bits);
	free(buf);
	if (!rc && l1_clusters)
		rc = hull_q2_zero_file(q, q->l1_at, l1_clusters << q->cluster_bits);
	return rc ? hull_q2_io_failed(q, err, rc, "it cannot be written")
	          : hull_q2_header_write(q, err);
}

int hull_q2_format(const struct hull_image_create *c, uint64_t size, struct hull_image *file,
                   struct hull_err *err)
{
	struct hull_q2 q = { 0 };
	uint64_t span, need;
	int rc = choose(c, &q, err);

	if (rc)
		return rc;
	span = BIT(q.cluster_bits + q.l2_bits);
	need = size / span + (size % span != 0);
	if (size % 512 || size > INT64_MAX - span || need > Q2_L1_BYTES_MAX / 8)
		return invalid(c, err, "the size must be a multiple of 512 and not that large");
	q.base.file = file;
	q.base.size = size;
	q.l1_size = (uint32_t)need;
	rc = write_first(c, &q, err);
	if (!rc) {
		rc = hull_image_flush(file);
		if (rc)
			rc = hull_q2_io_failed(&q, err, rc, "it cannot be written");
	}
	return rc;
}

/* Write an image without data into the file, which is new. */
static int format_file(const struct hull_image_create *c, uint64_t size, struct hull_err *err)
{
	struct hull_image_options o = { .path = c->path, .format = "file" };
	struct hull_image *file;
	int rc = hull_image_open(&o, &file, err);

	if (rc)
		return rc;
	rc = hull_q2_format(c, size, file, err);
	hull_image_unref(file);
	return rc;
}

/* The size of the backing image, which must exist. */
static int backing_size(const struct hull_image_create *c, uint64_t *ret, struct hull_err *err)
{
	struct hull_image_options o = {
		.path = c->path, .format = "qcow2", .read_only = true, .trusted = true
	};
	struct hull_image *img;
	int rc = hull_image_open(&o, &img, err);

	if (rc)
		return rc;
	*ret = img->backing ? hull_load_acquire(&img->backing->size) : 0;
	hull_image_unref(img);
	return 0;
}

/* Places for all clusters; for FALLOC and FULL their room on the host, too. */
static int preallocate(const struct hull_image_create *c, struct hull_err *err)
{
	struct hull_image_options o = { .path = c->path, .format = "qcow2", .no_backing = true };
	struct hull_image *img;
	uint8_t *zeroes;
	uint64_t at = 0;
	int rc = hull_image_open(&o, &img, err);

	if (rc)
		return rc;
	zeroes = calloc(1, FILL);
	rc = zeroes ? 0 : HULL_ENOMEM;
	while (!rc && at < img->size) {
		struct hull_image_extent e;
		uint64_t len = MIN(img->size - at, (uint64_t)FILL);

		if (c->prealloc == HULL_PREALLOC_FULL) {
			rc = hull_image_write(img, at, zeroes, len);
			at += len;
			continue;
		}
		/* A sector of each run of clusters: the rest of them is a hole. */
		rc = hull_q2_reserve(hull_q2_of(img), at, img->size - at, &len);
		if (!rc && c->prealloc == HULL_PREALLOC_FALLOC) {
			rc = hull_q2_extent_at(img, at, len, &e);
			if (!rc && e.at != UINT64_MAX)
				rc = hull_image_write_zeroes(img->file, e.at, e.len, false, false);
			len = e.len;
		}
		at += len;
	}
	if (!rc)
		rc = hull_image_flush(img);
	free(zeroes);
	hull_image_unref(img);
	return rc ? hull_fail(err, rc, 302, "\"%s\" cannot be allocated: %s", c->path,
	                      hull_error_text(rc))
	          : 0;
}

/* Header, L1, all L2 tables, and refcounts of everything, themselves included; then the data. */
uint64_t hull_q2_measure(const struct hull_image_create *c, uint64_t data_bytes)
{
	uint64_t cluster = c->cluster_bytes ? c->cluster_bytes : 65536, refs, blocks = 0, table = 1;
	uint64_t entry = c->extended_l2 ? 16 : 8;
	uint64_t guest = align_up(c->size, cluster) / cluster;
	uint64_t l2 = align_up(guest, cluster / entry) / (cluster / entry);
	uint64_t l1 = MAX(align_up(l2 * 8, cluster) / cluster, UINT64_C(1));
	uint64_t all = 0, before;

	refs = cluster * 8 / (c->refcount_bits ? c->refcount_bits : 16);
	do {
		before = all;
		all = 1 + l1 + l2 + guest + blocks + table;
		blocks = align_up(all, refs) / refs;
		table = MAX(align_up(blocks * 8, cluster) / cluster, UINT64_C(1));
	} while (all != before);
	return (1 + l1 + l2 + blocks + table) * cluster + align_up(data_bytes, cluster);
}

int hull_q2_create(const struct hull_image_create *c, struct hull_err *err)
{
	struct hull_image_create file = { .path = c->path, .overwrite = c->overwrite };
	struct hull_q2 q = { 0 };
	uint64_t size = c->size;
	int rc = choose(c, &q, err);

	if (!rc && !size && !c->backing)
		rc = invalid(c, err, "a disk without a backing image needs a size");
	if (!rc && c->prealloc != HULL_PREALLOC_NONE && c->backing)
		rc = invalid(c, err, "an image above a backing image cannot be preallocated");
	if (rc)
		return rc;
	rc = hull_image_make("file", &file, err);
	if (rc)
		return rc;
	rc = format_file(c, size, err);
	if (!rc && c->backing) {
		rc = backing_size(c, &size, err);
		if (!rc && !c->size)
			rc = format_file(c, size, err);
	}
	if (!rc && c->prealloc != HULL_PREALLOC_NONE)
		rc = preallocate(c, err);
	if (rc && !c->overwrite)
		unlink(c->path);
	return rc;
}
