/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-net: the control queue, and the filters that it sets.
 *
 * Spec: VIRTIO 1.3, 5.1.6.5.  A command is copied, checked as a whole, and then done; what is
 * refused changes nothing.
 */
#include "base/mem.h"
#include "dev/virtio/net_impl.h"

enum {
	CLASS_RX = 0,
	CLASS_MAC = 1,
	CLASS_VLAN = 2,
	CLASS_ANNOUNCE = 3,
	CLASS_MQ = 4,
	CLASS_OFFLOADS = 5
};
enum { RX_MODES = 6, RX_BASIC = 2 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1 };
enum { VLAN_ADD = 0, VLAN_DEL = 1 };
enum { MQ_PAIRS = 0, MQ_RSS = 1, MQ_HASH = 2 };
enum { HEAD = 2, TABLE_AT_ONCE = 64, RSS_HEAD = 8 };

static const uint64_t all_offloads = BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) |
                                     BIT(NET_F_GUEST_TSO6) | BIT(NET_F_GUEST_USO4) |
                                     BIT(NET_F_GUEST_USO6);

/* The command's data from byte `off` on. */
static bool data(struct net *s, unsigned q, uint64_t off, void *buf, size_t len)
{
	return hull_virtq_copy_in(&s->queues[q], s->chain, HEAD + off, buf, len);
}

static uint64_t data_len(const struct net *s)
{
	return s->chain->read_len - HEAD;
}

uint64_t hull_net_guest_offloads(const struct net *s)
{
	return s->v.driver_features & all_offloads & ~s->off;
}

static bool set_mode(struct net *s, unsigned q, uint8_t command)
{
	unsigned feature = command < RX_BASIC ? NET_F_CTRL_RX : NET_F_CTRL_RX_EXTRA;
	uint8_t on;

	if (command >= RX_MODES || !hull_virtio_has(&s->v, feature) || !data(s, q, 0, &on, 1))
		return false;
	if (on)
		s->modes |= (uint8_t)BIT(command);
	else
		s->modes &= (uint8_t)~BIT(command);
	return true;
}

/* One of the two tables, at *off of the data; its length must be the truth. */
static bool read_macs(struct net *s, unsigned q, uint64_t *off, struct net_macs *ret)
{
	uint8_t raw[4];
	uint64_t bytes, kept;

	if (!data(s, q, *off, raw, sizeof(raw)))
		return false;
	bytes = 6 * (uint64_t)load_le32(raw);
	if (bytes > data_len(s) - *off - sizeof(raw))
		return false;
	kept = MIN(bytes, (uint64_t)sizeof(ret->addr));
	ret->all = bytes > kept;
	ret->n = ret->all ? 0 : (uint8_t)(kept / 6);
	if (!data(s, q, *off + sizeof(raw), ret->addr, kept))
		return false;
	*off += sizeof(raw) + bytes;
	return true;
}

static bool set_mac(struct net *s, unsigned q, uint8_t command)
{
	struct net_macs unicast = { 0 }, multicast = { 0 };
	uint64_t off = 0;
	uint8_t mac[6];

	switch (command) {
	case MAC_TABLE_SET:
		if (!hull_virtio_has(&s->v, NET_F_CTRL_RX) || !read_macs(s, q, &off, &unicast) ||
		    !read_macs(s, q, &off, &multicast))
			return false;
		s->unicast = unicast;
		s->multicast = multicast;
		return true;
	case MAC_ADDR_SET:
		if (!hull_virtio_has(&s->v, NET_F_CTRL_MAC_ADDR) || data_len(s) != sizeof(mac) ||
		    !data(s, q, 0, mac, sizeof(mac)))
			return false;
		memcpy(s->mac, mac, sizeof(mac));
		return true;
	}
	return false;
}

static bool set_vlan(struct net *s, unsigned q, uint8_t command)
{
	uint8_t raw[2];
	unsigned id;

	if (!hull_virtio_has(&s->v, NET_F_CTRL_VLAN) || !data(s, q, 0, raw, sizeof(raw)))
		return false;
	id = load_le16(raw);
	if (id >= NET_VLANS || (command != VLAN_ADD && command != VLAN_DEL))
		return false;
	if (command == VLAN_ADD)
		s->vlans[id / 64] |= BIT(id % 64);
	else
		s->vlans[id / 64] &= ~BIT(id % 64);
	return true;
}

static bool multi(const struct net *s)
{
	return hull_virtio_has(&s->v, NET_F_MQ) || hull_virtio_has(&s->v, NET_F_RSS);
}

static bool set_pairs(struct net *s, unsigned q)
{
	uint8_t raw[2];
	unsigned n;

	if (!hull_virtio_has(&s->v, NET_F_MQ) || !data(s, q, 0, raw, sizeof(raw)))
		return false;
	n = load_le16(raw);
	if (!n || n > net_pairs(s))
		return false;
	s->pairs = (uint16_t)n;
	s->rss.steers = 0;
	memset(s->flows, 0, sizeof(s->flows));
	return true;
}

/* {types, mask, unclassified, table, transmit queues, length of key, key}; see 5.1.6.5.6. */
static bool set_rss(struct net *s, unsigned q)
{
	struct net_rss r = { .steers = 1 };
	uint8_t head[RSS_HEAD], raw[2 * NET_TABLE], tail[3];
	unsigned entries, n;

	if (!hull_virtio_has(&s->v, NET_F_RSS) || !data(s, q, 0, head, sizeof(head)))
		return false;
	r.types = load_le32(head);
	r.mask = load_le16(head + 4);
	r.unclassified = load_le16(head + 6);
	entries = r.mask + 1u;
	if (r.types & ~(uint32_t)NET_HASH_TYPES || entries > NET_TABLE || !is_pow2(entries) ||
	    r.unclassified >= net_pairs(s) || !data(s, q, RSS_HEAD, raw, 2 * entries) ||
	    !data(s, q, RSS_HEAD + 2 * entries, tail, sizeof(tail)))
		return false;
	for (unsigned i = 0; i < entries; i++) {
		r.table[i] = load_le16(raw + 2 * i);
		if (r.table[i] >= net_pairs(s))
			return false;
	}
	n = load_le16(tail);
	if (!n || n > net_pairs(s) || tail[2] > NET_KEY ||
	    !data(s, q, RSS_HEAD + 2 * entries + sizeof(tail), r.key, tail[2]))
		return false;
	s->rss = r;
	/* The table may name any of them. */
	s->pairs = (uint16_t)net_pairs(s);
	return true;
}

static bool set_hash(struct net *s, unsigned q)
{
	uint8_t head[13], key[NET_KEY] = { 0 };

	if (!hull_virtio_has(&s->v, NET_F_HASH_REPORT) || !data(s, q, 0, head, sizeof(head)))
		return false;
	if (load_le32(head) & ~(uint32_t)NET_HASH_TYPES || head[12] > NET_KEY ||
	    !data(s, q, sizeof(head), key, head[12]))
		return false;
	s->rss.types = load_le32(head);
	memcpy(s->rss.key, key, sizeof(key));
	return true;
}

static bool set_steering(struct net *s, unsigned q, uint8_t command)
{
	switch (command) {
	case MQ_PAIRS: return set_pairs(s, q);
	case MQ_RSS: return set_rss(s, q);
	case MQ_HASH: return set_hash(s, q);
	}
	return false;
}

static bool set_offloads(struct net *s, unsigned q, uint8_t command)
{
	uint64_t had = s->v.driver_features & all_offloads;
	uint8_t raw[8];

	if (command || !hull_virtio_has(&s->v, NET_F_CTRL_GUEST_OFFLOADS) ||
	    !data(s, q, 0, raw, sizeof(raw)) || load_le64(raw) & ~had)
		return false;
	s->off = had & ~load_le64(raw);
	return true;
}

static bool perform(struct net *s, unsigned q, uint8_t class, uint8_t command)
{
	switch (class) {
	case CLASS_RX: return set_mode(s, q, command);
	case CLASS_MAC: return set_mac(s, q, command);
	case CLASS_VLAN: return set_vlan(s, q, command);
	case CLASS_ANNOUNCE:
		if (command || !hull_virtio_has(&s->v, NET_F_GUEST_ANNOUNCE))
			return false;
		s->announce = 0;
		return true;
	case CLASS_MQ: return set_steering(s, q, command);
	case CLASS_OFFLOADS: return set_offloads(s, q, command);
	}
	return false;
}

void hull_net_ctrl_notify(struct net *s, unsigned q)
{
	unsigned budget = TABLE_AT_ONCE;

	for (; budget && hull_virtio_next(&s->v, q, s->chain); budget--) {
		uint8_t head[HEAD], ack;

		hull_virtq_take(&s->queues[q]);
		if (!s->chain->write_len ||
		    !hull_virtq_copy_in(&s->queues[q], s->chain, 0, head, sizeof(head))) {
			hull_virtio_broken(&s->v, q, "control command without head or answer");
			return;
		}
		ack = !perform(s, q, head[0], head[1]);
		if (ack)
			hull_guest_error(&s->v.dev, "control command refused", head[0]);
		if (!hull_virtq_copy_out(&s->queues[q], s->chain, 0, &ack, 1)) {
			hull_virtio_broken(&s->v, q, "buffer is not memory");
			return;
		}
		hull_virtio_push(&s->v, q, s->chain->head, 1);
	}
	hull_virtio_signal(&s->v, q);
	if (!budget)
		hull_virtio_later(&s->v, q, 0);
}

void hull_net_ctrl_reset(struct net *s)
{
	/* 5.1.6.5.1: without the driver's word all arrives. */
	s->modes = NET_PROMISC;
	s->announce = 0;
	s->pairs = 1;
	s->off = 0;
	s->unicast = s->multicast = (struct net_macs){ 0 };
	s->rss = (struct net_rss){ 0 };
	memset(s->vlans, 0, sizeof(s->vlans));
	memset(s->flows, 0, sizeof(s->flows));
}

static bool listed(const struct net_macs *t, const uint8_t *addr)
{
	if (t->all)
		return true;
	for (unsigned i = 0; i < t->n; i++)
		if (!memcmp(t->addr + 6 * (size_t)i, addr, 6))
			return true;
	return false;
}

static bool vlan_wanted(const struct net *s, const uint8_t *head, size_t len)
{
	unsigned id;

	if (!hull_virtio_has(&s->v, NET_F_CTRL_VLAN) || len < HULL_FRAME_ETH + 4 ||
	    load_be16(head + 12) != 0x8100)
		return true;
	id = load_be16(head + 14) & (NET_VLANS - 1);
	return s->vlans[id / 64] >> id % 64 & 1;
}

bool hull_net_wanted(const struct net *s, const uint8_t *head, size_t len)
{
	static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

	if (s->modes & NET_PROMISC)
		return true;
	if (!vlan_wanted(s, head, len))
		return false;
	if (!memcmp(head, broadcast, sizeof(broadcast)))
		return !(s->modes & NET_NOBCAST);
	if (head[0] & 1)
		return !(s->modes & NET_NOMULTI) &&
		       (s->modes & NET_ALLMULTI || listed(&s->multicast, head));
	return !(s->modes & NET_NOUNI) &&
	       (s->modes & NET_ALLUNI || !memcmp(head, s->mac, 6) || listed(&s->unicast, head));
}

void hull_net_ctrl_restored(struct net *s)
{
	s->pairs = (uint16_t)(s->pairs ? MIN((unsigned)s->pairs, net_pairs(s)) : 1);
	s->unicast.n = MIN(s->unicast.n, (uint8_t)NET_MACS);
	s->multicast.n = MIN(s->multicast.n, (uint8_t)NET_MACS);
	s->rss.mask &= NET_TABLE - 1;
	if (!multi(s))
		s->pairs = 1;
	if (hull_virtio_has(&s->v, NET_F_GUEST_ANNOUNCE))
		s->announce = 1;
}
