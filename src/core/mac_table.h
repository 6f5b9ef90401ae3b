/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a learning switch knows: which Ethernet address is behind which port.
 *
 * Ports are hostile.  The table has HULL_MAC_PLACES places with a secret hash; a port may have
 * a number of them only, so that none can push out the others; an address that was seen on one
 * port in the last seconds is not believed on another, a fixed one never.
 *
 * Threading: the caller's lock.
 */
#ifndef HULL_CORE_MAC_TABLE_H
#define HULL_CORE_MAC_TABLE_H

#include <hull/types.h>

enum { HULL_MAC_PLACES = 1024, HULL_MAC_PORTS = 64 };

/* Where an address was seen. */
struct hull_mac {
	uint8_t mac[6];
	uint8_t port; /* number + 1; 0: free */
	bool fixed;
	uint64_t seen_ms;
};

/* Zeroed to begin with; the caller sets `seed` to something secret and `now_ms` before each call.
 */
struct hull_mac_table {
	uint64_t seed, now_ms, swept_ms;
	uint16_t used[HULL_MAC_PORTS]; /* places of each port */
	struct hull_mac place[HULL_MAC_PLACES];
};

/*
 * Remember that `mac` is behind `port`, which may have `most` places.  False: it is somebody
 * else's, or no address of one station.  True does not mean that there was room.
 */
bool hull_mac_learn(struct hull_mac_table *t, unsigned port, unsigned most, const uint8_t *mac,
                    bool fixed);

/* The port of an address; -1: unknown. */
int hull_mac_find(const struct hull_mac_table *t, const uint8_t *mac);

/* Now and then: forget what was not seen for long.  A port that is gone: forget what it had. */
void hull_mac_sweep(struct hull_mac_table *t);
void hull_mac_forget(struct hull_mac_table *t, unsigned port);

#endif
