/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Landlock: which paths a thread may still use (Linux, Documentation/userspace-api/landlock.rst).
 * The numbers are ours, since the headers of the build host may be older than the kernel.
 *
 * Threading: a ruleset belongs to one thread until it is complete.
 */
#ifndef HULL_HOST_SANDBOX_LANDLOCK_H
#define HULL_HOST_SANDBOX_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <hull/error.h>

/* What a rule allows below its path. */
enum hull_landlock_use {
	HULL_LANDLOCK_READ,   /* files and directories */
	HULL_LANDLOCK_CHANGE, /* all but to execute, and to make device nodes */
	HULL_LANDLOCK_SOCKET, /* names of sockets: made and removed */
};

/* The version of the kernel's interface; 0: there is none. */
int hull_landlock_version(void);

/*
 * A ruleset that allows no path, and TCP only if `tcp` (version 4; earlier ones leave it alone).
 * A descriptor that the caller closes, negative: HULL_ENOTSUP.
 */
int hull_landlock_new(bool tcp);

/* Allow use of what is at or below `path`.  HULL_ENOENT, HULL_EPERM: it cannot be looked at. */
int hull_landlock_allow(int ruleset, const char *path, enum hull_landlock_use use);

/* From now on this thread, and those that it starts, can do only what the ruleset allows. */
int hull_landlock_enter(int ruleset);

#endif
