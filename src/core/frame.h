/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ethernet frames: what is in them, their checksums, and cutting large ones into segments, for
 * whoever sits between a side that leaves that work undone and one that cannot do it.
 *
 * Spec: RFC 791, 8200, 9293, 768, 1071; what a frame still needs: VIRTIO 1.3, 5.1.6.
 *
 * Pure functions on memory that nobody else changes meanwhile; frames are hostile.  Any thread.
 */
#ifndef HULL_CORE_FRAME_H
#define HULL_CORE_FRAME_H

#include <hull/types.h>
#include "core/backend.h"

enum {
	HULL_FRAME_ETH = 14,        /* bytes: addresses and type */
	HULL_FRAME_HEADERS = 256,   /* all headers of a frame that hull_frame_parse() understands */
	HULL_FRAME_SEGMENTS = 2048, /* the most that one frame is cut into */
};

enum { HULL_FRAME_TCP = 6, HULL_FRAME_UDP = 17 }; /* protocol numbers */

struct hull_frame_parts {
	uint8_t ip;       /* 4 or 6; 0: no IP, or broken: nothing below means anything */
	uint8_t protocol; /* of the transport: its number */
	bool fragment;    /* a part of a datagram: `payload` is 0 */
	uint16_t l3, l4;  /* where the headers of IP and transport begin */
	uint16_t payload; /* TCP and UDP: where their headers end; 0: they are not complete */
};

/* Look into the first `len` bytes of a frame; up to two VLAN tags are skipped. */
void hull_frame_parse(const uint8_t *frame, size_t len, struct hull_frame_parts *ret);

/* The one's complement sum of `len` bytes, added to `sum`; hull_frame_fold() makes the checksum. */
uint64_t hull_frame_sum(const uint8_t *p, size_t len, uint64_t sum);
uint16_t hull_frame_fold(uint64_t sum);

/*
 * HULL_NET_NEEDS_CSUM: fill in the checksum at start + offset over everything from `start` on.
 * False: one of them is not within the frame, nothing was done.
 */
bool hull_frame_checksum(uint8_t *frame, size_t len, size_t start, size_t offset);

/* A frame to be cut. */
struct hull_frame_gso {
	const uint8_t *frame;
	uint32_t len;
	struct hull_frame_parts parts;
	uint16_t size;  /* payload of a segment, bytes */
	uint16_t count; /* segments: 1 to HULL_FRAME_SEGMENTS */
};

/*
 * Is the frame what `gso_type` (HULL_NET_GSO_*) says, and can it be cut into pieces of `size`?
 * False: no, or there would be too many.  The frame must stay as it is while `ret` is used.
 */
bool hull_frame_gso(const uint8_t *frame, uint32_t len, uint8_t gso_type, uint16_t size,
                    struct hull_frame_gso *ret);

/*
 * Segment i: its headers, with checksums, in `headers`; returns their length.  The payload that
 * follows is *ret_len bytes at *ret_payload, within the frame.
 */
uint32_t hull_frame_segment(const struct hull_frame_gso *g, unsigned i,
                            uint8_t headers[HULL_FRAME_HEADERS], const uint8_t **ret_payload,
                            uint32_t *ret_len);

/*
 * Pass a frame on to `out`, whose HULL_NET_* are `can`: what it cannot do is done first.  `linear`
 * has room for HULL_NET_FRAME_MAX bytes; it may hold the frame already.  *at is the next segment
 * to be sent: 0 to begin with.  False: `out` said false, *at says where to go on.  A frame that is
 * not what it says is dropped: true, and *ret_bad is set.
 */
struct hull_frame_way {
	unsigned can;
	uint8_t *linear;
	bool (*out)(void *arg, const struct hull_net_frame *f);
	void *arg;
};
bool hull_frame_pass(const struct hull_frame_way *way, const struct hull_net_frame *f, uint16_t *at,
                     bool *ret_bad);

#endif
