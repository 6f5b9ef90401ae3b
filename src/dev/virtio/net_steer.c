/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Which receive queue a frame goes to.
 *
 * With RSS: by the driver's table (VIRTIO 1.3, 5.1.6.4.3).  Without: to the pair by which the
 * driver last sent a frame of that flow (5.1.6.5.5), flows being told apart by a small hash that is
 * the same in both directions; a flow that it never sent is spread by that hash.
 */
#include "base/mem.h"
#include "dev/virtio/net_impl.h"

/* 5.1.6.4.3.1, 5.1.6.4.2: bits of the types; a report is 1 + the number of the bit. */
enum { HASH_IPV4 = 0, HASH_IPV6 = 3, HASH_TCP = 1, HASH_UDP = 2 };
enum { IPV4_ADDRS = 12, IPV6_ADDRS = 8 };

uint32_t hull_net_toeplitz(const uint8_t key[NET_KEY], const uint8_t *input, size_t len)
{
	uint32_t window = load_be32(key), hash = 0;

	for (size_t i = 0; i < len && i < NET_KEY - 4; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			if (input[i] & 0x80u >> bit)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> (7 - bit) & 1);
		}
	}
	return hash;
}

/* Addresses and ports of a flow; returns how many bytes the former are, 0: it is no IP. */
static size_t flow_of(const uint8_t *head, const struct hull_frame_parts *p, uint8_t key[36])
{
	size_t n = p->ip == 4 ? 8 : 32;

	if (!p->ip)
		return 0;
	memcpy(key, head + p->l3 + (p->ip == 4 ? IPV4_ADDRS : IPV6_ADDRS), n);
	memset(key + n, 0, 4);
	if (p->payload)
		memcpy(key + n, head + p->l4, 4);
	return n;
}

/* The same for both directions. */
static unsigned flow_slot(const uint8_t *head, size_t len)
{
	struct hull_frame_parts p;
	uint8_t key[36];
	uint32_t h = 0;
	size_t n;

	hull_frame_parse(head, len, &p);
	n = flow_of(head, &p, key);
	if (!n)
		return 0;
	for (size_t i = 0; i < n / 2; i += 2)
		h = h * 31 + (load_be16(key + i) ^ load_be16(key + n / 2 + i));
	h = h * 31 + (load_be16(key + n) ^ load_be16(key + n + 2));
	h = (h ^ p.protocol) * UINT32_C(2654435769);
	return h >> 24;
}

void hull_net_steer_sent(struct net *s, unsigned pair, const uint8_t *head, size_t len)
{
	if (s->pairs > 1 && !s->rss.steers)
		s->flows[flow_slot(head, len)] = (uint8_t)(pair + 1);
}

/* The most specific type that the driver wants; sets s->hash. */
static void hash_frame(struct net *s, const uint8_t *head, size_t len)
{
	struct hull_frame_parts p;
	uint8_t key[36];
	unsigned base, bit = 0;
	size_t n;

	hull_frame_parse(head, len, &p);
	n = flow_of(head, &p, key);
	if (!n)
		return;
	base = p.ip == 4 ? HASH_IPV4 : HASH_IPV6;
	if (p.payload)
		bit = p.protocol == HULL_FRAME_TCP ? HASH_TCP : HASH_UDP;
	if (bit && s->rss.types & BIT(base + bit))
		n += 4;
	else if (s->rss.types & BIT(base))
		bit = 0;
	else
		return;
	s->hash = hull_net_toeplitz(s->rss.key, key, n);
	s->hash_type = (uint8_t)(1 + base + bit);
}

void hull_net_steer(struct net *s, const uint8_t *head, size_t len)
{
	unsigned slot;

	s->hash = 0;
	s->hash_type = 0;
	if (s->rss.types)
		hash_frame(s, head, len);
	if (s->rss.steers) {
		s->pair = s->hash_type ? s->rss.table[s->hash & s->rss.mask] : s->rss.unclassified;
	} else if (s->pairs > 1) {
		slot = flow_slot(head, len);
		s->pair = s->flows[slot] ? s->flows[slot] - 1u : slot;
	} else {
		s->pair = 0;
	}
	s->pair %= s->pairs;
}
