/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Messages about attributes: getattr, setattr, and extended attributes of the user's own. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "host/share/share_impl.h"

/* Tsetattr: what is to be set. */
enum {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_SIZE = 8,
	SET_ATIME = 0x10,
	SET_MTIME = 0x20,
	SET_ATIME_TO = 0x80,
	SET_MTIME_TO = 0x100,
};

/* Rgetattr: what is valid: all of P9_STATS_BASIC, and the time of birth. */
enum { GOT_BASIC = 0x7ff, GOT_BTIME = 0x800 };

/* 9P2000.L has no type for it; Linux's makedev() of 64 bits. */
static uint64_t device_of(const struct statx *st)
{
	return makedev(st->stx_rdev_major, st->stx_rdev_minor);
}

static void put_time(struct wire_out *out, const struct statx_timestamp *t)
{
	put64(out, (uint64_t)t->tv_sec);
	put64(out, t->tv_nsec);
}

static void put_attr(struct op *o, const struct statx *st, const struct qid *qid)
{
	static const struct statx_timestamp never;
	const struct share *s = o->s;
	struct wire_out *out = &o->out;
	bool birth = st->stx_mask & STATX_BTIME;

	put64(out, GOT_BASIC | (birth ? GOT_BTIME : 0));
	put_qid(out, qid);
	put32(out, st->stx_mode);
	put32(out, s->uid == HULL_SHARE_KEEP_IDS ? st->stx_uid : s->uid);
	put32(out, s->gid == HULL_SHARE_KEEP_IDS ? st->stx_gid : s->gid);
	put64(out, st->stx_nlink);
	put64(out, device_of(st));
	put64(out, st->stx_size);
	put64(out, st->stx_blksize);
	put64(out, st->stx_blocks);
	put_time(out, &st->stx_atime);
	put_time(out, &st->stx_mtime);
	put_time(out, &st->stx_ctime);
	put_time(out, birth ? &st->stx_btime : &never);
	put64(out, 0); /* generation */
	put64(out, 0); /* data version */
}

int op_getattr(struct op *o)
{
	uint32_t id = get32(&o->in);
	struct share *s = o->s;
	struct statx st;
	struct fid *f;
	struct node *n;
	struct qid qid;
	int r;

	get64(&o->in); /* what is asked for: it gets everything */
	if (o->in.bad)
		return EPROTO;
	if (o->now && !s->local)
		return LATER;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	n = fid_node(s, f);
	r = stat_fd(n->fd, &st);
	if (!r)
		r = qid_of(s, &st, &qid);
	node_put(s, n);
	fid_put(s, f);
	if (!r)
		put_attr(o, &st, &qid);
	return r;
}

struct change {
	uint32_t valid, mode, uid, gid;
	uint64_t size;
	struct timespec time[2]; /* access, modification */
};

static bool get_time(struct wire_in *in, struct timespec *t)
{
	uint64_t s = get64(in), ns = get64(in);

	t->tv_sec = (time_t)s;
	t->tv_nsec = (long)ns;
	return ns < 1000000000;
}

static int get_change(struct wire_in *in, struct change *c)
{
	bool ok[2];

	c->valid = get32(in);
	c->mode = get32(in);
	c->uid = get32(in);
	c->gid = get32(in);
	c->size = get64(in);
	for (int i = 0; i < 2; i++) {
		bool set = c->valid & (i ? SET_MTIME : SET_ATIME);

		ok[i] = get_time(in, &c->time[i]);
		if (!set)
			c->time[i].tv_nsec = UTIME_OMIT;
		else if (!(c->valid & (i ? SET_MTIME_TO : SET_ATIME_TO)))
			c->time[i].tv_nsec = UTIME_NOW;
		else if (!ok[i])
			return EINVAL;
	}
	return in->bad ? EPROTO : 0;
}

/* Set-id bits would make a file of ours a program that others run as us; see share.md. */
static int set_mode(struct share *s, const struct node *n, uint32_t mode)
{
	char link[16];

	if (n->type == S_IFLNK)
		return EOPNOTSUPP;
	mode &= s->uid == HULL_SHARE_KEEP_IDS ? 07777 : n->type == S_IFDIR ? 03777 : 01777;
	return fchmodat(s->proc, link_name(link, n->fd), mode, 0) ? errno : 0;
}

/* Ids that are mapped cannot be changed; setting them to what they are is no change. */
static int set_owner(struct share *s, const struct node *n, const struct change *c)
{
	if (s->uid != HULL_SHARE_KEEP_IDS)
		return (c->valid & SET_UID && c->uid != s->uid) ||
		                       (c->valid & SET_GID && c->gid != s->gid)
		               ? EPERM
		               : 0;
	return fchownat(n->fd, "", c->valid & SET_UID ? c->uid : (uid_t)-1,
	                c->valid & SET_GID ? c->gid : (gid_t)-1, AT_EMPTY_PATH)
	               ? errno
	               : 0;
}

/* By the client's own descriptor if it has one: a file made read-only is still written to. */
static int set_size(struct share *s, struct fid *f, const struct node *n, uint64_t size)
{
	int fd, r;

	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? EISDIR : EINVAL;
	if (size > INT64_MAX)
		return EFBIG;
	pthread_mutex_lock(&f->lock);
	fd = f->mode == FID_OPEN && f->writable ? f->io : -1;
	pthread_mutex_unlock(&f->lock);
	if (fd >= 0)
		return ftruncate(fd, (off_t)size) ? errno : 0;
	r = reopen(s, n, O_WRONLY, &fd);
	if (r)
		return r;
	r = ftruncate(fd, (off_t)size) ? errno : 0;
	close(fd);
	return r;
}

static int set_attr(struct share *s, struct fid *f, const struct node *n, const struct change *c)
{
	int r = inside(s, n->fd);

	if (!r && c->valid & SET_MODE)
		r = set_mode(s, n, c->mode);
	if (!r && c->valid & (SET_UID | SET_GID))
		r = set_owner(s, n, c);
	if (!r && c->valid & SET_SIZE)
		r = set_size(s, f, n, c->size);
	if (!r && c->valid & (SET_ATIME | SET_MTIME) &&
	    utimensat(n->fd, "", c->time, AT_EMPTY_PATH))
		r = errno;
	return r;
}

int op_setattr(struct op *o)
{
	uint32_t id = get32(&o->in);
	struct share *s = o->s;
	struct change c;
	struct node *n;
	struct fid *f;
	int r = get_change(&o->in, &c);

	if (r)
		return o->in.bad ? EPROTO : r;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	n = fid_node(s, f);
	r = set_attr(s, f, n, &c);
	node_put(s, n);
	fid_put(s, f);
	return r;
}

/* Others carry rights of the host (security, trusted) or ids that are mapped (ACLs). */
static bool is_users(const char *name)
{
	return !strncmp(name, "user.", 5) && name[5];
}

/* Keep only the user's own names of a list. */
static uint32_t filter(char *list, uint32_t size)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < size;) {
		uint32_t len = (uint32_t)strnlen(list + i, size - i) + 1;

		if (i + len <= size && is_users(list + i)) {
			memmove(list + kept, list + i, len);
			kept += len;
		}
		i += len;
	}
	return kept;
}

/* The value, or the list of names if there is no name; `buf` has XATTR_MAX bytes. */
static int fetch(struct share *s, const struct node *n, const char *name, uint8_t *buf,
                 uint32_t *ret_size)
{
	char path[40], link[16];
	ssize_t size;

	if (n->type != S_IFREG && n->type != S_IFDIR) {
		*ret_size = 0;
		return name[0] ? ENODATA : 0;
	}
	hull_format(path, sizeof(path), "/proc/self/fd/%s", link_name(link, n->fd));
	if (name[0] && !is_users(name))
		return ENODATA;
	size = name[0] ? getxattr(path, name, buf, XATTR_MAX)
	               : listxattr(path, (char *)buf, XATTR_MAX);
	if (size < 0)
		return errno;
	*ret_size = name[0] ? (uint32_t)size : filter((char *)buf, (uint32_t)size);
	return 0;
}

/* A new fid from which the client reads what was fetched; takes over `n`. */
static int xattr_fid(struct op *o, uint32_t id, struct node *n, const uint8_t *buf, uint32_t size)
{
	struct share *s = o->s;
	uint8_t *copy = malloc(MAX(size, 1u));
	struct fid *f;
	int r = copy ? xattr_claim(s, size) : ENOMEM;

	if (r) {
		free(copy);
		node_put(s, n);
		return r;
	}
	memcpy(copy, buf, size);
	r = fid_add(o, id, n, 0);
	f = r ? NULL : fid_get(o, id);
	if (!f) {
		pthread_mutex_lock(&s->lock);
		s->xattr_bytes -= size;
		pthread_mutex_unlock(&s->lock);
		free(copy);
		return r ? r : EIO;
	}
	pthread_mutex_lock(&f->lock);
	f->xattr = copy;
	f->xattr_size = size;
	f->mode = FID_XATTR_READ;
	pthread_mutex_unlock(&f->lock);
	fid_put(s, f);
	return 0;
}

int op_xattrwalk(struct op *o)
{
	uint32_t from = get32(&o->in), to = get32(&o->in), len, size = 0;
	struct share *s = o->s;
	const char *text = get_text(&o->in, &len);
	char name[NAME_BYTES] = "";
	uint8_t *buf;
	struct node *n;
	struct fid *f;
	int r;

	if (!text)
		return EPROTO;
	if (len >= NAME_BYTES || memchr(text, 0, len))
		return len >= NAME_BYTES ? ERANGE : EINVAL;
	memcpy(name, text, len);
	f = fid_get(o, from);
	if (!f)
		return EBADF;
	n = fid_node(s, f);
	buf = malloc(XATTR_MAX);
	r = buf ? fetch(s, n, name, buf, &size) : ENOMEM;
	if (r)
		node_put(s, n);
	else
		r = xattr_fid(o, to, n, buf, size);
	free(buf);
	fid_put(s, f);
	if (!r)
		put64(&o->out, size);
	return r;
}

static int begin_xattr(struct share *s, struct fid *f, char *name, uint64_t size, uint32_t flags)
{
	int r;

	if (f->mode != FID_PLAIN)
		return EBUSY;
	r = xattr_claim(s, (uint32_t)size);
	if (r)
		return r;
	f->xattr = calloc(1, MAX(size, UINT64_C(1)));
	if (!f->xattr) {
		pthread_mutex_lock(&s->lock);
		s->xattr_bytes -= size;
		pthread_mutex_unlock(&s->lock);
		return ENOMEM;
	}
	f->xattr_size = (uint32_t)size;
	f->xattr_flags = flags;
	f->xattr_name = name;
	f->mode = FID_XATTR_WRITE;
	return 0;
}

/* The fid becomes the place where the value is written; clunk stores it. */
int op_xattrcreate(struct op *o)
{
	uint32_t id = get32(&o->in), flags;
	struct share *s = o->s;
	char name[NAME_BYTES], *copy;
	uint64_t size;
	struct fid *f;
	int r = get_name(o, name);

	size = get64(&o->in);
	flags = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (r)
		return r;
	if (!is_users(name))
		return EOPNOTSUPP;
	if (size > XATTR_MAX)
		return E2BIG;
	if (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return EINVAL;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	copy = strdup(name);
	pthread_mutex_lock(&f->lock);
	r = copy ? begin_xattr(s, f, copy, size, flags) : ENOMEM;
	pthread_mutex_unlock(&f->lock);
	if (r)
		free(copy);
	fid_put(s, f);
	return r;
}

/* No value and "replace" is how Linux removes one. */
static int store(struct share *s, const struct fid *f, const struct node *n)
{
	char path[40], link[16];
	int r = inside(s, n->fd);

	if (r)
		return r;
	if (n->type != S_IFREG && n->type != S_IFDIR)
		return EPERM;
	hull_format(path, sizeof(path), "/proc/self/fd/%s", link_name(link, n->fd));
	if (!f->xattr_size && f->xattr_flags == XATTR_REPLACE)
		r = removexattr(path, f->xattr_name);
	else
		r = setxattr(path, f->xattr_name, f->xattr, f->xattr_size, (int)f->xattr_flags);
	return r ? errno : 0;
}

int xattr_commit(struct share *s, struct fid *f)
{
	struct node *n = fid_node(s, f);
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (f->mode == FID_XATTR_WRITE)
		/* A client that wrote less than it said has given up. */
		r = f->xattr_filled == f->xattr_size ? store(s, f, n) : EINVAL;
	pthread_mutex_unlock(&f->lock);
	node_put(s, n);
	return r;
}
