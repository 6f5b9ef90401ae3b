/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What user networking does with frames before and after libslirp (user.h): policy,
 * bounds, large segments.  Knows nothing of libslirp; no sockets.  One thread.
 */
#ifndef HULL_HOST_NET_USER_FRAMES_H
#define HULL_HOST_NET_USER_FRAMES_H

#include "host/net/address.h"
#include "host/net/ring.h"

/* A UDP socket of the guest that libslirp may have open. */
struct hull_user_udp {
	uint8_t addr[16];
	uint16_t port;
	bool v6, used;
	uint64_t until_ms;
};

/* A TCP connection that libslirp has answered. */
struct hull_user_tcp {
	uint8_t guest[16], peer[16];
	uint16_t guest_port, peer_port;
	bool v6, used, closing;
	uint32_t acked; /* what libslirp has acknowledged */
	uint16_t ahead; /* segments with data since that moved: libslirp may be keeping them */
	uint64_t seen_ms;
};

enum {
	HULL_USER_TCP = 1024,  /* places, in sets of 16 */
	HULL_USER_AHEAD = 256, /* segments of a connection, and of all, that libslirp may keep */
	HULL_USER_AHEAD_ALL = 4096,
};

enum { HULL_USER_UDP = 512 /* slots of the table; a power of two above HULL_USER_FLOWS */ };

struct hull_user_frames {
	uint16_t mtu;    /* of the guest */
	unsigned pieces; /* segments of the guest's size in one of libslirp's */
	const struct hull_net_address *deny;
	unsigned ndeny;
	const struct hull_net_publish *publish;
	unsigned npublish;
	unsigned flows;  /* sockets that may be open: set after each poll, counted up between */
	uint64_t now_ms; /* set by the caller */
	uint64_t denied, refused; /* atomic counters */
	unsigned nudp;
	uint32_t tokens;    /* fragments that may pass now */
	uint64_t tokens_ms; /* when they were last counted */
	struct hull_user_udp udp[HULL_USER_UDP];
	uint32_t ahead; /* of all connections */
	struct hull_user_tcp tcp[HULL_USER_TCP];
};

void hull_user_frames_init(struct hull_user_frames *f, uint16_t mtu);

/* The MTU that libslirp must have so that its segments fit. */
uint32_t hull_user_frames_mtu(const struct hull_user_frames *f);

/* A frame of the guest, changed so that libslirp can take it.  False: it is dropped. */
bool hull_user_from_guest(struct hull_user_frames *f, struct hull_net_packet *p);

/*
 * A frame for the guest, at most hull_user_frames_mtu() + 14 bytes; its memory may be
 * changed.  Calls put() with what fits the guest's MTU once it is segmented.
 */
void hull_user_to_guest(struct hull_user_frames *f, uint8_t *data, uint32_t len,
                        void (*put)(void *arg, struct hull_net_packet *p), void *arg);

#endif
