/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What metal/common/pass.h needs to know of the machine. */
#ifndef HULL_METAL_AARCH64_PASS_H
#define HULL_METAL_AARCH64_PASS_H

#include "metal/aarch64/board.h"

/* Both stay where they are. */
void metal_pass_init(const struct metal_board *b, const struct hull_fdt *t);

#endif
