/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The HAL of bare metal: page frames, threads, the counter. */
#ifndef HULL_METAL_COMMON_HAL_H
#define HULL_METAL_COMMON_HAL_H

#include <hull/hal.h>

extern const struct hull_hal metal_hal;

#endif
