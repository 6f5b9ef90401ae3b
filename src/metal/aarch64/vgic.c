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
#include "metal/aarch64/spi.h"
#include "metal/aarch64/sysreg.h"

#define LR_PENDING BIT(62)
#define LR_ACTIVE  BIT(63)
#define LR_HW      BIT(61)
#define LR_GROUP1  BIT(60)
#define LR_EOI     BIT(41)

enum { FIRST_SPI = 32 };

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

unsigned el2_gic_capacity(void)
{
	return MIN((unsigned)(sysreg_read(ich_vtr_el2) & 31) + 1, (unsigned)EL2_MAX_LRS);
}

static uint64_t encode(const struct el2_vcpu *v, const struct hull_vgic_irq *irq)
{
	uint64_t lr = LR_GROUP1 | (uint64_t)irq->priority << 48 | irq->intid;

	lr |= irq->pending ? LR_PENDING : 0;
	lr |= irq->active ? LR_ACTIVE : 0;
	if (irq->intid == v->timer_intid && v->timer_high)
		return lr | LR_HW | (uint64_t)irq->intid << 32;
	if (irq->intid >= FIRST_SPI && metal_spi_shown(v->vm->vm, irq->intid))
		return lr | LR_HW | (uint64_t)irq->intid << 32;
	return lr | (irq->level ? LR_EOI : 0);
}

static bool timer_wants(void)
{
	uint64_t ctl = sysreg_read(cntv_ctl_el0);

	return (ctl & (CTL_ENABLE | CTL_MASK | CTL_STATUS)) == (CTL_ENABLE | CTL_STATUS);
}

/* The virtual timer no longer wants anything: its interrupt is over, here and in the GIC. */
static void read_timer(struct el2_vcpu *v, uint64_t lr)
{
	if (lr & LR_ACTIVE || (lr & LR_PENDING && timer_wants()))
		return;
	v->timer_high = false;
	v->timer_over = true;
	if (lr & LR_PENDING)
		metal_gic_set_active(v->timer_intid, false);
}

void el2_gic_read(struct el2_vcpu *v)
{
	v->shown = false;
	/* Without interrupts it would never be quiet. */
	if (v->more)
		sysreg_write(ich_hcr_el2, HCR_EN);
	for (unsigned n = 0; n < v->nlrs; n++) {
		v->lr[n] = read_lr(n);
		write_lr(n, 0);
		if (v->lr[n] & LR_HW && (uint32_t)v->lr[n] == v->timer_intid)
			read_timer(v, v->lr[n]);
	}
}

static void tell_line(struct el2_vcpu *v, bool high)
{
	if (v->timer_known == high)
		return;
	v->timer_known = high;
	v->vgic->line(v->vgic->arg, v->vcpu, v->timer_intid, high);
}

void el2_gic_push(struct el2_vcpu *v)
{
	const struct hull_vgic *g = v->vgic;

	if (v->timer_over)
		tell_line(v, false);
	v->timer_over = false;
	while (v->nlrs) {
		uint64_t lr = v->lr[--v->nlrs];
		struct hull_vgic_irq irq = { .intid = (uint32_t)lr,
			                     .pending = lr & LR_PENDING,
			                     .active = lr & LR_ACTIVE };

		if (lr & LR_HW && irq.intid >= FIRST_SPI && !irq.pending && !irq.active)
			metal_spi_over(v->vm->vm, irq.intid);
		if (irq.intid == v->timer_intid && v->timer_high)
			tell_line(v, true);
		g->push(g->arg, v->vcpu, &irq);
		v->again |= irq.active;
	}
}

bool el2_gic_direct(struct el2_vcpu *v, uint32_t intid, bool timer)
{
	uint64_t lr = LR_GROUP1 | LR_PENDING | intid;
	unsigned at = v->nlrs;
	uint8_t priority;

	if (!v->vgic->direct(v->vgic->arg, v->vcpu, intid, &priority))
		return false;
	for (unsigned n = 0; n < v->nlrs; n++) {
		uint64_t old = read_lr(n);

		if (old & (LR_PENDING | LR_ACTIVE)) {
			if ((uint32_t)old == intid)
				return false;
		} else if (!v->lr[n]) {
			at = n; /* another that went this way, and is over */
		}
	}
	if (at == v->lrs)
		return false;
	if (timer)
		lr |= LR_HW | (uint64_t)intid << 32;
	if (at == v->nlrs)
		v->lr[v->nlrs++] = 0;
	write_lr(at, lr | (uint64_t)priority << 48);
	return true;
}

bool el2_gic_waits(const struct el2_vcpu *v)
{
	for (unsigned n = 0; n < v->nlrs; n++)
		if (read_lr(n) & LR_PENDING)
			return true;
	return false;
}

bool el2_gic_idle(struct el2_vcpu *v)
{
	for (unsigned n = 0; n < v->nlrs; n++)
		if (v->lr[n] || read_lr(n) & (LR_PENDING | LR_ACTIVE))
			return false;
	/* What went straight to the guest, and is over. */
	v->nlrs = 0;
	v->timer_high = v->timer_high && v->timer_known;
	return v->shown;
}

void el2_gic_pull(struct el2_vcpu *v)
{
	const struct hull_vgic *g = hull_vm_vgic(v->vm->vm);
	struct hull_vgic_irq irq;

	v->again = false;
	while (v->nlrs < v->lrs && g->pull(g->arg, v->vcpu, &irq))
		v->lr[v->nlrs++] = encode(v, &irq);
}

void el2_gic_show(struct el2_vcpu *v)
{
	for (unsigned n = 0; n < v->nlrs; n++)
		write_lr(n, v->lr[n]);
	v->shown = true;
	v->more = v->nlrs == v->lrs && hull_vcpu_lines(v->vcpu);
	if (v->more)
		sysreg_write(ich_hcr_el2, HCR_EN | HCR_UIE);
}

void el2_timer_fired(struct el2_vcpu *v)
{
	if (v && hull_vm_vgic(v->vm->vm)) {
		v->timer_fired = true;
		return;
	}
	/* Nobody will end it: the timer is off until somebody asks for it again. */
	sysreg_write(cntv_ctl_el0, 0);
	metal_gic_set_active(metal_virtual_timer(), false);
}

void el2_timer_tell(struct el2_vcpu *v)
{
	v->timer_fired = false;
	v->timer_high = true;
	tell_line(v, true);
}

void el2_timer_forget(struct el2_vcpu *v)
{
	const struct hull_vgic *g = hull_vm_vgic(v->vm->vm);

	v->timer_high = v->timer_fired = v->timer_over = v->timer_known = false;
	if (g)
		g->line(g->arg, v->vcpu, v->timer_intid, false);
}

void metal_idled(void)
{
	struct el2_vcpu *v = metal_this_cpu()->resident;

	if (v && v->timer_fired)
		hull_vcpu_post(v->vcpu, 0);
}

void metal_thread_alarmed(void *arg)
{
	struct el2_vcpu *v = arg;

	hull_vcpu_post(v->vcpu, 0);
}
