/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Resolved configurations: a table of bad values, and building one piece by piece. */
#include "support/vm_fixture.h"

#include <string.h>

enum { RWX = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };

static struct hull_vm_config good(void)
{
	struct hull_vm_config c = fixture_config(2);
	struct hull_device_config d = {
		.type = "uart", .name = "u0", .gpa = 0x10000000, .size = 8
	};
	struct hull_passthrough_config p = {
		.name = "eth", .gpa = 0x20000000, .hpa = 0x30000000, .size = 0x1000
	};

	assert_int_equal(hull_config_add_device(&c, &d, NULL), 0);
	assert_int_equal(hull_config_add_passthrough(&c, &p, NULL), 0);
	assert_int_equal(hull_config_add_spi(&c, 40, NULL), 0);
	c.ivc_gpa = 0x40000000;
	c.ivc_size = 0x10000;
	return c;
}

/* Each row damages one value; the text must name the key. */
#define BAD(key, ...)                                                       \
	do {                                                                \
		struct hull_vm_config c = good(), before;                   \
		struct hull_err err = { 0 };                                \
		__VA_ARGS__;                                                \
		before = c;                                                 \
		assert_int_equal(hull_config_check(&c, &err), HULL_EINVAL); \
		assert_true(err.id >= 100 && err.id < 200);                 \
		assert_non_null(strstr(err.text, key));                     \
		assert_memory_equal(&c, &before, sizeof(c));                \
	} while (0)

static void test_bad_values(void **state)
{
	struct hull_vm_config ok = good();

	(void)state;
	assert_int_equal(hull_config_check(&ok, NULL), 0);
	BAD("vm.name", c.name[0] = 0);
	BAD("vm.name", memset(c.name, 'x', sizeof(c.name)));
	BAD("vm.name", c.name[0] = '\n');
	BAD("vm", c.isa = (enum hull_isa)3);
	BAD("vm", c.kind = (enum hull_vm_kind)9);
	BAD("vm", c.irq_mode = (enum hull_irq_mode) - 1);
	BAD("engine", c.engine.mode = (enum hull_engine_mode)7);
	BAD("engine", c.engine.cache_policy = (enum hull_code_cache_policy) - 1);
	BAD("engine", c.engine.cache_bytes = 4097);
	BAD("engine", c.engine.tier1_threshold = 2; c.engine.tier2_threshold = 1);
	BAD("engine", memset(c.engine.cache_dir, 'x', sizeof(c.engine.cache_dir)));
	BAD("cpu.count", c.cpu_num = 0);
	BAD("cpu.count", c.cpu_num = 65);
	BAD("cpu.ids", c.nphys_ids = 1);
	BAD("cpu.ids", c.nphys_ids = UINT32_MAX);
	BAD("cpu.ids", c.nphys_ids = 2); /* both 0 */
	BAD("cpu.affinity", c.naffinity = 3);
	BAD("cpu.affinity", c.naffinity = 2; c.affinity[0] = 1);
	BAD("memory", c.nregions = 17);
	BAD("memory", c.nregions = UINT32_MAX);
	BAD("memory", c.regions[0].size = 0);
	BAD("memory", c.regions[0].size = 0x1001);
	BAD("memory", c.regions[0].gpa = 0x80000800);
	BAD("memory", c.regions[0].gpa = -UINT64_C(0x1000); c.regions[0].size = 0x2000);
	BAD("memory", c.regions[0].attr = 0);
	BAD("memory", c.regions[0].attr = HULL_MEM_W);
	BAD("memory", c.regions[0].attr = 64 | RWX);
	BAD("memory", c.regions[0].attr |= HULL_MEM_DEVICE);
	BAD("memory", c.regions[0].map = (enum hull_map_kind)3);
	BAD("memory.hpa", c.regions[0].map = HULL_MAP_RESERVED; c.regions[0].hpa = 1);
	BAD("memory.hpa", c.regions[0].map = HULL_MAP_RESERVED;
	    c.regions[0].hpa = -UINT64_C(0x1000));
	BAD("overlaps", c.nregions = 2; c.regions[1] = c.regions[0]);
	BAD("device", c.ndevices = 49);
	BAD("device.type", c.devices[0].type[0] = 0);
	BAD("device.type", memset(c.devices[0].type, 'a', sizeof(c.devices[0].type)));
	BAD("device.name", c.devices[0].name[1] = '\t');
	BAD("device", c.devices[0].nargs = 9);
	BAD("device", c.devices[0].gpa = UINT64_MAX; c.devices[0].size = 2);
	BAD("uart", c.devices[0].gpa = RAM_AT + RAM_SIZE - 1);
	BAD("device.name", c.ndevices = 2; c.devices[1] = c.devices[0]; c.devices[1].gpa = 0);
	BAD("passthrough", c.npassthrough = 17);
	BAD("passthrough.name", c.passthrough[0].name[0] = 0);
	BAD("passthrough.gpa", c.passthrough[0].gpa = 1);
	BAD("passthrough.hpa", c.passthrough[0].hpa = 0x200);
	BAD("passthrough", c.passthrough[0].size = 0x200);
	BAD("eth", c.passthrough[0].gpa = RAM_AT);
	BAD("spis", c.nspis = 65);
	BAD("spis", c.nspis = 2; c.spis[1] = 40);
	BAD("ivc", c.ivc_gpa = 1);
	BAD("ivc", c.ivc_size = 0xfff);
	BAD("channel window", c.ivc_gpa = RAM_AT - 0x1000);
	BAD("ns_per_insn", c.ns_per_insn = 1000001);
}

static void test_build(void **state)
{
	struct hull_vm_config c = good();
	struct hull_region_config r = { .gpa = 0x1000, .size = 0x1000, .attr = RWX };
	struct hull_device_config d = { .type = "x" };
	struct hull_passthrough_config p = { .name = "p", .gpa = 0x60000000, .size = 0x1000 };
	int ret;

	(void)state;
	assert_int_equal(hull_config_add_region(&c, &c.regions[0], NULL), HULL_EINVAL);
	while (!(ret = hull_config_add_region(&c, &r, NULL)))
		r.gpa += r.size;
	assert_int_equal(ret, HULL_EOVERFLOW);
	assert_int_equal(c.nregions, HULL_MAX_REGIONS);
	while (!(ret = hull_config_add_device(&c, &d, NULL)))
		;
	assert_int_equal(ret, HULL_EOVERFLOW);
	assert_int_equal(c.ndevices, HULL_MAX_DEVICES);
	while (!(ret = hull_config_add_passthrough(&c, &p, NULL)))
		p.gpa += p.size;
	assert_int_equal(ret, HULL_EOVERFLOW);
	assert_int_equal(hull_config_add_spi(&c, 40, NULL), HULL_EINVAL);
	for (uint32_t i = 100; !(ret = hull_config_add_spi(&c, i, NULL)); i++)
		;
	assert_int_equal(ret, HULL_EOVERFLOW);
	assert_int_equal(hull_config_check(&c, NULL), 0);
}

static void test_contains_and_place(void **state)
{
	struct hull_vm_config c = good();
	struct hull_vcpu_place place = { .vcpu = 99 };

	(void)state;
	assert_true(hull_config_contains(&c, RAM_AT, RAM_SIZE));
	assert_true(hull_config_contains(&c, RAM_AT + RAM_SIZE - 1, 1));
	assert_false(hull_config_contains(&c, RAM_AT + 1, RAM_SIZE));
	assert_false(hull_config_contains(&c, RAM_AT, UINT64_MAX));
	assert_false(hull_config_contains(&c, UINT64_MAX, 2));
	assert_int_equal(hull_config_place(&c, 2, &place), HULL_EINVAL);
	assert_int_equal(place.vcpu, 99);
	assert_int_equal(hull_config_place(&c, 1, &place), 0);
	assert_int_equal(place.phys_id, 1);
	assert_int_equal(place.allow_mask, UINT64_MAX);
	c.nphys_ids = c.naffinity = 2;
	c.phys_ids[0] = 0x100;
	c.affinity[0] = c.affinity[1] = 4;
	assert_int_equal(hull_config_place(&c, 0, &place), 0);
	assert_int_equal(place.phys_id, 0x100);
	assert_int_equal(place.allow_mask, 4);
	assert_int_equal(hull_config_check(&c, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_contains_and_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
