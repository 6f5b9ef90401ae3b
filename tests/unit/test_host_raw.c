/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Raw disks on real files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "host/block/raw.h"

static char path[64];

static int make_file(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/hull-raw-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || ftruncate(fd, 1 << 20) || close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

static int try_open(const struct hull_raw_options *o, struct hull_block **b, struct hull_err *err)
{
	memset(err, 0, sizeof(*err));
	*b = NULL;
	return hull_raw_open(o, b, err);
}

/* A request and the flag that its completion sets. */
struct waiting {
	struct hull_block_req req;
	uint32_t flag;
};

static void finished(struct hull_block_req *req)
{
	hull_store_release(&((struct waiting *)req)->flag, 1);
}

static int run(struct hull_block *b, enum hull_block_op op, uint64_t offset, void *buf,
               uint64_t len)
{
	struct hull_block_seg seg = { buf, len };
	struct waiting w = { .req = { .op = op,
		                      .offset = offset,
		                      .len = len,
		                      .segs = &seg,
		                      .nsegs = 1,
		                      .done = finished } };

	if (!b->submit(b, &w.req)) {
		b->drain(b);
		assert_int_equal(hull_load_acquire(&w.flag), 1);
	}
	return w.req.status;
}

static struct hull_block *must_open(bool read_only)
{
	struct hull_raw_options o = { .path = path, .read_only = read_only, .serial = "S1" };
	struct hull_block *b;
	struct hull_err err;

	if (try_open(&o, &b, &err))
		fail_msg("%s", err.text);
	return b;
}

static void data_comes_back(void **state)
{
	struct hull_block *b = must_open(false);
	struct hull_block_seg segs[200];
	struct waiting w = { .req = { .op = HULL_BLOCK_READ,
		                      .offset = 512,
		                      .len = 200 * 512,
		                      .segs = segs,
		                      .nsegs = 200,
		                      .done = finished } };
	static uint8_t out[200 * 512], in[200 * 512];

	assert_int_equal(b->size, 1 << 20);
	assert_string_equal(b->serial, "S1");
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8));
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 512, out, sizeof(out)), 0);
	assert_int_equal(run(b, HULL_BLOCK_FLUSH, 0, NULL, 0), 0);
	for (size_t i = 0; i < 200; i++)
		segs[i] = (struct hull_block_seg){ in + i * 512, 512 };
	(void)b->submit(b, &w.req);
	b->drain(b);
	assert_int_equal(w.req.status, 0);
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(run(b, HULL_BLOCK_WRITE_ZEROES, 1024, NULL, 4096), 0);
	assert_int_equal(run(b, HULL_BLOCK_READ, 512, in, 8192), 0);
	assert_memory_equal(in, out, 512);
	for (size_t i = 512; i < 512 + 4096; i++)
		assert_int_equal(in[i], 0);
	assert_memory_equal(in + 4608, out + 4608, 8192 - 4608);
	assert_int_equal(run(b, HULL_BLOCK_DISCARD, 0, NULL, 1 << 20), 0);
	hull_raw_close(b);
	hull_raw_close(NULL);
}

static void requests_finish_at_once(void **state)
{
	static const enum hull_block_op ops[] = { HULL_BLOCK_WRITE, HULL_BLOCK_READ,
		                                  HULL_BLOCK_FLUSH, HULL_BLOCK_WRITE_ZEROES,
		                                  HULL_BLOCK_DISCARD };
	struct hull_raw_options o = { .path = path, .at_once = true };
	uint8_t buf[4096] = { 1, 2, 3 };
	struct hull_block_seg seg = { buf, sizeof(buf) };
	struct hull_block *b;
	struct hull_err err;

	assert_int_equal(try_open(&o, &b, &err), 0);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct waiting w = { .req = { .op = ops[i],
			                      .len = sizeof(buf),
			                      .segs = &seg,
			                      .nsegs = 1,
			                      .status = HULL_EIO,
			                      .done = finished } };

		assert_int_equal(b->submit(b, &w.req), 1);
		assert_int_equal(w.req.status, 0);
		assert_int_equal(w.flag, 0);
	}
	b->drain(b);
	hull_raw_close(b);
}

static void shrunk_file_gives_errors(void **state)
{
	struct hull_block *b = must_open(false);
	uint8_t buf[1024] = { 1 };
	struct stat st;

	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(run(b, HULL_BLOCK_READ, 8192, buf, sizeof(buf)), HULL_EIO);
	assert_int_equal(run(b, HULL_BLOCK_READ, 3584, buf, sizeof(buf)), HULL_EIO);
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 8192, buf, sizeof(buf)), HULL_EIO);
	assert_int_equal(run(b, HULL_BLOCK_READ, 0, buf, sizeof(buf)), 0);
	assert_int_equal(run(b, HULL_BLOCK_WRITE_ZEROES, 8192, NULL, 4096), HULL_EIO);
	assert_int_equal(run(b, HULL_BLOCK_WRITE_ZEROES, 2048, NULL, 4096), HULL_EIO);
	assert_int_equal(run(b, HULL_BLOCK_WRITE_ZEROES, 0, NULL, 4096), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4096);
	hull_raw_close(b);
}

static void second_writer_is_refused(void **state)
{
	struct hull_raw_options rw = { .path = path }, ro = { .path = path, .read_only = true };
	struct hull_block *a = must_open(false), *b, *c;
	struct hull_err err;
	char pid[32];

	snprintf(pid, sizeof(pid), "process %d", getpid());
	assert_int_equal(try_open(&rw, &b, &err), HULL_EBUSY);
	assert_int_equal(err.id, 412);
	assert_non_null(strstr(err.text, "in use"));
	assert_non_null(strstr(err.text, pid));
	assert_int_equal(try_open(&ro, &b, &err), HULL_EBUSY);
	hull_raw_close(a);
	assert_int_equal(try_open(&ro, &b, &err), 0);
	assert_int_equal(try_open(&ro, &c, &err), 0);
	assert_int_equal(try_open(&rw, &a, &err), HULL_EBUSY);
	hull_raw_close(b);
	hull_raw_close(c);
}

static void odd_sizes(void **state)
{
	struct hull_raw_options rw = { .path = path }, ro = { .path = path, .read_only = true };
	struct hull_block *b;
	struct hull_err err;
	uint8_t buf[1024];

	assert_int_equal(truncate(path, 700), 0);
	assert_int_equal(try_open(&rw, &b, &err), HULL_EINVAL);
	assert_int_equal(err.id, 304);
	assert_non_null(strstr(err.text, "512"));
	assert_int_equal(try_open(&ro, &b, &err), 0);
	assert_int_equal(b->size, 1024);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(run(b, HULL_BLOCK_READ, 0, buf, sizeof(buf)), 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(run(b, HULL_BLOCK_READ, 512, buf, 512), 0);
	assert_int_equal(buf[511], 0);
	assert_int_equal(run(b, HULL_BLOCK_WRITE, 0, buf, 512), HULL_EPERM);
	assert_int_equal(run(b, HULL_BLOCK_DISCARD, 0, NULL, 512), HULL_EPERM);
	assert_int_equal(run(b, HULL_BLOCK_FLUSH, 0, NULL, 0), 0);
	hull_raw_close(b);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(try_open(&ro, &b, &err), HULL_EINVAL);
	assert_null(b);
}

static void what_is_no_disk_is_refused(void **state)
{
	struct hull_raw_options o = { .path = "/tmp" };
	struct hull_block *b;
	struct hull_err err;
	char fifo[80];

	assert_int_equal(try_open(&o, &b, &err), HULL_EINVAL);
	assert_non_null(strstr(err.text, "directory"));
	o.read_only = true;
	assert_int_equal(try_open(&o, &b, &err), HULL_EINVAL);
	o.path = "/dev/zero";
	assert_int_equal(try_open(&o, &b, &err), HULL_EINVAL);
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	o.path = fifo;
	assert_int_equal(try_open(&o, &b, &err), HULL_EINVAL);
	assert_non_null(strstr(err.text, "pipe"));
	unlink(fifo);
	assert_int_equal(try_open(&o, &b, &err), HULL_ENOENT);
	assert_true(err.fix[0]);
}

static void other_formats_must_be_named(void **state)
{
	struct hull_raw_options o = { .path = path };
	struct hull_block *b;
	struct hull_err err;
	int fd = open(path, O_WRONLY);

	assert_int_equal(write(fd, "QFI\xfb\0\0\0\3", 8), 8);
	close(fd);
	assert_int_equal(try_open(&o, &b, &err), HULL_EFORMAT);
	assert_int_equal(err.id, 305);
	assert_non_null(strstr(err.text, "qcow2"));
	assert_non_null(strstr(err.fix, "format=raw"));
	o.format_given = true;
	assert_int_equal(try_open(&o, &b, &err), 0);
	hull_raw_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(data_comes_back, make_file, remove_file),
		cmocka_unit_test_setup_teardown(requests_finish_at_once, make_file, remove_file),
		cmocka_unit_test_setup_teardown(shrunk_file_gives_errors, make_file, remove_file),
		cmocka_unit_test_setup_teardown(second_writer_is_refused, make_file, remove_file),
		cmocka_unit_test_setup_teardown(odd_sizes, make_file, remove_file),
		cmocka_unit_test_setup_teardown(what_is_no_disk_is_refused, make_file, remove_file),
		cmocka_unit_test_setup_teardown(other_formats_must_be_named, make_file,
		                                remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
