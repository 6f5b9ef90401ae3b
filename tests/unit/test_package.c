/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Packages of VMs: what is written is read again, and nothing else is believed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/text.h"
#include "core/package.h"

enum { SIZE = 1 << 17, TOTAL = 1 << 16 };

static struct hull_package_vm vms[2], got;
static uint8_t buf[SIZE];

static size_t make(void)
{
	static struct hull_region_config ram = { .gpa = 0x40000000,
		                                 .size = 1 << 20,
		                                 .attr = HULL_MEM_R };
	static struct hull_device_config d = {
		.type = "pl011", .name = "serial0", .irq = 5, .nargs = 1, .args = { 7 }
	};
	static struct hull_passthrough_config p = {
		.name = "nic", .gpa = 0x10000000, .hpa = 0x20000000, .size = 4096, .irq = 70
	};
	static struct hull_device_config disk = { .type = "virtio-blk",
		                                  .name = "disk0",
		                                  .bus = HULL_BUS_PCI };
	static struct hull_device_config card = { .type = "virtio-net", .name = "net0" };
	size_t n;

	memset(vms, 0, sizeof(vms));
	memset(buf, 0, sizeof(buf));
	for (unsigned i = 0; i < 2; i++) {
		hull_config_init(&vms[i].config, HULL_ISA_AARCH64, i ? "two" : "one");
		vms[i].config.cpu_num = 1 + i;
		vms[i].ram_bytes = UINT64_C(256) << 20;
		hull_text_copy(vms[i].cmdline, sizeof(vms[i].cmdline), "console=ttyAMA0");
		vms[i].file[HULL_PACKAGE_KERNEL].offset = 40960 + i * 4096;
		vms[i].file[HULL_PACKAGE_KERNEL].bytes = 4000;
	}
	assert_int_equal(hull_config_add_region(&vms[1].config, &ram, NULL), 0);
	assert_int_equal(hull_config_add_device(&vms[1].config, &d, NULL), 0);
	assert_int_equal(hull_config_add_passthrough(&vms[1].config, &p, NULL), 0);
	assert_int_equal(hull_config_add_device(&vms[1].config, &disk, NULL), 0);
	assert_int_equal(hull_config_add_device(&vms[1].config, &card, NULL), 0);
	vms[1].console = 1;
	vms[1].ndisks = vms[1].nnets = 1;
	vms[1].disks[0] = (struct hull_package_disk){
		.device = 1, .read_only = 1, .offset = 53248, .bytes = 1024
	};
	vms[1].nets[0] = (struct hull_package_net){
		.device = 2, .network = "lan", .mac = { 2, 0, 0, 0, 0, 1 }, .mtu = 9000
	};
	assert_int_equal(hull_package_write(vms, 2, TOTAL, buf, SIZE, &n), 0);
	return n;
}

static void test_round_trip(void **state)
{
	struct hull_package p;

	assert_true(make() < TOTAL);
	assert_int_equal(hull_package_open(buf, SIZE, &p, NULL), 0);
	assert_int_equal(p.nvms, 2);
	assert_int_equal(p.bytes, TOTAL);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(hull_package_next(&p, &got, NULL), 0);
		assert_memory_equal(&got, &vms[i], sizeof(got));
	}
	assert_int_equal(hull_package_next(&p, &got, NULL), HULL_ENOENT);
}

static void test_header(void **state)
{
	struct hull_package p;
	struct hull_err err;

	make();
	assert_int_equal(hull_package_open(buf, HULL_PACKAGE_HEADER - 1, &p, NULL), HULL_ENOENT);
	assert_int_equal(hull_package_open(buf, TOTAL - 1, &p, &err), HULL_EFORMAT);
	assert_int_equal(err.id, 1110);
	buf[8]++;
	assert_int_equal(hull_package_open(buf, SIZE, &p, &err), HULL_ENOTSUP);
	assert_int_equal(err.id, 1111);
	make();
	buf[12] = HULL_PACKAGE_VMS + 1;
	assert_int_equal(hull_package_open(buf, SIZE, &p, NULL), HULL_EFORMAT);
	make();
	buf[0] ^= 1;
	assert_int_equal(hull_package_open(buf, SIZE, &p, NULL), HULL_ENOENT);
	assert_int_equal(hull_package_write(vms, 2, TOTAL, buf, 100, &(size_t){ 0 }),
	                 HULL_EOVERFLOW);
}

/* A package whose contents are wrong, though its checksums are right. */
static int reread(struct hull_err *err)
{
	struct hull_package p;
	size_t n;
	int r;

	assert_int_equal(hull_package_write(vms, 2, TOTAL, buf, SIZE, &n), 0);
	assert_int_equal(hull_package_open(buf, SIZE, &p, NULL), 0);
	r = hull_package_next(&p, &got, err);
	return r ? r : hull_package_next(&p, &got, err);
}

/* One that is wrong does not hide the one behind it; one that cannot be read does. */
static void test_behind(void **state)
{
	struct hull_package p;
	struct hull_err err;
	size_t n;

	make();
	vms[0].file[HULL_PACKAGE_KERNEL].offset = TOTAL;
	assert_int_equal(hull_package_write(vms, 2, TOTAL, buf, SIZE, &n), 0);
	assert_int_equal(hull_package_open(buf, SIZE, &p, NULL), 0);
	assert_int_equal(hull_package_next(&p, &got, &err), HULL_EFORMAT);
	assert_int_equal(p.next, 1);
	assert_int_equal(hull_package_next(&p, &got, NULL), 0);
	assert_string_equal(got.config.name, "two");
	buf[HULL_PACKAGE_HEADER + 40] ^= 1;
	assert_int_equal(hull_package_open(buf, SIZE, &p, NULL), 0);
	assert_int_equal(hull_package_next(&p, &got, &err), HULL_EFORMAT);
	assert_int_equal(p.next, 0);
}

static void test_contents(void **state)
{
	struct hull_err err;

	make();
	vms[0].file[HULL_PACKAGE_INITRD] =
		(struct hull_package_file){ .offset = TOTAL, .bytes = 1 };
	assert_int_equal(reread(&err), HULL_EFORMAT);
	make();
	vms[1].file[HULL_PACKAGE_DTB] =
		(struct hull_package_file){ .offset = UINT64_MAX, .bytes = 2 };
	assert_int_equal(reread(&err), HULL_EFORMAT);
	make();
	memset(vms[0].cmdline, 'x', sizeof(vms[0].cmdline));
	assert_int_equal(reread(&err), HULL_EFORMAT);
	make();
	vms[0].config.isa = 77;
	assert_int_equal(reread(&err), HULL_EFORMAT);
	make();
	vms[1].config.cpu_num = 0;
	assert_int_equal(reread(&err), HULL_EINVAL);
	make();
	vms[1].config.devices[0].type[0] = 0;
	assert_int_equal(reread(&err), HULL_EINVAL);
}

static void expect_refused(void)
{
	struct hull_err err;

	assert_int_equal(reread(&err), HULL_EFORMAT);
	assert_int_equal(err.id, 1110);
	make();
}

static void test_what_is_behind_devices(void **state)
{
	make();
	vms[1].disks[0].bytes = 1000;
	expect_refused();
	vms[1].disks[0].bytes = 0;
	expect_refused();
	vms[1].disks[0].offset = TOTAL - 512;
	expect_refused();
	vms[1].disks[0].device = 3;
	expect_refused();
	vms[1].disks[0].device = 2;
	expect_refused();
	vms[1].nets[0].device = 1;
	expect_refused();
	vms[1].nets[0].device = 0;
	expect_refused();
	memset(vms[1].nets[0].network, 'x', sizeof(vms[1].nets[0].network));
	expect_refused();
	vms[1].console = 4;
	expect_refused();
	vms[1].console = 2;
	expect_refused();
	vms[1].config.devices[0].bus = (enum hull_device_bus)9;
	expect_refused();
}

static void test_random_damage(void **state)
{
	struct hull_prng r;

	hull_prng_seed(&r, 1);
	for (unsigned i = 0; i < 3000; i++) {
		size_t n = make();
		struct hull_package p;

		for (unsigned k = hull_prng_next(&r) % 4 + 1; k; k--)
			buf[hull_prng_next(&r) % n] = (uint8_t)hull_prng_next(&r);
		if (hull_package_open(buf, SIZE, &p, NULL))
			continue;
		while (!hull_package_next(&p, &got, NULL))
			;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_what_is_behind_devices),
		cmocka_unit_test(test_random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
