/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/memfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"

enum { SECTOR = 512 };

static struct memfile *of(struct hull_image *img)
{
	return (struct memfile *)img;
}

static int reserve(struct memfile *f, uint64_t size)
{
	size_t room = f->room ? f->room : 65536;
	uint8_t *p;

	if (size > f->max)
		return HULL_ENOSPC;
	if (size <= f->room)
		return 0;
	while (room < size)
		room *= 2;
	p = realloc(f->data, room);
	if (!p)
		return HULL_ENOMEM;
	memset(p + f->room, 0, room - f->room);
	f->data = p;
	f->room = room;
	return 0;
}

static int store(struct memfile *f, uint64_t off, uint64_t len, const struct iovec *iov, int n)
{
	struct memfile_write w = { off, len, NULL };
	int rc = 0;

	pthread_mutex_lock(&f->mutex);
	f->writes++;
	if (f->stop_after && f->writes > f->stop_after)
		rc = HULL_EIO;
	if (!rc)
		rc = reserve(f, off + len);
	if (!rc) {
		if (iov)
			hull_iov_get(iov, n, 0, f->data + off, len);
		else
			memset(f->data + off, 0, len);
		hull_store_release(&f->img.size, MAX(f->img.size, off + len));
	}
	if (!rc && f->journal) {
		if (f->nlog == f->log_room) {
			f->log_room = f->log_room ? f->log_room * 2 : 64;
			f->log = realloc(f->log, f->log_room * sizeof(*f->log));
		}
		w.bytes = malloc(len + 1);
		memcpy(w.bytes, f->data + off, len);
		f->log[f->nlog++] = w;
	}
	pthread_mutex_unlock(&f->mutex);
	return rc;
}

static int mem_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                    uint64_t len)
{
	struct memfile *f = of(img);
	uint64_t inside;

	pthread_mutex_lock(&f->mutex);
	inside = off < img->size ? MIN(len, img->size - off) : 0;
	hull_iov_put(iov, n, 0, f->data + (inside ? off : 0), inside);
	hull_iov_zero(iov, n, inside, len - inside);
	pthread_mutex_unlock(&f->mutex);
	return 0;
}

static int mem_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len, bool fua)
{
	return store(of(img), off, len, iov, n);
}

static int mem_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap, bool fua)
{
	return store(of(img), off, len, NULL, 0);
}

static int mem_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	uint64_t size = hull_load_acquire(&img->size);

	len = off < size ? MIN(len, size - off) : 0;
	return len ? store(of(img), off, len, NULL, 0) : 0;
}

static void forget(struct memfile *f)
{
	for (size_t i = 0; i < f->nlog; i++)
		free(f->log[i].bytes);
	f->nlog = 0;
}

static int mem_flush(struct hull_image *img)
{
	struct memfile *f = of(img);
	int rc = 0;

	pthread_mutex_lock(&f->mutex);
	if (f->stop_after && f->writes >= f->stop_after) {
		rc = HULL_EIO;
	} else if (f->journal) {
		if (f->stable_room < img->size) {
			f->stable_room = 2 * img->size;
			f->stable = realloc(f->stable, f->stable_room);
		}
		/* Only what was written changes. */
		for (size_t i = 0; i < f->nlog; i++) {
			const struct memfile_write *w = &f->log[i];

			if (w->off > f->stable_size)
				memset(f->stable + f->stable_size, 0, w->off - f->stable_size);
			memcpy(f->stable + w->off, w->bytes, w->len);
			f->stable_size = MAX(f->stable_size, w->off + w->len);
		}
		forget(f);
	}
	pthread_mutex_unlock(&f->mutex);
	return rc;
}

static int mem_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	*ret = (struct hull_image_info){ .format = "mem", .size = img->size };
	ret->file_bytes = ret->used_bytes = img->size;
	return 0;
}

static int mem_now(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                   uint64_t len)
{
	return !mem_read(img, off, iov, n, len);
}

/* A place without a descriptor: for those who look at what they are given. */
static int mem_direct(struct hull_image *img, bool write, uint64_t off, uint64_t len,
                      struct hull_image_direct *ret)
{
	struct memfile *f = of(img);

	if (!f->give_direct)
		return 0;
	*ret = (struct hull_image_direct){ .fd = -1, .at = off, .len = len };
	ret->token = f->give_direct > 1 ? f : NULL;
	return 1;
}

static void mem_direct_end(struct hull_image *img, struct hull_image_direct *d, int status)
{
	of(img)->direct_ended += d->token == (of(img)->give_direct > 1 ? img : NULL);
}

static void mem_close(struct hull_image *img)
{
	struct memfile *f = of(img);

	forget(f);
	free(f->log);
	free(f->stable);
	free(f->data);
	pthread_mutex_destroy(&f->mutex);
	free(f);
}

static const struct hull_image_format memory = {
	.name = "mem",
	.protocol = true,
	.close = mem_close,
	.read = mem_read,
	.write = mem_write,
	.write_zeroes = mem_zeroes,
	.discard = mem_discard,
	.flush = mem_flush,
	.read_now = mem_now,
	.info = mem_info,
	.direct = mem_direct,
	.direct_end = mem_direct_end,
};

struct memfile *memfile_new(const void *data, uint64_t size)
{
	struct memfile *f = calloc(1, sizeof(*f));

	f->img.format = &memory;
	f->img.refs = 1;
	f->img.grows = true;
	f->img.path = strdup("memory");
	f->max = 1 << 30;
	pthread_mutex_init(&f->mutex, NULL);
	if (reserve(f, MAX(size, UINT64_C(1)))) {
		hull_image_unref(&f->img);
		return NULL;
	}
	if (size)
		memcpy(f->data, data, size);
	f->img.size = size;
	return f;
}

struct memfile *memfile_crashed(const struct memfile *f, uint64_t seed)
{
	struct memfile *r = memfile_new(f->stable, f->stable_size);
	struct hull_prng rng;

	hull_prng_seed(&rng, seed);
	for (size_t i = 0; r && i < f->nlog; i++) {
		const struct memfile_write *w = &f->log[i];
		uint64_t from = 0, to = w->len;
		struct iovec v;

		/* Sectors are written whole or not at all; which comes first is not known. */
		switch (seed ? hull_prng_next(&rng) % 4 : 3) {
		case 0: continue;
		case 1: to = align_down(hull_prng_next(&rng) % (to + 1), SECTOR); break;
		case 2: from = align_down(hull_prng_next(&rng) % (to + 1), SECTOR); break;
		default: break;
		}
		v = (struct iovec){ w->bytes + from, to - from };
		if (to > from && store(r, w->off + from, to - from, &v, 1)) {
			hull_image_unref(&r->img);
			return NULL;
		}
	}
	return r;
}
