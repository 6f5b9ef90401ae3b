/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A learning Ethernet switch: NICs of this process and streams (stream.h) to others.
 *
 * hull_switch_join() is `switch:NAME`: all NICs of this user with that name are on
 * one network.  Each process has a switch of its own; the first one also listens at
 * DIR/switch-NAME.sock, the others connect theirs to it.  When it ends, another one
 * takes its place.  DIR is $XDG_RUNTIME_DIR/hull or /tmp/hull-UID, for this user only.
 *
 * hull_link_open() is a cable to one peer: a socket to connect to or to listen on,
 * or passt, which is started for it.
 *
 * Peers are hostile.  The table has HULL_SWITCH_MACS places with a secret hash; a port
 * may have HULL_SWITCH_PORT_MACS of them, so that none can push out the others; an
 * address that was seen on one port in the last seconds is not believed on another,
 * and one that belongs to a NIC of this process never.  A port that does not take
 * its frames loses them (a ring or stream of bounded size) and delays nobody; with one
 * peer only, whoever sends is slowed down instead.
 *
 * Threading: net.h; one thread per switch.  Errors: E0505 cannot be opened, E0507 nobody answers,
 * E0508 the directory or socket is not this user's alone, E0509 passt failed.
 */
#ifndef HULL_HOST_NET_SWITCH_H
#define HULL_HOST_NET_SWITCH_H

#include "core/mac_table.h"
#include "host/net/address.h"
#include "host/net/net.h"

enum {
	HULL_SWITCH_MACS = HULL_MAC_PLACES,
	HULL_SWITCH_PORT_MACS = 64,
	HULL_SWITCH_PORTS = HULL_MAC_PORTS
};

struct hull_switch_options {
	const char *name; /* 1 to 32 letters, digits, '-', '_', '.'; not '.' first */
	const char *dir;  /* NULL: as above */
	uint8_t mac[6];   /* of this NIC; all 0: unknown */
	uint16_t mtu;
};

int hull_switch_join(const struct hull_switch_options *o, struct hull_net_end **ret,
                     struct hull_err *err) HULL_CHECK_RESULT;

struct hull_link_options {
	uint8_t mac[6];
	uint16_t mtu;
	/* One of these: */
	const char *connect; /* path of a Unix socket */
	const char *listen;
	int fd; /* a connected stream socket, which becomes the link's; -1: none */
};

int hull_link_open(const struct hull_link_options *o, struct hull_net_end **ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* Start passt and link to it; it ends with the link.  Host ports cannot be "auto". */
int hull_passt_open(const struct hull_link_options *o, const struct hull_net_publish *publish,
                    unsigned npublish, struct hull_net_end **ret,
                    struct hull_err *err) HULL_CHECK_RESULT;

struct hull_switch_stats {
	unsigned ports, macs;
	bool hub;         /* this process is where the others connect */
	uint64_t dropped; /* frames for which a port had no room */
	uint64_t spoofed; /* frames from somebody else's address */
};
/* Its socket's path, for a port of a switch or link; NULL: it has none. */
const char *hull_switch_path(const struct hull_net_end *e);
void hull_switch_stats(const struct hull_net_end *e, struct hull_switch_stats *ret);

#endif
