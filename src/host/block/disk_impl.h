/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of a disk share: disk.c (policy), disk_threads.c, disk_ring.c.  See disk.h. */
#ifndef HULL_HOST_BLOCK_DISK_IMPL_H
#define HULL_HOST_BLOCK_DISK_IMPL_H

#include <pthread.h>

#include "host/block/disk.h"

enum {
	DISK_WORKERS = 32 /* of all queues */,
	DISK_VECTORS = 64,
	DISK_SLOTS = 256 /* in flight of a queue's ring */,
	DISK_RESULTS = 64 /* completions that are taken at a time */
};

struct disk_list {
	struct hull_block_req *first, *last;
};

struct disk_queue {
	struct disk *disk;
	struct disk_ring *ring; /* NULL: threads do everything */
	struct disk_list batch; /* of submit(), until kick() */
	uint64_t slow_until_ns; /* submit()'s: no writes at once before */
	unsigned watched;       /* submit()'s: writes whose waits are counted */
	pthread_mutex_t mutex;
	pthread_cond_t work;
	struct disk_list todo;
	pthread_t threads[DISK_WORKERS];
	unsigned nthreads, most, idle;
	uint32_t slow; /* threads that do what may wait; atomic */
	bool quit;
};

struct disk_limit {
	uint64_t iops, bytes_per_s, burst_ns;
	uint64_t ops_ns, bytes_ns; /* until when what was let through takes at this rate */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct disk_list waiting;
	pthread_t thread;
	bool threaded, quit;
};

struct disk {
	struct hull_block block;
	struct hull_disk_options options;
	struct hull_image *img;
	struct disk_queue queues[HULL_DISK_QUEUES_MAX];
	unsigned nqueues;
	uint32_t align; /* of the image or the file below it */
	bool local;     /* writes go into the host's cache */
	struct disk_limit limit;
	char aio[96];
	uint32_t pending;            /* submitted and not done; atomic */
	uint32_t giving_up, nparked; /* atomic */
	pthread_mutex_t mutex;       /* of what follows */
	pthread_cond_t idle;
	struct disk_list parked;
	unsigned drainers;
};

static inline void hull_disk_push(struct disk_list *l, struct hull_block_req *req)
{
	req->next = NULL;
	if (l->first)
		l->last->next = req;
	else
		l->first = req;
	l->last = req;
}

static inline struct hull_block_req *hull_disk_pop(struct disk_list *l)
{
	struct hull_block_req *req = l->first;

	if (req)
		l->first = req->next;
	return req;
}

/* It is kept for long; or goes on, and false: its memory is gone.  See backend.h. */
static inline bool hull_disk_rest(struct hull_block_req *req, bool rest)
{
	return !req->rest || req->rest(req, rest);
}

/* Do a request and wait for it; its result. */
int hull_disk_perform(struct disk *d, const struct hull_block_req *req);
/* A request that was counted in `pending` is over: done(), or whatever on_error says. */
void hull_disk_finish(struct disk *d, struct hull_block_req *req, int status);
/* The same for `n` of one queue that went well: a batch. */
void hull_disk_finish_all(struct disk_queue *q, struct hull_block_req *const *reqs, unsigned n);

int hull_disk_threads_start(struct disk_queue *q, struct hull_err *err);
/* Any thread: these are to be done.  `l` is empty afterwards. */
void hull_disk_threads_add(struct disk_queue *q, struct disk_list *l);
void hull_disk_threads_stop(struct disk_queue *q);

/* A transfer for the kernel, and what became of one: bytes, or negative. */
struct disk_io {
	bool write;
	int fd;
	uint64_t at;
	const struct iovec *iov; /* until it has completed */
	unsigned n;
	void *data;
};
struct disk_result {
	void *data; /* NULL: wake() was called */
	int result;
};

/* A way to let the kernel do transfers beside each other. */
struct disk_way {
	const char *name;
	bool reads_only;
	/* HULL_ENOTSUP with the reason if it is not there; the rest is NULL if it never is. */
	int (*open)(void **ret, struct hull_err *err);
	/* By one thread at a time: false: no room for another. */
	bool (*prepare)(void *inside, const struct disk_io *io);
	/*
	 * Hand over what was prepared.  NULL: all; else the data of one that the kernel did not
	 * take: call it again for the rest.
	 */
	void *(*submit)(void *inside);
	/* Beside those: at least one result, or 0 if there was a signal. */
	unsigned (*wait)(void *inside, struct disk_result ret[DISK_RESULTS]);
	/* With nothing in flight: wait() returns a result without data. */
	void (*wake)(void *inside);
	void (*close)(void *inside);
};
extern const struct disk_way hull_disk_uring, hull_disk_aio;

/* Errors of its open(). */
int hull_disk_ring_new(struct disk_queue *q, const struct disk_way *way, struct hull_err *err);
/* By submit() and kick().  False: it has to go to the threads. */
bool hull_disk_ring_add(struct disk_ring *r, struct hull_block_req *req);
void hull_disk_ring_kick(struct disk_ring *r);
void hull_disk_ring_free(struct disk_ring *r);

#endif
