/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports, the table of addresses, and the thread that moves frames; see switch.h. */
#include "host/net/switch_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/frame.h"
#include "host/net/deliver.h"
#include "host/os/os.h"

enum {
	DIAL_MS = 50,
	ACCEPT_MS = 100, /* without descriptors */
	BATCH = 256,
	ROOM = HULL_NET_FRAME_MAX + 64,
};

static struct hull_switch_port *of(struct hull_net *n)
{
	return (struct hull_switch_port *)n;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* An uplink is the way to all NICs of the other processes. */
static bool learn(struct hull_switch *sw, const struct hull_switch_port *p, const uint8_t *mac,
                  bool fixed)
{
	return hull_mac_learn(&sw->macs, p->number,
	                      p->uplink ? HULL_SWITCH_MACS / 2 : HULL_SWITCH_PORT_MACS, mac, fixed);
}

/* Frames out of a port. */

static bool to_stream(void *arg, const struct hull_net_frame *f)
{
	return hull_net_stream_put(arg, f);
}

static void emit(struct hull_switch_port *p, struct hull_net_packet *packet)
{
	struct hull_switch *sw = p->sw;
	struct hull_block_seg seg;
	struct hull_net_frame f = hull_net_packet_frame(packet, &seg);
	struct hull_frame_way way = { 0, sw->linear, to_stream, &p->stream };
	bool bad = false, taken;
	uint16_t at = 0;

	if (!p->local) {
		taken = hull_frame_pass(&way, &f, &at, &bad);
		if (!taken && hull_net_stream_flush(&p->stream))
			taken = hull_frame_pass(&way, &f, &at, &bad);
	} else if (!p->started) {
		taken = true;
	} else {
		if (!p->waiting) {
			p->segment = 0;
			if (hull_net_deliver(&p->end.net, packet, sw->linear, &p->segment))
				return;
		}
		taken = hull_net_ring_push(&p->to, &f);
		p->waiting += taken;
	}
	if (!taken)
		hull_add_relaxed(&sw->dropped, 1);
}

static void forward(struct hull_switch_port *from, struct hull_net_packet *packet)
{
	struct hull_switch *sw = from->sw;
	int to = -1;

	if (!sw->cable) {
		if (!learn(sw, from, packet->data + 6, false)) {
			hull_add_relaxed(&sw->spoofed, 1);
			return;
		}
		if (!(packet->data[0] & 1))
			to = hull_mac_find(&sw->macs, packet->data);
	}
	if (to >= 0) {
		if (to != from->number && sw->ports[to])
			emit(sw->ports[to], packet);
		return;
	}
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++)
		if (sw->ports[i] && sw->ports[i] != from)
			emit(sw->ports[i], packet);
}

/* With one peer, a sender waits until the other side has room. */
static bool blocked(const struct hull_switch *sw, const struct hull_switch_port *from)
{
	if (!sw->cable)
		return false;
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		struct hull_switch_port *p = sw->ports[i];

		if (!p || p == from)
			continue;
		if (p->local ? p->waiting && hull_net_ring_used(&p->to) > HULL_NET_RING_BYTES / 2
		             : HULL_NET_STREAM_BYTES - hull_net_stream_waiting(&p->stream) < ROOM)
			return true;
	}
	return false;
}

/* Frames into a port. */

static void take(struct hull_switch_port *p)
{
	struct hull_net_packet packet;

	for (unsigned n = 0;
	     n < BATCH && !blocked(p->sw, p) && hull_net_ring_peek(&p->from, &packet); n++) {
		forward(p, &packet);
		if (hull_net_ring_pop(&p->from) && p->started && p->end.net.writable)
			p->end.net.writable(p->end.net.arg);
	}
}

static void flush(struct hull_switch_port *p)
{
	struct hull_net_packet packet;

	while (p->waiting && p->started && hull_net_ring_peek(&p->to, &packet)) {
		if (!hull_net_deliver(&p->end.net, &packet, p->sw->linear, &p->segment))
			return;
		p->segment = 0;
		p->waiting--;
		(void)hull_net_ring_pop(&p->to);
	}
}

static void on_frame(void *arg, uint8_t *data, uint32_t len)
{
	struct hull_net_packet packet = { .data = data, .len = len };

	forward(arg, &packet);
}

static void link_changed(struct hull_switch *sw)
{
	bool peer = false;

	if (!sw->cable)
		return;
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++)
		peer |= sw->ports[i] && !sw->ports[i]->local;
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		struct hull_switch_port *p = sw->ports[i];

		if (p && p->local && p->started && p->end.net.link_changed)
			p->end.net.link_changed(p->end.net.arg, peer);
	}
}

static void remove_port(struct hull_switch_port *p)
{
	struct hull_switch *sw = p->sw;

	hull_mac_forget(&sw->macs, p->number);
	sw->ports[p->number] = NULL;
	hull_net_ring_fini(&p->from);
	hull_net_ring_fini(&p->to);
	hull_net_stream_fini(&p->stream);
	free(p);
}

static struct hull_switch_port *new_port(struct hull_switch *sw)
{
	struct hull_switch_port *p = calloc(1, sizeof(*p));
	unsigned i = 0;

	while (i < HULL_SWITCH_PORTS && sw->ports[i])
		i++;
	if (!p || i == HULL_SWITCH_PORTS) {
		free(p);
		return NULL;
	}
	p->sw = sw;
	p->number = (uint8_t)i;
	p->stream.fd = -1;
	sw->ports[i] = p;
	return p;
}

int hull_switch_add_peer(struct hull_switch *sw, int fd, bool uplink)
{
	struct hull_switch_port *p = new_port(sw);

	if (!p || hull_net_stream_init(&p->stream, fd)) {
		if (p)
			remove_port(p);
		close(fd);
		return HULL_ENOMEM;
	}
	p->uplink = uplink;
	link_changed(sw);
	return 0;
}

/* The thread. */

static void accept_peer(struct hull_switch *sw)
{
	int fd = accept4(sw->listener, NULL, NULL, SOCK_CLOEXEC);

	/* Without descriptors whoever waits there would go on waiting, and the poll find it. */
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		sw->accept_ms = sw->macs.now_ms + ACCEPT_MS;
	if (fd < 0)
		return;
	for (unsigned i = 0; sw->cable && i < HULL_SWITCH_PORTS; i++) {
		if (sw->ports[i] && !sw->ports[i]->local) {
			close(fd);
			return;
		}
	}
	/* Without room it is closed, and may come again. */
	if (hull_switch_add_peer(sw, fd, false))
		return;
}

static void find_others(struct hull_switch *sw)
{
	int fd;

	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++)
		if (sw->ports[i] && sw->ports[i]->uplink)
			return;
	if (sw->listener >= 0 || !sw->dial || sw->macs.now_ms < sw->dial_ms)
		return;
	sw->dial_ms = sw->macs.now_ms + DIAL_MS;
	fd = sw->dial(sw);
	if (fd >= 0 && hull_switch_add_peer(sw, fd, true))
		return;
}

/* What to poll on; polls[0] is the bell, polls[1] the listener, then the ports by number. */
static int prepare(struct hull_switch *sw)
{
	bool alone = sw->dial && sw->listener<0, later = sw->accept_ms> sw->macs.now_ms;

	sw->polls[1].fd = later ? -1 : sw->listener;
	sw->polls[1].revents = 0;
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		struct hull_switch_port *p = sw->ports[i];
		struct pollfd *f = &sw->polls[2 + i];

		f->fd = -1;
		f->events = f->revents = 0;
		if (!p || p->local)
			continue;
		alone &= !p->uplink;
		if (!blocked(sw, p))
			f->events |= POLLIN;
		if (hull_net_stream_waiting(&p->stream))
			f->events |= POLLOUT;
		if (f->events)
			f->fd = p->stream.fd;
	}
	if (later)
		return ACCEPT_MS;
	return alone ? DIAL_MS : -1;
}

static void end_peer(struct hull_switch_port *p)
{
	struct hull_switch *sw = p->sw;

	remove_port(p);
	link_changed(sw);
}

/* Send to the peers what they take; returns whether there is more to be had from NICs. */
static bool finish(struct hull_switch *sw)
{
	bool more = false;

	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		struct hull_switch_port *p = sw->ports[i];

		if (p && !p->local && !hull_net_stream_flush(&p->stream))
			end_peer(p);
	}
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		struct hull_switch_port *p = sw->ports[i];

		more |= p && p->local && hull_net_ring_used(&p->from) && !blocked(sw, p);
	}
	return more;
}

/* Everything that can be done now; returns whether there is more. */
static bool turn(struct hull_switch *sw)
{
	sw->macs.now_ms = now_ms();
	if (sw->polls[1].revents)
		accept_peer(sw);
	find_others(sw);
	hull_mac_sweep(&sw->macs);
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		struct hull_switch_port *p = sw->ports[i];
		short ready = sw->polls[2 + i].revents;

		sw->polls[2 + i].revents = 0;
		if (!p)
			continue;
		if (p->local) {
			flush(p);
			take(p);
		} else if (ready & ~POLLOUT && !hull_net_stream_read(&p->stream, on_frame, p)) {
			end_peer(p);
		}
	}
	return finish(sw);
}

static void *run(void *arg)
{
	struct hull_switch *sw = arg;

	while (!hull_load_acquire(&sw->quit)) {
		bool more;
		int ms;

		hull_net_bell_look(&sw->bell);
		pthread_mutex_lock(&sw->mutex);
		more = turn(sw);
		ms = prepare(sw);
		pthread_mutex_unlock(&sw->mutex);
		ms = hull_net_bell_sleep(&sw->bell, more ? 0 : ms);
		poll(sw->polls, ARRAY_LEN(sw->polls), ms);
		hull_net_bell_awake(&sw->bell);
	}
	return NULL;
}

/* NICs. */

static bool nic_send(struct hull_net *n, const struct hull_net_frame *f)
{
	bool taken = hull_net_ring_push(&of(n)->from, f);

	hull_net_bell_ring(&of(n)->sw->bell);
	return taken;
}

static void nic_ready(struct hull_net *n)
{
	hull_net_bell_ring(&of(n)->sw->bell);
}

static int nic_start(struct hull_net_end *e, struct hull_err *err)
{
	struct hull_switch_port *p = of(&e->net);
	struct hull_switch *sw = p->sw;
	int r = 0;

	pthread_mutex_lock(&sw->mutex);
	p->started = true;
	if (!sw->running)
		r = hull_os_thread(&sw->thread, "hull-switch", run, sw, err);
	sw->running = !r;
	link_changed(sw);
	pthread_mutex_unlock(&sw->mutex);
	hull_net_bell_ring(&sw->bell);
	return r;
}

static void nic_stop(struct hull_net_end *e)
{
	struct hull_switch_port *p = of(&e->net);

	/* Callbacks are made under the mutex. */
	pthread_mutex_lock(&p->sw->mutex);
	p->started = false;
	pthread_mutex_unlock(&p->sw->mutex);
}

static void nic_close(struct hull_net_end *e)
{
	struct hull_switch_port *p = of(&e->net);
	struct hull_switch *sw = p->sw;

	pthread_mutex_lock(&sw->mutex);
	remove_port(p);
	pthread_mutex_unlock(&sw->mutex);
	hull_switch_unref(sw);
}

int hull_switch_add_nic(struct hull_switch *sw, const uint8_t mac[6], uint16_t mtu,
                        struct hull_net_end **ret, struct hull_err *err)
{
	static const struct hull_net_kind kind = { "switch", nic_start, nic_stop, nic_close };
	static const uint8_t none[6];
	struct hull_switch_port *p;
	int r = 0;

	pthread_mutex_lock(&sw->mutex);
	p = new_port(sw);
	if (!p || hull_net_ring_init(&p->from) || hull_net_ring_init(&p->to)) {
		if (p)
			remove_port(p);
		r = hull_fail(err, HULL_ENOMEM, 505,
		              "a switch has no more than %d ports, "
		              "and they need memory",
		              HULL_SWITCH_PORTS);
	} else {
		p->local = true;
		p->end.kind = &kind;
		p->end.net = (struct hull_net){ .mtu = mtu,
			                        .takes = HULL_NET_CSUM | HULL_NET_TSO4 |
			                                 HULL_NET_TSO6 | HULL_NET_USO,
			                        .send = nic_send,
			                        .ready = nic_ready };
		memcpy(p->end.net.mac, mac, 6);
		sw->macs.now_ms = now_ms();
		if (memcmp(mac, none, 6) && !sw->cable && !learn(sw, p, mac, true)) {
			remove_port(p);
			r = hull_fail(err, HULL_EEXIST, 505,
			              "two network cards of this switch have the same address");
			hull_err_fix(err, "leave mac out, or give each another one");
		}
	}
	pthread_mutex_unlock(&sw->mutex);
	if (!r)
		*ret = &p->end;
	return r;
}

int hull_switch_new(bool cable, struct hull_switch **ret, struct hull_err *err)
{
	struct hull_switch *sw = calloc(1, sizeof(*sw));
	int r;

	if (!sw)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network");
	sw->cable = cable;
	sw->refs = 1;
	sw->listener = sw->lock = -1;
	if (getrandom(&sw->macs.seed, sizeof(sw->macs.seed), 0) < 0)
		sw->macs.seed = now_ms();
	pthread_mutex_init(&sw->mutex, NULL);
	r = hull_net_bell_init(&sw->bell, err);
	if (r) {
		hull_switch_free(sw);
		return r;
	}
	sw->polls[0] = (struct pollfd){ .fd = sw->bell.fd, .events = POLLIN };
	sw->polls[1] = (struct pollfd){ .fd = -1, .events = POLLIN };
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++)
		sw->polls[2 + i].fd = -1;
	*ret = sw;
	return 0;
}

void hull_switch_free(struct hull_switch *sw)
{
	if (sw->running) {
		hull_store_release(&sw->quit, 1);
		hull_net_bell_ring(&sw->bell);
		pthread_join(sw->thread, NULL);
	}
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++)
		if (sw->ports[i])
			remove_port(sw->ports[i]);
	if (sw->listener >= 0) {
		unlinkat(AT_FDCWD, sw->path, 0);
		close(sw->listener);
	}
	if (sw->lock >= 0)
		close(sw->lock);
	hull_net_bell_fini(&sw->bell);
	pthread_mutex_destroy(&sw->mutex);
	free(sw);
}

const char *hull_switch_path(const struct hull_net_end *e)
{
	const char *path = ((const struct hull_switch_port *)e)->sw->path;

	return *path ? path : NULL;
}

void hull_switch_stats(const struct hull_net_end *e, struct hull_switch_stats *ret)
{
	struct hull_switch *sw = ((const struct hull_switch_port *)e)->sw;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&sw->mutex);
	for (unsigned i = 0; i < HULL_SWITCH_PORTS; i++) {
		ret->ports += sw->ports[i] != NULL;
		ret->macs += sw->ports[i] ? sw->macs.used[i] : 0;
	}
	ret->hub = sw->listener >= 0;
	ret->dropped = hull_load_relaxed(&sw->dropped);
	ret->spoofed = hull_load_relaxed(&sw->spoofed);
	pthread_mutex_unlock(&sw->mutex);
}
