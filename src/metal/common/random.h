/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Random bytes, from what the boot loader left of them.  Any CPU. */
#ifndef HULL_METAL_COMMON_RANDOM_H
#define HULL_METAL_COMMON_RANDOM_H

#include <hull/types.h>

/* At boot; the caller may forget the seed then. */
void metal_random_seed(const void *seed, size_t len);

/* False: there was no seed. */
bool metal_random(void *buf, size_t len);

#endif
