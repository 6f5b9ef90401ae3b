/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * AArch64 at EL2 as an accelerator: vCPUs run at EL1 and EL0 behind stage 2.
 *
 * Specs: Arm ARM, D1.3 "Exceptions", D19 for the registers.
 */
#include "metal/aarch64/el2.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "core/irqchip.h"
#include "isa/aarch64/regs.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/spi.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/frames.h"
#include "metal/common/spin.h"

/* HCR_EL2 (D19.2.48). */
#define HCR_VM    BIT(0)
#define HCR_SWIO  BIT(1)
#define HCR_FMO   BIT(3)
#define HCR_IMO   BIT(4)
#define HCR_AMO   BIT(5)
#define HCR_VI    BIT(7)
#define HCR_FB    BIT(9)
#define HCR_BSU   BIT(10) /* inner shareable */
#define HCR_TWI   BIT(13)
#define HCR_TID3  BIT(18)
#define HCR_TSC   BIT(19)
#define HCR_TIDCP BIT(20)
#define HCR_TACR  BIT(21)
#define HCR_RW    BIT(31)
#define HCR_TLOR  BIT(35)
#define HCR_TERR  BIT(36)
#define HCR_APK   BIT(40)
#define HCR_API   BIT(41)

/* PSTATE after reset: EL1h, everything masked. */
#define RESET_PSTATE UINT64_C(0x3c5)

enum { IPA_BITS = 40, MAX_VMIDS = 256 };

/* The address spaces in use; 0 is the hypervisor's own. */
static uint8_t vmids[MAX_VMIDS];

static struct el2_vcpu *state(struct hull_vcpu *vcpu)
{
	return hull_vcpu_accel_state(vcpu);
}

/* ID_AA64MMFR0_EL1.PARange in bits. */
static unsigned pa_bits(void)
{
	static const uint8_t table[] = { 32, 36, 40, 42, 44, 48, 52 };
	uint64_t n = sysreg_read(id_aa64mmfr0_el1) & 15;

	return n < ARRAY_LEN(table) ? table[n] : 32;
}

static int el2_probe(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err)
{
	uint64_t mips = 0;
	int r = el2_self_test(hal, &mips, err);

	if (r)
		return r;
	*ret = (struct hull_accel_caps){
		.isas = 1U << HULL_ISA_AARCH64,
		.max_vcpus = METAL_MAX_CPUS,
		.gpa_bits = (uint8_t)MIN((unsigned)IPA_BITS, pa_bits()),
		.mips = mips,
	};
	return 0;
}

static int new_vmid(void)
{
	for (unsigned i = 1; i < MAX_VMIDS; i++)
		if (!__atomic_exchange_n(&vmids[i], 1, __ATOMIC_SEQ_CST))
			return (int)i;
	return 0;
}

static int el2_vm_init(struct hull_vm *vm, struct hull_err *err)
{
	struct el2_vm *s = hull_vm_accel_state(vm);
	unsigned bits = MIN((unsigned)IPA_BITS, pa_bits());
	int vmid, r;

	if (hull_vm_config(vm)->isa != HULL_ISA_AARCH64)
		return hull_fail(err, HULL_ENOTSUP, 1301, "EL2 runs aarch64 guests only");
	vmid = new_vmid();
	if (!vmid)
		return hull_fail(err, HULL_EBUSY, 0, "there are %u VMs already", MAX_VMIDS - 1);
	s->vm = vm;
	s->cntvoff = sysreg_read(cntpct_el0);
	s->vttbr = (uint64_t)vmid << 48;
	r = hull_a64_s2_init(&s->s2, &el2_s2_ops, s, bits);
	if (r) {
		hull_store_relaxed(&vmids[vmid], (uint8_t)0);
		return hull_fail(err, r, 120, "no memory for stage-2 tables");
	}
	s->vttbr |= s->s2.root;
	s->vtcr = hull_a64_s2_vtcr(&s->s2, sysreg_read(id_aa64mmfr0_el1) & 7);
	return 0;
}

static void el2_vm_fini(struct hull_vm *vm)
{
	struct el2_vm *s = hull_vm_accel_state(vm);

	hull_a64_s2_fini(&s->s2);
	hull_store_relaxed(&vmids[s->vttbr >> 48], (uint8_t)0);
}

/*
 * What was put into memory before the guest starts: it runs without caches at first, and must see
 * neither what memory held before nor less than all of it.
 */
static void show_memory(struct el2_vm *s)
{
	const struct hull_vm_config *c = hull_vm_config(s->vm);

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];
		struct hull_a64_s2_leaf leaf;

		for (hull_gpa at = r->gpa; at < r->gpa + r->size; at = leaf.ipa + leaf.bytes) {
			if (!hull_a64_s2_lookup(&s->s2, at, &leaf))
				leaf = (struct hull_a64_s2_leaf){ .ipa = at,
					                          .bytes = HULL_PAGE_SIZE };
			else if (!(leaf.attr & (HULL_MEM_DEVICE | HULL_MEM_UNCACHED)))
				el2_clean(leaf.pa, leaf.bytes);
		}
	}
	el2_forget_code();
}

/* The virtual counter stands still with the rest. */
static void el2_clock(struct hull_vm *vm, bool running)
{
	struct el2_vm *s = hull_vm_accel_state(vm);
	uint64_t now = sysreg_read(cntpct_el0);

	if (running && s->stopped) {
		s->cntvoff += now - s->stopped;
		s->stopped = 0;
	} else if (!running && !s->stopped) {
		s->stopped = now;
	}
}

static enum hull_irqchip el2_irqchip(struct hull_vm *vm)
{
	return HULL_IRQCHIP_USER;
}

static uint32_t el2_below(struct hull_vm *vm)
{
	return HULL_BELOW_VGIC;
}

static int el2_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr)
{
	struct el2_vm *s = hull_vm_accel_state(vm);

	/* Tables have room for more than the machine has addresses. */
	if (((uintptr_t)hva + len - 1) >> pa_bits())
		return HULL_EINVAL;
	return hull_a64_s2_map(&s->s2, gpa, (uintptr_t)hva, len, attr);
}

static int el2_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	struct el2_vm *s = hull_vm_accel_state(vm);

	return hull_a64_s2_unmap(&s->s2, gpa, len);
}

static int el2_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr)
{
	struct el2_vm *s = hull_vm_accel_state(vm);

	return hull_a64_s2_protect(&s->s2, gpa, len, attr);
}

static void el2_vcpu_reset(struct hull_vcpu *vcpu)
{
	static const uint64_t reset[EL2_NSYSREGS] = {
#define X(name, op0, op1, crn, crm, op2, value) [EL2_##name] = (value),
		EL2_SYSREGS(X)
#undef X
	};
	struct el2_vcpu *v = state(vcpu);

	el2_drop(v);
	metal_spi_reset(vcpu->vm);
	el2_timer_forget(v);
	el2_ptimer_reset(v);
	v->timer_intid = metal_virtual_timer();
	v->nlrs = 0;
	v->lrs = el2_gic_capacity();
	v->shown = v->more = false;
	v->access.bytes = 0;
	v->again = false;
	v->vmcr = v->ap0r0 = v->ap1r0 = 0;
	memset(&v->regs, 0, sizeof(v->regs));
	memcpy(v->sys, reset, sizeof(v->sys));
	memset(v->keys, 0, sizeof(v->keys));
	v->disr = 0;
	memset(&v->fp, 0, sizeof(v->fp));
	v->regs.pstate = RESET_PSTATE;
	v->vm->loaded |= !vcpu->id;
	v->hcr = HCR_VM | HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_TWI | HCR_TSC | HCR_TIDCP |
	         HCR_TACR | HCR_RW | HCR_APK | HCR_API | HCR_TID3 | HCR_TLOR | HCR_TERR | HCR_FB |
	         HCR_BSU;
}

static int el2_vcpu_init(struct hull_vcpu *vcpu, struct hull_err *err)
{
	struct el2_vcpu *v = state(vcpu);

	v->vcpu = vcpu;
	v->vm = hull_vm_accel_state(vcpu->vm);
	el2_ptimer_init(v);
	el2_vcpu_reset(vcpu);
	return 0;
}

static void el2_vcpu_fini(struct hull_vcpu *vcpu)
{
	hull_timer_set(vcpu->vm, &state(vcpu)->ptimer.timer, HULL_NEVER);
	el2_drop(state(vcpu));
}

/* The interrupt line goes to the CPU as a virtual interrupt. */
static void show_lines(struct el2_vcpu *v)
{
	uint64_t hcr = hull_vcpu_lines(v->vcpu) & BIT(A64_IRQ) ? v->hcr | HCR_VI : v->hcr & ~HCR_VI;

	if (hcr == v->hcr)
		return;
	v->hcr = hcr;
	sysreg_write(hcr_el2, hcr);
}

unsigned metal_enter(struct a64_regs *regs);

/* Into the guest and out of it.  Nothing here blocks. */
static unsigned execute(struct el2_vcpu *v)
{
	struct metal_cpu *cpu = metal_this_cpu();
	unsigned kind;

	el2_load(v);
	if (v->vgic)
		el2_gic_show(v);
	else
		show_lines(v);
	if (hull_load_relaxed(&cpu->dirty))
		metal_plan(cpu);
	kind = metal_enter(&v->regs);
	if (v->shown)
		el2_gic_read(v);
	return kind;
}

/* The guest waits: here, while nobody else wants the CPU.  False: somebody does. */
static bool waited(struct el2_vcpu *v)
{
	while (!hull_load_seqcst(&v->vcpu->attention) && !v->timer_fired)
		if (!metal_wait_here())
			return false;
	return true;
}

static int el2_vcpu_run(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	struct el2_vcpu *v = state(vcpu);

	v->vgic = hull_vm_vgic(vcpu->vm);
	v->thread = metal_this_cpu()->current;
	if (v->vm->loaded && !vcpu->id) {
		v->vm->loaded = false;
		show_memory(v->vm);
	}
	for (;;) {
		unsigned kind;

		if (hull_load_seqcst(&vcpu->attention)) {
			uint32_t r = hull_vcpu_take(vcpu, UINT32_MAX);

			hull_vcpu_done(vcpu, r & ~(uint32_t)HULL_REQ_STOP);
			if (r & HULL_REQ_STOP) {
				el2_put(v);
				exit->kind = HULL_EXIT_KICKED;
				return 0;
			}
		}
		if (el2_access_go_on(v, exit))
			return 0;
		if (v->timer_fired)
			el2_timer_tell(v);
		if (hull_load_relaxed(&v->ptimer.due))
			el2_ptimer_update(v);
		if (v->vgic && (hull_vcpu_lines(vcpu) || v->again))
			el2_gic_pull(v);
		kind = execute(v);
		if (v->nlrs || v->timer_over)
			el2_gic_push(v);
		if (kind == 0 && !el2_handle(v, exit) &&
		    !(exit->kind == HULL_EXIT_HALT && waited(v)))
			return 0;
		if (kind == 1)
			metal_serve_interrupts();
		if (kind == 3) {
			exit->kind = HULL_EXIT_FAIL;
			exit->fail.code = (int64_t)v->esr;
			exit->fail.why = "the machine reported an SError";
			return 0;
		}
		if (kind == 1)
			metal_yield();
	}
}

static void el2_vcpu_complete(struct hull_vcpu *vcpu, const struct hull_exit *exit)
{
	el2_complete(state(vcpu), exit);
}

static void el2_vcpu_kick(struct hull_vcpu *vcpu)
{
	const struct hull_hal *hal = hull_vm_hal(vcpu->vm);
	uint32_t id = hull_load_seqcst(&vcpu->claimed);

	if (id && id != hal->cpu_id(hal))
		hal->cpu_kick(hal, id);
}

static void el2_irq_update(struct hull_vcpu *vcpu)
{
	el2_vcpu_kick(vcpu);
}

/* Place in the list of a HULL_A64_REG_SYS number; EL2_NSYSREGS: not in it. */
static enum el2_sysreg find(uint32_t reg)
{
	static const uint16_t numbers[EL2_NSYSREGS] = {
#define X(name, op0, op1, crn, crm, op2, value) \
	[EL2_##name] = (op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2),
		EL2_SYSREGS(X)
#undef X
	};
	unsigned n = 0;

	if (reg < HULL_A64_REG_SYS || reg > HULL_A64_REG_SYS + UINT16_MAX)
		return EL2_NSYSREGS;
	while (n < EL2_NSYSREGS && numbers[n] != reg - HULL_A64_REG_SYS)
		n++;
	return (enum el2_sysreg)n;
}

/* Where a register that is kept in memory lies; NULL: it is none of those. */
static uint64_t *slot(struct el2_vcpu *v, uint32_t reg)
{
	if (reg <= HULL_A64_REG_X0 + 30)
		return &v->regs.x[reg];
	if (reg == HULL_A64_REG_PC)
		return &v->regs.pc;
	if (reg == HULL_A64_REG_PSTATE)
		return &v->regs.pstate;
	if (reg >= HULL_A64_REG_V0 && reg < HULL_A64_REG_V0 + 64)
		return &v->fp.v[reg - HULL_A64_REG_V0];
	if (reg == HULL_A64_REG_FPCR)
		return &v->fp.fpcr;
	if (reg == HULL_A64_REG_FPSR)
		return &v->fp.fpsr;
	return NULL;
}

static enum el2_sysreg alias(uint32_t reg)
{
	switch (reg) {
	case HULL_A64_REG_SP: return EL2_sp_el0;
	case HULL_A64_REG_SP_EL1: return EL2_sp_el1;
	case HULL_A64_REG_ELR_EL1: return EL2_elr_el1;
	case HULL_A64_REG_SPSR_EL1: return EL2_spsr_el1;
	default: return find(reg);
	}
}

/* Where the value of a register is now; NULL: *ret_error says why not. */
static uint64_t *place(struct el2_vcpu *v, uint32_t reg, int *ret_error)
{
	uint64_t *at = slot(v, reg);
	enum el2_sysreg n = alias(reg);

	*ret_error = HULL_ENOENT;
	if (at && reg <= HULL_A64_REG_PSTATE)
		return at;
	if (!at && n == EL2_NSYSREGS)
		return NULL;
	el2_put(v);
	*ret_error = HULL_EBUSY; /* another CPU still has it */
	return hull_load_acquire(&v->where) ? NULL : at ? at : &v->sys[n];
}

/* Bit 31 is RES1; U and MT stay clear: more than one CPU, no threads (D19.2.100). */
uint64_t el2_mpidr(const struct hull_vcpu *vcpu)
{
	return BIT(31) | vcpu->phys_id;
}

static int el2_reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret)
{
	int error;
	const uint64_t *at = place(state(vcpu), reg, &error);

	if (reg == A64_MPIDR) {
		*ret = el2_mpidr(vcpu);
		return 0;
	}
	if (!at)
		return error;
	*ret = *at;
	return 0;
}

static int el2_reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	int error;
	uint64_t *at = place(state(vcpu), reg, &error);

	if (!at)
		return error;
	*at = value;
	return 0;
}

HULL_ACCEL(el2) = {
	.name = "el2",
	.summary = "AArch64 virtualization extensions, on bare metal",
	.isas = 1U << HULL_ISA_AARCH64,
	.vm_size = sizeof(struct el2_vm),
	.vcpu_size = sizeof(struct el2_vcpu),
	.probe = el2_probe,
	.vm_init = el2_vm_init,
	.vm_fini = el2_vm_fini,
	.map = el2_map,
	.unmap = el2_unmap,
	.protect = el2_protect,
	.vcpu_init = el2_vcpu_init,
	.vcpu_fini = el2_vcpu_fini,
	.vcpu_reset = el2_vcpu_reset,
	.vcpu_run = el2_vcpu_run,
	.vcpu_complete = el2_vcpu_complete,
	.vcpu_kick = el2_vcpu_kick,
	.reg_get = el2_reg_get,
	.reg_set = el2_reg_set,
	.irq_update = el2_irq_update,
	.irqchip = el2_irqchip,
	.below = el2_below,
	.clock = el2_clock,
};
