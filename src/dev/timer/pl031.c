/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PL031: Arm PrimeCell real-time clock.
 *
 * Spec: Arm DDI 0224, "PrimeCell Real Time Clock (PL031)", ch. 3.
 *
 * Nothing ticks.  Guest time is the host wall clock plus `offset`, which the
 * guest changes by writing LR; the 32-bit counter is its low half.  Invariant:
 * the one timer is armed for `next`, the coming guest time with counter == match.
 *
 * Not modelled: the integration-test registers; CR is always 1, as on
 * silicon once enabled.
 */
#include "core/dev_impl.h"

enum { /* register offsets, table 3-1 */
       DR = 0x00,
       MR = 0x04,
       LR = 0x08,
       CR = 0x0c,
       IMSC = 0x10,
       RIS = 0x14,
       MIS = 0x18,
       ICR = 0x1c,
       ID0 = 0xfe0,
};

/* 32-bit counter minus wall clock, with room; bounds what a snapshot may say. */
enum { OFFSET_BITS = 48 };

struct pl031 {
	struct hull_dev dev; /* first: the core hands us &dev */
	int64_t offset;      /* guest time - host wall clock, seconds */
	int64_t next;        /* guest time of the coming match */
	uint32_t match;
	uint32_t load;
	uint8_t raw;  /* RIS bit 0 */
	uint8_t mask; /* IMSC bit 0 */
};

static int64_t guest_time(struct pl031 *s)
{
	return hull_wallclock_s(&s->dev) + s->offset;
}

static void update_irq(struct pl031 *s)
{
	hull_irq_set(s->dev.irq[0], s->raw & s->mask);
}

static void arm(struct pl031 *s)
{
	hull_timer_at(&s->dev, s->next - s->offset);
}

/* The counter wraps at 32 bits, and so does the distance to a match. */
static void find_match(struct pl031 *s)
{
	int64_t now = guest_time(s);

	s->next = now + (uint32_t)(s->match - (uint32_t)now);
	arm(s);
}

static void pl031_timer(struct hull_dev *d)
{
	struct pl031 *s = (struct pl031 *)d;

	s->raw = 1;
	update_irq(s);
	s->next += INT64_C(1) << 32; /* one wrap later */
	arm(s);
}

static uint64_t pl031_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	static const uint8_t id[8] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
	struct pl031 *s = (struct pl031 *)d;

	(void)size; /* the core only passes sizes we declared */
	switch (off) {
	case DR: return (uint32_t)guest_time(s);
	case MR: return s->match;
	case LR: return s->load;
	case CR: return 1;
	case IMSC: return s->mask;
	case RIS: return s->raw;
	case MIS: return s->raw & s->mask;
	}
	if (off >= ID0)
		return id[(off - ID0) / 4]; /* 0xfe0..0xffc: eight words */
	hull_guest_error(d, "read of a write-only or reserved register", off);
	return 0;
}

static void pl031_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct pl031 *s = (struct pl031 *)d;

	(void)size;
	switch (off) {
	case MR:
		s->match = (uint32_t)val;
		find_match(s);
		return;
	case LR:
		s->load = (uint32_t)val;
		s->offset = (int64_t)s->load - hull_wallclock_s(d);
		find_match(s);
		return;
	case CR: /* enable is sticky, nothing to do */ return;
	case IMSC:
		s->mask = val & 1;
		update_irq(s);
		return;
	case ICR:
		s->raw &= (uint8_t)~val;
		update_irq(s);
		return;
	}
	hull_guest_error(d, "write to a read-only or reserved register", off);
}

static void pl031_reset(struct hull_dev *d)
{
	struct pl031 *s = (struct pl031 *)d;

	/* A reset does not move the clock: firmware expects time to survive. */
	s->match = s->load = 0;
	s->raw = s->mask = 0;
	find_match(s);
	update_irq(s);
}

static const struct hull_field pl031_fields[] = {
	HULL_FIELD(struct pl031, offset), HULL_FIELD(struct pl031, next),
	HULL_FIELD(struct pl031, match),  HULL_FIELD(struct pl031, load),
	HULL_FIELD(struct pl031, raw),    HULL_FIELD(struct pl031, mask),
};

static void pl031_restored(struct hull_dev *d)
{
	struct pl031 *s = (struct pl031 *)d;

	s->raw &= 1;
	s->mask &= 1;
	s->offset = sign_extend((uint64_t)s->offset, OFFSET_BITS);
	/* A match that passed while we were saved fires now. */
	if (s->next < 0 || s->next - (INT64_C(1) << 32) > guest_time(s))
		find_match(s);
	arm(s);
	update_irq(s);
}

HULL_DEVICE(pl031) = {
	.name = "pl031",
	.summary = "Arm PrimeCell real-time clock",
	.compatible = "arm,pl031;arm,primecell",
	.node = "rtc",
	.state_size = sizeof(struct pl031),
	.region_size = 0x1000,
	.access_sizes = 4,
	.irqs = 1,
	.reset = pl031_reset,
	.read = pl031_read,
	.write = pl031_write,
	.timer = pl031_timer,
	.restored = pl031_restored,
	.fields = pl031_fields,
	.nfields = ARRAY_LEN(pl031_fields),
};
