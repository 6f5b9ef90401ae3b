/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The VM's clock, timers and random source: the one door to time and chance.
 *
 * Guest time is nanoseconds since the VM was created during which it was not
 * paused or stopped.  It follows the HAL's clock, or, stepped, only moves when told:
 * then a run repeats exactly.
 *
 * In a deterministic run the instructions of the current quantum count at once; a timer
 * armed for within it lowers hull_vcpu.budget, so that it fires at its instruction.
 *
 * Threading: any thread.  Timer callbacks run on the thread that calls
 * hull_timers_run(), without any lock held.
 */
#ifndef HULL_CORE_CLOCK_H
#define HULL_CORE_CLOCK_H

#include <hull/types.h>

struct hull_vm;

struct hull_timer {
	uint64_t deadline; /* guest time, ns; HULL_NEVER: not armed */
	void (*fire)(struct hull_timer *t);
	struct hull_timer *next; /* in the VM's list, sorted by deadline */
	bool due;                /* taken off the list to fire; cleared when it is set again */
};

/* Guest time in ns; never goes backwards. */
uint64_t hull_clock_now(struct hull_vm *vm);

/* The guest's wall clock in ns since 1970 UTC; stepped: a fixed start plus guest time. */
int64_t hull_clock_wall_ns(struct hull_vm *vm);

/* Stepped clocks only: move to `ns`; an earlier time is ignored. */
void hull_clock_step_to(struct hull_vm *vm, uint64_t ns);
bool hull_clock_stepped(const struct hull_vm *vm);

/* Stop and go, for pause; idempotent. */
void hull_clock_stop(struct hull_vm *vm);
void hull_clock_start(struct hull_vm *vm);

/* Prepare a timer (unarmed); `fire` is called at most once per arming. */
void hull_timer_init(struct hull_timer *t, void (*fire)(struct hull_timer *t));

/* Arm, move or (HULL_NEVER, or above 2^63 - 1) disarm.  A callback may still be running after a
 * disarm. */
void hull_timer_set(struct hull_vm *vm, struct hull_timer *t, uint64_t deadline_ns);

/*
 * For callbacks that hold the lock of whoever arms the timer: is this firing still
 * meant?  False if the timer was armed or disarmed since it came due.
 */
bool hull_timer_take(struct hull_vm *vm, struct hull_timer *t);

/* Fire what is due and return the next deadline in guest time (HULL_NEVER: none). */
uint64_t hull_timers_run(struct hull_vm *vm);

/* The next deadline alone, due or not. */
uint64_t hull_timers_next(struct hull_vm *vm);

/* The VM's random bytes: the HAL's, or a seeded generator. */
void hull_random(struct hull_vm *vm, void *buf, size_t len);

#endif
