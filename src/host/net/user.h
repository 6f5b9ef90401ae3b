/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * User networking: the guest reaches what this user reaches, by libslirp, which makes
 * TCP streams and datagrams of the guest's frames.  No rights, no setup.
 *
 * The guest's network has a gateway (which is the host: its loopback services answer
 * there unless `no_host`), a name server, DHCP and router advertisements.  Packets to addresses
 * that mean the host itself (127.0.0.0/8, 0.0.0.0/8, ::/96, ::ffff:0:0/96) are dropped.
 *
 * Large frames: the end takes TCP frames that are yet to be segmented, and makes
 * libslirp send such to the guest: it asks for larger segments in the guest's SYN, and
 * cuts what comes to the size that the guest named.  So the work per byte is that of
 * 16 KiB pieces, whatever the MTU.
 *
 * Bounds: 2 rings (ring.h); HULL_USER_FLOWS sockets of the guest, then new connections are
 * refused by silence; libslirp has two buffers of 128 KiB per TCP connection, and keeps at most
 * HULL_USER_AHEAD segments of one and HULL_USER_AHEAD_ALL of all that it cannot deliver yet, of
 * 17 KiB each.  A full ring
 * stops reading from the host's sockets, so that senders are slowed down by TCP.
 *
 * libslirp is loaded when the first such network is opened; it needs libslirp.so.0 of version
 * 4.7 or newer.  Errors: E0502 port in use, E0503 port not permitted or address not of this
 * host, E0504 options that make no sense, E0506 the library cannot be loaded, E1301 not built in.
 */
#ifndef HULL_HOST_NET_USER_H
#define HULL_HOST_NET_USER_H

#include "host/net/address.h"
#include "host/net/net.h"

enum { HULL_USER_FLOWS = 400 };

struct hull_user_options {
	uint8_t mac[6];
	uint16_t mtu; /* 0: 1500 */
	/*
	 * All members zero: 10.0.2.0/24, guest .15, gateway .2, DNS .3.  `guest` has the
	 * prefix length; the others must be in its network.
	 */
	struct hull_net_address guest, gateway, dns;
	struct hull_net_address net6; /* a network of 64 bits; all zero: fec0::/64 */
	bool no_v4, no_v6;
	const char *host_name;               /* what DHCP says; NULL: nothing */
	bool restrict_outbound;              /* nothing leaves but answers to published ports */
	bool no_host;                        /* the gateway is not the host's loopback */
	const struct hull_net_address *deny; /* networks that the guest does not reach */
	unsigned ndeny;
	struct hull_net_publish *publish; /* ports that were 0 are filled in */
	unsigned npublish;
};

/* Texts and lists are copied.  The ports of the host are taken when this returns. */
int hull_user_open(const struct hull_user_options *o, struct hull_net_end **ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* Counters, for tests and for `hull stats`; any thread. */
struct hull_user_stats {
	uint64_t sent, received; /* bytes of frames from and to the guest */
	uint64_t denied;         /* frames of the guest that policy dropped */
	uint64_t dropped;        /* frames to the guest for which there was no room */
	uint64_t refused;        /* new flows beyond HULL_USER_FLOWS */
	uint64_t mistakes;       /* of the guest, by libslirp's judgement */
};
void hull_user_stats(const struct hull_net_end *e, struct hull_user_stats *ret);

#endif
