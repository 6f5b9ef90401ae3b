/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Disks of a VM; see disks.h. */
#include "app/disks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <hull/host.h>
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/block/disk.h"
#include "host/os/os.h"
#include "host/sandbox/jail.h"

enum { CACHE_WRITEBACK, CACHE_WRITETHROUGH, CACHE_NONE, CACHE_UNSAFE }; /* as in options.def */

#define RETRY_NS    UINT64_C(1000000000)
#define TELL_NS     UINT64_C(10000000000) /* between two remarks about one disk */
#define AUTO_FORMAT "auto"

struct app_disk {
	struct app_disks *all;
	struct hull_block *block;
	pthread_mutex_t mutex; /* of what follows */
	struct hull_disk_failure last;
	unsigned fresh; /* failures that nobody was told of */
	uint64_t told_ns;
	bool told_nameless; /* hull_app_disks_look()'s; or it is no news */
};

/* The values of one disk. */
struct source {
	const struct hull_options *o;
	uint32_t i;
};

static const struct hull_value *item(const struct source *s, enum hull_option id)
{
	return hull_options_item(s->o, id, s->i);
}

static const char *text(const struct source *s, enum hull_option id)
{
	return item(s, id)->text;
}

static uint64_t num(const struct source *s, enum hull_option id)
{
	return item(s, id)->num;
}

static uint64_t now_ns(void)
{
	return hull_host_hal()->now_ns(hull_host_hal());
}

static void on_failure(void *arg, const struct hull_disk_failure *f)
{
	struct app_disk *d = arg;

	pthread_mutex_lock(&d->mutex);
	d->last = *f;
	d->fresh++;
	pthread_mutex_unlock(&d->mutex);
	if (d->all->announce)
		d->all->announce(d->all->arg);
}

static void image_options(const struct source *s, struct hull_image_options *io)
{
	const struct hull_value *format = item(s, HULL_OPT_DISK_FORMAT);
	uint64_t cache = num(s, HULL_OPT_DISK_CACHE);

	io->path = text(s, HULL_OPT_DISK_PATH);
	if (format->origin.rank > HULL_ORIGIN_DEFAULT)
		io->format = format->text;
	if (io->format && !strcmp(io->format, AUTO_FORMAT)) {
		io->format = NULL;
		io->guess = true;
	}
	io->read_only = num(s, HULL_OPT_DISK_READONLY);
	io->direct = cache == CACHE_NONE;
	io->no_flush = cache == CACHE_UNSAFE;
	io->backing = text(s, HULL_OPT_DISK_BACKING);
	io->backing_format = text(s, HULL_OPT_DISK_BACKING_FORMAT);
	io->trusted = num(s, HULL_OPT_DISK_BACKING_TRUST);
}

static int disk_options(const struct source *s, struct hull_disk_options *d, struct hull_err *err)
{
	const char *burst = text(s, HULL_OPT_DISK_BURST);

	d->serial = text(s, HULL_OPT_DISK_SERIAL);
	d->queues = (unsigned)num(s, HULL_OPT_DISK_QUEUES);
	if (!d->queues)
		d->queues = (unsigned)hull_options_num(s->o, HULL_OPT_CPU_COUNT);
	d->aio = (enum hull_disk_aio)num(s, HULL_OPT_DISK_AIO);
	d->writethrough = num(s, HULL_OPT_DISK_CACHE) == CACHE_WRITETHROUGH;
	d->discard = num(s, HULL_OPT_DISK_DISCARD);
	d->detect_zeroes = (enum hull_disk_zeroes)num(s, HULL_OPT_DISK_DETECT_ZEROES);
	d->on_error = (enum hull_disk_on_error)num(s, HULL_OPT_DISK_ON_ERROR);
	d->iops = num(s, HULL_OPT_DISK_IOPS);
	d->bytes_per_s = num(s, HULL_OPT_DISK_BYTES);
	if (burst &&
	    (!hull_parse_duration(burst, &d->burst_ns) || d->burst_ns > UINT64_C(3600000000000))) {
		hull_fail(err, HULL_EINVAL, 6, "disk[%u].limit.burst = \"%.40s\" is not a duration",
		          s->i, burst);
		hull_err_fix(err, "write 100ms, 2s; at most 1h");
		return HULL_EINVAL;
	}
	return 0;
}

/* create = { size = ... }: a disk that is not there yet is made. */
static int make_missing(const struct source *s, const struct hull_image_options *io,
                        struct hull_err *err)
{
	struct hull_image_create c = { .path = io->path,
		                       .size = num(s, HULL_OPT_DISK_CREATE_SIZE),
		                       .backing = io->backing,
		                       .backing_format = io->backing_format };
	struct stat st;

	if (!c.size || stat(io->path, &st) == 0)
		return 0;
	return hull_image_make(io->format ? io->format : "raw", &c, err);
}

/* A new image on the disk, for what the guest writes; it has no name any more. */
static int open_overlay(const struct hull_image_options *io, struct hull_image **ret,
                        struct hull_err *err)
{
	const char *dir = getenv("TMPDIR");
	struct hull_image_options base = *io, over = *io;
	struct hull_image_create c = { .overwrite = true };
	struct hull_image *img;
	char path[HULL_IMAGE_PATH_MAX], reason[64];
	int r, fd;

	base.read_only = true;
	r = hull_image_open(&base, &img, err);
	if (r)
		return r;
	c.size = img->size;
	over.backing_format = img->format->name;
	hull_format(path, sizeof(path), "%s/hull-overlay-XXXXXX", dir && *dir ? dir : "/var/tmp");
	fd = mkstemp(path);
	if (fd < 0) {
		hull_image_unref(img);
		return hull_fail(err, hull_os_error(errno), 302, "cannot create \"%s\": %s", path,
		                 hull_os_reason(errno, reason, sizeof(reason)));
	}
	close(fd);
	c.path = over.path = path;
	over.format = "qcow2";
	over.backing = io->path;
	over.guess = false;
	over.no_flush = true;
	r = hull_image_make("qcow2", &c, err);
	if (!r)
		r = hull_image_open(&over, ret, err);
	unlink(path);
	hull_image_unref(img);
	return r;
}

/* Is a part of it behind a network? */
static bool is_remote(const struct hull_image *img)
{
	for (; img; img = img->file) {
		if (!strcmp(img->format->name, "nbd") || is_remote(img->backing))
			return true;
	}
	return false;
}

static int open_block(struct app_disk *d, const struct source *s, bool at_once,
                      struct hull_err *err)
{
	struct hull_disk_options disk = { .at_once = at_once, .failed = on_failure, .arg = d };
	struct hull_image_options io = { 0 };
	struct hull_image *img;
	int r = disk_options(s, &disk, err);

	image_options(s, &io);
	if (!r)
		r = make_missing(s, &io, err);
	if (r)
		return r;
	d->told_nameless = hull_options_num(s->o, HULL_OPT_RUN_SNAPSHOT_MODE) && !io.read_only;
	if (d->told_nameless)
		r = open_overlay(&io, &img, err);
	else
		r = hull_image_open(&io, &img, err);
	if (!r && is_remote(img))
		hull_jail_require(HULL_JAIL_REMOTE);
	return r ? r : hull_disk_open(&disk, img, &d->block, err);
}

int hull_app_disk_open(struct app_disks *d, const struct hull_options *o, uint32_t i, bool at_once,
                       struct hull_block **ret, struct hull_err *err)
{
	const struct source s = { o, i };
	struct app_disk *disk = calloc(1, sizeof(*disk));
	int r;

	if (!disk)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	disk->all = d;
	pthread_mutex_init(&disk->mutex, NULL);
	r = open_block(disk, &s, at_once, err);
	if (r) {
		pthread_mutex_destroy(&disk->mutex);
		free(disk);
		return r;
	}
	d->disk[d->n++] = disk;
	*ret = disk->block;
	return 0;
}

static const char *doing(enum hull_block_op op)
{
	switch (op) {
	case HULL_BLOCK_READ: return "read";
	case HULL_BLOCK_FLUSH: return "flush";
	case HULL_BLOCK_DISCARD: return "discard";
	default: return "write";
	}
}

static void explain(const struct hull_disk_failure *f, struct hull_err *err)
{
	const char *then =
		f->paused ? "the guest is paused, nothing is lost" : "the guest was told";
	struct statvfs fs;

	if (f->status == HULL_ENOSPC) {
		uint64_t left = statvfs(f->path, &fs) ? 0 : (uint64_t)fs.f_bavail * fs.f_frsize;

		hull_fail(err, HULL_EIO, 301,
		          "the disk image \"%s\" filled up: %llu bytes free there; %s", f->path,
		          (unsigned long long)left, then);
		hull_err_fix(err, f->paused ? "make room; the guest goes on within a second"
		                            : "make room, or let it wait: on_error=pause");
		return;
	}
	hull_fail(err, HULL_EIO, 307,
	          "the disk image \"%s\" failed: cannot %s %llu bytes at %llu: %s; %s", f->path,
	          doing(f->op), (unsigned long long)f->len, (unsigned long long)f->offset,
	          hull_error_text(f->status), then);
	hull_err_fix(err, f->paused ? "put it right; the guest goes on within a second"
	                            : "look into the host's log; to wait instead: on_error=pause");
}

/* True: there is something to say about this disk. */
static bool has_news(struct app_disk *d, struct hull_disk_failure *ret)
{
	uint64_t now = now_ns();
	bool news;

	pthread_mutex_lock(&d->mutex);
	news = d->fresh &&
	       (!d->told_ns || now - d->told_ns > TELL_NS || (d->last.paused && !d->all->paused));
	if (news) {
		*ret = d->last;
		d->fresh = 0;
		d->told_ns = now;
	}
	pthread_mutex_unlock(&d->mutex);
	return news;
}

/* Try what is paused; does everything work again? */
static bool recovered(struct app_disks *d, struct hull_vm *vm)
{
	bool all = true;

	if (now_ns() - d->tried_ns < RETRY_NS)
		return false;
	d->tried_ns = now_ns();
	for (uint32_t i = 0; i < d->n; i++)
		all = hull_disk_resume(d->disk[i]->block) == 0 && all;
	if (!all)
		return false;
	/* It may have been stopped meanwhile. */
	if (d->paused)
		(void)hull_vm_resume(vm, NULL);
	d->paused = false;
	return true;
}

/* Requests may wait though the VM could not be paused, as when it was paused already. */
static bool waiting(const struct app_disks *d)
{
	bool any = d->paused;

	for (uint32_t i = 0; i < d->n; i++)
		any |= hull_disk_paused(d->disk[i]->block);
	return any;
}

/* True, once: what the guest writes to this disk will be lost. */
static bool has_no_name(struct app_disk *d, struct hull_err *err)
{
	const struct hull_image *img = hull_disk_image(d->block);
	int fd = img->read_only || d->told_nameless
	                 ? -1
	                 : hull_image_nameless(hull_disk_image(d->block));

	if (fd < 0)
		return false;
	d->told_nameless = true;
	hull_fail(
		err, HULL_EIO, 309,
		"the disk image \"%s\" was removed or replaced while the guest uses it: the guest "
		"goes on with a file that is gone when hull ends",
		img->path);
	hull_err_fix(err, "before that: cp --sparse=always /proc/%d/fd/%d %s.saved", (int)getpid(),
	             fd, img->path);
	return true;
}

int hull_app_disks_look(struct app_disks *d, struct hull_vm *vm, struct hull_err *err)
{
	struct hull_disk_failure f;

	for (uint32_t i = 0; i < d->n; i++) {
		if (!has_news(d->disk[i], &f))
			continue;
		if (f.paused)
			d->tried_ns = now_ns();
		if (f.paused && !d->paused)
			d->paused = hull_vm_pause(vm, NULL) == 0;
		explain(&f, err);
		return HULL_EIO;
	}
	for (uint32_t i = 0; i < d->n; i++)
		if (has_no_name(d->disk[i], err))
			return HULL_EIO;
	return waiting(d) && recovered(d, vm);
}

void hull_app_disks_quiet(struct app_disks *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		hull_disk_give_up(d->disk[i]->block);
		d->disk[i]->block->drain(d->disk[i]->block);
	}
}

void hull_app_disks_close(struct app_disks *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		hull_disk_close(d->disk[i]->block);
		pthread_mutex_destroy(&d->disk[i]->mutex);
		free(d->disk[i]);
	}
	d->n = 0;
}
