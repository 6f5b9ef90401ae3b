/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* User networking with a guest that the test plays and servers on the host's loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"
#include "core/frame.h"
#include "host/net/user.h"
#include "support/netguest.h"

enum { STREAM = 3 << 20 };
enum { GATEWAY = 0x0a000202, ALL = HULL_NET_CSUM | HULL_NET_TSO4 | HULL_NET_TSO6 };

static struct hull_net_end *open_user(const struct hull_user_options *o)
{
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };
	int r = hull_user_open(o, &e, &err);

	if (err.id == 1301 || err.id == 506)
		skip();
	if (r)
		fail_msg("%s", err.text);
	return e;
}

struct bed {
	struct hull_net_end *end;
	struct netguest g;
};

static struct bed *set_up(const struct hull_user_options *o, unsigned gives)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct hull_err err = { 0 };

	b->end = open_user(o);
	netguest_init(&b->g, &b->end->net, gives);
	if (hull_net_start(b->end, &err))
		fail_msg("%s", err.text);
	assert_true(netguest_dhcp(&b->g));
	return b;
}

static void tear_down(struct bed *b)
{
	hull_net_stop(b->end);
	hull_net_close(b->end);
	netguest_fini(&b->g);
	free(b);
}

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A server on the loopback: sums what it gets, or sends a pattern. */
struct server {
	int listener;
	uint16_t port;
	uint64_t to_send, got, sum;
	pthread_t thread;
};

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + (at >> 11));
}

static void add(void *arg, const uint8_t *p, uint32_t len)
{
	uint64_t *sum = arg;

	for (uint32_t i = 0; i < len; i++)
		*sum = *sum * 31 + p[i];
}

static uint64_t expected(uint64_t len)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < len; i++)
		sum = sum * 31 + pattern(i);
	return sum;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	uint8_t buf[65536];
	int fd = accept(s->listener, NULL, NULL);
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (at < s->to_send) {
		n = (ssize_t)MIN(s->to_send - at, sizeof(buf));
		for (ssize_t i = 0; i < n; i++)
			buf[i] = pattern(at + (uint64_t)i);
		n = send(fd, buf, (size_t)n, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		at += (uint64_t)n;
	}
	if (s->to_send)
		shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		add(&s->sum, buf, (uint32_t)n);
		s->got += (uint64_t)n;
	}
	close(fd);
	return NULL;
}

static void start_server(struct server *s, uint64_t to_send)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->to_send = to_send;
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(s->listener, 8), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void end_server(struct server *s)
{
	struct pollfd p = { .fd = s->listener, .events = POLLIN };

	/* Whoever has connected is to be served. */
	while (poll(&p, 1, 0) > 0)
		usleep(1000);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
}

static int client(uint16_t port, bool udp)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons(port),
		                 .sin_addr.s_addr = htonl(0x7f000001) };
	int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	struct timeval tv = { .tv_sec = 5 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void dhcp_says_who_and_where(void **state)
{
	struct hull_user_options o = { .host_name = "web1" };
	struct bed *b = set_up(&o, 0);

	assert_int_equal(b->g.ip, 0x0a00020f);
	assert_int_equal(b->g.gateway, GATEWAY);
	assert_int_equal(b->g.dns, 0x0a000203);
	assert_string_equal(b->g.host_name, "web1");
	tear_down(b);

	o = (struct hull_user_options){ 0 };
	assert_true(hull_net_address_parse("192.168.77.40/26", &o.guest));
	b = set_up(&o, 0);
	assert_int_equal(b->g.ip, 0xc0a84d28);
	assert_int_equal(b->g.gateway, 0xc0a84d02);
	tear_down(b);
}

static void the_gateway_answers_pings_of_any_size(void **state)
{
	struct hull_user_options o = { 0 };
	struct bed *b = set_up(&o, ALL);

	assert_true(netguest_ping(&b->g, GATEWAY, 56, 2000));
	assert_true(netguest_ping(&b->g, GATEWAY, 4000, 2000));
	tear_down(b);
}

static void both_ways(unsigned gives, bool tso)
{
	struct hull_user_options o = { 0 };
	struct bed *b = set_up(&o, gives);
	uint64_t sum = 0;
	struct nettcp t = { .tso = tso, .data = add, .arg = &sum };
	struct server s;

	start_server(&s, 0);
	assert_true(nettcp_connect(&t, &b->g, GATEWAY, s.port, 3000));
	assert_true(nettcp_send_pattern(&t, STREAM));
	nettcp_close(&t);
	end_server(&s);
	assert_int_equal(s.got, STREAM);
	assert_true(s.sum == expected(STREAM));

	start_server(&s, STREAM);
	t.data = add;
	assert_true(nettcp_connect(&t, &b->g, GATEWAY, s.port, 3000));
	assert_true(nettcp_drain(&t));
	assert_int_equal(t.received, STREAM);
	assert_true(sum == expected(STREAM));
	nettcp_close(&t);
	end_server(&s);
	if (gives & HULL_NET_TSO4)
		assert_true(b->g.largest > 1514);
	else
		assert_in_range(b->g.largest, 1000, 1514);
	tear_down(b);
}

static void streams_arrive_whole(void **state)
{
	both_ways(0, false);
	both_ways(HULL_NET_CSUM, false);
	both_ways(ALL, true);
}

static void published_tcp_reaches_the_guest(void **state)
{
	struct hull_net_publish p[2];
	struct hull_user_options o = { .publish = p, .npublish = 2 };
	uint64_t sum = 0;
	struct nettcp t = { .data = add, .arg = &sum };
	uint8_t out[5000], in[5000];
	size_t got = 0;
	struct bed *b;
	int fd;

	assert_true(hull_net_publish_parse("auto:22", &p[0]));
	assert_true(hull_net_publish_parse("auto:7/udp", &p[1]));
	b = set_up(&o, ALL);
	assert_true(p[0].host >= 2222);
	fd = client(p[0].host, false);
	assert_true(fd >= 0);
	assert_true(nettcp_accept(&t, &b->g, 22, 3000));
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = pattern(i);
	assert_true(nettcp_send(&t, out, sizeof(out)));
	while (got < sizeof(in)) {
		ssize_t n = read(fd, in + got, sizeof(in) - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	assert_int_equal(got, sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(write(fd, out, sizeof(out)), sizeof(out));
	shutdown(fd, SHUT_WR);
	assert_true(nettcp_drain(&t));
	assert_true(sum == expected(sizeof(out)));
	nettcp_close(&t);
	close(fd);
	tear_down(b);
}

static void published_udp_reaches_the_guest(void **state)
{
	struct hull_net_publish p;
	struct hull_user_options o = { .publish = &p, .npublish = 1 };
	static struct netguest_datagram d;
	uint8_t big[4000], in[4000];
	struct bed *b;
	int fd;

	assert_true(hull_net_publish_parse("auto:5353/udp", &p));
	b = set_up(&o, ALL);
	fd = client(p.host, true);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = pattern(i);
	/* Larger than the MTU: it comes in pieces. */
	assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
	assert_true(netguest_udp_receive(&b->g, 5353, &d, 3000));
	assert_int_equal(d.len, sizeof(big));
	assert_memory_equal(d.data, big, sizeof(big));
	netguest_udp_send(&b->g, 5353, d.from, d.port, big, sizeof(big));
	memset(in, 0, sizeof(in));
	assert_int_equal(recv(fd, in, sizeof(in), 0), sizeof(big));
	assert_memory_equal(in, big, sizeof(big));
	close(fd);
	tear_down(b);
}

static void a_taken_port_names_who_has_it(void **state)
{
	struct server s;
	struct hull_net_publish p = { .addr = { .bytes = { 127, 0, 0, 1 } }, .guest = 22 };
	struct hull_user_options o = { .publish = &p, .npublish = 1 };
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };
	unsigned fds;
	char pid[32];

	hull_net_close(open_user(&(struct hull_user_options){ 0 }));
	start_server(&s, 0);
	p.host = s.port;
	fds = entries("/proc/self/fd");
	assert_true(hull_user_open(&o, &e, &err) == HULL_EBUSY);
	assert_null(e);
	assert_int_equal(err.id, 502);
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	assert_non_null(strstr(err.text, pid));
	assert_non_null(strstr(err.fix, "auto:22"));
	assert_int_equal(entries("/proc/self/fd"), fds);
	p.addr.bytes[0] = 192;
	p.addr.bytes[1] = 0;
	p.addr.bytes[2] = 2;
	p.addr.bytes[3] = 77;
	assert_true(hull_user_open(&o, &e, &err) < 0);
	assert_int_equal(err.id, 503);
	end_server(&s);
}

static void a_taken_udp_port_is_not_shared(void **state)
{
	struct hull_net_publish p[2];
	struct hull_user_options o = { .publish = &p[0], .npublish = 1 };
	struct hull_net_end *e, *second = NULL;
	struct hull_err err = { 0 };

	assert_true(hull_net_publish_parse("auto:5000/udp", &p[0]));
	e = open_user(&o);
	p[1] = p[0];
	o.publish = &p[1];
	assert_true(hull_user_open(&o, &second, &err) == HULL_EBUSY);
	assert_int_equal(err.id, 502);
	hull_net_close(e);
}

static void senseless_networks_are_refused(void **state)
{
	static const char *const bad[][3] = {
		{ "10.0.2.2/24", NULL, NULL },
		{ "10.0.2.15/30", NULL, NULL },
		{ "10.0.2.15/24", "10.0.3.1", NULL },
		{ "10.0.2.15/24", "10.0.2.9", "10.0.2.9" },
		{ "10.0.2.0/24", NULL, NULL },
		{ "10.0.2.255/24", NULL, NULL },
		{ "fd00::1", NULL, NULL },
	};

	hull_net_close(open_user(&(struct hull_user_options){ 0 }));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct hull_user_options o = { 0 };
		struct hull_net_end *e = NULL;
		struct hull_err err = { 0 };

		assert_true(hull_net_address_parse(bad[i][0], &o.guest));
		if (bad[i][1])
			assert_true(hull_net_address_parse(bad[i][1], &o.gateway));
		if (bad[i][2])
			assert_true(hull_net_address_parse(bad[i][2], &o.dns));
		assert_int_equal(hull_user_open(&o, &e, &err), HULL_EINVAL);
		assert_int_equal(err.id, 504);
		assert_null(e);
	}
}

static void policy_keeps_the_guest_in(void **state)
{
	struct hull_net_publish p;
	struct hull_user_options o = { .restrict_outbound = true, .publish = &p, .npublish = 1 };
	struct hull_net_address net;
	struct hull_user_stats st;
	struct nettcp t = { 0 };
	struct server s;
	struct bed *b;
	int fd;

	start_server(&s, 0);
	assert_true(hull_net_publish_parse("auto:22", &p));
	b = set_up(&o, ALL);
	assert_false(nettcp_connect(&t, &b->g, GATEWAY, s.port, 500));
	fd = client(p.host, false);
	assert_true(nettcp_accept(&t, &b->g, 22, 3000));
	assert_true(nettcp_send(&t, (const uint8_t *)"hello", 5));
	close(fd);
	tear_down(b);

	/* Without the host's loopback. */
	o = (struct hull_user_options){ .no_host = true };
	b = set_up(&o, ALL);
	assert_false(nettcp_connect(&t, &b->g, GATEWAY, s.port, 500));
	tear_down(b);

	/* Denied networks; what came by a published port is answered all the same. */
	assert_true(hull_net_address_parse("10.0.0.0/8", &net));
	assert_true(hull_net_publish_parse("auto:22", &p));
	o = (struct hull_user_options){ .deny = &net, .ndeny = 1, .publish = &p, .npublish = 1 };
	b = set_up(&o, ALL);
	assert_false(nettcp_connect(&t, &b->g, GATEWAY, s.port, 300));
	assert_false(netguest_ping(&b->g, GATEWAY, 56, 300));
	hull_user_stats(b->end, &st);
	assert_true(st.denied >= 2);
	fd = client(p.host, false);
	assert_true(nettcp_accept(&t, &b->g, 22, 3000));
	assert_true(nettcp_send(&t, (const uint8_t *)"hello", 5));
	close(fd);
	tear_down(b);
	end_server(&s);
}

/* A guest that takes nothing for a while loses nothing of a TCP stream. */
static void a_deaf_guest_slows_the_sender_down(void **state)
{
	struct hull_user_options o = { 0 };
	struct bed *b = set_up(&o, 0);
	uint64_t sum = 0;
	struct nettcp t = { .data = add, .arg = &sum };
	struct server s;

	start_server(&s, STREAM);
	assert_true(nettcp_connect(&t, &b->g, GATEWAY, s.port, 3000));
	pthread_mutex_lock(&b->g.mutex);
	b->g.deaf = true;
	pthread_mutex_unlock(&b->g.mutex);
	usleep(300000);
	pthread_mutex_lock(&b->g.mutex);
	b->g.deaf = false;
	pthread_mutex_unlock(&b->g.mutex);
	b->end->net.ready(&b->end->net);
	assert_true(nettcp_drain(&t));
	assert_true(sum == expected(STREAM));
	nettcp_close(&t);
	end_server(&s);
	tear_down(b);
}

/* A full ring refuses, and says when there is room. */
static void a_full_queue_refuses_until_it_has_room(void **state)
{
	struct hull_net_end *e = open_user(&(struct hull_user_options){ 0 });
	static struct netguest g;
	static uint8_t frame[1514];
	struct hull_block_seg seg = { frame, sizeof(frame) };
	struct hull_net_frame f = { .segs = &seg, .nsegs = 1, .len = sizeof(frame) };
	unsigned n = 0;

	netguest_init(&g, &e->net, 0);
	while (e->net.send(&e->net, &f) && n < 10000)
		n++;
	assert_in_range(n, HULL_NET_RING_BYTES / 1600, HULL_NET_RING_BYTES / 1514);
	assert_int_equal(hull_net_start(e, NULL), 0);
	for (int i = 0; i < 2000 && !hull_load_relaxed(&g.writable); i++)
		usleep(1000);
	assert_true(hull_load_relaxed(&g.writable) > 0);
	assert_true(e->net.send(&e->net, &f));
	hull_net_close(e);
	netguest_fini(&g);
}

/* Thousands of flows: bounded descriptors while they last, none after. */
static void floods_are_bounded(void **state)
{
	unsigned fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
	struct hull_net_publish p;
	struct hull_user_options o = { .publish = &p, .npublish = 1 };
	struct hull_user_stats st;
	uint8_t syn[20] = { 0, 0, 0, 9, [12] = 5 << 4, 2 };
	int hosts[600];
	struct bed *b;

	assert_true(hull_net_publish_parse("auto:22", &p));
	b = set_up(&o, ALL);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t to = 0x7f000001 + i;

		netguest_udp_send(&b->g, (uint16_t)(1024 + i), GATEWAY, 9, "x", 1);
		/* A SYN with a wrong checksum would go nowhere. */
		syn[0] = (uint8_t)(i >> 8 | 0x40);
		syn[1] = (uint8_t)i;
		syn[16] = syn[17] = 0;
		{
			uint8_t h[12] = { 0 };
			uint64_t sum;
			uint16_t c;

			store_be32(h, b->g.ip);
			store_be32(h + 4, to);
			h[9] = 6;
			h[11] = 20;
			sum = hull_frame_sum(syn, 20, hull_frame_sum(h, 12, 0));
			c = hull_frame_fold(sum);
			syn[16] = (uint8_t)(c >> 8);
			syn[17] = (uint8_t)c;
		}
		netguest_ip(&b->g, 6, to, syn, 20);
	}
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct sockaddr_in a = { .sin_family = AF_INET,
			                 .sin_port = htons(p.host),
			                 .sin_addr.s_addr = htonl(0x7f000001) };

		hosts[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(connect(hosts[i], (struct sockaddr *)&a, sizeof(a)) <= 0);
	}
	for (int i = 0; i < 5000; i++) {
		hull_user_stats(b->end, &st);
		if (st.refused > 1000)
			break;
		usleep(1000);
	}
	assert_true(st.refused > 1000);
	assert_in_range(entries("/proc/self/fd") - fds, ARRAY_LEN(hosts),
	                HULL_USER_FLOWS + ARRAY_LEN(hosts) + 20);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (hosts[i] >= 0)
			close(hosts[i]);

	tear_down(b);
	assert_int_equal(entries("/proc/self/fd"), fds);
	/* A thread that was joined may still be listed for a moment. */
	for (int i = 0; i < 2000 && entries("/proc/self/task") > threads; i++)
		usleep(1000);
	assert_int_equal(entries("/proc/self/task"), threads);
}

/* What has ended makes room for others: more flows than there may be at once. */
static void sockets_are_given_back(void **state)
{
	struct hull_user_options o = { 0 };
	struct bed *b = set_up(&o, ALL);
	struct hull_user_stats st;
	struct nettcp t = { 0 };

	for (unsigned i = 0; i < HULL_USER_FLOWS + 100; i++) {
		/* Nobody listens on port 1. */
		assert_false(nettcp_connect(&t, &b->g, GATEWAY, 1, 2000));
		assert_true(t.reset);
	}
	for (unsigned i = 0; i < HULL_USER_FLOWS + 100; i++)
		assert_true(netguest_ping(&b->g, GATEWAY, 56, 2000));
	hull_user_stats(b->end, &st);
	assert_int_equal(st.refused, 0);
	tear_down(b);
}

static void garbage_does_no_harm(void **state)
{
	struct hull_user_options o = { 0 };
	struct bed *b = set_up(&o, ALL);
	static uint8_t frame[70000];
	struct hull_prng r;

	hull_prng_seed(&r, 4);
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t len = 14 + (uint32_t)hull_prng_below(&r, i % 50 ? 1600 : 65000);
		struct hull_block_seg seg = { frame, len };
		struct hull_net_frame f = { .segs = &seg, .nsegs = 1, .len = len };

		hull_prng_fill(&r, frame, MIN(len, 100u));
		if (i & 1) {
			frame[12] = i & 2 ? 8 : 0x86;
			frame[13] = i & 2 ? 0 : 0xdd;
			frame[14] = i & 2 ? 0x45 : 0x60;
			frame[i & 2 ? 23 : 20] = i & 4 ? 6 : i & 8 ? 17 : 58;
		}
		f.flags = (uint8_t)(hull_prng_next(&r) & 3);
		f.gso_type = (uint8_t)(hull_prng_next(&r) & 5);
		f.gso_size = (uint16_t)hull_prng_next(&r);
		f.csum_start = (uint16_t)hull_prng_below(&r, 100);
		f.csum_offset = (uint16_t)hull_prng_below(&r, 50);
		while (!b->end->net.send(&b->end->net, &f))
			usleep(1000);
		while (netguest_receive(&b->g, 0))
			;
	}
	assert_true(netguest_ping(&b->g, GATEWAY, 56, 3000));
	tear_down(b);
}

/* A packet of IPv6 from `from` to `to`, 16 bytes each, its checksum made right. */
static void send6(struct netguest *g, const uint8_t *from, const uint8_t *to, uint8_t proto,
                  const uint8_t *body, uint32_t len)
{
	uint32_t sum = proto == 6 ? 16 : proto == 17 ? 6 : 2;
	uint8_t f[1514] = { 0x52, 0x55, 10, 0, 2, 2 };

	memcpy(f + 6, g->mac, 6);
	store_be16(f + 12, 0x86dd);
	f[14] = 0x60;
	store_be16(f + 18, (uint16_t)len);
	f[20] = proto;
	f[21] = 255;
	memcpy(f + 22, from, 16);
	memcpy(f + 38, to, 16);
	memcpy(f + 54, body, len);
	store_be16(f + 54 + sum, 0);
	store_be16(f + 54 + sum,
	           hull_frame_fold(hull_frame_sum(f + 22, 32 + len, (uint64_t)len + proto)));
	netguest_send(g, f, 54 + len);
}

static void send_syn6(struct netguest *g, const uint8_t *from, const uint8_t *to, uint16_t port)
{
	uint8_t tcp[20] = { 0x30, 0x39, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff };

	store_be16(tcp + 2, port);
	send6(g, from, to, 6, tcp, 20);
}

/* Does a connection arrive at the server? */
static bool somebody_came(const struct server *s, int ms)
{
	struct pollfd p = { .fd = s->listener, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

static void listen_only(struct server *s, int family)
{
	struct sockaddr_storage a = { .ss_family = (sa_family_t)family };
	socklen_t len =
		family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	memset(s, 0, sizeof(*s));
	if (family == AF_INET)
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(0x7f000001);
	else
		((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
	s->listener = socket(family, SOCK_STREAM, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&a, len))
		skip();
	assert_int_equal(listen(s->listener, 8), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static const uint8_t guest6[16] = { 0xfe, 0xc0, [15] = 0x15 };

/* Addresses by which the host's own stack, not the network, would be meant. */
static void the_hosts_loopback_has_no_other_names(void **state)
{
	static const uint8_t one[16] = { [15] = 1 }, none[16],
			     mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	static const uint32_t names[] = { 0x7f000001, 0x7f010203, 0, 0xffffffff };
	struct hull_user_options o = { .no_host = true };
	struct hull_user_stats st;
	struct bed *b = set_up(&o, ALL);
	struct nettcp t = { 0 };
	struct server s, s6;

	listen_only(&s, AF_INET);
	listen_only(&s6, AF_INET6);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_false(nettcp_connect(&t, &b->g, names[i], s.port, 100));
		assert_false(somebody_came(&s, 0));
	}
	send_syn6(&b->g, guest6, mapped, s.port);
	assert_false(somebody_came(&s, 200));
	send_syn6(&b->g, guest6, one, s6.port);
	send_syn6(&b->g, guest6, none, s6.port);
	assert_false(somebody_came(&s6, 200));
	hull_user_stats(b->end, &st);
	assert_true(st.denied >= 6);
	assert_true(netguest_ping(&b->g, GATEWAY, 56, 2000));
	close(s.listener);
	close(s6.listener);
	tear_down(b);
}

/* Answers to such would go nowhere; libslirp must live on. */
static void senders_with_odd_addresses_do_no_harm(void **state)
{
	static const uint8_t host[16] = { 0xfe, 0xc0, [15] = 2 };
	static const uint8_t link[16] = { 0xfe, 0x80, [15] = 2 };
	static const uint8_t from[][16] = { { 0 },
		                            { [15] = 1 },
		                            { 0xff, 2, [15] = 1 },
		                            { 0xfe, 0xc0, [15] = 2 },
		                            { [10] = 0xff, 0xff, 127, 0, 0, 1 } };
	static const uint8_t to[][16] = { { 0xfe, 0xc0, [15] = 2 }, { 0xfe, 0xc0, [15] = 3 },
		                          { 0xfe, 0x80, [15] = 2 }, { 0xff, 2, [15] = 1 },
		                          { 0xff, 2, [15] = 2 },    { 0 },
		                          { 0x20, 1, 0xd, 0xb8 } };
	struct hull_user_options o = { 0 };
	struct bed *b = set_up(&o, ALL);
	uint8_t echo[16] = { 128 }, udp[12] = { 4, 0, 0, 9, 0, 12 }, icmp[64];

	for (size_t i = 0; i < ARRAY_LEN(from) * ARRAY_LEN(to); i++) {
		const uint8_t *a = from[i / ARRAY_LEN(to)], *z = to[i % ARRAY_LEN(to)];

		send_syn6(&b->g, a, z, 1);
		send6(&b->g, a, z, 58, echo, sizeof(echo));
		send6(&b->g, a, z, 17, udp, sizeof(udp));
		for (unsigned type = 133; type <= 137; type++) {
			memset(icmp, 0, sizeof(icmp));
			icmp[0] = (uint8_t)type;
			memcpy(icmp + 8, i & 1 ? host : link, 16);
			send6(&b->g, a, z, 58, icmp, 24);
		}
		while (netguest_receive(&b->g, 0))
			;
	}
	assert_true(netguest_ping(&b->g, GATEWAY, 56, 2000));
	tear_down(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_says_who_and_where),
		cmocka_unit_test(the_gateway_answers_pings_of_any_size),
		cmocka_unit_test(streams_arrive_whole),
		cmocka_unit_test(published_tcp_reaches_the_guest),
		cmocka_unit_test(published_udp_reaches_the_guest),
		cmocka_unit_test(a_taken_port_names_who_has_it),
		cmocka_unit_test(a_taken_udp_port_is_not_shared),
		cmocka_unit_test(senseless_networks_are_refused),
		cmocka_unit_test(policy_keeps_the_guest_in),
		cmocka_unit_test(a_deaf_guest_slows_the_sender_down),
		cmocka_unit_test(a_full_queue_refuses_until_it_has_room),
		cmocka_unit_test(floods_are_bounded),
		cmocka_unit_test(sockets_are_given_back),
		cmocka_unit_test(garbage_does_no_harm),
		cmocka_unit_test(the_hosts_loopback_has_no_other_names),
		cmocka_unit_test(senders_with_odd_addresses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
