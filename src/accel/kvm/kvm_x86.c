/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM on x86_64 hosts: the machine around the vCPUs.
 *
 * KERNEL: LAPICs and I/O APIC are KVM's, and line n is pin n of the I/O APIC.  The pair of 8259s
 * that KVM makes as well gets no interrupts; its PIT costs a kernel thread and is not made.
 * SPLIT: LAPICs only.  USER: nothing; interrupts are injected one by one.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__x86_64__)

#include <errno.h>
#include <string.h>

#include "accel/kvm/kvm_x86_impl.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "core/irqchip.h"
#include "isa/x86_64/regs.h"

/* Three pages and one that processors without a real mode of their own need (api 4.20, 4.54). */
#define IDENTITY_MAP UINT64_C(0xfeffc000)
#define TSS_ADDR     UINT64_C(0xfeffd000)

const uint32_t hull_kvm_arch_isas = HULL_KVM_ISAS;
const int hull_kvm_arch_needs[] = { KVM_CAP_EXT_CPUID,
	                            KVM_CAP_SET_TSS_ADDR,
	                            KVM_CAP_SET_IDENTITY_MAP_ADDR,
	                            KVM_CAP_VCPU_EVENTS,
	                            KVM_CAP_DEBUGREGS,
	                            KVM_CAP_XSAVE,
	                            0 };

unsigned long hull_kvm_arch_vm_type(struct hull_kvm_vm *k)
{
	(void)k;
	return 0;
}

/* KVM takes it as the id of the LAPIC. */
unsigned long hull_kvm_arch_vcpu_id(const struct hull_vcpu *vcpu)
{
	return vcpu->phys_id;
}

struct routing {
	uint32_t nr, flags; /* as struct kvm_irq_routing */
	struct kvm_irq_routing_entry entries[HULL_KVM_PINS + 1];
};

static void route_msi(struct kvm_irq_routing_entry *e, uint32_t gsi, uint64_t addr, uint32_t data)
{
	*e = (struct kvm_irq_routing_entry){ .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI };
	e->u.msi.address_lo = (uint32_t)addr;
	e->u.msi.address_hi = (uint32_t)(addr >> 32);
	e->u.msi.data = data;
}

static int set_routes(struct hull_kvm_vm *k)
{
	struct routing r = { 0 };

	for (uint32_t pin = 0; pin < HULL_KVM_PINS; pin++) {
		struct kvm_irq_routing_entry *e = &r.entries[r.nr];
		const struct hull_kvm_route *route = &k->arch.routes[pin];

		if (k->irqchip == HULL_IRQCHIP_KERNEL) {
			*e = (struct kvm_irq_routing_entry){ .gsi = pin,
				                             .type = KVM_IRQ_ROUTING_IRQCHIP };
			e->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
			e->u.irqchip.pin = pin;
			r.nr++;
		} else if (route->used) {
			route_msi(e, pin, route->addr, route->data);
			r.nr++;
		}
	}
	return hull_kvm_vm_ioctl(k, KVM_SET_GSI_ROUTING, &r);
}

int hull_kvm_arch_before_vcpus(struct hull_kvm_vm *k, struct hull_err *err)
{
	int r;

	if (k->irqchip == HULL_IRQCHIP_USER)
		return 0;
	if (k->irqchip == HULL_IRQCHIP_SPLIT) {
		r = hull_kvm_enable(k, KVM_CAP_SPLIT_IRQCHIP, HULL_KVM_PINS);
		return r < 0 ? hull_kvm_refused(err, "interrupt controllers of its own", -r) : 0;
	}
	r = hull_kvm_vm_ioctl(k, KVM_CREATE_IRQCHIP, NULL);
	if (r >= 0)
		r = set_routes(k);
	k->arch.ioapic.chip_id = KVM_IRQCHIP_IOAPIC;
	if (r >= 0)
		r = hull_kvm_vm_ioctl(k, KVM_GET_IRQCHIP, &k->arch.ioapic);
	k->arch.has_ioapic = r >= 0;
	return r < 0 ? hull_kvm_refused(err, "interrupt controllers", -r) : 0;
}

/* The wish, as far as this KVM can. */
static enum hull_irqchip choose_irqchip(struct hull_kvm_vm *k)
{
	enum hull_irqchip want = hull_vm_config(k->vm)->hw.irqchip;
	bool kernel = hull_kvm_cap(k, KVM_CAP_IRQCHIP) && hull_kvm_cap(k, KVM_CAP_IRQ_ROUTING);
	bool split = hull_kvm_cap(k, KVM_CAP_SPLIT_IRQCHIP);

	if (want == HULL_IRQCHIP_AUTO)
		want = HULL_IRQCHIP_KERNEL;
	if (want == HULL_IRQCHIP_KERNEL && !kernel)
		want = HULL_IRQCHIP_SPLIT;
	if (want == HULL_IRQCHIP_SPLIT && !split)
		want = HULL_IRQCHIP_USER;
	return want;
}

/*
 * MSR filters come first, and controllers last, when there is memory: each change of the one waits
 * until the kernel has cleaned up behind changes of the other, some 10 ms.
 */
int hull_kvm_arch_vm_init(struct hull_kvm_vm *k, struct hull_err *err)
{
	uint64_t identity = IDENTITY_MAP;
	int r;

	pthread_mutex_init(&k->arch.route_lock, NULL);
	k->irqchip = choose_irqchip(k);
	k->arch.has_xcrs = hull_kvm_cap(k, KVM_CAP_XCRS);
	r = hull_kvm_x86_msr_init(k, err);
	if (r)
		return r;
	r = hull_kvm_vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (r >= 0)
		r = hull_kvm_vm_ioctl(k, KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_ADDR);
	if (r < 0)
		return hull_kvm_refused(err, "room for real mode", -r);
	return hull_kvm_x86_cpuid_init(k, err);
}

void hull_kvm_arch_vm_fini(struct hull_kvm_vm *k)
{
	pthread_mutex_destroy(&k->arch.route_lock);
}

uint32_t hull_kvm_arch_below(struct hull_kvm_vm *k)
{
	(void)k;
	return 0;
}

int hull_kvm_arch_vcpu_init(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	int r = hull_kvm_x86_cpuid_set(v, err);

	return r ? r : hull_kvm_x86_capture(v, err);
}

void hull_kvm_arch_vcpu_fini(struct hull_kvm_vcpu *v)
{
	(void)v;
}

static void reset_controllers(struct hull_kvm_vm *k)
{
	if (k->arch.has_ioapic)
		(void)hull_kvm_vm_ioctl(k, KVM_SET_IRQCHIP, &k->arch.ioapic);
}

void hull_kvm_arch_vcpu_reset(struct hull_kvm_vcpu *v)
{
	struct hull_kvm_vm *k = v->vm;
	struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };

	if (!v->arch.fresh) {
		if (!v->vcpu->id)
			reset_controllers(k);
		v->run->request_interrupt_window = 0;
		v->run->ready_for_interrupt_injection = 0;
		v->run->if_flag = 0;
		v->run->cr8 = 0;
		hull_kvm_x86_restore_reset(v);
	}
	if (k->irqchip == HULL_IRQCHIP_USER)
		return;
	if (v->vcpu->id) /* until the first one sends INIT and SIPI */
		mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	(void)hull_kvm_vcpu_ioctl(v, KVM_SET_MP_STATE, &mp);
}

static bool intr_line(const struct hull_kvm_vcpu *v)
{
	return hull_vcpu_lines(v->vcpu) & BIT(HULL_X86_INPUT_INTR);
}

/*
 * USER: give the guest what its controllers have for it.  False: it sleeps on.  Before the first
 * KVM_RUN nothing is known of RFLAGS.IF: then the guest is asked to stop when it can take one.
 */
static bool inject(struct hull_kvm_vcpu *v)
{
	struct kvm_run *run = v->run;
	bool line = intr_line(v);

	if (UNLIKELY(line) && run->if_flag && (v->halted || run->ready_for_interrupt_injection)) {
		int vector = hull_vcpu_intack(v->vcpu);
		struct kvm_interrupt i = { .irq = (uint32_t)vector & 0xff };

		if (vector >= 0) {
			(void)hull_kvm_vcpu_ioctl(v, KVM_INTERRUPT, &i);
			run->ready_for_interrupt_injection = 0;
			v->halted = false;
			line = intr_line(v);
		}
	}
	if (v->halted)
		return false;
	run->request_interrupt_window = line;
	return true;
}

/* USER: the local APIC is the board's. */
HOT static bool enter_user(struct hull_kvm_vcpu *v, uint64_t edges, struct hull_exit *exit)
{
	const struct hull_intr *intr = hull_vm_intr(v->vcpu->vm);

	if (edges & BIT(HULL_X86_INPUT_INIT)) {
		exit->kind = HULL_EXIT_CPU_OFF;
		return false;
	}
	if (intr)
		v->run->cr8 = v->arch.cr8 = intr->cr8_get(intr->arg, v->vcpu);
	if (inject(v))
		return true;
	exit->kind = HULL_EXIT_HALT;
	return false;
}

HOT bool hull_kvm_arch_enter(struct hull_kvm_vcpu *v, uint64_t edges, struct hull_exit *exit)
{
	if (UNLIKELY(edges & BIT(HULL_X86_INPUT_NMI))) {
		(void)hull_kvm_vcpu_ioctl(v, KVM_NMI, NULL);
		v->halted = false;
	}
	if (UNLIKELY(v->arch.dirty))
		hull_kvm_x86_flush(v);
	return v->vm->irqchip != HULL_IRQCHIP_USER || enter_user(v, edges, exit);
}

HOT void hull_kvm_arch_left(struct hull_kvm_vcpu *v)
{
	const struct hull_intr *intr;

	v->arch.have = 0;
	v->arch.fresh = false;
	if (v->vm->irqchip != HULL_IRQCHIP_USER || LIKELY(v->run->cr8 == v->arch.cr8))
		return;
	v->arch.cr8 = (uint8_t)(v->run->cr8 & 15);
	intr = hull_vm_intr(v->vcpu->vm);
	if (intr)
		intr->cr8_set(intr->arg, v->vcpu, v->arch.cr8);
}

static bool msr_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	struct kvm_run *run = v->run;

	run->msr.error = 0;
	v->io = (struct hull_kvm_io){
		.kind = HULL_EXIT_SYSREG,
		.write = run->exit_reason == KVM_EXIT_X86_WRMSR,
		.unit = 8,
		.left = 8,
		.addr = run->msr.index,
		.at = (uint8_t *)&run->msr.data,
	};
	hull_kvm_start_io(v, exit);
	return true;
}

bool hull_kvm_arch_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_HLT:
		v->halted = v->vm->irqchip == HULL_IRQCHIP_USER;
		if (v->halted)
			return false; /* lines and edges are looked at next */
		exit->kind = HULL_EXIT_HALT;
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR: return msr_exit(v, exit);
	case KVM_EXIT_IOAPIC_EOI: hull_vm_eoi(v->vm->vm, v->run->eoi.vector); return false;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR: return false;
	default:
		hull_kvm_fail(v, exit, v->run->exit_reason,
		              "KVM stopped for reason %u, which Hull "
		              "does not know",
		              v->run->exit_reason);
		return true;
	}
}

/* Reads of what is not there see the lines of the bus pulled up; an MSR is a fault. */
void hull_kvm_arch_unanswered(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	if (exit->kind == HULL_EXIT_SYSREG)
		v->run->msr.error = 1;
	else
		exit->io.data = UINT64_MAX;
}

uint64_t hull_kvm_arch_debug_pc(struct hull_kvm_vcpu *v)
{
	return v->run->debug.arch.pc;
}

void hull_kvm_arch_irq_update(struct hull_kvm_vcpu *v)
{
	if (v->vm->irqchip == HULL_IRQCHIP_USER)
		hull_kvm_kick(v->vcpu);
}

int hull_kvm_arch_irq_line(struct hull_kvm_vm *k, uint32_t line, bool level)
{
	struct kvm_irq_level l = { .irq = line, .level = level };

	if (k->irqchip != HULL_IRQCHIP_KERNEL)
		return HULL_ENOTSUP;
	if (line >= HULL_KVM_PINS)
		return HULL_EINVAL;
	return hull_kvm_vm_ioctl(k, KVM_IRQ_LINE, &l) < 0 ? HULL_EIO : 0;
}

int hull_kvm_arch_route(struct hull_kvm_vm *k, uint32_t line, uint64_t addr, uint32_t data)
{
	int r;

	if (k->irqchip != HULL_IRQCHIP_SPLIT)
		return HULL_ENOTSUP;
	if (line >= HULL_KVM_PINS)
		return HULL_EINVAL;
	pthread_mutex_lock(&k->arch.route_lock);
	k->arch.routes[line] = (struct hull_kvm_route){ addr, data, addr || data };
	r = set_routes(k);
	pthread_mutex_unlock(&k->arch.route_lock);
	return r < 0 ? HULL_EINVAL : 0;
}

int hull_kvm_arch_gsi(struct hull_kvm_vm *k, uint32_t line)
{
	if (k->irqchip == HULL_IRQCHIP_USER)
		return HULL_ENOTSUP;
	return line < HULL_KVM_PINS ? (int)line : HULL_EINVAL;
}

/* DR7: enable bits, condition and length of breakpoint `n` (SDM vol. 3, 18.2.4). */
static uint64_t dr7_bits(unsigned n, const struct hull_breakpoint *b)
{
	static const uint8_t conditions[] = { 0, 1, 3 }, lengths[] = { 0, 0, 1, 0, 3, 0, 0, 0, 2 };

	return BIT(2 * n + 1) | (uint64_t)conditions[b->kind] << (16 + 4 * n) |
	       (uint64_t)(b->kind == HULL_BREAK_EXEC ? 0 : lengths[b->len]) << (18 + 4 * n);
}

int hull_kvm_arch_debug(struct hull_kvm_vcpu *v, const struct hull_debug *d,
                        struct kvm_guest_debug *ret)
{
	(void)v;
	if (!d->n)
		return 0;
	ret->control |= KVM_GUESTDBG_USE_HW_BP;
	ret->arch.debugreg[7] = BIT(10) | BIT(9); /* always 1; exact */
	for (unsigned n = 0; n < d->n; n++) {
		const struct hull_breakpoint *b = &d->at[n];

		if ((unsigned)b->kind > HULL_BREAK_ACCESS ||
		    (b->kind != HULL_BREAK_EXEC && (b->len > 8 || !is_pow2(b->len))))
			return HULL_EINVAL;
		ret->arch.debugreg[n] = b->addr;
		ret->arch.debugreg[7] |= dr7_bits(n, b);
	}
	return 0;
}

#endif
