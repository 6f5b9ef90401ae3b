/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/pcirig.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/bus.h"
#include "dev/virtio/pci.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "pcirig: %s\n", what);
	abort();
}

static void sink_send(struct hull_msi_sink *sink, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct pcirig *p = CONTAINER_OF(sink, struct pcirig, sink);

	if (p->nsent < PCI_MESSAGES)
		p->sent[p->nsent] = (struct hull_msi){ sink, addr, data, requester };
	p->nsent++;
}

struct pcirig *pcirig_new(void)
{
	static const struct hull_pci_window windows[] = {
		{ HULL_PCI_IO, HULL_SPACE_MMIO, PCI_IO, PCI_IO_SIZE, 0 },
		{ HULL_PCI_MEM32, HULL_SPACE_MMIO, PCI_MEM, PCI_MEM_SIZE, PCI_MEM },
		{ HULL_PCI_MEM64, HULL_SPACE_MMIO, PCI_HIGH, PCI_HIGH_SIZE, PCI_HIGH },
	};
	struct pcirig *p = calloc(1, sizeof(*p));
	struct hull_err err;

	must(p, "no memory");
	p->rig = rig_new();
	p->host = rig_add(p->rig, hull_dev_type_find("pci-host"), NULL, 0, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(windows); i++)
		must(!hull_pci_host_window(p->host->dev, &windows[i], &err), err.text);
	p->sink.send_from = sink_send;
	hull_dev_wire_msi(p->host->dev, &p->sink);
	return p;
}

void pcirig_free(struct pcirig *p)
{
	rig_free(p->rig);
	free(p);
}

uint32_t pci_get(struct pcirig *p, unsigned devfn, unsigned off, unsigned size)
{
	uint64_t val = 0;

	must(rig_read(p->host, devfn * 4096 + off, size, &val), "configuration: bus error");
	return (uint32_t)val;
}

void pci_set(struct pcirig *p, unsigned devfn, unsigned off, unsigned size, uint32_t val)
{
	must(rig_write(p->host, devfn * 4096 + off, size, val), "configuration: bus error");
}

unsigned pci_cap(struct pcirig *p, unsigned devfn, uint8_t id, unsigned nth)
{
	unsigned at = pci_get(p, devfn, HULL_PCI_CAPABILITIES, 1);

	for (unsigned hops = 0; at && hops < 48; hops++) {
		if (pci_get(p, devfn, at, 1) == id && !nth--)
			return at;
		at = pci_get(p, devfn, at + 1, 1);
	}
	must(!at, "the list of capabilities has no end");
	return 0;
}

uint64_t pci_read(struct pcirig *p, hull_gpa gpa, unsigned size)
{
	uint64_t val = 0;

	must(hull_bus_read(p->rig->vm, HULL_SPACE_MMIO, gpa, size, &val), "read: bus error");
	return val;
}

void pci_write(struct pcirig *p, hull_gpa gpa, unsigned size, uint64_t val)
{
	must(hull_bus_write(p->rig->vm, HULL_SPACE_MMIO, gpa, size, val), "write: bus error");
}

struct rig_dev *pcirig_add_virtio(struct pcirig *p, const char *type, unsigned devfn, void *backend)
{
	uint64_t at = PCI_HIGH + devfn * 0x4000;
	struct rig_dev *d;
	struct hull_err err;

	p->rig->off_bus = true;
	d = rig_add(p->rig, hull_dev_type_find(type), NULL, 0, backend);
	p->rig->off_bus = false;
	must(!hull_virtio_pci_create(p->host->dev, d->dev, devfn, &err), err.text);
	d->pci_regs = at;
	pci_set(p, devfn, HULL_PCI_BAR0, 4, (uint32_t)at);
	pci_set(p, devfn, HULL_PCI_BAR0 + 4, 4, (uint32_t)(at >> 32));
	pci_set(p, devfn, HULL_PCI_BAR0 + 8, 4, (uint32_t)(PCI_MEM + devfn * 0x1000));
	pci_set(p, devfn, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY | HULL_PCI_COMMAND_MASTER);
	return d;
}
