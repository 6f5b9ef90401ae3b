/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Registers of aarch64 in KVM (api 4.68): core registers by their place in struct kvm_regs, system
 * registers by their encoding, which is also Hull's number of them.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__aarch64__)

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "accel/kvm/kvm_arm64_impl.h"
#include "base/bits.h"
#include "base/text.h"
#include "isa/aarch64/regs.h"

#define CORE(member) (offsetof(struct kvm_regs, member) / sizeof(uint32_t))

enum { GENERAL = 31, VECTORS = 32 };

static uint64_t core_id(size_t place, uint64_t size)
{
	return KVM_REG_ARM64 | KVM_REG_ARM_CORE | size | place;
}

/* The id of a vector register, whose 128 bits are moved at once. */
static uint64_t vector_id(const struct hull_kvm_vcpu *v, uint32_t n)
{
	if (v->vm->arch.features >> KVM_ARM_VCPU_SVE & 1)
		return KVM_REG_ARM64_SVE_ZREG(n, 0); /* its low half; the rest is above */
	return core_id(CORE(fp_regs.vregs) + n * 4, KVM_REG_SIZE_U128);
}

static uint64_t system_id(uint32_t reg)
{
	/* KVM has these two the wrong way round, for ever (uapi/asm/kvm.h). */
	if (reg == A64_CNTVCT)
		return KVM_REG_ARM_TIMER_CNT;
	if (reg == A64_CNTV_CVAL)
		return KVM_REG_ARM_TIMER_CVAL;
	return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | (reg - HULL_A64_REG_SYS);
}

/* The id of any but the vector registers; 0: no such register. */
static uint64_t id_of(uint32_t reg)
{
	if (reg < HULL_A64_REG_X0 + GENERAL)
		return core_id(CORE(regs.regs[0]) + 2 * (reg - HULL_A64_REG_X0), KVM_REG_SIZE_U64);
	switch (reg) {
	case HULL_A64_REG_SP: return core_id(CORE(regs.sp), KVM_REG_SIZE_U64);
	case HULL_A64_REG_PC: return core_id(CORE(regs.pc), KVM_REG_SIZE_U64);
	case HULL_A64_REG_PSTATE: return core_id(CORE(regs.pstate), KVM_REG_SIZE_U64);
	case HULL_A64_REG_SP_EL1: return core_id(CORE(sp_el1), KVM_REG_SIZE_U64);
	case HULL_A64_REG_ELR_EL1: return core_id(CORE(elr_el1), KVM_REG_SIZE_U64);
	case HULL_A64_REG_SPSR_EL1: return core_id(CORE(spsr[0]), KVM_REG_SIZE_U64);
	case HULL_A64_REG_FPCR: return core_id(CORE(fp_regs.fpcr), KVM_REG_SIZE_U32);
	case HULL_A64_REG_FPSR: return core_id(CORE(fp_regs.fpsr), KVM_REG_SIZE_U32);
	}
	return reg >= HULL_A64_REG_SYS && hull_a64_reg_bits(reg) ? system_id(reg) : 0;
}

static int move(struct hull_kvm_vcpu *v, unsigned long request, uint64_t id, void *data)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)data };

	switch (hull_kvm_vcpu_ioctl(v, request, &r)) {
	case 0: return 0;
	case -ENOENT: return HULL_ENOENT;
	default: return HULL_EINVAL;
	}
}

static bool is_vector(uint32_t reg)
{
	return reg >= HULL_A64_REG_V0 && reg < HULL_A64_REG_V0 + 2 * VECTORS;
}

/* Room for an SVE register's first 2048 bits, of which 128 are V's. */
struct vector {
	uint64_t word[32];
};

int hull_kvm_arch_reg_get(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t *ret)
{
	struct vector vector = { 0 };
	uint64_t id = id_of(reg), value = 0;
	int r;

	if (is_vector(reg)) {
		r = move(v, KVM_GET_ONE_REG, vector_id(v, (reg - HULL_A64_REG_V0) / 2), &vector);
		value = vector.word[reg & 1];
	} else {
		r = id ? move(v, KVM_GET_ONE_REG, id, &value) : HULL_ENOENT;
	}
	if (!r)
		*ret = value;
	return r;
}

int hull_kvm_arch_reg_set(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t value)
{
	struct vector vector = { 0 };
	uint64_t id = id_of(reg);
	int r;

	if (!is_vector(reg))
		return id ? move(v, KVM_SET_ONE_REG, id, &value) : HULL_ENOENT;
	id = vector_id(v, (reg - HULL_A64_REG_V0) / 2);
	r = move(v, KVM_GET_ONE_REG, id, &vector);
	vector.word[reg & 1] = value;
	return r ? r : move(v, KVM_SET_ONE_REG, id, &vector);
}

/* There is no snapshot of KVM's GIC yet, and without that none of a vCPU is of any use. */
int hull_kvm_arch_save(struct hull_kvm_vcpu *v, void *buf, size_t *len)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_load(struct hull_kvm_vcpu *v, const void *buf, size_t len)
{
	return HULL_ENOTSUP;
}

void hull_kvm_arch_dump(struct hull_kvm_vcpu *v, char *dst, size_t size)
{
	char name[A64_REG_NAME_MAX];
	uint32_t reg;
	size_t at = 0;

	dst[0] = '\0';
	for (unsigned n = 0;
	     (reg = hull_a64_reg_at(n)) < HULL_A64_REG_V0 || reg >= HULL_A64_REG_SYS; n++) {
		uint64_t value;

		if (reg == UINT32_MAX)
			return;
		if (hull_kvm_arch_reg_get(v, reg, &value))
			continue;
		hull_a64_reg_name(reg, name);
		at += hull_format(dst + at, size - at, "%-16s %016llx\n", name,
		                  (unsigned long long)value);
		at = MIN(at, size - 1);
	}
}

#endif
