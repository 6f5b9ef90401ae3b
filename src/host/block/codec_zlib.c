/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Deflate data through zlib; see codec.h. */
#include "host/block/codec.h"

#ifndef HULL_HAVE_ZLIB

static int unpack(const void *in, size_t len, void *out, size_t size)
{
	return HULL_ENOTSUP;
}

static int pack(const void *in, size_t len, void *out, size_t room)
{
	return HULL_ENOTSUP;
}

#else
#include <zlib.h>

/* QEMU's readers have a window of 4 KiB; ours takes any. */
enum { READ_WINDOW = -MAX_WBITS, WRITE_WINDOW = -12, MEMORY = 9 };

static int unpack(const void *in, size_t len, void *out, size_t size)
{
	z_stream z = { .next_in = (Bytef *)in, .avail_in = (uInt)len };
	int rc;

	z.next_out = out;
	z.avail_out = (uInt)size;
	if (inflateInit2(&z, READ_WINDOW) != Z_OK)
		return HULL_ENOMEM;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (rc == Z_MEM_ERROR)
		return HULL_ENOMEM;
	/* Z_BUF_ERROR: the output is full, but the end was not reached, which is not needed. */
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && !z.avail_out ? 0 : HULL_EFORMAT;
}

static int pack(const void *in, size_t len, void *out, size_t room)
{
	z_stream z = { .next_in = (Bytef *)in, .avail_in = (uInt)len };
	int rc;

	z.next_out = out;
	z.avail_out = (uInt)room;
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WRITE_WINDOW, MEMORY,
	                 Z_DEFAULT_STRATEGY) != Z_OK)
		return HULL_ENOMEM;
	rc = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return rc == Z_STREAM_END ? (int)(room - z.avail_out) : HULL_EAGAIN;
}
#endif

const struct hull_codec hull_codec_zlib = { "zlib", unpack, pack };
