/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "dev/virtio/queue_impl.h"

#include "base/bits.h"
#include "base/checked.h"

static const struct hull_virtq_format *format(const struct hull_virtq *q)
{
	return q->packed ? &hull_virtq_packed : &hull_virtq_split;
}

void hull_virtq_reset(struct hull_virtq *q)
{
	for (unsigned i = 0; q->flight && i < q->max; i++)
		q->flight[i].n = 0;
	*q = (struct hull_virtq){
		.vm = q->vm,
		.max = q->max,
		.num = q->max,
		.epoch = q->epoch + 1,
		.depth = q->depth,
		.indirect = q->indirect,
		.event_idx = q->event_idx,
		.packed = q->packed,
		.in_order = q->in_order,
		.flight = q->flight,
	};
}

bool hull_virtq_valid(const struct hull_virtq *q)
{
	return q->num && q->num <= q->max && is_aligned(q->desc, 16) &&
	       hull_range_valid(q->desc, DESC_SIZE * (uint64_t)q->num) && format(q)->valid(q);
}

void hull_virtq_start(struct hull_virtq *q)
{
	q->broken = 0;
	q->ready = 1;
	format(q)->start(q);
	format(q)->place(q);
}

void hull_virtq_restored(struct hull_virtq *q)
{
	struct hull_virtq saved = *q;

	hull_virtq_reset(q);
	q->desc = saved.desc;
	q->driver = saved.driver;
	q->device = saved.device;
	q->num = saved.num;
	q->last_avail = saved.last_avail;
	q->used = saved.used;
	q->signalled = saved.signalled;
	q->broken = saved.broken != 0;
	q->why = "broken before the snapshot";
	q->ready = saved.ready != 0;
	if (q->ready && hull_virtq_valid(q))
		format(q)->place(q);
	else
		q->ready = 0;
}

int hull_virtq_break(struct hull_virtq *q, const char *why)
{
	if (!q->broken)
		q->why = why;
	q->broken = 1;
	return HULL_EFAULT;
}

void hull_virtq_begin(struct hull_virtq *q)
{
	if (q->depth++)
		return;
	hull_mem_enter(q->vm);
	if (!q->ready)
		return;
	hull_view_open(q->vm, &q->vdesc);
	hull_view_open(q->vm, &q->vdriver);
	hull_view_open(q->vm, &q->vdevice);
}

void hull_virtq_end(struct hull_virtq *q)
{
	if (!--q->depth)
		hull_mem_leave(q->vm);
}

int hull_virtq_check_table(struct hull_virtq *q, const struct desc *d, bool inside)
{
	if (!q->indirect)
		return hull_virtq_break(q, "indirect descriptor without the feature");
	if (inside)
		return hull_virtq_break(q, "indirect table inside an indirect table");
	if (d->flags & DESC_NEXT)
		return hull_virtq_break(q, "indirect descriptor with a next one");
	if (!d->len || d->len % DESC_SIZE || !hull_range_valid(d->addr, d->len))
		return hull_virtq_break(q, "indirect table of a wrong length");
	return 0;
}

/* Descriptors from `i` on; only it if those behind it are not all memory. */
static bool fetch(struct hull_virtq *q, struct table *t, uint32_t i)
{
	hull_gpa at = t->gpa + DESC_SIZE * (hull_gpa)i;

	t->first = i;
	t->n = MIN(t->size - i, (uint32_t)TABLE_PIECE);
	if (hull_mem_read(q->vm, at, t->raw, DESC_SIZE * t->n))
		return true;
	t->n = hull_mem_read(q->vm, at, t->raw, DESC_SIZE);
	return t->n;
}

bool hull_virtq_load_indirect(struct hull_virtq *q, struct table *t, uint32_t i, struct desc *ret)
{
	const uint8_t *raw;
	uint16_t a, b;

	if (i - t->first >= t->n && !fetch(q, t, i))
		return false;
	raw = t->raw + DESC_SIZE * (i - t->first);
	a = load_le16(raw + 12);
	b = load_le16(raw + 14);
	ret->addr = load_le64(raw);
	ret->len = load_le32(raw + 8);
	/* 2.7.5, 2.8.1: in packed queues the last two are the other way round. */
	ret->flags = q->packed ? b : a;
	ret->next = q->packed ? a : b;
	return true;
}

int hull_virtq_add(struct hull_virtq *q, struct hull_virtq_chain *c, const struct desc *d)
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

/* Flights from `taken` on were given back by putting an older copy of the queue in its place. */
static bool in_flight(const struct hull_virtq *q, uint16_t id)
{
	const struct hull_virtq_flight *f = &q->flight[id];

	return f->n && (int32_t)(f->seq - q->taken) < 0;
}

int hull_virtq_peek(struct hull_virtq *q, struct hull_virtq_chain *ret)
{
	int r;

	if (!q->ready)
		return 0;
	if (q->broken)
		return HULL_EFAULT;
	ret->nread = ret->nwrite = 0;
	ret->read_len = ret->write_len = 0;
	hull_virtq_begin(q);
	r = format(q)->peek(q, ret);
	hull_virtq_end(q);
	if (r > 0 && (q->packed || q->in_order) && in_flight(q, ret->head))
		r = hull_virtq_break(q, "number of a request that is not over yet");
	q->peek_id = ret->head;
	q->peeked = r > 0;
	return r;
}

void hull_virtq_take(struct hull_virtq *q)
{
	struct hull_virtq_flight *f;

	if (!q->peeked)
		return;
	q->peeked = 0;
	format(q)->advance(q, q->peek_n);
	if (!q->packed && !q->in_order)
		return;
	f = &q->flight[q->peek_id];
	f->seq = q->taken++;
	f->n = q->peek_n;
	f->done = false;
	if (q->nflight++)
		q->flight[q->last].next = q->peek_id;
	else
		q->first = q->peek_id;
	q->last = q->peek_id;
}

/* Fill in the used entry of a request in flight, which is over. */
static int push_one(struct hull_virtq *q, uint16_t id, uint32_t len)
{
	unsigned n = q->flight[id].n;

	q->flight[id].n = 0;
	q->nflight--;
	return format(q)->push(q, id, len, n);
}

/* 2.7.9, 2.8.9: those that are over, up to the first that is not. */
static int push_in_order(struct hull_virtq *q, uint16_t id, uint32_t len)
{
	int r = 0;

	q->flight[id].len = len;
	q->flight[id].done = true;
	while (!r && q->nflight && q->flight[q->first].done) {
		id = q->first;
		q->first = q->flight[id].next;
		r = push_one(q, id, q->flight[id].len);
	}
	return r;
}

int hull_virtq_push(struct hull_virtq *q, uint16_t head, uint32_t len)
{
	int r;

	if (!q->ready || q->broken)
		return HULL_EFAULT;
	if ((q->packed || q->in_order) && (!in_flight(q, head) || q->flight[head].done))
		return hull_virtq_break(q, "request returned twice");
	hull_virtq_begin(q);
	if (q->in_order)
		r = push_in_order(q, head, len);
	else if (q->packed)
		r = push_one(q, head, len);
	else
		r = format(q)->push(q, head, len, 1);
	hull_virtq_end(q);
	return r;
}

int hull_virtq_push_all(struct hull_virtq *q, const struct hull_virtq_used *u, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; !r && i < n; i++)
		r = hull_virtq_push(q, u[i].head, u[i].len);
	return r;
}

bool hull_virtq_must_signal(struct hull_virtq *q)
{
	uint16_t old = q->signalled;
	bool must = false;

	if (!q->ready || q->broken || !q->staged)
		return false;
	hull_virtq_begin(q);
	if (!format(q)->publish(q)) {
		q->staged = 0;
		q->signalled = q->used;
		must = format(q)->wanted(q, old);
	}
	hull_virtq_end(q);
	return must;
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
