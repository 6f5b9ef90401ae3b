/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Backends: the host things behind devices.
 *
 * A backend embeds one of these as its first member.  Devices call it under
 * their lane; callbacks towards the device come without any lane held, and
 * the device takes its own.
 */
#ifndef HULL_CORE_BACKEND_H
#define HULL_CORE_BACKEND_H

#include <hull/error.h>
#include <hull/types.h>

/* A byte stream: terminal, file, buffer. */
struct hull_char {
	/* Write up to `len` bytes; returns how many were taken, 0 if it would block. */
	size_t (*write)(struct hull_char *c, const void *buf, size_t len);
	/* Take up to `len` bytes that have arrived; 0 if there are none. */
	size_t (*read)(struct hull_char *c, void *buf, size_t len);
	/* Set by the device: called by the backend's thread when bytes have arrived. */
	void (*readable)(void *arg);
	void *readable_arg;
};

enum hull_block_op {
	HULL_BLOCK_READ,
	HULL_BLOCK_WRITE,
	HULL_BLOCK_FLUSH,
	HULL_BLOCK_DISCARD,
	HULL_BLOCK_WRITE_ZEROES,
};

struct hull_block_seg {
	void *hva;
	uint64_t len;
};

/*
 * One request.  The device owns it before submit() and after done(); the
 * backend in between.  `offset` and `len` are multiples of 512 and within the
 * capacity: the device has checked that.
 */
struct hull_block_req {
	enum hull_block_op op;
	uint64_t offset;                   /* bytes */
	uint64_t len;                      /* bytes: all segments together, or the range */
	const struct hull_block_seg *segs; /* READ and WRITE */
	unsigned nsegs;
	int status; /* result: 0 or HULL_E... */
	/* Called once, from any thread without a lane, unless submit answered at once. */
	void (*done)(struct hull_block_req *req);
	struct hull_block_req *next; /* the backend's */
};

struct hull_block {
	uint64_t size; /* bytes, a multiple of 512 */
	bool read_only;
	bool can_discard;
	char serial[21]; /* VIRTIO 1.3, 5.2.6: 20 bytes, NUL-padded */
	/* 1: finished, req->status is set and done() will not be called.  0: done() comes later. */
	int (*submit)(struct hull_block *b, struct hull_block_req *req);
	/* Wait until every request that was submitted is done.  Not under the device's lane. */
	void (*drain)(struct hull_block *b);
};

#endif
