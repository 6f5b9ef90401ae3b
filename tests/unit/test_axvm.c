/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "manage/axvm.h"
#include "manage/toml_file.h"

static struct hull_options o;
static struct hull_err err;
static char notes[2048];

static int setup(void **state)
{
	notes[0] = 0;
	return hull_options_init(&o, &err);
}

static int teardown(void **state)
{
	hull_options_free(&o);
	return 0;
}

static void collect(void *arg, const char *text)
{
	size_t n = strlen(notes);

	hull_format(notes + n, sizeof(notes) - n, "%s\n", text);
}

static int import(const char *text)
{
	struct hull_toml_input in = { .name = "ax.toml", .text = text, .size = strlen(text) };
	struct hull_toml_file file;
	int ret = hull_toml_file_parse(&in, &file, &err);

	assert_int_equal(ret, 0);
	ret = hull_axvm_import(&o, "ax.toml", file.root, collect, NULL, &err);
	hull_toml_file_free(&file);
	return ret;
}

static const char linux_guest[] = "[base]\nid = 1\nname = \"linux\"\nvm_type = 2\ncpu_num = 2\n"
				  "phys_cpu_ids = [0x200, 0x300]\nphys_cpu_sets = [0x101, 2]\n"
				  "[kernel]\nentry_point = 0x8008_0000\nimage_location = \"fs\"\n"
				  "kernel_path = \"/boot/Image\"\nkernel_load_addr = 0x8008_0000\n"
				  "dtb_path = \"g.dtb\"\ndtb_load_addr = 0x8000_0000\n"
				  "ramdisk_path = \"rd\"\nramdisk_load_addr = 0x8a00_0000\n"
				  "cmdline = \"console=ttyAMA0\"\ndisk_path = \"d.img\"\n"
				  "memory_regions = [\n [0x8000_0000, 0x1000_0000, 0x7, 1],\n"
				  " [0x7d00_0000, 0x10_0000, 0x23, 2],\n]\n"
				  "[devices]\nemu_devices = [\n"
				  " [\"gic\", 0x800_0000, 0x1_0000, 0, 0x1, []],\n"
				  " [\"con\", 0x900_0000, 0x1000, 33, 0x2, []],\n"
				  " [\"chan\", 0xa00_0000, 0x1_0000, 77, 0xA, [4, 5]],\n"
				  " [\"gicr\", 0x80a_0000, 0x2_0000, 0, 0x20, [1, 0x2_0000, 0]],\n"
				  " [\"odd\", 0, 0x1000, 0, 0x77, []],\n]\n"
				  "passthrough_devices = [\n [\"/soc\"],\n"
				  " [\"uart\", 0x2804_0000, 0x2805_0000, 0x1000, 84],\n]\n"
				  "passthrough_addresses = [[0x3000_0000, 0x2000]]\n"
				  "excluded_devices = [[\"/gic\"], [\"/timer\"]]\n"
				  "interrupt_mode = \"pt\"\nfuture = 1\n[more]\nx = 1\n";

static void whole_file(void **state)
{
	assert_int_equal(import(linux_guest), 0);
	assert_int_equal(hull_options_check(&o, &err), 0);
	assert_string_equal(hull_options_text(&o, HULL_OPT_VM_NAME), "linux");
	assert_string_equal(hull_options_text(&o, HULL_OPT_VM_KIND), "linux");
	assert_int_equal(o.value[HULL_OPT_CPU_PHYS_IDS].nums[1], 0x300);
	assert_int_equal(o.value[HULL_OPT_CPU_AFFINITY].nums[0], 0x101);
	assert_int_equal(hull_options_num(&o, HULL_OPT_BOOT_ENTRY), 0x80080000);
	assert_int_equal(hull_options_num(&o, HULL_OPT_BOOT_AP_ENTRY), 0x80080000);
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_KERNEL_SOURCE), "fs");
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_INITRD), "rd");
	assert_string_equal(hull_options_text(&o, HULL_OPT_MACHINE_IRQ_MODE), "passthrough");
	assert_int_equal(o.nitems[HULL_GROUP_REGION], 2);
	assert_string_equal(hull_options_item(&o, HULL_OPT_REGION_MAP, 0)->text, "identical");
	assert_string_equal(hull_options_item(&o, HULL_OPT_REGION_PERM, 1)->text, "rw");
	assert_string_equal(hull_options_item(&o, HULL_OPT_REGION_CACHE, 1)->text, "uncached");
	assert_int_equal(hull_options_item(&o, HULL_OPT_REGION_HPA, 1)->num, 0x7d000000);
	assert_int_equal(o.nitems[HULL_GROUP_DEVICE], 2);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DEVICE_TYPE, 0)->text, "ivc");
	assert_int_equal(hull_options_item(&o, HULL_OPT_DEVICE_OPTS, 0)->pairs[1].num, 5);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DEVICE_TYPE, 1)->text, "gppt-redist");
	assert_string_equal(hull_options_item(&o, HULL_OPT_SERIAL_TO, 0)->text, "stdio");
	assert_int_equal(o.nitems[HULL_GROUP_PASSTHROUGH], 3);
	assert_int_equal(hull_options_item(&o, HULL_OPT_PASSTHROUGH_EXCLUDE, 0)->count, 2);
	assert_int_equal(hull_options_item(&o, HULL_OPT_PASSTHROUGH_HPA, 1)->num, 0x28050000);
	assert_int_equal(hull_options_item(&o, HULL_OPT_PASSTHROUGH_SIZE, 2)->num, 0x2000);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 0)->text, "d.img");
	assert_string_equal(notes, "device \"gic\" in line 25 is left out: the board has one\n"
	                           "device \"odd\" in line 29 has the unknown type 0x77\n"
	                           "devices.future in line 38 has no counterpart\n"
	                           "[more] in line 39 has no counterpart\n");
}

/* Our form of the file means the same. */
static void written_form_loads(void **state)
{
	struct hull_toml_input in = { .name = "x.toml" };
	struct hull_options again;
	char *text[2] = { NULL };
	size_t size;
	FILE *f;

	assert_int_equal(import(linux_guest), 0);
	f = open_memstream(&text[0], &size);
	hull_options_write_toml(&o, HULL_ORIGIN_FILE, f);
	fclose(f);
	in.text = text[0];
	in.size = size;
	assert_int_equal(hull_options_init(&again, &err), 0);
	assert_int_equal(hull_options_parse_toml(&again, &in, HULL_ORIGIN_FILE, &err), 0);
	f = open_memstream(&text[1], &size);
	hull_options_write_toml(&again, HULL_ORIGIN_FILE, f);
	fclose(f);
	assert_string_equal(text[0], text[1]);
	hull_options_free(&again);
	free(text[0]);
	free(text[1]);
}

#define BASE "[base]\nname='x'\n[kernel]\n"

static void malformed_files(void **state)
{
	static const struct {
		const char *toml;
		unsigned line;
		uint16_t id;
		const char *text;
	} rows[] = {
		{ "[vm]\nname='x'", 0, 112, "no [base] and [kernel]" },
		{ "[base]\ncpu_num = 99\n[kernel]", 2, 5, "cpu_num = 99 is too large" },
		{ "[base]\nname = 5\n[kernel]", 2, 106, "name cannot be an integer" },
		{ "[base]\nphys_cpu_sets = [0]\n[kernel]", 2, 112, "above 0" },
		{ "[base]\nphys_cpu_sets = 3\n[kernel]", 2, 112, "not a list" },
		{ BASE "image_location = 'net'", 4, 112, "image_location" },
		{ BASE "memory_regions = [[1,2]]", 4, 112, "a memory region is" },
		{ BASE "memory_regions = 4", 4, 112, "list of lists" },
		{ BASE "memory_regions = [[0x1000,0x1000,2,0]]", 4, 112, "flags" },
		{ BASE "memory_regions = [[0x1000,0x1000,7,3]]", 4, 112, "map_type" },
		{ BASE "memory_regions = [[0x1000,0,7,0]]", 4, 5, "too small" },
		{ BASE "memory_regions = [['a',4096,7,0]]", 4, 4, "not a number" },
		{ BASE "[devices]\nemu_devices = [[]]", 5, 112, "a device is" },
		{ BASE "[devices]\nemu_devices = [['a',1,2,3,10,[[]]]]", 5, 112, "not a number" },
		{ BASE "[devices]\nemu_devices = [['a',1,2,3,10,7]]", 5, 112, "at most 8" },
		{ BASE "[devices]\npassthrough_devices = [[1]]", 5, 112, "a passthrough device" },
		{ BASE "[devices]\npassthrough_addresses = [[1]]", 5, 112,
		  "a passthrough address" },
		{ BASE "[devices]\nexcluded_devices = [[1]]", 5, 112, "excluded_devices" },
		{ BASE "[devices]\ninterrupt_mode = 'x'", 5, 6, "interrupt_mode = x" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char where[32] = "";

		hull_options_free(&o);
		assert_int_equal(hull_options_init(&o, &err), 0);
		if (rows[i].line)
			hull_format(where, sizeof(where), "line %u", rows[i].line);
		if (import(rows[i].toml) >= 0 || err.id != rows[i].id ||
		    !strstr(err.text, rows[i].text) || !strstr(err.where, where))
			fail_msg("%s\nE%04u %s (%s)", rows[i].toml, err.id, err.text, err.where);
	}
}

static void leftovers_are_noted(void **state)
{
	assert_int_equal(import("base = 5\n[kernel]\n[devices]\nexcluded_devices=[['/a']]"), 0);
	assert_string_equal(notes,
	                    "[base] in line 1 has no counterpart\nexcluded_devices in line 4 is "
	                    "left out: no device-tree node is passed on\n");
	notes[0] = 0;
	assert_int_equal(import("[base]\nvm_type = 9\n[kernel]"), 0);
	assert_string_equal(notes, "vm_type in line 2 is none of 0, 1, 2: vm.kind stays general\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole_file),
		TEST(written_form_loads),
		TEST(malformed_files),
		TEST(leftovers_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
