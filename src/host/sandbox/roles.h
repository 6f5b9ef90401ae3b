/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What each kind of thread of `hull run` may do.  Tables; any thread. */
#ifndef HULL_HOST_SANDBOX_ROLES_H
#define HULL_HOST_SANDBOX_ROLES_H

#include <stdbool.h>

#include "host/sandbox/filter.h"

enum { HULL_JAIL_LISTS = 4, HULL_JAIL_PARTS = HULL_JAIL_LISTS + 3 };

/* What only some VMs have, and what takes more than the rest. */
enum hull_jail_need {
	HULL_JAIL_DISK = 1,
	HULL_JAIL_VSOCK = 2,
	HULL_JAIL_KVM = 4,
	HULL_JAIL_REMOTE = 8,    /* disks behind a network */
	HULL_JAIL_CHANGE = 0x10, /* shares that the guest may write */
	HULL_JAIL_PASST = 0x20,
	HULL_JAIL_STORE = 0x40,    /* code that is kept */
	HULL_JAIL_TERMINAL = 0x80, /* the process has one, and may have to give it back */
	HULL_JAIL_EVERYTHING = 0xff
};

struct hull_jail_role {
	const char *name; /* in messages: "vcpu" */
	/* Its threads are called this, digits may follow; NULL: the main thread. */
	const char *thread;
	struct hull_jail_rules lists[HULL_JAIL_LISTS];
	bool paths;    /* opens files, those that were named (hull_jail_allow) */
	bool modes;    /* gives files modes of its own choice (umask()) */
	uint64_t keep; /* capabilities, if the process has them: bits */
};

extern const struct hull_jail_role hull_jail_roles[];
extern const unsigned hull_jail_role_count;
extern const struct hull_jail_role *const hull_jail_control; /* the main thread's */

/* This build has a sanitizer in it, which needs more than the rest and reads /proc. */
extern const bool hull_jail_sanitized;

/* The role of the threads called `name`; one that may nearly nothing if nobody knows them. */
const struct hull_jail_role *hull_jail_role_of(const char *name);

/* All rules of a role: those of every thread, its own, those that a sanitizer needs. */
unsigned hull_jail_role_parts(const struct hull_jail_role *r,
                              struct hull_jail_rules parts[HULL_JAIL_PARTS]);

/* How many different calls that are, if the VM has `needs`; without those for a sanitizer. */
unsigned hull_jail_role_calls(const struct hull_jail_role *r, unsigned needs);

#endif
