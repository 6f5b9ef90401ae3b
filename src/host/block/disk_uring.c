/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* io_uring: the only file that knows liburing (Meson feature "uring").  See disk_ring.c. */
#include "host/block/disk_impl.h"

#ifdef HULL_HAVE_URING

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/os/os.h"

/*
 * What a ring is asked to do is not seen by seccomp: it says itself, before it can be used, that it
 * only reads and writes.
 */
static int make_ring(struct io_uring *ring)
{
	struct io_uring_restriction allowed[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP },
	};
	int e = io_uring_queue_init(DISK_SLOTS, ring, IORING_SETUP_R_DISABLED);

	if (e)
		return e;
	/* Not all builds of liburing export what does this. */
	if (syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
	            ARRAY_LEN(allowed)) ||
	    syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0)) {
		e = -errno;
		io_uring_queue_exit(ring);
	}
	return e;
}

static int uring_open(void **ret, struct hull_err *err)
{
	struct io_uring *ring = calloc(1, sizeof(*ring));
	char reason[64];
	int e;

	if (!ring)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	e = make_ring(ring);
	if (e) {
		free(ring);
		return hull_fail(err, HULL_ENOTSUP, 308, "no io_uring here: %s",
		                 hull_os_reason(-e, reason, sizeof(reason)));
	}
	*ret = ring;
	return 0;
}

static bool uring_prepare(void *inside, const struct disk_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(inside);

	if (!sqe)
		return false;
	if (io->write)
		io_uring_prep_writev(sqe, io->fd, io->iov, io->n, io->at);
	else
		io_uring_prep_readv(sqe, io->fd, io->iov, io->n, io->at);
	io_uring_sqe_set_data(sqe, io->data);
	return true;
}

static void *uring_submit(void *inside)
{
	/* The kernel is short of memory, or of room for completions: both pass. */
	while (io_uring_sq_ready(inside))
		if (io_uring_submit(inside) <= 0)
			hull_os_sleep(100000);
	return NULL;
}

static unsigned uring_wait(void *inside, struct disk_result *ret)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	if (io_uring_wait_cqe(inside, &cqe))
		return 0;
	io_uring_for_each_cqe((struct io_uring *)inside, head, cqe)
	{
		ret[n].data = io_uring_cqe_get_data(cqe);
		ret[n++].result = cqe->res;
		if (n == DISK_RESULTS)
			break;
	}
	io_uring_cq_advance(inside, n);
	return n;
}

static void uring_wake(void *inside)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(inside);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	(void)uring_submit(inside);
}

static void uring_close(void *inside)
{
	io_uring_queue_exit(inside);
	free(inside);
}

const struct disk_way hull_disk_uring = { .name = "io_uring",
	                                  .open = uring_open,
	                                  .prepare = uring_prepare,
	                                  .submit = uring_submit,
	                                  .wait = uring_wait,
	                                  .wake = uring_wake,
	                                  .close = uring_close };

#else

static int uring_open(void **ret, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 308, "io_uring is not in this build");
}

const struct disk_way hull_disk_uring = { .name = "io_uring", .open = uring_open };

#endif
