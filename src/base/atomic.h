/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Atomics with the order spelled out at every use.  A comment at the use
 * names the other side ("pairs with ...").
 */
#ifndef HULL_BASE_ATOMIC_H
#define HULL_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define hull_load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define hull_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define hull_load_seqcst(p)      __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define hull_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define hull_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define hull_store_seqcst(p, v)  __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define hull_add_relaxed(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define hull_add_seqcst(p, v)    __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define hull_or_seqcst(p, v)     __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define hull_and_seqcst(p, v)    __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define hull_swap_acqrel(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

/* Orders an earlier store before a later load: the two sides of an event index. */
#define hull_fence_seqcst() __sync_synchronize() /* the form that gcc's TSan knows */

/* Compare and swap, sequentially consistent; *expected holds the old value on failure. */
#define hull_cas_seqcst(p, expected, desired)                                            \
	__atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_SEQ_CST, \
	                            __ATOMIC_SEQ_CST)

/*
 * For functions that access guest memory as the guest does: its races are its
 * own, and the thread sanitizer is not to report them.
 */
#define HULL_GUEST_RACES __attribute__((no_sanitize("thread")))

#endif
