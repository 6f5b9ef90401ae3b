/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Character backends: what is behind a serial port.
 *
 *   stdio        the process's standard input and output; a terminal is made raw
 *   file:PATH    output to a file, made anew; no input
 *   pty          a new pseudo-terminal
 *   socket:PATH  a Unix socket that Hull listens on; one client at a time
 *   none         output is dropped, no input
 *
 * Output never blocks: what the reader does not take now is refused, which
 * slows the guest down.  A reader that takes nothing for a second is left
 * behind: until it reads again, everything is dropped and counted.  Input is
 * taken from the host only as fast as the guest reads it.
 *
 * Life: open -> (the VM's device is made with it) -> prepare -> (the VM runs) -> start -> stop
 * -> (the VM is destroyed) -> close.  Threading: these functions from one thread; the
 * methods of struct hull_char as backend.h says.
 *
 * Catalogue: E0901 unknown target, E0902 it cannot be opened, E0411 the
 * terminal is in use, E0801 no thread.
 */
#ifndef HULL_HOST_CHAR_CHAR_H
#define HULL_HOST_CHAR_CHAR_H

#include "core/backend.h"

struct hull_char_options {
	const char *target; /* as above */
	/*
	 * Writes wait for a slow reader instead of refusing, for a second in all:
	 * how fast somebody reads must not change a repeatable run.
	 */
	bool patient;
	/*
	 * stdio on a terminal only: this byte from the user is not passed on, but
	 * calls `escaped` on the backend's thread.  0: no such byte.
	 */
	uint8_t escape;
	void (*escaped)(void *arg);
	void *arg;
};

int hull_char_open(const struct hull_char_options *o, struct hull_char **ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* The terminal becomes raw: before the guest prints, and before its user types. */
int hull_char_prepare(struct hull_char *c, struct hull_err *err) HULL_CHECK_RESULT;

/* Begin to deliver input; prepares what is not. */
int hull_char_start(struct hull_char *c, struct hull_err *err) HULL_CHECK_RESULT;

/* No more callbacks when this returns; the terminal is given back.  Idempotent. */
void hull_char_stop(struct hull_char *c);

/* Give everything back; NULL is fine. */
void hull_char_close(struct hull_char *c);

/* Where a user finds it: "/dev/pts/4" for a pty, otherwise the target. */
/* The path of its socket; NULL: it is none. */
const char *hull_char_socket(const struct hull_char *c);
const char *hull_char_place(const struct hull_char *c);

/* Is it standard input and a terminal? */
bool hull_char_is_terminal(const struct hull_char *c);

/* Bytes that nobody took. */
uint64_t hull_char_dropped(const struct hull_char *c);

#endif
