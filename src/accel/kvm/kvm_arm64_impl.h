/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of KVM on aarch64 hosts share. */
#ifndef HULL_ACCEL_KVM_KVM_ARM64_IMPL_H
#define HULL_ACCEL_KVM_KVM_ARM64_IMPL_H

#include "accel/kvm/kvm_impl.h"

/* Make the VM's interrupt controller: a GICv3 with an ITS, or what there is of that, or a GICv2. */
int hull_kvm_gic_make(struct hull_kvm_vm *k, struct hull_err *err);
/* All vCPUs are there: it begins to work. */
int hull_kvm_gic_start(struct hull_kvm_vm *k, struct hull_err *err);
/* To its state after a reset. */
void hull_kvm_gic_reset(struct hull_kvm_vm *k);
void hull_kvm_gic_drop(struct hull_kvm_vm *k);

#endif
