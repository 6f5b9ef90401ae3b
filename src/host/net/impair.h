/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A bad line between a card and its network: delay, jitter, loss, duplicates, and a rate for each
 * direction.  Chance is seeded: the same frames at the same places meet the same fate.
 *
 * Frames keep their order.  Each direction has a ring (ring.h); a full one refuses frames, which
 * slows senders down: delay times rate is at most HULL_NET_RING_BYTES.
 */
#ifndef HULL_HOST_NET_IMPAIR_H
#define HULL_HOST_NET_IMPAIR_H

#include "host/net/net.h"

struct hull_impair_options {
	uint64_t delay_ns, jitter_ns;     /* delay - jitter to delay + jitter, each way */
	uint32_t loss_ppm, duplicate_ppm; /* parts per million */
	uint64_t to_guest, from_guest;    /* bytes per second; 0: no limit */
	uint64_t seed;
};

/* Wrap `inner`, which belongs to *ret then; after an error it is still the caller's. */
int hull_impair_open(const struct hull_impair_options *o, struct hull_net_end *inner,
                     struct hull_net_end **ret, struct hull_err *err) HULL_CHECK_RESULT;

#endif
