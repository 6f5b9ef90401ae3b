/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/membackend.h"

#include <stdlib.h>
#include <string.h>

static void perform(struct membackend *m, struct hull_block_req *req)
{
	uint8_t *at = m->data + req->offset;

	req->status = m->fail;
	if (m->fail)
		return;
	switch (req->op) {
	case HULL_BLOCK_READ:
		for (unsigned i = 0; i < req->nsegs; at += req->segs[i++].len)
			memcpy(req->segs[i].hva, at, req->segs[i].len);
		break;
	case HULL_BLOCK_WRITE:
		for (unsigned i = 0; i < req->nsegs; at += req->segs[i++].len)
			memcpy(at, req->segs[i].hva, req->segs[i].len);
		break;
	case HULL_BLOCK_FLUSH: break;
	case HULL_BLOCK_DISCARD: memset(at, 0xdd, req->len); break;
	case HULL_BLOCK_WRITE_ZEROES: memset(at, 0, req->len); break;
	}
}

static void note(struct membackend *m, const struct hull_block_req *req)
{
	m->submitted++;
	m->last = req->op;
	m->unmap = req->unmap;
}

static int submit(struct hull_block *b, struct hull_block_req *req)
{
	struct membackend *m = (struct membackend *)b;

	if (!m->async) {
		note(m, req);
		perform(m, req);
		return 1;
	}
	pthread_mutex_lock(&m->lock);
	note(m, req);
	req->next = m->queue;
	m->queue = req;
	m->active++;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void drain(struct hull_block *b)
{
	struct membackend *m = (struct membackend *)b;

	pthread_mutex_lock(&m->lock);
	m->hold = false;
	pthread_cond_broadcast(&m->changed);
	while (m->active)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

/* How many. */
static unsigned answer(struct membackend *m, struct hull_block_req *req)
{
	unsigned queue = req->queue, n = 0;

	for (struct hull_block_req *next; req; req = next, n++) {
		next = req->next;
		perform(m, req);
		req->batched = m->batch;
		req->done(req);
	}
	if (m->batch)
		m->b.settled(m->b.settled_arg, queue);
	return n;
}

/* With the lock: those of one queue if they are a batch, else one. */
static struct hull_block_req *take(struct membackend *m)
{
	struct hull_block_req *first = m->queue, *last = first;

	while (m->batch && last->next && last->next->queue == first->queue)
		last = last->next;
	m->queue = last->next;
	last->next = NULL;
	return first;
}

static void *worker(void *arg)
{
	struct membackend *m = arg;
	struct hull_block_req *req;
	unsigned n;

	pthread_mutex_lock(&m->lock);
	while (!m->quit) {
		if (!m->queue || m->hold) {
			pthread_cond_wait(&m->changed, &m->lock);
			continue;
		}
		req = take(m);
		pthread_mutex_unlock(&m->lock);
		n = answer(m, req);
		pthread_mutex_lock(&m->lock);
		m->active -= n;
		pthread_cond_broadcast(&m->changed);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

struct membackend *membackend_new(uint64_t size, bool async)
{
	struct membackend *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->data = calloc(1, size);
	m->b = (struct hull_block){
		.size = size, .can_discard = true, .submit = submit, .drain = drain
	};
	memcpy(m->b.serial, "memory-disk", 11);
	m->async = async;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	if (!m->data || (async && pthread_create(&m->thread, NULL, worker, m)))
		abort();
	return m;
}

void membackend_free(struct membackend *m)
{
	if (m->async) {
		pthread_mutex_lock(&m->lock);
		m->quit = true;
		pthread_cond_broadcast(&m->changed);
		pthread_mutex_unlock(&m->lock);
		pthread_join(m->thread, NULL);
	}
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->changed);
	free(m->data);
	free(m);
}

void membackend_hold(struct membackend *m, bool hold)
{
	pthread_mutex_lock(&m->lock);
	m->hold = hold;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}
