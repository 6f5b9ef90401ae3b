/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An assembler of one line for tests: the disassembler's syntax read backwards. */
#ifndef TESTS_RVASM_H
#define TESTS_RVASM_H

#include "isa/riscv64/insn.h"

/*
 * Encode `text` ("addi a0,a1,-4"), spelled as hull_rv_disasm() writes it, for
 * address `pc`.  False if there is no such row or the operands do not parse.
 */
bool rvasm(const struct hull_rv_decoder *d, const char *text, uint64_t pc, uint32_t *ret);

/* The row called `name`, '.' for '_'; HULL_RV_INVALID if there is none. */
enum hull_rv_id rvasm_find(const char *name);

#endif
