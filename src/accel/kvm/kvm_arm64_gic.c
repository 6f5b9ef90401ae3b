/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM's GIC on aarch64 hosts.
 *
 * Linux, Documentation/virt/kvm/devices/arm-vgic.rst, arm-vgic-v3.rst, arm-vgic-its.rst: devices
 * with attributes.  A reset writes registers one by one, for there is no other way; what has to be
 * written is what Arm IHI 0069 (GICv3) and IHI 0048 (GICv2) say of reset.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__aarch64__)

#include <unistd.h>

#include "accel/kvm/kvm_arm64_impl.h"
#include "base/bits.h"
#include "isa/aarch64/gic.h"

enum { INTERRUPTS = HULL_GIC_SPI + HULL_GIC_SPIS };
enum { /* distributor, and at SGI_BASE redistributor registers; one bit each but for the last two */
       GICD_CTLR = 0x0,
       IGROUPR = 0x80,
       ICENABLER = 0x180,
       ISPENDR = 0x200,
       ICACTIVER = 0x380,
       IPRIORITYR = 0x400,
       ITARGETSR = 0x800, /* GICv2 */
       ICFGR = 0xc00,
       IROUTER = 0x6000, /* GICv3 */
};
enum { GICR_CTLR = 0x0, GICR_PROPBASER = 0x70, GICR_PENDBASER = 0x78, SGI_BASE = 0x10000 };

static int attribute(int device, unsigned long request, uint32_t group, uint64_t attr, void *data)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)data };

	return hull_kvm_ioctl(device - 1, request, &a);
}

static int set(int device, uint32_t group, uint64_t attr, void *data)
{
	return attribute(device, KVM_SET_DEVICE_ATTR, group, attr, data);
}

/* A device of KVM: its descriptor + 1, or -errno. */
static int make(struct hull_kvm_vm *k, uint32_t type)
{
	struct kvm_create_device d = { .type = type };
	int r = hull_kvm_vm_ioctl(k, KVM_CREATE_DEVICE, &d);

	return r < 0 ? r : (int)d.fd + 1;
}

static int set_address(int device, uint64_t type, uint64_t gpa)
{
	return set(device, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &gpa);
}

static int make_v3(struct hull_kvm_vm *k)
{
	int gic = make(k, KVM_DEV_TYPE_ARM_VGIC_V3), its, r;

	if (gic < 0)
		return gic;
	k->arch.gic = gic;
	k->arch.below |= HULL_BELOW_GICV3;
	r = set_address(gic, KVM_VGIC_V3_ADDR_TYPE_DIST, HULL_GIC_DIST);
	if (r >= 0)
		r = set_address(gic, KVM_VGIC_V3_ADDR_TYPE_REDIST, HULL_GIC_REDIST);
	if (r < 0)
		return r;
	its = make(k, KVM_DEV_TYPE_ARM_VGIC_ITS);
	if (its < 0)
		return 0;
	k->arch.its = its;
	k->arch.below |= HULL_BELOW_ITS;
	r = set_address(its, KVM_VGIC_ITS_ADDR_TYPE, HULL_GIC_ITS);
	if (r >= 0)
		r = set(its, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	return r;
}

static int make_v2(struct hull_kvm_vm *k)
{
	int gic = make(k, KVM_DEV_TYPE_ARM_VGIC_V2), r;

	if (gic < 0)
		return gic;
	k->arch.gic = gic;
	k->arch.below |= HULL_BELOW_GICV2;
	r = set_address(gic, KVM_VGIC_V2_ADDR_TYPE_DIST, HULL_GIC_DIST);
	return r < 0 ? r : set_address(gic, KVM_VGIC_V2_ADDR_TYPE_CPU, HULL_GIC_CPU);
}

int hull_kvm_gic_make(struct hull_kvm_vm *k, struct hull_err *err)
{
	uint32_t interrupts = INTERRUPTS;
	int r = make_v3(k);

	if (r < 0 && !k->arch.gic) {
		if (hull_vm_config(k->vm)->cpu_num > HULL_GIC_V2_CPUS)
			return hull_fail(err, HULL_ENOTSUP, 207,
			                 "KVM has a GICv2 only, which takes %d vCPUs",
			                 HULL_GIC_V2_CPUS);
		r = make_v2(k);
	}
	if (r >= 0)
		r = set(k->arch.gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts);
	return r < 0 ? hull_kvm_refused(err, "an interrupt controller", -r) : 0;
}

int hull_kvm_gic_start(struct hull_kvm_vm *k, struct hull_err *err)
{
	int r = set(k->arch.gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);

	return r < 0 ? hull_kvm_refused(err, "to start the interrupt controller", -r) : 0;
}

static void drop(int *device)
{
	if (*device)
		close(*device - 1);
	*device = 0;
}

void hull_kvm_gic_drop(struct hull_kvm_vm *k)
{
	drop(&k->arch.its);
	drop(&k->arch.gic);
}

/* `cpu`: the upper half of the attribute, which names a vCPU. */
static void put(struct hull_kvm_vm *k, uint32_t group, uint64_t cpu, uint64_t reg, uint32_t value)
{
	(void)set(k->arch.gic, group, cpu | reg, &value);
}

/* Registers of interrupts [from, to), at `base` of a distributor or redistributor. */
static void reset_range(struct hull_kvm_vm *k, uint32_t group, uint64_t cpu, uint64_t base,
                        const unsigned range[2])
{
	for (unsigned i = range[0]; i < range[1]; i += 32) {
		put(k, group, cpu, base + ICENABLER + i / 8, UINT32_MAX);
		put(k, group, cpu, base + ISPENDR + i / 8, 0);
		put(k, group, cpu, base + ICACTIVER + i / 8, UINT32_MAX);
		put(k, group, cpu, base + IGROUPR + i / 8, 0);
	}
	for (unsigned i = range[0]; i < range[1]; i += 4)
		put(k, group, cpu, base + IPRIORITYR + i, 0);
	for (unsigned i = MAX(range[0], 16u); i < range[1]; i += 16) /* those of SGIs are fixed */
		put(k, group, cpu, base + ICFGR + i / 4, 0);
}

static void reset_redistributor(struct hull_kvm_vm *k, uint64_t cpu)
{
	static const unsigned own[2] = { 0, HULL_GIC_SPI };
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

	put(k, group, cpu, GICR_CTLR, 0);
	for (unsigned half = 0; half < 8; half += 4) {
		put(k, group, cpu, GICR_PROPBASER + half, 0);
		put(k, group, cpu, GICR_PENDBASER + half, 0);
	}
	reset_range(k, group, cpu, SGI_BASE, own);
}

/* The registers that a guest reaches by MSR: op0, op1, CRn, CRm, op2 as in a register's number. */
static void reset_interface(struct hull_kvm_vm *k, uint64_t cpu)
{
	static const uint16_t zero[] = {
		3 << 14 | 4 << 7 | 6 << 3,       /* ICC_PMR_EL1 */
		3 << 14 | 12 << 7 | 8 << 3 | 3,  /* ICC_BPR0_EL1 */
		3 << 14 | 12 << 7 | 12 << 3 | 3, /* ICC_BPR1_EL1 */
		3 << 14 | 12 << 7 | 8 << 3 | 4,  /* ICC_AP0R0_EL1 */
		3 << 14 | 12 << 7 | 9 << 3,      /* ICC_AP1R0_EL1 */
		3 << 14 | 12 << 7 | 12 << 3 | 6, /* ICC_IGRPEN0_EL1 */
		3 << 14 | 12 << 7 | 12 << 3 | 7, /* ICC_IGRPEN1_EL1 */
	};

	for (unsigned i = 0; i < ARRAY_LEN(zero); i++) {
		uint64_t value = 0;

		(void)set(k->arch.gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, cpu | zero[i], &value);
	}
}

/* GICv3: Aff3..Aff0 in the upper half (arm-vgic-v3.rst); GICv2: the vCPU's index. */
static uint64_t name_of(struct hull_kvm_vm *k, uint32_t id)
{
	struct hull_kvm_vcpu *v = hull_vcpu_accel_state(hull_vm_vcpu(k->vm, id));
	uint64_t m = v->arch.mpidr;

	if (!(k->arch.below & HULL_BELOW_GICV3))
		return (uint64_t)id << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
	return ((m >> 32 & 0xff) << 24 | (m & 0xffffff)) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
}

static void reset_v2_interface(struct hull_kvm_vm *k, uint64_t cpu)
{
	static const unsigned own[2] = { 0, HULL_GIC_SPI };
	static const uint8_t zero[] = { 0x00, 0x04, 0x08, 0x1c, 0xd0 }; /* CTLR PMR BPR ABPR APR0 */

	reset_range(k, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, cpu, 0, own);
	for (unsigned i = 0; i < ARRAY_LEN(zero); i++)
		put(k, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, cpu, zero[i], 0);
}

void hull_kvm_gic_reset(struct hull_kvm_vm *k)
{
	static const unsigned shared[2] = { HULL_GIC_SPI, INTERRUPTS };
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
	bool v3 = k->arch.below & HULL_BELOW_GICV3;

	if (k->arch.its)
		(void)set(k->arch.its, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, NULL);
	put(k, group, 0, GICD_CTLR, 0);
	reset_range(k, group, 0, 0, shared);
	for (unsigned i = HULL_GIC_SPI; i < INTERRUPTS; i++) {
		if (v3 || i % 4 == 0)
			put(k, group, 0, v3 ? IROUTER + 8 * i : ITARGETSR + i, 0);
	}
	for (uint32_t i = 0; i < hull_vm_vcpu_count(k->vm); i++) {
		if (v3) {
			reset_redistributor(k, name_of(k, i));
			reset_interface(k, name_of(k, i));
		} else {
			reset_v2_interface(k, name_of(k, i));
		}
	}
}

#endif
