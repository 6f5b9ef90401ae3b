/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A guest on a network, played by the test: ARP, DHCP, ICMP, UDP and just
 * enough TCP to move streams through a struct hull_net.  IPv4.
 */
#ifndef TESTS_SUPPORT_NETGUEST_H
#define TESTS_SUPPORT_NETGUEST_H

#include <pthread.h>

#include "host/net/ring.h"

struct netguest {
	struct hull_net *net;
	pthread_mutex_t mutex;
	pthread_cond_t arrived;
	struct hull_net_ring in;
	bool refused;      /* receive() said false: ready() is due */
	bool deaf;         /* receive() always says false */
	uint32_t writable; /* atomic: calls of writable() */
	uint64_t frames;   /* atomic: taken */
	uint8_t mac[6], gateway_mac[6];
	uint32_t ip, gateway, dns;
	uint16_t next_port, next_id;
	char host_name[64];
	uint32_t largest; /* bytes of the largest frame that came */
	uint8_t buf[HULL_NET_FRAME_MAX];
};

void netguest_init(struct netguest *g, struct hull_net *net, unsigned gives);
void netguest_fini(struct netguest *g);

/* The next frame, in g->buf: its length, 0 after `ms`. */
uint32_t netguest_receive(struct netguest *g, int ms);

/* Send a frame as it is, waiting for room. */
void netguest_send(struct netguest *g, const void *frame, uint32_t len);

/* DHCP: discover, request; fills ip, gateway, dns, host_name.  Then ARP for the gateway. */
bool netguest_dhcp(struct netguest *g);

/* Ask for the gateway's MAC. */
bool netguest_arp(struct netguest *g);

/* Send an IPv4 packet to the gateway's MAC; `need` are flags of HULL_NET_NEEDS_CSUM or 0. */
void netguest_ip(struct netguest *g, uint8_t proto, uint32_t to, const void *payload, uint32_t len);

bool netguest_ping(struct netguest *g, uint32_t to, uint32_t bytes, int ms);

void netguest_udp_send(struct netguest *g, uint16_t from, uint32_t to, uint16_t port,
                       const void *data, uint32_t len);
struct netguest_datagram {
	uint8_t data[65536];
	uint32_t len, from;
	uint16_t port;
};

/* A datagram for our `port`; false after `ms`. */
bool netguest_udp_receive(struct netguest *g, uint16_t port, struct netguest_datagram *ret, int ms);

/* One TCP connection. */
struct nettcp {
	struct netguest *g;
	uint32_t peer;
	uint16_t port, peer_port;
	uint32_t snd_una, snd_nxt, rcv_nxt, peer_window;
	uint16_t mss;
	bool tso;    /* send up to 32 KiB in one frame, to be segmented */
	bool zeroes; /* nettcp_send_pattern() sends zeroes */
	bool open, peer_closed, reset;
	/* What comes: */
	void (*data)(void *arg, const uint8_t *p, uint32_t len);
	void *arg;
	uint64_t received;
};

bool nettcp_connect(struct nettcp *t, struct netguest *g, uint32_t to, uint16_t port, int ms);
/* Wait for a SYN to our `port` and accept it. */
bool nettcp_accept(struct nettcp *t, struct netguest *g, uint16_t port, int ms);
/* Handle one frame, waiting at most `ms`; false: none came. */
bool nettcp_turn(struct nettcp *t, int ms);
/* Send everything and wait until it is acknowledged.  False: reset, or nothing moved for 5 s. */
bool nettcp_send(struct nettcp *t, const uint8_t *data, uint64_t len);
/* Send `len` bytes of a pattern, without a buffer of that length. */
bool nettcp_send_pattern(struct nettcp *t, uint64_t len);
/* Take data until the peer closes. */
bool nettcp_drain(struct nettcp *t);
void nettcp_close(struct nettcp *t);

#endif
