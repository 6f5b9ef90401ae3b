/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* errno in our words, and threads. */
#include "host/os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <hull/host.h>
#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"

#define STACK_BYTES (1 << 20) /* only touched pages cost memory; libslirp takes 130 KiB */

int hull_os_error(int error)
{
	switch (error) {
	case EINVAL:
	case ENAMETOOLONG:
	case EISDIR:
	case ENOTDIR: return HULL_EINVAL;
	case ENOSPC:
	case EDQUOT: return HULL_ENOSPC;
	case ENOMEM:
	case EMFILE:
	case ENFILE: return HULL_ENOMEM;
	case EEXIST: return HULL_EEXIST;
	case ENOENT:
	case ENXIO:
	case ENODEV: return HULL_ENOENT;
	case EBUSY:
	case EADDRINUSE:
	case ETXTBSY: return HULL_EBUSY;
	case EFAULT: return HULL_EFAULT;
	case EPERM:
	case EACCES:
	case EROFS: return HULL_EPERM;
	case ETIMEDOUT: return HULL_ETIMEDOUT;
	case EOVERFLOW:
	case EFBIG:
	case ERANGE: return HULL_EOVERFLOW;
	case EAGAIN:
	case EINTR: return HULL_EAGAIN;
	case EOPNOTSUPP:
	case ENOSYS:
	case ENOTTY: return HULL_ENOTSUP;
	default: return HULL_EIO;
	}
}

const char *hull_os_reason(int error, char *buf, size_t size)
{
	const char *name = strerrorname_np(error);
	const char *text = strerrordesc_np(error);

	hull_format(buf, size, "%s (%s)", text ? text : "unknown reason", name ? name : "?");
	if (buf[0] >= 'A' && buf[0] <= 'Z' && !(size > 1 && buf[1] >= 'A' && buf[1] <= 'Z'))
		buf[0] = (char)(buf[0] - 'A' + 'a');
	return buf;
}

struct start {
	void *(*fn)(void *arg);
	void *arg;
	char name[16];
};

void hull_os_sleep(uint64_t ns)
{
	const struct hull_hal *hal = hull_host_hal();
	uint32_t word = 0;

	hal->wait(hal, &word, 0, hal->now_ns(hal) + ns);
}

static hull_os_thread_fn begins; /* atomic */

void hull_os_thread_hook(hull_os_thread_fn fn)
{
	hull_store_release(&begins, fn);
}

static void *begin(void *arg)
{
	struct start s = *(struct start *)arg;
	hull_os_thread_fn hook = hull_load_acquire(&begins);

	free(arg);
	pthread_setname_np(pthread_self(), s.name);
	hull_host_hal()->cpu_id(hull_host_hal()); /* which asks the kernel the first time only */
	if (hook)
		hook(s.name);
	return s.fn(s.arg);
}

static int create(pthread_t *ret, struct start *s)
{
	static const int wanted[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t block, old;
	pthread_attr_t attr;
	int error;

	sigfillset(&block);
	sigdelset(&block, SIGRTMIN + HULL_KICK_SIGNAL);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		sigdelset(&block, wanted[i]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	error = pthread_create(ret, &attr, begin, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return error;
}

int hull_os_thread(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                   struct hull_err *err)
{
	struct start *s = calloc(1, sizeof(*s));
	char reason[64];
	pthread_t thread;
	int error = ENOMEM;

	if (s) {
		s->fn = fn;
		s->arg = arg;
		hull_format(s->name, sizeof(s->name), "%s", name);
		error = create(&thread, s);
	}
	if (error) {
		free(s);
		hull_fail(err, HULL_ENOMEM, 801, "cannot start the thread %s: %s", name,
		          hull_os_reason(error, reason, sizeof(reason)));
		hull_err_fix(err, "raise the limit on processes (ulimit -u) or free memory");
		return HULL_ENOMEM;
	}
	*ret = thread;
	return 0;
}
