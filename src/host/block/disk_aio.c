/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Linux's AIO (io_submit(2)), for reads past the host's cache.  See disk_ring.c.
 *
 * All transfers are asked not to wait (RWF_NOWAIT): what needs more than the transfer comes back
 * and goes to the threads.  File systems complete writes in threads of their own, which then wake
 * ours: one that waits for its own write is faster.
 */
#include "host/block/disk_impl.h"

#ifdef HULL_HAVE_AIO

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/os/os.h"

struct aio {
	aio_context_t ctx;
	int event;         /* always readable: a request for it completes at once */
	unsigned first, n; /* of `list`: prepared, not with the kernel */
	struct iocb *list[DISK_SLOTS];
	struct iocb blocks[DISK_SLOTS]; /* the kernel copies them */
};

static int aio_open(void **ret, struct hull_err *err)
{
	struct aio *a = calloc(1, sizeof(*a));
	char reason[64];
	int error = 0;

	if (!a)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	a->event = eventfd(1, EFD_CLOEXEC);
	/* One for aio_wake(). */
	if (a->event < 0 || syscall(SYS_io_setup, DISK_SLOTS + 1L, &a->ctx))
		error = errno;
	if (!error) {
		*ret = a;
		return 0;
	}
	if (a->event >= 0)
		close(a->event);
	free(a);
	return hull_fail(err, HULL_ENOTSUP, 308, "no asynchronous I/O here: %s",
	                 hull_os_reason(error, reason, sizeof(reason)));
}

static bool aio_prepare(void *inside, const struct disk_io *io)
{
	struct aio *a = inside;
	struct iocb *b = &a->blocks[a->n];

	if (a->n == DISK_SLOTS)
		return false;
	*b = (struct iocb){ .aio_data = (uintptr_t)io->data,
		            .aio_lio_opcode = IOCB_CMD_PREADV,
		            .aio_rw_flags = RWF_NOWAIT,
		            .aio_fildes = (uint32_t)io->fd,
		            .aio_buf = (uintptr_t)io->iov,
		            .aio_nbytes = io->n,
		            .aio_offset = (int64_t)io->at };
	a->list[a->n++] = b;
	return true;
}

static void *aio_submit(void *inside)
{
	struct aio *a = inside;

	while (a->first < a->n) {
		long n =
			syscall(SYS_io_submit, a->ctx, (long)(a->n - a->first), a->list + a->first);

		if (n <= 0)
			return (void *)(uintptr_t)a->list[a->first++]->aio_data;
		a->first += (unsigned)n;
	}
	a->first = a->n = 0;
	return NULL;
}

static unsigned aio_wait(void *inside, struct disk_result *ret)
{
	struct aio *a = inside;
	struct io_event events[DISK_RESULTS];
	long n = syscall(SYS_io_getevents, a->ctx, 1L, (long)DISK_RESULTS, events, NULL);

	for (long i = 0; i < n; i++) {
		ret[i].data = (void *)(uintptr_t)events[i].data;
		ret[i].result = (int)events[i].res;
	}
	return n > 0 ? (unsigned)n : 0;
}

static void aio_wake(void *inside)
{
	struct aio *a = inside;
	struct iocb b = { .aio_lio_opcode = IOCB_CMD_POLL,
		          .aio_fildes = (uint32_t)a->event,
		          .aio_buf = POLLIN };
	struct iocb *list = &b;

	while (syscall(SYS_io_submit, a->ctx, 1L, &list) != 1)
		hull_os_sleep(1000000);
}

static void aio_close(void *inside)
{
	struct aio *a = inside;

	syscall(SYS_io_destroy, a->ctx);
	close(a->event);
	free(a);
}

const struct disk_way hull_disk_aio = { .name = "Linux AIO",
	                                .reads_only = true,
	                                .open = aio_open,
	                                .prepare = aio_prepare,
	                                .submit = aio_submit,
	                                .wait = aio_wait,
	                                .wake = aio_wake,
	                                .close = aio_close };

#else

static int aio_open(void **ret, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 308, "Linux's AIO is not in this build");
}

const struct disk_way hull_disk_aio = { .name = "Linux AIO", .open = aio_open };

#endif
