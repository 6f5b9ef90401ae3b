/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What each kind of thread of `hull run` may do.  Tables; any thread. */
#ifndef HULL_HOST_SANDBOX_ROLES_H
#define HULL_HOST_SANDBOX_ROLES_H

#include <stdbool.h>

#include "host/sandbox/filter.h"

enum { HULL_JAIL_PARTS = 7 };

/* What only some VMs have, and what takes more than the rest; REMOTE: disks behind a network. */
enum hull_jail_need {
	HULL_JAIL_DISK = 1,
	HULL_JAIL_VSOCK = 2,
	HULL_JAIL_KVM = 4,
	HULL_JAIL_REMOTE = 8
};

struct hull_jail_role {
	const char *name; /* in messages: "vcpu" */
	const char
		*thread; /* its threads are called this, digits may follow; NULL: the main thread */
	struct hull_jail_rules rules, disk, vsock, kvm; /* the last three: if the VM has it */
	bool paths;    /* opens files, those that were named (hull_jail_allow) */
	uint64_t keep; /* capabilities, if the process has them: bits */
};

extern const struct hull_jail_role hull_jail_roles[];
extern const unsigned hull_jail_role_count;
extern const struct hull_jail_role *const hull_jail_control; /* the main thread's */

/* This build has a sanitizer in it, which needs more than the rest and reads /proc. */
extern const bool hull_jail_sanitized;

/* The role of the threads called `name`; one that may nearly nothing if nobody knows them. */
const struct hull_jail_role *hull_jail_role_of(const char *name);

/* All rules of a role: its own, those of every thread, those that a sanitizer needs. */
unsigned hull_jail_role_parts(const struct hull_jail_role *r, unsigned needs,
                              struct hull_jail_rules parts[HULL_JAIL_PARTS]);

/* How many different calls that are. */
unsigned hull_jail_role_calls(const struct hull_jail_role *r, unsigned needs);

#endif
