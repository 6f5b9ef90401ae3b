/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SBI calls against scripted vCPUs: what is right, and what a hostile guest sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hull/vm.h>
#include "accel/fake/fake.h"
#include "base/bits.h"
#include "board/riscv_sbi.h"
#include "isa/riscv64/regs.h"
#include "support/fake_hal.h"

enum { BASE = 0x10, TIME = 0x54494d45, IPI = 0x735049, RFNC = 0x52464e43 };
enum { HSM = 0x48534d, SRST = 0x53525354, DBCN = 0x4442434e };
enum { OK = 0, NOT_SUPPORTED = -2, INVALID_PARAM = -3, INVALID_ADDRESS = -5, ALREADY = -6 };
#define RAM UINT64_C(0x80000000)

struct fixture {
	struct fake_hal hal;
	struct hull_vm *vm;
	struct hull_sbi sbi;
	struct hull_exit exit;
	uint64_t value;
};

static int make(void **state)
{
	static struct fixture f;
	struct hull_region_config ram = { .gpa = RAM,
		                          .size = 0x10000,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_region_config data = { .gpa = RAM + 0x20000,
		                           .size = 0x1000,
		                           .attr = HULL_MEM_R | HULL_MEM_W };
	struct hull_vm_config c;

	hull_config_init(&c, HULL_ISA_RISCV64, "test");
	c.cpu_num = 3;
	c.nphys_ids = 3;
	c.phys_ids[0] = 0;
	c.phys_ids[1] = 5;
	c.phys_ids[2] = UINT64_C(0x100000003);
	f = (struct fixture){ 0 };
	fake_hal_init(&f.hal);
	if (hull_config_add_region(&c, &ram, NULL) || hull_config_add_region(&c, &data, NULL) ||
	    hull_vm_create(&c, &f.hal.hal, hull_accel_find("fake"), &f.vm, NULL) ||
	    hull_vm_seal(f.vm, NULL) || hull_vm_boot(f.vm, NULL))
		return -1;
	*state = &f;
	return 0;
}

static int unmake(void **state)
{
	struct fixture *f = *state;

	(void)hull_vm_shutdown(f->vm, HULL_STOP_FORCED, NULL);
	(void)hull_vm_destroy(f->vm, NULL);
	fake_hal_fini(&f->hal);
	return 0;
}

/* One call by vCPU 0; returns a0. */
static int64_t call(struct fixture *f, uint64_t ext, uint64_t fid, uint64_t a0, uint64_t a1,
                    uint64_t a2)
{
	struct hull_vcpu *v = hull_vm_vcpu(f->vm, 0);
	uint64_t a = 0;

	f->exit = (struct hull_exit){ .kind = HULL_EXIT_HYPERCALL,
		                      .call = { .nr = ext, .args = { a0, a1, a2 } } };
	assert_int_equal(hull_vcpu_reg_set(v, 16, fid), 0);
	assert_int_equal(hull_vcpu_reg_set(v, 11, 0xdead), 0);
	assert_true(hull_sbi_call(v, &f->exit, &f->sbi));
	assert_int_equal(hull_vcpu_reg_get(v, 10, &a), 0);
	assert_int_equal(hull_vcpu_reg_get(v, 11, &f->value), 0);
	return (int64_t)a;
}

static void base_describes_what_there_is(void **state)
{
	static const uint64_t present[] = { BASE, TIME, IPI, RFNC, HSM, SRST, DBCN, 0, 8 };
	struct fixture *f = *state;

	assert_int_equal(call(f, BASE, 0, 0, 0, 0), OK);
	assert_int_equal(f->value, 0x02000000);
	for (size_t i = 0; i < ARRAY_LEN(present); i++) {
		assert_int_equal(call(f, BASE, 3, present[i], 0, 0), OK);
		assert_int_equal(f->value, 1);
	}
	assert_int_equal(call(f, BASE, 3, 9, 0, 0), OK);
	assert_int_equal(f->value, 0);
	assert_int_equal(call(f, BASE, 3, UINT64_MAX, 0, 0), OK);
	assert_int_equal(f->value, 0);
	for (uint64_t id = 4; id < 7; id++)
		assert_int_equal(call(f, BASE, id, 0, 0, 0), OK);
	assert_int_equal(call(f, BASE, 7, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(call(f, BASE, UINT64_MAX, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(call(f, 0x504d55, 0, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(call(f, UINT64_MAX, 0, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(f->exit.kind, HULL_EXIT_NONE);
}

static void timer_goes_to_stimecmp(void **state)
{
	struct fixture *f = *state;
	uint64_t v = 0;

	assert_int_equal(call(f, TIME, 0, 0x123456789abc, 0, 0), OK);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(f->vm, 0), HULL_RV_REG_CSR + 0x14d, &v), 0);
	assert_int_equal(v, 0x123456789abc);
	assert_int_equal(call(f, 0, 0, 77, 0, 0), 0);
	assert_int_equal(f->value, 0xdead); /* legacy calls leave a1 alone */
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(f->vm, 0), HULL_RV_REG_CSR + 0x14d, &v), 0);
	assert_int_equal(v, 77);
	assert_int_equal(call(f, TIME, 1, 0, 0, 0), NOT_SUPPORTED);
}

static uint64_t edges(struct fixture *f, uint32_t vcpu)
{
	struct hull_vcpu *v = hull_vm_vcpu(f->vm, vcpu);
	uint64_t e = v->irq_edges;

	v->irq_edges = 0;
	return e;
}

static void ipi_reaches_exactly_the_mask(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(call(f, IPI, 0, BIT(5) | BIT(0), 0, 0), OK);
	assert_int_equal(edges(f, 0), BIT(RV_IRQ_SSI));
	assert_int_equal(edges(f, 1), BIT(RV_IRQ_SSI));
	assert_int_equal(edges(f, 2), 0);
	assert_int_equal(call(f, IPI, 0, 2, 0x100000002, 0), OK);
	assert_int_equal(edges(f, 2), BIT(RV_IRQ_SSI));
	assert_int_equal(call(f, IPI, 0, 0, UINT64_MAX, 0), OK);
	assert_int_equal(edges(f, 0) & edges(f, 1) & edges(f, 2), BIT(RV_IRQ_SSI));
	/* Harts that do not exist, and sums that wrap: nobody gets anything. */
	assert_int_equal(call(f, IPI, 0, BIT(0) | BIT(1), 0, 0), INVALID_PARAM);
	assert_int_equal(call(f, IPI, 0, UINT64_MAX, 0, 0), INVALID_PARAM);
	assert_int_equal(call(f, IPI, 0, 6, UINT64_MAX - 1, 0), INVALID_PARAM);
	assert_int_equal(call(f, IPI, 0, 1, 1000, 0), INVALID_PARAM);
	assert_int_equal(edges(f, 0) | edges(f, 1) | edges(f, 2), 0);
	assert_int_equal(call(f, IPI, 0, 0, 0, 0), OK);
	assert_int_equal(call(f, IPI, 1, 1, 0, 0), NOT_SUPPORTED);
}

static void fences_post_flushes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(call(f, RFNC, 0, 0, UINT64_MAX, 0), OK);
	assert_true(hull_vm_vcpu(f->vm, 1)->requests & HULL_REQ_FLUSH_CODE);
	assert_int_equal(call(f, RFNC, 1, BIT(5), 0, 0), OK);
	assert_true(hull_vm_vcpu(f->vm, 1)->requests & HULL_REQ_FLUSH_TLB);
	assert_false(hull_vm_vcpu(f->vm, 2)->requests & HULL_REQ_FLUSH_TLB);
	assert_int_equal(call(f, RFNC, 2, 0, UINT64_MAX, UINT64_MAX), OK);
	assert_int_equal(call(f, RFNC, 1, BIT(6), 0, 0), INVALID_PARAM);
	for (uint64_t fid = 3; fid < 8; fid++)
		assert_int_equal(call(f, RFNC, fid, 0, UINT64_MAX, 0), NOT_SUPPORTED);
}

static void harts_start_once(void **state)
{
	struct fixture *f = *state;
	uint64_t v = 0;

	assert_int_equal(call(f, HSM, 2, 5, 0, 0), OK);
	assert_int_equal(f->value, 1);
	assert_int_equal(call(f, HSM, 2, 0, 0, 0), OK);
	assert_int_equal(f->value, 0);
	assert_int_equal(call(f, HSM, 0, 1, RAM, 0), INVALID_PARAM);
	assert_int_equal(call(f, HSM, 0, 5, 0, 0), INVALID_ADDRESS);
	assert_int_equal(call(f, HSM, 0, 5, UINT64_MAX, 0), INVALID_ADDRESS);
	assert_int_equal(call(f, HSM, 0, 5, RAM + 0x20000, 0), INVALID_ADDRESS);
	assert_int_equal(call(f, HSM, 0, 0, RAM, 0), ALREADY);
	assert_int_equal(call(f, HSM, 0, 5, RAM + 0x100, 0x77), OK);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f->vm, 1)), HULL_VCPU_READY);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(f->vm, 1), HULL_RV_REG_PC, &v), 0);
	assert_int_equal(v, RAM + 0x100);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(f->vm, 1), 10, &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(f->vm, 1), 11, &v), 0);
	assert_int_equal(v, 0x77);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(f->vm, 1), HULL_RV_REG_PRIV, &v), 0);
	assert_int_equal(v, RV_PRIV_S);
	assert_int_equal(call(f, HSM, 0, 5, RAM, 0), ALREADY);
	assert_int_equal(call(f, HSM, 2, 99, 0, 0), INVALID_PARAM);
	assert_int_equal(call(f, HSM, 0, UINT64_C(0x100000003), RAM + 1, 0), INVALID_ADDRESS);
	assert_int_equal(call(f, HSM, 9, 0, 0, 0), NOT_SUPPORTED);
}

static void harts_stop_and_suspend(void **state)
{
	struct fixture *f = *state;
	struct hull_vcpu *v = hull_vm_vcpu(f->vm, 0);

	(void)call(f, HSM, 1, 0, 0, 0);
	assert_int_equal(f->exit.kind, HULL_EXIT_CPU_OFF);
	assert_int_equal(call(f, HSM, 3, 0, 0, 0), OK);
	assert_int_equal(f->exit.kind, HULL_EXIT_HALT);
	/* Something is pending already and enabled, if not in sstatus: nothing to wait for. */
	assert_int_equal(hull_vcpu_reg_set(v, HULL_RV_REG_CSR + 0x344, BIT(RV_IRQ_STI)), 0);
	assert_int_equal(hull_vcpu_reg_set(v, HULL_RV_REG_CSR + 0x304, BIT(RV_IRQ_STI)), 0);
	assert_int_equal(call(f, HSM, 3, 0, 0, 0), OK);
	assert_int_equal(f->exit.kind, HULL_EXIT_NONE);
	assert_int_equal(call(f, HSM, 3, 0x80000000, RAM, 0), NOT_SUPPORTED);
	assert_int_equal(f->exit.kind, HULL_EXIT_NONE);
	assert_int_equal(call(f, HSM, 3, 1, 0, 0), INVALID_PARAM);
}

static void reset_ends_the_machine(void **state)
{
	struct fixture *f = *state;

	(void)call(f, SRST, 0, 0, 0, 0);
	assert_int_equal(f->exit.kind, HULL_EXIT_SYSTEM);
	assert_int_equal(f->exit.system.event, HULL_SYSTEM_OFF);
	(void)call(f, SRST, 0, 0, 1, 0);
	assert_int_equal(f->exit.system.event, HULL_SYSTEM_CRASH);
	(void)call(f, SRST, 0, 1, 0, 0);
	assert_int_equal(f->exit.system.event, HULL_SYSTEM_RESET);
	assert_int_equal(call(f, SRST, 0, 3, 0, 0), INVALID_PARAM);
	assert_int_equal(call(f, SRST, 0, 0, 2, 0), INVALID_PARAM);
	assert_int_equal(call(f, SRST, 0, 0xf0000001, 0, 0), NOT_SUPPORTED);
	assert_int_equal(f->exit.kind, HULL_EXIT_NONE);
	(void)call(f, 8, 0, 0, 0, 0);
	assert_int_equal(f->exit.kind, HULL_EXIT_SYSTEM);
}

static void console_moves_only_guest_memory(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(call(f, DBCN, 0, 5, RAM, 0), OK);
	assert_int_equal(f->value, 5);
	/* A long one is cut: the guest calls again with the rest. */
	assert_int_equal(call(f, DBCN, 0, 1 << 20, RAM, 0), OK);
	assert_int_equal(f->value, 16384);
	assert_int_equal(call(f, DBCN, 0, 1 << 20, RAM + 0xf000, 0), INVALID_PARAM);
	assert_int_equal(call(f, DBCN, 0, 5, RAM, 1), INVALID_PARAM);
	assert_int_equal(call(f, DBCN, 0, 5, 0x1000, 0), INVALID_PARAM);
	assert_int_equal(call(f, DBCN, 0, UINT64_MAX, RAM, 0), INVALID_PARAM);
	assert_int_equal(call(f, DBCN, 0, 2, UINT64_MAX, 0), INVALID_PARAM);
	assert_int_equal(call(f, DBCN, 0, 0, 0, 0), OK);
	assert_int_equal(f->value, 0);
	assert_int_equal(call(f, DBCN, 1, 16, RAM, 0), OK);
	assert_int_equal(f->value, 0);
	assert_int_equal(call(f, DBCN, 1, 16, 0, 0), INVALID_PARAM);
	assert_int_equal(call(f, DBCN, 2, 'x', 0, 0), OK);
	assert_int_equal(call(f, DBCN, 3, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(call(f, 1, 0, 'x', 0, 0), 0);
	assert_int_equal(call(f, 2, 0, 0, 0, 0), -1);
}

/* Nothing that a guest sends may do more than answer. */
static void random_calls_are_answered(void **state)
{
	static const uint64_t exts[] = { BASE, TIME, IPI, RFNC, HSM, DBCN, 0, 1, 2, 3, 4, 5, 6, 7 };
	static const uint64_t values[] = { 0, 1, 2, 5, 0x80000000, RAM + 0xfff0, UINT64_MAX };
	struct fixture *f = *state;
	uint64_t seed = 1;

	for (int i = 0; i < 20000; i++) {
		uint64_t r[5];

		for (int k = 0; k < 5; k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			r[k] = seed >> 33;
		}
		(void)call(f, exts[r[0] % ARRAY_LEN(exts)], r[1] % 8,
		           values[r[2] % ARRAY_LEN(values)], values[r[3] % ARRAY_LEN(values)],
		           values[r[4] % ARRAY_LEN(values)]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(base_describes_what_there_is, make, unmake),
		cmocka_unit_test_setup_teardown(timer_goes_to_stimecmp, make, unmake),
		cmocka_unit_test_setup_teardown(ipi_reaches_exactly_the_mask, make, unmake),
		cmocka_unit_test_setup_teardown(fences_post_flushes, make, unmake),
		cmocka_unit_test_setup_teardown(harts_start_once, make, unmake),
		cmocka_unit_test_setup_teardown(harts_stop_and_suspend, make, unmake),
		cmocka_unit_test_setup_teardown(reset_ends_the_machine, make, unmake),
		cmocka_unit_test_setup_teardown(console_moves_only_guest_memory, make, unmake),
		cmocka_unit_test_setup_teardown(random_calls_are_answered, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
