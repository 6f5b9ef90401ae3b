/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/sharebackend.h"

#include <stdlib.h>
#include <string.h>

#include "host/share/wire.h"

static void perform(struct sharebackend *m, struct hull_share_req *req)
{
	uint8_t type = req->msg[4];

	for (unsigned i = 0; i < req->nsegs; i++) {
		uint8_t *p = req->segs[i].hva;

		for (uint64_t k = 0; k < req->segs[i].len; k++) {
			if (type == P9_TREAD)
				p[k] = (uint8_t)++req->data_moved;
			else
				m->sum += p[k];
		}
	}
	req->reply_len = P9_IO_HEADER;
	store_le32(req->reply, P9_IO_HEADER + req->data_moved);
	req->reply[4] = type + 1;
	memcpy(req->reply + 5, req->msg + 5, 2);
	store_le32(req->reply + 7, req->data_moved);
	if (type == P9_TFLUSH)
		req->reply_len = 0;
}

static int submit(struct hull_share *s, struct hull_share_req *req)
{
	struct sharebackend *m = (struct sharebackend *)s;

	m->submitted++;
	if (!m->async) {
		perform(m, req);
		return 1;
	}
	pthread_mutex_lock(&m->lock);
	req->next = m->queue;
	m->queue = req;
	m->active++;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void drain(struct hull_share *s)
{
	struct sharebackend *m = (struct sharebackend *)s;

	pthread_mutex_lock(&m->lock);
	m->hold = false;
	pthread_cond_broadcast(&m->changed);
	while (m->active)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

static void reset(struct hull_share *s)
{
	((struct sharebackend *)s)->resets++;
}

static void *worker(void *arg)
{
	struct sharebackend *m = arg;
	struct hull_share_req *req;

	pthread_mutex_lock(&m->lock);
	while (!m->quit) {
		if (!m->queue || m->hold) {
			pthread_cond_wait(&m->changed, &m->lock);
			continue;
		}
		req = m->queue;
		m->queue = req->next;
		perform(m, req);
		pthread_mutex_unlock(&m->lock);
		req->done(req);
		pthread_mutex_lock(&m->lock);
		m->active--;
		pthread_cond_broadcast(&m->changed);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

struct sharebackend *sharebackend_new(bool async)
{
	struct sharebackend *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->s = (struct hull_share){
		.tag = "nothing", .submit = submit, .drain = drain, .reset = reset
	};
	m->async = async;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	if (async && pthread_create(&m->thread, NULL, worker, m))
		abort();
	return m;
}

void sharebackend_free(struct sharebackend *m)
{
	if (m->async) {
		pthread_mutex_lock(&m->lock);
		m->quit = true;
		pthread_cond_broadcast(&m->changed);
		pthread_mutex_unlock(&m->lock);
		pthread_join(m->thread, NULL);
	}
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void sharebackend_hold(struct sharebackend *m, bool hold)
{
	pthread_mutex_lock(&m->lock);
	m->hold = hold;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}
