/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Frames between threads: a bounded ring of bytes, and a bell to wake its reader.
 *
 * A ring (core/frame_ring.h) has memory of HULL_NET_RING_BYTES and never grows: who finds it full
 * is told later that there is room (hull_net_ring_pop()).
 *
 * Threading: push from any thread; peek and pop from one.
 */
#ifndef HULL_HOST_NET_RING_H
#define HULL_HOST_NET_RING_H

#include <pthread.h>

#include "core/frame_ring.h"

enum { HULL_NET_RING_BYTES = 1 << 20 };

struct hull_net_ring {
	pthread_mutex_t mutex;
	struct hull_frame_ring ring; /* under the mutex */
};

/* HULL_ENOMEM. */
int hull_net_ring_init(struct hull_net_ring *r) HULL_CHECK_RESULT;
void hull_net_ring_fini(struct hull_net_ring *r); /* of zeroed memory, too */

/* False: no room.  A frame of an impossible length is taken and dropped. */
bool hull_net_ring_push(struct hull_net_ring *r, const struct hull_net_frame *f);
bool hull_net_ring_push_packet(struct hull_net_ring *r, const struct hull_net_packet *p);

/* The oldest frame, which stays until pop and may be changed in place; false: none. */
bool hull_net_ring_peek(struct hull_net_ring *r, struct hull_net_packet *ret);

/* Drop the oldest frame.  True: somebody was refused before, and half of the ring is free now. */
bool hull_net_ring_pop(struct hull_net_ring *r);

/* Bytes in use. */
uint32_t hull_net_ring_used(struct hull_net_ring *r);

/*
 * Wakes a thread that sleeps in poll().  The thread: look() and then look at
 * everything; sleep() tells how long to poll on fd (0: somebody rang meanwhile); awake().
 */
struct hull_net_bell {
	int fd;                /* an event descriptor; -1: none */
	uint32_t rung, asleep; /* atomic */
};

int hull_net_bell_init(struct hull_net_bell *b, struct hull_err *err) HULL_CHECK_RESULT;
void hull_net_bell_fini(struct hull_net_bell *b);
void hull_net_bell_ring(struct hull_net_bell *b); /* any thread */
void hull_net_bell_look(struct hull_net_bell *b);
int hull_net_bell_sleep(struct hull_net_bell *b, int timeout_ms);
void hull_net_bell_awake(struct hull_net_bell *b);

#endif
