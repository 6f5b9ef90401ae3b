/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Raw disks; see raw.h. */
#include "host/block/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/os/os.h"

enum { SECTOR = 512, VECTORS = 64, ZEROES = 4096, CACHED_MAX = 128 << 10 };

struct raw {
	struct hull_block block;
	int fd;
	bool is_file;
	bool at_once;
	uint64_t file_size; /* of the file when opened: block.size without rounding */
	pthread_t thread;
	bool threaded;
	pthread_mutex_t mutex;
	pthread_cond_t work, idle;
	struct hull_block_req *first, *last;
	unsigned pending; /* queued or being performed */
	bool quit;
};

static struct raw *of(struct hull_block *b)
{
	return (struct raw *)b;
}

/* Move one piece of at most VECTORS segments; returns bytes moved, 0 at the end of the file, or -1.
 */
static ssize_t move(struct raw *d, bool write, struct iovec *iov, int n, uint64_t at)
{
	ssize_t r;

	do {
		r = write ? pwritev(d->fd, iov, n, (off_t)at) : preadv(d->fd, iov, n, (off_t)at);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* Where a transfer stands: segment and offset in it. */
struct cursor {
	const struct hull_block_seg *seg;
	unsigned left;
	uint64_t skip;
};

static int gather(const struct cursor *c, struct iovec *iov)
{
	uint64_t skip = c->skip;
	int n = 0;

	for (unsigned i = 0; i < c->left && n < VECTORS; i++) {
		iov[n].iov_base = (char *)c->seg[i].hva + skip;
		iov[n].iov_len = c->seg[i].len - skip;
		skip = 0;
		n++;
	}
	return n;
}

static void advance(struct cursor *c, uint64_t n)
{
	while (c->left && n >= c->seg->len - c->skip) {
		n -= c->seg->len - c->skip;
		c->seg++;
		c->left--;
		c->skip = 0;
	}
	c->skip += n;
}

/* Read as zero what lies past the end of a read-only file that was rounded up. */
static int pad(struct raw *d, struct cursor *c, uint64_t at, uint64_t left)
{
	if (at < d->file_size || left >= SECTOR)
		return HULL_EIO;
	while (left) {
		uint64_t n = MIN(left, c->seg->len - c->skip);

		memset((char *)c->seg->hva + c->skip, 0, n);
		advance(c, n);
		left -= n;
	}
	return 0;
}

/* The file has shrunk: writing there would grow it again, with holes for data. */
static bool past_end(const struct raw *d, uint64_t at, uint64_t len)
{
	struct stat st;

	return d->is_file && (fstat(d->fd, &st) || (uint64_t)st.st_size < at + len);
}

static int transfer(struct raw *d, const struct hull_block_req *req)
{
	struct cursor c = { .seg = req->segs, .left = req->nsegs };
	bool write = req->op == HULL_BLOCK_WRITE;
	uint64_t at = req->offset, left = req->len;
	struct iovec iov[VECTORS];

	if (write && past_end(d, at, left))
		return HULL_EIO;
	advance(&c, 0);
	while (left) {
		int n = gather(&c, iov);
		ssize_t moved = n ? move(d, write, iov, n, at) : -1;

		if (moved < 0)
			return n ? hull_os_error(errno) : HULL_EINVAL;
		if (!moved)
			return write ? HULL_EIO : pad(d, &c, at, left);
		moved = (ssize_t)MIN((uint64_t)moved, left);
		advance(&c, (uint64_t)moved);
		at += (uint64_t)moved;
		left -= (uint64_t)moved;
	}
	return 0;
}

static int write_zeroes(struct raw *d, uint64_t at, uint64_t len)
{
	static const char zeroes[ZEROES];

	while (len) {
		struct iovec iov[VECTORS];
		uint64_t left = len;
		ssize_t moved;
		int n = 0;

		for (; left && n < VECTORS; n++) {
			iov[n].iov_base = (void *)(uintptr_t)zeroes;
			iov[n].iov_len = MIN(left, (uint64_t)ZEROES);
			left -= iov[n].iov_len;
		}
		moved = move(d, true, iov, n, at);
		if (moved <= 0)
			return moved ? hull_os_error(errno) : HULL_EIO;
		at += (uint64_t)moved;
		len -= (uint64_t)moved;
	}
	return 0;
}

static bool allocate(struct raw *d, int mode, uint64_t at, uint64_t len)
{
	int r;

	do {
		r = fallocate(d->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len);
	} while (r && errno == EINTR);
	return !r;
}

static int flush(struct raw *d)
{
	int r;

	do {
		r = fdatasync(d->fd);
	} while (r && errno == EINTR);
	return r ? hull_os_error(errno) : 0;
}

static int perform(struct raw *d, const struct hull_block_req *req)
{
	switch (req->op) {
	case HULL_BLOCK_READ: return transfer(d, req);
	case HULL_BLOCK_WRITE: return d->block.read_only ? HULL_EPERM : transfer(d, req);
	case HULL_BLOCK_FLUSH: return d->block.read_only ? 0 : flush(d);
	case HULL_BLOCK_DISCARD:
		/* A hint: the guest promises nothing about the contents afterwards. */
		if (!d->block.read_only && req->len)
			allocate(d, FALLOC_FL_PUNCH_HOLE, req->offset, req->len);
		return d->block.read_only ? HULL_EPERM : 0;
	case HULL_BLOCK_WRITE_ZEROES:
		if (d->block.read_only)
			return HULL_EPERM;
		if (past_end(d, req->offset, req->len))
			return HULL_EIO;
		if (!req->len || allocate(d, FALLOC_FL_ZERO_RANGE, req->offset, req->len) ||
		    allocate(d, FALLOC_FL_PUNCH_HOLE, req->offset, req->len))
			return 0;
		return write_zeroes(d, req->offset, req->len);
	}
	return HULL_ENOTSUP;
}

static void *worker(void *arg)
{
	struct raw *d = arg;

	pthread_mutex_lock(&d->mutex);
	for (;;) {
		struct hull_block_req *req = d->first;

		if (!req) {
			if (d->quit)
				break;
			pthread_cond_wait(&d->work, &d->mutex);
			continue;
		}
		d->first = req->next;
		pthread_mutex_unlock(&d->mutex);
		req->status = perform(d, req);
		req->done(req);
		pthread_mutex_lock(&d->mutex);
		if (!--d->pending)
			pthread_cond_broadcast(&d->idle);
	}
	pthread_mutex_unlock(&d->mutex);
	return NULL;
}

/*
 * What the host has in its cache is read at once: waking the worker would take
 * longer than the copy.  False: something would block, is too long, or failed.
 */
static bool read_cached(struct raw *d, struct hull_block_req *req)
{
	const struct cursor c = { .seg = req->segs, .left = req->nsegs };
	struct iovec iov[VECTORS];

	if (req->op != HULL_BLOCK_READ || req->len > CACHED_MAX || req->nsegs > VECTORS)
		return false;
	if (preadv2(d->fd, iov, gather(&c, iov), (off_t)req->offset, RWF_NOWAIT) !=
	    (ssize_t)req->len)
		return false;
	req->status = 0;
	return true;
}

static int submit(struct hull_block *b, struct hull_block_req *req)
{
	struct raw *d = of(b);

	if (d->at_once) {
		pthread_mutex_lock(&d->mutex);
		req->status = perform(d, req);
		pthread_mutex_unlock(&d->mutex);
		return 1;
	}
	if (read_cached(d, req))
		return 1;
	req->next = NULL;
	pthread_mutex_lock(&d->mutex);
	if (d->first)
		d->last->next = req;
	else
		d->first = req;
	d->last = req;
	d->pending++;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->mutex);
	return 0;
}

static void drain(struct hull_block *b)
{
	struct raw *d = of(b);

	pthread_mutex_lock(&d->mutex);
	while (d->pending)
		pthread_cond_wait(&d->idle, &d->mutex);
	pthread_mutex_unlock(&d->mutex);
}

static int check_size(struct raw *d, const struct hull_raw_options *o, uint64_t bytes,
                      struct hull_err *err)
{
	if (!bytes || bytes > INT64_MAX - SECTOR) {
		hull_fail(err, HULL_EINVAL, 304, "the disk \"%s\" is %s", o->path,
		          bytes ? "too large" : "empty");
		hull_err_fix(err, "give it a size first: truncate -s 8G %s", o->path);
		return HULL_EINVAL;
	}
	if (bytes % SECTOR && !o->read_only) {
		hull_fail(err, HULL_EINVAL, 304,
		          "the disk \"%s\" has %llu bytes, which is no multiple of 512", o->path,
		          (unsigned long long)bytes);
		hull_err_fix(err, "round it up: truncate -s %%512 %s, or attach it read-only",
		             o->path);
		return HULL_EINVAL;
	}
	d->file_size = bytes;
	d->block.size = align_up(bytes, SECTOR);
	return 0;
}

static int measure(struct raw *d, const struct hull_raw_options *o, struct hull_err *err)
{
	struct stat st;
	uint64_t bytes = 0;
	char reason[64];

	if (fstat(d->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		d->is_file = true;
		return check_size(d, o, (uint64_t)st.st_size, err);
	}
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(d->fd, BLKGETSIZE64, &bytes))
			return hull_fail(err, hull_os_error(errno), 302,
			                 "cannot tell the size of \"%s\": %s", o->path,
			                 hull_os_reason(errno, reason, sizeof(reason)));
		return check_size(d, o, bytes, err);
	}
	return hull_fail(err, HULL_EINVAL, 303, "\"%s\" is %s, not a disk image or block device",
	                 o->path,
	                 S_ISDIR(st.st_mode)    ? "a directory"
	                 : S_ISFIFO(st.st_mode) ? "a named pipe"
	                 : S_ISSOCK(st.st_mode) ? "a socket"
	                                        : "a character device");
}

/* The process that holds a lock on the file, from /proc/locks; 0 if that does not say. */
static int lock_holder(int fd)
{
	char line[256], want[64];
	int pid, found = 0;
	struct stat st;
	FILE *f;

	if (fstat(fd, &st))
		return 0;
	hull_format(want, sizeof(want), " %02x:%02x:%llu ", major(st.st_dev), minor(st.st_dev),
	            (unsigned long long)st.st_ino);
	f = fopen("/proc/locks", "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *what = strstr(line, "FLOCK");

		if (what && strstr(line, want) && sscanf(what, "FLOCK %*s %*s %d", &pid) == 1)
			found = pid;
	}
	if (f)
		fclose(f);
	return MAX(found, 0);
}

static int lock_file(struct raw *d, const struct hull_raw_options *o, struct hull_err *err)
{
	char who[32] = "another process";
	int pid;

	/* File systems without locks: better unlocked than unusable. */
	if (flock(d->fd, (o->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	pid = lock_holder(d->fd);
	if (pid)
		hull_format(who, sizeof(who), "process %d", pid);
	hull_fail(err, HULL_EBUSY, 412, "disk is in use: \"%s\" is opened %sby %s", o->path,
	          o->read_only ? "for writing " : "", who);
	hull_err_fix(err, "stop the other user of the disk%s",
	             o->read_only ? "" : ", or attach it read-only in both");
	return HULL_EBUSY;
}

/*
 * A guest that owns a raw disk can write any header into it; a later start
 * that trusted the header would open whatever file it names.
 */
static int refuse_guess(struct raw *d, const struct hull_raw_options *o, struct hull_err *err)
{
	static const struct {
		const char *name;
		unsigned offset;
		char magic[9];
	} formats[] = {
		{ "qcow2", 0, "QFI\xfb" },
		{ "VMDK", 0, "KDMV" },
		{ "VMDK", 0, "COWD" },
		{ "VHDX", 0, "vhdxfile" },
		{ "VHD", 0, "conectix" },
		{ "QED", 0, "QED" },
		{ "VDI", 64, "\x7f\x10\xda\xbe" },
		{ "Parallels", 0, "WithoutF" },
	};
	char head[SECTOR] = { 0 };

	if (o->format_given || pread(d->fd, head, sizeof(head), 0) <= 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		const char *magic = formats[i].magic;

		if (memcmp(head + formats[i].offset, magic, strlen(magic)))
			continue;
		hull_fail(
			err, HULL_EFORMAT, 305,
			"\"%s\" looks like %s but was given without a format; guests can fake this",
			o->path, formats[i].name);
		hull_err_fix(err,
		             "qemu-img convert -O raw %s disk.raw; or, if it is raw: --disk "
		             "%s,format=raw",
		             o->path, o->path);
		return HULL_EFORMAT;
	}
	return 0;
}

static int open_disk(struct raw *d, const struct hull_raw_options *o, struct hull_err *err)
{
	/* O_NONBLOCK: opening a named pipe must not wait for its other end. */
	int flags = (o->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char reason[64];
	int error, r;

	d->fd = open(o->path, flags);
	if (d->fd < 0 && errno == EISDIR)
		return hull_fail(err, HULL_EINVAL, 303,
		                 "\"%s\" is a directory, not a disk image or block device",
		                 o->path);
	if (d->fd < 0) {
		error = errno;
		hull_fail(err, hull_os_error(error), 302, "cannot open the disk \"%s\": %s",
		          o->path, hull_os_reason(error, reason, sizeof(reason)));
		if (error == ENOENT)
			hull_err_fix(err,
			             "check the path, or make an empty disk: truncate -s 8G %s",
			             o->path);
		else if (error == EACCES || error == EROFS)
			hull_err_fix(err, "attach it read-only: --disk %s,ro", o->path);
		return hull_os_error(error);
	}
	r = measure(d, o, err);
	if (!r)
		r = lock_file(d, o, err);
	if (!r)
		r = refuse_guess(d, o, err);
	return r;
}

int hull_raw_open(const struct hull_raw_options *o, struct hull_block **ret, struct hull_err *err)
{
	struct raw *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return hull_fail(err, HULL_ENOMEM, 0, "no memory for a disk");
	pthread_mutex_init(&d->mutex, NULL);
	pthread_cond_init(&d->work, NULL);
	pthread_cond_init(&d->idle, NULL);
	d->at_once = o->at_once;
	d->block.read_only = o->read_only;
	d->block.can_discard = !o->read_only;
	d->block.submit = submit;
	d->block.drain = drain;
	if (o->serial)
		hull_text_copy(d->block.serial, sizeof(d->block.serial), o->serial);
	r = open_disk(d, o, err);
	if (!r && !d->at_once) {
		r = hull_os_thread(&d->thread, "hull-disk", worker, d, err);
		d->threaded = !r;
	}
	if (r) {
		hull_raw_close(&d->block);
		return r;
	}
	*ret = &d->block;
	return 0;
}

void hull_raw_close(struct hull_block *b)
{
	struct raw *d = of(b);

	if (!b)
		return;
	pthread_mutex_lock(&d->mutex);
	d->quit = true;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->mutex);
	if (d->threaded)
		pthread_join(d->thread, NULL);
	if (d->fd >= 0)
		close(d->fd);
	pthread_cond_destroy(&d->idle);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}
