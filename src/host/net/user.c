/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The glue to libslirp 4.7 (by its header); see user.h.  Everything of libslirp happens in one
 * thread per network, which sleeps in poll(); what goes in and out is in user_frames.c.
 */
#include "host/net/user.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "host/net/deliver.h"
#include "host/net/user_frames.h"
#include "host/os/os.h"

#ifdef HULL_HAVE_SLIRP
#include <slirp/libslirp.h>

enum {
	MTU = 1500,
	MTU_MIN = 576,
	MTU_MAX = 65521, /* libslirp's */
	BATCH = 256,     /* frames of the guest between two looks at the sockets, */
	ANSWERS = 8,     /* and so many until it hears of the answers */
	POLLS = 2048,
	FDS = 1 << 16,
	AUTO_TRIES = 100,
	TIMERS = 4,
};

static struct {
	pthread_mutex_t mutex;
	void *handle;
	__typeof__(slirp_new) *create;
	__typeof__(slirp_cleanup) *cleanup;
	__typeof__(slirp_pollfds_fill) *fill;
	__typeof__(slirp_pollfds_poll) *dispatch;
	__typeof__(slirp_input) *input;
	__typeof__(slirp_handle_timer) *handle_timer;
	__typeof__(slirp_add_hostxfwd) *forward;
} lib = { .mutex = PTHREAD_MUTEX_INITIALIZER };

struct timer {
	bool used;
	SlirpTimerId id;
	void *opaque;
	int64_t at_ms; /* -1: not armed */
};

struct user {
	struct hull_net_end end;
	Slirp *slirp;
	struct hull_net_bell bell;
	struct hull_net_ring from_guest, to_guest;
	uint32_t waiting; /* frames in to_guest */
	uint16_t segment; /* of the first of them: the next to be delivered */
	pthread_t thread;
	bool running;
	bool fresh;                                 /* the device was given some */
	uint32_t quit;                              /* atomic */
	unsigned nfds;                              /* polls[0] is the bell */
	unsigned nopen;                             /* sockets: bits of `open` */
	uint64_t sent, received, dropped, mistakes; /* atomic */
	struct timer timers[TIMERS];
	struct hull_user_frames frames;
	struct hull_net_address *deny;
	struct hull_net_publish *publish;
	char *host_name;
	uint64_t open[FDS / 64];
	struct pollfd polls[POLLS];
};

static struct user *of(struct hull_net *n)
{
	return (struct user *)n;
}

static int64_t now_ns(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void unsaid(const char *domain, int level, const char *text, void *arg)
{
}

/* GLib would print a line for frames of a guest's choice (pings of IPv6), as many as it likes. */
static void silence(void *handle)
{
	unsigned (*set)(const char *, int, void (*)(const char *, int, const char *, void *),
	                void *);

	*(void **)&set = dlsym(handle, "g_log_set_handler");
	if (set)
		set("Slirp", -1, unsaid, NULL);
}

static int load(struct hull_err *err)
{
	static const char *const names[] = { "slirp_new",          "slirp_cleanup",
		                             "slirp_pollfds_fill", "slirp_pollfds_poll",
		                             "slirp_input",        "slirp_handle_timer",
		                             "slirp_add_hostxfwd" };
	void **const slots[] = { (void **)&lib.create, (void **)&lib.cleanup,
		                 (void **)&lib.fill,   (void **)&lib.dispatch,
		                 (void **)&lib.input,  (void **)&lib.handle_timer,
		                 (void **)&lib.forward };
	bool all = true;
	void *handle;

	pthread_mutex_lock(&lib.mutex);
	handle = lib.handle ? lib.handle : dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; handle && !lib.handle && i < ARRAY_LEN(names); i++)
		all &= (*slots[i] = dlsym(handle, names[i])) != NULL;
	if (handle && all && !lib.handle) {
		silence(handle);
		lib.handle = handle;
	}
	pthread_mutex_unlock(&lib.mutex);
	if (handle && all)
		return 0;
	hull_fail(err, HULL_ENOTSUP, 506,
	          "user networking needs the library libslirp, version 4.7");
	hull_err_fix(err, "apt install libslirp0 (or what your system calls it)");
	return HULL_ENOTSUP;
}

/* Towards the guest. */

static void put(void *arg, struct hull_net_packet *p)
{
	struct user *u = arg;

	if (!u->waiting) {
		u->segment = 0;
		u->fresh = true;
		if (hull_net_deliver(&u->end.net, p, p->data, &u->segment))
			return;
	}
	if (hull_net_ring_push_packet(&u->to_guest, p))
		u->waiting++;
	else
		hull_add_relaxed(&u->dropped, 1);
}

static void flush(struct user *u)
{
	struct hull_net_packet p;

	while (u->waiting && hull_net_ring_peek(&u->to_guest, &p)) {
		u->fresh = true;
		if (!hull_net_deliver(&u->end.net, &p, p.data, &u->segment))
			return;
		u->segment = 0;
		u->waiting--;
		(void)hull_net_ring_pop(&u->to_guest);
	}
}

static void tell(struct user *u)
{
	if (u->fresh && u->end.net.arrived)
		u->end.net.arrived(u->end.net.arg);
	u->fresh = false;
}

static ssize_t on_packet(const void *buf, size_t len, void *arg)
{
	struct user *u = arg;

	hull_add_relaxed(&u->received, len);
	/* It is libslirp's buffer, made for this frame. */
	hull_user_to_guest(&u->frames, (uint8_t *)(uintptr_t)buf, (uint32_t)len, put, u);
	return (ssize_t)len;
}

/* What else libslirp asks of us. */

static void on_mistake(const char *msg, void *arg)
{
	struct user *u = arg;

	hull_add_relaxed(&u->mistakes, 1);
}

static void *on_timer_new(SlirpTimerId id, void *opaque, void *arg)
{
	struct user *u = arg;

	for (unsigned i = 0; i < TIMERS; i++) {
		if (u->timers[i].used)
			continue;
		u->timers[i] = (struct timer){ true, id, opaque, -1 };
		return &u->timers[i];
	}
	return NULL;
}

static void on_timer_free(void *timer, void *arg)
{
	struct timer *t = timer;

	if (t)
		t->used = false;
}

static void on_timer_mod(void *timer, int64_t at_ms, void *arg)
{
	struct timer *t = timer;

	if (t)
		t->at_ms = at_ms;
}

static void on_open(int fd, void *arg)
{
	struct user *u = arg;

	if (fd < 0 || fd >= FDS || u->open[fd / 64] & BIT(fd % 64))
		return;
	u->open[fd / 64] |= BIT(fd % 64);
	u->nopen++;
}

static void on_close(int fd, void *arg)
{
	struct user *u = arg;

	if (fd < 0 || fd >= FDS || !(u->open[fd / 64] & BIT(fd % 64)))
		return;
	u->open[fd / 64] &= ~BIT(fd % 64);
	u->nopen--;
}

/* It happens in our thread, which looks at everything anyway. */
static void on_notify(void *arg)
{
}

static const SlirpCb callbacks = {
	.send_packet = on_packet,
	.guest_error = on_mistake,
	.clock_get_ns = now_ns,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_open,
	.unregister_poll_fd = on_close,
	.notify = on_notify,
	.timer_new_opaque = on_timer_new,
};

/* The thread. */

static bool is_listener(int fd)
{
	socklen_t size = sizeof(int);
	int yes = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) && yes;
}

static int on_poll(int fd, int events, void *arg)
{
	struct user *u = arg;
	bool full = u->waiting && hull_net_ring_used(&u->to_guest) > HULL_NET_RING_BYTES / 2;
	struct pollfd *p;

	if (u->nfds == POLLS)
		return -1;
	p = &u->polls[u->nfds];
	p->fd = fd;
	p->events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
	                    (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
	                    (events & SLIRP_POLL_PRI ? POLLPRI : 0));
	p->revents = 0;
	if (full)
		p->events &= (short)~(POLLIN | POLLPRI);
	if ((p->events & POLLIN) && u->nopen >= HULL_USER_FLOWS && is_listener(fd))
		p->events = 0;
	if (!p->events)
		p->fd = -1; /* or a hang-up would be reported for ever */
	return (int)u->nfds++;
}

static int on_revents(int i, void *arg)
{
	struct user *u = arg;
	int r;

	if (i < 1 || (unsigned)i >= u->nfds)
		return 0;
	r = u->polls[i].revents;
	return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (r & POLLPRI ? SLIRP_POLL_PRI : 0) | (r & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static int64_t run_timers(struct user *u)
{
	int64_t now = now_ns(NULL) / 1000000, next = INT32_MAX;

	for (unsigned i = 0; i < TIMERS; i++) {
		struct timer *t = &u->timers[i];

		if (t->used && t->at_ms >= 0 && t->at_ms <= now) {
			t->at_ms = -1;
			lib.handle_timer(u->slirp, t->id, t->opaque);
		}
		if (t->used && t->at_ms >= 0)
			next = MIN(next, MAX(t->at_ms - now, (int64_t)0));
	}
	return next;
}

/* Returns whether there is more. */
static bool take(struct user *u)
{
	struct hull_net_packet p;
	unsigned n = 0;

	for (; n < BATCH && hull_net_ring_peek(&u->from_guest, &p); n++) {
		hull_add_relaxed(&u->sent, p.len);
		if (hull_user_from_guest(&u->frames, &p))
			lib.input(u->slirp, p.data, (int)p.len);
		if (n % ANSWERS == ANSWERS - 1)
			tell(u);
		if (hull_net_ring_pop(&u->from_guest) && u->end.net.writable)
			u->end.net.writable(u->end.net.arg);
	}
	return n == BATCH;
}

static void *run(void *arg)
{
	struct user *u = arg;

	while (!hull_load_acquire(&u->quit)) {
		uint32_t timeout;
		int64_t timers;
		bool more;
		int r;

		hull_net_bell_look(&u->bell);
		u->frames.now_ms = (uint64_t)now_ns(NULL) / 1000000;
		u->frames.flows = u->nopen;
		flush(u);
		more = take(u);
		timers = run_timers(u);
		timeout = (uint32_t)timers;
		u->nfds = 1;
		lib.fill(u->slirp, &timeout, on_poll, u);
		tell(u);
		timeout = (uint32_t)MIN((int64_t)timeout, timers);
		r = hull_net_bell_sleep(&u->bell, more ? 0 : (int)MIN(timeout, 1000000u));
		r = poll(u->polls, u->nfds, r);
		hull_net_bell_awake(&u->bell);
		lib.dispatch(u->slirp, r < 0, on_revents, u);
	}
	return NULL;
}

static bool user_send(struct hull_net *n, const struct hull_net_frame *f)
{
	bool taken = hull_net_ring_push(&of(n)->from_guest, f);

	/* Who found no room waits for us. */
	if (!taken || !n->sending)
		hull_net_bell_ring(&of(n)->bell);
	return taken;
}

static void user_kick(struct hull_net *n)
{
	hull_net_bell_ring(&of(n)->bell);
}

static void user_ready(struct hull_net *n)
{
	hull_net_bell_ring(&of(n)->bell);
}

static int user_start(struct hull_net_end *e, struct hull_err *err)
{
	struct user *u = of(&e->net);
	int r;

	if (u->running)
		return 0;
	hull_store_relaxed(&u->quit, 0);
	r = hull_os_thread(&u->thread, "hull-net", run, u, err);
	u->running = !r;
	return r;
}

static void user_stop(struct hull_net_end *e)
{
	struct user *u = of(&e->net);

	if (!u->running)
		return;
	hull_store_release(&u->quit, 1);
	hull_net_bell_ring(&u->bell);
	pthread_join(u->thread, NULL);
	u->running = false;
}

static void user_close(struct hull_net_end *e)
{
	struct user *u = of(&e->net);

	if (u->slirp)
		lib.cleanup(u->slirp);
	hull_net_ring_fini(&u->from_guest);
	hull_net_ring_fini(&u->to_guest);
	hull_net_bell_fini(&u->bell);
	free(u->deny);
	free(u->publish);
	free(u->host_name);
	free(u);
}

/* Ports of the host. */

static socklen_t host_address(const struct hull_net_publish *p, uint16_t port,
                              struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (p->addr.v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, p->addr.bytes, 16);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, p->addr.bytes, 4);
	return sizeof(*in);
}

/* libslirp would share a UDP port with whoever allows that. */
static int try_udp(const struct sockaddr_storage *addr, socklen_t len)
{
	int fd = socket(addr->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = fd < 0 || bind(fd, (const struct sockaddr *)addr, len) ? errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

/* 0 or an errno value. */
static int forward(struct user *u, const struct hull_net_publish *p, uint16_t port)
{
	int flags = (p->udp ? SLIRP_HOSTFWD_UDP : 0) | (p->addr.v6 ? SLIRP_HOSTFWD_V6ONLY : 0);
	struct hull_net_publish guest = { .addr = { .v6 = p->addr.v6 } };
	struct sockaddr_storage from, to;
	socklen_t from_len = host_address(p, port, &from);
	socklen_t to_len = host_address(&guest, p->guest, &to);
	int error = p->udp ? try_udp(&from, from_len) : 0;

	if (error)
		return error;
	errno = 0;
	if (!lib.forward(u->slirp, (struct sockaddr *)&from, from_len, (struct sockaddr *)&to,
	                 to_len, flags))
		return 0;
	return errno ? errno : EINVAL;
}

static int port_error(const struct hull_net_publish *p, int error, struct hull_err *err)
{
	char owner[64], reason[64];
	const char *kind = p->udp ? "/udp" : "";
	unsigned next = p->host < 65535 ? p->host + 1u : p->host - 1u;

	if (error == EADDRINUSE) {
		if (!p->host)
			hull_fail(err, HULL_EBUSY, 502,
			          "no free host port for port %u of the guest", p->guest);
		else if (hull_net_port_owner(p->udp, p->host, owner, sizeof(owner)))
			hull_fail(err, HULL_EBUSY, 502, "host port %u is used by %s", p->host,
			          owner);
		else
			hull_fail(err, HULL_EBUSY, 502, "host port %u is used by another process",
			          p->host);
		hull_err_fix(err, "-P %u:%u%s, or -P auto:%u%s", next, p->guest, kind, p->guest,
		             kind);
		return HULL_EBUSY;
	}
	hull_fail(err, hull_os_error(error), 503, "cannot publish at host port %u: %s", p->host,
	          hull_os_reason(error, reason, sizeof(reason)));
	hull_err_fix(err,
	             error == EACCES ? "-P %u:%u%s: ports below 1024 are for root"
	                             : "-P %u:%u%s: without an address of the host",
	             error == EACCES ? p->guest % 1000 + 8000u : p->host, p->guest, kind);
	return hull_os_error(error);
}

static int publish(struct user *u, struct hull_net_publish *p, struct hull_err *err)
{
	unsigned first = p->guest < 1024 ? 2200u + p->guest : p->guest;
	int error;

	if (p->host) {
		error = forward(u, p, p->host);
		return error ? port_error(p, error, err) : 0;
	}
	for (unsigned i = 0; i < AUTO_TRIES; i++) {
		uint16_t port = (uint16_t)(first + i);

		error = port >= 1024 ? forward(u, p, port) : EADDRINUSE;
		if (!error) {
			p->host = port;
			return 0;
		}
		if (error != EADDRINUSE)
			return port_error(p, error, err);
	}
	return port_error(p, EADDRINUSE, err);
}

/* Addresses of the guest's network. */

static int nonsense(struct hull_err *err, const char *what, const char *fix)
{
	hull_fail(err, HULL_EINVAL, 504, "the addresses of a user network make no sense: %s", what);
	hull_err_fix(err, "%s", fix);
	return HULL_EINVAL;
}

static bool given(const struct hull_net_address *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, 16) != 0;
}

static uint32_t v4(const struct hull_net_address *a)
{
	return load_be32(a->bytes);
}

static int set_v4(SlirpConfig *c, const struct hull_user_options *o, struct hull_err *err)
{
	uint32_t guest = 0x0a00020f, prefix = 24, mask, gateway, dns;

	if (given(&o->guest)) {
		guest = v4(&o->guest);
		prefix = o->guest.prefix == 32 ? 24 : o->guest.prefix;
	}
	if (o->guest.v6 || o->gateway.v6 || o->dns.v6)
		return nonsense(err, "v4, gateway and dns are IPv4 addresses", "v4=10.0.2.15/24");
	if (prefix < 8 || prefix > 29)
		return nonsense(err, "the IPv4 network is too large or too small",
		                "take a prefix from /8 to /29");
	mask = UINT32_MAX << (32 - prefix);
	gateway = given(&o->gateway) ? v4(&o->gateway) : (guest & mask) + 2;
	dns = given(&o->dns) ? v4(&o->dns) : (guest & mask) + 3;
	if ((gateway & mask) != (guest & mask) || (dns & mask) != (guest & mask))
		return nonsense(err, "gateway and dns are not in the guest's network",
		                "leave them out");
	if (gateway == guest || dns == guest || gateway == dns || !(guest & ~mask) ||
	    !(gateway & ~mask) || !(dns & ~mask) || !(~guest & ~mask))
		return nonsense(err, "guest, gateway and dns need an address each",
		                "leave gateway and dns out, and take another v4");
	c->in_enabled = true;
	c->vnetwork.s_addr = htonl(guest & mask);
	c->vnetmask.s_addr = htonl(mask);
	c->vhost.s_addr = htonl(gateway);
	c->vdhcp_start.s_addr = htonl(guest);
	c->vnameserver.s_addr = htonl(dns);
	return 0;
}

static int set_v6(SlirpConfig *c, const struct hull_user_options *o, struct hull_err *err)
{
	static const uint8_t usual[16] = { 0xfe, 0xc0 };

	if (given(&o->net6) && (!o->net6.v6 || (o->net6.prefix != 64 && o->net6.prefix != 128)))
		return nonsense(err, "net6 is not an IPv6 network of 64 bits", "net6=fd00::/64");
	c->in6_enabled = true;
	c->vprefix_len = 64;
	memcpy(&c->vprefix_addr6, given(&o->net6) ? o->net6.bytes : usual, 8);
	c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
	c->vhost6.s6_addr[15] = 2;
	c->vnameserver6.s6_addr[15] = 3;
	return 0;
}

static int copy(struct user *u, const struct hull_user_options *o, struct hull_err *err)
{
	u->deny = calloc(o->ndeny + 1, sizeof(*u->deny));
	u->publish = calloc(o->npublish + 1, sizeof(*u->publish));
	u->host_name = o->host_name ? strdup(o->host_name) : NULL;
	if (!u->deny || !u->publish || (o->host_name && !u->host_name) ||
	    hull_net_ring_init(&u->from_guest) || hull_net_ring_init(&u->to_guest))
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network");
	if (o->ndeny)
		memcpy(u->deny, o->deny, o->ndeny * sizeof(*u->deny));
	u->frames.deny = u->deny;
	u->frames.ndeny = o->ndeny;
	return 0;
}

static int set_up(struct user *u, const struct hull_user_options *o, struct hull_err *err)
{
	SlirpConfig c = { .version = 4,
		          .restricted = o->restrict_outbound,
		          .vhostname = u->host_name,
		          .if_mtu = hull_user_frames_mtu(&u->frames),
		          .if_mru = hull_user_frames_mtu(&u->frames),
		          .disable_host_loopback = o->no_host };
	int r = o->no_v4 ? 0 : set_v4(&c, o, err);

	if (!r && !o->no_v6)
		r = set_v6(&c, o, err);
	if (r)
		return r;
	u->slirp = lib.create(&c, &callbacks, u);
	if (!u->slirp)
		return hull_fail(err, HULL_ENOTSUP, 506,
		                 "libslirp refuses the network; it may be older than 4.7");
	for (unsigned i = 0; !r && i < o->npublish; i++)
		r = publish(u, &o->publish[i], err);
	if (r)
		return r;
	if (o->npublish)
		memcpy(u->publish, o->publish, o->npublish * sizeof(*u->publish));
	u->frames.publish = u->publish;
	u->frames.npublish = o->npublish;
	return 0;
}

int hull_user_open(const struct hull_user_options *o, struct hull_net_end **ret,
                   struct hull_err *err)
{
	static const struct hull_net_kind kind = { "user", user_start, user_stop, user_close };
	uint16_t mtu = o->mtu ? o->mtu : MTU;
	struct user *u;
	int r;

	if (mtu < MTU_MIN || mtu > MTU_MAX || (o->no_v4 && o->no_v6))
		return nonsense(err, "MTU out of range, or neither IPv4 nor IPv6",
		                "mtu from 576 to 65521");
	r = load(err);
	if (r)
		return r;
	u = calloc(1, sizeof(*u));
	if (!u)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network");
	hull_user_frames_init(&u->frames, mtu);
	u->end.kind = &kind;
	u->end.net = (struct hull_net){ .mtu = o->mtu,
		                        .takes = HULL_NET_CSUM | HULL_NET_TSO4 | HULL_NET_TSO6,
		                        .send = user_send,
		                        .kick = user_kick,
		                        .receiving = true,
		                        .ready = user_ready };
	memcpy(u->end.net.mac, o->mac, 6);
	u->frames.now_ms = u->frames.tokens_ms = (uint64_t)now_ns(NULL) / 1000000;
	u->bell.fd = -1;
	r = copy(u, o, err);
	if (!r)
		r = hull_net_bell_init(&u->bell, err);
	if (!r)
		r = set_up(u, o, err);
	if (r) {
		user_close(&u->end);
		return r;
	}
	u->polls[0] = (struct pollfd){ .fd = u->bell.fd, .events = POLLIN };
	*ret = &u->end;
	return 0;
}

void hull_user_stats(const struct hull_net_end *e, struct hull_user_stats *ret)
{
	const struct user *u = (const struct user *)e;

	*ret = (struct hull_user_stats){
		.sent = hull_load_relaxed(&u->sent),
		.received = hull_load_relaxed(&u->received),
		.denied = hull_load_relaxed(&u->frames.denied),
		.dropped = hull_load_relaxed(&u->dropped),
		.refused = hull_load_relaxed(&u->frames.refused),
		.mistakes = hull_load_relaxed(&u->mistakes),
	};
}

#else

int hull_user_open(const struct hull_user_options *o, struct hull_net_end **ret,
                   struct hull_err *err)
{
	hull_fail(err, HULL_ENOTSUP, 1301, "user networking (libslirp) is not in this build");
	hull_err_fix(err, "build with libslirp-dev installed, or --net tap:NAME, --net passt");
	return HULL_ENOTSUP;
}

void hull_user_stats(const struct hull_net_end *e, struct hull_user_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
}

#endif
