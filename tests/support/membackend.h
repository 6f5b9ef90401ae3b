/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A disk in memory, for tests: synchronous, or answering from a thread; with
 * requests that fail or are held back on demand.
 */
#ifndef TESTS_SUPPORT_MEMBACKEND_H
#define TESTS_SUPPORT_MEMBACKEND_H

#include <pthread.h>

#include "core/backend.h"

struct membackend {
	struct hull_block b; /* first */
	uint8_t *data;
	bool async;
	bool batch; /* async: all that there is at a time, see settled() of core/backend.h */
	int fail;   /* not 0: the status of every request */
	/* under `lock`: */
	bool hold; /* async: requests wait until released */
	bool quit;
	unsigned active, submitted;
	enum hull_block_op last; /* of the requests submitted */
	bool unmap;              /* of that one */
	struct hull_block_req *queue;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
};

struct membackend *membackend_new(uint64_t size, bool async);
void membackend_free(struct membackend *m);

/* Hold requests back, or let them go. */
void membackend_hold(struct membackend *m, bool hold);

#endif
