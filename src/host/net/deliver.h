/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Frames from a backend to its device, in a form that the device takes.  Any thread. */
#ifndef HULL_HOST_NET_DELIVER_H
#define HULL_HOST_NET_DELIVER_H

#include "host/net/ring.h"

/*
 * Hand a frame to n->receive, with the work done that n->gives does not name; it may become
 * several.  `linear` has HULL_NET_FRAME_MAX bytes.  *segment is the next one to be sent: begin
 * with 0 and keep it for another attempt.  False: no room now.  Frames that are not what they say
 * are dropped, and all frames if there is no device.
 */
bool hull_net_deliver(struct hull_net *n, const struct hull_net_packet *p, uint8_t *linear,
                      uint16_t *segment);

#endif
