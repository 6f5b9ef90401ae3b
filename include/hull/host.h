/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The HAL of a process on a general-purpose operating system.
 *
 * Guest RAM is memory of the process that costs nothing until it is touched.
 * Host-physical ranges cannot be claimed.  The first call installs an empty
 * handler for one real-time signal (SIGRTMIN + 4 on Linux), which does
 * nothing but interrupt system calls of the thread that is kicked.
 */
#ifndef HULL_HOST_H
#define HULL_HOST_H

#include <hull/hal.h>

/* The one hosted HAL; never NULL, valid for ever, any thread. */
HULL_EXPORT const struct hull_hal *hull_host_hal(void);

#endif
