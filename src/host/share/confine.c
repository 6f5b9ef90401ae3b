/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * From names to descriptors without leaving the shared directory.
 *
 * A single component, looked up in a directory that is inside, names something inside: the kernel
 * is told to follow nothing and to enter no other mount.  That leaves directories which a process
 * of the host moves elsewhere while the client holds them; inside() notices those, by the path that
 * the kernel itself gives for a descriptor.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "host/share/share_impl.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

enum { PATH_BYTES = 4096, TRIES = 4 };

int check_name(const char *name, uint32_t len)
{
	if (!len)
		return EINVAL;
	if (len >= NAME_BYTES)
		return ENAMETOOLONG;
	if (memchr(name, 0, len) || memchr(name, '/', len))
		return EINVAL;
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')) ? EACCES : 0;
}

int get_name(struct op *o, char name[NAME_BYTES])
{
	uint32_t len;
	const char *text = get_text(&o->in, &len);
	int r = text ? check_name(text, len) : EPROTO;

	if (r)
		return r;
	memcpy(name, text, len);
	name[len] = 0;
	return 0;
}

static int open_at(int dir, const char *path, uint64_t resolve)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		                .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
		                           RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	long fd;

	do {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	} while (fd < 0 && errno == EINTR);
	return (int)fd;
}

int open_plain(int dir, const char *path, int flags, uint32_t mode)
{
	struct open_how how = { .flags = (uint32_t)flags, .mode = mode };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int step(struct share *s, int dir, const char *name, bool now, int *ret_fd)
{
	int fd;

	if (now && !s->cached)
		return LATER;
	fd = open_at(dir, name, now ? RESOLVE_CACHED : 0);
	if (fd < 0)
		return now && errno == EAGAIN ? LATER : errno;
	*ret_fd = fd;
	return 0;
}

static int stat_at(int dir, const char *name, int flags, struct statx *ret)
{
	return statx(dir, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
	             STATX_BASIC_STATS | STATX_BTIME, ret)
	               ? errno
	               : 0;
}

int stat_fd(int fd, struct statx *ret)
{
	return stat_at(fd, "", AT_EMPTY_PATH, ret);
}

int stat_name(int dir, const char *name, struct statx *ret)
{
	return stat_at(dir, name, 0, ret);
}

const char *link_name(char buf[16], int fd)
{
	hull_format(buf, 16, "%d", fd);
	return buf;
}

/* The kernel's path of a descriptor; ENAMETOOLONG if it has more than 4095 bytes. */
static int path_of(struct share *s, int fd, char path[PATH_BYTES])
{
	char link[16];
	ssize_t n = readlinkat(s->proc, link_name(link, fd), path, PATH_BYTES);

	if (n < 0)
		return errno;
	if (n >= PATH_BYTES)
		return ENAMETOOLONG;
	path[n] = 0;
	return 0;
}

int learn_root(struct share *s)
{
	char path[PATH_BYTES];
	int r = path_of(s, s->root->fd, path);
	char *copy;

	if (r)
		return r;
	if (!strcmp(path, "/"))
		path[0] = 0; /* so that everything begins with it and a slash */
	copy = strdup(path);
	if (!copy)
		return ENOMEM;
	pthread_mutex_lock(&s->path_lock);
	free(s->root_path);
	s->root_path = copy;
	pthread_mutex_unlock(&s->path_lock);
	return 0;
}

/* Is `path` the root's or below it?  *ret_len: how much of it is the root's. */
static bool below(struct share *s, const char *path, size_t *ret_len)
{
	bool r;

	pthread_mutex_lock(&s->path_lock);
	*ret_len = strlen(s->root_path);
	r = !strncmp(path, s->root_path, *ret_len) && (!path[*ret_len] || path[*ret_len] == '/');
	pthread_mutex_unlock(&s->path_lock);
	return r;
}

/* The path of a file that is inside; *ret_rest: where in it the part below the root begins. */
static int inside_path(struct share *s, int fd, char path[PATH_BYTES], size_t *ret_rest)
{
	for (int i = 0; i < TRIES; i++) {
		int r = path_of(s, fd, path);

		if (r || below(s, path, ret_rest))
			return r;
		/* The root itself may have been moved. */
		r = learn_root(s);
		if (r)
			return r;
	}
	return ESTALE;
}

int inside(struct share *s, int fd)
{
	char path[PATH_BYTES];
	size_t rest;

	return inside_path(s, fd, path, &rest);
}

int reopen(struct share *s, const struct node *n, int flags, int *ret_fd)
{
	char link[16];
	int fd;

	if (n->type != S_IFREG && n->type != S_IFDIR)
		return n->type == S_IFLNK ? ELOOP : EACCES;
	do {
		fd = open_plain(s->proc, link_name(link, n->fd), flags | O_CLOEXEC | O_NOCTTY, 0);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return errno;
	*ret_fd = fd;
	return 0;
}

/* Is the file called `name` the node's? */
static int same_file(const struct node *n, int dir, const char *name)
{
	struct statx a, b;
	int r = stat_fd(n->fd, &a);

	if (!r)
		r = stat_name(dir, name, &b);
	if (r)
		return r;
	return a.stx_ino == b.stx_ino && dev_of(&a) == dev_of(&b) ? 0 : ESTALE;
}

int locate(struct share *s, const struct node *n, int *ret_dir, char name[NAME_BYTES])
{
	char path[PATH_BYTES], *last;
	size_t rest;
	int r = inside_path(s, n->fd, path, &rest);
	int dir;

	if (r)
		return r;
	last = strrchr(path + rest, '/');
	if (!last || !last[1])
		return EBUSY; /* the root itself */
	if (!hull_text_copy(name, NAME_BYTES, last + 1))
		return ESTALE; /* " (deleted)" may follow */
	*last = 0;
	dir = open_at(s->root->fd, path[rest] ? path + rest + 1 : ".", 0);
	if (dir < 0)
		return errno == ENOENT ? ESTALE : errno;
	r = same_file(n, dir, name);
	if (r)
		close(dir);
	else
		*ret_dir = dir;
	return r;
}

/*
 * A number that no other file of the share has: 48 bits of the inode number, and an index into
 * the table of what else occurs.  Nearly always there is one entry.
 */
int qid_path(struct share *s, uint64_t dev, uint64_t ino, uint64_t *ret)
{
	uint64_t high = ino >> 48;
	unsigned i;

	pthread_mutex_lock(&s->id_lock);
	for (i = 0; i < s->nprefixes; i++)
		if (s->prefix[i].dev == dev && s->prefix[i].high == high)
			break;
	if (i == s->nprefixes && i < PREFIXES) {
		s->prefix[i].dev = dev;
		s->prefix[i].high = high;
		s->nprefixes++;
	}
	pthread_mutex_unlock(&s->id_lock);
	if (i == PREFIXES)
		return EOVERFLOW;
	*ret = (uint64_t)i << 48 | (ino & low_mask(48));
	return 0;
}

int qid_of(struct share *s, const struct statx *st, struct qid *ret)
{
	/* Differs when the contents do; as it is a cache's hint, chance collisions are harmless. */
	ret->version = (uint32_t)st->stx_ctime.tv_sec ^ st->stx_ctime.tv_nsec << 2 ^
	               (uint32_t)st->stx_size << 8;
	ret->type = S_ISDIR(st->stx_mode)   ? QID_DIR
	            : S_ISLNK(st->stx_mode) ? QID_SYMLINK
	                                    : QID_FILE;
	return qid_path(s, dev_of(st), st->stx_ino, &ret->path);
}
