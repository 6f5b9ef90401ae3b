/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Disks of VMs: images in memory.  One that may be written is a copy, which its VM has for as long
 * as it is on.
 *
 * Threading: open and close by who makes the VM; requests as core/backend.h says.
 */
#ifndef HULL_METAL_COMMON_DISK_H
#define HULL_METAL_COMMON_DISK_H

#include "core/backend.h"

struct metal_disk {
	struct hull_block block;
	uint8_t *data;
	uint64_t copied; /* bytes of a copy; 0: `data` is the image itself */
};

/* `bytes` is a multiple of 512, not 0.  HULL_ENOMEM. */
int metal_disk_open(struct metal_disk *d, const void *image, uint64_t bytes, bool read_only,
                    struct hull_err *err);
void metal_disk_close(struct metal_disk *d); /* of zeroed memory, too */

#endif
