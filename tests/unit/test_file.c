/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reading whole files, and gzip data of every kind of brokenness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef HULL_HAVE_ZLIB
#include <zlib.h>
#endif

#include "base/bits.h"
#include "host/file.h"

static char dir[] = "/tmp/hull-file-XXXXXX";
static char path[64];
static struct hull_err err;

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(dir);
}

static void write_file(const void *data, size_t size)
{
	FILE *f;

	snprintf(path, sizeof(path), "%s/f", dir);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void expect(int rc, int code, int id, const char *text)
{
	if (rc != code || err.id != id || !strstr(err.text, text))
		fail_msg("%d E%04d %s, wanted %d E%04d %s", rc, err.id, err.text, code, id, text);
	memset(&err, 0, sizeof(err));
}

static void regular_files(void **state)
{
	struct hull_file f = { 0 };

	write_file("hello", 5);
	assert_int_equal(hull_file_read(path, 5, &f, &err), 0);
	assert_int_equal(f.size, 5);
	assert_string_equal((char *)f.data, "hello");
	hull_file_free(&f);
	assert_null(f.data);
	hull_file_free(&f);
	hull_file_free(NULL);
	assert_int_equal(hull_file_read_kernel(path, 5, &f, &err), 0);
	assert_int_equal(f.size, 5);
	hull_file_free(&f);

	expect(hull_file_read(path, 4, &f, &err), HULL_EOVERFLOW, 223, "limit of 4");
	write_file("", 0);
	expect(hull_file_read(path, 4, &f, &err), HULL_EFORMAT, 224, "is empty");
	chmod(path, 0);
	if (geteuid() != 0)
		expect(hull_file_read(path, 4, &f, &err), HULL_EPERM, 222, "EACCES");
	unlink(path);
	expect(hull_file_read(path, 4, &f, &err), HULL_ENOENT, 220, path);
	expect(hull_file_read("/dev/null/x", 4, &f, &err), HULL_ENOENT, 220, "/dev/null/x");
	assert_null(f.data);
}

static void near_misses(void **state)
{
	char good[64], bad[64];
	struct hull_file f;

	snprintf(good, sizeof(good), "%s/vmlinuz", dir);
	snprintf(bad, sizeof(bad), "%s/vmlinux", dir);
	fclose(fopen(good, "w"));
	assert_int_equal(hull_file_read(bad, 4, &f, &err), HULL_ENOENT);
	assert_string_equal(err.fix, "did you mean vmlinuz?");
	unlink(good);
	assert_int_equal(hull_file_read(bad, 4, &f, &err), HULL_ENOENT);
	assert_string_equal(err.fix, "check the path");
	assert_int_equal(hull_file_read("", 4, &f, &err), HULL_ENOENT);
	assert_int_equal(hull_file_read("/", 4, &f, NULL), HULL_EINVAL);
}

static void things_that_are_no_files(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct hull_file f = { 0 };
	int fd;

	expect(hull_file_read(dir, 100, &f, &err), HULL_EINVAL, 221, "is a directory");
	expect(hull_file_read("/dev/zero", 100, &f, &err), HULL_EINVAL, 221, "is a device");
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect(hull_file_read(path, 100, &f, &err), HULL_EINVAL, 221, "is a FIFO");
	unlink(path);
	snprintf(path, sizeof(path), "%s/socket", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect(hull_file_read(path, 100, &f, &err), HULL_EINVAL, 221, "not a regular file");
	close(fd);
	unlink(path);
	snprintf(path, sizeof(path), "%s/loop", dir);
	assert_int_equal(symlink("loop", path), 0);
	expect(hull_file_read(path, 100, &f, &err), HULL_EIO, 225, "symbolic links");
	unlink(path);
}

#ifdef HULL_HAVE_ZLIB

static struct hull_file pack(const void *data, size_t size)
{
	struct hull_file out = { malloc(size + 1024), size + 1024 };
	z_stream z = { 0 };

	assert_non_null(out.data);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, 0), Z_OK);
	z.next_in = (Bytef *)data;
	z.avail_in = (uInt)size;
	z.next_out = out.data;
	z.avail_out = (uInt)out.size;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.size = z.total_out;
	deflateEnd(&z);
	return out;
}

static void gzip_round_trip(void **state)
{
	uint8_t *data = malloc(3000000);
	struct hull_file in, twice, out;
	uint32_t x = 1;
	size_t i;

	assert_non_null(data);
	for (i = 0; i < 3000000; i++)
		data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 28);
	in = pack(data, 3000000);
	assert_true(hull_file_is_gzip(&in));
	assert_int_equal(hull_gunzip("k", &in, 3000000, &out, &err), 0);
	assert_int_equal(out.size, 3000000);
	assert_memory_equal(out.data, data, out.size);
	assert_int_equal(out.data[out.size], 0);
	hull_file_free(&out);
	expect(hull_gunzip("k", &in, 2999999, &out, &err), HULL_EOVERFLOW, 742,
	       "more than 2999999 bytes, which is the limit");
	expect(hull_gunzip("k", &in, 100, &out, &err), HULL_EOVERFLOW, 742, "more than 100");

	/* Through a file. */
	write_file(in.data, in.size);
	assert_int_equal(hull_file_read_kernel(path, 1 << 22, &out, &err), 0);
	assert_int_equal(out.size, 3000000);
	hull_file_free(&out);
	unlink(path);

	/* Two members, then rubbish. */
	twice.size = 2 * in.size + 5;
	twice.data = malloc(twice.size);
	assert_non_null(twice.data);
	memcpy(twice.data, in.data, in.size);
	memcpy(twice.data + in.size, in.data, in.size);
	memcpy(twice.data + 2 * in.size, "trash", 5);
	assert_int_equal(hull_gunzip("k", &twice, 1 << 24, &out, &err), 0);
	assert_int_equal(out.size, 6000000);
	assert_memory_equal(out.data + 3000000, data, 3000000);
	hull_file_free(&out);
	hull_file_free(&twice);
	hull_file_free(&in);
	free(data);
}

static void damaged_gzip(void **state)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog, again and again";
	struct hull_file in = pack(text, sizeof(text)), cut, out = { 0 };
	size_t i;
	int rc;

	for (i = 0; i < in.size; i++) {
		cut = (struct hull_file){ malloc(i ? i : 1), i };
		assert_non_null(cut.data);
		memcpy(cut.data, in.data, i);
		expect(hull_gunzip("kernel.gz", &cut, 1000, &out, &err), HULL_EFORMAT, 741,
		       "kernel.gz");
		hull_file_free(&cut);
	}
	for (i = 0; i < in.size * 8; i++) {
		in.data[i / 8] ^= (uint8_t)(1 << i % 8);
		rc = hull_gunzip("k", &in, 1000, &out, &err);
		/* Flips in the header's time or in padding bits are harmless; others are noticed.
		 */
		if (!rc) {
			assert_int_equal(out.size, sizeof(text));
			assert_memory_equal(out.data, text, sizeof(text));
		}
		hull_file_free(&out);
		in.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	hull_file_free(&in);
	in = pack("", 0);
	expect(hull_gunzip("k", &in, 1000, &out, &err), HULL_EFORMAT, 224, "empty when unpacked");
	hull_file_free(&in);
}

static void self_extracting_kernel(void **state)
{
	struct hull_file kernel = pack("a kernel", 8), out = { 0 };
	uint8_t file[512] = { 0 };

	memcpy(file, "MZ\0\0zimg", 8);
	store_le32(file + 8, 0x100);
	store_le32(file + 12, (uint32_t)kernel.size);
	memcpy(file + 24, "gzip", 4);
	memcpy(file + 0x100, kernel.data, kernel.size);
	write_file(file, 0x100 + kernel.size);
	assert_int_equal(hull_file_read_kernel(path, 1000, &out, &err), 0);
	assert_int_equal(out.size, 8);
	assert_string_equal((char *)out.data, "a kernel");
	hull_file_free(&out);
	write_file(file, 0x100 + kernel.size - 1);
	expect(hull_file_read_kernel(path, 1000, &out, &err), HULL_EFORMAT, 743, "truncated");
	store_le32(file + 8, UINT32_MAX);
	write_file(file, sizeof(file));
	expect(hull_file_read_kernel(path, 1000, &out, &err), HULL_EFORMAT, 743, "truncated");
	store_le32(file + 8, 0);
	write_file(file, sizeof(file));
	expect(hull_file_read_kernel(path, 1000, &out, &err), HULL_EFORMAT, 743, "truncated");
	memcpy(file + 24, "zstd22", 6);
	write_file(file, sizeof(file));
	expect(hull_file_read_kernel(path, 1000, &out, &err), HULL_ENOTSUP, 743, "with zstd22");
	unlink(path);
	hull_file_free(&kernel);
}

static void gzip_bomb(void **state)
{
	size_t size = (size_t)HULL_GUNZIP_FREE * 4;
	uint8_t *zeros = calloc(1, size);
	struct hull_file in, out;

	assert_non_null(zeros);
	in = pack(zeros, size);
	expect(hull_gunzip("k", &in, UINT64_MAX, &out, &err), HULL_EOVERFLOW, 742, "implausible");
	hull_file_free(&in);
	in = pack(zeros, (size_t)HULL_GUNZIP_FREE);
	assert_int_equal(hull_gunzip("k", &in, UINT64_MAX, &out, &err), 0);
	hull_file_free(&out);
	hull_file_free(&in);
	free(zeros);
}

#else

static void gzip_needs_zlib(void **state)
{
	struct hull_file in = { (uint8_t *)"\x1f\x8b", 2 }, out;

	expect(hull_gunzip("k", &in, 1000, &out, &err), HULL_ENOTSUP, 740, "without zlib");
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regular_files),
		cmocka_unit_test(near_misses),
		cmocka_unit_test(things_that_are_no_files),
#ifdef HULL_HAVE_ZLIB
		cmocka_unit_test(gzip_round_trip),
		cmocka_unit_test(damaged_gzip),
		cmocka_unit_test(self_extracting_kernel),
		cmocka_unit_test(gzip_bomb),
#else
		cmocka_unit_test(gzip_needs_zlib),
#endif
	};

	return cmocka_run_group_tests_name("file", tests, setup, teardown);
}
