/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reading qcow2 images; see qcow2.h. */
#include <stdlib.h>

#include "host/block/qcow2.h"

/* What this image does not have: the backing image's, or zeroes past its end. */
static int read_backing(struct hull_q2 *q, uint64_t off, struct hull_q2_cursor *c, uint64_t len)
{
	struct hull_image *b = q->base.backing;
	uint64_t size = b ? hull_load_acquire(&b->size) : 0;
	uint64_t inside = off < size ? MIN(len, size - off) : 0;
	struct iovec part[Q2_IOV];
	int rc = 0;

	len -= inside;
	while (!rc && inside) {
		uint64_t take = inside;
		int n = hull_q2_slice(c, part, &take);

		if (!take)
			return HULL_EINVAL;
		rc = hull_image_readv(b, off, part, n, take);
		hull_q2_skip(c, take);
		off += take;
		inside -= take;
	}
	hull_q2_zero(c, len);
	return rc;
}

static int read_data(struct hull_q2 *q, uint64_t at, struct hull_q2_cursor *c, uint64_t len)
{
	struct iovec part[Q2_IOV];
	int rc = 0;

	while (!rc && len) {
		uint64_t take = len;
		int n = hull_q2_slice(c, part, &take);

		if (!take)
			return HULL_EINVAL;
		rc = hull_q2_preadv(q, at, part, n, take);
		hull_q2_skip(c, take);
		at += take;
		len -= take;
	}
	return rc;
}

/* One extent; the shared lock is held and given back. */
static int read_extent(struct hull_q2 *q, uint64_t off, const struct hull_q2_extent *e,
                       struct hull_q2_cursor *c)
{
	unsigned epoch;
	int rc;

	if (e->kind == HULL_Q2_NONE || e->kind == HULL_Q2_ZERO) {
		pthread_rwlock_unlock(&q->lock);
		if (e->kind == HULL_Q2_NONE)
			return read_backing(q, off, c, e->len);
		hull_q2_zero(c, e->len);
		return 0;
	}
	epoch = hull_q2_pin(q);
	pthread_rwlock_unlock(&q->lock);
	if (e->kind == HULL_Q2_DATA)
		rc = read_data(q, e->at, c, e->len);
	else
		rc = hull_q2_unpack(q, e->at, (uint32_t)(off & (q->cluster - 1)), e->len, c);
	hull_q2_unpin(q, epoch);
	return rc;
}

int hull_q2_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n, uint64_t len)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_q2_cursor c = { iov, n, 0 };
	struct hull_q2_extent e;
	int rc = 0;

	while (!rc && len) {
		rc = hull_q2_map_shared(q, off, len, &e);
		if (rc)
			return rc;
		rc = read_extent(q, off, &e, &c);
		off += e.len;
		len -= e.len;
	}
	return rc;
}

/* 1: done, 0: it would wait. */
static int part_now(struct hull_q2 *q, uint64_t off, const struct hull_q2_extent *e,
                    struct hull_q2_cursor *c)
{
	struct hull_image *from = q->base.file;
	uint64_t at = e->at, take = e->len;
	struct iovec part[Q2_IOV];
	int n;

	if (e->kind == HULL_Q2_PACKED)
		return 0;
	if (e->kind == HULL_Q2_NONE && q->base.backing) {
		from = q->base.backing;
		at = off;
	} else if (e->kind != HULL_Q2_DATA) {
		hull_q2_zero(c, e->len);
		return 1;
	}
	n = hull_q2_slice(c, part, &take);
	if (take < e->len || !from->format->read_now ||
	    at + take > hull_load_acquire(&from->size) || (from->align && !from->grows))
		return 0;
	hull_q2_skip(c, take);
	return from->format->read_now(from, at, part, n, take);
}

int hull_q2_read_now(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_q2_cursor c = { iov, n, 0 };
	struct hull_q2_extent e;
	int done = 1;

	if (pthread_rwlock_tryrdlock(&q->lock))
		return 0;
	while (done == 1 && len) {
		if (hull_q2_map(q, off, len, &e)) {
			done = 0;
			break;
		}
		done = part_now(q, off, &e, &c);
		off += e.len;
		len -= e.len;
	}
	pthread_rwlock_unlock(&q->lock);
	return done;
}

/* The file's token beside our pin; the pin alone is 1 + epoch. */
struct token {
	unsigned epoch;
	void *below;
};

int hull_q2_direct(struct hull_image *img, bool write, uint64_t off, uint64_t len,
                   struct hull_image_direct *ret)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_image *file = img->file;
	struct hull_q2_extent e;
	struct token *t;
	unsigned epoch;
	bool ok;

	if (!file->format->direct || (write && hull_q2_writable(q)) ||
	    pthread_rwlock_tryrdlock(&q->lock))
		return 0;
	ok = !hull_q2_map(q, off, len, &e) && e.kind == HULL_Q2_DATA &&
	     (!write || hull_q2_in_place(q, &e)) && e.at + e.len <= hull_load_acquire(&file->size);
	if (ok)
		epoch = hull_q2_pin(q);
	pthread_rwlock_unlock(&q->lock);
	if (!ok)
		return 0;
	if (file->format->direct(file, write, e.at, e.len, ret) != 1) {
		hull_q2_unpin(q, epoch);
		return 0;
	}
	if (!ret->token) {
		ret->token = (void *)(uintptr_t)(1 + epoch);
		return 1;
	}
	t = malloc(sizeof(*t));
	if (!t) {
		if (file->format->direct_end)
			file->format->direct_end(file, ret, HULL_EAGAIN);
		hull_q2_unpin(q, epoch);
		return 0;
	}
	*t = (struct token){ epoch, ret->token };
	ret->token = t;
	return 1;
}

void hull_q2_direct_end(struct hull_image *img, struct hull_image_direct *d, int status)
{
	struct hull_q2 *q = hull_q2_of(img);
	uintptr_t small = (uintptr_t)d->token;
	struct token t = { (unsigned)(small - 1), NULL };

	if (small > 2) {
		t = *(struct token *)d->token;
		free(d->token);
	}
	d->token = t.below;
	if (img->file->format->direct_end)
		img->file->format->direct_end(img->file, d, status);
	hull_q2_unpin(q, t.epoch);
}

int hull_q2_extent_at(struct hull_image *img, uint64_t off, uint64_t len,
                      struct hull_image_extent *ret)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_q2_extent e;
	int rc = hull_q2_map_shared(q, off, len, &e);

	if (rc)
		return rc;
	pthread_rwlock_unlock(&q->lock);
	*ret = (struct hull_image_extent){ .offset = off, .len = e.len, .at = UINT64_MAX };
	switch (e.kind) {
	case HULL_Q2_NONE: break;
	case HULL_Q2_ZERO: ret->flags = HULL_IMAGE_ZERO | HULL_IMAGE_ALLOCATED; break;
	case HULL_Q2_DATA:
		ret->flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED;
		ret->at = e.at;
		break;
	case HULL_Q2_PACKED:
		ret->flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED | HULL_IMAGE_COMPRESSED;
		break;
	}
	return 0;
}

bool hull_q2_reads_zero(struct hull_q2 *q, uint64_t off, uint64_t len)
{
	const struct hull_image *b = q->base.backing;
	struct hull_q2_extent e;

	while (len) {
		if (hull_q2_map_shared(q, off, len, &e))
			return false;
		pthread_rwlock_unlock(&q->lock);
		if (e.kind != HULL_Q2_ZERO &&
		    !(e.kind == HULL_Q2_NONE && (!b || off >= hull_load_acquire(&b->size))))
			return false;
		off += e.len;
		len -= e.len;
	}
	return true;
}
