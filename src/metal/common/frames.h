/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Page frames of the machine: what is free, in extents, lowest address first.
 *
 * Threading: any CPU.
 */
#ifndef HULL_METAL_COMMON_FRAMES_H
#define HULL_METAL_COMMON_FRAMES_H

#include <hull/types.h>

/* Add memory that nobody uses; at boot.  Parts of pages at the ends are dropped. */
void metal_frames_add(hull_hpa start, uint64_t bytes);

/* Take an exact range out of the free memory; false: part of it is not free. */
bool metal_frames_claim(hull_hpa start, uint64_t bytes);

/* Zeroed memory: whole pages, `align` a power of two.  NULL: there is none. */
void *metal_frames_alloc(uint64_t bytes, uint64_t align);
void metal_frames_free(void *at, uint64_t bytes);

/* For tests: the `n`-th allocation from now fails, once; 0: none. */
void metal_frames_fail(uint32_t n);

/* Free bytes, for statistics and tests. */
uint64_t metal_frames_left(void);

#endif
