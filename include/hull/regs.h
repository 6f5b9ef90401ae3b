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
	HULL_RV_REG_TIMEBASE = 67, /* ticks of `time` a second; absent: 10 million */
	HULL_RV_REG_CSR = 0x1000,  /* + CSR number */
	/* + n: 1 if the hart has the n-th extension of isa/riscv64/isa.h; absent: it has. */
	HULL_RV_REG_EXT = 0x2000,
};

/* x86_64; Intel SDM vol. 3, chapters 2, 3 and 10 */
enum {
	HULL_X86_REG_RAX = 0, /* 0..15 as encoded: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
	HULL_X86_REG_RCX,
	HULL_X86_REG_RDX,
	HULL_X86_REG_RBX,
	HULL_X86_REG_RSP,
	HULL_X86_REG_RBP,
	HULL_X86_REG_RSI,
	HULL_X86_REG_RDI,
	HULL_X86_REG_RIP = 16,
	HULL_X86_REG_RFLAGS = 17,
	HULL_X86_REG_CR0 = 18,
	HULL_X86_REG_CR2 = 19,
	HULL_X86_REG_CR3 = 20,
	HULL_X86_REG_CR4 = 21,
	HULL_X86_REG_CR8 = 22,
	HULL_X86_REG_XCR0 = 23,
	HULL_X86_REG_DR0 = 24, /* 24..27; DR6 and DR7 follow */
	HULL_X86_REG_DR6 = 28,
	HULL_X86_REG_DR7 = 29,
	HULL_X86_REG_GDTR_BASE = 30,
	HULL_X86_REG_GDTR_LIMIT = 31,
	HULL_X86_REG_IDTR_BASE = 32,
	HULL_X86_REG_IDTR_LIMIT = 33,
	/* + 4 * enum hull_x86_seg + enum hull_x86_seg_field */
	HULL_X86_REG_SEG = 0x40,
	HULL_X86_REG_FCW = 0x80,
	HULL_X86_REG_FSW = 0x81,
	HULL_X86_REG_FTW = 0x82, /* abridged, as FXSAVE has it */
	HULL_X86_REG_MXCSR = 0x83,
	HULL_X86_REG_ST = 0x90,    /* + 2 * n: significand; + 1: sign and exponent */
	HULL_X86_REG_XMM = 0xc0,   /* + 2 * n: low half; + 1: high half */
	HULL_X86_REG_YMMH = 0x100, /* the upper halves of YMM, likewise */
	/* + MSR number below 0x2000; those from 0x40000000 and 0xc0000000 on follow in turn. */
	HULL_X86_REG_MSR = 0x10000,
	HULL_X86_REG_MSR_4 = 0x12000, /* + MSR number - 0x40000000 */
	HULL_X86_REG_MSR_C = 0x14000, /* + MSR number - 0xc0000000, below 0x20000 */
};

enum hull_x86_seg {
	HULL_X86_ES,
	HULL_X86_CS,
	HULL_X86_SS,
	HULL_X86_DS,
	HULL_X86_FS,
	HULL_X86_GS,
	HULL_X86_LDTR,
	HULL_X86_TR
};

/* ATTR: bits 8..23 of the descriptor's high half, moved down by 8; bit 16: unusable. */
enum hull_x86_seg_field { HULL_X86_SELECTOR, HULL_X86_BASE, HULL_X86_LIMIT, HULL_X86_ATTR };

/* aarch64; Arm ARM, chapters B1 and D19 */
enum {
	HULL_A64_REG_X0 = 0,  /* 0..30 */
	HULL_A64_REG_SP = 31, /* of EL0 */
	HULL_A64_REG_PC = 32,
	HULL_A64_REG_PSTATE = 33, /* as SPSR_ELx has it */
	HULL_A64_REG_SP_EL1 = 34,
	HULL_A64_REG_ELR_EL1 = 35,
	HULL_A64_REG_SPSR_EL1 = 36,
	HULL_A64_REG_FPCR = 37,
	HULL_A64_REG_FPSR = 38,
	HULL_A64_REG_V0 = 0x40, /* + 2 * n: low half; + 1: high half */
	/* + op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2 */
	HULL_A64_REG_SYS = 0x10000,
};

#endif
