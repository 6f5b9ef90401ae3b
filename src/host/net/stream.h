/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Frames over a stream socket: 4 bytes of length, big-endian, then the frame, as QEMU's
 * stream and socket networks and passt speak it.
 *
 * The peer is hostile: a length that no frame has ends the connection, a peer that
 * does not read costs HULL_NET_STREAM_BYTES and no time.  One thread.
 */
#ifndef HULL_HOST_NET_STREAM_H
#define HULL_HOST_NET_STREAM_H

#include "core/backend.h"

enum { HULL_NET_STREAM_BYTES = 512 << 10 }; /* of each direction */

struct hull_net_stream {
	int fd;      /* -1: none */
	uint8_t *in; /* a frame that is not complete, and what followed it */
	uint32_t in_len;
	uint8_t *out; /* what the socket did not take yet */
	uint32_t out_at, out_len;
};

/* Take a connected socket, which becomes non-blocking.  HULL_ENOMEM: it is still the caller's. */
int hull_net_stream_init(struct hull_net_stream *s, int fd) HULL_CHECK_RESULT;
void hull_net_stream_fini(struct hull_net_stream *s); /* closes the socket; zeroed memory is fine */

/*
 * Take what has arrived, at most HULL_NET_STREAM_BYTES, and call frame() for each
 * that is complete (14 to HULL_NET_FRAME_MAX bytes; its memory may be changed).  False: the
 * connection has ended or is broken.
 */
bool hull_net_stream_read(struct hull_net_stream *s,
                          void (*frame)(void *arg, uint8_t *data, uint32_t len), void *arg);

/* Add a frame to what is to be sent; false: no room. */
bool hull_net_stream_put(struct hull_net_stream *s, const struct hull_net_frame *f);

/* Send what the socket takes; false: the connection is broken. */
bool hull_net_stream_flush(struct hull_net_stream *s);

/* Bytes that wait to be sent. */
static inline uint32_t hull_net_stream_waiting(const struct hull_net_stream *s)
{
	return s->out_len - s->out_at;
}

#endif
