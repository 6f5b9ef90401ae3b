/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Addresses, networks and published ports as text; who has a port of the host.
 * Pure but for hull_net_port_owner(), which reads /proc; any thread.
 */
#ifndef HULL_HOST_NET_ADDRESS_H
#define HULL_HOST_NET_ADDRESS_H

#include <hull/types.h>

struct hull_net_address {
	bool v6;
	uint8_t bytes[16]; /* 4 of them for IPv4; network order */
	uint8_t prefix;    /* bits of the network: 0 to 32 or 128 */
};

/* "10.0.2.15", "10.0.0.0/8", "fd00::/8".  Without a prefix it is a single host. */
bool hull_net_address_parse(const char *text, struct hull_net_address *ret);

/* Is this address (4 or 16 bytes) in the network? */
bool hull_net_address_holds(const struct hull_net_address *n, bool v6, const uint8_t *bytes);

/* A port of the host that leads to one of the guest. */
struct hull_net_publish {
	struct hull_net_address addr; /* of the host */
	uint16_t host, guest;         /* ports; host 0: choose */
	bool udp;
};

enum { HULL_NET_PUBLISH_TEXT = 80 };

/*
 * "[ADDR:]HPORT:GPORT[/tcp|/udp]"; HPORT may be "auto"; IPv6 addresses stand in
 * brackets; without ADDR it is 127.0.0.1, "*" is every IPv4 address.
 */
bool hull_net_publish_parse(const char *text, struct hull_net_publish *ret);

/* "127.0.0.1:2222 -> 22/tcp" in HULL_NET_PUBLISH_TEXT bytes. */
void hull_net_publish_text(const struct hull_net_publish *p, char *dst);

/* "sshd (pid 812)": which process has the port, as far as /proc tells.  False: it does not. */
bool hull_net_port_owner(bool udp, uint16_t port, char *dst, size_t size);

/* "52:54:00:12:34:56"; group addresses and 0 are refused. */
bool hull_net_mac_parse(const char *text, uint8_t ret[6]);

#endif
