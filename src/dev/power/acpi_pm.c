/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ACPI power management: PM1 event and control registers, PM timer, reset register.
 *
 * Spec: ACPI 6.5, 4.8.3 (registers) and 4.8.3.6 (reset register).
 *
 * The machine is always in ACPI mode.  Sleep type 5 is power-off, the others are not offered.
 * Input 0 is the power button: its rising edge.  Output 0 is the system control interrupt.
 * Writing 1 to the reset register resets the machine.
 *
 * Not modelled: general-purpose events, the timer's overflow interrupt, wake-up from sleep.
 */
#include "core/dev_impl.h"
#include <hull/vm.h>

/* Offsets; core of the FADT: PM1a_EVT_BLK, PM1a_CNT_BLK, PM_TMR_BLK, RESET_REG. */
enum { STATUS = 0, ENABLE = 2, CONTROL = 4, TIMER = 8, RESET = 12, SIZE = 16 };
enum { STS_BUTTON = 1 << 8, STS_ALL = STS_BUTTON, CNT_SCI = 1, CNT_SLEEP = 1 << 13 };
/* What may be enabled even if it never happens: software looks whether it could (4.8.3.1.2). */
enum { ENABLE_KEPT = 0x0721 };
enum { TYPE_OFF = 5, CNT_KEPT = 7 << 10 | 1 << 1 };

static const uint64_t timer_hz = 3579545, second_ns = 1000000000;

struct pm {
	struct hull_dev dev;
	uint16_t status, enable, control;
	uint8_t pressed; /* level of the input */
};

static void update(struct pm *s)
{
	hull_irq_set(s->dev.irq[0], s->status & s->enable);
}

static uint32_t timer_value(struct pm *s)
{
	uint64_t now = hull_dev_now(&s->dev);

	/* 24 bits (TMR_VAL_EXT is not set). */
	return (uint32_t)(now / second_ns * timer_hz + now % second_ns * timer_hz / second_ns) &
	       0xffffff;
}

static uint64_t word_at(struct pm *s, uint64_t off)
{
	switch (off) {
	case STATUS: return s->status;
	case ENABLE: return s->enable;
	case CONTROL: return s->control | CNT_SCI;
	case TIMER: return timer_value(s) & 0xffff;
	case TIMER + 2: return timer_value(s) >> 16;
	default: return 0;
	}
}

static uint64_t pm_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct pm *s = (struct pm *)d;

	if (off == TIMER && size == 4)
		return timer_value(s);
	if (size == 4)
		return word_at(s, off) | word_at(s, off + 2) << 16;
	return word_at(s, off & ~UINT64_C(1)) >> 8 * (off & 1);
}

static void write_control(struct pm *s, uint16_t val)
{
	s->control = val & CNT_KEPT;
	if (!(val & CNT_SLEEP))
		return;
	if (bits(val, 12, 10) == TYPE_OFF)
		hull_vm_system_event(s->dev.vm, HULL_SYSTEM_OFF, 0);
	else
		hull_guest_error(&s->dev, "sleep type that is not offered", bits(val, 12, 10));
}

static void write_word(struct pm *s, uint64_t off, uint16_t val)
{
	switch (off) {
	case STATUS: s->status &= (uint16_t)~val; break;
	case ENABLE: s->enable = val & ENABLE_KEPT; break;
	case CONTROL: write_control(s, val); break;
	case RESET:
		if (val == 1)
			hull_vm_system_event(s->dev.vm, HULL_SYSTEM_RESET, 0);
		break;
	default:
		hull_guest_error(&s->dev, "write to a read-only or reserved register", off);
		return;
	}
	update(s);
}

static void pm_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct pm *s = (struct pm *)d;
	uint64_t word = off & ~UINT64_C(1);

	/* Of a byte the other half stays; as a status it would clear nothing. */
	if (size == 1) {
		uint64_t other = word == STATUS ? 0 : word_at(s, word) & ~(0xffu << 8 * (off & 1));

		val = (val & 0xff) << 8 * (off & 1) | other;
	}
	if (off == RESET && size > 1) {
		hull_guest_error(d, "access to the reset register that is not a byte", off);
		return;
	}
	write_word(s, word, (uint16_t)val);
	if (size == 4 && word != CONTROL)
		write_word(s, word + 2, (uint16_t)(val >> 16));
}

static void pm_input(struct hull_dev *d, uint32_t n, bool level)
{
	struct pm *s = (struct pm *)d;

	if (n)
		return;
	if (level && !s->pressed)
		s->status |= STS_BUTTON;
	s->pressed = level;
	update(s);
}

static void pm_reset(struct hull_dev *d)
{
	struct pm *s = (struct pm *)d;

	s->status = s->enable = s->control = 0;
	update(s);
}

static const struct hull_field pm_fields[] = {
	HULL_FIELD(struct pm, status),
	HULL_FIELD(struct pm, enable),
	HULL_FIELD(struct pm, control),
	HULL_FIELD(struct pm, pressed),
};

static void pm_restored(struct hull_dev *d)
{
	struct pm *s = (struct pm *)d;

	s->status &= STS_ALL;
	s->enable &= ENABLE_KEPT;
	s->control &= CNT_KEPT;
	s->pressed = !!s->pressed;
	update(s);
}

HULL_DEVICE(acpi_pm) = {
	.name = "acpi-pm",
	.summary = "ACPI power management: power off, reset, timer, power button",
	.state_size = sizeof(struct pm),
	.region_size = SIZE,
	.access_sizes = 1 | 2 | 4,
	.irqs = 1,
	.reset = pm_reset,
	.read = pm_read,
	.write = pm_write,
	.input = pm_input,
	.restored = pm_restored,
	.fields = pm_fields,
	.nfields = ARRAY_LEN(pm_fields),
};
