/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* gzip data (RFC 1952) through zlib; the only file that knows zlib for host/file.h. */
#include "host/file.h"

#include <stdlib.h>

#include "base/bits.h"

#ifndef HULL_HAVE_ZLIB

int hull_gunzip(const char *name, const struct hull_file *in, uint64_t max_bytes,
                struct hull_file *ret, struct hull_err *err)
{
	hull_fail(err, HULL_ENOTSUP, 740,
	          "%s is gzip-compressed, and this hull was built without zlib", name);
	hull_err_fix(err, "unpack it first: gzip -dc FILE > FILE.raw");
	return HULL_ENOTSUP;
}

#else
#include <zlib.h>

enum { GZIP_ONLY = 16 + MAX_WBITS, FIRST_ROOM = 1 << 20, MAX_CHUNK = 1 << 30 };

struct unpack {
	const char *name;
	const struct hull_file *in;
	uint64_t max_bytes;
	struct hull_err *err;
	z_stream z;
	size_t consumed; /* input handed to zlib, avail_in included */
	uint8_t *data;
	size_t room; /* allocated, less the final NUL */
	size_t size;
};

static int damaged(struct unpack *u, const char *why)
{
	hull_fail(u->err, HULL_EFORMAT, 741, "%s holds damaged gzip data: %s", u->name, why);
	hull_err_fix(u->err, "copy or download the file again; gzip -t FILE checks it");
	return HULL_EFORMAT;
}

/* The output's bound for the input consumed so far; below 2^64 for any file that fits in memory. */
static uint64_t allowance(const struct unpack *u)
{
	uint64_t read = u->consumed - u->z.avail_in;

	return MIN(u->max_bytes, HULL_GUNZIP_FREE + read * HULL_GUNZIP_RATIO);
}

static int too_large(struct unpack *u)
{
	return hull_fail(
		u->err, HULL_EOVERFLOW, 742, "%s unpacks to more than %llu bytes, which is %s",
		u->name, (unsigned long long)u->size - 1,
		u->size > u->max_bytes ? "the limit" : "implausible for its compressed size");
}

/* Make room for more output: one byte beyond the limit shows that it is exceeded. */
static int grow(struct unpack *u)
{
	uint64_t want = MIN(MAX((uint64_t)u->room * 2, (uint64_t)FIRST_ROOM), allowance(u) + 1);
	uint8_t *data;

	if (want <= u->size)
		return too_large(u);
	data = want < SIZE_MAX ? realloc(u->data, (size_t)want + 1) : NULL;
	if (!data)
		return hull_fail(u->err, HULL_ENOMEM, 226,
		                 "not enough memory to unpack %s (%llu bytes so far)", u->name,
		                 (unsigned long long)u->size);
	u->data = data;
	u->room = (size_t)want;
	return 0;
}

/* Is there another member where the last one ended? */
static bool next_member(struct unpack *u)
{
	const uint8_t *next = u->z.next_in;
	size_t left = u->in->size - (size_t)(next - u->in->data);

	return left >= 2 && next[0] == 0x1f && next[1] == 0x8b && inflateReset(&u->z) == Z_OK;
}

/* One call of inflate(); *ret_done at the end of the data. */
static int step(struct unpack *u, bool *ret_done)
{
	size_t left = u->in->size - u->consumed;
	uInt room;
	int rc, z;

	if (!u->z.avail_in && left) {
		u->z.avail_in = (uInt)MIN(left, (size_t)MAX_CHUNK);
		u->consumed += u->z.avail_in;
	}
	if (u->size == u->room) {
		rc = grow(u);
		if (rc)
			return rc;
	}
	room = (uInt)MIN(u->room - u->size, (size_t)MAX_CHUNK);
	u->z.next_out = u->data + u->size;
	u->z.avail_out = room;
	z = inflate(&u->z, Z_NO_FLUSH);
	u->size += room - u->z.avail_out;
	switch (z) {
	case Z_OK: return 0;
	case Z_STREAM_END: *ret_done = !next_member(u); return 0;
	case Z_BUF_ERROR: return damaged(u, "it ends too early");
	case Z_MEM_ERROR:
		return hull_fail(u->err, HULL_ENOMEM, 226, "not enough memory to unpack %s",
		                 u->name);
	default: return damaged(u, u->z.msg ? u->z.msg : "unknown stream");
	}
}

int hull_gunzip(const char *name, const struct hull_file *in, uint64_t max_bytes,
                struct hull_file *ret, struct hull_err *err)
{
	struct unpack u = { .name = name, .in = in, .max_bytes = max_bytes, .err = err };
	bool done = false;
	int rc = 0;

	u.z.next_in = in->data;
	if (inflateInit2(&u.z, GZIP_ONLY) != Z_OK)
		return hull_fail(err, HULL_ENOMEM, 226, "not enough memory to unpack %s", name);
	/* Every step makes progress: zlib answers Z_BUF_ERROR if it cannot. */
	while (!rc && !done)
		rc = step(&u, &done);
	inflateEnd(&u.z);
	if (!rc && u.size > max_bytes)
		rc = too_large(&u);
	if (!rc && !u.size)
		rc = hull_fail(err, HULL_EFORMAT, 224, "%s is empty when unpacked", name);
	if (rc) {
		free(u.data);
		return rc;
	}
	u.data[u.size] = 0;
	*ret = (struct hull_file){ u.data, u.size };
	return 0;
}
#endif
