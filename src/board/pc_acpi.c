/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the pc board tells the guest about its devices, made from the devices that exist. */
#include "board/pc.h"

#include "base/mem.h"
#include "board/pci.h"
#include "core/aspace.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "fw/acpi.h"

/* Interrupts of ports are ISA interrupts: edges. */
static struct hull_acpi_device describe(const struct hull_place *p, uint32_t uid)
{
	const struct hull_dev_place *first = &p->dev->first;
	struct hull_acpi_device d = {
		.hid = p->dev->type->acpi_id, .uid = uid, .has_irq = p->irq != 0, .irq = p->irq
	};

	if (first->space == HULL_SPACE_PIO) {
		d.port = (uint16_t)first->base;
		d.ports = (uint8_t)first->size;
	} else {
		d.memory = first->base;
		d.memory_bytes = first->size;
		d.level = true;
	}
	return d;
}

/* Devices with an identity that the guest's drivers know. */
static unsigned collect(const struct pc *pc, struct hull_acpi_device ret[HULL_PLACES])
{
	unsigned n = 0;

	for (unsigned i = 0; i < pc->places.n; i++) {
		const struct hull_place *p = &pc->places.at[i];
		uint32_t uid = 0;

		if (!p->dev->type->acpi_id || !p->dev->first.size)
			continue;
		for (unsigned k = 0; k < n; k++)
			uid += hull_text_eq(ret[k].hid, p->dev->type->acpi_id);
		ret[n++] = describe(p, uid);
	}
	return n;
}

/* What the bridge passes on (ACPI 6.5, 19.6; PCI Firmware Specification 3.3, 4.1.3). */
static void resources(struct hull_aml *a, struct hull_dev *host)
{
	hull_aml_name(a, "_CRS");
	hull_aml_resources(a);
	hull_aml_window(a, HULL_AML_BUS, 0, 1, 0);
	for (int i = 0; i < HULL_PCI_SPACES; i++) {
		const struct hull_pci_window *w =
			hull_pci_host_window_of(host, (enum hull_pci_space)i);

		if (w)
			hull_aml_window(a, i == HULL_PCI_IO ? HULL_AML_IO : HULL_AML_MEMORY, w->pci,
			                w->size, w->base - w->pci);
	}
	hull_aml_end(a);
}

/* Which input each pin of each device is (ACPI 6.5, 6.2.13). */
static void routing(struct hull_aml *a, uint32_t first)
{
	hull_aml_name(a, "_PRT");
	hull_aml_package(a, HULL_PCI_SLOTS * HULL_PCI_PINS);
	for (unsigned slot = 0; slot < HULL_PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < HULL_PCI_PINS; pin++) {
			hull_aml_package(a, 4);
			hull_aml_int(a, slot << 16 | 0xffff);
			hull_aml_int(a, pin);
			hull_aml_int(a, 0);
			hull_aml_int(a, first + hull_pci_swizzle(slot, pin));
			hull_aml_end(a);
		}
	}
	hull_aml_end(a);
}

static void bridge(struct hull_aml *a, const void *arg)
{
	const struct pc *pc = arg;

	hull_aml_device(a, "PCI0");
	hull_aml_name(a, "_HID");
	hull_aml_string(a, "PNP0A08");
	hull_aml_name(a, "_CID");
	hull_aml_string(a, "PNP0A03");
	hull_aml_name(a, "_UID");
	hull_aml_int(a, 0);
	hull_aml_name(a, "_SEG");
	hull_aml_int(a, 0);
	hull_aml_name(a, "_BBN");
	hull_aml_int(a, 0);
	resources(a, pc->places.pci);
	routing(a, pc->places.pci_irq);
	/* No firmware wants to control anything: whatever the guest asks for is granted. */
	hull_aml_method(a, "_OSC", 4);
	hull_aml_return(a);
	hull_aml_arg(a, 3);
	hull_aml_end(a);
	hull_aml_end(a);
}

/* The bridge, and a device that only says that configuration space is no free memory. */
static void add_pci(const struct pc *pc, struct hull_acpi *c, struct hull_acpi_device *ecam)
{
	*ecam = (struct hull_acpi_device){ .hid = "PNP0C02",
		                           .memory = pc->places.pci->gpa,
		                           .memory_bytes = pc->places.pci->size };
	c->more = bridge;
	c->arg = pc;
	c->ecam = pc->places.pci->gpa;
	c->last_bus = 0;
}

int hull_pc_acpi(struct pc *pc, struct hull_err *err)
{
	struct hull_vm *vm = pc->places.machine->vm;
	struct hull_acpi_device devices[HULL_PLACES + 1];
	uint32_t ids[HULL_MAX_VCPUS];
	struct hull_acpi c = { .apic_ids = ids,
		               .ncpus = hull_vm_vcpu_count(vm),
		               .lapic = (uint32_t)PC_LAPIC,
		               .ioapic = (uint32_t)PC_IOAPIC,
		               .ioapic_id = PC_IOAPIC_ID,
		               .has_pic = pc->where == HULL_IRQCHIP_KERNEL,
		               .pm_port = PC_PM_PORT,
		               .sci = PC_IRQ_SCI,
		               .devices = devices };
	struct hull_dma dma;
	size_t bytes;
	int r;

	c.ndevices = collect(pc, devices);
	if (pc->places.pci)
		add_pci(pc, &c, &devices[c.ndevices++]);
	for (uint32_t i = 0; i < c.ncpus; i++)
		ids[i] = (uint32_t)hull_vm_vcpu(vm, i)->phys_id;
	/* No vCPU runs: nobody else writes there. */
	if (hull_dma_begin(vm, PC_ACPI, PC_ACPI_BYTES, true, &dma))
		return hull_fail(err, HULL_EFAULT, 715, "no memory for the ACPI tables at 0x%x",
		                 PC_ACPI);
	r = hull_acpi_write(&c, PC_ACPI, dma.hva, (size_t)dma.len, &bytes, err);
	hull_dma_end(vm, &dma);
	return r;
}
