/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Inside the switch (switch.h): its ports, its table, its thread; and how a
 * process finds the others (link.c).
 */
#ifndef HULL_HOST_NET_SWITCH_IMPL_H
#define HULL_HOST_NET_SWITCH_IMPL_H

#include <poll.h>
#include <sys/types.h>

#include "core/mac_table.h"
#include "host/net/ring.h"
#include "host/net/stream.h"
#include "host/net/switch.h"

struct hull_switch;

struct hull_switch_port {
	struct hull_net_end end; /* of a NIC */
	struct hull_switch *sw;
	uint8_t number;
	bool local, started, uplink;
	struct hull_net_ring from, to; /* of a NIC */
	uint32_t waiting;              /* frames in `to` */
	uint16_t segment;              /* of the first of them: the next to be delivered */
	struct hull_net_stream stream; /* of a peer */
};

struct hull_switch {
	char name[40]; /* "": not shared */
	bool cable;    /* one NIC and one peer: no table */
	unsigned refs; /* under the list's mutex */
	struct hull_switch *next;
	pthread_t thread;
	bool running;
	uint32_t quit; /* atomic */
	struct hull_net_bell bell;
	pthread_mutex_t mutex; /* everything below; not held while the thread sleeps */
	uint64_t dial_ms, accept_ms;
	int listener, lock; /* -1: none */
	char path[108];     /* of the socket */
	/* Without listener and uplink: find one.  A socket to a peer; -1: not now. */
	int (*dial)(struct hull_switch *sw);
	pid_t child;               /* passt; 0: none */
	uint64_t dropped, spoofed; /* atomic */
	struct hull_switch_port *ports[HULL_SWITCH_PORTS];
	struct hull_mac_table macs; /* its now_ms is the time of the turn */
	struct pollfd polls[HULL_SWITCH_PORTS + 2];
	uint8_t linear[HULL_NET_FRAME_MAX];
};

/* A switch with its thread stopped.  `cable`: see above. */
int hull_switch_new(bool cable, struct hull_switch **ret, struct hull_err *err) HULL_CHECK_RESULT;

/* Stop, close everything, free. */
void hull_switch_free(struct hull_switch *sw);

/* Give a reference back; link.c: it knows the list. */
void hull_switch_unref(struct hull_switch *sw);

/* A port for a NIC.  Its close() gives a reference of the switch back. */
int hull_switch_add_nic(struct hull_switch *sw, const uint8_t mac[6], uint16_t mtu,
                        struct hull_net_end **ret, struct hull_err *err) HULL_CHECK_RESULT;

/* A port for a socket, which is closed if that fails.  Under the mutex, or before the thread. */
int hull_switch_add_peer(struct hull_switch *sw, int fd, bool uplink) HULL_CHECK_RESULT;

#endif
