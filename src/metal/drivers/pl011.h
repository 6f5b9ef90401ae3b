/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The host's PL011: output is polled.  Spec: Arm DDI 0183, chapter 3.  Threading: the caller's. */
#ifndef HULL_METAL_DRIVERS_PL011_H
#define HULL_METAL_DRIVERS_PL011_H

#include <hull/types.h>

/* `base` is mapped as a device. */
void metal_pl011_write(uint64_t base, const char *text, size_t len);
/* A byte that has come; -1: none. */
int metal_pl011_read(uint64_t base);
/* Interrupt while something is there to be read, and only then. */
void metal_pl011_listen(uint64_t base);

#endif
