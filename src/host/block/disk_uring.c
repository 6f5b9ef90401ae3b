/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Requests by io_uring: the only file that knows liburing (Meson feature "uring").
 *
 * submit() prepares, kick() tells the kernel, a thread waits for completions.
 * A request is a slot whose flag passes it between the two: set by submit(),
 * cleared by the waiting thread.  What did not come out exactly right is done
 * again by the threads, which know about ends of files and causes of errors.
 */
#include "host/block/disk_impl.h"

#ifdef HULL_HAVE_URING

#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/atomic.h"
#include "base/checked.h"
#include "host/os/os.h"

enum { SLOTS = 256 };

struct slot {
	struct hull_block_req *req;
	struct hull_image_direct place;
	uint32_t busy; /* atomic */
};

struct disk_ring {
	struct disk_queue *queue;
	struct io_uring ring;
	pthread_t thread;
	unsigned next, prepared;
	bool threaded;
	struct slot slots[SLOTS];
};

static void complete(struct disk_ring *r, struct slot *t, int result)
{
	struct disk *d = r->queue->disk;
	struct hull_block_req *req;
	struct disk_list again = { 0 };
	bool good;

	/* Pairs with hull_disk_ring_add(): the kernel between us orders nothing. */
	if (!hull_load_acquire(&t->busy))
		return;
	req = t->req;
	good = result >= 0 && (uint64_t)result == req->len;
	d->img->format->direct_end(d->img, &t->place, good ? 0 : HULL_EIO);
	hull_store_release(&t->busy, 0);
	if (good) {
		hull_disk_finish(d, req, 0);
		return;
	}
	hull_disk_push(&again, req);
	hull_disk_threads_add(r->queue, &again);
}

static void *reaper(void *arg)
{
	struct disk_ring *r = arg;
	struct io_uring_cqe *cqe;

	for (;;) {
		struct slot *t;
		int result;

		if (io_uring_wait_cqe(&r->ring, &cqe))
			continue;
		t = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&r->ring, cqe);
		if (!t)
			return NULL;
		complete(r, t, result);
	}
}

static struct slot *find_slot(struct disk_ring *r)
{
	struct slot *t = &r->slots[r->next % SLOTS];

	/* They come back nearly in order; if the next is in use, so are most. */
	if (hull_load_acquire(&t->busy))
		return NULL;
	return t;
}

/* Would the ring do it without threads of the kernel's own, or does the user insist? */
static bool fits(const struct disk *d, const struct hull_block_req *req)
{
	if (req->op != HULL_BLOCK_READ && req->op != HULL_BLOCK_WRITE)
		return false;
	if (req->op == HULL_BLOCK_WRITE &&
	    (req->fua || d->img->read_only || d->options.writethrough || d->options.detect_zeroes ||
	     (!d->align && d->options.aio != HULL_DISK_AIO_URING)))
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
	const struct iovec *iov = (const struct iovec *)req->segs;
	bool write = req->op == HULL_BLOCK_WRITE;
	struct io_uring_sqe *sqe;
	struct slot *t;

	if (!fits(d, req) || !aligned(d, req))
		return false;
	t = find_slot(r);
	if (!t || d->img->format->direct(d->img, write, req->offset, req->len, &t->place) != 1)
		return false;
	sqe = t->place.len == req->len ? io_uring_get_sqe(&r->ring) : NULL;
	if (!sqe) {
		d->img->format->direct_end(d->img, &t->place, HULL_EAGAIN);
		return false;
	}
	r->next++;
	t->req = req;
	if (write)
		io_uring_prep_writev(sqe, t->place.fd, iov, req->nsegs, t->place.at);
	else
		io_uring_prep_readv(sqe, t->place.fd, iov, req->nsegs, t->place.at);
	io_uring_sqe_set_data(sqe, t);
	hull_store_release(&t->busy, 1);
	r->prepared++;
	return true;
}

void hull_disk_ring_kick(struct disk_ring *r)
{
	const struct timespec moment = { .tv_nsec = 100000 };

	while (r->prepared) {
		int n = io_uring_submit(&r->ring);

		/* The kernel is short of memory, or of room for completions: both pass. */
		if (n <= 0)
			nanosleep(&moment, NULL);
		else
			r->prepared -= (unsigned)n < r->prepared ? (unsigned)n : r->prepared;
	}
}

int hull_disk_ring_new(struct disk_queue *q, struct hull_err *err)
{
	struct disk_ring *r = calloc(1, sizeof(*r));
	char reason[64];
	int e;

	if (!r)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	e = io_uring_queue_init(SLOTS, &r->ring, 0);
	if (e) {
		free(r);
		return hull_fail(err, HULL_ENOTSUP, 308, "no io_uring here: %s",
		                 hull_os_reason(-e, reason, sizeof(reason)));
	}
	r->queue = q;
	e = hull_os_thread(&r->thread, "hull-ring", reaper, r, err);
	if (e) {
		io_uring_queue_exit(&r->ring);
		free(r);
		return e;
	}
	q->ring = r;
	return 0;
}

void hull_disk_ring_free(struct disk_ring *r)
{
	struct io_uring_sqe *sqe;

	if (!r)
		return;
	/* Nothing is in flight: the ring has room. */
	sqe = io_uring_get_sqe(&r->ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	r->prepared = 1;
	hull_disk_ring_kick(r);
	pthread_join(r->thread, NULL);
	io_uring_queue_exit(&r->ring);
	free(r);
}

#else

int hull_disk_ring_new(struct disk_queue *q, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 308, "io_uring is not in this build");
}

bool hull_disk_ring_add(struct disk_ring *r, struct hull_block_req *req)
{
	return false;
}

void hull_disk_ring_kick(struct disk_ring *r)
{
}

void hull_disk_ring_free(struct disk_ring *r)
{
}

#endif
