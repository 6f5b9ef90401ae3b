/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The inside of the virt-riscv64 board: shared by its two files only. */
#ifndef HULL_BOARD_VIRT_RISCV64_H
#define HULL_BOARD_VIRT_RISCV64_H

#include "board/load.h"
#include "board/riscv_sbi.h"
#include "board/tree.h"

enum { VIRT_SOURCES = 95 };

struct virt {
	struct hull_places places; /* first */
	struct hull_sbi sbi;
	struct hull_irq_sink ssip; /* input = vCPU index: raises SSIP once */
	bool firmware;             /* M-mode software runs; Hull serves no SBI */
	struct hull_dev *plic, *aclint, *sswi, *syscon;
};

/* Bytes that the device tree needs at most. */
uint64_t hull_virt_riscv64_fdt_room(const struct virt *v);

/* Write the device tree for a boot with this layout.  HULL_EOVERFLOW (E0732). */
int hull_virt_riscv64_fdt(const struct virt *v, const struct hull_boot_layout *layout, void *buf,
                          size_t size, size_t *ret_size, struct hull_err *err);

#endif
