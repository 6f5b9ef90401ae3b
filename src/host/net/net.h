/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ends of networks: what is behind a NIC.
 *
 *   user    the host's sockets, without any right: NAT, DHCP, DNS (user.h)
 *   switch  NICs of one and of several processes among themselves, or one peer (switch.h)
 *   tap     an interface of the host (tap.h)
 *   none    no cable
 *
 * Wrappers are ends, too, which own another one: capture (capture.h), impairment (impair.h).
 *
 * Life: open -> (the VM's device is made with &end->net) -> start -> (frames) -> stop -> (the VM
 * is destroyed) -> close.  Threading: these functions from one thread; the methods of struct
 * hull_net as backend.h says.  Frames that the guest sends before start wait in a queue of
 * HULL_NET_RING_BYTES.  A failed open leaves nothing behind.
 *
 * Catalogue: E0501 to E0509, E0801 no thread, E1301 not in this build.
 */
#ifndef HULL_HOST_NET_NET_H
#define HULL_HOST_NET_NET_H

#include <hull/error.h>
#include "core/backend.h"

struct hull_net_end;

struct hull_net_kind {
	const char *name;
	int (*start)(struct hull_net_end *e, struct hull_err *err);
	void (*stop)(struct hull_net_end *e); /* of one that may not have been started */
	void (*close)(struct hull_net_end *e);
};

struct hull_net_end {
	struct hull_net net;
	const struct hull_net_kind *kind;
};

/* Begin to move frames. */
int hull_net_start(struct hull_net_end *e, struct hull_err *err) HULL_CHECK_RESULT;

/* No more callbacks when this returns.  Idempotent. */
void hull_net_stop(struct hull_net_end *e);

/* Give everything back; NULL is fine. */
void hull_net_close(struct hull_net_end *e);

/* A port without cable: takes and drops everything.  HULL_ENOMEM. */
int hull_net_none_open(struct hull_net_end **ret, struct hull_err *err) HULL_CHECK_RESULT;

#endif
