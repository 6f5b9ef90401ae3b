/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the hosted layer asks of the operating system beyond the HAL: errno
 * translation, threads with sane signal masks, stop signals and the terminal.
 *
 * Threading: any thread, unless a function says otherwise.
 */
#ifndef HULL_HOST_OS_OS_H
#define HULL_HOST_OS_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <hull/error.h>

/* The signal of hal->cpu_kick, counted from SIGRTMIN. */
#define HULL_KICK_SIGNAL 4

/* The HULL_E... that is nearest to an errno value; HULL_EIO if none is. */
int hull_os_error(int error);

/* The words for an errno value in messages: "permission denied (EACCES)".  Never NULL. */
const char *hull_os_reason(int error, char *buf, size_t size);

/*
 * Start a thread called `name` (at most 15 characters are kept) with a small
 * stack.  It takes no signal but the kick and synchronous faults; a write to a
 * closed pipe or past a size limit is an error return in it, not a signal.
 * HULL_ENOMEM (E0801).
 */
int hull_os_thread(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* Called in each new thread, before its function, with its name.  NULL: nothing is. */
typedef void (*hull_os_thread_fn)(const char *name);
void hull_os_thread_hook(hull_os_thread_fn fn);

/* Sleep, by the call that locks use, so that a sandbox need not allow another one. */
void hull_os_sleep(uint64_t ns);

/* What the kernel calls this architecture (AUDIT_ARCH_...); 0: it is none that we know. */
uint32_t hull_os_audit_arch(void);
/*
 * In a handler of SIGSYS, with its third argument: the call that was stopped returns `error`
 * (an errno value) to whoever made it.
 */
void hull_os_refuse_call(void *context, int error);

/*
 * The terminal of the process; there is one, so this is process-wide state.
 *
 * raw: turn the terminal `fd` raw (input uninterpreted, output post-processing
 * kept, so that "\n" still starts a line).  It is given back by restore, at
 * exit(), by every deadly signal and while the process is stopped; SIGCONT
 * makes it raw again.  HULL_EBUSY if it is raw already, HULL_EINVAL if `fd` is
 * no terminal.
 */
int hull_terminal_raw(int fd, struct hull_err *err) HULL_CHECK_RESULT;
void hull_terminal_restore(void);
/*
 * Does the terminal `fd` belong to another job now?  hull_terminal_again() makes it raw
 * again when it has come back: the shell sends no signal to a job that ran meanwhile.
 */
bool hull_terminal_away(int fd);
void hull_terminal_again(void);

/*
 * Let SIGINT, SIGTERM, SIGHUP and SIGQUIT ask for an orderly end: the first
 * one is stored and announced on the event descriptor `fd` (an 8-byte 1 is
 * written; -1: nowhere), a second one ends the process at once, terminal restored.  Those
 * that the process was started to ignore (nohup) stay ignored.
 */
void hull_signals_watch(int fd);
/* The signal that came, 0 if none. */
int hull_signals_taken(void);

#endif
