/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two PCI functions with BARs of every kind and MSI-X: any accesses to configuration space and
 * windows, interrupts, resets, and snapshots with anything in them.
 *
 * Input: steps of 9 bytes: operation, place (4), value (4).
 */
#include <string.h>

#include "core/bus.h"
#include "support/pcirig.h"

enum { STEP = 9, VECTORS = 40, TOYS = 2, STATE = 8192 };

struct toy {
	struct hull_pci_fn fn;
	struct hull_pci_vector table[VECTORS];
	uint64_t pending[1];
};

static const struct hull_field fields[] = {
	HULL_PCI_FN_FIELDS(struct toy, fn),
	HULL_PCI_MSIX_FIELDS(struct toy, table, pending),
};

static uint64_t toy_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size)
{
	if (bar >= HULL_PCI_BARS || off + size > fn->bar[bar].size)
		__builtin_trap();
	return off;
}

static void toy_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                      unsigned size)
{
	(void)val;
	toy_read(fn, bar, off, size);
}

static const struct hull_pci_fn_ops ops = { .read = toy_read, .write = toy_write };

static void toy_init(struct pcirig *p, struct toy *t, unsigned devfn)
{
	static const struct hull_pci_id id = { .vendor = 1, .device = 2, .intx = true };
	const struct hull_pci_msix msix = { .table = t->table,
		                            .pending = t->pending,
		                            .table_at = 0x40,
		                            .pba_at = 0x800,
		                            .n = VECTORS,
		                            .bar = 1 };
	struct hull_err err;

	t->fn.dev = p->host->dev;
	t->fn.ops = &ops;
	hull_pci_fn_init(&t->fn, &id);
	hull_pci_add_bar(&t->fn, 0, HULL_PCI_IO, 16);
	hull_pci_add_bar(&t->fn, 1, HULL_PCI_MEM32, 4096);
	hull_pci_add_bar(&t->fn, 2, HULL_PCI_MEM64, UINT64_C(1) << 33);
	hull_pci_add_bar(&t->fn, 4, HULL_PCI_MEM64, 16);
	hull_pci_add_express(&t->fn);
	hull_pci_add_msix(&t->fn, &msix);
	if (hull_pci_host_add(p->host->dev, &t->fn, devfn, &err))
		__builtin_trap();
}

/* Identity and what is read-only stay as they were made; a place is one that a BAR can have. */
static void check(struct toy *t)
{
	for (unsigned i = 0; i < HULL_PCI_CONFIG; i++)
		if ((t->fn.config[i] ^ t->fn.initial[i]) & ~t->fn.writable[i])
			__builtin_trap();
	for (unsigned i = 0; i < HULL_PCI_BARS; i++)
		if (t->fn.bar[i].at != HULL_PCI_NOWHERE &&
		    t->fn.bar[i].at & (t->fn.bar[i].size - 1))
			__builtin_trap();
}

static void reload(struct toy *t, uint32_t at, uint32_t val)
{
	static uint8_t buf[STATE];
	struct hull_err err;
	size_t len = 0, pos = 0;

	if (hull_fields_save("toy", fields, ARRAY_LEN(fields), t, buf, STATE, &len))
		__builtin_trap();
	store_le32(buf + at % (len - 4), val);
	if (!hull_fields_load("toy", fields, ARRAY_LEN(fields), t, buf, len, &pos, &err))
		hull_pci_restored(&t->fn);
}

static void memory(struct pcirig *p, uint32_t where, unsigned size, bool write, uint64_t val)
{
	static const uint64_t base[] = { PCI_IO, PCI_MEM, PCI_HIGH, RIG_RAM };
	uint64_t at = base[where >> 30] + (where & 0xfffff);

	if (write)
		hull_bus_write(p->rig->vm, HULL_SPACE_MMIO, at, size, val);
	else
		hull_bus_read(p->rig->vm, HULL_SPACE_MMIO, at, size, &val);
}

static void step(struct pcirig *p, struct toy *toys, const uint8_t *in)
{
	unsigned op = in[0] & 7, size = 1U << (in[0] >> 3 & 3);
	struct toy *t = &toys[in[0] >> 7];
	uint32_t where = load_le32(in + 1), val = load_le32(in + 5);
	uint64_t got;

	switch (op) {
	case 0:
	case 1: rig_write(p->host, t->fn.requester * 4096 + where % 256, size, val); break;
	case 2: rig_read(p->host, where % HULL_PCI_ECAM_BYTES, size, &got); break;
	case 3: memory(p, where, size, in[0] & 0x40, val); break;
	case 4: hull_pci_message(&t->fn, val); break;
	case 5: hull_pci_intx(&t->fn, val & 1); break;
	case 6: reload(t, where, val); break;
	default:
		if (in[0] & 0x40)
			hull_pci_reset(&t->fn);
		else /* into the table of a BAR that is certainly there */
			memory(p, (1U << 30) + where % 4096, size, true, val);
	}
	check(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pcirig *p = pcirig_new();
	struct toy toys[TOYS];

	memset(toys, 0, sizeof(toys));
	toy_init(p, &toys[0], 8);
	toy_init(p, &toys[1], 40); /* shares the line of the first */
	for (unsigned i = 0; i < TOYS; i++) {
		pci_set(p, toys[i].fn.requester, HULL_PCI_BAR0 + 4, 4, (uint32_t)PCI_MEM);
		pci_set(p, toys[i].fn.requester, HULL_PCI_COMMAND, 2, 7);
	}
	for (size_t at = 0; size - at >= STEP; at += STEP)
		step(p, toys, data + at);
	for (unsigned i = 0; i < TOYS; i++) {
		hull_pci_intx(&toys[i].fn, false);
		if (p->host->irq.level[hull_pci_swizzle(toys[i].fn.requester / 8, 0)] &&
		    i == TOYS - 1)
			__builtin_trap();
	}
	pcirig_free(p);
	return 0;
}
