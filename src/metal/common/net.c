/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/net.h"

#include <hull/config.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/frame.h"
#include "core/frame_ring.h"
#include "core/lane.h"
#include "core/mac_table.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"
#include "metal/common/random.h"
#include "metal/common/spin.h"
#include "metal/common/thread.h"

enum { RING = 256 << 10, CARDS = 16, CARD_MACS = 64, BATCH = 64, NS_PER_MS = 1000000 };

struct metal_card {
	struct hull_net net;
	struct network *in;
	uint32_t number;        /* in its network */
	struct metal_spin spin; /* `from`, which vCPUs fill */
	struct hull_frame_ring from, to;
	uint16_t segment; /* of the first in `to`: the next to be delivered */
};

struct network {
	char name[HULL_NAME_MAX];
	struct network *next;
	struct metal_card *cards[CARDS];
	uint32_t ncards;
	uint64_t dropped, spoofed;
	struct hull_mac_table macs;
	uint8_t linear[HULL_NET_FRAME_MAX];
};

/* Held while frames move, which takes lanes of devices, and while cards come and go. */
static struct hull_lock lock;
static struct network *networks;
static uint32_t bell; /* atomic: counts what the thread has to look at */
static uint32_t thread;

static void ring(void)
{
	hull_add_seqcst(&bell, 1);
	metal_wake(&bell, 1);
}

static bool deliver(struct metal_card *c, const struct hull_net_packet *p)
{
	struct hull_frame_way way = { hull_load_relaxed(&c->net.gives), c->in->linear,
		                      c->net.receive, c->net.arg };
	struct hull_block_seg seg;
	struct hull_net_frame f = hull_net_packet_frame(p, &seg);
	bool bad = false;

	return !c->net.receive || hull_frame_pass(&way, &f, &c->segment, &bad);
}

/* What waits for a card comes first. */
static void emit(struct metal_card *c, const struct hull_net_packet *p)
{
	struct hull_net_packet first;
	struct hull_block_seg seg;
	struct hull_net_frame f;

	if (!hull_frame_ring_peek(&c->to, &first)) {
		c->segment = 0;
		if (deliver(c, p))
			return;
	}
	f = hull_net_packet_frame(p, &seg);
	if (!hull_frame_ring_push(&c->to, &f))
		c->in->dropped++;
}

static void flush(struct metal_card *c)
{
	struct hull_net_packet p;

	while (hull_frame_ring_peek(&c->to, &p)) {
		if (!deliver(c, &p))
			return;
		c->segment = 0;
		(void)hull_frame_ring_pop(&c->to);
	}
}

static void forward(struct metal_card *from, const struct hull_net_packet *p)
{
	struct network *n = from->in;
	int to = -1;

	if (!hull_mac_learn(&n->macs, from->number, CARD_MACS, p->data + 6, false)) {
		n->spoofed++;
		return;
	}
	if (!(p->data[0] & 1))
		to = hull_mac_find(&n->macs, p->data);
	for (uint32_t i = 0; i < CARDS; i++)
		if (n->cards[i] && i != from->number && (to < 0 || (uint32_t)to == i))
			emit(n->cards[i], p);
}

static bool peek(struct metal_card *c, struct hull_net_packet *ret)
{
	bool any;

	metal_spin_lock(&c->spin);
	any = hull_frame_ring_peek(&c->from, ret);
	metal_spin_unlock(&c->spin);
	return any;
}

static bool pop(struct metal_card *c)
{
	bool tell;

	metal_spin_lock(&c->spin);
	tell = hull_frame_ring_pop(&c->from);
	metal_spin_unlock(&c->spin);
	return tell;
}

/* True: there is more. */
static bool take(struct metal_card *c)
{
	struct hull_net_packet p;

	for (unsigned i = 0; i < BATCH; i++) {
		if (!peek(c, &p))
			return false;
		forward(c, &p);
		if (pop(c) && c->net.writable)
			c->net.writable(c->net.arg);
	}
	return true;
}

static bool turn(struct network *n)
{
	bool more = false;

	n->macs.now_ms = metal_now() / NS_PER_MS;
	hull_mac_sweep(&n->macs);
	for (unsigned i = 0; i < CARDS; i++)
		if (n->cards[i])
			flush(n->cards[i]);
	for (unsigned i = 0; i < CARDS; i++)
		more |= n->cards[i] && take(n->cards[i]);
	return more;
}

/* Ends with the last network. */
static void run(void *arg)
{
	bool any = true;

	while (any) {
		uint32_t seen = hull_load_seqcst(&bell);
		bool more = false;

		hull_lock_acquire(&lock);
		for (struct network *n = networks; n; n = n->next)
			more |= turn(n);
		any = networks != NULL;
		if (!any)
			thread = 0;
		hull_lock_release(&lock);
		if (any && more)
			metal_yield();
		else if (any)
			metal_wait(&bell, seen, HULL_NEVER);
	}
}

static bool card_send(struct hull_net *net, const struct hull_net_frame *f)
{
	struct metal_card *c = CONTAINER_OF(net, struct metal_card, net);
	bool taken;

	metal_spin_lock(&c->spin);
	taken = hull_frame_ring_push(&c->from, f);
	metal_spin_unlock(&c->spin);
	ring();
	return taken;
}

static void card_ready(struct hull_net *net)
{
	ring();
}

static uint64_t pages(uint64_t bytes)
{
	return align_up(bytes, HULL_PAGE_SIZE);
}

static struct network *find(const char *name)
{
	struct network *n = networks;

	while (n && !hull_text_eq(n->name, name))
		n = n->next;
	if (n)
		return n;
	n = metal_frames_alloc(pages(sizeof(*n)), HULL_PAGE_SIZE);
	if (!n)
		return NULL;
	(void)hull_text_copy(n->name, sizeof(n->name), name);
	if (!metal_random(&n->macs.seed, sizeof(n->macs.seed)))
		n->macs.seed = metal_now();
	n->next = networks;
	networks = n;
	return n;
}

static void end_empty(struct network *n)
{
	struct network **at = &networks;

	if (n->ncards)
		return;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	metal_frames_free(n, pages(sizeof(*n)));
}

/* The lock is held.  The address of a card that has one is nobody else's. */
static bool enter(struct metal_card *c, const char *name)
{
	static const uint8_t none[6];
	struct network *n = find(name);
	uint32_t i = 0;

	if (!n)
		return false;
	while (i < CARDS && n->cards[i])
		i++;
	n->macs.now_ms = metal_now() / NS_PER_MS;
	if (i < CARDS && (!memcmp(c->net.mac, none, 6) ||
	                  hull_mac_learn(&n->macs, i, CARD_MACS, c->net.mac, true))) {
		c->in = n;
		c->number = i;
		n->cards[i] = c;
		n->ncards++;
	}
	end_empty(n);
	if (c->in && !thread)
		thread = metal_thread_new(0, run, NULL);
	return c->in != NULL;
}

int metal_net_join(const char *name, const uint8_t mac[6], uint16_t mtu, struct metal_card **ret,
                   struct hull_err *err)
{
	uint64_t bytes = pages(sizeof(struct metal_card)) + 2 * RING;
	struct metal_card *c = metal_frames_alloc(bytes, HULL_PAGE_SIZE);
	uint8_t *mem = (uint8_t *)c + pages(sizeof(*c));
	bool in;

	if (!c)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network card");
	c->from = (struct hull_frame_ring){ .mem = mem, .size = RING };
	c->to = (struct hull_frame_ring){ .mem = mem + RING, .size = RING };
	c->net = (struct hull_net){ .mtu = mtu,
		                    .takes = HULL_NET_CSUM | HULL_NET_TSO4 | HULL_NET_TSO6 |
		                             HULL_NET_USO,
		                    .send = card_send,
		                    .ready = card_ready };
	memcpy(c->net.mac, mac, 6);
	if (!lock.hal)
		hull_lock_init(&lock, &metal_hal, HULL_RANK_LIFECYCLE);
	hull_lock_acquire(&lock);
	in = enter(c, name);
	hull_lock_release(&lock);
	if (!in) {
		metal_frames_free(c, bytes);
		return hull_fail(err, HULL_EEXIST, 505,
		                 "network '%s' has no room for this card, or its address is taken",
		                 name);
	}
	*ret = c;
	return 0;
}

struct hull_net *metal_card_end(struct metal_card *c)
{
	return &c->net;
}

void metal_net_leave(struct metal_card *c)
{
	struct network *n;

	if (!c)
		return;
	n = c->in;
	hull_lock_acquire(&lock);
	hull_mac_forget(&n->macs, c->number);
	n->cards[c->number] = NULL;
	n->ncards--;
	end_empty(n);
	hull_lock_release(&lock);
	ring();
	metal_frames_free(c, pages(sizeof(*c)) + 2 * RING);
}
