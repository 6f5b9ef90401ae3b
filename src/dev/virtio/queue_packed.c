/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Packed rings: VIRTIO 1.3, 2.8.
 *
 * A position is an index below num with the wrap counter in bit 15, as in the event suppression
 * structures.  Counters begin at 1.
 *
 * What a batch returns becomes visible at once, when the flags of its first used descriptor are
 * written: the driver looks at them in order.
 */
#include "dev/virtio/queue_impl.h"

#include "base/checked.h"

/* 2.8.1, 2.8.14: flags of a descriptor, of an event suppression structure. */
enum { DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2, EVENT_MASK = 3, EVENT_SIZE = 4 };
enum { WRAP = 1 << 15, INDEX = WRAP - 1 };

static bool valid(const struct hull_virtq *q)
{
	return (q->last_avail & INDEX) < q->num && (q->used & INDEX) < q->num &&
	       (q->signalled & INDEX) < q->num && is_aligned(q->driver, 4) &&
	       is_aligned(q->device, 4) && hull_range_valid(q->driver, EVENT_SIZE) &&
	       hull_range_valid(q->device, EVENT_SIZE);
}

static void start(struct hull_virtq *q)
{
	q->last_avail = q->used = q->signalled = WRAP;
}

static void place(struct hull_virtq *q)
{
	q->vdesc = (struct hull_view){ .gpa = q->desc,
		                       .len = DESC_SIZE * (uint64_t)q->num,
		                       .write = true };
	q->vdriver = (struct hull_view){ .gpa = q->driver, .len = EVENT_SIZE };
	q->vdevice = (struct hull_view){ .gpa = q->device, .len = EVENT_SIZE, .write = true };
}

/* The position n <= num descriptors further. */
static uint16_t moved(const struct hull_virtq *q, uint16_t pos, unsigned n)
{
	unsigned index = (pos & INDEX) + n, wrap = pos & WRAP;

	return (uint16_t)(index < q->num ? index | wrap : (index - q->num) | (wrap ^ WRAP));
}

/* How far `to` is behind `from`, 0 to 2 * num - 1. */
static unsigned distance(const struct hull_virtq *q, uint16_t from, uint16_t to)
{
	unsigned a = from & INDEX, b = to & INDEX;

	if ((from ^ to) & WRAP)
		b += q->num;
	return b >= a ? b - a : b + 2u * q->num - a;
}

static uint64_t offset(uint16_t pos)
{
	return DESC_SIZE * (uint64_t)(pos & INDEX);
}

/* The second half of a descriptor: length, id, flags. */
static struct desc second_half(uint64_t raw)
{
	return (struct desc){ .len = (uint32_t)raw,
		              .next = (uint16_t)(raw >> 32),
		              .flags = (uint16_t)(raw >> 48) };
}

/* Is the next descriptor available?  Its second half is read first, with the flags. */
static int waiting(struct hull_virtq *q, struct desc *ret)
{
	bool wrap = q->last_avail & WRAP;
	uint64_t raw;

	if (!ring_load64(q, &q->vdesc, offset(q->last_avail) + 8, &raw))
		return hull_virtq_break(q, "descriptor ring is not in memory");
	*ret = second_half(raw);
	return !(ret->flags & DESC_AVAIL) != wrap && !(ret->flags & DESC_USED) == wrap;
}

/* Nothing waits: ask for a notification, then look again, since the driver may have just added. */
static int waiting_or_asked(struct hull_virtq *q, struct desc *ret)
{
	uint32_t event = q->event_idx ? q->last_avail | (uint32_t)EVENT_DESC << 16 : EVENT_ENABLE;
	int r = waiting(q, ret);

	if (r)
		return r;
	if (!ring_store32(q, &q->vdevice, 0, event))
		return hull_virtq_break(q, "device event suppression is not in memory");
	ring_wrote(q, &q->vdevice);
	hull_fence_seqcst(); /* pairs with the driver's barrier between flags and event */
	return waiting(q, ret);
}

/* All of a table is the buffer; the flags of its entries but WRITE mean nothing (2.8.7). */
static int walk_table(struct hull_virtq *q, struct hull_virtq_chain *c, const struct desc *table)
{
	struct table t;
	int r = hull_virtq_check_table(q, table, false);

	t.gpa = table->addr;
	t.size = table->len / DESC_SIZE;
	t.first = t.n = 0;
	if (!r && t.size > q->num)
		r = hull_virtq_break(q, "chain longer than the queue");
	for (uint32_t i = 0; !r && i < t.size; i++) {
		struct desc d;

		if (!hull_virtq_load_indirect(q, &t, i, &d))
			return hull_virtq_break(q, "descriptor table is not in memory");
		if (d.flags & DESC_INDIRECT)
			return hull_virtq_check_table(q, &d, true);
		r = hull_virtq_add(q, c, &d);
	}
	return r;
}

/* From the first descriptor, of which the second half is in `d`. */
static int walk_chain(struct hull_virtq *q, struct hull_virtq_chain *c, struct desc *d)
{
	uint16_t pos = q->last_avail;
	uint64_t raw;
	int r;

	for (q->peek_n = 1;; q->peek_n++) {
		if (!ring_load64(q, &q->vdesc, offset(pos), &d->addr))
			return hull_virtq_break(q, "descriptor ring is not in memory");
		c->head = d->next;
		if (d->flags & DESC_INDIRECT && q->peek_n > 1)
			return hull_virtq_break(q, "indirect descriptor inside a chain");
		r = d->flags & DESC_INDIRECT ? walk_table(q, c, d) : hull_virtq_add(q, c, d);
		if (r || !(d->flags & DESC_NEXT))
			return r;
		if (q->peek_n == q->num)
			return hull_virtq_break(q, "chain longer than the queue");
		pos = moved(q, pos, 1);
		if (!ring_load64(q, &q->vdesc, offset(pos) + 8, &raw))
			return hull_virtq_break(q, "descriptor ring is not in memory");
		*d = second_half(raw);
	}
}

static int peek(struct hull_virtq *q, struct hull_virtq_chain *ret)
{
	struct desc d;
	int r = waiting_or_asked(q, &d);

	if (r <= 0)
		return r;
	r = walk_chain(q, ret, &d);
	if (r)
		return r;
	if (ret->head >= q->num)
		return hull_virtq_break(q, "buffer id beyond the queue");
	return 1;
}

static void advance(struct hull_virtq *q, unsigned n)
{
	q->last_avail = moved(q, q->last_avail, n);
}

static int push(struct hull_virtq *q, uint16_t id, uint32_t len, unsigned n)
{
	unsigned flags = (q->used & WRAP ? DESC_AVAIL | DESC_USED : 0) | (len ? DESC_WRITE : 0);
	uint64_t word = len | (uint64_t)id << 32 | (uint64_t)flags << 48;

	if (!q->staged) {
		q->stage_at = q->used;
		q->stage_word = word;
	} else if (!ring_store64(q, &q->vdesc, offset(q->used) + 8, word)) {
		return hull_virtq_break(q, "descriptor ring is not in memory");
	}
	q->staged = 1;
	q->used = moved(q, q->used, n);
	return 0;
}

static int publish(struct hull_virtq *q)
{
	if (!ring_store64(q, &q->vdesc, offset(q->stage_at) + 8, q->stage_word))
		return hull_virtq_break(q, "descriptor ring is not in memory");
	ring_wrote(q, &q->vdesc);
	return 0;
}

/* 2.8.10: `event` is passed if it lies from `old` on, before `used`. */
static bool wanted(struct hull_virtq *q, uint16_t old)
{
	uint32_t event;

	hull_fence_seqcst(); /* pairs with the driver's barrier between event and flags */
	if (!ring_load32(q, &q->vdriver, 0, &event))
		return true;
	switch (event >> 16 & EVENT_MASK) {
	case EVENT_DISABLE: return false;
	case EVENT_DESC:
		return !q->event_idx ||
		       distance(q, old, (uint16_t)event) < distance(q, old, q->used);
	}
	return true;
}

const struct hull_virtq_format hull_virtq_packed = {
	.valid = valid,
	.start = start,
	.place = place,
	.peek = peek,
	.advance = advance,
	.push = push,
	.publish = publish,
	.wanted = wanted,
};
