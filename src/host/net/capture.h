/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A recorder between a card and its network: all frames of both directions into a pcapng file
 * (draft-ietf-opsawg-pcapng), for tcpdump -r and Wireshark.
 *
 * Frames are seen as they pass: those that are yet to be segmented are one large packet, and
 * checksums that are not filled in look wrong.  Times are the host's wall clock in nanoseconds.
 * The guest never waits: a thread writes, and what the file cannot take in time (beyond
 * HULL_CAPTURE_BYTES of memory) is left out and counted in the file's last block.  A file that
 * cannot grow, or has reached its size, ends behind its last whole packet.
 *
 * Errors: E0515 the file cannot be made.
 */
#ifndef HULL_HOST_NET_CAPTURE_H
#define HULL_HOST_NET_CAPTURE_H

#include "host/net/net.h"

enum { HULL_CAPTURE_BYTES = 4 << 20, HULL_CAPTURE_SNAP = 256 << 10 };

struct hull_capture_options {
	const char *path;      /* made anew, for this user only */
	const char *interface; /* name in the file; NULL: none */
	uint64_t max_bytes;    /* of the file; 0: no end */
	uint32_t snap;         /* bytes kept of each frame; 0: HULL_CAPTURE_SNAP, the most */
};

/* Wrap `inner`, which belongs to *ret then; after an error it is still the caller's. */
int hull_capture_open(const struct hull_capture_options *o, struct hull_net_end *inner,
                      struct hull_net_end **ret, struct hull_err *err) HULL_CHECK_RESULT;

/* Why the recording ended early, in words; NULL: it did not.  Of any end; any thread. */
const char *hull_capture_ended(const struct hull_net_end *e);

#endif
