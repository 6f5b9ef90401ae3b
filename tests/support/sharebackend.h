/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A 9P server that knows no file, for tests of the device: it answers each T-message with the
 * R-message that has its tag, fills in what Tread asks for and sums up what Twrite brings.
 * Synchronous, or answering from a thread; requests can be held back.
 */
#ifndef TESTS_SUPPORT_SHAREBACKEND_H
#define TESTS_SUPPORT_SHAREBACKEND_H

#include <pthread.h>

#include "core/backend.h"

struct sharebackend {
	struct hull_share s; /* first */
	bool async;
	/* under `lock`: */
	bool hold, quit;
	unsigned active, submitted, resets;
	uint64_t sum; /* of the bytes of Twrite */
	struct hull_share_req *queue;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
};

struct sharebackend *sharebackend_new(bool async);
void sharebackend_free(struct sharebackend *m);
void sharebackend_hold(struct sharebackend *m, bool hold);

#endif
