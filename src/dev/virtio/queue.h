/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Virtqueues, device side: split and packed rings, in order or not, behind one interface.
 *
 * Spec: VIRTIO 1.3, 2.6-2.8.
 *
 * The guest is hostile: every value in guest memory is fetched once, by copy, then checked, then
 * used; a chain has at most as many descriptors as the queue; addresses are resolved by the address
 * space at each access.  What no driver may do makes the queue broken: it stays so until it is set
 * up again.
 *
 * Cost: within hull_virtq_begin() and hull_virtq_end() the rings are views (core/aspace.h), so that
 * an access is one load or store; used entries become visible once per batch.
 *
 * Threading: under the lane that the queue belongs to, see virtio.h.
 */
#ifndef HULL_DEV_VIRTIO_QUEUE_H
#define HULL_DEV_VIRTIO_QUEUE_H

#include <hull/types.h>
#include "core/aspace.h"
#include "core/field.h"

struct hull_vm;

enum { HULL_VIRTQ_MAX = 1024 }; /* descriptors of a queue */

/* A request that was taken and not yet returned, by its number (head or buffer id). */
struct hull_virtq_flight {
	uint32_t len;  /* if it is done */
	uint32_t seq;  /* how many were taken before it */
	uint16_t n;    /* descriptors; 0: not in flight */
	uint16_t next; /* taken after it; in order only */
	bool done;     /* in order: waits for those before it */
};

struct hull_virtq {
	struct hull_vm *vm;
	const char *why;     /* what broke it: a constant text */
	hull_gpa desc;       /* descriptor table or ring */
	hull_gpa driver;     /* available ring, or driver event suppression */
	hull_gpa device;     /* used ring, or device event suppression */
	uint32_t epoch;      /* counts set-ups: late completions compare it */
	uint16_t max;        /* of the device, a power of two */
	uint16_t num;        /* descriptors */
	uint16_t last_avail; /* the next available entry to take */
	uint16_t used;       /* the next used entry to fill */
	uint16_t signalled;  /* `used` when the driver was last told */
	uint8_t ready, broken;
	uint8_t indirect, event_idx, packed, in_order; /* negotiated */

	/* The rest is of the moment: not saved, private to the queue's code. */
	uint8_t peeked;           /* peek_* is what take takes */
	uint8_t staged;           /* used entries were filled in that the driver cannot see */
	uint16_t peek_id, peek_n; /* number, descriptors */
	uint16_t avail;           /* split: avail.idx as last seen */
	uint16_t stage_at;        /* packed: index of the first of them */
	uint64_t stage_word;      /* packed: its last 8 bytes */
	uint16_t first, last;     /* in order: the oldest and newest in flight */
	uint32_t taken;           /* counts; of the flights, those from here on are not */
	uint16_t nflight;         /* in order: how many */
	unsigned depth;           /* of begin */
	struct hull_view vdesc, vdriver, vdevice;
	struct hull_virtq_flight *flight; /* max of them; NULL: neither packed nor in order */
};

/*
 * The saved state of the array `q` of queues in `type`.  Split: indexes run freely; packed: bit 15
 * is the wrap counter.
 */
#define HULL_VIRTQ_FIELDS(type, q)                                                    \
	HULL_FIELD_EACH(type, q, desc), HULL_FIELD_EACH(type, q, driver),             \
		HULL_FIELD_EACH(type, q, device), HULL_FIELD_EACH(type, q, num),      \
		HULL_FIELD_EACH(type, q, last_avail), HULL_FIELD_EACH(type, q, used), \
		HULL_FIELD_EACH(type, q, signalled), HULL_FIELD_EACH(type, q, ready), \
		HULL_FIELD_EACH(type, q, broken)

struct hull_virtq_seg {
	hull_gpa gpa; /* gpa + len does not wrap */
	uint32_t len; /* not 0 */
};

/* One request: first `nread` segments that the device reads, then `nwrite` that it writes. */
struct hull_virtq_chain {
	uint64_t read_len, write_len; /* bytes */
	uint16_t head;                /* its number, for hull_virtq_push() */
	uint16_t nread, nwrite;
	struct hull_virtq_seg seg[HULL_VIRTQ_MAX];
};

/* Disable and forget everything but `vm`, `max`, `flight` and what was negotiated. */
void hull_virtq_reset(struct hull_virtq *q);

/* Can it be enabled as it is set up?  Size, alignment, no wrap, indexes within it. */
bool hull_virtq_valid(const struct hull_virtq *q);

/* Enable it at its beginning; it is valid. */
void hull_virtq_start(struct hull_virtq *q);

/* The saved fields and the negotiated ones were loaded, from wherever: check them, and go on. */
void hull_virtq_restored(struct hull_virtq *q);

/* Around a batch of what follows: cheaper so, and no change of the map in between.  They nest. */
void hull_virtq_begin(struct hull_virtq *q);
void hull_virtq_end(struct hull_virtq *q);

/*
 * Look at the next request without taking it.  1: *ret is filled in; 0: there
 * is none, and the driver will notify about the next; HULL_EFAULT: broken.
 */
int hull_virtq_peek(struct hull_virtq *q, struct hull_virtq_chain *ret);

/*
 * Take what peek showed.  Taken requests go back to the ring if the whole struct hull_virtq is set
 * to a copy from before they were taken, nothing was pushed meanwhile, and it is not broken.
 */
void hull_virtq_take(struct hull_virtq *q);

/*
 * Return request `head`, `len` bytes of which were written: in any order, whatever was negotiated.
 * The driver sees it after hull_virtq_must_signal().  0, or HULL_EFAULT: broken.
 */
int hull_virtq_push(struct hull_virtq *q, uint16_t head, uint32_t len);

/* Return `n` requests, 1 to the size of the queue; the driver sees all of them at once. */
struct hull_virtq_used {
	uint16_t head;
	uint32_t len;
};
int hull_virtq_push_all(struct hull_virtq *q, const struct hull_virtq_used *u, unsigned n);

/* Show what was pushed.  Must the driver be told?  Assumes that it then is. */
bool hull_virtq_must_signal(struct hull_virtq *q);

/* Mark it broken; returns HULL_EFAULT.  The first reason is kept. */
int hull_virtq_break(struct hull_virtq *q, const char *why);

/*
 * Copy out of the readable part or into the writable part of a chain, from
 * byte `off` of that part.  False if the part is shorter or not memory.
 */
bool hull_virtq_copy_in(const struct hull_virtq *q, const struct hull_virtq_chain *c, uint64_t off,
                        void *buf, uint64_t len);
bool hull_virtq_copy_out(const struct hull_virtq *q, const struct hull_virtq_chain *c, uint64_t off,
                         const void *buf, uint64_t len);

/* Bytes [off, off + len) of the readable or the writable part of a chain. */
struct hull_virtq_part {
	const struct hull_virtq_chain *chain;
	bool write;
	uint64_t off, len;
};

/*
 * Open DMA windows (core/aspace.h) onto it, at most `max`.  How many; 0: it is empty, not all
 * memory, or needs more of them, and none is open.  They are closed by hull_virtq_windows_end().
 */
unsigned hull_virtq_windows(const struct hull_virtq *q, const struct hull_virtq_part *part,
                            struct hull_dma *ret, unsigned max);
void hull_virtq_windows_end(const struct hull_virtq *q, struct hull_dma *windows, unsigned n);

#endif
