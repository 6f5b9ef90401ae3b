/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The inside of the virt-aarch64 board: shared by its two files only. */
#ifndef HULL_BOARD_VIRT_AARCH64_H
#define HULL_BOARD_VIRT_AARCH64_H

#include "board/load.h"
#include "board/tree.h"

struct arm_virt {
	struct hull_places places; /* first */
	uint32_t below;            /* HULL_BELOW_*: what the accelerator has */
	struct hull_dev *gic;      /* Hull's own GICv3; NULL: it is below */
	struct hull_dev *ivc;      /* NULL: the VM has no channels */
};

bool hull_virt_aarch64_has_gic(const struct arm_virt *v);

/* Bytes that the device tree needs at most. */
uint64_t hull_virt_aarch64_fdt_room(const struct arm_virt *v);

/* Write the device tree for a boot with this layout.  HULL_EOVERFLOW (E0732). */
int hull_virt_aarch64_fdt(const struct arm_virt *v, const struct hull_boot_layout *layout,
                          void *buf, size_t size, size_t *ret_size, struct hull_err *err);

#endif
