/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Internal snapshots of qcow2 images; see qcow2.h.
 *
 * A snapshot is a copy of the L1 table, with every cluster that it reaches
 * counted once more.  The operations change many refcounts, which no order of
 * writes makes one step: the dirty bit is set meanwhile, so that whoever opens
 * the image after a crash counts again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "host/block/qcow2.h"

/* Offsets in an entry of the table. */
enum {
	S_L1_AT = 0,
	S_L1_SIZE = 8,
	S_ID_LEN = 12,
	S_NAME_LEN = 14,
	S_DATE = 16,
	S_DATE_NSEC = 20,
	S_CLOCK = 24,
	S_STATE = 32,
	S_EXTRA_LEN = 36,
	S_BYTES = 40,
	X_STATE = 0,
	X_DISK = 8,
	X_BYTES = 16,
};

static size_t tail_len(const struct hull_q2_snapshot *s)
{
	return (size_t)s->extra_len + s->id_len + s->name_len;
}

void hull_q2_snapshots_free(struct hull_q2 *q)
{
	for (unsigned i = 0; q->snapshots && i < q->nsnapshots; i++)
		free(q->snapshots[i].tail);
	free(q->snapshots);
	q->snapshots = NULL;
}

static int read_entry(struct hull_q2 *q, uint64_t at, struct hull_q2_snapshot *s)
{
	uint64_t file = hull_load_acquire(&q->base.file->size);
	uint8_t h[S_BYTES];
	int rc = hull_q2_pread(q, at, h, sizeof(h));

	if (rc)
		return rc;
	s->l1_at = load_be64(h + S_L1_AT);
	s->l1_size = load_be32(h + S_L1_SIZE);
	s->id_len = load_be16(h + S_ID_LEN);
	s->name_len = load_be16(h + S_NAME_LEN);
	s->date_sec = load_be32(h + S_DATE);
	s->date_nsec = load_be32(h + S_DATE_NSEC);
	s->vm_clock_ns = load_be64(h + S_CLOCK);
	s->state_bytes = load_be32(h + S_STATE);
	s->extra_len = load_be32(h + S_EXTRA_LEN);
	if (s->extra_len > Q2_EXTRA_MAX || s->l1_size > Q2_L1_BYTES_MAX / 8 ||
	    !is_aligned(s->l1_at, q->cluster) ||
	    !hull_range_within(s->l1_at, (uint64_t)s->l1_size * 8, 0, file) ||
	    !hull_range_within(at, S_BYTES + tail_len(s), 0, file))
		return HULL_EFORMAT;
	s->tail = malloc(tail_len(s) + 1);
	if (!s->tail)
		return HULL_ENOMEM;
	rc = hull_q2_pread(q, at + S_BYTES, s->tail, tail_len(s));
	if (rc)
		free(s->tail);
	return rc;
}

int hull_q2_snapshots_read(struct hull_q2 *q, struct hull_err *err)
{
	unsigned n = q->nsnapshots;
	uint64_t at = q->snapshots_at;
	int rc = 0;

	q->nsnapshots = 0;
	/* 40 bytes each at least: as many as the header says only if the file has them. */
	if ((uint64_t)n * S_BYTES > hull_load_acquire(&q->base.file->size))
		return hull_q2_bad(q, err, "its list of snapshots is cut off");
	q->snapshots = calloc(MAX(n, 1u), sizeof(*q->snapshots));
	if (!q->snapshots)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the snapshots of a disk");
	while (!rc && q->nsnapshots < n) {
		struct hull_q2_snapshot *s = &q->snapshots[q->nsnapshots];

		rc = read_entry(q, at, s);
		if (rc)
			break;
		q->nsnapshots++;
		at = align_up(at + S_BYTES + tail_len(s), 8);
		if (at - q->snapshots_at > Q2_SNAPSHOT_TABLE_MAX)
			rc = HULL_EFORMAT;
	}
	q->snapshots_len = at - q->snapshots_at;
	return rc ? hull_q2_io_failed(q, err, rc, "its list of snapshots is damaged") : 0;
}

static uint64_t disk_size(const struct hull_q2 *q, const struct hull_q2_snapshot *s)
{
	return s->extra_len >= X_BYTES ? load_be64(s->tail + X_DISK) : q->base.size;
}

static void text_of(const uint8_t *p, size_t len, char *ret, size_t room)
{
	len = MIN(len, room - 1);
	for (size_t i = 0; i < len; i++)
		ret[i] = p[i] < ' ' || p[i] == 127 ? '?' : (char)p[i];
	ret[len] = 0;
}

static void describe(const struct hull_q2 *q, const struct hull_q2_snapshot *s,
                     struct hull_image_snapshot *ret)
{
	*ret = (struct hull_image_snapshot){ .size = disk_size(q, s),
		                             .state_bytes = s->state_bytes,
		                             .vm_clock_ns = s->vm_clock_ns };
	text_of(s->tail + s->extra_len, s->id_len, ret->id, sizeof(ret->id));
	text_of(s->tail + s->extra_len + s->id_len, s->name_len, ret->name, sizeof(ret->name));
	ret->date_ns = (int64_t)s->date_sec * 1000000000 + MIN(s->date_nsec, 999999999u);
	if (s->extra_len >= X_STATE + 8)
		ret->state_bytes = load_be64(s->tail + X_STATE);
}

int hull_q2_snapshot_at(struct hull_image *img, unsigned i, struct hull_image_snapshot *ret)
{
	struct hull_q2 *q = hull_q2_of(img);

	if (i >= q->nsnapshots)
		return HULL_ENOENT;
	describe(q, &q->snapshots[i], ret);
	return 0;
}

/* By id, else by name. */
static int find(struct hull_q2 *q, const char *which, unsigned *ret)
{
	struct hull_image_snapshot s;

	for (int by_name = 0; by_name < 2; by_name++)
		for (unsigned i = 0; i < q->nsnapshots; i++) {
			describe(q, &q->snapshots[i], &s);
			if (!strcmp(by_name ? s.name : s.id, which)) {
				*ret = i;
				return 0;
			}
		}
	return HULL_ENOENT;
}

static uint64_t clusters_of(const struct hull_q2 *q, uint64_t bytes)
{
	return (bytes + q->cluster - 1) >> q->cluster_bits;
}

/* Counts of what one L2 table names. */
static int table_refs(struct hull_q2 *q, uint64_t table, int delta)
{
	uint32_t n = hull_q2_slice_entries(q);
	int rc = 0;

	for (uint64_t at = table; !rc && at < table + q->cluster; at += q->l2.slice) {
		uint8_t *slice;

		rc = hull_q2_cache_get(q, &q->l2, at, &slice);
		for (uint32_t i = 0; !rc && i < n; i++) {
			uint64_t word = hull_q2_entry_get(q, slice, i).word, len = 1;
			uint64_t host = word & Q2_AT, from;

			if (word & Q2_PACKED)
				hull_q2_packed_range(q, word, &host, &len);
			else if (!host)
				continue;
			from = host >> q->cluster_bits;
			rc = hull_q2_ref_add(
				q, from, ((host + len - 1) >> q->cluster_bits) - from + 1, delta);
		}
	}
	return rc;
}

int hull_q2_tree_refs(struct hull_q2 *q, const uint64_t *l1, uint32_t n, int delta)
{
	struct hull_q2_set seen = { 0 };
	int rc = 0;

	for (uint32_t i = 0; !rc && i < n; i++) {
		uint64_t table = l1[i] & Q2_AT;

		if (!table)
			continue;
		rc = is_aligned(table, q->cluster) ? 0 : HULL_EFORMAT;
		/* A table that is named twice would make this take for ever. */
		if (!rc)
			rc = hull_q2_set_add(&seen, table >> q->cluster_bits);
		if (!rc)
			rc = table_refs(q, table, delta);
		if (!rc)
			rc = hull_q2_ref_add(q, table >> q->cluster_bits, 1, delta);
	}
	free(seen.keys);
	return rc == HULL_EFORMAT || rc == HULL_EEXIST ? hull_q2_damage(q) : rc;
}

static int table_copied(struct hull_q2 *q, uint64_t table)
{
	uint32_t n = hull_q2_slice_entries(q);
	int rc = 0;

	for (uint64_t at = table; !rc && at < table + q->cluster; at += q->l2.slice) {
		uint8_t *slice;

		rc = hull_q2_cache_get(q, &q->l2, at, &slice);
		for (uint32_t i = 0; !rc && i < n; i++) {
			struct hull_q2_entry e = hull_q2_entry_get(q, slice, i);
			uint64_t host = e.word & Q2_AT, count, word;

			if (e.word & Q2_PACKED || !host)
				continue;
			rc = hull_q2_refcount(q, host >> q->cluster_bits, &count);
			word = (e.word & ~Q2_COPIED) | (count == 1 ? Q2_COPIED : 0);
			if (rc || word == e.word)
				continue;
			e.word = word;
			hull_q2_entry_set(q, slice, i, e);
		}
	}
	return rc;
}

int hull_q2_copied(struct hull_q2 *q)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < q->l1_size; i++) {
		uint64_t table = q->l1[i] & Q2_AT, count;

		if (!table)
			continue;
		rc = hull_q2_refcount(q, table >> q->cluster_bits, &count);
		if (!rc)
			rc = table_copied(q, table);
		if (!rc)
			q->l1[i] = table | (count == 1 ? Q2_COPIED : 0);
	}
	q->l1_dirty_from = 0;
	q->l1_dirty_to = q->l1_size;
	return rc;
}

int hull_q2_l1_store(struct hull_q2 *q, struct hull_q2_l1 *l1)
{
	uint64_t n = clusters_of(q, MAX((uint64_t)l1->n * 8, (uint64_t)1)), cluster;
	uint8_t *raw;
	int rc = hull_q2_alloc_table(q, n, &cluster);

	if (rc)
		return rc;
	raw = calloc(n, q->cluster);
	if (!raw)
		return HULL_ENOMEM;
	for (uint32_t i = 0; i < l1->n; i++)
		store_be64(raw + 8 * (size_t)i, l1->entries[i]);
	l1->at = cluster << q->cluster_bits;
	rc = hull_q2_pwrite(q, l1->at, raw, n << q->cluster_bits);
	free(raw);
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	return rc ? rc : hull_q2_barrier(q);
}

int hull_q2_l1_switch(struct hull_q2 *q, struct hull_q2_l1 *l1, uint64_t size)
{
	struct hull_q2_l1 old = { q->l1, q->l1_size, q->l1_at };
	uint64_t old_size = q->base.size;
	int rc;

	q->l1 = l1->entries;
	q->l1_size = l1->n;
	q->l1_at = l1->at;
	hull_store_release(&q->base.size, size);
	rc = hull_q2_header_update(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (rc) {
		/* Nobody knows which the disk holds now. */
		hull_store_relaxed(&q->corrupt, true);
		q->l1 = old.entries;
		q->l1_size = old.n;
		q->l1_at = old.at;
		hull_store_release(&q->base.size, old_size);
		return rc;
	}
	q->l1_dirty_from = UINT32_MAX;
	q->l1_dirty_to = 0;
	*l1 = old;
	return old.at ? hull_q2_ref_add(q, old.at >> q->cluster_bits,
	                                clusters_of(q, (uint64_t)old.n * 8), -1)
	              : 0;
}

/* Write the list of snapshots to a new place and make the header name it. */
static int write_table(struct hull_q2 *q)
{
	uint64_t old_at = q->snapshots_at, old_len = q->snapshots_len, len = 0, cluster = 0;
	uint8_t *raw, *p;
	int rc;

	for (unsigned i = 0; i < q->nsnapshots; i++)
		len = align_up(len + S_BYTES + tail_len(&q->snapshots[i]), 8);
	if (len > Q2_SNAPSHOT_TABLE_MAX)
		return HULL_EOVERFLOW;
	raw = calloc(1, len + 1);
	if (!raw)
		return HULL_ENOMEM;
	p = raw;
	for (unsigned i = 0; i < q->nsnapshots; i++) {
		const struct hull_q2_snapshot *s = &q->snapshots[i];

		store_be64(p + S_L1_AT, s->l1_at);
		store_be32(p + S_L1_SIZE, s->l1_size);
		store_be16(p + S_ID_LEN, s->id_len);
		store_be16(p + S_NAME_LEN, s->name_len);
		store_be32(p + S_DATE, s->date_sec);
		store_be32(p + S_DATE_NSEC, s->date_nsec);
		store_be64(p + S_CLOCK, s->vm_clock_ns);
		store_be32(p + S_STATE, s->state_bytes);
		store_be32(p + S_EXTRA_LEN, s->extra_len);
		memcpy(p + S_BYTES, s->tail, tail_len(s));
		p += align_up(S_BYTES + tail_len(s), 8);
	}
	rc = len ? hull_q2_alloc_table(q, clusters_of(q, len), &cluster) : 0;
	if (!rc && len)
		rc = hull_q2_pwrite(q, cluster << q->cluster_bits, raw, len);
	free(raw);
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (rc)
		return rc;
	q->snapshots_at = cluster << q->cluster_bits;
	q->snapshots_len = len;
	rc = hull_q2_header_update(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (rc) {
		hull_store_relaxed(&q->corrupt, true);
		return rc;
	}
	return old_len ? hull_q2_ref_add(q, old_at >> q->cluster_bits, clusters_of(q, old_len), -1)
	               : 0;
}

/* Everything else stands still, everything is written, the dirty bit is set. */
static int begin(struct hull_q2 *q, struct hull_err *err)
{
	int rc = hull_q2_writable(q);

	if (rc)
		return hull_q2_io_failed(q, err, rc, "it cannot be written");
	hull_q2_stop(q);
	rc = hull_q2_write_all(q);
	if (!rc)
		rc = hull_q2_set_dirty(q, true);
	if (!rc)
		return 0;
	hull_q2_go(q);
	return hull_q2_io_failed(q, err, rc, "its tables cannot be written");
}

/* The new state becomes stable; after an error the counts are taken anew. */
static int finish(struct hull_q2 *q, int rc, const char *what, struct hull_err *err)
{
	if (!rc)
		rc = hull_q2_write_all(q);
	hull_q2_cache_clear(&q->l2);
	if (!rc)
		rc = hull_q2_copied(q);
	if (!rc)
		rc = hull_q2_write_all(q);
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	if (!rc && !(q->compatible & Q2_LAZY))
		rc = hull_q2_set_dirty(q, false);
	if (!rc)
		rc = hull_q2_meta_build(q, err);
	q->unsure = q->unsure || rc;
	hull_q2_go(q);
	if (rc && !hull_load_relaxed(&q->corrupt)) {
		struct hull_image_check again = { 0 };

		(void)hull_q2_check(&q->base, true, true, &again, NULL);
	}
	return rc ? hull_q2_io_failed(q, err, rc, what) : 0;
}

static int fill_entry(struct hull_q2 *q, const struct hull_image_snapshot *s,
                      struct hull_q2_snapshot *ret)
{
	uint64_t id = 0;
	char text[24];

	for (unsigned i = 0; i < q->nsnapshots; i++) {
		struct hull_image_snapshot other;
		uint64_t v;

		describe(q, &q->snapshots[i], &other);
		if (hull_parse_u64(other.id, &v) && v < UINT64_MAX)
			id = MAX(id, v);
	}
	hull_format(text, sizeof(text), "%llu", (unsigned long long)id + 1);
	*ret = (struct hull_q2_snapshot){
		.date_sec = (uint32_t)(s->date_ns / 1000000000),
		.date_nsec = (uint32_t)(s->date_ns % 1000000000),
		.vm_clock_ns = s->vm_clock_ns,
		.extra_len = X_BYTES,
		.id_len = (uint16_t)strlen(text),
		.name_len = (uint16_t)strlen(s->name),
	};
	ret->tail = calloc(1, tail_len(ret));
	if (!ret->tail)
		return HULL_ENOMEM;
	store_be64(ret->tail + X_DISK, q->base.size);
	memcpy(ret->tail + X_BYTES, text, ret->id_len);
	memcpy(ret->tail + X_BYTES + ret->id_len, s->name, ret->name_len);
	return 0;
}

/* The tables are as they were; all of it counted once more, and named by the new entry. */
static int take(struct hull_q2 *q, struct hull_q2_snapshot *s)
{
	struct hull_q2_snapshot *list;
	struct hull_q2_l1 l1 = { .n = q->l1_size };
	int rc;

	list = realloc(q->snapshots, (q->nsnapshots + 1) * sizeof(*list));
	if (!list)
		return HULL_ENOMEM;
	q->snapshots = list;
	l1.entries = malloc(MAX(l1.n, 1u) * sizeof(*l1.entries));
	if (!l1.entries)
		return HULL_ENOMEM;
	for (uint32_t i = 0; i < l1.n; i++)
		l1.entries[i] = q->l1[i] & Q2_AT;
	rc = hull_q2_l1_store(q, &l1);
	if (!rc)
		rc = hull_q2_tree_refs(q, l1.entries, l1.n, 1);
	free(l1.entries);
	/* Nobody may write in place any more once the snapshot exists. */
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	if (!rc)
		rc = hull_q2_copied(q);
	if (!rc)
		rc = hull_q2_write_all(q);
	if (rc)
		return rc;
	s->l1_at = l1.at;
	s->l1_size = l1.n;
	list[q->nsnapshots++] = *s;
	rc = write_table(q);
	if (rc)
		q->nsnapshots--;
	return rc;
}

int hull_q2_snapshot_create(struct hull_image *img, const struct hull_image_snapshot *s,
                            struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_q2_snapshot entry;
	unsigned i;
	int rc;

	if (!s->name[0])
		return hull_fail(err, HULL_EINVAL, 325, "a snapshot needs a name");
	if (!find(q, s->name, &i))
		return hull_fail(err, HULL_EEXIST, 325, "\"%s\" has a snapshot \"%s\" already",
		                 img->file->path, s->name);
	if (q->nsnapshots >= Q2_SNAPSHOTS_MAX || !q->refcount_order)
		return hull_fail(err, HULL_ENOTSUP, 325, "\"%s\" cannot have %s snapshots",
		                 img->file->path, q->refcount_order ? "more" : "any");
	rc = begin(q, err);
	if (rc)
		return rc;
	rc = fill_entry(q, s, &entry);
	if (!rc) {
		rc = take(q, &entry);
		if (rc)
			free(entry.tail);
	}
	return finish(q, rc, "the snapshot cannot be made", err);
}

static int not_found(struct hull_q2 *q, const char *which, struct hull_err *err)
{
	hull_fail(err, HULL_ENOENT, 326, "\"%s\" has no snapshot \"%s\"", q->base.file->path,
	          which);
	hull_err_fix(err, "hull disk snapshot %s ls", q->base.file->path);
	return HULL_ENOENT;
}

/* The snapshot's L1 table, with at least `room` entries. */
static int read_l1(struct hull_q2 *q, const struct hull_q2_snapshot *s, uint64_t room,
                   struct hull_q2_l1 *ret)
{
	uint8_t *raw = malloc((size_t)s->l1_size * 8 + 1);
	int rc = raw ? hull_q2_pread(q, s->l1_at, raw, (uint64_t)s->l1_size * 8) : HULL_ENOMEM;

	ret->n = (uint32_t)MAX((uint64_t)s->l1_size, room);
	ret->at = s->l1_at;
	ret->entries = calloc(MAX(ret->n, 1u), sizeof(*ret->entries));
	if (!ret->entries)
		rc = HULL_ENOMEM;
	for (uint32_t i = 0; !rc && i < s->l1_size; i++)
		ret->entries[i] = load_be64(raw + 8 * (size_t)i) & Q2_AT;
	free(raw);
	return rc;
}

static int revert(struct hull_q2 *q, const struct hull_q2_snapshot *s)
{
	uint64_t span = BIT(q->cluster_bits + q->l2_bits), size = disk_size(q, s), need;
	struct hull_q2_l1 l1 = { 0 };
	int rc;

	if (size > INT64_MAX - span)
		return HULL_EFORMAT;
	size = align_down(size, 512);
	need = (size + span - 1) / span;
	if (need > Q2_L1_BYTES_MAX / 8)
		return HULL_EFORMAT;
	rc = read_l1(q, s, need, &l1);
	if (!rc)
		rc = hull_q2_l1_store(q, &l1);
	if (!rc)
		rc = hull_q2_tree_refs(q, l1.entries, l1.n, 1);
	if (!rc)
		rc = hull_q2_write_refs_now(q);
	if (!rc)
		rc = hull_q2_barrier(q);
	/* From here l1 is the old table. */
	if (!rc)
		rc = hull_q2_l1_switch(q, &l1, size);
	if (!rc)
		rc = hull_q2_tree_refs(q, l1.entries, l1.n, -1);
	free(l1.entries);
	return rc;
}

int hull_q2_snapshot_apply(struct hull_image *img, const char *which, struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	unsigned i;
	int rc;

	if (find(q, which, &i))
		return not_found(q, which, err);
	rc = begin(q, err);
	if (rc)
		return rc;
	return finish(q, revert(q, &q->snapshots[i]), "the snapshot cannot be applied", err);
}

static int remove_entry(struct hull_q2 *q, unsigned i)
{
	struct hull_q2_snapshot s = q->snapshots[i];
	struct hull_q2_l1 l1 = { 0 };
	int rc = read_l1(q, &s, 0, &l1);

	if (rc) {
		free(l1.entries);
		return rc;
	}
	q->nsnapshots--;
	memmove(&q->snapshots[i], &q->snapshots[i + 1], (q->nsnapshots - i) * sizeof(s));
	rc = write_table(q);
	if (rc) {
		memmove(&q->snapshots[i + 1], &q->snapshots[i], (q->nsnapshots - i) * sizeof(s));
		q->snapshots[i] = s;
		q->nsnapshots++;
		free(l1.entries);
		return rc;
	}
	free(s.tail);
	rc = hull_q2_tree_refs(q, l1.entries, l1.n, -1);
	if (!rc && l1.n)
		rc = hull_q2_ref_add(q, l1.at >> q->cluster_bits,
		                     clusters_of(q, (uint64_t)l1.n * 8), -1);
	free(l1.entries);
	return rc;
}

int hull_q2_snapshot_delete(struct hull_image *img, const char *which, struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	unsigned i;
	int rc;

	if (find(q, which, &i))
		return not_found(q, which, err);
	rc = begin(q, err);
	if (rc)
		return rc;
	return finish(q, remove_entry(q, i), "the snapshot cannot be deleted", err);
}

int hull_q2_make_empty(struct hull_image *img, struct hull_err *err)
{
	struct hull_q2 *q = hull_q2_of(img);
	struct hull_q2_l1 l1 = { .n = q->l1_size };
	int rc = begin(q, err);

	if (rc)
		return rc;
	l1.n = q->l1_size;
	l1.entries = calloc(MAX(l1.n, 1u), sizeof(*l1.entries));
	rc = l1.entries ? hull_q2_l1_store(q, &l1) : HULL_ENOMEM;
	if (!rc)
		rc = hull_q2_l1_switch(q, &l1, q->base.size);
	if (!rc)
		rc = hull_q2_tree_refs(q, l1.entries, l1.n, -1);
	free(l1.entries);
	return finish(q, rc, "it cannot be emptied", err);
}
