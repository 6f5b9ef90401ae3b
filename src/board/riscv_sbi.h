/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The supervisor binary interface, served by Hull when there is no M-mode
 * firmware.
 *
 * Spec: RISC-V SBI 2.0; extensions BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN
 * and the legacy calls (chapters 4 to 12).  Works with every accelerator that
 * reports an ecall from S-mode as HULL_EXIT_HYPERCALL with the program counter
 * behind the ecall: nr = a7, args = a0..a5, function number in x16 (a6).
 *
 * Threading: hull_sbi_call() on the calling vCPU's thread.
 */
#ifndef HULL_BOARD_RISCV_SBI_H
#define HULL_BOARD_RISCV_SBI_H

#include <hull/vm.h>
#include "core/dev.h"
#include "core/vcpu.h"

enum { HULL_SBI_MAX_REGS = 16 };

struct hull_sbi {
	struct hull_dev *console; /* a 16550 that carries the debug console; NULL: nowhere */
};

/* A hull_hypercall_fn; `arg` is a struct hull_sbi. */
bool hull_sbi_call(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg);

/*
 * The registers with which a hart enters S-mode at `entry` with a0 = its id and
 * a1 = `opaque` (SBI 2.0, 9.1).  Returns how many of `regs` were set.
 */
unsigned hull_sbi_start_regs(const struct hull_vcpu *vcpu, hull_gpa entry, uint64_t opaque,
                             struct hull_reg_value regs[HULL_SBI_MAX_REGS]);

#endif
