/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virt-riscv64: ACLINT, PLIC, 16550, RTC, virtio-mmio, PCI; direct kernel boot
 * with Hull as the firmware, or M-mode firmware that starts the kernel.
 *
 * The memory map is the one that riscv64 kernels and firmware know from other
 * emulators.  A device of the configuration without an address or interrupt gets
 * the next free one.  Without firmware there is no ACLINT: nobody could use it.
 * The PCI host bridge is there if a device is on it; the PLIC takes no messages, so
 * MSI-X leads nowhere, and the tree says so by naming nobody for it.
 *
 * Spec of what firmware gets in a2: OpenSBI, include/sbi/fw_dynamic.h.
 */
#include "board/virt_riscv64.h"

#include "base/bits.h"
#include "base/checked.h"
#include "core/aspace.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "isa/riscv64/regs.h"

#define RAM_BASE  UINT64_C(0x80000000)
#define SYSCON    UINT64_C(0x100000)
#define RTC       UINT64_C(0x101000)
#define ACLINT    UINT64_C(0x2000000)
#define SSWI      UINT64_C(0x2f00000)
#define PLIC      UINT64_C(0xc000000)
#define UART      UINT64_C(0x10000000)
#define VIRTIO    UINT64_C(0x10001000) /* eight slots */
#define SMALL     UINT64_C(0x10010000) /* other devices of at most a page */
#define SMALL_END UINT64_C(0x10100000)
#define PCI_IO    UINT64_C(0x3000000)
#define LARGE     UINT64_C(0x30000000) /* the rest */
#define PCI_MEM   UINT64_C(0x40000000) /* within LARGE */
#define LARGE_END RAM_BASE

enum { PCI_IO_BYTES = 0x10000, PCI_MEM_BYTES = 0x20000000, IRQ_PCI = 32 };
enum { IRQ_VIRTIO = 1, IRQ_UART = 10, IRQ_RTC = 11, IRQ_OTHER = 12, VIRTIO_SLOTS = 8 };
/* OpenSBI, platform/generic/objects.mk: FW_JUMP_FDT_OFFSET; and what firmware adds to the tree. */
enum { JUMP_TREE = 0x2200000, JUMP_TREE_GROWS = 0x10000 };
enum { REG_A0 = 10, REG_A1 = 11, REG_A2 = 12 };

static void raise_ssip(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	struct virt *v = CONTAINER_OF(sink, struct virt, ssip);
	struct hull_vcpu *vcpu = hull_vm_vcpu(v->places.machine->vm, input);

	if (level && vcpu)
		hull_vcpu_raise(vcpu, BIT(RV_IRQ_SSI));
}

static struct hull_irq plic_line(const struct hull_places *p, uint32_t irq)
{
	const struct virt *v = (const struct virt *)p;

	return hull_dev_input(v->plic, irq);
}

static int add_fixed(struct virt *v, const char *type, hull_gpa gpa, const uint64_t args[2],
                     struct hull_dev **ret, struct hull_err *err)
{
	struct hull_dev_setup s = { .type = hull_dev_type_find(type),
		                    .name = type,
		                    .gpa = gpa,
		                    .args = args,
		                    .nargs = args ? (args[1] ? 2 : 1) : 0 };

	return hull_place_add(&v->places, &s, 0, ret, err);
}

static void wire_harts(struct virt *v)
{
	struct hull_vm *vm = v->places.machine->vm;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++) {
		struct hull_vcpu *vcpu = hull_vm_vcpu(vm, i);

		hull_dev_wire(v->plic, 2 * i + 1, hull_vcpu_line(vcpu, RV_IRQ_SEI));
		hull_dev_wire(v->sswi, i, (struct hull_irq){ &v->ssip, i });
		if (!v->firmware)
			continue;
		hull_dev_wire(v->plic, 2 * i, hull_vcpu_line(vcpu, RV_IRQ_MEI));
		hull_dev_wire(v->aclint, 2 * i, hull_vcpu_line(vcpu, RV_IRQ_MSI));
		hull_dev_wire(v->aclint, 2 * i + 1, hull_vcpu_line(vcpu, RV_IRQ_MTI));
	}
}

static int build_fixed(struct virt *v, struct hull_err *err)
{
	uint64_t harts = hull_vm_vcpu_count(v->places.machine->vm);
	const uint64_t plic_args[2] = { VIRT_SOURCES, 2 * harts }, hart_args[2] = { harts, 0 };
	struct hull_dev_setup rtc = { .type = hull_dev_type_find("goldfish-rtc"),
		                      .name = "rtc",
		                      .gpa = RTC };
	struct hull_dev *d;
	int r;

	r = add_fixed(v, "plic", PLIC, plic_args, &v->plic, err);
	if (!r)
		r = add_fixed(v, "aclint-sswi", SSWI, hart_args, &v->sswi, err);
	if (!r && v->firmware)
		r = add_fixed(v, "aclint", ACLINT, hart_args, &v->aclint, err);
	if (!r)
		r = add_fixed(v, "syscon", SYSCON, NULL, &v->syscon, err);
	if (!r && rtc.type)
		r = hull_place_add(&v->places, &rtc, IRQ_RTC, &d, err);
	hull_place_use(&v->places, IRQ_RTC, 1);
	return r;
}

/* What is loaded, and where. */
struct load {
	struct hull_image_plan firmware, kernel;
	bool has_firmware, has_kernel;
	struct hull_boot_layout layout;
	hull_gpa dynamic; /* fw_dynamic_info */
};

static int plan_images(const struct hull_machine *m, const struct hull_region_config *ram,
                       struct load *l, struct hull_err *err)
{
	const struct hull_boot *b = &m->boot;
	struct hull_image_target t = { .isa = HULL_ISA_RISCV64,
		                       .ram_base = ram->gpa,
		                       .ram_size = ram->size };
	int r;

	l->has_firmware = b->firmware.data;
	l->has_kernel = b->kernel.data;
	if (l->has_firmware) {
		t.name = b->firmware.name;
		t.has_load = b->firmware.has_at;
		t.load = b->firmware.at;
		r = hull_image_plan(b->firmware.data, b->firmware.size, &t, &l->firmware, err);
		if (r)
			return r;
	}
	if (!l->has_kernel)
		return 0;
	t.name = b->kernel.name;
	t.has_load = b->kernel.has_at;
	t.load = b->kernel.at;
	t.has_entry = b->has_entry;
	t.entry = b->entry;
	/* Where firmware that was built to jump expects what it starts. */
	if (l->has_firmware && !t.has_load &&
	    hull_image_probe(b->kernel.data, b->kernel.size).kind != HULL_IMAGE_ELF) {
		t.has_load = true;
		t.load = ram->gpa + HULL_IMAGE_ALIGN;
	}
	r = hull_image_plan(b->kernel.data, b->kernel.size, &t, &l->kernel, err);
	if (!r && l->has_firmware &&
	    hull_ranges_overlap(l->kernel.low, l->kernel.span, l->firmware.low, l->firmware.span))
		return hull_fail(err, HULL_EINVAL, 716, "kernel and firmware overlap at 0x%llx",
		                 (unsigned long long)MAX(l->kernel.low, l->firmware.low));
	return r;
}

static int plan_layout(const struct virt *v, const struct hull_region_config *ram, struct load *l,
                       struct hull_err *err)
{
	const struct hull_boot *b = &v->places.machine->boot;
	struct hull_boot_request q = {
		.ram_base = ram->gpa,
		.ram_size = ram->size,
		.kernel = l->has_kernel ? &l->kernel : &l->firmware,
		.initrd_bytes = b->initrd.data ? b->initrd.size : 0,
		.dtb_bytes =
			b->no_dtb ? 0 : align_up(hull_virt_riscv64_fdt_room(v), HULL_PAGE_SIZE),
		.has_initrd_at = b->initrd.has_at,
		.initrd_at = b->initrd.at,
		.has_dtb_at = b->dtb.has_at,
		.dtb_at = b->dtb.at,
	};
	hull_gpa above;

	/* Firmware that was built to jump moves the tree to a fixed place, whatever is there. */
	if (l->has_firmware && l->has_kernel && q.dtb_bytes)
		q.reserved = (struct hull_fdt_range){ ram->gpa + JUMP_TREE,
			                              q.dtb_bytes + JUMP_TREE_GROWS };
	/* Firmware below the kernel keeps its memory to itself. */
	if (l->has_firmware && l->has_kernel && l->firmware.low < l->kernel.low) {
		above = MIN(align_up(l->firmware.low + l->firmware.span, HULL_PAGE_SIZE),
		            l->kernel.low);
		if (hull_range_within(above, 0, ram->gpa, ram->size)) {
			q.ram_size -= above - q.ram_base;
			q.ram_base = above;
		}
	}
	return hull_boot_layout(&q, &l->layout, err);
}

static int put_tree(struct virt *v, struct load *l, struct hull_err *err)
{
	enum { DYNAMIC_ROOM = 64 };
	struct hull_machine *m = v->places.machine;
	const struct hull_fdt_range *at = &l->layout.dtb;
	struct hull_dma dma;
	size_t bytes = 0;
	int r;

	if (!at->length)
		return 0;
	if (hull_dma_begin(m->vm, at->start, at->length, true, &dma))
		return hull_fail(err, HULL_EFAULT, 721, "no memory for the device tree at 0x%llx",
		                 (unsigned long long)at->start);
	r = hull_virt_riscv64_fdt(v, &l->layout, dma.hva, (size_t)dma.len - DYNAMIC_ROOM, &bytes,
	                          err);
	hull_dma_end(m->vm, &dma);
	l->dynamic = at->start + at->length - DYNAMIC_ROOM;
	m->placed.dtb = at->start;
	m->placed.dtb_bytes = bytes;
	return r;
}

/* With SBI below, harts are in S-mode from the start, and only their threads can wait for it. */
static int start_below(struct hull_machine *m, hull_gpa entry, struct hull_err *err)
{
	struct hull_vcpu *first = hull_vm_vcpu(m->vm, 0);
	int r = hull_vcpu_reg_set(first, HULL_RV_REG_PC, entry);

	if (!r)
		r = hull_vcpu_reg_set(first, REG_A0, first->phys_id);
	if (!r)
		r = hull_vcpu_reg_set(first, REG_A1, m->placed.dtb);
	for (uint32_t i = 1; !r && i < hull_vm_vcpu_count(m->vm); i++)
		r = hull_vcpu_start(hull_vm_vcpu(m->vm, i), NULL, 0);
	return r ? hull_fail(err, r, 0, "the accelerator refuses to start the harts") : 0;
}

static int start_kernel(struct hull_machine *m, hull_gpa entry, struct hull_err *err)
{
	struct hull_vcpu *vcpu = hull_vm_vcpu(m->vm, 0);
	struct hull_reg_value regs[HULL_SBI_MAX_REGS];
	unsigned n = hull_sbi_start_regs(vcpu, entry, m->placed.dtb, regs);

	for (unsigned i = 0; i < n; i++) {
		int r = hull_vcpu_reg_set(vcpu, regs[i].reg, regs[i].value);

		if (r)
			return hull_fail(err, r, 0, "the accelerator refuses register 0x%x",
			                 regs[i].reg);
	}
	return 0;
}

/* All harts begin in the firmware, which chooses one and parks the rest. */
static int start_firmware(struct hull_machine *m, const struct load *l, struct hull_err *err)
{
	enum { MAGIC = 0x4942534f, VERSION = 2 };
	uint64_t entry = l->firmware.entry, dynamic = l->layout.dtb.length ? l->dynamic : 0;
	uint8_t info[48];

	store_le64(info, MAGIC);
	store_le64(info + 8, VERSION);
	store_le64(info + 16, l->has_kernel ? l->kernel.entry : l->firmware.low + HULL_IMAGE_ALIGN);
	store_le64(info + 24, RV_PRIV_S);
	store_le64(info + 32, 0);
	store_le64(info + 40, hull_vm_vcpu(m->vm, 0)->phys_id);
	if (dynamic && hull_vm_write(m->vm, dynamic, info, sizeof(info)))
		return hull_fail(err, HULL_EFAULT, 721, "no memory for the firmware's parameters");
	for (uint32_t i = 0; i < hull_vm_vcpu_count(m->vm); i++) {
		struct hull_vcpu *vcpu = hull_vm_vcpu(m->vm, i);
		const struct hull_reg_value regs[] = { { HULL_RV_REG_PC, entry },
			                               { REG_A0, vcpu->phys_id },
			                               { REG_A1, m->placed.dtb },
			                               { REG_A2, dynamic } };
		int r = 0;

		if (i)
			r = hull_vcpu_start(vcpu, regs, ARRAY_LEN(regs));
		for (unsigned k = 0; !i && !r && k < ARRAY_LEN(regs); k++)
			r = hull_vcpu_reg_set(vcpu, regs[k].reg, regs[k].value);
		if (r)
			return hull_fail(err, r, 0, "hart %u cannot be started", i);
	}
	m->placed.entry = entry;
	return 0;
}

static int load(struct hull_machine *m, struct hull_err *err)
{
	struct virt *v = m->state;
	const struct hull_boot *b = &m->boot;
	const struct hull_region_config *ram = hull_board_memory(hull_vm_config(m->vm));
	struct load l = { 0 };
	int r;

	if (!ram)
		return hull_fail(err, HULL_EINVAL, 715, "the machine has no memory to start from");
	r = plan_images(m, ram, &l, err);
	if (!r)
		r = plan_layout(v, ram, &l, err);
	if (!r && l.has_firmware)
		r = hull_board_copy(m, &l.firmware, &b->firmware, err);
	if (!r && l.has_kernel)
		r = hull_board_copy(m, &l.kernel, &b->kernel, err);
	if (!r)
		r = hull_board_put_initrd(m, &l.layout, err);
	if (!r)
		r = put_tree(v, &l, err);
	if (r)
		return r;
	m->booted = true;
	m->placed.initrd = l.layout.initrd.start;
	m->placed.entry = l.kernel.entry;
	if (l.has_firmware)
		return start_firmware(m, &l, err);
	if (hull_vm_below(m->vm) & HULL_BELOW_POWER)
		return start_below(m, l.kernel.entry, err);
	return start_kernel(m, l.kernel.entry, err);
}

static int configure(struct hull_vm_config *c, uint64_t ram_bytes, struct hull_err *err)
{
	struct hull_region_config ram = { .gpa = RAM_BASE,
		                          .size = ram_bytes,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };

	if (c->nregions)
		return 0;
	return hull_config_add_region(c, &ram, err);
}

static int build(struct hull_machine *m, void *const *backends, struct hull_err *err)
{
	static const struct hull_place_pci pci = {
		.ecam = LARGE,
		.ecam_end = PCI_MEM,
		.mem = PCI_MEM,
		.mem_bytes = PCI_MEM_BYTES,
		.io_space = HULL_SPACE_MMIO,
		.io = PCI_IO,
		.io_bytes = PCI_IO_BYTES,
		.irq = IRQ_PCI,
	};
	static const struct hull_place_map map = {
		.serial = "uart16550",
		.serial_at = UART,
		.serial_irq = IRQ_UART,
		.virtio = VIRTIO,
		.virtio_slots = VIRTIO_SLOTS,
		.virtio_irq = IRQ_VIRTIO,
		.small = SMALL,
		.small_end = SMALL_END,
		.large = LARGE,
		.large_end = LARGE_END,
		.irq = IRQ_OTHER,
		.last_irq = VIRT_SOURCES,
		.pci = &pci,
	};
	struct virt *v = m->state;
	int r = hull_board_has_image(m, err);

	if (r)
		return r;
	if (m->boot.firmware.data && hull_vm_below(m->vm) & HULL_BELOW_POWER) {
		hull_fail(err, HULL_ENOTSUP, 1301, "this accelerator has no M-mode for firmware");
		hull_err_fix(err, "--accel none, or leave --firmware away");
		return HULL_ENOTSUP;
	}
	v->places = (struct hull_places){ .machine = m, .map = &map, .line = plic_line };
	v->firmware = m->boot.firmware.data;
	v->ssip.set = raise_ssip;
	r = build_fixed(v, err);
	if (!r)
		r = hull_place_configured(&v->places, backends, err);
	if (r)
		return r;
	wire_harts(v);
	v->sbi.console = m->console;
	if (!v->firmware)
		hull_vm_set_hypercall(m->vm, hull_sbi_call, &v->sbi);
	hull_board_set_loader(m, load);
	return 0;
}

HULL_BOARD(virt_riscv64) = {
	.name = "virt-riscv64",
	.summary = "RISC-V machine with PLIC, 16550 and virtio; SBI by Hull or your own firmware",
	.isa = HULL_ISA_RISCV64,
	.serial = "uart16550",
	.state_size = sizeof(struct virt),
	.configure = configure,
	.build = build,
};
