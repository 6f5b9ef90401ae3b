/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/netguest.h"

#include <string.h>
#include <time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/frame.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, CHUNK = 32 << 10, HEAD = 14 + 20 };

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool on_receive(void *arg, const struct hull_net_frame *f)
{
	struct netguest *g = arg;
	bool taken;

	pthread_mutex_lock(&g->mutex);
	taken = !g->deaf && hull_net_ring_push(&g->in, f);
	g->refused |= !taken;
	if (taken) {
		hull_add_relaxed(&g->frames, 1);
		g->largest = MAX(g->largest, f->len);
		pthread_cond_signal(&g->arrived);
	}
	pthread_mutex_unlock(&g->mutex);
	return taken;
}

static void on_writable(void *arg)
{
	struct netguest *g = arg;

	pthread_mutex_lock(&g->mutex);
	hull_add_relaxed(&g->writable, 1);
	pthread_cond_signal(&g->arrived);
	pthread_mutex_unlock(&g->mutex);
}

void netguest_init(struct netguest *g, struct hull_net *net, unsigned gives)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

	memset(g, 0, sizeof(*g));
	g->net = net;
	pthread_mutex_init(&g->mutex, NULL);
	pthread_cond_init(&g->arrived, NULL);
	if (hull_net_ring_init(&g->in))
		__builtin_trap();
	memcpy(g->mac, mac, 6);
	g->next_port = 40000;
	net->gives = gives;
	net->receive = on_receive;
	net->writable = on_writable;
	net->arg = g;
}

void netguest_fini(struct netguest *g)
{
	hull_net_ring_fini(&g->in);
	pthread_mutex_destroy(&g->mutex);
	pthread_cond_destroy(&g->arrived);
}

/* Under the mutex. */
static void wait(struct netguest *g, int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += (ms % 1000) * 1000000L;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&g->arrived, &g->mutex, &ts);
}

uint32_t netguest_receive(struct netguest *g, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	struct hull_net_packet p;
	bool refused, any;

	pthread_mutex_lock(&g->mutex);
	while (!(any = hull_net_ring_peek(&g->in, &p)) && now_ms() < end)
		wait(g, (int)(end - MIN(now_ms(), end)) + 1);
	if (any) {
		if (p.flags & HULL_NET_NEEDS_CSUM)
			hull_frame_checksum(p.data, p.len, p.csum_start, p.csum_offset);
		memcpy(g->buf, p.data, p.len);
		(void)hull_net_ring_pop(&g->in);
	}
	refused = any && g->refused && hull_net_ring_used(&g->in) < HULL_NET_RING_BYTES / 2;
	if (refused)
		g->refused = false;
	pthread_mutex_unlock(&g->mutex);
	if (refused && g->net->ready)
		g->net->ready(g->net);
	return any ? p.len : 0;
}

static void send_frame(struct netguest *g, const struct hull_net_frame *f)
{
	uint64_t end = now_ms() + 5000;

	while (!g->net->send(g->net, f) && now_ms() < end) {
		pthread_mutex_lock(&g->mutex);
		wait(g, 2);
		pthread_mutex_unlock(&g->mutex);
	}
}

void netguest_send(struct netguest *g, const void *frame, uint32_t len)
{
	struct hull_block_seg seg = { (void *)(uintptr_t)frame, len };
	struct hull_net_frame f = { .segs = &seg, .nsegs = 1, .len = len };

	send_frame(g, &f);
}

/* Ethernet and IPv4 headers in front of `len` bytes. */
static void headers(struct netguest *g, uint8_t *h, uint8_t proto, uint32_t to, uint32_t len)
{
	memset(h, 0, HEAD);
	if (to == UINT32_MAX)
		memset(h, 0xff, 6);
	else
		memcpy(h, g->gateway_mac, 6);
	memcpy(h + 6, g->mac, 6);
	store_be16(h + 12, 0x0800);
	h[14] = 0x45;
	store_be16(h + 16, (uint16_t)(20 + len));
	store_be16(h + 18, g->next_id++);
	h[22] = 64;
	h[23] = proto;
	store_be32(h + 26, g->ip);
	store_be32(h + 30, to);
	store_be16(h + 24, hull_frame_fold(hull_frame_sum(h + 14, 20, 0)));
}

void netguest_ip(struct netguest *g, uint8_t proto, uint32_t to, const void *payload, uint32_t len)
{
	static uint8_t frame[HULL_NET_FRAME_MAX];
	uint32_t at = 0, n;

	if (len + 20 <= 1500) {
		headers(g, frame, proto, to, len);
		memcpy(frame + HEAD, payload, len);
		netguest_send(g, frame, HEAD + len);
		return;
	}
	for (; at < len; at += n) {
		uint16_t id = g->next_id;

		n = MIN(len - at, 1480u);
		headers(g, frame, proto, to, n);
		store_be16(frame + 18, id);
		store_be16(frame + 20, (uint16_t)(at / 8 | (at + n < len ? 0x2000u : 0)));
		store_be16(frame + 24, 0);
		store_be16(frame + 24, hull_frame_fold(hull_frame_sum(frame + 14, 20, 0)));
		memcpy(frame + HEAD, (const uint8_t *)payload + at, n);
		netguest_send(g, frame, HEAD + n);
		g->next_id = id;
	}
	g->next_id++;
}

static const uint8_t *option(const uint8_t *o, const uint8_t *end, uint8_t code, uint8_t *len)
{
	while (o + 1 < end && *o != 255) {
		if (*o && *o == code && o + 2 + o[1] <= end) {
			*len = o[1];
			return o + 2;
		}
		o += *o ? 2 + o[1] : 1;
	}
	return NULL;
}

/* One DHCP message (RFC 2131), and the answer of type `want` (2 offer, 5 ack). */
static bool dhcp(struct netguest *g, uint8_t type, uint8_t want)
{
	static struct netguest_datagram d;
	uint8_t m[300] = { 1, 1, 6, 0, 0x48, 0x55, 0x4c, 0x4c }, *reply = d.data, len;
	const uint8_t *o;
	uint32_t n;

	memcpy(m + 28, g->mac, 6);
	store_be32(m + 236, 0x63825363);
	m[240] = 53;
	m[241] = 1;
	m[242] = type;
	if (type == 3) {
		m[243] = 50;
		m[244] = 4;
		store_be32(m + 245, g->ip);
		m[249] = 255;
	} else {
		m[243] = 255;
	}
	n = g->ip;
	g->ip = 0;
	netguest_udp_send(g, 68, UINT32_MAX, 67, m, sizeof(m));
	g->ip = n;
	n = netguest_udp_receive(g, 68, &d, 2000) ? d.len : 0;
	if (n < 244 || !(o = option(reply + 240, reply + n, 53, &len)) || *o != want)
		return false;
	g->ip = load_be32(reply + 16);
	if ((o = option(reply + 240, reply + n, 3, &len)) && len >= 4)
		g->gateway = load_be32(o);
	if ((o = option(reply + 240, reply + n, 6, &len)) && len >= 4)
		g->dns = load_be32(o);
	if ((o = option(reply + 240, reply + n, 12, &len)) && len < sizeof(g->host_name)) {
		memcpy(g->host_name, o, len);
		g->host_name[len] = '\0';
	}
	return true;
}

bool netguest_arp(struct netguest *g)
{
	uint8_t f[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint64_t end = now_ms() + 2000;

	memcpy(f + 6, g->mac, 6);
	memcpy(f + 12, "\x08\x06\0\x01\x08\0\x06\x04\0\x01", 10);
	memcpy(f + 22, g->mac, 6);
	store_be32(f + 28, g->ip);
	store_be32(f + 38, g->gateway);
	netguest_send(g, f, sizeof(f));
	while (now_ms() < end) {
		uint32_t n = netguest_receive(g, 100);

		if (n < 42 || load_be16(g->buf + 12) != 0x0806 || g->buf[21] != 2 ||
		    load_be32(g->buf + 28) != g->gateway)
			continue;
		memcpy(g->gateway_mac, g->buf + 22, 6);
		return true;
	}
	return false;
}

bool netguest_dhcp(struct netguest *g)
{
	if (!dhcp(g, 1, 2) || !dhcp(g, 3, 5))
		return false;
	if (!g->gateway) /* a restricted network names none */
		g->gateway = (g->ip & ~UINT32_C(255)) + 2;
	return netguest_arp(g);
}

/* Answer an ARP request for us. */
static void answer_arp(struct netguest *g)
{
	uint8_t f[60] = { 0 };

	if (g->buf[21] != 1 || load_be32(g->buf + 38) != g->ip)
		return;
	memcpy(f, g->buf + 6, 6);
	memcpy(f + 6, g->mac, 6);
	memcpy(f + 12, "\x08\x06\0\x01\x08\0\x06\x04\0\x02", 10);
	memcpy(f + 22, g->mac, 6);
	store_be32(f + 28, g->ip);
	memcpy(f + 32, g->buf + 22, 10);
	netguest_send(g, f, sizeof(f));
}

/* The next IPv4 packet of a protocol; ARP is answered on the way.  0: none came. */
static uint32_t next_ip(struct netguest *g, uint8_t proto, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;

	do {
		uint32_t n = netguest_receive(g, (int)(end - MIN(now_ms(), end)));

		if (n >= 42 && load_be16(g->buf + 12) == 0x0806)
			answer_arp(g);
		else if (n >= HEAD && load_be16(g->buf + 12) == 0x0800 && g->buf[23] == proto)
			return MIN(n, 14u + load_be16(g->buf + 16));
	} while (now_ms() < end);
	return 0;
}

bool netguest_ping(struct netguest *g, uint32_t to, uint32_t bytes, int ms)
{
	static uint8_t m[65536];
	uint64_t end = now_ms() + (uint64_t)ms;
	uint32_t got = 0;

	memset(m, 0xa5, bytes + 8);
	memset(m, 0, 8);
	m[0] = 8;
	store_be16(m + 4, 77);
	store_be16(m + 2, hull_frame_fold(hull_frame_sum(m, bytes + 8, 0)));
	netguest_ip(g, 1, to, m, bytes + 8);
	while (now_ms() < end && got < bytes + 8) {
		uint32_t n = next_ip(g, 1, (int)(end - now_ms()));

		if (n > HEAD && (load_be16(g->buf + 20) & 0x1fff || g->buf[34] == 0))
			got += n - HEAD;
	}
	return got == bytes + 8;
}

void netguest_udp_send(struct netguest *g, uint16_t from, uint32_t to, uint16_t port,
                       const void *data, uint32_t len)
{
	static uint8_t m[65536];

	store_be16(m, from);
	store_be16(m + 2, port);
	store_be16(m + 4, (uint16_t)(8 + len));
	store_be16(m + 6, 0);
	memcpy(m + 8, data, len);
	netguest_ip(g, 17, to, m, 8 + len);
}

bool netguest_udp_receive(struct netguest *g, uint16_t port, struct netguest_datagram *ret, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	uint32_t got = 0;

	ret->len = 0;
	while (now_ms() < end) {
		uint32_t n = next_ip(g, 17, (int)(end - now_ms()));
		uint32_t at = (load_be16(g->buf + 20) & 0x1fff) * 8u, head = at ? 0 : 8;

		if (n < HEAD + head || (!at && load_be16(g->buf + 36) != port))
			continue;
		if (!at) {
			ret->from = load_be32(g->buf + 26);
			ret->port = load_be16(g->buf + 34);
			ret->len = load_be16(g->buf + 38) - 8u;
		}
		/* Pieces come in order here; the first has the header. */
		n -= HEAD + head;
		at -= at ? 8 : 0;
		if (at + n > sizeof(ret->data))
			return false;
		memcpy(ret->data + at, g->buf + HEAD + head, n);
		got += n;
		if (got && got >= ret->len)
			return true;
	}
	return false;
}

/* TCP. */

static void segment(struct nettcp *t, uint8_t flags, const uint8_t *data, uint32_t len)
{
	uint8_t h[HEAD + 24];
	uint32_t head = flags & SYN ? 24 : 20;
	struct hull_block_seg segs[2] = { { h, 14 + 20 + head }, { (void *)(uintptr_t)data, len } };
	struct hull_net_frame f = { .segs = segs, .nsegs = 2, .len = HEAD + head + len };
	uint8_t pseudo[12];

	headers(t->g, h, 6, t->peer, head + len);
	memset(h + HEAD, 0, head);
	store_be16(h + HEAD, t->port);
	store_be16(h + HEAD + 2, t->peer_port);
	store_be32(h + HEAD + 4, t->snd_nxt);
	store_be32(h + HEAD + 8, t->rcv_nxt);
	h[HEAD + 12] = (uint8_t)(head / 4 << 4);
	h[HEAD + 13] = flags;
	store_be16(h + HEAD + 14, 65535);
	if (flags & SYN) {
		store_be16(h + HEAD + 20, 0x0204);
		store_be16(h + HEAD + 22, t->mss);
	}
	memcpy(pseudo, h + 26, 8);
	store_be16(pseudo + 8, 6);
	store_be16(pseudo + 10, (uint16_t)(head + len));
	store_be16(h + HEAD + 16, ((uint16_t)~hull_frame_fold(hull_frame_sum(pseudo, 12, 0))));
	f.flags = HULL_NET_NEEDS_CSUM;
	f.csum_start = HEAD;
	f.csum_offset = 16;
	if (len > t->mss) {
		f.gso_type = HULL_NET_GSO_TCPV4;
		f.gso_size = t->mss;
		f.hdr_len = (uint16_t)(HEAD + head);
	} else if (!(t->g->net->takes & HULL_NET_CSUM)) {
		uint64_t sum = hull_frame_sum(h + HEAD, head, hull_frame_sum(pseudo, 12, 0));

		store_be16(h + HEAD + 16, 0);
		sum = hull_frame_sum(h + HEAD, head, hull_frame_sum(pseudo, 12, 0));
		store_be16(h + HEAD + 16, hull_frame_fold(hull_frame_sum(data, len, sum)));
		f.flags = 0;
		f.csum_start = f.csum_offset = 0;
	}
	send_frame(t->g, &f);
	t->snd_nxt += len + !!(flags & (SYN | FIN));
}

static bool is_ours(const struct nettcp *t, const uint8_t *b)
{
	return load_be16(b + HEAD + 2) == t->port && load_be16(b + HEAD) == t->peer_port &&
	       load_be32(b + 26) == t->peer;
}

bool nettcp_turn(struct nettcp *t, int ms)
{
	struct netguest *g = t->g;
	uint32_t n = next_ip(g, 6, ms), head, len, seq;
	const uint8_t *b = g->buf;
	uint8_t flags;

	if (n < HEAD + 20 || !is_ours(t, b))
		return n != 0;
	flags = b[HEAD + 13];
	head = (b[HEAD + 12] >> 4) * 4u;
	len = n - HEAD - head;
	seq = load_be32(b + HEAD + 4);
	if (flags & RST) {
		t->reset = true;
		t->open = false;
		return true;
	}
	if (flags & ACK) {
		if ((int32_t)(load_be32(b + HEAD + 8) - t->snd_una) > 0)
			t->snd_una = load_be32(b + HEAD + 8);
		t->peer_window = load_be16(b + HEAD + 14);
	}
	if (flags & SYN) {
		t->rcv_nxt = seq + 1;
		t->open = true;
		segment(t, ACK, NULL, 0);
		return true;
	}
	if (len && seq == t->rcv_nxt) {
		t->rcv_nxt += len;
		t->received += len;
		if (t->data)
			t->data(t->arg, b + HEAD + head, len);
	}
	if ((flags & FIN) && seq + len == t->rcv_nxt && !t->peer_closed) {
		t->rcv_nxt++;
		t->peer_closed = true;
	}
	if (len || flags & FIN)
		segment(t, ACK, NULL, 0);
	return true;
}

static void begin(struct nettcp *t, struct netguest *g)
{
	void (*data)(void *arg, const uint8_t *p, uint32_t len) = t->data;
	void *arg = t->arg;
	bool tso = t->tso, zeroes = t->zeroes;

	memset(t, 0, sizeof(*t));
	t->g = g;
	t->mss = 1460;
	t->tso = tso;
	t->zeroes = zeroes;
	t->data = data;
	t->arg = arg;
	t->snd_una = t->snd_nxt = 1000;
}

bool nettcp_connect(struct nettcp *t, struct netguest *g, uint32_t to, uint16_t port, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;

	begin(t, g);
	t->peer = to;
	t->peer_port = port;
	t->port = g->next_port++;
	segment(t, SYN, NULL, 0);
	while (!t->open && !t->reset && now_ms() < end)
		nettcp_turn(t, 100);
	return t->open;
}

bool nettcp_accept(struct nettcp *t, struct netguest *g, uint16_t port, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	const uint8_t *b = g->buf;

	begin(t, g);
	t->port = port;
	while (now_ms() < end) {
		uint32_t n = next_ip(g, 6, 100);

		if (n < HEAD + 20 || (b[HEAD + 13] & (SYN | ACK)) != SYN ||
		    load_be16(b + HEAD + 2) != port)
			continue;
		t->peer = load_be32(b + 26);
		t->peer_port = load_be16(b + HEAD);
		t->rcv_nxt = load_be32(b + HEAD + 4) + 1;
		t->peer_window = load_be16(b + HEAD + 14);
		segment(t, SYN | ACK, NULL, 0);
		t->open = true;
		return true;
	}
	return false;
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + (at >> 11));
}

/* Data from `data`, or, NULL, the pattern. */
static bool send_all(struct nettcp *t, const uint8_t *data, uint64_t len)
{
	static uint8_t chunk[CHUNK];
	uint32_t base = t->snd_nxt;
	uint64_t moved = now_ms();

	while ((int32_t)(t->snd_una - base) < 0 && nettcp_turn(t, 1000))
		; /* our SYN */
	while (t->snd_una - base < len && !t->reset) {
		uint64_t at = t->snd_nxt - base, acked = t->snd_una - base;
		uint32_t n = t->tso ? CHUNK : t->mss;

		n = (uint32_t)MIN((uint64_t)n, len - at);
		if (n && at - acked + n <= t->peer_window) {
			for (uint32_t i = 0; !data && !t->zeroes && i < n; i++)
				chunk[i] = pattern(at + i);
			segment(t, ACK | PSH, data ? data + at : chunk, n);
			while (nettcp_turn(t, 0))
				;
			continue;
		}
		nettcp_turn(t, 50);
		if (t->snd_una - base != acked)
			moved = now_ms();
		else if (now_ms() - moved > 5000)
			return false;
		else if (now_ms() - moved > 300)
			t->snd_nxt = t->snd_una; /* lost: once more */
	}
	return !t->reset;
}

bool nettcp_send(struct nettcp *t, const uint8_t *data, uint64_t len)
{
	return send_all(t, data, len);
}

bool nettcp_send_pattern(struct nettcp *t, uint64_t len)
{
	return send_all(t, NULL, len);
}

bool nettcp_drain(struct nettcp *t)
{
	uint64_t before = UINT64_MAX, moved = now_ms();

	while (!t->peer_closed && !t->reset && now_ms() - moved < 5000) {
		nettcp_turn(t, 100);
		if (t->received != before)
			moved = now_ms();
		before = t->received;
	}
	return t->peer_closed;
}

void nettcp_close(struct nettcp *t)
{
	if (t->open && !t->reset)
		segment(t, FIN | ACK, NULL, 0);
	for (int i = 0; i < 20 && t->open && !t->reset && t->snd_una != t->snd_nxt; i++)
		nettcp_turn(t, 50);
	t->open = false;
}
