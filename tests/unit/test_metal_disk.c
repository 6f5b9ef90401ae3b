/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Disks in memory, as VMs on bare metal have them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The hypervisor is no part of the library: its pure files are compiled here. */
#include "metal/common/disk.c"

enum { BYTES = 4096 + 512 };

static uint8_t image[BYTES];
static uint64_t held;
static bool exhausted;

void *metal_frames_alloc(uint64_t bytes, uint64_t align)
{
	assert_true(is_aligned(bytes, align));
	held += exhausted ? 0 : bytes;
	return exhausted ? NULL : calloc(1, bytes);
}

void metal_frames_free(void *at, uint64_t bytes)
{
	held -= bytes;
	free(at);
}

static int setup(void **state)
{
	exhausted = false;
	for (unsigned i = 0; i < BYTES; i++)
		image[i] = (uint8_t)(i * 7 + i / 512);
	return 0;
}

static int request(struct metal_disk *d, enum hull_block_op op, uint64_t offset, void *a, void *b)
{
	const struct hull_block_seg segs[] = { { a, 100 }, { b, 412 } };
	struct hull_block_req r = {
		.op = op, .offset = offset, .len = 512, .segs = segs, .nsegs = a ? 2 : 0
	};

	assert_int_equal(d->block.submit(&d->block, &r), 1);
	return r.status;
}

static void test_an_image_in_place(void **state)
{
	uint8_t a[100], b[412], before[BYTES];
	struct metal_disk d;

	memcpy(before, image, BYTES);
	assert_int_equal(metal_disk_open(&d, image, BYTES, true, NULL), 0);
	assert_int_equal(held, 0);
	assert_true(d.block.read_only);
	assert_int_equal(request(&d, HULL_BLOCK_READ, 4096, a, b), 0);
	assert_memory_equal(a, image + 4096, 100);
	assert_memory_equal(b, image + 4196, 412);
	assert_int_equal(request(&d, HULL_BLOCK_WRITE, 0, a, b), HULL_EIO);
	assert_int_equal(request(&d, HULL_BLOCK_WRITE_ZEROES, 0, NULL, NULL), HULL_EIO);
	assert_int_equal(request(&d, HULL_BLOCK_FLUSH, 0, NULL, NULL), 0);
	assert_memory_equal(image, before, BYTES);
	metal_disk_close(&d);
}

static void test_a_copy(void **state)
{
	uint8_t a[100], b[412], c[100], e[412];
	struct metal_disk d;

	memset(a, 1, sizeof(a));
	memset(b, 2, sizeof(b));
	assert_int_equal(metal_disk_open(&d, image, BYTES, false, NULL), 0);
	assert_int_equal(held, 8192);
	assert_int_equal(request(&d, HULL_BLOCK_WRITE, 512, a, b), 0);
	assert_int_equal(request(&d, HULL_BLOCK_READ, 512, c, e), 0);
	assert_memory_equal(a, c, 100);
	assert_memory_equal(b, e, 412);
	assert_int_not_equal(image[513], 1);
	assert_int_equal(request(&d, HULL_BLOCK_WRITE_ZEROES, 512, NULL, NULL), 0);
	assert_int_equal(request(&d, HULL_BLOCK_READ, 512, c, e), 0);
	assert_int_equal(c[0] | e[411], 0);
	assert_int_equal(request(&d, HULL_BLOCK_READ, BYTES, c, e), HULL_EIO);
	assert_int_equal(request(&d, HULL_BLOCK_WRITE, UINT64_MAX - 511, c, e), HULL_EIO);
	d.block.drain(&d.block);
	metal_disk_close(&d);
	assert_int_equal(held, 0);
	metal_disk_close(&d);
}

static void test_no_memory(void **state)
{
	struct metal_disk d;
	struct hull_err err;

	exhausted = true;
	assert_int_equal(metal_disk_open(&d, image, BYTES, false, &err), HULL_ENOMEM);
	assert_int_equal(err.id, 120);
	metal_disk_close(&d);
	assert_int_equal(held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_an_image_in_place, setup),
		cmocka_unit_test_setup(test_a_copy, setup),
		cmocka_unit_test_setup(test_no_memory, setup),
	};

	return cmocka_run_group_tests_name("metal disk", tests, NULL, NULL);
}
