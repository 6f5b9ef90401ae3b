/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Names for addresses in a kernel.  Any thread; nothing is kept. */
#ifndef HULL_HOST_SYMBOLS_H
#define HULL_HOST_SYMBOLS_H

#include <hull/types.h>

/*
 * The name of the symbol at or below `pc`, from the kernel if it is ELF, or from the
 * System.map beside it: "panic+0x2d0".  False if there is none.
 */
bool hull_doctor_symbol(const char *kernel, uint64_t pc, char *buf, size_t size);

#endif
