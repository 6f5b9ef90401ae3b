/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Allow lists of system calls, as programs for the kernel's seccomp filter
 * (Linux, Documentation/userspace-api/seccomp_filter.rst).
 *
 * Pure functions and tables; any thread.
 */
#ifndef HULL_HOST_SANDBOX_FILTER_H
#define HULL_HOST_SANDBOX_FILTER_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/filter.h>

enum { HULL_JAIL_CONDITIONS = 3, HULL_JAIL_PROGRAM = 512, HULL_JAIL_ZERO = UINT16_MAX };

/* The low half of an argument, where the mask has ones, is `value`.  No ones: no condition. */
struct hull_jail_condition {
	uint8_t arg; /* 0 to 5 */
	uint32_t mask, value;
	bool own; /* instead of `value`: this process's number */
};

/* Where a program runs: AUDIT_ARCH_..., the number of the process, what the VM has (bits). */
struct hull_jail_place {
	uint32_t arch, pid, needs;
};

/*
 * A call, allowed if all conditions hold; of several rules for one call, one is enough.  `error`:
 * the call returns this errno value, or 0 (HULL_JAIL_ZERO), and is no violation, for what the C
 * library tries first and can do without.  `needs`: the rule is there only if the VM has one of
 * these; 0: always.
 */
struct hull_jail_rule {
	uint16_t call, error;
	uint32_t needs;
	struct hull_jail_condition conditions[HULL_JAIL_CONDITIONS];
};

struct hull_jail_rules {
	const struct hull_jail_rule *rules;
	unsigned n;
};

/*
 * The program for the rules of `parts` together: what they do not allow traps (SIGSYS), and so
 * does every call of another architecture.  Returns the number of instructions in dst, 0 if `room`
 * is too small or an entry is malformed.
 */
unsigned hull_jail_compile(const struct hull_jail_rules *parts, unsigned nparts,
                           const struct hull_jail_place *place, struct sock_filter *dst,
                           unsigned room);

/* How many different calls the rules allow, if the VM has `needs`. */
unsigned hull_jail_count(const struct hull_jail_rules *parts, unsigned nparts, uint32_t needs);

#endif
