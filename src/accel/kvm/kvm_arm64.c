/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM on aarch64 hosts: the machine around the vCPUs.
 *
 * The GIC, the generic timer and PSCI are KVM's: vCPUs wait inside KVM_RUN for interrupts and for
 * CPU_ON, so the core sees neither halts nor starts.  An access that no device answers reads as
 * zero and is otherwise ignored: kernels before 6.11 cannot turn it into an abort once KVM has
 * reported it.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__aarch64__)

#include <errno.h>
#include <string.h>

#include "accel/kvm/kvm_arm64_impl.h"
#include "base/bits.h"
#include "isa/aarch64/gic.h"
#include "isa/aarch64/regs.h"

enum { IPA_DEFAULT = 40, IPA_LEAST = 32 };

const uint32_t hull_kvm_arch_isas = HULL_KVM_ISAS;
const int hull_kvm_arch_needs[] = { KVM_CAP_ARM_PSCI_0_2, KVM_CAP_ONE_REG, KVM_CAP_DEVICE_CTRL, 0 };

/* How many bits addresses have: as many as KVM does unasked, or as memory needs (api 4.1). */
unsigned long hull_kvm_arch_vm_type(struct hull_kvm_vm *k)
{
	const struct hull_vm_config *c = hull_vm_config(k->vm);
	int limit = hull_kvm_cap(k, KVM_CAP_ARM_VM_IPA_SIZE);
	uint64_t end = 0;
	int bits = IPA_DEFAULT;

	if (limit < IPA_LEAST)
		return 0; /* it cannot be asked: 40 */
	for (uint32_t i = 0; i < c->nregions; i++)
		end = MAX(end, c->regions[i].gpa + c->regions[i].size);
	while (bits < limit && end >> bits)
		bits++;
	return (unsigned long)MIN(bits, limit);
}

uint8_t hull_kvm_arch_gpa_bits(struct hull_kvm_vm *k)
{
	int limit = hull_kvm_cap(k, KVM_CAP_ARM_VM_IPA_SIZE);

	return limit < IPA_LEAST ? IPA_DEFAULT : (uint8_t)MIN(limit, 64);
}

unsigned long hull_kvm_arch_vcpu_id(const struct hull_vcpu *vcpu)
{
	return vcpu->id;
}

static void want(struct hull_kvm_vm *k, int cap, unsigned feature)
{
	if (hull_kvm_cap(k, cap))
		k->arch.features |= 1u << feature;
}

/* The host's own processor with all that KVM gives to a guest unless it is asked to do more. */
static int choose_cpu(struct hull_kvm_vm *k, struct hull_err *err)
{
	struct kvm_vcpu_init init = { 0 };
	int r = hull_kvm_vm_ioctl(k, KVM_ARM_PREFERRED_TARGET, &init);

	if (r < 0)
		return hull_kvm_refused(err, "to say what processor it has", -r);
	k->arch.target = init.target;
	want(k, KVM_CAP_ARM_PSCI_0_2, KVM_ARM_VCPU_PSCI_0_2);
	want(k, KVM_CAP_ARM_SVE, KVM_ARM_VCPU_SVE);
	/* KVM wants both or neither. */
	if (hull_kvm_cap(k, KVM_CAP_ARM_PTRAUTH_ADDRESS)) {
		want(k, KVM_CAP_ARM_PTRAUTH_GENERIC, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		want(k, KVM_CAP_ARM_PTRAUTH_GENERIC, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	return 0;
}

int hull_kvm_arch_vm_init(struct hull_kvm_vm *k, struct hull_err *err)
{
	int r = choose_cpu(k, err);

	if (r)
		return r;
	k->irqchip = HULL_IRQCHIP_KERNEL; /* the only one, whatever was wished */
	k->arch.below = HULL_BELOW_POWER;
	/* Accesses that KVM cannot decode come to us instead of ending the VM (api 7.20). */
	(void)hull_kvm_enable(k, KVM_CAP_ARM_NISV_TO_USER, 0);
	return hull_kvm_gic_make(k, err);
}

int hull_kvm_arch_before_vcpus(struct hull_kvm_vm *k, struct hull_err *err)
{
	return 0;
}

void hull_kvm_arch_vm_fini(struct hull_kvm_vm *k)
{
	hull_kvm_gic_drop(k);
}

uint32_t hull_kvm_arch_below(struct hull_kvm_vm *k)
{
	return k->arch.below;
}

/* KVM_ARM_VCPU_INIT (api 4.82): to the reset state; all but the first are off. */
static int init_vcpu(struct hull_kvm_vcpu *v)
{
	struct kvm_vcpu_init init = { .target = v->vm->arch.target,
		                      .features = { v->vm->arch.features } };

	if (v->vcpu->id)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	return hull_kvm_vcpu_ioctl(v, KVM_ARM_VCPU_INIT, &init);
}

int hull_kvm_arch_vcpu_init(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	int sve = KVM_ARM_VCPU_SVE, r = init_vcpu(v);

	if (r >= 0 && v->vm->arch.features >> KVM_ARM_VCPU_SVE & 1)
		r = hull_kvm_vcpu_ioctl(v, KVM_ARM_VCPU_FINALIZE, &sve);
	if (r < 0)
		return hull_kvm_refused(err, "to make a vCPU of the host's kind", -r);
	r = hull_kvm_arch_reg_get(v, A64_MPIDR, &v->arch.mpidr);
	if (r)
		return hull_kvm_refused(err, "to say which number a vCPU has", EIO);
	if (v->vcpu->id + 1 == hull_vm_config(v->vm->vm)->cpu_num)
		return hull_kvm_gic_start(v->vm, err);
	return 0;
}

void hull_kvm_arch_vcpu_fini(struct hull_kvm_vcpu *v)
{
	(void)v;
}

void hull_kvm_arch_vcpu_reset(struct hull_kvm_vcpu *v)
{
	int r = init_vcpu(v); /* the power state with it */

	if (r < 0)
		v->refused = -r;
	if (!v->vcpu->id)
		hull_kvm_gic_reset(v->vm);
}

bool hull_kvm_arch_enter(struct hull_kvm_vcpu *v, uint64_t edges, struct hull_exit *exit)
{
	return true;
}

void hull_kvm_arch_left(struct hull_kvm_vcpu *v)
{
	(void)v;
}

/* An access to no memory by an instruction that KVM does not decode: as on a bus without device. */
static bool abort_guest(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	struct kvm_vcpu_events e = { .exception.ext_dabt_pending = 1 };

	if (hull_kvm_vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &e) >= 0)
		return false;
	hull_kvm_fail(v, exit, v->run->exit_reason,
	              "KVM cannot decode an access to 0x%llx, where no memory is",
	              (unsigned long long)v->run->arm_nisv.fault_ipa);
	return true;
}

bool hull_kvm_arch_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	if (v->run->exit_reason == KVM_EXIT_ARM_NISV)
		return abort_guest(v, exit);
	hull_kvm_fail(v, exit, v->run->exit_reason,
	              "KVM stopped for reason %u, which Hull does not know", v->run->exit_reason);
	return true;
}

void hull_kvm_arch_unanswered(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	(void)v;
	exit->io.data = 0;
}

uint64_t hull_kvm_arch_debug_pc(struct hull_kvm_vcpu *v)
{
	uint64_t pc = 0;

	(void)hull_kvm_arch_reg_get(v, HULL_A64_REG_PC, &pc);
	return pc;
}

void hull_kvm_arch_irq_update(struct hull_kvm_vcpu *v)
{
	(void)v;
}

int hull_kvm_arch_irq_line(struct hull_kvm_vm *k, uint32_t line, bool level)
{
	struct kvm_irq_level l = { .irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT |
		                          (HULL_GIC_SPI + line),
		                   .level = level };

	if (line >= HULL_GIC_SPIS)
		return HULL_EINVAL;
	return hull_kvm_vm_ioctl(k, KVM_IRQ_LINE, &l) < 0 ? HULL_EIO : 0;
}

int hull_kvm_arch_route(struct hull_kvm_vm *k, uint32_t line, uint64_t addr, uint32_t data)
{
	return HULL_ENOTSUP;
}

/* The default routing of KVM: SPIs from 0. */
int hull_kvm_arch_gsi(struct hull_kvm_vm *k, uint32_t line)
{
	(void)k;
	return line < HULL_GIC_SPIS ? (int)line : HULL_EINVAL;
}

/* D19.3.8: DBGWCR, with the bytes of a doubleword that are watched. */
static uint64_t watch_control(const struct hull_breakpoint *b)
{
	uint64_t load = b->kind == HULL_BREAK_ACCESS, bytes = low_mask(b->len);

	return 1 | 3 << 1 | load << 3 | 1 << 4 | bytes << (5 + (b->addr & 7));
}

int hull_kvm_arch_debug(struct hull_kvm_vcpu *v, const struct hull_debug *d,
                        struct kvm_guest_debug *ret)
{
	const uint64_t exec = 1 | 3 << 1 | 0xf << 5; /* D19.3.2: DBGBCR, EL0 and EL1 */
	unsigned breaks = 0, watches = 0;

	(void)v;
	if (d->n)
		ret->control |= KVM_GUESTDBG_USE_HW;
	for (unsigned n = 0; n < d->n; n++) {
		const struct hull_breakpoint *b = &d->at[n];

		if ((unsigned)b->kind > HULL_BREAK_ACCESS)
			return HULL_EINVAL;
		if (b->kind == HULL_BREAK_EXEC) {
			ret->arch.dbg_bcr[breaks] = exec;
			ret->arch.dbg_bvr[breaks++] = b->addr & ~UINT64_C(3);
			continue;
		}
		if (!b->len || b->len > 8 || !is_pow2(b->len) || b->addr & (b->len - 1u))
			return HULL_EINVAL;
		ret->arch.dbg_wcr[watches] = watch_control(b);
		ret->arch.dbg_wvr[watches++] = b->addr & ~UINT64_C(7);
	}
	return 0;
}

/* The counter of the guest goes on by itself: put it back to where guest time stopped. */
void hull_kvm_arch_clock(struct hull_kvm_vm *k, bool running)
{
	struct hull_kvm_vcpu *v = hull_vcpu_accel_state(hull_vm_vcpu(k->vm, 0));

	if (!running)
		k->arch.stopped = !hull_kvm_arch_reg_get(v, A64_CNTVCT, &k->arch.stopped_count);
	else if (k->arch.stopped)
		(void)hull_kvm_arch_reg_set(v, A64_CNTVCT, k->arch.stopped_count);
	if (running)
		k->arch.stopped = false;
}

#endif
