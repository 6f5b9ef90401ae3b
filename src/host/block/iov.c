/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Segments of memory; see image.h. */
#include <string.h>

#include "base/bits.h"
#include "host/block/image.h"

/* Where a walk over segments stands; `at` and `len` are the piece that came up. */
struct walk {
	const struct iovec *iov;
	int n;
	uint64_t skip, left;
	char *at;
	uint64_t len;
};

static bool step(struct walk *w)
{
	while (w->left && w->n) {
		const struct iovec *v = w->iov;
		uint64_t skip = w->skip;

		w->iov++;
		w->n--;
		w->skip -= MIN(skip, (uint64_t)v->iov_len);
		if (skip >= v->iov_len)
			continue;
		w->at = (char *)v->iov_base + skip;
		w->len = MIN(v->iov_len - skip, w->left);
		w->left -= w->len;
		return true;
	}
	return false;
}

void hull_iov_get(const struct iovec *iov, int n, uint64_t skip, void *dst, uint64_t len)
{
	struct walk w = { .iov = iov, .n = n, .skip = skip, .left = len };
	char *to = dst;

	while (step(&w)) {
		memcpy(to, w.at, w.len);
		to += w.len;
	}
}

void hull_iov_put(const struct iovec *iov, int n, uint64_t skip, const void *src, uint64_t len)
{
	struct walk w = { .iov = iov, .n = n, .skip = skip, .left = len };
	const char *from = src;

	while (step(&w)) {
		memcpy(w.at, from, w.len);
		from += w.len;
	}
}

void hull_iov_zero(const struct iovec *iov, int n, uint64_t skip, uint64_t len)
{
	struct walk w = { .iov = iov, .n = n, .skip = skip, .left = len };

	while (step(&w))
		memset(w.at, 0, w.len);
}

int hull_iov_slice(const struct iovec *iov, int n, uint64_t skip, uint64_t len, struct iovec *ret)
{
	struct walk w = { .iov = iov, .n = n, .skip = skip, .left = len };
	int count = 0;

	while (step(&w))
		ret[count++] = (struct iovec){ w.at, w.len };
	return count;
}
