/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The guest-physical address space: maps, copies, windows, dirty log, change under use. */
#include "support/vm_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { RWX = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X, PAGE = 4096 };

static uint8_t *pages(unsigned n)
{
	uint8_t *p = aligned_alloc(PAGE, (size_t)n * PAGE);

	memset(p, 0, (size_t)n * PAGE);
	return p;
}

static void test_map_table(void **state)
{
	static const struct {
		hull_gpa gpa;
		uint64_t len;
		unsigned attr;
		int ret;
	} rows[] = {
		{ 0, PAGE, RWX, 0 },
		{ 0, PAGE, RWX, HULL_EEXIST },
		{ PAGE, 0, RWX, HULL_EINVAL },
		{ PAGE, 1, RWX, HULL_EINVAL },
		{ PAGE + 1, PAGE, RWX, HULL_EINVAL },
		{ PAGE, PAGE, 0, HULL_EINVAL },
		{ PAGE, PAGE, HULL_MEM_W, HULL_EINVAL },
		{ PAGE, PAGE, 0x100 | RWX, HULL_EINVAL },
		{ -(uint64_t)PAGE, 2 * PAGE, RWX, HULL_EOVERFLOW },
		{ -(uint64_t)PAGE, PAGE, RWX, 0 }, /* the last page of all */
		{ 0, -(uint64_t)PAGE, RWX, HULL_EEXIST },
		{ RAM_AT, PAGE, RWX, HULL_EEXIST },
		{ RAM_AT - PAGE, PAGE, RWX, 0 },
		{ RAM_AT - 2 * PAGE, 2 * PAGE, RWX, HULL_EEXIST },
		{ RAM_AT + RAM_SIZE, PAGE, RWX, 0 },
		{ RAM_AT + RAM_SIZE - PAGE, 2 * PAGE, RWX, HULL_EEXIST },
		{ RAM_AT - 0x10000, 2 * RAM_SIZE, RWX, HULL_EEXIST }, /* surrounds */
		{ 0x2000, PAGE, RWX, HULL_EEXIST },                   /* a device is there */
	};
	struct hull_callback_device d = { .name = "dev", .gpa = 0x2800, .size = 8 };
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint8_t *memory = pages(2);
	struct hull_err err;

	(void)state;
	assert_int_equal(hull_vm_register_device(vm, &d, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
			hull_vm_map(vm, rows[i].gpa, memory, rows[i].len, rows[i].attr, &err),
			rows[i].ret);
	assert_non_null(strstr(err.text, "'dev'"));
	assert_int_equal(hull_vm_map(vm, 0x9000, NULL, PAGE, RWX, NULL), HULL_EINVAL);
	assert_int_equal(hull_vm_map(vm, 0x9000, memory + 1, PAGE, RWX, NULL), HULL_EINVAL);
	/* What belongs to the configuration is not the caller's to unmap. */
	assert_int_equal(hull_vm_unmap(vm, RAM_AT, RAM_SIZE, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_unmap(vm, 0, 2 * PAGE, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_unmap(vm, 0, PAGE, NULL), 0);
	assert_int_equal(hull_vm_unmap(vm, 0, PAGE, NULL), HULL_ENOENT);
	for (uint64_t at = 0x100000; at < 0x100000 + 64 * PAGE; at += PAGE) {
		int ret = hull_vm_map(vm, at, memory, PAGE, RWX, NULL);

		assert_true(ret == 0 || ret == HULL_EOVERFLOW);
	}
	fixture_unmake(&h, vm);
	free(memory);
}

static void test_copies(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint8_t *rom = pages(1), *next = pages(1);
	uint8_t buf[64], back[64];
	const hull_gpa end = RAM_AT + RAM_SIZE;

	(void)state;
	assert_int_equal(hull_vm_map(vm, end, next, PAGE, RWX, NULL), 0);
	assert_int_equal(hull_vm_map(vm, 0, rom, PAGE, HULL_MEM_R | HULL_MEM_X, NULL), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i + 1);
	/* Across two mappings, unaligned. */
	assert_int_equal(hull_vm_write(vm, end - 31, buf, 64), 0);
	assert_int_equal(hull_vm_read(vm, end - 31, back, 64), 0);
	assert_memory_equal(buf, back, 64);
	assert_int_equal(next[0], 32);
	/* A byte too far: nothing is written. */
	memset(buf, 0xee, 64);
	assert_int_equal(hull_vm_write(vm, end + PAGE - 63, buf, 64), HULL_EFAULT);
	assert_int_equal(next[PAGE - 1], 0);
	assert_int_equal(hull_vm_read(vm, UINT64_MAX - 3, back, 8), HULL_EFAULT);
	assert_int_equal(hull_vm_read(vm, RAM_AT, back, UINT64_MAX), HULL_EFAULT);
	assert_int_equal(hull_vm_read(vm, 0x5000, back, 0), 0);
	/* The host may fill a ROM, a device may not. */
	assert_int_equal(hull_vm_write(vm, 0, buf, 4), 0);
	assert_false(hull_mem_write(vm, 0, buf, 4));
	assert_true(hull_mem_read(vm, 0, back, 4));
	assert_int_equal(back[3], 0xee);
	fixture_unmake(&h, vm);
	free(rom);
	free(next);
}

static void test_values(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	static const uint8_t raw[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	uint8_t back[8];
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	(void)state;
	assert_int_equal(hull_vm_write(vm, RAM_AT, raw, sizeof(raw)), 0);
	for (unsigned odd = 0; odd < 2; odd++) {
		assert_true(hull_mem_load16(vm, RAM_AT + odd, &v16));
		assert_int_equal(v16, 0x0201 + odd * 0x0101);
		assert_true(hull_mem_load32(vm, RAM_AT + odd, &v32));
		assert_int_equal(v32, 0x04030201 + odd * 0x01010101);
		assert_true(hull_mem_load64(vm, RAM_AT + odd, &v64));
		assert_int_equal(v64, 0x0807060504030201 + odd * 0x0101010101010101);
	}
	assert_true(hull_mem_store16(vm, RAM_AT + 0x11, 0xa1b2));
	assert_true(hull_mem_store32(vm, RAM_AT + 0x14, 0xc3d4e5f6));
	assert_int_equal(hull_vm_read(vm, RAM_AT + 0x10, back, 8), 0);
	assert_int_equal(back[1], 0xb2);
	assert_int_equal(back[2], 0xa1);
	assert_int_equal(back[4], 0xf6);
	assert_int_equal(back[7], 0xc3);
	assert_false(hull_mem_load16(vm, RAM_AT - 1, &v16));
	assert_false(hull_mem_load32(vm, RAM_AT + RAM_SIZE - 3, &v32));
	assert_false(hull_mem_load64(vm, UINT64_MAX, &v64));
	assert_false(hull_mem_store16(vm, 0, 0));
	assert_false(hull_mem_store32(vm, 2, 0));
	fixture_unmake(&h, vm);
}

static void test_pages_and_windows(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint8_t *rom = pages(1);
	struct hull_ram_page page;
	struct hull_dma a, b;

	(void)state;
	assert_int_equal(hull_vm_map(vm, 0, rom, PAGE, HULL_MEM_R, NULL), 0);
	assert_true(hull_aspace_page(vm, 0xabc, &page));
	assert_ptr_equal(page.hva, rom);
	assert_int_equal(page.attr, HULL_MEM_R);
	assert_false(page.log_write);
	assert_false(hull_aspace_page(vm, PAGE, &page));
	assert_int_equal(hull_dma_begin(vm, 0x10, 64, true, &a), HULL_EFAULT);
	assert_int_equal(hull_dma_begin(vm, PAGE, 64, false, &a), HULL_EFAULT);
	assert_int_equal(hull_dma_begin(vm, 0x10, 0, false, &a), HULL_EFAULT);
	assert_int_equal(hull_dma_begin(vm, 0xff0, 64, false, &a), 0);
	assert_int_equal(a.len, 16);
	assert_ptr_equal(a.hva, rom + 0xff0);
	assert_int_equal(hull_dma_begin(vm, RAM_AT, 2 * RAM_SIZE, true, &b), 0); /* they nest */
	assert_int_equal(b.len, RAM_SIZE);
	hull_dma_end(vm, &b);
	hull_dma_end(vm, &a);
	/* Rights can be taken away and refused. */
	assert_int_equal(hull_vm_protect(vm, 0, PAGE, RWX, NULL), 0);
	assert_true(hull_mem_write(vm, 0, "x", 1));
	((struct hull_fake_vm *)hull_vm_accel_state(vm))->fail_protects = 1;
	assert_int_equal(hull_vm_protect(vm, 0, PAGE, HULL_MEM_R, NULL), HULL_EINVAL);
	assert_true(hull_mem_write(vm, 0, "x", 1));
	assert_int_equal(hull_vm_protect(vm, 0, 2 * PAGE, RWX, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_protect(vm, 0, PAGE, 0, NULL), HULL_EINVAL);
	fixture_unmake(&h, vm);
	free(rom);
}

static int sum_lengths(void *arg, void *hva, uint64_t len)
{
	(void)hva;
	*(uint64_t *)arg += len;
	return 0;
}

static int stop_at_once(void *arg, void *hva, uint64_t len)
{
	(void)hva;
	(void)len;
	++*(uint64_t *)arg;
	return HULL_EIO;
}

static void test_image_regions(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint8_t *next = pages(1);
	uint64_t n = 0;

	(void)state;
	assert_int_equal(hull_vm_map(vm, RAM_AT + RAM_SIZE, next, PAGE, RWX, NULL), 0);
	assert_int_equal(hull_vm_image_regions(vm, RAM_AT + 1, RAM_SIZE, sum_lengths, &n), 0);
	assert_int_equal(n, RAM_SIZE);
	n = 0;
	assert_int_equal(hull_vm_image_regions(vm, RAM_AT + PAGE + 1, RAM_SIZE, sum_lengths, &n),
	                 HULL_EFAULT);
	assert_int_equal(n, 0);
	assert_int_equal(hull_vm_image_regions(vm, RAM_AT, RAM_SIZE + 1, stop_at_once, &n),
	                 HULL_EIO);
	assert_int_equal(n, 1);
	fixture_unmake(&h, vm);
	free(next);
}

static void test_dirty_log(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint8_t *later = pages(2);
	struct hull_ram_page page;
	struct hull_dma dma;
	uint64_t bits[5];

	(void)state;
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT, bits, 256), HULL_ESTATE);
	assert_int_equal(hull_vm_dirty_start(vm, NULL), 0);
	assert_int_equal(hull_vm_dirty_start(vm, NULL), 0);
	assert_true(hull_aspace_page(vm, RAM_AT, &page));
	assert_true(page.log_write);
	hull_aspace_dirty(vm, RAM_AT + 5 * PAGE);
	hull_aspace_dirty(vm, 0x666); /* not memory: ignored */
	assert_int_equal(hull_vm_write(vm, RAM_AT + 64 * PAGE - 1, "ab", 2), 0);
	assert_int_equal(hull_dma_begin(vm, RAM_AT + 200 * PAGE, 2 * PAGE, true, &dma), 0);
	hull_dma_end(vm, &dma);
	/* A mapping made while the log runs is logged too. */
	assert_int_equal(hull_vm_map(vm, RAM_AT + RAM_SIZE, later, 2 * PAGE, RWX, NULL), 0);
	assert_true(hull_mem_store16(vm, RAM_AT + RAM_SIZE + PAGE, 1));
	memset(bits, 0xff, sizeof(bits));
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT, bits, 258), 0);
	assert_int_equal(bits[0], BIT(5) | BIT(63));
	assert_int_equal(bits[1], 1);
	assert_int_equal(bits[3], BIT(8) | BIT(9));
	assert_int_equal(bits[4], 2);
	/* Fetched once only; what lies outside the window stays. */
	hull_aspace_dirty(vm, RAM_AT);
	hull_aspace_dirty(vm, RAM_AT + 3 * PAGE);
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT + 3 * PAGE, bits, 64), 0);
	assert_int_equal(bits[0], 1);
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT, bits, 64), 0);
	assert_int_equal(bits[0], 1);
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT + 1, bits, 64), HULL_EINVAL);
	assert_int_equal(hull_vm_unmap(vm, RAM_AT + RAM_SIZE, 2 * PAGE, NULL), 0);
	assert_int_equal(hull_vm_dirty_stop(vm), 0);
	assert_true(hull_aspace_page(vm, RAM_AT, &page));
	assert_false(page.log_write);
	/* Without memory for the log nothing changes. */
	h.fail_at = h.allocations + 1;
	assert_int_equal(hull_vm_dirty_start(vm, NULL), HULL_ENOMEM);
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT, bits, 64), HULL_ESTATE);
	fixture_unmake(&h, vm);
	free(later);
}

struct reader {
	struct hull_vm *vm;
	uint64_t stop, good; /* atomic */
};

/* The page is filled with one byte; whoever can read it reads that byte throughout. */
static void *read_page(void *arg)
{
	struct reader *r = arg;

	while (!hull_load_seqcst(&r->stop)) {
		uint8_t buf[256];
		struct hull_dma dma;

		if (hull_mem_read(r->vm, 0x10000, buf, sizeof(buf))) {
			assert_int_equal(buf[0], 0x42);
			assert_int_equal(buf[255], 0x42);
			hull_add_seqcst(&r->good, 1);
		}
		if (!hull_dma_begin(r->vm, 0x10000, 16, false, &dma)) {
			assert_int_equal(*(uint8_t *)dma.hva, 0x42);
			hull_dma_end(r->vm, &dma);
		}
	}
	return NULL;
}

/* Given back: whole pages of our own RAM, across mappings; nothing else, and nobody is left out. */
static void test_discard(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint8_t *own = pages(2);
	uint64_t bits[1], seen;
	uint8_t b[2];

	(void)state;
	own[0] = 0x77;
	assert_int_equal(hull_vm_map(vm, RAM_AT + RAM_SIZE, own, 2 * PAGE, RWX, NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_true(hull_mem_write(vm, RAM_AT + i * PAGE + 9, "\x55", 1));
	hull_aspace_watch(vm, RAM_AT + 2 * PAGE);
	seen = hull_aspace_watched_writes(vm);
	assert_int_equal(hull_vm_dirty_start(vm, NULL), 0);
	assert_int_equal(hull_aspace_discard(vm, RAM_AT + 1, PAGE), 0);
	assert_int_equal(hull_aspace_discard(vm, RAM_AT + 1, 2 * PAGE - 2), 0);
	assert_int_equal(hull_aspace_discard(vm, RAM_AT, 0), 0);
	assert_int_equal(hull_aspace_discard(vm, UINT64_MAX - PAGE, 3 * PAGE), 0);
	assert_int_equal(hull_aspace_watched_writes(vm), seen);
	assert_int_equal(hull_aspace_discard(vm, RAM_AT + PAGE + 1, 3 * PAGE), 2 * PAGE);
	assert_int_not_equal(hull_aspace_watched_writes(vm), seen);
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT, bits, 64), 0);
	assert_int_equal(bits[0], 3 << 2);
	assert_true(hull_mem_read(vm, RAM_AT + PAGE + 9, b, 1) && b[0] == 0x55);
	assert_true(hull_mem_read(vm, RAM_AT + 2 * PAGE + 9, b, 1) && b[0] == 0);
	assert_true(hull_mem_read(vm, RAM_AT + 4 * PAGE + 9, b, 1) && b[0] == 0x55);
	/* Everything there is: memory of others stays. */
	assert_true(hull_aspace_discard(vm, 0, UINT64_MAX) >= 8 * PAGE);
	assert_int_equal(own[0], 0x77);
	assert_true(hull_mem_read(vm, RAM_AT + 4 * PAGE + 9, b, 1) && b[0] == 0);
	assert_int_equal(hull_vm_dirty_stop(vm), 0);
	fixture_unmake(&h, vm);
	free(own);
}

static void test_change_under_use(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_SPIN } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 1);
	struct reader r = { .vm = vm };
	struct fixture_threads guests;
	pthread_t threads[2];

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&guests, vm);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, read_page, &r);
	for (int i = 0; i < 500 || hull_load_seqcst(&r.good) < 50; i++) {
		uint8_t *p = pages(1);

		memset(p, 0x42, PAGE);
		assert_int_equal(hull_vm_map(vm, 0x10000, p, PAGE, RWX, NULL), 0);
		if (i % 64 == 0)
			fixture_await(&r.good, hull_load_seqcst(&r.good) + 1);
		assert_int_equal(hull_vm_unmap(vm, 0x10000, PAGE, NULL), 0);
		free(p); /* nobody reads it any more: ASan looks */
	}
	hull_store_seqcst(&r.stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(fixture_cpu(vm, 0)->flushes > 0);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_join(&guests);
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_table), cmocka_unit_test(test_copies),
		cmocka_unit_test(test_values),    cmocka_unit_test(test_pages_and_windows),
		cmocka_unit_test(test_discard),   cmocka_unit_test(test_image_regions),
		cmocka_unit_test(test_dirty_log), cmocka_unit_test(test_change_under_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
