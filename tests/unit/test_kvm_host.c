/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM on hosts of any architecture, with the probe's program as the guest: registers, ends of a
 * run, dirty pages, pauses, a debugger's stops.  Skipped where there is no KVM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include <hull/host.h>
#include "accel/kvm/kvm_impl.h"
#include "base/bits.h"
#include "isa/aarch64/regs.h"
#include "isa/riscv64/regs.h"

enum { PAGE = 4096, STEP_PAGE = 2, FOREVER = UINT32_MAX };

static struct hull_vm *vm;
static struct hull_vcpu *vcpu;

static const struct hull_kvm_payload *payload(void)
{
	return &hull_kvm_arch_payload;
}

static int load(struct hull_vm *v, void *arg, struct hull_err *err)
{
	return hull_kvm_arch_payload_load(v);
}

static int make(void **state)
{
	const struct hull_kvm_payload *p = payload();
	struct hull_region_config ram = { .gpa = p->ram_at,
		                          .size = p->ram,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config c;

	vm = NULL;
	if (!hull_accel_find("kvm")->isas || access("/dev/kvm", R_OK | W_OK))
		return 0;
	hull_config_init(&c, p->isa, "test");
	if (hull_config_add_region(&c, &ram, NULL) ||
	    hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, NULL))
		return -1;
	hull_vm_set_loader(vm, load, NULL);
	vcpu = hull_vm_vcpu(vm, 0);
	return hull_vm_seal(vm, NULL) || hull_vm_boot(vm, NULL) ? -1 : 0;
}

static int unmake(void **state)
{
	if (!vm)
		return 0;
	(void)hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
	return hull_vm_destroy(vm, NULL);
}

/* x86_64 has tests of its own; this one asks for what the others have. */
static void need_kvm(void)
{
	if (!vm || payload()->isa == HULL_ISA_X86_64)
		skip();
}

static bool arm(void)
{
	return payload()->isa == HULL_ISA_AARCH64;
}

static uint32_t pc_number(void)
{
	return arm() ? (uint32_t)HULL_A64_REG_PC : (uint32_t)HULL_RV_REG_PC;
}

static uint64_t reg(uint32_t number)
{
	uint64_t v = 0xbad;

	assert_int_equal(hull_vcpu_reg_get(vcpu, number, &v), 0);
	return v;
}

static struct hull_exit run(uint32_t loops)
{
	struct hull_exit e = { 0 };

	assert_int_equal(hull_kvm_arch_payload_start(vcpu, loops), 0);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	return e;
}

/* A register keeps what it is given. */
static void keeps(uint32_t number, uint64_t value)
{
	assert_int_equal(hull_vcpu_reg_set(vcpu, number, value), 0);
	assert_int_equal(reg(number), value);
}

static void registers(void **state)
{
	uint64_t v;

	need_kvm();
	for (uint32_t n = 1; n < 31; n++)
		keeps(n, UINT64_C(0x1122334455660000) + n);
	keeps(pc_number(), payload()->ram_at + 64);
	for (uint32_t n = 0; arm() && n < 64; n++)
		keeps(HULL_A64_REG_V0 + n, UINT64_C(0xa5a5000000000000) + n);
	for (uint32_t n = 0; arm() && n < 64; n++)
		assert_int_equal(reg(HULL_A64_REG_V0 + n), UINT64_C(0xa5a5000000000000) + n);
	for (uint32_t n = 0; !arm() && n < 32; n++)
		keeps(HULL_RV_REG_F0 + n, UINT64_C(0xffffffff00000000) + n);
	for (uint32_t n = 1; n < 31; n++)
		assert_int_equal(reg(n), UINT64_C(0x1122334455660000) + n);
	if (arm()) {
		keeps(HULL_A64_REG_SP_EL1, 0x1230);
		keeps(A64_SYS_REG(3, 0, 13, 0, 4), 0x77); /* TPIDR_EL1 */
		assert_true(reg(A64_MPIDR) >> 31 & 1);    /* RES1 */
	} else {
		keeps(HULL_RV_REG_CSR + 0x140, 0x77); /* sscratch */
		assert_int_equal(reg(HULL_RV_REG_PRIV), RV_PRIV_S);
		assert_true(reg(HULL_RV_REG_TIMEBASE) > 0);
		assert_int_equal(hull_vcpu_reg_set(vcpu, 0, 5), 0);
		assert_int_equal(reg(0), 0);
	}
	assert_int_equal(hull_vcpu_reg_get(vcpu, 0xfff0000, &v), HULL_ENOENT);
}

static void runs_and_ends(void **state)
{
	struct hull_exit e;

	need_kvm();
	e = run(7);
	assert_int_equal(e.kind, HULL_EXIT_SYSTEM);
	assert_int_equal(e.system.event, HULL_SYSTEM_OFF);
	assert_int_equal(reg(arm() ? 2 : 12), 0); /* it has counted down */
	e = run(0);
	assert_int_equal(e.kind, HULL_EXIT_SYSTEM);
	assert_null(hull_kvm_arch_payload_result(vm));
}

static void writes_are_logged(void **state)
{
	uint64_t bits = 0;

	need_kvm();
	assert_int_equal(hull_vm_dirty_start(vm, NULL), 0);
	(void)run(0);
	assert_int_equal(hull_vm_dirty_fetch(vm, payload()->ram_at, &bits, payload()->ram / PAGE),
	                 0);
	assert_true(bits & BIT(STEP_PAGE));
	assert_false(bits & BIT(0)); /* code */
	(void)run(1);
	assert_int_equal(hull_vm_dirty_fetch(vm, payload()->ram_at, &bits, payload()->ram / PAGE),
	                 0);
	assert_false(bits & BIT(STEP_PAGE));
	assert_int_equal(hull_vm_dirty_stop(vm), 0);
}

static void *loop(void *arg)
{
	hull_vm_vcpu_loop(vm, 0);
	return NULL;
}

static void pauses(void **state)
{
	uint32_t counter = arm() ? 2 : 12;
	pthread_t thread;
	uint64_t first, second;

	need_kvm();
	assert_int_equal(hull_kvm_arch_payload_start(vcpu, FOREVER), 0);
	assert_int_equal(pthread_create(&thread, NULL, loop, NULL), 0);
	usleep(50000);
	assert_int_equal(hull_vm_pause(vm, NULL), 0);
	first = reg(counter);
	assert_in_range(reg(pc_number()), payload()->ram_at, payload()->ram_at + 8);
	usleep(10000);
	assert_int_equal(reg(counter), first);
	assert_int_equal(hull_vm_resume(vm, NULL), 0);
	usleep(50000);
	assert_int_equal(hull_vm_pause(vm, NULL), 0);
	second = reg(counter);
	assert_true(second < first && second > 0);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	pthread_join(thread, NULL);
}

static void stops_for_a_debugger(void **state)
{
	struct hull_debug d = { .step = true };
	struct hull_exit e;

	need_kvm();
	if (!arm()) {
		assert_int_equal(hull_vcpu_debug(vcpu, &d), HULL_ENOTSUP);
		return;
	}
	assert_int_equal(hull_vcpu_debug(vcpu, &d), 0);
	e = run(3);
	assert_int_equal(e.kind, HULL_EXIT_DEBUG);
	assert_int_equal(e.debug.pc, payload()->ram_at + 4);
	d = (struct hull_debug){ .n = 1, .at = { { payload()->ram_at + 8, HULL_BREAK_EXEC, 4 } } };
	assert_int_equal(hull_vcpu_debug(vcpu, &d), 0);
	e = run(3);
	assert_int_equal(e.kind, HULL_EXIT_DEBUG);
	assert_int_equal(e.debug.pc, payload()->ram_at + 8);
	assert_int_equal(reg(2), 0);
	d = (struct hull_debug){ .n = 1, .at = { { payload()->ram_at + 3, HULL_BREAK_WRITE, 4 } } };
	assert_int_equal(hull_vcpu_debug(vcpu, &d), HULL_EINVAL);
	d = (struct hull_debug){ 0 };
	assert_int_equal(hull_vcpu_debug(vcpu, &d), 0);
	assert_int_equal(run(3).kind, HULL_EXIT_SYSTEM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registers, make, unmake),
		cmocka_unit_test_setup_teardown(runs_and_ends, make, unmake),
		cmocka_unit_test_setup_teardown(writes_are_logged, make, unmake),
		cmocka_unit_test_setup_teardown(pauses, make, unmake),
		cmocka_unit_test_setup_teardown(stops_for_a_debugger, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
