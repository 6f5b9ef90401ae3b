/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Kernel images: recognition, plans, hostile headers, placement, symbols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "fw/boot.h"
#include "fw/elf.h"
#include "host/file.h"

#define RAM UINT64_C(0x80000000)
#define MIB (UINT64_C(1) << 20)

static uint8_t file[8192];
static struct hull_image_plan plan;
static struct hull_err err;

static struct hull_image_target target(enum hull_isa isa)
{
	return (struct hull_image_target){
		.name = "vmlinuz", .isa = isa, .ram_base = RAM, .ram_size = 128 * MIB
	};
}

/* Plan from an allocation of exactly `size` bytes, so that ASan sees an overrun. */
static int plan_exact(size_t size, const struct hull_image_target *t)
{
	uint8_t *copy = malloc(size ? size : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, file, size);
	memset(&err, 0, sizeof(err));
	rc = hull_image_plan(copy, size, t, &plan, &err);
	free(copy);
	return rc;
}

static void expect_error(size_t size, const struct hull_image_target *t, int id, const char *text)
{
	assert_true(plan_exact(size, t) < 0);
	if (err.id != id || !strstr(err.text, text))
		fail_msg("E%04d: %s (wanted E%04d: %s)", err.id, err.text, id, text);
}

static void linux_header(const char *magic, uint64_t text_offset, uint64_t image_size)
{
	memset(file, 0, sizeof(file));
	store_le64(file + 8, text_offset);
	store_le64(file + 16, image_size);
	memcpy(file + 0x38, magic, 4);
}

static void riscv_image(void **state)
{
	struct hull_image_target t = target(HULL_ISA_RISCV64);

	linux_header("RSC\x05", 0x200000, 20 * MIB);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_RISCV);
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.entry, RAM + 0x200000);
	assert_int_equal(plan.segments[0].file_bytes, 4096);
	assert_int_equal(plan.span, 20 * MIB);

	/* Recognised by the old magic alone, too. */
	memset(file + 0x38, 0, 4);
	memcpy(file + 0x30, "RISCV", 5);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_RISCV);

	/* RAM that starts off a boundary: the kernel goes to the next one. */
	t.ram_base += 4096;
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.entry, RAM + 0x400000);

	t = target(HULL_ISA_RISCV64);
	t.has_load = true;
	t.load = RAM + 0x400000;
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.entry, t.load);
	t.load += 4096;
	expect_error(4096, &t, 715, "multiple of 2048 KiB");
	t.has_load = false;
	t.has_entry = true;
	t.entry = RAM;
	expect_error(4096, &t, 717, "0x80000000");
}

static void hostile_linux_headers(void **state)
{
	struct hull_image_target t = target(HULL_ISA_RISCV64);

	linux_header("RSC\x05", 0x200000, 0);
	expect_error(4096, &t, 714, "image_size");
	linux_header("RSC\x05", 0x200000, BIT(63));
	expect_error(4096, &t, 715, "128 MiB");
	assert_string_equal(err.fix, "no memory size is enough; check the file");
	linux_header("RSC\x05", 0x200000, 126 * MIB + 1);
	expect_error(4096, &t, 715, "128 MiB");
	assert_string_equal(err.fix, "--memory 256M");
	linux_header("RSC\x05", 0x200000, 20 * MIB);
	t.ram_size = MIB;
	expect_error(4096, &t, 715, "1 MiB");
	assert_string_equal(err.fix, "--memory 32M");
	t.ram_size = 128 * MIB;
	linux_header("RSC\x05", UINT64_MAX - 100, 4096);
	expect_error(4096, &t, 714, "text_offset");
	linux_header("RSC\x05", BIT(63), UINT64_MAX);
	expect_error(4096, &t, 715, "0x80000000");
	linux_header("RSC\x05", 0x200000, 20 * MIB);
	file[24] = 1;
	expect_error(4096, &t, 712, "big-endian");
	/* The file is longer than it says: all of it is loaded and accounted for. */
	linux_header("RSC\x05", 0x200000, 100);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.span, 4096);
	t.ram_base = UINT64_MAX - MIB + 1;
	t.ram_size = MIB;
	expect_error(4096, &t, 714, "out of range");
	t.ram_size = MIB + 1;
	expect_error(4096, &t, 715, "no memory");
	t.ram_size = 0;
	expect_error(4096, &t, 715, "no memory");
}

/* A PE header as the EFI stub has it: one section up to `end`. */
static void truncated_efi_stub(void **state)
{
	struct hull_image_target t = target(HULL_ISA_AARCH64);

	linux_header("ARM\x64", 0, 20 * MIB);
	memcpy(file, "MZ", 2);
	store_le32(file + 0x3c, 0x40);
	memcpy(file + 0x40, "PE\0\0", 4);
	store_le16(file + 0x46, 1);
	store_le32(file + 0x40 + 24 + 16, 4000);
	store_le32(file + 0x40 + 24 + 20, 96);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_ARM64);
	expect_error(4095, &t, 713, "truncated");
	store_le32(file + 0x3c, UINT32_MAX);
	assert_int_equal(plan_exact(4096, &t), 0);
	expect_error(63, &t, 713, "truncated");
}

static void wrong_architecture(void **state)
{
	struct hull_image_target t = target(HULL_ISA_X86_64);

	linux_header("ARM\x64", 0, MIB);
	expect_error(4096, &t, 104, "vmlinuz is an aarch64 kernel, but the machine is x86_64");
	linux_header("RSC\x05", 0, MIB);
	expect_error(4096, &t, 104, "a riscv64 kernel");
	t.isa = HULL_ISA_RISCV64;
	memset(file, 0, sizeof(file));
	memcpy(file + 0x202, "HdrS\x0f\x02", 6);
	expect_error(4096, &t, 104, "an x86_64 kernel");
	t.isa = HULL_ISA_X86_64;
	expect_error(4096, &t, 714, "boot_flag");
	assert_true(hull_image_probe(file, 4096).has_isa);
}

static void other_files_are_named(void **state)
{
	static const struct {
		const char *bytes, *name;
		int len, id;
	} cases[] = {
		{ "\x1f\x8b\x08", "gzip", 3, 711 },
		{ "\xfd\x37zXZ\0", "xz", 6, 711 },
		{ "\x28\xb5\x2f\xfd", "zstd", 4, 711 },
		{ "BZh9", "bzip2", 4, 711 },
		{ "\x02\x21\x4c\x18", "lz4", 4, 711 },
		{ "MZ\0\0zimg", "self-extracting", 8, 711 },
		{ "MZ\x90", "EFI program", 3, 712 },
		{ "\xd0\x0d\xfe\xed", "device tree", 4, 712 },
		{ "QFI\xfb", "qcow2", 4, 712 },
		{ "070701", "initrd", 6, 712 },
		{ "#!/bin/sh", "script", 9, 712 },
	};
	struct hull_image_target t = target(HULL_ISA_RISCV64);
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		memset(file, 0, sizeof(file));
		memcpy(file, cases[i].bytes, (size_t)cases[i].len);
		expect_error(4096, &t, cases[i].id, cases[i].name);
		assert_true(err.fix[0]);
	}
	expect_error(0, &t, 710, "empty");
}

static void raw_binary(void **state)
{
	struct hull_image_target t = target(HULL_ISA_RISCV64);

	memset(file, 0x13, sizeof(file));
	assert_int_equal(plan_exact(1, &t), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_RAW);
	assert_int_equal(plan.entry, RAM);
	assert_int_equal(plan.span, 1);
	t.has_load = t.has_entry = true;
	t.load = RAM + 0x1000;
	t.entry = RAM + 0x1ffe;
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.entry, RAM + 0x1ffe);
	t.entry = RAM + 0x2000;
	expect_error(4096, &t, 717, "0x80002000");
	t.load = RAM + 128 * MIB - 4095;
	expect_error(4096, &t, 715, "needs 4 KiB");
	t.load = UINT64_MAX - 10;
	expect_error(4096, &t, 715, "0xfffffffffffffff5");
}

struct load {
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

static void elf(uint16_t type, uint16_t machine, uint64_t entry, const struct load *l, size_t n)
{
	size_t i;

	memset(file, 0, sizeof(file));
	memcpy(file, "\x7f\x45LF\x02\x01\x01", 7);
	store_le16(file + 16, type);
	store_le16(file + 18, machine);
	store_le64(file + 24, entry);
	store_le64(file + 32, 64);
	store_le16(file + 54, 56);
	store_le16(file + 56, (uint16_t)n);
	for (i = 0; i < n; i++) {
		uint8_t *p = file + 64 + 56 * i;

		store_le32(p, 1);
		store_le64(p + 8, l[i].offset);
		store_le64(p + 16, l[i].vaddr);
		store_le64(p + 24, l[i].paddr);
		store_le64(p + 32, l[i].filesz);
		store_le64(p + 40, l[i].memsz);
	}
}

#define KERNEL_VA UINT64_C(0xffffffff80000000)

static void elf_segments(void **state)
{
	static const struct load two[] = {
		{ 0x400, KERNEL_VA, RAM + 0x200000, 0x100, 0x100 },
		{ 0x500, KERNEL_VA + 0x1000, RAM + 0x201000, 0x10, 0x2000 },
	};
	struct hull_image_target t = target(HULL_ISA_RISCV64);

	elf(2, 243, KERNEL_VA + 0x40, two, 2);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_ELF);
	assert_int_equal(plan.entry, RAM + 0x200040);
	assert_int_equal(plan.count, 2);
	assert_int_equal(plan.low, RAM + 0x200000);
	assert_int_equal(plan.span, 0x3000);
	assert_int_equal(plan.segments[1].mem_bytes, 0x2000);
	/* An entry given as a physical address. */
	elf(2, 243, RAM + 0x200040, two, 2);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.entry, RAM + 0x200040);
	/* Moved by the user. */
	t.has_load = true;
	t.load = RAM + 0x1000000;
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.entry, RAM + 0x1000040);
	t.has_load = false;
	/* The entry in the zero-filled tail would run zeros. */
	elf(2, 243, KERNEL_VA + 0x1800, two, 2);
	expect_error(4096, &t, 717, "outside");
	elf(2, 243, 0x1234, two, 2);
	expect_error(4096, &t, 717, "0x1234");
}

static void elf_position_independent(void **state)
{
	static const struct load low[] = { { 0x400, 0x1000, 0x1000, 0x100, 0x100 } };
	struct hull_image_target t = target(HULL_ISA_AARCH64);

	elf(3, 183, 0x1010, low, 1);
	assert_int_equal(plan_exact(4096, &t), 0);
	assert_int_equal(plan.entry, RAM + 0x1010);
	elf(2, 183, 0x1010, low, 1);
	expect_error(4096, &t, 715, "0x1000");
	assert_non_null(strstr(err.fix, "0x80000000"));
}

static void hostile_elf_segments(void **state)
{
	static const struct {
		struct load l[2];
		int id;
	} cases[] = {
		{ { { 0, RAM, RAM, 16, 16 }, { 0, RAM, RAM + 15, 16, 16 } }, 716 },
		{ { { 0, RAM, RAM, 16, 16 }, { 0, RAM, RAM, 0, 1 } }, 716 },
		{ { { 0, RAM, RAM, 16, 16 }, { 0, RAM, RAM + 16, 17, 16 } }, 714 },
		{ { { 0, RAM, RAM, 16, 16 }, { 0, RAM, RAM + 16, 1, 0 } }, 714 },
		{ { { 0, RAM, RAM, 16, 16 }, { 0, RAM, RAM + 16, 0, BIT(63) } }, 715 },
		{ { { 0, RAM, RAM, 16, 16 }, { 0, RAM, RAM + 16, 0, UINT64_MAX } }, 715 },
		{ { { 0, RAM, RAM, 16, 16 }, { 0, 0, UINT64_MAX, 0, 1 } }, 715 },
		{ { { 0, RAM, RAM, 16, 16 }, { BIT(63), 0, RAM + 16, BIT(63), BIT(63) } }, 713 },
		{ { { 0, RAM, RAM, 16, 16 }, { UINT64_MAX, 0, RAM + 16, 2, 2 } }, 713 },
		{ { { 0, RAM, RAM, 16, 16 }, { 4090, 0, RAM + 16, 7, 7 } }, 713 },
		{ { { 0, RAM, RAM - 1, 16, 16 }, { 0 } }, 715 },
		{ { { 0, RAM, RAM, 0, 0 }, { 0 } }, 714 },
	};
	struct hull_image_target t = target(HULL_ISA_RISCV64);
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		elf(2, 243, RAM, cases[i].l, 2);
		expect_error(4096, &t, cases[i].id, "");
	}
}

static void hostile_elf_headers(void **state)
{
	static const struct load one[] = { { 0x400, RAM, RAM, 16, 16 } };
	struct hull_image_target t = target(HULL_ISA_RISCV64);
	size_t size;

	elf(1, 243, RAM, one, 1);
	expect_error(4096, &t, 712, "object file");
	elf(4, 243, RAM, one, 1);
	expect_error(4096, &t, 712, "not executable");
	elf(2, 40, RAM, one, 1);
	file[4] = 1;
	expect_error(4096, &t, 104, "32-bit Arm");
	elf(2, 243, RAM, one, 1);
	file[4] = 1;
	expect_error(4096, &t, 712, "32-bit");
	elf(2, 9999, RAM, one, 1);
	expect_error(4096, &t, 104, "9999");
	elf(2, 62, RAM, one, 1);
	expect_error(4096, &t, 104, "x86_64");
	elf(2, 243, RAM, one, 1);
	file[5] = 2;
	expect_error(4096, &t, 712, "big-endian");
	elf(2, 243, RAM, one, 0);
	expect_error(4096, &t, 714, "nothing to load");
	elf(2, 243, RAM, one, 1);
	store_le16(file + 56, 0xffff);
	expect_error(4096, &t, 714, "too many");
	elf(2, 243, RAM, one, 1);
	store_le64(file + 32, UINT64_MAX - 10);
	expect_error(4096, &t, 713, "program headers");
	elf(2, 243, RAM, one, 1);
	store_le16(file + 54, 32);
	expect_error(4096, &t, 714, "unknown size");
	elf(2, 243, RAM, one, 1);
	store_le32(file + 64, 3);
	expect_error(4096, &t, 712, "operating system");
	/* Every truncation of a good file is an error or, from 0x410 bytes on, a plan. */
	elf(2, 243, RAM, one, 1);
	for (size = 4; size < 4096; size++)
		assert_int_equal(!plan_exact(size, &t), size >= 0x410);
}

/* The Debian kernel that the guest tests fetch, if it is there. */
static void a_real_kernel(void **state)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	struct hull_image_target t = target(HULL_ISA_RISCV64);
	struct hull_file kernel;
	char path[512];

	snprintf(path, sizeof(path), "%s%s/hull/riscv64-1/Image",
	         cache  ? cache
	         : home ? home
	                : "",
	         cache ? "" : "/.cache");
	if (hull_file_read_kernel(path, HULL_FILE_MAX_IMAGE, &kernel, &err))
		skip();
	assert_int_equal(hull_image_plan(kernel.data, kernel.size, &t, &plan, &err), 0);
	assert_int_equal(plan.kind, HULL_IMAGE_RISCV);
	assert_int_equal(plan.entry, RAM + 2 * MIB);
	assert_true(plan.span >= kernel.size);
	/* The PE section table tells that one byte is missing. */
	assert_int_equal(hull_image_plan(kernel.data, kernel.size - 1, &t, &plan, &err),
	                 HULL_EFORMAT);
	assert_int_equal(err.id, 713);
	t.isa = HULL_ISA_AARCH64;
	assert_true(hull_image_plan(kernel.data, kernel.size, &t, &plan, &err) < 0);
	assert_int_equal(err.id, 104);
	hull_file_free(&kernel);
}

static void symbols(void **state)
{
	static const struct {
		uint32_t name;
		uint8_t info;
		uint16_t section;
		uint64_t value, size;
	} table[] = {
		{ 0, 0, 0, 0, 0 },
		{ 1, 2, 1, 0x1000, 0x100 },
		{ 7, 0, 1, 0x1000, 0 },
		{ 13, 0, 1, 0x1010, 0 },
		{ 16, 2, 1, 0x2000, 0 },
		{ 1, 1, 1, 0x3000, 0x100 },
		{ 0xffffff, 2, 1, 0x4000, 4 },
		{ 1, 2, 0, 0x5000, 4 },
	};
	static const char names[] = "\0panic\0label\0$x\0open";
	struct hull_elf_symbol s;
	size_t i;

	elf(2, 243, 0, NULL, 0);
	store_le64(file + 40, 0x100);
	store_le16(file + 58, 64);
	store_le16(file + 60, 3);
	store_le32(file + 0x140 + 4, 2); /* section 1: symbols, with names in section 2 */
	store_le64(file + 0x140 + 24, 0x400);
	store_le64(file + 0x140 + 32, sizeof(table) / sizeof(table[0]) * 24);
	store_le32(file + 0x140 + 40, 2);
	store_le64(file + 0x140 + 56, 24);
	store_le64(file + 0x180 + 24, 0x800);
	store_le64(file + 0x180 + 32, sizeof(names));
	memcpy(file + 0x800, names, sizeof(names));
	for (i = 0; i < ARRAY_LEN(table); i++) {
		uint8_t *p = file + 0x400 + 24 * i;

		store_le32(p, table[i].name);
		p[4] = table[i].info;
		store_le16(p + 6, table[i].section);
		store_le64(p + 8, table[i].value);
		store_le64(p + 16, table[i].size);
	}
	assert_true(hull_elf_symbol_at(file, sizeof(file), 0x1018, &s));
	assert_string_equal(s.name, "panic");
	assert_int_equal(s.value, 0x1000);
	assert_true(hull_elf_symbol_at(file, sizeof(file), 0x10ff, &s));
	assert_string_equal(s.name, "panic");
	assert_true(hull_elf_symbol_at(file, sizeof(file), 0x1100, &s));
	assert_string_equal(s.name, "label");
	assert_true(hull_elf_symbol_at(file, sizeof(file), 0x3004, &s));
	assert_string_equal(s.name, "open");
	assert_false(hull_elf_symbol_at(file, sizeof(file), 0xfff, &s));
	store_le64(file + 0x180 + 32, UINT64_MAX);
	assert_false(hull_elf_symbol_at(file, sizeof(file), 0x1000, &s));
	store_le64(file + 40, UINT64_MAX - 64);
	assert_false(hull_elf_symbol_at(file, sizeof(file), 0x1000, &s));
	assert_false(hull_elf_symbol_at(file, 10, 0x1000, &s));
}

static struct hull_boot_request request(uint64_t ram, uint64_t initrd, uint64_t dtb)
{
	plan.low = RAM + 2 * MIB;
	plan.span = 20 * MIB + 1;
	return (struct hull_boot_request){ .ram_base = RAM,
		                           .ram_size = ram,
		                           .kernel = &plan,
		                           .initrd_bytes = initrd,
		                           .dtb_bytes = dtb };
}

static void layout(void **state)
{
	struct hull_boot_request r = request(128 * MIB, 30 * MIB + 1, 10000);
	struct hull_boot_layout l;

	assert_int_equal(hull_boot_layout(&r, &l, &err), 0);
	assert_int_equal(l.initrd.start, RAM + 24 * MIB);
	assert_int_equal(l.dtb.start, RAM + 56 * MIB);

	/* Just enough at page alignment. */
	r = request(2 * MIB + 20 * MIB + 4096 + 5 * MIB + 8192, 5 * MIB + 4096, 4096);
	assert_int_equal(hull_boot_layout(&r, &l, &err), 0);
	assert_int_equal(l.initrd.start, RAM + 22 * MIB + 4096);
	/* A tree fits in the 2 MiB below the kernel. */
	assert_int_equal(l.dtb.start, RAM);

	r = request(128 * MIB, 110 * MIB, 0);
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
	assert_int_equal(err.id, 720);
	assert_string_equal(err.text, "an initrd of 110 MiB does not fit in 128 MiB of memory "
	                              "beside the kernel (21 MiB)");
	assert_string_equal(err.fix, "--memory 256M");
	r = request(128 * MIB, UINT64_MAX, 0);
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
	assert_non_null(strstr(err.fix, "no memory size"));
	r = request(128 * MIB, 0, 107 * MIB);
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
	assert_int_equal(err.id, 721);
	r = request(10 * MIB, 0, 1);
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
	assert_int_equal(err.id, 722);
}

static void layout_leaves_reserved_places(void **state)
{
	struct hull_boot_request r = request(128 * MIB, 3 * MIB, 4096);
	struct hull_boot_layout l;

	r.reserved = (struct hull_fdt_range){ RAM + 26 * MIB, 4096 };
	assert_int_equal(hull_boot_layout(&r, &l, &err), 0);
	assert_int_equal(l.initrd.start, RAM + 28 * MIB);
	assert_int_equal(l.dtb.start, RAM + 24 * MIB);
}

static void layout_with_fixed_places(void **state)
{
	struct hull_boot_request r = request(128 * MIB, MIB, 4096);
	struct hull_boot_layout l;

	r.has_dtb_at = true;
	r.dtb_at = RAM + 24 * MIB;
	assert_int_equal(hull_boot_layout(&r, &l, &err), 0);
	assert_int_equal(l.dtb.start, RAM + 24 * MIB);
	assert_int_equal(l.initrd.start, RAM + 26 * MIB);
	r.dtb_at = RAM + 10 * MIB;
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
	assert_int_equal(err.id, 723);
	r.dtb_at = RAM + 128 * MIB - 4095;
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
	assert_int_equal(err.id, 723);
	r.dtb_at = RAM + 128 * MIB - 4096;
	r.has_initrd_at = true;
	r.initrd_at = r.dtb_at - MIB;
	assert_int_equal(hull_boot_layout(&r, &l, &err), 0);
	r.initrd_at++;
	assert_int_equal(hull_boot_layout(&r, &l, &err), HULL_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(riscv_image),
		cmocka_unit_test(hostile_linux_headers),
		cmocka_unit_test(truncated_efi_stub),
		cmocka_unit_test(wrong_architecture),
		cmocka_unit_test(other_files_are_named),
		cmocka_unit_test(raw_binary),
		cmocka_unit_test(elf_segments),
		cmocka_unit_test(elf_position_independent),
		cmocka_unit_test(hostile_elf_segments),
		cmocka_unit_test(hostile_elf_headers),
		cmocka_unit_test(a_real_kernel),
		cmocka_unit_test(symbols),
		cmocka_unit_test(layout),
		cmocka_unit_test(layout_leaves_reserved_places),
		cmocka_unit_test(layout_with_fixed_places),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
