/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Host code as text, by the disassembler of the host's binutils if it is installed. */
#ifndef HULL_APP_HOST_DISASM_H
#define HULL_APP_HOST_DISASM_H

#include <stdio.h>

#include <hull/types.h>

/* Print `size` bytes of this host's code, one instruction a line, or as hex digits. */
void hull_app_host_disasm(FILE *out, const uint8_t *code, size_t size);

#endif
