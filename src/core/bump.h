/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Bump arena: all memory of a VM beside guest RAM.
 *
 * Made of chunks of HAL pages; nothing is freed alone, everything dies with
 * hull_bump_fini().  Threading: one thread, before the VM is sealed.
 */
#ifndef HULL_CORE_BUMP_H
#define HULL_CORE_BUMP_H

#include <hull/hal.h>

struct hull_bump_chunk;

struct hull_bump {
	const struct hull_hal *hal;
	struct hull_bump_chunk *chunk; /* the newest */
	uint64_t used, size;           /* bytes of that one */
	uint64_t total;                /* bytes taken from the HAL */
	bool sealed;
};

void hull_bump_init(struct hull_bump *a, const struct hull_hal *hal);

/* Give all memory back; `a` itself may lie in it. */
void hull_bump_fini(struct hull_bump *a);

/* Zeroed memory; `align` is a power of two up to the page size.  NULL if there is none. */
void *hull_bump_alloc(struct hull_bump *a, uint64_t bytes, uint64_t align);

/* From here on an allocation is a mistake of ours. */
void hull_bump_seal(struct hull_bump *a);

#endif
