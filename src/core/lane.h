/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Locks and lanes.
 *
 * A lane is the lock that a device's code runs under, so that its author
 * writes single-threaded code.  Locks are acquired in rising rank only;
 * builds with assertions check it.  A lock sleeps through the HAL's
 * wait/wake; it is not recursive.
 */
#ifndef HULL_CORE_LANE_H
#define HULL_CORE_LANE_H

#include <hull/hal.h>

/* In the order of acquisition. */
enum hull_lock_rank {
	HULL_RANK_LIFECYCLE, /* state changes of a VM */
	HULL_RANK_DEVICE,    /* a device's lane */
	HULL_RANK_QUEUE,     /* the lane of one of its queues */
	HULL_RANK_SHARED,    /* what a device's queues share: its line, its timer */
	HULL_RANK_PCI,       /* a PCI function's interrupts */
	HULL_RANK_PCI_HOST,  /* the lines that its functions share */
	HULL_RANK_IRQCHIP,   /* an interrupt controller's lane: devices raise lines from theirs */
	HULL_RANK_ASPACE,    /* the address-space map and the bus tables */
	HULL_RANK_TIMER,     /* the timer list */
	HULL_RANK_LEAF,      /* event ring and the like: nothing is taken below */
};

struct hull_lock {
	uint32_t word;  /* atomic: 0 free, 1 held, 2 held and somebody sleeps */
	uint32_t rank;  /* enum hull_lock_rank */
	unsigned owner; /* atomic: hal->cpu_id of the holder, for the checks */
	const struct hull_hal *hal;
};

void hull_lock_init(struct hull_lock *l, const struct hull_hal *hal, enum hull_lock_rank rank);
void hull_lock_acquire(struct hull_lock *l);
void hull_lock_release(struct hull_lock *l);

/* Does the calling thread hold it?  For assertions. */
bool hull_lock_held(const struct hull_lock *l);

#endif
