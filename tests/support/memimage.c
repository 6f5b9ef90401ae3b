/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An image in memory with faults; see memimage.h. */
#include "support/memimage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"

static struct mem_image *of(struct hull_image *img)
{
	return (struct mem_image *)img;
}

/* Wait while told to, then fail if it is time to. */
static int fault(struct mem_image *m, uint32_t *left)
{
	uint32_t n;

	hull_add_seqcst(&m->held, 1u);
	while (hull_load_seqcst(&m->hold))
		usleep(200);
	hull_add_seqcst(&m->held, -1u);
	n = hull_load_seqcst(left);
	while (n && n != UINT32_MAX && !hull_cas_seqcst(left, &n, n - 1))
		;
	return n ? m->status : 0;
}

static int mem_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                    uint64_t len)
{
	struct mem_image *m = of(img);
	int r = fault(m, &m->fail_reads);

	hull_add_seqcst(&m->reads, 1u);
	if (r)
		return r;
	pthread_rwlock_rdlock(&m->lock);
	hull_iov_put(iov, n, 0, m->bytes + off, len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int mem_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len, bool fua)
{
	struct mem_image *m = of(img);
	int r = fault(m, &m->fail_writes);

	hull_add_seqcst(&m->writes, 1u);
	hull_add_seqcst(&m->fua, (uint32_t)fua);
	if (r)
		return r;
	pthread_rwlock_wrlock(&m->lock);
	hull_iov_get(iov, n, 0, m->bytes + off, len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int mem_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
                            bool fua)
{
	struct mem_image *m = of(img);
	int r = fault(m, &m->fail_writes);

	hull_add_seqcst(&m->zeroes, 1u);
	if (r)
		return r;
	pthread_rwlock_wrlock(&m->lock);
	memset(m->bytes + off, 0, len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int mem_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	hull_add_seqcst(&of(img)->discards, 1u);
	return 0;
}

static int mem_flush(struct hull_image *img)
{
	struct mem_image *m = of(img);

	hull_add_seqcst(&m->flushes, 1u);
	return fault(m, &m->fail_flushes);
}

static int mem_read_now(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                        uint64_t len)
{
	struct mem_image *m = of(img);

	if (!hull_load_seqcst(&m->now))
		return 0;
	pthread_rwlock_rdlock(&m->lock);
	hull_iov_put(iov, n, 0, m->bytes + off, len);
	pthread_rwlock_unlock(&m->lock);
	return 1;
}

static int mem_resize(struct hull_image *img, uint64_t size, struct hull_err *err)
{
	struct mem_image *m = of(img);
	uint8_t *bytes;

	pthread_rwlock_wrlock(&m->lock);
	bytes = realloc(m->bytes, size);
	if (bytes) {
		m->bytes = bytes;
		if (size > img->size)
			memset(bytes + img->size, 0, size - img->size);
		hull_store_release(&img->size, size);
	}
	pthread_rwlock_unlock(&m->lock);
	return bytes ? 0 : HULL_ENOMEM;
}

static void mem_close(struct hull_image *img)
{
	pthread_rwlock_destroy(&of(img)->lock);
	free(of(img)->bytes);
	free(img);
}

static const struct hull_image_format format = {
	.name = "memory",
	.summary = "for tests",
	.close = mem_close,
	.read = mem_read,
	.write = mem_write,
	.write_zeroes = mem_write_zeroes,
	.discard = mem_discard,
	.flush = mem_flush,
	.read_now = mem_read_now,
	.resize = mem_resize,
};

struct mem_image *mem_image_new(uint64_t size)
{
	struct mem_image *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->bytes = calloc(1, size);
	m->img.format = &format;
	m->img.path = strdup("memory");
	m->img.size = size;
	m->img.refs = 1;
	m->status = HULL_EIO;
	pthread_rwlock_init(&m->lock, NULL);
	return m;
}

void mem_image_release(struct mem_image *m)
{
	hull_store_seqcst(&m->hold, 0);
}
