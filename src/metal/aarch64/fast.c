/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What most exits are: answered before the vCPU's thread hears of them, list registers left where
 * they are.  Whatever is unusual goes the long way (exits.c), which knows everything.
 *
 * A private interrupt may go straight into a list register: the model is told when it is brought
 * back unfinished (struct hull_vgic).
 */
#include <hull/regs.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/bus.h"
#include "core/irqchip.h"
#include "metal/aarch64/el2.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/sysreg.h"

/* What metal_enter() does next, beside going the long way with a kind. */
enum { AGAIN = -1, DONE = 4 };
enum { SYNCHRONOUS, IRQ };

enum { EC_WFX = 0x01, EC_HVC64 = 0x16, EC_SYSREG = 0x18, EC_DABT_LOWER = 0x24 };

/* A write to ICC_SGI1R_EL1, but for the register. */
#define ISS_SGI1R UINT64_C(0x3a3016)
#define ISS_RT    UINT64_C(0x3e0)
/* A read of CNTPCT_EL0. */
#define ISS_PCT UINT64_C(0x32f801)

/* A translation fault that the syndrome describes, nothing special. */
#define ISS_PLAIN_MASK  (BIT(24) | BIT(8) | BIT(7) | UINT64_C(0x3c))
#define ISS_PLAIN       (BIT(24) | UINT64_C(0x04))
#define ISS_SIGN_EXTEND BIT(21)
#define ISS_WNR         BIT(6)
#define ISS_SF          BIT(15)

enum { SMCCC_VERSION_CALL = INT32_MIN, SMCCC_1_1 = 0x10001 };

int el2_fast(struct el2_vcpu *v, int kind);

/* Has something happened that the thread must look at? */
static bool disturbed(const struct el2_vcpu *v, const struct metal_cpu *cpu)
{
	return hull_load_seqcst(&v->vcpu->attention) || hull_load_relaxed(&cpu->dirty) ||
	       cpu->resident != v;
}

static void counted(struct el2_vcpu *v, enum hull_exit_kind kind)
{
	hull_store_relaxed(&v->vcpu->exits[kind], v->vcpu->exits[kind] + 1);
}

static bool timer_came(struct el2_vcpu *v)
{
	if (!v->vgic || v->timer_fired || v->timer_known ||
	    !el2_gic_direct(v, v->timer_intid, true))
		return false;
	v->timer_high = true;
	return true;
}

/* Serve what the GIC has; true: it was the virtual timer's and is on its way. */
static bool interrupt(struct el2_vcpu *v)
{
	uint32_t intid = metal_gic_take();

	if (intid == METAL_INTID_NONE)
		return false;
	if (intid == v->timer_intid && timer_came(v))
		return true;
	metal_serve_interrupt(intid);
	return false;
}

static int wait(struct el2_vcpu *v, uint64_t esr)
{
	struct metal_cpu *cpu = metal_this_cpu();

	while (!(esr & 3) && !el2_gic_waits(v)) {
		if (disturbed(v, cpu) || hull_vcpu_lines(v->vcpu))
			return SYNCHRONOUS;
		/* metal_plan()'s alarm still holds: nothing has changed since. */
		wfi();
		if (interrupt(v))
			break;
	}
	v->regs.pc += 4;
	return AGAIN;
}

/* ICC_SGI1R_EL1 (IHI 0069H, 12.2.26) that names the sender, and nobody else. */
static bool to_itself(const struct el2_vcpu *v, uint64_t value)
{
	uint64_t id = v->vcpu->phys_id;
	uint64_t mine = bits(id, 39, 32) << 48 | bits(id, 23, 16) << 32 | bits(id, 15, 8) << 16 |
	                bits(id, 7, 4) << 44 | BIT(id & 15);

	return (value & ~(UINT64_C(15) << 24)) == mine;
}

static int sgi(struct el2_vcpu *v, uint64_t esr)
{
	unsigned rt = (unsigned)bits(esr, 9, 5);

	if (rt == 31 || !to_itself(v, v->regs.x[rt]) ||
	    !el2_gic_direct(v, (uint32_t)bits(v->regs.x[rt], 27, 24), false))
		return SYNCHRONOUS;
	v->regs.pc += 4;
	return AGAIN;
}

static int counter(struct el2_vcpu *v, uint64_t esr)
{
	unsigned rt = (unsigned)bits(esr, 9, 5);

	if (rt < 31)
		v->regs.x[rt] = el2_counter(v);
	v->regs.pc += 4;
	return AGAIN;
}

static uint64_t loaded(uint64_t esr, unsigned size, uint64_t value)
{
	if (esr & ISS_SIGN_EXTEND)
		value = (uint64_t)sign_extend(value, 8 * size);
	return esr & ISS_SF ? value : value & UINT32_MAX;
}

/* A device of the bus.  It may block, and this vCPU leave the CPU meanwhile. */
static int device(struct el2_vcpu *v, uint64_t esr)
{
	hull_gpa at = bits(v->hpfar, 43, 4) << 12 | (v->far & HULL_PAGE_MASK);
	unsigned size = 1U << bits(esr, 23, 22), rt = (unsigned)bits(esr, 20, 16);
	struct hull_vm *vm = v->vm->vm;
	uint64_t value = 0;
	bool done;

	if (esr & ISS_WNR)
		done = hull_bus_write(vm, HULL_SPACE_MMIO, at, size, rt < 31 ? v->regs.x[rt] : 0);
	else
		done = hull_bus_read(vm, HULL_SPACE_MMIO, at, size, &value);
	/* Memory that was mapped since, or nothing: the long way finds out. */
	if (!done)
		return SYNCHRONOUS;
	if (!(esr & ISS_WNR) && rt < 31)
		v->regs.x[rt] = loaded(esr, size, value);
	v->regs.pc += 4;
	counted(v, HULL_EXIT_MMIO);
	return disturbed(v, metal_this_cpu()) ? DONE : AGAIN;
}

static int synchronous(struct el2_vcpu *v)
{
	uint64_t esr = sysreg_read(esr_el2);

	v->esr = esr;
	switch (bits(esr, 31, 26)) {
	case EC_HVC64:
		if ((int32_t)v->regs.x[0] != SMCCC_VERSION_CALL || !v->vgic)
			break;
		v->regs.x[0] = SMCCC_1_1;
		return AGAIN;
	case EC_WFX:
		if (v->vgic)
			return wait(v, esr);
		break;
	case EC_SYSREG:
		if ((esr & (low_mask(25) & ~ISS_RT)) == ISS_SGI1R && v->vgic)
			return sgi(v, esr);
		if ((esr & (low_mask(25) & ~ISS_RT)) == ISS_PCT)
			return counter(v, esr);
		break;
	case EC_DABT_LOWER:
		v->far = sysreg_read(far_el2);
		v->hpfar = sysreg_read(hpfar_el2);
		/* The model must know what the guest has before it is asked. */
		if ((esr & ISS_PLAIN_MASK) == ISS_PLAIN && el2_gic_idle(v))
			return device(v, esr);
		return SYNCHRONOUS;
	default: break;
	}
	v->far = sysreg_read(far_el2);
	v->hpfar = sysreg_read(hpfar_el2);
	return SYNCHRONOUS;
}

/* For metal_enter(), after an exit of the resident vCPU. */
int el2_fast(struct el2_vcpu *v, int kind)
{
	if (kind == SYNCHRONOUS)
		return synchronous(v);
	if (kind == IRQ && interrupt(v))
		return AGAIN;
	v->esr = sysreg_read(esr_el2);
	return kind;
}
