/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* qcow2 images on a file in memory: random use, crashes, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "host/block/qcow2.h"
#include "support/disk_oracle.h"
#include "support/memfile.h"

extern const struct hull_image_format hull_image_format_qcow2;

#define KB UINT64_C(1024)
#define MB (1024 * KB)

static int open_on(struct memfile *f, bool read_only, bool check, struct hull_image **ret,
                   struct hull_err *err)
{
	struct hull_image_options o = { .path = "memory",
		                        .read_only = read_only,
		                        .for_check = check };
	int rc = hull_image_format_qcow2.open(&o, &f->img, ret, err);

	if (rc)
		return rc;
	(*ret)->format = &hull_image_format_qcow2;
	(*ret)->file = &f->img;
	(*ret)->refs = 1;
	(*ret)->path = strdup("memory");
	return 0;
}

static struct memfile *fresh(const struct hull_image_create *c)
{
	struct memfile *f = memfile_new(NULL, 0);
	struct hull_err err = { 0 };

	assert_non_null(f);
	if (hull_q2_format(c, c->size, &f->img, &err))
		fail_msg("format: %s", err.text);
	return f;
}

static void problem(void *arg, const char *text)
{
	unsigned *n = arg;

	if ((*n)++ < 8)
		print_message("check: %s\n", text);
}

/* No damage, and leaks only if they are allowed. */
static void check_clean(struct hull_image *img, bool leaks)
{
	unsigned n = 0;
	struct hull_image_check r = { .report = problem, .arg = &n };
	struct hull_err err = { 0 };

	if (img->format->check(img, false, false, &r, &err))
		fail_msg("check: %s", err.text);
	if (r.corruptions || (r.leaks && !leaks))
		fail_msg("%llu corruptions, %llu leaks", (unsigned long long)r.corruptions,
		         (unsigned long long)r.leaks);
}

/* Keep the file, close the image, open it again. */
static struct hull_image *again(struct hull_image *img)
{
	struct memfile *f = (struct memfile *)hull_image_ref(img->file);
	struct hull_err err = { 0 };
	struct hull_image *ret;

	hull_image_unref(img);
	if (open_on(f, false, false, &ret, &err))
		fail_msg("open: %s", err.text);
	return ret;
}

static void random_use(const struct hull_image_create *c, uint64_t seed, unsigned steps)
{
	struct hull_err err = { 0 };
	struct hull_image *img;
	struct oracle o;

	if (open_on(fresh(c), false, false, &img, &err))
		fail_msg("open: %s", err.text);
	assert_true(oracle_init(&o, img, c->size + 3 * MB, seed));
	for (unsigned i = 0; i < steps; i++) {
		if (!oracle_step(&o, img))
			fail_msg("seed %u step %u: %s", (unsigned)seed, i, o.problem);
		if (i % 64 == 63) {
			check_clean(img, false);
			if (!oracle_verify(&o, img))
				fail_msg("seed %u step %u: %s", (unsigned)seed, i, o.problem);
		}
		if (i % 100 == 99)
			img = again(img);
	}
	img = again(img);
	check_clean(img, false);
	if (!oracle_verify(&o, img))
		fail_msg("%s", o.problem);
	oracle_fini(&o);
	hull_image_unref(img);
}

static void test_random(void **state)
{
	static const struct hull_image_create kinds[] = {
		{ .size = 8 * MB },
		{ .size = 4 * MB + 512, .cluster_bytes = 512 },
		{ .size = 4 * MB, .cluster_bytes = 4096, .refcount_bits = 4 },
		{ .size = 4 * MB, .cluster_bytes = 1024, .refcount_bits = 1 },
		{ .size = 4 * MB, .cluster_bytes = 512, .refcount_bits = 64 },
		{ .size = 8 * MB, .cluster_bytes = 2 << 20 },
		{ .size = 8 * MB, .extended_l2 = true },
		{ .size = 5 * MB, .extended_l2 = true, .cluster_bytes = 16384 },
		{ .size = 6 * MB, .lazy_refcounts = true },
		{ .size = 6 * MB, .version = 2 },
#ifdef HULL_HAVE_ZSTD
		{ .size = 6 * MB, .compression = "zstd", .refcount_bits = 8 },
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct hull_image_create c = kinds[i];

		c.path = "memory";
		random_use(&c, 100 + i, 300);
	}
}

/* One run that stops after `stop` writes; then the disk must hold what was flushed. */
static void crash_once(const struct hull_image_create *c, uint64_t seed, uint64_t stop)
{
	struct memfile *f = fresh(c), *after;
	uint8_t *flushed, *now;
	struct hull_err err = { 0 };
	struct hull_image *img;
	struct hull_prng rng;
	uint64_t bytes = c->size, dirty_from = 0;
	int rc = 0;

	hull_prng_seed(&rng, seed);
	f->journal = true;
	f->stable = malloc(f->img.size);
	memcpy(f->stable, f->data, f->img.size);
	f->stable_size = f->stable_room = f->img.size;
	f->stop_after = stop;
	assert_int_equal(open_on(f, false, false, &img, &err), 0);
	/* A sector holds the number of the round that wrote it, any later one may be there, too. */
	flushed = calloc(1, bytes / 512);
	now = calloc(1, bytes / 512);
	for (unsigned round = 1; !rc && round < 200; round++) {
		uint64_t n = 1 + hull_prng_below(&rng, 300);
		uint64_t at = hull_prng_below(&rng, bytes / 512 - n);
		uint8_t *buf = malloc(n * 512);

		memset(buf, (int)round, n * 512);
		rc = hull_image_write(img, at * 512, buf, n * 512);
		free(buf);
		/* What failed may be there or not. */
		memset(now + at, (int)round, n);
		if (!rc && !hull_prng_below(&rng, 12)) {
			struct hull_image_snapshot s = { 0 };

			snprintf(s.name, sizeof(s.name), "r%u", round);
			rc = img->format->snapshot_create(img, &s, &err);
		}
		if (!rc && !hull_prng_below(&rng, 6)) {
			rc = hull_image_flush(img);
			if (!rc)
				memcpy(flushed, now, bytes / 512);
		}
	}
	after = memfile_crashed(f, seed % 3 ? seed : 0);
	assert_non_null(after);
	hull_image_unref(img);
	if (open_on(after, true, true, &img, &err))
		fail_msg("after a crash at write %llu: %s", (unsigned long long)stop, err.text);
	/* A snapshot under way leaves the dirty bit, and then refcounts may be wrong. */
	if (!(hull_q2_of(img)->incompatible & Q2_DIRTY))
		check_clean(img, true);
	hull_image_ref(&after->img);
	hull_image_unref(img);
	if (open_on(after, false, false, &img, &err))
		fail_msg("after a crash at write %llu: %s", (unsigned long long)stop, err.text);
	check_clean(img, true);
	for (uint64_t i = dirty_from; i < bytes / 512; i++) {
		uint8_t sector[512];

		assert_int_equal(hull_image_read(img, i * 512, sector, 512), 0);
		if (sector[0] == flushed[i] || (sector[0] > flushed[i] && sector[0] <= now[i]))
			continue;
		fail_msg("seed %llu, crash at write %llu: sector %llu holds %u, not %u to %u",
		         (unsigned long long)seed, (unsigned long long)stop, (unsigned long long)i,
		         sector[0], flushed[i], now[i]);
	}
	free(flushed);
	free(now);
	hull_image_unref(img);
}

static void test_crash(void **state)
{
	static const struct hull_image_create kinds[] = {
		{ .path = "memory", .size = 4 * MB },
		{ .path = "memory", .size = 2 * MB, .cluster_bytes = 512 },
		{ .path = "memory", .size = 4 * MB, .lazy_refcounts = true },
		{ .path = "memory", .size = 4 * MB, .extended_l2 = true },
	};
	struct hull_prng rng;

	hull_prng_seed(&rng, 7);
	for (unsigned i = 0; i < 60; i++)
		crash_once(&kinds[i % 4], i + 1,
		           1 + hull_prng_below(&rng, i % 4 == 1 ? 3000 : 600));
}

/* Threads that write, each its own blocks, which share clusters with those of the others. */
struct worker {
	struct hull_image *img;
	uint64_t size;
	unsigned id, rounds;
	uint8_t *mem;
	int rc;
};

enum { THREADS = 4, BLOCK = 2048 };

static int work_once(struct worker *w, struct hull_prng *rng)
{
	uint64_t nblocks = w->size / BLOCK / THREADS;
	uint64_t off = (hull_prng_below(rng, nblocks) * THREADS + w->id) * BLOCK;
	uint64_t choice = hull_prng_below(rng, 16), big = 64 * KB;
	uint8_t buf[BLOCK];
	int rc;

	if (choice < 8) {
		hull_prng_fill(rng, w->mem + off, BLOCK);
		return hull_image_write(w->img, off, w->mem + off, BLOCK);
	}
	if (choice < 10) {
		memset(w->mem + off, 0, BLOCK);
		return hull_image_write_zeroes(w->img, off, BLOCK, choice & 1, false);
	}
	if (choice == 10)
		return hull_image_flush(w->img);
	/* The upper half of the disk is discarded by whole clusters: nobody knows what it holds. */
	if (choice == 11)
		return hull_image_discard(
			w->img, w->size + align_down(hull_prng_below(rng, MB), big) - MB, big);
	rc = hull_image_read(w->img, off, buf, BLOCK);
	if (!rc && off < w->size - MB && memcmp(buf, w->mem + off, BLOCK))
		return HULL_EFAULT;
	return rc;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct hull_prng rng;

	hull_prng_seed(&rng, w->id + 1);
	for (unsigned i = 0; !w->rc && i < w->rounds; i++)
		w->rc = work_once(w, &rng);
	return NULL;
}

static void threads_on(const struct hull_image_create *c)
{
	struct worker w[THREADS];
	pthread_t t[THREADS];
	struct hull_err err = { 0 };
	struct hull_image *img;
	uint8_t *buf = malloc(c->size);

	assert_int_equal(open_on(fresh(c), false, false, &img, &err), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ img, c->size, i, 1500, calloc(1, c->size), 0 };
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	/* Beside them the disk grows and shrinks behind what they use. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(hull_image_resize(img, c->size + (i + 1) % 4 * MB, &err), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].rc, 0);
	}
	img = again(img);
	check_clean(img, false);
	assert_int_equal(img->size, c->size);
	assert_int_equal(hull_image_read(img, 0, buf, img->size), 0);
	for (uint64_t off = 0; off < img->size - MB; off += BLOCK)
		assert_memory_equal(buf + off, w[off / BLOCK % THREADS].mem + off, BLOCK);
	for (unsigned i = 0; i < THREADS; i++)
		free(w[i].mem);
	free(buf);
	hull_image_unref(img);
}

static void test_threads(void **state)
{
	static const struct hull_image_create kinds[] = {
		{ .path = "memory", .size = 3 * MB },
		{ .path = "memory", .size = 2 * MB, .cluster_bytes = 4096, .lazy_refcounts = true },
		{ .path = "memory", .size = 4 * MB, .extended_l2 = true, .cluster_bytes = 65536 },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		threads_on(&kinds[i]);
}

/* An entry that names metadata: the write is refused, and every later one, and it is noted. */
static void test_damage(void **state)
{
	const struct hull_image_create c = { .path = "memory", .size = MB };
	struct memfile *f = fresh(&c);
	struct hull_err err = { 0 };
	struct hull_image *img;
	uint8_t buf[4096] = { 1 }, before[65536];
	uint64_t l1, l2;

	assert_int_equal(open_on(f, false, false, &img, &err), 0);
	assert_int_equal(hull_image_write(img, 0, buf, sizeof(buf)), 0);
	img = again(img);
	l1 = hull_q2_of(img)->l1_at;
	l2 = hull_q2_of(img)->l1[0] & Q2_AT;
	hull_image_ref(&f->img);
	hull_image_unref(img);
	store_be64(f->data + l2 + 8, l1 | Q2_COPIED);
	memcpy(before, f->data + l1, sizeof(before));
	assert_int_equal(open_on(f, false, false, &img, &err), 0);
	assert_int_equal(hull_image_write(img, 65536, buf, sizeof(buf)), HULL_EFORMAT);
	assert_int_equal(hull_image_write(img, 0, buf, sizeof(buf)), HULL_EFORMAT);
	assert_int_equal(hull_image_read(img, 0, buf, sizeof(buf)), 0);
	hull_image_ref(&f->img);
	hull_image_unref(img);
	assert_memory_equal(before, f->data + l1, sizeof(before));
	assert_int_equal(open_on(f, false, false, &img, &err), HULL_EFORMAT);
	assert_int_equal(err.id, 324);
	/* Repair makes it usable: both keep what they named, the guest's is copied when written. */
	assert_int_equal(open_on(f, false, true, &img, &err), 0);
	struct hull_image_check r = { 0 };

	assert_int_equal(img->format->check(img, true, true, &r, &err), 0);
	assert_int_equal(r.corruptions, 0);
	img = again(img);
	assert_int_equal(hull_image_write(img, 65536, buf, sizeof(buf)), 0);
	hull_image_unref(img);
}

/* What is given out directly is not used again before it is given back. */
static void test_direct(void **state)
{
	const struct hull_image_create c = { .path = "memory", .size = 4 * MB };
	struct hull_image_direct d = { 0 };
	struct hull_err err = { 0 };
	struct hull_image *img;
	uint8_t buf[4096] = { 7 };

	for (unsigned kind = 1; kind <= 2; kind++) {
		struct memfile *f = fresh(&c);
		uint64_t at;

		f->give_direct = kind;
		assert_int_equal(open_on(f, false, false, &img, &err), 0);
		assert_int_equal(img->format->direct(img, false, 0, 4096, &d), 0);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(hull_image_write(img, i * 65536, buf, 4096), 0);
		assert_int_equal(img->format->direct(img, true, 65536, 4096, &d), 1);
		at = d.at;
		assert_int_equal(hull_image_discard(img, 65536, 65536), 0);
		for (unsigned i = 4; i < 20; i++) {
			assert_int_equal(hull_image_flush(img), 0);
			assert_int_equal(hull_image_write(img, i * 65536, buf, 4096), 0);
		}
		for (unsigned i = 4; i < 20; i++) {
			struct hull_image_extent e;

			assert_int_equal(hull_image_map(img, i * 65536, 512, &e), 0);
			assert_int_not_equal(e.at, at);
		}
		img->format->direct_end(img, &d, 0);
		assert_int_equal(f->direct_ended, 1);
		/* Now it is free. */
		assert_int_equal(hull_image_flush(img), 0);
		assert_int_equal(hull_image_write(img, 20 * 65536, buf, 4096), 0);
		assert_int_equal(img->format->direct(img, false, 20 * 65536, 4096, &d), 1);
		assert_int_equal(d.at, at);
		img->format->direct_end(img, &d, 0);
		check_clean(img, false);
		hull_image_unref(img);
	}
}

/* A file that is full: errors, no damage, and what was written before stays. */
static void test_full(void **state)
{
	const struct hull_image_create c = { .path = "memory", .size = 8 * MB };
	struct memfile *f = fresh(&c);
	struct hull_err err = { 0 };
	struct hull_image *img;
	uint8_t *buf = calloc(1, MB);
	int rc = 0;

	f->max = 4 * MB;
	memset(buf, 3, MB);
	assert_int_equal(open_on(f, false, false, &img, &err), 0);
	assert_int_equal(hull_image_write(img, 0, buf, MB), 0);
	for (unsigned i = 1; i < 8 && !rc; i++)
		rc = hull_image_write(img, i * MB, buf, MB);
	assert_int_equal(rc, HULL_ENOSPC);
	assert_int_equal(hull_image_flush(img), 0);
	f->max = 64 * MB;
	assert_int_equal(hull_image_write(img, 7 * MB, buf, MB), 0);
	img = again(img);
	check_clean(img, false);
	assert_int_equal(hull_image_read(img, 0, buf, MB), 0);
	assert_int_equal(buf[MB - 1], 3);
	free(buf);
	hull_image_unref(img);
}

/* A file whose next flush meets another thread that must make room for tables, and cannot. */
static struct hull_q2 *crowded;

static int flush_in_a_crowd(struct hull_image *img)
{
	struct memfile *f = (struct memfile *)img;
	struct hull_q2 *q = crowded;
	int rc = f->img.format->flush == flush_in_a_crowd ? 0 : HULL_EIO;

	crowded = NULL;
	if (q) {
		f->stop_after = f->writes;
		pthread_rwlock_wrlock(&q->lock);
		rc = hull_q2_write_l2(q) ? 0 : HULL_ESTATE;
		pthread_rwlock_unlock(&q->lock);
		f->stop_after = 0;
	}
	return rc;
}

/* A flush that has begun does its work though others write the tables, or fail to. */
static void test_flush_in_a_crowd(void **state)
{
	const struct hull_image_create c = { .path = "memory", .size = 4 * MB };
	struct hull_image_format format;
	struct memfile *f = fresh(&c), *left;
	struct hull_image *img, *after;
	uint8_t buf[4096], back[4096];
	struct hull_err err = { 0 };

	(void)state;
	memset(buf, 9, sizeof(buf));
	assert_int_equal(open_on(f, false, false, &img, &err), 0);
	assert_int_equal(hull_image_write(img, 0, buf, sizeof(buf)), 0);
	format = *f->img.format;
	format.flush = flush_in_a_crowd;
	f->img.format = &format;
	crowded = hull_q2_of(img);
	assert_int_equal(hull_image_flush(img), 0);
	assert_null(crowded);
	left = memfile_new(f->data, f->img.size);
	assert_int_equal(open_on(left, false, false, &after, &err), 0);
	assert_int_equal(hull_image_read(after, 0, back, sizeof(back)), 0);
	assert_memory_equal(back, buf, sizeof(buf));
	check_clean(after, true);
	hull_image_unref(after);
	hull_image_unref(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),           cmocka_unit_test(test_crash),
		cmocka_unit_test(test_threads),          cmocka_unit_test(test_damage),
		cmocka_unit_test(test_direct),           cmocka_unit_test(test_full),
		cmocka_unit_test(test_flush_in_a_crowd),
	};

	return cmocka_run_group_tests_name("qcow2", tests, NULL, NULL);
}
