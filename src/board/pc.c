/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * pc (micro): 64-bit x86 machine with APICs, PIT, RTC, 16550, i8042, ACPI, virtio-mmio and PCI;
 * direct start of Linux (bzImage), of ELF files by PVH and of other programs in 64-bit mode.
 *
 * Where the accelerator has interrupt controllers of its own, those are used: all of them (KERNEL),
 * or the local APICs alone (SPLIT).  There are no 8259s but below.
 */
#include "board/pc.h"

#include "board/load.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "dev/irqchip/ioapic.h"
#include "dev/irqchip/lapic.h"
#include "isa/x86_64/regs.h"

enum { MSR_APIC_BASE = 0x1b, MSR_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };
enum {
	VIRTIO_SLOTS = 32,
	IRQ_PCI = 16,
	IRQ_VIRTIO = 16,
	IRQ_OTHER = 5,
	IRQ_FPU = 13,
	COM_PORTS = 8
};

_Static_assert((int)X86_IRQ_INTR == (int)HULL_X86_INPUT_INTR &&
                       (int)X86_IRQ_NMI == (int)HULL_X86_INPUT_NMI &&
                       (int)X86_IRQ_INIT == (int)HULL_X86_INPUT_INIT,
               "one numbering of the inputs");

static const struct com {
	uint16_t port;
	uint8_t irq;
} coms[] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 0 }, { 0x2e8, 0 } };

static struct hull_irq line(const struct hull_places *p, uint32_t irq)
{
	const struct pc *pc = (const struct pc *)p;

	return pc->ioapic ? hull_dev_input(pc->ioapic, irq) : hull_vm_line(p->machine->vm, irq);
}

static void send_below(struct hull_msi_sink *sink, uint64_t addr, uint32_t data)
{
	struct pc *pc = CONTAINER_OF(sink, struct pc, below);

	(void)hull_vm_msi(pc->places.machine->vm, addr, data);
}

static bool port_used(const struct hull_places *p, uint16_t port)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->at[i].dev->first.space == HULL_SPACE_PIO && p->at[i].dev->first.base == port)
			return true;
	return false;
}

/* Serial ports are where PCs have them; those beyond the fourth are in memory. */
static bool choose_ports(const struct hull_places *p, struct hull_dev_setup *s,
                         struct hull_dev_place *place, uint32_t *irq)
{
	for (unsigned i = 0; i < ARRAY_LEN(coms) && !s->gpa; i++) {
		if (port_used(p, coms[i].port))
			continue;
		*place = (struct hull_dev_place){ .space = HULL_SPACE_PIO,
			                          .base = coms[i].port,
			                          .size = COM_PORTS };
		if (!*irq)
			*irq = coms[i].irq;
		return true;
	}
	return false;
}

/* A device of the board's own. */
struct fixed {
	const char *type;
	const struct hull_dev_place *places;
	unsigned n;
	uint32_t irq; /* 0: wired by the caller */
};

static int add(struct pc *pc, const struct fixed *f, struct hull_dev **ret, struct hull_err *err)
{
	struct hull_dev_setup s = { .type = hull_dev_type_find(f->type),
		                    .name = f->type,
		                    .gpa = f->places[0].base,
		                    .places = f->places,
		                    .nplaces = f->n };

	return hull_place_add(&pc->places, &s, f->irq, ret, err);
}

static int add_lapic(struct pc *pc, struct hull_err *err)
{
	static const struct hull_dev_place places[] = {
		{ HULL_SPACE_MMIO, PC_LAPIC, 0x1000, 0 },
		{ HULL_SPACE_SYSREG, MSR_X2APIC, 0x100, HULL_LAPIC_MSRS },
		{ HULL_SPACE_SYSREG, MSR_APIC_BASE, 1, HULL_LAPIC_BASE_MSR },
		{ HULL_SPACE_SYSREG, MSR_DEADLINE, 1, HULL_LAPIC_DEADLINE_MSR },
	};
	struct hull_vm *vm = pc->places.machine->vm;
	const struct fixed lapic = { "lapic", places, ARRAY_LEN(places), 0 };
	int r = add(pc, &lapic, &pc->lapic, err);

	if (r)
		return r;
	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		hull_dev_wire(pc->lapic, i, hull_vcpu_line(hull_vm_vcpu(vm, i), X86_IRQ_INTR));
	hull_lapic_serve(pc->lapic);
	pc->msi = hull_lapic_msi(pc->lapic);
	return 0;
}

static int add_controllers(struct pc *pc, struct hull_err *err)
{
	static const struct hull_dev_place page = { HULL_SPACE_MMIO, PC_IOAPIC, 0x1000, 0 };
	static const struct hull_dev_place ports[] = { { HULL_SPACE_PIO, 0x40, 4, 0 },
		                                       { HULL_SPACE_PIO, 0x61, 1, 4 } };
	static const struct fixed ioapic = { "ioapic", &page, 1, 0 };
	static const struct fixed pit = { "pit8254", ports, ARRAY_LEN(ports), PC_IRQ_PIT };
	struct hull_dev *d;
	int r = 0;

	pc->where = hull_vm_irqchip(pc->places.machine->vm);
	pc->below.send = send_below;
	pc->msi = &pc->below;
	if (pc->where == HULL_IRQCHIP_USER)
		r = add_lapic(pc, err);
	if (!r && pc->where != HULL_IRQCHIP_KERNEL) {
		r = add(pc, &ioapic, &pc->ioapic, err);
		if (!r) {
			hull_dev_wire_msi(pc->ioapic, pc->msi);
			hull_ioapic_serve(pc->ioapic);
		}
	}
	return r ? r : add(pc, &pit, &d, err);
}

static int build_fixed(struct pc *pc, struct hull_err *err)
{
	static const struct hull_dev_place rtc = { HULL_SPACE_PIO, 0x70, 2, 0 };
	static const struct hull_dev_place keyboard[] = { { HULL_SPACE_PIO, 0x60, 1, 0 },
		                                          { HULL_SPACE_PIO, 0x64, 1, 4 } };
	static const struct hull_dev_place pm = { HULL_SPACE_PIO, PC_PM_PORT, 16, 0 };
	static const struct fixed fixed[] = {
		{ "cmos-rtc", &rtc, 1, PC_IRQ_RTC },
		{ "i8042", keyboard, ARRAY_LEN(keyboard), 0 },
		{ "acpi-pm", &pm, 1, PC_IRQ_SCI },
	};
	static const uint8_t taken[] = { 0, 1, PC_IRQ_PIT, 3, 4, PC_IRQ_RTC, PC_IRQ_SCI, IRQ_FPU };
	struct hull_dev *d;
	int r = add_controllers(pc, err);

	for (unsigned i = 0; i < ARRAY_LEN(taken); i++)
		hull_place_use(&pc->places, taken[i], 1);
	for (unsigned i = 0; !r && i < ARRAY_LEN(fixed); i++)
		r = add(pc, &fixed[i], &d, err);
	return r;
}

static int configure(struct hull_vm_config *c, uint64_t ram_bytes, struct hull_err *err)
{
	struct hull_region_config low = { .size = MIN(ram_bytes, PC_RAM_LOW_END),
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_region_config high = { .gpa = PC_RAM_HIGH,
		                           .size = ram_bytes - low.size,
		                           .attr = low.attr };
	int r;

	if (c->nregions)
		return 0;
	r = hull_config_add_region(c, &low, err);
	return r || !high.size ? r : hull_config_add_region(c, &high, err);
}

static int build(struct hull_machine *m, void *const *backends, struct hull_err *err)
{
	static const struct hull_place_pci pci = {
		.ecam = PC_ECAM,
		.ecam_end = PC_ECAM_END,
		.mem = PC_PCI_MEM,
		.mem_bytes = PC_PCI_MEM_BYTES,
		.io_space = HULL_SPACE_PIO,
		.io = PC_PCI_IO,
		.io_bytes = PC_PCI_IO_BYTES,
		.io_pci = PC_PCI_IO,
		.irq = IRQ_PCI,
	};
	static const struct hull_place_map map = {
		.serial = "uart16550",
		.choose_ports = choose_ports,
		.virtio = PC_VIRTIO,
		.virtio_slots = VIRTIO_SLOTS,
		.virtio_irq = IRQ_VIRTIO,
		.small = PC_SMALL,
		.small_end = PC_SMALL_END,
		.large = PC_LARGE,
		.large_end = PC_LARGE_END,
		.irq = IRQ_OTHER,
		.last_irq = PC_PINS - 1,
		.pci = &pci,
	};
	struct pc *pc = m->state;
	int r = hull_board_has_image(m, err);

	if (r)
		return r;
	if (m->boot.firmware.data) {
		hull_fail(err, HULL_ENOTSUP, 1301,
		          "the machine \"pc\" of this build starts kernels, no firmware");
		hull_err_fix(err, "hull run KERNEL, without --firmware");
		return HULL_ENOTSUP;
	}
	pc->places = (struct hull_places){ .machine = m, .map = &map, .line = line };
	r = build_fixed(pc, err);
	if (!r)
		r = hull_place_configured(&pc->places, backends, err);
	if (r)
		return r;
	if (pc->places.pci)
		hull_dev_wire_msi(pc->places.pci, pc->msi);
	hull_board_set_loader(m, hull_pc_load);
	return 0;
}

HULL_BOARD(pc) = {
	.name = "pc",
	.summary = "PC with APICs, 16550, ACPI and virtio; starts Linux and PVH kernels directly",
	.isa = HULL_ISA_X86_64,
	.serial = "uart16550",
	.state_size = sizeof(struct pc),
	.configure = configure,
	.build = build,
};
