/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * GICv3: distributor, a redistributor for each vCPU, and the software-generated interrupts of the
 * CPU interface.
 *
 * Spec: Arm IHI 0069H; registers: 12.9 (GICD), 12.11 (GICR), 12.2 (ICC).  One security state (DS),
 * affinity routing always on; no LPIs.
 *
 * Input n is SPI n (interrupt 32 + n), output v the line of vCPU v: there is an interrupt for it.
 * What happens between that line and the guest's acknowledgement is the accelerator's: it takes
 * interrupts out by struct hull_vgic and brings them back when the guest has, or has not, handled
 * them.  One that is out is `taken`, and seen as pending by the guest.
 */
#include "base/mem.h"
#include "core/dev_impl.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "dev/irqchip/gicv3.h"

enum {
	GICD_CTLR = 0x0000,
	GICD_TYPER = 0x0004,
	GICD_IIDR = 0x0008,
	GICD_IROUTER = 0x6000, /* + 8 * interrupt */
	GICD_PIDR2 = 0xffe8,
	GICR_TYPER = 0x0008,
	GICR_WAKER = 0x0014,
	GICR_SGI_FRAME = 0x10000,
	/* Of both, for interrupts; GICR has the first word, or the first 32 bytes, of each. */
	IGROUPR = 0x080,
	ISENABLER = 0x100,
	ICENABLER = 0x180,
	ISPENDR = 0x200,
	ICPENDR = 0x280,
	ISACTIVER = 0x300,
	ICACTIVER = 0x380,
	IPRIORITYR = 0x400,
	IPRIORITYR_END = 0x800,
	ICFGR = 0xc00,
	ICFGR_END = 0xd00,
};
enum { CTLR_GRP0 = 1, CTLR_GRP1 = 2, CTLR_ARE = 1 << 4, CTLR_DS = 1 << 6 };
enum { WAKER_SLEEP = 2, WAKER_ASLEEP = 4, PIDR2_GICV3 = 0x3b };
enum { PRIORITY_BITS = 0xf8, IRM = 31 };
enum { PRIVATE = 32, SPI_WORDS = HULL_GICV3_MAX_SPIS / 32, CPUS = HULL_GICV3_MAX_CPUS };
enum { WORDS = CPUS + SPI_WORDS }; /* the private interrupts of each vCPU, then all others */
enum { SPIS };                     /* properties */
/* ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1 in their place. */
enum { SGI1R = 0, ASGI1R = 8, SGI0R = 16 };

struct gicv3 {
	struct hull_dev dev;
	uint32_t ctlr;
	/* Bits: */
	uint32_t group[WORDS]; /* 1: group 1 */
	uint32_t enable[WORDS];
	uint32_t latch[WORDS]; /* pending by an edge or by the guest's own hand */
	uint32_t line[WORDS];  /* the input is high */
	uint32_t edge[WORDS];  /* edge-triggered */
	uint32_t active[WORDS];
	uint32_t taken[WORDS];
	uint32_t by_hand[WORDS]; /* taken, and pending as `latch` said; of levels */
	uint32_t recall[WORDS];  /* taken, and not for whoever has it any more */
	uint32_t gone[WORDS];    /* taken, and made not pending by hand */
	uint8_t priority[WORDS * 32];
	uint8_t owner[SPI_WORDS * 32]; /* the vCPU that has it active or taken */
	uint64_t router[SPI_WORDS * 32];
	uint8_t target[SPI_WORDS * 32]; /* the vCPU that `router` means; CPUS: nobody */
	uint32_t waker[CPUS];
	struct hull_vgic vgic;
};

static struct gicv3 *model(struct hull_dev *d)
{
	return (struct gicv3 *)d;
}

static unsigned spi_words(const struct gicv3 *s)
{
	return (unsigned)s->dev.prop[SPIS] / 32;
}

static unsigned ncpus(const struct gicv3 *s)
{
	return MIN(hull_vm_vcpu_count(s->dev.vm), (uint32_t)CPUS);
}

/* The word of an interrupt as vCPU `v` sees it. */
static unsigned word_of(unsigned v, unsigned intid)
{
	return intid < PRIVATE ? v : CPUS + intid / 32 - 1;
}

static uint32_t bit_of(unsigned intid)
{
	return UINT32_C(1) << intid % 32;
}

/* SPIs of word `w` of which `cpus` (s->target, s->owner) says `v`. */
static uint32_t those_of(const uint8_t *cpus, unsigned w, unsigned v)
{
	uint32_t m = 0;

	for (unsigned i = 0; i < 32; i++)
		m |= (uint32_t)(cpus[(w - CPUS) * 32 + i] == v) << i;
	return m;
}

/* What may be signalled. */
static uint32_t forwarded(const struct gicv3 *s, unsigned w)
{
	return s->ctlr & CTLR_GRP1 ? s->enable[w] & s->group[w] : 0;
}

/* What is pending and may be signalled. */
static uint32_t deliverable(const struct gicv3 *s, unsigned w)
{
	uint32_t pending = s->latch[w] | (s->line[w] & ~s->edge[w]);

	return pending & forwarded(s, w) & ~s->active[w] & ~s->taken[w];
}

static uint32_t deliverable_to(const struct gicv3 *s, unsigned w, unsigned v)
{
	uint32_t m = deliverable(s, w);

	return w < CPUS || !m ? m : m & those_of(s->target, w, v);
}

/*
 * What `v` has taken and is pending anew: the vCPU may be through with the first time, which nobody
 * is told of edges.  And what it is to bring back.
 */
static uint32_t again_at(const struct gicv3 *s, unsigned w, unsigned v)
{
	uint32_t m = ((s->latch[w] & forwarded(s, w)) | s->recall[w]) & s->taken[w];

	return w < CPUS || !m ? m : m & those_of(s->owner, w, v);
}

/* The one of highest priority for `v`, lowest number first; false: none. */
static bool best(const struct gicv3 *s, unsigned v, unsigned *ret)
{
	unsigned floor = 256;

	for (unsigned k = 0; k <= spi_words(s); k++) {
		unsigned w = k ? CPUS + k - 1 : v;
		uint32_t m = deliverable_to(s, w, v);

		for (unsigned i = 0; m; i++, m >>= 1) {
			if (!(m & 1) || s->priority[w * 32 + i] >= floor)
				continue;
			floor = s->priority[w * 32 + i];
			*ret = k * 32 + i;
		}
	}
	return floor < 256;
}

static bool any(const struct gicv3 *s, unsigned v)
{
	uint32_t m = deliverable(s, v) | again_at(s, v, v);

	for (unsigned k = 0; !m && k < spi_words(s); k++)
		m = deliverable_to(s, CPUS + k, v) | again_at(s, CPUS + k, v);
	return m;
}

static void update(struct gicv3 *s, unsigned v)
{
	hull_irq_set(s->dev.irq[v], any(s, v));
}

static void update_all(struct gicv3 *s)
{
	for (unsigned v = 0; v < ncpus(s); v++)
		update(s, v);
}

/* Something about word `w` changed. */
static void update_word(struct gicv3 *s, unsigned w)
{
	if (w < CPUS)
		update(s, w);
	else
		update_all(s);
}

static void set_bits(uint32_t *word, uint32_t bits, bool on)
{
	*word = on ? *word | bits : *word & ~bits;
}

static void drive(struct gicv3 *s, unsigned v, unsigned intid, bool level)
{
	unsigned w = word_of(v, intid);
	bool rises = level && !(s->line[w] & bit_of(intid));

	if (!(s->line[w] & bit_of(intid)) == !level)
		return;
	set_bits(&s->line[w], bit_of(intid), level);
	if (rises && s->edge[w] & bit_of(intid))
		s->latch[w] |= bit_of(intid);
	if (intid < PRIVATE) {
		update(s, v);
		return;
	}
	if (s->target[intid - PRIVATE] < CPUS)
		update(s, s->target[intid - PRIVATE]);
	if (s->taken[w] & bit_of(intid))
		update(s, s->owner[intid - PRIVATE]);
}

static void gic_input(struct hull_dev *d, uint32_t n, bool level)
{
	if (n < d->prop[SPIS])
		drive(model(d), 0, PRIVATE + n, level);
}

/* struct hull_vgic: by the accelerator, on the thread of the vCPU. */

static void vgic_line(void *arg, struct hull_vcpu *vcpu, uint32_t intid, bool level)
{
	struct gicv3 *s = arg;

	if (intid < 16 || intid >= PRIVATE || vcpu->id >= ncpus(s))
		return;
	hull_dev_enter(&s->dev);
	drive(s, vcpu->id, intid, level);
	hull_dev_leave(&s->dev);
}

static bool find_active(const struct gicv3 *s, unsigned v, unsigned *ret)
{
	for (unsigned k = 0; k <= spi_words(s); k++) {
		unsigned w = k ? CPUS + k - 1 : v;
		uint32_t m = s->active[w] & ~s->taken[w];

		for (unsigned i = 0; m; i++, m >>= 1) {
			if (!(m & 1) || (k && s->owner[(k - 1) * 32 + i] != v))
				continue;
			*ret = k * 32 + i;
			return true;
		}
	}
	return false;
}

static bool vgic_pull(void *arg, struct hull_vcpu *vcpu, struct hull_vgic_irq *ret)
{
	struct gicv3 *s = arg;
	unsigned v = vcpu->id, intid, w;
	bool found, active, again;

	hull_dev_enter(&s->dev);
	active = find_active(s, v, &intid);
	found = active || best(s, v, &intid);
	if (found) {
		w = word_of(v, intid);
		again = active && s->latch[w] & forwarded(s, w) & bit_of(intid);
		*ret = (struct hull_vgic_irq){ .intid = intid,
			                       .priority = s->priority[w * 32 + intid % 32],
			                       .level = again || !(s->edge[w] & bit_of(intid)),
			                       .pending = !active,
			                       .active = active };
		s->taken[w] |= bit_of(intid);
		if (!active) {
			set_bits(&s->by_hand[w], bit_of(intid), s->latch[w] & bit_of(intid));
			s->latch[w] &= ~bit_of(intid);
		}
		if (intid >= PRIVATE)
			s->owner[intid - PRIVATE] = (uint8_t)v;
		update(s, v);
	}
	hull_dev_leave(&s->dev);
	return found;
}

static void vgic_push(void *arg, struct hull_vcpu *vcpu, const struct hull_vgic_irq *irq)
{
	struct gicv3 *s = arg;
	unsigned w = word_of(vcpu->id, irq->intid);
	uint32_t bit = bit_of(irq->intid);

	hull_dev_enter(&s->dev);
	s->taken[w] &= ~bit;
	set_bits(&s->active[w], bit, irq->active);
	/* A level is pending as long as it is high, or until what the guest wrote is answered. */
	if (irq->pending && (s->edge[w] | s->by_hand[w]) & ~s->gone[w] & bit)
		s->latch[w] |= bit;
	s->by_hand[w] &= ~bit;
	s->recall[w] &= ~bit;
	s->gone[w] &= ~bit;
	update_word(s, w);
	hull_dev_leave(&s->dev);
}

static bool vgic_direct(void *arg, const struct hull_vcpu *vcpu, uint32_t intid, uint8_t *ret)
{
	const struct gicv3 *s = arg;
	unsigned w = vcpu->id;
	uint32_t bit = bit_of(intid);
	uint32_t busy = s->active[w] | s->taken[w] | s->latch[w] | s->line[w];

	*ret = s->priority[w * 32 + intid];
	return s->ctlr & CTLR_GRP1 && s->enable[w] & s->group[w] & ~busy & bit;
}

/* Which vCPU has this affinity (Aff3 at bit 32, Aff2 16, Aff1 8, Aff0 0); CPUS: none. */
static unsigned find_cpu(const struct gicv3 *s, uint64_t affinity)
{
	for (unsigned v = 0; v < ncpus(s); v++)
		if (hull_vm_vcpu(s->dev.vm, v)->phys_id == affinity)
			return v;
	return CPUS;
}

static void route(struct gicv3 *s, unsigned n, uint64_t value)
{
	s->router[n] = value & UINT64_C(0xff80ffffff);
	s->target[n] =
		(uint8_t)(value >> IRM & 1 ? 0 : find_cpu(s, value & UINT64_C(0xff00ffffff)));
}

/* ICC_SGI1R_EL1: to all but the sender, or to the listed CPUs of a cluster (12.2.26). */
static void send_sgi(struct gicv3 *s, uint64_t value)
{
	uint64_t cluster =
		bits(value, 55, 48) << 32 | bits(value, 39, 32) << 16 | bits(value, 23, 16) << 8;
	uint32_t bit = UINT32_C(1) << bits(value, 27, 24);
	unsigned first = (unsigned)bits(value, 47, 44) * 16;
	const struct hull_vcpu *self = hull_vcpu_current(s->dev.vm);

	for (unsigned v = 0; v < ncpus(s); v++) {
		const struct hull_vcpu *vcpu = hull_vm_vcpu(s->dev.vm, v);
		unsigned aff0 = vcpu->phys_id & 0xff;
		bool listed = (vcpu->phys_id & ~UINT64_C(0xff)) == cluster && aff0 >= first &&
		              aff0 < first + 16 && value >> (aff0 - first) & 1;

		if (value >> 40 & 1 ? vcpu == self : !listed)
			continue;
		s->latch[v] |= bit;
		update(s, v);
	}
}

/* A register of bits: what it reads as. */
static uint32_t read_bits(const struct gicv3 *s, unsigned kind, unsigned w)
{
	switch (kind) {
	case IGROUPR: return s->group[w];
	case ISENABLER:
	case ICENABLER: return s->enable[w];
	case ISPENDR:
	case ICPENDR: return s->latch[w] | (s->line[w] & ~s->edge[w]) | s->taken[w];
	case ISACTIVER:
	case ICACTIVER: return s->active[w];
	default: return 0;
	}
}

static void write_bits(struct gicv3 *s, unsigned kind, unsigned w, uint32_t value)
{
	switch (kind) {
	case IGROUPR: s->group[w] = value; break;
	case ISENABLER: s->enable[w] |= value; break;
	case ICENABLER:
		s->enable[w] &= ~value;
		s->recall[w] |= value & s->taken[w];
		break;
	case ISPENDR: s->latch[w] |= value; break;
	case ICPENDR:
		s->latch[w] &= ~value;
		s->by_hand[w] &= ~value;
		s->gone[w] |= value & s->taken[w];
		s->recall[w] |= value & s->taken[w];
		break;
	case ISACTIVER: s->active[w] |= value; break;
	case ICACTIVER: s->active[w] &= ~value; break;
	default: return;
	}
	update_word(s, w);
}

/* Word of the n-th 32 interrupts of a distributor; 0 is not here: affinity routing is on. */
static bool shared_word(const struct gicv3 *s, unsigned n, unsigned *ret)
{
	*ret = CPUS + n - 1;
	return n >= 1 && n <= spi_words(s);
}

/* Two bits for each interrupt, of which one is there; SGIs are edges for good. */
static uint32_t read_config(const struct gicv3 *s, unsigned w, unsigned half)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 16; i++)
		v |= (s->edge[w] >> (half * 16 + i) & 1) << (2 * i + 1);
	return v;
}

static void write_config(struct gicv3 *s, unsigned w, unsigned half, uint32_t value)
{
	if (w < CPUS && !half)
		return;
	for (unsigned i = 0; i < 16; i++)
		set_bits(&s->edge[w], UINT32_C(1) << (half * 16 + i), value >> (2 * i + 1) & 1);
	update_word(s, w);
}

/* `size` bytes of priorities from the interrupt `at` of word `w`. */
static uint64_t read_priority(const struct gicv3 *s, unsigned w, unsigned at, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)s->priority[w * 32 + at + i] << 8 * i;
	return v;
}

static void write_priority(struct gicv3 *s, unsigned w, unsigned at, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		s->priority[w * 32 + at + i] = (uint8_t)(v >> 8 * i) & PRIORITY_BITS;
	update_word(s, w);
}

/*
 * The registers that GICD and the second frame of GICR have alike; `first` is the word that stands
 * for interrupt 0, and only for words that exist.
 */
struct place {
	unsigned kind; /* IGROUPR and on; 0: none of them */
	unsigned w, at;
};

static struct place locate(const struct gicv3 *s, uint64_t off, unsigned v, bool shared)
{
	struct place p = { 0 };
	unsigned n;

	if (off >= IGROUPR && off < IPRIORITYR) {
		p.kind = (unsigned)off & ~0x7fU;
		n = (off & 0x7f) / 4;
	} else if (off >= IPRIORITYR && off < IPRIORITYR_END) {
		p.kind = IPRIORITYR;
		n = (unsigned)(off - IPRIORITYR) / 32;
		p.at = off % 32;
	} else if (off >= ICFGR && off < ICFGR_END) {
		p.kind = ICFGR;
		n = (unsigned)(off - ICFGR) / 8;
		p.at = off / 4 % 2;
	} else {
		return p;
	}
	p.w = v;
	if (shared ? !shared_word(s, n, &p.w) : n != 0)
		p.kind = 0;
	return p;
}

static uint64_t read_common(const struct gicv3 *s, struct place p, unsigned size)
{
	if (p.kind == IPRIORITYR)
		return read_priority(s, p.w, p.at, MIN(size, 32 - p.at));
	return p.kind == ICFGR ? read_config(s, p.w, p.at) : read_bits(s, p.kind, p.w);
}

static void write_common(struct gicv3 *s, struct place p, uint64_t val, unsigned size)
{
	if (p.kind == IPRIORITYR)
		write_priority(s, p.w, p.at, MIN(size, 32 - p.at), val);
	else if (p.kind == ICFGR)
		write_config(s, p.w, p.at, (uint32_t)val);
	else
		write_bits(s, p.kind, p.w, (uint32_t)val);
}

/* The router that `off` lies in; false: none. */
static bool router_at(const struct gicv3 *s, uint64_t off, unsigned *ret)
{
	uint64_t first = GICD_IROUTER + 8 * PRIVATE;

	if (off < first || off >= first + 8 * s->dev.prop[SPIS])
		return false;
	*ret = (unsigned)(off - first) / 8;
	return true;
}

static uint64_t read_dist(const struct gicv3 *s, uint64_t off, unsigned size)
{
	struct place p = locate(s, off, 0, true);
	unsigned n;

	if (p.kind)
		return read_common(s, p, size);
	if (router_at(s, off, &n))
		return s->router[n] >> 8 * (off % 8);
	switch (off) {
	case GICD_CTLR: return s->ctlr | CTLR_ARE | CTLR_DS;
	/* No1N, 10 bits of interrupt numbers, one CPU without affinity routing. */
	case GICD_TYPER: return BIT(25) | 9 << 19 | spi_words(s);
	case GICD_PIDR2: return PIDR2_GICV3;
	default: return 0;
	}
}

static void write_dist(struct gicv3 *s, uint64_t off, uint64_t val, unsigned size)
{
	struct place p = locate(s, off, 0, true);
	unsigned n;

	if (p.kind) {
		write_common(s, p, val, size);
	} else if (router_at(s, off, &n)) {
		uint64_t mask = low_mask(8 * size) << 8 * (off % 8);

		route(s, n, (s->router[n] & ~mask) | (val << 8 * (off % 8) & mask));
		s->recall[CPUS + n / 32] |= s->taken[CPUS + n / 32] & bit_of(n);
		update_all(s);
	} else if (off == GICD_CTLR) {
		s->ctlr = (uint32_t)val & (CTLR_GRP0 | CTLR_GRP1);
		update_all(s);
	}
}

static uint64_t read_redist(const struct gicv3 *s, unsigned v, uint64_t off, unsigned size)
{
	uint64_t id = hull_vm_vcpu(s->dev.vm, v)->phys_id;
	struct place p = { 0 };

	if (off >= GICR_SGI_FRAME)
		p = locate(s, off - GICR_SGI_FRAME, v, false);
	if (p.kind)
		return read_common(s, p, size);
	switch (off) {
	case GICR_TYPER:
	case GICR_TYPER + 4:
		id = (id & 0xffffff) | (id >> 32 & 0xff) << 24;
		return (id << 32 | (uint64_t)v << 8 | (uint64_t)(v + 1 == ncpus(s)) << 4) >>
		       8 * (off - GICR_TYPER);
	case GICR_WAKER: return s->waker[v];
	case GICD_PIDR2: return PIDR2_GICV3;
	default: return 0;
	}
}

static void write_redist(struct gicv3 *s, unsigned v, uint64_t off, uint64_t val, unsigned size)
{
	struct place p = { 0 };

	if (off >= GICR_SGI_FRAME)
		p = locate(s, off - GICR_SGI_FRAME, v, false);
	if (p.kind)
		write_common(s, p, val, size);
	else if (off == GICR_WAKER)
		s->waker[v] = val & WAKER_SLEEP ? WAKER_SLEEP | WAKER_ASLEEP : 0;
}

/* Sizes that a register allows (12.1.3): 8 bytes only where there are 64 bits. */
static bool wide(const struct gicv3 *s, uint64_t off)
{
	unsigned n;

	if (off < HULL_GICV3_DIST_BYTES)
		return router_at(s, off, &n);
	return (off - HULL_GICV3_DIST_BYTES) % HULL_GICV3_REDIST_BYTES == GICR_TYPER;
}

static bool narrow(uint64_t off)
{
	if (off >= HULL_GICV3_DIST_BYTES) {
		off = (off - HULL_GICV3_DIST_BYTES) % HULL_GICV3_REDIST_BYTES;
		off -= MIN(off, (uint64_t)GICR_SGI_FRAME);
	}
	return off >= IPRIORITYR && off < IPRIORITYR_END;
}

static bool allowed(struct gicv3 *s, uint64_t off, unsigned size)
{
	if (size == 4 || (size == 8 ? wide(s, off) : size == 1 && narrow(off)))
		return true;
	hull_guest_error(&s->dev, "access of a size that the register does not have", off);
	return false;
}

static bool redistributor(const struct gicv3 *s, uint64_t *off, unsigned *ret_v)
{
	uint64_t at = *off - HULL_GICV3_DIST_BYTES;

	*ret_v = (unsigned)(at / HULL_GICV3_REDIST_BYTES);
	*off = at % HULL_GICV3_REDIST_BYTES;
	return *ret_v < ncpus(s);
}

static uint64_t gic_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct gicv3 *s = model(d);
	unsigned v;

	if (off >= HULL_GICV3_ICC || !allowed(s, off, size))
		return 0;
	if (off < HULL_GICV3_DIST_BYTES)
		return read_dist(s, off, size);
	return redistributor(s, &off, &v) ? read_redist(s, v, off, size) : 0;
}

static void gic_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct gicv3 *s = model(d);
	unsigned v;

	if (off == HULL_GICV3_ICC + SGI1R) {
		send_sgi(s, val);
		return;
	}
	if (off >= HULL_GICV3_ICC || !allowed(s, off, size))
		return; /* groups that nobody signals */
	if (off < HULL_GICV3_DIST_BYTES)
		write_dist(s, off, val, size);
	else if (redistributor(s, &off, &v))
		write_redist(s, v, off, val, size);
}

static void gic_reset(struct hull_dev *d)
{
	struct gicv3 *s = model(d);

	s->ctlr = 0;
	memset(s->group, 0, sizeof(s->group));
	memset(s->enable, 0, sizeof(s->enable));
	memset(s->latch, 0, sizeof(s->latch));
	memset(s->active, 0, sizeof(s->active));
	memset(s->taken, 0, sizeof(s->taken));
	memset(s->by_hand, 0, sizeof(s->by_hand));
	memset(s->recall, 0, sizeof(s->recall));
	memset(s->gone, 0, sizeof(s->gone));
	memset(s->edge, 0, sizeof(s->edge));
	memset(s->priority, 0, sizeof(s->priority));
	memset(s->owner, 0, sizeof(s->owner));
	for (unsigned v = 0; v < ncpus(s); v++) {
		s->edge[v] = UINT16_MAX; /* SGIs */
		s->waker[v] = WAKER_SLEEP | WAKER_ASLEEP;
		s->line[v] = 0;
	}
	for (unsigned n = 0; n < s->dev.prop[SPIS]; n++)
		route(s, n, 0);
	update_all(s);
}

static int gic_init(struct hull_dev *d, struct hull_err *err)
{
	struct gicv3 *s = model(d);

	s->vgic = (struct hull_vgic){ .pull = vgic_pull,
		                      .push = vgic_push,
		                      .direct = vgic_direct,
		                      .line = vgic_line,
		                      .arg = s };
	hull_vm_set_vgic(d->vm, &s->vgic);
	return 0;
}

static void gic_restored(struct hull_dev *d)
{
	struct gicv3 *s = model(d);

	for (unsigned n = 0; n < s->dev.prop[SPIS]; n++)
		route(s, n, s->router[n]);
	update_all(s);
}

static const struct hull_field gic_fields[] = {
	HULL_FIELD(struct gicv3, ctlr),           HULL_FIELD_ARRAY(struct gicv3, group),
	HULL_FIELD_ARRAY(struct gicv3, enable),   HULL_FIELD_ARRAY(struct gicv3, latch),
	HULL_FIELD_ARRAY(struct gicv3, line),     HULL_FIELD_ARRAY(struct gicv3, edge),
	HULL_FIELD_ARRAY(struct gicv3, active),   HULL_FIELD_ARRAY(struct gicv3, taken),
	HULL_FIELD_ARRAY(struct gicv3, priority), HULL_FIELD_ARRAY(struct gicv3, owner),
	HULL_FIELD_ARRAY(struct gicv3, router),   HULL_FIELD_ARRAY(struct gicv3, waker),
	HULL_FIELD_ARRAY(struct gicv3, by_hand),  HULL_FIELD_ARRAY(struct gicv3, recall),
	HULL_FIELD_ARRAY(struct gicv3, gone),
};

static const struct hull_prop gic_props[] = {
	[SPIS] = { "spis", "shared interrupts, a multiple of 32", 96, 32, HULL_GICV3_MAX_SPIS },
};

HULL_DEVICE(gicv3) = {
	.name = "gicv3",
	.summary = "Arm GICv3: distributor and redistributors",
	.compatible = "arm,gic-v3",
	.node = "interrupt-controller",
	.state_size = sizeof(struct gicv3),
	.region_size = HULL_GICV3_ICC + 8 * HULL_GICV3_ICC_REGS,
	.access_sizes = 1 | 4 | 8,
	.irqs = HULL_GICV3_MAX_CPUS,
	.irqchip = true,
	.init = gic_init,
	.reset = gic_reset,
	.read = gic_read,
	.write = gic_write,
	.input = gic_input,
	.restored = gic_restored,
	.fields = gic_fields,
	.nfields = ARRAY_LEN(gic_fields),
	.props = gic_props,
	.nprops = ARRAY_LEN(gic_props),
};
