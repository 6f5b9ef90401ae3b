/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Random operations on a disk image beside a copy of what it must hold.
 */
#ifndef TESTS_SUPPORT_DISK_ORACLE_H
#define TESTS_SUPPORT_DISK_ORACLE_H

#include "base/prng.h"
#include "host/block/image.h"

enum { ORACLE_SNAPSHOTS = 4 };

struct oracle {
	struct hull_prng rng;
	uint8_t *mem;
	uint64_t size, max;
	struct {
		char name[16];
		uint8_t *mem; /* NULL: none */
		uint64_t size;
	} snapshots[ORACLE_SNAPSHOTS];
	unsigned made;
	bool can_snapshot, can_resize;
	char problem[300]; /* what went wrong; empty: nothing */
};

/* A disk that holds what `img` holds now.  It grows to `max` bytes at most. */
bool oracle_init(struct oracle *o, struct hull_image *img, uint64_t max, uint64_t seed);
void oracle_fini(struct oracle *o);

/* One operation; false: `problem` says what is wrong. */
bool oracle_step(struct oracle *o, struct hull_image *img);
/* Is every byte as it must be? */
bool oracle_verify(struct oracle *o, struct hull_image *img);

#endif
