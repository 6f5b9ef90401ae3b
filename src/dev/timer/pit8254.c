/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * 8254 programmable interval timer, and the part of port 61h that belongs to it.
 *
 * Spec: Intel 82C54 datasheet (231244); port 61h: Intel 9 Series PCH datasheet (330550), 12.8.1.
 *
 * Offsets 0 to 3 are ports 40h to 43h, offset 4 is port 61h.  A counter is not counted down: where
 * it stands follows from guest time.  Output 0 is OUT of counter 0; of the modes that pulse only
 * the rising edge is shown, as a fall and a rise.
 *
 * Not modelled: counter 1 has no output, the speaker makes no sound; a count that is written while
 * the counter runs takes effect at once.
 */
#include "core/dev_impl.h"

enum { CONTROL = 3, PORT_B = 4 };
enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
enum { GATE2 = 1, KEPT = 0xf, REFRESH = 0x10, OUT2 = 0x20 };
enum { COUNTERS = 3, HZ = 1193182 };

static const uint64_t second_ns = 1000000000, refresh_ns = 15000, min_period_ns = 50000;

struct counter {
	uint64_t start;  /* guest time at which it was loaded, as if the gate had never been low */
	uint64_t held;   /* ticks until the gate went low */
	uint32_t reload; /* 0: nothing was written yet */
	uint16_t latch;
	uint8_t mode, access, bcd;
	uint8_t gate, status;
	uint8_t first;   /* the low byte of a count of which the high byte is to come */
	uint8_t high;    /* next byte is the high one: bit 0 when read, bit 1 when written */
	uint8_t latched; /* bit 0: count, bit 1: status */
};

struct pit {
	struct hull_dev dev;
	struct counter counter[COUNTERS];
	uint8_t port_b;
};

static uint64_t to_ticks(uint64_t ns)
{
	return ns / second_ns * HZ + ns % second_ns * HZ / second_ns;
}

/* The first instant at which `ticks` have gone. */
static uint64_t to_ns(uint64_t ticks)
{
	return ticks / HZ * second_ns + (ticks % HZ * second_ns + HZ - 1) / HZ;
}

static uint64_t elapsed(struct pit *s, const struct counter *c)
{
	uint64_t now = hull_dev_now(&s->dev);

	return c->gate || c->mode == 1 || c->mode == 5 ? to_ticks(now - MIN(c->start, now))
	                                               : c->held;
}

static bool periodic(const struct counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool output(struct pit *s, const struct counter *c)
{
	uint64_t t = elapsed(s, c), n = c->reload;

	if (!n)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1: return t >= n;
	case 2: return !c->gate || t % n != n - 1;
	case 3: return !c->gate || t % n < (n + 1) / 2;
	default: return t != n;
	}
}

static uint16_t reading(struct pit *s, const struct counter *c)
{
	uint64_t t = elapsed(s, c), n = c->reload, modulus = c->bcd ? 10000 : 65536, v;

	if (!n)
		return 0;
	if (c->mode == 2)
		v = n - t % n;
	else if (c->mode == 3)
		v = n - t * 2 % n;
	else
		v = (n + modulus - t % modulus) % modulus;
	v %= modulus;
	if (!c->bcd)
		return (uint16_t)v;
	return (uint16_t)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/* Show OUT of counter 0 and wait for its next change. */
static void update(struct pit *s)
{
	struct counter *c = &s->counter[0];
	uint64_t now = hull_dev_now(&s->dev), next = HULL_NEVER;

	if (c->reload && periodic(c))
		next = c->start + to_ns((elapsed(s, c) / c->reload + 1) * c->reload);
	else if (c->reload && elapsed(s, c) < c->reload)
		next = c->start + to_ns(c->reload);
	/* Faster than this it would keep the host busy. */
	if (next != HULL_NEVER && periodic(c))
		next = MAX(next, now + min_period_ns);
	hull_irq_set(s->dev.irq[0], periodic(c) || output(s, c));
	hull_timer_at_ns(&s->dev, next);
}

static void pit_timer(struct hull_dev *d)
{
	struct pit *s = (struct pit *)d;

	if (periodic(&s->counter[0]) || s->counter[0].mode == 4) {
		hull_irq_set(d->irq[0], false);
		hull_irq_set(d->irq[0], true);
	}
	update(s);
}

static void load(struct pit *s, unsigned i, uint32_t val)
{
	struct counter *c = &s->counter[i];

	if (c->bcd)
		val = val % 16 + (val >> 4) % 16 * 10 + (val >> 8) % 16 * 100 + (val >> 12) * 1000;
	c->reload = val ? val : c->bcd ? 10000 : 65536;
	c->start = hull_dev_now(&s->dev);
	c->held = 0;
	if (!i)
		update(s);
}

static void write_counter(struct pit *s, unsigned i, uint8_t val)
{
	struct counter *c = &s->counter[i];

	switch (c->access) {
	case RW_LOW: load(s, i, val); return;
	case RW_HIGH: load(s, i, (uint32_t)val << 8); return;
	default: break;
	}
	c->high ^= 2;
	if (c->high & 2)
		c->first = val;
	else
		load(s, i, (uint32_t)val << 8 | c->first);
}

static uint8_t read_counter(struct pit *s, unsigned i)
{
	struct counter *c = &s->counter[i];
	uint16_t val;
	bool high;

	if (c->latched & 2) {
		c->latched &= 1;
		return c->status;
	}
	val = c->latched & 1 ? c->latch : reading(s, c);
	high = c->access == RW_HIGH || (c->access == RW_BOTH && c->high & 1);
	if (c->access == RW_BOTH)
		c->high ^= 1;
	if (c->access != RW_BOTH || high)
		c->latched = 0;
	return (uint8_t)(high ? val >> 8 : val);
}

static void latch_count(struct pit *s, struct counter *c)
{
	if (c->latched & 1)
		return;
	c->latch = reading(s, c);
	c->latched |= 1;
}

static void latch_status(struct pit *s, struct counter *c)
{
	if (c->latched & 2)
		return;
	c->status = (uint8_t)((output(s, c) ? STATUS_OUT : 0) | (c->reload ? 0 : STATUS_NULL) |
	                      c->access << 4 | c->mode << 1 | c->bcd);
	c->latched |= 2;
}

static void control(struct pit *s, uint8_t val)
{
	unsigned i = val >> 6, access = val >> 4 & 3;
	struct counter *c = &s->counter[i % COUNTERS];

	if (i == COUNTERS) { /* read-back */
		for (unsigned k = 0; k < COUNTERS; k++) {
			if (!(val >> (k + 1) & 1))
				continue;
			if (!(val & 0x20))
				latch_count(s, &s->counter[k]);
			if (!(val & 0x10))
				latch_status(s, &s->counter[k]);
		}
		return;
	}
	if (access == RW_LATCH) {
		latch_count(s, c);
		return;
	}
	c->access = (uint8_t)access;
	c->mode = val >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4; /* 6 and 7 are 2 and 3 */
	c->bcd = val & 1;
	c->high = c->latched = 0;
	c->reload = 0;
	if (!i)
		update(s);
}

static void set_gate(struct pit *s, struct counter *c, bool gate)
{
	uint64_t now = hull_dev_now(&s->dev);

	if (c->gate == gate)
		return;
	if (!gate) {
		c->held = elapsed(s, c);
	} else if (c->mode == 0 || c->mode == 4) {
		c->start = now - MIN(now, to_ns(c->held));
	} else {
		c->start = now;
	}
	c->gate = gate;
}

static uint64_t pit_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct pit *s = (struct pit *)d;

	(void)size;
	if (off < COUNTERS)
		return read_counter(s, (unsigned)off);
	if (off == PORT_B)
		return s->port_b | (hull_dev_now(d) / refresh_ns & 1 ? REFRESH : 0) |
		       (output(s, &s->counter[2]) ? OUT2 : 0);
	hull_guest_error(d, "read of a write-only register", off);
	return 0xff;
}

static void pit_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct pit *s = (struct pit *)d;

	(void)size;
	if (off < COUNTERS) {
		write_counter(s, (unsigned)off, (uint8_t)val);
	} else if (off == CONTROL) {
		control(s, (uint8_t)val);
	} else {
		s->port_b = val & KEPT;
		set_gate(s, &s->counter[2], val & GATE2);
	}
}

static void pit_reset(struct hull_dev *d)
{
	struct pit *s = (struct pit *)d;

	for (unsigned i = 0; i < COUNTERS; i++)
		s->counter[i] = (struct counter){ .access = RW_BOTH, .gate = i != 2 };
	s->port_b = 0;
	update(s);
}

static const struct hull_field pit_fields[] = {
	HULL_FIELD_EACH(struct pit, counter, start),
	HULL_FIELD_EACH(struct pit, counter, held),
	HULL_FIELD_EACH(struct pit, counter, reload),
	HULL_FIELD_EACH(struct pit, counter, latch),
	HULL_FIELD_EACH(struct pit, counter, mode),
	HULL_FIELD_EACH(struct pit, counter, access),
	HULL_FIELD_EACH(struct pit, counter, bcd),
	HULL_FIELD_EACH(struct pit, counter, gate),
	HULL_FIELD_EACH(struct pit, counter, status),
	HULL_FIELD_EACH(struct pit, counter, first),
	HULL_FIELD_EACH(struct pit, counter, high),
	HULL_FIELD_EACH(struct pit, counter, latched),
	HULL_FIELD(struct pit, port_b),
};

static void pit_restored(struct hull_dev *d)
{
	struct pit *s = (struct pit *)d;

	for (unsigned i = 0; i < COUNTERS; i++) {
		struct counter *c = &s->counter[i];

		c->start = MIN(c->start, hull_dev_now(d));
		c->reload = MIN(c->reload, UINT32_C(65536));
		c->mode = MIN(c->mode, 5);
		c->access = c->access & 3 ? c->access & 3 : RW_BOTH;
		c->bcd &= 1;
		c->gate = i != 2 || (c->gate & 1);
		c->high &= 3;
		c->latched &= 3;
	}
	s->port_b &= KEPT;
	update(s);
}

HULL_DEVICE(pit8254) = {
	.name = "pit8254",
	.summary = "8254 interval timer and port 61h",
	.state_size = sizeof(struct pit),
	.region_size = 5,
	.access_sizes = 1,
	.irqs = 1,
	.reset = pit_reset,
	.read = pit_read,
	.write = pit_write,
	.timer = pit_timer,
	.restored = pit_restored,
	.fields = pit_fields,
	.nfields = ARRAY_LEN(pit_fields),
};
