/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Images on real files: the file protocol, raw, and chains of a small format of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hull/accel.h>
#include "base/bits.h"
#include "base/prng.h"
#include "board/board.h"
#include "core/dev_impl.h"
#include "host/block/image.h"

static char dir[64];

/* A path in the test's directory, in one of a few buffers. */
static const char *in(const char *name)
{
	static char paths[8][160];
	static unsigned next;
	char *p = paths[next++ % 8];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

/*
 * "link": 512 bytes of header, "LINK" name NUL format NUL, then a byte per sector that says
 * whether the sector is here, then sectors.  64 sectors.
 */
enum { SECTORS = 64, HEAD = 1024 };

struct link {
	struct hull_image img;
	char head[512];
	uint8_t here[512];
};

static bool link_probe(const uint8_t *head, size_t n)
{
	return !memcmp(head, "LINK", 4);
}

static int link_open(const struct hull_image_options *o, struct hull_image *file,
                     struct hull_image **ret, struct hull_err *err)
{
	struct link *l = calloc(1, sizeof(*l));

	if (hull_image_read(file, 0, l->head, 512) || hull_image_read(file, 512, l->here, 512) ||
	    memcmp(l->head, "LINK", 4)) {
		free(l);
		return hull_fail(err, HULL_EFORMAT, 306, "no link");
	}
	l->head[511] = 0;
	l->img.size = SECTORS * 512;
	l->img.read_only = o->read_only;
	*ret = &l->img;
	return 0;
}

static void link_close(struct hull_image *img)
{
	free(img);
}

static int link_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len)
{
	return hull_image_readv(img->file, HEAD + off, iov, n, len);
}

static int link_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                      uint64_t len, bool fua)
{
	memset(((struct link *)img)->here + off / 512, 1, len / 512);
	return hull_image_writev(img->file, HEAD + off, iov, n, len, fua);
}

static int link_map(struct hull_image *img, uint64_t off, uint64_t len,
                    struct hull_image_extent *ret)
{
	struct link *l = (struct link *)img;
	uint64_t i = off / 512, end = i;

	while (end < SECTORS && l->here[end] == l->here[i])
		end++;
	ret->offset = off;
	ret->len = MIN(len, (end - i) * 512);
	ret->flags = l->here[i] ? HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED : 0;
	ret->at = l->here[i] ? HEAD + off : UINT64_MAX;
	return 0;
}

static int link_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	const char *name = ((struct link *)img)->head + 4;

	memset(ret, 0, sizeof(*ret));
	ret->format = "link";
	snprintf(ret->backing, sizeof(ret->backing), "%s", name);
	snprintf(ret->backing_format, sizeof(ret->backing_format), "%.15s",
	         name + strlen(name) + 1);
	return 0;
}

static const struct hull_image_format link_format = {
	.name = "link",
	.summary = "for this test",
	.probe = link_probe,
	.open = link_open,
	.close = link_close,
	.read = link_read,
	.write = link_write,
	.map = link_map,
	.info = link_info,
};

/* The registry of this program, in place of the library's. */
extern HULL_IMAGE_FORMAT(file);
extern HULL_IMAGE_FORMAT(raw);
const struct hull_image_format *const hull_image_formats[] = { &hull_image_format_file,
	                                                       &link_format, &hull_image_format_raw,
	                                                       NULL };
const struct hull_dev_type *const hull_dev_types[] = { NULL };
const struct hull_accel *const hull_accels[] = { NULL };
const struct hull_board *const hull_boards[] = { NULL };

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/hull-image-XXXXXX");
	return !mkdtemp(dir);
}

static int remove_dir(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void put_file(const char *path, const void *data, size_t n, off_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, n, 0), n);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void put_link(const char *path, const char *backing, const char *format)
{
	char head[512] = "LINK";

	snprintf(head + 4, 500, "%s%c%s", backing, 0, format);
	put_file(path, head, sizeof(head), HEAD + SECTORS * 512);
}

static struct hull_image *must(const struct hull_image_options *o)
{
	struct hull_image *img = NULL;
	struct hull_err err = { 0 };

	if (hull_image_open(o, &img, &err))
		fail_msg("%s", err.text);
	return img;
}

/* The catalogue number with which opening fails; 0: it does not. */
static unsigned refused(const struct hull_image_options *o, struct hull_err *err)
{
	struct hull_image *img = NULL;

	memset(err, 0, sizeof(*err));
	if (!hull_image_open(o, &img, err)) {
		hull_image_unref(img);
		return 0;
	}
	assert_null(img);
	assert_true(err->text[0]);
	return err->id;
}

static void raw_is_the_file(void **state)
{
	struct hull_image_create c = { .path = in("a"), .size = 1 << 20 };
	struct hull_image_options o = { .path = in("a"), .format = "raw" };
	static uint8_t out[5000], back[5000];
	struct hull_image_extent e;
	struct hull_image_info info;
	struct hull_image *img;
	struct hull_err err;

	assert_int_equal(hull_image_make("raw", &c, &err), 0);
	assert_int_equal(hull_image_make("raw", &c, &err), HULL_EEXIST);
	assert_int_equal(err.id, 310);
	img = must(&o);
	assert_int_equal(img->size, 1 << 20);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
	assert_int_equal(hull_image_write(img, 70001, out, sizeof(out)), 0);
	assert_int_equal(hull_image_read(img, 70001, back, sizeof(back)), 0);
	assert_memory_equal(back, out, sizeof(out));
	assert_int_equal(hull_image_flush(img), 0);
	assert_int_equal(hull_image_map(img, 0, 1 << 20, &e), 0);
	assert_int_equal(e.flags, HULL_IMAGE_ZERO | HULL_IMAGE_ALLOCATED);
	assert_in_range(e.len, 512, 70001);
	assert_int_equal(hull_image_map(img, 70144, 512, &e), 0);
	assert_int_equal(e.flags, HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED);
	assert_int_equal(e.at, 70144);
	assert_int_equal(hull_image_write_zeroes(img, 70100, 1500, true, true), 0);
	assert_int_equal(hull_image_read(img, 70001, back, sizeof(back)), 0);
	memset(out + 99, 0, 1500);
	assert_memory_equal(back, out, sizeof(out));
	assert_int_equal(hull_image_discard(img, 0, 1 << 20), 0);
	assert_int_equal(hull_image_resize(img, 2 << 20, &err), 0);
	assert_int_equal(hull_image_write(img, (2 << 20) - 512, out, 512), 0);
	assert_int_equal(hull_image_resize(img, 1000, &err), HULL_EINVAL);
	assert_int_equal(hull_image_get_info(img, &info, &err), 0);
	assert_string_equal(info.format, "raw");
	assert_int_equal(info.size, 2 << 20);
	hull_image_unref(img);
	hull_image_unref(NULL);
}

static void ranges_are_checked(void **state)
{
	struct hull_image_options o = { .path = in("a"), .format = "raw" };
	struct hull_image_extent e;
	struct hull_image *img;
	uint8_t buf[512];

	put_file(o.path, "x", 1, 8192);
	img = must(&o);
	assert_int_equal(hull_image_read(img, 7681, buf, 512), HULL_EINVAL);
	assert_int_equal(hull_image_write(img, 8192, buf, 1), HULL_EINVAL);
	assert_int_equal(hull_image_write(img, UINT64_MAX, buf, 512), HULL_EINVAL);
	assert_int_equal(hull_image_write_zeroes(img, 512, UINT64_MAX, false, false), HULL_EINVAL);
	assert_int_equal(hull_image_discard(img, 512, 8192), HULL_EINVAL);
	assert_int_equal(hull_image_map(img, 8192, 512, &e), HULL_EINVAL);
	assert_int_equal(hull_image_read(img, 8192, buf, 0), 0);
	hull_image_unref(img);
	o.read_only = true;
	img = must(&o);
	assert_int_equal(hull_image_write(img, 0, buf, 512), HULL_EPERM);
	assert_int_equal(hull_image_write_zeroes(img, 0, 512, false, false), HULL_EPERM);
	assert_int_equal(hull_image_discard(img, 0, 512), HULL_EPERM);
	assert_int_equal(hull_image_flush(img), 0);
	hull_image_unref(img);
}

static void files_below_formats_grow(void **state)
{
	struct hull_image_create c = { .path = in("a") };
	struct hull_image_options o = { .path = in("a"), .format = "file" };
	uint8_t buf[64] = { 1 };
	struct hull_image *img;
	struct stat st;

	assert_int_equal(hull_image_make("file", &c, NULL), 0);
	img = must(&o);
	assert_int_equal(hull_image_write(img, 1000, buf, 5), 0);
	assert_int_equal(img->size, 1005);
	assert_int_equal(hull_image_read(img, 1000, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(hull_image_write_zeroes(img, 900, 8000, true, false), 0);
	assert_int_equal(img->size, 8900);
	assert_int_equal(hull_image_read(img, 1000, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0], 0);
	hull_image_unref(img);
	assert_int_equal(stat(o.path, &st), 0);
	assert_int_equal(st.st_size, 8900);
}

/* O_DIRECT with any offset and length, against a copy in memory. */
static void direct_takes_any_range(void **state)
{
	struct hull_image_options o = { .path = in("a"), .format = "file", .direct = true };
	static uint8_t model[300 << 10], buf[300 << 10];
	struct hull_prng dice;
	struct hull_err err;
	struct hull_image *img;
	uint64_t end = 0;
	struct stat st;

	put_file(o.path, "", 0, 0);
	if (hull_image_open(&o, &img, &err)) {
		assert_int_equal(err.id, 302);
		skip();
	}

	hull_prng_seed(&dice, 7);
	for (int i = 0; i < 400; i++) {
		uint64_t off = hull_prng_below(&dice, 200000);
		uint64_t len = 1 + hull_prng_below(&dice, 5000);

		if (i % 50 == 0)
			len *= 20;
		hull_prng_fill(&dice, model + off, len);
		assert_int_equal(hull_image_write(img, off, model + off, len), 0);
		end = MAX(end, off + len);
		assert_int_equal(img->size, end);
	}
	assert_int_equal(hull_image_read(img, 0, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, model, sizeof(buf));
	assert_int_equal(hull_image_read(img, 77, buf, 12345), 0);
	assert_memory_equal(buf, model + 77, 12345);
	hull_image_unref(img);
	assert_int_equal(stat(o.path, &st), 0);
	assert_int_equal(st.st_size, end);
}

struct part {
	struct hull_image *img;
	uint64_t at;
	unsigned lost;
};

static void *write_part(void *arg)
{
	struct part *p = arg;
	uint8_t have;

	for (unsigned i = 0; i < 40000; i++) {
		uint8_t want = (uint8_t)i;

		if (hull_image_write(p->img, p->at, &want, 1) ||
		    hull_image_read(p->img, p->at, &have, 1) || have != want)
			p->lost++;
	}
	return NULL;
}

/* Bytes of one sector, written at the same time: each is there afterwards. */
static void parts_of_a_sector(void **state)
{
	const char *path = in("disk");
	struct hull_image_create c = { .path = path, .size = 4096 };
	struct hull_image_options o = { .path = path, .format = "raw" };
	struct part parts[3] = { { .at = 10 }, { .at = 11 }, { .at = 500 } };
	struct hull_image *img;
	pthread_t threads[3];

	assert_int_equal(hull_image_make("raw", &c, NULL), 0);
	assert_int_equal(hull_image_open(&o, &img, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		parts[i].img = img;
		pthread_create(&threads[i], NULL, write_part, &parts[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(parts[i].lost, 0);
	}
	hull_image_unref(img);
}

static void shrunk_file_gives_errors(void **state)
{
	struct hull_image_options o = { .path = in("a"), .format = "raw" };
	uint8_t buf[1024] = { 1 };
	struct hull_image *img;
	struct stat st;

	put_file(o.path, "x", 1, 1 << 20);
	img = must(&o);
	assert_int_equal(truncate(o.path, 4096), 0);
	assert_int_equal(hull_image_read(img, 8192, buf, sizeof(buf)), HULL_EIO);
	assert_int_equal(hull_image_read(img, 3584, buf, sizeof(buf)), HULL_EIO);
	assert_int_equal(hull_image_write(img, 8192, buf, sizeof(buf)), HULL_EIO);
	assert_int_equal(hull_image_read(img, 0, buf, sizeof(buf)), 0);
	assert_int_equal(hull_image_write_zeroes(img, 8192, 4096, false, false), HULL_EIO);
	assert_int_equal(hull_image_write_zeroes(img, 2048, 4096, true, false), HULL_EIO);
	assert_int_equal(hull_image_write_zeroes(img, 0, 4096, false, false), 0);
	assert_int_equal(stat(o.path, &st), 0);
	assert_int_equal(st.st_size, 4096);
	hull_image_unref(img);
}

static void a_lost_name_is_noticed(void **state)
{
	struct hull_image_options o = { .path = in("a"), .format = "raw" };
	struct hull_image *img;
	int fd;

	put_file(o.path, "", 0, 4096);
	img = must(&o);
	assert_int_equal(hull_image_nameless(img), -1);
	assert_int_equal(rename(o.path, in("b")), 0);
	assert_int_equal(hull_image_nameless(img), -1);
	put_file(in("c"), "", 0, 4096);
	assert_int_equal(rename(in("c"), in("b")), 0);
	fd = hull_image_nameless(img);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4096);
	hull_image_unref(img);
}

static void second_writer_is_refused(void **state)
{
	struct hull_image_options rw = { .path = in("a"), .format = "raw" }, ro = rw, look = rw;
	struct hull_image *a, *b, *c;
	struct hull_err err;
	char pid[32];

	ro.read_only = look.read_only = look.shared = true;
	put_file(rw.path, "x", 1, 4096);
	a = must(&rw);
	snprintf(pid, sizeof(pid), "process %d", getpid());
	assert_int_equal(refused(&rw, &err), 412);
	assert_int_equal(err.code, HULL_EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	assert_non_null(strstr(err.text, pid));
	assert_int_equal(refused(&ro, &err), 412);
	assert_int_equal(refused(&look, &err), 0);
	hull_image_unref(a);
	b = must(&ro);
	c = must(&ro);
	assert_int_equal(refused(&rw, &err), 412);
	hull_image_unref(b);
	hull_image_unref(c);
}

static void odd_sizes(void **state)
{
	struct hull_image_options rw = { .path = in("a") }, ro = rw;
	struct hull_image *img;
	struct hull_err err;
	uint8_t buf[1024];

	ro.read_only = true;
	put_file(rw.path, "x", 1, 700);
	assert_int_equal(refused(&rw, &err), 304);
	assert_non_null(strstr(err.text, "512"));
	img = must(&ro);
	assert_int_equal(img->size, 1024);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(hull_image_read(img, 0, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0], 'x');
	for (size_t i = 1; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(hull_image_read(img, 512, buf, 512), 0);
	assert_int_equal(buf[511], 0);
	hull_image_unref(img);
	put_file(rw.path, "", 0, 0);
	assert_int_equal(refused(&ro, &err), 304);
}

static void what_is_no_disk_is_refused(void **state)
{
	struct hull_image_options o = { .path = "/tmp" };
	struct hull_err err;

	assert_int_equal(refused(&o, &err), 303);
	assert_non_null(strstr(err.text, "directory"));
	o.read_only = true;
	assert_int_equal(refused(&o, &err), 303);
	o.path = "/dev/zero";
	assert_int_equal(refused(&o, &err), 303);
	o.path = in("fifo");
	assert_int_equal(mkfifo(o.path, 0600), 0);
	assert_int_equal(refused(&o, &err), 303);
	assert_non_null(strstr(err.text, "pipe"));
	o.path = in("missing");
	assert_int_equal(refused(&o, &err), 302);
	assert_int_equal(err.code, HULL_ENOENT);
	assert_true(err.fix[0]);
}

static void formats_must_be_named(void **state)
{
	struct hull_image_options o = { .path = in("a") };
	struct hull_image *img;
	struct hull_err err;

	put_file(o.path, "QFI\xfb\0\0\0\3", 8, 4096);
	assert_int_equal(refused(&o, &err), 305);
	assert_int_equal(err.code, HULL_EFORMAT);
	assert_non_null(strstr(err.text, "qcow2"));
	assert_non_null(strstr(err.fix, "format=raw"));
	o.format = "raw";
	assert_int_equal(refused(&o, &err), 0);
	o.format = "rew";
	assert_int_equal(refused(&o, &err), 306);
	assert_non_null(strstr(err.fix, "raw"));
	o.format = "raw";
	o.backing = in("b");
	assert_int_equal(refused(&o, &err), 306);
	put_link(o.path, "", "");
	o.format = o.backing = NULL;
	assert_int_equal(refused(&o, &err), 305);
	o.guess = true;
	img = must(&o);
	assert_string_equal(img->format->name, "link");
	hull_image_unref(img);
}

static void chains_show_what_is_below(void **state)
{
	struct hull_image_options o = { .path = in("top"), .format = "link" };
	uint8_t buf[1024] = { 1 };
	struct hull_image_extent e;
	struct hull_image *img;

	put_link(o.path, "mid", "link");
	put_link(in("mid"), "base", "raw");
	put_file(in("base"), "base", 4, 8192);
	img = must(&o);
	assert_string_equal(img->backing->backing->format->name, "raw");
	assert_true(img->backing->read_only);
	assert_int_equal(hull_image_write(img, 4096, buf, 1024), 0);
	assert_int_equal(hull_image_map(img, 0, 32768, &e), 0);
	assert_int_equal(e.depth, 2);
	assert_int_equal(e.at, 0);
	assert_true(e.len <= 4096);
	assert_int_equal(hull_image_map(img, 4096, 28672, &e), 0);
	assert_int_equal(e.depth, 0);
	assert_int_equal(e.len, 1024);
	assert_int_equal(hull_image_map(img, 8192, 16384, &e), 0);
	assert_int_equal(e.flags, HULL_IMAGE_ZERO);
	assert_int_equal(e.len, 16384);
	hull_image_unref(img);
	o.no_backing = true;
	img = must(&o);
	assert_null(img->backing);
	hull_image_unref(img);
}

static void hostile_backing_names(void **state)
{
	struct hull_image_options o = { .path = in("sub/a"), .format = "link" };
	struct hull_err err;
	char deep[32], next[32];

	assert_int_equal(mkdir(in("sub"), 0700), 0);
	put_file(in("secret"), "secret", 6, 4096);
	/* Outside: by the parent, by an absolute name, by a link; a device; a server's name. */
	put_link(o.path, "../secret", "raw");
	assert_int_equal(refused(&o, &err), 312);
	assert_int_equal(err.code, HULL_EPERM);
	o.trusted = true;
	assert_int_equal(refused(&o, &err), 0);
	o.trusted = false;
	put_link(o.path, "/etc/passwd", "raw");
	assert_int_equal(refused(&o, &err), 312);
	assert_int_equal(symlink("../secret", in("sub/link")), 0);
	put_link(o.path, "link", "raw");
	assert_int_equal(refused(&o, &err), 312);
	put_link(o.path, "/dev/zero", "raw");
	assert_int_equal(refused(&o, &err), 312);
	/* What the user names may be anywhere. */
	o.backing = in("secret");
	o.backing_format = "raw";
	assert_int_equal(refused(&o, &err), 0);
	o.backing = o.backing_format = NULL;
	/* Missing; of another kind than it says; of no named kind. */
	put_link(o.path, "nothing", "raw");
	assert_int_equal(refused(&o, &err), 302);
	put_link(in("sub/b"), "", "");
	put_link(o.path, "b", "");
	assert_int_equal(refused(&o, &err), 305);
	/* Itself; a circle of two; a chain that is too long, and one that is not. */
	put_link(o.path, "a", "link");
	assert_int_equal(refused(&o, &err), 311);
	put_link(o.path, "b", "link");
	put_link(in("sub/b"), "a", "link");
	assert_int_equal(refused(&o, &err), 311);
	for (int i = 0; i < 70; i++) {
		snprintf(deep, sizeof(deep), "d%d", i);
		snprintf(next, sizeof(next), "d%d", i + 1);
		put_link(in(deep), i < 69 ? next : "", "link");
	}
	o.path = in("d0");
	assert_int_equal(refused(&o, &err), 311);
	o.path = in("d6");
	assert_int_equal(refused(&o, &err), 0);
	o.path = in("d5");
	assert_int_equal(refused(&o, &err), 311);
}

static int syncs_fail;

/* In place of the C library's. */
int fdatasync(int fd)
{
	if (!syncs_fail)
		return fsync(fd);
	syncs_fail--;
	errno = EIO;
	return -1;
}

/* The host forgets what it could not write: that the next flush works means nothing. */
static void lost_pages_stay_lost(void **state)
{
	struct hull_image_options o = { .path = in("a"), .format = "file" };
	struct hull_image *img;
	char text[512] = "text";

	put_file(o.path, text, sizeof(text), sizeof(text));
	assert_int_equal(hull_image_open(&o, &img, NULL), 0);
	assert_int_equal(hull_image_write(img, 0, text, sizeof(text)), 0);
	assert_int_equal(hull_image_flush(img), 0);
	syncs_fail = 1;
	assert_int_equal(hull_image_flush(img), HULL_EIO);
	assert_int_equal(syncs_fail, 0);
	assert_int_equal(hull_image_flush(img), HULL_EIO);
	hull_image_unref(img);
}

static void *write_byte(void *arg)
{
	return (void *)(intptr_t)hull_image_write(arg, 1, "x", 1);
}

/* O_DIRECT: a write of a part of a block gets its turn however many whole ones come. */
static void nobody_waits_for_ever(void **state)
{
	struct hull_image_options o = { .path = in("a"), .format = "raw", .direct = true };
	struct hull_image_direct d[2] = { 0 };
	struct hull_image *img, *file;
	static char text[65536];
	unsigned i = 0, given;
	pthread_t thread;
	void *r;

	put_file(o.path, text, sizeof(text), sizeof(text));
	if (hull_image_open(&o, &img, NULL))
		skip();
	file = img->file;
	alarm(60);
	given = (unsigned)file->format->direct(file, true, 32768, 4096, &d[0]);
	assert_int_equal(given, 1);
	assert_int_equal(pthread_create(&thread, NULL, write_byte, file), 0);
	/* One is always under way, until it is not given out any more. */
	for (; given; i++) {
		given = (unsigned)file->format->direct(file, true, 32768, 4096, &d[(i + 1) % 2]);
		file->format->direct_end(file, &d[i % 2], 0);
	}
	assert_int_equal(pthread_join(thread, &r), 0);
	alarm(0);
	assert_null(r);
	hull_image_unref(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(raw_is_the_file, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(parts_of_a_sector, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(ranges_are_checked, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(files_below_formats_grow, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(direct_takes_any_range, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(lost_pages_stay_lost, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(nobody_waits_for_ever, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(shrunk_file_gives_errors, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_lost_name_is_noticed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(second_writer_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(odd_sizes, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(what_is_no_disk_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(formats_must_be_named, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(chains_show_what_is_below, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(hostile_backing_names, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
