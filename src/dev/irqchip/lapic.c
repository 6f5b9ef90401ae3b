/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Local APICs of all vCPUs: xAPIC, x2APIC, timer, interprocessor interrupts.
 *
 * Spec: Intel SDM vol. 3, chapter 11 (registers: tables 11-1 and 11-6; timer: 11.5.4; ICR: 11.6;
 * priorities: 11.8.3; messages: 11.11).
 *
 * One device for all, because they share one address: an access belongs to the vCPU that makes it,
 * or to the first if none does.  Messages come without the lane, from lanes of any rank: they
 * touch nothing but `irr` and `tmr`, which are atomic, raise INTR even if it is for nothing, and
 * read what decides about the destination as it happens to be.  All else is under the lane.
 *
 * The time stamp counter is guest time at `tsc_khz`.
 *
 * Not modelled: another base address, the arbitration priority, remote reads, ExtINT and SMI,
 * what LINT0, LINT1, thermal sensor and performance counters deliver (the registers are there).
 */
#include "dev/irqchip/lapic.h"

#include <hull/regs.h>
#include "base/atomic.h"
#include "base/checked.h"
#include "base/mem.h"
#include "core/dev_impl.h"
#include "core/irqchip.h"
#include "core/vcpu.h"

/* Numbers of the registers: offset / 16 in the page, MSR - 0x800. */
enum {
	ID = 0x02,
	VERSION = 0x03,
	TPR = 0x08,
	PPR = 0x0a,
	EOI = 0x0b,
	LDR = 0x0d,
	DFR = 0x0e,
	SVR = 0x0f,
	ISR = 0x10,
	TMR = 0x18,
	IRR = 0x20,
	ESR = 0x28,
	ICR_LOW = 0x30,
	ICR_HIGH = 0x31,
	LVT = 0x32, /* timer, thermal, performance, LINT0, LINT1, error */
	INITIAL = 0x38,
	CURRENT = 0x39,
	DIVIDE = 0x3e,
	SELF_IPI = 0x3f,
};
enum { LVT_TIMER, LVT_LINT0 = 3, LVT_LINT1, LVT_ERROR, LVTS };
enum { LVT_MASKED = 1 << 16, SVR_ENABLE = 1 << 8 };
enum { TIMER_ONCE, TIMER_PERIODIC, TIMER_DEADLINE };
enum { FIXED, LOWEST, SMI, RESERVED, NMI, INIT, STARTUP, EXTINT };
enum { DEST_FIELD, DEST_SELF, DEST_ALL, DEST_OTHERS };
enum { BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLE = 1 << 11 };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };
enum { TSC_KHZ, BUS_NS, X2APIC }; /* properties */
enum { APICS = HULL_MAX_VCPUS, WORDS = 8, PAGE = 0x1000, FIRST_VECTOR = 16 };

#define BASE_ADDRESS UINT64_C(0xfee00000)
#define BASE_BITS    (low_mask(52) & ~(uint64_t)0x2ff) /* the others are reserved */

static const uint64_t min_period_ns = 50000;

struct apic {
	struct hull_timer timer;
	struct lapic *owner;
	uint64_t base;     /* atomic: IA32_APIC_BASE */
	uint64_t deadline; /* IA32_TSC_DEADLINE, 0: disarmed */
	uint64_t started;  /* when the count began, guest time; HULL_NEVER: it does not run */
	uint32_t tpr, ldr, dfr, svr; /* atomic */
	uint32_t esr, errors;        /* as read, and since */
	uint32_t icr_low, icr_high;
	uint32_t initial, divide;
	uint8_t off;     /* its thread does not hold it: a start-up IPI may start it */
	uint8_t waiting; /* for a start-up IPI */
	uint8_t early;   /* the vector of one that came before the vCPU was off */
};

struct lapic {
	struct hull_dev dev;
	struct hull_msi_sink sink;
	struct apic apic[APICS];
	uint32_t irr[APICS * WORDS], tmr[APICS * WORDS]; /* atomic */
	uint32_t isr[APICS * WORDS];
	uint32_t lvt[APICS * LVTS];
	uint32_t turn; /* atomic: with whom the search for the lowest priority begins */
};

static unsigned count(const struct lapic *s)
{
	return MIN(hull_vm_vcpu_count(s->dev.vm), (uint32_t)APICS);
}

static uint32_t id_of(const struct lapic *s, unsigned i)
{
	return (uint32_t)hull_vm_vcpu(s->dev.vm, i)->phys_id;
}

/* Whose registers an access means. */
static unsigned self(const struct lapic *s)
{
	const struct hull_vcpu *vcpu = hull_vcpu_current(s->dev.vm);

	return vcpu && vcpu->id < count(s) ? vcpu->id : 0;
}

/* `v` is not 0. */
static int top_bit(uint32_t v)
{
	int n = 0;

	for (int step = 16; step; step /= 2) {
		if (v >> step) {
			v >>= step;
			n += step;
		}
	}
	return n;
}

static int highest(const uint32_t *words)
{
	for (int w = WORDS; w-- > 0;) {
		uint32_t v = hull_load_seqcst(&words[w]);

		if (v)
			return 32 * w + top_bit(v);
	}
	return -1;
}

static bool working(const struct apic *a)
{
	return hull_load_relaxed(&a->base) & BASE_ENABLE && hull_load_relaxed(&a->svr) & SVR_ENABLE;
}

static uint32_t processor_priority(const struct lapic *s, unsigned i)
{
	int serving = highest(&s->isr[i * WORDS]);
	uint32_t tpr = s->apic[i].tpr, floor = serving < 0 ? 0 : (uint32_t)serving & 0xf0;

	return (tpr & 0xf0) >= floor ? tpr : floor;
}

/* The vector that the vCPU is to serve now, or -1. */
static int deliverable(const struct lapic *s, unsigned i)
{
	int v = highest(&s->irr[i * WORDS]);

	if (v < 0 || !working(&s->apic[i]) ||
	    ((uint32_t)v & 0xf0) <= (processor_priority(s, i) & 0xf0))
		return -1;
	return v;
}

static void update(struct lapic *s, unsigned i)
{
	if (deliverable(s, i) < 0) {
		hull_irq_set(s->dev.irq[i], false);
		/* A message between the look and the lowering has set `irr` before it raised INTR.
		 */
		if (deliverable(s, i) < 0)
			return;
	}
	hull_irq_set(s->dev.irq[i], true);
}

/* Without the lane, perhaps. */
static void post(struct lapic *s, unsigned i, uint8_t vector, bool level)
{
	uint32_t *tmr = &s->tmr[i * WORDS + vector / 32], bit = UINT32_C(1) << vector % 32;

	if (vector < FIRST_VECTOR || !working(&s->apic[i]))
		return;
	if (level)
		hull_or_seqcst(tmr, bit);
	else if (hull_load_relaxed(tmr) & bit)
		hull_and_seqcst(tmr, ~bit);
	hull_or_seqcst(&s->irr[i * WORDS + vector / 32], bit);
	hull_irq_set(s->dev.irq[i], true);
}

static uint32_t x2apic_ldr(uint32_t id)
{
	return id >> 4 << 16 | 1u << (id & 15);
}

/* 11.6.2.2: flat and cluster model, and that of x2APIC (11.12.10.2). */
static bool in_logical(const struct lapic *s, unsigned i, uint32_t dest)
{
	const struct apic *a = &s->apic[i];
	uint32_t ldr = hull_load_relaxed(&a->ldr) >> 24;

	if (hull_load_relaxed(&a->base) & BASE_X2APIC) {
		ldr = x2apic_ldr(id_of(s, i));
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	}
	if (dest > 0xff)
		return false;
	if (hull_load_relaxed(&a->dfr) >> 28 == 0xf)
		return dest & ldr;
	return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf);
}

/* Bit i: vCPU i is meant. */
static uint64_t targets(const struct lapic *s, uint32_t dest, bool logical, bool wide)
{
	uint64_t found = 0;

	if (dest == (wide ? UINT32_MAX : 0xff))
		return low_mask(count(s));
	for (unsigned i = 0; i < count(s); i++)
		if (logical ? in_logical(s, i, dest) : id_of(s, i) == dest)
			found |= BIT(i);
	return found;
}

/* Of several the one that does the least important work; those who are equal take turns. */
static uint64_t lowest(struct lapic *s, uint64_t mask)
{
	unsigned n = count(s), from = hull_add_relaxed(&s->turn, 1) % n;
	uint32_t least = UINT32_MAX;
	uint64_t found = 0;

	for (unsigned k = 0; k < n; k++) {
		unsigned i = (from + k) % n;
		uint32_t tpr = hull_load_relaxed(&s->apic[i].tpr) >> 4;

		if (mask >> i & 1 && working(&s->apic[i]) && tpr < least) {
			least = tpr;
			found = BIT(i);
		}
	}
	return found;
}

/* What may come without the lane. */
static void deliver(struct lapic *s, uint64_t mask, unsigned mode, uint8_t vector, bool level)
{
	if (mode == LOWEST)
		mask = lowest(s, mask);
	for (unsigned i = 0; i < count(s); i++) {
		struct hull_vcpu *vcpu = hull_vm_vcpu(s->dev.vm, i);

		if (!(mask >> i & 1))
			continue;
		if (mode == FIXED || mode == LOWEST)
			post(s, i, vector, level);
		else if (mode == NMI && hull_vcpu_state(vcpu) != HULL_VCPU_OFF)
			hull_vcpu_raise(vcpu, BIT(HULL_X86_INPUT_NMI));
	}
}

/* A message of the I/O APIC or of a PCI device (11.11). */
static void send(struct hull_msi_sink *sink, uint64_t addr, uint32_t data)
{
	struct lapic *s = CONTAINER_OF(sink, struct lapic, sink);
	unsigned mode = (unsigned)bits(data, 10, 8);
	uint8_t vector = (uint8_t)data;

	if (addr >> 20 != BASE_ADDRESS >> 20 || (mode != FIXED && mode != LOWEST && mode != NMI) ||
	    (mode != NMI && vector < FIRST_VECTOR)) {
		hull_guest_error(&s->dev, "message that cannot be delivered", data);
		return;
	}
	deliver(s, targets(s, (uint32_t)bits(addr, 19, 12), addr & 4, false), mode, vector,
	        data & BIT(15));
}

static void report(struct lapic *s, unsigned i, uint32_t error)
{
	uint32_t lvt = s->lvt[i * LVTS + LVT_ERROR];

	s->apic[i].errors |= error;
	hull_guest_error(&s->dev, "error that the error status register tells", error);
	if (lvt & LVT_MASKED)
		return;
	post(s, i, (uint8_t)lvt, false);
	update(s, i);
}

static unsigned timer_mode(const struct lapic *s, unsigned i)
{
	return (unsigned)bits(s->lvt[i * LVTS + LVT_TIMER], 18, 17);
}

static uint64_t tick_ns(const struct lapic *s, unsigned i)
{
	unsigned code = s->apic[i].divide & 3, high = s->apic[i].divide >> 1 & 4;

	return s->dev.prop[BUS_NS] << ((code | high) + 1) % 8;
}

/* Guest time at which the time stamp counter reads `tsc`. */
static uint64_t tsc_to_ns(const struct lapic *s, uint64_t tsc)
{
	uint64_t khz = s->dev.prop[TSC_KHZ], ns;

	if (!hull_mul(tsc / khz, 1000000, &ns) || !hull_add(ns, tsc % khz * 1000000 / khz, &ns))
		return HULL_NEVER;
	return MIN(ns, HULL_NEVER);
}

static uint32_t current_count(struct lapic *s, unsigned i)
{
	const struct apic *a = &s->apic[i];
	uint64_t ticks, now = hull_dev_now(&s->dev);

	if (a->started == HULL_NEVER || !a->initial)
		return 0;
	ticks = (now - MIN(a->started, now)) / tick_ns(s, i);
	if (timer_mode(s, i) == TIMER_PERIODIC)
		return a->initial - (uint32_t)(ticks % a->initial);
	return ticks < a->initial ? a->initial - (uint32_t)ticks : 0;
}

static void arm(struct lapic *s, unsigned i)
{
	struct apic *a = &s->apic[i];
	uint64_t at = HULL_NEVER, now = hull_dev_now(&s->dev);

	if (timer_mode(s, i) == TIMER_DEADLINE)
		at = a->deadline ? tsc_to_ns(s, a->deadline) : HULL_NEVER;
	else if (a->initial && a->started != HULL_NEVER)
		at = a->started + a->initial * tick_ns(s, i);
	/* Faster than this a periodic timer would keep the host busy. */
	if (timer_mode(s, i) == TIMER_PERIODIC && at < now + min_period_ns && at > now)
		at = now + min_period_ns;
	hull_timer_set(s->dev.vm, &a->timer, at);
}

static void expire(struct lapic *s, unsigned i)
{
	struct apic *a = &s->apic[i];
	uint64_t now = hull_dev_now(&s->dev), period = a->initial * tick_ns(s, i);
	uint32_t lvt = s->lvt[i * LVTS + LVT_TIMER];

	if (timer_mode(s, i) == TIMER_PERIODIC && period)
		a->started += (now - MIN(a->started, now)) / period * period;
	else
		a->started = HULL_NEVER;
	a->deadline = 0;
	if (!(lvt & LVT_MASKED))
		post(s, i, (uint8_t)lvt, false);
	arm(s, i);
	update(s, i);
}

static void fire(struct hull_timer *t)
{
	struct apic *a = CONTAINER_OF(t, struct apic, timer);
	struct lapic *s = a->owner;

	hull_dev_enter(&s->dev);
	if (hull_timer_take(s->dev.vm, t))
		expire(s, (unsigned)(a - s->apic));
	hull_dev_leave(&s->dev);
}

/* State after reset and INIT (11.4.7.1, 11.4.7.3): all but identity and mode. */
static void reset_apic(struct lapic *s, unsigned i)
{
	struct apic *a = &s->apic[i];

	hull_store_relaxed(&a->tpr, 0);
	hull_store_relaxed(&a->ldr, 0);
	hull_store_relaxed(&a->dfr, UINT32_MAX);
	hull_store_relaxed(&a->svr, 0xff);
	a->esr = a->errors = a->icr_low = a->icr_high = a->initial = a->divide = 0;
	a->deadline = 0;
	a->started = HULL_NEVER;
	for (unsigned w = 0; w < WORDS; w++) {
		hull_store_seqcst(&s->irr[i * WORDS + w], 0);
		hull_store_seqcst(&s->tmr[i * WORDS + w], 0);
		s->isr[i * WORDS + w] = 0;
	}
	for (unsigned k = 0; k < LVTS; k++)
		s->lvt[i * LVTS + k] = LVT_MASKED;
	arm(s, i);
	update(s, i);
}

/* Real mode at vector << 12 (SDM vol. 3, 9.4.4.1). */
static void start(struct lapic *s, unsigned i, uint8_t vector)
{
	const uint32_t cs = HULL_X86_REG_SEG + 4 * HULL_X86_CS;
	const struct hull_reg_value regs[] = {
		{ HULL_X86_REG_RIP, 0 },
		{ cs + HULL_X86_SELECTOR, (uint64_t)vector << 8 },
		{ cs + HULL_X86_BASE, (uint64_t)vector << 12 },
		{ cs + HULL_X86_LIMIT, 0xffff },
		{ cs + HULL_X86_ATTR, 0x9b },
	};

	s->apic[i].waiting = s->apic[i].early = s->apic[i].off = 0;
	if (hull_vcpu_start(hull_vm_vcpu(s->dev.vm, i), regs, ARRAY_LEN(regs)))
		hull_guest_error(&s->dev, "vCPU that does not start", i);
}

static void init_one(struct lapic *s, unsigned i)
{
	struct apic *a = &s->apic[i];

	reset_apic(s, i);
	a->waiting = 1;
	a->early = 0;
	if (!a->off)
		hull_vcpu_raise(hull_vm_vcpu(s->dev.vm, i), BIT(HULL_X86_INPUT_INIT));
}

static void startup_one(struct lapic *s, unsigned i, uint8_t vector)
{
	struct apic *a = &s->apic[i];

	if (!a->waiting)
		return;
	if (a->off)
		start(s, i, vector);
	else
		a->early = vector;
}

static void send_ipi(struct lapic *s, unsigned i, bool wide)
{
	const struct apic *a = &s->apic[i];
	unsigned mode = (unsigned)bits(a->icr_low, 10, 8);
	uint8_t vector = (uint8_t)a->icr_low;
	uint64_t mask;

	switch (bits(a->icr_low, 19, 18)) {
	case DEST_SELF: mask = BIT(i); break;
	case DEST_ALL: mask = low_mask(count(s)); break;
	case DEST_OTHERS: mask = low_mask(count(s)) & ~BIT(i); break;
	default:
		mask = targets(s, wide ? a->icr_high : a->icr_high >> 24, a->icr_low & BIT(11),
		               wide);
	}
	if ((mode == FIXED || mode == LOWEST) && vector < FIRST_VECTOR) {
		report(s, i, ESR_SEND_VECTOR);
		return;
	}
	/* INIT level de-assert only synchronises arbitration of old processors (11.6.1). */
	if (mode == INIT && a->icr_low & BIT(15) && !(a->icr_low & BIT(14)))
		return;
	deliver(s, mask, mode, vector, false);
	for (unsigned k = 0; k < count(s); k++) {
		if (!(mask >> k & 1))
			continue;
		if (mode == INIT)
			init_one(s, k);
		else if (mode == STARTUP)
			startup_one(s, k, vector);
		else
			update(s, k);
	}
}

static void end_of_interrupt(struct lapic *s, unsigned i)
{
	int v = highest(&s->isr[i * WORDS]);

	if (v < 0)
		return;
	s->isr[i * WORDS + (unsigned)v / 32] &= ~(UINT32_C(1) << v % 32);
	if (hull_load_seqcst(&s->tmr[i * WORDS + (unsigned)v / 32]) >> v % 32 & 1)
		hull_vm_eoi(s->dev.vm, (uint32_t)v);
	update(s, i);
}

static void write_lvt(struct lapic *s, unsigned i, unsigned k, uint32_t val)
{
	static const uint32_t known[LVTS] = {
		0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff
	};
	struct apic *a = &s->apic[i];
	unsigned before = timer_mode(s, i);

	if (!(a->svr & SVR_ENABLE))
		val |= LVT_MASKED;
	s->lvt[i * LVTS + k] = val & known[k];
	if (k != LVT_TIMER)
		return;
	/* To and from the deadline mode the timer is disarmed (11.5.4.1). */
	if ((before == TIMER_DEADLINE) != (timer_mode(s, i) == TIMER_DEADLINE)) {
		a->started = HULL_NEVER;
		a->deadline = 0;
	}
	arm(s, i);
}

static void write_svr(struct lapic *s, unsigned i, uint32_t val)
{
	hull_store_relaxed(&s->apic[i].svr, val & 0x1ff);
	for (unsigned k = 0; !(val & SVR_ENABLE) && k < LVTS; k++)
		s->lvt[i * LVTS + k] |= LVT_MASKED;
	update(s, i);
}

static void write_divide(struct lapic *s, unsigned i, uint32_t val)
{
	struct apic *a = &s->apic[i];
	uint64_t gone = a->initial - current_count(s, i), now = hull_dev_now(&s->dev);

	a->divide = val & 0xb;
	if (a->started != HULL_NEVER)
		a->started = now - MIN(now, gone * tick_ns(s, i));
	arm(s, i);
}

static void write_initial(struct lapic *s, unsigned i, uint32_t val)
{
	struct apic *a = &s->apic[i];

	if (timer_mode(s, i) == TIMER_DEADLINE)
		return;
	a->initial = val;
	a->started = val ? hull_dev_now(&s->dev) : HULL_NEVER;
	arm(s, i);
}

/* Registers that both modes have.  False: there is none of this number to read. */
static bool read_reg(struct lapic *s, unsigned i, unsigned reg, uint32_t *ret)
{
	const struct apic *a = &s->apic[i];
	unsigned w = i * WORDS + reg % WORDS;

	switch (reg) {
	case VERSION: *ret = 0x14 | (LVTS - 1) << 16; return true;
	case TPR: *ret = a->tpr; return true;
	case PPR: *ret = processor_priority(s, i); return true;
	case SVR: *ret = a->svr; return true;
	case ISR ... ISR + WORDS - 1: *ret = s->isr[w]; return true;
	case TMR ... TMR + WORDS - 1: *ret = hull_load_relaxed(&s->tmr[w]); return true;
	case IRR ... IRR + WORDS - 1: *ret = hull_load_relaxed(&s->irr[w]); return true;
	case ESR: *ret = a->esr; return true;
	case ICR_LOW: *ret = a->icr_low; return true;
	case LVT ... LVT + LVTS - 1: *ret = s->lvt[i * LVTS + reg - LVT]; return true;
	case INITIAL: *ret = a->initial; return true;
	case CURRENT: *ret = current_count(s, i); return true;
	case DIVIDE: *ret = a->divide; return true;
	}
	return false;
}

static bool write_reg(struct lapic *s, unsigned i, unsigned reg, uint32_t val)
{
	struct apic *a = &s->apic[i];

	switch (reg) {
	case TPR:
		hull_store_relaxed(&a->tpr, val & 0xff);
		update(s, i);
		return true;
	case EOI: end_of_interrupt(s, i); return true;
	case SVR: write_svr(s, i, val); return true;
	case ESR:
		a->esr = a->errors;
		a->errors = 0;
		return true;
	case LVT ... LVT + LVTS - 1: write_lvt(s, i, reg - LVT, val); return true;
	case INITIAL: write_initial(s, i, val); return true;
	case DIVIDE: write_divide(s, i, val); return true;
	}
	return false;
}

static uint64_t page_read(struct lapic *s, unsigned i, uint64_t off)
{
	const struct apic *a = &s->apic[i];
	unsigned reg = (unsigned)off / 16;
	uint32_t val = 0;

	if (off % 16 || off >= 0x400)
		reg = 0;
	switch (reg) {
	case ID: return id_of(s, i) << 24;
	case LDR: return a->ldr;
	case DFR: return a->dfr;
	case ICR_HIGH: return a->icr_high;
	}
	if (!read_reg(s, i, reg, &val))
		report(s, i, ESR_REGISTER);
	return val;
}

static void page_write(struct lapic *s, unsigned i, uint64_t off, uint32_t val)
{
	struct apic *a = &s->apic[i];
	unsigned reg = (unsigned)off / 16;

	if (off % 16 || off >= 0x400)
		reg = 0;
	switch (reg) {
	case ID: return; /* read-only in recent processors */
	case LDR: hull_store_relaxed(&a->ldr, val & 0xff000000); return;
	case DFR: hull_store_relaxed(&a->dfr, val | 0x0fffffff); return;
	case ICR_HIGH: a->icr_high = val & 0xff000000; return;
	case ICR_LOW:
		a->icr_low = val & 0xccfff;
		send_ipi(s, i, false);
		return;
	}
	if (!write_reg(s, i, reg, val))
		report(s, i, ESR_REGISTER);
}

static uint64_t msr_read(struct lapic *s, unsigned i, unsigned reg)
{
	const struct apic *a = &s->apic[i];
	uint32_t val = 0;

	switch (reg) {
	case ID: return id_of(s, i);
	case LDR: return x2apic_ldr(id_of(s, i));
	case ICR_LOW: return a->icr_low | (uint64_t)a->icr_high << 32;
	}
	if (!read_reg(s, i, reg, &val))
		hull_dev_refuse(&s->dev);
	return val;
}

static void msr_write(struct lapic *s, unsigned i, unsigned reg, uint64_t val)
{
	struct apic *a = &s->apic[i];

	if (reg == ICR_LOW && !(val & ~(UINT64_C(0xffffffff000ccfff)))) {
		a->icr_low = (uint32_t)val;
		a->icr_high = (uint32_t)(val >> 32);
		send_ipi(s, i, true);
	} else if (reg == SELF_IPI && val >= FIRST_VECTOR && val <= 0xff) {
		post(s, i, (uint8_t)val, false);
		update(s, i);
	} else if (reg == SELF_IPI && val < FIRST_VECTOR) {
		report(s, i, ESR_SEND_VECTOR);
	} else if (reg == ICR_LOW || val > UINT32_MAX || ((reg == EOI || reg == ESR) && val) ||
	           !write_reg(s, i, reg, (uint32_t)val)) {
		hull_dev_refuse(&s->dev);
	}
}

static void write_base(struct lapic *s, unsigned i, uint64_t val)
{
	struct apic *a = &s->apic[i];
	unsigned old = (unsigned)a->base & (BASE_ENABLE | BASE_X2APIC);
	unsigned mode = (unsigned)val & (BASE_ENABLE | BASE_X2APIC);

	/* 11.12.5: which modes may follow which. */
	if (val & ~(BASE_BITS | BASE_BSP) || mode == BASE_X2APIC ||
	    (mode & BASE_X2APIC && (!s->dev.prop[X2APIC] || !(old & BASE_ENABLE))) ||
	    (old & BASE_X2APIC && mode == BASE_ENABLE)) {
		hull_dev_refuse(&s->dev);
		return;
	}
	if ((val & ~(uint64_t)0xfff) != BASE_ADDRESS)
		hull_guest_error(&s->dev, "base address that is not modelled", 0);
	hull_store_relaxed(&a->base, (a->base & ~(uint64_t)(BASE_ENABLE | BASE_X2APIC)) | mode);
	if (!mode)
		reset_apic(s, i);
	update(s, i);
}

static bool has_page(const struct apic *a)
{
	return (a->base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE;
}

static bool is_msr(const struct lapic *s, unsigned i, uint64_t off, unsigned size)
{
	if (size != 8 || off < HULL_LAPIC_MSRS)
		return false;
	return off >= HULL_LAPIC_BASE_MSR || s->apic[i].base & BASE_X2APIC;
}

static uint64_t lapic_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct lapic *s = (struct lapic *)d;
	unsigned i = self(s);

	if (off < PAGE && size == 4 && has_page(&s->apic[i]))
		return page_read(s, i, off);
	if (is_msr(s, i, off, size)) {
		if (off == HULL_LAPIC_BASE_MSR)
			return s->apic[i].base;
		if (off == HULL_LAPIC_DEADLINE_MSR)
			return s->apic[i].deadline;
		if (off < HULL_LAPIC_BASE_MSR)
			return msr_read(s, i, (unsigned)(off - HULL_LAPIC_MSRS) / 8);
	}
	hull_dev_refuse(d);
	return 0;
}

static void lapic_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct lapic *s = (struct lapic *)d;
	unsigned i = self(s);

	if (off < PAGE && size == 4 && has_page(&s->apic[i])) {
		page_write(s, i, off, (uint32_t)val);
	} else if (!is_msr(s, i, off, size) || off > HULL_LAPIC_DEADLINE_MSR) {
		hull_dev_refuse(d);
	} else if (off == HULL_LAPIC_BASE_MSR) {
		write_base(s, i, val);
	} else if (off == HULL_LAPIC_DEADLINE_MSR) {
		/* Ignored in the other modes (11.5.4.1). */
		if (timer_mode(s, i) == TIMER_DEADLINE) {
			s->apic[i].deadline = val;
			arm(s, i);
		}
	} else {
		msr_write(s, i, (unsigned)(off - HULL_LAPIC_MSRS) / 8, val);
	}
}

static int acknowledge(struct hull_vcpu *vcpu, void *arg)
{
	struct lapic *s = arg;
	unsigned i = vcpu->id;
	int v;

	hull_dev_enter(&s->dev);
	v = deliverable(s, i);
	if (v >= 0) {
		hull_and_seqcst(&s->irr[i * WORDS + (unsigned)v / 32], ~(UINT32_C(1) << v % 32));
		s->isr[i * WORDS + (unsigned)v / 32] |= UINT32_C(1) << v % 32;
	}
	update(s, i);
	hull_dev_leave(&s->dev);
	return v;
}

static uint8_t cr8_get(void *arg, struct hull_vcpu *vcpu)
{
	const struct lapic *s = arg;

	return (uint8_t)(hull_load_relaxed(&s->apic[vcpu->id].tpr) >> 4);
}

static void cr8_set(void *arg, struct hull_vcpu *vcpu, uint8_t value)
{
	struct lapic *s = arg;

	hull_dev_enter(&s->dev);
	hull_store_relaxed(&s->apic[vcpu->id].tpr, (value & 0xfu) << 4);
	update(s, vcpu->id);
	hull_dev_leave(&s->dev);
}

static uint64_t apic_base(void *arg, struct hull_vcpu *vcpu)
{
	const struct lapic *s = arg;

	return hull_load_relaxed(&s->apic[vcpu->id].base);
}

/* After INIT.  Only now may others start it: until here its thread might have waited for our lane.
 */
static void off(void *arg, struct hull_vcpu *vcpu)
{
	struct lapic *s = arg;
	struct apic *a = &s->apic[vcpu->id];

	hull_dev_enter(&s->dev);
	a->off = 1;
	if (a->waiting && a->early)
		start(s, vcpu->id, a->early);
	hull_dev_leave(&s->dev);
}

struct hull_msi_sink *hull_lapic_msi(struct hull_dev *lapic)
{
	return &((struct lapic *)lapic)->sink;
}

void hull_lapic_serve(struct hull_dev *lapic)
{
	const struct hull_intr intr = { .cr8_get = cr8_get,
		                        .cr8_set = cr8_set,
		                        .apic_base = apic_base,
		                        .off = off,
		                        .arg = lapic };

	hull_vm_set_intack(lapic->vm, acknowledge, lapic);
	hull_vm_set_intr(lapic->vm, &intr);
}

static int lapic_init(struct hull_dev *d, struct hull_err *err)
{
	struct lapic *s = (struct lapic *)d;

	(void)err;
	s->sink.send = send;
	for (unsigned i = 0; i < APICS; i++) {
		s->apic[i].owner = s;
		hull_timer_init(&s->apic[i].timer, fire);
	}
	return 0;
}

static void lapic_reset(struct hull_dev *d)
{
	struct lapic *s = (struct lapic *)d;

	for (unsigned i = 0; i < count(s); i++) {
		struct apic *a = &s->apic[i];

		hull_store_relaxed(&a->base, BASE_ADDRESS | BASE_ENABLE | (i ? 0 : BASE_BSP));
		a->off = a->waiting = i != 0;
		a->early = 0;
		reset_apic(s, i);
	}
}

/* A snapshot may hold anything: drop what the registers could not. */
static void lapic_restored(struct hull_dev *d)
{
	struct lapic *s = (struct lapic *)d;

	for (unsigned i = 0; i < count(s); i++) {
		struct apic *a = &s->apic[i];

		a->base =
			BASE_ADDRESS | (a->base & (BASE_ENABLE | BASE_X2APIC)) | (i ? 0 : BASE_BSP);
		if (!(a->base & BASE_ENABLE) || !d->prop[X2APIC])
			a->base &= ~(uint64_t)BASE_X2APIC;
		a->tpr &= 0xff;
		a->divide &= 0xb;
		a->off = !!a->off;
		a->waiting = !!a->waiting;
		s->irr[i * WORDS] &= ~low_mask(FIRST_VECTOR);
		s->isr[i * WORDS] &= ~low_mask(FIRST_VECTOR);
		if (a->started != HULL_NEVER)
			a->started = MIN(a->started, hull_dev_now(d));
		for (unsigned k = 0; k < LVTS; k++)
			s->lvt[i * LVTS + k] &= 0x7ffff;
		arm(s, i);
		update(s, i);
	}
}

static const struct hull_field lapic_fields[] = {
	HULL_FIELD_EACH(struct lapic, apic, base),
	HULL_FIELD_EACH(struct lapic, apic, deadline),
	HULL_FIELD_EACH(struct lapic, apic, started),
	HULL_FIELD_EACH(struct lapic, apic, tpr),
	HULL_FIELD_EACH(struct lapic, apic, ldr),
	HULL_FIELD_EACH(struct lapic, apic, dfr),
	HULL_FIELD_EACH(struct lapic, apic, svr),
	HULL_FIELD_EACH(struct lapic, apic, esr),
	HULL_FIELD_EACH(struct lapic, apic, errors),
	HULL_FIELD_EACH(struct lapic, apic, icr_low),
	HULL_FIELD_EACH(struct lapic, apic, icr_high),
	HULL_FIELD_EACH(struct lapic, apic, initial),
	HULL_FIELD_EACH(struct lapic, apic, divide),
	HULL_FIELD_EACH(struct lapic, apic, off),
	HULL_FIELD_EACH(struct lapic, apic, waiting),
	HULL_FIELD_EACH(struct lapic, apic, early),
	HULL_FIELD_ARRAY(struct lapic, irr),
	HULL_FIELD_ARRAY(struct lapic, tmr),
	HULL_FIELD_ARRAY(struct lapic, isr),
	HULL_FIELD_ARRAY(struct lapic, lvt),
};

static const struct hull_prop lapic_props[] = {
	{ "tsc_khz", "frequency of the time stamp counter, kHz", 1000000, 1000, 100000000 },
	{ "bus_ns", "period of the timer's clock, ns", 1, 1, 1000 },
	{ "x2apic", "1: the guest may switch to x2APIC", 1, 0, 1 },
};

HULL_DEVICE(lapic) = {
	.name = "lapic",
	.summary = "local APICs of x86_64 processors",
	.state_size = sizeof(struct lapic),
	.region_size = 0x2000,
	.access_sizes = 4 | 8,
	.irqs = APICS,
	.refuses = true,
	.init = lapic_init,
	.reset = lapic_reset,
	.read = lapic_read,
	.write = lapic_write,
	.restored = lapic_restored,
	.fields = lapic_fields,
	.nfields = ARRAY_LEN(lapic_fields),
	.props = lapic_props,
	.nprops = ARRAY_LEN(lapic_props),
};
