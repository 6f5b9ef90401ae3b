/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The block layer without a device and a driver: as many requests in flight as was asked for, and
 * each that is done asks for the next, where it is done.  `qemu-img bench` works like that.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "core/backend.h"

struct request {
	struct hull_block_req req; /* first */
	struct hull_block_seg seg;
	struct plain *plain;
};

/* With the mutex, as a device has its lane. */
struct plain {
	const struct bench_plain *o;
	struct hull_block *disk;
	pthread_mutex_t mutex;
	pthread_cond_t over;
	uint64_t begun, done;
	struct request requests[BENCH_DEPTH_MAX];
};

static void ended(struct hull_block_req *req);

/* Until the disk takes its time, or there is nothing left to do. */
static void go_on(struct plain *p, struct request *r)
{
	while (p->begun < p->o->requests) {
		p->begun++;
		r->req = (struct hull_block_req){
			.op = p->o->write ? HULL_BLOCK_WRITE : HULL_BLOCK_READ,
			.offset = p->o->place(p->o->arg),
			.len = r->seg.len,
			.segs = &r->seg,
			.nsegs = 1,
			.done = ended,
		};
		if (!p->disk->submit(p->disk, &r->req))
			return;
		if (r->req.status)
			bench_die("request", "failed");
		p->done++;
	}
}

static void settled(void *arg, unsigned queue)
{
	struct plain *p = arg;

	pthread_mutex_lock(&p->mutex);
	p->disk->kick(p->disk, queue);
	pthread_mutex_unlock(&p->mutex);
}

static void ended(struct hull_block_req *req)
{
	struct request *r = (struct request *)req;
	struct plain *p = r->plain;
	bool more = req->batched;

	if (req->status)
		bench_die("request", "failed");
	pthread_mutex_lock(&p->mutex);
	p->done++;
	go_on(p, r);
	if (!more)
		p->disk->kick(p->disk, 0);
	if (p->done == p->o->requests)
		pthread_cond_signal(&p->over);
	pthread_mutex_unlock(&p->mutex);
}

uint64_t bench_plain(struct hull_block *disk, const struct bench_plain *o)
{
	struct plain p = { .o = o, .disk = disk };
	uint8_t *data = aligned_alloc(4096, (size_t)o->block * o->depth);

	if (!data)
		bench_die("memory", "cannot be had");
	memset(data, 0, (size_t)o->block * o->depth);
	pthread_mutex_init(&p.mutex, NULL);
	pthread_cond_init(&p.over, NULL);
	disk->settled_arg = &p;
	disk->settled = settled;
	pthread_mutex_lock(&p.mutex);
	for (unsigned i = 0; i < o->depth; i++) {
		p.requests[i].plain = &p;
		p.requests[i].seg =
			(struct hull_block_seg){ data + (size_t)o->block * i, o->block };
		go_on(&p, &p.requests[i]);
	}
	disk->kick(disk, 0);
	while (p.done < o->requests)
		pthread_cond_wait(&p.over, &p.mutex);
	pthread_mutex_unlock(&p.mutex);
	disk->drain(disk);
	disk->settled = NULL;
	free(data);
	return p.done;
}
