/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What KVM keeps per VM and vCPU on riscv64 hosts; included by kvm_impl.h only. */
#ifndef HULL_ACCEL_KVM_KVM_RISCV_H
#define HULL_ACCEL_KVM_KVM_RISCV_H

#include <pthread.h>

#include <hull/types.h>

#define HULL_KVM_ISAS     (1u << HULL_ISA_RISCV64)
#define HULL_KVM_HAS_ARCH 1

struct hull_kvm_arch_vm {
	uint64_t stopped_time; /* the guest's counter while guest time stands */
	bool stopped;
};

struct hull_kvm_arch_vcpu {
	pthread_mutex_t line_lock; /* of what KVM was told about the external interrupt */
	bool calls;                /* an SBI call waits for its answer */
};

#endif
