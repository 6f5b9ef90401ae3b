/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "dev/virtio/queue.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"

/* VIRTIO 1.3, 2.7.5-2.7.8: layouts and flags. */
enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_FLAGS = 0, AVAIL_IDX = 2, AVAIL_RING = 4, AVAIL_NO_INTERRUPT = 1 };
enum { USED_IDX = 2, USED_RING = 4, USED_ELEM = 8 };

struct desc {
	hull_gpa addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Where a chain walk is: in which table, and how far it may go. */
struct walk {
	hull_gpa table;
	uint32_t size; /* descriptors in the table */
	uint32_t at;
	uint32_t left; /* descriptors that the chain may still have */
	bool indirect;
};

void hull_virtq_reset(struct hull_virtq *q)
{
	*q = (struct hull_virtq){
		.vm = q->vm, .max = q->max, .num = q->max, .epoch = q->epoch + 1
	};
}

bool hull_virtq_valid(const struct hull_virtq *q)
{
	return is_pow2(q->num) && q->num <= q->max && is_aligned(q->desc, 16) &&
	       is_aligned(q->driver, 2) && is_aligned(q->device, 4) &&
	       hull_range_valid(q->desc, DESC_SIZE * (uint64_t)q->num) &&
	       hull_range_valid(q->driver, AVAIL_RING + 2 * (uint64_t)q->num + 2) &&
	       hull_range_valid(q->device, USED_RING + USED_ELEM * (uint64_t)q->num + 2);
}

int hull_virtq_break(struct hull_virtq *q, const char *why)
{
	if (!q->broken)
		q->why = why;
	q->broken = 1;
	return HULL_EFAULT;
}

static hull_gpa used_event_gpa(const struct hull_virtq *q)
{
	return q->driver + AVAIL_RING + 2 * (hull_gpa)q->num;
}

static hull_gpa avail_event_gpa(const struct hull_virtq *q)
{
	return q->device + USED_RING + USED_ELEM * (hull_gpa)q->num;
}

/* How many entries wait: 0..num, or negative. */
static int waiting(struct hull_virtq *q)
{
	uint16_t idx, n;

	if (!hull_mem_load16(q->vm, q->driver + AVAIL_IDX, &idx))
		return hull_virtq_break(q, "available ring is not in memory");
	n = (uint16_t)(idx - q->last_avail);
	if (n > q->num)
		return hull_virtq_break(q, "available index moved by more than the queue has");
	return n;
}

/* Nothing waits: ask for a notification, then look again, since the driver may have just added. */
static int waiting_or_asked(struct hull_virtq *q)
{
	int n = waiting(q);

	if (n || !q->event_idx)
		return n;
	if (!hull_mem_store16(q->vm, avail_event_gpa(q), q->last_avail))
		return hull_virtq_break(q, "used ring is not in memory");
	hull_fence_seqcst(); /* pairs with the driver's barrier between avail.idx and avail_event */
	return waiting(q);
}

static bool load_desc(struct hull_virtq *q, const struct walk *w, struct desc *ret)
{
	uint8_t raw[DESC_SIZE];

	if (!hull_mem_read(q->vm, w->table + DESC_SIZE * (hull_gpa)w->at, raw, sizeof(raw)))
		return false;
	*ret = (struct desc){ load_le64(raw), load_le32(raw + 8), load_le16(raw + 12),
		              load_le16(raw + 14) };
	return true;
}

static int enter_indirect(struct hull_virtq *q, struct walk *w, const struct desc *d)
{
	if (!q->indirect)
		return hull_virtq_break(q, "indirect descriptor without the feature");
	if (w->indirect)
		return hull_virtq_break(q, "indirect table inside an indirect table");
	if (d->flags & DESC_NEXT)
		return hull_virtq_break(q, "indirect descriptor with a next one");
	if (!d->len || d->len % DESC_SIZE || !hull_range_valid(d->addr, d->len))
		return hull_virtq_break(q, "indirect table of a wrong length");
	*w = (struct walk){ d->addr, d->len / DESC_SIZE, 0, w->left, true };
	return 0;
}

static int add_segment(struct hull_virtq *q, struct hull_virtq_chain *c, const struct desc *d)
{
	unsigned n = c->nread + c->nwrite;

	if (!hull_range_valid(d->addr, d->len))
		return hull_virtq_break(q, "buffer wraps around the address space");
	if (!(d->flags & DESC_WRITE) && c->nwrite)
		return hull_virtq_break(q, "readable buffer after a writable one");
	if (!d->len)
		return 0;
	c->seg[n] = (struct hull_virtq_seg){ d->addr, d->len };
	if (d->flags & DESC_WRITE) {
		c->nwrite++;
		c->write_len += d->len;
	} else {
		c->nread++;
		c->read_len += d->len;
	}
	return 0;
}

static int walk_chain(struct hull_virtq *q, struct hull_virtq_chain *c)
{
	struct walk w = { q->desc, q->num, c->head, q->num, false };
	struct desc d;
	int r;

	for (;;) {
		if (w.at >= w.size)
			return hull_virtq_break(q, "descriptor number beyond its table");
		if (!w.left--)
			return hull_virtq_break(q, "chain longer than the queue");
		if (!load_desc(q, &w, &d))
			return hull_virtq_break(q, "descriptor table is not in memory");
		if (d.flags & DESC_INDIRECT) {
			r = enter_indirect(q, &w, &d);
			w.left++; /* it describes no buffer itself */
		} else {
			r = add_segment(q, c, &d);
			w.at = d.next;
		}
		if (r)
			return r;
		if (!(d.flags & (DESC_NEXT | DESC_INDIRECT)))
			return 0;
	}
}

int hull_virtq_peek(struct hull_virtq *q, struct hull_virtq_chain *ret)
{
	uint16_t head;
	int n;

	if (!q->ready)
		return 0;
	if (q->broken)
		return HULL_EFAULT;
	n = waiting_or_asked(q);
	if (n <= 0)
		return n;
	if (!hull_mem_load16(q->vm, q->driver + AVAIL_RING + 2 * (q->last_avail & (q->num - 1u)),
	                     &head))
		return hull_virtq_break(q, "available ring is not in memory");
	ret->head = head;
	ret->nread = ret->nwrite = 0;
	ret->read_len = ret->write_len = 0;
	n = walk_chain(q, ret);
	return n ? n : 1;
}

void hull_virtq_take(struct hull_virtq *q)
{
	q->last_avail++;
}

int hull_virtq_push_all(struct hull_virtq *q, const struct hull_virtq_used *u, unsigned n)
{
	if (!q->ready || q->broken)
		return HULL_EFAULT;
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = (uint16_t)(q->used + i) & (q->num - 1u);
		hull_gpa elem = q->device + USED_RING + USED_ELEM * (hull_gpa)at;

		if (!hull_mem_store32(q->vm, elem, u[i].head) ||
		    !hull_mem_store32(q->vm, elem + 4, u[i].len))
			return hull_virtq_break(q, "used ring is not in memory");
	}
	q->used = (uint16_t)(q->used + n);
	if (!hull_mem_store16(q->vm, q->device + USED_IDX, q->used))
		return hull_virtq_break(q, "used ring is not in memory");
	return 0;
}

int hull_virtq_push(struct hull_virtq *q, uint16_t head, uint32_t len)
{
	const struct hull_virtq_used u = { head, len };

	return hull_virtq_push_all(q, &u, 1);
}

/* VIRTIO 1.3, 2.7.10: was `event` passed on the way from `old` to `now`? */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool hull_virtq_must_signal(struct hull_virtq *q)
{
	uint16_t old = q->signalled, v;

	if (!q->ready || q->broken || q->used == old)
		return false;
	hull_fence_seqcst(); /* pairs with the driver's barrier between used_event and used.idx */
	if (q->event_idx) {
		q->signalled = q->used;
		return !hull_mem_load16(q->vm, used_event_gpa(q), &v) || passed(v, q->used, old);
	}
	q->signalled = q->used;
	return !hull_mem_load16(q->vm, q->driver + AVAIL_FLAGS, &v) || !(v & AVAIL_NO_INTERRUPT);
}

/* Copy between `buf` and one side of a chain, from byte `off` of that side. */
static bool copy(struct hull_vm *vm, const struct hull_virtq_chain *c, uint64_t off, void *buf,
                 uint64_t len, bool to_guest)
{
	const struct hull_virtq_seg *seg = to_guest ? c->seg + c->nread : c->seg;
	unsigned n = to_guest ? c->nwrite : c->nread;
	uint8_t *p = buf;

	for (; n && len; seg++, n--) {
		uint64_t part;

		if (off >= seg->len) {
			off -= seg->len;
			continue;
		}
		part = MIN(len, seg->len - off);
		if (to_guest ? !hull_mem_write(vm, seg->gpa + off, p, part)
		             : !hull_mem_read(vm, seg->gpa + off, p, part))
			return false;
		off = 0;
		p += part;
		len -= part;
	}
	return !len;
}

bool hull_virtq_copy_in(const struct hull_virtq *q, const struct hull_virtq_chain *c, uint64_t off,
                        void *buf, uint64_t len)
{
	return copy(q->vm, c, off, buf, len, false);
}

bool hull_virtq_copy_out(const struct hull_virtq *q, const struct hull_virtq_chain *c, uint64_t off,
                         const void *buf, uint64_t len)
{
	return copy(q->vm, c, off, (void *)(uintptr_t)buf, len, true);
}

void hull_virtq_windows_end(const struct hull_virtq *q, struct hull_dma *windows, unsigned n)
{
	while (n)
		hull_dma_end(q->vm, &windows[--n]);
}

unsigned hull_virtq_windows(const struct hull_virtq *q, const struct hull_virtq_part *part,
                            struct hull_dma *ret, unsigned max)
{
	const struct hull_virtq_chain *c = part->chain;
	const struct hull_virtq_seg *seg = part->write ? c->seg + c->nread : c->seg;
	uint64_t off = part->off, left = part->len;
	unsigned n = 0;

	for (unsigned i = part->write ? c->nwrite : c->nread; i && left; seg++, i--) {
		uint64_t skip = MIN(off, (uint64_t)seg->len), len = MIN(left, seg->len - skip);
		hull_gpa gpa = seg->gpa + skip;

		off -= skip;
		left -= len;
		for (; len; gpa += ret[n].len, len -= ret[n].len, n++)
			if (n == max || hull_dma_begin(q->vm, gpa, len, part->write, &ret[n])) {
				hull_virtq_windows_end(q, ret, n);
				return 0;
			}
	}
	if (!left)
		return n;
	hull_virtq_windows_end(q, ret, n);
	return 0;
}
