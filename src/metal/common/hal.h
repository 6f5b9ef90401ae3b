/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The HAL of bare metal: page frames, threads, the counter. */
#ifndef HULL_METAL_COMMON_HAL_H
#define HULL_METAL_COMMON_HAL_H

#include <hull/hal.h>

extern const struct hull_hal metal_hal;

/* The time of day, in seconds since 1970; once, at boot.  Until then it is 2026-01-01. */
void metal_clock_set(uint64_t seconds);

#endif
