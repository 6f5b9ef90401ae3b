/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * bench-net: TCP through user networking, with a guest that this program plays.
 *
 *   bench-net serve SOCKET                     a user network behind a stream socket, until stdin
 * ends bench-net drive SOCKET up|down BYTES       a guest at that socket (or at QEMU's) bench-net
 * inside up|down BYTES             guest and network in one process, with offloads
 *
 * The other end of the connection is a server on the loopback in this process.  One line of
 * JSON is the result: bytes, seconds, and CPU seconds of this process (all three of them in it).
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/net/stream.h"
#include "host/net/switch.h"
#include "host/net/user.h"
#include "support/netguest.h"

enum { GATEWAY = 0x0a000202, ALL = HULL_NET_CSUM | HULL_NET_TSO4 | HULL_NET_TSO6 };

static char buf[1 << 18];

static int die(const char *what)
{
	fprintf(stderr, "bench-net: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* A server on the loopback: sends `bytes`, or takes what comes. */
struct server {
	int listener;
	uint16_t port;
	uint64_t send, got;
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->listener, NULL, NULL);
	ssize_t n = 1;

	for (uint64_t done = 0; done < s->send && n > 0; done += (uint64_t)MAX(n, 0))
		n = send(fd, buf, MIN(s->send - done, sizeof(buf)), MSG_NOSIGNAL);
	if (s->send)
		shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		s->got += (uint64_t)n;
	close(fd);
	return NULL;
}

static void start_server(struct server *s, uint64_t send)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof(a);

	s->send = send;
	s->got = 0;
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s->listener, (struct sockaddr *)&a, len) || listen(s->listener, 1) ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) ||
	    pthread_create(&s->thread, NULL, serve, s))
		die("no server");
	s->port = ntohs(a.sin_port);
}

/* The guest's side. */
static void drive(struct netguest *g, bool up, uint64_t bytes, bool tso)
{
	struct nettcp t = { .tso = tso, .zeroes = true };
	struct rusage ru;
	struct server s;
	double start;
	bool ok;

	start_server(&s, up ? 0 : bytes);
	if (!netguest_dhcp(g))
		die("no DHCP");
	start = now();
	if (!nettcp_connect(&t, g, GATEWAY, s.port, 3000))
		die("no connection");
	ok = up ? nettcp_send_pattern(&t, bytes) : nettcp_drain(&t);
	nettcp_close(&t);
	pthread_join(s.thread, NULL);
	if (!ok || (up ? s.got : t.received) != bytes)
		die("the stream broke");
	start = now() - start;
	getrusage(RUSAGE_SELF, &ru);
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
	       (unsigned long long)bytes, start, seconds(ru.ru_utime) + seconds(ru.ru_stime));
}

static struct hull_net_end *user(void)
{
	struct hull_user_options o = { 0 };
	struct hull_net_end *e;
	struct hull_err err = { 0 };

	if (hull_user_open(&o, &e, &err))
		die(err.text);
	return e;
}

static struct hull_net_end *cable(const char *path)
{
	struct hull_link_options o = { .connect = path, .fd = -1 };
	struct hull_net_end *e;
	struct hull_err err = { 0 };

	if (hull_link_open(&o, &e, &err))
		die(err.text);
	return e;
}

/* A socket in front of a user network, with as little of our own as possible. */
struct wire {
	struct hull_net *net;
	pthread_mutex_t mutex;
	pthread_cond_t room;
	struct hull_net_stream in;
	int fd;
};

/* For the guest: a batch at a time. */
static bool to_wire(void *arg, const struct hull_net_frame *f)
{
	struct wire *w = arg;

	if (hull_net_stream_put(&w->in, f))
		return true;
	return hull_net_stream_flush(&w->in) && hull_net_stream_put(&w->in, f);
}

static void on_arrived(void *arg)
{
	struct wire *w = arg;

	if (!hull_net_stream_flush(&w->in))
		die("the peer is gone");
}

static void on_room(void *arg)
{
	struct wire *w = arg;

	pthread_mutex_lock(&w->mutex);
	pthread_cond_signal(&w->room);
	pthread_mutex_unlock(&w->mutex);
}

static void from_wire(void *arg, uint8_t *data, uint32_t len)
{
	struct wire *w = arg;
	struct hull_block_seg seg = { data, len };
	struct hull_net_frame f = { .segs = &seg, .nsegs = 1, .len = len };

	pthread_mutex_lock(&w->mutex);
	while (!w->net->send(w->net, &f))
		pthread_cond_wait(&w->room, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
}

static int run_server(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct hull_net_end *e = user();
	struct wire w = { .net = &e->net };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	pthread_mutex_init(&w.mutex, NULL);
	pthread_cond_init(&w.room, NULL);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1))
		die("no socket");
	puts("ready");
	fflush(stdout);
	w.fd = accept(listener, NULL, NULL);
	e->net.receive = to_wire;
	e->net.arrived = on_arrived;
	e->net.writable = on_room;
	e->net.arg = &w;
	if (w.fd < 0 || hull_net_stream_init(&w.in, dup(w.fd)) || hull_net_start(e, NULL))
		die("no connection");
	/* The description is shared: back to waiting for each other. */
	fcntl(w.fd, F_SETFL, fcntl(w.fd, F_GETFL) & ~O_NONBLOCK);
	do {
		if (e->net.kick)
			e->net.kick(&e->net);
		e->net.sending = true;
	} while (hull_net_stream_read(&w.in, from_wire, &w));
	return 0;
}

int main(int argc, char **argv)
{
	static struct netguest g;
	struct hull_net_end *e;
	bool inside = argc == 4 && !strcmp(argv[1], "inside");

	if (argc == 3 && !strcmp(argv[1], "serve"))
		return run_server(argv[2]);
	if (!inside && (argc != 5 || strcmp(argv[1], "drive")))
		return die("see the first lines of its source");
	e = inside ? user() : cable(argv[2]);
	netguest_init(&g, &e->net, inside ? ALL : 0);
	if (hull_net_start(e, NULL))
		die("no threads");
	drive(&g, !strcmp(argv[argc - 2], "up"), strtoull(argv[argc - 1], NULL, 10), inside);
	hull_net_close(e);
	netguest_fini(&g);
	return 0;
}
