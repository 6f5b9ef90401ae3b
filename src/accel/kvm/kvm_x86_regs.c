/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Registers of x86_64 in KVM (api 4.11 to 4.14, 4.18, 4.31 ...): groups of them are copied when one
 * is asked for, and written back before the guest runs.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__x86_64__)

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "accel/kvm/kvm_x86_impl.h"
#include "base/bits.h"
#include "base/text.h"
#include "isa/x86_64/regs.h"

struct group {
	uint32_t bit;
	size_t offset;
	unsigned long get, set;
};

static const struct group groups[] = {
	{ HULL_KVM_REGS, offsetof(struct hull_kvm_regs, regs), KVM_GET_REGS, KVM_SET_REGS },
	{ HULL_KVM_SREGS, offsetof(struct hull_kvm_regs, sregs), KVM_GET_SREGS, KVM_SET_SREGS },
	{ HULL_KVM_DEBUGREGS, offsetof(struct hull_kvm_regs, debugregs), KVM_GET_DEBUGREGS,
	  KVM_SET_DEBUGREGS },
	{ HULL_KVM_XCRS, offsetof(struct hull_kvm_regs, xcrs), KVM_GET_XCRS, KVM_SET_XCRS },
	{ HULL_KVM_XSAVE, offsetof(struct hull_kvm_regs, xsave), KVM_GET_XSAVE, KVM_SET_XSAVE },
};

/* Processors without XSAVE have no XCR0. */
static bool has_group(const struct hull_kvm_vcpu *v, uint32_t bit)
{
	return bit != HULL_KVM_XCRS || v->vm->arch.has_xcrs;
}

static int read_groups(struct hull_kvm_vcpu *v, uint32_t bits)
{
	if (!v->vm->arch.has_xcrs) {
		if (bits == HULL_KVM_XCRS)
			return HULL_ENOENT;
		bits &= ~(uint32_t)HULL_KVM_XCRS;
	}
	for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
		const struct group *g = &groups[i];
		int r;

		if (!(bits & ~v->arch.have & g->bit) || !has_group(v, g->bit))
			continue;
		r = hull_kvm_vcpu_ioctl(v, g->get, (char *)&v->arch.now + g->offset);
		if (r < 0)
			return HULL_EIO;
		v->arch.have |= g->bit;
	}
	return 0;
}

void hull_kvm_x86_flush(struct hull_kvm_vcpu *v)
{
	for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
		int r = 0;

		if (v->arch.dirty & groups[i].bit && has_group(v, groups[i].bit))
			r = hull_kvm_vcpu_ioctl(v, groups[i].set,
			                        (char *)&v->arch.now + groups[i].offset);
		if (r < 0)
			v->refused = -r;
	}
	v->arch.dirty = 0;
}

int hull_kvm_x86_capture(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	struct hull_kvm_arch_vcpu *a = &v->arch;
	int r = read_groups(v, UINT32_MAX) ? -EIO : 0;

	a->reset = a->now;
	if (r >= 0)
		r = hull_kvm_vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &a->reset_events);
	if (r >= 0 && v->vm->irqchip != HULL_IRQCHIP_USER)
		r = hull_kvm_vcpu_ioctl(v, KVM_GET_LAPIC, &a->reset_lapic);
	if (r >= 0) {
		a->reset_msrs = v->vm->arch.msrs;
		r = hull_kvm_vcpu_ioctl(v, KVM_GET_MSRS, &a->reset_msrs);
	}
	if (r < 0)
		return hull_kvm_refused(err, "to show a vCPU's registers", -r);
	a->reset_msrs.nmsrs = (uint32_t)r; /* up to the first that it does not have */
	a->fresh = true;
	return 0;
}

void hull_kvm_x86_restore_reset(struct hull_kvm_vcpu *v)
{
	struct hull_kvm_arch_vcpu *a = &v->arch;

	a->now = a->reset;
	a->have = a->dirty = v->vm->arch.has_xcrs ? UINT32_MAX : ~(uint32_t)HULL_KVM_XCRS;
	hull_kvm_x86_flush(v);
	(void)hull_kvm_vcpu_ioctl(v, KVM_SET_MSRS, &a->reset_msrs);
	if (v->vm->irqchip != HULL_IRQCHIP_USER)
		(void)hull_kvm_vcpu_ioctl(v, KVM_SET_LAPIC, &a->reset_lapic);
	(void)hull_kvm_vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &a->reset_events);
}

/* Where a register is in the copies. */
struct place {
	uint32_t group; /* HULL_KVM_REGS... */
	uint8_t bytes;
	size_t offset; /* in struct hull_kvm_regs */
};

#define AT(group, member, bytes) { HULL_KVM_##group, bytes, offsetof(struct hull_kvm_regs, member) }

static struct place general(uint32_t reg)
{
	static const struct place places[] = {
		AT(REGS, regs.rax, 8), AT(REGS, regs.rcx, 8), AT(REGS, regs.rdx, 8),
		AT(REGS, regs.rbx, 8), AT(REGS, regs.rsp, 8), AT(REGS, regs.rbp, 8),
		AT(REGS, regs.rsi, 8), AT(REGS, regs.rdi, 8), AT(REGS, regs.r8, 8),
		AT(REGS, regs.r9, 8),  AT(REGS, regs.r10, 8), AT(REGS, regs.r11, 8),
		AT(REGS, regs.r12, 8), AT(REGS, regs.r13, 8), AT(REGS, regs.r14, 8),
		AT(REGS, regs.r15, 8), AT(REGS, regs.rip, 8), AT(REGS, regs.rflags, 8),
	};

	return places[reg - HULL_X86_REG_RAX];
}

static struct place other(uint32_t reg)
{
	static const struct place control[] = {
		AT(SREGS, sregs.cr0, 8), AT(SREGS, sregs.cr2, 8), AT(SREGS, sregs.cr3, 8),
		AT(SREGS, sregs.cr4, 8), AT(SREGS, sregs.cr8, 8),
	};
	static const struct place tables[] = {
		AT(SREGS, sregs.gdt.base, 8),
		AT(SREGS, sregs.gdt.limit, 2),
		AT(SREGS, sregs.idt.base, 8),
		AT(SREGS, sregs.idt.limit, 2),
	};
	static const struct place debug[] = {
		AT(DEBUGREGS, debugregs.db[0], 8), AT(DEBUGREGS, debugregs.db[1], 8),
		AT(DEBUGREGS, debugregs.db[2], 8), AT(DEBUGREGS, debugregs.db[3], 8),
		AT(DEBUGREGS, debugregs.dr6, 8),   AT(DEBUGREGS, debugregs.dr7, 8),
	};
	static const struct place xcr0 = AT(XCRS, xcrs.xcrs[0].value, 8);

	if (reg == HULL_X86_REG_XCR0)
		return xcr0;
	if (reg >= HULL_X86_REG_GDTR_BASE)
		return tables[reg - HULL_X86_REG_GDTR_BASE];
	if (reg >= HULL_X86_REG_DR0)
		return debug[reg - HULL_X86_REG_DR0];
	return control[reg - HULL_X86_REG_CR0];
}

/* MSRs that belong to a group; `bytes` 0: it does not. */
static struct place grouped_msr(uint32_t msr)
{
	static const struct place none,
		efer = AT(SREGS, sregs.efer, 8), apic = AT(SREGS, sregs.apic_base, 8),
		fs = AT(SREGS, sregs.fs.base, 8), gs = AT(SREGS, sregs.gs.base, 8);

	switch (msr) {
	case 0x1b: return apic;
	case 0xc0000080: return efer;
	case 0xc0000100: return fs;
	case 0xc0000101: return gs;
	default: return none;
	}
}

static struct place place_of(uint32_t reg, const struct x86_reg *r)
{
	switch (r->class) {
	case X86_CLASS_GENERAL: return general(reg);
	case X86_CLASS_FPU:
		return (struct place){ HULL_KVM_XSAVE, (uint8_t)((r->bits + 7) / 8),
			               offsetof(struct hull_kvm_regs, xsave) + r->offset };
	case X86_CLASS_MSR: return grouped_msr(r->msr);
	default: return other(reg);
	}
}

static struct kvm_segment *segment(struct kvm_sregs *s, uint32_t reg)
{
	struct kvm_segment *const at[] = { &s->es, &s->cs, &s->ss,  &s->ds,
		                           &s->fs, &s->gs, &s->ldt, &s->tr };

	return at[(reg - HULL_X86_REG_SEG) / 4];
}

static uint64_t segment_get(const struct kvm_segment *s, unsigned field)
{
	switch (field) {
	case HULL_X86_SELECTOR: return s->selector;
	case HULL_X86_BASE: return s->base;
	case HULL_X86_LIMIT: return s->limit;
	default:
		return s->type | (uint64_t)s->s << 4 | (uint64_t)s->dpl << 5 |
		       (uint64_t)s->present << 7 | (uint64_t)s->avl << 12 | (uint64_t)s->l << 13 |
		       (uint64_t)s->db << 14 | (uint64_t)s->g << 15 | (uint64_t)s->unusable << 16;
	}
}

static void segment_set(struct kvm_segment *s, unsigned field, uint64_t value)
{
	switch (field) {
	case HULL_X86_SELECTOR: s->selector = (uint16_t)value; return;
	case HULL_X86_BASE: s->base = value; return;
	case HULL_X86_LIMIT: s->limit = (uint32_t)value; return;
	default:
		s->type = value & 15;
		s->s = value >> 4 & 1;
		s->dpl = value >> 5 & 3;
		s->present = value >> 7 & 1;
		s->avl = value >> 12 & 1;
		s->l = value >> 13 & 1;
		s->db = value >> 14 & 1;
		s->g = value >> 15 & 1;
		s->unusable = value >> 16 & 1;
	}
}

static int move_msr(struct hull_kvm_vcpu *v, unsigned long request, uint32_t msr, uint64_t *value)
{
	struct {
		uint32_t nmsrs, pad; /* as struct kvm_msrs */
		struct kvm_msr_entry entry;
	} m = { .nmsrs = 1, .entry = { .index = msr, .data = *value } };
	int r = hull_kvm_vcpu_ioctl(v, request, &m);

	if (r != 1)
		return r < 0 ? HULL_EIO : HULL_ENOENT;
	*value = m.entry.data;
	return 0;
}

int hull_kvm_arch_reg_get(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t *ret)
{
	struct x86_reg r = hull_x86_reg(reg);
	uint64_t value = 0;
	struct place p;
	int e;

	if (r.class == X86_CLASS_NONE)
		return HULL_ENOENT;
	if (r.class == X86_CLASS_SEGMENT) {
		e = read_groups(v, HULL_KVM_SREGS);
		if (!e)
			*ret = segment_get(segment(&v->arch.now.sregs, reg),
			                   (reg - HULL_X86_REG_SEG) % 4);
		return e;
	}
	p = place_of(reg, &r);
	if (!p.bytes)
		e = move_msr(v, KVM_GET_MSRS, r.msr, &value);
	else
		e = read_groups(v, p.group);
	if (e)
		return e;
	if (p.bytes)
		memcpy(&value, (char *)&v->arch.now + p.offset, p.bytes);
	*ret = value;
	return 0;
}

/* KVM takes over a component of the area only if the header says that it is in use. */
static void mark_component(uint32_t *xsave, uint32_t reg)
{
	uint32_t bit = reg >= HULL_X86_REG_YMMH                               ? X86_XFEATURE_AVX
	               : reg >= HULL_X86_REG_XMM || reg == HULL_X86_REG_MXCSR ? X86_XFEATURE_SSE
	                                                                      : X86_XFEATURE_X87;

	xsave[X86_XSAVE_HEADER / 4] |= bit;
}

int hull_kvm_arch_reg_set(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t value)
{
	struct x86_reg r = hull_x86_reg(reg);
	struct place p = { HULL_KVM_SREGS, 0, 0 };
	int e;

	if (r.class == X86_CLASS_NONE)
		return HULL_ENOENT;
	if (value & ~low_mask(r.bits))
		return HULL_EINVAL;
	v->arch.fresh = false;
	if (r.class != X86_CLASS_SEGMENT) {
		p = place_of(reg, &r);
		if (!p.bytes)
			return move_msr(v, KVM_SET_MSRS, r.msr, &value);
	}
	e = read_groups(v, p.group);
	if (e)
		return e;
	if (r.class == X86_CLASS_SEGMENT)
		segment_set(segment(&v->arch.now.sregs, reg), (reg - HULL_X86_REG_SEG) % 4, value);
	else
		memcpy((char *)&v->arch.now + p.offset, &value, p.bytes);
	if (p.group == HULL_KVM_XSAVE)
		mark_component(v->arch.now.xsave, reg);
	if (p.group == HULL_KVM_XCRS)
		v->arch.now.xcrs.nr_xcrs = 1;
	v->arch.dirty |= p.group;
	if (reg == HULL_X86_REG_RIP)
		v->halted = false; /* it goes on elsewhere */
	return 0;
}

void hull_kvm_arch_dump(struct hull_kvm_vcpu *v, char *dst, size_t size)
{
	static const uint16_t shown[] = { HULL_X86_REG_RIP,
		                          HULL_X86_REG_RFLAGS,
		                          HULL_X86_REG_CR0,
		                          HULL_X86_REG_CR2,
		                          HULL_X86_REG_CR3,
		                          HULL_X86_REG_CR4,
		                          HULL_X86_REG_SEG + 4 * HULL_X86_CS,
		                          HULL_X86_REG_SEG + 4 * HULL_X86_CS + HULL_X86_BASE,
		                          HULL_X86_REG_SEG + 4 * HULL_X86_CS + HULL_X86_ATTR,
		                          HULL_X86_REG_SEG + 4 * HULL_X86_SS,
		                          HULL_X86_REG_GDTR_BASE,
		                          HULL_X86_REG_IDTR_BASE,
		                          HULL_X86_REG_IDTR_LIMIT };
	size_t n = 0;

	dst[0] = '\0';
	for (unsigned i = 0; i < 16 + ARRAY_LEN(shown) && n < size; i++) {
		uint32_t reg = i < 16 ? HULL_X86_REG_RAX + i : shown[i - 16];
		char name[X86_REG_NAME_MAX];
		uint64_t value = 0;

		hull_x86_reg_name(reg, name);
		if (hull_kvm_arch_reg_get(v, reg, &value))
			continue;
		n += hull_format(dst + n, size - n, "%-10s %016llx%s", name,
		                 (unsigned long long)value, i % 3 == 2 ? "\n" : "  ");
	}
	if (n < size)
		hull_format(dst + n, size - n, "\n");
}

/* What no register number covers: events, LAPIC, run state. */
struct saved {
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	uint8_t halted;
};

int hull_kvm_arch_save(struct hull_kvm_vcpu *v, void *buf, size_t *len)
{
	struct saved s = { .halted = v->halted };
	int r;

	if (*len < sizeof(s))
		return HULL_EOVERFLOW;
	r = hull_kvm_vcpu_ioctl(v, KVM_GET_MP_STATE, &s.mp);
	if (r >= 0)
		r = hull_kvm_vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &s.events);
	if (r >= 0 && v->vm->irqchip != HULL_IRQCHIP_USER)
		r = hull_kvm_vcpu_ioctl(v, KVM_GET_LAPIC, &s.lapic);
	if (r < 0)
		return HULL_EIO;
	memcpy(buf, &s, sizeof(s));
	*len = sizeof(s);
	return 0;
}

int hull_kvm_arch_load(struct hull_kvm_vcpu *v, const void *buf, size_t len)
{
	struct saved s;
	int r = 0;

	if (len != sizeof(s))
		return HULL_EINVAL;
	memcpy(&s, buf, sizeof(s));
	v->arch.fresh = false;
	hull_kvm_x86_flush(v);
	if (v->vm->irqchip != HULL_IRQCHIP_USER) {
		r = hull_kvm_vcpu_ioctl(v, KVM_SET_LAPIC, &s.lapic);
		if (r >= 0)
			r = hull_kvm_vcpu_ioctl(v, KVM_SET_MP_STATE, &s.mp);
	}
	if (r >= 0)
		r = hull_kvm_vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &s.events);
	v->halted = s.halted;
	return r < 0 ? HULL_EINVAL : 0;
}

#endif
