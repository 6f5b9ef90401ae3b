/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The device tree of virt-aarch64, made from the devices that exist.
 *
 * Bindings: Linux Documentation/devicetree/bindings/arm/cpus.yaml and psci.yaml,
 * timer/arm,arch_timer.yaml, interrupt-controller/arm,gic.yaml and arm,gic-v3.yaml,
 * serial/pl011.yaml, arm/primecell.yaml; Devicetree Specification 0.4.
 */
#include "board/virt_aarch64.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/arm_psci.h"
#include "board/pci.h"
#include "core/irqchip.h"
#include "isa/aarch64/gic.h"

enum { PHANDLE_GIC = 1, PHANDLE_ITS = 2, PHANDLE_CLOCK = 3 };
enum { GIC_SPI = 0, GIC_PPI = 1, EDGE = 1, LEVEL_HIGH = 4, LEVEL_LOW = 8 };
enum {
	CPU_ROOM = 512,
	PASSED_ROOM = 1024,
	CLOCK_HZ = 24000000
}; /* of PL011 and PL031: 24 MHz, as on Arm's boards */
/* Of PPIs: the generic timer's (secure, non-secure, virtual, hypervisor), the GIC's own. */
enum { PPI_SECURE = 13, PPI_PHYSICAL = 14, PPI_VIRTUAL = 11, PPI_HYP = 10, PPI_GIC = 9 };

uint64_t hull_virt_aarch64_fdt_room(const struct arm_virt *v)
{
	return hull_tree_room(&v->places, CPU_ROOM) +
	       (uint64_t)v->places.machine->npassed * PASSED_ROOM;
}

static void write_psci(struct hull_fdt_writer *w)
{
	hull_fdt_begin_node(w, "psci");
	HULL_FDT_STRINGS(w, "compatible", "arm,psci-1.0", "arm,psci-0.2");
	hull_fdt_prop_string(w, "method", "hvc");
	hull_fdt_end_node(w);
}

static void write_cpus(struct hull_fdt_writer *w, struct hull_vm *vm)
{
	hull_fdt_begin_node(w, "cpus");
	hull_fdt_prop_u32(w, "#address-cells", 2);
	hull_fdt_prop_u32(w, "#size-cells", 0);
	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++) {
		uint64_t affinity = hull_psci_affinity(hull_vm_vcpu(vm, i));

		hull_fdt_begin_node_at(w, "cpu", affinity);
		hull_fdt_prop_string(w, "device_type", "cpu");
		hull_fdt_prop_string(w, "compatible", "arm,armv8");
		hull_fdt_prop_u64(w, "reg", affinity);
		hull_fdt_prop_string(w, "enable-method", "psci");
		hull_fdt_end_node(w);
	}
	hull_fdt_end_node(w);
}

static bool is_v3(const struct arm_virt *v)
{
	return v->gic || v->below & HULL_BELOW_GICV3;
}

/* GICv2 wants to know which processors a PPI goes to (arm,gic.yaml). */
static uint32_t ppi_flags(const struct arm_virt *v, uint32_t flags)
{
	uint32_t n = hull_vm_vcpu_count(v->places.machine->vm);

	return is_v3(v) ? flags : flags | ((1u << MIN(n, 8u)) - 1) << 8;
}

static void write_timer(struct hull_fdt_writer *w, const struct arm_virt *v)
{
	static const uint32_t ppis[] = { PPI_SECURE, PPI_PHYSICAL, PPI_VIRTUAL, PPI_HYP };
	uint32_t cells[3 * ARRAY_LEN(ppis)], n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(ppis); i++) {
		cells[n++] = GIC_PPI;
		cells[n++] = ppis[i];
		cells[n++] = ppi_flags(v, LEVEL_LOW);
	}
	hull_fdt_begin_node(w, "timer");
	hull_fdt_prop_string(w, "compatible", "arm,armv8-timer");
	hull_fdt_prop_cells(w, "interrupts", cells, n);
	hull_fdt_prop_empty(w, "always-on");
	hull_fdt_end_node(w);
}

static void write_clock(struct hull_fdt_writer *w)
{
	hull_fdt_begin_node(w, "clock");
	hull_fdt_prop_string(w, "compatible", "fixed-clock");
	hull_fdt_prop_u32(w, "#clock-cells", 0);
	hull_fdt_prop_u32(w, "clock-frequency", CLOCK_HZ);
	hull_fdt_prop_u32(w, "phandle", PHANDLE_CLOCK);
	hull_fdt_end_node(w);
}

static void write_its(struct hull_fdt_writer *w)
{
	hull_fdt_begin_node_at(w, "its", HULL_GIC_ITS);
	hull_fdt_prop_string(w, "compatible", "arm,gic-v3-its");
	hull_fdt_prop_empty(w, "msi-controller");
	hull_fdt_prop_u32(w, "#msi-cells", 1);
	HULL_FDT_U64S(w, "reg", HULL_GIC_ITS, HULL_GIC_ITS_BYTES);
	hull_fdt_prop_u32(w, "phandle", PHANDLE_ITS);
	hull_fdt_end_node(w);
}

static void write_gic(struct hull_fdt_writer *w, const struct arm_virt *v)
{
	bool v3 = is_v3(v);
	uint64_t vcpus = hull_vm_vcpu_count(v->places.machine->vm);
	const uint32_t own[] = { GIC_PPI, PPI_GIC, ppi_flags(v, LEVEL_HIGH) };

	hull_fdt_begin_node_at(w, "interrupt-controller", HULL_GIC_DIST);
	hull_fdt_prop_string(w, "compatible", v3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	if (v3)
		HULL_FDT_U64S(w, "reg", HULL_GIC_DIST, HULL_GIC_DIST_BYTES, HULL_GIC_REDIST,
		              vcpus * HULL_GIC_REDIST_BYTES);
	else
		HULL_FDT_U64S(w, "reg", HULL_GIC_DIST, HULL_GIC_DIST_BYTES, HULL_GIC_CPU,
		              HULL_GIC_CPU_BYTES);
	hull_fdt_prop_empty(w, "interrupt-controller");
	hull_fdt_prop_u32(w, "#interrupt-cells", 3);
	hull_fdt_prop_u32(w, "#address-cells", 2);
	hull_fdt_prop_u32(w, "#size-cells", 2);
	hull_fdt_prop_empty(w, "ranges");
	hull_fdt_prop_cells(w, "interrupts", own, ARRAY_LEN(own));
	hull_fdt_prop_u32(w, "phandle", PHANDLE_GIC);
	if (v->below & HULL_BELOW_ITS)
		write_its(w);
	hull_fdt_end_node(w);
}

/* Primecells have a bus clock, and UARTs one for the line before it. */
static void write_clocks(struct hull_fdt_writer *w, const struct hull_dev *d)
{
	static const uint32_t clocks[] = { PHANDLE_CLOCK, PHANDLE_CLOCK };

	if (hull_text_eq(d->type->name, "pl011")) {
		hull_fdt_prop_cells(w, "clocks", clocks, 2);
		HULL_FDT_STRINGS(w, "clock-names", "uartclk", "apb_pclk");
	} else if (hull_text_eq(d->type->name, "pl031")) {
		hull_fdt_prop_cells(w, "clocks", clocks, 1);
		hull_fdt_prop_string(w, "clock-names", "apb_pclk");
	}
}

static void write_device(struct hull_fdt_writer *w, const struct hull_place *place)
{
	const struct hull_dev *d = place->dev;
	uint32_t cells[3 * HULL_DEV_IRQS], n = 0;

	hull_tree_begin_device(w, d);
	for (uint32_t i = 0; place->irq && i < MIN(d->nirqs, (unsigned)HULL_DEV_IRQS); i++) {
		cells[n++] = GIC_SPI;
		cells[n++] = place->irq + i;
		cells[n++] = LEVEL_HIGH;
	}
	if (n)
		hull_fdt_prop_cells(w, "interrupts", cells, n);
	write_clocks(w, d);
	hull_fdt_end_node(w);
}

static void write_pci(struct hull_fdt_writer *w, const struct arm_virt *v)
{
	struct hull_board_pci_irqs irqs = { .intc = PHANDLE_GIC, .ncells = 5 };

	for (uint32_t i = 0; i < HULL_PCI_PINS; i++) {
		/* Two cells of the GIC's unit address come first. */
		irqs.cells[i][2] = GIC_SPI;
		irqs.cells[i][3] = v->places.pci_irq + i;
		irqs.cells[i][4] = LEVEL_HIGH;
	}
	irqs.msi = v->below & HULL_BELOW_ITS ? PHANDLE_ITS : 0;
	hull_board_pci_fdt(w, v->places.pci, &irqs);
}

/* A device of the host: what its own node says, with clocks of ours. */
static void write_passed(struct hull_fdt_writer *w, const struct hull_passed *p)
{
	static const uint32_t clocks[] = { PHANDLE_CLOCK, PHANDLE_CLOCK };
	const char *end = (const char *)p->compatible + p->compatible_bytes;
	char name[32];
	size_t n = 0;

	while (n < sizeof(name) - 1 && p->name[n] && p->name[n] != '@')
		n++;
	hull_format(name, sizeof(name), "%.*s", (int)n, p->name);
	hull_fdt_begin_node_at(w, name, p->gpa);
	hull_fdt_prop_bytes(w, "compatible", p->compatible, p->compatible_bytes);
	HULL_FDT_U64S(w, "reg", p->gpa, p->size);
	if (p->irq)
		HULL_FDT_CELLS(w, "interrupts", GIC_SPI, p->irq - 32, p->edge ? EDGE : LEVEL_HIGH);
	if (p->coherent)
		hull_fdt_prop_empty(w, "dma-coherent");
	for (const char *c = p->compatible; c < end && *c; c += hull_text_len(c) + 1) {
		if (hull_text_eq(c, "arm,pl011")) {
			hull_fdt_prop_cells(w, "clocks", clocks, 2);
			HULL_FDT_STRINGS(w, "clock-names", "uartclk", "apb_pclk");
			break;
		}
		if (hull_text_eq(c, "arm,primecell")) {
			hull_fdt_prop_cells(w, "clocks", clocks, 1);
			hull_fdt_prop_string(w, "clock-names", "apb_pclk");
		}
	}
	hull_fdt_end_node(w);
}

static void write_soc(struct hull_fdt_writer *w, const struct arm_virt *v)
{
	hull_tree_begin_soc(w);
	for (unsigned i = 0; i < v->places.n; i++) {
		const struct hull_place *place = &v->places.at[i];

		/* A device without a binding is one that the guest has to know by itself. */
		if (hull_tree_has(place->dev))
			write_device(w, place);
	}
	for (uint32_t i = 0; i < v->places.machine->npassed; i++)
		write_passed(w, &v->places.machine->passed[i]);
	if (v->places.pci)
		write_pci(w, v);
	hull_fdt_end_node(w);
}

int hull_virt_aarch64_fdt(const struct arm_virt *v, const struct hull_boot_layout *layout,
                          void *buf, size_t size, size_t *ret_size, struct hull_err *err)
{
	const struct hull_machine *m = v->places.machine;
	struct hull_fdt_writer w;

	if (m->boot.dtb.data)
		return hull_tree_edit(m, layout, buf, size, ret_size, err);
	hull_fdt_begin(&w, buf, size);
	hull_fdt_begin_node(&w, "");
	hull_fdt_prop_u32(&w, "#address-cells", 2);
	hull_fdt_prop_u32(&w, "#size-cells", 2);
	if (hull_virt_aarch64_has_gic(v))
		hull_fdt_prop_u32(&w, "interrupt-parent", PHANDLE_GIC);
	HULL_FDT_STRINGS(&w, "compatible", "hull,virt-aarch64", "linux,dummy-virt");
	hull_fdt_prop_string(&w, "model", "hull,virt-aarch64");
	hull_fdt_prop_empty(&w, "dma-coherent");
	hull_tree_chosen(&w, m, layout);
	hull_tree_memory(&w, hull_vm_config(m->vm));
	write_psci(&w);
	write_cpus(&w, m->vm);
	write_timer(&w, v);
	write_clock(&w);
	if (hull_virt_aarch64_has_gic(v))
		write_gic(&w, v);
	write_soc(&w, v);
	hull_fdt_end_node(&w);
	return hull_fdt_finish(&w, ret_size, err);
}
