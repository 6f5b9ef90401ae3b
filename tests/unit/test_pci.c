/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PCI functions behind a host bridge: configuration space, BARs, INTx, MSI-X, reset, snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "support/pcirig.h"

/* A function with a BAR of each kind; MSI-X is in the 32-bit one, from 0x800 on. */
enum { BAR_IO = 0, BAR_MEM = 1, BAR_HIGH = 2, VECTORS = 70 };
enum { IO_SIZE = 0x40, MEM_SIZE = 0x1000, HIGH_SIZE = 0x10000, TABLE = 0x800, PBA = 0xf00 };
enum { CAP_EXPRESS = 0x10, CAP_MSIX = 0x11 };
enum { ALL_ON = HULL_PCI_COMMAND_IO | HULL_PCI_COMMAND_MEMORY | HULL_PCI_COMMAND_MASTER };

struct toy {
	struct hull_pci_fn fn;
	struct hull_pci_vector table[VECTORS];
	uint64_t pending[2];
	unsigned bar, resets, moves;
	uint64_t off, val;
	uint16_t command;
};

static uint64_t toy_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size)
{
	struct toy *t = CONTAINER_OF(fn, struct toy, fn);

	t->bar = bar;
	t->off = off;
	return (uint64_t)(bar + 1) << 32 | (off << 8) | size;
}

static void toy_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                      unsigned size)
{
	struct toy *t = CONTAINER_OF(fn, struct toy, fn);

	(void)size;
	t->bar = bar;
	t->off = off;
	t->val = val;
}

static void toy_moved(struct hull_pci_fn *fn, unsigned bar, uint64_t at)
{
	(void)bar;
	(void)at;
	CONTAINER_OF(fn, struct toy, fn)->moves++;
}

static void toy_command(struct hull_pci_fn *fn, uint16_t command)
{
	CONTAINER_OF(fn, struct toy, fn)->command = command;
}

static void toy_reset(struct hull_pci_fn *fn)
{
	CONTAINER_OF(fn, struct toy, fn)->resets++;
}

static const struct hull_pci_fn_ops toy_ops = {
	.read = toy_read,
	.write = toy_write,
	.moved = toy_moved,
	.command = toy_command,
	.reset = toy_reset,
};

static void toy_init(struct pcirig *p, struct toy *t, unsigned devfn)
{
	static const struct hull_pci_id id = { .vendor = 0x1234,
		                               .device = 0x5678,
		                               .sub_vendor = 0x9abc,
		                               .sub_device = 0xdef0,
		                               .class_code = 0x010203,
		                               .revision = 4,
		                               .intx = true };
	const struct hull_pci_msix msix = { .table = t->table,
		                            .pending = t->pending,
		                            .table_at = TABLE,
		                            .pba_at = PBA,
		                            .n = VECTORS,
		                            .bar = BAR_MEM };
	struct hull_err err;

	t->fn.dev = p->host->dev;
	t->fn.ops = &toy_ops;
	hull_pci_fn_init(&t->fn, &id);
	hull_pci_add_bar(&t->fn, BAR_IO, HULL_PCI_IO, IO_SIZE);
	hull_pci_add_bar(&t->fn, BAR_MEM, HULL_PCI_MEM32, MEM_SIZE);
	hull_pci_add_bar(&t->fn, BAR_HIGH, HULL_PCI_MEM64, HIGH_SIZE);
	hull_pci_add_msix(&t->fn, &msix);
	hull_pci_add_express(&t->fn);
	assert_int_equal(hull_pci_host_add(p->host->dev, &t->fn, devfn, &err), 0);
}

struct env {
	struct pcirig *p;
	struct toy toy;
	struct toy other; /* see add_other() */
	unsigned cap;     /* MSI-X */
};

enum { FN = 3 << 3, OTHER = 7 << 3 };

static int start(void **state)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->p = pcirig_new();
	toy_init(e->p, &e->toy, FN);
	e->cap = pci_cap(e->p, FN, CAP_MSIX, 0);
	assert_int_not_equal(e->cap, 0);
	*state = e;
	return 0;
}

static int stop(void **state)
{
	struct env *e = *state;

	pcirig_free(e->p);
	free(e);
	return 0;
}

static uint32_t get(struct env *e, unsigned off, unsigned size)
{
	return pci_get(e->p, FN, off, size);
}

static void set(struct env *e, unsigned off, unsigned size, uint32_t val)
{
	pci_set(e->p, FN, off, size, val);
}

static void place(struct env *e, unsigned devfn)
{
	pci_set(e->p, devfn, HULL_PCI_BAR0, 4, 0x1000);
	pci_set(e->p, devfn, HULL_PCI_BAR0 + 4, 4, (uint32_t)PCI_MEM);
	pci_set(e->p, devfn, HULL_PCI_BAR0 + 8, 4, 0x20000);
	pci_set(e->p, devfn, HULL_PCI_BAR0 + 12, 4, (uint32_t)(PCI_HIGH >> 32));
	pci_set(e->p, devfn, HULL_PCI_COMMAND, 2, ALL_ON);
}

static void header(void **state)
{
	struct env *e = *state;

	assert_int_equal(get(e, 0, 4), 0x56781234);
	assert_int_equal(get(e, 8, 4), 0x01020304);
	assert_int_equal(get(e, 0x2c, 4), 0xdef09abc);
	assert_int_equal(get(e, HULL_PCI_STATUS, 2), 0x10);
	assert_int_equal(get(e, HULL_PCI_INT_PIN, 1), 1);
	assert_int_equal(get(e, 2, 1), 0x78);
	/* Read-only means it. */
	for (unsigned off = 0; off < 256; off += 4)
		if (off < 4 || (off > 4 && off < 0xc) || (off >= 0x2c && off < 0x3c))
			set(e, off, 4, UINT32_MAX);
	assert_int_equal(get(e, 0, 4), 0x56781234);
	assert_int_equal(get(e, 8, 4), 0x01020304);
	assert_int_equal(get(e, 0x30, 4), 0); /* no expansion ROM */
	set(e, HULL_PCI_INT_LINE, 1, 0x5a);
	assert_int_equal(get(e, HULL_PCI_INT_LINE, 1), 0x5a);
	set(e, HULL_PCI_COMMAND, 2, 0xffff);
	assert_int_equal(get(e, HULL_PCI_COMMAND, 2), ALL_ON | HULL_PCI_COMMAND_INTX_OFF);
	/* No extended capabilities, and nothing breaks at the end. */
	assert_int_equal(get(e, 0x100, 4), 0);
	set(e, 0xffc, 4, UINT32_MAX);
	assert_int_equal(get(e, 0xffc, 4), 0);
	assert_int_equal(get(e, 0xff, 1), 0);
}

static void absent(void **state)
{
	struct env *e = *state;
	uint64_t val;

	assert_int_equal(pci_get(e->p, FN + 1, 0, 4), UINT32_MAX);
	assert_int_equal(pci_get(e->p, FN + 1, 0, 2), 0xffff);
	pci_set(e->p, FN + 1, 0, 4, 0);
	assert_int_equal(pci_get(e->p, 0, 0, 4), 0x00081b36);
	assert_int_equal(pci_get(e->p, 0, 8, 4) >> 8, 0x060000);
	assert_int_equal(get(e, HULL_PCI_HEADER_TYPE, 1), 0);
	assert_true(rig_read(e->p->host, FN * 4096, 8, &val));
	assert_int_equal(val, UINT64_C(0x0010000056781234));
	assert_false(rig_read(e->p->host, FN * 4096 + 2, 4, &val)); /* unaligned */
	/* Windows with nobody behind read as ones. */
	assert_int_equal(pci_read(e->p, PCI_MEM, 4), UINT32_MAX);
	assert_int_equal(pci_read(e->p, PCI_HIGH + PCI_HIGH_SIZE - 8, 8), UINT64_MAX);
	assert_int_equal(pci_read(e->p, PCI_IO + PCI_IO_SIZE - 1, 1), 0xff);
	pci_write(e->p, PCI_MEM, 4, 0);
}

static void sizing(void **state)
{
	struct env *e = *state;

	place(e, FN);
	for (unsigned i = 0; i < 6; i++)
		set(e, HULL_PCI_BAR0 + 4 * i, 4, UINT32_MAX);
	assert_int_equal(get(e, 0x10, 4), (uint32_t)-IO_SIZE | 1);
	assert_int_equal(get(e, 0x14, 4), (uint32_t)-MEM_SIZE);
	assert_int_equal(get(e, 0x18, 4), (uint32_t)-HIGH_SIZE | 0xc);
	assert_int_equal(get(e, 0x1c, 4), UINT32_MAX);
	assert_int_equal(get(e, 0x20, 4), 0);
	assert_int_equal(get(e, 0x24, 4), 0);
	/* By bytes, as odd guests do. */
	set(e, 0x14, 4, 0);
	for (unsigned i = 0; i < 4; i++)
		set(e, 0x14 + i, 1, 0xff);
	assert_int_equal(get(e, 0x14, 4), (uint32_t)-MEM_SIZE);
	set(e, 0x16, 2, 0x6000);
	assert_int_equal(get(e, 0x14, 4), 0x6000f000);
}

static void moving(void **state)
{
	struct env *e = *state;
	unsigned moves;

	place(e, FN);
	assert_int_equal(pci_read(e->p, PCI_IO + 0x1010, 2), 0x1002);
	assert_int_equal(e->toy.bar, BAR_IO);
	assert_int_equal(pci_read(e->p, PCI_MEM + 8, 8), UINT64_C(0x200000808));
	assert_int_equal(pci_read(e->p, PCI_HIGH + 0x20000 + 0xfff8, 8), UINT64_C(0x300fff808));
	pci_write(e->p, PCI_HIGH + 0x20004, 4, 77);
	assert_int_equal(e->toy.off, 4);
	assert_int_equal(e->toy.val, 77);
	/* Behind the last byte is nobody. */
	assert_int_equal(pci_read(e->p, PCI_HIGH + 0x30000, 4), UINT32_MAX);
	assert_int_equal(pci_read(e->p, PCI_MEM + MEM_SIZE, 1), 0xff);
	/* Moved: answers there, and only there. */
	set(e, 0x14, 4, (uint32_t)PCI_MEM + 0x5000);
	assert_int_equal(pci_read(e->p, PCI_MEM + 8, 4), UINT32_MAX);
	assert_int_equal(pci_read(e->p, PCI_MEM + 0x5008, 4), 0x804);
	/* A 64-bit BAR may be below 4 GiB. */
	set(e, 0x1c, 4, 0);
	assert_int_equal(pci_read(e->p, PCI_HIGH + 0x20000, 4), UINT32_MAX);
	set(e, 0x18, 4, (uint32_t)PCI_MEM + 0x100000);
	assert_int_equal(pci_read(e->p, PCI_MEM + 0x100000, 4), 4);
	assert_int_equal(e->toy.bar, BAR_HIGH);
	/* Each space has its own switch. */
	set(e, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_IO);
	assert_int_equal(pci_read(e->p, PCI_MEM + 0x5008, 4), UINT32_MAX);
	assert_int_equal(pci_read(e->p, PCI_IO + 0x1000, 1), 1);
	set(e, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY);
	assert_int_equal(pci_read(e->p, PCI_IO + 0x1000, 1), 0xff);
	/* The same again is no move. */
	moves = e->toy.moves;
	set(e, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY);
	assert_int_equal(e->toy.moves, moves);
	set(e, HULL_PCI_COMMAND, 2, 0);
	assert_int_equal(e->toy.moves, moves + 2);
}

/* BARs over memory, over ROM, over the bridge itself, over nothing, and at the end of everything.
 */
static void misplaced(void **state)
{
	static const uint64_t places[] = { RIG_RAM,
		                           RIG_ROM,
		                           RIG_MMIO,
		                           0,
		                           PCI_MEM - 0x10000,
		                           PCI_MEM + PCI_MEM_SIZE,
		                           UINT64_C(0xffffffffffff0000) };
	struct env *e = *state;
	uint32_t word = 0x12345678;
	uint64_t val;

	place(e, FN);
	assert_true(hull_mem_store32(e->p->rig->vm, RIG_RAM, word));
	for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
		set(e, 0x18, 4, (uint32_t)places[i]);
		set(e, 0x1c, 4, (uint32_t)(places[i] >> 32));
		e->toy.bar = 99;
		hull_bus_read(e->p->rig->vm, HULL_SPACE_MMIO, places[i], 4, &val);
		assert_int_equal(e->toy.bar, 99);
	}
	assert_true(hull_mem_load32(e->p->rig->vm, RIG_RAM, &word));
	assert_int_equal(word, 0x12345678);
	assert_int_equal(get(e, 0, 4), 0x56781234);
}

/* The first function answers; when it goes, the other one does. */
static void overlapping(void **state)
{
	struct env *e = *state;

	toy_init(e->p, &e->other, OTHER);
	place(e, FN);
	place(e, OTHER);
	e->toy.bar = e->other.bar = 99;
	pci_read(e->p, PCI_MEM + 8, 4);
	assert_int_equal(e->toy.bar, BAR_MEM);
	assert_int_equal(e->other.bar, 99);
	set(e, HULL_PCI_COMMAND, 2, 0);
	pci_read(e->p, PCI_MEM + 8, 4);
	assert_int_equal(e->other.bar, BAR_MEM);
	/* One BAR of a function over another, and over both edges of it. */
	place(e, FN);
	pci_set(e->p, OTHER, HULL_PCI_COMMAND, 2, 0);
	set(e, 0x18, 4, (uint32_t)PCI_MEM);
	set(e, 0x1c, 4, 0);
	assert_int_equal(pci_read(e->p, PCI_MEM + MEM_SIZE - 4, 4), 0xffc04);
	assert_int_equal(pci_read(e->p, PCI_MEM + MEM_SIZE, 4), 0x100004);
	assert_int_equal(e->toy.bar, BAR_HIGH);
}

static bool line(struct env *e, unsigned n)
{
	return e->p->host->irq.level[n];
}

static void intx(void **state)
{
	struct env *e = *state;

	toy_init(e->p, &e->other, OTHER); /* devices 3 and 7 share INTD of the bridge */
	hull_pci_intx(&e->toy.fn, true);
	assert_true(line(e, 3));
	assert_int_equal(get(e, HULL_PCI_STATUS, 2), 0x18);
	hull_pci_intx(&e->other.fn, true);
	hull_pci_intx(&e->other.fn, true);
	hull_pci_intx(&e->toy.fn, false);
	assert_true(line(e, 3));
	assert_int_equal(get(e, HULL_PCI_STATUS, 2), 0x10);
	hull_pci_intx(&e->other.fn, false);
	assert_false(line(e, 3));
	assert_int_equal(e->p->host->irq.rises[3], 1);
	/* Switched off it is still to be seen in the status register. */
	set(e, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_INTX_OFF);
	hull_pci_intx(&e->toy.fn, true);
	assert_false(line(e, 3));
	assert_int_equal(get(e, HULL_PCI_STATUS, 2), 0x18);
	set(e, HULL_PCI_COMMAND, 2, 0);
	assert_true(line(e, 3));
	/* MSI-X takes its place. */
	set(e, e->cap + 2, 2, 0x8000);
	assert_false(line(e, 3));
	set(e, e->cap + 2, 2, 0);
	assert_true(line(e, 3));
	hull_pci_intx(&e->toy.fn, false);
	assert_false(line(e, 0) || line(e, 1) || line(e, 2) || line(e, 3));
}

static void vector_set(struct env *e, unsigned n, uint64_t addr, uint32_t data, uint32_t control)
{
	pci_write(e->p, PCI_MEM + TABLE + 16 * n, 8, addr);
	pci_write(e->p, PCI_MEM + TABLE + 16 * n + 8, 4, data);
	pci_write(e->p, PCI_MEM + TABLE + 16 * n + 12, 4, control);
}

static void sent(struct env *e, unsigned n, uint64_t addr, uint32_t data)
{
	assert_int_equal(e->p->nsent, n);
	assert_int_equal(e->p->sent[n - 1].addr, addr);
	assert_int_equal(e->p->sent[n - 1].data, data);
	assert_int_equal(e->p->sent[n - 1].requester, FN);
}

static void messages(void **state)
{
	struct env *e = *state;

	place(e, FN);
	assert_int_equal(get(e, e->cap + 2, 2), VECTORS - 1);
	assert_int_equal(get(e, e->cap + 4, 4), TABLE | BAR_MEM);
	assert_int_equal(get(e, e->cap + 8, 4), PBA | BAR_MEM);
	assert_false(hull_pci_message(&e->toy.fn, 0)); /* off */
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE + 12, 4), 1);
	set(e, e->cap + 2, 2, 0xffff);
	assert_int_equal(get(e, e->cap + 2, 2), 0xc000 | (VECTORS - 1));
	vector_set(e, 0, UINT64_C(0x1fee00003), 0x4041, 0);
	vector_set(e, 69, 0xfee00010, 0x42, 0xfffffffe);
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE, 8), UINT64_C(0x1fee00000));
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE + 8, 8), 0x4041);
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE + 16 * 69 + 12, 4), 0);
	/* Masked as a whole: pending, and once only. */
	assert_true(hull_pci_message(&e->toy.fn, 0));
	assert_true(hull_pci_message(&e->toy.fn, 69));
	assert_true(hull_pci_message(&e->toy.fn, 69));
	assert_int_equal(e->p->nsent, 0);
	assert_int_equal(pci_read(e->p, PCI_MEM + PBA, 8), 1);
	assert_int_equal(pci_read(e->p, PCI_MEM + PBA + 8, 4), 0x20);
	pci_write(e->p, PCI_MEM + PBA, 8, UINT64_MAX);
	assert_int_equal(pci_read(e->p, PCI_MEM + PBA, 8), 1);
	set(e, e->cap + 2, 2, 0x8000);
	assert_int_equal(e->p->nsent, 2);
	assert_int_equal(e->p->sent[0].addr, UINT64_C(0x1fee00000));
	sent(e, 2, 0xfee00010, 0x42);
	assert_int_equal(pci_read(e->p, PCI_MEM + PBA, 8), 0);
	/* Masked alone. */
	pci_write(e->p, PCI_MEM + TABLE + 12, 4, 1);
	assert_true(hull_pci_message(&e->toy.fn, 0));
	assert_int_equal(e->p->nsent, 2);
	pci_write(e->p, PCI_MEM + TABLE + 8, 8, 0x77); /* data and control at once */
	sent(e, 3, UINT64_C(0x1fee00000), 0x77);
	/* No bus master: it waits. */
	set(e, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY);
	assert_true(hull_pci_message(&e->toy.fn, 0));
	assert_int_equal(e->p->nsent, 3);
	set(e, HULL_PCI_COMMAND, 2, ALL_ON);
	assert_int_equal(e->p->nsent, 4);
	/* Vectors that do not exist. */
	assert_true(hull_pci_message(&e->toy.fn, VECTORS));
	assert_true(hull_pci_message(&e->toy.fn, UINT32_MAX));
	assert_int_equal(e->p->nsent, 4);
}

/* Odd widths and places of the table do nothing, and what is behind it is not table. */
static void table_edges(void **state)
{
	struct env *e = *state;
	uint64_t errors;

	place(e, FN);
	vector_set(e, 0, 0xfee00000, 1, 0);
	errors = e->p->host->dev->guest_errors;
	pci_write(e->p, PCI_MEM + TABLE, 1, 0xff);
	pci_write(e->p, PCI_MEM + TABLE + 2, 2, 0xffff);
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE, 2), 0);
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE, 4), 0xfee00000);
	assert_int_equal(e->p->host->dev->guest_errors, errors + 3);
	pci_write(e->p, PCI_MEM + TABLE + 16 * VECTORS, 8, 5);
	assert_int_equal(e->toy.off, TABLE + 16 * VECTORS);
	pci_write(e->p, PCI_MEM + PBA + 16, 4, 6);
	assert_int_equal(e->toy.off, PBA + 16);
	assert_int_equal(e->toy.val, 6);
}

static void without_controller(void **state)
{
	struct env *e = *state;

	hull_dev_wire_msi(e->p->host->dev, NULL);
	place(e, FN);
	vector_set(e, 0, 0xfee00000, 1, 0);
	set(e, e->cap + 2, 2, 0x8000);
	assert_true(hull_pci_message(&e->toy.fn, 0));
	assert_int_equal(e->p->nsent, 0);
}

static void function_reset(void **state)
{
	struct env *e = *state;
	unsigned express = pci_cap(e->p, FN, CAP_EXPRESS, 0);

	place(e, FN);
	set(e, e->cap + 2, 2, 0x8000);
	vector_set(e, 0, 0xfee00000, 1, 0);
	set(e, HULL_PCI_INT_LINE, 1, 5);
	assert_int_equal(get(e, express + 2, 2), 0x92);
	assert_true(get(e, express + 4, 4) & BIT(28));
	set(e, express + 8, 2, 0x1f);
	assert_int_equal(e->toy.resets, 0);
	set(e, express + 8, 2, 0x8000);
	assert_int_equal(e->toy.resets, 1);
	assert_int_equal(get(e, express + 8, 2), 0);
	assert_int_equal(get(e, HULL_PCI_COMMAND, 2), 0);
	assert_int_equal(get(e, HULL_PCI_BAR0 + 4, 4), 0);
	assert_int_equal(get(e, e->cap + 2, 2), VECTORS - 1);
	assert_int_equal(get(e, HULL_PCI_INT_LINE, 1), 0);
	assert_int_equal(e->toy.command, 0);
	assert_int_equal(pci_read(e->p, PCI_MEM, 4), UINT32_MAX);
	place(e, FN);
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE + 12, 4), 1);
	assert_int_equal(pci_read(e->p, PCI_MEM + TABLE, 4), 0);
}

static const struct hull_field fields[] = {
	HULL_PCI_FN_FIELDS(struct toy, fn),
	HULL_PCI_MSIX_FIELDS(struct toy, table, pending),
};

static size_t save(struct env *e, uint8_t *buf, size_t size)
{
	size_t pos = 0;

	assert_int_equal(
		hull_fields_save("toy", fields, ARRAY_LEN(fields), &e->toy, buf, size, &pos), 0);
	return pos;
}

static void load(struct env *e, const uint8_t *buf, size_t len)
{
	struct hull_err err;
	size_t pos = 0;

	assert_int_equal(
		hull_fields_load("toy", fields, ARRAY_LEN(fields), &e->toy, buf, len, &pos, &err),
		0);
	hull_pci_restored(&e->toy.fn);
}

static void snapshot(void **state)
{
	struct env *e = *state;
	static uint8_t a[16384], b[16384];
	size_t len;

	place(e, FN);
	set(e, e->cap + 2, 2, 0xc000);
	vector_set(e, 3, 0xfee00000, 9, 0);
	hull_pci_message(&e->toy.fn, 3);
	len = save(e, a, sizeof(a));
	hull_pci_reset(&e->toy.fn);
	assert_int_equal(pci_read(e->p, PCI_MEM, 4), UINT32_MAX);
	load(e, a, len);
	assert_int_equal(save(e, b, sizeof(b)), len);
	assert_memory_equal(a, b, len);
	assert_int_equal(pci_read(e->p, PCI_MEM + 8, 4), 0x804);
	set(e, e->cap + 2, 2, 0x8000);
	sent(e, 1, 0xfee00000, 9);
}

/* Whatever a snapshot holds: what the guest cannot change is as it was made. */
static void hostile_snapshot(void **state)
{
	struct env *e = *state;
	static uint8_t buf[16384];
	size_t len;

	memset(e->toy.fn.config, 0xff, sizeof(e->toy.fn.config));
	memset(e->toy.table, 0xff, sizeof(e->toy.table));
	memset(e->toy.pending, 0xff, sizeof(e->toy.pending));
	e->toy.fn.intx = 0xa5;
	len = save(e, buf, sizeof(buf));
	load(e, buf, len);
	assert_int_equal(get(e, 0, 4), 0x56781234);
	assert_int_equal(get(e, e->cap + 2, 2), 0xc000 | (VECTORS - 1));
	assert_int_equal(e->toy.pending[1], 0x3f);
	assert_int_equal(e->p->nsent, 0);
	place(e, FN);
	for (unsigned i = 0; i < VECTORS; i++)
		vector_set(e, i, 0, i, 0);
	set(e, e->cap + 2, 2, 0x8000);
	assert_int_equal(e->p->nsent, VECTORS);
	set(e, e->cap + 2, 2, 0);
	assert_true(line(e, 3));
	hull_pci_intx(&e->toy.fn, false);
	assert_false(line(e, 3));
}

static void places(void **state)
{
	enum { MANY = 40 };
	struct env *e = *state;
	struct toy *many = calloc(MANY, sizeof(*many));
	struct toy twin = { 0 };
	struct hull_err err;

	assert_non_null(many);
	twin.fn.dev = e->p->host->dev;
	twin.fn.ops = &toy_ops;
	assert_int_equal(hull_pci_host_add(e->p->host->dev, &twin.fn, FN, &err), HULL_EEXIST);
	assert_int_equal(err.id, 906);
	assert_int_equal(hull_pci_host_add(e->p->host->dev, &twin.fn, 256, &err), HULL_EOVERFLOW);
	for (unsigned i = 0; i < MANY; i++)
		toy_init(e->p, &many[i], 0);
	assert_int_equal(many[0].fn.requester, 1 << 3);
	assert_int_equal(many[2].fn.requester, 4 << 3); /* 3 is taken */
	assert_int_equal(many[30].fn.requester, (1 << 3) + 1);
	/* Guests look for further functions only where function 0 says so. */
	assert_int_equal(pci_get(e->p, 1 << 3, HULL_PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(pci_get(e->p, 31 << 3, HULL_PCI_HEADER_TYPE, 1), 0);
	free(many);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(header),
		T(absent),
		T(sizing),
		T(moving),
		T(misplaced),
		T(overlapping),
		T(intx),
		T(messages),
		T(table_edges),
		T(without_controller),
		T(function_reset),
		T(snapshot),
		T(hostile_snapshot),
		T(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
