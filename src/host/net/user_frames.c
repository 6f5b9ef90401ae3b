/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/user_frames.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/frame.h"
#include "host/net/user.h"

enum {
	ETHER = 14,
	PROTO_ICMP = 1,
	PROTO_ICMP6 = 58,
	ECHO6 = 128,
	ARP = 0x0806,
	HEADERS4 = 40, /* IPv4 and TCP without options */
	HEADERS6 = 60,
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16,
	LARGE = 16 << 10,
	UDP_MS = 250 * 1000,    /* libslirp keeps UDP sockets for 240 s after their last use, */
	UDP_DNS_MS = 12 * 1000, /* and for 10 s if they talk to port 53 */
	PROBES = 16,
	FRAGMENTS = 2048, /* at once, and that many per FRAGMENTS_MS: libslirp keeps them 30 s */
	FRAGMENTS_MS = 15 * 1000,
};

/* An IP frame, and where its packet ends: padding may follow. */
struct layout {
	struct hull_frame_parts parts;
	uint32_t end;
	bool tcp, udp; /* with a whole header */
};

static bool parse(const uint8_t *data, uint32_t len, struct layout *ret)
{
	struct hull_frame_parts *p = &ret->parts;
	uint32_t total;

	hull_frame_parse(data, len, p);
	if (!p->ip)
		return false;
	total = p->ip == 4 ? load_be16(data + p->l3 + 2) : 40u + load_be16(data + p->l3 + 4);
	ret->end = p->l3 + total;
	if (ret->end > len || ret->end < (p->payload ? p->payload : p->l4))
		ret->end = len;
	ret->tcp = p->payload && p->protocol == HULL_FRAME_TCP;
	ret->udp = p->payload && p->protocol == HULL_FRAME_UDP;
	return true;
}

static bool is_syn(const uint8_t *data, const struct layout *l)
{
	return l->tcp && (data[l->parts.l4 + 13] & (SYN | ACK)) == SYN;
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
static bool denied(const struct hull_user_frames *f, const uint8_t *data, const struct layout *l)
{
	bool v6 = l->parts.ip == 6;
	const uint8_t *to = data + l->parts.l3 + (v6 ? 24 : 16);
	unsigned i;

	for (i = 0; i < f->ndeny; i++)
		if (hull_net_address_holds(&f->deny[i], v6, to))
			break;
	if (i == f->ndeny)
		return false;
	if (l->tcp)
		return is_syn(data, l);
	return !l->udp || !is_published(f, load_be16(data + l->parts.l4));
}

/*
 * Addresses that are on no network (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2, 2.5.3, 2.5.5): libslirp
 * would hand them to the host's own stack, past no_host and the denied networks.
 */
static bool unreal(const uint8_t *data, const struct layout *l)
{
	static const uint8_t zero[12], mapped[12] = { [10] = 0xff, 0xff };
	const uint8_t *to = data + l->parts.l3 + (l->parts.ip == 6 ? 24 : 16);

	if (l->parts.ip == 6)
		return !memcmp(to, zero, 12) || !memcmp(to, mapped, 12);
	return !to[0] || to[0] == 127;
}

static uint32_t udp_hash(const struct hull_user_udp *u)
{
	uint32_t h = u->port * UINT32_C(2654435761);

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ u->addr[i]) * UINT32_C(16777619);
	return h ^ h >> 16;
}

/* Room for a UDP socket; one that libslirp has open already is found again. */
static bool udp_known(struct hull_user_frames *f, const uint8_t *data, const struct layout *l)
{
	const uint8_t *udp = data + l->parts.l4;
	struct hull_user_udp u = { .port = load_be16(udp), .v6 = l->parts.ip == 6, .used = true };
	bool dns = load_be16(udp + 2) == 53;
	struct hull_user_udp *slot = NULL;
	uint32_t h;

	memcpy(u.addr, data + l->parts.l3 + (u.v6 ? 8 : 12), u.v6 ? 16 : 4);
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
static bool has_room(struct hull_user_frames *f, const uint8_t *data, const struct layout *l)
{
	uint8_t protocol = l->parts.protocol;

	if (l->udp)
		return udp_known(f, data, l);
	if (!is_syn(data, l) && protocol != PROTO_ICMP &&
	    (protocol != PROTO_ICMP6 || l->end == l->parts.l4 || data[l->parts.l4] != ECHO6))
		return true;
	if (f->flows >= HULL_USER_FLOWS)
		return false;
	f->flows++;
	return true;
}

/*
 * libslirp keeps incomplete datagrams without a bound.  Each last fragment may complete a datagram
 * that opens a socket of the host.
 */
static bool fragment_passes(struct hull_user_frames *f, const uint8_t *data, const struct layout *l)
{
	bool last = l->parts.ip == 4 && !(data[l->parts.l3 + 6] & 0x20);
	uint64_t more = (f->now_ms - f->tokens_ms) * FRAGMENTS / FRAGMENTS_MS;

	if (more) {
		f->tokens = (uint32_t)MIN(f->tokens + more, (uint64_t)FRAGMENTS);
		f->tokens_ms = f->now_ms;
	}
	if (!f->tokens || (last && f->flows >= HULL_USER_FLOWS))
		return false;
	f->tokens--;
	f->flows += last;
	return true;
}

/*
 * Segments that libslirp cannot deliver yet cost it a buffer each, of any guest's choice and
 * number.  So they are counted: whatever came since it last acknowledged something.
 */
static struct hull_user_tcp *tcp_find(struct hull_user_frames *f, const struct hull_user_tcp *key,
                                      bool make)
{
	uint32_t h = (key->guest_port * UINT32_C(31) + key->peer_port) * UINT32_C(2654435761);
	struct hull_user_tcp *set = &f->tcp[(h >> 16) % (HULL_USER_TCP / PROBES) * PROBES];
	struct hull_user_tcp *victim = set;

	for (unsigned i = 0; i < PROBES; i++) {
		struct hull_user_tcp *t = &set[i];

		if (t->used && t->guest_port == key->guest_port && t->peer_port == key->peer_port &&
		    t->v6 == key->v6 && !memcmp(t->guest, key->guest, 16) &&
		    !memcmp(t->peer, key->peer, 16))
			return t;
		if (victim->used &&
		    (!t->used || t->closing > victim->closing ||
		     (t->closing == victim->closing && t->seen_ms < victim->seen_ms)))
			victim = t;
	}
	if (!make)
		return NULL;
	f->ahead -= victim->ahead;
	*victim = *key;
	victim->used = true;
	return victim;
}

static struct hull_user_tcp tcp_key(const uint8_t *data, const struct layout *l, bool from_guest)
{
	const uint8_t *ip = data + l->parts.l3, *tcp = data + l->parts.l4;
	bool v6 = l->parts.ip == 6;
	unsigned at = v6 ? 8 : 12, n = v6 ? 16 : 4;
	struct hull_user_tcp key = { .v6 = v6 };

	memcpy(key.guest, ip + at + (from_guest ? 0 : n), n);
	memcpy(key.peer, ip + at + (from_guest ? n : 0), n);
	key.guest_port = load_be16(tcp + (from_guest ? 0 : 2));
	key.peer_port = load_be16(tcp + (from_guest ? 2 : 0));
	return key;
}

/* A segment of libslirp: what it acknowledges, it does not keep. */
static void tcp_answer(struct hull_user_frames *f, const uint8_t *data, const struct layout *l)
{
	const uint8_t *tcp = data + l->parts.l4;
	struct hull_user_tcp key = tcp_key(data, l, false), *t;
	uint32_t ack = load_be32(tcp + 8);

	if (!(tcp[13] & ACK))
		return;
	t = tcp_find(f, &key, !(tcp[13] & RST));
	if (!t)
		return;
	t->seen_ms = f->now_ms;
	t->closing |= (tcp[13] & (FIN | RST)) != 0;
	if (tcp[13] & SYN)
		t->closing = false;
	if (t->acked == ack && !(tcp[13] & SYN))
		return;
	t->acked = ack;
	f->ahead -= t->ahead;
	t->ahead = 0;
}

static bool tcp_passes(struct hull_user_frames *f, const uint8_t *data, const struct layout *l)
{
	struct hull_user_tcp key, *t;

	if (!l->tcp || l->end == l->parts.payload)
		return true;
	key = tcp_key(data, l, true);
	t = tcp_find(f, &key, false);
	if (!t || (t->ahead && (t->ahead >= HULL_USER_AHEAD || f->ahead >= HULL_USER_AHEAD_ALL)))
		return false;
	t->seen_ms = f->now_ms;
	t->ahead++;
	f->ahead++;
	return true;
}

/* Ask for segments that are several of the guest's: its SYN names the size (RFC 9293, 3.7.1). */
static bool enlarge_mss(const struct hull_user_frames *f, uint8_t *data, const struct layout *l)
{
	uint32_t usual = f->mtu - (l->parts.ip == 6 ? (uint32_t)HEADERS6 : HEADERS4);
	uint8_t *o = data + l->parts.l4 + 20, *end = data + l->parts.payload;
	unsigned n;

	if (!l->tcp || !(data[l->parts.l4 + 13] & SYN))
		return false;
	for (; o < end && *o; o += n) {
		n = *o == 1 ? 1 : o + 1 < end ? o[1] : 0;
		if (!n || (*o != 1 && n < 2) || n > (size_t)(end - o))
			return false;
		if (*o == 2 && n == 4 && load_be16(o + 2) >= usual) {
			store_be16(o + 2, (uint16_t)(f->pieces * usual));
			return true;
		}
	}
	return false;
}

/* Make lengths and checksums of a TCP frame right, as one packet of whatever size it has. */
static bool finish(struct hull_net_packet *p, const struct layout *l, uint32_t end)
{
	uint8_t type = l->parts.ip == 6 ? HULL_NET_GSO_TCPV6 : HULL_NET_GSO_TCPV4;
	uint8_t headers[HULL_FRAME_HEADERS];
	struct hull_frame_gso g;
	const uint8_t *payload;
	uint32_t len;

	if (!hull_frame_gso(p->data, end, type, UINT16_MAX, &g) || g.count != 1)
		return false;
	memcpy(p->data, headers, hull_frame_segment(&g, 0, headers, &payload, &len));
	p->len = end;
	p->flags = p->gso_type = 0;
	return true;
}

bool hull_user_from_guest(struct hull_user_frames *f, struct hull_net_packet *p)
{
	struct layout l;

	if (!parse(p->data, p->len, &l))
		return !p->gso_type && p->len >= ETHER && load_be16(p->data + 12) == ARP;
	if (unreal(p->data, &l) || (f->ndeny && denied(f, p->data, &l))) {
		hull_add_relaxed(&f->denied, 1);
		return false;
	}
	if (l.parts.fragment ? !fragment_passes(f, p->data, &l)
	                     : !has_room(f, p->data, &l) || !tcp_passes(f, p->data, &l)) {
		hull_add_relaxed(&f->refused, 1);
		return false;
	}
	if (p->gso_type)
		return finish(p, &l, p->len);
	if (enlarge_mss(f, p->data, &l))
		return finish(p, &l, l.end);
	return !(p->flags & HULL_NET_NEEDS_CSUM) ||
	       hull_frame_checksum(p->data, p->len, p->csum_start, p->csum_offset);
}

/* RFC 791, 3.2: all pieces but the last carry a multiple of 8 bytes. */
static void cut_ip4(struct hull_user_frames *f, uint8_t *data, const struct layout *l,
                    void (*put)(void *arg, struct hull_net_packet *p), void *arg)
{
	uint32_t l3 = l->parts.l3, l4 = l->parts.l4, head = l4 - l3;
	uint32_t step = (f->mtu - head) & ~7u, whole = l->end - l4, n;
	uint8_t kept[HULL_FRAME_HEADERS], *at, *ip;

	memcpy(kept, data, l4);
	for (uint32_t from = 0; from < whole; from += n) {
		struct hull_net_packet p = { 0 };

		n = MIN(whole - from, step);
		/* The headers go over the end of the piece before, which is done. */
		at = data + from;
		ip = at + l3;
		memcpy(at, kept, l4);
		store_be16(ip + 2, (uint16_t)(head + n));
		store_be16(ip + 6, (uint16_t)(from / 8 | (from + n < whole ? 0x2000u : 0)));
		store_be16(ip + 10, 0);
		store_be16(ip + 10, hull_frame_fold(hull_frame_sum(ip, head, 0)));
		p.data = at;
		p.len = l4 + n;
		put(arg, &p);
	}
}

/* The sum of the pseudo-header, where the checksum will be (VIRTIO 1.3, 5.1.6.2). */
static void partial_checksum(uint8_t *data, const struct layout *l)
{
	const uint8_t *ip = data + l->parts.l3;
	uint64_t sum = l->end - l->parts.l4 + HULL_FRAME_TCP;

	sum = l->parts.ip == 6 ? hull_frame_sum(ip + 8, 32, sum) : hull_frame_sum(ip + 12, 8, sum);
	store_be16(data + l->parts.l4 + 16, (uint16_t)~hull_frame_fold(sum));
}

void hull_user_to_guest(struct hull_user_frames *f, uint8_t *data, uint32_t len,
                        void (*put)(void *arg, struct hull_net_packet *p), void *arg)
{
	struct hull_net_packet p = { .data = data, .len = len, .flags = HULL_NET_DATA_VALID };
	struct layout l;

	bool ip;

	if (len < ETHER)
		return;
	ip = parse(data, len, &l);
	if (ip && l.tcp)
		tcp_answer(f, data, &l);
	if (len - ETHER <= f->mtu) {
		put(arg, &p);
		return;
	}
	if (!ip)
		return;
	if (!l.tcp) {
		if (l.parts.ip == 4 && !l.parts.fragment)
			cut_ip4(f, data, &l, put, arg);
		return;
	}
	if (l.parts.payload - l.parts.l3 >= f->mtu)
		return;
	p.flags = HULL_NET_NEEDS_CSUM;
	p.gso_type = l.parts.ip == 6 ? HULL_NET_GSO_TCPV6 : HULL_NET_GSO_TCPV4;
	p.gso_size = (uint16_t)(f->mtu - (l.parts.payload - l.parts.l3));
	p.hdr_len = l.parts.payload;
	p.csum_start = l.parts.l4;
	p.csum_offset = 16;
	p.len = l.end;
	partial_checksum(data, &l);
	put(arg, &p);
}
