/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Device trees: writer, reader and editor, judged by dtc where it is installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "fw/fdt.h"

static uint8_t blob[16384];
static uint8_t edited[16384];

/* A small machine in the style of the riscv64 board. */
static size_t build(void)
{
	struct hull_fdt_writer w;
	struct hull_err err;
	size_t size = 0;

	hull_fdt_begin(&w, blob, sizeof(blob));
	hull_fdt_reserve(&w, 0x80000000, 0x1000);
	hull_fdt_begin_node(&w, "");
	hull_fdt_prop_u32(&w, "#address-cells", 2);
	hull_fdt_prop_u32(&w, "#size-cells", 2);
	HULL_FDT_STRINGS(&w, "compatible", "hull,virt-riscv64", "riscv-virtio");
	hull_fdt_prop_string(&w, "model", "hull");
	hull_fdt_begin_node(&w, "chosen");
	hull_fdt_prop_string(&w, "bootargs", "old");
	hull_fdt_prop_u64(&w, "kaslr-seed", 1);
	hull_fdt_end_node(&w);
	hull_fdt_begin_node_at(&w, "memory", 0x80000000);
	hull_fdt_prop_string(&w, "device_type", "memory");
	HULL_FDT_U64S(&w, "reg", 0x80000000, 0x8000000);
	hull_fdt_end_node(&w);
	hull_fdt_begin_node(&w, "soc");
	hull_fdt_prop_u32(&w, "#address-cells", 2);
	hull_fdt_prop_u32(&w, "#size-cells", 2);
	hull_fdt_prop_string(&w, "compatible", "simple-bus");
	hull_fdt_prop_empty(&w, "ranges");
	hull_fdt_begin_node_at(&w, "interrupt-controller", 0xc000000);
	hull_fdt_prop_string(&w, "compatible", "sifive,plic-1.0.0");
	hull_fdt_prop_empty(&w, "interrupt-controller");
	hull_fdt_prop_u32(&w, "#interrupt-cells", 1);
	hull_fdt_prop_u32(&w, "#address-cells", 0);
	HULL_FDT_U64S(&w, "reg", 0xc000000, 0x600000);
	hull_fdt_prop_u32(&w, "phandle", 7);
	hull_fdt_end_node(&w);
	hull_fdt_begin_node_at(&w, "serial", 0x10000000);
	hull_fdt_prop_string(&w, "compatible", "ns16550a");
	HULL_FDT_CELLS(&w, "reg", 0, 0x10000000, 0, 0x100);
	HULL_FDT_CELLS(&w, "interrupts", 10);
	hull_fdt_prop_u32(&w, "interrupt-parent", 7);
	hull_fdt_prop_bytes(&w, "local-mac-address", "\x52\x54\0\x12\x34\x56", 6);
	hull_fdt_end_node(&w);
	hull_fdt_end_node(&w);
	hull_fdt_end_node(&w);
	assert_int_equal(hull_fdt_finish(&w, &size, &err), 0);
	return size;
}

/* Run dtc over a blob; its output must contain `want` and no warning. */
static void dtc_accepts(const uint8_t *data, size_t size, const char *want)
{
	char path[] = "/tmp/hull-fdt-XXXXXX", command[128], text[16384];
	size_t n;
	FILE *f;
	int fd;

	if (system("dtc --version >/dev/null 2>&1") != 0)
		skip();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	close(fd);
	snprintf(command, sizeof(command), "dtc -I dtb -O dts %s 2>&1", path);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	assert_int_equal(pclose(f), 0);
	unlink(path);
	if (strstr(text, "Warning") || !strstr(text, want))
		fail_msg("dtc: %s", text);
}

static void writer_satisfies_dtc(void **state)
{
	size_t size = build();

	dtc_accepts(blob, size, "local-mac-address = [52 54 00 12 34 56]");
	dtc_accepts(blob, size, "/memreserve/\t0x0000000080000000 0x0000000000001000");
}

static void round_trip(void **state)
{
	size_t size = build();
	struct hull_fdt t;
	struct hull_fdt_prop p = { 0 };
	uint32_t serial, v32;
	uint64_t a = 0, b = 0;
	int count = 0;

	assert_int_equal(hull_fdt_check(blob, size, &t, NULL), 0);
	serial = hull_fdt_find(&t, "/soc/serial@10000000");
	assert_int_not_equal(serial, HULL_FDT_NONE);
	assert_int_equal(hull_fdt_find(&t, "/soc/serial"), serial);
	assert_int_equal(hull_fdt_find(&t, "/soc/seria"), HULL_FDT_NONE);
	assert_int_equal(hull_fdt_find(&t, "/soc/serial@1000000"), HULL_FDT_NONE);
	assert_int_equal(hull_fdt_find(&t, "soc"), HULL_FDT_NONE);
	assert_int_equal(hull_fdt_find(&t, "/"), hull_fdt_root(&t));
	assert_string_equal(hull_fdt_name(&t, serial), "serial@10000000");
	assert_int_equal(hull_fdt_sibling(&t, serial), HULL_FDT_NONE);
	assert_int_equal(hull_fdt_child(&t, serial), HULL_FDT_NONE);
	assert_int_equal(hull_fdt_find_compatible(&t, HULL_FDT_NONE, "ns16550a"), serial);
	assert_int_equal(hull_fdt_find_compatible(&t, serial, "ns16550a"), HULL_FDT_NONE);
	assert_int_equal(hull_fdt_find_compatible(&t, HULL_FDT_NONE, "riscv-virtio"),
	                 hull_fdt_root(&t));
	assert_int_equal(hull_fdt_find_compatible(&t, HULL_FDT_NONE, "virtio"), HULL_FDT_NONE);
	assert_string_equal(hull_fdt_name(&t, hull_fdt_find_phandle(&t, 7)),
	                    "interrupt-controller@c000000");
	assert_int_equal(hull_fdt_find_phandle(&t, 8), HULL_FDT_NONE);
	assert_true(hull_fdt_get(&t, serial, "reg", &p));
	assert_true(hull_fdt_get_u64(&p, 0, &a) && hull_fdt_get_u64(&p, 1, &b));
	assert_int_equal(a, 0x10000000);
	assert_int_equal(b, 0x100);
	assert_false(hull_fdt_get_u64(&p, 2, &a));
	assert_true(hull_fdt_get_u32(&p, 3, &v32));
	assert_int_equal(v32, 0x100);
	assert_false(hull_fdt_get_u32(&p, 4, &v32));
	assert_true(hull_fdt_get(&t, hull_fdt_root(&t), "compatible", &p));
	assert_string_equal(hull_fdt_get_string(&p, 1), "riscv-virtio");
	assert_null(hull_fdt_get_string(&p, 2));
	memset(&p, 0, sizeof(p));
	while (hull_fdt_next_prop(&t, serial, &p))
		count++;
	assert_int_equal(count, 5);
	assert_true(hull_fdt_reservation(&t, 0, &a, &b));
	assert_int_equal(a, 0x80000000);
	assert_false(hull_fdt_reservation(&t, 1, &a, &b));
}

static void names_are_shared(void **state)
{
	size_t i, size = build(), hits = 0;

	for (i = 0; i + 10 <= size; i++)
		hits += !memcmp(blob + i, "compatible", 11);
	assert_int_equal(hits, 1);
}

static void small_buffers_fail_cleanly(void **state)
{
	size_t room, want = build();
	struct hull_fdt_writer w;
	struct hull_err err;
	uint8_t *buf;
	size_t size;
	int rc;

	for (room = 0; room <= 200; room++) {
		buf = malloc(room + 1);
		assert_non_null(buf);
		hull_fdt_begin(&w, buf, room);
		hull_fdt_begin_node(&w, "");
		hull_fdt_prop_string(&w, "model", "a long enough name");
		hull_fdt_prop_u32(&w, "phandle", 1);
		hull_fdt_end_node(&w);
		size = 99;
		rc = hull_fdt_finish(&w, &size, &err);
		assert_true(rc == 0 || (rc == HULL_EOVERFLOW && err.id == 732 && size == 99));
		if (!rc)
			assert_true(size <= room);
		free(buf);
	}
	assert_true(want > 200);
}

static void wrong_order_is_reported(void **state)
{
	struct hull_fdt_writer w;
	struct hull_err err;
	size_t size, variant;

	for (variant = 0; variant < 6; variant++) {
		hull_fdt_begin(&w, blob, sizeof(blob));
		if (variant == 0)
			hull_fdt_prop_u32(&w, "early", 1);
		hull_fdt_begin_node(&w, variant == 1 ? "named" : "");
		if (variant == 2)
			hull_fdt_reserve(&w, 0, 1);
		hull_fdt_begin_node(&w, "child");
		hull_fdt_end_node(&w);
		if (variant == 3)
			hull_fdt_prop_u32(&w, "late", 1);
		if (variant != 4)
			hull_fdt_end_node(&w);
		if (variant == 5)
			hull_fdt_end_node(&w);
		assert_int_equal(hull_fdt_finish(&w, &size, &err), HULL_ESTATE);
		assert_int_equal(err.id, 733);
	}
}

static void too_deep_is_refused_on_both_sides(void **state)
{
	struct hull_fdt_writer w;
	struct hull_err err;
	struct hull_fdt t;
	size_t size, i, at;

	hull_fdt_begin(&w, blob, sizeof(blob));
	for (i = 0; i <= HULL_FDT_MAX_DEPTH; i++)
		hull_fdt_begin_node(&w, i ? "n" : "");
	assert_int_equal(hull_fdt_finish(&w, &size, &err), HULL_EOVERFLOW);

	/* The same tree written by hand. */
	size = build();
	at = load_be32(blob + 8);
	for (i = 0; i <= HULL_FDT_MAX_DEPTH; i++, at += 8) {
		store_be32(blob + at, HULL_FDT_BEGIN_NODE);
		memcpy(blob + at + 4, i ? "n\0\0" : "\0\0\0", 4);
	}
	assert_int_equal(hull_fdt_check(blob, size, &t, &err), HULL_EFORMAT);
	assert_non_null(strstr(err.text, "deep"));
}

/* Touch everything that a reader would. */
static void walk(const struct hull_fdt *t, uint32_t node, unsigned depth)
{
	assert_true(depth <= HULL_FDT_MAX_DEPTH);
	for (; node != HULL_FDT_NONE; node = hull_fdt_sibling(t, node)) {
		struct hull_fdt_prop p = { 0 };

		while (hull_fdt_next_prop(t, node, &p)) {
			const char *s = hull_fdt_get_string(&p, 0);

			assert_true(!s || strlen(s) < p.len);
		}
		walk(t, hull_fdt_child(t, node), depth + 1);
	}
}

static void damaged_blobs_are_safe(void **state)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff, 0x04 };
	size_t size = build(), i, m;
	uint8_t *copy;
	struct hull_fdt t;
	struct hull_err err;

	for (i = 0; i < size; i++) {
		copy = malloc(i + 1); /* exact size, so that ASan sees an overrun */
		assert_non_null(copy);
		memcpy(copy, blob, i);
		assert_int_equal(hull_fdt_check(copy, i, &t, &err), HULL_EFORMAT);
		assert_true(err.id == 730 || err.id == 731);
		free(copy);
	}
	copy = malloc(size);
	assert_non_null(copy);
	for (i = 0; i < size; i++) {
		for (m = 0; m < ARRAY_LEN(masks); m++) {
			memcpy(copy, blob, size);
			copy[i] ^= masks[m];
			if (!hull_fdt_check(copy, size, &t, &err))
				walk(&t, hull_fdt_root(&t), 0);
		}
	}
	free(copy);
}

static const struct hull_fdt_range ram[] = { { 0x40000000, 0x1000 }, { 0x80000000, 0x40000000 } };

static const struct hull_fdt_edit full_edit = {
	.bootargs = "console=ttyS0 root=/dev/vda",
	.stdout_path = "/soc/serial@10000000",
	.initrd = { 0x84000000, 0x123456 },
	.rng_seed = "0123456789abcdef",
	.rng_seed_len = 16,
	.memory = ram,
	.memory_count = 2,
};

static void edits_replace_and_keep(void **state)
{
	size_t size = build(), out;
	struct hull_fdt t, e;
	struct hull_fdt_prop p;
	uint32_t chosen, memory;
	uint64_t v;

	assert_int_equal(hull_fdt_check(blob, size, &t, NULL), 0);
	assert_int_equal(hull_fdt_apply(&t, &full_edit, edited, sizeof(edited), &out, NULL), 0);
	assert_int_equal(hull_fdt_check(edited, out, &e, NULL), 0);
	chosen = hull_fdt_find(&e, "/chosen");
	assert_true(hull_fdt_get(&e, chosen, "bootargs", &p));
	assert_string_equal(hull_fdt_get_string(&p, 0), full_edit.bootargs);
	assert_true(hull_fdt_get(&e, chosen, "linux,initrd-end", &p));
	assert_true(hull_fdt_get_u64(&p, 0, &v));
	assert_int_equal(v, 0x84123456);
	assert_false(hull_fdt_get(&e, chosen, "kaslr-seed", &p));
	assert_true(hull_fdt_get(&e, chosen, "rng-seed", &p));
	assert_int_equal(p.len, 16);
	memory = hull_fdt_find(&e, "/memory");
	assert_string_equal(hull_fdt_name(&e, memory), "memory@40000000");
	assert_true(hull_fdt_get(&e, memory, "reg", &p));
	assert_int_equal(p.len, 32);
	assert_true(hull_fdt_get_u64(&p, 3, &v));
	assert_int_equal(v, 0x40000000);
	assert_int_not_equal(hull_fdt_find(&e, "/soc/serial@10000000"), HULL_FDT_NONE);
	assert_true(hull_fdt_reservation(&e, 0, &v, &v));
	dtc_accepts(edited, out, "stdout-path = \"/soc/serial@10000000\"");

	/* Nothing asked for: nothing but the layout of the blob may change. */
	assert_int_equal(hull_fdt_apply(&t, &(struct hull_fdt_edit){ 0 }, edited, sizeof(edited),
	                                &out, NULL),
	                 0);
	assert_int_equal(out, size);
	assert_memory_equal(edited, blob, size);
}

static void edits_create_what_is_missing(void **state)
{
	struct hull_fdt_writer w;
	struct hull_fdt t, e;
	struct hull_fdt_prop p;
	struct hull_err err;
	size_t size;

	hull_fdt_begin(&w, blob, sizeof(blob));
	hull_fdt_begin_node(&w, "");
	hull_fdt_prop_u32(&w, "#address-cells", 1);
	hull_fdt_prop_u32(&w, "#size-cells", 1);
	hull_fdt_end_node(&w);
	assert_int_equal(hull_fdt_finish(&w, &size, NULL), 0);
	assert_int_equal(hull_fdt_check(blob, size, &t, NULL), 0);
	assert_int_equal(hull_fdt_apply(&t, &full_edit, edited, sizeof(edited), &size, NULL), 0);
	assert_int_equal(hull_fdt_check(edited, size, &e, NULL), 0);
	assert_true(hull_fdt_get(&e, hull_fdt_find(&e, "/memory@40000000"), "reg", &p));
	assert_int_equal(p.len, 16);
	assert_true(hull_fdt_get(&e, hull_fdt_find(&e, "/chosen"), "bootargs", &p));

	/* One cell cannot hold 4 GiB. */
	struct hull_fdt_range big = { 0x100000000, 0x1000 };
	struct hull_fdt_edit edit = { .memory = &big, .memory_count = 1 };

	assert_int_equal(hull_fdt_apply(&t, &edit, edited, sizeof(edited), &size, &err),
	                 HULL_EINVAL);
	assert_int_equal(err.id, 734);
	assert_non_null(strstr(err.fix, "<2>"));
	/* Too little room for the copy. */
	assert_int_equal(hull_fdt_apply(&t, &full_edit, edited, 100, &size, &err), HULL_EOVERFLOW);
}

/* The most names and the most reservations that fit: neither may cost quadratic time. */
static void huge_trees_are_edited_quickly(void **state)
{
	uint8_t *from = malloc(HULL_FDT_MAX_SIZE), *to = malloc(HULL_FDT_MAX_SIZE);
	struct hull_fdt_writer w;
	struct hull_fdt t, e;
	char name[8] = { 0 };
	unsigned variant, i;
	clock_t start = clock();
	size_t size;

	assert_true(from && to);
	for (variant = 0; variant < 2; variant++) {
		hull_fdt_begin(&w, from, HULL_FDT_MAX_SIZE);
		for (i = 0; variant == 0 && i < 125000; i++)
			hull_fdt_reserve(&w, i, 1);
		hull_fdt_begin_node(&w, "");
		for (i = 0; variant == 1 && i < 110000; i++) {
			snprintf(name, sizeof(name), "%c%c%c", (int)(33 + i % 90),
			         (int)(33 + i / 90 % 90), (int)(33 + i / 8100));
			hull_fdt_prop_empty(&w, name);
		}
		hull_fdt_end_node(&w);
		assert_int_equal(hull_fdt_finish(&w, &size, NULL), 0);
		assert_int_equal(hull_fdt_check(from, size, &t, NULL), 0);
		assert_int_equal(hull_fdt_apply(&t, &full_edit, to, HULL_FDT_MAX_SIZE, &size, NULL),
		                 0);
		assert_int_equal(hull_fdt_check(to, size, &e, NULL), 0);
	}
	/* About one second with sanitizers on a slow machine; minutes if quadratic. */
	assert_true((clock() - start) / CLOCKS_PER_SEC < 30);
	free(from);
	free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writer_satisfies_dtc),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(names_are_shared),
		cmocka_unit_test(small_buffers_fail_cleanly),
		cmocka_unit_test(wrong_order_is_reported),
		cmocka_unit_test(too_deep_is_refused_on_both_sides),
		cmocka_unit_test(damaged_blobs_are_safe),
		cmocka_unit_test(edits_replace_and_keep),
		cmocka_unit_test(edits_create_what_is_missing),
		cmocka_unit_test(huge_trees_are_edited_quickly),
	};

	return cmocka_run_group_tests_name("fdt", tests, NULL, NULL);
}
