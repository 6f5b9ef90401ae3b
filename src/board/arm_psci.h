/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The power state coordination interface, served by Hull where the accelerator does not.
 *
 * Spec: Arm DEN 0022 (PSCI 1.1), DEN 0028 (SMCCC 1.1).  Works with every accelerator that
 * reports HVC as HULL_EXIT_HYPERCALL with the program counter behind it: nr = x0, args = x1..x6.
 *
 * Threading: hull_psci_call() on the calling vCPU's thread.
 */
#ifndef HULL_BOARD_ARM_PSCI_H
#define HULL_BOARD_ARM_PSCI_H

#include <hull/vm.h>
#include "core/vcpu.h"

/* A hull_hypercall_fn; `arg` is not used. */
bool hull_psci_call(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg);

/* The affinity fields by which the guest knows a vCPU. */
uint64_t hull_psci_affinity(struct hull_vcpu *vcpu);

#endif
