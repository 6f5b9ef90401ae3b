/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A HAL for tests: a clock that only moves when told, allocations that fail on
 * demand and are counted, sleeping through a condition variable.
 *
 * Threading: all functions from any thread; one struct fake_hal per test.
 */
#ifndef FAKE_HAL_H
#define FAKE_HAL_H

#include <pthread.h>
#include <hull/hal.h>

struct fake_hal {
	struct hull_hal hal; /* first */
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool real_time;        /* now_ns() is the host's monotonic clock */
	uint64_t now;          /* ns; atomic */
	int64_t wall;          /* ns since 1970 */
	uint64_t allocations;  /* calls so far */
	uint64_t fail_at;      /* this call fails (1: the next); 0: none */
	uint64_t live_bytes;   /* not freed yet */
	uint64_t live_private; /* of that, not guest RAM */
	uint64_t live_code;    /* of that, for generated code */
	uint64_t live_blocks;
	uint64_t waits; /* atomic: calls of wait() that slept */
	bool random_fails;
	bool no_code;       /* code_alloc() is not supported */
	uint8_t *claimable; /* host memory that range_claim() hands out */
	hull_hpa claim_base;
	uint64_t claim_size;
	uint64_t claimed_bytes;
	char console[256];
};

void fake_hal_init(struct fake_hal *h);
void fake_hal_fini(struct fake_hal *h);

/* Move the clock and wake every sleeper, so that it looks at its deadline. */
void fake_hal_advance(struct fake_hal *h, uint64_t ns);

#endif
