/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Locks: one word, three values.  Only a lock whose word is 2 (somebody may
 * sleep) costs a call into the HAL at release.
 */
#include "core/lane.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"

enum { FREE, HELD, CONTENDED, SPINS = 64 };

void hull_lock_init(struct hull_lock *l, const struct hull_hal *hal, enum hull_lock_rank rank)
{
	*l = (struct hull_lock){ .hal = hal, .rank = rank };
}

static bool try_lock(struct hull_lock *l)
{
	uint32_t expected = FREE;

	return hull_cas_seqcst(&l->word, &expected, HELD);
}

static void sleep_for(struct hull_lock *l)
{
	for (int i = 0; i < SPINS; i++)
		if (hull_load_relaxed(&l->word) == FREE && try_lock(l))
			return;
	/* Having slept we cannot know who else does, so we take it as contended. */
	while (hull_swap_acqrel(&l->word, CONTENDED) != FREE)
		l->hal->wait(l->hal, &l->word, CONTENDED, HULL_NEVER);
}

/* Rising rank only: the thread may hold nothing of this rank or above. */
static void check_order(const struct hull_lock *l)
{
#ifndef HULL_NO_ASSERT
	if (l->hal->held_ranks) {
		uint32_t *held = l->hal->held_ranks(l->hal);

		HULL_ASSERT(!(*held >> l->rank));
		*held |= UINT32_C(1) << l->rank;
	}
#endif
}

static void check_release(const struct hull_lock *l)
{
#ifndef HULL_NO_ASSERT
	HULL_ASSERT(hull_lock_held(l));
	if (l->hal->held_ranks)
		*l->hal->held_ranks(l->hal) &= ~(UINT32_C(1) << l->rank);
#endif
}

HOT void hull_lock_acquire(struct hull_lock *l)
{
	check_order(l);
	if (!try_lock(l))
		sleep_for(l);
	hull_store_relaxed(&l->owner, l->hal->cpu_id(l->hal));
}

HOT void hull_lock_release(struct hull_lock *l)
{
	const struct hull_hal *hal = l->hal;

	check_release(l);
	hull_store_relaxed(&l->owner, 0);
	/* Pairs with the exchange in sleep_for().  After it the lock may be gone: only its address
	 * is used. */
	if (hull_swap_acqrel(&l->word, FREE) == CONTENDED)
		hal->wake(hal, &l->word, 1);
}

bool hull_lock_held(const struct hull_lock *l)
{
	return hull_load_relaxed(&l->owner) == l->hal->cpu_id(l->hal);
}
