/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * x86_64 names and numbers: registers as accelerators number them, what they are called, the
 * interrupt inputs of a vCPU.  Intel SDM vol. 3 (order number 325384) unless noted.  Pure.
 */
#ifndef HULL_ISA_X86_64_REGS_H
#define HULL_ISA_X86_64_REGS_H

#include <hull/regs.h>
#include <hull/types.h>
#include "base/bits.h"

/* Inputs of a vCPU whose interrupt controllers are the board's. */
enum {
	X86_IRQ_INTR = 0, /* level: a vector waits, hull_vm_set_intack() */
	X86_IRQ_NMI = 1,  /* edge: hull_vcpu_raise() */
	X86_IRQ_INIT = 2, /* likewise; vcpu_run returns HULL_EXIT_CPU_OFF */
};

enum x86_reg_class {
	X86_CLASS_NONE, /* no register */
	X86_CLASS_GENERAL,
	X86_CLASS_CONTROL,
	X86_CLASS_TABLE,
	X86_CLASS_DEBUG,
	X86_CLASS_EXTENDED,
	X86_CLASS_SEGMENT,
	X86_CLASS_FPU, /* in the area of XSAVE */
	X86_CLASS_MSR,
};

/* What a register number means. */
struct x86_reg {
	enum x86_reg_class class;
	uint8_t bits;
	uint16_t offset; /* FPU: byte in the area of XSAVE (standard format) */
	uint32_t msr;    /* MSR: its number */
};

enum { X86_XSAVE_HEADER = 512, X86_XSAVE_YMMH = 576, X86_REG_NAME_MAX = 24 };

/* Components of the area of XSAVE (vol. 1, 13.1): bits of its header and of XCR0. */
enum { X86_XFEATURE_X87 = 1, X86_XFEATURE_SSE = 2, X86_XFEATURE_AVX = 4 };

struct x86_reg hull_x86_reg(uint32_t number);

/* The number of an MSR, or UINT32_MAX if HULL_X86_REG_MSR does not reach it. */
uint32_t hull_x86_msr_reg(uint32_t msr);

/* The name, such as "rax", "fs_base" or "msr_c0000080"; "?" if it is no register. */
void hull_x86_reg_name(uint32_t number, char dst[X86_REG_NAME_MAX]);

/* The n-th register that has a name of its own (no MSRs); UINT32_MAX after the last. */
uint32_t hull_x86_reg_at(unsigned n);

#endif
