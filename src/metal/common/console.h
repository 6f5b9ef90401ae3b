/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hypervisor's console, which the serial ports of VMs and the hypervisor's shell share.
 *
 * What is typed goes to the one in front.  The escape character changes between the shell and the
 * VM that was in front last.  Once somebody has typed something for it, the VM in front prints
 * as it likes; others, and all before, print whole lines.  Of several VMs each line begins with
 * the VM's name.
 *
 * Threading: printing from any CPU; the rest from the thread that serves the VMs.
 */
#ifndef HULL_METAL_COMMON_CONSOLE_H
#define HULL_METAL_COMMON_CONSOLE_H

#include <hull/types.h>

#include "core/backend.h"

enum {
	METAL_ESCAPE = 0x1d, /* Ctrl-] */
	METAL_LINE = 240,
	METAL_TYPED = 256, /* characters that wait for a guest to read them; a power of two */
	METAL_PORTS = 17,  /* VMs, and the shell */
};

/* Where bytes go from now on; NULL at first: nowhere. */
void metal_console_set(void (*write)(const char *text, size_t len));

/* Whole lines of the hypervisor's. */
void metal_console_write(const char *text, size_t len);
/* A line, as hull_format() has it; "\n" is added. */
void metal_say(const char *format, ...) HULL_PRINTF(1, 2);

/* For a fault: no lock, whoever holds it. */
void metal_console_break(void);

/* One that shares the console. */
struct metal_port {
	struct hull_char chr; /* for its serial port */
	const char *name;     /* NULL: the shell, which says itself who it is */
	char line[METAL_LINE];
	uint32_t nline; /* since the last line break; printed already if it is in front */
	uint8_t typed[METAL_TYPED];
	uint32_t head, tail; /* free-running */
};

/*
 * Port `n` is `p` from now on; NULL: nobody.  Port 0 is the shell's, VM i has port i + 1.  The
 * first VM's port to come is in front.
 */
void metal_console_join(uint32_t n, struct metal_port *p, const char *name);

/* There are several VMs: lines get names. */
void metal_console_name_lines(void);

/* Bring a port to the front.  False: there is none of this number. */
bool metal_console_show(uint32_t n);

/* A character was typed. */
void metal_console_type(uint8_t c);

/* A character has come from outside; in an interrupt of the CPU that the console belongs to. */
void metal_console_arrived(uint8_t c);
/* The next that has come; -1: none. */
int metal_console_next(void);

#endif
