/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A driver of virtio-blk that measures, over a device that it reaches in one of two ways: Hull's
 * own in this process, or another program's by vhost-user.
 *
 * Driver and device share `memory`; the guest-physical address of its first byte is BENCH_BASE.
 */
#ifndef BENCH_IO_BENCH_H
#define BENCH_IO_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_BASE UINT64_C(0x80000000)

enum {
	BENCH_NUM = 256,      /* descriptors of the queue */
	BENCH_DEPTH_MAX = 64, /* three for each request in flight */
	BENCH_MEMORY = 32 << 20,
	BENCH_DESC = 0, /* offsets in the memory */
	BENCH_AVAIL = 0x2000,
	BENCH_USED = 0x4000,
	BENCH_HEADERS = 0x8000,
	BENCH_STATUS = 0xc000,
	BENCH_DATA = 0x100000,
	BENCH_BLOCK_MAX = 256 << 10,
};

/* With flushes, so that not every write is one; split rings, as most drivers have them. */
#define BENCH_FEATURES (UINT64_C(1) << 9 | UINT64_C(1) << 29 | UINT64_C(1) << 32)

struct bench_device {
	uint8_t *memory;
	int fd;                              /* of the memory */
	int call;                            /* eventfd: readable after an interrupt */
	void (*kick)(struct bench_device *); /* notify the device */
	void (*ack)(struct bench_device *);  /* after an interrupt; may be NULL */
	void *inside;
};

/* A message to the user, and the end. */
_Noreturn void bench_die(const char *what, const char *why);

struct bench_disk {
	const char *path; /* of an image, or "null" for a disk of `size` bytes that does nothing */
	const char *format;
	uint64_t size;
	bool direct; /* without the host's cache */
	int aio;     /* enum hull_disk_aio */
};

void bench_open_hull(struct bench_device *d, const struct bench_disk *disk);

struct hull_block;
/* The disk alone; hull_disk_close() closes it. */
struct hull_block *bench_open_disk(const struct bench_disk *disk);
struct bench_plain {
	unsigned depth, block;
	bool write;
	uint64_t requests;
	uint64_t (*place)(void *arg); /* of the next request; called by one thread at a time */
	void *arg;
};
/* Requests without a device; how many were done: all. */
uint64_t bench_plain(struct hull_block *disk, const struct bench_plain *o);
void bench_close_hull(struct bench_device *d);

/* The server of vhost-user-blk at a Unix socket. */
void bench_open_vhost(struct bench_device *d, const char *socket);

#endif
