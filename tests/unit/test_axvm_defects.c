/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Mistakes found in axvm, the hypervisor whose interface ours resembles, each
 * turned into a test: what it got wrong, we do right.  The numbers that are
 * missing belong to interrupt controllers, CPUs and firmware, and are tested
 * with these.
 */
#include "support/vm_fixture.h"

#include <string.h>

enum { PAGE = 4096, RWX = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };

static struct hull_fake_vm *accel_of(struct hull_vm *vm)
{
	return hull_vm_accel_state(vm);
}

/* 1: a failed identity allocation was mapped all the same, twice. */
static void test_1_failed_claim_fails_the_vm(void **state)
{
	struct hull_vm_config c = fixture_config(1);
	struct hull_region_config r = {
		.gpa = 0x50000000, .size = PAGE, .attr = RWX, .map = HULL_MAP_IDENTITY
	};
	struct hull_vm *vm = NULL;
	struct hull_err err;
	struct fake_hal h;

	(void)state;
	fake_hal_init(&h);
	assert_int_equal(hull_config_add_region(&c, &r, NULL), 0);
	assert_int_equal(hull_vm_create(&c, &h.hal, hull_accel_find("fake"), &vm, &err),
	                 HULL_EBUSY);
	assert_non_null(strstr(err.text, "0x50000000"));
	assert_null(vm);
	assert_int_equal(h.live_bytes, 0);
	/* One that can be claimed is mapped once, and given back. */
	c.regions[1].gpa = h.claim_base;
	assert_int_equal(hull_vm_create(&c, &h.hal, hull_accel_find("fake"), &vm, &err), 0);
	assert_int_equal(accel_of(vm)->nmaps, 2);
	assert_ptr_equal(accel_of(vm)->maps[1].hva, h.claimable);
	fixture_unmake(&h, vm);
}

/* 2: the host address of a passed-through range was ignored. */
static void test_2_passthrough_honours_hpa(void **state)
{
	struct hull_vm_config c = fixture_config(1);
	struct hull_passthrough_config p = { .name = "eth", .gpa = 0x9000000, .size = 2 * PAGE };
	struct hull_vm *vm;
	struct fake_hal h;
	uint32_t word;

	(void)state;
	fake_hal_init(&h);
	p.hpa = h.claim_base + PAGE;
	assert_int_equal(hull_config_add_passthrough(&c, &p, NULL), 0);
	assert_int_equal(hull_vm_create(&c, &h.hal, hull_accel_find("fake"), &vm, NULL), 0);
	assert_int_equal(accel_of(vm)->maps[1].gpa, 0x9000000);
	assert_int_equal(accel_of(vm)->maps[1].len, 2 * PAGE);
	assert_ptr_equal(accel_of(vm)->maps[1].hva, h.claimable + PAGE);
	assert_true(accel_of(vm)->maps[1].attr & HULL_MEM_DEVICE);
	/* It is not memory: no copy of ours touches its registers. */
	assert_false(hull_mem_load32(vm, 0x9000000, &word));
	assert_int_equal(hull_vm_read(vm, 0x9000000, &word, 4), HULL_EFAULT);
	fixture_unmake(&h, vm);
}

/* 3: the last page of a range was lost when its base was not aligned. */
static void test_3_partial_pages_are_refused(void **state)
{
	struct hull_vm_config c = fixture_config(1);
	struct hull_passthrough_config p = { .name = "x", .gpa = 0xa003e00, .hpa = 0xa003e00 };
	struct hull_err err;

	(void)state;
	p.size = 0x200;
	assert_int_equal(hull_config_add_passthrough(&c, &p, &err), HULL_EINVAL);
	p.size = PAGE;
	assert_int_equal(hull_config_add_passthrough(&c, &p, &err), HULL_EINVAL);
	assert_non_null(strstr(err.text, "4096"));
	assert_int_equal(c.npassthrough, 0);
}

/* 4: an error while running left the vCPU bound for ever. */
static void test_4_no_exit_keeps_the_claim(void **state)
{
	struct hull_fake_op script[] = { { .exit = { .kind = HULL_EXIT_NONE } } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 1);
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, 0);

	(void)state;
	for (int kind = 0; kind <= HULL_EXIT_FAIL + 1; kind++) {
		struct hull_exit e;
		int ret;

		if (hull_vm_state(vm) == HULL_VM_RUNNING)
			assert_int_equal(hull_vm_reset(vm, NULL), 0);
		else
			assert_int_equal(hull_vm_boot(vm, NULL), 0);
		script[0].exit.kind = (enum hull_exit_kind)kind;
		ret = hull_vm_run_vcpu(vm, 0, &e);
		assert_true(ret <= 0);
		assert_int_equal(vcpu->claimed, 0);
		assert_int_not_equal(hull_vm_run_vcpu(vm, 0, &e), HULL_EBUSY);
		assert_int_equal(vcpu->claimed, 0);
		if (kind == HULL_EXIT_FAIL)
			break; /* terminal */
	}
	assert_int_equal(hull_vm_state(vm), HULL_VM_FAILED);
	fixture_unmake(&h, vm);
}

/* 5: a guest could panic the hypervisor: addresses, ports, registers that nobody has, CPU_ON. */
static void test_5_no_guest_access_is_fatal(void **state)
{
	static const struct hull_fake_op script[] = {
		{ .exit = { .kind = HULL_EXIT_MMIO, .io = { .addr = 0, .size = 4 } } },
		{ .exit = { .kind = HULL_EXIT_MMIO,
		            .io = { .addr = UINT64_MAX, .size = 8, .write = true } } },
		{ .exit = { .kind = HULL_EXIT_PIO, .io = { .addr = 0xffff, .size = 4 } } },
		{ .exit = { .kind = HULL_EXIT_SYSREG, .io = { .addr = 0xfff, .size = 8 } } },
		{ .exit = { .kind = HULL_EXIT_S2FAULT, .io = { .addr = 1, .size = 0 } } },
		{ .exit = { .kind = HULL_EXIT_S2FAULT, .io = { .addr = RAM_AT, .size = 255 } } },
		{ .exit = { .kind = HULL_EXIT_S2FAULT,
		            .io = { .addr = RAM_AT + RAM_SIZE - 1, .size = 4 } } },
		{ .exit = { .kind = HULL_EXIT_CPU_ON, .cpu = { .target = 0xdeadbeef } } },
		{ .exit = { .kind = HULL_EXIT_HYPERCALL, .call = { .nr = UINT64_MAX } } },
		{ .exit = { .kind = HULL_EXIT_SYSTEM, .system = { .event = HULL_SYSTEM_OFF } } },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, ARRAY_LEN(script));

	(void)state;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	hull_vm_vcpu_loop(vm, 0);
	assert_int_equal(fixture_cpu(vm, 0)->failed_io, 7);
	assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_GUEST);
	fixture_unmake(&h, vm);
}

/* 6: execute permission never reached the second-stage tables. */
static void test_6_rights_reach_the_accelerator(void **state)
{
	static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);

	(void)state;
	assert_int_equal(hull_vm_map(vm, 0, page, PAGE, HULL_MEM_R, NULL), 0);
	assert_int_equal(accel_of(vm)->maps[1].attr, HULL_MEM_R);
	assert_int_equal(hull_vm_protect(vm, 0, PAGE, HULL_MEM_R | HULL_MEM_X, NULL), 0);
	assert_int_equal(accel_of(vm)->maps[1].attr, HULL_MEM_R | HULL_MEM_X);
	fixture_unmake(&h, vm);
}

/* 10: raising an interrupt in another VM panicked. */
static void inject_elsewhere(struct hull_vcpu *vcpu, void *arg)
{
	(void)vcpu;
	assert_int_equal(hull_vm_inject_irq(arg, 1, 3), 0);
}

static void test_10_interrupts_across_vms(void **state)
{
	struct fake_hal h1, h2;
	struct hull_vm *other = fixture_sealed(&h2, 1, NULL, 0);
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_CALL, .fn = inject_elsewhere, .arg = other },
	};
	struct hull_vm *vm = fixture_sealed(&h1, 1, script, 1);
	struct hull_exit e;

	(void)state;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	assert_int_equal(hull_vm_vcpu(other, 0)->irq_edges, BIT(3));
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h1, vm);
	fixture_unmake(&h2, other);
}

/* 11: channels were cut to one page, freed before they were unmapped, and never left the window. */
static void test_11_channels(void **state)
{
	struct hull_vm_config c = fixture_config(1);
	struct fake_hal h;
	struct hull_vm *vm;
	hull_gpa gpa;
	uint64_t len;

	(void)state;
	c.ivc_gpa = 0x40000000;
	c.ivc_size = 8 * PAGE;
	vm = fixture_make_config(&h, &c);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(hull_vm_ivc_alloc(vm, 8 * PAGE, &gpa, &len, NULL), 0);
		assert_int_equal(len, 8 * PAGE);
		assert_int_equal(hull_vm_write(vm, gpa + 8 * PAGE - 1, "x", 1), 0);
		assert_int_equal(hull_vm_ivc_free(vm, gpa, len, NULL), 0);
		assert_int_equal(hull_vm_write(vm, gpa, "x", 1), HULL_EFAULT);
		assert_int_equal(accel_of(vm)->nmaps, 1);
	}
	fixture_unmake(&h, vm);
}

/* 14: the width of an access was lost. */
static uint64_t ones(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void test_14_reads_have_their_width(void **state)
{
	struct hull_callback_device d = { .name = "d", .gpa = 0x1000, .size = 8, .read = ones };
	(void)state;
	for (uint8_t size = 1; size <= 8; size *= 2) {
		struct hull_fake_op script[] = {
			{ .exit = { .kind = HULL_EXIT_MMIO,
			            .io = { .addr = 0x1000, .size = size } } },
		};
		struct fake_hal h;
		struct hull_vm *vm = fixture_sealed(&h, 1, script, 1);
		struct hull_exit e;

		assert_int_equal(hull_vm_register_device(vm, &d, NULL), 0);
		assert_int_equal(hull_vm_boot(vm, NULL), 0);
		assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
		assert_int_equal(fixture_cpu(vm, 0)->regs[0], low_mask(8U * size));
		assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
		fixture_unmake(&h, vm);
	}
}

/* 18: halted vCPUs shared one queue: all woke, or none did. */
static void test_18_only_the_addressed_vcpu_wakes(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_WAIT } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 3, script, 1);
	uint32_t before[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		before[i] = hull_vm_vcpu(vm, (uint32_t)i)->wait_word;
	assert_int_equal(hull_vm_inject_irq(vm, 2, 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hull_vm_vcpu(vm, (uint32_t)i)->wait_word - before[i], i == 1);
	fixture_unmake(&h, vm);
}

/* 22: a size that the guest chose became an allocation. */
static void test_22_no_allocation_of_guest_size(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	uint64_t allocations = h.allocations;
	struct hull_dma dma;
	char c;

	(void)state;
	assert_false(hull_mem_read(vm, RAM_AT, &c, UINT64_MAX));
	assert_false(hull_mem_write(vm, RAM_AT, &c, UINT64_MAX - RAM_AT));
	assert_int_equal(hull_dma_begin(vm, RAM_AT, UINT64_MAX, false, &dma), 0);
	assert_int_equal(dma.len, RAM_SIZE);
	hull_dma_end(vm, &dma);
	assert_int_equal(h.allocations, allocations);
	fixture_unmake(&h, vm);
}

/* 24: a VM that had been shut down could not be started again; see also test_lifecycle. */
static void test_24_restart(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(hull_vm_boot(vm, NULL), 0);
		assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
		assert_int_equal(hull_vm_state(vm), HULL_VM_STOPPED);
	}
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_1_failed_claim_fails_the_vm),
		cmocka_unit_test(test_2_passthrough_honours_hpa),
		cmocka_unit_test(test_3_partial_pages_are_refused),
		cmocka_unit_test(test_4_no_exit_keeps_the_claim),
		cmocka_unit_test(test_5_no_guest_access_is_fatal),
		cmocka_unit_test(test_6_rights_reach_the_accelerator),
		cmocka_unit_test(test_10_interrupts_across_vms),
		cmocka_unit_test(test_11_channels),
		cmocka_unit_test(test_14_reads_have_their_width),
		cmocka_unit_test(test_18_only_the_addressed_vcpu_wakes),
		cmocka_unit_test(test_22_no_allocation_of_guest_size),
		cmocka_unit_test(test_24_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
