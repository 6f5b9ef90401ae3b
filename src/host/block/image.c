/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Images of any format: what is done with each request; see image.h.  Opening is in open.c. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "host/block/image.h"

enum { SECTOR = 512, ZEROES = 64 << 10, VECTORS = 16 };

struct hull_image *hull_image_ref(struct hull_image *img)
{
	hull_add_seqcst(&img->refs, 1u);
	return img;
}

void hull_image_unref(struct hull_image *img)
{
	/* Long chains: no recursion along `backing`. */
	while (img && hull_add_seqcst(&img->refs, -1u) == 1) {
		struct hull_image *file = img->file, *backing = img->backing;
		char *path = img->path;

		img->format->close(img);
		free(path);
		hull_image_unref(file);
		img = backing;
	}
}

/* May `len` bytes at `off` be accessed?  1: yes, 0: there is nothing to do. */
static int check(struct hull_image *img, uint64_t off, uint64_t len, bool write)
{
	if (write && img->read_only)
		return HULL_EPERM;
	if (!hull_range_within(off, len, 0, img->grows ? INT64_MAX : hull_load_acquire(&img->size)))
		return HULL_EINVAL;
	return len != 0;
}

static bool whole(const struct hull_image *img, uint64_t off, uint64_t len)
{
	return img->grows || !((off | len) % SECTOR);
}

static int sector_of(struct hull_image *img, uint64_t off, uint8_t sector[SECTOR])
{
	struct iovec v = { sector, SECTOR };

	return img->format->read(img, align_down(off, SECTOR), &v, 1, SECTOR);
}

static int read_parts(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                      uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		uint64_t at = off + done, skip = at % SECTOR;
		uint64_t take = MIN(len - done, SECTOR - skip);
		uint8_t sector[SECTOR];
		int r = sector_of(img, at, sector);

		if (r)
			return r;
		hull_iov_put(iov, n, done, sector + skip, take);
		done += take;
	}
	return 0;
}

/*
 * Parts of one sector may be written at the same time: one after the other.  For all images, as it
 * is rare: devices, servers and jobs write whole sectors.
 */
static pthread_mutex_t parts = PTHREAD_MUTEX_INITIALIZER;

static int write_parts_locked(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                              uint64_t len, bool fua)
{
	for (uint64_t done = 0; done < len;) {
		uint64_t at = off + done, skip = at % SECTOR;
		uint64_t take = MIN(len - done, SECTOR - skip);
		uint8_t sector[SECTOR];
		struct iovec v = { sector, SECTOR };
		int r = sector_of(img, at, sector);

		hull_iov_get(iov, n, done, sector + skip, take);
		if (!r)
			r = img->format->write(img, at - skip, &v, 1, SECTOR, fua);
		if (r)
			return r;
		done += take;
	}
	return 0;
}

static int write_parts(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                       uint64_t len, bool fua)
{
	int r;

	pthread_mutex_lock(&parts);
	r = write_parts_locked(img, off, iov, n, len, fua);
	pthread_mutex_unlock(&parts);
	return r;
}

int hull_image_readv(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len)
{
	int r = check(img, off, len, false);

	if (r <= 0)
		return r;
	if (!whole(img, off, len))
		return read_parts(img, off, iov, n, len);
	return img->format->read(img, off, iov, n, len);
}

int hull_image_writev(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                      uint64_t len, bool fua)
{
	int r = check(img, off, len, true);

	if (r <= 0)
		return r;
	if (!whole(img, off, len))
		return write_parts(img, off, iov, n, len, fua);
	return img->format->write(img, off, iov, n, len, fua);
}

int hull_image_read(struct hull_image *img, uint64_t off, void *buf, uint64_t len)
{
	struct iovec v = { buf, len };

	return hull_image_readv(img, off, &v, 1, len);
}

int hull_image_write(struct hull_image *img, uint64_t off, const void *buf, uint64_t len)
{
	struct iovec v = { (void *)(uintptr_t)buf, len };

	return hull_image_writev(img, off, &v, 1, len, false);
}

/* Zeroes as data. */
static int plain_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool fua)
{
	static const char zeroes[ZEROES] __attribute__((aligned(4096)));
	struct iovec iov[VECTORS];
	int r = 0;

	while (!r && len) {
		uint64_t take = 0;
		int n = 0;

		for (; take < len && n < VECTORS; n++) {
			iov[n].iov_base = (void *)(uintptr_t)zeroes;
			iov[n].iov_len = MIN(len - take, (uint64_t)ZEROES);
			take += iov[n].iov_len;
		}
		r = hull_image_writev(img, off, iov, n, take, fua);
		off += take;
		len -= take;
	}
	return r;
}

int hull_image_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
                            bool fua)
{
	uint64_t start = align_up(off, SECTOR), end = align_down(off + len, SECTOR);
	int r = check(img, off, len, true);

	if (r <= 0)
		return r;
	if (!img->format->write_zeroes || (!whole(img, off, len) && end <= start))
		return plain_zeroes(img, off, len, fua);
	if (whole(img, off, len))
		return img->format->write_zeroes(img, off, len, unmap, fua);
	r = plain_zeroes(img, off, start - off, fua);
	if (!r)
		r = img->format->write_zeroes(img, start, end - start, unmap, fua);
	return r ? r : plain_zeroes(img, end, off + len - end, fua);
}

int hull_image_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	uint64_t start = align_up(off, SECTOR), end = align_down(off + len, SECTOR);
	int r = check(img, off, len, true);

	if (r <= 0 || !img->format->discard || end <= start)
		return MIN(r, 0);
	return img->format->discard(img, start, end - start);
}

int hull_image_flush(struct hull_image *img)
{
	return img->format->flush && !img->read_only ? img->format->flush(img) : 0;
}

/* The extent at `off` of one image. */
static int map_one(struct hull_image *img, uint64_t off, uint64_t len,
                   struct hull_image_extent *ret)
{
	int r;

	*ret = (struct hull_image_extent){ .offset = off, .len = len, .at = UINT64_MAX };
	ret->flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED;
	if (!img->format->map)
		return 0;
	r = img->format->map(img, off, len, ret);
	if (r)
		return r;
	return ret->len && ret->len <= len && ret->offset == off ? 0 : HULL_EFORMAT;
}

int hull_image_map(struct hull_image *img, uint64_t off, uint64_t len,
                   struct hull_image_extent *ret)
{
	struct hull_image_extent e;
	unsigned depth = 0;
	int r = check(img, off, len, false);

	if (r <= 0)
		return r ? r : HULL_EINVAL;
	for (; img; img = img->backing, depth++) {
		uint64_t size = img->grows ? INT64_MAX : hull_load_acquire(&img->size);

		/* Past the end of a shorter backing image there are zeroes. */
		if (off >= size)
			break;
		r = map_one(img, off, MIN(len, size - off), &e);
		if (r)
			return r;
		len = e.len;
		if (e.flags) {
			e.depth = depth;
			*ret = e;
			return 0;
		}
	}
	*ret = (struct hull_image_extent){
		.offset = off, .len = len, .flags = HULL_IMAGE_ZERO, .at = UINT64_MAX
	};
	return 0;
}

int hull_image_resize(struct hull_image *img, uint64_t size, struct hull_err *err)
{
	if (img->read_only)
		return hull_fail(err, HULL_EPERM, 302, "the image \"%s\" is opened read-only",
		                 img->path);
	if (!img->grows && (!size || size % SECTOR || size > INT64_MAX - SECTOR))
		return hull_fail(err, HULL_EINVAL, 304,
		                 "%llu bytes are no size for \"%s\": it must be a multiple of 512",
		                 (unsigned long long)size, img->path);
	if (!img->format->resize)
		return hull_fail(err, HULL_ENOTSUP, 306, "%s images cannot change their size",
		                 img->format->name);
	return img->format->resize(img, size, err);
}

int hull_image_get_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	if (img->format->info)
		return img->format->info(img, ret, err);
	memset(ret, 0, sizeof(*ret));
	ret->format = img->format->name;
	ret->size = hull_load_acquire(&img->size);
	return 0;
}

int hull_image_nameless(struct hull_image *img)
{
	while (img->file)
		img = img->file;
	return img->format->nameless ? img->format->nameless(img) : -1;
}
