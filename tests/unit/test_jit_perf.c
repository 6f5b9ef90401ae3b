/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The files for the host's profiler, read back by their formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "engine/jit/perf.h"

static const uint8_t code[100] = { 0x90, 0x90, 0xc3 };
static char dir[64];

static int setup(void **state)
{
	hull_format(dir, sizeof(dir), "/tmp/test_jit_perf.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(dir);
}

static uint8_t *slurp(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_non_null(data);
	*ret_size = fread(data, 1, (1 << 20) - 1, f);
	fclose(f);
	return data;
}

static void nothing(void **state)
{
	struct jit_perf *p = (struct jit_perf *)1;

	assert_int_equal(jit_perf_open(HULL_PERF_NONE, "", &p, NULL), 0);
	assert_null(p);
	jit_perf_add(p, code, sizeof(code), "x");
	jit_perf_close(p);
}

static void map(void **state)
{
	unsigned long long at, bytes;
	char path[64], name[64], expected[64];
	struct jit_perf *p;
	struct stat st;
	size_t size;
	char *text, *line, *save = NULL;

	hull_format(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	/* What somebody else has put there is not written through. */
	hull_format(expected, sizeof(expected), "%s/victim", dir);
	assert_int_equal(symlink(expected, path), 0);
	assert_int_equal(jit_perf_open(HULL_PERF_MAP, "", &p, NULL), 0);
	assert_int_not_equal(access(expected, F_OK), 0);
	for (unsigned i = 0; i < 10; i++) {
		hull_format(name, sizeof(name), "guest:0x%x\n tier 1", i * 16);
		jit_perf_add(p, code + i, i + 1, name);
	}
	jit_perf_add(p, code, 0, "empty");
	text = (char *)slurp(path, &size); /* while it is open: it may be killed */
	jit_perf_close(p);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	line = strtok_r(text, "\n", &save);
	for (unsigned i = 0; i < 10; i++, line = strtok_r(NULL, "\n", &save)) {
		hull_format(expected, sizeof(expected), "guest:0x%x? tier 1", i * 16);
		assert_non_null(line);
		assert_int_equal(sscanf(line, "%llx %llx %63[^\n]", &at, &bytes, name), 3);
		assert_int_equal(at, (uintptr_t)code + i);
		assert_int_equal(bytes, i + 1);
		assert_string_equal(name, expected);
	}
	assert_null(line);
	free(text);
	unlink(path);
}

/* Check one JIT_CODE_LOAD and return its size. */
static size_t check_load(const uint8_t *r, size_t left, uint64_t index, uint64_t *time)
{
	uint32_t size;

	assert_true(left >= 56);
	size = load_le32(r + 4);
	assert_int_equal(load_le32(r), 0);
	assert_true(size <= left);
	assert_true(load_le64(r + 8) >= *time);
	*time = load_le64(r + 8);
	assert_int_equal(load_le32(r + 16), getpid());
	assert_int_equal(load_le64(r + 24), (uintptr_t)code);
	assert_int_equal(load_le64(r + 32), (uintptr_t)code);
	assert_int_equal(load_le64(r + 40), index + 1);
	assert_int_equal(load_le64(r + 48), index);
	assert_string_equal((const char *)r + 56, "block");
	assert_memory_equal(r + 56 + 6, code, index + 1);
	assert_int_equal(size, 56 + 6 + index + 1);
	return size;
}

static void dump(void **state)
{
	uint64_t time = 0, index;
	char path[128];
	struct jit_perf *p;
	size_t size, at;
	uint8_t *data;

	hull_format(path, sizeof(path), "%s/jit-%d.dump", dir, (int)getpid());
	assert_int_equal(jit_perf_open(HULL_PERF_JITDUMP, dir, &p, NULL), 0);
	for (unsigned i = 0; i < 50; i++)
		jit_perf_add(p, code, i + 1, "block");
	jit_perf_close(p);
	data = slurp(path, &size);
	assert_true(size > 40);
	assert_int_equal(load_le32(data), 0x4a695444);
	assert_int_equal(load_le32(data + 4), 1);
	assert_int_equal(load_le32(data + 8), 40);
	assert_int_equal(load_le32(data + 20), getpid());
	assert_int_equal(load_le64(data + 32), 0);
	for (at = 40, index = 0; index < 50; index++)
		at += check_load(data + at, size - at, index, &time);
	assert_int_equal(size - at, 16);
	assert_int_equal(load_le32(data + at), 3);
	free(data);
	unlink(path);
}

static void no_place(void **state)
{
	struct hull_err err = { 0 };
	struct jit_perf *p;

	assert_int_equal(jit_perf_open(HULL_PERF_JITDUMP, "/nowhere/at/all", &p, &err), HULL_EIO);
	assert_null(p);
	assert_int_equal(err.id, 1101);
	assert_non_null(strstr(err.fix, "--perf-dir"));
}

static void *adder(void *arg)
{
	for (unsigned i = 0; i < 200; i++)
		jit_perf_add(arg, code, 7, "thread");
	return NULL;
}

/* Records of several threads do not mix. */
static void threads(void **state)
{
	struct jit_perf *p;
	pthread_t t[4];
	char path[128];
	size_t size, at = 40;
	uint8_t *data;
	uint64_t n = 0;

	hull_format(path, sizeof(path), "%s/jit-%d.dump", dir, (int)getpid());
	assert_int_equal(jit_perf_open(HULL_PERF_JITDUMP, dir, &p, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, adder, p), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	jit_perf_close(p);
	data = slurp(path, &size);
	for (; at + 16 < size; at += load_le32(data + at + 4), n++)
		assert_int_equal(load_le64(data + at + 48), n);
	assert_int_equal(n, 800);
	free(data);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),  cmocka_unit_test(map),     cmocka_unit_test(dump),
		cmocka_unit_test(no_place), cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
