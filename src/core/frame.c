/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "core/frame.h"

#include "base/bits.h"
#include "base/mem.h"

enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, TYPE_VLAN = 0x8100, TYPE_SVLAN = 0x88a8 };
enum { IPV4_HEADER = 20, IPV6_HEADER = 40, TCP_HEADER = 20, UDP_HEADER = 8 };
/* RFC 8200, 4: extension headers. */
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60, EXTENSIONS = 4 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

uint64_t hull_frame_sum(const uint8_t *p, size_t len, uint64_t sum)
{
	/* RFC 1071, 2(C): 32-bit words in 64 bits; at most 2^17 of them, so that nothing is lost.
	 */
	for (; len >= 8; p += 8, len -= 8)
		sum += (uint64_t)load_be32(p) + load_be32(p + 4);
	for (; len >= 2; p += 2, len -= 2)
		sum += load_be16(p);
	return len ? sum + ((uint64_t)p[0] << 8) : sum;
}

uint16_t hull_frame_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

bool hull_frame_checksum(uint8_t *frame, size_t len, size_t start, size_t offset)
{
	uint16_t sum;

	if (len < 2 || start >= len || offset > len || start + offset > len - 2)
		return false;
	sum = hull_frame_fold(hull_frame_sum(frame + start, len - start, 0));
	/* RFC 768: 0 means that there is none; for other protocols both are the same number. */
	store_be16(frame + start + offset, sum ? sum : 0xffff);
	return true;
}

static bool parse_ipv4(const uint8_t *f, size_t len, struct hull_frame_parts *p)
{
	const uint8_t *h = f + p->l3;
	size_t size;

	if (len < p->l3 + (size_t)IPV4_HEADER || h[0] >> 4 != 4)
		return false;
	size = 4 * (size_t)(h[0] & 15);
	if (size < IPV4_HEADER || len < p->l3 + size)
		return false;
	p->fragment = load_be16(h + 6) & 0x3fff;
	p->protocol = h[9];
	p->l4 = (uint16_t)(p->l3 + size);
	return true;
}

static bool parse_ipv6(const uint8_t *f, size_t len, struct hull_frame_parts *p)
{
	size_t at = p->l3 + (size_t)IPV6_HEADER;
	unsigned next;

	if (len < at || f[p->l3] >> 4 != 6)
		return false;
	next = f[p->l3 + 6];
	for (unsigned i = 0; i < EXTENSIONS; i++) {
		if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION)
			break;
		if (len < at + 8)
			return false;
		next = f[at];
		at += 8 * ((size_t)f[at + 1] + 1);
	}
	/* Ours to understand are headers of HULL_FRAME_HEADERS; TCP's may take 60 bytes. */
	if (len < at || at > HULL_FRAME_HEADERS - 60)
		return false;
	p->fragment = next == FRAGMENT;
	p->protocol = (uint8_t)next;
	p->l4 = (uint16_t)at;
	return true;
}

static void parse_transport(const uint8_t *f, size_t len, struct hull_frame_parts *p)
{
	size_t size = UDP_HEADER;

	if (p->fragment || (p->protocol != HULL_FRAME_TCP && p->protocol != HULL_FRAME_UDP))
		return;
	if (p->protocol == HULL_FRAME_TCP) {
		if (len < p->l4 + (size_t)TCP_HEADER)
			return;
		size = 4 * (size_t)(f[p->l4 + 12] >> 4);
		if (size < TCP_HEADER)
			return;
	}
	if (len >= p->l4 + size)
		p->payload = (uint16_t)(p->l4 + size);
}

void hull_frame_parse(const uint8_t *f, size_t len, struct hull_frame_parts *ret)
{
	struct hull_frame_parts p = { .l3 = HULL_FRAME_ETH };
	unsigned type;
	bool ok;

	*ret = (struct hull_frame_parts){ 0 };
	if (len < HULL_FRAME_ETH)
		return;
	type = load_be16(f + 12);
	for (unsigned i = 0; i < 2 && (type == TYPE_VLAN || type == TYPE_SVLAN); i++) {
		if (len < p.l3 + 4u)
			return;
		type = load_be16(f + p.l3 + 2);
		p.l3 += 4;
	}
	if (type == TYPE_IPV4)
		ok = parse_ipv4(f, len, &p);
	else
		ok = type == TYPE_IPV6 && parse_ipv6(f, len, &p);
	if (!ok)
		return;
	p.ip = type == TYPE_IPV4 ? 4 : 6;
	parse_transport(f, len, &p);
	*ret = p;
}

static bool matches(const struct hull_frame_parts *p, uint8_t gso_type)
{
	if (!p->payload)
		return false;
	switch (gso_type) {
	case HULL_NET_GSO_TCPV4: return p->ip == 4 && p->protocol == HULL_FRAME_TCP;
	case HULL_NET_GSO_TCPV6: return p->ip == 6 && p->protocol == HULL_FRAME_TCP;
	case HULL_NET_GSO_UDP: return p->protocol == HULL_FRAME_UDP;
	}
	return false;
}

bool hull_frame_gso(const uint8_t *frame, uint32_t len, uint8_t gso_type, uint16_t size,
                    struct hull_frame_gso *ret)
{
	struct hull_frame_gso g = { .frame = frame, .len = len, .size = size };
	uint32_t payload, count;

	if (!size || len > HULL_NET_FRAME_MAX)
		return false;
	hull_frame_parse(frame, len, &g.parts);
	if (!matches(&g.parts, gso_type))
		return false;
	payload = len - g.parts.payload;
	count = payload ? (payload + size - 1) / size : 1;
	/* The length of each has 16 bits in its headers. */
	if (count > HULL_FRAME_SEGMENTS ||
	    g.parts.payload - g.parts.l3 + MIN(payload, (uint32_t)size) > UINT16_MAX)
		return false;
	g.count = (uint16_t)count;
	*ret = g;
	return true;
}

/* Length, identification and checksum of the IP header; returns the sum of its addresses. */
static uint64_t finish_ip(const struct hull_frame_parts *p, unsigned i, uint8_t *h, uint32_t len)
{
	uint8_t *ip = h + p->l3;
	uint32_t total = len - p->l3;

	if (p->ip == 6) {
		store_be16(ip + 4, (uint16_t)(total - IPV6_HEADER));
		return hull_frame_sum(ip + 8, 32, 0);
	}
	store_be16(ip + 2, (uint16_t)total);
	store_be16(ip + 4, (uint16_t)(load_be16(ip + 4) + i));
	store_be16(ip + 10, 0);
	store_be16(ip + 10, hull_frame_fold(hull_frame_sum(ip, p->l4 - p->l3, 0)));
	return hull_frame_sum(ip + 12, 8, 0);
}

/* RFC 9293, 3.1; the flags that only the first or the last segment may carry. */
static void finish_tcp(const struct hull_frame_gso *g, unsigned i, uint8_t *tcp)
{
	store_be32(tcp + 4, load_be32(tcp + 4) + i * g->size);
	if (i + 1u < g->count)
		tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	if (i)
		tcp[13] &= (uint8_t)~TCP_CWR;
}

uint32_t hull_frame_segment(const struct hull_frame_gso *g, unsigned i,
                            uint8_t headers[HULL_FRAME_HEADERS], const uint8_t **ret_payload,
                            uint32_t *ret_len)
{
	const struct hull_frame_parts *p = &g->parts;
	bool tcp = p->protocol == HULL_FRAME_TCP;
	uint32_t off = p->payload + i * (uint32_t)g->size;
	uint32_t len = MIN(g->len - off, (uint32_t)g->size);
	uint32_t transport = p->payload - p->l4 + len;
	uint8_t *l4 = headers + p->l4, *field = l4 + (tcp ? 16 : 6);
	uint64_t sum;
	uint16_t check;

	memcpy(headers, g->frame, p->payload);
	sum = finish_ip(p, i, headers, p->payload + len) + transport + p->protocol;
	if (tcp)
		finish_tcp(g, i, l4);
	else
		store_be16(l4 + 4, (uint16_t)transport);
	store_be16(field, 0);
	sum = hull_frame_sum(l4, p->payload - p->l4, sum);
	check = hull_frame_fold(hull_frame_sum(g->frame + off, len, sum));
	store_be16(field, check ? check : 0xffff);
	*ret_payload = g->frame + off;
	*ret_len = len;
	return p->payload;
}

static unsigned needed(const struct hull_net_frame *f)
{
	unsigned need = f->flags & HULL_NET_NEEDS_CSUM ? HULL_NET_CSUM : 0;

	switch (f->gso_type) {
	case HULL_NET_GSO_TCPV4: return need | HULL_NET_TSO4;
	case HULL_NET_GSO_TCPV6: return need | HULL_NET_TSO6;
	case HULL_NET_GSO_UDP: return need | HULL_NET_USO;
	}
	return need;
}

static void gather(const struct hull_net_frame *f, uint8_t *linear)
{
	if (f->nsegs == 1 && f->segs->hva == linear)
		return;
	for (unsigned i = 0; i < f->nsegs; i++) {
		memcpy(linear, f->segs[i].hva, f->segs[i].len);
		linear += f->segs[i].len;
	}
}

static bool cut(const struct hull_frame_way *way, const struct hull_frame_gso *g, uint16_t *at)
{
	uint8_t headers[HULL_FRAME_HEADERS];
	struct hull_net_frame f = { .segs = NULL };
	const uint8_t *payload;
	uint32_t len;

	for (; *at < g->count; ++*at) {
		uint32_t n = hull_frame_segment(g, *at, headers, &payload, &len);
		const struct hull_block_seg segs[2] = { { headers, n },
			                                { (uint8_t *)(uintptr_t)payload, len } };

		f.segs = segs;
		f.nsegs = len ? 2 : 1;
		f.len = n + len;
		if (!way->out(way->arg, &f))
			return false;
	}
	return true;
}

bool hull_frame_pass(const struct hull_frame_way *way, const struct hull_net_frame *f, uint16_t *at,
                     bool *ret_bad)
{
	struct hull_block_seg seg = { way->linear, f->len };
	struct hull_frame_gso g;
	struct hull_net_frame done;

	*ret_bad = false;
	if (!(needed(f) & ~way->can))
		return way->out(way->arg, f);
	gather(f, way->linear);
	if (f->gso_type) {
		*ret_bad = !hull_frame_gso(way->linear, f->len, f->gso_type, f->gso_size, &g);
		return *ret_bad || cut(way, &g, at);
	}
	*ret_bad = !hull_frame_checksum(way->linear, f->len, f->csum_start, f->csum_offset);
	done = (struct hull_net_frame){ .segs = &seg, .nsegs = 1, .len = f->len };
	return *ret_bad || way->out(way->arg, &done);
}
