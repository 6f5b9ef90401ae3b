/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A tap interface of the host: its frames are the guest's.  The interface is made by
 * somebody with the right to it, once:
 *
 *	ip tuntap add NAME mode tap user USER && ip link set NAME up
 *
 * Checksums and segments are left to the host's kernel (IFF_VNET_HDR).  Frames of the guest
 * are written by its own thread without a copy; what the guest does not take stays in the kernel's
 * queue.  While the interface is down, frames are dropped.
 *
 * Errors: E0516 no permission, no such interface, in use, or no tun driver.
 */
#ifndef HULL_HOST_NET_TAP_H
#define HULL_HOST_NET_TAP_H

#include "host/net/net.h"

int hull_net_tap_open(const char *name, const uint8_t mac[6], uint16_t mtu,
                      struct hull_net_end **ret, struct hull_err *err) HULL_CHECK_RESULT;

#endif
