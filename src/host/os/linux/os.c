/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* errno in our words, and threads. */
#include "host/os/os.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

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

int hull_os_thread(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                   struct hull_err *err)
{
	char label[16], reason[64];
	sigset_t block, old;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	sigfillset(&block);
	sigdelset(&block, SIGRTMIN + HULL_KICK_SIGNAL);
	sigdelset(&block, SIGSEGV);
	sigdelset(&block, SIGBUS);
	sigdelset(&block, SIGILL);
	sigdelset(&block, SIGFPE);
	sigdelset(&block, SIGTRAP);
	sigdelset(&block, SIGABRT);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	error = pthread_create(&thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error) {
		hull_fail(err, HULL_ENOMEM, 801, "cannot start the thread %s: %s", name,
		          hull_os_reason(error, reason, sizeof(reason)));
		hull_err_fix(err, "raise the limit on processes (ulimit -u) or free memory");
		return HULL_ENOMEM;
	}
	hull_format(label, sizeof(label), "%s", name);
	pthread_setname_np(thread, label);
	*ret = thread;
	return 0;
}
