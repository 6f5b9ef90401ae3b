/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The VMs of the image: made, run, and given back.  One thread, but for the counters. */
#ifndef HULL_METAL_COMMON_VMS_H
#define HULL_METAL_COMMON_VMS_H

#include <hull/error.h>
#include <hull/types.h>

/* Make every VM of the package at `data` and start it.  Returns how many run. */
unsigned metal_vms_start(const void *data, uint64_t size);

/* Wait until all have stopped, and destroy them.  True: all ended as their guests wanted. */
bool metal_vms_finish(void);

#endif
