/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Creating, running and destroying a VM. */
#include "support/vm_fixture.h"

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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_is_small),
		cmocka_unit_test(test_run_completes_mmio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
