/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Creating, running and destroying a VM. */
#include "support/vm_fixture.h"

#include <string.h>

#include "core/dev_impl.h"

static void test_create_is_small(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 4);

	(void)state;
	assert_in_range(h.live_private, 1, 1024 * 1024 - 1);
	fixture_unmake(&h, vm);
}

static uint64_t reg_read(void *opaque, uint64_t offset, unsigned size)
{
	return *(uint64_t *)opaque + offset + size;
}

static void reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	(void)offset;
	(void)size;
	*(uint64_t *)opaque = value;
}

static void test_run_completes_mmio(void **state)
{
	static const struct hull_fake_op script[] = {
		{ .exit = { .kind = HULL_EXIT_MMIO,
		            .io = { .addr = 0x1000, .data = 0x55, .size = 4, .write = true } } },
		{ .exit = { .kind = HULL_EXIT_MMIO, .io = { .addr = 0x1008, .size = 4 } } },
		{ .exit = { .kind = HULL_EXIT_S2FAULT, .io = { .addr = 0x5000, .size = 4 } } },
		{ .exit = { .kind = HULL_EXIT_SYSTEM,
		            .system = { .event = HULL_SYSTEM_OFF, .code = 3 } } },
	};
	uint64_t value = 0;
	struct hull_callback_device d = { .name = "cb",
		                          .gpa = 0x1000,
		                          .size = 0x10,
		                          .opaque = &value,
		                          .read = reg_read,
		                          .write = reg_write };
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct hull_fake_vcpu *cpu = hull_vcpu_accel_state(hull_vm_vcpu(vm, 0));

	(void)state;
	hull_fake_script(hull_vm_vcpu(vm, 0), script, ARRAY_LEN(script));
	assert_int_equal(hull_vm_register_device(vm, &d, NULL), 0);
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	hull_vm_vcpu_loop(vm, 0);
	assert_int_equal(hull_vm_state(vm), HULL_VM_STOPPED);
	assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_GUEST);
	assert_int_equal(hull_vm_stop_code(vm), 3);
	assert_int_equal(value, 0x55);
	assert_int_equal(cpu->regs[0], 0x55 + 8 + 4);
	assert_int_equal(cpu->failed_io, 1);
	fixture_unmake(&h, vm);
}

static const struct hull_dev_type widget = {
	.name = "widget",
	.state_size = sizeof(struct hull_dev),
	.region_size = 0x1000,
	.access_sizes = 4,
	.irqs = 1,
};

/* Everything from create to boot with the n-th allocation failing; the result of the first failure.
 */
static int attempt(struct fake_hal *h, struct hull_vm **ret)
{
	struct hull_vm_config c = fixture_config(4);
	struct hull_region_config rom = { .gpa = 0, .size = 0x1000, .attr = HULL_MEM_R };
	struct hull_region_config fixed = { .gpa = 0x70000000,
		                            .size = 0x1000,
		                            .attr = HULL_MEM_R,
		                            .map = HULL_MAP_RESERVED,
		                            .hpa = h->claim_base };
	struct hull_dev_setup setup = { .type = &widget, .name = "w" };
	struct hull_dev *d;
	struct hull_vm *vm = NULL;
	hull_gpa gpa;
	uint64_t len;
	int r;

	assert_int_equal(hull_config_add_region(&c, &rom, NULL), 0);
	assert_int_equal(hull_config_add_region(&c, &fixed, NULL), 0);
	c.ivc_gpa = 0x40000000;
	c.ivc_size = 0x10000;
	r = hull_vm_create(&c, &h->hal, hull_accel_find("fake"), &vm, NULL);
	if (r) {
		assert_null(vm);
		return r;
	}
	*ret = vm;
	for (int i = 0; !r && i < 40; i++) {
		const char name[] = { 'w', (char)('0' + i), 0 };

		setup.name = name;
		setup.gpa = 0x10000000 + (uint64_t)i * 0x1000;
		r = hull_dev_create(vm, &setup, &d, NULL);
	}
	if (!r)
		r = hull_vm_ivc_alloc(vm, 1, &gpa, &len, NULL);
	if (!r)
		r = hull_vm_seal(vm, NULL);
	if (!r)
		r = hull_vm_dirty_start(vm, NULL);
	if (!r)
		r = hull_vm_boot(vm, NULL);
	return r;
}

static void test_every_allocation_fails(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1;; n++) {
		struct hull_vm *vm = NULL;
		struct fake_hal h;
		int ret;

		fake_hal_init(&h);
		h.fail_at = n;
		ret = attempt(&h, &vm);
		assert_true(ret == 0 || ret == HULL_ENOMEM);
		if (!ret)
			assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
		assert_int_equal(hull_vm_destroy(vm, NULL), 0);
		assert_int_equal(h.live_bytes, 0);
		assert_int_equal(h.live_blocks, 0);
		assert_int_equal(h.claimed_bytes, 0);
		fake_hal_fini(&h);
		if (!ret)
			break;
	}
	assert_in_range(n, 5, 30); /* few allocations: an arena, RAM, logs, a channel */
}

static void test_getters(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 3);

	(void)state;
	assert_int_equal(hull_vm_id(vm), 0);
	assert_string_equal(hull_vm_config(vm)->name, "test");
	assert_int_equal(hull_vm_vcpu_count(vm), 3);
	assert_int_equal(hull_vm_stage2_root(vm), 0);
	hull_aspace_set_root(vm, 0x1234000);
	assert_int_equal(hull_vm_stage2_root(vm), 0x1234000);
	assert_null(hull_accel_find("nonsense"));
	assert_null(hull_accel_find(NULL));
	assert_int_equal(hull_accel_find("fake")->probe(&h.hal, NULL, NULL), HULL_ENOTSUP);
	assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_NONE);
	fixture_unmake(&h, vm);
}

/* From within a device or an exit the VM is not stopped, paused or reset: that would wait for
 * itself. */
static void stop_yourself(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct hull_err err;

	(void)offset;
	(void)value;
	(void)size;
	assert_int_equal(hull_vm_shutdown(opaque, HULL_STOP_FORCED, &err), HULL_EBUSY);
	assert_non_null(strstr(err.fix, "system_event"));
	assert_int_equal(hull_vm_pause(opaque, &err), HULL_EBUSY);
	assert_int_equal(hull_vm_reset(opaque, &err), HULL_EBUSY);
	hull_vm_system_event(opaque, HULL_SYSTEM_OFF, 8);
}

static void test_stop_from_a_device(void **state)
{
	static const struct hull_fake_op script[] = {
		{ .exit = { .kind = HULL_EXIT_MMIO,
		            .io = { .addr = 0x1000, .size = 4, .write = true } } },
		{ .kind = HULL_FAKE_SPIN },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 2);
	struct hull_callback_device d = {
		.name = "cb", .gpa = 0x1000, .size = 0x10, .opaque = vm, .write = stop_yourself
	};

	(void)state;
	assert_int_equal(hull_vm_register_device(vm, &d, NULL), 0);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	hull_vm_vcpu_loop(vm, 0);
	assert_int_equal(hull_vm_stop_code(vm), 8);
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_is_small),
		cmocka_unit_test(test_run_completes_mmio),
		cmocka_unit_test(test_every_allocation_fails),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_stop_from_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
