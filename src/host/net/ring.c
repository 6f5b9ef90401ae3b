/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "host/os/os.h"

int hull_net_ring_init(struct hull_net_ring *r)
{
	r->ring = (struct hull_frame_ring){ .mem = malloc(HULL_NET_RING_BYTES),
		                            .size = HULL_NET_RING_BYTES };
	if (!r->ring.mem)
		return HULL_ENOMEM;
	pthread_mutex_init(&r->mutex, NULL);
	return 0;
}

void hull_net_ring_fini(struct hull_net_ring *r)
{
	if (!r->ring.mem)
		return;
	pthread_mutex_destroy(&r->mutex);
	free(r->ring.mem);
	r->ring.mem = NULL;
}

bool hull_net_ring_push(struct hull_net_ring *r, const struct hull_net_frame *f)
{
	bool taken;

	pthread_mutex_lock(&r->mutex);
	taken = hull_frame_ring_push(&r->ring, f);
	pthread_mutex_unlock(&r->mutex);
	return taken;
}

bool hull_net_ring_push_packet(struct hull_net_ring *r, const struct hull_net_packet *p)
{
	struct hull_block_seg seg;
	struct hull_net_frame f = hull_net_packet_frame(p, &seg);

	return hull_net_ring_push(r, &f);
}

bool hull_net_ring_peek(struct hull_net_ring *r, struct hull_net_packet *ret)
{
	bool any;

	pthread_mutex_lock(&r->mutex);
	any = hull_frame_ring_peek(&r->ring, ret);
	pthread_mutex_unlock(&r->mutex);
	return any;
}

bool hull_net_ring_pop(struct hull_net_ring *r)
{
	bool tell;

	pthread_mutex_lock(&r->mutex);
	tell = hull_frame_ring_pop(&r->ring);
	pthread_mutex_unlock(&r->mutex);
	return tell;
}

uint32_t hull_net_ring_used(struct hull_net_ring *r)
{
	uint32_t n;

	pthread_mutex_lock(&r->mutex);
	n = r->ring.head - r->ring.tail;
	pthread_mutex_unlock(&r->mutex);
	return n;
}

int hull_net_bell_init(struct hull_net_bell *b, struct hull_err *err)
{
	char reason[64];

	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->rung = b->asleep = 0;
	return b->fd >= 0 ? 0
	                  : hull_fail(err, hull_os_error(errno), 505,
	                              "no event descriptor for a network: %s",
	                              hull_os_reason(errno, reason, sizeof(reason)));
}

void hull_net_bell_fini(struct hull_net_bell *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

void hull_net_bell_ring(struct hull_net_bell *b)
{
	uint64_t one = 1;

	hull_store_release(&b->rung, 1);
	hull_fence_seqcst(); /* pairs with hull_net_bell_sleep() */
	if (hull_load_relaxed(&b->asleep) && write(b->fd, &one, sizeof(one)) < 0) {
		/* The counter is full: it is awake. */
	}
}

void hull_net_bell_look(struct hull_net_bell *b)
{
	hull_store_relaxed(&b->rung, 0);
	hull_fence_seqcst(); /* what was done before a ring that is forgotten here is seen below */
}

int hull_net_bell_sleep(struct hull_net_bell *b, int timeout_ms)
{
	hull_store_relaxed(&b->asleep, 1);
	hull_fence_seqcst(); /* pairs with hull_net_bell_ring() */
	return hull_load_acquire(&b->rung) ? 0 : timeout_ms;
}

void hull_net_bell_awake(struct hull_net_bell *b)
{
	uint64_t count;

	hull_store_relaxed(&b->asleep, 0);
	if (hull_load_relaxed(&b->rung) && read(b->fd, &count, sizeof(count)) < 0) {
		/* Nobody rang. */
	}
}
