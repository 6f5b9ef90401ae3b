/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the pc board tells the guest about its devices, made from the devices that exist. */
#include "board/pc.h"

#include "base/mem.h"
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

int hull_pc_acpi(struct pc *pc, struct hull_err *err)
{
	struct hull_vm *vm = pc->places.machine->vm;
	struct hull_acpi_device devices[HULL_PLACES];
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
