/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * aarch64 names and numbers: registers as accelerators number them (hull/regs.h), what they are
 * called, processor states.  Arm ARM (DDI 0487) unless noted.  Pure.
 */
#ifndef HULL_ISA_AARCH64_REGS_H
#define HULL_ISA_AARCH64_REGS_H

#include <hull/regs.h>
#include <hull/types.h>

/* The number of a system register. */
#define A64_SYS_REG(op0, op1, crn, crm, op2) \
	(HULL_A64_REG_SYS + ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)))

#define A64_MPIDR     A64_SYS_REG(3, 0, 0, 0, 5)
#define A64_CNTVCT    A64_SYS_REG(3, 3, 14, 0, 2)
#define A64_CNTV_CVAL A64_SYS_REG(3, 3, 14, 3, 2)

/* The affinity fields of MPIDR_EL1 (D19.2.104), which device trees and PSCI name vCPUs by. */
#define A64_MPIDR_AFFINITY UINT64_C(0xff00ffffff)

/* ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1, in the space of system registers. */
#define A64_ICC_SGI1R (A64_SYS_REG(3, 0, 12, 11, 5) - HULL_A64_REG_SYS)

/* Interrupt inputs of a vCPU. */
enum { A64_IRQ = 0 };

/* PSTATE of a kernel's first instruction: EL1 with its own stack, DAIF masked. */
enum { A64_PSTATE_EL1H_MASKED = 0x3c5 };

enum { A64_REG_NAME_MAX = 24 };

/* The width of a register in bits: 32, 64; 0 if the number is none. */
unsigned hull_a64_reg_bits(uint32_t number);

/* The name, such as "x0", "v3_hi", "sctlr_el1" or "s3_0_c1_c0_0"; "?" if it is no register. */
void hull_a64_reg_name(uint32_t number, char dst[A64_REG_NAME_MAX]);

/* The n-th register with a name of its own, general ones first; UINT32_MAX after the last. */
uint32_t hull_a64_reg_at(unsigned n);

#endif
