/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "host/net/deliver.h"
#include "host/os/os.h"

enum { SEGS = 64, VNET_HDR = 10 /* struct virtio_net_hdr without num_buffers */, BATCH = 64 };

struct tap {
	struct hull_net_end end;
	int fd;
	struct hull_net_bell bell;
	pthread_t thread;
	bool running;
	uint32_t quit, full;           /* atomic; full: send() was refused */
	unsigned offload;              /* what the kernel was told */
	struct hull_net_packet packet; /* len 0: none */
	uint16_t segment;
	uint8_t linear[HULL_NET_FRAME_MAX];
	uint8_t buf[VNET_HDR + HULL_NET_FRAME_MAX];
};

static struct tap *of(struct hull_net *n)
{
	return (struct tap *)n;
}

static bool tap_send(struct hull_net *n, const struct hull_net_frame *f)
{
	struct tap *t = of(n);
	uint8_t h[VNET_HDR] = { f->flags & HULL_NET_NEEDS_CSUM, f->gso_type };
	struct iovec iov[SEGS + 1] = { { h, sizeof(h) } };
	unsigned n_iov = 1;
	ssize_t r;

	store_le16(h + 2, f->hdr_len);
	store_le16(h + 4, f->gso_size);
	store_le16(h + 6, f->csum_start);
	store_le16(h + 8, f->csum_offset);
	for (unsigned i = 0; i < f->nsegs; i++) {
		if (n_iov == ARRAY_LEN(iov))
			return true; /* no driver cuts a frame into so many pieces */
		iov[n_iov++] = (struct iovec){ f->segs[i].hva, f->segs[i].len };
	}
	do {
		r = writev(t->fd, iov, (int)n_iov);
	} while (r < 0 && errno == EINTR);
	if (r >= 0 || errno != EAGAIN)
		return true; /* refused for good: malformed, or the interface is down */
	hull_store_release(&t->full, 1);
	hull_net_bell_ring(&t->bell);
	return false;
}

static void tap_ready(struct hull_net *n)
{
	hull_net_bell_ring(&of(n)->bell);
}

/* Tell the kernel what the driver can deal with. */
static void set_offload(struct tap *t)
{
	unsigned gives = hull_load_relaxed(&t->end.net.gives), flags = 0;

	if (gives == t->offload)
		return;
	t->offload = gives;
	if (gives & HULL_NET_CSUM)
		flags = TUN_F_CSUM | (gives & HULL_NET_TSO4 ? (unsigned)TUN_F_TSO4 : 0) |
		        (gives & HULL_NET_TSO6 ? (unsigned)TUN_F_TSO6 : 0);
	if (ioctl(t->fd, TUNSETOFFLOAD, flags)) {
		/* Then frames come as before, and hull_net_deliver() does the rest. */
	}
}

static bool read_frame(struct tap *t)
{
	ssize_t n = read(t->fd, t->buf, sizeof(t->buf));
	struct hull_net_packet *p = &t->packet;

	if (n < VNET_HDR + 14)
		return false;
	*p = (struct hull_net_packet){
		.data = t->buf + VNET_HDR,
		.len = (uint32_t)n - VNET_HDR,
		.flags = t->buf[0] & (HULL_NET_NEEDS_CSUM | HULL_NET_DATA_VALID),
		.gso_type = t->buf[1] & 0x7f, /* without ECN's bit */
		.hdr_len = load_le16(t->buf + 2),
		.gso_size = load_le16(t->buf + 4),
		.csum_start = load_le16(t->buf + 6),
		.csum_offset = load_le16(t->buf + 8),
	};
	t->segment = 0;
	return true;
}

/* Returns whether to poll for more: not while the guest has no room. */
static bool pass_on(struct tap *t)
{
	for (unsigned i = 0; i < BATCH; i++) {
		if (!t->packet.len && !read_frame(t))
			return true;
		if (!hull_net_deliver(&t->end.net, &t->packet, t->linear, &t->segment))
			return false;
		t->packet.len = 0;
	}
	return true;
}

static void *run(void *arg)
{
	struct tap *t = arg;
	struct pollfd p[2] = { { .fd = t->bell.fd, .events = POLLIN }, { .fd = t->fd } };
	bool gone = false;

	while (!hull_load_acquire(&t->quit)) {
		hull_net_bell_look(&t->bell);
		set_offload(t);
		p[1].events = pass_on(t) ? POLLIN : 0;
		if (hull_load_acquire(&t->full))
			p[1].events |= POLLOUT;
		p[1].fd = p[1].events && !gone ? t->fd : -1;
		p[1].revents = 0;
		poll(p, 2, hull_net_bell_sleep(&t->bell, -1));
		hull_net_bell_awake(&t->bell);
		/* The interface was deleted: the descriptor would be ready for ever. */
		gone |= p[1].revents & (POLLERR | POLLHUP | POLLNVAL);
		if (p[1].revents & POLLOUT) {
			hull_store_release(&t->full, 0);
			if (t->end.net.writable)
				t->end.net.writable(t->end.net.arg);
		}
	}
	return NULL;
}

static int tap_start(struct hull_net_end *e, struct hull_err *err)
{
	struct tap *t = of(&e->net);
	int r;

	if (t->running)
		return 0;
	hull_store_relaxed(&t->quit, 0);
	r = hull_os_thread(&t->thread, "hull-tap", run, t, err);
	t->running = !r;
	return r;
}

static void tap_stop(struct hull_net_end *e)
{
	struct tap *t = of(&e->net);

	if (!t->running)
		return;
	hull_store_release(&t->quit, 1);
	hull_net_bell_ring(&t->bell);
	pthread_join(t->thread, NULL);
	t->running = false;
}

static void tap_close(struct hull_net_end *e)
{
	struct tap *t = of(&e->net);

	if (t->fd >= 0)
		close(t->fd);
	hull_net_bell_fini(&t->bell);
	free(t);
}

static int cannot(struct hull_err *err, const char *name, int error)
{
	char reason[64];

	hull_fail(err, hull_os_error(error), 516, "cannot use the tap interface %s: %s", name,
	          hull_os_reason(error, reason, sizeof(reason)));
	if (error == EPERM || error == EACCES)
		hull_err_fix(err,
		             "sudo ip tuntap add %s mode tap user $USER; sudo ip link set %s up",
		             name, name);
	else if (error == EBUSY)
		hull_err_fix(err, "another program has it; take another one");
	else
		hull_err_fix(err, "--net user needs no interface");
	return hull_os_error(error);
}

static int attach(struct tap *t, const char *name, struct hull_err *err)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = VNET_HDR, little = 1;

	hull_format(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0 || ioctl(t->fd, TUNSETIFF, &r) || ioctl(t->fd, TUNSETVNETHDRSZ, &size) ||
	    ioctl(t->fd, TUNSETVNETLE, &little))
		return cannot(err, name, errno);
	return 0;
}

int hull_net_tap_open(const char *name, const uint8_t mac[6], uint16_t mtu,
                      struct hull_net_end **ret, struct hull_err *err)
{
	static const struct hull_net_kind kind = { "tap", tap_start, tap_stop, tap_close };
	struct tap *t;
	int r;

	if (!*name || strlen(name) >= IFNAMSIZ || strchr(name, '/') || strchr(name, '%'))
		return cannot(err, "with this name", EINVAL);
	t = calloc(1, sizeof(*t));
	if (!t)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network");
	t->end.kind = &kind;
	t->end.net = (struct hull_net){ .mtu = mtu,
		                        .takes = HULL_NET_CSUM | HULL_NET_TSO4 | HULL_NET_TSO6,
		                        .send = tap_send,
		                        .ready = tap_ready };
	memcpy(t->end.net.mac, mac, 6);
	t->bell.fd = -1;
	t->fd = -1;
	t->offload = ~0u;
	r = attach(t, name, err);
	if (!r)
		r = hull_net_bell_init(&t->bell, err);
	if (r) {
		tap_close(&t->end);
		return r;
	}
	*ret = &t->end;
	return 0;
}
