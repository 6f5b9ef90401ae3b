/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The boot doctor: says why a guest has come to nothing.
 *
 * It looks at a guest that is silent: one that never printed anything, one
 * that panicked, one whose CPUs all wait for something that cannot come, one
 * that traps in a loop.  A guest that idles at a prompt is none of these.  The
 * evidence goes to debug/diagnosis.h, which knows the causes.
 *
 * Threading: the thread that supervises the VM; not a vCPU's.
 */
#ifndef HULL_APP_BOOT_DOCTOR_H
#define HULL_APP_BOOT_DOCTOR_H

#include <stdio.h>

#include <hull/vm.h>
#include "host/char/tap.h"

/* Set the first block before the first look; zero the rest. */
struct hull_boot_doctor {
	struct hull_vm *vm;
	struct hull_tap *tap;
	FILE *out; /* where reports go */
	const char *name, *cmdline, *kernel;
	bool initrd, firmware, terminal, raw;
	bool json; /* reports are JSON objects */
	uint32_t disks;
	/* Kept up to date by the caller: */
	uint64_t panicked_ns; /* when the panic text came; 0: it did not */
	bool userspace;       /* the first process was started */

	bool dead;     /* the report says: nothing will ever happen again */
	bool reported; /* at most one report in a life */
	uint64_t progress, progress_ns, next_ns, pause_ns;
};

/* Look at the guest; true if a report was written now. */
bool hull_boot_doctor_look(struct hull_boot_doctor *d);

#endif
