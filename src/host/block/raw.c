/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Raw images: the bytes of a file, block device or server are the bytes of the disk.
 *
 * Writable ones must have a multiple of 512 bytes; read-only ones are rounded
 * up, and read as zero past their end.
 */
#include <stdlib.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "host/block/image.h"

enum { SECTOR = 512 };

static int raw_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                    uint64_t len)
{
	struct hull_image *f = img->file;
	uint64_t end = hull_load_relaxed(&f->size), have;
	int r;

	if (off + len <= end)
		return f->format->read(f, off, iov, n, len);
	have = off < end ? MIN(len, end - off) : 0;
	/* Only the rest of the last sector may be missing; else the file has shrunk. */
	if (len - have >= SECTOR)
		return HULL_EIO;
	r = have ? f->format->read(f, off, iov, n, have) : 0;
	if (!r)
		hull_iov_zero(iov, n, have, len - have);
	return r;
}

static int raw_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len, bool fua)
{
	return img->file->format->write(img->file, off, iov, n, len, fua);
}

static int raw_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
                            bool fua)
{
	return hull_image_write_zeroes(img->file, off, len, unmap, fua);
}

static int raw_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	return hull_image_discard(img->file, off, len);
}

static int raw_flush(struct hull_image *img)
{
	return hull_image_flush(img->file);
}

static int raw_read_now(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                        uint64_t len)
{
	struct hull_image *f = img->file;

	return f->format->read_now && f->format->read_now(f, off, iov, n, len);
}

static int raw_direct(struct hull_image *img, bool write, uint64_t off, uint64_t len,
                      struct hull_image_direct *ret)
{
	struct hull_image *f = img->file;

	return f->format->direct && off + len <= hull_load_relaxed(&f->size) &&
	       f->format->direct(f, write, off, len, ret);
}

static void raw_direct_end(struct hull_image *img, struct hull_image_direct *d, int status)
{
	img->file->format->direct_end(img->file, d, status);
}

static int raw_map(struct hull_image *img, uint64_t off, uint64_t len,
                   struct hull_image_extent *ret)
{
	struct hull_image *f = img->file;
	struct hull_image_extent e = { .offset = off, .len = len, .at = off };
	int r = 0;

	e.flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED;
	if (f->format->map)
		r = f->format->map(f, off, len, &e);
	if (r)
		return r;
	/* The host's holes need not end where sectors do. */
	if (e.len % SECTOR && e.len < len) {
		if (e.len > SECTOR) {
			e.len = align_down(e.len, SECTOR);
		} else {
			e.len = MIN(len, (uint64_t)SECTOR);
			e.flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED;
		}
	}
	*ret = e;
	return 0;
}

static int raw_resize(struct hull_image *img, uint64_t size, struct hull_err *err)
{
	uint64_t was = hull_load_relaxed(&img->size);
	int r;

	if (size < was)
		hull_store_release(&img->size, size);
	r = hull_image_resize(img->file, size, err);
	hull_store_release(&img->size, r ? was : size);
	return r;
}

static int raw_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	int r = hull_image_get_info(img->file, ret, err);

	if (r)
		return r;
	ret->format = img->format->name;
	ret->size = hull_load_relaxed(&img->size);
	return 0;
}

static void raw_close(struct hull_image *img)
{
	free(img);
}

static int check_size(const struct hull_image_options *o, uint64_t bytes, struct hull_err *err)
{
	if (!bytes || bytes > INT64_MAX - SECTOR) {
		hull_fail(err, HULL_EINVAL, 304, "the disk \"%s\" is %s", o->path,
		          bytes ? "too large" : "empty");
		hull_err_fix(err, "give it a size first: truncate -s 8G %s", o->path);
		return HULL_EINVAL;
	}
	if (bytes % SECTOR && !o->read_only) {
		hull_fail(err, HULL_EINVAL, 304,
		          "the disk \"%s\" has %llu bytes, which is no multiple of 512", o->path,
		          (unsigned long long)bytes);
		hull_err_fix(err, "round it up: truncate -s %%512 %s, or attach it read-only",
		             o->path);
		return HULL_EINVAL;
	}
	return 0;
}

static int raw_open(const struct hull_image_options *o, struct hull_image *file,
                    struct hull_image **ret, struct hull_err *err)
{
	struct hull_image *img;
	int r = check_size(o, file->size, err);

	if (!r && o->backing)
		r = hull_fail(err, HULL_ENOTSUP, 306,
		              "\"%s\" is raw and cannot have a backing image; qcow2 can", o->path);
	if (r)
		return r;
	img = calloc(1, sizeof(*img));
	if (!img)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	file->grows = false;
	img->size = align_up(file->size, SECTOR);
	img->read_only = o->read_only || file->read_only;
	img->align = file->align;
	img->file = file;
	*ret = img;
	return 0;
}

static int raw_create(const struct hull_image_create *c, struct hull_err *err)
{
	if (c->backing)
		return hull_fail(err, HULL_ENOTSUP, 306,
		                 "a raw image cannot have a backing image; qcow2 can");
	if (!c->size || c->size % SECTOR)
		return hull_fail(err, HULL_EINVAL, 304,
		                 "%llu bytes are no size for \"%s\": it must be a multiple of 512",
		                 (unsigned long long)c->size, c->path);
	return hull_image_make("file", c, err);
}

HULL_IMAGE_FORMAT(raw) = {
	.name = "raw",
	.summary = "the bytes of the disk and nothing else",
	.open = raw_open,
	.create = raw_create,
	.close = raw_close,
	.read = raw_read,
	.write = raw_write,
	.write_zeroes = raw_write_zeroes,
	.discard = raw_discard,
	.flush = raw_flush,
	.read_now = raw_read_now,
	.direct = raw_direct,
	.direct_end = raw_direct_end,
	.map = raw_map,
	.resize = raw_resize,
	.info = raw_info,
};
