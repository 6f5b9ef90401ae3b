/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/user_frames.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "host/net/user.h"

enum {
	ETHER = 14,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMP6 = 58,
	HEADERS4 = 40, /* IPv4 and TCP without options */
	HEADERS6 = 60,
	SYN = 2,
	ACK = 16,
	LARGE = 16 << 10,
	UDP_MS = 250 * 1000,    /* libslirp keeps UDP sockets for 240 s after their last use, */
	UDP_DNS_MS = 12 * 1000, /* and for 10 s if they talk to port 53 */
	PROBES = 16,
	FRAGMENTS = 2048, /* at once, and that many per FRAGMENTS_MS: libslirp keeps them 30 s */
	FRAGMENTS_MS = 15 * 1000,
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

void hull_user_frames_init(struct hull_user_frames *f, uint16_t mtu)
{
	memset(f, 0, sizeof(*f));
	f->mtu = mtu;
	f->pieces = MAX(LARGE / (mtu - (unsigned)HEADERS4), 1u);
	f->tokens = FRAGMENTS;
}

uint32_t hull_user_frames_mtu(const struct hull_user_frames *f)
{
	return f->pieces * (f->mtu - (uint32_t)HEADERS4) + HEADERS4;
}

static bool is_published(const struct hull_user_frames *f, uint16_t port)
{
	for (unsigned i = 0; i < f->npublish; i++)
		if (f->publish[i].udp && f->publish[i].guest == port)
			return true;
	return false;
}

/* To a network that is denied only answers go: to those who came by a published port. */
static bool denied(const struct hull_user_frames *f, const uint8_t *data,
                   const struct hull_net_layout *l)
{
	const uint8_t *to = data + l->l3 + (l->v6 ? 24 : 16);
	unsigned i;

	for (i = 0; i < f->ndeny; i++)
		if (hull_net_address_holds(&f->deny[i], l->v6, to))
			break;
	if (i == f->ndeny)
		return false;
	if (!l->l4_known)
		return true;
	if (l->proto == PROTO_TCP)
		return (data[l->l4 + 13] & (SYN | ACK)) == SYN;
	return !is_published(f, get16(data + l->l4));
}

static uint32_t udp_hash(const struct hull_user_udp *u)
{
	uint32_t h = u->port * UINT32_C(2654435761);

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ u->addr[i]) * UINT32_C(16777619);
	return h ^ h >> 16;
}

/* Room for a UDP socket; one that libslirp has open already is found again. */
static bool udp_known(struct hull_user_frames *f, const uint8_t *data,
                      const struct hull_net_layout *l)
{
	struct hull_user_udp u = { .port = get16(data + l->l4), .v6 = l->v6, .used = true };
	bool dns = get16(data + l->l4 + 2) == 53;
	struct hull_user_udp *slot = NULL;
	uint32_t h;

	memcpy(u.addr, data + l->l3 + (l->v6 ? 8 : 12), l->v6 ? 16 : 4);
	u.until_ms = f->now_ms + (dns ? UDP_DNS_MS : UDP_MS);
	h = udp_hash(&u);
	for (unsigned i = 0; i < PROBES; i++) {
		struct hull_user_udp *s = &f->udp[(h + i) % HULL_USER_UDP];

		if (s->used && s->until_ms > f->now_ms && s->port == u.port && s->v6 == u.v6 &&
		    !memcmp(s->addr, u.addr, 16)) {
			s->until_ms = u.until_ms;
			return true;
		}
		if (!slot && (!s->used || s->until_ms <= f->now_ms))
			slot = s;
	}
	if (!slot || f->flows >= HULL_USER_FLOWS)
		return false;
	*slot = u;
	f->flows++;
	return true;
}

/* May it open another socket of the host?  Only TCP's SYN, datagrams and pings do. */
static bool has_room(struct hull_user_frames *f, const uint8_t *data,
                     const struct hull_net_layout *l)
{
	if (l->l4_known && l->proto == PROTO_UDP)
		return udp_known(f, data, l);
	if (l->l4_known && l->proto == PROTO_TCP && (data[l->l4 + 13] & (SYN | ACK)) != SYN)
		return true;
	if (l->proto == PROTO_ICMP6 && l->end - l->l4 >= 1 && data[l->l4] != 128 /* echo */)
		return true;
	if (f->flows >= HULL_USER_FLOWS)
		return false;
	f->flows += l->l4_known || l->proto == PROTO_ICMP || l->proto == PROTO_ICMP6;
	return true;
}

/* libslirp keeps incomplete datagrams without a bound. */
static bool fragment_passes(struct hull_user_frames *f)
{
	uint64_t more = (f->now_ms - f->tokens_ms) * FRAGMENTS / FRAGMENTS_MS;

	if (more) {
		f->tokens = (uint32_t)MIN(f->tokens + more, (uint64_t)FRAGMENTS);
		f->tokens_ms = f->now_ms;
	}
	if (!f->tokens)
		return false;
	f->tokens--;
	return true;
}

/* Ask for segments that are several of the guest's: its SYN names the size (RFC 9293, 3.7.1). */
static bool enlarge_mss(const struct hull_user_frames *f, uint8_t *data,
                        const struct hull_net_layout *l)
{
	uint32_t usual = f->mtu - (l->v6 ? (uint32_t)HEADERS6 : HEADERS4);
	uint8_t *o = data + l->l4 + 20, *end = data + l->payload;
	unsigned n;

	if (!(data[l->l4 + 13] & SYN))
		return false;
	for (; o < end && *o; o += n) {
		n = *o == 1 ? 1 : o + 1 < end ? o[1] : 0;
		if (!n || (*o != 1 && n < 2) || n > (size_t)(end - o))
			return false;
		if (*o == 2 && n == 4 && get16(o + 2) >= usual) {
			put16(o + 2, f->pieces * usual);
			return true;
		}
	}
	return false;
}

bool hull_user_from_guest(struct hull_user_frames *f, struct hull_net_packet *p)
{
	struct hull_net_layout l;

	if (!hull_net_parse(p->data, p->len, &l))
		return !p->gso_type; /* ARP, and what libslirp will throw away */
	if (f->ndeny && denied(f, p->data, &l)) {
		hull_add_relaxed(&f->denied, 1);
		return false;
	}
	if (l.fragment ? !fragment_passes(f) : !has_room(f, p->data, &l)) {
		hull_add_relaxed(&f->refused, 1);
		return false;
	}
	if (p->gso_type) {
		if (!l.l4_known || l.proto != PROTO_TCP || l.end - l.l3 > 65535)
			return false;
		l.end = p->len;
		hull_net_finish(p, &l);
		return true;
	}
	if (l.l4_known && l.proto == PROTO_TCP && enlarge_mss(f, p->data, &l)) {
		hull_net_finish(p, &l);
		return true;
	}
	return hull_net_checksum(p);
}

/* RFC 791, 3.2: all pieces but the last carry a multiple of 8 bytes. */
static void cut_ip4(struct hull_user_frames *f, uint8_t *data, const struct hull_net_layout *l,
                    void (*put)(void *arg, struct hull_net_packet *p), void *arg)
{
	uint32_t head = l->l4 - l->l3, step = (f->mtu - head) & ~7u;
	uint32_t whole = l->end - l->l4, n;
	uint8_t kept[ETHER + 60], *at;

	memcpy(kept, data, l->l4);
	for (uint32_t from = 0; from < whole; from += n) {
		struct hull_net_packet p = { 0 };

		n = MIN(whole - from, step);
		/* The headers go over the end of the piece before, which is done. */
		at = data + from;
		memcpy(at, kept, l->l4);
		put16(at + l->l3 + 2, head + n);
		put16(at + l->l3 + 6, from / 8 | (from + n < whole ? 0x2000u : 0));
		put16(at + l->l3 + 10, 0);
		put16(at + l->l3 + 10, (uint16_t)~hull_net_fold(hull_net_sum(at + l->l3, head, 0)));
		p.data = at;
		p.len = l->l4 + n;
		put(arg, &p);
	}
}

void hull_user_to_guest(struct hull_user_frames *f, uint8_t *data, uint32_t len,
                        void (*put)(void *arg, struct hull_net_packet *p), void *arg)
{
	struct hull_net_packet p = { .data = data, .len = len, .flags = HULL_NET_DATA_VALID };
	struct hull_net_layout l;

	if (len < ETHER)
		return;
	if (len - ETHER <= f->mtu) {
		put(arg, &p);
		return;
	}
	if (!hull_net_parse(data, len, &l))
		return;
	if (!l.l4_known || l.proto != PROTO_TCP) {
		if (!l.v6 && !l.fragment)
			cut_ip4(f, data, &l, put, arg);
		return;
	}
	if (l.payload - l.l3 >= f->mtu)
		return;
	p.flags = HULL_NET_NEEDS_CSUM;
	p.gso_type = l.v6 ? HULL_NET_GSO_TCPV6 : HULL_NET_GSO_TCPV4;
	p.gso_size = (uint16_t)(f->mtu - (l.payload - l.l3));
	p.hdr_len = l.payload;
	p.csum_start = l.l4;
	p.csum_offset = 16;
	p.len = l.end;
	hull_net_partial(&p, &l);
	put(arg, &p);
}
