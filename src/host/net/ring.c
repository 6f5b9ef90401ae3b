/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "host/os/os.h"

enum { SIZE = HULL_NET_RING_BYTES, ALIGN = 16, HEAD = 32 };

_Static_assert(sizeof(struct hull_net_packet) <= HEAD, "a header fits before its frame");

int hull_net_ring_init(struct hull_net_ring *r)
{
	r->mem = malloc(SIZE);
	if (!r->mem)
		return HULL_ENOMEM;
	pthread_mutex_init(&r->mutex, NULL);
	r->head = r->tail = 0;
	r->starved = false;
	return 0;
}

void hull_net_ring_fini(struct hull_net_ring *r)
{
	if (!r->mem)
		return;
	pthread_mutex_destroy(&r->mutex);
	free(r->mem);
	r->mem = NULL;
}

static uint32_t room_for(uint32_t len)
{
	return (uint32_t)align_up(HEAD + (uint64_t)len, ALIGN);
}

/* Under the mutex: where the next frame goes; NULL if there is no room. */
static uint8_t *reserve(struct hull_net_ring *r, uint32_t len)
{
	uint32_t need = room_for(len), at = r->head % SIZE, left = SIZE - at;
	struct hull_net_packet skip = { 0 };

	/* A frame lies in one piece; a header of length 0 sends the reader to the start. */
	if (left < need) {
		if (SIZE - (r->head - r->tail) < left + need)
			return NULL;
		memcpy(r->mem + at, &skip, MIN((size_t)left, sizeof(skip)));
		r->head += left;
		at = 0;
	} else if (SIZE - (r->head - r->tail) < need) {
		return NULL;
	}
	return r->mem + at;
}

bool hull_net_ring_push(struct hull_net_ring *r, const struct hull_net_frame *f)
{
	struct hull_net_packet p = { .len = f->len,
		                     .flags = f->flags,
		                     .gso_type = f->gso_type,
		                     .gso_size = f->gso_size,
		                     .hdr_len = f->hdr_len,
		                     .csum_start = f->csum_start,
		                     .csum_offset = f->csum_offset };
	uint8_t *to;
	uint32_t done = 0;

	if (f->len < 14 || f->len > HULL_NET_FRAME_MAX)
		return true;
	pthread_mutex_lock(&r->mutex);
	to = reserve(r, f->len);
	if (!to) {
		r->starved = true;
		pthread_mutex_unlock(&r->mutex);
		return false;
	}
	p.data = to + HEAD;
	memcpy(to, &p, sizeof(p));
	for (unsigned i = 0; i < f->nsegs && done < f->len; i++) {
		uint32_t n = (uint32_t)MIN(f->segs[i].len, (uint64_t)(f->len - done));

		memcpy(to + HEAD + done, f->segs[i].hva, n);
		done += n;
	}
	memset(to + HEAD + done, 0, f->len - done);
	r->head += room_for(f->len);
	pthread_mutex_unlock(&r->mutex);
	return true;
}

bool hull_net_ring_push_packet(struct hull_net_ring *r, const struct hull_net_packet *p)
{
	struct hull_block_seg seg;
	struct hull_net_frame f = hull_net_packet_frame(p, &seg);

	return hull_net_ring_push(r, &f);
}

/* Under the mutex: pass over the end of the memory. */
static bool settle(struct hull_net_ring *r)
{
	struct hull_net_packet p = { 0 };
	uint32_t at = r->tail % SIZE;

	if (r->head == r->tail)
		return false;
	memcpy(&p, r->mem + at, MIN((size_t)(SIZE - at), sizeof(p)));
	if (SIZE - at < HEAD || !p.len)
		r->tail += SIZE - at;
	return r->head != r->tail;
}

bool hull_net_ring_peek(struct hull_net_ring *r, struct hull_net_packet *ret)
{
	bool any;

	pthread_mutex_lock(&r->mutex);
	any = settle(r);
	if (any)
		memcpy(ret, r->mem + r->tail % SIZE, sizeof(*ret));
	pthread_mutex_unlock(&r->mutex);
	return any;
}

bool hull_net_ring_pop(struct hull_net_ring *r)
{
	struct hull_net_packet p;
	bool tell = false;

	pthread_mutex_lock(&r->mutex);
	if (settle(r)) {
		memcpy(&p, r->mem + r->tail % SIZE, sizeof(p));
		r->tail += room_for(p.len);
		tell = r->starved && r->head - r->tail <= SIZE / 2;
		if (tell)
			r->starved = false;
	}
	pthread_mutex_unlock(&r->mutex);
	return tell;
}

uint32_t hull_net_ring_used(struct hull_net_ring *r)
{
	uint32_t n;

	pthread_mutex_lock(&r->mutex);
	n = r->head - r->tail;
	pthread_mutex_unlock(&r->mutex);
	return n;
}

struct hull_net_frame hull_net_packet_frame(const struct hull_net_packet *p,
                                            struct hull_block_seg *seg)
{
	seg->hva = p->data;
	seg->len = p->len;
	return (struct hull_net_frame){ .segs = seg,
		                        .nsegs = 1,
		                        .len = p->len,
		                        .flags = p->flags,
		                        .gso_type = p->gso_type,
		                        .gso_size = p->gso_size,
		                        .hdr_len = p->hdr_len,
		                        .csum_start = p->csum_start,
		                        .csum_offset = p->csum_offset };
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
