/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Host files and block devices as images: what formats stand on.
 *
 * A file is locked: one writer or any number of readers.  If it shrinks
 * under its user, or the medium fails, requests fail; nothing is written past
 * the end of a file that should not grow, for that would turn what was lost
 * into zeroes.
 *
 * O_DIRECT wants aligned offsets, lengths and buffers.  Others go through a
 * buffer; parts of a block are read, changed and written back while no other
 * write runs ("alone").
 */
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
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/text.h"
#include "host/block/image.h"
#include "host/os/os.h"

enum { VECTORS = 64, BOUNCE = 256 << 10, ZEROES = 64 << 10, NOW_MAX = 128 << 10 };

/* Ways of making zeroes that the host has refused. */
enum { NO_ZERO_RANGE = 1, NO_PUNCH = 2 };

struct file {
	struct hull_image img;
	int fd;
	bool is_file, no_flush;
	bool named;       /* when it was opened */
	uint32_t refused; /* NO_...; atomic */
	uint32_t lost;    /* HULL_E... of the first flush that failed, negated; atomic */
	/*
	 * O_DIRECT: writes of whole blocks run beside each other, those of parts alone.  Each
	 * draws a number, and they begin in this order, so that none waits for ever.
	 */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t drawn, begun;
	unsigned writers;
	bool alone;
};

struct range {
	uint64_t at, len;
};

static struct file *of(struct hull_image *img)
{
	return (struct file *)img;
}

/* What `errno` says about a write: a limit on file sizes is a lack of room, too. */
static int failed(void)
{
	return errno == EFBIG ? HULL_ENOSPC : hull_os_error(errno);
}

static void begin(struct file *f, bool alone)
{
	uint64_t mine;

	if (!f->img.align)
		return;
	pthread_mutex_lock(&f->mutex);
	mine = f->drawn++;
	while (mine != f->begun || f->alone || (alone && f->writers))
		pthread_cond_wait(&f->changed, &f->mutex);
	f->begun++;
	f->alone = alone;
	f->writers += !alone;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

static void end(struct file *f, bool alone)
{
	if (!f->img.align)
		return;
	pthread_mutex_lock(&f->mutex);
	if (alone)
		f->alone = false;
	else
		f->writers--;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

/* One piece; returns bytes moved, 0 at the end of the file, or HULL_E... */
static int64_t move(struct file *f, bool write, const struct iovec *iov, int n, uint64_t at)
{
	ssize_t r;

	do {
		r = write ? pwritev(f->fd, iov, n, (off_t)at)
		          : preadv2(f->fd, iov, n, (off_t)at, 0);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? failed() : r;
}

/* The file's size now.  One call for all C libraries: threads of disks may make few. */
static bool size_now(const struct file *f, uint64_t *ret)
{
	struct statx st;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_SIZE, &st))
		return false;
	*ret = st.stx_size;
	return true;
}

/* The file has shrunk: writing there would grow it again, with holes for data. */
static bool past_end(const struct file *f, uint64_t at, uint64_t len)
{
	uint64_t size;

	return f->is_file && !f->img.grows && (!size_now(f, &size) || size < at + len);
}

/* Was it Hull that made the disk smaller, or somebody else? */
static int lost_end(const struct file *f, uint64_t to)
{
	return to > hull_load_seqcst(&f->img.size) ? HULL_EINVAL : HULL_EIO;
}

/* The file was shrunk during a write behind its new end. */
static int cut_again(struct file *f)
{
	int r = HULL_EINVAL;
	uint64_t size;

	pthread_mutex_lock(&f->mutex);
	if (f->is_file && size_now(f, &size) && size > hull_load_relaxed(&f->img.size) &&
	    ftruncate(f->fd, (off_t)hull_load_relaxed(&f->img.size)))
		r = failed();
	pthread_mutex_unlock(&f->mutex);
	return r;
}

static void grown(struct file *f, uint64_t to)
{
	uint64_t now = hull_load_relaxed(&f->img.size);

	while (f->img.grows && now < to && !hull_cas_seqcst(&f->img.size, &now, to))
		;
}

/* Everything, in pieces; returns the bytes moved, fewer only at the end of the file, or HULL_E...
 */
static int64_t move_all(struct file *f, bool write, const struct iovec *iov, int n, struct range to)
{
	struct iovec piece[VECTORS];
	uint64_t skip = 0, done = 0;

	while (done < to.len) {
		int64_t moved;
		int count;

		while (n && skip >= iov->iov_len) {
			skip -= iov->iov_len;
			iov++;
			n--;
		}
		count = hull_iov_slice(iov, MIN(n, (int)VECTORS), skip, to.len - done, piece);
		if (!count)
			return HULL_EINVAL;
		moved = move(f, write, piece, count, to.at + done);
		if (moved < 0)
			return moved;
		if (!moved)
			return write ? HULL_EIO : (int64_t)done;
		skip += (uint64_t)moved;
		done += (uint64_t)moved;
	}
	return (int64_t)done;
}

static bool aligned(const struct file *f, uint64_t at, const struct iovec *iov, int n, uint64_t len)
{
	uint64_t bits = at | len;

	for (int i = 0; i < n; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return !f->img.align || !(bits & (f->img.align - 1));
}

/* What a read found missing behind the end of the file. */
static int missing(const struct file *f, const struct iovec *iov, int n, uint64_t done,
                   uint64_t len)
{
	if (done == len)
		return 0;
	if (!f->img.grows)
		return HULL_EIO;
	hull_iov_zero(iov, n, done, len - done);
	return 0;
}

static int bounced_read(struct file *f, char *buf, uint64_t at, const struct iovec *iov, int n,
                        uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		uint64_t start = align_down(at + done, f->img.align);
		uint64_t skip = at + done - start, got;
		uint64_t take = MIN(len - done, BOUNCE - skip);
		struct iovec v = { buf, align_up(skip + take, f->img.align) };
		int64_t moved = move_all(f, false, &v, 1, (struct range){ start, v.iov_len });

		if (moved < 0)
			return (int)moved;
		got = (uint64_t)moved < skip ? 0 : MIN((uint64_t)moved - skip, take);
		hull_iov_put(iov, n, done, buf + skip, got);
		done += got;
		if (got < take)
			return missing(f, iov, n, done, len);
	}
	return 0;
}

/* A write that is longer than what it is for must not leave the file longer. */
static int cut(struct file *f, uint64_t wrote, uint64_t want)
{
	uint64_t size;

	if (!f->is_file || wrote <= want || !size_now(f, &size) || size != wrote)
		return 0;
	return ftruncate(f->fd, (off_t)MAX(want, hull_load_relaxed(&f->img.size))) ? failed() : 0;
}

static int bounced_write(struct file *f, char *buf, uint64_t at, const struct iovec *iov, int n,
                         uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		uint64_t start = align_down(at + done, f->img.align);
		uint64_t skip = at + done - start;
		uint64_t take = MIN(len - done, BOUNCE - skip);
		struct iovec v = { buf, align_up(skip + take, f->img.align) };
		struct range all = { start, v.iov_len };
		int64_t r = 0;

		if (skip || v.iov_len != take) {
			memset(buf, 0, v.iov_len);
			r = move_all(f, false, &v, 1, all);
		}
		hull_iov_get(iov, n, done, buf + skip, take);
		if (r >= 0)
			r = move_all(f, true, &v, 1, all);
		if (r >= 0)
			r = cut(f, start + v.iov_len, start + skip + take);
		if (r < 0)
			return (int)r;
		done += take;
	}
	return 0;
}

static int bounce(struct file *f, bool write, uint64_t at, const struct iovec *iov, int n,
                  uint64_t len)
{
	void *buf;
	int r;

	if (posix_memalign(&buf, MAX(f->img.align, (uint32_t)4096), BOUNCE))
		return HULL_ENOMEM;
	if (write)
		begin(f, true);
	r = write ? bounced_write(f, buf, at, iov, n, len) : bounced_read(f, buf, at, iov, n, len);
	if (write && !r)
		grown(f, at + len); /* before another cut() */
	if (write)
		end(f, true);
	free(buf);
	return r;
}

static int file_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len)
{
	struct file *f = of(img);
	int64_t done;

	if (!aligned(f, off, iov, n, len))
		return bounce(f, false, off, iov, n, len);
	done = move_all(f, false, iov, n, (struct range){ off, len });
	return done < 0 ? (int)done : missing(f, iov, n, (uint64_t)done, len);
}

static int file_flush(struct hull_image *img)
{
	struct file *f = of(img);
	uint32_t none = 0;
	int r;

	if (f->no_flush || img->read_only)
		return 0;
	do {
		r = fdatasync(f->fd);
	} while (r && errno == EINTR);
	/* The host tells of lost pages once, and calls them clean: no later flush brings them back.
	 */
	if (r && !img->align)
		(void)hull_cas_seqcst(&f->lost, &none, (uint32_t)-failed());
	return r ? failed() : -(int)hull_load_relaxed(&f->lost);
}

static int file_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                      uint64_t len, bool fua)
{
	struct file *f = of(img);
	int64_t r;

	if (past_end(f, off, len))
		return lost_end(f, off + len);
	if (aligned(f, off, iov, n, len)) {
		begin(f, false);
		r = move_all(f, true, iov, n, (struct range){ off, len });
		if (r >= 0)
			grown(f, off + len);
		end(f, false);
	} else {
		r = bounce(f, true, off, iov, n, len);
	}
	if (r < 0)
		return (int)r;
	if (off + len > hull_load_seqcst(&img->size) && !img->grows)
		return cut_again(f);
	return fua ? file_flush(img) : 0;
}

static bool allocate(struct file *f, int mode, uint32_t bit, uint64_t at, uint64_t len)
{
	int r;

	if (hull_load_relaxed(&f->refused) & bit)
		return false;
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && f->img.grows)
		mode &= ~FALLOC_FL_KEEP_SIZE;
	begin(f, true);
	do {
		r = fallocate(f->fd, mode, (off_t)at, (off_t)len);
	} while (r && errno == EINTR);
	end(f, true);
	if (r && (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV))
		hull_or_seqcst(&f->refused, bit);
	return !r;
}

static int plain_zeroes(struct hull_image *img, uint64_t at, uint64_t len)
{
	static const char zeroes[ZEROES] __attribute__((aligned(4096)));
	struct iovec iov[VECTORS / 4];
	int r = 0;

	while (!r && len) {
		uint64_t take = 0;
		int n = 0;

		for (; take < len && n < (int)ARRAY_LEN(iov); n++) {
			iov[n].iov_base = (void *)(uintptr_t)zeroes;
			iov[n].iov_len = MIN(len - take, (uint64_t)ZEROES);
			take += iov[n].iov_len;
		}
		r = file_write(img, at, iov, n, take, false);
		at += take;
		len -= take;
	}
	return r;
}

static int file_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
                             bool fua)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	struct file *f = of(img);
	bool inside = off + len <= hull_load_relaxed(&img->size);
	int r = 0;

	if (past_end(f, off, len))
		return lost_end(f, off + len);
	if (!(unmap && inside && allocate(f, punch, NO_PUNCH, off, len)) &&
	    !allocate(f, zero, NO_ZERO_RANGE, off, len) &&
	    !(!unmap && inside && allocate(f, punch, NO_PUNCH, off, len)))
		r = plain_zeroes(img, off, len);
	if (!r)
		grown(f, off + len);
	return r || !fua ? r : file_flush(img);
}

static int file_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	/* Whether the host does it is nothing that the guest relies on. */
	(void)allocate(of(img), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, NO_PUNCH, off, len);
	return 0;
}

static int file_read_now(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                         uint64_t len)
{
	if (len > NOW_MAX || n > VECTORS || img->align)
		return 0;
	return preadv2(of(img)->fd, iov, n, (off_t)off, RWF_NOWAIT) == (ssize_t)len;
}

static int file_direct(struct hull_image *img, bool write, uint64_t off, uint64_t len,
                       struct hull_image_direct *ret)
{
	struct file *f = of(img);

	if ((off | len) & (MAX(img->align, (uint32_t)1) - 1))
		return 0;
	/* A file that grows knows its size from its writes, which these are not. */
	if (write && (past_end(f, off, len) ||
	              !hull_range_within(off, len, 0, hull_load_acquire(&img->size))))
		return 0;
	if (write && img->align) {
		pthread_mutex_lock(&f->mutex);
		ret->token = f->alone || f->drawn != f->begun ? NULL : f;
		f->writers += ret->token != NULL;
		pthread_mutex_unlock(&f->mutex);
		if (!ret->token)
			return 0;
	} else {
		ret->token = NULL;
	}
	ret->fd = f->fd;
	ret->at = off;
	ret->len = len;
	return 1;
}

static void file_direct_end(struct hull_image *img, struct hull_image_direct *d, int status)
{
	if (d->token)
		end(d->token, false);
}

static int file_nameless(struct hull_image *img)
{
	struct file *f = of(img);
	struct stat st;

	return f->named && !fstat(f->fd, &st) && !st.st_nlink ? f->fd : -1;
}

static int file_map(struct hull_image *img, uint64_t off, uint64_t len,
                    struct hull_image_extent *ret)
{
	struct file *f = of(img);
	off_t data = lseek(f->fd, (off_t)off, SEEK_DATA), hole;

	*ret = (struct hull_image_extent){ .offset = off, .len = len, .at = off };
	ret->flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED;
	if (data < 0 && errno != ENXIO)
		return 0;
	if (data < 0 || (uint64_t)data > off) {
		ret->flags = HULL_IMAGE_ZERO | HULL_IMAGE_ALLOCATED;
		ret->len = data < 0 ? len : MIN(len, (uint64_t)data - off);
		/* A device answers ENXIO for nothing but its end. */
		return 0;
	}
	hole = lseek(f->fd, (off_t)off, SEEK_HOLE);
	if (hole > 0 && (uint64_t)hole > off)
		ret->len = MIN(len, (uint64_t)hole - off);
	return 0;
}

/* With the mutex, so that cut_again() sees the size and the file that belong together. */
static int set_size(struct file *f, uint64_t size, struct hull_err *err)
{
	uint64_t bytes = 0, was = hull_load_relaxed(&f->img.size);
	char reason[64];

	/* Writes behind the new end have no place before the file loses it: no error of the
	 * host's. */
	if (size < was)
		hull_store_seqcst(&f->img.size, size);
	if (!f->is_file) {
		if (ioctl(f->fd, BLKGETSIZE64, &bytes) || bytes < size) {
			hull_store_seqcst(&f->img.size, was);
			return hull_fail(err, HULL_ENOSPC, 304,
			                 "the block device \"%s\" has %llu bytes", f->img.path,
			                 (unsigned long long)bytes);
		}
	} else if (ftruncate(f->fd, (off_t)size)) {
		hull_store_seqcst(&f->img.size, was);
		return hull_fail(err, failed(), 302, "cannot change the size of \"%s\": %s",
		                 f->img.path, hull_os_reason(errno, reason, sizeof(reason)));
	}
	hull_store_seqcst(&f->img.size, size);
	return 0;
}

static int file_resize(struct hull_image *img, uint64_t size, struct hull_err *err)
{
	struct file *f = of(img);
	int r;

	pthread_mutex_lock(&f->mutex);
	r = set_size(f, size, err);
	pthread_mutex_unlock(&f->mutex);
	return r;
}

static int file_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	struct file *f = of(img);
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	ret->format = img->format->name;
	ret->size = ret->file_bytes = ret->used_bytes = hull_load_relaxed(&img->size);
	if (f->is_file && fstat(f->fd, &st) == 0) {
		ret->file_bytes = (uint64_t)st.st_size;
		ret->used_bytes = (uint64_t)st.st_blocks * 512;
	}
	return 0;
}

static void file_close(struct hull_image *img)
{
	struct file *f = of(img);

	if (f->fd >= 0)
		close(f->fd);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->mutex);
	free(f);
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

static int lock_file(int fd, const char *path, bool read_only, struct hull_err *err)
{
	char who[32] = "another process";
	int pid;

	/* File systems without locks: better unlocked than unusable. */
	if (flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	pid = lock_holder(fd);
	if (pid)
		hull_format(who, sizeof(who), "process %d", pid);
	hull_fail(err, HULL_EBUSY, 412, "disk is in use: \"%s\" is opened %sby %s", path,
	          read_only ? "for writing " : "", who);
	hull_err_fix(err, "stop the other user of the disk%s",
	             read_only ? "" : ", or attach it read-only in both");
	return HULL_EBUSY;
}

/* Block size of the medium below O_DIRECT; any power of two that is enough. */
static uint32_t direct_align(int fd, bool is_file)
{
	int bytes = 0;
#ifdef STATX_DIOALIGN
	struct statx x;

	if (is_file && statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) == 0 &&
	    (x.stx_mask & STATX_DIOALIGN) && x.stx_dio_offset_align)
		bytes = (int)MAX(x.stx_dio_offset_align, x.stx_dio_mem_align);
#endif
	if (!is_file && ioctl(fd, BLKSSZGET, &bytes))
		bytes = 0;
	return bytes >= 512 && bytes <= 65536 && !(bytes & (bytes - 1)) ? (uint32_t)bytes : 4096;
}

static int measure(struct file *f, const struct hull_image_options *o, struct hull_err *err)
{
	struct stat st;
	char reason[64];

	if (fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		f->is_file = true;
		f->named = st.st_nlink != 0;
		f->img.grows = true;
		f->img.size = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return hull_fail(err, HULL_EINVAL, 303,
		                 "\"%s\" is %s, not a disk image or block device", o->path,
		                 S_ISDIR(st.st_mode)    ? "a directory"
		                 : S_ISFIFO(st.st_mode) ? "a named pipe"
		                 : S_ISSOCK(st.st_mode) ? "a socket"
		                                        : "a character device");
	if (ioctl(f->fd, BLKGETSIZE64, &f->img.size))
		return hull_fail(err, hull_os_error(errno), 302,
		                 "cannot tell the size of \"%s\": %s", o->path,
		                 hull_os_reason(errno, reason, sizeof(reason)));
	return 0;
}

static int cannot_open(const struct hull_image_options *o, int error, struct hull_err *err)
{
	char reason[64];

	if (error == EISDIR)
		return hull_fail(err, HULL_EINVAL, 303,
		                 "\"%s\" is a directory, not a disk image or block device",
		                 o->path);
	hull_fail(err, hull_os_error(error), 302, "cannot open the disk \"%s\": %s", o->path,
	          hull_os_reason(error, reason, sizeof(reason)));
	if (error == ENOENT)
		hull_err_fix(err, "check the path, or make an empty disk: truncate -s 8G %s",
		             o->path);
	else if (error == EACCES || error == EROFS)
		hull_err_fix(err, "attach it read-only: --disk %s,ro", o->path);
	else if (error == EINVAL && o->direct)
		hull_err_fix(err, "its file system may not do cache=none; leave that out");
	return hull_os_error(error);
}

static int file_open(const struct hull_image_options *o, struct hull_image *below,
                     struct hull_image **ret, struct hull_err *err)
{
	/* O_NONBLOCK: opening a named pipe must not wait for its other end. */
	int flags = (o->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	pthread_mutex_init(&f->mutex, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->no_flush = o->no_flush;
	f->img.read_only = o->read_only;
	f->fd = open(o->path, flags | (o->direct ? O_DIRECT : 0));
	r = f->fd < 0 ? cannot_open(o, errno, err) : measure(f, o, err);
	if (!r)
		(void)fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK);
	if (!r && !o->shared)
		r = lock_file(f->fd, o->path, o->read_only, err);
	/* Its size may have changed before it was locked. */
	if (!r)
		r = measure(f, o, err);
	if (r) {
		file_close(&f->img);
		return r;
	}
	if (o->direct)
		f->img.align = direct_align(f->fd, f->is_file);
	*ret = &f->img;
	return 0;
}

static int cannot_create(const struct hull_image_create *c, int error, struct hull_err *err)
{
	char reason[64];

	if (error == EEXIST) {
		hull_fail(err, HULL_EEXIST, 310, "\"%s\" exists already; nothing was changed",
		          c->path);
		hull_err_fix(err, "take another name, or remove it first");
		return HULL_EEXIST;
	}
	return hull_fail(err, error == EFBIG ? HULL_ENOSPC : hull_os_error(error), 302,
	                 "cannot create the image \"%s\": %s", c->path,
	                 hull_os_reason(error, reason, sizeof(reason)));
}

/* A new file must be empty; a device that is overwritten, large enough. */
static int size_new(int fd, const struct hull_image_create *c, struct hull_err *err)
{
	struct stat st;
	uint64_t bytes = 0;

	if (fstat(fd, &st))
		return cannot_create(c, errno, err);
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &bytes) || bytes < c->size)
			return cannot_create(c, ENOSPC, err);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return cannot_create(c, EINVAL, err);
	if (ftruncate(fd, 0) || ftruncate(fd, (off_t)c->size))
		return cannot_create(c, errno, err);
	if (c->prealloc >= HULL_PREALLOC_FALLOC && c->size && fallocate(fd, 0, 0, (off_t)c->size) &&
	    errno != EOPNOTSUPP)
		return cannot_create(c, errno, err);
	return 0;
}

static int fill(const struct hull_image_create *c, struct hull_err *err)
{
	struct hull_image_options o = { .path = c->path, .format = "file" };
	struct hull_image *img;
	int r = hull_image_open(&o, &img, err);

	if (r)
		return r;
	r = plain_zeroes(img, 0, c->size);
	if (!r)
		r = file_flush(img);
	hull_image_unref(img);
	return r ? hull_fail(err, r, 302, "cannot fill \"%s\" with zeroes: %s", c->path,
	                     hull_error_text(r))
	         : 0;
}

static int file_create(const struct hull_image_create *c, struct hull_err *err)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int r, fd;

	if (c->size > INT64_MAX)
		return cannot_create(c, EFBIG, err);
	fd = open(c->path, flags | (c->overwrite ? 0 : O_EXCL), 0644);
	if (fd < 0)
		return cannot_create(c, errno, err);
	r = lock_file(fd, c->path, false, err);
	if (!r)
		r = size_new(fd, c, err);
	close(fd);
	if (!r && c->prealloc == HULL_PREALLOC_FULL && c->size)
		r = fill(c, err);
	/* What was made here and is of no use goes away. */
	if (r && !c->overwrite)
		unlink(c->path);
	return r;
}

HULL_IMAGE_FORMAT(file) = {
	.name = "file",
	.summary = "a file or block device of the host",
	.protocol = true,
	.open = file_open,
	.create = file_create,
	.close = file_close,
	.read = file_read,
	.write = file_write,
	.write_zeroes = file_write_zeroes,
	.discard = file_discard,
	.flush = file_flush,
	.read_now = file_read_now,
	.direct = file_direct,
	.direct_end = file_direct_end,
	.nameless = file_nameless,
	.map = file_map,
	.resize = file_resize,
	.info = file_info,
};
