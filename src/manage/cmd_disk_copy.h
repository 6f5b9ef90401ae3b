/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Going through a whole disk in pieces, on several threads.
 *
 * Threading: hull_disk_walk() from one thread; the piece function runs on its own.
 */
#ifndef HULL_MANAGE_CMD_DISK_COPY_H
#define HULL_MANAGE_CMD_DISK_COPY_H

#include "manage/cmd_disk.h"

/* Bytes of a piece; every cluster size divides it. */
#define HULL_DISK_PIECE (UINT64_C(2) << 20)

struct hull_disk_walk {
	const char *label; /* for the progress bar */
	uint64_t size;     /* bytes to go through */
	unsigned threads;  /* 1 to 16 */
	/*
	 * Do bytes [off, off + len) of the disk, which is one piece.  `buf` has room for two
	 * pieces.  0; or HULL_E..., which ends the walk; or HULL_EAGAIN, which ends it, too.
	 */
	int (*piece)(void *arg, uint64_t off, uint64_t len, uint8_t *buf);
	void *arg;
};

/*
 * 0; what a piece said; or HULL_EAGAIN (E0353): the user ended it.  Pieces are
 * taken in rising order, so all below one that failed have been begun.
 */
int hull_disk_walk(const struct hull_disk_call *c, const struct hull_disk_walk *w,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* Copy a piece. */
struct hull_disk_copy {
	struct hull_image *from, *to;
	bool fresh;     /* `to` reads as zero where nothing was written: zeroes are left out */
	bool compress;  /* whole clusters, where that saves room */
	uint32_t grain; /* bytes: zeroes are looked for in such blocks; divides a piece */
	int depth;      /* copy only what the image at this depth of `from` holds; -1: all */
	bool failed_to_write; /* which side it was */
};
int hull_disk_copy_piece(void *arg, uint64_t off, uint64_t len, uint8_t *buf);

/* The grain that suits a target: its clusters, or 4 KiB. */
uint32_t hull_disk_grain(struct hull_image *to);

/* The error behind a code of hull_disk_copy_piece(). */
int hull_disk_copy_failed(const struct hull_disk_copy *k, int code, struct hull_err *err);

#endif
