/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How switches of several processes find each other, cables to one peer, and passt; see switch.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/net/switch_impl.h"
#include "host/os/os.h"

enum { NAME_MAX_BYTES = 32, BACKLOG = 16, PASST_ARGS = 80 };

/* The shared switches of this process. */
static struct {
	pthread_mutex_t mutex;
	struct hull_switch *first;
} list = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static int cannot(struct hull_err *err, const char *what, const char *path, int error)
{
	char reason[64];

	return hull_fail(err, hull_os_error(error), 505, "cannot %s %s: %s", what, path,
	                 hull_os_reason(error, reason, sizeof(reason)));
}

static void end_child(pid_t child)
{
	kill(child, SIGTERM);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

void hull_switch_unref(struct hull_switch *sw)
{
	struct hull_switch **at = &list.first;
	bool last;
	pid_t child;

	pthread_mutex_lock(&list.mutex);
	last = !--sw->refs;
	while (last && *at && *at != sw)
		at = &(*at)->next;
	if (last && *at)
		*at = sw->next;
	pthread_mutex_unlock(&list.mutex);
	if (!last)
		return;
	child = sw->child;
	hull_switch_free(sw);
	if (child)
		end_child(child);
}

/* Unix sockets. */

static bool address(const char *path, struct sockaddr_un *ret)
{
	size_t len = strlen(path);

	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (!len || len >= sizeof(ret->sun_path))
		return false;
	memcpy(ret->sun_path, path, len);
	return true;
}

/* A connected socket, or -1 and errno. */
static int dial_path(const char *path)
{
	struct sockaddr_un a;
	int fd, error;

	if (!address(path, &a)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int listen_path(const char *path)
{
	struct sockaddr_un a;
	int fd, error;

	if (!address(path, &a)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, BACKLOG))
		return fd;
	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

/* The directory of the sockets: ours, and nobody else can write it. */
static int own_directory(const char *dir, struct hull_err *err)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return cannot(err, "make", dir, errno);
	if (lstat(dir, &st))
		return cannot(err, "look at", dir, errno);
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022))
		return 0;
	hull_fail(err, HULL_EPERM, 508, "%s is not a directory of this user alone", dir);
	hull_err_fix(err, "remove it, or set XDG_RUNTIME_DIR to a directory of yours");
	return HULL_EPERM;
}

static int find_directory(const char *given, char *dst, size_t size, struct hull_err *err)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	size_t n;

	if (given)
		n = hull_format(dst, size, "%s", given);
	else if (run && *run == '/')
		n = hull_format(dst, size, "%s/hull", run);
	else
		n = hull_format(dst, size, "/tmp/hull-%u", (unsigned)geteuid());
	if (n >= size)
		return hull_fail(err, HULL_EINVAL, 505, "the path of %.60s... is too long", dst);
	return own_directory(dst, err);
}

/* Connect to the process that listens, or, if there is none, listen. */
static int dial_switch(struct hull_switch *sw)
{
	char lock[sizeof(sw->path) + 8];
	const char *name = strrchr(sw->path, '/');
	int fd = dial_path(sw->path);

	if (fd >= 0)
		return fd;
	/* No switch's socket is called so: theirs are switch-NAME. */
	hull_format(lock, sizeof(lock), "%.*s/lock-%s", (int)(name - sw->path), sw->path, sw->name);
	if (sw->lock < 0)
		sw->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (sw->lock < 0 || flock(sw->lock, LOCK_EX | LOCK_NB))
		return -1; /* somebody is about to listen, or lives and is busy */
	unlinkat(AT_FDCWD, sw->path, 0);
	sw->listener = listen_path(sw->path);
	if (sw->listener < 0)
		flock(sw->lock, LOCK_UN);
	return -1;
}

static bool name_ok(const char *name)
{
	size_t len = strlen(name);

	return len && len <= NAME_MAX_BYTES && *name != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
	               len;
}

/* Under the list's mutex. */
static int make_shared(const struct hull_switch_options *o, struct hull_switch **ret,
                       struct hull_err *err)
{
	struct hull_switch *sw;
	char dir[64];
	int r = find_directory(o->dir, dir, sizeof(dir), err), fd;

	if (!r)
		r = hull_switch_new(false, &sw, err);
	if (r)
		return r;
	hull_format(sw->name, sizeof(sw->name), "%s", o->name);
	hull_format(sw->path, sizeof(sw->path), "%s/switch-%s", dir, o->name);
	sw->dial = dial_switch;
	fd = dial_switch(sw);
	if (fd >= 0)
		r = hull_switch_add_peer(sw, fd, true);
	else if (sw->listener < 0 && sw->lock < 0)
		r = cannot(err, "join the switch at", sw->path, errno);
	if (r) {
		hull_switch_free(sw);
		return r;
	}
	sw->next = list.first;
	list.first = sw;
	*ret = sw;
	return 0;
}

int hull_switch_join(const struct hull_switch_options *o, struct hull_net_end **ret,
                     struct hull_err *err)
{
	struct hull_switch *sw;
	int r = 0;

	if (!name_ok(o->name)) {
		hull_fail(err, HULL_EINVAL, 505, "\"%.40s\" is not a name for a switch", o->name);
		hull_err_fix(err, "at most 32 letters, digits, '-', '_', '.'");
		return HULL_EINVAL;
	}
	pthread_mutex_lock(&list.mutex);
	for (sw = list.first; sw && strcmp(sw->name, o->name); sw = sw->next)
		;
	if (sw)
		sw->refs++;
	else
		r = make_shared(o, &sw, err);
	pthread_mutex_unlock(&list.mutex);
	if (r)
		return r;
	r = hull_switch_add_nic(sw, o->mac, o->mtu, ret, err);
	if (r)
		hull_switch_unref(sw);
	return r;
}

/* Cables. */

static int dial_peer(struct hull_switch *sw)
{
	return dial_path(sw->path);
}

static int plug(struct hull_switch *sw, const struct hull_link_options *o, struct hull_err *err)
{
	const char *path = o->connect ? o->connect : o->listen;
	int fd = o->fd;

	if (path && strlen(path) >= sizeof(sw->path))
		return cannot(err, "use", path, ENAMETOOLONG);
	if (o->listen) {
		sw->listener = listen_path(path);
		if (sw->listener < 0)
			return cannot(err, "listen at", path, errno);
	} else if (o->connect) {
		fd = dial_path(path);
		if (fd < 0) {
			cannot(err, "connect to", path, errno);
			if (err)
				err->id = 507;
			return hull_os_error(errno);
		}
		sw->dial = dial_peer;
	}
	if (path)
		hull_format(sw->path, sizeof(sw->path), "%s", path);
	if (!o->listen && hull_switch_add_peer(sw, fd, true))
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network");
	return 0;
}

int hull_link_open(const struct hull_link_options *o, struct hull_net_end **ret,
                   struct hull_err *err)
{
	struct hull_switch *sw;
	int r = hull_switch_new(true, &sw, err);

	if (r) {
		if (!o->connect && !o->listen)
			close(o->fd);
		return r;
	}
	r = plug(sw, o, err);
	if (!r)
		r = hull_switch_add_nic(sw, o->mac, o->mtu, ret, err);
	if (r)
		hull_switch_unref(sw);
	return r;
}

/* passt's "-t ADDR/HOST:GUEST". */
static int passt_port(const struct hull_net_publish *p, char *dst, size_t size,
                      struct hull_err *err)
{
	char host[64], all[HULL_NET_PUBLISH_TEXT];
	size_t len;

	if (!p->host) {
		hull_fail(err, HULL_EINVAL, 509, "passt cannot choose a host port for port %u",
		          p->guest);
		hull_err_fix(err, "-P %u:%u", 2200u + p->guest % 1000, p->guest);
		return HULL_EINVAL;
	}
	hull_net_publish_text(p, all);
	len = (size_t)(strstr(all, p->addr.v6 ? "]:" : ":") - all);
	hull_format(host, sizeof(host), "%.*s", (int)len - p->addr.v6, all + p->addr.v6);
	hull_format(dst, size, "%s/%u:%u", host, p->host, p->guest);
	return 0;
}

static int start_passt(int fd, char *const argv[], pid_t *ret, struct hull_err *err)
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	int error;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, fd, fd);
	error = posix_spawnp(ret, "passt", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (!error)
		return 0;
	hull_fail(err, HULL_ENOENT, 509, "passt cannot be started");
	hull_err_fix(err, "apt install passt, or --net user");
	return HULL_ENOENT;
}

int hull_passt_open(const struct hull_link_options *o, const struct hull_net_publish *publish,
                    unsigned npublish, struct hull_net_end **ret, struct hull_err *err)
{
	char specs[PASST_ARGS][80], number[16];
	char *argv[PASST_ARGS] = { (char *)"passt", (char *)"--foreground", (char *)"--quiet",
		                   (char *)"--fd", number };
	struct hull_link_options link = *o;
	int pair[2], r = 0;
	unsigned n = 5;
	pid_t child;

	if (npublish > (PASST_ARGS - 8) / 2)
		return hull_fail(err, HULL_EOVERFLOW, 509, "too many published ports");
	for (unsigned i = 0; !r && i < npublish; i++) {
		argv[n++] = (char *)(publish[i].udp ? "-u" : "-t");
		r = passt_port(&publish[i], specs[i], sizeof(specs[i]), err);
		argv[n++] = specs[i];
	}
	if (r)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return cannot(err, "make", "a socket", errno);
	hull_format(number, sizeof(number), "%d", pair[1]);
	r = start_passt(pair[1], argv, &child, err);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		return r;
	}
	link.connect = link.listen = NULL;
	link.fd = pair[0];
	r = hull_link_open(&link, ret, err);
	if (!r)
		((struct hull_switch_port *)*ret)->sw->child = child;
	else
		end_child(child);
	return r;
}
