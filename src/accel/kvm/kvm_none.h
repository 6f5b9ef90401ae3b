/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Hosts whose KVM this build does not use; included by kvm_impl.h only. */
#ifndef HULL_ACCEL_KVM_KVM_NONE_H
#define HULL_ACCEL_KVM_KVM_NONE_H

#define HULL_KVM_ISAS     0u
#define HULL_KVM_HAS_ARCH 0

struct hull_kvm_arch_vm {
	char nothing;
};

struct hull_kvm_arch_vcpu {
	char nothing;
};

#endif
