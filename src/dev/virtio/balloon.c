/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-balloon: the guest gives memory back to the host.
 *
 * Spec: VIRTIO 1.3, 5.5.
 *
 * Inflating and free page reporting drop the host's memory behind a page: it reads as zeroes and
 * costs nothing until the guest touches it again, so deflating needs no work.  Page numbers are
 * taken in pieces; `done` says how far the first request has got.
 *
 * Not modelled: free page hints (they serve migration), page poison.
 */
#include "core/aspace.h"
#include "dev/virtio/mmio.h"

enum { ID = 5, INFLATE = 0, DEFLATE = 1, STATS = 2, QUEUES = 5, QUEUE_SIZE = 128 };
enum { F_STATS_VQ = 1, F_DEFLATE_ON_OOM = 2, F_PAGE_REPORTING = 5 };
enum { C_NUM_PAGES = 0, C_ACTUAL = 4, C_SIZE = 8 };
enum {
	PAGE = 4096,
	PIECE = 256,
	PAGES_AT_ONCE = 16384,
	RANGES_AT_ONCE = 512,
	RANGE_BYTES = 8 << 20
};
/* 5.5.6.3: tags 0 to 9, and those that Linux has added since. */
enum { STAT = 10, STAT_TAGS = 16, STATS_MOST = 32 };

/* Properties. */
enum { P_PAGES, P_REPORTING, P_INTERVAL };

struct balloon {
	struct hull_virtio v;
	struct hull_virtq queues[QUEUES];
	uint32_t actual;           /* pages, as the driver says */
	uint64_t done;             /* bytes of the first inflate request that were dealt with */
	uint64_t given;            /* bytes that were given back to the host so far */
	uint64_t stats[STAT_TAGS]; /* the driver's, by tag; all ones: never said */
	uint64_t ask_at;           /* guest time, ns: when the statistics are due again */
	bool read;                 /* the request that is first in that queue was read */
	struct hull_virtq_chain *chain;
};

static uint64_t balloon_features(struct hull_virtio *v)
{
	return BIT(F_STATS_VQ) | BIT(F_DEFLATE_ON_OOM) |
	       (v->dev.prop[P_REPORTING] ? BIT(F_PAGE_REPORTING) : 0);
}

static void balloon_config(struct hull_virtio *v, uint8_t *buf)
{
	store_le32(buf + C_NUM_PAGES, (uint32_t)v->dev.prop[P_PAGES]);
	store_le32(buf + C_ACTUAL, ((struct balloon *)v)->actual);
}

static void balloon_config_write(struct hull_virtio *v, uint64_t off, uint64_t val, unsigned size)
{
	struct balloon *s = (struct balloon *)v;
	uint8_t raw[4];

	if (!(off >= C_ACTUAL && off + size <= C_SIZE)) {
		hull_guest_error(&v->dev, "write to read-only configuration space", off);
		return;
	}
	store_le32(raw, s->actual);
	for (unsigned i = 0; i < size; i++)
		raw[off - C_ACTUAL + i] = (uint8_t)(val >> 8 * i);
	s->actual = load_le32(raw);
}

static void discard(struct balloon *s, hull_gpa gpa, uint64_t len)
{
	s->given += hull_aspace_discard(s->v.dev.vm, gpa, len);
}

/* Page numbers, neighbours together. */
static void discard_pages(struct balloon *s, const uint8_t *raw, unsigned n)
{
	hull_gpa first = 0;
	uint64_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		hull_gpa gpa = (hull_gpa)load_le32(raw + 4 * (size_t)i) * PAGE;

		if (len && gpa == first + len) {
			len += PAGE;
			continue;
		}
		discard(s, first, len);
		first = gpa;
		len = PAGE;
	}
	discard(s, first, len);
}

/* The rest of the request in s->chain.  False: not finished, or broken. */
static bool inflate_one(struct balloon *s, unsigned *budget)
{
	uint64_t end = s->chain->read_len & ~UINT64_C(3);
	uint8_t raw[4 * PIECE];

	while (s->done < end && *budget) {
		uint64_t len = MIN(end - s->done, (uint64_t)sizeof(raw));

		if (!hull_virtq_copy_in(&s->queues[INFLATE], s->chain, s->done, raw, len)) {
			hull_virtio_broken(&s->v, INFLATE, "buffer is not memory");
			return false;
		}
		discard_pages(s, raw, (unsigned)(len / 4));
		s->done += len;
		*budget -= MIN(*budget, (unsigned)(len / 4));
	}
	return s->done >= end;
}

static void inflate(struct balloon *s)
{
	unsigned budget = PAGES_AT_ONCE;

	while (budget && hull_virtio_next(&s->v, INFLATE, s->chain)) {
		if (!inflate_one(s, &budget))
			break;
		s->done = 0;
		budget--;
		hull_virtq_take(&s->queues[INFLATE]);
		hull_virtio_push(&s->v, INFLATE, s->chain->head, 0);
	}
	hull_virtio_signal(&s->v, INFLATE);
	if (!budget)
		hull_virtio_later(&s->v, INFLATE, 0);
}

/* The memory comes back when it is touched. */
static void deflate(struct balloon *s)
{
	unsigned budget = QUEUE_SIZE;

	for (; budget && hull_virtio_next(&s->v, DEFLATE, s->chain); budget--) {
		hull_virtq_take(&s->queues[DEFLATE]);
		hull_virtio_push(&s->v, DEFLATE, s->chain->head, 0);
	}
	hull_virtio_signal(&s->v, DEFLATE);
	if (!budget)
		hull_virtio_later(&s->v, DEFLATE, 0);
}

/* 5.5.6.7: the buffers are the free pages. */
static void report(struct balloon *s, unsigned q)
{
	unsigned budget = RANGES_AT_ONCE;

	while (budget && hull_virtio_next(&s->v, q, s->chain)) {
		const struct hull_virtq_chain *c = s->chain;

		hull_virtq_take(&s->queues[q]);
		for (unsigned i = 0; i < c->nwrite; i++)
			discard(s, c->seg[c->nread + i].gpa, c->seg[c->nread + i].len);
		hull_virtio_push(&s->v, q, c->head, 0);
		budget -= MIN(budget, 1u + c->nwrite + (unsigned)(c->write_len / RANGE_BYTES));
	}
	hull_virtio_signal(&s->v, q);
	if (!budget)
		hull_virtio_later(&s->v, q, 0);
}

static void note_stats(struct balloon *s)
{
	uint64_t end = MIN(s->chain->read_len, (uint64_t)(STAT * STATS_MOST));
	uint8_t raw[STAT];

	for (uint64_t off = 0; off + STAT <= end; off += STAT) {
		if (!hull_virtq_copy_in(&s->queues[STATS], s->chain, off, raw, STAT)) {
			hull_virtio_broken(&s->v, STATS, "buffer is not memory");
			return;
		}
		if (load_le16(raw) < STAT_TAGS)
			s->stats[load_le16(raw)] = load_le64(raw + 2);
	}
}

/*
 * 5.5.6.3: the driver fills one buffer; giving it back asks for the next.  So it stays in the ring
 * for the interval, read but not taken.
 */
static void statistics(struct balloon *s)
{
	uint64_t interval = s->v.dev.prop[P_INTERVAL] * UINT64_C(1000000000);
	uint64_t now = hull_dev_now(&s->v.dev);

	if (!hull_virtio_next(&s->v, STATS, s->chain))
		return;
	if (!s->read) {
		note_stats(s);
		s->read = true;
		s->ask_at = now + interval;
	}
	if (!interval)
		return;
	if (now < s->ask_at) {
		hull_virtio_later(&s->v, STATS, s->ask_at - now);
		return;
	}
	s->read = false;
	hull_virtq_take(&s->queues[STATS]);
	hull_virtio_push(&s->v, STATS, s->chain->head, 0);
	hull_virtio_signal(&s->v, STATS);
}

/*
 * Queues of features that were not negotiated are not there (5.5.2); some drivers count the others
 * without a gap, some leave the gap.  Both find reporting at the end.
 */
static void balloon_notify(struct hull_virtio *v, unsigned q)
{
	struct balloon *s = (struct balloon *)v;

	if (q == INFLATE)
		inflate(s);
	else if (q == DEFLATE)
		deflate(s);
	else if (q == STATS && hull_virtio_has(v, F_STATS_VQ))
		statistics(s);
	else if (hull_virtio_has(v, F_PAGE_REPORTING))
		report(s, q);
}

static void balloon_reset(struct hull_virtio *v)
{
	struct balloon *s = (struct balloon *)v;

	s->actual = 0;
	s->done = s->given = 0;
	s->read = false;
	for (unsigned i = 0; i < STAT_TAGS; i++)
		s->stats[i] = UINT64_MAX;
}

static void balloon_queue_reset(struct hull_virtio *v, unsigned q)
{
	struct balloon *s = (struct balloon *)v;

	if (q == INFLATE)
		s->done = 0;
	if (q == STATS)
		s->read = false;
}

static const struct hull_virtio_ops balloon_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = balloon_features,
	.config = balloon_config,
	.config_write = balloon_config_write,
	.notify = balloon_notify,
	.reset = balloon_reset,
	.queue_reset = balloon_queue_reset,
};

static int balloon_init(struct hull_dev *d, struct hull_err *err)
{
	struct balloon *s = (struct balloon *)d;

	s->chain = hull_dev_alloc(d, sizeof(*s->chain));
	if (!s->chain)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for \"%s\"", d->name);
	return hull_virtio_init(&s->v, &balloon_ops, s->queues, QUEUES);
}

static const struct hull_field balloon_fields[] = {
	HULL_VIRTIO_FIELDS(struct balloon), HULL_VIRTQ_FIELDS(struct balloon, queues),
	HULL_FIELD(struct balloon, actual), HULL_FIELD(struct balloon, done),
	HULL_FIELD(struct balloon, given),  HULL_FIELD_ARRAY(struct balloon, stats),
};

static const struct hull_prop balloon_props[] = {
	{ "pages", "how many pages of 4 KiB the guest should give up", 0, 0, UINT32_MAX },
	{ "reporting", "take back what the guest reports as free", 1, 0, 1 },
	{ "interval", "seconds between two requests for statistics, 0: none", 0, 0, 86400 },
	HULL_VIRTIO_PROPS,
};

HULL_DEVICE(virtio_balloon) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-balloon",
	.summary = "virtio memory balloon",
	.state_size = sizeof(struct balloon),
	.init = balloon_init,
	.restored = hull_virtio_restored,
	.fields = balloon_fields,
	.nfields = ARRAY_LEN(balloon_fields),
	.props = balloon_props,
	.nprops = ARRAY_LEN(balloon_props),
};
