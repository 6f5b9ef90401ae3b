/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the hypervisor does once its machine is ready. */
#ifndef HULL_METAL_COMMON_START_H
#define HULL_METAL_COMMON_START_H

#include <hull/types.h>

/* Make and run the VMs of the package, `bytes` at most; returns when the last has stopped. */
void metal_start(const void *package, uint64_t bytes);

#endif
