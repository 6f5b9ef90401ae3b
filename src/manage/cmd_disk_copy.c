/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* hull disk convert, compare, and what they share with commit and rebase. */
#include "manage/cmd_disk_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/os/os.h"
#include "manage/progress.h"
#include "manage/report.h"

enum { THREADS_MAX = 16, BLOCK = 4096 };

/* The walk. */

struct walk {
	const struct hull_disk_walk *w;
	struct hull_progress progress;
	uint64_t next; /* atomic: where the next piece begins */
	int status;    /* atomic: the first failure */
};

static bool interrupted(struct walk *k, uint64_t bytes)
{
	return !hull_progress_step(&k->progress, bytes);
}

static int pieces(struct walk *k, uint8_t *buf)
{
	for (;;) {
		uint64_t off = hull_add_relaxed(&k->next, HULL_DISK_PIECE), len;
		int r;

		if (off >= k->w->size || hull_load_relaxed(&k->status))
			return 0;
		len = MIN(HULL_DISK_PIECE, k->w->size - off);
		r = k->w->piece(k->w->arg, off, len, buf);
		if (r)
			return r;
		if (interrupted(k, len))
			return HULL_EAGAIN;
	}
}

static void *worker(void *arg)
{
	struct walk *k = arg;
	uint8_t *buf = malloc(2 * HULL_DISK_PIECE);
	int r = buf ? pieces(k, buf) : HULL_ENOMEM, none = 0;

	free(buf);
	if (r)
		(void)hull_cas_seqcst(&k->status, &none, r);
	return NULL;
}

int hull_disk_walk(const struct hull_disk_call *c, const struct hull_disk_walk *w,
                   struct hull_err *err)
{
	struct walk k = { .w = w };
	pthread_t threads[THREADS_MAX];
	unsigned n = 0;

	hull_progress_begin(&k.progress, c->err,
	                    hull_disk_style(c) & (HULL_REPORT_QUIET | HULL_REPORT_JSON), w->label,
	                    w->size);
	while (n + 1 < MIN(w->threads, (unsigned)THREADS_MAX) &&
	       !hull_os_thread(&threads[n], "hull-copy", worker, &k, NULL))
		n++;
	worker(&k);
	while (n)
		pthread_join(threads[--n], NULL);
	hull_progress_end(&k.progress);
	if (k.status != HULL_EAGAIN || !hull_signals_taken())
		return k.status;
	return hull_fail(err, HULL_EAGAIN, 353, "%s: ended by signal %d", w->label,
	                 hull_signals_taken());
}

/* Copying. */

static bool is_zero(const uint8_t *p, uint64_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

uint32_t hull_disk_grain(struct hull_image *to)
{
	struct hull_image_info info = { 0 };

	if (hull_image_get_info(to, &info, NULL) || !info.cluster_bytes)
		return BLOCK;
	return (uint32_t)MIN((uint64_t)MAX(info.cluster_bytes, 512u), HULL_DISK_PIECE);
}

static int put_zeroes(struct hull_disk_copy *k, uint64_t off, uint64_t len)
{
	return k->fresh ? 0 : hull_image_write_zeroes(k->to, off, len, true, false);
}

static int put_data(struct hull_disk_copy *k, uint64_t off, const uint8_t *p, uint64_t len)
{
	uint64_t n;

	for (; k->compress && len; off += n, p += n, len -= n) {
		int r;

		n = MIN(len, (uint64_t)k->grain);
		r = k->to->format->write_compressed(k->to, off, p, n);
		if (r == HULL_EAGAIN)
			r = hull_image_write(k->to, off, p, n);
		if (r)
			return r;
	}
	return len ? hull_image_write(k->to, off, p, len) : 0;
}

/* Write the runs of blocks that are zero or not. */
static int put(struct hull_disk_copy *k, uint64_t off, const uint8_t *p, uint64_t len)
{
	uint64_t done = 0;
	int r = 0;

	while (!r && done < len) {
		uint64_t end = done;
		bool zero = false;

		while (end < len) {
			/* Blocks are those of the disk, not of this range. */
			uint64_t n = MIN(k->grain - (off + end) % k->grain, len - end);
			bool z = is_zero(p + end, n);

			if (end > done && z != zero)
				break;
			zero = z;
			end += n;
		}
		r = zero ? put_zeroes(k, off + done, end - done)
		         : put_data(k, off + done, p + done, end - done);
		done = end;
	}
	if (r)
		hull_store_relaxed(&k->failed_to_write, true);
	return r;
}

static int copy_extent(struct hull_disk_copy *k, const struct hull_image_extent *e, uint8_t *buf)
{
	int r = 0;

	if (k->depth >= 0 && (!(e->flags & HULL_IMAGE_ALLOCATED) || e->depth != (unsigned)k->depth))
		return 0;
	if (e->flags & HULL_IMAGE_DATA) {
		r = hull_image_read(k->from, e->offset, buf, e->len);
		return r ? r : put(k, e->offset, buf, e->len);
	}
	r = put_zeroes(k, e->offset, e->len);
	if (r)
		hull_store_relaxed(&k->failed_to_write, true);
	return r;
}

int hull_disk_copy_piece(void *arg, uint64_t off, uint64_t len, uint8_t *buf)
{
	struct hull_disk_copy *k = arg;
	uint64_t end = off + len, have = off; /* [off, have) is in buf, unless it is a hole */
	struct hull_image_extent e;
	int r = 0;

	/* A compressed cluster is written whole or not at all, so the piece is read whole. */
	if (k->compress) {
		r = hull_image_read(k->from, off, buf, len);
		return r ? r : put(k, off, buf, len);
	}
	for (; !r && have < end; have += e.len) {
		r = hull_image_map(k->from, have, end - have, &e);
		if (!r)
			r = copy_extent(k, &e, buf);
	}
	return r;
}

int hull_disk_copy_failed(const struct hull_disk_copy *k, int code, struct hull_err *err)
{
	const struct hull_image *img = k->failed_to_write ? k->to : k->from;

	if (code == HULL_EAGAIN)
		return code; /* said already */
	if (code == HULL_ENOMEM)
		return hull_fail(err, code, 120, "no memory to copy with");
	hull_fail(err, code, 302, "\"%s\" cannot be %s: %s", img->path,
	          k->failed_to_write ? "written" : "read", hull_error_text(code));
	return code;
}

/* hull disk convert */

struct convert {
	const char *from_format, *to_format, *threads, *cluster;
	bool compress, existing, verify;
	struct hull_image_create n;
	char part[HULL_IMAGE_PATH_MAX];
};

static int read_threads(const char *text, unsigned *ret, struct hull_err *err)
{
	uint64_t n = 4;

	if (text && (!hull_parse_u64(text, &n) || !n || n > THREADS_MAX))
		return hull_fail(err, HULL_EINVAL, 5, "--threads is a number from 1 to %d",
		                 THREADS_MAX);
	*ret = (unsigned)n;
	return 0;
}

/*
 * Lock the folder of a file: who makes a part there makes and locks it in one go.  -1 where that
 * cannot be done, which only two conversions into the same file would notice.
 */
static int lock_folder(const char *path)
{
	struct timespec pause = { .tv_nsec = 20000000 };
	char folder[HULL_IMAGE_PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd;

	hull_format(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
	            slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && i < 100 && flock(fd, LOCK_EX | LOCK_NB); i++)
		nanosleep(&pause, NULL);
	return fd;
}

/* Remove a part that nobody is writing any more: who made it was killed. */
static void remove_stale(const char *part)
{
	int fd = open(part, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
	    !flock(fd, LOCK_EX | LOCK_NB))
		unlink(part);
	close(fd);
}

/* A new image under another name than it will have. */
static int make_part(struct convert *v, const char *path, const char *format, uint64_t size,
                     struct hull_image **ret, struct hull_err *err)
{
	struct hull_image_options o = { .path = v->part, .format = format };
	int folder, r;

	if (access(path, F_OK) == 0) {
		hull_fail(err, HULL_EEXIST, 310, "\"%s\" exists already", path);
		hull_err_fix(err, "take another name, remove it, or write into it: --existing");
		return HULL_EEXIST;
	}
	if (hull_format(v->part, sizeof(v->part), "%s.part", path) >= sizeof(v->part)) {
		v->part[0] = 0;
		return hull_fail(err, HULL_EINVAL, 302, "the path is too long");
	}
	v->n.path = v->part;
	v->n.size = size;
	folder = lock_folder(path);
	remove_stale(v->part);
	r = hull_image_make(format, &v->n, err);
	/* What is there and not ours stays. */
	if (r || (r = hull_image_open(&o, ret, err)) == HULL_EBUSY)
		v->part[0] = 0;
	if (folder >= 0)
		close(folder);
	return r;
}

/* The image to write into: a new file, or what is there. */
static int open_target(struct convert *v, const char *path, uint64_t size, struct hull_image **ret,
                       struct hull_err *err)
{
	const char *format = hull_disk_new_format(v->to_format, path);
	struct hull_image_options o = { .path = path, .format = format };
	int r = v->existing ? hull_image_open(&o, ret, err)
	                    : make_part(v, path, format, size, ret, err);

	if (!r && (*ret)->size < size) {
		r = hull_fail(err, HULL_EINVAL, 350, "\"%s\" is smaller than the disk to copy",
		              path);
		hull_image_unref(*ret);
	}
	return r;
}

struct compare {
	struct hull_image *a, *b;
	uint64_t differs; /* atomic: the first byte that does; UINT64_MAX: none */
};

static int compare_piece(void *arg, uint64_t off, uint64_t len, uint8_t *buf)
{
	struct compare *k = arg;
	uint8_t *other = buf + HULL_DISK_PIECE;
	uint64_t most = MIN(k->a->size, k->b->size), seen = hull_load_relaxed(&k->differs);
	uint64_t both = off < most ? MIN(len, most - off) : 0, i = 0;
	int r;

	memset(buf, 0, len);
	memset(other, 0, len);
	/* What only one of them has must be zero. */
	r = hull_image_read(k->a, off, buf, k->a->size > most ? len : both);
	if (!r)
		r = hull_image_read(k->b, off, other, k->b->size > most ? len : both);
	if (r || !memcmp(buf, other, len))
		return r;
	while (buf[i] == other[i])
		i++;
	while (off + i < seen && !hull_cas_seqcst(&k->differs, &seen, off + i))
		;
	return HULL_ESTATE;
}

/* 0: the same; HULL_ESTATE: k->differs says where; or another error. */
static int compare(const struct hull_disk_call *c, struct compare *k, unsigned threads,
                   struct hull_err *err)
{
	struct hull_disk_walk w = { .label = "comparing",
		                    .size = MAX(k->a->size, k->b->size),
		                    .threads = threads,
		                    .piece = compare_piece,
		                    .arg = k };
	int r;

	k->differs = UINT64_MAX;
	r = hull_disk_walk(c, &w, err);
	if (r && r != HULL_ESTATE && r != HULL_EAGAIN)
		hull_fail(err, r, 302, "\"%s\" or \"%s\" cannot be read: %s", k->a->path,
		          k->b->path, hull_error_text(r));
	return r;
}

static int convert_into(const struct hull_disk_call *c, struct convert *v, struct hull_image *from,
                        struct hull_image *to, struct hull_err *err)
{
	struct hull_disk_copy k = { .from = from,
		                    .to = to,
		                    .fresh = !v->existing,
		                    .compress = v->compress,
		                    .grain = hull_disk_grain(to),
		                    .depth = -1 };
	struct hull_disk_walk w = {
		.label = "copying", .size = from->size, .piece = hull_disk_copy_piece, .arg = &k
	};
	struct compare both = { from, to, 0 };
	int r = read_threads(v->threads, &w.threads, err);

	if (r)
		return r;
	if (v->compress && !to->format->write_compressed)
		return hull_fail(err, HULL_ENOTSUP, 351, "format %s knows no compression",
		                 to->format->name);
	r = hull_disk_walk(c, &w, err);
	if (r)
		return hull_disk_copy_failed(&k, r, err);
	if (hull_image_flush(to))
		return hull_fail(err, HULL_EIO, 302, "\"%s\" cannot be written", to->path);
	if (!v->verify)
		return 0;
	r = compare(c, &both, w.threads, err);
	if (r == HULL_ESTATE)
		hull_fail(err, HULL_EIO, 354, "the copy differs at byte %llu: nothing was kept",
		          (unsigned long long)both.differs);
	return r;
}

/* Not over a file that came into being meanwhile, where the file system can promise that. */
static int take_name(const char *part, const char *path, struct hull_err *err)
{
	char reason[64];
	int r = renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE), error = errno;

	if (r && (error == EINVAL || error == ENOSYS)) {
		r = rename(part, path);
		error = errno;
	}
	return r ? hull_fail(err, hull_os_error(error), error == EEXIST ? 310 : 302,
	                     "\"%s\" cannot get its name: %s", path,
	                     hull_os_reason(error, reason, sizeof(reason)))
	         : 0;
}

static int convert(const struct hull_disk_call *c, struct convert *v, const char *const *word,
                   struct hull_err *err)
{
	struct hull_image_options o = { .path = word[0],
		                        .format = v->from_format,
		                        .read_only = true };
	struct hull_image *from, *to;
	int r = hull_image_open(&o, &from, err);

	if (r)
		return r;
	r = open_target(v, word[1], from->size, &to, err);
	if (!r) {
		r = convert_into(c, v, from, to, err);
		hull_image_unref(to);
	}
	hull_image_unref(from);
	if (!r && v->part[0])
		r = take_name(v->part, word[1], err);
	if (r && v->part[0])
		unlink(v->part);
	return r;
}

int hull_disk_convert(const struct hull_disk_call *c, struct hull_err *err)
{
	struct convert v = { 0 };
	const struct hull_arg args[] = {
		{ .flag = "from",
		  .letter = 'f',
		  .text = &v.from_format,
		  .value = "FORMAT",
		  .help = "Format of the image to read; raw if not given." },
		{ .flag = "to",
		  .letter = 't',
		  .text = &v.to_format,
		  .value = "FORMAT",
		  .help = "Format of the new image; else what its name ends in." },
		{ .flag = "compress", .given = &v.compress, .help = "Store clusters compressed." },
		{ .flag = "compression",
		  .text = &v.n.compression,
		  .value = "zlib|zstd",
		  .help = "How." },
		{ .flag = "cluster",
		  .text = &v.cluster,
		  .value = "SIZE",
		  .help = "Size of a cluster, 512 to 2M." },
		{ .flag = "existing",
		  .given = &v.existing,
		  .help = "Write into an image, device or NBD export that is there." },
		{ .flag = "verify", .given = &v.verify, .help = "Read the copy back and compare." },
		{ .flag = "threads",
		  .letter = 'j',
		  .text = &v.threads,
		  .value = "N",
		  .help = "How many at once, 1 to 16; 4 if not given." },
	};
	const struct hull_verb verb = { "hull disk", "convert", "IMAGE NEW",    2,
		                        2,           args,      ARRAY_LEN(args) };
	const char *word[2];
	uint64_t bytes = 0;
	int r = hull_disk_args(c, &verb, word, err);

	if (!r && v.cluster)
		r = hull_disk_size(v.cluster, &bytes, err);
	if (r)
		return r;
	v.n.cluster_bytes = (uint32_t)MIN(bytes, UINT64_C(1) << 31);
	return convert(c, &v, word, err);
}

int hull_disk_compare(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .read_only = true, .shared = true };
	const char *format = NULL, *format2 = NULL;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &format,
		  .value = "FORMAT",
		  .help = "Format of the first image; raw if not given." },
		{ .flag = "format2",
		  .letter = 'F',
		  .text = &format2,
		  .value = "FORMAT",
		  .help = "Format of the second one." },
	};
	const struct hull_verb v = { "hull disk", "compare", "IMAGE IMAGE",  2,
		                     2,           args,      ARRAY_LEN(args) };
	struct compare k = { 0 };
	const char *word[2];
	int r = hull_disk_args(c, &v, word, err);

	if (r)
		return r;
	o.path = word[0];
	o.format = format;
	r = hull_image_open(&o, &k.a, err);
	if (r)
		return r;
	o.path = word[1];
	o.format = format2;
	r = hull_image_open(&o, &k.b, err);
	if (!r) {
		r = compare(c, &k, 4, err);
		hull_image_unref(k.b);
	}
	hull_image_unref(k.a);
	if (r == HULL_ESTATE && k.differs != UINT64_MAX)
		hull_fail(err, r, 355, "the disks differ at byte %llu",
		          (unsigned long long)k.differs);
	else if (!r && !(hull_disk_style(c) & (HULL_REPORT_QUIET | HULL_REPORT_JSON)))
		fputs("the disks hold the same\n", c->out);
	return r;
}
