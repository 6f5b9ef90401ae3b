/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Goldfish RTC: wall-clock time in nanoseconds, with an alarm.
 *
 * Spec: Android, "GOLDFISH VIRTUAL HARDWARE", section "Goldfish real-time
 * clock"; Linux, drivers/rtc/rtc-goldfish.c.
 *
 * Nothing ticks.  Guest time is the wall clock plus `offset`, which the guest
 * changes by writing the time.  The halves are read low first, which latches
 * the high one, and written high first.
 */
#include "core/dev_impl.h"

enum {
	TIME_LOW = 0x00,
	TIME_HIGH = 0x04,
	ALARM_LOW = 0x08,
	ALARM_HIGH = 0x0c,
	IRQ_ENABLED = 0x10,
	CLEAR_ALARM = 0x14,
	ALARM_STATUS = 0x18,
	CLEAR_INTERRUPT = 0x1c,
};

struct rtc {
	struct hull_dev dev;
	uint64_t offset;    /* guest time - wall clock, ns */
	uint64_t alarm;     /* guest time, ns */
	uint32_t time_high; /* latched by TIME_LOW */
	uint32_t set_high;  /* waits for TIME_LOW */
	uint8_t armed, pending, enabled;
};

static uint64_t guest_time(struct rtc *s)
{
	return (uint64_t)hull_wallclock_ns(&s->dev) + s->offset;
}

/* The wall clock may be set, so the way to the alarm is measured again when the timer fires. */
static void update(struct rtc *s)
{
	uint64_t now = guest_time(s), at = HULL_NEVER;

	if (s->armed && now >= s->alarm) {
		s->armed = 0;
		s->pending = 1;
	}
	if (s->armed && s->alarm - now < HULL_NEVER - hull_dev_now(&s->dev))
		at = hull_dev_now(&s->dev) + (s->alarm - now);
	hull_timer_at_ns(&s->dev, at);
	hull_irq_set(s->dev.irq[0], s->pending && s->enabled);
}

static uint64_t rtc_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct rtc *s = (struct rtc *)d;
	uint64_t now;

	(void)size;
	switch (off) {
	case TIME_LOW:
		now = guest_time(s);
		s->time_high = (uint32_t)(now >> 32);
		return (uint32_t)now;
	case TIME_HIGH: return s->time_high;
	case ALARM_LOW: return (uint32_t)s->alarm;
	case ALARM_HIGH: return s->alarm >> 32;
	case IRQ_ENABLED: return s->enabled;
	case ALARM_STATUS: return s->armed;
	}
	hull_guest_error(d, "read of a write-only or reserved register", off);
	return 0;
}

static void rtc_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct rtc *s = (struct rtc *)d;

	(void)size;
	switch (off) {
	case TIME_LOW:
		s->offset = ((uint64_t)s->set_high << 32 | (uint32_t)val) -
		            (uint64_t)hull_wallclock_ns(d);
		break;
	case TIME_HIGH: s->set_high = (uint32_t)val; break;
	case ALARM_LOW:
		s->alarm = (s->alarm & ~low_mask(32)) | (uint32_t)val;
		s->armed = 1;
		break;
	case ALARM_HIGH: s->alarm = (uint32_t)s->alarm | val << 32; break;
	case IRQ_ENABLED: s->enabled = val & 1; break;
	case CLEAR_ALARM: s->armed = 0; break;
	case CLEAR_INTERRUPT: s->pending = 0; break;
	default: hull_guest_error(d, "write to a read-only or reserved register", off);
	}
	update(s);
}

static void rtc_timer(struct hull_dev *d)
{
	update((struct rtc *)d);
}

/* A reset does not move the clock. */
static void rtc_reset(struct hull_dev *d)
{
	struct rtc *s = (struct rtc *)d;

	s->alarm = s->time_high = s->set_high = 0;
	s->armed = s->pending = s->enabled = 0;
	update(s);
}

static const struct hull_field rtc_fields[] = {
	HULL_FIELD(struct rtc, offset),    HULL_FIELD(struct rtc, alarm),
	HULL_FIELD(struct rtc, time_high), HULL_FIELD(struct rtc, set_high),
	HULL_FIELD(struct rtc, armed),     HULL_FIELD(struct rtc, pending),
	HULL_FIELD(struct rtc, enabled),
};

static void rtc_restored(struct hull_dev *d)
{
	struct rtc *s = (struct rtc *)d;

	s->armed = s->armed != 0;
	s->pending = s->pending != 0;
	s->enabled &= 1;
	update(s);
}

HULL_DEVICE(goldfish_rtc) = {
	.name = "goldfish-rtc",
	.summary = "Goldfish real-time clock",
	.compatible = "google,goldfish-rtc",
	.node = "rtc",
	.state_size = sizeof(struct rtc),
	.region_size = 0x1000,
	.access_sizes = 4,
	.irqs = 1,
	.reset = rtc_reset,
	.read = rtc_read,
	.write = rtc_write,
	.timer = rtc_timer,
	.restored = rtc_restored,
	.fields = rtc_fields,
	.nfields = ARRAY_LEN(rtc_fields),
};
