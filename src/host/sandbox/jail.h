/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The sandbox: what the process can still do once the guest runs.
 *
 * basic: nobody gains rights (no_new_privs), no capabilities, no inherited descriptors, and
 * Landlock: only the paths that were named.  strict: namespaces of its own where that is
 * permitted, and for each kind of thread a list of the system calls that it may make (roles.c).
 * A call that is not listed fails with EPERM and is noted; the caller stops the VM.
 *
 * One per process, as what it restricts.  Threading: the main thread; hull_jail_violation() any.
 * Order: begin, before other threads start; allow, before the threads that need the path; enter,
 * before the guest runs; settle, when all threads run that the main thread starts.
 */
#ifndef HULL_HOST_SANDBOX_JAIL_H
#define HULL_HOST_SANDBOX_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <hull/error.h>

#include "host/sandbox/landlock.h"
#include "host/sandbox/roles.h"

enum hull_jail_level { HULL_JAIL_OFF, HULL_JAIL_BASIC, HULL_JAIL_STRICT };

/* The highest level that this host can give; *why is what the next one lacks, or NULL. */
enum hull_jail_level hull_jail_possible(const char **why);

/* Does the host permit namespaces?  Only a look; single-threaded. */
bool hull_jail_can_separate(void);

struct hull_jail_options {
	enum hull_jail_level level;
	int wake;       /* an event descriptor on which a violation is announced */
	unsigned needs; /* what the VM may turn out to have: bits of enum hull_jail_need */
	bool local;     /* no thread needs a network of the host's */
};

/*
 * From now on threads start with their rights and no more.  HULL_ENOTSUP (E1402): the host does
 * not have what the level needs; namespaces are had where the host permits them.
 */
int hull_jail_begin(const struct hull_jail_options *o, struct hull_err *err) HULL_CHECK_RESULT;

/* The VM turned out to have these, or not to; for threads that start later. */
void hull_jail_require(unsigned needs);
void hull_jail_forgo(unsigned needs);

/* Code that starts threads by itself calls this in each, with the thread's name. */
void hull_jail_thread(const char *name);

/* The threads that may use paths may use this one.  HULL_ENOENT, HULL_EPERM: it cannot be found. */
int hull_jail_allow(const char *path, enum hull_landlock_use use,
                    struct hull_err *err) HULL_CHECK_RESULT;
/* Likewise: the directory that `file` is in. */
int hull_jail_allow_folder(const char *file, enum hull_landlock_use use,
                           struct hull_err *err) HULL_CHECK_RESULT;

/* The main thread gives up its rights, too. */
int hull_jail_enter(struct hull_err *err) HULL_CHECK_RESULT;
/* And the calls that it needed to start the others. */
int hull_jail_settle(struct hull_err *err) HULL_CHECK_RESULT;

/* Is there one, of any level? */
bool hull_jail_is_on(void);

/* Did a thread do what it may not do (E1401), or could it not be confined (E1402)? */
bool hull_jail_violation(struct hull_err *err);

/* What is in force, in one line. */
void hull_jail_describe(char *dst, size_t size);

#endif
