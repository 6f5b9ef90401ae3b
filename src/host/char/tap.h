/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A tap in a character stream: passes everything on and watches what the
 * guest prints: which texts appeared and when, how much, and the last lines.
 *
 * Threading: writes come from one lane at a time (backend.h); the other
 * functions from any thread.  Lifetime: the caller's memory, as long as the
 * device; the inner backend stays the caller's, too.
 */
#ifndef HULL_HOST_CHAR_TAP_H
#define HULL_HOST_CHAR_TAP_H

#include <pthread.h>

#include "core/backend.h"

enum { HULL_TAP_PATTERNS = 8, HULL_TAP_TAIL = 1024, HULL_TAP_PATTERN_MAX = 255 };

struct hull_tap_pattern {
	const char *text;
	uint8_t back[HULL_TAP_PATTERN_MAX]; /* longest proper prefix that is a suffix */
	uint8_t len, matched;
	uint64_t seen_ns; /* atomic: host time of the first match, 0: none */
	uint32_t count;   /* atomic */
};

struct hull_tap {
	struct hull_char chr; /* for the device */
	struct hull_char *inner;
	void (*seen)(void *arg, unsigned pattern); /* may be NULL; on the writing thread */
	void *arg;
	unsigned npatterns;
	struct hull_tap_pattern patterns[HULL_TAP_PATTERNS];
	uint64_t bytes;    /* atomic: written by the guest */
	uint64_t read;     /* atomic: taken by the guest */
	uint64_t first_ns; /* atomic: host time of the first and the last byte; 0: none */
	uint64_t last_ns;
	pthread_mutex_t mutex; /* tail */
	size_t tail_at;        /* free-running */
	char tail[HULL_TAP_TAIL];
};

/* Put a tap in front of `inner`, which may be NULL (then everything is dropped). */
void hull_tap_init(struct hull_tap *t, struct hull_char *inner);

/*
 * Watch for a text of 1 to 255 bytes; before the guest runs.  It must outlive
 * the tap.  Returns its number, or HULL_EINVAL, HULL_EOVERFLOW.
 */
int hull_tap_watch(struct hull_tap *t, const char *text);

/* Host time (ns, monotonic) at which pattern `i` first appeared; 0: it has not. */
uint64_t hull_tap_seen(const struct hull_tap *t, unsigned i);

/* Copy the last printed bytes, at most size - 1, and terminate; control characters become spaces.
 */
size_t hull_tap_tail(struct hull_tap *t, char *buf, size_t size);

#endif
