/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/address.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"

bool hull_net_address_parse(const char *text, struct hull_net_address *ret)
{
	struct hull_net_address a = { 0 };
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char host[64];
	uint64_t prefix;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	a.v6 = strchr(host, ':') != NULL;
	if (inet_pton(a.v6 ? AF_INET6 : AF_INET, host, a.bytes) != 1)
		return false;
	prefix = a.v6 ? 128 : 32;
	if (slash && (!hull_parse_u64(slash + 1, &prefix) || prefix > (a.v6 ? 128u : 32u)))
		return false;
	a.prefix = (uint8_t)prefix;
	*ret = a;
	return true;
}

bool hull_net_address_holds(const struct hull_net_address *n, bool v6, const uint8_t *bytes)
{
	unsigned whole = n->prefix / 8, rest = n->prefix % 8;

	if (n->v6 != v6 || memcmp(n->bytes, bytes, whole) != 0)
		return false;
	return !rest || !((n->bytes[whole] ^ bytes[whole]) >> (8 - rest));
}

static bool port_parse(const char *text, size_t len, uint16_t *ret)
{
	char copy[8];
	uint64_t v;

	if (!len || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!hull_parse_u64(copy, &v) || !v || v > 65535)
		return false;
	*ret = (uint16_t)v;
	return true;
}

static bool host_parse(const char *text, size_t len, struct hull_net_address *ret)
{
	char copy[64];

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return hull_net_address_parse(strcmp(copy, "*") ? copy : "0.0.0.0", ret) &&
	       !strchr(copy, '/');
}

bool hull_net_publish_parse(const char *text, struct hull_net_publish *ret)
{
	struct hull_net_publish p = { .addr = { .bytes = { 127, 0, 0, 1 }, .prefix = 32 } };
	const char *slash = strrchr(text, '/'), *end, *colon, *host;
	size_t len;

	if (slash && strcmp(slash, "/tcp") && strcmp(slash, "/udp"))
		return false;
	p.udp = slash && !strcmp(slash, "/udp");
	end = slash ? slash : text + strlen(text);
	colon = memrchr(text, ':', (size_t)(end - text));
	if (!colon || !port_parse(colon + 1, (size_t)(end - colon - 1), &p.guest))
		return false;
	host = memrchr(text, ':', (size_t)(colon - text));
	if (host && !host_parse(text, (size_t)(host - text), &p.addr))
		return false;
	host = host ? host + 1 : text;
	len = (size_t)(colon - host);
	if (!(len == 4 && !memcmp(host, "auto", 4)) && !port_parse(host, len, &p.host))
		return false;
	*ret = p;
	return true;
}

void hull_net_publish_text(const struct hull_net_publish *p, char *dst)
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(p->addr.v6 ? AF_INET6 : AF_INET, p->addr.bytes, host, sizeof(host));
	hull_format(dst, HULL_NET_PUBLISH_TEXT, "%s%s%s:%u -> %u/%s", p->addr.v6 ? "[" : "", host,
	            p->addr.v6 ? "]" : "", p->host, p->guest, p->udp ? "udp" : "tcp");
}

/* The inode of a listening (TCP) or bound (UDP) socket in /proc/net/FILE; 0: none. */
static unsigned long port_inode(const char *file, bool udp, uint16_t port)
{
	unsigned long inode, found = 0;
	unsigned local, state;
	char line[512], path[32];
	FILE *f;

	hull_format(path, sizeof(path), "/proc/net/%s", file);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line,
		           "%*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*d %lu",
		           &local, &state, &inode) == 3 &&
		    local == port && (udp || state == 10 /* TCP_LISTEN */))
			found = inode;
	}
	if (f)
		fclose(f);
	return found;
}

static bool has_inode(const char *pid, const char *link)
{
	char path[300], target[64];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *d;

	hull_format(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			found = !strcmp(target, link);
		}
	}
	if (d)
		closedir(d);
	return found;
}

/* The name is whatever the process chose: only plain characters are shown. */
static void describe(const char *pid, char *dst, size_t size)
{
	char path[300], name[32] = "";
	FILE *f;

	hull_format(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	for (char *c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	hull_format(dst, size, "%s (pid %s)", *name ? name : "a process", pid);
}

bool hull_net_port_owner(bool udp, uint16_t port, char *dst, size_t size)
{
	unsigned long inode = port_inode(udp ? "udp" : "tcp", udp, port);
	struct dirent *e;
	bool found = false;
	char link[40];
	DIR *d;

	if (!inode)
		inode = port_inode(udp ? "udp6" : "tcp6", udp, port);
	d = inode ? opendir("/proc") : NULL;
	hull_format(link, sizeof(link), "socket:[%lu]", inode);
	while (d && !found && (e = readdir(d))) {
		found = e->d_name[0] >= '0' && e->d_name[0] <= '9' && has_inode(e->d_name, link);
		if (found)
			describe(e->d_name, dst, size);
	}
	if (d)
		closedir(d);
	return found;
}

bool hull_net_mac_parse(const char *text, uint8_t ret[6])
{
	unsigned v[6], any = 0;
	int end = 0;

	if (strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17 ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
	           &end) != 6 ||
	    end != 17 || v[0] & 1)
		return false;
	for (unsigned i = 0; i < 6; i++)
		any |= v[i];
	if (!any)
		return false;
	for (unsigned i = 0; i < 6; i++)
		ret[i] = (uint8_t)v[i];
	return true;
}
