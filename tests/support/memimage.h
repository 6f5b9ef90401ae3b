/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An image in memory that fails, waits and counts on demand.
 *
 * Threading: any thread; the fields are atomic.
 */
#ifndef HULL_TESTS_SUPPORT_MEMIMAGE_H
#define HULL_TESTS_SUPPORT_MEMIMAGE_H

#include <pthread.h>

#include "host/block/image.h"

struct mem_image {
	struct hull_image img;
	uint8_t *bytes;
	pthread_rwlock_t lock;                          /* of bytes */
	uint32_t fail_reads, fail_writes, fail_flushes; /* how many from now on; UINT32_MAX: all */
	int status;                                     /* with what */
	uint32_t hold;                                  /* nonzero: requests wait until it is 0 */
	uint32_t held;                                  /* how many do */
	uint32_t reads, writes, zeroes, flushes, fua, discards; /* how many came */
	uint32_t now;                                           /* reads are done at once */
};

struct mem_image *mem_image_new(uint64_t size);
void mem_image_release(struct mem_image *m); /* hold = 0 */

#endif
