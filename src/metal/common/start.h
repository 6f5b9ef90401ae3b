/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the hypervisor does once its machine is ready. */
#ifndef HULL_METAL_COMMON_START_H
#define HULL_METAL_COMMON_START_H

/* Make and run the VMs of the image; returns when the last has stopped. */
void metal_start(void);

#endif
