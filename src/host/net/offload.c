/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/offload.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"

enum {
	ETHER = 14,
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	TYPE_VLAN = 0x8100,
	IP4 = 20,
	IP6 = 40,
	TCP = 20,
	UDP = 8,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	TCP_FIN_PSH = 0x09,
	TCP_CWR = 0x80,
	HEADERS_MAX = 14 + 4 + 60 + 60,
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static bool parse_ip4(const uint8_t *p, uint32_t left, struct hull_net_layout *l)
{
	uint32_t ihl, total;

	if (left < IP4 || p[0] >> 4 != 4)
		return false;
	ihl = (p[0] & 15) * 4u;
	total = get16(p + 2);
	if (ihl < IP4 || ihl > left)
		return false;
	/* Frames that are yet to be segmented may say 0 or something shorter. */
	if (total < ihl || total > left)
		total = left;
	l->proto = p[9];
	l->fragment = get16(p + 6) & 0x3fff;
	l->l4 = (uint16_t)(l->l3 + ihl);
	l->end = l->l3 + total;
	return true;
}

static bool parse_ip6(const uint8_t *p, uint32_t left, struct hull_net_layout *l)
{
	uint32_t total;

	if (left < IP6 || p[0] >> 4 != 6)
		return false;
	total = IP6 + get16(p + 4);
	if (total == IP6 || total > left)
		total = left;
	l->v6 = true;
	l->proto = p[6];
	l->l4 = (uint16_t)(l->l3 + IP6);
	l->end = l->l3 + total;
	return true;
}

bool hull_net_parse(const uint8_t *data, uint32_t len, struct hull_net_layout *ret)
{
	struct hull_net_layout l = { .l3 = ETHER };
	uint32_t left, header;
	uint16_t type;

	if (len < ETHER + 4)
		return false;
	type = get16(data + 12);
	if (type == TYPE_VLAN) {
		type = get16(data + 16);
		l.l3 += 4;
	}
	if (type == TYPE_IPV4 ? !parse_ip4(data + l.l3, len - l.l3, &l)
	                      : type != TYPE_IPV6 || !parse_ip6(data + l.l3, len - l.l3, &l))
		return false;
	left = l.end - l.l4;
	if (!l.fragment && l.proto == PROTO_TCP && left >= TCP) {
		header = (data[l.l4 + 12] >> 4) * 4u;
		l.l4_known = header >= TCP && header <= left;
		l.payload = (uint16_t)(l.l4 + header);
	} else if (!l.fragment && l.proto == PROTO_UDP && left >= UDP) {
		l.l4_known = true;
		l.payload = (uint16_t)(l.l4 + UDP);
	}
	*ret = l;
	return true;
}

uint64_t hull_net_sum(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *p = data;
	uint32_t word;

	/* In the byte order of the host: the sum does not care (RFC 1071, 2(B)). */
	for (; len >= 4; len -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		sum += word;
	}
	return sum;
}

uint16_t hull_net_fold(uint64_t sum)
{
	uint8_t bytes[2];
	uint16_t folded;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	folded = (uint16_t)sum;
	memcpy(bytes, &folded, 2);
	return get16(bytes);
}

/* The sum of the pseudo-header with this length of TCP or UDP. */
static uint64_t pseudo(const uint8_t *data, const struct hull_net_layout *l, uint32_t len)
{
	uint8_t tail[8] = { 0, 0, 0, 0, 0, 0, 0, l->proto };
	const uint8_t *ip = data + l->l3;

	store_be32(tail, len);
	return l->v6 ? hull_net_sum(tail, 8, hull_net_sum(ip + 8, 32, 0))
	             : hull_net_sum(tail, 8, hull_net_sum(ip + 12, 8, 0));
}

static uint32_t checksum_at(const struct hull_net_layout *l)
{
	return l->l4 + (l->proto == PROTO_TCP ? 16u : 6u);
}

/* Lengths of the headers at `data` for `len` bytes of TCP or UDP, and IPv4's checksum. */
static void set_lengths(uint8_t *data, const struct hull_net_layout *l, uint32_t len)
{
	uint8_t *ip = data + l->l3;

	if (l->v6) {
		put16(ip + 4, len);
	} else {
		put16(ip + 2, l->l4 - l->l3 + len);
		put16(ip + 10, 0);
		put16(ip + 10, (uint16_t)~hull_net_fold(hull_net_sum(ip, l->l4 - l->l3, 0)));
	}
	if (l->proto == PROTO_UDP)
		put16(data + l->l4 + 4, len);
}

void hull_net_finish(struct hull_net_packet *p, const struct hull_net_layout *l)
{
	uint32_t len = l->end - l->l4;
	uint8_t *check = p->data + checksum_at(l);
	uint16_t sum;

	set_lengths(p->data, l, len);
	put16(check, 0);
	sum = (uint16_t)~hull_net_fold(hull_net_sum(p->data + l->l4, len, pseudo(p->data, l, len)));
	put16(check, !sum && l->proto == PROTO_UDP ? 0xffff : sum);
	p->flags = p->gso_type = 0;
}

void hull_net_partial(struct hull_net_packet *p, const struct hull_net_layout *l)
{
	put16(p->data + checksum_at(l), hull_net_fold(pseudo(p->data, l, l->end - l->l4)));
}

bool hull_net_checksum(struct hull_net_packet *p)
{
	uint32_t at = (uint32_t)p->csum_start + p->csum_offset;
	uint16_t sum;

	if (!(p->flags & HULL_NET_NEEDS_CSUM))
		return true;
	if (p->csum_start >= p->len || at + 2 > p->len)
		return false;
	sum = (uint16_t)~hull_net_fold(
		hull_net_sum(p->data + p->csum_start, p->len - p->csum_start, 0));
	/* 0 is no checksum in UDP, and the same number as 0xffff in the others. */
	put16(p->data + at, sum ? sum : 0xffff);
	p->flags = 0;
	return true;
}

/* One segment: its headers are a changed copy, its payload stays where it is. */
static bool deliver_one(struct hull_net *n, const struct hull_net_packet *p,
                        const struct hull_net_layout *l, uint32_t i)
{
	uint32_t from = i * (uint32_t)p->gso_size, whole = l->end - l->payload;
	uint32_t len = MIN(whole - from, (uint32_t)p->gso_size);
	uint32_t l4len = l->payload - l->l4 + len;
	uint8_t head[HEADERS_MAX];
	struct hull_block_seg segs[2] = { { head, l->payload },
		                          { p->data + l->payload + from, len } };
	struct hull_net_frame f = { .segs = segs, .nsegs = 2, .len = l->payload + len };
	uint64_t sum;

	memcpy(head, p->data, l->payload);
	if (!l->v6)
		put16(head + l->l3 + 4, get16(head + l->l3 + 4) + i);
	set_lengths(head, l, l4len);
	if (l->proto == PROTO_TCP) {
		store_be32(head + l->l4 + 4, load_be32(head + l->l4 + 4) + from);
		if (from + len < whole)
			head[l->l4 + 13] &= (uint8_t)~TCP_FIN_PSH;
		if (i)
			head[l->l4 + 13] &= (uint8_t)~TCP_CWR;
	}
	sum = pseudo(head, l, l4len);
	put16(head + checksum_at(l), 0);
	if (hull_load_relaxed(&n->gives) & HULL_NET_CSUM) {
		put16(head + checksum_at(l), hull_net_fold(sum));
		f.flags = HULL_NET_NEEDS_CSUM;
		f.csum_start = l->l4;
		f.csum_offset = (uint16_t)(checksum_at(l) - l->l4);
	} else {
		uint16_t c;

		sum = hull_net_sum(head + l->l4, l->payload - l->l4, sum);
		c = (uint16_t)~hull_net_fold(hull_net_sum(segs[1].hva, len, sum));
		put16(head + checksum_at(l), c ? c : 0xffff);
	}
	return n->receive(n->arg, &f);
}

static unsigned needs(const struct hull_net_packet *p)
{
	switch (p->gso_type) {
	case HULL_NET_GSO_TCPV4: return HULL_NET_TSO4;
	case HULL_NET_GSO_TCPV6: return HULL_NET_TSO6;
	case HULL_NET_GSO_NONE: return p->flags & HULL_NET_NEEDS_CSUM ? HULL_NET_CSUM : 0;
	default: return HULL_NET_USO;
	}
}

static bool whole(struct hull_net *n, const struct hull_net_packet *p)
{
	struct hull_block_seg seg;
	struct hull_net_frame f = hull_net_packet_frame(p, &seg);

	if (!(hull_load_relaxed(&n->gives) & HULL_NET_CSUM))
		f.flags = 0;
	return n->receive(n->arg, &f);
}

bool hull_net_deliver(struct hull_net *n, struct hull_net_packet *p, uint32_t *segment)
{
	struct hull_net_layout l;
	unsigned need = needs(p);

	if (!n->receive)
		return true;
	if ((need & hull_load_relaxed(&n->gives)) == need && !*segment)
		return whole(n, p);
	if (!p->gso_type)
		return !hull_net_checksum(p) || whole(n, p);
	if (!p->gso_size || !hull_net_parse(p->data, p->len, &l) || !l.l4_known ||
	    l.payload > HEADERS_MAX || l.proto != (p->gso_type == HULL_NET_GSO_UDP ? 17 : 6))
		return true;
	for (; *segment * p->gso_size < l.end - l.payload; ++*segment)
		if (!deliver_one(n, p, &l, *segment))
			return false;
	return true;
}
