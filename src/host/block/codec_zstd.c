/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* zstd frames through libzstd; see codec.h. */
#include "host/block/codec.h"

#ifndef HULL_HAVE_ZSTD

static int unpack(const void *in, size_t len, void *out, size_t size)
{
	return HULL_ENOTSUP;
}

static int pack(const void *in, size_t len, void *out, size_t room)
{
	return HULL_ENOTSUP;
}

#else
#include <zstd.h>

/* Writers of 2 MiB, the largest cluster, ask for a window of 2^21 bytes at most. */
enum { WINDOW_LOG = 23 };

static int unpack(const void *in, size_t len, void *out, size_t size)
{
	ZSTD_inBuffer from = { in, len, 0 };
	ZSTD_outBuffer to = { out, size, 0 };
	ZSTD_DCtx *z = ZSTD_createDCtx();
	int rc = 0;

	if (!z)
		return HULL_ENOMEM;
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG);
	/* A cluster may be several frames; each round consumes or produces. */
	while (!rc && to.pos < size) {
		size_t before = from.pos + to.pos;

		if (ZSTD_isError(ZSTD_decompressStream(z, &to, &from)))
			rc = HULL_EFORMAT;
		else if (from.pos + to.pos == before)
			rc = HULL_EFORMAT;
	}
	ZSTD_freeDCtx(z);
	return rc;
}

static int pack(const void *in, size_t len, void *out, size_t room)
{
	size_t n = ZSTD_compress(out, room, in, len, ZSTD_CLEVEL_DEFAULT);

	return ZSTD_isError(n) ? HULL_EAGAIN : (int)n;
}
#endif

const struct hull_codec hull_codec_zstd = { "zstd", unpack, pack };
