/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-9p: a shared directory.
 *
 * Spec: VIRTIO 1.3, 5 (device id 9) says no more than the number; the rest is what Linux's
 * net/9p/trans_virtio.c does.  One queue; a request is a T-message to read and room for the
 * R-message to write; the configuration space holds the tag by which the guest mounts.
 *
 * The device knows of 9P only which messages carry bulk data: those of Twrite and Rread are DMA
 * windows onto the guest's buffers, everything else is copied.  Requests in flight live in a table
 * of SLOTS, which works as that of blk.c.
 *
 * Not modelled: what the client has open is no part of the state; after a restore it must mount
 * again.
 */
#include "base/checked.h"
#include "base/mem.h"
#include "core/aspace.h"
#include "dev/virtio/mmio.h"

enum { ID = 9, QUEUE = 0, QUEUE_SIZE = 128, SLOTS = 32, SEGS = QUEUE_SIZE + 8 };
enum { MESSAGE = 8 << 10, REPLY = 16 << 10, DATA_MAX = 1 << 20 };

enum { F_MOUNT_TAG = 0 };
enum { C_TAG_LEN = 0, C_TAG = 2, C_SIZE = C_TAG + HULL_SHARE_TAG_MAX };

/* intro(5): size[4] type[1] tag[2]; Tread and Twrite: fid[4] offset[8] count[4], then the data. */
enum { HEADER = 7, COUNT = 19, IO_HEADER = 23, READ_HEADER = 11 };
enum { T_READ = 116, T_WRITE = 118, R_LERROR = 7 };
enum { L_EFAULT = 14, L_EMSGSIZE = 90 };

struct slot {
	struct hull_share_req req; /* first */
	struct p9 *p9;
	uint32_t epoch;
	bool busy;
	struct hull_dma window[SEGS];
	struct hull_block_seg seg[SEGS];
	struct hull_virtq_chain chain;
	uint8_t message[MESSAGE];
	uint8_t reply[REPLY];
};

struct p9 {
	struct hull_virtio v;
	struct hull_virtq queue[1];
	struct slot *slots;
	unsigned busy;
};

static struct hull_share *backend(struct p9 *s)
{
	return s->v.dev.backend;
}

static uint64_t p9_features(struct hull_virtio *v)
{
	(void)v;
	return BIT(F_MOUNT_TAG);
}

static void p9_config(struct hull_virtio *v, uint8_t *buf)
{
	const char *tag = backend((struct p9 *)v)->tag;
	size_t len = hull_text_len(tag);

	store_le16(buf + C_TAG_LEN, (uint16_t)len);
	memcpy(buf + C_TAG, tag, len);
}

/* The place of bulk data: windows onto a part of the chain.  False: it is not memory. */
static bool open_windows(struct slot *t, const struct hull_virtq_part *part)
{
	unsigned n = hull_virtq_windows(&t->p9->queue[QUEUE], part, t->window, SEGS);

	for (unsigned i = 0; i < n; i++)
		t->seg[i] = (struct hull_block_seg){ t->window[i].hva, t->window[i].len };
	t->req.nsegs = n;
	t->req.data_len = (uint32_t)part->len;
	return n || !part->len;
}

/* The answer is there: into the guest's memory, then the used ring. */
static void finish(struct slot *t)
{
	struct hull_virtio *v = &t->p9->v;
	struct hull_virtq *q = &v->queue[QUEUE];

	hull_virtq_windows_end(q, t->window, t->req.nsegs);
	t->busy = false;
	t->p9->busy--;
	if (t->epoch != q->epoch)
		return;
	if (!hull_virtq_copy_out(q, &t->chain, 0, t->reply, t->req.reply_len)) {
		hull_virtio_broken(v, QUEUE, "room for the answer is not memory");
		return;
	}
	hull_virtio_push(v, QUEUE, t->chain.head, t->req.reply_len + t->req.data_moved);
}

/* Rlerror */
static void refuse(struct slot *t, uint32_t error)
{
	store_le32(t->reply, READ_HEADER);
	t->reply[4] = R_LERROR;
	memcpy(t->reply + 5, t->message + 5, 2);
	store_le32(t->reply + HEADER, error);
	t->req.reply_len = READ_HEADER;
	t->req.data_moved = 0;
	finish(t);
}

static void process(struct p9 *s);

/* From any thread, without the lane. */
static void p9_done(struct hull_share_req *req)
{
	struct slot *t = (struct slot *)req;
	struct p9 *s = t->p9;

	hull_dev_enter(&s->v.dev);
	finish(t);
	hull_virtio_signal(&s->v, QUEUE);
	process(s);
	hull_dev_leave(&s->v.dev);
}

/* The message is in `message`, without the data of Twrite. */
static void perform(struct slot *t)
{
	struct hull_virtq_part part = { .chain = &t->chain };
	struct hull_share *b = backend(t->p9);

	if (t->req.msg_len >= IO_HEADER && t->message[4] == T_WRITE) {
		t->req.msg_len = part.off = IO_HEADER;
		part.len = t->chain.read_len - IO_HEADER;
	} else if (t->req.msg_len >= IO_HEADER && t->message[4] == T_READ) {
		part.write = true;
		part.off = READ_HEADER;
		part.len = MIN((uint64_t)load_le32(t->message + COUNT),
		               t->chain.write_len - READ_HEADER);
	}
	if (part.len > DATA_MAX) {
		refuse(t, L_EMSGSIZE);
	} else if (!open_windows(t, &part)) {
		hull_guest_error(&t->p9->v.dev, "buffer is not memory, or too scattered",
		                 t->chain.head);
		refuse(t, L_EFAULT);
	} else if (b->submit(b, &t->req)) {
		finish(t);
	}
}

static struct slot *free_slot(struct p9 *s)
{
	for (unsigned i = 0; s->busy < SLOTS && i < SLOTS; i++)
		if (!s->slots[i].busy)
			return &s->slots[i];
	return NULL;
}

/* One request of the ring; false: there is none that could be worked on now. */
static bool next(struct p9 *s)
{
	struct hull_virtq *q = &s->v.queue[QUEUE];
	struct slot *t = free_slot(s);
	uint64_t len;

	if (!t || hull_virtio_pauses(&s->v, QUEUE) || !hull_virtio_next(&s->v, QUEUE, &t->chain))
		return false;
	hull_virtq_take(q);
	len = MIN(t->chain.read_len, (uint64_t)MESSAGE);
	if (len < HEADER || t->chain.write_len < HULL_SHARE_REPLY_MIN ||
	    !hull_virtq_copy_in(q, &t->chain, 0, t->message, len)) {
		hull_virtio_broken(&s->v, QUEUE,
		                   "message without header, or no room for an answer");
		return false;
	}
	t->req = (struct hull_share_req){
		.msg = t->message,
		.msg_len = (uint32_t)len,
		.segs = t->seg,
		.reply = t->reply,
		.reply_max = (uint32_t)MIN(t->chain.write_len, (uint64_t)REPLY),
		.done = p9_done,
	};
	t->epoch = q->epoch;
	t->busy = true;
	s->busy++;
	perform(t);
	return true;
}

/* At most a queue's worth at a time; a guest that is faster waits for the timer. */
static void process(struct p9 *s)
{
	unsigned budget = QUEUE_SIZE;

	while (budget && next(s))
		budget--;
	hull_virtio_signal(&s->v, QUEUE);
	if (!budget)
		hull_virtio_later(&s->v, QUEUE, 0);
}

static void p9_notify(struct hull_virtio *v, unsigned q)
{
	(void)q;
	process((struct p9 *)v);
}

/* Wait, so that no late read overwrites memory that the guest uses for something else. */
static void p9_quiesce(struct hull_virtio *v)
{
	struct p9 *s = (struct p9 *)v;
	struct hull_share *b = backend(s);

	if (!s->busy)
		return;
	hull_dev_leave(&v->dev);
	b->drain(b);
	hull_dev_enter(&v->dev);
}

static void p9_reset(struct hull_virtio *v)
{
	struct hull_share *b = backend((struct p9 *)v);

	b->reset(b);
}

static const struct hull_virtio_ops p9_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = p9_features,
	.config = p9_config,
	.notify = p9_notify,
	.quiesce = p9_quiesce,
	.reset = p9_reset,
};

static int p9_init(struct hull_dev *d, struct hull_err *err)
{
	struct p9 *s = (struct p9 *)d;

	if (!d->backend)
		return hull_fail(err, HULL_EINVAL, 0, "share \"%s\" has no directory behind it",
		                 d->name);
	s->slots = hull_dev_alloc(d, SLOTS * sizeof(*s->slots));
	if (!s->slots)
		return hull_fail(err, HULL_ENOMEM, 0, "no memory for the requests of share \"%s\"",
		                 d->name);
	for (unsigned i = 0; i < SLOTS; i++)
		s->slots[i].p9 = s;
	return hull_virtio_init(&s->v, &p9_ops, s->queue, 1);
}

static void p9_fini(struct hull_dev *d)
{
	struct p9 *s = (struct p9 *)d;

	hull_dev_enter(d);
	s->v.resetting = true;
	s->v.queue[QUEUE].epoch++;
	p9_quiesce(&s->v);
	hull_dev_leave(d);
}

static const struct hull_field p9_fields[] = {
	HULL_VIRTIO_FIELDS(struct p9),
	HULL_VIRTQ_FIELDS(struct p9, queue),
};

HULL_DEVICE(virtio_9p) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-9p",
	.summary = "virtio shared directory",
	.state_size = sizeof(struct p9),
	.backend = HULL_BACKEND_SHARE,
	.init = p9_init,
	.fini = p9_fini,
	.restored = hull_virtio_restored,
	.fields = p9_fields,
	.nfields = ARRAY_LEN(p9_fields),
};
