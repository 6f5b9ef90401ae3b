/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How far a long operation is, on one line of a terminal, and whether the
 * user wants it to end.  Without a terminal nothing is printed.
 *
 * Threading: begin and end from one thread; step from any.
 */
#ifndef HULL_MANAGE_PROGRESS_H
#define HULL_MANAGE_PROGRESS_H

#include <pthread.h>
#include <stdio.h>

#include <hull/types.h>

struct hull_progress {
	FILE *out; /* NULL: silent */
	const char *label;
	uint64_t done, total; /* bytes */
	int64_t begun_ms, shown_ms;
	pthread_mutex_t lock;
};

/*
 * Begin an operation of `total` bytes.  Shown on `out` if that is a terminal
 * and `quiet` is not set.  From now on the first SIGINT, SIGTERM, SIGHUP or SIGQUIT asks for an
 * orderly end instead of ending the process.
 */
void hull_progress_begin(struct hull_progress *p, FILE *out, bool quiet, const char *label,
                         uint64_t total);

/* `bytes` more are done.  False: the user wants it to end. */
bool hull_progress_step(struct hull_progress *p, uint64_t bytes);

/* Take the line away. */
void hull_progress_end(struct hull_progress *p);

#endif
