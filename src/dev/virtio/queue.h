/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Split virtqueues, device side.
 *
 * Spec: VIRTIO 1.3, 2.6-2.7.
 *
 * The guest is hostile: every value in guest memory is fetched once, by copy,
 * then checked, then used; a chain has at most as many descriptors as the
 * queue; addresses are resolved by the address space at each access.  What no
 * driver may do makes the queue broken: it stays so until it is set up again.
 *
 * Threading: under the lane of the device that the queue belongs to.
 */
#ifndef HULL_DEV_VIRTIO_QUEUE_H
#define HULL_DEV_VIRTIO_QUEUE_H

#include <hull/types.h>
#include "core/aspace.h"
#include "core/field.h"

struct hull_vm;

enum { HULL_VIRTQ_MAX = 1024 }; /* descriptors of a queue */

struct hull_virtq {
	struct hull_vm *vm;
	const char *why;     /* what broke it: a constant text */
	hull_gpa desc;       /* descriptor table */
	hull_gpa driver;     /* available ring */
	hull_gpa device;     /* used ring */
	uint32_t epoch;      /* counts set-ups: late completions compare it */
	uint16_t max;        /* of the device, a power of two */
	uint16_t num;        /* descriptors */
	uint16_t last_avail; /* the next available entry to take, free running */
	uint16_t used;       /* the next used entry to fill, free running */
	uint16_t signalled;  /* `used` when the driver was last told */
	uint8_t ready, broken;
	uint8_t indirect, event_idx; /* negotiated */
};

/* The saved state of the array `q` of queues in `type`. */
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
	uint16_t head;
	uint16_t nread, nwrite;
	struct hull_virtq_seg seg[HULL_VIRTQ_MAX];
};

/* Disable and forget everything but `vm` and `max`. */
void hull_virtq_reset(struct hull_virtq *q);

/* Can it be enabled as it is set up?  Size, alignment, no wrap. */
bool hull_virtq_valid(const struct hull_virtq *q);

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

/* Return a request, `len` bytes of which were written.  0, or HULL_EFAULT: broken. */
int hull_virtq_push(struct hull_virtq *q, uint16_t head, uint32_t len);

/* Return `n` requests, 1 to the size of the queue; the driver sees all of them at once. */
struct hull_virtq_used {
	uint16_t head;
	uint32_t len;
};
int hull_virtq_push_all(struct hull_virtq *q, const struct hull_virtq_used *u, unsigned n);

/* Must the driver be told about what was pushed?  Assumes that it then is. */
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
