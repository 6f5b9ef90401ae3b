/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * riscv64 instructions as text, from the rows' syntax.
 *
 * The canonical spelling without aliases, as `objdump -M no-aliases` writes
 * it: "addi a0,a1,-4", "amoadd.w.aq a0,a1,(a2)", "beq a0,a1,0x80000010".
 * Targets are absolute addresses.  Pure; any thread.
 */
#ifndef HULL_ISA_RISCV64_DISASM_H
#define HULL_ISA_RISCV64_DISASM_H

#include <stddef.h>

#include "isa/riscv64/insn.h"

enum { HULL_RV_TEXT_MAX = 64 }; /* bytes that hold any instruction's text, NUL included */

/* ABI names of the registers: 0..31. */
extern const char *const hull_rv_x_names[32];
extern const char *const hull_rv_f_names[32];

/*
 * Write the instruction `bits` at address `pc` into dst (size > 0, always
 * terminated, cut if too long); an encoding that is none or reserved becomes ".half
 * 0x..." or ".word 0x...".  Returns the length of the whole text.
 */
size_t hull_rv_disasm(const struct hull_rv_decoder *d, uint32_t bits, uint64_t pc, char *dst,
                      size_t size);

/* The mnemonic of a row, '.' instead of '_'; returns its length. */
size_t hull_rv_mnemonic(enum hull_rv_id id, char *dst, size_t size);

/* The name of a CSR, or 0x... if it has none; returns its length. */
size_t hull_rv_csr_name(unsigned csr, char *dst, size_t size);

#endif
