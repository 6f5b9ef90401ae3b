/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a frame still needs, done in software: checksums, and cutting into
 * segments (VIRTIO 1.3, 5.1.6.2; RFC 791, 793, 768, 1071, 8200).
 *
 * Frames are hostile: headers are checked here again, whatever came with
 * them.  Pure but for the frame that is given; any thread.
 */
#ifndef HULL_HOST_NET_OFFLOAD_H
#define HULL_HOST_NET_OFFLOAD_H

#include "host/net/ring.h"

/* Where the parts of a TCP or UDP frame are.  Offsets from the start of the frame. */
struct hull_net_layout {
	bool v6;
	uint8_t proto;    /* 6: TCP, 17: UDP; others are possible if `l4_known` is false */
	bool l4_known;    /* TCP or UDP with a whole header, not a fragment */
	bool fragment;    /* IPv4: one of several */
	uint16_t l3, l4;  /* of the IP header and of what follows it */
	uint16_t payload; /* what follows the TCP or UDP header; l4_known */
	uint32_t end;     /* of the IP packet: padding may follow */
};

/* Is it an IP frame (at most one VLAN tag) with a sane header?  Fills *ret. */
bool hull_net_parse(const uint8_t *data, uint32_t len, struct hull_net_layout *ret);

/* The Internet checksum of bytes, not complemented, added to `sum`. */
uint64_t hull_net_sum(const void *data, size_t len, uint64_t sum);
uint16_t hull_net_fold(uint64_t sum);

/* Make all checksums and lengths of a TCP or UDP frame right, as one packet of any size. */
void hull_net_finish(struct hull_net_packet *p, const struct hull_net_layout *l);

/* Store the sum of the pseudo-header where the checksum of a NEEDS_CSUM frame belongs. */
void hull_net_partial(struct hull_net_packet *p, const struct hull_net_layout *l);

/* Fill in the checksum that the frame needs.  False: csum_start or csum_offset are impossible. */
bool hull_net_checksum(struct hull_net_packet *p);

/*
 * Hand a frame to the device, or whatever is at n->receive, in a form that n->gives
 * allows.  It may become several: *segment is the number of those that are done;
 * begin with 0 and keep it for another attempt.  False: no room now.  Frames that cannot be
 * put right are dropped.
 */
bool hull_net_deliver(struct hull_net *n, struct hull_net_packet *p, uint32_t *segment);

#endif
