/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Interrupts of the model in the list registers of the CPU, and back.
 *
 * Spec: Arm IHI 0069H, 12.4 (ICH registers); list registers: 12.4.8.
 *
 * They are in the CPU only while the guest executes: what the model says is true whenever it is
 * asked.  The virtual timer's interrupt is a physical one: it stays active in the GIC until the
 * guest ends its own.
 */
#include "core/irqchip.h"

#include "base/bits.h"
#include "metal/aarch64/el2.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/sysreg.h"

#define LR_PENDING BIT(62)
#define LR_ACTIVE  BIT(63)
#define LR_HW      BIT(61)
#define LR_GROUP1  BIT(60)
#define LR_EOI     BIT(41)

#define HCR_EN  BIT(0)
#define HCR_UIE BIT(1) /* tell when at most one is left */

#define CTL_ENABLE BIT(0)
#define CTL_MASK   BIT(1)
#define CTL_STATUS BIT(2)

#define EL2_LRS(X) \
	X(0)       \
	X(1)       \
	X(2)       \
	X(3)       \
	X(4)       \
	X(5)       \
	X(6)       \
	X(7)       \
	X(8)       \
	X(9)       \
	X(10)      \
	X(11)      \
	X(12)      \
	X(13)      \
	X(14)      \
	X(15)

static void write_lr(unsigned n, uint64_t value)
{
	switch (n) {
#define X(i) \
	case i: sysreg_write(ich_lr##i##_el2, value); return;
		EL2_LRS(X)
#undef X
	}
}

static uint64_t read_lr(unsigned n)
{
	switch (n) {
#define X(i) \
	case i: return sysreg_read(ich_lr##i##_el2);
		EL2_LRS(X)
#undef X
	}
	return 0;
}

static unsigned capacity(void)
{
	return (unsigned)(sysreg_read(ich_vtr_el2) & 31) + 1;
}

static uint64_t encode(const struct el2_vcpu *v, const struct hull_vgic_irq *irq)
{
	uint64_t lr = LR_GROUP1 | (uint64_t)irq->priority << 48 | irq->intid;

	lr |= irq->pending ? LR_PENDING : 0;
	lr |= irq->active ? LR_ACTIVE : 0;
	if (irq->intid == v->timer_intid && v->timer_high)
		return lr | LR_HW | (uint64_t)irq->intid << 32;
	return lr | (irq->level ? LR_EOI : 0);
}

/* The virtual timer no longer wants anything: its interrupt is over, here and in the GIC. */
static void timer_over(struct el2_vcpu *v, const struct hull_vgic *g, bool deactivate)
{
	v->timer_high = false;
	if (deactivate)
		metal_gic_deactivate(v->timer_intid);
	g->line(g->arg, v->vcpu, v->timer_intid, false);
}

static bool timer_wants(void)
{
	uint64_t ctl = sysreg_read(cntv_ctl_el0);

	return (ctl & (CTL_ENABLE | CTL_MASK | CTL_STATUS)) == (CTL_ENABLE | CTL_STATUS);
}

static void take_back(struct el2_vcpu *v, const struct hull_vgic *g, uint64_t lr)
{
	struct hull_vgic_irq irq = { .intid = (uint32_t)lr,
		                     .pending = lr & LR_PENDING,
		                     .active = lr & LR_ACTIVE };

	if (lr & LR_HW && !irq.active && (!irq.pending || !timer_wants()))
		timer_over(v, g, irq.pending);
	g->push(g->arg, v->vcpu, &irq);
	v->again |= irq.active;
}

void el2_gic_out(struct el2_vcpu *v)
{
	const struct hull_vgic *g = hull_vm_vgic(v->vm->vm);

	for (unsigned n = 0; n < v->nlrs; n++) {
		take_back(v, g, read_lr(n));
		write_lr(n, 0);
	}
	v->nlrs = 0;
	/* That they are empty is no news here: the interrupt would not end. */
	sysreg_write(ich_hcr_el2, HCR_EN);
	isb();
}

void el2_gic_in(struct el2_vcpu *v)
{
	const struct hull_vgic *g = hull_vm_vgic(v->vm->vm);
	unsigned room = capacity();
	struct hull_vgic_irq irq;

	if (!hull_vcpu_lines(v->vcpu) && !v->again)
		return;
	v->again = false;
	while (v->nlrs < room && g->pull(g->arg, v->vcpu, &irq))
		write_lr(v->nlrs++, encode(v, &irq));
	sysreg_write(ich_hcr_el2,
	             hull_vcpu_lines(v->vcpu) && v->nlrs == room ? HCR_EN | HCR_UIE : HCR_EN);
}

void el2_timer_fired(struct el2_vcpu *v)
{
	if (v && hull_vm_vgic(v->vm->vm)) {
		v->timer_fired = true;
		return;
	}
	/* Nobody will end it: the timer is off until somebody asks for it again. */
	sysreg_write(cntv_ctl_el0, 0);
	metal_gic_deactivate(metal_virtual_timer());
}

void el2_timer_tell(struct el2_vcpu *v)
{
	const struct hull_vgic *g = hull_vm_vgic(v->vm->vm);

	v->timer_fired = false;
	v->timer_high = true;
	g->line(g->arg, v->vcpu, v->timer_intid, true);
}

void el2_timer_wake(struct el2_vcpu *v)
{
	if (v && v->timer_fired)
		hull_vcpu_post(v->vcpu, 0);
}

void el2_timer_due(struct hull_timer *t)
{
	struct hull_vcpu *vcpu = CONTAINER_OF(t, struct hull_vcpu, timer);

	if (hull_timer_take(vcpu->vm, t))
		hull_vcpu_post(vcpu, 0);
}
