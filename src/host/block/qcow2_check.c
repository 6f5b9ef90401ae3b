/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Checking and repairing qcow2 images; see qcow2.h.  Everything that names a
 * cluster is followed and counted, then compared with the refcounts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "host/block/qcow2.h"

struct check {
	struct hull_q2 *q;
	struct hull_image_check *ret;
	struct hull_q2_counts counts;
	bool fix_leaks, fix_all;
	bool quiet;       /* do not report: it has been said */
	bool rebuild;     /* the refcounts cannot be put right one by one */
	bool skip_counts; /* do not count the refcount structures */
	bool active;      /* the table being followed is that of the disk */
	uint64_t next;    /* where the next cluster would be if nothing was fragmented */
};

static void say(struct check *c, const char *format, ...) HULL_PRINTF(2, 3);
static void say(struct check *c, const char *format, ...)
{
	char text[200];
	va_list args;

	if (c->quiet || !c->ret->report)
		return;
	va_start(args, format);
	hull_vformat(text, sizeof(text), format, args);
	va_end(args);
	c->ret->report(c->ret->arg, text);
}

static uint64_t file_clusters(const struct hull_q2 *q)
{
	return (hull_load_acquire(&q->base.file->size) + q->cluster - 1) >> q->cluster_bits;
}

/* Count [at, at + len); false: it is not all in the file. */
static int count(struct check *c, uint64_t at, uint64_t len, const char *what)
{
	const struct hull_q2 *q = c->q;
	uint64_t first = at >> q->cluster_bits, last;
	int rc = 0;

	if (!len)
		return 0;
	if (!hull_range_within(at, len, 0, c->counts.clusters << q->cluster_bits)) {
		say(c, "%s at %llx is outside the file", what, (unsigned long long)at);
		c->ret->corruptions++;
		return HULL_EFORMAT;
	}
	last = (at + len - 1) >> q->cluster_bits;
	for (uint64_t i = first; !rc && i <= last; i++)
		rc = hull_q2_counts_add(&c->counts, i);
	return rc;
}

/* An entry of an L2 table that cannot be right: what was there is lost. */
static void drop_entry(struct check *c, uint8_t *slice, uint32_t i)
{
	struct hull_q2_entry e = { 0 };

	if (!c->fix_all)
		return;
	if (c->q->subs > 1)
		e.bits = UINT64_C(0xffffffff) << 32;
	else if (c->q->version >= 3)
		e.word = Q2_ZERO_FLAG;
	hull_q2_entry_set(c->q, slice, i, e);
}

static void note_place(struct check *c, uint64_t host)
{
	if (!c->active)
		return;
	c->ret->allocated++;
	if (c->next && host != c->next)
		c->ret->fragmented++;
	c->next = host + c->q->cluster;
}

static int check_entry(struct check *c, uint8_t *slice, uint32_t i)
{
	struct hull_q2_entry e = hull_q2_entry_get(c->q, slice, i);
	uint64_t host = e.word & Q2_AT, len = c->q->cluster;
	uint64_t file = c->counts.clusters << c->q->cluster_bits;
	uint32_t both = (uint32_t)(e.bits & e.bits >> 32);
	int rc;

	if (e.word & Q2_PACKED) {
		hull_q2_packed_range(c->q, e.word, &host, &len);
		/* The end of the last sector may be missing. */
		if (host < file)
			len = MIN(len, file - host);
		rc = e.bits ? HULL_EFORMAT : count(c, host, len, "a compressed cluster");
		if (!rc && c->active) {
			c->ret->allocated++;
			c->ret->compressed++;
			/* As the reference counts it. */
			c->ret->fragmented++;
		}
	} else if (!host) {
		rc = c->q->subs > 1 && (uint32_t)e.bits ? HULL_EFORMAT : 0;
		if (rc)
			c->ret->corruptions++;
	} else if (!is_aligned(host, c->q->cluster) || both) {
		say(c, "the L2 entry %llx makes no sense", (unsigned long long)e.word);
		c->ret->corruptions++;
		rc = HULL_EFORMAT;
	} else {
		rc = count(c, host, len, "a cluster");
		if (!rc)
			note_place(c, host);
	}
	if (rc == HULL_EFORMAT) {
		drop_entry(c, slice, i);
		rc = 0;
	}
	return rc;
}

static int check_table(struct check *c, uint64_t table)
{
	uint32_t n = hull_q2_slice_entries(c->q);
	int rc = 0;

	for (uint64_t at = table; !rc && at < table + c->q->cluster; at += c->q->l2.slice) {
		uint8_t *slice;

		rc = hull_q2_cache_get(c->q, &c->q->l2, at, &slice);
		for (uint32_t i = 0; !rc && i < n; i++)
			rc = check_entry(c, slice, i);
	}
	return rc;
}

/* One L1 table and what is below; bad entries of the active one may be dropped. */
static int check_l1(struct check *c, uint64_t *l1, uint32_t n)
{
	struct hull_q2 *q = c->q;
	struct hull_q2_set seen = { 0 };
	int rc = 0;

	for (uint32_t i = 0; !rc && i < n; i++) {
		uint64_t table = l1[i] & Q2_AT;

		if (!table)
			continue;
		rc = is_aligned(table, q->cluster) ? 0 : HULL_EFORMAT;
		if (!rc)
			rc = hull_q2_set_add(&seen, table >> q->cluster_bits);
		if (rc == HULL_EFORMAT || rc == HULL_EEXIST) {
			say(c, "the L1 entry %llx makes no sense", (unsigned long long)l1[i]);
			c->ret->corruptions++;
			rc = HULL_EFORMAT;
		}
		if (!rc)
			rc = count(c, table, q->cluster, "an L2 table");
		if (!rc)
			rc = check_table(c, table);
		if (rc != HULL_EFORMAT)
			continue;
		rc = 0;
		if (c->active && c->fix_all) {
			l1[i] = 0;
			q->l1_dirty_from = MIN(q->l1_dirty_from, i);
			q->l1_dirty_to = MAX(q->l1_dirty_to, i + 1);
		}
	}
	free(seen.keys);
	return rc;
}

static int check_snapshots(struct check *c)
{
	struct hull_q2 *q = c->q;
	int rc = count(c, q->snapshots_at, q->snapshots_len, "the list of snapshots");

	for (unsigned i = 0; !rc && i < q->nsnapshots; i++) {
		const struct hull_q2_snapshot *s = &q->snapshots[i];
		uint64_t bytes = (uint64_t)s->l1_size * 8;
		uint64_t *l1 = malloc(bytes + 1);

		rc = l1 ? hull_q2_pread(q, s->l1_at, l1, bytes) : HULL_ENOMEM;
		for (uint32_t k = 0; !rc && k < s->l1_size; k++)
			l1[k] = load_be64(&l1[k]);
		if (!rc)
			rc = count(c, s->l1_at, bytes, "the L1 table of a snapshot");
		if (!rc)
			rc = check_l1(c, l1, s->l1_size);
		free(l1);
	}
	return rc == HULL_EFORMAT ? 0 : rc;
}

/* The table of one bitmap, and the clusters that it names. */
static int check_bitmap(struct check *c, uint64_t at, uint64_t n)
{
	uint8_t *table;
	int rc = is_aligned(at, c->q->cluster) ? count(c, at, n * 8, "a bitmap") : HULL_EFORMAT;

	if (rc)
		return rc;
	table = malloc(n * 8 + 1);
	rc = table ? hull_q2_pread(c->q, at, table, n * 8) : HULL_ENOMEM;
	for (uint64_t i = 0; !rc && i < n; i++) {
		uint64_t host = load_be64(table + 8 * i) & Q2_AT;

		if (host)
			rc = count(c, host, c->q->cluster, "a cluster of a bitmap");
		if (rc == HULL_EFORMAT)
			rc = 0;
	}
	free(table);
	return rc;
}

static int check_bitmaps(struct check *c)
{
	struct hull_q2 *q = c->q;
	uint64_t at = 0;
	uint8_t *dir;
	int rc;

	if (!q->nbitmaps)
		return 0;
	rc = count(c, q->bitmaps_at, q->bitmaps_len, "the list of bitmaps");
	dir = malloc(q->bitmaps_len + 1);
	if (!rc)
		rc = dir ? hull_q2_pread(q, q->bitmaps_at, dir, q->bitmaps_len) : HULL_ENOMEM;
	for (uint32_t i = 0; !rc && i < q->nbitmaps; i++) {
		uint64_t len, n;

		if (!hull_range_within(at, 24, 0, q->bitmaps_len)) {
			rc = HULL_EFORMAT;
			break;
		}
		n = load_be32(dir + at + 8);
		len = 24 + (uint64_t)load_be32(dir + at + 20) + load_be16(dir + at + 18);
		rc = n * 8 > Q2_L1_BYTES_MAX ? HULL_EFORMAT
		                             : check_bitmap(c, load_be64(dir + at), n);
		at += align_up(len, 8);
	}
	free(dir);
	if (rc == HULL_EFORMAT) {
		say(c, "the list of bitmaps is damaged");
		c->ret->corruptions++;
		rc = 0;
	}
	return rc;
}

static int check_refblocks(struct check *c)
{
	struct hull_q2 *q = c->q;
	uint64_t n = (uint64_t)q->reftable_clusters << (q->cluster_bits - 3);
	struct hull_q2_set seen = { 0 };
	int rc;

	if (c->skip_counts)
		return 0;
	rc = count(c, q->reftable_at, n * 8, "the refcount table");
	for (uint64_t i = 0; !rc && i < n; i++) {
		uint64_t at = q->reftable[i];

		if (!at)
			continue;
		rc = is_aligned(at, q->cluster) ? hull_q2_set_add(&seen, at >> q->cluster_bits)
		                                : HULL_EFORMAT;
		if (!rc)
			rc = count(c, at, q->cluster, "a refcount block");
		else if (rc == HULL_EEXIST || rc == HULL_EFORMAT) {
			say(c, "the refcount block %llx is misplaced", (unsigned long long)at);
			c->ret->corruptions++;
			rc = HULL_EFORMAT;
		}
		if (rc == HULL_EFORMAT) {
			/* As if there were none: it counts nothing. */
			c->rebuild = true;
			q->reftable[i] = 0;
			rc = 0;
		}
	}
	free(seen.keys);
	return rc;
}

static int count_all(struct check *c)
{
	struct hull_q2 *q = c->q;
	int rc = hull_q2_counts_init(&c->counts, file_clusters(q));

	c->next = 0;
	if (!rc)
		rc = count(c, 0, q->cluster, "the header");
	if (!rc)
		rc = check_refblocks(c);
	if (!rc)
		rc = count(c, q->l1_at, (uint64_t)q->l1_size * 8, "the L1 table");
	c->active = true;
	if (!rc)
		rc = check_l1(c, q->l1, q->l1_size);
	c->active = false;
	if (!rc)
		rc = check_snapshots(c);
	return rc ? rc : check_bitmaps(c);
}

/* The count of one cluster against its refcount. */
static int compare(struct check *c, uint64_t cluster, uint64_t have, uint64_t want)
{
	bool leak = have > want;
	int rc = 0;

	if (have == want)
		return 0;
	say(c, "cluster %llx: refcount %llu, references %llu%s",
	    (unsigned long long)(cluster << c->q->cluster_bits), (unsigned long long)have,
	    (unsigned long long)want, leak ? " (leaked)" : "");
	if (leak)
		c->ret->leaks++;
	else
		c->ret->corruptions++;
	if (leak ? c->fix_leaks || c->fix_all : c->fix_all) {
		rc = want > low_mask(1u << c->q->refcount_order)
		             ? HULL_ENOENT
		             : hull_q2_ref_set(c->q, cluster, want);
		if (rc == HULL_ENOENT)
			c->rebuild = true;
		if (!want)
			c->q->hint = MIN(c->q->hint, cluster);
	}
	return rc == HULL_ENOENT ? 0 : rc;
}

/* The clusters that one entry of the refcount table is for. */
static int compare_block(struct check *c, uint64_t i)
{
	struct hull_q2 *q = c->q;
	uint64_t from = i << q->refblock_bits, to = from + BIT(q->refblock_bits);
	uint64_t n = (uint64_t)q->reftable_clusters << (q->cluster_bits - 3);
	bool absent = i >= n || !q->reftable[i];
	int rc = 0;

	if (absent && !hull_q2_counts_any(&c->counts, from, to))
		return 0;
	for (uint64_t k = from; !rc && k < to; k++) {
		uint64_t have;

		rc = hull_q2_refcount(q, k, &have);
		if (!rc)
			rc = compare(c, k, have, hull_q2_counts_get(&c->counts, k));
	}
	return rc;
}

static int compare_all(struct check *c)
{
	struct hull_q2 *q = c->q;
	uint64_t n = (uint64_t)q->reftable_clusters << (q->cluster_bits - 3);
	uint64_t used = (c->counts.end + BIT(q->refblock_bits) - 1) >> q->refblock_bits;
	int rc = 0;

	for (uint64_t i = 0; !rc && i < MAX(n, used); i++)
		rc = compare_block(c, i);
	c->ret->end = c->counts.end << q->cluster_bits;
	return rc;
}

static int check_flag(struct check *c, uint64_t entry, bool *ret_wrong)
{
	uint64_t refcount;
	int rc = hull_q2_refcount(c->q, (entry & Q2_AT) >> c->q->cluster_bits, &refcount);

	*ret_wrong = !rc && (refcount == 1) != !!(entry & Q2_COPIED);
	if (*ret_wrong) {
		say(c, "the entry %llx has the wrong flag for refcount %llu",
		    (unsigned long long)entry, (unsigned long long)refcount);
		c->ret->corruptions++;
	}
	return rc;
}

/* Are the COPIED flags those of the refcounts, as they are now? */
static int check_copied(struct check *c)
{
	struct hull_q2 *q = c->q;
	uint32_t n = hull_q2_slice_entries(q);
	bool wrong, any = false;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < q->l1_size; i++) {
		uint64_t table = q->l1[i] & Q2_AT;

		if (!table || !is_aligned(table, q->cluster) ||
		    table >> q->cluster_bits >= c->counts.clusters)
			continue;
		rc = check_flag(c, q->l1[i], &wrong);
		any = any || wrong;
		for (uint64_t at = table; !rc && at < table + q->cluster; at += q->l2.slice) {
			uint8_t *slice;

			rc = hull_q2_cache_get(q, &q->l2, at, &slice);
			for (uint32_t k = 0; !rc && k < n; k++) {
				uint64_t word = hull_q2_entry_get(q, slice, k).word;

				if (word & Q2_PACKED || !(word & Q2_AT))
					continue;
				rc = check_flag(c, word, &wrong);
				any = any || wrong;
			}
		}
	}
	if (!rc && any && c->fix_all)
		rc = hull_q2_copied(q);
	return rc;
}

static int rebuild(struct check *c)
{
	int rc;

	hull_q2_counts_fini(&c->counts);
	c->quiet = c->skip_counts = true;
	rc = count_all(c);
	if (!rc)
		rc = hull_q2_rebuild(c->q, &c->counts);
	c->rebuild = c->skip_counts = false;
	return rc;
}

static int pass(struct check *c)
{
	int rc = count_all(c);

	if (!rc)
		rc = compare_all(c);
	if (!rc && c->rebuild && c->fix_all) {
		struct hull_image_check found = *c->ret;

		rc = rebuild(c);
		*c->ret = found;
	}
	if (!rc)
		rc = check_copied(c);
	hull_q2_counts_fini(&c->counts);
	return rc;
}

/* Look again at what has been repaired. */
static int second_pass(struct check *c)
{
	struct hull_image_check *r = c->ret, first = *r;
	int rc = hull_q2_write_all(c->q);

	if (!rc)
		rc = hull_q2_write_refs_now(c->q);
	if (!rc)
		rc = hull_q2_barrier(c->q);
	*r = (struct hull_image_check){ .report = first.report,
		                        .arg = first.arg,
		                        .total = first.total };
	c->fix_all = c->fix_leaks = false;
	c->quiet = true;
	if (!rc)
		rc = pass(c);
	r->corruptions_fixed = first.corruptions - MIN(first.corruptions, r->corruptions);
	r->leaks_fixed = first.leaks - MIN(first.leaks, r->leaks);
	return rc;
}

/* The image is whole again: nothing in its header says otherwise. */
static int absolve(struct hull_q2 *q)
{
	int rc = 0;

	q->unsure = false;
	hull_store_relaxed(&q->corrupt, false);
	if (q->incompatible & (Q2_DIRTY | Q2_CORRUPT)) {
		q->incompatible &= ~(Q2_CORRUPT | Q2_DIRTY);
		rc = hull_q2_header_update(q);
		if (!rc)
			rc = hull_q2_barrier(q);
	}
	return rc ? rc : hull_q2_meta_build(q, NULL);
}

int hull_q2_check(struct hull_image *img, bool repair_leaks, bool repair_all,
                  struct hull_image_check *ret, struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct check c = { .q = q, .ret = ret, .fix_leaks = repair_leaks, .fix_all = repair_all };
	int rc = 0;

	if ((repair_leaks || repair_all) && img->read_only)
		return hull_fail(err, HULL_EPERM, 302, "the image \"%s\" is opened read-only",
		                 img->file->path);
	*ret = (struct hull_image_check){ .report = ret->report, .arg = ret->arg };
	ret->total = (img->size + q->cluster - 1) >> q->cluster_bits;
	hull_q2_stop(q);
	if (!img->read_only) {
		rc = hull_q2_write_all(q);
		if (!rc)
			rc = hull_q2_write_refs_now(q);
	}
	if (!rc)
		rc = pass(&c);
	if (!rc && (repair_leaks || repair_all) && (ret->corruptions || ret->leaks))
		rc = second_pass(&c);
	if (!rc && repair_all && !ret->corruptions)
		rc = absolve(q);
	hull_q2_go(q);
	if (rc == HULL_EOVERFLOW)
		return hull_fail(err, rc, 328, "checking \"%s\" would take too much memory",
		                 img->file->path);
	return rc ? hull_q2_io_failed(q, err, rc, "it cannot be checked") : 0;
}
