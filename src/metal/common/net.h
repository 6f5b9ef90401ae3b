/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Networks between VMs: a learning switch for each name, and one thread that moves frames.
 *
 * A network is there while a card is in it.  A card that does not take its frames loses them and
 * delays nobody.
 *
 * Threading: join and leave from any thread but the switches' own; a card of a VM whose vCPUs run
 * no more leaves.
 */
#ifndef HULL_METAL_COMMON_NET_H
#define HULL_METAL_COMMON_NET_H

#include "core/backend.h"

struct metal_card;

/* A new card in network `name`; `mac` all 0: the device makes one up.  HULL_ENOMEM. */
int metal_net_join(const char *name, const uint8_t mac[6], uint16_t mtu, struct metal_card **ret,
                   struct hull_err *err);
struct hull_net *metal_card_end(struct metal_card *c);

/* After this no function of the card's device is called; NULL is fine. */
void metal_net_leave(struct metal_card *c);

#endif
