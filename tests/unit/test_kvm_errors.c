/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A host without KVM, one that forbids it, an old one, one that refuses things or answers nonsense:
 * calls into the host are replaced.  What needs a real /dev/kvm beneath is left out without one.
 */
#include "support/kvmrig.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "accel/kvm/kvm_impl.h"
#include "base/text.h"
#include "core/irqchip.h"

static struct hull_kvm_sys real;
static struct kvmrig r;

/* What the replaced calls do. */
static struct {
	int open_error;          /* open() fails with it */
	int api;                 /* answer instead of 12 */
	int no_cap;              /* capability that is missing */
	unsigned fail_at, calls; /* this call of ioctl() fails */
	int fail_with;
	int run_error; /* KVM_RUN fails with it */
	int reason;    /* KVM_RUN exits with it */
	int suberror;
} plan;

static int fake_open(const char *path, int flags)
{
	if (!plan.open_error)
		return real.open(path, flags);
	errno = plan.open_error;
	return -1;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	if (++plan.calls == plan.fail_at) {
		errno = plan.fail_with;
		return -1;
	}
	if (request == KVM_GET_API_VERSION && plan.api)
		return plan.api;
	if (request == KVM_CHECK_EXTENSION && plan.no_cap && (intptr_t)arg == plan.no_cap)
		return 0;
	if (request == KVM_RUN && plan.run_error) {
		errno = plan.run_error;
		return -1;
	}
	if (request == KVM_RUN && plan.reason) {
		struct hull_kvm_vcpu *v = hull_vcpu_accel_state(r.vcpu);

		v->run->exit_reason = (uint32_t)plan.reason;
		v->run->internal.suberror = (uint32_t)plan.suberror;
		return 0;
	}
	return real.ioctl(fd, request, arg);
}

static int set_up(void **state)
{
	memset(&plan, 0, sizeof(plan));
	hull_kvm_sys = real;
	hull_kvm_sys.open = fake_open;
	hull_kvm_sys.ioctl = fake_ioctl;
	return 0;
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int create(struct hull_vm **vm, struct hull_err *err)
{
	struct hull_vm_config c = kvmrig_config(1);

	*err = (struct hull_err){ 0 };
	return hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), vm, err);
}

static void test_cannot_be_opened(void **state)
{
	static const struct {
		int error, code, id;
	} rows[] = {
		{ ENOENT, HULL_ENOENT, 205 },  { ENODEV, HULL_ENOENT, 205 },
		{ EACCES, HULL_EPERM, 204 },   { EPERM, HULL_EPERM, 204 },
		{ EMFILE, HULL_ENOTSUP, 207 }, { EBUSY, HULL_EBUSY, 207 },
	};
	unsigned before = descriptors();

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_accel_caps caps;
		struct hull_err err;
		struct hull_vm *vm;

		plan.open_error = rows[i].error;
		assert_int_equal(create(&vm, &err), rows[i].code);
		assert_int_equal(err.id, rows[i].id);
		assert_true(err.text[0] && err.fix[0]);
		assert_int_equal(hull_accel_find("kvm")->probe(hull_host_hal(), &caps, &err),
		                 rows[i].code);
	}
	assert_int_equal(descriptors(), before);
}

static void test_no_device(void **state)
{
	struct hull_err err;
	struct hull_vm *vm;

	hull_kvm_sys.path = "/dev/null";
	assert_int_equal(create(&vm, &err), HULL_ENOTSUP);
	assert_int_equal(err.id, 206);
	assert_non_null(strstr(err.text, "/dev/null"));
}

static void test_old(void **state)
{
	static const int caps[] = { KVM_CAP_USER_MEMORY,
		                    KVM_CAP_IMMEDIATE_EXIT,
		                    KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
		                    KVM_CAP_MP_STATE,
		                    KVM_CAP_EXT_CPUID,
		                    KVM_CAP_SET_TSS_ADDR,
		                    KVM_CAP_SET_IDENTITY_MAP_ADDR,
		                    KVM_CAP_VCPU_EVENTS,
		                    KVM_CAP_DEBUGREGS,
		                    KVM_CAP_XSAVE };
	struct hull_err err;
	struct hull_vm *vm;

	plan.api = 11;
	assert_int_equal(create(&vm, &err), HULL_ENOTSUP);
	assert_int_equal(err.id, 206);
	assert_non_null(strstr(err.text, "11"));
	plan.api = 0;
	for (unsigned i = 0; i < ARRAY_LEN(caps); i++) {
		plan.no_cap = caps[i];
		assert_int_equal(create(&vm, &err), HULL_ENOTSUP);
		assert_int_equal(err.id, 206);
	}
}

static void test_wrong_guest(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);
	struct hull_err err = { 0 };
	struct hull_vm *vm;

	c.isa = HULL_ISA_RISCV64;
	assert_int_equal(hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err),
	                 HULL_ENOTSUP);
	assert_int_equal(err.id, 201);
	c.isa = HULL_ISA_X86_64;
	c.deterministic = true;
	assert_int_equal(hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err),
	                 HULL_ENOTSUP);
	c.deterministic = false;
	hull_format(c.hw.cpu_model, sizeof(c.hw.cpu_model), "x86-64-v5");
	assert_int_equal(hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err),
	                 HULL_EINVAL);
	assert_int_equal(err.id, 208);
	hull_format(c.hw.cpu_model, sizeof(c.hw.cpu_model), "x86-64-v1,+no_such_thing");
	assert_int_equal(hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err),
	                 HULL_EINVAL);
	c.hw.cpu_model[0] = '\0';
	c.hw.dirty_ring = 1000;
	assert_int_equal(hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err),
	                 HULL_EINVAL);
}

static const uint8_t code[] = { 0xb0, 0x41, 0xba, 0x00, 0x04, 0xee, 0xf4 }; /* out; hlt */

/* What a host may lack: the guest runs without. */
static void test_lacking(void **state)
{
	static const struct {
		int cap;
		enum hull_irqchip wish, have;
	} rows[] = {
		{ KVM_CAP_READONLY_MEM, HULL_IRQCHIP_USER, HULL_IRQCHIP_USER },
		{ KVM_CAP_COALESCED_MMIO, HULL_IRQCHIP_USER, HULL_IRQCHIP_USER },
		{ KVM_CAP_X86_MSR_FILTER, HULL_IRQCHIP_USER, HULL_IRQCHIP_USER },
		{ KVM_CAP_XCRS, HULL_IRQCHIP_USER, HULL_IRQCHIP_USER },
		{ KVM_CAP_TSC_DEADLINE_TIMER, HULL_IRQCHIP_USER, HULL_IRQCHIP_USER },
		{ KVM_CAP_IRQ_ROUTING, HULL_IRQCHIP_AUTO, HULL_IRQCHIP_SPLIT },
		{ KVM_CAP_SPLIT_IRQCHIP, HULL_IRQCHIP_SPLIT, HULL_IRQCHIP_USER },
		{ KVM_CAP_PIT2, HULL_IRQCHIP_KERNEL, HULL_IRQCHIP_KERNEL },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_vm_config c = kvmrig_config(1);
		struct hull_err err = { 0 };
		struct hull_vm *vm;

		c.hw.irqchip = rows[i].wish;
		plan.no_cap = rows[i].cap;
		if (hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err))
			fail_msg("capability %d: %s", rows[i].cap, err.text);
		assert_int_equal(hull_vm_irqchip(vm), rows[i].have);
		assert_int_equal(hull_vm_seal(vm, &err), 0);
		assert_int_equal(hull_vm_boot(vm, &err), 0);
		(void)hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
		assert_int_equal(hull_vm_destroy(vm, NULL), 0);
	}
}

/* Make a machine, boot, run: with one call that fails it is an error or it does not matter. */
static void test_each_call_fails_once(void **state)
{
	static const int errors[] = { EIO, ENOMEM, EINVAL };
	unsigned before = descriptors(), n = 1, failed = 0;
	bool reached;

	do {
		struct hull_vm_config c = kvmrig_config(1);
		struct hull_err err = { 0 };
		struct hull_exit e = { 0 };

		c.hw.irqchip = n & 1 ? HULL_IRQCHIP_USER : HULL_IRQCHIP_KERNEL;
		plan.calls = 0;
		plan.fail_at = n;
		plan.fail_with = errors[n % ARRAY_LEN(errors)];
		if (hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &r.vm, &err)) {
			assert_true(err.text[0]);
			failed++;
		} else {
			assert_int_equal(hull_vm_seal(r.vm, &err), 0);
			(void)hull_vm_boot(r.vm, &err);
			hull_vm_system_event(r.vm, HULL_SYSTEM_OFF, 0);
			(void)hull_vm_run_vcpu(r.vm, 0, &e);
			(void)hull_vm_shutdown(r.vm, HULL_STOP_FORCED, NULL);
			assert_int_equal(hull_vm_destroy(r.vm, NULL), 0);
		}
		reached = plan.calls >= n;
		n++;
	} while (reached && n < 400);
	assert_true(n < 400 && failed > 20);
	assert_int_equal(descriptors(), before);
}

static void test_reasons_to_stop(void **state)
{
	static const struct {
		int reason, suberror;
		const char *says;
	} rows[] = {
		{ KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION, "cannot emulate" },
		{ KVM_EXIT_INTERNAL_ERROR, 77, "77" },
		{ KVM_EXIT_FAIL_ENTRY, 0, "refuses to run" },
		{ KVM_EXIT_SHUTDOWN, 0, "triple fault" },
		{ KVM_EXIT_NOTIFY, 0, "37" },
		{ 39, 0, "no memory" },
		{ 9999, 0, "9999" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_exit e = { 0 };

		plan.reason = 0;
		KVMRIG_START(&r, USER, code);
		plan.reason = rows[i].reason;
		plan.suberror = rows[i].suberror;
		assert_int_equal(hull_vm_run_vcpu(r.vm, 0, &e), 0);
		assert_int_equal(e.kind, HULL_EXIT_FAIL);
		assert_non_null(strstr(e.fail.why, rows[i].says));
		assert_int_equal(hull_vm_state(r.vm), HULL_VM_FAILED);
		assert_int_equal(hull_vm_stop_reason(r.vm), HULL_STOP_FAULT);
		assert_non_null(strstr(hull_vm_failure(r.vm), "rip        0000000000001000"));
		kvmrig_unmake(&r);
	}
}

/* KVM_RUN itself fails. */
static void test_run_fails(void **state)
{
	struct hull_exit e = { 0 };

	KVMRIG_START(&r, USER, code);
	plan.run_error = EFAULT;
	assert_int_equal(hull_vm_run_vcpu(r.vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_FAIL);
	assert_non_null(strstr(hull_vm_failure(r.vm), "gone"));
	assert_int_equal(hull_vm_state(r.vm), HULL_VM_FAILED);
	kvmrig_unmake(&r);
	plan.run_error = 0;
	KVMRIG_START(&r, USER, code);
	assert_int_equal(hull_vcpu_reg_set(r.vcpu, HULL_X86_REG_CR4, BIT(63)), 0);
	assert_int_equal(hull_vm_run_vcpu(r.vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_FAIL);
	assert_non_null(strstr(hull_vm_failure(r.vm), "refuses its registers"));
	kvmrig_unmake(&r);
}

/* Whatever it finds, it says so. */
static void test_probe(void **state)
{
	struct hull_accel_caps caps = { 0 };
	struct hull_err err = { 0 };
	unsigned before = descriptors();
	int e = hull_accel_find("kvm")->probe(hull_host_hal(), &caps, &err);

	if (!e) {
		assert_true(caps.mips >= 100);
		assert_true(caps.max_vcpus && caps.gpa_bits >= 32);
		assert_int_equal(caps.isas, 1u << HULL_ISA_X86_64);
	} else {
		assert_int_equal(e, HULL_ENOTSUP);
		assert_int_equal(err.id, 203);
		assert_true(strstr(err.text, "MIPS") || strstr(err.text, "fails at"));
	}
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest anywhere[] = {
		cmocka_unit_test_setup(test_cannot_be_opened, set_up),
		cmocka_unit_test_setup(test_no_device, set_up),
	};
	const struct CMUnitTest here[] = {
		cmocka_unit_test_setup(test_cannot_be_opened, set_up),
		cmocka_unit_test_setup(test_no_device, set_up),
		cmocka_unit_test_setup(test_old, set_up),
		cmocka_unit_test_setup(test_wrong_guest, set_up),
		cmocka_unit_test_setup(test_lacking, set_up),
		cmocka_unit_test_setup(test_each_call_fails_once, set_up),
		cmocka_unit_test_setup(test_reasons_to_stop, set_up),
		cmocka_unit_test_setup(test_run_fails, set_up),
		cmocka_unit_test_setup(test_probe, set_up),
	};

	if (!hull_accel_find("kvm") || !hull_accel_find("kvm")->isas) {
		printf("no KVM for hosts like this one\n");
		return 77;
	}
	real = hull_kvm_sys;
	if (!kvmrig_usable())
		return cmocka_run_group_tests_name("kvm_errors", anywhere, NULL, NULL);
	return cmocka_run_group_tests_name("kvm_errors", here, NULL, NULL);
}
