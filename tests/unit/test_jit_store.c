/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Generated code that is kept in files: found again, merged, bounded; damage and foreign files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "engine/jit/store_impl.h"

enum { UNITS = 20, LIMIT = 1 << 20 };

static char top[64], dir[80];
static const struct jit_store_key key = { .guest = "test", .features = 5, .smp = true };

struct made {
	struct jit_unit unit;
	struct jit_exit exits[3];
	struct jit_range ranges[2];
	uint8_t guest[64], code[200];
};

/* A unit that differs from all others; small ones have 2, 4 and 6 bytes of guest code. */
static const struct jit_unit *make(struct made *m, unsigned n)
{
	unsigned bytes = n % 4 ? 2 * (n % 4) : 40;

	memset(m, 0, sizeof(*m));
	for (unsigned i = 0; i < sizeof(m->guest); i++)
		m->guest[i] = (uint8_t)(n * 7 + i * 3 + 1);
	for (unsigned i = 0; i < sizeof(m->code); i++)
		m->code[i] = (uint8_t)(n * 31 + i);
	for (unsigned i = 0; i < 3; i++)
		m->exits[i] = (struct jit_exit){ i * 10, (uint16_t)(n + i), (uint16_t)i };
	m->ranges[0] = (struct jit_range){ 0, (uint16_t)(64 * n), (uint16_t)bytes };
	m->ranges[1] = (struct jit_range){ 1, 0, 20 };
	m->unit = (struct jit_unit){ .code = m->code,
		                     .code_bytes = 60 + n,
		                     .tier = 1,
		                     .exit_count = (uint8_t)(n % 4),
		                     .range_count = 1,
		                     .insns = (uint16_t)(n + 1),
		                     .offset = (uint16_t)(64 * n),
		                     .exits = m->exits,
		                     .ranges = m->ranges,
		                     .guest = m->guest };
	if (n == 8) { /* a region of two pages whose entry is not its first byte */
		m->unit.tier = 2;
		m->unit.range_count = 2;
		m->unit.offset += 10;
		m->unit.enter = 12;
	}
	return &m->unit;
}

static unsigned guest_bytes(const struct jit_unit *u)
{
	unsigned n = 0;

	for (unsigned i = 0; i < u->range_count; i++)
		n += u->ranges[i].bytes;
	return n;
}

static bool same(const struct jit_unit *a, const struct jit_unit *b)
{
	return a->code_bytes == b->code_bytes && a->tier == b->tier &&
	       a->exit_count == b->exit_count && a->range_count == b->range_count &&
	       a->insns == b->insns && a->offset == b->offset && a->enter == b->enter &&
	       !memcmp(a->exits, b->exits, a->exit_count * sizeof(*a->exits)) &&
	       !memcmp(a->ranges, b->ranges, a->range_count * sizeof(*a->ranges)) &&
	       !memcmp(a->guest, b->guest, guest_bytes(a)) &&
	       !memcmp(a->code, b->code, a->code_bytes);
}

/* Is unit n there?  Whatever is found must be right. */
static bool has(const struct jit_store *s, unsigned n, bool take)
{
	struct jit_store_search f;
	struct jit_unit found;
	struct made m;
	const struct jit_unit *u = make(&m, n);
	const uint8_t *first = u->guest + (u->offset - u->ranges[0].offset);

	jit_store_find(&f, u->offset, first, JIT_STORE_FIRST);
	while (jit_store_next(s, &f, &found)) {
		if (memcmp(found.guest, u->guest, guest_bytes(&found)))
			continue;
		if (take ? !jit_store_take(s, &f) : !store_sound(&s->image, f.entry))
			continue;
		assert_true(same(&found, u));
		return true;
	}
	return false;
}

static unsigned count(const struct jit_store *s, unsigned units)
{
	unsigned n = 0;

	for (unsigned i = 0; i < units; i++)
		n += has(s, i, false);
	return n;
}

static struct jit_store *reopen(void)
{
	struct hull_err err = { 0 };
	struct jit_store *s = NULL;

	assert_int_equal(jit_store_open(dir, &key, &s, &err), 0);
	assert_non_null(s);
	return s;
}

static void add(struct jit_store *s, unsigned from, unsigned to)
{
	struct made m;

	for (unsigned i = from; i < to; i++)
		assert_int_equal(jit_store_add(s, make(&m, i)), 0);
}

static void save(struct jit_store *s, uint64_t limit)
{
	struct hull_err err = { 0 };

	assert_int_equal(jit_store_save(s, limit, &err), 0);
	jit_store_close(s);
}

/* The one file in the directory. */
static const char *file(void)
{
	static char path[400];
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		hull_format(path, sizeof(path), "%s/%s", dir, e->d_name);
		n++;
	}
	closedir(d);
	assert_int_equal(n, 1);
	return path;
}

static size_t slurp(uint8_t **ret)
{
	FILE *f = fopen(file(), "rb");
	size_t size;

	*ret = malloc(LIMIT);
	assert_non_null(f);
	assert_non_null(*ret);
	size = fread(*ret, 1, LIMIT, f);
	fclose(f);
	return size;
}

static void put(const char *path, const uint8_t *data, size_t size)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

static int setup(void **state)
{
	hull_format(top, sizeof(top), "/tmp/test_jit_store.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	hull_format(dir, sizeof(dir), "%s/kept", top);
	return 0;
}

static int teardown(void **state)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
	return rmdir(top);
}

static void round_trip(void **state)
{
	struct jit_store_stats stats;
	struct jit_store *s = reopen();
	struct stat st;

	assert_null(jit_store_note(s));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(count(s, UNITS), 0);
	add(s, 0, UNITS);
	add(s, 0, UNITS); /* known already */
	jit_store_stats(s, &stats);
	assert_int_equal(stats.added, UNITS);
	save(s, LIMIT);
	assert_int_equal(stat(file(), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	s = reopen();
	assert_null(jit_store_note(s));
	assert_int_equal(count(s, UNITS), UNITS);
	assert_false(has(s, UNITS, false));
	assert_true(has(s, 3, true));
	jit_store_stats(s, &stats);
	assert_int_equal(stats.units, UNITS);
	assert_int_equal(stats.taken, 1);
	assert_int_equal(stats.damaged, 0);
	jit_store_close(s);
}

/* Other kinds of code have other files; without new code nothing is written. */
static void keys(void **state)
{
	struct jit_store_key other = key;
	struct hull_err err = { 0 };
	struct jit_store *s = reopen();

	add(s, 0, UNITS);
	save(s, LIMIT);
	for (unsigned i = 0; i < 3; i++) {
		other = key;
		other.features ^= i == 0;
		other.smp ^= i == 1;
		other.guest = i == 2 ? "tess" : key.guest;
		assert_int_equal(jit_store_open(dir, &other, &s, &err), 0);
		assert_null(jit_store_note(s));
		assert_int_equal(count(s, UNITS), 0);
		save(s, LIMIT);
		(void)file(); /* still one */
	}
}

static void merging(void **state)
{
	struct jit_store *a = reopen(), *b = reopen(), *c;

	add(a, 0, 10);
	add(b, 5, UNITS);
	save(a, LIMIT);
	save(b, LIMIT);
	c = reopen();
	assert_int_equal(count(c, UNITS), UNITS);
	jit_store_close(c);
}

/* What the last runs did not use goes first. */
static void bound(void **state)
{
	struct jit_store *s = reopen();
	struct stat st;

	add(s, 0, 40);
	save(s, LIMIT);
	assert_int_equal(stat(file(), &st), 0);
	s = reopen();
	for (unsigned i = 0; i < 10; i++)
		assert_true(has(s, i, true));
	add(s, 40, 50);
	save(s, (uint64_t)st.st_size);
	assert_int_equal(stat(file(), &st), 0);
	s = reopen();
	assert_null(jit_store_note(s));
	for (unsigned i = 0; i < 50; i++)
		if (i < 10 || i >= 40)
			assert_true(has(s, i, false));
	assert_true(count(s, 50) < 50);
	jit_store_close(s);
}

static void damage(void **state)
{
	struct jit_store *s = reopen();
	size_t size, noted = 0;
	uint8_t *data;
	char path[400];

	add(s, 0, UNITS);
	save(s, LIMIT);
	size = slurp(&data);
	hull_format(path, sizeof(path), "%s", file());
	for (size_t i = 0; i < size; i++) {
		unsigned found;

		data[i] ^= (uint8_t)(1 << i % 8);
		put(path, data, size);
		s = reopen();
		found = count(s, UNITS);
		assert_int_equal(found, jit_store_note(s) ? 0 : UNITS - 1);
		noted += !!jit_store_note(s);
		jit_store_close(s);
		data[i] ^= (uint8_t)(1 << i % 8);
	}
	/* Exactly the header, buckets and entries. */
	assert_int_equal(noted, sizeof(struct store_header) + 136 + UNITS * 32);
	free(data);
}

static void cut_short(void **state)
{
	struct jit_store *s = reopen();
	uint8_t *data;
	size_t size;
	char path[400];

	add(s, 0, UNITS);
	save(s, LIMIT);
	size = slurp(&data);
	hull_format(path, sizeof(path), "%s", file());
	for (size_t n = 0; n < size; n += 1 + n / 7) {
		put(path, data, n);
		s = reopen();
		assert_non_null(jit_store_note(s));
		assert_int_equal(count(s, UNITS), 0);
		jit_store_close(s);
	}
	put(path, data, size + 8); /* extended; what follows is not initialized, but there */
	s = reopen();
	assert_non_null(jit_store_note(s));
	add(s, 0, UNITS);
	save(s, LIMIT);
	s = reopen(); /* replaced by a good one */
	assert_null(jit_store_note(s));
	assert_int_equal(count(s, UNITS), UNITS);
	jit_store_close(s);
	free(data);
}

/* A unit that was damaged is replaced, the others stay. */
static void repaired(void **state)
{
	struct jit_store *s = reopen();
	uint8_t *data;
	size_t size;

	add(s, 0, UNITS);
	save(s, LIMIT);
	size = slurp(&data);
	data[size - 20] ^= 1;
	put(file(), data, size);
	free(data);
	s = reopen();
	assert_int_equal(count(s, UNITS), UNITS - 1);
	add(s, 0, UNITS);
	save(s, LIMIT);
	s = reopen();
	assert_int_equal(count(s, UNITS), UNITS);
	jit_store_close(s);
}

static void not_trusted(void **state)
{
	struct jit_store *s = reopen();
	char path[400], moved[100];

	add(s, 0, UNITS);
	save(s, LIMIT);
	hull_format(path, sizeof(path), "%s", file());
	hull_format(moved, sizeof(moved), "%s/moved", top);
	assert_int_equal(chmod(path, 0620), 0);
	s = reopen();
	assert_non_null(strstr(jit_store_note(s), "others may write it"));
	assert_int_equal(count(s, UNITS), 0);
	jit_store_close(s);
	assert_int_equal(chmod(path, 0600), 0);

	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	s = reopen();
	assert_non_null(strstr(jit_store_note(s), "symbolic link"));
	assert_int_equal(count(s, UNITS), 0);
	jit_store_close(s);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	s = reopen();
	assert_non_null(strstr(jit_store_note(s), "not a file"));
	add(s, 0, UNITS);
	assert_int_equal(jit_store_save(s, LIMIT, NULL), HULL_EIO);
	jit_store_close(s);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(moved, path), 0);

	assert_int_equal(chmod(dir, 0777), 0);
	s = reopen();
	assert_non_null(jit_store_note(s));
	assert_int_equal(count(s, UNITS), 0);
	add(s, UNITS, UNITS + 5);
	save(s, LIMIT); /* nothing is written there */
	assert_int_equal(chmod(dir, 0700), 0);
	s = reopen();
	assert_int_equal(count(s, UNITS + 5), UNITS);
	jit_store_close(s);
}

static void no_directory(void **state)
{
	struct jit_store *s = (struct jit_store *)1;
	struct hull_err err = { 0 };
	char path[100];

	hull_format(path, sizeof(path), "%s/none/kept", top);
	assert_int_equal(jit_store_open(path, &key, &s, &err), HULL_EIO);
	assert_int_equal(err.id, 1104);
	assert_true(err.fix[0]);
	assert_ptr_equal(s, (struct jit_store *)1);
	jit_store_close(NULL);
}

/* What a process that was killed while saving has left is in nobody's way. */
static void left_behind(void **state)
{
	struct jit_store *s = reopen();
	char path[440];

	add(s, 0, 10);
	save(s, LIMIT);
	hull_format(path, sizeof(path), "%s.new", file());
	put(path, (const uint8_t *)"half of a file", 14);
	assert_int_equal(chmod(path, 0600), 0);
	s = reopen();
	add(s, 10, UNITS);
	save(s, LIMIT);
	s = reopen();
	assert_int_equal(count(s, UNITS), UNITS);
	jit_store_close(s);
	(void)file(); /* only one */
}

/* Files of other builds go when nobody has used them for long; whatever else is there stays. */
static void others_grow_old(void **state)
{
	static const struct {
		const char *name;
		unsigned days;
		bool stays;
	} files[] = { { "0123456789abcdef.hulljit", 40, false },
		      { "0123456789abcdee.hulljit.new", 40, false },
		      { "0123456789abcdec.hulljit", 20, true },
		      { "0123456789abcde.hulljit", 40, true },
		      { "0123456789abcdef.hulljit.txt", 40, true },
		      { "notes", 40, true } };
	struct jit_store *s = reopen();
	char path[160];

	add(s, 0, UNITS);
	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		struct timespec times[2];
		struct stat st;

		hull_format(path, sizeof(path), "%s/%s", dir, files[i].name);
		put(path, (const uint8_t *)"x", 1);
		assert_int_equal(stat(path, &st), 0);
		st.st_mtim.tv_sec -= files[i].days * 86400;
		times[0] = times[1] = st.st_mtim;
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
	save(s, LIMIT);
	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		hull_format(path, sizeof(path), "%s/%s", dir, files[i].name);
		assert_int_equal(access(path, F_OK) == 0, files[i].stays);
		unlink(path);
	}
	s = reopen();
	assert_int_equal(count(s, UNITS), UNITS);
	jit_store_close(s);
}

/* A guest that makes any amount of code that begins alike does not make searching slow. */
static void alike(void **state)
{
	struct jit_store *s = reopen();
	struct jit_store_search f;
	struct jit_unit found;
	unsigned n = 0, latest = 0;
	struct made m;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 3 * STORE_BUCKET_MAX / 4; i++) {
			make(&m, 4);
			m.guest[20] = (uint8_t)i;
			m.guest[21] = (uint8_t)pass;
			assert_int_equal(jit_store_add(s, &m.unit), 0);
		}
		save(s, LIMIT);
		s = reopen();
		assert_null(jit_store_note(s));
	}
	jit_store_find(&f, m.unit.offset, m.guest, JIT_STORE_FIRST);
	while (jit_store_next(s, &f, &found)) {
		assert_true(jit_store_take(s, &f));
		latest += found.guest[21];
		n++;
	}
	assert_int_equal(n, STORE_BUCKET_MAX);
	assert_int_equal(latest, 3 * STORE_BUCKET_MAX / 4);
	jit_store_close(s);
}

static void nonsense(void **state)
{
	struct jit_store *s = reopen();
	struct made m;

#define BAD(change)                                                       \
	do {                                                              \
		make(&m, 3);                                              \
		change;                                                   \
		assert_int_equal(jit_store_add(s, &m.unit), HULL_EINVAL); \
	} while (0)
	BAD(m.unit.code_bytes = 0);
	BAD(m.unit.code_bytes = JIT_CODE_BYTES + 1);
	BAD(m.unit.tier = 0);
	BAD(m.unit.tier = 3);
	BAD(m.unit.range_count = 0);
	BAD(m.unit.range_count = JIT_RANGES + 1);
	BAD(m.unit.offset = 4096);
	BAD(m.unit.offset = m.ranges[0].offset + m.ranges[0].bytes);
	BAD(m.unit.offset++);
	BAD(m.unit.enter = 8); /* but it is in one page */
	BAD(m.ranges[0].bytes = 4096);
	BAD(m.ranges[0].bytes--);
	BAD(m.ranges[0].offset--);
	BAD(m.ranges[0].page = 1);
	BAD(m.exits[1].site = m.unit.code_bytes);
	BAD(m.exits[2].target = 4097);
#undef BAD
#define BAD(change)                                                       \
	do {                                                              \
		make(&m, 8);                                              \
		change;                                                   \
		assert_int_equal(jit_store_add(s, &m.unit), HULL_EINVAL); \
	} while (0)
	BAD(m.unit.enter = 0); /* links would go around the look at the other page */
	BAD(m.unit.tier = 1);
	BAD(m.unit.tier = 1; m.unit.enter = 0);
	BAD(m.ranges[1].page = 0);
	BAD(m.ranges[1].page = 128);
	BAD(m.ranges[1].page = -129);
	BAD(m.ranges[1].bytes = 0);
	BAD(m.ranges[1].offset = 4096);
#undef BAD
	make(&m, 8);
	assert_int_equal(jit_store_add(s, &m.unit), 0);
	jit_store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(keys, setup, teardown),
		cmocka_unit_test_setup_teardown(merging, setup, teardown),
		cmocka_unit_test_setup_teardown(bound, setup, teardown),
		cmocka_unit_test_setup_teardown(damage, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(repaired, setup, teardown),
		cmocka_unit_test_setup_teardown(not_trusted, setup, teardown),
		cmocka_unit_test_setup_teardown(no_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(left_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(others_grow_old, setup, teardown),
		cmocka_unit_test_setup_teardown(alike, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
