/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Compressed clusters: one function pair per library, each in a file of its
 * own; without the library they answer HULL_ENOTSUP.
 *
 * The input is hostile: output never grows past `size`, memory stays below
 * some MiB, and trailing bytes of the input are ignored.
 * Threading: any thread.
 */
#ifndef HULL_HOST_BLOCK_CODEC_H
#define HULL_HOST_BLOCK_CODEC_H

#include <hull/error.h>

struct hull_codec {
	const char *name;
	/* Unpack exactly `size` bytes.  HULL_EFORMAT, HULL_ENOMEM, HULL_ENOTSUP. */
	int (*unpack)(const void *in, size_t len, void *out, size_t size);
	/* Pack into at most `room` bytes (below 2 GiB); the bytes, or HULL_EAGAIN if it does not
	 * fit. */
	int (*pack)(const void *in, size_t len, void *out, size_t room);
};

extern const struct hull_codec
	hull_codec_zlib; /* raw deflate, RFC 1951, written with a 4 KiB window */
extern const struct hull_codec hull_codec_zstd; /* frames of RFC 8878 */

#endif
