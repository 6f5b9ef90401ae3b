/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Loads and stores of integer registers, as a hypervisor sees them that performs one for its guest.
 *
 * Spec: Unprivileged ISA, chapters 2, 4 and 26 ("C").  Pure.
 */
#ifndef HULL_ISA_RISCV64_ACCESS_H
#define HULL_ISA_RISCV64_ACCESS_H

#include "isa/riscv64/insn.h"

struct hull_rv_access {
	uint8_t reg;        /* that is stored, or loaded */
	uint8_t insn_bytes; /* 2 or 4 */
	uint8_t bytes;      /* 1, 2, 4, 8 */
	bool write;
	bool sign; /* what is loaded is extended with its sign */
};

/* False: the instruction is no such access. */
bool hull_rv_access_decode(const struct hull_rv_decoder *d, uint32_t bits,
                           struct hull_rv_access *ret);

/* What a register gets from a load that found `data`. */
uint64_t hull_rv_access_value(const struct hull_rv_access *a, uint64_t data);

#endif
