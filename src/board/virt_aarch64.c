/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virt-aarch64: GIC, generic timer, PL011, PL031, virtio-mmio, PCI; direct kernel boot.
 *
 * The memory map is the one that arm64 kernels know from other emulators.  A device of the
 * configuration without an address or interrupt gets the next free one; its interrupt is the
 * number of an SPI, of which 0 is left out.  GIC (isa/aarch64/gic.h) and PSCI are the
 * accelerator's, or else Hull's.  Messages of PCI go to an ITS below; without one there are none.
 *
 * Spec of what the kernel finds: Linux Documentation/arch/arm64/booting.rst.
 */
#include "board/virt_aarch64.h"

#include "base/bits.h"
#include "base/mem.h"
#include "board/arm_psci.h"
#include "core/aspace.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "dev/irqchip/gicv3.h"
#include "dev/ivc/ivc.h"
#include "isa/aarch64/gic.h"
#include "isa/aarch64/regs.h"

#define UART      UINT64_C(0x09000000)
#define RTC       UINT64_C(0x09010000)
#define VIRTIO    UINT64_C(0x0a000000)
#define SMALL     UINT64_C(0x0a100000)
#define SMALL_END UINT64_C(0x0a200000)
#define LARGE     UINT64_C(0x0b000000)
#define LARGE_END UINT64_C(0x40000000)
#define PCI_MEM   UINT64_C(0x10000000) /* within LARGE, like the next two */
#define IVC       UINT64_C(0x0e000000) /* likewise */
#define PCI_IO    UINT64_C(0x3eff0000)
#define PCI_ECAM  UINT64_C(0x3f000000)
#define RAM_BASE  UINT64_C(0x40000000)

enum { PCI_MEM_BYTES = 0x20000000, PCI_IO_BYTES = 0x10000, IRQ_PCI = 3 };
enum { IVC_BYTES = 0x10000, IVC_BYTES_MAX = 0x2000000 };
enum { IRQ_UART = 1, IRQ_RTC = 2, IRQ_VIRTIO = 16, IRQ_OTHER = 48, VIRTIO_SLOTS = 32 };

/* A VM may be without interrupts: where the GIC is Hull's, it has none then. */
bool hull_virt_aarch64_has_gic(const struct arm_virt *v)
{
	return v->below & (HULL_BELOW_GICV2 | HULL_BELOW_GICV3) ||
	       hull_vm_config(v->places.machine->vm)->irq_mode != HULL_IRQ_NONE;
}

static struct hull_irq spi(const struct hull_places *p, uint32_t irq)
{
	const struct arm_virt *v = (const struct arm_virt *)(const void *)p;

	if (!hull_virt_aarch64_has_gic(v))
		return (struct hull_irq){ 0 };
	return v->gic ? hull_dev_input(v->gic, irq) : hull_vm_line(p->machine->vm, irq);
}

/* Hull's own GICv3, of which the processor does the last step. */
static int add_gic(struct arm_virt *v, struct hull_err *err)
{
	struct hull_vm *vm = v->places.machine->vm;
	uint32_t n = hull_vm_vcpu_count(vm);
	static const uint64_t spis = HULL_GIC_SPIS;
	const struct hull_dev_place at[] = {
		{ HULL_SPACE_MMIO, HULL_GIC_DIST, HULL_GICV3_DIST_BYTES, HULL_GICV3_DIST },
		{ HULL_SPACE_MMIO, HULL_GIC_REDIST, (uint64_t)n * HULL_GICV3_REDIST_BYTES,
		  HULL_GICV3_REDIST },
		{ HULL_SPACE_SYSREG, A64_ICC_SGI1R, HULL_GICV3_ICC_REGS, HULL_GICV3_ICC },
	};
	struct hull_dev_setup s = { .type = hull_dev_type_find("gicv3"),
		                    .name = "gic",
		                    .args = &spis,
		                    .nargs = 1,
		                    .places = at,
		                    .nplaces = ARRAY_LEN(at) };
	int r;

	if (!s.type)
		return hull_fail(err, HULL_ENOTSUP, 903, "this build has no GICv3");
	r = hull_dev_create(vm, &s, &v->gic, err);
	for (uint32_t i = 0; !r && i < n; i++)
		hull_dev_wire(v->gic, i, hull_vcpu_line(hull_vm_vcpu(vm, i), A64_IRQ));
	return r;
}

static int put_tree(struct arm_virt *v, const struct hull_boot_layout *layout, struct hull_err *err)
{
	struct hull_machine *m = v->places.machine;
	const struct hull_fdt_range *at = &layout->dtb;
	struct hull_dma dma;
	size_t bytes = 0;
	int r;

	if (!at->length)
		return 0;
	if (hull_dma_begin(m->vm, at->start, at->length, true, &dma))
		return hull_fail(err, HULL_EFAULT, 721, "no memory for the device tree at 0x%llx",
		                 (unsigned long long)at->start);
	r = hull_virt_aarch64_fdt(v, layout, dma.hva, (size_t)dma.len, &bytes, err);
	hull_dma_end(m->vm, &dma);
	m->placed.dtb = at->start;
	m->placed.dtb_bytes = bytes;
	return r;
}

/* booting.rst, "Before jumping into the kernel"; the others wait for CPU_ON. */
static int start(struct arm_virt *v, hull_gpa entry, struct hull_err *err)
{
	struct hull_machine *m = v->places.machine;
	const struct hull_reg_value regs[] = {
		{ HULL_A64_REG_PC, entry },         { HULL_A64_REG_PSTATE, A64_PSTATE_EL1H_MASKED },
		{ HULL_A64_REG_X0, m->placed.dtb }, { HULL_A64_REG_X0 + 1, 0 },
		{ HULL_A64_REG_X0 + 2, 0 },         { HULL_A64_REG_X0 + 3, 0 }
	};
	uint32_t n = hull_vm_vcpu_count(m->vm);
	int r = 0;

	for (unsigned i = 0; !r && i < ARRAY_LEN(regs); i++)
		r = hull_vcpu_reg_set(hull_vm_vcpu(m->vm, 0), regs[i].reg, regs[i].value);
	/* Those that are off below still need their threads. */
	for (uint32_t i = 1; !r && i < n && v->below & HULL_BELOW_POWER; i++)
		r = hull_vcpu_start(hull_vm_vcpu(m->vm, i), NULL, 0);
	return r ? hull_fail(err, r, 0, "the accelerator refuses to start the vCPUs") : 0;
}

static int load(struct hull_machine *m, struct hull_err *err)
{
	struct arm_virt *v = m->state;
	const struct hull_boot *b = &m->boot;
	const struct hull_region_config *ram = hull_board_memory(hull_vm_config(m->vm));
	struct hull_image_target t = { .isa = HULL_ISA_AARCH64 };
	struct hull_boot_request q = { .initrd_bytes = b->initrd.data ? b->initrd.size : 0 };
	struct hull_boot_layout layout = { 0 };
	struct hull_image_plan kernel;
	int r;

	if (!ram)
		return hull_fail(err, HULL_EINVAL, 715, "the machine has no memory to start from");
	t.name = b->kernel.name;
	t.ram_base = q.ram_base = ram->gpa;
	t.ram_size = q.ram_size = ram->size;
	t.has_load = b->kernel.has_at;
	t.load = b->kernel.at;
	t.has_entry = b->has_entry;
	t.entry = b->entry;
	q.kernel = &kernel;
	q.dtb_bytes = b->no_dtb ? 0 : align_up(hull_virt_aarch64_fdt_room(v), HULL_PAGE_SIZE);
	q.has_initrd_at = b->initrd.has_at;
	q.initrd_at = b->initrd.at;
	q.has_dtb_at = b->dtb.has_at;
	q.dtb_at = b->dtb.at;
	r = hull_image_plan(b->kernel.data, b->kernel.size, &t, &kernel, err);
	if (!r)
		r = hull_boot_layout(&q, &layout, err);
	if (!r)
		r = hull_board_copy(m, &kernel, &b->kernel, err);
	if (!r)
		r = hull_board_put_initrd(m, &layout, err);
	if (!r)
		r = put_tree(v, &layout, err);
	if (r)
		return r;
	m->booted = true;
	m->placed.initrd = layout.initrd.start;
	m->placed.entry = kernel.entry;
	return start(v, kernel.entry, err);
}

/* The window for channels is as large as their device says. */
static int configure_ivc(struct hull_vm_config *c, struct hull_err *err)
{
	for (uint32_t i = 0; i < c->ndevices && !c->ivc_size; i++) {
		uint64_t bytes = c->devices[i].size ? c->devices[i].size : IVC_BYTES;

		if (!hull_text_eq(c->devices[i].type, "ivc"))
			continue;
		if (bytes > IVC_BYTES_MAX)
			return hull_fail(err, HULL_EINVAL, 906,
			                 "the window for channels has at most %u MiB",
			                 IVC_BYTES_MAX >> 20);
		c->ivc_gpa = IVC;
		c->ivc_size = align_up(bytes, HULL_PAGE_SIZE);
	}
	return 0;
}

static int configure(struct hull_vm_config *c, uint64_t ram_bytes, struct hull_err *err)
{
	struct hull_region_config ram = { .gpa = RAM_BASE,
		                          .size = ram_bytes,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };

	int r = configure_ivc(c, err);

	if (r || c->nregions)
		return r;
	return hull_config_add_region(c, &ram, err);
}

/* Can this machine be, with what it is given? */
static int check(const struct arm_virt *v, struct hull_err *err)
{
	const struct hull_machine *m = v->places.machine;

	if (m->boot.firmware.data) {
		hull_fail(err, HULL_ENOTSUP, 1301, "virt-aarch64 takes no firmware in this build");
		hull_err_fix(err, "hull run --kernel FILE");
		return HULL_ENOTSUP;
	}
	if (!(v->below & (HULL_BELOW_GICV2 | HULL_BELOW_GICV3 | HULL_BELOW_VGIC))) {
		hull_fail(err, HULL_ENOTSUP, 1301,
		          "the accelerator has no interrupt controller, and this build has none");
		hull_err_fix(err, "leave --irqchip away");
		return HULL_ENOTSUP;
	}
	return hull_board_has_image(m, err);
}

static int add_rtc(struct hull_places *p, struct hull_err *err)
{
	struct hull_dev_setup rtc = { .type = hull_dev_type_find("pl031"),
		                      .name = "rtc",
		                      .gpa = RTC };
	struct hull_dev *d;

	/* The number may be that of a device of the host. */
	return hull_place_add(p, &rtc, hull_place_irqs(p, IRQ_RTC, 1), &d, err);
}

/* DEN 0028, 6: vendor specific hypervisor services are Hull's, the rest is PSCI's. */
static bool hypercall(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg)
{
	struct arm_virt *v = arg;
	uint32_t nr = (uint32_t)exit->call.nr - HULL_IVC_CALL;
	uint64_t ret[3];

	if (exit->kind != HULL_EXIT_HYPERCALL || !v->ivc || nr >= HULL_IVC_CALLS)
		return hull_psci_call(vcpu, exit, NULL);
	exit->kind = HULL_EXIT_NONE;
	hull_ivc_call(v->ivc, (enum hull_ivc_call)nr, exit->call.args, ret);
	for (uint32_t i = 0; i < ARRAY_LEN(ret); i++)
		if (hull_vcpu_reg_set(vcpu, HULL_A64_REG_X0 + i, ret[i]))
			return false;
	return true;
}

static void find_ivc(struct arm_virt *v)
{
	for (unsigned i = 0; i < v->places.n && !v->ivc; i++)
		if (hull_text_eq(v->places.at[i].dev->type->name, "ivc"))
			v->ivc = v->places.at[i].dev;
}

/* Interrupts of the host's devices are theirs. */
static void use_passed(struct arm_virt *v)
{
	const struct hull_vm_config *c = hull_vm_config(v->places.machine->vm);

	for (uint32_t i = 0; i < c->npassthrough; i++)
		hull_place_use(&v->places, c->passthrough[i].irq - 32, c->passthrough[i].irq >= 32);
	for (uint32_t i = 0; i < c->nspis; i++)
		hull_place_use(&v->places, c->spis[i] - 32, c->spis[i] >= 32);
}

static int build(struct hull_machine *m, void *const *backends, struct hull_err *err)
{
	static const struct hull_place_pci pci = {
		.ecam = PCI_ECAM,
		.ecam_end = LARGE_END,
		.mem = PCI_MEM,
		.mem_bytes = PCI_MEM_BYTES,
		.io_space = HULL_SPACE_MMIO,
		.io = PCI_IO,
		.io_bytes = PCI_IO_BYTES,
		.irq = IRQ_PCI,
	};
	static const struct hull_place_map map = {
		.serial = "pl011",
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
		.last_irq = HULL_GIC_SPIS - 1,
		.pci = &pci,
	};
	struct arm_virt *v = m->state;
	int r;

	v->places = (struct hull_places){ .machine = m, .map = &map, .line = spi };
	v->below = hull_vm_below(m->vm);
	r = check(v, err);
	if (!r && hull_virt_aarch64_has_gic(v) &&
	    !(v->below & (HULL_BELOW_GICV2 | HULL_BELOW_GICV3)))
		r = add_gic(v, err);
	use_passed(v);
	if (!r)
		r = add_rtc(&v->places, err);
	if (!r)
		r = hull_place_configured(&v->places, backends, err);
	if (r)
		return r;
	if (v->places.pci && v->below & HULL_BELOW_ITS)
		hull_dev_wire_msi(v->places.pci, hull_vm_msi_sink(m->vm));
	find_ivc(v);
	hull_vm_set_hypercall(m->vm, hypercall, v);
	hull_board_set_loader(m, load);
	return 0;
}

HULL_BOARD(virt_aarch64) = {
	.name = "virt-aarch64",
	.summary = "Arm machine with GIC, PL011 and virtio; PSCI",
	.isa = HULL_ISA_AARCH64,
	.serial = "pl011",
	.state_size = sizeof(struct arm_virt),
	.configure = configure,
	.build = build,
};
