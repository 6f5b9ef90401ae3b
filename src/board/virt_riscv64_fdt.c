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
#include "isa/riscv64/isa.h"
#include "isa/riscv64/regs.h"

enum { PHANDLE_INTC = 1, PHANDLE_PLIC = 0x100, PHANDLE_SYSCON = 0x101 };
enum { NO_INTERRUPT = -1, CPU_ROOM = 2048, DEVICE_ROOM = 512, FIXED_ROOM = 8192 };

uint64_t hull_virt_riscv64_fdt_room(const struct virt *v)
{
	const struct hull_boot *b = &v->machine->boot;
	uint64_t cmdline = b->cmdline ? hull_text_len(b->cmdline) : 0;

	if (b->dtb.data)
		return b->dtb.size + cmdline + FIXED_ROOM;
	return FIXED_ROOM + cmdline + (uint64_t)hull_vm_vcpu_count(v->machine->vm) * CPU_ROOM +
	       (uint64_t)(v->nslots + 8) * DEVICE_ROOM;
}

/* "a;b" as a list of texts. */
static void prop_compatible(struct hull_fdt_writer *w, const char *list)
{
	char bytes[128];
	size_t len = hull_text_len(list) + 1;

	if (len > sizeof(bytes))
		return;
	memcpy(bytes, list, len);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == ';')
			bytes[i] = '\0';
	}
	hull_fdt_prop_bytes(w, "compatible", bytes, len);
}

static void write_cpu(struct hull_fdt_writer *w, const struct hull_vcpu *vcpu)
{
	size_t len;
	const char *names = hull_riscv64_isa_extensions(&len);

	hull_fdt_begin_node_at(w, "cpu", vcpu->phys_id);
	hull_fdt_prop_string(w, "device_type", "cpu");
	hull_fdt_prop_u32(w, "reg", (uint32_t)vcpu->phys_id);
	hull_fdt_prop_string(w, "status", "okay");
	hull_fdt_prop_string(w, "compatible", "riscv");
	hull_fdt_prop_string(w, "riscv,isa", hull_riscv64_isa_string());
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
	hull_fdt_begin_node(w, "cpus");
	hull_fdt_prop_u32(w, "#address-cells", 1);
	hull_fdt_prop_u32(w, "#size-cells", 0);
	hull_fdt_prop_u32(w, "timebase-frequency", (uint32_t)(1000000000 / RV_TIME_NS));
	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		write_cpu(w, hull_vm_vcpu(vm, i));
	hull_fdt_end_node(w);
}

static void write_memory(struct hull_fdt_writer *w, const struct hull_vm_config *c)
{
	const unsigned ram = HULL_MEM_R | HULL_MEM_W;

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];

		if ((r->attr & ram) != ram || r->attr & HULL_MEM_DEVICE)
			continue;
		hull_fdt_begin_node_at(w, "memory", r->gpa);
		hull_fdt_prop_string(w, "device_type", "memory");
		HULL_FDT_U64S(w, "reg", r->gpa, r->size);
		hull_fdt_end_node(w);
	}
}

/* For each hart `n` inputs of its interrupt controller, 1 or 2. */
static void prop_hart_inputs(struct hull_fdt_writer *w, const struct virt *v, const int *inputs,
                             unsigned n)
{
	uint32_t cells[4 * HULL_MAX_VCPUS], at = 0;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(v->machine->vm); i++) {
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
                         const struct virt_slot *slot)
{
	const struct hull_dev *d = slot->dev;
	const struct hull_dev_type *t = d->type;

	hull_fdt_begin_node_at(w, t->node, d->gpa);
	prop_compatible(w, t->compatible);
	HULL_FDT_U64S(w, "reg", d->gpa, d->size);
	if (slot->irq) {
		hull_fdt_prop_u32(w, "interrupt-parent", PHANDLE_PLIC);
		hull_fdt_prop_u32(w, "interrupts", slot->irq);
	}
	for (unsigned i = 0; i < t->ndt; i++) {
		const struct hull_dt_prop *p = &t->dt[i];

		switch (p->kind) {
		case HULL_DT_EMPTY: hull_fdt_prop_empty(w, p->name); break;
		case HULL_DT_U32: hull_fdt_prop_u32(w, p->name, p->value); break;
		case HULL_DT_STRING: hull_fdt_prop_string(w, p->name, p->text); break;
		}
	}
	write_special(w, v, d);
	hull_fdt_end_node(w);
}

static void write_soc(struct hull_fdt_writer *w, const struct virt *v)
{
	hull_fdt_begin_node(w, "soc");
	hull_fdt_prop_u32(w, "#address-cells", 2);
	hull_fdt_prop_u32(w, "#size-cells", 2);
	hull_fdt_prop_string(w, "compatible", "simple-bus");
	hull_fdt_prop_empty(w, "ranges");
	for (unsigned i = 0; i < v->nslots; i++) {
		/* A device without a binding is one that the guest has to know by itself. */
		if (v->slots[i].dev->type->compatible && v->slots[i].dev->type->node)
			write_device(w, v, &v->slots[i]);
	}
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

static void write_chosen(struct hull_fdt_writer *w, const struct virt *v,
                         const struct hull_boot_layout *layout)
{
	const struct hull_machine *m = v->machine;
	uint8_t seed[32];
	char path[64];

	hull_random(m->vm, seed, sizeof(seed));
	hull_fdt_begin_node(w, "chosen");
	if (m->boot.cmdline)
		hull_fdt_prop_string(w, "bootargs", m->boot.cmdline);
	if (m->console) {
		hull_format(path, sizeof(path), "/soc/%s@%llx", m->console->type->node,
		            (unsigned long long)m->console->gpa);
		hull_fdt_prop_string(w, "stdout-path", path);
	}
	if (layout->initrd.length) {
		hull_fdt_prop_u64(w, "linux,initrd-start", layout->initrd.start);
		hull_fdt_prop_u64(w, "linux,initrd-end",
		                  layout->initrd.start + layout->initrd.length);
	}
	hull_fdt_prop_bytes(w, "rng-seed", seed, sizeof(seed));
	hull_fdt_end_node(w);
}

/* The user's tree with what only we know: memory, command line, initrd, seed. */
static int edit_tree(const struct virt *v, const struct hull_boot_layout *layout, void *buf,
                     size_t size, size_t *ret_size, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(v->machine->vm);
	const struct hull_boot *b = &v->machine->boot;
	struct hull_fdt_range memory[HULL_MAX_REGIONS];
	struct hull_fdt_edit edit = { .bootargs = b->cmdline, .memory = memory };
	const unsigned ram = HULL_MEM_R | HULL_MEM_W;
	struct hull_fdt tree;
	uint8_t seed[32];
	int r;

	r = hull_fdt_check(b->dtb.data, b->dtb.size, &tree, err);
	if (r) {
		hull_err_where(err, "%s", b->dtb.name ? b->dtb.name : "--dtb");
		return r;
	}
	for (uint32_t i = 0; i < c->nregions; i++) {
		if ((c->regions[i].attr & ram) == ram && !(c->regions[i].attr & HULL_MEM_DEVICE))
			memory[edit.memory_count++] =
				(struct hull_fdt_range){ c->regions[i].gpa, c->regions[i].size };
	}
	hull_random(v->machine->vm, seed, sizeof(seed));
	edit.rng_seed = seed;
	edit.rng_seed_len = sizeof(seed);
	edit.initrd = layout->initrd;
	return hull_fdt_apply(&tree, &edit, buf, size, ret_size, err);
}

int hull_virt_riscv64_fdt(const struct virt *v, const struct hull_boot_layout *layout, void *buf,
                          size_t size, size_t *ret_size, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(v->machine->vm);
	struct hull_fdt_writer w;

	if (v->machine->boot.dtb.data)
		return edit_tree(v, layout, buf, size, ret_size, err);
	hull_fdt_begin(&w, buf, size);
	w.boot_cpu = (uint32_t)hull_vm_vcpu(v->machine->vm, 0)->phys_id;
	hull_fdt_begin_node(&w, "");
	hull_fdt_prop_u32(&w, "#address-cells", 2);
	hull_fdt_prop_u32(&w, "#size-cells", 2);
	HULL_FDT_STRINGS(&w, "compatible", "hull,virt-riscv64", "riscv-virtio");
	hull_fdt_prop_string(&w, "model", "hull,virt-riscv64");
	write_chosen(&w, v, layout);
	write_memory(&w, c);
	write_cpus(&w, v->machine->vm);
	write_soc(&w, v);
	write_power(&w, "poweroff", 0x5555);
	write_power(&w, "reboot", 0x7777);
	hull_fdt_end_node(&w);
	return hull_fdt_finish(&w, ret_size, err);
}
