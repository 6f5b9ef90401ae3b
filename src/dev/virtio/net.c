/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-net: a network card.
 *
 * Spec: VIRTIO 1.3, 5.1.
 *
 * A frame that the guest sends is copied first and then looked at.  What its header asks for
 * (checksums, segments) and the backend cannot do is done here, and the same for frames that
 * arrive: core/frame.h.  A frame that the backend has no room for stays in the ring; `cut` says
 * how many of its segments went out.  A frame that arrives is either given to the guest as a whole
 * or refused, so that the backend may keep it.
 *
 * Not modelled: UFO, ECN segments, tunnels, receive coalescing, notification coalescing, standby.
 */
#include <hull/vm.h>
#include "base/atomic.h"
#include "base/mem.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/net_impl.h"

enum { ID = 1 };

/* 5.1.4: offsets in the configuration space. */
enum {
	C_MAC = 0,
	C_STATUS = 6,
	C_PAIRS = 8,
	C_MTU = 10,
	C_SPEED = 12,
	C_DUPLEX = 16,
	C_RSS_KEY = 17,
	C_RSS_TABLE = 18,
	C_HASH_TYPES = 20,
	C_SIZE = 24
};
enum { S_LINK_UP = 1, S_ANNOUNCE = 2, FULL_DUPLEX = 1, SPEED_MBIT = 10000, MTU = 1500 };

/* 5.1.6: struct virtio_net_hdr. */
enum {
	H_FLAGS = 0,
	H_GSO_TYPE = 1,
	H_HDR_LEN = 2,
	H_GSO_SIZE = 4,
	H_CSUM_START = 6,
	H_CSUM_OFFSET = 8,
	H_BUFFERS = 10,
	H_SIZE = 12,
	H_HASH = 12,
	H_HASH_TYPE = 16,
	H_SIZE_HASH = 20
};

/* A turn of the device; beyond the payload of a frame come two VLAN tags at most. */
enum { BYTES_AT_ONCE = 1 << 20, SEGMENTS_COST = 64, BEYOND_MTU = HULL_FRAME_ETH + 8 };
enum { MERGE_MAX = 128, HEAD_BYTES = HULL_FRAME_HEADERS };

static bool has(const struct net *s, unsigned bit)
{
	return hull_virtio_has(&s->v, bit);
}

static unsigned mtu(struct net *s)
{
	struct hull_net *n = net_backend(s);

	return n && n->mtu ? n->mtu : MTU;
}

static uint64_t net_features(struct hull_virtio *v)
{
	struct net *s = (struct net *)v;
	uint64_t f = BIT(NET_F_CSUM) | BIT(NET_F_GUEST_CSUM) | BIT(NET_F_CTRL_GUEST_OFFLOADS) |
	             BIT(NET_F_MTU) | BIT(NET_F_MAC) | BIT(NET_F_GUEST_TSO4) |
	             BIT(NET_F_GUEST_TSO6) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
	             BIT(NET_F_MRG_RXBUF) | BIT(NET_F_STATUS) | BIT(NET_F_CTRL_VQ) |
	             BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_VLAN) | BIT(NET_F_CTRL_RX_EXTRA) |
	             BIT(NET_F_GUEST_ANNOUNCE) | BIT(NET_F_CTRL_MAC_ADDR) | BIT(NET_F_GUEST_USO4) |
	             BIT(NET_F_GUEST_USO6) | BIT(NET_F_HOST_USO) | BIT(NET_F_SPEED_DUPLEX);

	if (net_pairs(s) > 1)
		f |= BIT(NET_F_MQ) | BIT(NET_F_RSS) | BIT(NET_F_HASH_REPORT);
	return f;
}

static void net_config(struct hull_virtio *v, uint8_t *buf)
{
	struct net *s = (struct net *)v;

	memcpy(buf + C_MAC, s->mac, sizeof(s->mac));
	store_le16(buf + C_STATUS,
	           (uint16_t)((s->link ? S_LINK_UP : 0) | (s->announce ? S_ANNOUNCE : 0)));
	store_le16(buf + C_PAIRS, (uint16_t)net_pairs(s));
	store_le16(buf + C_MTU, (uint16_t)mtu(s));
	store_le32(buf + C_SPEED, SPEED_MBIT);
	buf[C_DUPLEX] = FULL_DUPLEX;
	buf[C_RSS_KEY] = NET_KEY;
	store_le16(buf + C_RSS_TABLE, NET_TABLE);
	store_le32(buf + C_HASH_TYPES, NET_HASH_TYPES);
}

static size_t header_size(const struct net *s)
{
	return has(s, NET_F_HASH_REPORT) ? H_SIZE_HASH : H_SIZE;
}

/* 5.1.2: the control queue follows those that the driver knows of. */
static unsigned control_queue(const struct net *s)
{
	return has(s, NET_F_MQ) || has(s, NET_F_RSS) ? 2 * net_pairs(s) : 2;
}

/* What the feature bits for one direction mean to a backend. */
static unsigned offloads(uint64_t f, unsigned csum, unsigned tso4, unsigned tso6, uint64_t uso)
{
	unsigned r = HULL_NET_CSUM;

	if (!(f & BIT(csum)))
		return 0;
	r |= f & BIT(tso4) ? HULL_NET_TSO4 : 0;
	r |= f & BIT(tso6) ? HULL_NET_TSO6 : 0;
	return r | ((f & uso) == uso ? HULL_NET_USO : 0);
}

static unsigned driver_takes(const struct net *s)
{
	return offloads(hull_net_guest_offloads(s), NET_F_GUEST_CSUM, NET_F_GUEST_TSO4,
	                NET_F_GUEST_TSO6, BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6));
}

static void tell_backend(struct net *s)
{
	struct hull_net *n = net_backend(s);

	if (n)
		hull_store_relaxed(&n->gives, driver_takes(s));
}

static bool gso_allowed(const struct net *s, uint8_t type)
{
	unsigned can = offloads(s->v.driver_features, NET_F_CSUM, NET_F_HOST_TSO4, NET_F_HOST_TSO6,
	                        BIT(NET_F_HOST_USO));

	switch (type) {
	case HULL_NET_GSO_NONE: return true;
	case HULL_NET_GSO_TCPV4: return can & HULL_NET_TSO4;
	case HULL_NET_GSO_TCPV6: return can & HULL_NET_TSO6;
	case HULL_NET_GSO_UDP: return can & HULL_NET_USO;
	}
	return false;
}

/* Is a frame that is to be cut what it says, and does each piece fit the network? */
static bool gso_good(struct net *s, struct hull_net_frame *f, unsigned *ret_segments)
{
	struct hull_frame_gso g;
	unsigned field;

	if (!(f->flags & HULL_NET_NEEDS_CSUM) || !gso_allowed(s, f->gso_type) ||
	    !hull_frame_gso(s->frame, f->len, f->gso_type, f->gso_size, &g))
		return false;
	field = g.parts.protocol == HULL_FRAME_TCP ? 16 : 6;
	if (f->csum_start != g.parts.l4 || f->csum_offset != field ||
	    g.parts.payload - g.parts.l3 + MIN(f->gso_size, f->len - g.parts.payload) > mtu(s))
		return false;
	f->hdr_len = g.parts.payload;
	*ret_segments = g.count;
	return true;
}

/* The request in s->chain, into s->frame.  NULL, or why it is no frame. */
static const char *load(struct net *s, unsigned q, struct hull_net_frame *f, unsigned *ret_segments)
{
	size_t skip = header_size(s);
	uint64_t len = s->chain->read_len - skip;
	uint8_t h[H_SIZE];

	if (s->chain->read_len < skip + HULL_FRAME_ETH || len > HULL_NET_FRAME_MAX)
		return "frame of a wrong length";
	if (!hull_virtq_copy_in(&s->queues[q], s->chain, 0, h, sizeof(h)) ||
	    !hull_virtq_copy_in(&s->queues[q], s->chain, skip, s->frame, len))
		return "buffer is not memory";
	*f = (struct hull_net_frame){ .len = (uint32_t)len,
		                      .flags = h[H_FLAGS] & HULL_NET_NEEDS_CSUM,
		                      .gso_type = h[H_GSO_TYPE],
		                      .gso_size = load_le16(h + H_GSO_SIZE),
		                      .csum_start = load_le16(h + H_CSUM_START),
		                      .csum_offset = load_le16(h + H_CSUM_OFFSET) };
	if (f->flags && (!has(s, NET_F_CSUM) || f->csum_start < HULL_FRAME_ETH ||
	                 (uint32_t)f->csum_start + f->csum_offset + 2 > len))
		return "checksum beyond the frame";
	*ret_segments = 1;
	if (!f->gso_type)
		return len > mtu(s) + BEYOND_MTU ? "frame larger than the MTU" : NULL;
	return gso_good(s, f, ret_segments) ? NULL : "frame that cannot be cut as it says";
}

static bool to_backend(void *arg, const struct hull_net_frame *f)
{
	struct hull_net *n = arg;

	return n->send(n, f);
}

/* False: the backend has no room, the request stays. */
static bool send(struct net *s, unsigned q, uint64_t *budget)
{
	struct hull_net *n = net_backend(s);
	struct hull_frame_way way = { n ? n->takes : 0, s->frame, to_backend, n };
	struct hull_block_seg seg = { .hva = s->frame };
	struct hull_net_frame f;
	unsigned segments;
	const char *why = load(s, q, &f, &segments);
	bool sent = true, bad;

	if (why) {
		hull_guest_error(&s->v.dev, why, q);
	} else if (n) {
		seg.len = f.len;
		f.segs = &seg;
		f.nsegs = 1;
		*budget -= MIN(*budget, (uint64_t)f.len + segments * SEGMENTS_COST);
		hull_net_steer_sent(s, q / 2, s->frame, f.len);
		sent = hull_frame_pass(&way, &f, &s->cut[q / 2], &bad);
	}
	if (sent)
		s->cut[q / 2] = 0;
	return sent;
}

static void transmit(struct net *s, unsigned q)
{
	unsigned frames = NET_QUEUE_SIZE;
	uint64_t bytes = BYTES_AT_ONCE;

	struct hull_net *n = net_backend(s);

	hull_virtq_begin(&s->queues[q]);
	if (n)
		n->sending = true;
	for (; frames && bytes && hull_virtio_next(&s->v, q, s->chain); frames--) {
		if (!send(s, q, &bytes))
			break;
		hull_virtq_take(&s->queues[q]);
		hull_virtio_push(&s->v, q, s->chain->head, 0);
	}
	if (n)
		n->sending = false;
	if (n && n->kick)
		n->kick(n);
	hull_virtio_signal(&s->v, q);
	hull_virtq_end(&s->queues[q]);
	if (!frames || !bytes)
		hull_virtio_later(&s->v, q, 0);
}

static void fill_header(const struct net *s, const struct hull_net_frame *f, uint8_t *h)
{
	bool csum = driver_takes(s) & HULL_NET_CSUM;

	h[H_FLAGS] = csum ? f->flags & (HULL_NET_NEEDS_CSUM | HULL_NET_DATA_VALID) : 0;
	h[H_GSO_TYPE] = f->gso_type;
	if (f->gso_type) {
		store_le16(h + H_HDR_LEN, f->hdr_len);
		store_le16(h + H_GSO_SIZE, f->gso_size);
	}
	if (h[H_FLAGS] & HULL_NET_NEEDS_CSUM) {
		store_le16(h + H_CSUM_START, f->csum_start);
		store_le16(h + H_CSUM_OFFSET, f->csum_offset);
	}
	store_le32(h + H_HASH, s->hash);
	store_le16(h + H_HASH_TYPE, s->hash_type);
}

/* Bytes [from, from + len) of the frame, to byte `at` of a chain. */
static bool put(const struct hull_virtq *q, const struct hull_virtq_chain *c, uint64_t at,
                const struct hull_net_frame *f, uint64_t from, uint64_t len)
{
	for (unsigned i = 0; i < f->nsegs && len; i++) {
		const struct hull_block_seg *seg = &f->segs[i];
		uint64_t part = from < seg->len ? MIN(len, seg->len - from) : 0;

		if (part && !hull_virtq_copy_out(q, c, at, (uint8_t *)seg->hva + from, part))
			return false;
		from -= MIN(from, seg->len);
		at += part;
		len -= part;
	}
	return !len;
}

/* One more buffer for a frame, of which `done` bytes have their place. */
static bool add_buffer(struct net *s, unsigned q, const struct hull_net_frame *f, uint64_t done,
                       uint32_t *ret_len)
{
	struct hull_virtq_chain *c = done ? s->chain : s->first;
	size_t header = header_size(s);
	uint64_t need = header + f->len - done, len = MIN(need, c->write_len),
		 skip = done ? 0 : header;

	*ret_len = (uint32_t)len;
	hull_virtq_take(&s->queues[q]);
	if (put(&s->queues[q], c, skip, f, done + skip - header, len - skip))
		return true;
	hull_virtio_broken(&s->v, q, "buffer is not memory");
	return false;
}

enum found { FITS, TOO_SMALL, NONE };

/* Fill buffers with header and frame; *ret_n of them. */
static enum found fill(struct net *s, unsigned q, const struct hull_net_frame *f,
                       struct hull_virtq_used *used, unsigned *ret_n)
{
	uint64_t need = header_size(s) + f->len, done = 0;
	unsigned n = 0, most = has(s, NET_F_MRG_RXBUF) ? MERGE_MAX : 1;

	while (done < need) {
		struct hull_virtq_chain *c = n ? s->chain : s->first;

		if (n == most)
			return TOO_SMALL;
		if (!hull_virtio_next(&s->v, q, c))
			return NONE;
		if (c->write_len < (n ? 1 : header_size(s)))
			return TOO_SMALL;
		used[n].head = c->head;
		if (!add_buffer(s, q, f, done, &used[n].len))
			return NONE;
		done += used[n++].len;
	}
	*ret_n = n;
	return FITS;
}

/* The first buffer is too small for anything: back to the driver with it, so that others come. */
static void give_back(struct net *s, unsigned q)
{
	s->dropped++;
	hull_guest_error(&s->v.dev, "receive buffer too small", q);
	if (!hull_virtio_next(&s->v, q, s->first))
		return;
	hull_virtq_take(&s->queues[q]);
	hull_virtio_push(&s->v, q, s->first->head, 0);
}

/* False: there are no buffers, nothing was taken. */
static bool deliver(void *arg, const struct hull_net_frame *f)
{
	struct net *s = arg;
	unsigned q = 2 * s->pair, n = 0;
	struct hull_virtq before = s->queues[q];
	struct hull_virtq_used used[MERGE_MAX];
	uint8_t header[H_SIZE_HASH] = { 0 };
	enum found found = fill(s, q, f, used, &n);

	if (found != FITS) {
		if (s->queues[q].broken)
			return true;
		s->queues[q] = before;
		if (found == TOO_SMALL)
			give_back(s, q);
		return found == TOO_SMALL;
	}
	fill_header(s, f, header);
	store_le16(header + H_BUFFERS, (uint16_t)n);
	if (hull_virtq_copy_out(&s->queues[q], s->first, 0, header, header_size(s)))
		hull_virtio_push_all(&s->v, q, used, n);
	else
		hull_virtio_broken(&s->v, q, "buffer is not memory");
	return true;
}

/* The first bytes of a frame, to be looked at; how many. */
static size_t peek(const struct hull_net_frame *f, uint8_t head[HEAD_BYTES])
{
	size_t n = 0;

	for (unsigned i = 0; i < f->nsegs && n < HEAD_BYTES; i++) {
		size_t part = MIN((size_t)f->segs[i].len, HEAD_BYTES - n);

		memcpy(head + n, f->segs[i].hva, part);
		n += part;
	}
	return n;
}

static bool listening(const struct net *s)
{
	return hull_virtio_status(&s->v) & HULL_VIRTIO_DRIVER_OK &&
	       !(hull_virtio_status(&s->v) & HULL_VIRTIO_NEEDS_RESET) && !s->v.resetting;
}

static bool receive(struct net *s, const struct hull_net_frame *f)
{
	struct hull_frame_way way = { driver_takes(s), s->frame, deliver, s };
	uint8_t head[HEAD_BYTES];
	size_t n = peek(f, head);
	uint16_t at = 0;
	bool bad;

	if (!listening(s) || f->len < HULL_FRAME_ETH || n < HULL_FRAME_ETH ||
	    f->len > HULL_NET_FRAME_MAX || !hull_net_wanted(s, head, n))
		return true;
	hull_net_steer(s, head, n);
	if (!s->queues[2 * s->pair].ready)
		return true;
	hull_virtq_begin(&s->queues[2 * s->pair]);
	if (!hull_frame_pass(&way, f, &at, &bad)) {
		/* Of a frame that was cut, some are there already: the rest is lost. */
		s->dropped += at != 0;
		s->starved = !at;
	}
	if (!net_backend(s)->receiving)
		hull_virtio_signal(&s->v, 2 * s->pair);
	hull_virtq_end(&s->queues[2 * s->pair]);
	return !s->starved;
}

static bool net_receive(void *arg, const struct hull_net_frame *f)
{
	struct net *s = arg;
	bool taken;

	hull_dev_enter(&s->v.dev);
	s->starved = false;
	taken = receive(s, f);
	hull_dev_leave(&s->v.dev);
	return taken;
}

static void net_arrived(void *arg)
{
	struct net *s = arg;

	hull_dev_enter(&s->v.dev);
	for (unsigned q = 0; listening(s) && q < 2 * net_pairs(s); q += 2) {
		if (!s->queues[q].ready)
			continue;
		hull_virtq_begin(&s->queues[q]);
		hull_virtio_signal(&s->v, q);
		hull_virtq_end(&s->queues[q]);
	}
	hull_dev_leave(&s->v.dev);
}

static void net_writable(void *arg)
{
	struct net *s = arg;

	hull_dev_enter(&s->v.dev);
	for (unsigned i = 0; i < net_pairs(s); i++)
		hull_virtio_notify(&s->v, 2 * i + 1);
	hull_dev_leave(&s->v.dev);
}

static void net_link_changed(void *arg, bool up)
{
	struct net *s = arg;

	hull_dev_enter(&s->v.dev);
	if (s->link != up) {
		s->link = up;
		hull_virtio_config_changed(&s->v);
	}
	hull_dev_leave(&s->v.dev);
}

/* Whoever waits for buffers may try again; if nobody listens any more, that gets rid of it. */
static void wake_backend(struct net *s)
{
	struct hull_net *n = net_backend(s);

	if (!s->starved)
		return;
	s->starved = false;
	if (n && n->ready)
		n->ready(n);
}

static void net_notify(struct hull_virtio *v, unsigned q)
{
	struct net *s = (struct net *)v;

	tell_backend(s);
	if (q == control_queue(s))
		hull_net_ctrl_notify(s, q);
	else if (q & 1)
		transmit(s, q);
	else
		wake_backend(s);
	tell_backend(s);
}

/* Locally administered; the same in each run of the same VM. */
static void default_mac(struct net *s)
{
	const struct hull_net *n = net_backend(s);
	const char *texts[] = { hull_vm_config(s->v.dev.vm)->name, "/", s->v.dev.name };
	uint32_t h = 2166136261u; /* FNV-1a */

	s->mac[0] = 0x52;
	s->mac[1] = 0x54;
	s->mac[2] = 0;
	for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
		for (const char *p = texts[i]; *p; p++)
			h = (h ^ (uint8_t)*p) * 16777619u;
	for (unsigned i = 0; i < 3; i++)
		s->mac[3 + i] = (uint8_t)((h ^ h >> 24) >> 8 * i);
	for (unsigned i = 0; n && i < 6; i++) {
		if (!n->mac[i])
			continue;
		memcpy(s->mac, n->mac, sizeof(s->mac));
		break;
	}
}

static void net_reset(struct hull_virtio *v)
{
	struct net *s = (struct net *)v;

	default_mac(s);
	hull_net_ctrl_reset(s);
	memset(s->cut, 0, sizeof(s->cut));
	s->dropped = 0;
	wake_backend(s);
}

static void net_queue_reset(struct hull_virtio *v, unsigned q)
{
	struct net *s = (struct net *)v;

	if (q & 1)
		s->cut[q / 2] = 0;
	else
		wake_backend(s);
}

static const struct hull_virtio_ops net_ops = {
	.device_id = ID,
	.queue_max = NET_QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = net_features,
	.config = net_config,
	.notify = net_notify,
	.reset = net_reset,
	.queue_reset = net_queue_reset,
};

static int net_init(struct hull_dev *d, struct hull_err *err)
{
	struct net *s = (struct net *)d;
	struct hull_net *n = d->backend;

	s->frame = hull_dev_alloc(d, HULL_NET_FRAME_MAX);
	s->chain = hull_dev_alloc(d, sizeof(*s->chain));
	s->first = hull_dev_alloc(d, sizeof(*s->first));
	if (!s->frame || !s->chain || !s->first)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for network card \"%s\"",
		                 d->name);
	s->link = 1;
	if (n) {
		n->arg = d;
		n->receive = net_receive;
		n->arrived = net_arrived;
		n->writable = net_writable;
		n->link_changed = net_link_changed;
	}
	return hull_virtio_init(&s->v, &net_ops, s->queues, 2 * net_pairs(s) + 1);
}

/* A snapshot may hold anything. */
static void net_restored(struct hull_dev *d)
{
	struct net *s = (struct net *)d;

	s->link = s->link != 0;
	hull_net_ctrl_restored(s);
	hull_virtio_restored(d);
	if (s->announce)
		hull_virtio_config_changed(&s->v);
	tell_backend(s);
}

static const struct hull_prop net_props[] = {
	{ "queues", "pairs of queues, each served alike", 1, 1, NET_PAIRS },
	HULL_VIRTIO_PROPS,
};

static const struct hull_field net_fields[] = {
	HULL_VIRTIO_FIELDS(struct net),
	HULL_VIRTQ_FIELDS(struct net, queues),
	HULL_FIELD_ARRAY(struct net, mac),
	HULL_FIELD(struct net, link),
	HULL_FIELD(struct net, modes),
	HULL_FIELD(struct net, pairs),
	HULL_FIELD(struct net, off),
	HULL_FIELD(struct net, unicast.n),
	HULL_FIELD(struct net, unicast.all),
	HULL_FIELD_ARRAY(struct net, unicast.addr),
	HULL_FIELD(struct net, multicast.n),
	HULL_FIELD(struct net, multicast.all),
	HULL_FIELD_ARRAY(struct net, multicast.addr),
	HULL_FIELD_ARRAY(struct net, vlans),
	HULL_FIELD(struct net, rss.types),
	HULL_FIELD(struct net, rss.mask),
	HULL_FIELD(struct net, rss.unclassified),
	HULL_FIELD(struct net, rss.steers),
	HULL_FIELD_ARRAY(struct net, rss.table),
	HULL_FIELD_ARRAY(struct net, rss.key),
	HULL_FIELD_ARRAY(struct net, flows),
	HULL_FIELD_ARRAY(struct net, cut),
	HULL_FIELD(struct net, dropped),
};

HULL_DEVICE(virtio_net) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-net",
	.summary = "virtio network card",
	.state_size = sizeof(struct net),
	.backend = HULL_BACKEND_NET,
	.init = net_init,
	.restored = net_restored,
	.fields = net_fields,
	.nfields = ARRAY_LEN(net_fields),
	.props = net_props,
	.nprops = ARRAY_LEN(net_props),
};
