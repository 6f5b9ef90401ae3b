/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The hypervisor's console.  Any CPU. */
#ifndef HULL_METAL_COMMON_CONSOLE_H
#define HULL_METAL_COMMON_CONSOLE_H

#include <hull/types.h>

/* Where bytes go from now on; NULL at first: nowhere. */
void metal_console_set(void (*write)(const char *text, size_t len));

void metal_console_write(const char *text, size_t len);
/* A line, as hull_format() has it; "\n" is added. */
void metal_say(const char *format, ...) HULL_PRINTF(1, 2);

/* For a fault: no lock, whoever holds it. */
void metal_console_break(void);

#endif
