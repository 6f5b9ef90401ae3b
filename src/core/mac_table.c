/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "core/mac_table.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/prng.h"

enum {
	WAYS = 4,
	SETS = HULL_MAC_PLACES / WAYS,
	AGE_MS = 300 * 1000, /* IEEE 802.1Q, 8.8.3: the recommended default */
	STICKY_MS = 3000,
	SWEEP_MS = 10 * 1000,
};

static unsigned set_of(const struct hull_mac_table *t, const uint8_t *mac)
{
	uint64_t key = t->seed ^ load_le32(mac) ^ (uint64_t)load_le16(mac + 4) << 32;

	return (unsigned)(hull_splitmix64(&key) % SETS * WAYS);
}

static bool alive(const struct hull_mac_table *t, const struct hull_mac *m)
{
	return m->port && (m->fixed || t->now_ms - m->seen_ms < AGE_MS);
}

/* Place of an address; HULL_MAC_PLACES: it has none. */
static unsigned lookup(const struct hull_mac_table *t, const uint8_t *mac)
{
	unsigned set = set_of(t, mac);

	for (unsigned i = set; i < set + WAYS; i++)
		if (alive(t, &t->place[i]) && !memcmp(t->place[i].mac, mac, 6))
			return i;
	return HULL_MAC_PLACES;
}

static void forget(struct hull_mac_table *t, struct hull_mac *m)
{
	if (m->port)
		t->used[m->port - 1]--;
	memset(m, 0, sizeof(*m));
}

int hull_mac_find(const struct hull_mac_table *t, const uint8_t *mac)
{
	unsigned i = lookup(t, mac);

	return i < HULL_MAC_PLACES ? t->place[i].port - 1 : -1;
}

void hull_mac_sweep(struct hull_mac_table *t)
{
	if (t->now_ms - t->swept_ms < SWEEP_MS)
		return;
	t->swept_ms = t->now_ms;
	for (unsigned i = 0; i < HULL_MAC_PLACES; i++)
		if (t->place[i].port && !alive(t, &t->place[i]))
			forget(t, &t->place[i]);
}

void hull_mac_forget(struct hull_mac_table *t, unsigned port)
{
	for (unsigned i = 0; i < HULL_MAC_PLACES; i++)
		if (t->place[i].port == port + 1)
			forget(t, &t->place[i]);
}

/* A place for an address of `port`: free, old, or one of its own. */
static struct hull_mac *place_for(struct hull_mac_table *t, unsigned port, unsigned most,
                                  const uint8_t *mac)
{
	struct hull_mac *set = &t->place[set_of(t, mac)], *own = NULL;

	for (unsigned i = 0; i < WAYS; i++) {
		if (!alive(t, &set[i]))
			return t->used[port] < most || set[i].port == port + 1 ? &set[i] : NULL;
		if (set[i].port == port + 1 && !set[i].fixed &&
		    (!own || set[i].seen_ms < own->seen_ms))
			own = &set[i];
	}
	return own;
}

bool hull_mac_learn(struct hull_mac_table *t, unsigned port, unsigned most, const uint8_t *mac,
                    bool fixed)
{
	unsigned i = lookup(t, mac);
	struct hull_mac *m = i < HULL_MAC_PLACES ? &t->place[i] : NULL;

	if (mac[0] & 1)
		return false; /* nobody sends from a group */
	if (m && m->port != port + 1) {
		if (m->fixed || (t->now_ms - m->seen_ms < STICKY_MS && !fixed))
			return false;
		forget(t, m);
		m = NULL;
	}
	if (!m) {
		m = place_for(t, port, most, mac);
		if (!m)
			return true;
		forget(t, m);
		memcpy(m->mac, mac, 6);
		m->port = (uint8_t)(port + 1);
		m->fixed = fixed;
		t->used[port]++;
	}
	m->seen_ms = t->now_ms;
	return true;
}
