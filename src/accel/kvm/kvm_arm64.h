/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What KVM keeps per VM and vCPU on aarch64 hosts; included by kvm_impl.h only. */
#ifndef HULL_ACCEL_KVM_KVM_ARM64_H
#define HULL_ACCEL_KVM_KVM_ARM64_H

#include <hull/types.h>

#define HULL_KVM_ISAS     (1u << HULL_ISA_AARCH64)
#define HULL_KVM_HAS_ARCH 1

struct hull_kvm_arch_vm {
	uint32_t target, features; /* KVM_ARM_VCPU_*: what a vCPU is made of */
	int gic, its;              /* device descriptors + 1; 0: none */
	uint32_t below;            /* HULL_BELOW_* */
	uint64_t stopped_count;    /* the guest's counter while guest time stands */
	bool stopped;
};

struct hull_kvm_arch_vcpu {
	uint64_t mpidr; /* as KVM numbers it */
};

#endif
