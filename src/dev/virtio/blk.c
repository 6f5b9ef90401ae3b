/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-blk: a disk.
 *
 * Spec: VIRTIO 1.3, 5.2.
 *
 * A request is decoded and checked completely, then given to the backend with
 * DMA windows onto its buffers, and ends when the backend says so, on any
 * thread.  Requests in flight live in a table of SLOTS; while it is full, the
 * rest waits in the ring.  A slot remembers the epoch of the queue, so that a
 * completion after a reset only gives the windows back.
 *
 * A snapshot must be taken with the backend drained: requests in flight are
 * not part of the state.
 *
 * Not modelled: multiqueue, secure erase, lifetime and zoned commands.
 */
#include "base/checked.h"
#include "base/mem.h"
#include "core/aspace.h"
#include "dev/virtio/mmio.h"

enum { ID = 2, QUEUE = 0, QUEUE_SIZE = 128, SLOTS = 64, SEGS = 128, SECTOR = 512 };
enum { HEADER = 16, RANGE = 16, ID_BYTES = 20 };

/* 5.2.3, 5.2.6: feature bits, request types, status. */
enum {
	F_SIZE_MAX = 1,
	F_SEG_MAX = 2,
	F_RO = 5,
	F_BLK_SIZE = 6,
	F_FLUSH = 9,
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
	C_MAX_DISCARD_SECTORS = 36,
	C_MAX_DISCARD_SEG = 40,
	C_DISCARD_ALIGNMENT = 44,
	C_MAX_WRITE_ZEROES_SECTORS = 48,
	C_MAX_WRITE_ZEROES_SEG = 52,
	C_SIZE = 60,
};

/* Data of one request, as the configuration space tells the driver. */
enum { SEG_MAX = QUEUE_SIZE - 2, SIZE_MAX_BYTES = 1 << 20, REQUEST_MAX = SEG_MAX * SIZE_MAX_BYTES };

/* Sectors of one discard or write-zeroes request: 1 GiB. */
static const uint32_t range_max = 1u << 21;

struct slot {
	struct hull_block_req req; /* first */
	struct blk *blk;
	uint64_t status_off; /* of the status byte in the writable part */
	hull_gpa status_gpa;
	uint32_t data; /* bytes that the guest gets if all goes well */
	uint32_t epoch;
	uint16_t head;
	bool busy;
	struct hull_block_seg seg[SEGS];
	hull_gpa gpa[SEGS];
};

struct blk {
	struct hull_virtio v;
	struct hull_virtq queue[1];
	struct slot *slots;
	unsigned busy;
	struct hull_virtq_chain chain; /* the request being decoded */
};

static struct hull_block *backend(struct blk *s)
{
	return s->v.dev.backend;
}

static uint64_t blk_features(struct hull_virtio *v)
{
	struct hull_block *b = v->dev.backend;
	uint64_t f = BIT(F_SIZE_MAX) | BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH);

	if (!b || b->read_only)
		return f | BIT(F_RO);
	return f | BIT(F_WRITE_ZEROES) | (b->can_discard ? BIT(F_DISCARD) : 0);
}

static void blk_config(struct hull_virtio *v, uint8_t *buf)
{
	struct hull_block *b = v->dev.backend;

	store_le64(buf + C_CAPACITY, b ? b->size / SECTOR : 0);
	/* Header and status take two descriptors. */
	store_le32(buf + C_SEG_MAX, SEG_MAX);
	store_le32(buf + C_SIZE_MAX, SIZE_MAX_BYTES);
	store_le32(buf + C_BLK_SIZE, SECTOR);
	store_le32(buf + C_MAX_DISCARD_SECTORS, range_max);
	store_le32(buf + C_MAX_DISCARD_SEG, 1);
	store_le32(buf + C_DISCARD_ALIGNMENT, 1);
	store_le32(buf + C_MAX_WRITE_ZEROES_SECTORS, range_max);
	store_le32(buf + C_MAX_WRITE_ZEROES_SEG, 1);
}

static void close_windows(struct slot *t)
{
	for (unsigned i = 0; i < t->req.nsegs; i++) {
		struct hull_dma w = { t->seg[i].hva, t->seg[i].len, t->gpa[i],
			              t->req.op == HULL_BLOCK_READ };

		hull_dma_end(t->blk->v.dev.vm, &w);
	}
	t->req.nsegs = 0;
}

/* Open windows onto bytes [off, off + req.len) of one side of the chain. */
static bool open_windows(struct slot *t, const struct hull_virtq_seg *seg, unsigned n, uint64_t off)
{
	uint64_t left = t->req.len;

	for (; n && left; seg++, n--) {
		hull_gpa gpa = seg->gpa + off;
		uint64_t len = off < seg->len ? MIN(left, seg->len - off) : 0;

		off -= MIN(off, (uint64_t)seg->len);
		while (len) {
			struct hull_dma w;

			if (t->req.nsegs == SEGS ||
			    hull_dma_begin(t->blk->v.dev.vm, gpa, len, t->req.op == HULL_BLOCK_READ,
			                   &w))
				return false;
			t->seg[t->req.nsegs] = (struct hull_block_seg){ w.hva, w.len };
			t->gpa[t->req.nsegs++] = gpa;
			gpa += w.len;
			len -= w.len;
			left -= w.len;
		}
	}
	return !left;
}

/* The request is over: status last (5.2.6.2), then the used ring. */
static void finish(struct slot *t, uint8_t status)
{
	struct hull_virtio *v = &t->blk->v;
	/* 2.7.8.2: `len` counts only what is surely written, from the start. */
	uint64_t written = status == S_OK ? t->data : 0;

	written += written == t->status_off;
	close_windows(t);
	t->busy = false;
	t->blk->busy--;
	if (t->epoch != v->queue[QUEUE].epoch)
		return;
	if (!hull_mem_write(v->dev.vm, t->status_gpa, &status, 1)) {
		hull_virtio_broken(v, QUEUE, "status byte is not in memory");
		return;
	}
	hull_virtio_push(v, QUEUE, t->head, (uint32_t)written);
}

static uint8_t status_of(int code)
{
	return code == 0 ? S_OK : code == HULL_ENOTSUP ? S_UNSUPP : S_IOERR;
}

/* 5.2.6.2: for a driver that cannot flush, a write is over when it is stable. */
static bool must_flush(const struct slot *t)
{
	const struct hull_virtio *v = &t->blk->v;

	return t->req.status == 0 && t->epoch == v->queue[QUEUE].epoch &&
	       t->req.op != HULL_BLOCK_READ && t->req.op != HULL_BLOCK_FLUSH &&
	       !hull_virtio_has(v, F_FLUSH);
}

static void submit(struct slot *t);

/* The backend is done with the request. */
static void ended(struct slot *t)
{
	if (!must_flush(t)) {
		finish(t, status_of(t->req.status));
		return;
	}
	close_windows(t);
	t->req.op = HULL_BLOCK_FLUSH;
	submit(t);
}

static void process(struct blk *s);

/* From any thread, without the lane. */
static void blk_done(struct hull_block_req *req)
{
	struct slot *t = (struct slot *)req;
	struct blk *s = t->blk;

	hull_dev_enter(&s->v.dev);
	ended(t);
	hull_virtio_signal(&s->v, QUEUE);
	process(s);
	hull_dev_leave(&s->v.dev);
}

static void submit(struct slot *t)
{
	struct hull_block *b = backend(t->blk);

	t->req.segs = t->seg;
	t->req.done = blk_done;
	if (b->submit(b, &t->req))
		ended(t);
}

/* Is [sector, sector + bytes) on the disk?  Sets the request's range. */
static bool set_range(struct slot *t, uint64_t sector, uint64_t bytes)
{
	uint64_t off;

	if (bytes % SECTOR || !hull_mul(sector, SECTOR, &off) ||
	    !hull_range_within(off, bytes, 0, backend(t->blk)->size))
		return false;
	t->req.offset = off;
	t->req.len = bytes;
	return true;
}

static void transfer(struct slot *t, uint64_t sector, bool in)
{
	struct blk *s = t->blk;
	const struct hull_virtq_chain *c = &s->chain;
	uint64_t bytes = in ? t->status_off : c->read_len - HEADER;
	bool fits = bytes <= REQUEST_MAX && set_range(t, sector, bytes);

	t->req.op = in ? HULL_BLOCK_READ : HULL_BLOCK_WRITE;
	if ((!in && backend(s)->read_only) || !fits) {
		finish(t, S_IOERR);
	} else if (!bytes) {
		finish(t, S_OK);
	} else if (in ? !open_windows(t, c->seg + c->nread, c->nwrite, 0)
	              : !open_windows(t, c->seg, c->nread, HEADER)) {
		hull_guest_error(&s->v.dev, "buffer is not memory, or too scattered", c->head);
		finish(t, S_IOERR);
	} else {
		t->data = in ? (uint32_t)bytes : 0;
		submit(t);
	}
}

/* 5.2.6: struct virtio_blk_discard_write_zeroes, of which we allow one. */
static void change_range(struct slot *t, uint32_t type)
{
	struct blk *s = t->blk;
	bool discard = type == T_DISCARD;
	uint8_t raw[RANGE];
	uint64_t sectors;

	t->req.op = discard ? HULL_BLOCK_DISCARD : HULL_BLOCK_WRITE_ZEROES;
	if (!(blk_features(&s->v) & BIT(discard ? F_DISCARD : F_WRITE_ZEROES))) {
		finish(t, backend(s)->read_only ? S_IOERR : S_UNSUPP);
		return;
	}
	if (s->chain.read_len != HEADER + RANGE ||
	    !hull_virtq_copy_in(&s->v.queue[QUEUE], &s->chain, HEADER, raw, sizeof(raw))) {
		finish(t, S_IOERR);
		return;
	}
	sectors = load_le32(raw + 8);
	if (load_le32(raw + 12) & ~(discard ? 0u : UNMAP))
		finish(t, S_UNSUPP);
	else if (sectors > range_max || !set_range(t, load_le64(raw), sectors * SECTOR))
		finish(t, S_IOERR);
	else if (!sectors)
		finish(t, S_OK);
	else
		submit(t);
}

static void get_id(struct slot *t)
{
	struct blk *s = t->blk;
	uint64_t len = MIN(t->status_off, (uint64_t)ID_BYTES);
	bool ok = hull_virtq_copy_out(&s->v.queue[QUEUE], &s->chain, 0, backend(s)->serial, len);

	t->data = (uint32_t)len;
	finish(t, ok ? S_OK : S_IOERR);
}

static void perform(struct slot *t, uint32_t type, uint64_t sector)
{
	switch (type) {
	case T_IN:
	case T_OUT: transfer(t, sector, type == T_IN); return;
	case T_FLUSH:
		t->req.op = HULL_BLOCK_FLUSH;
		submit(t);
		return;
	case T_DISCARD:
	case T_WRITE_ZEROES: change_range(t, type); return;
	case T_GET_ID: get_id(t); return;
	}
	finish(t, S_UNSUPP);
}

static hull_gpa last_byte(const struct hull_virtq_chain *c)
{
	const struct hull_virtq_seg *seg = &c->seg[c->nread + c->nwrite - 1];

	return seg->gpa + seg->len - 1;
}

static struct slot *free_slot(struct blk *s)
{
	for (unsigned i = 0; s->busy < SLOTS && i < SLOTS; i++)
		if (!s->slots[i].busy)
			return &s->slots[i];
	return NULL;
}

/* One request of the ring; false: there is none that could be worked on now. */
static bool next(struct blk *s)
{
	struct hull_virtq *q = &s->v.queue[QUEUE];
	struct slot *t = free_slot(s);
	uint8_t header[HEADER];

	if (!t || !hull_virtio_next(&s->v, QUEUE, &s->chain))
		return false;
	hull_virtq_take(q);
	if (!s->chain.nwrite || !hull_virtq_copy_in(q, &s->chain, 0, header, sizeof(header))) {
		hull_virtio_broken(&s->v, QUEUE, "request without header or status");
		return false;
	}
	t->req = (struct hull_block_req){ 0 };
	t->req.op = HULL_BLOCK_FLUSH;
	t->status_off = s->chain.write_len - 1;
	t->status_gpa = last_byte(&s->chain);
	t->data = 0;
	t->epoch = q->epoch;
	t->head = s->chain.head;
	t->busy = true;
	s->busy++;
	perform(t, load_le32(header), load_le64(header + 8));
	return true;
}

/* At most a queue's worth at a time; a guest that is faster waits for the timer. */
static void process(struct blk *s)
{
	unsigned budget = QUEUE_SIZE;

	while (budget && next(s))
		budget--;
	hull_virtio_signal(&s->v, QUEUE);
	if (!budget)
		hull_virtio_later(&s->v, QUEUE, 0);
}

static void blk_notify(struct hull_virtio *v, unsigned q)
{
	(void)q;
	process((struct blk *)v);
}

/* Wait, so that no late read overwrites memory that the guest uses for something else. */
static void blk_quiesce(struct hull_virtio *v)
{
	struct blk *s = (struct blk *)v;
	struct hull_block *b = backend(s);

	if (!s->busy)
		return;
	hull_dev_leave(&v->dev);
	b->drain(b);
	hull_dev_enter(&v->dev);
}

static const struct hull_virtio_ops blk_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = blk_features,
	.config = blk_config,
	.notify = blk_notify,
	.quiesce = blk_quiesce,
};

static int blk_init(struct hull_dev *d, struct hull_err *err)
{
	struct blk *s = (struct blk *)d;

	if (!d->backend)
		return hull_fail(err, HULL_EINVAL, 0, "disk \"%s\" has no image behind it",
		                 d->name);
	s->slots = hull_dev_alloc(d, SLOTS * sizeof(*s->slots));
	if (!s->slots)
		return hull_fail(err, HULL_ENOMEM, 0, "no memory for the requests of disk \"%s\"",
		                 d->name);
	for (unsigned i = 0; i < SLOTS; i++)
		s->slots[i].blk = s;
	return hull_virtio_init(&s->v, &blk_ops, s->queue, 1);
}

static void blk_fini(struct hull_dev *d)
{
	struct blk *s = (struct blk *)d;

	hull_dev_enter(d);
	s->v.resetting = true;
	s->v.queue[QUEUE].epoch++;
	blk_quiesce(&s->v);
	hull_dev_leave(d);
}

static const struct hull_field blk_fields[] = {
	HULL_VIRTIO_FIELDS(struct blk),
	HULL_VIRTQ_FIELDS(struct blk, queue),
};

static const struct hull_prop blk_props[] = { HULL_VIRTIO_PROPS };

HULL_DEVICE(virtio_blk) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-blk",
	.summary = "virtio disk",
	.state_size = sizeof(struct blk),
	.backend = HULL_BACKEND_BLOCK,
	.init = blk_init,
	.fini = blk_fini,
	.restored = hull_virtio_restored,
	.fields = blk_fields,
	.nfields = ARRAY_LEN(blk_fields),
	.props = blk_props,
	.nprops = ARRAY_LEN(blk_props),
};
