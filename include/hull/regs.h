/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Register numbers of hull_vcpu_reg_get() and hull_vcpu_reg_set(), the same
 * for every accelerator.  Stable: they are part of the ABI and of snapshots.
 */
#ifndef HULL_REGS_H
#define HULL_REGS_H

/* riscv64 */
enum {
	HULL_RV_REG_X0 = 0, /* 0..31 */
	HULL_RV_REG_PC = 32,
	HULL_RV_REG_F0 = 33,   /* 33..64: raw 64 bits */
	HULL_RV_REG_PRIV = 65, /* 0 U, 1 S, 3 M */
	/* 1: there is no M-mode software; Hull is the firmware and ecall from S is a hypercall. */
	HULL_RV_REG_SBI = 66,
	HULL_RV_REG_CSR = 0x1000, /* + CSR number */
};

#endif
