/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a guest left EL1 for: decoded, answered here or handed to the core.
 *
 * Specs: Arm ARM, D19.2.37 (ESR_EL2), D1.3.1 (exception entry); DEN 0028 (SMCCC).
 */
#include <hull/regs.h>

#include "base/bits.h"
#include "metal/aarch64/el2.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/sysreg.h"

/* Exception classes. */
enum {
	EC_UNKNOWN = 0x00,
	EC_WFX = 0x01,
	EC_HVC64 = 0x16,
	EC_SMC64 = 0x17,
	EC_SYSREG = 0x18,
	EC_IABT_LOWER = 0x20,
	EC_IABT = 0x21,
	EC_DABT_LOWER = 0x24,
	EC_DABT = 0x25,
};

#define ESR_IL       BIT(25)
#define ISS_ISV      BIT(24)
#define ISS_SSE      BIT(21)
#define ISS_SF       BIT(15)
#define ISS_CM       BIT(8)
#define ISS_S1PTW    BIT(7)
#define ISS_WNR      BIT(6)
#define FSC_EXTERNAL 0x10

enum { FSC_PERMISSION = 3 }; /* above the two bits of the level */

#define PSTATE_MODE 0xf
#define PSTATE_EL0  0x0
#define PSTATE_EL1T 0x4
#define PSTATE_EL1H 0x5
#define PSTATE_DAIF 0x3c0
#define PSTATE_A32  BIT(4)
#define PSTATE_SSBS BIT(12)
#define PSTATE_PAN  BIT(22)
#define PSTATE_DIT  BIT(24)
#define PSTATE_NZCV (UINT64_C(15) << 28)

#define SCTLR_SPAN  BIT(23)
#define SCTLR_DSSBS BIT(44)

/* PSTATE behind an exception to EL1; what the CPU does not have reads as its neutral value. */
static uint64_t entry_pstate(struct el2_vcpu *v)
{
	uint64_t old = v->regs.pstate, sctlr = el2_sys_get(v, EL2_sctlr_el1);
	uint64_t kept = old & PSTATE_A32 ? PSTATE_NZCV : PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN;

	return PSTATE_EL1H | PSTATE_DAIF | (old & kept) | (sctlr & SCTLR_SPAN ? 0 : PSTATE_PAN) |
	       (sctlr & SCTLR_DSSBS ? PSTATE_SSBS : 0);
}

/* Where an exception to EL1 goes, and in which state (D1.3.1). */
static void enter_el1(struct el2_vcpu *v, uint64_t esr)
{
	uint64_t mode = v->regs.pstate & PSTATE_MODE, offset = 0x400; /* from EL0 */

	if (v->regs.pstate & PSTATE_A32)
		offset = 0x600;
	else if (mode == PSTATE_EL1T)
		offset = 0;
	else if (mode == PSTATE_EL1H)
		offset = 0x200;
	el2_sys_set(v, EL2_spsr_el1, v->regs.pstate);
	el2_sys_set(v, EL2_elr_el1, v->regs.pc);
	el2_sys_set(v, EL2_esr_el1, esr);
	v->regs.pc = el2_sys_get(v, EL2_vbar_el1) + offset;
	v->regs.pstate = entry_pstate(v);
}

void el2_inject_undefined(struct el2_vcpu *v)
{
	enter_el1(v, (uint64_t)EC_UNKNOWN << 26 | ESR_IL);
}

void el2_inject_abort(struct el2_vcpu *v, uint64_t esr, uint64_t va)
{
	el2_inject_fault(v, esr, va, FSC_EXTERNAL);
}

void el2_inject_fault(struct el2_vcpu *v, uint64_t esr, uint64_t va, unsigned status)
{
	bool lower = (v->regs.pstate & PSTATE_MODE) == PSTATE_EL0;
	bool instruction = bits(esr, 31, 26) == EC_IABT_LOWER;
	uint64_t ec = instruction ? EC_IABT : EC_DABT;
	uint64_t kind = instruction ? 0 : esr & (ISS_WNR | ISS_CM);

	/* The classes for a lower level are one less. */
	v->aborts++;
	el2_sys_set(v, EL2_far_el1, va);
	enter_el1(v, (ec - lower) << 26 | ESR_IL | kind | status);
}

static uint64_t *reg_x(struct el2_vcpu *v, unsigned n)
{
	return &v->regs.x[n];
}

static void set_x(struct el2_vcpu *v, unsigned n, uint64_t value)
{
	if (n < 31)
		*reg_x(v, n) = value;
}

static uint64_t get_x(struct el2_vcpu *v, unsigned n)
{
	return n < 31 ? *reg_x(v, n) : 0;
}

/* An abort by stage 2: an access to a device if the syndrome describes it. */
static bool data_abort(struct el2_vcpu *v, uint64_t esr, struct hull_exit *exit)
{
	uint64_t va = v->far;
	unsigned size = 1U << bits(esr, 23, 22);

	/* HPFAR_EL2 says nothing of permission faults (D19.2.57). */
	if (esr & ISS_S1PTW || bits(esr, 5, 2) == FSC_PERMISSION) {
		el2_inject_abort(v, esr, va);
		return true;
	}
	/* Devices are not cached. */
	if (esr & ISS_CM) {
		v->regs.pc += 4;
		return true;
	}
	if (!(esr & ISS_ISV))
		return el2_access_begin(v, exit);
	exit->kind = HULL_EXIT_MMIO;
	exit->io.addr = bits(v->hpfar, 43, 4) << 12 | (va & HULL_PAGE_MASK);
	exit->io.size = (uint8_t)size;
	exit->io.write = esr & ISS_WNR;
	exit->io.data = get_x(v, (unsigned)bits(esr, 20, 16)) & low_mask(8 * size);
	exit->io.failed = false;
	v->regs.pc += 4;
	return false;
}

static void finish_load(struct el2_vcpu *v, const struct hull_exit *exit)
{
	uint64_t value = exit->io.data & low_mask(8U * exit->io.size);

	if (v->esr & ISS_SSE)
		value = (uint64_t)sign_extend(value, 8U * exit->io.size);
	if (!(v->esr & ISS_SF))
		value &= UINT32_MAX;
	set_x(v, (unsigned)bits(v->esr, 20, 16), value);
}

void el2_complete(struct el2_vcpu *v, const struct hull_exit *exit)
{
	if (exit->kind == HULL_EXIT_SYSREG) {
		if (exit->io.failed) {
			v->regs.pc -= 4;
			el2_inject_undefined(v);
		} else if (!exit->io.write) {
			set_x(v, (unsigned)bits(v->esr, 9, 5), exit->io.data);
		}
		return;
	}
	if (v->access.bytes) {
		el2_access_complete(v, exit);
	} else if (exit->io.failed) {
		v->regs.pc -= 4;
		el2_inject_abort(v, v->esr, v->far);
	} else if (!exit->io.write) {
		finish_load(v, exit);
	}
}

/* HVC, or SMC, which comes here as if it were one. */
static bool call(struct el2_vcpu *v, struct hull_exit *exit)
{
	exit->kind = HULL_EXIT_HYPERCALL;
	exit->call.nr = v->regs.x[0];
	for (unsigned i = 0; i < 6; i++)
		exit->call.args[i] = v->regs.x[1 + i];
	return false;
}

/* op0, op1, CRn, CRm, op2 as HULL_A64_REG_SYS has them, out of an ISS. */
static uint32_t number(uint64_t iss)
{
	return (uint32_t)(bits(iss, 21, 20) << 14 | bits(iss, 16, 14) << 11 |
	                  bits(iss, 13, 10) << 7 | bits(iss, 4, 1) << 3 | bits(iss, 19, 17));
}

#define SYS(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

/* Identification registers: what a guest gets is what is switched for it. */
static bool id_register(uint32_t n, uint64_t *ret)
{
	if ((n & ~0x7fU) != (SYS(3, 0, 0, 0, 0) & ~0x7fU) || (n >> 3 & 15) == 0)
		return false;
	*ret = 0;
	switch (n) {
	case SYS(3, 0, 0, 4, 0):
		/* ID_AA64PFR0: CSV3, DIT and FP as they are; no AArch32 and what traps. */
		*ret = (sysreg_read(id_aa64pfr0_el1) & UINT64_C(0xf00f000000ff0000)) | 0x11;
		*ret |= BIT(24); /* GIC by system registers */
		return true;
	case SYS(3, 0, 0, 5, 0): /* ID_AA64DFR0: v8 debug, two of each, no PMU, no trace */
		*ret = 6 | UINT64_C(1) << 12 | UINT64_C(1) << 20;
		return true;
	case SYS(3, 0, 0, 6, 0): *ret = sysreg_read(id_aa64isar0_el1); return true;
	case SYS(3, 0, 0, 6, 1): *ret = sysreg_read(id_aa64isar1_el1); return true;
	case SYS(3, 0, 0, 7, 0): *ret = sysreg_read(id_aa64mmfr0_el1); return true;
	case SYS(3, 0, 0, 7, 1):
		/* No VHE, LORegions, and HAFDBS as it is. */
		*ret = sysreg_read(id_aa64mmfr1_el1) & ~UINT64_C(0xf0f00);
		return true;
	case SYS(3, 0, 0, 7, 2): /* No nested virtualization. */
		*ret = sysreg_read(s3_0_c0_c7_2) & ~UINT64_C(0xf000000);
		return true;
	default: return true;
	}
}

/* Debug registers read as zero, but for the OS lock, which is there and open. */
static bool debug_register(uint32_t n, uint64_t *ret)
{
	if (n >> 14 != 2)
		return false;
	*ret = n == SYS(2, 0, 1, 1, 4) ? 8 : 0; /* OSLSR_EL1.OSLM */
	return true;
}

static bool system_register(struct el2_vcpu *v, uint64_t esr, struct hull_exit *exit)
{
	unsigned rt = (unsigned)bits(esr, 9, 5);
	uint32_t n = number(esr);
	bool write = !(esr & 1);
	uint64_t value = write ? get_x(v, rt) : 0;

	v->regs.pc += 4;
	if (el2_ptimer_access(v, n, write, &value) || n == SYS(3, 0, 1, 0, 1) ||
	    debug_register(n, &value) || (!write && id_register(n, &value))) {
		if (!write)
			set_x(v, rt, value);
		return true;
	}
	exit->kind = HULL_EXIT_SYSREG;
	exit->io.addr = n;
	exit->io.size = 8;
	exit->io.write = write;
	exit->io.data = value;
	exit->io.failed = false;
	return false;
}

/* WFI: to the core, which waits.  WFE, and forms with a time limit: as if the event had come. */
static bool wait(struct el2_vcpu *v, uint64_t esr, struct hull_exit *exit)
{
	v->regs.pc += 4;
	if (bits(esr, 1, 0) || hull_vcpu_lines(v->vcpu))
		return true;
	exit->kind = HULL_EXIT_HALT;
	return false;
}

bool el2_handle(struct el2_vcpu *v, struct hull_exit *exit)
{
	uint64_t esr = v->esr;

	switch (bits(esr, 31, 26)) {
	case EC_HVC64: return call(v, exit);
	case EC_DABT_LOWER: return data_abort(v, esr, exit);
	case EC_WFX: return wait(v, esr, exit);
	case EC_SYSREG: return system_register(v, esr, exit);
	case EC_SMC64: v->regs.pc += 4; return call(v, exit);
	case EC_IABT_LOWER: el2_inject_abort(v, esr, v->far); return true;
	default: el2_inject_undefined(v); return true;
	}
}
