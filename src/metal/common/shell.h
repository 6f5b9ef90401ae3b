/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hypervisor's shell: lists, starts and stops VMs, and leads to their consoles.
 *
 * Threading: the thread that serves the VMs.
 */
#ifndef HULL_METAL_COMMON_SHELL_H
#define HULL_METAL_COMMON_SHELL_H

#include <hull/types.h>

void metal_shell_init(void);
/* Do with what was typed what it is for: the shell's own work, or a guest's input. */
void metal_shell_serve(void);

#endif
