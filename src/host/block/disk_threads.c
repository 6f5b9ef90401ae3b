/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Threads that do requests, for each queue of a disk its own.
 *
 * Waking a thread costs more than a write into the host's cache takes, and
 * such writes to one file exclude each other in the kernel.  So one thread
 * works through a list of them; another is woken only while all that run do
 * what may wait for the medium ("slow").  Who begins such a request leaves
 * another thread behind that can be woken: only these threads start threads,
 * as a vCPU may not be allowed to.
 */
#include "base/atomic.h"
#include "host/block/disk_impl.h"
#include "host/os/os.h"

static bool may_wait(const struct disk *d, const struct hull_block_req *req)
{
	return !d->local || req->op != HULL_BLOCK_WRITE || req->fua || d->options.writethrough;
}

static void *worker(void *arg);

/*
 * With the mutex: must somebody look at the list?  Then signal that, after unlocking.  A thread
 * that is not slow looks soon; its next look is behind this mutex.
 */
static bool must_wake(const struct disk_queue *q)
{
	return q->todo.first && q->idle && q->nthreads - q->idle <= hull_load_relaxed(&q->slow);
}

/* With the mutex: one more, if none waits for work and the host has room. */
static void leave_another(struct disk_queue *q)
{
	if (!q->idle && q->nthreads < q->most && !q->quit &&
	    !hull_os_thread(&q->threads[q->nthreads], "hull-disk", worker, q, NULL))
		q->nthreads++;
}

static void *worker(void *arg)
{
	struct disk_queue *q = arg;
	struct hull_block_req *req;
	bool slow, wake;
	int status;

	pthread_mutex_lock(&q->mutex);
	for (;;) {
		while (!q->todo.first && !q->quit) {
			q->idle++;
			pthread_cond_wait(&q->work, &q->mutex);
			q->idle--;
		}
		req = hull_disk_pop(&q->todo);
		if (!req)
			break;
		slow = may_wait(q->disk, req);
		if (slow) {
			hull_add_relaxed(&q->slow, 1u);
			leave_another(q);
		}
		wake = must_wake(q);
		pthread_mutex_unlock(&q->mutex);
		if (wake)
			pthread_cond_signal(&q->work);
		status = hull_disk_perform(q->disk, req);
		if (slow)
			hull_add_relaxed(&q->slow, -1u);
		hull_disk_finish(q->disk, req, status);
		pthread_mutex_lock(&q->mutex);
	}
	pthread_mutex_unlock(&q->mutex);
	return NULL;
}

int hull_disk_threads_start(struct disk_queue *q, struct hull_err *err)
{
	int r = hull_os_thread(&q->threads[0], "hull-disk", worker, q, err);

	if (!r) {
		pthread_mutex_lock(&q->mutex);
		q->nthreads++;
		pthread_mutex_unlock(&q->mutex);
	}
	return r;
}

void hull_disk_threads_add(struct disk_queue *q, struct disk_list *l)
{
	bool wake;

	if (!l->first)
		return;
	pthread_mutex_lock(&q->mutex);
	if (q->todo.first)
		q->todo.last->next = l->first;
	else
		q->todo.first = l->first;
	q->todo.last = l->last;
	wake = must_wake(q);
	pthread_mutex_unlock(&q->mutex);
	l->first = NULL;
	if (wake)
		pthread_cond_signal(&q->work);
}

void hull_disk_threads_stop(struct disk_queue *q)
{
	unsigned n;

	pthread_mutex_lock(&q->mutex);
	q->quit = true;
	n = q->nthreads;
	pthread_cond_broadcast(&q->work);
	pthread_mutex_unlock(&q->mutex);
	for (unsigned i = 0; i < n; i++)
		pthread_join(q->threads[i], NULL);
}
