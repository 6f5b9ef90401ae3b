/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * bench-blk: requests per second through a virtio-blk data path.
 *
 *   bench-blk --disk null|IMAGE [--format F] | --vhost SOCKET
 *             [--depth N] [--seconds S] [--size BYTES] [--block BYTES] [--write] [--requests N]
 *             [--step BYTES] [--direct] [--plain] [--threads|--uring]
 *
 * Requests go to random blocks of the first `size` bytes, or each `step` bytes behind the one
 * before.  With --direct, the host's cache is not used; with --plain and --requests, there is no
 * device in between (blk_plain.c).  The driver keeps `depth` of them in
 * flight, makes all that it can available before it notifies, polls for a moment, then sleeps until
 * the interrupt.  One line of JSON is the result.
 */
#include "bench.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "host/block/disk.h"

enum { NEXT = 1, WRITE = 2, POLLS = 200, PATIENCE_MS = 10000, WARM_UP = 1000 };

struct options {
	const char *disk, *format, *vhost;
	unsigned depth, block;
	double seconds;
	uint64_t size, requests, step;
	bool write, direct, plain;
	int aio;
};

/* The structures of VIRTIO 1.3, 2.7, on a little-endian host. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
struct avail {
	uint16_t flags, idx, ring[BENCH_NUM], used_event;
};
struct used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[BENCH_NUM];
	uint16_t avail_event;
};
struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct driver {
	struct bench_device dev;
	const struct options *o;
	struct desc *desc;
	struct avail *avail;
	struct used *used;
	struct header *headers;
	uint8_t *status;
	uint16_t posted, kicked, seen;
	uint64_t random, at, done, sleeps, kicks;
};

_Noreturn void bench_die(const char *what, const char *why)
{
	fprintf(stderr, "bench-blk: %s: %s\n", what, why);
	exit(2);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* Descriptors never change: three for each slot. */
static void lay_out(struct driver *v)
{
	v->desc = (void *)(v->dev.memory + BENCH_DESC);
	v->avail = (void *)(v->dev.memory + BENCH_AVAIL);
	v->used = (void *)(v->dev.memory + BENCH_USED);
	v->headers = (void *)(v->dev.memory + BENCH_HEADERS);
	v->status = v->dev.memory + BENCH_STATUS;
	v->random = 0x9e3779b97f4a7c15;
	for (unsigned i = 0; i < v->o->depth; i++) {
		uint16_t first = (uint16_t)(3 * i);

		v->desc[first] = (struct desc){ BENCH_BASE + BENCH_HEADERS + 16 * i, 16, NEXT,
			                        (uint16_t)(first + 1) };
		v->desc[first + 1] =
			(struct desc){ BENCH_BASE + BENCH_DATA + (uint64_t)v->o->block * i,
			               v->o->block, (uint16_t)(NEXT | (v->o->write ? 0 : WRITE)),
			               (uint16_t)(first + 2) };
		v->desc[first + 2] = (struct desc){ BENCH_BASE + BENCH_STATUS + i, 1, WRITE, 0 };
		v->headers[i].type = v->o->write;
	}
}

static uint64_t next_place(struct driver *v)
{
	uint64_t at = v->at;

	v->at = (at + v->o->step) % v->o->size;
	v->random ^= v->random << 13;
	v->random ^= v->random >> 7;
	v->random ^= v->random << 17;
	return v->o->step ? at : v->random % (v->o->size / v->o->block) * v->o->block;
}

static void post(struct driver *v, unsigned slot)
{
	v->headers[slot].sector = next_place(v) / 512;
	v->status[slot] = 0xff;
	v->avail->ring[v->posted++ % BENCH_NUM] = (uint16_t)(3 * slot);
}

/* Show what was posted; notify if the device wants that (2.7.7.2). */
static void show(struct driver *v)
{
	uint16_t event;

	if (v->posted == v->kicked)
		return;
	__atomic_store_n(&v->avail->idx, v->posted, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&v->used->avail_event, __ATOMIC_RELAXED);
	if ((uint16_t)(v->posted - event - 1) < (uint16_t)(v->posted - v->kicked)) {
		v->dev.kick(&v->dev);
		v->kicks++;
	}
	v->kicked = v->posted;
}

static bool any(const struct driver *v)
{
	return __atomic_load_n(&v->used->idx, __ATOMIC_ACQUIRE) != v->seen;
}

/* Until something was used. */
static void wait_for_some(struct driver *v)
{
	struct pollfd p = { .fd = v->dev.call, .events = POLLIN };
	uint64_t n;

	for (unsigned i = 0; i < POLLS; i++)
		if (any(v))
			return;
	__atomic_store_n(&v->avail->used_event, v->seen, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while (!any(v)) {
		if (poll(&p, 1, PATIENCE_MS) != 1)
			bench_die("device", "no answer for ten seconds");
		if (read(v->dev.call, &n, sizeof(n)) != sizeof(n))
			bench_die("eventfd", "cannot be read");
		v->sleeps++;
		if (v->dev.ack)
			v->dev.ack(&v->dev);
	}
}

/* Take what was used; with `again`, each slot asks anew. */
static void reap(struct driver *v, bool again)
{
	while (any(v)) {
		unsigned slot = v->used->ring[v->seen++ % BENCH_NUM].id / 3;

		if (slot >= v->o->depth || v->status[slot])
			bench_die("request", "failed");
		v->done++;
		if (again)
			post(v, slot);
	}
}

static void run(struct driver *v, double seconds, uint64_t requests)
{
	double end = now() + seconds;

	for (unsigned i = 0; i < v->o->depth; i++)
		post(v, i);
	for (unsigned i = 0; v->done < requests && ((i++ & 63) || now() < end);) {
		show(v);
		wait_for_some(v);
		reap(v, true);
	}
	while (show(v), v->seen != v->posted) {
		wait_for_some(v);
		reap(v, false);
	}
}

static uint64_t place(void *arg)
{
	return next_place(arg);
}

static void run_plain(struct driver *v, struct hull_block *disk)
{
	struct bench_plain p = { .depth = v->o->depth,
		                 .block = v->o->block,
		                 .write = v->o->write,
		                 .requests = v->o->requests,
		                 .place = place,
		                 .arg = v };

	v->done = bench_plain(disk, &p);
}

static void get_memory(struct bench_device *d)
{
	void *p;

	d->fd = memfd_create("bench", MFD_CLOEXEC);
	if (d->fd < 0 || ftruncate(d->fd, BENCH_MEMORY))
		bench_die("memory", "cannot be had");
	p = mmap(NULL, BENCH_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, d->fd, 0);
	d->call = eventfd(0, EFD_CLOEXEC);
	if (p == MAP_FAILED || d->call < 0)
		bench_die("memory", "cannot be had");
	d->memory = p;
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "disk", 1, NULL, 'd' },    { "format", 1, NULL, 'f' },
		{ "vhost", 1, NULL, 'v' },   { "depth", 1, NULL, 'n' },
		{ "seconds", 1, NULL, 's' }, { "size", 1, NULL, 'z' },
		{ "block", 1, NULL, 'b' },   { "requests", 1, NULL, 'r' },
		{ "write", 0, NULL, 'w' },   { "step", 1, NULL, 'p' },
		{ "direct", 0, NULL, 'i' },  { "plain", 0, NULL, 'l' },
		{ "threads", 0, NULL, 't' }, { "uring", 0, NULL, 'u' },
		{ NULL, 0, NULL, 0 }
	};
	struct options o = { .format = "raw",
		             .depth = 32,
		             .block = 4096,
		             .seconds = 1,
		             .size = 64 << 20,
		             .requests = UINT64_MAX };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'd': o.disk = optarg; break;
		case 'f': o.format = optarg; break;
		case 'v': o.vhost = optarg; break;
		case 'n': o.depth = (unsigned)strtoul(optarg, NULL, 0); break;
		case 's': o.seconds = strtod(optarg, NULL); break;
		case 'z': o.size = strtoull(optarg, NULL, 0); break;
		case 'b': o.block = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'r': o.requests = strtoull(optarg, NULL, 0); break;
		case 'w': o.write = true; break;
		case 'p': o.step = strtoull(optarg, NULL, 0); break;
		case 'i': o.direct = true; break;
		case 'l': o.plain = true; break;
		case 't': o.aio = HULL_DISK_AIO_THREADS; break;
		case 'u': o.aio = HULL_DISK_AIO_URING; break;
		default: exit(2);
		}
	}
	if (!o.disk == !o.vhost || optind != argc)
		bench_die("options", "either --disk or --vhost is needed");
	if (!o.depth || o.depth > BENCH_DEPTH_MAX || !o.block || o.block % 512 ||
	    o.block > BENCH_BLOCK_MAX || o.size < o.block || o.step % o.block ||
	    (o.step && o.size % o.block) || (o.plain && (!o.disk || o.requests == UINT64_MAX)))
		bench_die("options", "depth, block, size, step or requests out of range");
	return o;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct bench_disk what = { o.disk, o.format, o.size, o.direct, o.aio };
	struct driver v = { .o = &o };
	struct hull_block *disk = NULL;
	double started, cpu;

	get_memory(&v.dev);
	lay_out(&v);
	if (o.plain)
		disk = bench_open_disk(&what);
	else if (o.vhost)
		bench_open_vhost(&v.dev, o.vhost);
	else
		bench_open_hull(&v.dev, &what);
	if (o.requests == UINT64_MAX) {
		run(&v, 1e9, WARM_UP);
		v.done = v.kicks = v.sleeps = 0;
	}
	started = now();
	cpu = cpu_seconds();
	if (o.plain)
		run_plain(&v, disk);
	else
		run(&v, o.seconds, o.requests);
	started = now() - started;
	printf("{\"requests\": %llu, \"seconds\": %.6f, \"per_second\": %.0f, \"cpu_seconds\": "
	       "%.6f, "
	       "\"kicks\": %llu, \"sleeps\": %llu}\n",
	       (unsigned long long)v.done, started, (double)v.done / started, cpu_seconds() - cpu,
	       (unsigned long long)v.kicks, (unsigned long long)v.sleeps);
	if (o.plain)
		hull_disk_close(disk);
	else if (o.disk)
		bench_close_hull(&v.dev);
	return 0;
}
