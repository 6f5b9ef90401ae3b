/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A file in memory below an image, that can fail and lose what was not
 * flushed.  Not for several threads that write at once, except by `mutex`.
 */
#ifndef TESTS_SUPPORT_MEMFILE_H
#define TESTS_SUPPORT_MEMFILE_H

#include <pthread.h>

#include "host/block/image.h"

struct memfile_write {
	uint64_t off, len;
	uint8_t *bytes;
};

struct memfile {
	struct hull_image img;
	pthread_mutex_t mutex;
	uint8_t *data;
	size_t room;
	uint64_t max; /* bytes; writes beyond fail with HULL_ENOSPC */
	/* With `journal`: what the disk holds for sure, and the writes since. */
	bool journal;
	uint8_t *stable;
	uint64_t stable_size, stable_room;
	struct memfile_write *log;
	size_t nlog, log_room;
	unsigned give_direct;        /* 1: places without a token, 2: with one */
	unsigned direct_ended;       /* given back with the right token */
	uint64_t writes, stop_after; /* writes that succeed; 0: all */
};

/* A new file with a copy of `data`; release with hull_image_unref(&f->img). */
struct memfile *memfile_new(const void *data, uint64_t size);

/*
 * The contents after a power failure: what was flushed, and of the writes since those that
 * `seed` chooses, some only in part; seed 0: all, as after kill -9.
 */
struct memfile *memfile_crashed(const struct memfile *f, uint64_t seed);

#endif
