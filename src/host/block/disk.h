/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Disks: images as devices use them (struct hull_block of core/backend.h).
 *
 * A request is done at once if that needs no waiting (a read of what the host
 * has in memory, a small write into it), else by io_uring or by one of a few
 * threads; requests of a disk run beside each other.  A flush makes stable what had completed when
 * it was submitted.
 *
 * Threading: submit() and kick() of one queue by one thread at a time, which
 * kicks after each batch; done() comes from any thread.  The functions below
 * from one thread, beside running requests.
 *
 * Failures of the host (not of the guest) follow `on_error`: they pause the
 * request until hull_disk_resume(), are reported to the guest, or ignored.
 * While somebody drains the disk, nothing pauses.
 */
#ifndef HULL_HOST_BLOCK_DISK_H
#define HULL_HOST_BLOCK_DISK_H

#include "core/backend.h"
#include "host/block/image.h"

enum { HULL_DISK_QUEUES_MAX = 16 };

enum hull_disk_aio { HULL_DISK_AIO_AUTO, HULL_DISK_AIO_THREADS, HULL_DISK_AIO_URING };
enum hull_disk_zeroes { HULL_DISK_ZEROES_OFF, HULL_DISK_ZEROES_ON, HULL_DISK_ZEROES_UNMAP };
enum hull_disk_on_error {
	HULL_DISK_ON_ERROR_ENOSPC, /* pause if the host has no room, else report */
	HULL_DISK_ON_ERROR_PAUSE,
	HULL_DISK_ON_ERROR_REPORT,
	HULL_DISK_ON_ERROR_IGNORE, /* the guest is told that all is well; reads give zeroes */
};

/* A request that the host could not do. */
struct hull_disk_failure {
	const char *path;
	enum hull_block_op op;
	uint64_t offset, len;
	int status;  /* HULL_E... */
	bool paused; /* it waits for hull_disk_resume() */
};

struct hull_disk_options {
	const char *serial;     /* at most 20 characters are kept; NULL: none */
	unsigned queues;        /* 0: one */
	enum hull_disk_aio aio; /* URING fails (E0308) where it is not available, AUTO does not */
	bool at_once;           /* requests finish in submit(): for repeatable runs; no limits */
	bool writethrough;      /* every write is stable when it is done */
	bool discard;           /* pass the guest's discards on to the host */
	enum hull_disk_zeroes detect_zeroes; /* blocks of zeroes that the guest writes as data */
	enum hull_disk_on_error on_error;
	uint64_t iops, bytes_per_s; /* limits, 0: none */
	uint64_t burst_ns;          /* of time that was not used; 0: 100 ms */
	/*
	 * The host has failed.  From any thread, perhaps under the device's lane: it must not wait
	 * for the guest or the disk.  May be NULL.
	 */
	void (*failed)(void *arg, const struct hull_disk_failure *f);
	void *arg;
};

/*
 * Make a disk of an image, whose reference it takes, even on failure.
 * HULL_ENOMEM, HULL_ENOTSUP.
 */
int hull_disk_open(const struct hull_disk_options *o, struct hull_image *img,
                   struct hull_block **ret, struct hull_err *err) HULL_CHECK_RESULT;

/* Finish what was submitted (what is paused fails), then close.  NULL is fine. */
void hull_disk_close(struct hull_block *b);

/* Another size, a multiple of 512; the device is told.  Errors of hull_image_resize(). */
int hull_disk_set_size(struct hull_block *b, uint64_t size, struct hull_err *err) HULL_CHECK_RESULT;

/* Does a request wait for hull_disk_resume()?  Any thread. */
bool hull_disk_paused(const struct hull_block *b);

/*
 * Try again what is paused, in order, in the caller's thread.  0: nothing is paused any more;
 * else why the first still cannot be done.
 */
int hull_disk_resume(struct hull_block *b) HULL_CHECK_RESULT;

/* From now on nothing pauses: what is paused fails.  Before the end of the VM; then drain() ends.
 */
void hull_disk_give_up(struct hull_block *b);

/* How requests are done, for people: "io_uring", "Linux AIO", "threads", "threads (why not
 * io_uring)". */
const char *hull_disk_aio_name(const struct hull_block *b);
struct hull_image *hull_disk_image(struct hull_block *b);

#endif
