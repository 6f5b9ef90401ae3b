/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Split rings: VIRTIO 1.3, 2.7.  Indexes run freely, modulo 2^16. */
#include "dev/virtio/queue_impl.h"

#include "base/checked.h"

/* 2.7.6, 2.7.8: layouts and flags. */
enum { AVAIL_FLAGS = 0, AVAIL_IDX = 2, AVAIL_RING = 4, AVAIL_NO_INTERRUPT = 1 };
enum { USED_IDX = 2, USED_RING = 4, USED_ELEM = 8 };

/* Where a chain walk is: in which table, and how far it may go. */
struct walk {
	struct table table; /* if indirect */
	uint32_t size;      /* descriptors in the table */
	uint32_t at;
	uint32_t left; /* descriptors that the chain may still have */
	bool indirect;
};

static uint64_t driver_size(const struct hull_virtq *q)
{
	return AVAIL_RING + 2 * (uint64_t)q->num + 2;
}

static uint64_t device_size(const struct hull_virtq *q)
{
	return USED_RING + USED_ELEM * (uint64_t)q->num + 2;
}

static bool valid(const struct hull_virtq *q)
{
	return is_pow2(q->num) && is_aligned(q->driver, 2) && is_aligned(q->device, 4) &&
	       hull_range_valid(q->driver, driver_size(q)) &&
	       hull_range_valid(q->device, device_size(q));
}

static void start(struct hull_virtq *q)
{
	q->last_avail = q->used = q->signalled = 0;
}

static void place(struct hull_virtq *q)
{
	q->avail = q->last_avail;
	q->vdesc = (struct hull_view){ .gpa = q->desc, .len = DESC_SIZE * (uint64_t)q->num };
	q->vdriver = (struct hull_view){ .gpa = q->driver, .len = driver_size(q) };
	q->vdevice = (struct hull_view){ .gpa = q->device, .len = device_size(q), .write = true };
}

static uint64_t used_event(const struct hull_virtq *q)
{
	return AVAIL_RING + 2 * (uint64_t)q->num;
}

static uint64_t avail_event(const struct hull_virtq *q)
{
	return USED_RING + USED_ELEM * (uint64_t)q->num;
}

/* Does an entry wait?  1, 0, or negative. */
static int waiting(struct hull_virtq *q)
{
	uint16_t n;

	if (q->avail != q->last_avail)
		return 1;
	if (!ring_load16(q, &q->vdriver, AVAIL_IDX, &q->avail))
		return hull_virtq_break(q, "available ring is not in memory");
	n = (uint16_t)(q->avail - q->last_avail);
	if (n > q->num)
		return hull_virtq_break(q, "available index moved by more than the queue has");
	return n != 0;
}

/* Nothing waits: ask for a notification, then look again, since the driver may have just added. */
static int waiting_or_asked(struct hull_virtq *q)
{
	int n = waiting(q);

	if (n || !q->event_idx)
		return n;
	if (!ring_store16(q, &q->vdevice, avail_event(q), q->last_avail))
		return hull_virtq_break(q, "used ring is not in memory");
	ring_wrote(q, &q->vdevice);
	hull_fence_seqcst(); /* pairs with the driver's barrier between avail.idx and avail_event */
	return waiting(q);
}

static bool load_desc(struct hull_virtq *q, struct walk *w, struct desc *ret)
{
	uint64_t rest;

	if (w->indirect)
		return hull_virtq_load_indirect(q, &w->table, w->at, ret);
	if (!ring_load64(q, &q->vdesc, DESC_SIZE * (uint64_t)w->at, &ret->addr) ||
	    !ring_load64(q, &q->vdesc, DESC_SIZE * (uint64_t)w->at + 8, &rest))
		return false;
	ret->len = (uint32_t)rest;
	ret->flags = (uint16_t)(rest >> 32);
	ret->next = (uint16_t)(rest >> 48);
	return true;
}

static int enter_indirect(struct hull_virtq *q, struct walk *w, const struct desc *d)
{
	int r = hull_virtq_check_table(q, d, w->indirect);

	/* The descriptor describes no buffer itself. */
	if (r)
		return r;
	w->table.gpa = d->addr;
	w->table.size = w->size = d->len / DESC_SIZE;
	w->table.first = w->table.n = 0;
	w->at = 0;
	w->left++;
	w->indirect = true;
	return 0;
}

static int walk_chain(struct hull_virtq *q, struct hull_virtq_chain *c)
{
	struct walk w;
	struct desc d;
	int r;

	w.size = w.left = q->num;
	w.at = c->head;
	w.indirect = false;
	for (;;) {
		if (w.at >= w.size)
			return hull_virtq_break(q, "descriptor number beyond its table");
		if (!w.left--)
			return hull_virtq_break(q, "chain longer than the queue");
		if (!load_desc(q, &w, &d))
			return hull_virtq_break(q, "descriptor table is not in memory");
		if (d.flags & DESC_INDIRECT) {
			r = enter_indirect(q, &w, &d);
		} else {
			r = hull_virtq_add(q, c, &d);
			w.at = d.next;
		}
		if (r)
			return r;
		if (!(d.flags & (DESC_NEXT | DESC_INDIRECT)))
			return 0;
	}
}

static int peek(struct hull_virtq *q, struct hull_virtq_chain *ret)
{
	int r = waiting_or_asked(q);

	if (r <= 0)
		return r;
	if (!ring_load16(q, &q->vdriver, AVAIL_RING + 2 * (q->last_avail & (q->num - 1u)),
	                 &ret->head))
		return hull_virtq_break(q, "available ring is not in memory");
	q->peek_n = 1;
	r = walk_chain(q, ret);
	return r ? r : 1;
}

static void advance(struct hull_virtq *q, unsigned n)
{
	q->last_avail = (uint16_t)(q->last_avail + n);
}

static int push(struct hull_virtq *q, uint16_t id, uint32_t len, unsigned n)
{
	uint64_t elem = USED_RING + USED_ELEM * (uint64_t)(q->used & (q->num - 1u));

	if (!ring_store32(q, &q->vdevice, elem, id) || !ring_store32(q, &q->vdevice, elem + 4, len))
		return hull_virtq_break(q, "used ring is not in memory");
	q->used = (uint16_t)(q->used + n);
	q->staged = 1;
	return 0;
}

static int publish(struct hull_virtq *q)
{
	if (!ring_store16(q, &q->vdevice, USED_IDX, q->used))
		return hull_virtq_break(q, "used ring is not in memory");
	ring_wrote(q, &q->vdevice);
	return 0;
}

/* 2.7.10: was `event` passed on the way from `old` to `now`? */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool wanted(struct hull_virtq *q, uint16_t old)
{
	uint16_t v;

	hull_fence_seqcst(); /* pairs with the driver's barrier between used_event and used.idx */
	if (q->event_idx)
		return !ring_load16(q, &q->vdriver, used_event(q), &v) || passed(v, q->used, old);
	return !ring_load16(q, &q->vdriver, AVAIL_FLAGS, &v) || !(v & AVAIL_NO_INTERRUPT);
}

const struct hull_virtq_format hull_virtq_split = {
	.valid = valid,
	.start = start,
	.place = place,
	.peek = peek,
	.advance = advance,
	.push = push,
	.publish = publish,
	.wanted = wanted,
};
