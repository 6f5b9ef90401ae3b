/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Between the files kvm_x86*.c. */
#ifndef HULL_ACCEL_KVM_KVM_X86_IMPL_H
#define HULL_ACCEL_KVM_KVM_X86_IMPL_H

#include "accel/kvm/kvm_impl.h"

/* kvm_x86_cpu.c: the processor that guests see.  E0207, E0208. */
int hull_kvm_x86_cpuid_init(struct hull_kvm_vm *k, struct hull_err *err);
int hull_kvm_x86_cpuid_set(struct hull_kvm_vcpu *v, struct hull_err *err);
int hull_kvm_x86_msr_init(struct hull_kvm_vm *k, struct hull_err *err);

/* kvm_x86_regs.c */

/* Remember the state of a new vCPU as its reset state, and go back to it. */
int hull_kvm_x86_capture(struct hull_kvm_vcpu *v, struct hull_err *err);
void hull_kvm_x86_restore_reset(struct hull_kvm_vcpu *v);
/* Give KVM the registers that were set. */
void hull_kvm_x86_flush(struct hull_kvm_vcpu *v);

#endif
