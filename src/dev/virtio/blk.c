/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-blk: a disk.
 *
 * Spec: VIRTIO 1.3, 5.2.
 *
 * A request is decoded and checked completely, then given to the backend with DMA windows onto its
 * buffers, and ends when the backend says so, on any thread.  Requests in flight live in the SLOTS
 * of their queue; while all are taken, the rest waits in the ring.  A slot remembers the epoch of
 * the queue, so that a completion after a reset only gives the windows back.  Each queue has a
 * lane.
 *
 * A request may take several steps at the backend: each range of a discard, and the flush that
 * makes a change stable for a driver that wants no write-back cache.
 *
 * A snapshot must be taken with the backend drained: requests in flight are not part of the state.
 *
 * Not modelled: secure erase (answered as unsupported), lifetime and zoned commands.
 */
#include "base/atomic.h"
#include "base/checked.h"
#include "base/mem.h"
#include "core/aspace.h"
#include "dev/virtio/mmio.h"

enum { ID = 2, QUEUES = 16, QUEUE_SIZE = 256, SLOTS = 64, SEGS = 128, RANGES = 32, SECTOR = 512 };
enum { HEADER = 16, RANGE = 16, ID_BYTES = 20 };

/* 5.2.3, 5.2.6: feature bits, request types, status. */
enum {
	F_SIZE_MAX = 1,
	F_SEG_MAX = 2,
	F_RO = 5,
	F_BLK_SIZE = 6,
	F_FLUSH = 9,
	F_TOPOLOGY = 10,
	F_CONFIG_WCE = 11,
	F_MQ = 12,
	F_DISCARD = 13,
	F_WRITE_ZEROES = 14
};
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { UNMAP = 1 };

/* 5.2.4: offsets in the configuration space. */
enum {
	C_CAPACITY = 0,
	C_SIZE_MAX = 8,
	C_SEG_MAX = 12,
	C_BLK_SIZE = 20,
	C_PHYSICAL_EXP = 24,
	C_MIN_IO_SIZE = 26,
	C_OPT_IO_SIZE = 28,
	C_WRITEBACK = 32,
	C_NUM_QUEUES = 34,
	C_MAX_DISCARD_SECTORS = 36,
	C_MAX_DISCARD_SEG = 40,
	C_DISCARD_ALIGNMENT = 44,
	C_MAX_WRITE_ZEROES_SECTORS = 48,
	C_MAX_WRITE_ZEROES_SEG = 52,
	C_WRITE_ZEROES_MAY_UNMAP = 56,
	C_SIZE = 60,
};

/* Data of one request, as the configuration space tells the driver. */
enum { SEG_MAX = SEGS - 2, SIZE_MAX_BYTES = 1 << 20, REQUEST_MAX = SEG_MAX * SIZE_MAX_BYTES };

/* Sectors of one range of a discard or write-zeroes request: 1 GiB. */
static const uint32_t range_max = 1u << 21;

struct range {
	uint64_t offset, len; /* bytes */
};

struct slot {
	struct hull_block_req req; /* first */
	struct blk_queue *q;
	struct slot *next;   /* that is free */
	uint64_t status_off; /* of the status byte in the writable part */
	hull_gpa status_gpa;
	uint32_t data; /* bytes that the guest gets if all goes well */
	uint32_t epoch;
	uint16_t head;
	uint16_t nranges, range; /* how many there are, how many were begun */
	uint16_t nwindows;
	uint16_t nresting; /* windows that were closed for a while; `window` says where they were */
	struct hull_block_seg seg[SEGS];
	union {
		struct hull_dma window[SEGS];
		struct range ranges[RANGES];
	};
};

/* Under the queue's lane. */
struct blk_queue {
	struct blk *blk;
	struct hull_virtq *vq;
	unsigned index;
	unsigned busy;     /* slots */
	unsigned touched;  /* slots that were ever used: the first */
	bool starved;      /* requests wait for a slot */
	bool unkicked;     /* the backend was given some since its last kick */
	struct slot *free; /* of the touched */
	struct slot *slots;
	struct hull_virtq_chain chain; /* the request being decoded */
};

struct blk {
	struct hull_virtio v;
	struct hull_virtq queue[QUEUES];
	struct blk_queue *q;
	uint8_t writeback; /* atomic: what the driver wants, if it may say */
};

static struct hull_block *backend(const struct blk *s)
{
	return s->v.dev.backend;
}

/* It may grow and shrink at any moment. */
static uint64_t disk_size(const struct blk *s)
{
	return backend(s) ? hull_load_relaxed(&backend(s)->size) : 0;
}

static uint64_t blk_features(struct hull_virtio *v)
{
	struct hull_block *b = v->dev.backend;
	uint64_t f = BIT(F_SIZE_MAX) | BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) |
	             BIT(F_TOPOLOGY) | (v->nqueues > 1 ? BIT(F_MQ) : 0);

	if (!b || b->read_only)
		return f | BIT(F_RO);
	return f | BIT(F_CONFIG_WCE) | BIT(F_WRITE_ZEROES) | (b->can_discard ? BIT(F_DISCARD) : 0);
}

/* 5.2.4: physical blocks as a power of two of ours, best sizes of requests in our blocks. */
static void topology(const struct hull_block *b, uint8_t *buf)
{
	uint32_t physical = MAX(b->physical_size / SECTOR, UINT32_C(1));
	uint32_t granularity = b->discard_granularity / SECTOR;

	while (buf[C_PHYSICAL_EXP] < 15 && UINT32_C(1) << buf[C_PHYSICAL_EXP] < physical)
		buf[C_PHYSICAL_EXP]++;
	store_le16(buf + C_MIN_IO_SIZE, (uint16_t)MIN(physical, UINT32_C(0x8000)));
	store_le32(buf + C_OPT_IO_SIZE, granularity);
	store_le32(buf + C_DISCARD_ALIGNMENT, MAX(granularity, UINT32_C(1)));
	buf[C_WRITE_ZEROES_MAY_UNMAP] = b->can_discard;
}

static void blk_config(struct hull_virtio *v, uint8_t *buf)
{
	struct blk *s = (struct blk *)v;

	store_le64(buf + C_CAPACITY, disk_size(s) / SECTOR);
	/* Header and status take two descriptors. */
	store_le32(buf + C_SEG_MAX, SEG_MAX);
	store_le32(buf + C_SIZE_MAX, SIZE_MAX_BYTES);
	store_le32(buf + C_BLK_SIZE, SECTOR);
	if (backend(s))
		topology(backend(s), buf);
	buf[C_WRITEBACK] = s->writeback;
	store_le16(buf + C_NUM_QUEUES, (uint16_t)v->nqueues);
	store_le32(buf + C_MAX_DISCARD_SECTORS, range_max);
	store_le32(buf + C_MAX_DISCARD_SEG, RANGES);
	store_le32(buf + C_MAX_WRITE_ZEROES_SECTORS, range_max);
	store_le32(buf + C_MAX_WRITE_ZEROES_SEG, RANGES);
}

/* 5.2.5.2: write-back or write-through. */
static void blk_config_write(struct hull_virtio *v, uint64_t off, uint64_t val, unsigned size)
{
	struct blk *s = (struct blk *)v;

	if (off != C_WRITEBACK || size != 1 || val > 1 || !hull_virtio_has(v, F_CONFIG_WCE))
		hull_guest_error(&v->dev, "write to read-only configuration space", off);
	else
		hull_store_relaxed(&s->writeback, (uint8_t)val);
}

static bool write_through(const struct blk *s)
{
	if (hull_virtio_has(&s->v, F_CONFIG_WCE))
		return !hull_load_relaxed(&s->writeback);
	return !hull_virtio_has(&s->v, F_FLUSH);
}

static bool stale(const struct slot *t)
{
	return t->epoch != t->q->vq->epoch;
}

static void close_windows(struct slot *t)
{
	hull_virtq_windows_end(t->q->vq, t->window, t->nwindows);
	t->nwindows = 0;
}

/* Windows onto bytes [off, off + req.len) of one side of the chain. */
static bool open_windows(struct slot *t, bool write, uint64_t off)
{
	const struct hull_virtq_part part = { &t->q->chain, write, off, t->req.len };

	t->nwindows = (uint16_t)hull_virtq_windows(t->q->vq, &part, t->window, SEGS);
	for (unsigned i = 0; i < t->nwindows; i++)
		t->seg[i] = (struct hull_block_seg){ t->window[i].hva, t->window[i].len };
	t->req.segs = t->seg;
	t->req.nsegs = t->nwindows;
	return t->nwindows;
}

static void rest(struct slot *t)
{
	for (unsigned i = 0; i < t->nwindows; i++) {
		struct hull_dma w = t->window[i];

		hull_dma_end(t->q->blk->v.dev.vm, &t->window[i]);
		t->window[i] = w;
		t->seg[i].hva = NULL;
	}
	t->nresting = t->nwindows;
	t->nwindows = 0;
}

/* The map may be another now: all is looked up again, and may come in more pieces. */
static bool go_on(struct slot *t)
{
	struct hull_dma was[SEGS];
	unsigned n = 0;
	uint64_t done;

	memcpy(was, t->window, t->nresting * sizeof(was[0]));
	for (unsigned i = 0; i < t->nresting; i++)
		for (done = 0; done < was[i].len; done += t->window[n++].len) {
			if (n < SEGS &&
			    !hull_dma_begin(t->q->blk->v.dev.vm, was[i].gpa + done,
			                    was[i].len - done, was[i].write, &t->window[n])) {
				t->seg[n] = (struct hull_block_seg){ t->window[n].hva,
					                             t->window[n].len };
				continue;
			}
			hull_virtq_windows_end(t->q->vq, t->window, n);
			t->nresting = 0;
			t->req.nsegs = 0;
			return false;
		}
	t->nresting = 0;
	t->nwindows = (uint16_t)n;
	t->req.nsegs = n;
	return true;
}

static bool blk_rest(struct hull_block_req *req, bool resting)
{
	struct slot *t = (struct slot *)req;

	if (resting && t->nwindows)
		rest(t);
	return resting || !t->nresting || go_on(t);
}

/* The request is over: status last (5.2.6.2), then the used ring. */
static void finish(struct slot *t, uint8_t status)
{
	struct blk_queue *p = t->q;
	struct hull_virtio *v = &p->blk->v;
	/* 2.7.8.2: `len` counts only what is surely written, from the start. */
	uint64_t written = status == S_OK ? t->data : 0;

	written += written == t->status_off;
	close_windows(t);
	t->next = p->free;
	p->free = t;
	p->busy--;
	if (stale(t))
		return;
	if (!hull_mem_write(v->dev.vm, t->status_gpa, &status, 1)) {
		hull_virtio_broken(v, p->index, "status byte is not in memory");
		return;
	}
	hull_virtio_push(v, p->index, t->head, (uint32_t)written);
}

static uint8_t status_of(int code)
{
	return code == 0 ? S_OK : code == HULL_ENOTSUP ? S_UNSUPP : S_IOERR;
}

/* Prepare the next step of a request; false: there is none, or it is not worth it any more. */
static bool next_step(struct slot *t)
{
	if (t->req.status || stale(t))
		return false;
	if (t->range < t->nranges) {
		t->req.offset = t->ranges[t->range].offset;
		t->req.len = t->ranges[t->range++].len;
		return true;
	}
	/* 5.2.6.2: for a driver that does not flush, a change is over when it is stable. */
	if (t->req.op == HULL_BLOCK_READ || t->req.op == HULL_BLOCK_FLUSH ||
	    !write_through(t->q->blk))
		return false;
	close_windows(t);
	t->req.op = HULL_BLOCK_FLUSH;
	t->req.nsegs = 0;
	return true;
}

static void blk_done(struct hull_block_req *req);

/* Step by step, until the backend takes its time or all is done. */
static void perform(struct slot *t)
{
	struct hull_block *b = backend(t->q->blk);

	do {
		t->req.done = blk_done;
		t->req.queue = (uint16_t)t->q->index;
		t->req.batched = false;
		if (!b->submit(b, &t->req)) {
			t->q->unkicked = true;
			return;
		}
	} while (next_step(t));
	finish(t, status_of(t->req.status));
}

/* [sector, sector + bytes) of the disk; false: not all of it is there. */
static bool find_range(const struct blk *s, uint64_t sector, uint64_t bytes, struct range *ret)
{
	ret->len = bytes;
	return bytes % SECTOR == 0 && hull_mul(sector, SECTOR, &ret->offset) &&
	       hull_range_within(ret->offset, bytes, 0, align_down(disk_size(s), SECTOR));
}

static void transfer(struct slot *t, uint64_t sector, bool in)
{
	struct blk *s = t->q->blk;
	uint64_t bytes = in ? t->status_off : t->q->chain.read_len - HEADER;
	struct range r;

	if ((!in && backend(s)->read_only) || bytes > REQUEST_MAX ||
	    !find_range(s, sector, bytes, &r)) {
		finish(t, S_IOERR);
		return;
	}
	t->req.op = in ? HULL_BLOCK_READ : HULL_BLOCK_WRITE;
	t->req.offset = r.offset;
	t->req.len = r.len;
	if (!bytes) {
		finish(t, S_OK);
	} else if (!open_windows(t, in, in ? 0 : HEADER)) {
		hull_guest_error(&s->v.dev, "buffer is not memory, or too scattered", t->head);
		finish(t, S_IOERR);
	} else {
		t->data = in ? (uint32_t)bytes : 0;
		perform(t);
	}
}

/* 5.2.6: one struct virtio_blk_discard_write_zeroes; its status. */
static uint8_t decode_range(struct slot *t, const uint8_t *raw)
{
	bool zeroes = t->req.op == HULL_BLOCK_WRITE_ZEROES;
	uint32_t sectors = load_le32(raw + 8), flags = load_le32(raw + 12);
	struct range r;

	if (flags & ~(zeroes ? UNMAP : 0u))
		return S_UNSUPP;
	if (sectors > range_max ||
	    !find_range(t->q->blk, load_le64(raw), (uint64_t)sectors * SECTOR, &r))
		return S_IOERR;
	/* Ranges that need not stay allocated may as well stay; not the other way round. */
	t->req.unmap = flags & UNMAP && (t->req.unmap || !t->nranges);
	if (sectors)
		t->ranges[t->nranges++] = r;
	return S_OK;
}

static uint8_t decode_ranges(struct slot *t)
{
	struct blk_queue *p = t->q;
	uint64_t bytes = p->chain.read_len - HEADER;
	uint8_t raw[RANGES * RANGE], status = S_OK;

	if (!bytes || bytes % RANGE || bytes > sizeof(raw) ||
	    !hull_virtq_copy_in(p->vq, &p->chain, HEADER, raw, bytes))
		return S_IOERR;
	for (unsigned i = 0; status == S_OK && i < bytes; i += RANGE)
		status = decode_range(t, raw + i);
	return status;
}

/* All ranges are checked before the first is changed. */
static void change_ranges(struct slot *t, uint32_t type)
{
	struct blk *s = t->q->blk;
	bool discard = type == T_DISCARD;
	uint8_t status;

	t->req.op = discard ? HULL_BLOCK_DISCARD : HULL_BLOCK_WRITE_ZEROES;
	if (!(blk_features(&s->v) & BIT(discard ? F_DISCARD : F_WRITE_ZEROES))) {
		finish(t, backend(s)->read_only ? S_IOERR : S_UNSUPP);
		return;
	}
	status = decode_ranges(t);
	if (status != S_OK || !t->nranges) {
		finish(t, status);
		return;
	}
	next_step(t);
	perform(t);
}

static void get_id(struct slot *t)
{
	struct blk_queue *p = t->q;
	uint64_t len = MIN(t->status_off, (uint64_t)ID_BYTES);
	bool ok = hull_virtq_copy_out(p->vq, &p->chain, 0, backend(p->blk)->serial, len);

	t->data = (uint32_t)len;
	finish(t, ok ? S_OK : S_IOERR);
}

static void begin(struct slot *t, uint32_t type, uint64_t sector)
{
	switch (type) {
	case T_IN:
	case T_OUT: transfer(t, sector, type == T_IN); return;
	case T_FLUSH: perform(t); return;
	case T_DISCARD:
	case T_WRITE_ZEROES: change_ranges(t, type); return;
	case T_GET_ID: get_id(t); return;
	}
	finish(t, S_UNSUPP);
}

static hull_gpa last_byte(const struct hull_virtq_chain *c)
{
	const struct hull_virtq_seg *seg = &c->seg[c->nread + c->nwrite - 1];

	return seg->gpa + seg->len - 1;
}

/* The last that became free, so that few are in use; memory of others stays untouched. */
static struct slot *free_slot(struct blk_queue *p)
{
	struct slot *t = p->free;

	if (t)
		p->free = t->next;
	else if (p->touched < SLOTS)
		t = &p->slots[p->touched++];
	return t;
}

static void init_slot(struct slot *t, struct blk_queue *p)
{
	t->req = (struct hull_block_req){ .op = HULL_BLOCK_FLUSH, .rest = blk_rest };
	t->q = p;
	t->status_off = p->chain.write_len - 1;
	t->status_gpa = last_byte(&p->chain);
	t->data = 0;
	t->epoch = p->vq->epoch;
	t->head = p->chain.head;
	t->nranges = t->range = t->nwindows = t->nresting = 0;
}

/* One request of the ring; false: there is none that could be worked on now. */
static bool next(struct blk_queue *p)
{
	struct hull_virtio *v = &p->blk->v;
	uint8_t header[HEADER];
	struct slot *t;

	p->starved = p->busy == SLOTS;
	if (p->starved || hull_virtio_pauses(v, p->index) ||
	    !hull_virtio_next(v, p->index, &p->chain))
		return false;
	hull_virtq_take(p->vq);
	if (!p->chain.nwrite || !hull_virtq_copy_in(p->vq, &p->chain, 0, header, sizeof(header))) {
		hull_virtio_broken(v, p->index, "request without header or status");
		return false;
	}
	t = free_slot(p);
	p->busy++;
	init_slot(t, p);
	begin(t, load_le32(header), load_le64(header + 8));
	return true;
}

/* What was begun becomes known to the backend, what has ended to the driver. */
static void tell(struct blk_queue *p)
{
	struct hull_block *b = backend(p->blk);

	if (p->unkicked && b->kick)
		b->kick(b, p->index);
	p->unkicked = false;
	hull_virtio_signal(&p->blk->v, p->index);
}

/* At most a queue's worth at a time; a guest that is faster waits for the timer. */
static void process(struct blk_queue *p)
{
	unsigned budget = QUEUE_SIZE;

	hull_virtq_begin(p->vq);
	while (budget && next(p))
		budget--;
	tell(p);
	hull_virtq_end(p->vq);
	if (!budget)
		hull_virtio_later(&p->blk->v, p->index, 0);
}

static void blk_notify(struct hull_virtio *v, unsigned q)
{
	process(&((struct blk *)v)->q[q]);
}

static void go_further(struct blk_queue *p)
{
	if (p->starved)
		process(p);
	else
		tell(p);
}

/* A step has ended.  From any thread, without a lane. */
static void blk_done(struct hull_block_req *req)
{
	struct slot *t = (struct slot *)req;
	struct blk_queue *p = t->q;
	bool more = req->batched;

	hull_virtio_enter(&p->blk->v, p->index);
	if (next_step(t))
		perform(t);
	else
		finish(t, status_of(t->req.status));
	if (!more)
		go_further(p);
	hull_virtio_leave(&p->blk->v, p->index);
}

static void blk_settled(void *arg, unsigned queue)
{
	struct blk *s = arg;

	hull_virtio_enter(&s->v, queue);
	go_further(&s->q[queue]);
	hull_virtio_leave(&s->v, queue);
}

static bool in_flight(struct blk *s)
{
	unsigned busy = 0;

	for (unsigned i = 0; i < s->v.nqueues; i++) {
		hull_virtio_enter(&s->v, i);
		busy += s->q[i].busy;
		hull_virtio_leave(&s->v, i);
	}
	return busy;
}

/* Wait, so that no late read overwrites memory that the guest uses for something else. */
static void blk_quiesce(struct hull_virtio *v)
{
	struct blk *s = (struct blk *)v;
	struct hull_block *b = backend(s);

	if (!in_flight(s))
		return;
	hull_dev_leave(&v->dev);
	b->drain(b);
	hull_dev_enter(&v->dev);
}

static void blk_reset(struct hull_virtio *v)
{
	((struct blk *)v)->writeback = 1;
}

/* The backend's size is another. */
static void blk_resized(void *arg)
{
	struct blk *s = arg;

	hull_dev_enter(&s->v.dev);
	hull_virtio_config_changed(&s->v);
	hull_dev_leave(&s->v.dev);
}

static const struct hull_virtio_ops blk_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.config_size = C_SIZE,
	.lanes = true,
	.features = blk_features,
	.config = blk_config,
	.config_write = blk_config_write,
	.notify = blk_notify,
	.quiesce = blk_quiesce,
	.reset = blk_reset,
};

/* In the order of blk_props, after those of all virtio devices. */
enum { PROP_QUEUES = 3 };
static const struct hull_prop blk_props[] = {
	HULL_VIRTIO_PROPS,
	{ "queues", "queues at most; the image decides how many are useful", QUEUES, 1, QUEUES },
};

static int blk_init(struct hull_dev *d, struct hull_err *err)
{
	struct blk *s = (struct blk *)d;
	struct hull_block *b = d->backend;
	unsigned n;

	if (!b)
		return hull_fail(err, HULL_EINVAL, 0, "disk \"%s\" has no image behind it",
		                 d->name);
	n = MIN(MAX(b->queues, 1u), (unsigned)d->prop[PROP_QUEUES]);
	s->q = hull_dev_alloc(d, n * sizeof(*s->q));
	if (!s->q)
		return HULL_ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		s->q[i].blk = s;
		s->q[i].vq = &s->queue[i];
		s->q[i].index = i;
		s->q[i].slots = hull_dev_alloc(d, SLOTS * sizeof(*s->q[i].slots));
		if (!s->q[i].slots)
			return HULL_ENOMEM;
	}
	b->settled_arg = b->resized_arg = s;
	b->settled = blk_settled;
	b->resized = blk_resized;
	return hull_virtio_init(&s->v, &blk_ops, s->queue, n);
}

static void blk_fini(struct hull_dev *d)
{
	struct blk *s = (struct blk *)d;

	backend(s)->resized = NULL;
	hull_virtio_close(&s->v);
	backend(s)->settled = NULL;
}

static void blk_restored(struct hull_dev *d)
{
	struct blk *s = (struct blk *)d;

	s->writeback = s->writeback != 0;
	hull_virtio_restored(d);
}

static const struct hull_field blk_fields[] = {
	HULL_VIRTIO_FIELDS(struct blk),
	HULL_VIRTQ_FIELDS(struct blk, queue),
	HULL_FIELD(struct blk, writeback),
};

HULL_DEVICE(virtio_blk) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-blk",
	.summary = "virtio disk",
	.state_size = sizeof(struct blk),
	.backend = HULL_BACKEND_BLOCK,
	.init = blk_init,
	.fini = blk_fini,
	.restored = blk_restored,
	.fields = blk_fields,
	.nfields = ARRAY_LEN(blk_fields),
	.props = blk_props,
	.nprops = ARRAY_LEN(blk_props),
};
