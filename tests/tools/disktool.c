/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Disk images for the tests: reads commands from stdin, one per line, and does
 * them through host/block/image.h.  The first failure ends it: exit code 1, the
 * reason on stdout.  `expect-fail` in front of a command turns that round.
 *
 *   create PATH FORMAT SIZE [KEY=VALUE...]     open PATH FORMAT [ro] [check] [trusted] [unsafe]
 *   write OFF LEN SEED   zero OFF LEN [unmap]   discard OFF LEN   pack OFF LEN SEED
 *   flush   close   dump PATH   info   map   empty   resize SIZE   backing PATH FORMAT
 *   snapshot|apply|delete NAME   check [leaks|all]   random SEED STEPS MAX [DUMP]
 *   bench r|w THREADS SECONDS BYTES             die
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/prng.h"
#include "base/text.h"
#include "host/block/image.h"
#include "support/disk_oracle.h"

enum { WORDS = 16, CHUNK = 1 << 20 };

static struct hull_image *img;

static int said(struct hull_err *err, const char *what, int rc)
{
	if (rc && err && err->text[0])
		printf("%s: %s\n", what, err->text);
	else if (rc)
		printf("%s: %s\n", what, hull_error_text(rc));
	return rc;
}

static uint64_t number(const char *text)
{
	uint64_t v = 0;

	if (!text || !hull_parse_size(text, &v)) {
		printf("not a number: %s\n", text ? text : "nothing");
		exit(2);
	}
	return v;
}

static bool has(char **w, int n, const char *word)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(w[i], word))
			return true;
	return false;
}

static const char *value(char **w, int n, const char *key)
{
	size_t len = strlen(key);

	for (int i = 0; i < n; i++)
		if (!strncmp(w[i], key, len) && w[i][len] == '=')
			return w[i] + len + 1;
	return NULL;
}

static uint64_t option(char **w, int n, const char *key)
{
	const char *v = value(w, n, key);

	return v ? number(v) : 0;
}

static int create(char **w, int n)
{
	struct hull_image_create c = {
		.path = w[1],
		.size = number(w[3]),
		.overwrite = true,
		.backing = value(w, n, "backing"),
		.backing_format = value(w, n, "backing_format"),
		.compression = value(w, n, "compression"),
		.cluster_bytes = (uint32_t)option(w, n, "cluster"),
		.version = (unsigned)option(w, n, "version"),
		.refcount_bits = (unsigned)option(w, n, "refcount_bits"),
		.lazy_refcounts = option(w, n, "lazy"),
		.extended_l2 = option(w, n, "extended"),
		.prealloc = option(w, n, "prealloc"),
	};
	struct hull_err err = { 0 };

	return said(&err, "create", hull_image_make(w[2], &c, &err));
}

static int open_image(char **w, int n)
{
	struct hull_image_options o = { .path = w[1],
		                        .format = w[2],
		                        .read_only = has(w, n, "ro"),
		                        .for_check = has(w, n, "check"),
		                        .trusted = has(w, n, "trusted"),
		                        .no_flush = has(w, n, "unsafe") };
	struct hull_err err = { 0 };

	hull_image_unref(img);
	img = NULL;
	return said(&err, "open", hull_image_open(&o, &img, &err));
}

static int transfer(char **w, bool pack)
{
	uint64_t off = number(w[1]), len = number(w[2]);
	uint8_t *buf = malloc(len);
	struct hull_prng rng;
	int rc;

	if (!buf || len > PTRDIFF_MAX) {
		free(buf);
		return said(NULL, w[0], HULL_ENOMEM);
	}
	hull_prng_seed(&rng, number(w[3]));
	hull_prng_fill(&rng, buf, len);
	/* So that it can be packed. */
	for (uint64_t i = 0; pack && i < len; i++)
		buf[i] = (uint8_t)(buf[0] + i / 64);
	rc = pack ? img->format->write_compressed(img, off, buf, len)
	          : hull_image_write(img, off, buf, len);
	free(buf);
	return said(NULL, w[0], rc);
}

static int dump(const char *path)
{
	FILE *f = fopen(path, "wb");
	uint8_t *buf = malloc(CHUNK);
	int rc = f && buf ? 0 : HULL_EIO;

	for (uint64_t off = 0; !rc && off < img->size; off += CHUNK) {
		uint64_t take = MIN(img->size - off, (uint64_t)CHUNK);

		rc = hull_image_read(img, off, buf, take);
		if (!rc && fwrite(buf, 1, take, f) != take)
			rc = HULL_EIO;
	}
	free(buf);
	if (f)
		fclose(f);
	return said(NULL, "dump", rc);
}

static void problem(void *arg, const char *text)
{
	printf("  %s\n", text);
}

static int check(char **w, int n)
{
	struct hull_image_check r = { .report = problem };
	struct hull_err err = { 0 };
	int rc = img->format->check(img, has(w, n, "leaks"), has(w, n, "all"), &r, &err);

	if (rc)
		return said(&err, "check", rc);
	printf("corruptions=%" PRIu64 " leaks=%" PRIu64 " fixed=%" PRIu64 "/%" PRIu64
	       " allocated=%" PRIu64 " compressed=%" PRIu64 "\n",
	       r.corruptions, r.leaks, r.corruptions_fixed, r.leaks_fixed, r.allocated,
	       r.compressed);
	return 0;
}

static int info(void)
{
	struct hull_image_info i;
	struct hull_image_snapshot s;
	int rc = hull_image_get_info(img, &i, NULL);

	printf("size=%" PRIu64 " cluster=%u version=%u dirty=%d corrupt=%d lazy=%d extended=%d "
	       "compression=%s refcount_bits=%u snapshots=%u bitmaps=%u backing=%s\n",
	       i.size, i.cluster_bytes, i.version, i.dirty, i.corrupt, i.lazy_refcounts,
	       i.extended_l2, i.compression, i.refcount_bits, i.nsnapshots, i.nbitmaps, i.backing);
	for (unsigned k = 0; !rc && k < i.nsnapshots; k++)
		if (!img->format->snapshot_at(img, k, &s))
			printf("snapshot %s %s %" PRIu64 "\n", s.id, s.name, s.size);
	return rc;
}

static int map(void)
{
	struct hull_image_extent e;
	int rc = 0;

	for (uint64_t off = 0; !rc && off < img->size; off += e.len) {
		rc = hull_image_map(img, off, img->size - off, &e);
		if (!rc)
			printf("%" PRIu64 " %" PRIu64 " %u %u\n", e.offset, e.len, e.flags,
			       e.depth);
	}
	return said(NULL, "map", rc);
}

/* Random operations; the result is also written to a raw file. */
static int random_use(char **w, int n)
{
	const char *path = n > 4 ? w[4] : NULL;
	uint64_t steps = number(w[2]);
	struct oracle o;
	bool ok = oracle_init(&o, img, number(w[3]), number(w[1]));

	for (uint64_t i = 0; ok && i < steps; i++) {
		ok = oracle_step(&o, img);
		if (ok && i % 256 == 255)
			ok = oracle_verify(&o, img);
	}
	ok = ok && oracle_verify(&o, img);
	if (ok && path) {
		FILE *f = fopen(path, "wb");

		ok = f && fwrite(o.mem, 1, o.size, f) == o.size;
		if (f)
			fclose(f);
	}
	if (!ok)
		printf("random: %s\n", o.problem);
	oracle_fini(&o);
	return ok ? 0 : HULL_EIO;
}

struct bench {
	bool write;
	uint64_t seed, bytes, done;
	const volatile bool *stop;
};

static void *bench_thread(void *arg)
{
	struct bench *b = arg;
	uint8_t *buf = aligned_alloc(4096, align_up(b->bytes, 4096));
	struct hull_prng rng;

	hull_prng_seed(&rng, b->seed);
	memset(buf, 1, b->bytes);
	while (!*b->stop) {
		uint64_t off = hull_prng_below(&rng, img->size / b->bytes) * b->bytes;
		struct iovec v = { buf, b->bytes };
		int rc;

		if (b->write)
			rc = hull_image_write(img, off, buf, b->bytes);
		else if (img->format->read_now && img->format->read_now(img, off, &v, 1, b->bytes))
			rc = 0;
		else
			rc = hull_image_read(img, off, buf, b->bytes);
		if (rc)
			break;
		b->done++;
	}
	free(buf);
	return NULL;
}

/* Random requests, synchronous, from as many threads as the queue is deep. */
static int bench(char **w)
{
	unsigned threads = (unsigned)MIN(number(w[2]), UINT64_C(64));
	volatile bool stop = false;
	struct bench b[64];
	pthread_t t[64];
	double seconds = (double)number(w[3]);
	uint64_t total = 0;

	for (unsigned i = 0; i < threads; i++) {
		b[i] = (struct bench){ w[1][0] == 'w', i + 1, number(w[4]), 0, &stop };
		pthread_create(&t[i], NULL, bench_thread, &b[i]);
	}
	usleep((useconds_t)(seconds * 1e6));
	stop = true;
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(t[i], NULL);
		total += b[i].done;
	}
	printf("%.0f requests/s\n", (double)total / seconds);
	return 0;
}

static int command(char **w, int n)
{
	struct hull_err err = { 0 };
	struct hull_image_snapshot s = { .date_ns = INT64_C(1700000000123456789) };
	const char *c = w[0];

	if (!strcmp(c, "create") && n > 3)
		return create(w, n);
	if (!strcmp(c, "open") && n > 2)
		return open_image(w, n);
	if (!img) {
		printf("no image is open\n");
		return HULL_EINVAL;
	}
	if (!strcmp(c, "close")) {
		hull_image_unref(img);
		img = NULL;
		return 0;
	}
	if (!strcmp(c, "write") || !strcmp(c, "pack"))
		return transfer(w, c[0] == 'p');
	if (!strcmp(c, "zero"))
		return said(NULL, c,
		            hull_image_write_zeroes(img, number(w[1]), number(w[2]),
		                                    has(w, n, "unmap"), false));
	if (!strcmp(c, "discard"))
		return said(NULL, c, hull_image_discard(img, number(w[1]), number(w[2])));
	if (!strcmp(c, "flush"))
		return said(NULL, c, hull_image_flush(img));
	if (!strcmp(c, "dump"))
		return dump(w[1]);
	if (!strcmp(c, "info"))
		return info();
	if (!strcmp(c, "map"))
		return map();
	if (!strcmp(c, "empty"))
		return said(&err, c, img->format->make_empty(img, &err));
	if (!strcmp(c, "resize"))
		return said(&err, c, hull_image_resize(img, number(w[1]), &err));
	if (!strcmp(c, "backing"))
		return said(&err, c,
		            img->format->set_backing(img, n > 1 ? w[1] : NULL, n > 2 ? w[2] : NULL,
		                                     &err));
	if (!strcmp(c, "snapshot")) {
		hull_format(s.name, sizeof(s.name), "%s", w[1]);
		return said(&err, c, img->format->snapshot_create(img, &s, &err));
	}
	if (!strcmp(c, "apply"))
		return said(&err, c, img->format->snapshot_apply(img, w[1], &err));
	if (!strcmp(c, "delete"))
		return said(&err, c, img->format->snapshot_delete(img, w[1], &err));
	if (!strcmp(c, "check"))
		return check(w, n);
	if (!strcmp(c, "random"))
		return random_use(w, n);
	if (!strcmp(c, "bench"))
		return bench(w);
	if (!strcmp(c, "die"))
		raise(SIGKILL);
	printf("unknown command %s\n", c);
	return HULL_EINVAL;
}

int main(void)
{
	char line[4096];
	int rc = 0;

	while (!rc && fgets(line, sizeof(line), stdin)) {
		char *words[WORDS + 1] = { 0 }, *save = NULL;
		bool turned;
		int n = 0;

		for (char *p = strtok_r(line, " \n", &save); p && n < WORDS;
		     p = strtok_r(NULL, " \n", &save))
			words[n++] = p;
		if (!n)
			continue;
		turned = !strcmp(words[0], "expect-fail");
		rc = command(words + turned, n - turned);
		if (turned)
			rc = !rc;
		fflush(stdout);
	}
	hull_image_unref(img);
	return rc ? 1 : 0;
}
