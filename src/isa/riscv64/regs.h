/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * riscv64 names and numbers: registers as accelerators number them, CSR
 * bits, causes.  Privileged ISA 20240411 unless noted.
 */
#ifndef HULL_ISA_RISCV64_REGS_H
#define HULL_ISA_RISCV64_REGS_H

#include <hull/regs.h>
#include "base/bits.h"

enum { RV_PRIV_U = 0, RV_PRIV_S = 1, RV_PRIV_M = 3 };

/* Interrupt numbers: bits of mip, and inputs of a vCPU. */
enum {
	RV_IRQ_SSI = 1,
	RV_IRQ_MSI = 3,
	RV_IRQ_STI = 5,
	RV_IRQ_MTI = 7,
	RV_IRQ_SEI = 9,
	RV_IRQ_MEI = 11,
};

/* Exception causes (table 14). */
enum {
	RV_INSN_MISALIGNED = 0,
	RV_INSN_ACCESS = 1,
	RV_ILLEGAL = 2,
	RV_BREAKPOINT = 3,
	RV_LOAD_MISALIGNED = 4,
	RV_LOAD_ACCESS = 5,
	RV_STORE_MISALIGNED = 6,
	RV_STORE_ACCESS = 7,
	RV_ECALL_U = 8,
	RV_ECALL_S = 9,
	RV_ECALL_M = 11,
	RV_INSN_PAGE = 12,
	RV_LOAD_PAGE = 13,
	RV_STORE_PAGE = 15,
};

/* mstatus (3.1.6) */
#define MSTATUS_SIE  BIT(1)
#define MSTATUS_MIE  BIT(3)
#define MSTATUS_SPIE BIT(5)
#define MSTATUS_MPIE BIT(7)
#define MSTATUS_SPP  BIT(8)
#define MSTATUS_MPP  (BIT(11) | BIT(12))
#define MSTATUS_FS   (BIT(13) | BIT(14))
#define MSTATUS_MPRV BIT(17)
#define MSTATUS_SUM  BIT(18)
#define MSTATUS_MXR  BIT(19)
#define MSTATUS_TVM  BIT(20)
#define MSTATUS_TW   BIT(21)
#define MSTATUS_TSR  BIT(22)
#define MSTATUS_UXL  (BIT(32) | BIT(33))
#define MSTATUS_SXL  (BIT(34) | BIT(35))
#define MSTATUS_SD   BIT(63)

/* menvcfg (3.1.18), senvcfg (12.1.10) */
#define ENVCFG_FIOM  BIT(0)
#define ENVCFG_CBIE  (BIT(4) | BIT(5))
#define ENVCFG_CBCFE BIT(6)
#define ENVCFG_CBZE  BIT(7)
#define ENVCFG_ADUE  BIT(61)
#define ENVCFG_PBMTE BIT(62)
#define ENVCFG_STCE  BIT(63)

/* misa (3.1.1): MXL = 64, and the letters A C D F I M S U */
#define HULL_RV_MISA                                                                             \
	(UINT64_C(2) << 62 | BIT('A' - 'A') | BIT('C' - 'A') | BIT('D' - 'A') | BIT('F' - 'A') | \
	 BIT('I' - 'A') | BIT('M' - 'A') | BIT('S' - 'A') | BIT('U' - 'A'))

/* Page-table entries (12.4.1) */
#define PTE_V    BIT(0)
#define PTE_R    BIT(1)
#define PTE_W    BIT(2)
#define PTE_X    BIT(3)
#define PTE_U    BIT(4)
#define PTE_G    BIT(5)
#define PTE_A    BIT(6)
#define PTE_D    BIT(7)
#define PTE_PPN  (low_mask(44) << 10)
#define PTE_RSVD (low_mask(7) << 54)
#define PTE_PBMT (BIT(61) | BIT(62))
#define PTE_N    BIT(63)

/* satp (12.1.11) */
#define SATP_MODE(v) ((v) >> 60)
#define SATP_ASID(v) ((v) >> 44 & 0xffff)
#define SATP_PPN(v)  ((v) & low_mask(44))
enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };

/* The time CSR and the ACLINT's mtime tick every 100 ns. */
#define RV_TIME_NS UINT64_C(100)

#endif
