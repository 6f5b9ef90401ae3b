/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The device tree of virt-riscv64, made from the devices that exist.
 *
 * Bindings: Linux Documentation/devicetree/bindings/riscv/cpus.yaml and
 * extensions.yaml, interrupt-controller/sifive,plic-1.0.0.yaml and
 * riscv,cpu-intc.yaml, power/reset/syscon-*.yaml; Devicetree Specification 0.4.
 */
#include "board/virt_riscv64.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/pci.h"
#include "isa/riscv64/isa.h"
#include "isa/riscv64/regs.h"

enum { PHANDLE_INTC = 1, PHANDLE_PLIC = 0x100, PHANDLE_SYSCON = 0x101 };
enum { NO_INTERRUPT = -1, CPU_ROOM = 2048 };

uint64_t hull_virt_riscv64_fdt_room(const struct virt *v)
{
	return hull_tree_room(&v->places, CPU_ROOM);
}

/* What this hart has of all that Hull knows: an accelerator of the host may have less. */
static uint64_t extensions(struct hull_vcpu *vcpu)
{
	uint64_t have = 0, yes;

	for (unsigned n = 0; hull_riscv64_isa_extension(n); n++)
		if (hull_vcpu_reg_get(vcpu, HULL_RV_REG_EXT + n, &yes) || yes)
			have |= BIT(n);
	return have;
}

static void write_cpu(struct hull_fdt_writer *w, struct hull_vcpu *vcpu)
{
	uint64_t have = extensions(vcpu);
	char isa[HULL_RV_ISA_MAX], names[HULL_RV_ISA_MAX];
	size_t len = hull_riscv64_isa_extensions(have, names);

	(void)hull_riscv64_isa_string(have, isa);

	hull_fdt_begin_node_at(w, "cpu", vcpu->phys_id);
	hull_fdt_prop_string(w, "device_type", "cpu");
	hull_fdt_prop_u32(w, "reg", (uint32_t)vcpu->phys_id);
	hull_fdt_prop_string(w, "status", "okay");
	hull_fdt_prop_string(w, "compatible", "riscv");
	hull_fdt_prop_string(w, "riscv,isa", isa);
	hull_fdt_prop_string(w, "riscv,isa-base", "rv64i");
	hull_fdt_prop_bytes(w, "riscv,isa-extensions", names, len);
	hull_fdt_prop_string(w, "mmu-type", "riscv,sv57");
	hull_fdt_prop_u32(w, "riscv,cbom-block-size", HULL_RV_CACHE_BLOCK);
	hull_fdt_prop_u32(w, "riscv,cboz-block-size", HULL_RV_CACHE_BLOCK);
	hull_fdt_begin_node(w, "interrupt-controller");
	hull_fdt_prop_u32(w, "#address-cells", 0);
	hull_fdt_prop_u32(w, "#interrupt-cells", 1);
	hull_fdt_prop_empty(w, "interrupt-controller");
	hull_fdt_prop_string(w, "compatible", "riscv,cpu-intc");
	hull_fdt_prop_u32(w, "phandle", PHANDLE_INTC + vcpu->id);
	hull_fdt_end_node(w);
	hull_fdt_end_node(w);
}

static void write_cpus(struct hull_fdt_writer *w, struct hull_vm *vm)
{
	uint64_t hz;

	if (hull_vcpu_reg_get(hull_vm_vcpu(vm, 0), HULL_RV_REG_TIMEBASE, &hz))
		hz = 1000000000 / RV_TIME_NS;
	hull_fdt_begin_node(w, "cpus");
	hull_fdt_prop_u32(w, "#address-cells", 1);
	hull_fdt_prop_u32(w, "#size-cells", 0);
	hull_fdt_prop_u32(w, "timebase-frequency", (uint32_t)hz);
	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		write_cpu(w, hull_vm_vcpu(vm, i));
	hull_fdt_end_node(w);
}

/* For each hart `n` inputs of its interrupt controller, 1 or 2. */
static void prop_hart_inputs(struct hull_fdt_writer *w, const struct virt *v, const int *inputs,
                             unsigned n)
{
	uint32_t cells[4 * HULL_MAX_VCPUS], at = 0;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(v->places.machine->vm); i++) {
		for (unsigned k = 0; k < n && k < 2; k++) {
			cells[at++] = PHANDLE_INTC + i;
			cells[at++] = (uint32_t)inputs[k];
		}
	}
	hull_fdt_prop_cells(w, "interrupts-extended", cells, at);
}

/* What only one kind of device has. */
static void write_special(struct hull_fdt_writer *w, const struct virt *v, const struct hull_dev *d)
{
	const int plic[] = { v->firmware ? RV_IRQ_MEI : NO_INTERRUPT, RV_IRQ_SEI };
	static const int aclint[] = { RV_IRQ_MSI, RV_IRQ_MTI };
	static const int sswi[] = { RV_IRQ_SSI };

	if (d == v->plic) {
		hull_fdt_prop_u32(w, "#address-cells", 0);
		hull_fdt_prop_u32(w, "#interrupt-cells", 1);
		hull_fdt_prop_empty(w, "interrupt-controller");
		hull_fdt_prop_u32(w, "riscv,ndev", VIRT_SOURCES);
		hull_fdt_prop_u32(w, "phandle", PHANDLE_PLIC);
		prop_hart_inputs(w, v, plic, 2);
	} else if (d == v->aclint) {
		prop_hart_inputs(w, v, aclint, 2);
	} else if (d == v->sswi) {
		hull_fdt_prop_u32(w, "#address-cells", 0);
		hull_fdt_prop_u32(w, "#interrupt-cells", 0);
		hull_fdt_prop_empty(w, "interrupt-controller");
		prop_hart_inputs(w, v, sswi, 1);
	} else if (d == v->syscon) {
		hull_fdt_prop_u32(w, "phandle", PHANDLE_SYSCON);
	}
}

static void write_device(struct hull_fdt_writer *w, const struct virt *v,
                         const struct hull_place *place)
{
	hull_tree_begin_device(w, place->dev);
	if (place->irq) {
		hull_fdt_prop_u32(w, "interrupt-parent", PHANDLE_PLIC);
		hull_fdt_prop_u32(w, "interrupts", place->irq);
	}
	write_special(w, v, place->dev);
	hull_fdt_end_node(w);
}

static void write_pci(struct hull_fdt_writer *w, const struct virt *v)
{
	struct hull_board_pci_irqs irqs = { .intc = PHANDLE_PLIC, .ncells = 1 };

	for (unsigned i = 0; i < HULL_PCI_PINS; i++)
		irqs.cells[i][0] = v->places.pci_irq + i;
	hull_board_pci_fdt(w, v->places.pci, &irqs);
}

static void write_soc(struct hull_fdt_writer *w, const struct virt *v)
{
	hull_tree_begin_soc(w);
	for (unsigned i = 0; i < v->places.n; i++) {
		const struct hull_place *place = &v->places.at[i];

		/* A device without a binding is one that the guest has to know by itself. */
		if (hull_tree_has(place->dev))
			write_device(w, v, place);
	}
	if (v->places.pci)
		write_pci(w, v);
	hull_fdt_end_node(w);
}

static void write_power(struct hull_fdt_writer *w, const char *node, uint32_t value)
{
	char compatible[32];

	hull_format(compatible, sizeof(compatible), "syscon-%s", node);
	hull_fdt_begin_node(w, node);
	hull_fdt_prop_string(w, "compatible", compatible);
	hull_fdt_prop_u32(w, "regmap", PHANDLE_SYSCON);
	hull_fdt_prop_u32(w, "offset", 0);
	hull_fdt_prop_u32(w, "value", value);
	hull_fdt_end_node(w);
}

int hull_virt_riscv64_fdt(const struct virt *v, const struct hull_boot_layout *layout, void *buf,
                          size_t size, size_t *ret_size, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(v->places.machine->vm);
	struct hull_fdt_writer w;

	if (v->places.machine->boot.dtb.data)
		return hull_tree_edit(v->places.machine, layout, buf, size, ret_size, err);
	hull_fdt_begin(&w, buf, size);
	w.boot_cpu = (uint32_t)hull_vm_vcpu(v->places.machine->vm, 0)->phys_id;
	hull_fdt_begin_node(&w, "");
	hull_fdt_prop_u32(&w, "#address-cells", 2);
	hull_fdt_prop_u32(&w, "#size-cells", 2);
	HULL_FDT_STRINGS(&w, "compatible", "hull,virt-riscv64", "riscv-virtio");
	hull_fdt_prop_string(&w, "model", "hull,virt-riscv64");
	hull_tree_chosen(&w, v->places.machine, layout);
	hull_tree_memory(&w, c);
	write_cpus(&w, v->places.machine->vm);
	write_soc(&w, v);
	write_power(&w, "poweroff", 0x5555);
	write_power(&w, "reboot", 0x7777);
	hull_fdt_end_node(&w);
	return hull_fdt_finish(&w, ret_size, err);
}
