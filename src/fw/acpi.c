/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ACPI tables of fw/acpi.h. */
#include "fw/acpi.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"

enum { HEADER = 36, RSDP = 36, FADT = 276, FACS = 64, MCFG = 60, ALIGN = 64 };
enum { MAX_TABLES = 4, XAPIC_IDS = 255 };
enum { SLEEP_OFF = 5, ISA_IRQS = 16, NO_CST = 0xfff };

/* Flags of the FADT (table 5.10): how it is where no flag says otherwise. */
enum {
	WBINVD = 1 << 0,
	PROC_C1 = 1 << 2,
	NO_SLEEP_BUTTON = 1 << 5,
	NO_RTC_WAKE = 1 << 6,
	RESET_REGISTER = 1 << 10,
};
enum { NO_VGA = 1 << 2 }; /* IA-PC boot flags (table 5.11); the keyboard controller is no secret */

/* The tables as they grow; a table that does not fit is noticed at the end. */
struct tables {
	uint8_t *buf;
	size_t size, len;
	hull_gpa at;
	bool full;
	hull_gpa found[MAX_TABLES]; /* what the XSDT lists */
	unsigned nfound;
};

static uint8_t *take(struct tables *t, size_t bytes, size_t align)
{
	size_t from = (size_t)align_up(t->len, align);

	if (t->full || from > t->size || bytes > t->size - from) {
		t->full = true;
		return NULL;
	}
	t->len = from + bytes;
	return t->buf + from;
}

static hull_gpa address(const struct tables *t, const uint8_t *p)
{
	return t->at + (hull_gpa)(p - t->buf);
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)-sum;
}

/* 5.2.6 */
static void seal(uint8_t *p, const char *signature, uint8_t revision, size_t len)
{
	memcpy(p, signature, 4);
	store_le32(p + 4, (uint32_t)len);
	p[8] = revision;
	p[9] = 0;
	memcpy(p + 10, "HULL  HULLPC  ", 14);
	store_le32(p + 24, 1);
	memcpy(p + 28, "HULL", 4);
	store_le32(p + 32, 1);
	p[9] = checksum(p, len);
}

/* Generic address of a port (5.2.3.2). */
static void gas(uint8_t *p, uint16_t port, unsigned bytes)
{
	p[0] = 1;
	p[1] = (uint8_t)(8 * bytes);
	p[2] = 0;
	p[3] = bytes == 4 ? 3 : (uint8_t)bytes;
	store_le64(p + 4, port);
}

static void device(struct hull_aml *a, const struct hull_acpi_device *d, unsigned number)
{
	char name[8];

	hull_format(name, sizeof(name), "D%c%c%c", '0' + number / 100 % 10, '0' + number / 10 % 10,
	            '0' + number % 10);
	hull_aml_device(a, name);
	hull_aml_name(a, "_HID");
	hull_aml_string(a, d->hid);
	hull_aml_name(a, "_UID");
	hull_aml_int(a, d->uid);
	hull_aml_name(a, "_CRS");
	hull_aml_resources(a);
	if (d->memory_bytes)
		hull_aml_memory32(a, (uint32_t)d->memory, (uint32_t)d->memory_bytes);
	if (d->ports)
		hull_aml_io(a, d->port, d->ports);
	if (d->has_irq && !d->level && d->irq < ISA_IRQS)
		hull_aml_isa_irq(a, d->irq);
	else if (d->has_irq)
		hull_aml_interrupt(a, d->irq, d->level, d->shared);
	hull_aml_end(a);
	hull_aml_end(a);
}

static void definitions(struct hull_aml *a, const struct hull_acpi *c)
{
	hull_aml_scope(a, "\\_SB_");
	for (unsigned i = 0; i < c->ndevices; i++)
		device(a, &c->devices[i], i);
	if (c->more)
		c->more(a, c->arg);
	hull_aml_end(a);
	hull_aml_name(a, "\\_S5_");
	hull_aml_package(a, 4);
	hull_aml_int(a, SLEEP_OFF);
	hull_aml_int(a, SLEEP_OFF);
	hull_aml_int(a, 0);
	hull_aml_int(a, 0);
	hull_aml_end(a);
}

static hull_gpa dsdt(struct tables *t, const struct hull_acpi *c)
{
	uint8_t *p = take(t, HEADER, 8);
	struct hull_aml a;
	size_t len = 0;

	if (!p)
		return 0;
	hull_aml_begin(&a, p + HEADER, t->size - t->len);
	definitions(&a, c);
	if (hull_aml_finish(&a, &len)) {
		t->full = true;
		return 0;
	}
	t->len += len;
	seal(p, "DSDT", 2, HEADER + len);
	return address(t, p);
}

static hull_gpa facs(struct tables *t)
{
	uint8_t *p = take(t, FACS, ALIGN);

	if (!p)
		return 0;
	memset(p, 0, FACS);
	memcpy(p, "FACS", 4);
	store_le32(p + 4, FACS);
	p[32] = 2;
	return address(t, p);
}

/* 5.2.9; the old addresses and the extended ones say the same. */
static void fadt(struct tables *t, const struct hull_acpi *c, hull_gpa facs_at, hull_gpa dsdt_at)
{
	uint8_t *p = take(t, FADT, 8);

	if (!p)
		return;
	memset(p, 0, FADT);
	store_le32(p + 36, (uint32_t)facs_at);
	store_le32(p + 40, (uint32_t)dsdt_at);
	store_le16(p + 46, c->sci);
	store_le32(p + 56, c->pm_port);
	store_le32(p + 64, c->pm_port + 4u);
	store_le32(p + 76, c->pm_port + 8u);
	p[88] = 4;
	p[89] = 2;
	p[91] = 4;
	store_le16(p + 96, NO_CST);
	store_le16(p + 98, NO_CST);
	p[108] = 0x32;
	store_le16(p + 109, NO_VGA);
	store_le32(p + 112, WBINVD | PROC_C1 | NO_SLEEP_BUTTON | NO_RTC_WAKE | RESET_REGISTER);
	gas(p + 116, (uint16_t)(c->pm_port + 12), 1);
	p[128] = 1;
	p[131] = 5;
	store_le64(p + 140, dsdt_at);
	gas(p + 148, c->pm_port, 4);
	p[151] = 2;
	gas(p + 172, (uint16_t)(c->pm_port + 4), 2);
	gas(p + 208, (uint16_t)(c->pm_port + 8), 4);
	memcpy(p + 268, "Hull", 4);
	seal(p, "FACP", 6, FADT);
	t->found[t->nfound++] = address(t, p);
}

static uint8_t *entry(struct tables *t, uint8_t type, uint8_t len)
{
	uint8_t *p = take(t, len, 1);

	if (!p)
		return NULL;
	memset(p, 0, len);
	p[0] = type;
	p[1] = len;
	return p;
}

static void madt_cpu(struct tables *t, uint32_t uid, uint32_t apic_id)
{
	bool small = apic_id < XAPIC_IDS && uid < XAPIC_IDS;
	uint8_t *p = small ? entry(t, 0, 8) : entry(t, 9, 16);

	if (!p)
		return;
	if (small) {
		p[2] = (uint8_t)uid;
		p[3] = (uint8_t)apic_id;
		store_le32(p + 4, 1);
	} else {
		store_le32(p + 4, apic_id);
		store_le32(p + 8, 1);
		store_le32(p + 12, uid);
	}
}

/* Where an ISA interrupt is not the input of the same number, edge, active high (5.2.12.5). */
static void madt_override(struct tables *t, uint8_t irq, uint32_t input, uint16_t flags)
{
	uint8_t *p = entry(t, 2, 10);

	if (!p)
		return;
	p[3] = irq;
	store_le32(p + 4, input);
	store_le16(p + 8, flags);
}

static void madt(struct tables *t, const struct hull_acpi *c)
{
	enum { FLAGS_LEVEL_HIGH = 0xd, PIT_INPUT = 2 };
	size_t from = (size_t)align_up(t->len, 8);
	uint8_t *p = take(t, HEADER + 8, 8), *e;

	if (!p)
		return;
	store_le32(p + HEADER, c->lapic);
	store_le32(p + HEADER + 4, c->has_pic);
	for (uint32_t i = 0; i < c->ncpus; i++)
		madt_cpu(t, i, c->apic_ids[i]);
	e = entry(t, 1, 12);
	if (e) {
		e[2] = c->ioapic_id;
		store_le32(e + 4, c->ioapic);
	}
	madt_override(t, 0, PIT_INPUT, 0);
	madt_override(t, c->sci, c->sci, FLAGS_LEVEL_HIGH);
	e = entry(t, 4, 6); /* NMI at LINT1 of all */
	if (e) {
		e[2] = 0xff;
		e[5] = 1;
	}
	if (t->full)
		return;
	seal(p, "APIC", 5, t->len - from);
	t->found[t->nfound++] = address(t, p);
}

static void mcfg(struct tables *t, const struct hull_acpi *c)
{
	uint8_t *p = c->ecam ? take(t, MCFG, 8) : NULL;

	if (!p)
		return;
	memset(p, 0, MCFG);
	store_le64(p + 44, c->ecam);
	p[55] = c->last_bus;
	seal(p, "MCFG", 1, MCFG);
	t->found[t->nfound++] = address(t, p);
}

static hull_gpa xsdt(struct tables *t)
{
	size_t len = HEADER + (size_t)t->nfound * 8;
	uint8_t *p = take(t, len, 8);

	if (!p)
		return 0;
	for (unsigned i = 0; i < t->nfound; i++)
		store_le64(p + HEADER + (size_t)i * 8, t->found[i]);
	seal(p, "XSDT", 1, len);
	return address(t, p);
}

int hull_acpi_write(const struct hull_acpi *c, hull_gpa at, void *buf, size_t size,
                    size_t *ret_size, struct hull_err *err)
{
	struct tables t = { .buf = buf, .size = size, .at = at };
	uint8_t *rsdp = take(&t, RSDP, ALIGN);
	hull_gpa facs_at = facs(&t), dsdt_at = dsdt(&t, c), list;

	fadt(&t, c, facs_at, dsdt_at);
	madt(&t, c);
	mcfg(&t, c);
	list = xsdt(&t);
	if (t.full)
		return hull_fail(err, HULL_EOVERFLOW, 735,
		                 "the ACPI tables of this machine need more than %zu bytes", size);
	memset(rsdp, 0, RSDP);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "HULL  ", 6);
	rsdp[15] = 2;
	store_le32(rsdp + 20, RSDP);
	store_le64(rsdp + 24, list);
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, RSDP);
	*ret_size = t.len;
	return 0;
}
