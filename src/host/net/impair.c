/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/impair.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/prng.h"
#include "host/net/deliver.h"
#include "host/net/wrap.h"
#include "host/os/os.h"

enum { QUEUE = 1 << 15 /* more than frames of 14 bytes in a ring */, BURST_NS = 5000000 };

/* One direction. */
struct way {
	struct hull_net_ring ring;
	pthread_mutex_t mutex; /* of what decides about a frame that enters */
	struct hull_prng chance;
	uint64_t last_due;
	uint64_t due[QUEUE];    /* when each frame of the ring may leave */
	uint32_t head, tail;    /* free-running; head under the mutex, both atomic */
	uint64_t rate, free_ns; /* bytes per second; when the line is free again */
	uint16_t segment;
};

struct impair {
	struct hull_net_wrap wrap;
	struct hull_impair_options o;
	struct hull_net_bell bell;
	pthread_t thread;
	bool running;
	uint32_t quit;      /* atomic */
	struct way out, in; /* from and to the guest */
	uint8_t linear[HULL_NET_FRAME_MAX];
};

static struct impair *of(struct hull_net_wrap *w)
{
	return (struct impair *)w;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool happens(struct way *w, uint32_t ppm)
{
	return ppm && hull_prng_below(&w->chance, 1000000) < ppm;
}

/* Under the mutex.  False: the ring is full. */
static bool put(struct impair *i, struct way *w, const struct hull_net_frame *f)
{
	uint64_t due = now_ns() + i->o.delay_ns;

	if (w->head - hull_load_acquire(&w->tail) == QUEUE)
		return false;
	if (i->o.jitter_ns)
		due += hull_prng_below(&w->chance, 2 * i->o.jitter_ns + 1) - i->o.jitter_ns;
	w->due[w->head % QUEUE] = w->last_due = MAX(due, w->last_due);
	if (!hull_net_ring_push(&w->ring, f))
		return false;
	hull_store_release(&w->head, w->head + 1);
	return true;
}

static bool enter(struct impair *i, struct way *w, const struct hull_net_frame *f)
{
	struct hull_prng before;
	bool taken = true;

	if (f->len < 14 || f->len > HULL_NET_FRAME_MAX)
		return true; /* the ring would take it without keeping it */
	pthread_mutex_lock(&w->mutex);
	before = w->chance;
	if (!happens(w, i->o.loss_ppm)) {
		bool twice = happens(w, i->o.duplicate_ppm);

		taken = put(i, w, f);
		if (taken && twice)
			put(i, w, f);
	}
	if (!taken)
		w->chance = before; /* it comes again */
	pthread_mutex_unlock(&w->mutex);
	hull_net_bell_ring(&i->bell);
	return taken;
}

static bool impair_send(struct hull_net *n, const struct hull_net_frame *f)
{
	struct impair *i = of(hull_net_wrap_of(n));

	return enter(i, &i->out, f);
}

static bool impair_receive(void *arg, const struct hull_net_frame *f)
{
	struct impair *i = arg;

	return enter(i, &i->in, f);
}

static void impair_wake(struct hull_net *n)
{
	hull_net_bell_ring(&of(hull_net_wrap_of(n))->bell);
}

static void impair_writable(void *arg)
{
	hull_net_bell_ring(&((struct impair *)arg)->bell);
}

static bool leave(struct impair *i, struct way *w, struct hull_net_packet *p)
{
	struct hull_block_seg seg;
	struct hull_net_frame f;

	if (w == &i->in)
		return hull_net_deliver(&i->wrap.end.net, p, i->linear, &w->segment);
	f = hull_net_packet_frame(p, &seg);
	return i->wrap.inner->net.send(&i->wrap.inner->net, &f);
}

/* Let out what is due; returns when the next one is, or UINT64_MAX. */
static uint64_t move(struct impair *i, struct way *w)
{
	struct hull_net_packet p;
	uint64_t now, due;

	while (hull_load_acquire(&w->head) != w->tail) {
		now = now_ns();
		due = MAX(w->due[w->tail % QUEUE],
		          w->free_ns - MIN(w->free_ns, (uint64_t)BURST_NS));
		if (due > now)
			return due;
		if (!hull_net_ring_peek(&w->ring, &p) || !leave(i, w, &p))
			return UINT64_MAX;
		if (w->rate)
			w->free_ns = MAX(now, w->free_ns) + p.len * UINT64_C(1000000000) / w->rate;
		w->segment = 0;
		hull_store_release(&w->tail, w->tail + 1);
		if (!hull_net_ring_pop(&w->ring))
			continue;
		if (w == &i->out)
			hull_net_wrap_writable(i);
		else
			hull_net_wrap_ready(&i->wrap.end.net);
	}
	return UINT64_MAX;
}

static void *run(void *arg)
{
	struct impair *i = arg;
	struct pollfd p = { .fd = i->bell.fd, .events = POLLIN };

	while (!hull_load_acquire(&i->quit)) {
		struct timespec ts = { .tv_sec = 1000 };
		uint64_t next, now;

		hull_net_bell_look(&i->bell);
		hull_net_wrap_gives(&i->wrap);
		next = move(i, &i->out);
		next = MIN(next, move(i, &i->in));
		now = now_ns();
		if (next != UINT64_MAX) {
			next = next > now ? next - now : 0;
			ts.tv_sec = (time_t)(next / 1000000000);
			ts.tv_nsec = (long)(next % 1000000000);
		}
		if (!hull_net_bell_sleep(&i->bell, 1))
			ts = (struct timespec){ 0 };
		ppoll(&p, 1, &ts, NULL);
		hull_net_bell_awake(&i->bell);
	}
	return NULL;
}

static int impair_start(struct hull_net_end *e, struct hull_err *err)
{
	struct impair *i = of(hull_net_wrap_of(&e->net));
	int r;

	hull_net_wrap_gives(&i->wrap);
	if (!i->running) {
		hull_store_relaxed(&i->quit, 0);
		r = hull_os_thread(&i->thread, "hull-impair", run, i, err);
		if (r)
			return r;
		i->running = true;
	}
	return hull_net_start(i->wrap.inner, err);
}

static void impair_stop(struct hull_net_end *e)
{
	struct impair *i = of(hull_net_wrap_of(&e->net));

	hull_net_stop(i->wrap.inner);
	if (!i->running)
		return;
	hull_store_release(&i->quit, 1);
	hull_net_bell_ring(&i->bell);
	pthread_join(i->thread, NULL);
	i->running = false;
}

static void drop(struct impair *i)
{
	hull_net_bell_fini(&i->bell);
	hull_net_ring_fini(&i->in.ring);
	hull_net_ring_fini(&i->out.ring);
	pthread_mutex_destroy(&i->in.mutex);
	pthread_mutex_destroy(&i->out.mutex);
	free(i);
}

static void impair_close(struct hull_net_end *e)
{
	struct impair *i = of(hull_net_wrap_of(&e->net));

	hull_net_close(i->wrap.inner);
	drop(i);
}

static int way_init(struct way *w, uint64_t rate, uint64_t seed)
{
	pthread_mutex_init(&w->mutex, NULL);
	hull_prng_seed(&w->chance, seed);
	w->rate = rate;
	return hull_net_ring_init(&w->ring);
}

int hull_impair_open(const struct hull_impair_options *o, struct hull_net_end *inner,
                     struct hull_net_end **ret, struct hull_err *err)
{
	static const struct hull_net_kind kind = { "impair", impair_start, impair_stop,
		                                   impair_close };
	struct impair *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for an impaired line");
	i->o = *o;
	i->o.jitter_ns = MIN(o->jitter_ns, o->delay_ns);
	i->bell.fd = -1;
	r = way_init(&i->out, o->from_guest, o->seed);
	r = way_init(&i->in, o->to_guest, o->seed + 1) ? HULL_ENOMEM : r;
	r = r ? hull_fail(err, HULL_ENOMEM, 120, "no memory for an impaired line")
	      : hull_net_bell_init(&i->bell, err);
	if (r) {
		drop(i);
		return r;
	}
	hull_net_wrap_init(&i->wrap, inner, &kind);
	i->wrap.end.net.send = impair_send;
	i->wrap.end.net.ready = impair_wake;
	inner->net.receive = impair_receive;
	inner->net.writable = impair_writable;
	*ret = &i->wrap.end;
	return 0;
}
