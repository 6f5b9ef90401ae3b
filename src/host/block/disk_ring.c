/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Requests that the kernel does by itself: by io_uring, or reads past the cache by Linux's AIO.
 *
 * submit() prepares, kick() tells the kernel, a thread waits for completions.
 * A request is a slot whose flag passes it between the two: set by submit(),
 * cleared by the waiting thread.  What did not come out exactly right is done
 * again by the threads, which know about ends of files and causes of errors.
 *
 * What has completed together is given to the device as one batch: a driver that is woken by the
 * first of many and asks for one more makes the kernel do them one by one.
 *
 * io_uring completes a request in the thread that submitted it, which then wakes ours, which wakes
 * it again; AIO wakes ours only, but waits for everything that is not a transfer past the cache.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/checked.h"
#include "host/block/disk_impl.h"
#include "host/os/os.h"

/* So many are handed over before the batch is whole: the medium need not wait for it. */
enum { EARLY = 4, LARGE = 128 << 10 };

struct slot {
	struct hull_block_req *req;
	struct hull_image_direct place;
	uint32_t busy; /* atomic */
};

struct disk_ring {
	struct disk_queue *queue;
	const struct disk_way *way;
	void *inside; /* the way's */
	pthread_t thread;
	unsigned next, prepared;
	struct slot slots[DISK_SLOTS];
};

static bool end(struct disk_ring *r, struct slot *t, int result)
{
	struct disk *d = r->queue->disk;
	struct hull_block_req *req = t->req;
	struct disk_list again = { 0 };
	bool good = result >= 0 && (uint64_t)result == req->len;

	d->img->format->direct_end(d->img, &t->place, good ? 0 : HULL_EIO);
	hull_store_release(&t->busy, 0);
	if (good)
		return true;
	hull_disk_push(&again, req);
	hull_disk_threads_add(r->queue, &again);
	return false;
}

static bool complete(struct disk_ring *r, const struct disk_result *results, unsigned n)
{
	struct hull_block_req *done[DISK_RESULTS];
	unsigned ndone = 0;
	bool last = false;

	for (unsigned i = 0; i < n; i++) {
		struct slot *t = results[i].data;
		struct hull_block_req *req;

		last |= !t;
		/* Pairs with hull_disk_ring_add(): the kernel between us orders nothing. */
		if (!t || !hull_load_acquire(&t->busy))
			continue;
		req = t->req;
		if (end(r, t, results[i].result))
			done[ndone++] = req;
	}
	hull_disk_finish_all(r->queue, done, ndone);
	return last;
}

static void *reaper(void *arg)
{
	struct disk_ring *r = arg;
	struct disk_result results[DISK_RESULTS];

	while (!complete(r, results, r->way->wait(r->inside, results)))
		;
	return NULL;
}

static struct slot *find_slot(struct disk_ring *r)
{
	struct slot *t = &r->slots[r->next % DISK_SLOTS];

	/* They come back nearly in order; if the next is in use, so are most. */
	if (hull_load_acquire(&t->busy))
		return NULL;
	return t;
}

/*
 * Would the ring do it without threads of the kernel's own, or does the user insist?  From the
 * cache it copies while it is told, and for that long a large read keeps a vCPU from its work.
 */
static bool fits(const struct disk_ring *r, const struct hull_block_req *req)
{
	const struct disk *d = r->queue->disk;

	if (req->op != HULL_BLOCK_READ && req->op != HULL_BLOCK_WRITE)
		return false;
	if (req->op == HULL_BLOCK_WRITE &&
	    (r->way->reads_only || req->fua || d->img->read_only || d->options.writethrough ||
	     d->options.detect_zeroes || (!d->align && d->options.aio != HULL_DISK_AIO_URING)))
		return false;
	if (req->op == HULL_BLOCK_READ && req->len > LARGE && !d->align &&
	    d->options.aio != HULL_DISK_AIO_URING)
		return false;
	return req->nsegs <= IOV_MAX && req->len && req->len <= INT_MAX &&
	       hull_range_within(req->offset, req->len, 0, hull_load_acquire(&d->img->size));
}

/* O_DIRECT takes buffers of a certain alignment only. */
static bool aligned(const struct disk *d, const struct hull_block_req *req)
{
	uintptr_t bits = 0;

	for (unsigned i = 0; d->align && i < req->nsegs; i++)
		bits |= (uintptr_t)req->segs[i].hva | req->segs[i].len;
	return !d->align || !(bits & (d->align - 1));
}

bool hull_disk_ring_add(struct disk_ring *r, struct hull_block_req *req)
{
	struct disk *d = r->queue->disk;
	bool write = req->op == HULL_BLOCK_WRITE;
	struct disk_io io;
	struct slot *t;

	if (!fits(r, req) || !aligned(d, req))
		return false;
	t = find_slot(r);
	if (!t || d->img->format->direct(d->img, write, req->offset, req->len, &t->place) != 1)
		return false;
	io = (struct disk_io){ .write = write,
		               .fd = t->place.fd,
		               .at = t->place.at,
		               .iov = (const struct iovec *)req->segs,
		               .n = req->nsegs,
		               .data = t };
	if (t->place.len != req->len || !r->way->prepare(r->inside, &io)) {
		d->img->format->direct_end(d->img, &t->place, HULL_EAGAIN);
		return false;
	}
	r->next++;
	t->req = req;
	hull_store_release(&t->busy, 1);
	if (++r->prepared == EARLY)
		hull_disk_ring_kick(r);
	return true;
}

void hull_disk_ring_kick(struct disk_ring *r)
{
	struct disk_result refused = { .result = -1 };

	if (!r->prepared)
		return;
	r->prepared = 0;
	/* The threads will find out why. */
	while ((refused.data = r->way->submit(r->inside)))
		(void)end(r, refused.data, refused.result);
}

int hull_disk_ring_new(struct disk_queue *q, const struct disk_way *way, struct hull_err *err)
{
	struct disk_ring *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	r->queue = q;
	r->way = way;
	e = way->open(&r->inside, err);
	if (e) {
		free(r);
		return e;
	}
	e = hull_os_thread(&r->thread, "hull-ring", reaper, r, err);
	if (e) {
		way->close(r->inside);
		free(r);
		return e;
	}
	q->ring = r;
	return 0;
}

void hull_disk_ring_free(struct disk_ring *r)
{
	if (!r)
		return;
	/* Nothing is in flight. */
	r->way->wake(r->inside);
	pthread_join(r->thread, NULL);
	r->way->close(r->inside);
	free(r);
}
