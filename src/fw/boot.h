/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where kernel, initrd and device tree go in guest memory.
 *
 * Kernel first (hull_image_plan() has chosen its place), then the initrd,
 * then the device tree, each at a 2 MiB boundary: Linux maps the tree early
 * with 2 MiB pages and wants the initrd near the kernel (arm64 booting.rst:
 * one 32 GiB window).  If memory is scarce, page alignment and the gap below
 * the kernel will do.
 *
 * Threading: pure.
 * Catalogue: E0720 the initrd does not fit, E0721 the device tree does not fit,
 * E0722 the memory or the kernel's place makes no sense, E0723 the place
 * that the user chose is taken or not memory.
 */
#ifndef HULL_FW_BOOT_H
#define HULL_FW_BOOT_H

#include "fw/fdt.h"
#include "fw/image.h"

struct hull_boot_request {
	hull_gpa ram_base;
	uint64_t ram_size;
	const struct hull_image_plan *kernel;
	uint64_t initrd_bytes; /* 0: no initrd */
	uint64_t dtb_bytes;    /* 0: no tree; otherwise room to reserve for it */
	bool has_initrd_at, has_dtb_at;
	hull_gpa initrd_at, dtb_at;     /* the user's own choice: any free place in RAM */
	struct hull_fdt_range reserved; /* nothing goes here; a length of 0: no such range */
};

/* Ranges inside RAM that do not overlap; a length of 0 means that there is none. */
struct hull_boot_layout {
	struct hull_fdt_range kernel;
	struct hull_fdt_range initrd;
	struct hull_fdt_range dtb;
};

/* Choose the places.  HULL_EINVAL (E0720 to E0723) with the memory that would be enough. */
int hull_boot_layout(const struct hull_boot_request *req, struct hull_boot_layout *ret,
                     struct hull_err *err) HULL_CHECK_RESULT;

#endif
