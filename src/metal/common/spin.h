/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A ticket lock between CPUs, for a few instructions; and what the architecture gives to all. */
#ifndef HULL_METAL_COMMON_SPIN_H
#define HULL_METAL_COMMON_SPIN_H

#include <stdint.h>

struct metal_spin {
	uint32_t next, serving;
};

/* While another CPU holds a lock: what makes waiting cheap, if anything does. */
void metal_relax(void);

/* Zero whole pages. */
void metal_zero(void *at, uint64_t bytes);

static inline void metal_spin_lock(struct metal_spin *s)
{
	uint32_t mine = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&s->serving, __ATOMIC_ACQUIRE) != mine)
		metal_relax();
}

static inline void metal_spin_unlock(struct metal_spin *s)
{
	__atomic_store_n(&s->serving, s->serving + 1, __ATOMIC_RELEASE);
}

#endif
