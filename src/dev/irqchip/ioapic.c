/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * I/O APIC.
 *
 * Spec: Intel 82093AA datasheet (290566), ch. 3; the EOI register and version 0x20: Intel 9 Series
 * PCH datasheet (330550), 12.5.
 *
 * Input n is pin n; a raised line is an asserted pin, whatever polarity the guest chose.  An
 * interrupt leaves as a message to the local APICs.  A level-triggered pin sends one message and
 * another only after the end of that interrupt.
 */
#include "dev/irqchip/ioapic.h"

#include "base/mem.h"
#include "core/dev_impl.h"
#include "core/irqchip.h"

enum { SELECT = 0x00, WINDOW = 0x10, EOI = 0x40 };
enum { ID = 0, VERSION = 1, ARBITRATION = 2, REDIRECTION = 16 };
enum { PINS }; /* properties */
enum { MAX_PINS = 240, VERSION_EOI = 0x20 };

#define LOGICAL    BIT(11)
#define REMOTE_IRR BIT(14)
#define LEVEL      BIT(15)
#define MASKED     BIT(16)
#define READ_ONLY  (BIT(12) | REMOTE_IRR)
#define KNOWN      (UINT64_C(0xff) << 56 | low_mask(17))

struct ioapic {
	struct hull_dev dev;
	uint64_t entry[MAX_PINS];
	uint8_t line[MAX_PINS];
	uint32_t select;
	uint32_t id;
};

static struct hull_msi message(const struct ioapic *s, unsigned pin)
{
	uint64_t e = s->entry[pin];

	return (struct hull_msi){ .sink = s->dev.msi,
		                  .addr = UINT64_C(0xfee00000) | bits(e, 63, 56) << 12 |
		                          (e & LOGICAL ? 4 : 0),
		                  .data = (uint32_t)((e & (LEVEL | 0x7ff)) | BIT(14)) };
}

/* A level-triggered pin: send what is to be sent. */
static void service(struct ioapic *s, unsigned pin)
{
	uint64_t e = s->entry[pin];

	if (!(e & LEVEL) || e & (MASKED | REMOTE_IRR) || !s->line[pin])
		return;
	s->entry[pin] |= REMOTE_IRR;
	hull_msi_send(message(s, pin));
}

static void ioapic_input(struct hull_dev *d, uint32_t n, bool level)
{
	struct ioapic *s = (struct ioapic *)d;
	bool rises = n < MAX_PINS && level && !s->line[n];

	if (n >= d->prop[PINS])
		return;
	s->line[n] = level;
	/* An edge at a masked pin is lost (3.2.4, interrupt mask). */
	if (rises && !(s->entry[n] & (LEVEL | MASKED)))
		hull_msi_send(message(s, n));
	service(s, n);
}

static void end(struct ioapic *s, uint32_t vector)
{
	for (unsigned n = 0; n < s->dev.prop[PINS]; n++) {
		if ((uint8_t)s->entry[n] != vector || !(s->entry[n] & REMOTE_IRR))
			continue;
		s->entry[n] &= ~REMOTE_IRR;
		service(s, n);
	}
}

static void eoi(struct hull_vm *vm, uint32_t vector, void *arg)
{
	struct ioapic *s = arg;

	(void)vm;
	hull_dev_enter(&s->dev);
	end(s, vector);
	hull_dev_leave(&s->dev);
}

void hull_ioapic_serve(struct hull_dev *ioapic)
{
	hull_vm_set_eoi(ioapic->vm, eoi, ioapic);
}

static void set_entry(struct ioapic *s, unsigned pin, bool high, uint32_t val)
{
	uint64_t old = s->entry[pin], new;
	struct hull_msi m;

	new = high ? (uint64_t)val << 32 | (uint32_t)old : (old & ~low_mask(32)) | val;
	new = (new &KNOWN & ~READ_ONLY) | (old & READ_ONLY);
	/* Software without the EOI register clears the remote IRR so. */
	if (!(new &LEVEL))
		new &= ~REMOTE_IRR;
	s->entry[pin] = new;
	m = message(s, pin);
	/* Local APICs below must know which ends of interrupts are for us. */
	(void)hull_vm_route(s->dev.vm, pin, new &MASKED ? 0 : m.addr, new &MASKED ? 0 : m.data);
	service(s, pin);
}

static uint64_t ioapic_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct ioapic *s = (struct ioapic *)d;
	uint32_t pin = (s->select - REDIRECTION) / 2;

	(void)size;
	if (off == SELECT)
		return s->select;
	if (off != WINDOW) {
		hull_guest_error(d, "read of a reserved register", off);
		return 0;
	}
	switch (s->select) {
	case ID:
	case ARBITRATION: return s->id;
	case VERSION: return VERSION_EOI | (d->prop[PINS] - 1) << 16;
	}
	if (s->select < REDIRECTION || pin >= d->prop[PINS]) {
		hull_guest_error(d, "read of an indirect register that does not exist", s->select);
		return 0;
	}
	return s->select & 1 ? s->entry[pin] >> 32 : s->entry[pin];
}

static void ioapic_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct ioapic *s = (struct ioapic *)d;
	uint32_t pin = (s->select - REDIRECTION) / 2;

	(void)size;
	if (off == SELECT)
		s->select = val & 0xff;
	else if (off == EOI)
		end(s, val & 0xff);
	else if (off == WINDOW && s->select == ID)
		s->id = val & 0x0f000000;
	else if (off == WINDOW && s->select >= REDIRECTION && pin < d->prop[PINS])
		set_entry(s, pin, s->select & 1, (uint32_t)val);
	else
		hull_guest_error(d, "write to a read-only or reserved register", off);
}

/* Lines belong to the devices that drive them: they survive. */
static void ioapic_reset(struct hull_dev *d)
{
	struct ioapic *s = (struct ioapic *)d;

	s->select = s->id = 0;
	for (unsigned n = 0; n < MAX_PINS; n++)
		s->entry[n] = MASKED;
	for (unsigned n = 0; n < d->prop[PINS]; n++)
		(void)hull_vm_route(d->vm, n, 0, 0);
}

static const struct hull_field ioapic_fields[] = {
	HULL_FIELD_ARRAY(struct ioapic, entry),
	HULL_FIELD_ARRAY(struct ioapic, line),
	HULL_FIELD(struct ioapic, select),
	HULL_FIELD(struct ioapic, id),
};

static void ioapic_restored(struct hull_dev *d)
{
	struct ioapic *s = (struct ioapic *)d;

	s->select &= 0xff;
	s->id &= 0x0f000000;
	for (unsigned n = 0; n < MAX_PINS; n++) {
		s->line[n] = n < d->prop[PINS] && s->line[n];
		s->entry[n] = n < d->prop[PINS] ? s->entry[n] & KNOWN : MASKED;
	}
}

static const struct hull_prop ioapic_props[] = {
	{ "pins", "number of inputs", 24, 1, MAX_PINS },
};

HULL_DEVICE(ioapic) = {
	.name = "ioapic",
	.summary = "I/O APIC of x86_64 machines",
	.state_size = sizeof(struct ioapic),
	.region_size = 0x1000,
	.access_sizes = 4,
	.irqchip = true,
	.reset = ioapic_reset,
	.read = ioapic_read,
	.write = ioapic_write,
	.input = ioapic_input,
	.restored = ioapic_restored,
	.fields = ioapic_fields,
	.nfields = ARRAY_LEN(ioapic_fields),
	.props = ioapic_props,
	.nprops = ARRAY_LEN(ioapic_props),
};
