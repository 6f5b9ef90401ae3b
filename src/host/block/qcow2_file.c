/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The file below a qcow2 image, buffers, and the set of metadata clusters; see qcow2.h. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "host/block/qcow2.h"

/* The largest place that an entry can name, with room for sums. */
#define FILE_MAX BIT(56)

int hull_q2_slice(const struct hull_q2_cursor *c, struct iovec *ret, uint64_t *len)
{
	uint64_t left = *len;
	size_t skip = c->skip;
	int n = 0;

	for (int i = 0; i < c->n && n < Q2_IOV && left; i++) {
		uint64_t take = MIN(left, (uint64_t)(c->iov[i].iov_len - skip));

		if (take) {
			ret[n].iov_base = (char *)c->iov[i].iov_base + skip;
			ret[n++].iov_len = take;
		}
		left -= take;
		skip = 0;
	}
	*len -= left;
	return n;
}

void hull_q2_skip(struct hull_q2_cursor *c, uint64_t len)
{
	while (c->n && len >= c->iov->iov_len - c->skip) {
		len -= c->iov->iov_len - c->skip;
		c->iov++;
		c->n--;
		c->skip = 0;
	}
	if (c->n)
		c->skip += len;
}

static void fill(struct hull_q2_cursor *c, const uint8_t *from, uint64_t len)
{
	while (len && c->n) {
		uint64_t take = MIN(len, (uint64_t)(c->iov->iov_len - c->skip));
		char *to = (char *)c->iov->iov_base + c->skip;

		if (from) {
			memcpy(to, from, take);
			from += take;
		} else {
			memset(to, 0, take);
		}
		hull_q2_skip(c, take);
		len -= take;
	}
}

void hull_q2_zero(struct hull_q2_cursor *c, uint64_t len)
{
	fill(c, NULL, len);
}

void hull_q2_copy_out(struct hull_q2_cursor *c, const uint8_t *from, uint64_t len)
{
	fill(c, from, len);
}

int hull_q2_preadv(struct hull_q2 *q, uint64_t at, const struct iovec *iov, int n, uint64_t len)
{
	struct hull_q2_cursor c = { iov, n, 0 };
	struct iovec part[Q2_IOV];
	uint64_t size, inside;
	int rc = 0;

	if (!hull_range_within(at, len, 0, FILE_MAX))
		return HULL_EFORMAT;
	if (q->base.file->grows)
		return hull_image_readv(q->base.file, at, iov, n, len);
	size = hull_load_acquire(&q->base.file->size);
	inside = at >= size ? 0 : MIN(len, size - at);
	if (inside == len)
		return hull_image_readv(q->base.file, at, iov, n, len);
	while (!rc && inside) {
		uint64_t take = inside;
		int k = hull_q2_slice(&c, part, &take);

		rc = hull_image_readv(q->base.file, at, part, k, take);
		hull_q2_skip(&c, take);
		at += take;
		inside -= take;
		len -= take;
	}
	hull_q2_zero(&c, len);
	return rc;
}

int hull_q2_pread(struct hull_q2 *q, uint64_t at, void *buf, uint64_t len)
{
	struct iovec v = { buf, len };

	return hull_q2_preadv(q, at, &v, 1, len);
}

/* Is there room for it?  A file that grows has; a device or server ends somewhere. */
static int reach(struct hull_q2 *q, uint64_t at, uint64_t len)
{
	struct hull_image *f = q->base.file;

	if (!hull_range_within(at, len, 0, f->grows ? FILE_MAX : hull_load_acquire(&f->size)))
		return HULL_ENOSPC;
	return 0;
}

int hull_q2_pwritev(struct hull_q2 *q, uint64_t at, const struct iovec *iov, int n, uint64_t len)
{
	int rc = reach(q, at, len);

	return rc ? rc : hull_image_writev(q->base.file, at, iov, n, len, false);
}

int hull_q2_pwrite(struct hull_q2 *q, uint64_t at, const void *buf, uint64_t len)
{
	struct iovec v = { (void *)(uintptr_t)buf, len };

	return hull_q2_pwritev(q, at, &v, 1, len);
}

int hull_q2_zero_file(struct hull_q2 *q, uint64_t at, uint64_t len)
{
	int rc = reach(q, at, len);

	return rc ? rc : hull_image_write_zeroes(q->base.file, at, len, false, false);
}

int hull_q2_barrier(struct hull_q2 *q)
{
	return q->no_flush ? 0 : hull_image_flush(q->base.file);
}

int hull_q2_damage(struct hull_q2 *q)
{
	if (q->base.read_only || q->checked || hull_load_relaxed(&q->corrupt))
		return HULL_EFORMAT;
	hull_store_relaxed(&q->corrupt, true);
	/* Version 2 has no place for it; what fails here fails again for the next user. */
	if (q->version >= 3) {
		q->incompatible |= Q2_CORRUPT;
		(void)hull_q2_header_update(q);
		(void)hull_q2_barrier(q);
	}
	return HULL_EFORMAT;
}

/* Open addressing with linear probing; Fibonacci hashing. */
static size_t place(const struct hull_q2_set *s, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (s->room - 1);
}

bool hull_q2_set_has(const struct hull_q2_set *s, uint64_t cluster)
{
	if (!s->room)
		return false;
	for (size_t i = place(s, cluster + 1); s->keys[i]; i = (i + 1) & (s->room - 1))
		if (s->keys[i] == cluster + 1)
			return true;
	return false;
}

static void put(struct hull_q2_set *s, uint64_t key)
{
	size_t i = place(s, key);

	while (s->keys[i])
		i = (i + 1) & (s->room - 1);
	s->keys[i] = key;
}

static int enlarge(struct hull_q2_set *s)
{
	struct hull_q2_set bigger = { .room = s->room ? s->room * 2 : 64, .count = s->count };

	bigger.keys = calloc(bigger.room, sizeof(*bigger.keys));
	if (!bigger.keys)
		return HULL_ENOMEM;
	for (size_t i = 0; i < s->room; i++)
		if (s->keys[i])
			put(&bigger, s->keys[i]);
	free(s->keys);
	*s = bigger;
	return 0;
}

int hull_q2_set_add(struct hull_q2_set *s, uint64_t cluster)
{
	int rc = s->count * 2 >= s->room ? enlarge(s) : 0;

	if (rc)
		return rc;
	if (hull_q2_set_has(s, cluster))
		return HULL_EEXIST;
	put(s, cluster + 1);
	s->count++;
	return 0;
}

void hull_q2_set_remove(struct hull_q2_set *s, uint64_t cluster)
{
	size_t mask = s->room - 1, i, j;

	if (!hull_q2_set_has(s, cluster))
		return;
	for (i = place(s, cluster + 1); s->keys[i] != cluster + 1; i = (i + 1) & mask)
		;
	s->keys[i] = 0;
	s->count--;
	/* Put what follows without a gap where a search finds it. */
	for (j = (i + 1) & mask; s->keys[j]; j = (j + 1) & mask) {
		uint64_t key = s->keys[j];

		s->keys[j] = 0;
		put(s, key);
	}
}
