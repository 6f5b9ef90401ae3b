/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/os/os.h"

enum { BACKLOG = 16 };

static bool set_path(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path || strlen(path) >= sizeof(addr->sun_path))
		return false;
	memcpy(addr->sun_path, path, strlen(path));
	return true;
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/*
 * Did the process that bound the socket die?  Anything else than a refusal (a
 * full backlog, another type of socket, no permission) means that somebody lives.
 */
static bool abandoned(const struct sockaddr_un *addr)
{
	int probe = new_socket();
	bool dead = probe >= 0 && connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) &&
	            errno == ECONNREFUSED;

	if (probe >= 0)
		close(probe);
	return dead;
}

/*
 * Lock the folder of a socket while it is looked at and replaced: two that find the same one
 * abandoned would remove each other's new one.  -1 where that cannot be done.
 */
static int lock_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct timespec pause = { .tv_nsec = 10000000 };
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	size_t len = slash ? (size_t)(slash - path) + 1 : 1;
	int fd;

	memcpy(folder, slash ? path : ".", len);
	folder[len] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && i < 200 && flock(fd, LOCK_EX | LOCK_NB); i++)
		nanosleep(&pause, NULL);
	return fd;
}

/* Returns 0 or an errno value. */
static int bind_anew(int fd, const struct sockaddr_un *addr)
{
	struct stat st;

	if (!bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE || lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return errno;
	if (!abandoned(addr))
		return EADDRINUSE;
	unlink(addr->sun_path);
	return bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? errno : 0;
}

/* With the lock until it listens: before that a socket looks abandoned, too. */
static int take_place(int fd, const struct sockaddr_un *addr)
{
	int folder = lock_folder(addr->sun_path), error = bind_anew(fd, addr);

	if (!error && listen(fd, BACKLOG))
		error = errno;
	if (folder >= 0)
		close(folder);
	return error;
}

int hull_unix_listen(const char *path, int *ret_fd, struct hull_err *err)
{
	struct sockaddr_un addr;
	char reason[64];
	int fd, error;

	if (!set_path(&addr, path)) {
		hull_fail(err, HULL_EINVAL, 0, "the socket path \"%s\" is empty or too long", path);
		hull_err_fix(err, "use a path of at most %u bytes",
		             (unsigned)sizeof(addr.sun_path) - 1);
		return HULL_EINVAL;
	}
	fd = new_socket();
	error = fd < 0 ? errno : take_place(fd, &addr);
	if (!error) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return hull_fail(err, hull_os_error(error), 0, "cannot open the socket \"%s\": %s", path,
	                 hull_os_reason(error, reason, sizeof(reason)));
}

int hull_unix_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un addr;
	int fd, error;

	if (!set_path(&addr, path))
		return HULL_EINVAL;
	fd = new_socket();
	if (fd < 0)
		return hull_os_error(errno);
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		*ret_fd = fd;
		return 0;
	}
	error = errno;
	close(fd);
	return hull_os_error(error);
}
