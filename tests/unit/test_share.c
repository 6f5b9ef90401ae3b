/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The 9P server: what every message does, and the errors that honest clients meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/shared_dir.h"

enum { L_WRONLY = 1, L_RDWR = 2, L_EXCL = 0200, L_TRUNC = 01000, L_APPEND = 02000 };
enum { REMOVE_DIR = 0x200 };

static void files_are_made_written_and_read(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9_attr a;
	char buf[100];

	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_create(d->c, 1, "new", L_RDWR, 0664), 0);
	assert_int_equal(p9_write(d->c, 1, 0, "hello, world", 12), 12);
	assert_int_equal(p9_read(d->c, 1, 7, buf, 100), 5);
	assert_memory_equal(buf, "world", 5);
	assert_int_equal(p9_read(d->c, 1, 12, buf, 100), 0);
	assert_string_equal(get_file(d, "in/new"), "hello, world");
	assert_int_equal(p9_getattr(d->c, 1, &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0664);
	assert_int_equal(a.size, 12);
	assert_int_equal(a.nlink, 1);
	assert_int_equal(a.uid, 0);
	put32(p9_begin(d->c, P9_TFSYNC), 1);
	put32(&d->c->t, 1);
	assert_int_equal(p9_call(d->c, 0), 0);
	assert_int_equal(p9_clunk(d->c, 1), 0);
	assert_int_equal(p9_clunk(d->c, 1), EBADF);
	/* There already: opened, or refused if it must be new. */
	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_create(d->c, 1, "new", L_RDWR | L_EXCL, 0600), EEXIST);
	assert_int_equal(p9_create(d->c, 1, "new", L_WRONLY | L_APPEND, 0600), 0);
	assert_int_equal(p9_write(d->c, 1, 0, "!", 1), 1);
	assert_string_equal(get_file(d, "in/new"), "hello, world!");
	assert_int_equal(p9_read(d->c, 1, 0, buf, 1), -EBADF);
	assert_int_equal(p9_clunk(d->c, 1), 0);
	assert_int_equal(p9_walk(d->c, 0, 1, "new"), 0);
	assert_int_equal(p9_read(d->c, 1, 0, buf, 1), -EBADF);
	assert_int_equal(p9_open(d->c, 1, L_WRONLY | L_TRUNC), 0);
	assert_int_equal(p9_open(d->c, 1, 0), EBUSY);
	assert_string_equal(get_file(d, "in/new"), "");
	shared_dir_free(d);
}

/* More than the inline path takes, at odd places, from a cache that was just written. */
static void large_files_come_back(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	static uint8_t out[500000], in[500000];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + (i >> 9));
	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_create(d->c, 1, "big", L_RDWR, 0600), 0);
	assert_int_equal(p9_write(d->c, 1, 123, out, sizeof(out)), sizeof(out));
	assert_int_equal(p9_read(d->c, 1, 123, in, sizeof(in)), sizeof(in));
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(p9_read(d->c, 1, 123 + 499000, in, 5000), 1000);
	assert_memory_equal(in, out + 499000, 1000);
	assert_int_equal(p9_read(d->c, 1, UINT64_MAX - 3, in, 10), -EINVAL);
	assert_int_equal(p9_write(d->c, 1, INT64_MAX, in, 10), -EFBIG);
	assert_int_equal(p9_read(d->c, 1, UINT64_C(1) << 40, in, 10), 0);
	shared_dir_free(d);
}

static void paths_are_walked(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9_attr a, b;

	assert_int_equal(p9_mkdir(d->c, 0, "a", 0755), 0);
	assert_int_equal(p9_mkdir(d->c, 0, "a", 0755), EEXIST);
	assert_int_equal(p9_walk(d->c, 0, 1, "a"), 0);
	assert_int_equal(p9_mkdir(d->c, 1, "b", 0700), 0);
	put_file(d, "in/a/b/file", "x");
	assert_int_equal(p9_walk(d->c, 0, 2, "a/b/file"), 0);
	assert_int_equal(get16(&(struct wire_in){ d->c->reply + 7, 2, false }), 3);
	assert_int_equal(p9_getattr(d->c, 2, &a), 0);
	assert_int_equal(a.size, 1);
	/* Half-way: an answer without a fid.  At once: an error. */
	assert_int_equal(p9_walk(d->c, 0, 3, "a/none"), ENOENT);
	assert_int_equal(d->c->reply[4], P9_TWALK + 1);
	assert_int_equal(p9_getattr(d->c, 3, &b), EBADF);
	assert_int_equal(p9_walk(d->c, 0, 3, "none"), ENOENT);
	assert_int_equal(d->c->reply[4], P9_RLERROR);
	assert_int_equal(p9_walk(d->c, 2, 3, "x"), ENOTDIR);
	assert_int_equal(p9_walk(d->c, 0, 2, "a"), EBADF);
	/* Onto itself, and clones. */
	assert_int_equal(p9_walk(d->c, 1, 1, "b/file"), 0);
	assert_int_equal(p9_getattr(d->c, 1, &b), 0);
	assert_int_equal(a.qid.path, b.qid.path);
	assert_int_equal(p9_walk(d->c, 1, 4, ""), 0);
	assert_int_equal(p9_open(d->c, 1, 0), 0);
	assert_int_equal(p9_walk(d->c, 1, 1, ""), EBUSY);
	assert_int_equal(p9_walk(d->c, 1, 5, ""), 0);
	assert_int_equal(p9_open(d->c, 5, 0), 0);
	shared_dir_free(d);
}

struct listing {
	unsigned n, dirs;
	char names[400][16];
};

static void note(void *arg, const char *name, const struct qid *qid, uint8_t type)
{
	struct listing *l = arg;

	if (name[0] == '.')
		return;
	assert_true(l->n < 400);
	snprintf(l->names[l->n++], 16, "%s", name);
	l->dirs += qid->type == QID_DIR;
	assert_true((qid->type == QID_DIR) == (type == 4));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void directories_are_listed(void **state)
{
	static const uint32_t counts[] = { 60, 100, 1000, 8000, 1 << 20 };
	struct shared_dir *d = shared_dir_new(NULL);
	char name[32];
	uint64_t at = 0;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "in/file%03d", i);
		put_file(d, name, "");
	}
	assert_int_equal(p9_mkdir(d->c, 0, "dir", 0755), 0);
	assert_int_equal(p9_symlink(d->c, 0, "link", "anywhere"), 0);
	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_readdir(d->c, 1, &at, 100, NULL, NULL), -EBADF);
	assert_int_equal(p9_open(d->c, 1, 0), 0);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct listing l = { 0 };

		at = 0;
		while (p9_readdir(d->c, 1, &at, counts[i], note, &l) > 0)
			;
		assert_int_equal(l.n, 302);
		assert_int_equal(l.dirs, 1);
		qsort(l.names, l.n, sizeof(l.names[0]), by_name);
		for (unsigned k = 1; k < l.n; k++)
			assert_string_not_equal(l.names[k], l.names[k - 1]);
	}
	at = 0;
	assert_int_equal(p9_readdir(d->c, 1, &at, 10, NULL, NULL), -EINVAL);
	shared_dir_free(d);
}

static void names_are_changed(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9_attr a, b;
	char buf[64];

	put_file(d, "in/one", "1");
	assert_int_equal(p9_mkdir(d->c, 0, "dir", 0755), 0);
	assert_int_equal(p9_walk(d->c, 0, 1, "dir"), 0);
	assert_int_equal(p9_walk(d->c, 0, 2, "one"), 0);
	assert_int_equal(p9_renameat(d->c, 0, "one", 1, "two"), 0);
	assert_string_equal(get_file(d, "in/dir/two"), "1");
	assert_int_equal(p9_rename(d->c, 2, 0, "three"), 0);
	assert_string_equal(get_file(d, "in/three"), "1");
	assert_int_equal(p9_link(d->c, 1, 2, "four"), 0);
	assert_int_equal(p9_walk(d->c, 1, 3, "four"), 0);
	assert_int_equal(p9_getattr(d->c, 2, &a), 0);
	assert_int_equal(p9_getattr(d->c, 3, &b), 0);
	assert_int_equal(a.qid.path, b.qid.path);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(p9_link(d->c, 1, 1, "five"), EPERM);
	assert_int_equal(p9_unlinkat(d->c, 1, "four", REMOVE_DIR), ENOTDIR);
	assert_int_equal(p9_unlinkat(d->c, 1, "four", 0), 0);
	assert_int_equal(p9_getattr(d->c, 3, &b), 0);
	assert_int_equal(b.nlink, 1);
	assert_int_equal(p9_unlinkat(d->c, 1, "four", 0), ENOENT);
	assert_int_equal(p9_rename(d->c, 3, 0, "x"), ENOENT);
	assert_int_equal(p9_unlinkat(d->c, 0, "dir", 0), EISDIR);
	assert_int_equal(p9_unlinkat(d->c, 0, "dir", REMOVE_DIR), 0);
	assert_int_equal(p9_mkdir(d->c, 1, "in-removed", 0755), ENOENT);
	assert_int_equal(p9_remove(d->c, 2), 0);
	assert_int_equal(p9_getattr(d->c, 2, &a), EBADF);
	assert_int_equal(access(in_top(d, "in/three"), F_OK), -1);
	assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
	assert_int_equal(p9_remove(d->c, 2), EBUSY);
	assert_int_equal(p9_getattr(d->c, 2, &a), EBADF);
	assert_int_equal(p9_symlink(d->c, 0, "link", "/etc/passwd"), 0);
	assert_int_equal(p9_walk(d->c, 0, 2, "link"), 0);
	assert_int_equal(p9_readlink(d->c, 2, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/etc/passwd");
	assert_int_equal(p9_link(d->c, 0, 2, "link2"), 0);
	assert_int_equal(p9_readlink(d->c, 0, buf, sizeof(buf)), EINVAL);
	assert_int_equal(p9_getattr(d->c, 2, &a), 0);
	assert_int_equal(a.mode & S_IFMT, S_IFLNK);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(a.qid.type, QID_SYMLINK);
	shared_dir_free(d);
}

static int setattr(struct p9 *c, uint32_t fid, uint32_t valid, uint32_t number, uint64_t value)
{
	put32(p9_begin(c, P9_TSETATTR), fid);
	put32(&c->t, valid);
	put32(&c->t, number);
	put32(&c->t, number);
	put32(&c->t, number);
	put64(&c->t, value);
	for (int i = 0; i < 4; i++)
		put64(&c->t, value);
	return p9_call(c, 0);
}

static void attributes_are_changed(void **state)
{
	enum { MODE = 1, UID = 2, GID = 4, SIZE = 8, ATIME = 0x10, MTIME = 0x20, TO = 0x180 };
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9_attr a;
	struct stat st;

	put_file(d, "in/f", "0123456789");
	assert_int_equal(p9_walk(d->c, 0, 1, "f"), 0);
	assert_int_equal(setattr(d->c, 1, MODE, 06640, 0), 0);
	assert_int_equal(p9_getattr(d->c, 1, &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0640); /* set-id bits are not for files */
	assert_int_equal(setattr(d->c, 1, SIZE, 0, 4), 0);
	assert_string_equal(get_file(d, "in/f"), "0123");
	assert_int_equal(setattr(d->c, 1, SIZE, 0, UINT64_MAX), EFBIG);
	assert_int_equal(setattr(d->c, 1, ATIME | MTIME | TO, 0, 12345), 0);
	assert_int_equal(stat(in_top(d, "in/f"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 12345);
	assert_int_equal(st.st_mtim.tv_nsec, 12345);
	assert_int_equal(setattr(d->c, 1, MTIME, 0, 0), 0);
	assert_int_equal(p9_getattr(d->c, 1, &a), 0);
	assert_true(a.mtime > 1000000);
	assert_int_equal(setattr(d->c, 1, MTIME | TO, 0, UINT64_C(1) << 40), EINVAL);
	/* Everything is the guest's root's; that cannot be changed. */
	assert_int_equal(setattr(d->c, 1, UID | GID, 0, 0), 0);
	assert_int_equal(setattr(d->c, 1, UID, 7, 0), EPERM);
	assert_int_equal(setattr(d->c, 1, GID, 7, 0), EPERM);
	assert_int_equal(setattr(d->c, 0, SIZE, 0, 0), EISDIR);
	/* A descriptor that may write still does when the file may not be written to any more. */
	assert_int_equal(p9_open(d->c, 1, L_RDWR), 0);
	assert_int_equal(setattr(d->c, 1, MODE, 0400, 0), 0);
	assert_int_equal(setattr(d->c, 1, SIZE, 0, 1), 0);
	assert_string_equal(get_file(d, "in/f"), "0");
	assert_int_equal(p9_symlink(d->c, 0, "l", "f"), 0);
	assert_int_equal(p9_walk(d->c, 0, 2, "l"), 0);
	assert_int_equal(setattr(d->c, 2, MODE, 0777, 0), EOPNOTSUPP);
	assert_int_equal(setattr(d->c, 2, SIZE, 0, 0), EINVAL);
	assert_int_equal(setattr(d->c, 2, MTIME | TO, 0, 99), 0);
	assert_int_equal(lstat(in_top(d, "in/l"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 99);
	assert_int_equal(stat(in_top(d, "in/f"), &st), 0);
	assert_int_not_equal(st.st_mtim.tv_sec, 99);
	shared_dir_free(d);
}

static int xattr_set(struct p9 *c, const char *name, const char *value, uint32_t flags)
{
	uint32_t len = (uint32_t)strlen(value);
	int r;

	assert_int_equal(p9_walk(c, 1, 9, ""), 0);
	put32(p9_begin(c, P9_TXATTRCREATE), 9);
	p9_text(c, name);
	put64(&c->t, len);
	put32(&c->t, flags);
	r = p9_call(c, 0);
	if (r) {
		assert_int_equal(p9_clunk(c, 9), 0);
		return r;
	}
	if (len)
		assert_int_equal(p9_write(c, 9, 0, value, len), len);
	return p9_clunk(c, 9);
}

static int xattr_get(struct p9 *c, const char *name, char *buf, uint32_t size)
{
	int r;

	put32(p9_begin(c, P9_TXATTRWALK), 1);
	put32(&c->t, 9);
	p9_text(c, name);
	r = p9_call(c, 0);
	if (r)
		return -r;
	assert_true(get64(&c->r) < size);
	r = p9_read(c, 9, 0, buf, size - 1);
	assert_true(r >= 0);
	buf[r] = 0;
	assert_int_equal(p9_clunk(c, 9), 0);
	return r;
}

static void extended_attributes(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	char buf[200];

	put_file(d, "in/f", "");
	assert_int_equal(p9_walk(d->c, 0, 1, "f"), 0);
	if (setxattr(in_top(d, "in/f"), "user.there", "1", 1, 0))
		skip(); /* the file system has none */
	assert_int_equal(xattr_set(d->c, "user.colour", "green", XATTR_CREATE), 0);
	assert_int_equal(xattr_get(d->c, "user.colour", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "green");
	assert_int_equal(xattr_set(d->c, "user.colour", "red", XATTR_CREATE), EEXIST);
	assert_int_equal(xattr_set(d->c, "user.colour", "red", 0), 0);
	assert_int_equal(getxattr(in_top(d, "in/f"), "user.colour", buf, 10), 3);
	assert_int_equal(xattr_get(d->c, "", buf, sizeof(buf)), 23);
	assert_int_equal(xattr_set(d->c, "user.colour", "", XATTR_REPLACE), 0);
	assert_int_equal(xattr_get(d->c, "user.colour", buf, sizeof(buf)), -ENODATA);
	assert_int_equal(xattr_set(d->c, "user.empty", "", 0), 0);
	assert_int_equal(xattr_get(d->c, "user.empty", buf, sizeof(buf)), 0);
	/* Those that mean something to the host. */
	assert_int_equal(xattr_set(d->c, "security.capability", "x", 0), EOPNOTSUPP);
	assert_int_equal(xattr_set(d->c, "trusted.x", "x", 0), EOPNOTSUPP);
	assert_int_equal(xattr_set(d->c, "system.posix_acl_access", "x", 0), EOPNOTSUPP);
	assert_int_equal(xattr_get(d->c, "security.capability", buf, sizeof(buf)), -ENODATA);
	shared_dir_free(d);
}

static void locks_are_the_hosts(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
	int fd;

	put_file(d, "in/f", "0123456789");
	fd = open(in_top(d, "in/f"), O_RDWR | O_CLOEXEC);
	assert_int_equal(p9_walk(d->c, 0, 1, "f"), 0);
	assert_int_equal(p9_lock(d->c, 1, 1, 0, 0), EBADF);
	assert_int_equal(p9_open(d->c, 1, L_RDWR), 0);
	assert_int_equal(p9_lock(d->c, 1, 1, 0, 5), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), -1);
	assert_int_equal(p9_walk(d->c, 0, 2, "f"), 0);
	assert_int_equal(p9_open(d->c, 2, L_RDWR), 0);
	assert_int_equal(p9_lock(d->c, 2, 0, 4, 2), EAGAIN);
	assert_int_equal(p9_lock(d->c, 2, 1, 5, 0), 0);
	put32(p9_begin(d->c, P9_TGETLOCK), 2);
	put8(&d->c->t, 1);
	put64(&d->c->t, 0);
	put64(&d->c->t, 0);
	put32(&d->c->t, 1);
	p9_text(d->c, "me");
	assert_int_equal(p9_call(d->c, 0), 0);
	assert_int_equal(get8(&d->c->r), 1);
	assert_int_equal(get64(&d->c->r), 0);
	assert_int_equal(get64(&d->c->r), 5);
	assert_int_equal(p9_lock(d->c, 1, 2, 0, 0), 0);
	assert_int_equal(p9_clunk(d->c, 2), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	assert_int_equal(p9_lock(d->c, 1, 0, 0, 1), EAGAIN);
	assert_int_equal(p9_lock(d->c, 1, 3, 0, 1), EINVAL);
	assert_int_equal(p9_lock(d->c, 1, 0, UINT64_MAX, 1), EINVAL);
	close(fd);
	shared_dir_free(d);
}

static void special_files(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9_attr a;

	assert_int_equal(p9_mknod(d->c, 0, "pipe", S_IFIFO | 0600), 0);
	assert_int_equal(p9_mknod(d->c, 0, "socket", S_IFSOCK | 0600), 0);
	assert_int_equal(p9_mknod(d->c, 0, "plain", S_IFREG | 0600), 0);
	assert_int_equal(p9_mknod(d->c, 0, "null", S_IFCHR | 0600), EPERM);
	assert_int_equal(p9_mknod(d->c, 0, "disk", S_IFBLK | 0600), EPERM);
	assert_int_equal(p9_mknod(d->c, 0, "dir", S_IFDIR | 0600), EPERM);
	assert_int_equal(p9_walk(d->c, 0, 1, "pipe"), 0);
	assert_int_equal(p9_getattr(d->c, 1, &a), 0);
	assert_int_equal(a.mode, S_IFIFO | 0600);
	assert_int_equal(p9_open(d->c, 1, 0), EACCES);
	assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
	assert_int_equal(p9_create(d->c, 2, "pipe", L_WRONLY, 0600), EACCES);
	put32(p9_begin(d->c, P9_TSTATFS), 0);
	assert_int_equal(p9_call(d->c, 0), 0);
	assert_int_equal(get32(&d->c->r), 0x01021997);
	assert_int_equal(d->c->r.left, 5 * 8 + 8 + 4 + 4);
	shared_dir_free(d);
}

static void a_read_only_share_refuses(void **state)
{
	struct shared_dir *d = shared_dir_new(&(struct hull_share_options){ .read_only = true });
	char buf[10];

	put_file(d, "in/f", "text");
	assert_int_equal(p9_walk(d->c, 0, 1, "f"), 0);
	assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
	assert_int_equal(p9_open(d->c, 1, L_RDWR), EROFS);
	assert_int_equal(p9_open(d->c, 1, L_WRONLY), EROFS);
	assert_int_equal(p9_open(d->c, 1, L_TRUNC), EROFS);
	assert_int_equal(p9_create(d->c, 2, "f", 0, 0600), EROFS);
	assert_int_equal(p9_mkdir(d->c, 0, "x", 0755), EROFS);
	assert_int_equal(p9_symlink(d->c, 0, "x", "y"), EROFS);
	assert_int_equal(p9_mknod(d->c, 0, "x", S_IFIFO), EROFS);
	assert_int_equal(p9_link(d->c, 0, 1, "x"), EROFS);
	assert_int_equal(p9_rename(d->c, 1, 0, "x"), EROFS);
	assert_int_equal(p9_renameat(d->c, 0, "f", 0, "x"), EROFS);
	assert_int_equal(p9_unlinkat(d->c, 0, "f", 0), EROFS);
	assert_int_equal(setattr(d->c, 1, 8, 0, 0), EROFS);
	assert_int_equal(p9_open(d->c, 1, 0), 0);
	assert_int_equal(p9_write(d->c, 1, 0, "x", 1), -EROFS);
	assert_int_equal(p9_read(d->c, 1, 0, buf, 10), 4);
	assert_int_equal(xattr_set(d->c, "user.x", "x", 0), EROFS);
	assert_int_equal(p9_walk(d->c, 0, 3, "f"), 0);
	assert_int_equal(p9_remove(d->c, 3), EROFS);
	assert_int_equal(p9_clunk(d->c, 3), EBADF);
	assert_string_equal(get_file(d, "in/f"), "text");
	shared_dir_free(d);
}

static void a_version_begins_anew(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct hull_share_use use;
	struct p9_attr a;

	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_open(d->c, 1, 0), 0);
	assert_int_equal(p9_version(d->c, 100), EMSGSIZE);
	assert_int_equal(p9_getattr(d->c, 0, &a), 0);
	assert_int_equal(p9_version(d->c, 1 << 30), 0);
	assert_int_equal(get32(&d->c->r), 512 << 10);
	hull_share_usage(d->share, &use);
	assert_int_equal(use.fids, 0);
	assert_int_equal(use.fds, 1);
	assert_int_equal(p9_getattr(d->c, 0, &a), EBADF);
	put32(p9_begin(d->c, P9_TVERSION), 8192);
	p9_text(d->c, "9P2000.u");
	assert_int_equal(p9_call(d->c, 0), 0);
	assert_memory_equal(d->c->reply + 13, "unknown", 7);
	assert_int_equal(p9_attach(d->c, 0), EPROTO);
	assert_int_equal(p9_version(d->c, 8192), 0);
	assert_int_equal(p9_attach(d->c, 0), 0);
	assert_int_equal(p9_attach(d->c, 0), EBADF);
	assert_int_equal(p9_attach(d->c, UINT32_MAX), EBADF);
	p9_begin(d->c, P9_TAUTH);
	assert_int_equal(p9_call(d->c, 0), EOPNOTSUPP);
	shared_dir_free(d);
}

static void answers_come_at_once_if_they_must(void **state)
{
	struct shared_dir *d = shared_dir_new(&(struct hull_share_options){ .at_once = true });

	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_create(d->c, 1, "f", L_RDWR, 0600), 0);
	put32(p9_begin(d->c, P9_TFSYNC), 1);
	put32(&d->c->t, 0);
	d->c->req = (struct hull_share_req){ .msg = d->c->msg,
		                             .msg_len = d->c->t.len,
		                             .reply = d->c->reply,
		                             .reply_max = sizeof(d->c->reply) };
	store_le32(d->c->msg, d->c->t.len);
	assert_int_equal(d->share->submit(d->share, &d->c->req), 1);
	assert_int_equal(d->c->reply[4], P9_TFSYNC + 1);
	shared_dir_free(d);
}

static void what_cannot_be_shared(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct hull_share_options o = { .path = "/nonexistent", .tag = "t" };
	struct hull_share *s;
	struct hull_err err;

	assert_int_equal(hull_share_open(&o, &s, &err), HULL_ENOENT);
	assert_int_equal(err.id, 940);
	o.path = "/proc/self/status";
	assert_int_equal(hull_share_open(&o, &s, &err), HULL_EINVAL);
	assert_int_equal(err.id, 941);
	o.path = d->top;
	o.uid = HULL_SHARE_KEEP_IDS;
	assert_int_equal(hull_share_open(&o, &s, &err), HULL_EINVAL);
	assert_int_equal(err.id, 942);
	hull_share_close(NULL);
	assert_true(hull_share_raise_limit(1) >= 16);
	assert_true(hull_share_raise_limit(8) < hull_share_raise_limit(1) + 1);
	shared_dir_free(d);
}

/* As root the guest's ids may be kept. */
static void ids_are_kept_if_asked(void **state)
{
	struct hull_share_options o = { .uid = HULL_SHARE_KEEP_IDS, .gid = HULL_SHARE_KEEP_IDS };
	struct shared_dir *d;
	struct p9_attr a;
	struct stat st;

	if (geteuid())
		skip();
	d = shared_dir_new(&o);
	put32(p9_begin(d->c, P9_TATTACH), 1);
	put32(&d->c->t, UINT32_MAX);
	p9_text(d->c, "user");
	p9_text(d->c, "/");
	put32(&d->c->t, 1234);
	assert_int_equal(p9_call(d->c, 0), 0);
	assert_int_equal(p9_mkdir(d->c, 1, "dir", 0700), 0);
	assert_int_equal(stat(in_top(d, "in/dir"), &st), 0);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(p9_create(d->c, 1, "f", L_RDWR, 04755), 0);
	assert_int_equal(p9_getattr(d->c, 1, &a), 0);
	assert_int_equal(a.uid, 1234);
	assert_int_equal(setattr(d->c, 1, 2, 77, 0), 0);
	assert_int_equal(stat(in_top(d, "in/f"), &st), 0);
	assert_int_equal(st.st_uid, 77);
	shared_dir_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_made_written_and_read),
		cmocka_unit_test(large_files_come_back),
		cmocka_unit_test(paths_are_walked),
		cmocka_unit_test(directories_are_listed),
		cmocka_unit_test(names_are_changed),
		cmocka_unit_test(attributes_are_changed),
		cmocka_unit_test(extended_attributes),
		cmocka_unit_test(locks_are_the_hosts),
		cmocka_unit_test(special_files),
		cmocka_unit_test(a_read_only_share_refuses),
		cmocka_unit_test(a_version_begins_anew),
		cmocka_unit_test(answers_come_at_once_if_they_must),
		cmocka_unit_test(what_cannot_be_shared),
		cmocka_unit_test(ids_are_kept_if_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
