/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The 9P server against clients that lie and host processes that interfere: nothing outside the
 * directory is read or written, and whatever was taken comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/prng.h"
#include "support/shared_dir.h"

enum { L_WRONLY = 1, L_RDWR = 2, L_EXCL = 0200 };
enum { RACE_MS = 1200 };

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Nothing but the secret is outside, and it is what it was. */
static void assert_outside_untouched(const struct shared_dir *d)
{
	DIR *dir = opendir(in_top(d, "out"));
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			assert_string_equal(e->d_name, "secret");
	closedir(dir);
	assert_string_equal(get_file(d, "out/secret"), SECRET);
}

/* A walk of one name that may hold anything. */
static int walk_raw(struct p9 *c, const char *name, uint32_t len)
{
	put32(p9_begin(c, P9_TWALK), 0);
	put32(&c->t, 50);
	put16(&c->t, 1);
	put_text(&c->t, name, len);
	return p9_call(c, 0);
}

static void names_that_are_no_names(void **state)
{
	static const char *const bad[] = { "..", ".", "", "a/b", "/", "/etc", "../out/secret" };
	struct shared_dir *d = shared_dir_new(NULL);
	char longest[400];

	memset(longest, 'x', sizeof(longest));
	longest[300] = 0;
	put_file(d, "in/f", "");
	assert_int_equal(p9_walk(d->c, 0, 1, "f"), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad) + 1; i++) {
		const char *name = i < ARRAY_LEN(bad) ? bad[i] : longest;

		assert_int_not_equal(walk_raw(d->c, name, (uint32_t)strlen(name)), 0);
		assert_int_equal(d->c->reply[4], P9_RLERROR);
		assert_int_not_equal(p9_mkdir(d->c, 0, name, 0755), 0);
		assert_int_not_equal(p9_mknod(d->c, 0, name, S_IFIFO), 0);
		assert_int_not_equal(p9_symlink(d->c, 0, name, "x"), 0);
		assert_int_not_equal(p9_link(d->c, 0, 1, name), 0);
		assert_int_not_equal(p9_rename(d->c, 1, 0, name), 0);
		assert_int_not_equal(p9_renameat(d->c, 0, "f", 0, name), 0);
		assert_int_not_equal(p9_renameat(d->c, 0, name, 0, "g"), 0);
		assert_int_not_equal(p9_unlinkat(d->c, 0, name, 0x200), 0);
		assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
		assert_int_not_equal(p9_create(d->c, 2, name, L_RDWR, 0600), 0);
		assert_int_equal(p9_clunk(d->c, 2), 0);
	}
	assert_int_equal(walk_raw(d->c, "f\0x", 3), EINVAL);
	assert_int_equal(walk_raw(d->c, "f", 1), 0);
	assert_int_equal(p9_symlink(d->c, 0, "l", ""), EINVAL);
	assert_outside_untouched(d);
	shared_dir_free(d);
}

static void links_are_not_followed(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9_attr a;

	assert_int_equal(p9_symlink(d->c, 0, "up", "../out"), 0);
	assert_int_equal(p9_symlink(d->c, 0, "file", "../out/secret"), 0);
	assert_int_equal(p9_symlink(d->c, 0, "new", "../out/new"), 0);
	assert_int_equal(p9_symlink(d->c, 0, "proc", "/proc/self/fd/0"), 0);
	assert_int_equal(p9_walk(d->c, 0, 1, "up/secret"), ENOENT);
	assert_int_equal(p9_getattr(d->c, 1, &a), EBADF);
	assert_int_equal(p9_walk(d->c, 0, 1, "file"), 0);
	assert_int_equal(p9_open(d->c, 1, 0), ELOOP);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "up", "file", "new", "proc" };

		assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
		assert_int_equal(p9_create(d->c, 2, names[i], L_RDWR, 0600), ELOOP);
		assert_int_equal(p9_create(d->c, 2, names[i], L_RDWR | L_EXCL, 0600), EEXIST);
		assert_int_equal(p9_clunk(d->c, 2), 0);
	}
	assert_int_equal(p9_walk(d->c, 0, 3, "up"), 0);
	assert_int_equal(p9_walk(d->c, 3, 4, "secret"), ENOTDIR);
	assert_int_equal(p9_mkdir(d->c, 3, "x", 0755), ENOTDIR);
	assert_int_equal(p9_create(d->c, 3, "x", L_RDWR, 0600), ENOTDIR);
	assert_int_equal(p9_unlinkat(d->c, 3, "secret", 0), ENOTDIR);
	assert_int_equal(p9_open(d->c, 3, 0), ELOOP);
	assert_outside_untouched(d);
	shared_dir_free(d);
}

static void what_was_moved_out_is_out(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);

	assert_int_equal(p9_mkdir(d->c, 0, "dir", 0755), 0);
	put_file(d, "in/dir/f", "text");
	assert_int_equal(p9_walk(d->c, 0, 1, "dir"), 0);
	assert_int_equal(p9_walk(d->c, 0, 2, "dir/f"), 0);
	assert_int_equal(rename(in_top(d, "in/dir"), in_top(d, "moved")), 0);
	put_file(d, "moved/private", SECRET);
	assert_int_equal(p9_walk(d->c, 1, 3, "private"), ESTALE);
	assert_int_equal(p9_mkdir(d->c, 1, "x", 0755), ESTALE);
	assert_int_equal(p9_symlink(d->c, 1, "x", "y"), ESTALE);
	assert_int_equal(p9_mknod(d->c, 1, "x", S_IFREG), ESTALE);
	assert_int_equal(p9_unlinkat(d->c, 1, "private", 0), ESTALE);
	assert_int_equal(p9_renameat(d->c, 1, "private", 0, "mine"), ESTALE);
	assert_int_equal(p9_link(d->c, 0, 2, "mine"), ESTALE);
	assert_int_equal(p9_rename(d->c, 2, 0, "mine"), ESTALE);
	assert_int_equal(p9_open(d->c, 2, 0), ESTALE);
	assert_int_equal(p9_open(d->c, 1, 0), ESTALE);
	assert_int_equal(p9_create(d->c, 1, "x", L_RDWR, 0600), ESTALE);
	assert_int_equal(p9_remove(d->c, 2), ESTALE);
	/* And back; and the shared directory itself may be moved about. */
	assert_int_equal(rename(in_top(d, "moved"), in_top(d, "in/dir2")), 0);
	assert_int_equal(p9_walk(d->c, 1, 3, "f"), 0);
	assert_int_equal(rename(in_top(d, "in"), in_top(d, "in2")), 0);
	assert_int_equal(p9_walk(d->c, 1, 4, "f"), 0);
	assert_int_equal(p9_open(d->c, 4, 0), 0);
	assert_int_equal(rename(in_top(d, "in2"), in_top(d, "in")), 0);
	assert_int_equal(p9_mkdir(d->c, 1, "x", 0755), 0);
	shared_dir_free(d);
}

static void other_mounts_are_not_entered(void **state)
{
	struct hull_share_options o = { .path = "/", .tag = "t", .read_only = true };
	struct hull_share *s;
	struct hull_err err;
	struct p9 *c;

	assert_int_equal(hull_share_open(&o, &s, &err), 0);
	c = p9_new(s);
	assert_int_equal(p9_version(c, 8192), 0);
	assert_int_equal(p9_attach(c, 0), 0);
	assert_int_equal(p9_walk(c, 0, 1, "proc"), EXDEV);
	assert_int_equal(p9_walk(c, 0, 1, "proc/self"), EXDEV);
	assert_int_equal(p9_walk(c, 0, 1, "etc/passwd"), 0);
	assert_int_equal(p9_open(c, 1, 0), 0);
	p9_free(c);
	hull_share_close(s);
}

/* "a" is a directory with "f", or a link to the outside, where the secret also is "f". */
struct swapper {
	const struct shared_dir *d;
	bool stop;
	uint64_t swaps;
};

static void *swap(void *arg)
{
	struct swapper *w = arg;

	while (!hull_load_acquire(&w->stop)) {
		if (renameat2(AT_FDCWD, in_top(w->d, "in/a"), AT_FDCWD, in_top(w->d, "in/b"),
		              RENAME_EXCHANGE))
			abort();
		w->swaps++;
	}
	return NULL;
}

static void one_attempt(struct shared_dir *d, unsigned i)
{
	char buf[100], name[20];
	int n;

	snprintf(name, sizeof(name), "made%u", i);
	if (!p9_walk(d->c, 0, 1, "a/secret")) {
		if (!p9_open(d->c, 1, L_RDWR)) {
			n = p9_read(d->c, 1, 0, buf, sizeof(buf));
			assert_int_equal(n, 6);
			assert_memory_equal(buf, "inside", 6);
			assert_int_equal(p9_write(d->c, 1, 0, "inside", 6), 6);
		}
		p9_clunk(d->c, 1);
	}
	if (!p9_walk(d->c, 0, 2, "a")) {
		if (i % 3 == 0 && !p9_mkdir(d->c, 2, name, 0755))
			p9_unlinkat(d->c, 2, name, 0x200);
		if (i % 3 == 1 && !p9_symlink(d->c, 2, name, "x"))
			p9_unlinkat(d->c, 2, name, 0);
		if (i % 3 == 2 && !p9_create(d->c, 2, name, L_RDWR, 0600)) {
			p9_write(d->c, 2, 0, "x", 1);
			p9_remove(d->c, 2);
			return;
		}
		p9_clunk(d->c, 2);
	}
}

static void races_with_links(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct swapper w = { .d = d };
	uint64_t end = now_ms() + RACE_MS;
	pthread_t thread;
	unsigned i = 0;

	assert_int_equal(mkdir(in_top(d, "in/a"), 0755), 0);
	put_file(d, "in/a/secret", "inside");
	assert_int_equal(symlink("../out", in_top(d, "in/b")), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &w), 0);
	while (now_ms() < end)
		one_attempt(d, i++);
	hull_store_release(&w.stop, true);
	pthread_join(thread, NULL);
	assert_true(w.swaps > 10 && i > 10);
	assert_outside_untouched(d);
	shared_dir_free(d);
}

/* A file of the share and one outside take turns under a name that the client opens to write. */
static void races_with_files(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct swapper w = { .d = d };
	uint64_t end = now_ms() + RACE_MS;
	pthread_t thread;
	char buf[32];
	int opened = 0;

	put_file(d, "in/a", "inside");
	assert_int_equal(symlink("../out/secret", in_top(d, "in/b")), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &w), 0);
	while (now_ms() < end) {
		assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
		if (!p9_create(d->c, 1, "a", L_RDWR, 0600)) {
			assert_int_equal(p9_read(d->c, 1, 0, buf, sizeof(buf)), 6);
			assert_int_equal(p9_write(d->c, 1, 0, "inside", 6), 6);
			opened++;
		}
		assert_int_equal(p9_clunk(d->c, 1), 0);
	}
	hull_store_release(&w.stop, true);
	pthread_join(thread, NULL);
	assert_true(opened > 0);
	assert_outside_untouched(d);
	shared_dir_free(d);
}

static void device_nodes_and_pipes_stay_closed(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);

	assert_int_equal(mkfifo(in_top(d, "in/pipe"), 0666), 0);
	if (!mknod(in_top(d, "in/null"), S_IFCHR | 0666, makedev(1, 3))) {
		assert_int_equal(p9_walk(d->c, 0, 1, "null"), 0);
		assert_int_equal(p9_open(d->c, 1, L_RDWR), EACCES);
		assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
		assert_int_equal(p9_create(d->c, 2, "null", L_RDWR, 0600), EACCES);
		assert_int_equal(p9_clunk(d->c, 2), 0);
	}
	assert_int_equal(p9_walk(d->c, 0, 3, "pipe"), 0);
	assert_int_equal(p9_open(d->c, 3, 0), EACCES);
	assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
	assert_int_equal(p9_create(d->c, 2, "pipe", 0, 0600), EACCES);
	shared_dir_free(d);
}

/* Every type, cut at every length, with sizes that lie, and bytes of chance. */
static void malformed_messages(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct hull_prng prng;

	hull_prng_seed(&prng, 9);
	put_file(d, "in/f", "text");
	for (unsigned type = 0; type < 256; type++) {
		for (uint32_t len = 7; len < 80; len++) {
			struct p9 *c = d->c;

			if (type == P9_TFLUSH || type == P9_TVERSION)
				continue;
			p9_begin(c, (uint8_t)type);
			while (c->t.len < len)
				put8(&c->t,
				     (uint8_t)(hull_prng_next(&prng) & 3 ? 0
				                                         : hull_prng_next(&prng)));
			if (len % 3 == 1)
				store_le32(c->msg,
				           len + 1 + (uint32_t)(hull_prng_next(&prng) >> 40));
			if (len % 3 == 2)
				store_le32(c->msg, (uint32_t)hull_prng_next(&prng) % (len + 1) + 1);
			(void)p9_call(c, len % 5 ? 0 : 64);
		}
		(void)p9_attach(d->c, 0);
	}
	put16(p9_begin(d->c, P9_TFLUSH), 0xffff);
	assert_int_equal(p9_call(d->c, 0), 0);
	p9_begin(d->c, P9_TFLUSH);
	assert_int_equal(p9_call(d->c, 0), EPROTO);
	put32(p9_begin(d->c, P9_TVERSION), 65536);
	assert_int_equal(p9_call(d->c, 0), EPROTO);
	put32(p9_begin(d->c, P9_TWALK), 0);
	put32(&d->c->t, 60);
	put16(&d->c->t, 17);
	assert_int_equal(p9_call(d->c, 0), EINVAL);
	assert_outside_untouched(d);
	shared_dir_free(d);
}

static void sizes_that_lie(void **state)
{
	static const uint64_t offsets[] = {
		1, 7, UINT64_C(1) << 31, UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX
	};
	struct shared_dir *d = shared_dir_new(NULL);
	static char buf[70000];
	uint64_t at;

	put_file(d, "in/f", "text");
	assert_int_equal(p9_walk(d->c, 0, 1, "f"), 0);
	assert_int_equal(p9_open(d->c, 1, L_RDWR), 0);
	/* A count beyond the buffers: they are filled.  Data that are not there: refused. */
	put32(p9_begin(d->c, P9_TREAD), 1);
	put64(&d->c->t, 0);
	put32(&d->c->t, UINT32_MAX);
	assert_int_equal(p9_call(d->c, 3), 0);
	assert_int_equal(d->c->req.data_moved, 3);
	put32(p9_begin(d->c, P9_TWRITE), 1);
	put64(&d->c->t, 0);
	put32(&d->c->t, 1000);
	assert_int_equal(p9_call(d->c, 3), EPROTO);
	assert_string_equal(get_file(d, "in/f"), "text");
	/* Places in a directory that readdir never gave out. */
	assert_int_equal(p9_walk(d->c, 0, 2, ""), 0);
	assert_int_equal(p9_open(d->c, 2, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		at = offsets[i];
		(void)p9_readdir(d->c, 2, &at, 8192, NULL, NULL);
	}
	at = 0;
	assert_int_equal(p9_readdir(d->c, 2, &at, UINT32_MAX, NULL, NULL), 3);
	assert_int_equal(p9_readdir(d->c, 2, &at, 0, NULL, NULL), 0);
	/* Attributes. */
	for (uint32_t fid = 10; fid < 12; fid++) {
		assert_int_equal(p9_walk(d->c, 1, fid, ""), 0);
		put32(p9_begin(d->c, P9_TXATTRCREATE), fid);
		p9_text(d->c, "user.x");
		put64(&d->c->t, fid == 10 ? UINT64_C(1) << 63 : 65537);
		put32(&d->c->t, 0);
		assert_int_equal(p9_call(d->c, 0), E2BIG);
	}
	put32(p9_begin(d->c, P9_TXATTRCREATE), 10);
	p9_text(d->c, "user.x");
	put64(&d->c->t, 10);
	put32(&d->c->t, 0);
	assert_int_equal(p9_call(d->c, 0), 0);
	assert_int_equal(p9_write(d->c, 10, 5, "123456", 6), -ENOSPC);
	assert_int_equal(p9_write(d->c, 10, UINT64_MAX, "1", 1), -ENOSPC);
	assert_int_equal(p9_write(d->c, 10, 0, "12345", 5), 5);
	assert_int_equal(p9_read(d->c, 10, 0, buf, 5), -EBADF);
	assert_int_equal(p9_clunk(d->c, 10), EINVAL);
	assert_int_equal(p9_read(d->c, 2, 0, buf, 10), -EISDIR);
	shared_dir_free(d);
}

static void floods_end_at_a_limit(void **state)
{
	struct shared_dir *d = shared_dir_new(&(struct hull_share_options){ .max_fds = 40 });
	struct hull_share_use use;
	uint32_t n = 0;
	int r;

	put_file(d, "in/f", "");
	do {
		r = p9_walk(d->c, 0, 100 + n, "f");
		n += !r;
	} while (!r);
	assert_int_equal(r, EMFILE);
	assert_int_equal(n, 39);
	assert_int_equal(p9_open(d->c, 100, 0), EMFILE);
	assert_int_equal(p9_create(d->c, 0, "g", L_RDWR, 0600), EMFILE);
	assert_int_equal(p9_clunk(d->c, 138), 0);
	assert_int_equal(p9_open(d->c, 100, 0), 0);
	/* Clones cost no descriptor; their number has an end, too. */
	for (n = 0; !(r = p9_walk(d->c, 0, 1000 + n, "")); n++)
		;
	assert_int_equal(r, ENFILE);
	assert_true(n > 50000);
	/* Attributes: a megabyte at a time. */
	for (n = 0; n < 100; n++) {
		put32(p9_begin(d->c, P9_TXATTRCREATE), 1000 + n);
		p9_text(d->c, "user.x");
		put64(&d->c->t, 65536);
		put32(&d->c->t, 0);
		r = p9_call(d->c, 0);
		if (r)
			break;
	}
	assert_int_equal(r, ENOMEM);
	assert_int_equal(n, 16);
	assert_int_equal(p9_version(d->c, 8192), 0);
	hull_share_usage(d->share, &use);
	assert_int_equal(use.fids + use.xattr_bytes, 0);
	assert_int_equal(use.fds, 1);
	shared_dir_free(d);
}

/* Four clients use the same few fids for everything at once. */
struct vandal {
	struct shared_dir *d;
	uint64_t seed, end;
};

static void vandalize(struct p9 *c, struct hull_prng *p)
{
	static const char *const names[] = { "a", "b", "a/b", "b/a", "a/a", "" };
	uint64_t r = hull_prng_next(p);
	uint32_t f = r & 7, g = r >> 3 & 7;
	const char *name = names[(r >> 8) % 6], *leaf = names[r >> 16 & 1];
	struct p9_attr attr;
	char buf[64];
	uint64_t at = 0;

	switch (r >> 24 & 15) {
	case 0: p9_walk(c, f, g, name); break;
	case 1: p9_walk(c, 0, g, name); break;
	case 2: p9_open(c, f, (uint32_t)(r >> 40 & 3)); break;
	case 3: p9_create(c, f, leaf, L_RDWR, 0600); break;
	case 4: p9_read(c, f, 0, buf, sizeof(buf)); break;
	case 5: p9_write(c, f, r >> 50, "vandal", 6); break;
	case 6: p9_clunk(c, f ? f : 1); break;
	case 7: p9_getattr(c, f, &attr); break;
	case 8: p9_mkdir(c, f, leaf, 0700); break;
	case 9: p9_renameat(c, f, leaf, g, names[r >> 17 & 1]); break;
	case 10: p9_unlinkat(c, f, leaf, r >> 9 & 0x200); break;
	case 11: p9_remove(c, f ? f : 1); break;
	case 12: p9_rename(c, f, g, leaf); break;
	case 13: p9_link(c, f, g, leaf); break;
	case 14: p9_readdir(c, f, &at, 4096, NULL, NULL); break;
	default: p9_lock(c, f, r >> 33 & 1, 0, 5); break;
	}
}

static void *vandal(void *arg)
{
	struct vandal *v = arg;
	struct p9 *c = p9_new(v->d->share);
	struct hull_prng prng;

	hull_prng_seed(&prng, v->seed);
	while (now_ms() < v->end)
		vandalize(c, &prng);
	p9_free(c);
	return NULL;
}

static void fids_used_from_all_sides(void **state)
{
	struct shared_dir *d = shared_dir_new(NULL);
	struct vandal v[4];
	pthread_t thread[4];

	for (unsigned i = 0; i < 4; i++) {
		v[i] = (struct vandal){ d, i, now_ms() + RACE_MS };
		assert_int_equal(pthread_create(&thread[i], NULL, vandal, &v[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_outside_untouched(d);
	shared_dir_free(d);
}

/* Many requests at once, each flushed: every flush is answered, after its request if that is. */
static void flushes_race_with_answers(void **state)
{
	enum { N = 40, ROUNDS = 30 };
	struct shared_dir *d = shared_dir_new(NULL);
	struct p9 *ask[N], *flush[N];
	unsigned cancelled = 0;

	for (unsigned i = 0; i < N; i++) {
		ask[i] = p9_new(d->share);
		flush[i] = p9_new(d->share);
	}
	assert_int_equal(p9_walk(d->c, 0, 1, ""), 0);
	assert_int_equal(p9_create(d->c, 1, "f", L_RDWR, 0600), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < N; i++) {
			put32(p9_begin(ask[i], P9_TFSYNC), 1);
			store_le16(ask[i]->msg + 5, (uint16_t)i);
			p9_send(ask[i], 0);
		}
		for (unsigned i = N; i-- > 0;) {
			put16(p9_begin(flush[i], P9_TFLUSH), (uint16_t)i);
			store_le16(flush[i]->msg + 5, (uint16_t)(1000 + i));
			p9_send(flush[i], 0);
		}
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(p9_wait(flush[i]), 0);
			/* The device heard of the request before. */
			assert_true(ask[i]->answered);
			cancelled += p9_wait(ask[i]) < 0;
		}
	}
	assert_true(cancelled > 0);
	for (unsigned i = 0; i < N; i++) {
		p9_free(ask[i]);
		p9_free(flush[i]);
	}
	shared_dir_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_no_names),
		cmocka_unit_test(links_are_not_followed),
		cmocka_unit_test(what_was_moved_out_is_out),
		cmocka_unit_test(other_mounts_are_not_entered),
		cmocka_unit_test(races_with_links),
		cmocka_unit_test(races_with_files),
		cmocka_unit_test(device_nodes_and_pipes_stay_closed),
		cmocka_unit_test(malformed_messages),
		cmocka_unit_test(sizes_that_lie),
		cmocka_unit_test(floods_end_at_a_limit),
		cmocka_unit_test(fids_used_from_all_sides),
		cmocka_unit_test(flushes_race_with_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
