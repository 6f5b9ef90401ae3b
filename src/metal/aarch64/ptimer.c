/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * EL1's physical timer and the physical counter, emulated: the counter has the offset of the
 * virtual one, so that both timers of a guest agree and stand still together; the comparison is a
 * timer of the VM's clock.
 *
 * Spec: Arm ARM, D11.2.4 "Timers"; D19.12 for the registers.
 */
#include "metal/aarch64/el2.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "core/irqchip.h"
#include "isa/aarch64/regs.h"
#include "metal/aarch64/sysreg.h"

#define CTL_ENABLE BIT(0)
#define CTL_MASK   BIT(1)
#define CTL_STATUS BIT(2)

/* PPI 14, as the board's device tree says. */
enum { INTID = 30 };

#define REG(crm, op2) (A64_SYS_REG(3, 3, 14, crm, op2) - HULL_A64_REG_SYS)

enum {
	CNTPCT = REG(0, 1),
	CNTPCTSS = REG(0, 5),
	CNTP_TVAL = REG(2, 0),
	CNTP_CTL = REG(2, 1),
	CNTP_CVAL = REG(2, 2),
};

uint64_t el2_counter(const struct el2_vcpu *v)
{
	isb();
	return sysreg_read(cntpct_el0) - v->vm->cntvoff;
}

static void drive(struct el2_vcpu *v, bool high)
{
	const struct hull_vgic *g = hull_vm_vgic(v->vm->vm);

	if (v->ptimer.high == high)
		return;
	v->ptimer.high = high;
	if (g)
		g->line(g->arg, v->vcpu, INTID, high);
}

void el2_ptimer_update(struct el2_vcpu *v)
{
	struct el2_ptimer *p = &v->ptimer;
	uint64_t now = el2_counter(v), wake = HULL_NEVER;
	bool counts = (p->ctl & (CTL_ENABLE | CTL_MASK)) == CTL_ENABLE;

	hull_store_seqcst(&p->due, 0);
	/* A tick more: what comes too early comes here again. */
	if (counts && now < p->cval &&
	    !hull_add(hull_clock_now(v->vm->vm), metal_ns(p->cval - now + 1), &wake))
		wake = HULL_NEVER;
	hull_timer_set(v->vm->vm, &p->timer, wake);
	drive(v, counts && now >= p->cval);
}

/* On the VM's thread for timers. */
static void fired(struct hull_timer *t)
{
	struct el2_ptimer *p = (struct el2_ptimer *)(void *)t;

	hull_store_seqcst(&p->due, 1);
	hull_vcpu_post(p->vcpu, 0);
}

void el2_ptimer_init(struct el2_vcpu *v)
{
	v->ptimer.vcpu = v->vcpu;
	hull_timer_init(&v->ptimer.timer, fired);
}

void el2_ptimer_reset(struct el2_vcpu *v)
{
	v->ptimer.ctl = 0;
	v->ptimer.cval = 0;
	el2_ptimer_update(v);
}

static bool read(const struct el2_vcpu *v, uint32_t reg, uint64_t *ret)
{
	const struct el2_ptimer *p = &v->ptimer;
	uint64_t now = el2_counter(v);

	switch (reg) {
	case CNTPCT:
	case CNTPCTSS: *ret = now; return true;
	case CNTP_TVAL: *ret = (uint32_t)(p->cval - now); return true;
	case CNTP_CTL:
		*ret = p->ctl | (p->ctl & CTL_ENABLE && now >= p->cval ? CTL_STATUS : 0);
		return true;
	case CNTP_CVAL: *ret = p->cval; return true;
	default: return false;
	}
}

static bool write(struct el2_vcpu *v, uint32_t reg, uint64_t value)
{
	struct el2_ptimer *p = &v->ptimer;

	switch (reg) {
	case CNTP_TVAL: p->cval = el2_counter(v) + (uint64_t)sign_extend(value, 32); break;
	case CNTP_CTL: p->ctl = value & (CTL_ENABLE | CTL_MASK); break;
	case CNTP_CVAL: p->cval = value; break;
	default: return false;
	}
	el2_ptimer_update(v);
	return true;
}

bool el2_ptimer_access(struct el2_vcpu *v, uint32_t reg, bool to, uint64_t *value)
{
	return to ? write(v, reg, *value) : read(v, reg, value);
}
