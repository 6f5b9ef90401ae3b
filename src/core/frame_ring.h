/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Frames in a bounded ring of bytes: whole ones, in one piece each, with what they still need.
 *
 * Threading: the caller's lock; what peek() showed may be used without it until pop().
 */
#ifndef HULL_CORE_FRAME_RING_H
#define HULL_CORE_FRAME_RING_H

#include "core/backend.h"

/* A frame in one piece; the members are those of struct hull_net_frame. */
struct hull_net_packet {
	uint8_t *data;
	uint32_t len;
	uint8_t flags, gso_type;
	uint16_t gso_size, hdr_len, csum_start, csum_offset;
};

struct hull_frame_ring {
	uint8_t *mem;
	uint32_t size;       /* of mem, a power of two, at least 256 KiB for any frame to fit */
	uint32_t head, tail; /* free-running, of bytes */
	bool starved;        /* somebody was refused */
};

/* False: no room.  A frame of an impossible length is taken and dropped. */
bool hull_frame_ring_push(struct hull_frame_ring *r, const struct hull_net_frame *f);

/* The oldest frame, which stays until pop and may be changed in place; false: none. */
bool hull_frame_ring_peek(struct hull_frame_ring *r, struct hull_net_packet *ret);

/* Drop the oldest frame.  True: somebody was refused before, and half of the ring is free now. */
bool hull_frame_ring_pop(struct hull_frame_ring *r);

/* The other way round: a packet as a frame of one segment, which is *seg. */
struct hull_net_frame hull_net_packet_frame(const struct hull_net_packet *p,
                                            struct hull_block_seg *seg);

#endif
