/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Progress that is measured: phases with a count of something real.  On a terminal one line
 * that changes, elsewhere a line when a phase begins to count and when it ends, and one every
 * fifteen seconds.  One thread.
 */
#ifndef HULL_MANAGE_INSTALL_PHASE_H
#define HULL_MANAGE_INSTALL_PHASE_H

#include <stdio.h>

#include <hull/types.h>

struct hull_phase {
	FILE *out; /* NULL: silent */
	bool tty, json;
	const char *phase;
	uint64_t begun_ns, said_ns, total_ns; /* the latter since the first phase began */
	uint64_t first_ns;
	char note[80];
};

/* A phase begins; the one before it, if any, has ended well. */
void hull_phase_begin(struct hull_phase *p, const char *phase);

/* How far it is: "12 of 130 packages", "31.5 of 154.7 MiB". */
void hull_phase_count(struct hull_phase *p, uint64_t done, uint64_t total, const char *unit);
void hull_phase_bytes(struct hull_phase *p, uint64_t done, uint64_t total);

/* What was seen last, where nothing can be counted. */
void hull_phase_seen(struct hull_phase *p, const char *text);

/* The last phase has ended; `well`: or was broken off. */
void hull_phase_end(struct hull_phase *p, bool well);

#endif
