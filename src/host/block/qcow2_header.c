/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The header of qcow2 images and its extensions; see qcow2.h. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "host/block/qcow2.h"

/* Offsets of the fields, as in the specification. */
enum {
	H_VERSION = 4,
	H_BACKING_AT = 8,
	H_BACKING_LEN = 16,
	H_CLUSTER_BITS = 20,
	H_SIZE = 24,
	H_CRYPT = 32,
	H_L1_SIZE = 36,
	H_L1_AT = 40,
	H_REFTABLE_AT = 48,
	H_REFTABLE_CLUSTERS = 56,
	H_NSNAPSHOTS = 60,
	H_SNAPSHOTS_AT = 64,
	H_V2_BYTES = 72,
	H_INCOMPATIBLE = 72,
	H_COMPATIBLE = 80,
	H_AUTOCLEAR = 88,
	H_REFCOUNT_ORDER = 96,
	H_LENGTH = 100,
	H_COMPRESSION = 104,
	H_BYTES_MIN = 104,
	H_BYTES = 112,
	H_SECTOR = 512,
	NAME_BYTES = 48,
	BITMAP_IN_USE = 1,
	BITMAP_AUTO = 2,
	BITMAP_ENTRY = 24,
	BITMAPS_MAX = 65535,
};

/* Header extensions. */
#define X_BACKING_FORMAT UINT32_C(0xe2792aca)
#define X_FEATURES       UINT32_C(0x6803f857)
#define X_BITMAPS        UINT32_C(0x23852875)

static const struct {
	uint8_t type, bit;
	const char *name;
} features[] = {
	{ 0, 0, "dirty bit" },
	{ 0, 1, "corrupt bit" },
	{ 0, 2, "external data file" },
	{ 0, 3, "compression type" },
	{ 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },
	{ 2, 0, "bitmaps" },
	{ 2, 1, "raw external data" },
};

int hull_q2_bad(struct hull_q2 *q, struct hull_err *err, const char *format, ...)
{
	char what[160];
	va_list args;

	va_start(args, format);
	hull_vformat(what, sizeof(what), format, args);
	va_end(args);
	hull_fail(err, HULL_EFORMAT, 321, "the qcow2 image \"%s\" is damaged: %s",
	          q->base.file->path, what);
	hull_err_fix(err, "look closer: hull disk check %s", q->base.file->path);
	return HULL_EFORMAT;
}

int hull_q2_io_failed(struct hull_q2 *q, struct hull_err *err, int rc, const char *what)
{
	if (rc == HULL_EFORMAT)
		return hull_q2_bad(q, err, "%s", what);
	return hull_fail(err, rc, rc == HULL_ENOMEM ? 120 : 302, "the image \"%s\": %s: %s",
	                 q->base.file->path, what, hull_error_text(rc));
}

static int refuse(struct hull_q2 *q, struct hull_err *err, const char *what)
{
	return hull_fail(err, HULL_ENOTSUP, 322, "the qcow2 image \"%s\" uses %s",
	                 q->base.file->path, what);
}

static int geometry(struct hull_q2 *q, const uint8_t *h, struct hull_err *err)
{
	uint32_t bits = load_be32(h + H_CLUSTER_BITS), order = 4;

	if (bits < 9 || bits > 21)
		return hull_q2_bad(q, err, "clusters of 2^%u bytes", bits);
	if (load_be32(h + H_CRYPT))
		return refuse(q, err,
		              load_be32(h + H_CRYPT) == 2 ? "encryption (LUKS)"
		                                          : "encryption (AES)");
	if (q->version >= 3)
		order = load_be32(h + H_REFCOUNT_ORDER);
	if (order > 6)
		return hull_q2_bad(q, err, "refcounts of 2^%u bits", order);
	q->cluster_bits = bits;
	q->cluster = BIT(bits);
	q->refcount_order = order;
	q->refblock_bits = bits + 3 - order;
	q->entry_bytes = q->incompatible & Q2_EXTENDED_L2 ? 16 : 8;
	q->subs = q->entry_bytes == 16 ? Q2_SUBCLUSTERS : 1;
	q->sub_bits = q->entry_bytes == 16 ? 5 : 0;
	q->l2_bits = bits - (q->entry_bytes == 16 ? 4 : 3);
	if (q->subs > 1 && bits < 14)
		return hull_q2_bad(q, err, "subclusters below 512 bytes");
	return 0;
}

static int version3(struct hull_q2 *q, const uint8_t *h, struct hull_err *err)
{
	q->header_len = load_be32(h + H_LENGTH);
	q->incompatible = load_be64(h + H_INCOMPATIBLE);
	q->compatible = load_be64(h + H_COMPATIBLE);
	q->autoclear = load_be64(h + H_AUTOCLEAR);
	if (q->header_len < H_BYTES_MIN || q->header_len % 8)
		return hull_q2_bad(q, err, "its header has %u bytes", q->header_len);
	if (q->header_len >= H_BYTES)
		q->compression = h[H_COMPRESSION];
	if (q->compression > 1)
		return refuse(q, err, "an unknown kind of compression");
	if (!(q->incompatible & Q2_COMPRESSION) != !q->compression)
		return hull_q2_bad(q, err, "its compression contradicts its features");
	return 0;
}

/* The name of an unknown feature: from the image's own table, cleaned. */
static void feature_name(const uint8_t *table, uint32_t len, unsigned bit, char ret[64])
{
	hull_format(ret, 64, "bit %u", bit);
	for (uint32_t i = 0; table && i + NAME_BYTES <= len; i += NAME_BYTES) {
		if (table[i] != 0 || table[i + 1] != bit)
			continue;
		memcpy(ret, table + i + 2, NAME_BYTES - 2);
		ret[NAME_BYTES - 2] = 0;
		for (char *p = ret; *p; p++)
			if (*p < ' ' || *p > '~')
				*p = '?';
	}
}

static int known_features(struct hull_q2 *q, const uint8_t *table, uint32_t len,
                          struct hull_err *err)
{
	const uint64_t known = Q2_DIRTY | Q2_CORRUPT | Q2_COMPRESSION | Q2_EXTENDED_L2;
	uint64_t unknown = q->incompatible & ~known;
	char name[64], what[96];

	if (!unknown)
		return 0;
	if (unknown & Q2_DATA_FILE)
		return refuse(q, err, "an external data file");
	feature_name(table, len, (unsigned)__builtin_ctzll(unknown), name);
	hull_format(what, sizeof(what), "a feature that Hull does not know: %s", name);
	return refuse(q, err, what);
}

static int bitmaps(struct hull_q2 *q, const uint8_t *x, uint32_t len, struct hull_err *err)
{
	uint64_t size = hull_load_acquire(&q->base.file->size);

	/* Without the bit the extension is stale and to be ignored. */
	if (!(q->autoclear & Q2_BITMAPS))
		return 0;
	if (len != 24)
		return hull_q2_bad(q, err, "its list of bitmaps has a wrong length");
	q->nbitmaps = load_be32(x);
	q->bitmaps_len = load_be64(x + 8);
	q->bitmaps_at = load_be64(x + 16);
	if (!q->nbitmaps || q->nbitmaps > BITMAPS_MAX || !is_aligned(q->bitmaps_at, q->cluster) ||
	    !q->bitmaps_at || q->bitmaps_len > Q2_SNAPSHOT_TABLE_MAX ||
	    !hull_range_within(q->bitmaps_at, q->bitmaps_len, 0, size))
		return hull_q2_bad(q, err, "its list of bitmaps is misplaced");
	return 0;
}

static int keep(struct hull_q2 *q, const uint8_t *x, uint32_t len)
{
	uint8_t *p = realloc(q->extensions, q->extensions_len + len);

	if (!p)
		return HULL_ENOMEM;
	memcpy(p + q->extensions_len, x, len);
	q->extensions = p;
	q->extensions_len += len;
	return 0;
}

/* Extensions lie between the header and the backing file's name, or the end of the cluster. */
static int extensions(struct hull_q2 *q, const uint8_t *h, uint32_t at, uint32_t end,
                      struct hull_err *err)
{
	const uint8_t *table = NULL;
	uint32_t table_len = 0;
	int rc = 0;

	while (!rc && at + 8 <= end) {
		uint32_t type = load_be32(h + at), len = load_be32(h + at + 4), whole;

		if (!type)
			break;
		if (len > end - at - 8)
			return hull_q2_bad(q, err, "a header extension is too long");
		whole = MIN((uint32_t)align_up(8 + len, 8), end - at);
		if (type == X_BACKING_FORMAT) {
			uint32_t n = MIN(len, (uint32_t)sizeof(q->backing_format) - 1);

			memcpy(q->backing_format, h + at + 8, n);
			q->backing_format[n] = 0;
		} else if (type == X_FEATURES) {
			table = h + at + 8;
			table_len = len;
		} else {
			if (type == X_BITMAPS)
				rc = bitmaps(q, h + at + 8, len, err);
			if (!rc && keep(q, h + at, whole))
				rc = hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
		}
		at += whole;
	}
	return rc ? rc : known_features(q, table, table_len, err);
}

static int backing_name(struct hull_q2 *q, const uint8_t *h, uint32_t *ret_end,
                        struct hull_err *err)
{
	uint64_t at = load_be64(h + H_BACKING_AT);
	uint32_t len = load_be32(h + H_BACKING_LEN);

	*ret_end = (uint32_t)q->cluster;
	if (!at)
		return 0;
	if (len >= HULL_IMAGE_PATH_MAX || at < q->header_len ||
	    !hull_range_within(at, len, 0, q->cluster))
		return hull_q2_bad(q, err, "the name of its backing image is misplaced");
	memcpy(q->backing, h + at, len);
	if (memchr(q->backing, 0, len))
		return hull_q2_bad(q, err, "the name of its backing image holds a NUL");
	*ret_end = (uint32_t)at;
	return 0;
}

static int places(struct hull_q2 *q, const uint8_t *h, struct hull_err *err)
{
	uint64_t size = load_be64(h + H_SIZE), file = hull_load_acquire(&q->base.file->size);
	uint64_t span = BIT(q->cluster_bits + q->l2_bits), clusters, l1_bytes;

	q->l1_size = load_be32(h + H_L1_SIZE);
	q->l1_at = load_be64(h + H_L1_AT);
	q->reftable_at = load_be64(h + H_REFTABLE_AT);
	clusters = load_be32(h + H_REFTABLE_CLUSTERS);
	q->nsnapshots = load_be32(h + H_NSNAPSHOTS);
	q->snapshots_at = load_be64(h + H_SNAPSHOTS_AT);
	l1_bytes = (uint64_t)q->l1_size * 8;
	if (size > INT64_MAX - span)
		return hull_q2_bad(q, err, "a disk of %llu bytes", (unsigned long long)size);
	q->base.size = align_down(size, H_SECTOR);
	if (l1_bytes > Q2_L1_BYTES_MAX || !is_aligned(q->l1_at, q->cluster) ||
	    (l1_bytes && (!q->l1_at || !hull_range_within(q->l1_at, l1_bytes, 0, file))))
		return hull_q2_bad(q, err, "its L1 table is misplaced");
	if ((size + span - 1) / span > q->l1_size)
		return hull_q2_bad(q, err, "its L1 table is too small for %llu bytes",
		                   (unsigned long long)size);
	if (!clusters || clusters << q->cluster_bits > Q2_REFTABLE_BYTES_MAX ||
	    !is_aligned(q->reftable_at, q->cluster) || !q->reftable_at ||
	    !hull_range_within(q->reftable_at, clusters << q->cluster_bits, 0, file))
		return hull_q2_bad(q, err, "its refcount table is misplaced");
	q->reftable_clusters = (uint32_t)clusters;
	if (q->nsnapshots > Q2_SNAPSHOTS_MAX || !is_aligned(q->snapshots_at, q->cluster) ||
	    (q->nsnapshots && (!q->snapshots_at || q->snapshots_at >= file)))
		return hull_q2_bad(q, err, "its list of snapshots is misplaced");
	return 0;
}

static int read_table(struct hull_q2 *q, uint64_t at, uint64_t entries, uint64_t **ret)
{
	uint8_t *raw = malloc(MAX(entries, (uint64_t)1) * 8);
	uint64_t *table = (uint64_t *)(void *)raw;
	int rc = raw ? hull_q2_pread(q, at, raw, entries * 8) : HULL_ENOMEM;

	for (uint64_t i = 0; !rc && i < entries; i++)
		table[i] = load_be64(raw + 8 * i);
	if (rc)
		free(raw);
	else
		*ret = table;
	return rc;
}

static int tables(struct hull_q2 *q, struct hull_err *err)
{
	uint64_t entries = (uint64_t)q->reftable_clusters << (q->cluster_bits - 3);
	int rc = read_table(q, q->l1_at, q->l1_size, &q->l1);

	if (!rc)
		rc = read_table(q, q->reftable_at, entries, &q->reftable);
	q->l1_dirty_from = q->reftable_dirty_from = UINT32_MAX;
	return rc ? hull_q2_io_failed(q, err, rc, "its tables cannot be read") : 0;
}

int hull_q2_header_read(struct hull_q2 *q, struct hull_err *err)
{
	uint64_t size = hull_load_acquire(&q->base.file->size);
	uint8_t head[H_BYTES], *h = NULL;
	uint32_t end;
	int rc;

	if (size < H_V2_BYTES)
		return hull_q2_bad(q, err, "it has only %llu bytes", (unsigned long long)size);
	rc = hull_q2_pread(q, 0, head, sizeof(head));
	if (rc)
		return hull_q2_io_failed(q, err, rc, "its header cannot be read");
	if (load_be32(head) != Q2_MAGIC)
		return hull_q2_bad(q, err, "it does not begin as such images do");
	q->version = load_be32(head + H_VERSION);
	q->header_len = H_V2_BYTES;
	if (q->version < 2 || q->version > 3)
		return refuse(q, err, "another version of the format");
	if (q->version == 3)
		rc = version3(q, head, err);
	if (!rc)
		rc = geometry(q, head, err);
	if (!rc && q->header_len > q->cluster)
		rc = hull_q2_bad(q, err, "its header has %u bytes", q->header_len);
	if (rc)
		return rc;
	h = malloc(q->cluster);
	rc = h ? hull_q2_pread(q, 0, h, q->cluster) : HULL_ENOMEM;
	if (rc)
		rc = hull_q2_io_failed(q, err, rc, "its header cannot be read");
	if (!rc)
		rc = backing_name(q, h, &end, err);
	if (!rc)
		rc = extensions(q, h, q->header_len, end, err);
	if (!rc)
		rc = places(q, h, err);
	free(h);
	return rc ? rc : tables(q, err);
}

static void fields(const struct hull_q2 *q, uint8_t *h)
{
	store_be64(h + H_SIZE, q->base.size);
	store_be32(h + H_L1_SIZE, q->l1_size);
	store_be64(h + H_L1_AT, q->l1_at);
	store_be64(h + H_REFTABLE_AT, q->reftable_at);
	store_be32(h + H_REFTABLE_CLUSTERS, q->reftable_clusters);
	store_be32(h + H_NSNAPSHOTS, q->nsnapshots);
	store_be64(h + H_SNAPSHOTS_AT, q->snapshots_at);
	if (q->version >= 3) {
		store_be64(h + H_INCOMPATIBLE, q->incompatible);
		store_be64(h + H_COMPATIBLE, q->compatible);
		store_be64(h + H_AUTOCLEAR, q->autoclear);
	}
}

int hull_q2_header_update(struct hull_q2 *q)
{
	uint8_t sector[H_SECTOR];
	int rc = hull_q2_pread(q, 0, sector, sizeof(sector));

	if (rc)
		return rc;
	fields(q, sector);
	return hull_q2_pwrite(q, 0, sector, sizeof(sector));
}

/* Where a text or table is put into the header's cluster; false: it does not fit. */
static bool append(const struct hull_q2 *q, uint8_t *h, uint64_t *at, const void *data,
                   uint64_t len, uint64_t room)
{
	if (room > q->cluster - *at)
		return false;
	memcpy(h + *at, data, len);
	*at += room;
	return true;
}

static bool append_extension(const struct hull_q2 *q, uint8_t *h, uint64_t *at, uint32_t type,
                             const void *data, uint32_t len)
{
	uint8_t head[8];

	store_be32(head, type);
	store_be32(head + 4, len);
	return append(q, h, at, head, 8, 8) && append(q, h, at, data, len, align_up(len, 8));
}

static bool append_all(struct hull_q2 *q, uint8_t *h, uint64_t *at)
{
	uint8_t names[ARRAY_LEN(features) * NAME_BYTES] = { 0 };
	static const uint8_t end[8];
	uint64_t mark;

	if (q->backing_format[0] && q->backing[0] &&
	    !append_extension(q, h, at, X_BACKING_FORMAT, q->backing_format,
	                      (uint32_t)strlen(q->backing_format)))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		names[i * NAME_BYTES] = features[i].type;
		names[i * NAME_BYTES + 1] = features[i].bit;
		memcpy(names + i * NAME_BYTES + 2, features[i].name, strlen(features[i].name));
	}
	if (q->extensions_len &&
	    !append(q, h, at, q->extensions, q->extensions_len, align_up(q->extensions_len, 8)))
		return false;
	/* The names of the features are a courtesy: only where there is room. */
	mark = *at;
	if (q->version >= 3 && q->cluster >= 4096 &&
	    !append_extension(q, h, at, X_FEATURES, names, sizeof(names)))
		*at = mark;
	return append(q, h, at, end, 8, 8);
}

int hull_q2_header_write(struct hull_q2 *q, struct hull_err *err)
{
	uint64_t at = q->header_len, len = strlen(q->backing);
	uint8_t *h = calloc(1, q->cluster);
	int rc = h ? hull_q2_pread(q, 0, h, q->header_len) : HULL_ENOMEM;

	if (rc) {
		free(h);
		return hull_q2_io_failed(q, err, rc, "its header cannot be read");
	}
	store_be32(h, Q2_MAGIC);
	store_be32(h + H_VERSION, q->version);
	store_be32(h + H_CLUSTER_BITS, q->cluster_bits);
	store_be32(h + H_CRYPT, 0);
	fields(q, h);
	if (q->version >= 3) {
		store_be32(h + H_REFCOUNT_ORDER, q->refcount_order);
		store_be32(h + H_LENGTH, q->header_len);
		if (q->header_len >= H_BYTES)
			h[H_COMPRESSION] = q->compression;
	}
	store_be64(h + H_BACKING_AT, 0);
	store_be32(h + H_BACKING_LEN, (uint32_t)len);
	if (!append_all(q, h, &at))
		rc = HULL_EOVERFLOW;
	if (!rc && len) {
		store_be64(h + H_BACKING_AT, at);
		if (!append(q, h, &at, q->backing, len, len))
			rc = HULL_EOVERFLOW;
	}
	if (rc) {
		free(h);
		return hull_fail(err, HULL_EOVERFLOW, 323,
		                 "the header of \"%s\" has no room for the name \"%s\"",
		                 q->base.file->path, q->backing);
	}
	rc = hull_q2_pwrite(q, 0, h, q->cluster);
	free(h);
	return rc ? hull_q2_io_failed(q, err, rc, "its header cannot be written") : 0;
}

/*
 * Bitmaps that should follow what is written are not updated here: mark them so, as the
 * specification wants it.  The others stay true.
 */
int hull_q2_bitmaps_in_use(struct hull_q2 *q, struct hull_err *err)
{
	uint8_t *dir = malloc(q->bitmaps_len ? q->bitmaps_len : 1);
	uint64_t at = 0;
	int rc = dir ? hull_q2_pread(q, q->bitmaps_at, dir, q->bitmaps_len) : HULL_ENOMEM;
	bool changed = false;

	for (uint32_t i = 0; !rc && i < q->nbitmaps; i++) {
		uint64_t len;
		uint32_t flags;

		if (!hull_range_within(at, BITMAP_ENTRY, 0, q->bitmaps_len)) {
			rc = HULL_EFORMAT;
			break;
		}
		len = align_up(BITMAP_ENTRY + (uint64_t)load_be32(dir + at + 20) +
		                       load_be16(dir + at + 18),
		               8);
		flags = load_be32(dir + at + 12);
		if (!hull_range_within(at, len, 0, q->bitmaps_len)) {
			rc = HULL_EFORMAT;
			break;
		}
		if ((flags & BITMAP_AUTO) && !(flags & BITMAP_IN_USE)) {
			store_be32(dir + at + 12, flags | BITMAP_IN_USE);
			changed = true;
		}
		at += len;
	}
	if (!rc && changed)
		rc = hull_q2_pwrite(q, q->bitmaps_at, dir, q->bitmaps_len);
	if (!rc && changed)
		rc = hull_q2_barrier(q);
	free(dir);
	return rc ? hull_q2_io_failed(q, err, rc, "its list of bitmaps is damaged") : 0;
}
