/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Disks: what becomes of a request; see disk.h. */
#include "host/block/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/block/disk_impl.h"
#include "host/os/os.h"

#define NS_PER_S UINT64_C(1000000000)

/*
 * Writes at once: their size; how long is long, how many are watched then, and for how much longer
 * the threads have them if one did wait.
 */
enum { NOW_MAX = 32 << 10, SLOW_NS = 300000, WATCHED = 256, SLOW_TIMES = 100 };

/* A segment of a request is one of struct iovec. */
_Static_assert(sizeof(struct hull_block_seg) == sizeof(struct iovec) &&
                       offsetof(struct hull_block_seg, len) == offsetof(struct iovec, iov_len) &&
                       sizeof(size_t) == sizeof(uint64_t),
               "segments are passed on as they are");

static struct disk *of(const struct hull_block *b)
{
	return (struct disk *)(uintptr_t)b;
}

static const struct iovec *vectors(const struct hull_block_req *req)
{
	return (const struct iovec *)req->segs;
}

/* Comparing a block with itself, moved by one byte, asks whether all bytes are alike. */
static bool is_zero(const struct iovec *v)
{
	const char *p = v->iov_base;

	return !v->iov_len || (!p[0] && !memcmp(p, p + 1, v->iov_len - 1));
}

static bool all_zero(const struct hull_block_req *req)
{
	for (unsigned i = 0; i < req->nsegs; i++)
		if (!is_zero(&vectors(req)[i]))
			return false;
	return req->nsegs > 0;
}

static int write_data(struct disk *d, const struct hull_block_req *req, bool fua)
{
	const struct hull_disk_options *o = &d->options;

	if (o->detect_zeroes && all_zero(req))
		return hull_image_write_zeroes(d->img, req->offset, req->len,
		                               o->detect_zeroes == HULL_DISK_ZEROES_UNMAP, fua);
	return hull_image_writev(d->img, req->offset, vectors(req), (int)req->nsegs, req->len, fua);
}

int hull_disk_perform(struct disk *d, const struct hull_block_req *req)
{
	bool fua = req->fua || d->options.writethrough;

	switch (req->op) {
	case HULL_BLOCK_READ:
		return hull_image_readv(d->img, req->offset, vectors(req), (int)req->nsegs,
		                        req->len);
	case HULL_BLOCK_WRITE: return write_data(d, req, fua);
	case HULL_BLOCK_FLUSH: return hull_image_flush(d->img);
	case HULL_BLOCK_DISCARD:
		if (d->img->read_only)
			return HULL_EPERM;
		return d->options.discard ? hull_image_discard(d->img, req->offset, req->len) : 0;
	case HULL_BLOCK_WRITE_ZEROES:
		return hull_image_write_zeroes(d->img, req->offset, req->len,
		                               req->unmap && d->options.discard, fua);
	}
	return HULL_ENOTSUP;
}

/* Is a failure the host's, and not that of a guest that asks for what there is not? */
static bool is_host_failure(int status)
{
	return status && status != HULL_EPERM && status != HULL_EINVAL && status != HULL_ENOTSUP;
}

static bool shall_pause(struct disk *d, int status)
{
	enum hull_disk_on_error policy = d->options.on_error;

	if (hull_load_acquire(&d->giving_up) || d->drainers)
		return false;
	return policy == HULL_DISK_ON_ERROR_PAUSE ||
	       (policy == HULL_DISK_ON_ERROR_ENOSPC && status == HULL_ENOSPC);
}

static void tell(struct disk *d, const struct hull_block_req *req, int status, bool paused)
{
	struct hull_disk_failure f = { .path = d->img->path,
		                       .op = req->op,
		                       .offset = req->offset,
		                       .len = req->len,
		                       .status = status,
		                       .paused = paused };

	if (d->options.failed)
		d->options.failed(d->options.arg, &f);
}

/* True: req->status is set.  False: it is parked, and belongs to nobody else any more. */
static bool settle(struct disk *d, struct hull_block_req *req, int status)
{
	struct hull_block_req what = *req;
	bool parked = false;

	req->status = status;
	if (LIKELY(!is_host_failure(status)))
		return true;
	if (d->options.on_error == HULL_DISK_ON_ERROR_IGNORE) {
		if (req->op == HULL_BLOCK_READ)
			hull_iov_zero(vectors(req), (int)req->nsegs, 0, req->len);
		req->status = 0;
	} else {
		pthread_mutex_lock(&d->mutex);
		parked = shall_pause(d, status);
		if (parked) {
			(void)hull_disk_rest(req, true);
			hull_disk_push(&d->parked, req);
			hull_add_seqcst(&d->nparked, 1u);
		}
		pthread_mutex_unlock(&d->mutex);
	}
	tell(d, &what, status, parked);
	return !parked;
}

static void unpend(struct disk *d)
{
	if (hull_add_seqcst(&d->pending, -1u) != 1)
		return;
	/* Pairs with drain(), which looks with the mutex. */
	pthread_mutex_lock(&d->mutex);
	pthread_cond_broadcast(&d->idle);
	pthread_mutex_unlock(&d->mutex);
}

void hull_disk_finish(struct disk *d, struct hull_block_req *req, int status)
{
	if (!settle(d, req, status))
		return;
	req->done(req);
	unpend(d);
}

void hull_disk_finish_all(struct disk_queue *q, struct hull_block_req *const *reqs, unsigned n)
{
	struct disk *d = q->disk;
	bool batch = n > 1 && d->block.settled;

	/* The device is there until the last of them no longer counts. */
	for (unsigned i = 0; i < n; i++) {
		reqs[i]->status = 0;
		reqs[i]->batched = batch;
		reqs[i]->done(reqs[i]);
		if (!batch)
			unpend(d);
	}
	if (!batch)
		return;
	d->block.settled(d->block.settled_arg, (unsigned)(q - d->queues));
	while (n--)
		unpend(d);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t takes_ns(uint64_t amount, uint64_t rate)
{
	uint64_t whole = amount / rate, rest = amount % rate;

	if (whole > UINT32_MAX)
		whole = UINT32_MAX;
	/* The rest is below the rate; both are shortened until the product fits. */
	while (rest > UINT64_MAX / NS_PER_S) {
		rest >>= 1;
		rate >>= 1;
	}
	return whole * NS_PER_S + rest * NS_PER_S / rate;
}

/*
 * With the mutex: when may this request go?  0: now, and it is booked.  A limit is the time until
 * which what went through would have taken, and may be ahead of the clock by the burst.
 */
static uint64_t book(struct disk_limit *l, const struct hull_block_req *req, uint64_t now)
{
	uint64_t ahead = now + l->burst_ns;

	if ((l->iops && l->ops_ns > ahead) || (l->bytes_per_s && l->bytes_ns > ahead))
		return MAX(l->iops ? l->ops_ns : 0, l->bytes_per_s ? l->bytes_ns : 0) - l->burst_ns;
	if (l->iops)
		l->ops_ns = MAX(l->ops_ns, now) + takes_ns(1, l->iops);
	if (l->bytes_per_s && (req->op == HULL_BLOCK_READ || req->op == HULL_BLOCK_WRITE))
		l->bytes_ns = MAX(l->bytes_ns, now) + takes_ns(req->len, l->bytes_per_s);
	return 0;
}

static struct disk_queue *queue_of(struct disk *d, const struct hull_block_req *req)
{
	return &d->queues[req->queue % d->nqueues];
}

/* Must it wait for its turn?  Then it is counted as pending, and goes by itself later. */
static bool delayed(struct disk *d, struct hull_block_req *req)
{
	struct disk_limit *l = &d->limit;
	bool wait;

	if (!l->threaded || req->op == HULL_BLOCK_FLUSH)
		return false;
	pthread_mutex_lock(&l->mutex);
	wait = !l->quit && (l->waiting.first || book(l, req, now_ns()));
	if (wait) {
		hull_add_seqcst(&d->pending, 1u);
		(void)hull_disk_rest(req, true);
		hull_disk_push(&l->waiting, req);
		pthread_cond_signal(&l->changed);
	}
	pthread_mutex_unlock(&l->mutex);
	return wait;
}

static void *limiter(void *arg)
{
	struct disk *d = arg;
	struct disk_limit *l = &d->limit;

	pthread_mutex_lock(&l->mutex);
	while (!l->quit || l->waiting.first) {
		struct hull_block_req *req = l->waiting.first;
		uint64_t at = req && !l->quit ? book(l, req, now_ns()) : 0;
		struct timespec t = { .tv_sec = (time_t)(at / NS_PER_S),
			              .tv_nsec = (long)(at % NS_PER_S) };
		struct disk_list one = { 0 };

		if (!req) {
			pthread_cond_wait(&l->changed, &l->mutex);
		} else if (at) {
			pthread_cond_timedwait(&l->changed, &l->mutex, &t);
		} else {
			(void)hull_disk_pop(&l->waiting);
			pthread_mutex_unlock(&l->mutex);
			if (hull_disk_rest(req, false)) {
				hull_disk_push(&one, req);
				hull_disk_threads_add(queue_of(d, req), &one);
			} else {
				hull_disk_finish(d, req, HULL_EINVAL);
			}
			pthread_mutex_lock(&l->mutex);
		}
	}
	pthread_mutex_unlock(&l->mutex);
	return NULL;
}

/* What the host has in memory is read at once: waking a thread would take longer than the copy. */
static bool read_now(struct disk *d, struct hull_block_req *req)
{
	const struct hull_image_format *f = d->img->format;

	if (req->op != HULL_BLOCK_READ || !f->read_now || req->nsegs > DISK_VECTORS ||
	    !hull_range_within(req->offset, req->len, 0, hull_load_acquire(&d->img->size)) ||
	    f->read_now(d->img, req->offset, vectors(req), (int)req->nsegs, req->len) != 1)
		return false;
	req->status = 0;
	return true;
}

/* How often this thread has waited for something; losing the processor to others is not that. */
static long waits(void)
{
	struct rusage r;

	return getrusage(RUSAGE_THREAD, &r) ? 0 : r.ru_nvcsw;
}

/*
 * So is a small write into the host's cache, unless one of late had to wait there: the host
 * throttles who writes too much.  Counting waits takes a system call, so it is done for a while
 * after a long write only; a host that throttles does so again and again.
 */
static bool write_now(struct disk *d, struct disk_queue *q, struct hull_block_req *req)
{
	uint64_t begun, took;
	long before;

	if (req->op != HULL_BLOCK_WRITE || req->len > NOW_MAX || req->fua || !d->local ||
	    d->options.writethrough)
		return false;
	begun = now_ns();
	if (begun < q->slow_until_ns)
		return false;
	/* It may wait for what pins clusters, and the ring does so from submit() on. */
	if (q->ring)
		hull_disk_ring_kick(q->ring);
	before = q->watched ? waits() : 0;
	/* The threads find out again about a failure, and may wait with it. */
	if (hull_disk_perform(d, req))
		return false;
	took = now_ns() - begun;
	if (took > SLOW_NS) {
		if (q->watched && waits() != before)
			q->slow_until_ns = begun + took * SLOW_TIMES;
		q->watched = WATCHED;
	} else if (q->watched) {
		q->watched--;
	}
	req->status = 0;
	return true;
}

static int submit(struct hull_block *b, struct hull_block_req *req)
{
	struct disk *d = of(b);
	struct disk_queue *q = queue_of(d, req);

	if (d->options.at_once) {
		hull_add_seqcst(&d->pending, 1u);
		if (!settle(d, req, hull_disk_perform(d, req)))
			return 0;
		unpend(d);
		return 1;
	}
	if (delayed(d, req))
		return 0;
	if (read_now(d, req) || write_now(d, q, req))
		return 1;
	hull_add_seqcst(&d->pending, 1u);
	if (!q->ring || !hull_disk_ring_add(q->ring, req))
		hull_disk_push(&q->batch, req);
	return 0;
}

static void kick(struct hull_block *b, unsigned queue)
{
	struct disk *d = of(b);
	struct disk_queue *q = &d->queues[queue % d->nqueues];

	if (q->ring)
		hull_disk_ring_kick(q->ring);
	hull_disk_threads_add(q, &q->batch);
}

bool hull_disk_paused(const struct hull_block *b)
{
	return hull_load_acquire(&of(b)->nparked) != 0;
}

static struct hull_block_req *unpark(struct disk *d)
{
	struct hull_block_req *req;

	pthread_mutex_lock(&d->mutex);
	req = hull_disk_pop(&d->parked);
	pthread_mutex_unlock(&d->mutex);
	return req;
}

static void fail_parked(struct disk *d)
{
	struct hull_block_req *req;

	while ((req = unpark(d))) {
		hull_add_seqcst(&d->nparked, -1u);
		req->done(req);
		unpend(d);
	}
}

/* Who waits here may be a vCPU, and whoever resumes, first wait for all vCPUs: nothing parks. */
static void drain(struct hull_block *b)
{
	struct disk *d = of(b);

	pthread_mutex_lock(&d->mutex);
	d->drainers++;
	pthread_mutex_unlock(&d->mutex);
	fail_parked(d);
	pthread_mutex_lock(&d->mutex);
	while (hull_load_seqcst(&d->pending))
		pthread_cond_wait(&d->idle, &d->mutex);
	d->drainers--;
	pthread_mutex_unlock(&d->mutex);
}

int hull_disk_resume(struct hull_block *b)
{
	struct disk *d = of(b);
	struct hull_block_req *req;

	while ((req = unpark(d))) {
		int status = hull_disk_rest(req, false) ? hull_disk_perform(d, req) : HULL_EINVAL;
		bool again = false;

		pthread_mutex_lock(&d->mutex);
		if (is_host_failure(status) && shall_pause(d, status)) {
			(void)hull_disk_rest(req, true);
			req->next = d->parked.first;
			if (!d->parked.first)
				d->parked.last = req;
			d->parked.first = req;
			again = true;
		}
		pthread_mutex_unlock(&d->mutex);
		if (again)
			return status;
		hull_add_seqcst(&d->nparked, -1u);
		hull_disk_finish(d, req, status);
	}
	return 0;
}

void hull_disk_give_up(struct hull_block *b)
{
	struct disk *d = of(b);

	pthread_mutex_lock(&d->mutex);
	hull_store_release(&d->giving_up, 1);
	pthread_mutex_unlock(&d->mutex);
	fail_parked(d);
	pthread_mutex_lock(&d->limit.mutex);
	d->limit.quit = true;
	pthread_cond_signal(&d->limit.changed);
	pthread_mutex_unlock(&d->limit.mutex);
}

int hull_disk_set_size(struct hull_block *b, uint64_t size, struct hull_err *err)
{
	struct disk *d = of(b);
	uint64_t was = hull_load_relaxed(&b->size);
	int r;

	/* What was begun behind the new end would make the file longer again. */
	if (size < was) {
		hull_store_release(&b->size, size);
		drain(b);
	}
	r = hull_image_resize(d->img, size, err);
	hull_store_release(&b->size, r ? was : size);
	if (r)
		return r;
	if (b->resized)
		b->resized(b->resized_arg);
	return 0;
}

const char *hull_disk_aio_name(const struct hull_block *b)
{
	return of(b)->aio;
}

struct hull_image *hull_disk_image(struct hull_block *b)
{
	return of(b)->img;
}

static int start_limit(struct disk *d, struct hull_err *err)
{
	const struct hull_disk_options *o = &d->options;
	struct disk_limit *l = &d->limit;
	pthread_condattr_t a;

	l->iops = o->iops;
	l->bytes_per_s = o->bytes_per_s;
	l->burst_ns = o->burst_ns ? o->burst_ns : NS_PER_S / 10;
	pthread_mutex_init(&l->mutex, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &a);
	pthread_condattr_destroy(&a);
	if (o->at_once || !(o->iops || o->bytes_per_s))
		return 0;
	l->threaded = !hull_os_thread(&l->thread, "hull-limit", limiter, d, err);
	return l->threaded ? 0 : HULL_ENOMEM;
}

/* AIO past the host's cache unless the user names another way, else io_uring. */
static int start_ring(struct disk_queue *q, const struct disk_way **way, struct hull_err *err)
{
	const struct disk *d = q->disk;
	bool aio = d->align && d->options.aio == HULL_DISK_AIO_AUTO;

	*way = &hull_disk_aio;
	if (aio && hull_disk_ring_new(q, *way, err) == 0)
		return 0;
	*way = &hull_disk_uring;
	return hull_disk_ring_new(q, *way, err);
}

/* How requests are done; the threads come first: rings give them what they cannot do. */
static int start_queues(struct disk *d, struct hull_err *err)
{
	const struct hull_disk_options *o = &d->options;
	const struct disk_way *way = NULL;
	struct hull_err why = { 0 };
	bool ring = o->aio != HULL_DISK_AIO_THREADS && d->img->format->direct;
	int r = 0;

	hull_text_copy(d->aio, sizeof(d->aio), o->at_once ? "at once" : "threads");
	for (unsigned i = 0; !r && !o->at_once && i < d->nqueues; i++) {
		struct disk_queue *q = &d->queues[i];

		r = hull_disk_threads_start(q, err);
		if (r || !ring || start_ring(q, &way, &why) == 0)
			continue;
		ring = false;
		hull_format(d->aio, sizeof(d->aio), "threads (%s)", why.text);
		if (o->aio == HULL_DISK_AIO_URING && err) {
			*err = why;
			hull_err_fix(err, "leave aio=io_uring out");
		}
		if (o->aio == HULL_DISK_AIO_URING)
			r = HULL_ENOTSUP;
	}
	if (!r && ring && !o->at_once)
		hull_text_copy(d->aio, sizeof(d->aio), way->name);
	return r;
}

static void init(struct disk *d, const struct hull_disk_options *o, struct hull_image *img)
{
	struct hull_block *b = &d->block;

	d->options = *o;
	d->img = img;
	d->align = MAX(img->align, img->file ? img->file->align : 0);
	d->local = img->file && !img->file->format->prefix && !d->align && !img->backing;
	d->nqueues = MAX(1u, MIN(o->queues, (unsigned)HULL_DISK_QUEUES_MAX));
	pthread_mutex_init(&d->mutex, NULL);
	pthread_cond_init(&d->idle, NULL);
	for (unsigned i = 0; i < d->nqueues; i++) {
		struct disk_queue *q = &d->queues[i];

		q->disk = d;
		q->most = MAX(2u, DISK_WORKERS / d->nqueues);
		pthread_mutex_init(&q->mutex, NULL);
		pthread_cond_init(&q->work, NULL);
	}
	b->size = img->size;
	b->read_only = img->read_only;
	b->can_discard = !img->read_only && o->discard;
	b->physical_size = img->align;
	b->queues = d->nqueues;
	b->submit = submit;
	b->kick = kick;
	b->drain = drain;
	if (o->serial)
		hull_text_copy(b->serial, sizeof(b->serial), o->serial);
}

int hull_disk_open(const struct hull_disk_options *o, struct hull_image *img,
                   struct hull_block **ret, struct hull_err *err)
{
	struct disk *d = calloc(1, sizeof(*d));
	int r;

	if (!d) {
		hull_image_unref(img);
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	}
	init(d, o, img);
	r = start_limit(d, err);
	if (!r)
		r = start_queues(d, err);
	if (r) {
		hull_disk_close(&d->block);
		return r;
	}
	*ret = &d->block;
	return 0;
}

void hull_disk_close(struct hull_block *b)
{
	struct disk *d = of(b);

	if (!b)
		return;
	hull_disk_give_up(b);
	drain(b);
	if (d->limit.threaded)
		pthread_join(d->limit.thread, NULL);
	for (unsigned i = 0; i < d->nqueues; i++) {
		struct disk_queue *q = &d->queues[i];

		hull_disk_ring_free(q->ring);
		hull_disk_threads_stop(q);
		pthread_cond_destroy(&q->work);
		pthread_mutex_destroy(&q->mutex);
	}
	hull_image_unref(d->img);
	pthread_cond_destroy(&d->limit.changed);
	pthread_mutex_destroy(&d->limit.mutex);
	pthread_cond_destroy(&d->idle);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}
