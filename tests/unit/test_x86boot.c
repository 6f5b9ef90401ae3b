/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* bzImage headers field by field, PVH notes, and what a kernel finds when it starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "fw/bzimage.h"
#include "fw/x86boot.h"

#define MIB (UINT64_C(1) << 20)

enum { SIZE = 16384 };

static uint8_t file[SIZE];
static struct hull_image_plan plan;
static struct hull_err err;

static struct hull_image_target target(void)
{
	return (struct hull_image_target){
		.name = "vmlinuz", .isa = HULL_ISA_X86_64, .ram_base = MIB, .ram_size = 127 * MIB
	};
}

/* As Debian's: protocol 2.15, relocatable, 64-bit entry, 16 MiB. */
static void kernel(void)
{
	memset(file, 0, sizeof(file));
	file[0x1f1] = 3;
	store_le32(file + 0x1f4, (SIZE - 2048) / 16);
	store_le16(file + 0x1fe, 0xaa55);
	file[0x200] = 0xeb;
	file[0x201] = 0x6a;
	memcpy(file + 0x202, "HdrS", 4);
	store_le16(file + 0x206, 0x20f);
	file[0x211] = 1;
	store_le32(file + 0x22c, 0x7fffffff);
	store_le32(file + 0x230, 2 << 20);
	file[0x234] = 1;
	store_le16(file + 0x236, 0x7f);
	store_le32(file + 0x238, 2047);
	store_le64(file + 0x258, 16 * MIB);
	store_le32(file + 0x260, 40 * (uint32_t)MIB);
}

static int plan_exact(size_t size, const struct hull_image_target *t)
{
	uint8_t *copy = malloc(size);
	int rc;

	memcpy(copy, file, size);
	memset(&err, 0, sizeof(err));
	rc = hull_image_plan(copy, size, t, &plan, &err);
	free(copy);
	return rc;
}

static void refused(size_t size, const struct hull_image_target *t, int id, const char *text)
{
	assert_true(plan_exact(size, t) < 0);
	if (err.id != id || !strstr(err.text, text))
		fail_msg("E%04d: %s (wanted E%04d: %s)", err.id, err.text, id, text);
}

static void bzimage(void **state)
{
	struct hull_image_target t = target();

	(void)state;
	kernel();
	assert_int_equal(plan_exact(SIZE, &t), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_BZIMAGE);
	assert_int_equal(plan.entry, 16 * MIB + 0x200);
	assert_false(plan.pvh);
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.segments[0].gpa, 16 * MIB);
	assert_int_equal(plan.segments[0].offset, 2048);
	assert_int_equal(plan.segments[0].file_bytes, SIZE - 2048);
	assert_int_equal(plan.segments[0].mem_bytes, 40 * MIB);
	/* No sectors means four. */
	file[0x1f1] = 0;
	store_le32(file + 0x1f4, (SIZE - 2560) / 16);
	assert_int_equal(plan_exact(SIZE, &t), 0);
	assert_int_equal(plan.segments[0].offset, 2560);
	/* Higher, aligned: yes.  Lower, or not aligned, or one that cannot move: no. */
	kernel();
	t.has_load = true;
	t.load = 32 * MIB;
	assert_int_equal(plan_exact(SIZE, &t), 0);
	assert_int_equal(plan.entry, 32 * MIB + 0x200);
	t.load = 33 * MIB;
	refused(SIZE, &t, 715, "wants 0x1000000");
	t.load = 8 * MIB;
	refused(SIZE, &t, 715, "wants 0x1000000");
	t.load = 32 * MIB;
	file[0x234] = 0;
	refused(SIZE, &t, 715, "wants 0x1000000");
	t.load = 16 * MIB;
	assert_int_equal(plan_exact(SIZE, &t), 0);
}

static void hostile_headers(void **state)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
		int id;
		const char *text;
	} cases[] = {
		{ 0x1fe, 2, 0, 714, "boot_flag" },
		{ 0x206, 2, 0x20b, 718, "too old (boot protocol 2.11)" },
		{ 0x236, 2, 0x7e, 718, "32-bit" },
		{ 0x211, 1, 0, 714, "below 1 MiB" },
		{ 0x201, 1, 0x10, 714, "wrong length" },
		{ 0x201, 1, 0xff, 714, "wrong length" },
		{ 0x230, 4, 0, 714, "kernel_alignment" },
		{ 0x230, 4, 3 << 20, 714, "kernel_alignment" },
		{ 0x230, 4, 0x80000000, 714, "kernel_alignment" },
		{ 0x258, 8, 0x1000001, 714, "pref_address" },
		{ 0x258, 8, 0, 715, "0x0" },
		{ 0x258, 8, UINT64_C(0xfffffffffffff000), 715, "127 MiB" },
		{ 0x260, 4, 0, 714, "init_size" },
		{ 0x260, 4, UINT32_MAX, 715, "127 MiB" },
		{ 0x1f4, 4, UINT32_MAX, 713, "truncated" },
		{ 0x1f4, 4, SIZE / 16, 713, "truncated" },
		{ 0x1f1, 1, 0xff, 713, "truncated" },
	};
	struct hull_image_target t = target();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t value[8];

		kernel();
		store_le64(value, cases[i].value);
		memcpy(file + cases[i].at, value, cases[i].bytes);
		refused(SIZE, &t, cases[i].id, cases[i].text);
	}
	kernel();
	refused(0x263, &t, 713, "inside the kernel's header");
	refused(SIZE - 16, &t, 713, "truncated");
	t.ram_size = 40 * MIB;
	refused(SIZE, &t, 715, "40 MiB");
	assert_string_equal(err.fix, "--memory 64M");
}

static void parameters(void **state)
{
	static const struct hull_e820 map[] = {
		{ 0, 0x9fc00, HULL_E820_RAM },
		{ UINT64_C(1) << 32, UINT64_C(5) << 30, HULL_E820_RESERVED },
	};
	const struct hull_x86_boot b = { .map = map,
		                         .nmap = 2,
		                         .rsdp = 0xe0000,
		                         .cmdline = 0x20000,
		                         .setup_data = 0x8000,
		                         .initrd = UINT64_C(0x1234567890),
		                         .initrd_bytes = UINT64_C(0x2345678901) };
	uint8_t page[4096], seed[32], node[HULL_X86_SEED_BYTES];
	struct hull_bzimage h;

	(void)state;
	kernel();
	assert_int_equal(hull_bzimage_check(file, SIZE, "k", &h, &err), 0);
	assert_int_equal(h.cmdline_max, 2047);
	assert_int_equal(h.initrd_last, 0x7fffffff);
	hull_x86_boot_params(&b, file, page);
	/* The header is the kernel's, up to its end. */
	assert_memory_equal(page + 0x1f1, file + 0x1f1, 0x210 - 0x1f1);
	assert_int_equal(load_le64(page + 0x258), 16 * MIB);
	assert_int_equal(load_le32(page + 0x26c), 0);
	assert_int_equal(page[0x210], 0xff);
	assert_int_equal(load_le64(page + 0x70), 0xe0000);
	assert_int_equal(load_le32(page + 0x218), 0x34567890);
	assert_int_equal(load_le32(page + 0xc0), 0x12);
	assert_int_equal(load_le32(page + 0x21c), 0x45678901);
	assert_int_equal(load_le32(page + 0xc4), 0x23);
	assert_int_equal(load_le32(page + 0x228), 0x20000);
	assert_int_equal(load_le64(page + 0x250), 0x8000);
	assert_int_equal(page[0x1e8], 2);
	assert_int_equal(load_le64(page + 0x2d0 + 20), UINT64_C(1) << 32);
	assert_int_equal(load_le64(page + 0x2d0 + 28), UINT64_C(5) << 30);
	assert_int_equal(load_le32(page + 0x2d0 + 36), 2);
	/* A kernel without a header gets one. */
	hull_x86_boot_params(&b, NULL, page);
	assert_memory_equal(page + 0x202, "HdrS", 4);
	assert_int_equal(load_le16(page + 0x1fe), 0xaa55);

	memset(seed, 0x5a, sizeof(seed));
	hull_x86_seed(seed, node);
	assert_int_equal(load_le64(node), 0);
	assert_int_equal(load_le32(node + 8), 9);
	assert_int_equal(load_le32(node + 12), 32);
	assert_memory_equal(node + 16, seed, 32);

	hull_x86_pvh_info(&b, 0x6000, page);
	assert_int_equal(load_le32(page), 0x336ec578);
	assert_int_equal(load_le32(page + 12), 1);
	assert_int_equal(load_le64(page + (load_le64(page + 16) - 0x6000)), b.initrd);
	assert_int_equal(load_le64(page + (load_le64(page + 16) - 0x6000) + 8), b.initrd_bytes);
	assert_int_equal(load_le64(page + 24), 0x20000);
	assert_int_equal(load_le64(page + 32), 0xe0000);
	assert_int_equal(load_le32(page + 48), 2);
	assert_int_equal(load_le64(page + (load_le64(page + 40) - 0x6000) + 24), UINT64_C(1) << 32);
}

/* Walk the tables as the processor does. */
static void tables(void **state)
{
	static uint8_t pages[HULL_X86_TABLES][4096];
	static const uint64_t addresses[] = { 0,          0x1000,     0x1fffff,   0x200000,
		                              0x3fffffff, 0x40000000, 0xfee00123, 0xffffffff };
	const hull_gpa at = 0x9000;

	(void)state;
	for (unsigned i = 0; i < HULL_X86_TABLES; i++)
		hull_x86_page_table(i, at, pages[i]);
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		uint64_t entry = at | 1, a = addresses[i];

		for (int shift = 39; shift >= 21; shift -= 9) {
			uint64_t page = ((entry & ~UINT64_C(0xfff)) - at) / 4096;

			assert_true(page < HULL_X86_TABLES);
			entry = load_le64(pages[page] + (a >> shift & 511) * 8);
			assert_int_equal(entry & 3, 3);
		}
		assert_true(entry & 0x80);
		assert_int_equal((entry & ~UINT64_C(0x1fffff)) | (a & 0x1fffff), a);
	}
	assert_int_equal(load_le64(pages[0] + 8), 0);
}

/* An ELF file with one segment at 2 MiB and a note. */
static void elf(const uint8_t *note, size_t n)
{
	uint8_t *p = file + 64;

	memset(file, 0, sizeof(file));
	memcpy(file, "\x7f\x45LF\x02\x01\x01", 7);
	store_le16(file + 16, 2);
	store_le16(file + 18, 62);
	store_le64(file + 24, 2 * MIB + 0x40);
	store_le64(file + 32, 64);
	store_le16(file + 54, 56);
	store_le16(file + 56, 2);
	store_le32(p, 1);
	store_le64(p + 8, 4096);
	store_le64(p + 16, UINT64_C(0xffffffff80000000));
	store_le64(p + 24, 2 * MIB);
	store_le64(p + 32, 4096);
	store_le64(p + 40, 8192);
	store_le64(file + 24, UINT64_C(0xffffffff80000040));
	p += 56;
	store_le32(p, 4);
	store_le64(p + 8, 2048);
	store_le64(p + 32, n);
	memcpy(file + 2048, note, n);
}

static void pvh(void **state)
{
	/* A note of somebody else, of 5 and 3 bytes, then PHYS32_ENTRY. */
	static const uint8_t notes[] = { 5, 0,   0,   0,   3,   0,   0, 0,    18, 0,    0,
		                         0, 'O', 't', 'h', 'e', 0,   0, 0,    0,  1,    2,
		                         3, 0,   4,   0,   0,   0,   4, 0,    0,  0,    18,
		                         0, 0,   0,   'X', 'e', 'n', 0, 0x80, 0,  0x20, 0 };
	uint8_t bad[sizeof(notes)];
	struct hull_image_target t = target();

	(void)state;
	elf(notes, sizeof(notes));
	assert_int_equal(plan_exact(8192, &t), 0);
	assert_true(plan.pvh);
	assert_int_equal(plan.entry, 2 * MIB + 0x80);
	/* The user's own entry is in 64-bit mode. */
	t.has_entry = true;
	t.entry = 2 * MIB + 0x10;
	assert_int_equal(plan_exact(8192, &t), 0);
	assert_false(plan.pvh);
	t.has_entry = false;
	/* It moves with the file. */
	t.has_load = true;
	t.load = 4 * MIB;
	assert_int_equal(plan_exact(8192, &t), 0);
	assert_int_equal(plan.entry, 4 * MIB + 0x80);
	t.has_load = false;
	/* An entry outside what is loaded. */
	memcpy(bad, notes, sizeof(bad));
	bad[42] = 0x40;
	elf(bad, sizeof(bad));
	refused(8192, &t, 717, "entry point");
	/* Sizes that lead out of the file: no PVH, but a kernel. */
	for (unsigned i = 0; i < 32; i += 24) {
		memcpy(bad, notes, sizeof(bad));
		memset(bad + i, 0xff, 8);
		elf(bad, sizeof(bad));
		assert_int_equal(plan_exact(8192, &t), 0);
		assert_false(plan.pvh);
		assert_int_equal(plan.entry, 2 * MIB + 0x40);
	}
	/* A note segment that is longer than the file. */
	elf(notes, sizeof(notes));
	store_le64(file + 64 + 56 + 32, 1 << 20);
	assert_int_equal(plan_exact(8192, &t), 0);
	assert_false(plan.pvh);
	/* Tables of ours are below 1 MiB: nothing may be loaded over them. */
	store_le64(file + 64 + 24, 0x7000);
	refused(8192, &t, 715, "0x7000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bzimage),    cmocka_unit_test(hostile_headers),
		cmocka_unit_test(parameters), cmocka_unit_test(tables),
		cmocka_unit_test(pvh),
	};

	return cmocka_run_group_tests_name("x86boot", tests, NULL, NULL);
}
