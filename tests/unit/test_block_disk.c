/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Disks on images: requests on every path, faults of the host, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"
#include "host/block/disk_impl.h"
#include "support/memimage.h"

enum { SIZE = 1 << 20 };

static char path[64];

static int make_file(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/hull-disk-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || ftruncate(fd, SIZE) || close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

/* A request and the flag that its completion sets. */
struct waiting {
	struct hull_block_req req;
	struct hull_block_seg seg;
	uint32_t flag;
};

static void finished(struct hull_block_req *req)
{
	hull_store_release(&((struct waiting *)req)->flag, 1);
}

static void fill(struct waiting *w, enum hull_block_op op, uint64_t offset, void *buf, uint64_t len)
{
	memset(w, 0, sizeof(*w));
	w->seg = (struct hull_block_seg){ buf, len };
	w->req.op = op;
	w->req.offset = offset;
	w->req.len = len;
	w->req.segs = &w->seg;
	w->req.nsegs = 1;
	w->req.done = finished;
	w->req.status = 1;
}

static void go(struct hull_block *b, struct waiting *w)
{
	if (b->submit(b, &w->req))
		hull_store_release(&w->flag, 1);
	b->kick(b, 0);
}

static void start(struct hull_block *b, struct waiting *w, enum hull_block_op op, uint64_t offset,
                  void *buf, uint64_t len)
{
	fill(w, op, offset, buf, len);
	go(b, w);
}

static bool is_done(struct waiting *w)
{
	return hull_load_acquire(&w->flag);
}

static int run(struct hull_block *b, enum hull_block_op op, uint64_t offset, void *buf,
               uint64_t len)
{
	struct waiting w;

	start(b, &w, op, offset, buf, len);
	b->drain(b);
	assert_true(is_done(&w));
	return w.req.status;
}

static struct hull_block *on_image(struct hull_disk_options o, struct hull_image *img)
{
	struct hull_block *b = NULL;
	struct hull_err err = { 0 };

	if (hull_disk_open(&o, img, &b, &err))
		fail_msg("%s", err.text);
	return b;
}

static struct hull_block *on_file(struct hull_disk_options o, bool read_only)
{
	struct hull_image_options io = { .path = path, .format = "raw", .read_only = read_only };
	struct hull_image *img = NULL;
	struct hull_err err = { 0 };

	if (hull_image_open(&io, &img, &err))
		fail_msg("%s", err.text);
	return on_image(o, img);
}

static void data_comes_back(void **state)
{
	struct hull_block *b = on_file((struct hull_disk_options){ .serial = "S1" }, false);
	struct hull_block_seg segs[200];
	struct waiting w = { .req = { .op = HULL_BLOCK_READ,
		                      .offset = 512,
		                      .len = 200 * 512,
		                      .segs = segs,
		                      .nsegs = 200,
		                      .done = finished } };
	static uint8_t out[200 * 512], in[200 * 512];

	assert_int_equal(b->size, SIZE);
	assert_string_equal(b->serial, "S1");
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8));
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 512, out, sizeof(out)), 0);
	assert_int_equal(run(b, HULL_BLOCK_FLUSH, 0, NULL, 0), 0);
	for (size_t i = 0; i < 200; i++)
		segs[i] = (struct hull_block_seg){ in + i * 512, 512 };
	(void)b->submit(b, &w.req);
	b->kick(b, 0);
	b->drain(b);
	assert_int_equal(w.req.status, 0);
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(run(b, HULL_BLOCK_WRITE_ZEROES, 1024, NULL, 4096), 0);
	assert_int_equal(run(b, HULL_BLOCK_READ, 512, in, 8192), 0);
	assert_memory_equal(in, out, 512);
	for (size_t i = 512; i < 512 + 4096; i++)
		assert_int_equal(in[i], 0);
	assert_memory_equal(in + 4608, out + 4608, 8192 - 4608);
	assert_int_equal(run(b, HULL_BLOCK_DISCARD, 0, NULL, SIZE), 0);
	hull_disk_close(b);
	hull_disk_close(NULL);
}

static void requests_finish_at_once(void **state)
{
	static const enum hull_block_op ops[] = { HULL_BLOCK_WRITE, HULL_BLOCK_READ,
		                                  HULL_BLOCK_FLUSH, HULL_BLOCK_WRITE_ZEROES,
		                                  HULL_BLOCK_DISCARD };
	struct hull_block *b = on_file((struct hull_disk_options){ .at_once = true }, false);
	uint8_t buf[4096] = { 1, 2, 3 };
	struct hull_block_seg seg = { buf, sizeof(buf) };

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct waiting w = { .req = { .op = ops[i],
			                      .len = sizeof(buf),
			                      .segs = &seg,
			                      .nsegs = 1,
			                      .status = HULL_EIO,
			                      .done = finished } };

		assert_int_equal(b->submit(b, &w.req), 1);
		assert_int_equal(w.req.status, 0);
		assert_int_equal(w.flag, 0);
	}
	b->drain(b);
	hull_disk_close(b);
}

static void read_only_disks(void **state)
{
	struct hull_block *b = on_file((struct hull_disk_options){ .discard = true }, true);
	uint8_t buf[512];

	assert_true(b->read_only);
	assert_false(b->can_discard);
	assert_int_equal(run(b, HULL_BLOCK_READ, 0, buf, 512), 0);
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, 512), HULL_EPERM);
	assert_int_equal(run(b, HULL_BLOCK_DISCARD, 0, NULL, 512), HULL_EPERM);
	assert_int_equal(run(b, HULL_BLOCK_WRITE_ZEROES, 0, NULL, 512), HULL_EPERM);
	assert_int_equal(run(b, HULL_BLOCK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(run(b, HULL_BLOCK_READ, SIZE, buf, 512), HULL_EINVAL);
	hull_disk_close(b);
}

static void write_modes(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct hull_disk_options o = { .writethrough = true, .discard = true };
	uint8_t buf[1024] = { 0 };
	struct hull_block *b = on_image(o, hull_image_ref(&m->img));
	struct waiting w = { 0 };

	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, sizeof(buf)), 0);
	assert_int_equal(m->fua, 1);
	assert_int_equal(run(b, HULL_BLOCK_DISCARD, 0, NULL, 512), 0);
	assert_int_equal(m->discards, 1);
	hull_disk_close(b);
	o = (struct hull_disk_options){ .detect_zeroes = HULL_DISK_ZEROES_ON };
	b = on_image(o, hull_image_ref(&m->img));
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, sizeof(buf)), 0);
	assert_int_equal(m->zeroes, 1);
	buf[1023] = 1;
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, sizeof(buf)), 0);
	assert_int_equal(m->zeroes, 1);
	assert_int_equal(m->writes, 2);
	assert_int_equal(m->fua, 1);
	assert_int_equal(run(b, HULL_BLOCK_DISCARD, 0, NULL, 512), 0);
	assert_int_equal(m->discards, 1);
	hull_store_seqcst(&m->now, 1);
	w.req = (struct hull_block_req){ .op = HULL_BLOCK_READ, .len = 1024, .nsegs = 1 };
	w.seg = (struct hull_block_seg){ buf, 1024 };
	w.req.segs = &w.seg;
	assert_int_equal(b->submit(b, &w.req), 1);
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

/* A slow request holds up nobody; a flush does not wait for what came later. */
static void requests_run_beside_each_other(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct hull_block *b =
		on_image((struct hull_disk_options){ .queues = 2 }, hull_image_ref(&m->img));
	struct waiting w[8];
	uint8_t buf[8][512];

	assert_int_equal(b->queues, 2);
	hull_store_seqcst(&m->hold, 1);
	for (int i = 0; i < 8; i++)
		start(b, &w[i], i == 3 ? HULL_BLOCK_FLUSH : HULL_BLOCK_READ, (uint64_t)i * 512,
		      buf[i], 512);
	while (hull_load_seqcst(&m->held) < 8)
		usleep(1000);
	for (int i = 0; i < 8; i++)
		assert_false(is_done(&w[i]));
	mem_image_release(m);
	b->drain(b);
	for (int i = 0; i < 8; i++)
		assert_true(is_done(&w[i]));
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

struct told {
	uint32_t times, paused; /* atomic, all of them: workers tell beside each other */
	int status;
};

static void on_failure(void *arg, const struct hull_disk_failure *f)
{
	struct told *t = arg;

	assert_string_equal(f->path, "memory");
	hull_store_relaxed(&t->status, f->status);
	hull_add_seqcst(&t->paused, (uint32_t)f->paused);
	hull_add_seqcst(&t->times, 1u);
}

static void nothing_is_lost_when_the_disk_is_full(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct told t = { 0 };
	struct hull_disk_options o = { .failed = on_failure, .arg = &t };
	struct hull_block *b = on_image(o, hull_image_ref(&m->img));
	static uint8_t buf[8][4096], back[4096];
	struct waiting w[8];

	m->status = HULL_ENOSPC;
	hull_store_seqcst(&m->fail_writes, UINT32_MAX);
	for (int i = 0; i < 8; i++) {
		memset(buf[i], i + 1, 4096);
		start(b, &w[i], HULL_BLOCK_WRITE, (uint64_t)i * 4096, buf[i], 4096);
	}
	while (hull_load_seqcst(&t.paused) < 8)
		usleep(1000);
	assert_true(hull_disk_paused(b));
	assert_int_equal(hull_load_relaxed(&t.status), HULL_ENOSPC);
	assert_int_equal(hull_disk_resume(b), HULL_ENOSPC);
	for (int i = 0; i < 8; i++)
		assert_false(is_done(&w[i]));
	hull_store_seqcst(&m->fail_writes, 0);
	assert_int_equal(hull_disk_resume(b), 0);
	assert_false(hull_disk_paused(b));
	b->drain(b);
	for (int i = 0; i < 8; i++) {
		assert_true(is_done(&w[i]));
		assert_int_equal(w[i].req.status, 0);
		assert_int_equal(run(b, HULL_BLOCK_READ, (uint64_t)i * 4096, back, 4096), 0);
		assert_memory_equal(back, buf[i], 4096);
	}
	assert_int_equal(t.times, 8);
	/* Other failures are the guest's to see. */
	m->status = HULL_EIO;
	hull_store_seqcst(&m->fail_writes, 1);
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf[0], 512), HULL_EIO);
	assert_int_equal(t.times, 9);
	assert_int_equal(t.paused, 8);
	/* The end of the VM does not wait. */
	m->status = HULL_ENOSPC;
	hull_store_seqcst(&m->fail_flushes, UINT32_MAX);
	start(b, &w[0], HULL_BLOCK_FLUSH, 0, NULL, 0);
	while (!hull_disk_paused(b))
		usleep(1000);
	hull_disk_give_up(b);
	b->drain(b);
	assert_true(is_done(&w[0]));
	assert_int_equal(w[0].req.status, HULL_ENOSPC);
	assert_int_equal(run(b, HULL_BLOCK_FLUSH, 0, NULL, 0), HULL_ENOSPC);
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

/* A device that is reset drains, and who could resume may wait for it. */
static void draining_does_not_wait_for_room(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct hull_block *b = on_image((struct hull_disk_options){ 0 }, hull_image_ref(&m->img));
	uint8_t buf[512] = { 0 };
	struct waiting w[2];

	m->status = HULL_ENOSPC;
	hull_store_seqcst(&m->fail_writes, UINT32_MAX);
	start(b, &w[0], HULL_BLOCK_WRITE, 0, buf, 512);
	while (!hull_disk_paused(b))
		usleep(1000);
	hull_store_seqcst(&m->hold, 1);
	start(b, &w[1], HULL_BLOCK_WRITE, 512, buf, 512);
	while (!hull_load_seqcst(&m->held))
		usleep(1000);
	mem_image_release(m);
	alarm(60);
	b->drain(b);
	alarm(0);
	for (int i = 0; i < 2; i++) {
		assert_true(is_done(&w[i]));
		assert_int_equal(w[i].req.status, HULL_ENOSPC);
	}
	assert_false(hull_disk_paused(b));
	/* Afterwards they pause again. */
	start(b, &w[0], HULL_BLOCK_WRITE, 0, buf, 512);
	while (!hull_disk_paused(b))
		usleep(1000);
	hull_store_seqcst(&m->fail_writes, 0);
	assert_int_equal(hull_disk_resume(b), 0);
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

static void *grow(void *arg)
{
	struct hull_err err;

	return (void *)(intptr_t)hull_disk_set_size(arg, 2 * SIZE, &err);
}

/* What is in the ring and not yet with the kernel pins clusters, and a write must not wait for it.
 */
static void a_batch_lets_others_change_the_image(void **state)
{
	struct hull_image_create c = { .path = path, .size = SIZE, .overwrite = true };
	struct hull_image_options io = { .path = path, .format = "qcow2" };
	struct hull_disk_options o = { .aio = HULL_DISK_AIO_URING };
	static uint8_t buf[65 * 512];
	struct hull_block_seg segs[65];
	struct waiting w = { .req = { .len = sizeof(buf), .segs = segs, .nsegs = 65 } };
	struct waiting late = { .req = { .op = HULL_BLOCK_WRITE, .len = 512, .nsegs = 1 } };
	struct hull_image *img;
	struct hull_block *b;
	pthread_t thread;
	void *r;

	assert_int_equal(hull_image_make("qcow2", &c, NULL), 0);
	assert_int_equal(hull_image_open(&io, &img, NULL), 0);
	if (hull_disk_open(&o, img, &b, NULL))
		skip();
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, sizeof(buf)), 0);
	for (unsigned i = 0; i < 65; i++)
		segs[i] = (struct hull_block_seg){ buf + 512 * i, 512 };
	w.req.done = late.req.done = finished;
	late.req.offset = SIZE / 2;
	late.req.segs = &late.seg;
	late.seg = (struct hull_block_seg){ buf, 512 };
	alarm(60);
	assert_int_equal(b->submit(b, &w.req), 0);
	assert_int_equal(pthread_create(&thread, NULL, grow, b), 0);
	usleep(50000);
	(void)b->submit(b, &late.req);
	b->kick(b, 0);
	assert_int_equal(pthread_join(thread, &r), 0);
	assert_null(r);
	b->drain(b);
	alarm(0);
	assert_int_equal(w.req.status | late.req.status, 0);
	assert_int_equal(b->size, 2 * SIZE);
	hull_disk_close(b);
}

struct batch {
	struct waiting w[3];
	unsigned done, settled;
};

static void one_done(struct hull_block_req *req)
{
	assert_true(req->batched);
	finished(req);
}

static void all_settled(void *arg, unsigned queue)
{
	struct batch *batch = arg;

	assert_int_equal(queue, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_true(is_done(&batch->w[i]));
	batch->settled++;
}

/* They count as pending until the device has heard of the whole batch. */
static void requests_finish_in_batches(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct hull_disk_options o = { .queues = 2 };
	struct hull_block *b = on_image(o, hull_image_ref(&m->img));
	struct disk *d = (struct disk *)b;
	struct batch batch = { .settled = 0 };
	struct hull_block_req *reqs[3];

	b->settled = all_settled;
	b->settled_arg = &batch;
	for (unsigned i = 0; i < 3; i++) {
		fill(&batch.w[i], HULL_BLOCK_READ, 0, NULL, 0);
		batch.w[i].req.done = one_done;
		reqs[i] = &batch.w[i].req;
	}
	d->pending = 3;
	hull_disk_finish_all(&d->queues[1], reqs, 3);
	assert_int_equal(batch.settled, 1);
	assert_int_equal(d->pending, 0);
	/* One alone is no batch, nor is none. */
	hull_disk_finish_all(&d->queues[1], reqs, 0);
	batch.w[0].req.done = finished;
	d->pending = 1;
	hull_disk_finish_all(&d->queues[1], reqs, 1);
	assert_false(batch.w[0].req.batched);
	assert_int_equal(batch.settled, 1);
	assert_int_equal(d->pending, 0);
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

static void policies(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct told t = { 0 };
	struct hull_disk_options o = { .failed = on_failure,
		                       .arg = &t,
		                       .on_error = HULL_DISK_ON_ERROR_REPORT };
	struct hull_block *b = on_image(o, hull_image_ref(&m->img));
	uint8_t buf[512];
	struct waiting w;

	m->status = HULL_ENOSPC;
	hull_store_seqcst(&m->fail_writes, 1);
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, 512), HULL_ENOSPC);
	hull_disk_close(b);
	o.on_error = HULL_DISK_ON_ERROR_IGNORE;
	b = on_image(o, hull_image_ref(&m->img));
	hull_store_seqcst(&m->fail_writes, 1);
	hull_store_seqcst(&m->fail_reads, 1);
	memset(buf, 7, sizeof(buf));
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, 512), 0);
	assert_int_equal(run(b, HULL_BLOCK_READ, 0, buf, 512), 0);
	assert_int_equal(buf[0], 0);
	/* What the guest should not have asked for is an error all the same. */
	assert_int_equal(run(b, HULL_BLOCK_READ, SIZE, buf, 512), HULL_EINVAL);
	hull_disk_close(b);
	o.on_error = HULL_DISK_ON_ERROR_PAUSE;
	o.at_once = true;
	b = on_image(o, hull_image_ref(&m->img));
	m->status = HULL_EIO;
	hull_store_seqcst(&m->fail_reads, 2);
	start(b, &w, HULL_BLOCK_READ, 0, buf, 512);
	assert_false(is_done(&w));
	assert_int_equal(hull_disk_resume(b), HULL_EIO);
	assert_int_equal(hull_disk_resume(b), 0);
	assert_true(is_done(&w));
	assert_int_equal(t.times, 4);
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void limits(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct hull_disk_options o = { .iops = 200, .burst_ns = 1000000 };
	struct hull_block *b = on_image(o, hull_image_ref(&m->img));
	static uint8_t buf[65536];
	struct waiting w[64];
	double start_s = seconds();

	for (int i = 0; i < 40; i++)
		start(b, &w[i], HULL_BLOCK_READ, 0, buf, 512);
	b->drain(b);
	/* 39 of them wait 5 ms each. */
	assert_true(seconds() - start_s > 0.17);
	hull_disk_close(b);
	o = (struct hull_disk_options){ .bytes_per_s = 1 << 20, .burst_ns = 1000000 };
	b = on_image(o, hull_image_ref(&m->img));
	start_s = seconds();
	for (int i = 0; i < 4; i++)
		start(b, &w[i], HULL_BLOCK_WRITE, 0, buf, sizeof(buf));
	b->drain(b);
	assert_true(seconds() - start_s > 0.17);
	/* The end does not wait for the limit. */
	for (int i = 0; i < 64; i++)
		start(b, &w[i], HULL_BLOCK_WRITE, 0, buf, sizeof(buf));
	start_s = seconds();
	hull_disk_close(b);
	assert_true(seconds() - start_s < 2);
	for (int i = 0; i < 64; i++)
		assert_int_equal(w[i].req.status, 0);
	hull_image_unref(&m->img);
}

static void resized(void *arg)
{
	++*(int *)arg;
}

/* A request of a device whose memory is lent. */
struct lent {
	struct waiting w;     /* first */
	uint32_t rests, goes; /* atomic */
	uint32_t gone;        /* atomic: the memory is no more */
};

static bool lent_rest(struct hull_block_req *req, bool rest)
{
	struct lent *l = (struct lent *)req;

	hull_add_seqcst(rest ? &l->rests : &l->goes, 1u);
	return rest || !hull_load_seqcst(&l->gone);
}

/* What is parked on a full host gives its memory back, and fails if it cannot have it again. */
static void parked_requests_rest(void **state)
{
	struct mem_image *m = mem_image_new(SIZE);
	struct hull_disk_options o = { .on_error = HULL_DISK_ON_ERROR_PAUSE };
	struct hull_block *b = on_image(o, hull_image_ref(&m->img));
	static uint8_t buf[4096];
	static struct lent l[2];

	memset(l, 0, sizeof(l));
	memset(buf, 7, sizeof(buf));
	hull_store_seqcst(&m->fail_writes, UINT32_MAX);
	m->status = HULL_ENOSPC;
	for (int i = 0; i < 2; i++) {
		fill(&l[i].w, HULL_BLOCK_WRITE, (uint64_t)i * 4096, buf, sizeof(buf));
		l[i].w.req.rest = lent_rest;
		go(b, &l[i].w);
	}
	while (hull_load_seqcst(&l[0].rests) + hull_load_seqcst(&l[1].rests) < 2)
		usleep(1000);
	assert_int_not_equal(hull_disk_resume(b), 0);
	assert_true(l[0].rests + l[1].rests >= 3 && l[0].goes + l[1].goes >= 1);
	hull_store_seqcst(&m->fail_writes, 0);
	hull_store_seqcst(&l[1].gone, 1);
	assert_int_equal(hull_disk_resume(b), 0);
	b->drain(b);
	assert_int_equal(l[0].w.req.status, 0);
	assert_int_equal(l[1].w.req.status, HULL_EINVAL);
	assert_int_equal(m->bytes[0], 7);
	assert_int_equal(m->bytes[4096], 0);
	hull_disk_close(b);
	hull_image_unref(&m->img);
}

struct end_writer {
	struct hull_block *b;
	uint32_t stop; /* atomic */
};

/* Requests to the last block, as its driver knows it. */
static void *write_at_the_end(void *arg)
{
	struct end_writer *w = arg;
	static uint8_t buf[4096];

	while (!hull_load_acquire(&w->stop))
		(void)run(w->b, HULL_BLOCK_WRITE, hull_load_relaxed(&w->b->size) - 4096, buf, 4096);
	return NULL;
}

static void count_failures(void *arg, const struct hull_disk_failure *f)
{
	hull_add_seqcst((uint32_t *)arg, 1u);
}

/* What is written while the disk becomes smaller is no failure of the host, and makes nothing
 * longer again. */
static void sizes_change_under_load(void **state)
{
	uint32_t failures = 0;
	struct hull_disk_options o = { .on_error = HULL_DISK_ON_ERROR_REPORT,
		                       .failed = count_failures,
		                       .arg = &failures };
	struct hull_block *b = on_file(o, false);
	struct end_writer w = { .b = b };
	struct stat st;
	pthread_t thread;

	pthread_create(&thread, NULL, write_at_the_end, &w);
	for (int i = 0; i < 400; i++) {
		assert_int_equal(hull_disk_set_size(b, i % 2 ? SIZE : 2 * SIZE, NULL), 0);
		usleep(100);
	}
	hull_store_release(&w.stop, 1);
	pthread_join(thread, NULL);
	assert_int_equal(failures, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	hull_disk_close(b);
}

static void sizes_change(void **state)
{
	struct hull_block *b = on_file((struct hull_disk_options){ 0 }, false);
	uint8_t buf[512] = { 1 };
	struct hull_err err;
	int times = 0;

	b->resized = resized;
	b->resized_arg = &times;
	assert_int_equal(hull_disk_set_size(b, 2 * SIZE, &err), 0);
	assert_int_equal(b->size, 2 * SIZE);
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 2 * SIZE - 512, buf, 512), 0);
	assert_int_equal(hull_disk_set_size(b, SIZE, &err), 0);
	assert_int_equal(run(b, HULL_BLOCK_READ, 2 * SIZE - 512, buf, 512), HULL_EINVAL);
	assert_int_equal(hull_disk_set_size(b, 1000, &err), HULL_EINVAL);
	assert_int_equal(err.id, 304);
	assert_int_equal(times, 2);
	hull_disk_close(b);
}

/* A limit on file sizes is a full disk that needs no mount. */
static void full_host(void **state)
{
	struct hull_image_options io = { .path = path, .format = "file" };
	struct rlimit old, limit;
	uint8_t buf[4096] = { 1 };
	struct hull_image *img;

	assert_int_equal(hull_image_open(&io, &img, NULL), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = SIZE + 8192;
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(hull_image_write(img, SIZE + 4096, buf, sizeof(buf)), 0);
	assert_int_equal(hull_image_write(img, SIZE + 8192, buf, sizeof(buf)), HULL_ENOSPC);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(hull_image_write(img, SIZE + 8192, buf, sizeof(buf)), 0);
	hull_image_unref(img);
}

/*
 * Random requests, many at a time, against a copy in memory.  Each has a zone of the disk for
 * itself while it runs.
 */
enum { ZONES = 32, ZONE = SIZE / ZONES, BUFFER = 16384 };

struct player {
	struct waiting w;
	struct hull_block_seg segs[3];
	uint8_t *buf;
	bool busy;
};

static void check(struct player *p, const uint8_t *model)
{
	assert_int_equal(p->w.req.status, 0);
	p->busy = false;
	if (p->w.req.op == HULL_BLOCK_READ)
		assert_memory_equal(p->buf, model + p->w.req.offset, p->w.req.len);
}

static void play(struct hull_block *b, struct player *p, unsigned zone, uint8_t *model,
                 struct hull_prng *dice)
{
	struct hull_block_req *req = &p->w.req;
	uint64_t unit = hull_prng_below(dice, 2) ? 512 : 4096;
	uint64_t len = unit * (1 + hull_prng_below(dice, BUFFER / unit));
	uint64_t off = zone * ZONE + unit * hull_prng_below(dice, (ZONE - len) / unit + 1);
	uint64_t cut = len > 1024 ? 512 * hull_prng_below(dice, len / 512) : 0;
	unsigned what = (unsigned)hull_prng_below(dice, 20);

	memset(&p->w, 0, sizeof(p->w));
	req->done = finished;
	req->offset = off;
	req->len = len;
	req->queue = (uint16_t)(zone % 4);
	p->segs[0] = (struct hull_block_seg){ p->buf, cut };
	p->segs[1] = (struct hull_block_seg){ p->buf + cut, len - cut };
	req->segs = p->segs;
	req->nsegs = 2;
	req->op = what < 9    ? HULL_BLOCK_READ
	          : what < 17 ? HULL_BLOCK_WRITE
	          : what < 19 ? HULL_BLOCK_WRITE_ZEROES
	                      : HULL_BLOCK_FLUSH;
	req->fua = what == 9;
	req->unmap = what == 17;
	if (req->op == HULL_BLOCK_WRITE && what < 12)
		memset(p->buf, 0, len);
	else
		hull_prng_fill(dice, p->buf, len);
	if (req->op == HULL_BLOCK_WRITE)
		memcpy(model + off, p->buf, len);
	if (req->op == HULL_BLOCK_WRITE_ZEROES)
		memset(model + off, 0, len);
	p->busy = true;
	if (b->submit(b, req))
		hull_store_release(&p->w.flag, 1);
}

static void play_all(struct hull_block *b, unsigned count)
{
	static uint8_t model[SIZE], all[SIZE];
	static uint8_t buffers[ZONES][BUFFER] __attribute__((aligned(4096)));
	struct player players[ZONES] = { 0 };
	struct hull_prng dice;

	hull_prng_seed(&dice, 11);
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < count;) {
		for (unsigned z = 0; z < ZONES; z++) {
			struct player *p = &players[z];

			p->buf = buffers[z];
			if (p->busy && is_done(&p->w))
				check(p, model);
			if (!p->busy && hull_prng_below(&dice, 3)) {
				play(b, p, z, model, &dice);
				i++;
			}
		}
		for (unsigned q = 0; q < 4; q++)
			b->kick(b, q);
	}
	b->drain(b);
	for (unsigned z = 0; z < ZONES; z++)
		if (players[z].busy)
			check(&players[z], model);
	assert_int_equal(run(b, HULL_BLOCK_READ, 0, all, SIZE), 0);
	assert_memory_equal(all, model, SIZE);
}

static void make_empty(const char *format)
{
	struct hull_image_create c = {
		.path = path, .overwrite = true, .size = SIZE, .cluster_bytes = 4096
	};
	struct hull_err err;

	if (!strcmp(format, "raw"))
		assert_int_equal(truncate(path, 0) | truncate(path, SIZE), 0);
	else
		assert_int_equal(hull_image_make(format, &c, &err), 0);
}

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A thread that was joined may be listed for a moment more. */
static void assert_entries(const char *dir, unsigned n)
{
	for (unsigned i = 0; i < 1000 && entries(dir) != n; i++)
		usleep(1000);
	assert_int_equal(entries(dir), n);
}

static void every_way_gives_the_same(void **state)
{
	static const struct {
		bool direct;
		struct hull_disk_options o;
		bool qcow2;
	} ways[] = {
		{ false, { .aio = HULL_DISK_AIO_THREADS } },
		{ false, { .aio = HULL_DISK_AIO_THREADS, .queues = 4, .writethrough = true } },
		{ false, { .aio = HULL_DISK_AIO_URING } },
		{ true, { .aio = HULL_DISK_AIO_URING, .queues = 4 } },
		{ true, { .aio = HULL_DISK_AIO_THREADS } },
		{ false, { .aio = HULL_DISK_AIO_AUTO, .queues = 2, .discard = true } },
		{ false, { .at_once = true, .detect_zeroes = HULL_DISK_ZEROES_UNMAP } },
		{ false, { .detect_zeroes = HULL_DISK_ZEROES_ON, .iops = 1000000 } },
		{ false, { .queues = 4 }, true },
		{ false, { .aio = HULL_DISK_AIO_URING }, true },
		{ true, { .aio = HULL_DISK_AIO_URING, .queues = 4 }, true },
		{ true, { .queues = 4 } },
		{ true, { .queues = 2 }, true },
	};
	unsigned fds = entries("/proc/self/fd"), threads = entries("/proc/self/task"), used = 0;

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const char *format = ways[i].qcow2 ? "qcow2" : "raw";
		struct hull_image_options io = {
			.path = path, .format = format, .direct = ways[i].direct, .no_flush = true
		};
		struct hull_image *img;
		struct hull_block *b;
		struct hull_err err;

		make_empty(format);
		if (hull_image_open(&io, &img, &err)) {
			assert_true(io.direct);
			continue;
		}
		if (hull_disk_open(&ways[i].o, img, &b, &err)) {
			assert_int_equal(err.id, 308);
			assert_int_equal(ways[i].o.aio, HULL_DISK_AIO_URING);
			continue;
		}
		used++;
		play_all(b, ways[i].direct ? 1500 : 10000);
		hull_disk_close(b);
		assert_entries("/proc/self/fd", fds);
		assert_entries("/proc/self/task", threads);
	}
	assert_true(used >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(data_comes_back, make_file, remove_file),
		cmocka_unit_test_setup_teardown(requests_finish_at_once, make_file, remove_file),
		cmocka_unit_test_setup_teardown(read_only_disks, make_file, remove_file),
		cmocka_unit_test(write_modes),
		cmocka_unit_test(requests_run_beside_each_other),
		cmocka_unit_test(nothing_is_lost_when_the_disk_is_full),
		cmocka_unit_test(draining_does_not_wait_for_room),
		cmocka_unit_test_setup_teardown(a_batch_lets_others_change_the_image, make_file,
		                                remove_file),
		cmocka_unit_test(requests_finish_in_batches),
		cmocka_unit_test(policies),
		cmocka_unit_test_setup_teardown(sizes_change_under_load, make_file, remove_file),
		cmocka_unit_test(limits),
		cmocka_unit_test(parked_requests_rest),
		cmocka_unit_test_setup_teardown(sizes_change, make_file, remove_file),
		cmocka_unit_test_setup_teardown(full_host, make_file, remove_file),
		cmocka_unit_test_setup_teardown(every_way_gives_the_same, make_file, remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
