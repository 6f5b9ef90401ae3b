/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Accesses to devices by instructions that the syndrome does not describe (ISV clear): pairs, those
 * that change their base register, SIMD.  The instruction is fetched as the guest would, decoded,
 * and performed in parts of up to eight bytes; registers change when all of it is done.
 *
 * Spec: Arm ARM, D19.2.37, ISS encoding for a Data Abort; DFSC 0x35 for exclusives and atomics,
 * which devices do not take.
 */
#include <hull/regs.h>

#include "base/bits.h"
#include "base/mem.h"
#include "metal/aarch64/el2.h"
#include "metal/aarch64/sysreg.h"

#define PAR_F       BIT(0)
#define PAR_ADDRESS UINT64_C(0x000ffffffffff000)

#define PSTATE_EL0 0x0
#define PSTATE_SP  BIT(0)

#define FSC_UNSUPPORTED 0x35

/* The guest's own translation of an address that it may read; false: it has none. */
static bool translate(struct el2_vcpu *v, uint64_t va, hull_gpa *ret)
{
	uint64_t old, par;

	el2_load(v);
	old = sysreg_read(par_el1);
	if ((v->regs.pstate & 0xf) == PSTATE_EL0)
		__asm__ volatile("at s1e0r, %0" : : "r"(va) : "memory");
	else
		__asm__ volatile("at s1e1r, %0" : : "r"(va) : "memory");
	isb();
	par = sysreg_read(par_el1);
	sysreg_write(par_el1, old);
	*ret = (par & PAR_ADDRESS) | (va & HULL_PAGE_MASK);
	return !(par & PAR_F);
}

static bool fetch(struct el2_vcpu *v, uint32_t *ret)
{
	hull_gpa at;

	return !(v->regs.pc & 3) && translate(v, v->regs.pc, &at) &&
	       !hull_vm_read(v->vm->vm, at, ret, sizeof(*ret));
}

static uint64_t base_of(struct el2_vcpu *v, const struct hull_a64_access *a)
{
	if (a->literal)
		return v->regs.pc;
	if (a->rn < 31)
		return v->regs.x[a->rn];
	return el2_sys_get(v, v->regs.pstate & PSTATE_SP ? EL2_sp_el1 : EL2_sp_el0);
}

static void set_base(struct el2_vcpu *v, const struct hull_a64_access *a, uint64_t value)
{
	if (a->rn < 31)
		v->regs.x[a->rn] = value;
	else
		el2_sys_set(v, v->regs.pstate & PSTATE_SP ? EL2_sp_el1 : EL2_sp_el0, value);
}

/* What a store writes.  Out of the CPU, V registers are in memory. */
static void collect(struct el2_vcpu *v, struct el2_access *s)
{
	const struct hull_a64_access *a = &s->insn;

	if (a->simd)
		el2_put(v);
	for (unsigned i = 0; i < a->nregs; i++) {
		uint8_t *to = s->data + i * a->size;
		uint64_t x = a->rt[i] < 31 ? v->regs.x[a->rt[i]] : 0;

		memcpy(to, a->simd ? (const void *)&v->fp.v[2 * a->rt[i]] : &x, a->size);
	}
}

static void deliver(struct el2_vcpu *v, struct el2_access *s)
{
	const struct hull_a64_access *a = &s->insn;

	if (a->simd)
		el2_put(v);
	for (unsigned i = 0; i < a->nregs; i++) {
		uint64_t value[2] = { 0 };

		memcpy(value, s->data + i * a->size, a->size);
		if (a->simd)
			memcpy(&v->fp.v[2 * a->rt[i]], value, sizeof(value));
		else if (a->rt[i] < 31)
			v->regs.x[a->rt[i]] = hull_a64_access_extend(a, value[0]);
	}
}

static void next_part(const struct el2_access *s, struct hull_exit *exit)
{
	uint64_t value = 0;
	unsigned size = MIN(s->insn.size, (uint8_t)8);

	memcpy(&value, s->data + s->done, size);
	exit->kind = HULL_EXIT_MMIO;
	exit->io.addr = s->gpa + s->done;
	exit->io.size = (uint8_t)size;
	exit->io.write = s->insn.write;
	exit->io.data = s->insn.write ? value : 0;
	exit->io.failed = false;
}

bool el2_access_begin(struct el2_vcpu *v, struct hull_exit *exit)
{
	struct el2_access *s = &v->access;
	const struct hull_a64_access *a = &s->insn;
	uint64_t va, rm;
	unsigned bytes;
	uint32_t insn;

	if (!fetch(v, &insn) || !hull_a64_access_decode(insn, &s->insn)) {
		el2_inject_abort(v, v->esr, v->far);
		return true;
	}
	if (a->exclusive) {
		el2_inject_fault(v, v->esr, v->far, FSC_UNSUPPORTED);
		return true;
	}
	bytes = a->nregs * a->size;
	rm = a->rm < 31 ? v->regs.x[a->rm] : 0;
	va = hull_a64_access_address(a, base_of(v, a), rm, &s->base);
	s->gpa = (bits(v->hpfar, 43, 4) << 12) + (va & HULL_PAGE_MASK);
	/* The instruction may have changed since, and a device ends within its page. */
	if (v->far - va >= bytes || (va & HULL_PAGE_MASK) + bytes > HULL_PAGE_SIZE) {
		el2_inject_abort(v, v->esr, v->far);
		return true;
	}
	memset(s->data, 0, sizeof(s->data));
	if (a->write)
		collect(v, s);
	s->bytes = bytes;
	s->done = 0;
	next_part(s, exit);
	return false;
}

bool el2_access_go_on(struct el2_vcpu *v, struct hull_exit *exit)
{
	if (!v->access.bytes)
		return false;
	next_part(&v->access, exit);
	return true;
}

void el2_access_complete(struct el2_vcpu *v, const struct hull_exit *exit)
{
	struct el2_access *s = &v->access;

	if (exit->io.failed) {
		s->bytes = 0;
		el2_inject_abort(v, v->esr, v->far);
		return;
	}
	if (!exit->io.write)
		memcpy(s->data + s->done, &exit->io.data, exit->io.size);
	s->done += exit->io.size;
	if (s->done < s->bytes)
		return;
	s->bytes = 0;
	if (!s->insn.write)
		deliver(v, s);
	if (s->insn.update)
		set_base(v, &s->insn, s->base);
	v->regs.pc += 4;
}
