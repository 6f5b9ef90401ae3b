/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * MC146818 real-time clock with 128 bytes of CMOS memory.
 *
 * Spec: Motorola MC146818A datasheet (ADI1119); the century at 0x32: ACPI 6.5, 5.2.9 (CENTURY).
 *
 * Offset 0 is port 70h (index), offset 1 port 71h (data).  The clock is the guest's wall clock
 * plus an offset.  While SET is 1 it stands: the time of that moment is changed by the writes and
 * goes on from there when SET is cleared.  Without SET each write moves the offset.
 *
 * Not modelled: daylight saving, the square wave, loss of battery.
 */
#include "base/mem.h"
#include "core/dev_impl.h"

enum {
	SECOND,
	SECOND_ALARM,
	MINUTE,
	MINUTE_ALARM,
	HOUR,
	HOUR_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	CENTURY = 0x32,
	BYTES = 128,
};
enum { A_UPDATING = 0x80, A_DIVIDER = 0x70, A_RUNNING = 0x20, A_RATE = 15 };
enum { B_24H = 2, B_BINARY = 4, B_UPDATE = 0x10, B_ALARM = 0x20, B_PERIODIC = 0x40, B_SET = 0x80 };
enum { C_UPDATE = 0x10, C_ALARM = 0x20, C_PERIODIC = 0x40, C_IRQ = 0x80 };
enum { D_VALID = 0x80, PM = 0x80, TIME_BITS = 40 };

static const int64_t second_ns = 1000000000, day_s = 86400;
static const int64_t updating_ns = 244000; /* before the update (figure 15) */

struct rtc {
	struct hull_dev dev;
	int64_t offset;     /* s: the clock minus the wall clock */
	int64_t stopped;    /* s: the clock while SET is 1 */
	int64_t seen;       /* s: up to here updates and alarms were looked for */
	uint64_t next_tick; /* guest time of the next periodic interrupt, HULL_NEVER: none */
	uint8_t index;
	uint8_t day;        /* while SET is 1: as the register has it, whatever the month */
	uint8_t ram[BYTES]; /* alarms, registers A to C, and what has no meaning */
};

/* The fields of a time; year is the full one. */
struct fields {
	int64_t year;
	unsigned month, day, weekday, hour, minute, second; /* month, day and weekday from 1 */
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t clock_s(struct rtc *s)
{
	return s->ram[REG_B] & B_SET ? s->stopped : hull_wallclock_s(&s->dev) + s->offset;
}

/* Nanoseconds since the last full second. */
static int64_t part_ns(struct rtc *s)
{
	int64_t ns = hull_wallclock_ns(&s->dev);

	return ns - floor_div(ns, second_ns) * second_ns;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar; months may be beyond 12. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = year - (month < 3), era = floor_div(y, 400), in_era = y - era * 400;
	int64_t in_year = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static struct fields split(int64_t t)
{
	int64_t days = floor_div(t, day_s), rest = t - days * day_s;
	int64_t z = days + 719468, era = floor_div(z, 146097), n = z - era * 146097;
	int64_t in_era = (n - n / 1460 + n / 36524 - n / 146096) / 365;
	int64_t in_year = n - (365 * in_era + in_era / 4 - in_era / 100);
	int64_t m = (5 * in_year + 2) / 153;
	struct fields f = { .day = (unsigned)(in_year - (153 * m + 2) / 5 + 1),
		            .month = (unsigned)(m < 10 ? m + 3 : m - 9),
		            .weekday = (unsigned)(((days + 4) % 7 + 7) % 7 + 1),
		            .hour = (unsigned)(rest / 3600),
		            .minute = (unsigned)(rest / 60 % 60),
		            .second = (unsigned)(rest % 60) };

	f.year = in_era + era * 400 + (f.month < 3);
	return f;
}

/* A day that the month does not have is its last one. */
static int64_t join(const struct fields *f)
{
	int64_t first = days_of(f->year, f->month, 1);
	int64_t length = days_of(f->year, f->month + 1, 1) - first;

	return (first + MIN((int64_t)f->day, length) - 1) * day_s + f->hour * 3600 +
	       f->minute * 60 + f->second;
}

static uint8_t encode(const struct rtc *s, unsigned v)
{
	return (uint8_t)(s->ram[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *s, uint8_t v)
{
	return s->ram[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t encode_hour(const struct rtc *s, unsigned hour)
{
	if (s->ram[REG_B] & B_24H)
		return encode(s, hour);
	return encode(s, (hour + 11) % 12 + 1) | (hour >= 12 ? PM : 0);
}

static unsigned decode_hour(const struct rtc *s, uint8_t v)
{
	if (s->ram[REG_B] & B_24H)
		return decode(s, v) % 24;
	return decode(s, v & (uint8_t)~PM) % 12 + (v & PM ? 12 : 0);
}

static uint8_t field_of(struct rtc *s, unsigned reg)
{
	struct fields f = split(clock_s(s));

	switch (reg) {
	case SECOND: return encode(s, f.second);
	case MINUTE: return encode(s, f.minute);
	case HOUR: return encode_hour(s, f.hour);
	case WEEKDAY: return encode(s, f.weekday);
	case DAY: return encode(s, s->ram[REG_B] & B_SET ? s->day : f.day);
	case MONTH: return encode(s, f.month);
	case YEAR: return encode(s, (unsigned)((f.year % 100 + 100) % 100));
	default: return encode(s, (unsigned)((f.year / 100 % 100 + 100) % 100));
	}
}

static bool alarm_fits(const struct rtc *s, unsigned reg, unsigned now)
{
	uint8_t v = s->ram[reg];

	/* "Don't care" codes: 0xc0 to 0xff. */
	return v >= 0xc0 || (reg == HOUR_ALARM ? decode_hour(s, v) : decode(s, v)) == now;
}

static bool alarm_at(const struct rtc *s, int64_t t)
{
	struct fields f = split(t);

	return alarm_fits(s, SECOND_ALARM, f.second) && alarm_fits(s, MINUTE_ALARM, f.minute) &&
	       alarm_fits(s, HOUR_ALARM, f.hour);
}

/* Guest time between two periodic interrupts; 0: none. */
static uint64_t tick_ns(const struct rtc *s)
{
	unsigned rate = s->ram[REG_A] & A_RATE;

	/* With the 32 kHz time base rates 1 and 2 are those of 8 and 9 (table 5). */
	if (rate && rate < 3)
		rate += 7;
	return rate ? (UINT64_C(1000000000) << (rate - 1)) / 32768 : 0;
}

static void update_irq(struct rtc *s)
{
	bool high = s->ram[REG_C] & s->ram[REG_B] & (C_UPDATE | C_ALARM | C_PERIODIC);

	s->ram[REG_C] = (s->ram[REG_C] & (uint8_t)~C_IRQ) | (high ? C_IRQ : 0);
	hull_irq_set(s->dev.irq[0], high);
}

/* Note what happened since we last looked: at most a day of alarms repeats itself. */
static void catch_up(struct rtc *s)
{
	int64_t now = clock_s(s), from = MAX(s->seen + 1, now - day_s + 1);

	if (s->ram[REG_B] & B_SET || now <= s->seen) {
		s->seen = now;
		return;
	}
	s->ram[REG_C] |= C_UPDATE;
	for (int64_t t = from; t <= now && !(s->ram[REG_C] & C_ALARM); t++)
		if (alarm_at(s, t))
			s->ram[REG_C] |= C_ALARM;
	s->seen = now;
}

static void arm(struct rtc *s)
{
	uint64_t now = hull_dev_now(&s->dev), next = s->next_tick;

	if (s->ram[REG_B] & (B_UPDATE | B_ALARM) && !(s->ram[REG_B] & B_SET))
		next = MIN(next, now + (uint64_t)(second_ns - part_ns(s)));
	hull_timer_at_ns(&s->dev, next);
}

static void rtc_timer(struct hull_dev *d)
{
	struct rtc *s = (struct rtc *)d;
	uint64_t now = hull_dev_now(d);

	if (s->next_tick <= now) {
		s->ram[REG_C] |= C_PERIODIC;
		s->next_tick += ((now - s->next_tick) / tick_ns(s) + 1) * tick_ns(s);
	}
	catch_up(s);
	update_irq(s);
	arm(s);
}

static void restart_ticks(struct rtc *s)
{
	s->next_tick = HULL_NEVER;
	if (s->ram[REG_B] & B_PERIODIC && tick_ns(s))
		s->next_tick = hull_dev_now(&s->dev) + tick_ns(s);
}

static void set_clock(struct rtc *s, int64_t t)
{
	s->offset = t - hull_wallclock_s(&s->dev);
	s->seen = clock_s(s);
}

static void set_field(struct rtc *s, unsigned reg, uint8_t val)
{
	struct fields f = split(clock_s(s));
	int64_t century = floor_div(f.year, 100), year = f.year - century * 100;

	/* The order of day and month is the software's. */
	if (s->ram[REG_B] & B_SET)
		f.day = s->day;
	switch (reg) {
	case SECOND: f.second = decode(s, val) % 60; break;
	case MINUTE: f.minute = decode(s, val) % 60; break;
	case HOUR: f.hour = decode_hour(s, val); break;
	case WEEKDAY: return; /* follows from the date */
	case DAY: f.day = MAX(MIN(decode(s, val), 31u), 1u); break;
	case MONTH: f.month = MAX(MIN(decode(s, val), 12u), 1u); break;
	case YEAR: f.year = century * 100 + decode(s, val) % 100; break;
	default: f.year = (int64_t)(decode(s, val) % 100) * 100 + year;
	}
	s->day = (uint8_t)f.day;
	if (s->ram[REG_B] & B_SET)
		s->stopped = join(&f);
	else
		set_clock(s, join(&f));
}

static void write_b(struct rtc *s, uint8_t val)
{
	bool was = s->ram[REG_B] & B_SET;
	int64_t t = clock_s(s);

	if (!was)
		catch_up(s);
	if (val & B_SET)
		val &= (uint8_t)~B_UPDATE; /* SET clears it (register B, UIE) */
	if (!was)
		s->day = (uint8_t)split(t).day;
	s->stopped = t;
	s->ram[REG_B] = val;
	if (was && !(val & B_SET))
		set_clock(s, t);
	restart_ticks(s);
}

static bool is_time(unsigned reg)
{
	return reg == CENTURY ||
	       (reg <= YEAR && reg != SECOND_ALARM && reg != MINUTE_ALARM && reg != HOUR_ALARM);
}

static uint8_t read_a(struct rtc *s)
{
	bool updating = !(s->ram[REG_B] & B_SET) && part_ns(s) >= second_ns - updating_ns;

	return s->ram[REG_A] | (updating ? A_UPDATING : 0);
}

static uint64_t rtc_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct rtc *s = (struct rtc *)d;
	uint8_t val;

	(void)size;
	if (!off)
		return 0xff;
	if (is_time(s->index))
		return field_of(s, s->index);
	switch (s->index) {
	case REG_A: return read_a(s);
	case REG_C:
		catch_up(s);
		update_irq(s);
		val = s->ram[REG_C];
		s->ram[REG_C] = 0;
		update_irq(s);
		return val;
	case REG_D: return D_VALID;
	default: return s->ram[s->index];
	}
}

static void rtc_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct rtc *s = (struct rtc *)d;

	(void)size;
	if (!off) {
		s->index = val & (BYTES - 1); /* bit 7 would mask NMIs */
		return;
	}
	if (is_time(s->index))
		set_field(s, s->index, (uint8_t)val);
	else if (s->index == REG_A)
		s->ram[REG_A] = val & (uint8_t)~A_UPDATING;
	else if (s->index == REG_B)
		write_b(s, (uint8_t)val);
	else if (s->index == REG_C || s->index == REG_D)
		hull_guest_error(d, "write to a read-only register", s->index);
	else
		s->ram[s->index] = (uint8_t)val;
	if (s->index == REG_A)
		restart_ticks(s);
	update_irq(s);
	arm(s);
}

/* The time and what has no meaning are kept by a battery. */
static void rtc_reset(struct hull_dev *d)
{
	struct rtc *s = (struct rtc *)d;

	s->index = 0;
	s->ram[REG_A] = A_RUNNING | 6;
	s->ram[REG_B] = B_24H;
	s->ram[REG_C] = 0;
	s->seen = clock_s(s);
	restart_ticks(s);
	update_irq(s);
	arm(s);
}

static const struct hull_field rtc_fields[] = {
	HULL_FIELD(struct rtc, offset),    HULL_FIELD(struct rtc, stopped),
	HULL_FIELD(struct rtc, seen),      HULL_FIELD(struct rtc, next_tick),
	HULL_FIELD(struct rtc, index),     HULL_FIELD(struct rtc, day),
	HULL_FIELD_ARRAY(struct rtc, ram),
};

static void rtc_restored(struct hull_dev *d)
{
	struct rtc *s = (struct rtc *)d;

	s->offset = sign_extend((uint64_t)s->offset, TIME_BITS);
	s->stopped = sign_extend((uint64_t)s->stopped, TIME_BITS);
	s->seen = MIN(sign_extend((uint64_t)s->seen, TIME_BITS), clock_s(s));
	s->index &= BYTES - 1;
	s->day = MIN(s->day, 31);
	s->ram[REG_A] &= (uint8_t)~A_UPDATING;
	s->ram[REG_C] &= C_UPDATE | C_ALARM | C_PERIODIC | C_IRQ;
	if (s->next_tick != HULL_NEVER || s->ram[REG_B] & B_PERIODIC)
		if (s->next_tick > hull_dev_now(d) + tick_ns(s) || !tick_ns(s) ||
		    !(s->ram[REG_B] & B_PERIODIC))
			restart_ticks(s);
	update_irq(s);
	arm(s);
}

HULL_DEVICE(cmos_rtc) = {
	.name = "cmos-rtc",
	.summary = "MC146818 real-time clock and CMOS memory",
	.node = "rtc",
	.acpi_id = "PNP0B00",
	.state_size = sizeof(struct rtc),
	.region_size = 2,
	.access_sizes = 1,
	.irqs = 1,
	.reset = rtc_reset,
	.read = rtc_read,
	.write = rtc_write,
	.timer = rtc_timer,
	.restored = rtc_restored,
	.fields = rtc_fields,
	.nfields = ARRAY_LEN(rtc_fields),
};
