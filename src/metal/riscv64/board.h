/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the machine is, from its device tree.  What the tree does not say is not assumed. */
#ifndef HULL_METAL_RISCV64_BOARD_H
#define HULL_METAL_RISCV64_BOARD_H

#include "metal/common/tree.h"

struct metal_board {
	struct metal_memory memory;
	uint32_t ncpus; /* of the tree; one of them is used */
	uint32_t hz;    /* of the time CSR */
};

/* HULL_ENOTSUP with what is missing. */
int metal_board_read(const struct hull_fdt *t, struct metal_board *b, struct hull_err *err);

#endif
