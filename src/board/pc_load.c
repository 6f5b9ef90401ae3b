/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How the pc board starts a kernel.
 *
 * Specs: Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol"; Xen
 * docs/misc/pvh.pandoc, "CPU state"; Intel SDM vol. 3, chapters 2 to 4.
 */
#include "board/pc.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "board/load.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "fw/bzimage.h"
#include "fw/x86boot.h"
#include "isa/x86_64/regs.h"

enum { CR0_PE = 1, CR0_ET = 1 << 4, CR0_NE = 1 << 5, CR4_PAE = 1 << 5, EFER_LME_LMA = 0x500 };
enum { MSR_EFER = 0x80 }; /* + 0xc0000000 */
enum { MAX_CMDLINE = 1 << 16, OTHER_CMDLINE = 2048, MAX_REGS = 64 };
enum { ATTR_CODE64 = 0xa09b, ATTR_CODE32 = 0xc09b, ATTR_DATA = 0xc093, ATTR_TSS = 0x8b };

#define CR0_PG (UINT64_C(1) << 31)

/* What is loaded, and where. */
struct load {
	struct hull_image_plan kernel;
	struct hull_boot_layout layout;
	bool is_bzimage; /* it is a bzImage: */
	struct hull_bzimage head;
	struct hull_e820 map[HULL_E820_MAX];
	struct hull_x86_boot boot;
};

/* The memory below 3 GiB, where everything starts. */
static const struct hull_region_config *low_memory(const struct hull_vm_config *c)
{
	const unsigned rwx = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X;

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];

		if (!r->gpa && r->size > PC_MIB && (r->attr & rwx) == rwx &&
		    !(r->attr & HULL_MEM_DEVICE))
			return r;
	}
	return NULL;
}

static int plan(const struct hull_machine *m, uint64_t ram_end, struct load *l,
                struct hull_err *err)
{
	const struct hull_boot *b = &m->boot;
	struct hull_image_target t = { .name = b->kernel.name,
		                       .isa = HULL_ISA_X86_64,
		                       .ram_base = PC_MIB,
		                       .ram_size = ram_end - PC_MIB,
		                       .has_load = b->kernel.has_at,
		                       .load = b->kernel.at,
		                       .has_entry = b->has_entry,
		                       .entry = b->entry };
	struct hull_boot_request q = { .ram_base = PC_MIB,
		                       .ram_size = ram_end - PC_MIB,
		                       .kernel = &l->kernel,
		                       .initrd_bytes = b->initrd.data ? b->initrd.size : 0,
		                       .has_initrd_at = b->initrd.has_at,
		                       .initrd_at = b->initrd.at };
	int r = hull_image_plan(b->kernel.data, b->kernel.size, &t, &l->kernel, err);

	if (r)
		return r;
	l->is_bzimage = l->kernel.kind == HULL_IMAGE_BZIMAGE;
	if (l->is_bzimage) {
		r = hull_bzimage_check(b->kernel.data, b->kernel.size,
		                       b->kernel.name ? b->kernel.name : "the kernel", &l->head,
		                       err);
		if (r)
			return r;
		/* The kernel itself may be above what it allows for the initrd. */
		if (q.initrd_bytes && l->head.initrd_last + 1 < ram_end &&
		    l->head.initrd_last + 1 >= l->kernel.low + l->kernel.span)
			q.ram_size = l->head.initrd_last + 1 - PC_MIB;
	}
	r = hull_boot_layout(&q, &l->layout, err);
	if (!r && l->is_bzimage && l->layout.initrd.length &&
	    l->layout.initrd.start + l->layout.initrd.length - 1 > l->head.initrd_last)
		return hull_fail(err, HULL_EINVAL, 720,
		                 "the initrd would end above 0x%llx, where %s cannot use it",
		                 (unsigned long long)l->head.initrd_last, b->kernel.name);
	return r;
}

static void range(struct load *l, hull_gpa start, hull_gpa end, uint32_t type)
{
	if (end > start && l->boot.nmap < HULL_E820_MAX)
		l->map[l->boot.nmap++] = (struct hull_e820){ start, end - start, type };
}

static void memory_map(struct load *l, const struct hull_vm_config *c)
{
	const unsigned rw = HULL_MEM_R | HULL_MEM_W;

	l->boot.map = l->map;
	range(l, 0, PC_EBDA, HULL_E820_RAM);
	range(l, PC_EBDA, PC_VGA, HULL_E820_RESERVED);
	range(l, PC_ACPI, PC_MIB, HULL_E820_RESERVED);
	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];

		if ((r->attr & rw) == rw && !(r->attr & HULL_MEM_DEVICE))
			range(l, MAX(r->gpa, PC_MIB), r->gpa + r->size, HULL_E820_RAM);
	}
}

static int put(struct hull_machine *m, hull_gpa at, const void *bytes, uint64_t n,
               struct hull_err *err)
{
	if (hull_vm_write(m->vm, at, bytes, n))
		return hull_fail(err, HULL_EFAULT, 715,
		                 "no memory for the kernel's start at 0x%llx",
		                 (unsigned long long)at);
	return 0;
}

static int put_cmdline(struct hull_machine *m, struct load *l, struct hull_err *err)
{
	const char *text = m->boot.cmdline ? m->boot.cmdline : "";
	uint64_t len = hull_text_len(text),
		 max = l->is_bzimage ? l->head.cmdline_max : OTHER_CMDLINE;

	if (len > max || len >= MAX_CMDLINE) {
		hull_fail(err, HULL_EINVAL, 736,
		          "the command line has %llu bytes, but %s takes at most %llu",
		          (unsigned long long)len, m->boot.kernel.name ? m->boot.kernel.name : "it",
		          (unsigned long long)max);
		hull_err_fix(err, "shorten --append");
		return HULL_EINVAL;
	}
	l->boot.cmdline = PC_CMDLINE;
	return put(m, PC_CMDLINE, text, len + 1, err);
}

static int put_start(struct hull_machine *m, struct load *l, struct hull_err *err)
{
	uint8_t page[HULL_PAGE_SIZE], seed[32];
	int r;

	l->boot.rsdp = PC_ACPI;
	l->boot.setup_data = PC_SEED;
	l->boot.initrd = l->layout.initrd.length ? l->layout.initrd.start : 0;
	l->boot.initrd_bytes = l->layout.initrd.length ? m->boot.initrd.size : 0;
	hull_random(m->vm, seed, sizeof(seed));
	hull_x86_seed(seed, page);
	r = put(m, PC_SEED, page, HULL_X86_SEED_BYTES, err);
	hull_x86_gdt(page);
	if (!r)
		r = put(m, PC_GDT, page, HULL_X86_GDT_BYTES, err);
	hull_x86_boot_params(&l->boot, l->is_bzimage ? m->boot.kernel.data : NULL, page);
	if (!r)
		r = put(m, PC_PARAMS, page, sizeof(page), err);
	hull_x86_pvh_info(&l->boot, PC_PVH, page);
	if (!r)
		r = put(m, PC_PVH, page, sizeof(page), err);
	for (unsigned i = 0; !r && i < HULL_X86_TABLES; i++) {
		hull_x86_page_table(i, PC_TABLES, page);
		r = put(m, PC_TABLES + i * HULL_PAGE_SIZE, page, sizeof(page), err);
	}
	return r;
}

struct regs {
	struct hull_reg_value at[MAX_REGS];
	unsigned n;
};

static void set(struct regs *r, uint32_t reg, uint64_t value)
{
	if (r->n < MAX_REGS)
		r->at[r->n++] = (struct hull_reg_value){ reg, value };
}

static void set_segment(struct regs *r, enum hull_x86_seg seg, uint16_t selector, uint64_t limit,
                        uint32_t attr)
{
	uint32_t reg = HULL_X86_REG_SEG + 4 * (uint32_t)seg;

	set(r, reg + HULL_X86_SELECTOR, selector);
	set(r, reg + HULL_X86_BASE, 0);
	set(r, reg + HULL_X86_LIMIT, limit);
	set(r, reg + HULL_X86_ATTR, attr);
}

static void set_segments(struct regs *r, bool wide)
{
	static const enum hull_x86_seg data[] = { HULL_X86_DS, HULL_X86_ES, HULL_X86_SS,
		                                  HULL_X86_FS, HULL_X86_GS };

	set_segment(r, HULL_X86_CS, wide ? HULL_X86_CODE64 : HULL_X86_CODE32, UINT32_MAX,
	            wide ? ATTR_CODE64 : ATTR_CODE32);
	for (unsigned i = 0; i < ARRAY_LEN(data); i++)
		set_segment(r, data[i], HULL_X86_DATA, UINT32_MAX, ATTR_DATA);
	set_segment(r, HULL_X86_TR, HULL_X86_TSS, 0x67, ATTR_TSS);
	set(r, HULL_X86_REG_GDTR_BASE, PC_GDT);
	set(r, HULL_X86_REG_GDTR_LIMIT, HULL_X86_GDT_BYTES - 1);
	set(r, HULL_X86_REG_IDTR_BASE, 0);
	set(r, HULL_X86_REG_IDTR_LIMIT, 0);
}

static void first_regs(struct regs *r, const struct load *l)
{
	set(r, HULL_X86_REG_RIP, l->kernel.entry);
	set(r, HULL_X86_REG_RFLAGS, 2);
	set_segments(r, !l->kernel.pvh);
	if (l->kernel.pvh) {
		set(r, HULL_X86_REG_RBX, PC_PVH);
		set(r, HULL_X86_REG_CR0, CR0_PE | CR0_ET | CR0_NE);
		set(r, HULL_X86_REG_CR4, 0);
		return;
	}
	set(r, HULL_X86_REG_RSI, PC_PARAMS);
	set(r, HULL_X86_REG_CR3, PC_TABLES);
	set(r, HULL_X86_REG_CR4, CR4_PAE);
	set(r, HULL_X86_REG_MSR_C + MSR_EFER, EFER_LME_LMA);
	set(r, HULL_X86_REG_CR0, CR0_PE | CR0_ET | CR0_NE | CR0_PG);
}

/* Local APICs below hold the other vCPUs back until the first one starts them. */
static int start(struct hull_machine *m, const struct load *l, struct hull_err *err)
{
	const struct pc *pc = m->state;
	struct regs regs = { .n = 0 };
	int r = 0;

	first_regs(&regs, l);
	for (unsigned i = 0; !r && i < regs.n; i++) {
		r = hull_vcpu_reg_set(hull_vm_vcpu(m->vm, 0), regs.at[i].reg, regs.at[i].value);
		if (r)
			return hull_fail(err, r, 0, "the accelerator refuses register 0x%x",
			                 regs.at[i].reg);
	}
	for (uint32_t i = 1; !r && !pc->lapic && i < hull_vm_vcpu_count(m->vm); i++) {
		r = hull_vcpu_start(hull_vm_vcpu(m->vm, i), NULL, 0);
		if (r)
			return hull_fail(err, r, 0, "vCPU %u cannot be started", i);
	}
	return 0;
}

int hull_pc_load(struct hull_machine *m, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(m->vm);
	const struct hull_region_config *ram = low_memory(c);
	struct load l = { 0 };
	int r;

	if (!ram) {
		hull_fail(err, HULL_EINVAL, 715,
		          "the machine \"pc\" needs more than 1 MiB of memory from address 0 on");
		return HULL_EINVAL;
	}
	r = plan(m, MIN(ram->size, PC_RAM_HIGH), &l, err);
	if (r)
		return r;
	memory_map(&l, c);
	r = hull_board_copy(m, &l.kernel, &m->boot.kernel, err);
	if (!r)
		r = hull_board_put_initrd(m, &l.layout, err);
	if (!r)
		r = hull_pc_acpi(m->state, err);
	if (!r)
		r = put_cmdline(m, &l, err);
	if (!r)
		r = put_start(m, &l, err);
	if (r)
		return r;
	m->booted = true;
	m->placed.initrd = l.boot.initrd;
	m->placed.entry = l.kernel.entry;
	return start(m, &l, err);
}
