/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Messages about open files: lopen, lcreate, read, write, fsync, locks, readdir. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/share/share_impl.h"

/* Flags of Tlopen and Tlcreate: Linux's numbers, whatever the host's are. */
enum {
	L_ACCMODE = 3,
	L_CREATE = 0100,
	L_EXCL = 0200,
	L_TRUNC = 01000,
	L_APPEND = 02000,
	L_DSYNC = 010000,
	L_DIRECTORY = 0200000,
	L_SYNC = 04000000,
};

/* Tlock and Tgetlock. */
enum { L_RDLCK = 0, L_WRLCK = 1, L_UNLCK = 2 };
enum { L_GRANTED = 0, L_BLOCKED = 1 };

enum { VECTORS = 256, NOW_MAX = 128 << 10, DENTS = 16 << 10, ENTRY = 24, CREATE_TRIES = 4 };

/* As getdents64() fills the buffer. */
struct dent {
	uint64_t ino;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* 0: of what is asked for, what we do; the rest are hints. */
static int open_flags(struct share *s, uint32_t f, int *ret)
{
	int flags = f & L_ACCMODE;

	if (flags == L_ACCMODE)
		return EINVAL;
	if (s->read_only && (flags != O_RDONLY || f & L_TRUNC))
		return EROFS;
	flags |= f & L_TRUNC ? O_TRUNC : 0;
	flags |= f & L_APPEND ? O_APPEND : 0;
	flags |= (f & L_SYNC) == L_SYNC ? O_SYNC : f & L_DSYNC ? O_DSYNC : 0;
	flags |= f & L_DIRECTORY ? O_DIRECTORY : 0;
	*ret = flags;
	return 0;
}

/* Open the fid's file and keep it in the fid, whose lock is held. */
static int open_into(struct share *s, struct fid *f, const struct node *n, int flags)
{
	int fd, r = inside(s, n->fd);

	if (!r)
		r = fd_claim(s);
	if (r)
		return r;
	r = reopen(s, n, flags, &fd);
	if (r) {
		fd_release(s, -1);
		return r;
	}
	f->io = fd;
	f->mode = FID_OPEN;
	f->writable = (flags & O_ACCMODE) != O_RDONLY;
	return 0;
}

int op_lopen(struct op *o)
{
	struct share *s = o->s;
	uint32_t id = get32(&o->in), want = get32(&o->in);
	struct fid *f;
	struct node *n;
	int flags, r;

	if (o->in.bad)
		return EPROTO;
	r = open_flags(s, want, &flags);
	if (r)
		return r;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	pthread_mutex_lock(&f->lock);
	n = fid_node(s, f);
	r = f->mode == FID_PLAIN ? open_into(s, f, n, flags) : EBUSY;
	pthread_mutex_unlock(&f->lock);
	if (!r) {
		put_qid(&o->out, &n->qid);
		put32(&o->out, 0); /* iounit: whatever fits into a message */
	}
	node_put(s, n);
	fid_put(s, f);
	return r;
}

/* The file that is there already: as open_into(), with a new node. */
static int open_existing(struct op *o, struct fid *f, int dir, const char *name, int flags)
{
	struct share *s = o->s;
	struct statx st;
	struct node *n;
	int fd, r = step(s, dir, name, false, &fd);

	if (r)
		return r;
	r = stat_fd(fd, &st);
	if (r) {
		close(fd);
		return r;
	}
	r = node_new(s, fd, &st, &n);
	if (r)
		return r;
	r = n->type == S_IFDIR ? EISDIR : open_into(s, f, n, flags);
	if (r) {
		node_put(s, n);
		return r;
	}
	fid_set_node(s, f, n);
	return 0;
}

/* A new file was made and is open as `fd`: it becomes the fid's. */
static int adopt(struct share *s, struct fid *f, int fd, bool writable)
{
	char link[16];
	struct statx st;
	struct node *n;
	int r, path = open_plain(s->proc, link_name(link, fd), O_PATH | O_CLOEXEC, 0);

	if (path < 0)
		return errno;
	r = stat_fd(path, &st);
	if (r) {
		close(path);
		return r;
	}
	r = node_new(s, path, &st, &n);
	if (r)
		return r;
	fid_set_node(s, f, n);
	f->io = fd;
	f->mode = FID_OPEN;
	f->writable = writable;
	return 0;
}

static int create_new(struct share *s, struct fid *f, int fd, int flags, uint32_t gid)
{
	int r = 0;

	if (s->uid == HULL_SHARE_KEEP_IDS && fchownat(fd, "", f->uid, gid, AT_EMPTY_PATH))
		r = errno;
	if (!r)
		r = adopt(s, f, fd, (flags & O_ACCMODE) != O_RDONLY);
	return r;
}

struct creation {
	int dir, flags;
	bool exclusive;
	mode_t mode;
	uint32_t gid;
	char name[NAME_BYTES];
};

/*
 * What exists under the name may be anything, so it is never opened by name: only what O_EXCL has
 * made, or else what step() has found and reopen() approved of.
 */
static int create(struct op *o, struct fid *f, const struct creation *c)
{
	struct share *s = o->s;
	int r = EAGAIN;

	for (int i = 0; i < CREATE_TRIES; i++) {
		int fd;

		r = fd_claim(s);
		if (r)
			return r;
		fd = open_plain(c->dir, c->name,
		                c->flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
		                c->mode);
		if (fd >= 0) {
			r = create_new(s, f, fd, c->flags, c->gid);
			if (r)
				fd_release(s, fd);
			return r;
		}
		r = errno;
		fd_release(s, -1);
		if (r != EEXIST || c->exclusive)
			return r;
		r = open_existing(o, f, c->dir, c->name, c->flags);
		if (r != ENOENT)
			return r;
	}
	return r;
}

static int lcreate(struct op *o, struct fid *f, struct creation *c)
{
	struct share *s = o->s;
	struct node *dir = fid_node(s, f);
	int r = dir->type == S_IFDIR ? inside(s, dir->fd) : ENOTDIR;

	c->dir = dir->fd;
	pthread_mutex_lock(&f->lock);
	if (!r)
		r = f->mode == FID_PLAIN ? create(o, f, c) : EBUSY;
	pthread_mutex_unlock(&f->lock);
	node_put(s, dir);
	if (r)
		return r;
	dir = fid_node(s, f);
	put_qid(&o->out, &dir->qid);
	put32(&o->out, 0);
	node_put(s, dir);
	return 0;
}

int op_lcreate(struct op *o)
{
	struct share *s = o->s;
	uint32_t id = get32(&o->in), want;
	struct creation c;
	struct fid *f;
	int r = get_name(o, c.name);

	want = get32(&o->in);
	c.mode = get32(&o->in) & 07777;
	c.gid = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (!r)
		r = open_flags(s, want, &c.flags);
	if (r)
		return r;
	if (s->uid != HULL_SHARE_KEEP_IDS)
		c.mode &= 01777;
	c.flags &= ~O_DIRECTORY;
	c.exclusive = want & L_EXCL;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	r = lcreate(o, f, &c);
	fid_put(s, f);
	return r;
}

/* The request's segments as vectors, `len` bytes of them. */
static int gather(const struct hull_share_req *req, uint32_t len, struct iovec *iov)
{
	int n = 0;

	for (unsigned i = 0; i < req->nsegs && len && n < VECTORS; i++) {
		uint32_t part = (uint32_t)MIN((uint64_t)len, req->segs[i].len);

		if (part)
			iov[n++] = (struct iovec){ req->segs[i].hva, part };
		len -= part;
	}
	return n;
}

/* The fid's file if it is open; its kind in *ret_mode. */
static int opened(struct fid *f, enum fid_mode *ret_mode)
{
	int fd;

	pthread_mutex_lock(&f->lock);
	fd = f->io;
	*ret_mode = f->mode;
	pthread_mutex_unlock(&f->lock);
	return fd;
}

/* An extended attribute: between the fid's buffer and the segments. */
static int move_xattr(struct op *o, struct fid *f, bool write, uint64_t at, uint32_t len)
{
	struct iovec iov[VECTORS];
	int r = 0, n;

	pthread_mutex_lock(&f->lock);
	if (f->mode != (write ? FID_XATTR_WRITE : FID_XATTR_READ))
		r = EBADF;
	else if (write && (at > f->xattr_size || len > f->xattr_size - at))
		r = ENOSPC;
	else
		len = at < f->xattr_size ? (uint32_t)MIN((uint64_t)len, f->xattr_size - at) : 0;
	n = r ? 0 : gather(o->req, len, iov);
	for (int i = 0; i < n; i++) {
		uint8_t *p = f->xattr + at + o->req->data_moved;

		memcpy(write ? p : iov[i].iov_base, write ? iov[i].iov_base : p, iov[i].iov_len);
		o->req->data_moved += (uint32_t)iov[i].iov_len;
	}
	if (write && !r)
		f->xattr_filled = MAX(f->xattr_filled, (uint32_t)at + o->req->data_moved);
	pthread_mutex_unlock(&f->lock);
	return r;
}

static ssize_t read_at(int fd, const struct iovec *iov, int n, uint64_t at, int flags)
{
	ssize_t r;

	do {
		r = preadv2(fd, iov, n, (off_t)at, flags);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* What the host has in its cache: all that was asked for, or up to the end of the file. */
static int read_now(struct op *o, int fd, const struct iovec *iov, int n, uint64_t at)
{
	uint8_t byte;
	struct iovec next = { &byte, 1 };
	uint32_t len = 0;
	ssize_t r;

	for (int i = 0; i < n; i++)
		len += (uint32_t)iov[i].iov_len;
	r = len <= NOW_MAX ? read_at(fd, iov, n, at, RWF_NOWAIT) : -1;
	if (r < 0 ||
	    (r && r < (ssize_t)len && read_at(fd, &next, 1, at + (uint64_t)r, RWF_NOWAIT) != 0))
		return LATER;
	o->req->data_moved = (uint32_t)r;
	return 0;
}

static int read_file(struct op *o, struct fid *f, uint64_t at, uint32_t len)
{
	struct iovec iov[VECTORS];
	enum fid_mode mode;
	int fd = opened(f, &mode), n;
	ssize_t r;

	if (mode == FID_XATTR_READ)
		return move_xattr(o, f, false, at, len);
	if (mode != FID_OPEN)
		return EBADF;
	if (at > (uint64_t)INT64_MAX - len)
		return EINVAL;
	n = gather(o->req, len, iov);
	if (o->now)
		return read_now(o, fd, iov, n, at);
	r = read_at(fd, iov, n, at, 0);
	if (r < 0)
		return errno;
	o->req->data_moved = (uint32_t)r;
	return 0;
}

int op_read(struct op *o)
{
	uint32_t id = get32(&o->in), len;
	uint64_t at = get64(&o->in);
	struct fid *f;
	int r;

	len = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	len = MIN(len, o->req->data_len);
	len = MIN(len, o->msize - P9_IO_HEADER);
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	r = read_file(o, f, at, len);
	fid_put(o->s, f);
	if (r)
		o->req->data_moved = 0;
	else
		put32(&o->out, o->req->data_moved);
	return r;
}

static int write_file(struct op *o, struct fid *f, uint64_t at, uint32_t len, uint32_t *ret)
{
	struct iovec iov[VECTORS];
	enum fid_mode mode;
	int fd = opened(f, &mode), r;
	ssize_t done;

	if (mode == FID_XATTR_WRITE) {
		r = move_xattr(o, f, true, at, len);
		*ret = o->req->data_moved;
		o->req->data_moved = 0;
		return r;
	}
	if (mode != FID_OPEN)
		return EBADF;
	if (at > (uint64_t)INT64_MAX - len)
		return EFBIG;
	do {
		done = pwritev(fd, iov, gather(o->req, len, iov), (off_t)at);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return errno;
	*ret = (uint32_t)done;
	return 0;
}

int op_write(struct op *o)
{
	uint32_t id = get32(&o->in), len, done = 0;
	uint64_t at = get64(&o->in);
	struct fid *f;
	int r;

	len = get32(&o->in);
	if (o->in.bad || len > o->req->data_len)
		return EPROTO;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	r = write_file(o, f, at, len, &done);
	fid_put(o->s, f);
	if (!r)
		put32(&o->out, done);
	return r;
}

int op_fsync(struct op *o)
{
	uint32_t id = get32(&o->in);
	/* Older clients send no datasync[4]. */
	bool data = o->in.left >= 4 && get32(&o->in);
	enum fid_mode mode;
	struct fid *f;
	int fd, r;

	if (o->in.bad)
		return EPROTO;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	fd = opened(f, &mode);
	if (mode != FID_OPEN)
		r = EBADF;
	else
		r = (data ? fdatasync(fd) : fsync(fd)) ? errno : 0;
	fid_put(o->s, f);
	return r;
}

/* The range of a lock; 0: to the end of all files. */
static int lock_range(struct flock *l, uint8_t type, uint64_t start, uint64_t len)
{
	if (type > L_UNLCK || start > INT64_MAX || len > INT64_MAX - start)
		return EINVAL;
	*l = (struct flock){ .l_type = type == L_RDLCK   ? F_RDLCK
		                       : type == L_WRLCK ? F_WRLCK
		                                         : F_UNLCK,
		             .l_whence = SEEK_SET,
		             .l_start = (off_t)start,
		             .l_len = (off_t)len };
	return 0;
}

/*
 * Locks are those of open file descriptions, so that they end with the fid, or with this process.
 * Nothing waits: a client that wants to asks again.
 */
int op_lock(struct op *o)
{
	uint32_t id = get32(&o->in), len;
	uint8_t type = get8(&o->in), status = L_GRANTED;
	uint64_t start, count;
	enum fid_mode mode;
	struct flock l;
	struct fid *f;
	int fd, r;

	get32(&o->in); /* flags: whether it will wait */
	start = get64(&o->in);
	count = get64(&o->in);
	get32(&o->in); /* process */
	get_text(&o->in, &len);
	if (o->in.bad)
		return EPROTO;
	r = lock_range(&l, type, start, count);
	f = r ? NULL : fid_get(o, id);
	if (!f)
		return r ? r : EBADF;
	fd = opened(f, &mode);
	if (mode != FID_OPEN)
		r = EBADF;
	else if (fcntl(fd, F_OFD_SETLK, &l))
		r = errno;
	if (r == EAGAIN || r == EACCES) {
		status = L_BLOCKED;
		r = 0;
	}
	fid_put(o->s, f);
	if (!r)
		put8(&o->out, status);
	return r;
}

int op_getlock(struct op *o)
{
	uint32_t id = get32(&o->in), len, process;
	uint8_t type = get8(&o->in);
	uint64_t start = get64(&o->in), count = get64(&o->in);
	const char *client;
	enum fid_mode mode;
	struct flock l;
	struct fid *f;
	int fd, r;

	process = get32(&o->in);
	client = get_text(&o->in, &len);
	if (!client)
		return EPROTO;
	r = type == L_UNLCK ? EINVAL : lock_range(&l, type, start, count);
	f = r ? NULL : fid_get(o, id);
	if (!f)
		return r ? r : EBADF;
	fd = opened(f, &mode);
	if (mode != FID_OPEN)
		r = EBADF;
	else if (fcntl(fd, F_OFD_GETLK, &l))
		r = errno;
	fid_put(o->s, f);
	if (r)
		return r;
	put8(&o->out, l.l_type == F_RDLCK ? L_RDLCK : l.l_type == F_WRLCK ? L_WRLCK : L_UNLCK);
	put64(&o->out, (uint64_t)l.l_start);
	put64(&o->out, (uint64_t)l.l_len);
	put32(&o->out, l.l_type == F_UNLCK ? process : 0);
	put_text(&o->out, client, len);
	return 0;
}

/* ".." of the root is the root: the client learns nothing of what is above. */
static int entry_qid(struct share *s, const struct node *dir, const struct dent *e, struct qid *ret)
{
	bool up = e->name[0] == '.' && e->name[1] == '.' && !e->name[2];

	if (up && dir->qid.path == s->root->qid.path) {
		*ret = s->root->qid;
		return 0;
	}
	ret->type = e->type == DT_DIR ? QID_DIR : e->type == DT_LNK ? QID_SYMLINK : QID_FILE;
	ret->version = 0;
	return qid_path(s, dir->dev, e->ino, &ret->path);
}

/* One entry, all or nothing. */
static bool put_entry(struct op *o, const struct node *dir, const struct dent *e)
{
	uint32_t len = (uint32_t)strlen(e->name);
	struct qid qid;

	if (o->out.max - o->out.len < ENTRY + len || entry_qid(o->s, dir, e, &qid))
		return false;
	put_qid(&o->out, &qid);
	put64(&o->out, (uint64_t)e->next);
	put8(&o->out, e->type);
	put_text(&o->out, e->name, len);
	return true;
}

/*
 * Entries from offset `at` on.  An entry of 9P takes at most 7/6 of the room that it takes in
 * getdents64()'s buffer, so nearly always all that was read is sent, and the next call goes on
 * where this one ended.
 */
static int read_dir(struct op *o, struct fid *f, const struct node *dir, int64_t at)
{
	union {
		struct dent align;
		char bytes[DENTS];
	} buf;
	uint32_t room = (o->out.max - o->out.len) / 7 * 6;
	uint32_t begin = o->out.len;
	long n;

	room = MIN(room, (uint32_t)DENTS);
	room = MAX(room, UINT32_C(512));
	if (f->pos != at && lseek(f->io, at, SEEK_SET) < 0)
		return errno;
	f->pos = -1;
	n = syscall(SYS_getdents64, f->io, buf.bytes, room);
	if (n < 0)
		return errno;
	for (long i = 0; i < n;) {
		const struct dent *e = (const void *)(buf.bytes + i);

		if (!put_entry(o, dir, e))
			return o->out.len == begin ? EINVAL : 0;
		at = e->next;
		i += e->size;
	}
	f->pos = at;
	return 0;
}

int op_readdir(struct op *o)
{
	struct share *s = o->s;
	uint32_t id = get32(&o->in), len, begin = P9_IO_HEADER;
	uint64_t at = get64(&o->in);
	struct node *n;
	struct fid *f;
	int r = 0;

	len = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (at > INT64_MAX)
		return EINVAL;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	n = fid_node(s, f);
	put32(&o->out, 0);
	len = MIN(len, o->msize - begin);
	o->out.max = MIN(o->out.max, begin + len);
	pthread_mutex_lock(&f->lock);
	if (f->mode != FID_OPEN || o->out.full)
		r = EBADF;
	else
		r = n->type == S_IFDIR ? read_dir(o, f, n, (int64_t)at) : ENOTDIR;
	pthread_mutex_unlock(&f->lock);
	node_put(s, n);
	fid_put(s, f);
	if (!r)
		store_le32(o->out.buf + P9_HEADER, o->out.len - begin);
	return r;
}
