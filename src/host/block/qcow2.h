/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * qcow2, inside: what the files qcow2*.c share.  The format is QEMU's
 * docs/interop/qcow2.rst; names of fields follow it.  docs/internals/qcow2.md
 * explains the ordering rules.
 *
 * Locks, taken in this order: flush_lock, pack_lock, lock, then one of wait_lock or
 * unpack_lock.  `lock` guards all metadata: shared to look up what is
 * cached, exclusive to load or change.  No lock is held while data move;
 * hull_q2_pin() keeps the clusters instead.
 *
 * "X" behind a function: the caller holds `lock` exclusively.
 */
#ifndef HULL_HOST_BLOCK_QCOW2_H
#define HULL_HOST_BLOCK_QCOW2_H

#include <pthread.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "host/block/codec.h"
#include "host/block/image.h"

#define Q2_MAGIC     UINT32_C(0x514649fb)
#define Q2_COPIED    BIT(63) /* in L1 and L2 entries: the refcount is exactly 1 */
#define Q2_PACKED    BIT(62) /* in L2 entries: compressed */
#define Q2_ZERO_FLAG UINT64_C(1)
#define Q2_AT        UINT64_C(0x00fffffffffffe00) /* host offset in L1 and L2 entries */

/* Bits of incompatible_features. */
#define Q2_DIRTY       BIT(0)
#define Q2_CORRUPT     BIT(1)
#define Q2_DATA_FILE   BIT(2)
#define Q2_COMPRESSION BIT(3)
#define Q2_EXTENDED_L2 BIT(4)
#define Q2_LAZY        BIT(0) /* of compatible_features */
#define Q2_BITMAPS     BIT(0) /* of autoclear_features */

/* Limits, those of QEMU: an image beyond them is refused. */
enum {
	Q2_L1_BYTES_MAX = 32 << 20,
	Q2_REFTABLE_BYTES_MAX = 8 << 20,
	Q2_SNAPSHOTS_MAX = 65536,
	Q2_SNAPSHOT_TABLE_MAX = 64 << 20,
	Q2_EXTRA_MAX = 1024,
	Q2_SUBCLUSTERS = 32,
	/* Of ours. */
	Q2_SLICE = 4096,         /* unit of the caches */
	Q2_CACHE_MIN = 64 << 10, /* bytes of each cache: what the tables of the disk need, ... */
	Q2_L2_CACHE = 4 << 20,   /* ... up to this */
	Q2_REF_CACHE = 1 << 20,
	Q2_FREES_MAX = 1 << 18,     /* runs of freed clusters that wait; more are leaked */
	Q2_FREES_FLUSH = 1 << 12,   /* runs that make us flush */
	Q2_FREES_BYTES = 256 << 20, /* the same, bytes in the file */
	Q2_IOV = 64,                /* segments moved at once */
};

/* A cache of pieces ("slices") of tables in the file, big-endian as there. */
struct hull_q2_slot {
	uint64_t at;    /* in the file; 0: empty */
	uint32_t chain; /* next of the bucket + 1 */
	bool dirty, changed /* since the flush under way copied it */;
	uint8_t used; /* atomic: looked at since the hand passed */
};
struct hull_q2_cache {
	uint32_t slice, nslots, filled, hand, ndirty;
	uint8_t *data;
	struct hull_q2_slot *slots;
	uint32_t *buckets; /* slot + 1; as many as slots, a power of two */
};

/* A set of cluster numbers: those that hold metadata. */
struct hull_q2_set {
	uint64_t *keys; /* cluster + 1 */
	size_t room, count;
};

/* Clusters whose references are gone, so that their refcounts are to drop by one. */
struct hull_q2_free {
	uint64_t cluster, n;
};
struct hull_q2_frees {
	struct hull_q2_free *runs;
	size_t n, room;
	uint64_t clusters;
};

/* Guest clusters that are being given a place. */
struct hull_q2_busy {
	uint64_t first, n;
	struct hull_q2_busy *next;
};

struct hull_q2_snapshot {
	uint64_t l1_at;
	uint32_t l1_size, extra_len;
	uint16_t id_len, name_len;
	uint32_t date_sec, date_nsec, state_bytes;
	uint64_t vm_clock_ns;
	uint8_t *tail; /* extra data, id and name, as in the file */
};

/* An L1 table: entries in host order, and where it lies. */
struct hull_q2_l1 {
	uint64_t *entries;
	uint32_t n;
	uint64_t at;
};

struct hull_q2 {
	struct hull_image base;

	/* Constant once open. */
	unsigned version, cluster_bits, l2_bits, entry_bytes, subs, sub_bits;
	unsigned refcount_order, refblock_bits; /* log2 of bits, of counts per block */
	uint64_t cluster;                       /* bytes */
	uint32_t header_len;
	uint8_t compression; /* 0 zlib, 1 zstd */
	const struct hull_codec *codec;
	bool no_flush, fixed_end /* the file cannot grow */;

	pthread_rwlock_t lock;
	pthread_mutex_t flush_lock, pack_lock, wait_lock, unpack_lock;
	pthread_cond_t waiters;

	uint64_t incompatible, compatible, autoclear;
	uint64_t *l1; /* host order */
	uint64_t l1_at;
	uint32_t l1_size, l1_dirty_from, l1_dirty_to;
	uint64_t *reftable; /* host order */
	uint64_t reftable_at;
	uint32_t reftable_clusters, reftable_dirty_from, reftable_dirty_to;
	struct hull_q2_cache l2, refs;
	struct hull_q2_set meta;

	uint64_t hint;      /* no cluster below is free */
	uint64_t fresh;     /* from here the file has never held anything: it reads as zero */
	uint64_t end;       /* atomic: size of the file */
	uint64_t packed_at; /* next free byte behind compressed data, 0: none */

	/* See "Freeing" in docs/internals/qcow2.md. */
	struct hull_q2_frees unlinked, flushing, stable, old;
	bool much_freed; /* atomic: a flush would be good */
	unsigned epoch, old_epoch;
	uint64_t pins[2]; /* atomic */

	struct hull_q2_busy *busy;
	uint64_t busy_changes; /* under wait_lock */
	bool stopping;         /* atomic: no new jobs, somebody wants everything to stand still */

	uint64_t flush_begun, flush_ended; /* atomic: numbers of flushes */
	bool corrupt;                      /* atomic: nothing may be written */
	bool checked;                      /* opened to be checked */
	bool unsure;                       /* refcounts are wrong: the dirty bit must stay */

	uint64_t unpacked_entry; /* whose contents `unpacked` holds, 0: none */
	uint8_t *unpacked;

	struct hull_q2_snapshot *snapshots;
	unsigned nsnapshots;
	uint64_t snapshots_at, snapshots_len;

	char backing[HULL_IMAGE_PATH_MAX], backing_format[16];
	uint8_t *extensions; /* those that we only keep, as in the file */
	uint32_t extensions_len;
	uint32_t nbitmaps;
	uint64_t bitmaps_at, bitmaps_len;
};

static inline struct hull_q2 *hull_q2_of(struct hull_image *img)
{
	return (struct hull_q2 *)img;
}

/* What a range of guest bytes is in this image. */
enum hull_q2_kind { HULL_Q2_NONE, HULL_Q2_ZERO, HULL_Q2_DATA, HULL_Q2_PACKED };
struct hull_q2_extent {
	enum hull_q2_kind kind;
	bool own;     /* refcount 1: may be written in place */
	uint64_t at;  /* DATA: of the first byte; PACKED: the L2 entry; ZERO: 0 or its cluster */
	uint64_t len; /* bytes from the offset asked for */
};

/* An L2 entry in host order; `bits` only with extended L2. */
struct hull_q2_entry {
	uint64_t word, bits;
};

/* Where a vector of buffers stands. */
struct hull_q2_cursor {
	const struct iovec *iov;
	int n;
	size_t skip;
};
/* The next `len` bytes in at most Q2_IOV segments; returns the segments, *len what they hold. */
int hull_q2_slice(const struct hull_q2_cursor *c, struct iovec *ret, uint64_t *len);
void hull_q2_skip(struct hull_q2_cursor *c, uint64_t len);
void hull_q2_zero(struct hull_q2_cursor *c, uint64_t len);
void hull_q2_copy_out(struct hull_q2_cursor *c, const uint8_t *from, uint64_t len);

/* qcow2_file.c: the file below.  Reads past its end are zeroes; writes make it longer. */
int hull_q2_pread(struct hull_q2 *q, uint64_t at, void *buf, uint64_t len);
int hull_q2_pwrite(struct hull_q2 *q, uint64_t at, const void *buf, uint64_t len);
int hull_q2_preadv(struct hull_q2 *q, uint64_t at, const struct iovec *iov, int n, uint64_t len);
int hull_q2_pwritev(struct hull_q2 *q, uint64_t at, const struct iovec *iov, int n, uint64_t len);
int hull_q2_zero_file(struct hull_q2 *q, uint64_t at, uint64_t len);
int hull_q2_barrier(struct hull_q2 *q);
/* What was found damaged: set the corrupt bit; returns HULL_EFORMAT.  X */
int hull_q2_damage(struct hull_q2 *q);
bool hull_q2_set_has(const struct hull_q2_set *s, uint64_t cluster);
int hull_q2_set_add(struct hull_q2_set *s, uint64_t cluster); /* HULL_EEXIST, HULL_ENOMEM */
void hull_q2_set_remove(struct hull_q2_set *s, uint64_t cluster);

/* qcow2.c: empty caches, of the size that a disk of `size` bytes needs. */
int hull_q2_caches(struct hull_q2 *q, uint64_t size);

/* qcow2_cache.c */
int hull_q2_cache_init(struct hull_q2_cache *c, uint32_t slice, uint32_t bytes);
void hull_q2_cache_fini(struct hull_q2_cache *c);
/* The bytes of the slice at `at` (aligned) if they are cached; under either lock. */
uint8_t *hull_q2_cache_find(struct hull_q2_cache *c, uint64_t at);
/* The same, loading them.  Valid until the next get from the same cache.  X */
int hull_q2_cache_get(struct hull_q2 *q, struct hull_q2_cache *c, uint64_t at, uint8_t **ret);
void hull_q2_cache_dirty(struct hull_q2_cache *c, const uint8_t *p);
/* Forget the table [at, at + len), even if dirty. */
void hull_q2_cache_drop(struct hull_q2_cache *c, uint64_t at, uint64_t len);
void hull_q2_cache_clear(struct hull_q2_cache *c);
int hull_q2_cache_write(struct hull_q2 *q, struct hull_q2_cache *c);

/* qcow2_flush.c */
int hull_q2_flush(struct hull_q2 *q);
int hull_q2_write_refs(struct hull_q2 *q);            /* X: dirty refcounts, then their table */
int hull_q2_write_refs_now(struct hull_q2 *q);        /* X: even if they may be old */
int hull_q2_write_l2(struct hull_q2 *q);              /* X: what L2 rests on, then dirty L2 */
int hull_q2_write_all(struct hull_q2 *q);             /* X, flush_lock: everything, stable */
int hull_q2_set_dirty(struct hull_q2 *q, bool dirty); /* X: the header's bit, stable */
/* Everything written and stable, nothing waiting to be freed, the dirty bit cleared. */
int hull_q2_clean(struct hull_q2 *q);
/* Stop everything: flush_lock and lock exclusive, no allocation or data transfer under way. */
void hull_q2_stop(struct hull_q2 *q);
void hull_q2_go(struct hull_q2 *q);

/* qcow2_refcount.c; all X. */
int hull_q2_refcount(struct hull_q2 *q, uint64_t cluster, uint64_t *ret);
int hull_q2_ref_add(struct hull_q2 *q, uint64_t cluster, uint64_t n, int delta);
int hull_q2_ref_set(struct hull_q2 *q, uint64_t cluster, uint64_t count);
/* 1 to `n` clusters that lie together. */
int hull_q2_alloc(struct hull_q2 *q, uint64_t n, uint64_t *ret_cluster, uint64_t *ret_n);
/* Had these clusters never held anything, so that they read as zero?  Now they may. */
bool hull_q2_take_fresh(struct hull_q2 *q, uint64_t cluster, uint64_t n);
/* Exactly `n`, for tables. */
int hull_q2_alloc_table(struct hull_q2 *q, uint64_t n, uint64_t *ret_cluster);
/* Drop a reference each once that is safe. */
void hull_q2_free(struct hull_q2 *q, uint64_t cluster, uint64_t n);
void hull_q2_free_entry(struct hull_q2 *q, uint64_t word);
void hull_q2_frees_move(struct hull_q2_frees *to, struct hull_q2_frees *from);
int hull_q2_drain(struct hull_q2 *q);
uint64_t hull_q2_count_get(const uint8_t *block, unsigned order, uint64_t i);
void hull_q2_count_set(uint8_t *block, unsigned order, uint64_t i, uint64_t v);
/* Clusters that a compressed cluster touches. */
void hull_q2_packed_range(const struct hull_q2 *q, uint64_t word, uint64_t *ret_at,
                          uint64_t *ret_len);

/* qcow2_map.c */
/* Look up; 1: not cached, load with hull_q2_map_load() X. */
int hull_q2_map(struct hull_q2 *q, uint64_t off, uint64_t len, struct hull_q2_extent *ret);
int hull_q2_map_load(struct hull_q2 *q, uint64_t off);
/* Look up under the shared lock, load what is missing; returns with the lock shared if 0. */
int hull_q2_map_shared(struct hull_q2 *q, uint64_t off, uint64_t len, struct hull_q2_extent *ret);
/* The L2 slice of `off`, made writable; *ret_i the entry's index in it.  X */
int hull_q2_l2_own(struct hull_q2 *q, uint64_t off, uint8_t **ret_slice, uint32_t *ret_i);
struct hull_q2_entry hull_q2_entry_get(const struct hull_q2 *q, const uint8_t *slice, uint32_t i);
void hull_q2_entry_set(struct hull_q2 *q, uint8_t *slice, uint32_t i, struct hull_q2_entry e);
uint32_t hull_q2_slice_entries(const struct hull_q2 *q);
int hull_q2_meta_build(struct hull_q2 *q, struct hull_err *err);
unsigned hull_q2_pin(struct hull_q2 *q); /* under either lock; the epoch for unpin */
void hull_q2_unpin(struct hull_q2 *q, unsigned epoch);
/* Wait until nothing is allocated in guest clusters [first, first + n).  X; may have let go of
 * the lock if true. */
bool hull_q2_wait_busy(struct hull_q2 *q, uint64_t first, uint64_t n);
void hull_q2_busy_add(struct hull_q2 *q, struct hull_q2_busy *b);
void hull_q2_busy_remove(struct hull_q2 *q, struct hull_q2_busy *b);

/* qcow2_read.c, qcow2_write.c, qcow2_zero.c, qcow2_packed.c: the vtable's members. */
int hull_q2_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                 uint64_t len);
int hull_q2_read_now(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len);
int hull_q2_direct(struct hull_image *img, bool write, uint64_t off, uint64_t len,
                   struct hull_image_direct *ret);
void hull_q2_direct_end(struct hull_image *img, struct hull_image_direct *d, int status);
int hull_q2_extent_at(struct hull_image *img, uint64_t off, uint64_t len,
                      struct hull_image_extent *ret);
int hull_q2_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                  uint64_t len, bool fua);
int hull_q2_writable(struct hull_q2 *q); /* 0, HULL_EPERM, or HULL_EFORMAT after damage */
bool hull_q2_in_place(struct hull_q2 *q, const struct hull_q2_extent *e);
/* Give the first part of a range, *ret bytes, places without writing data.  For new images. */
int hull_q2_reserve(struct hull_q2 *q, uint64_t off, uint64_t len, uint64_t *ret);
/* Is a range known to read as zero? */
bool hull_q2_reads_zero(struct hull_q2 *q, uint64_t off, uint64_t len);
/* After a change: flush if much is waiting to be freed. */
int hull_q2_settle(struct hull_q2 *q);
int hull_q2_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap, bool fua);
int hull_q2_discard(struct hull_image *img, uint64_t off, uint64_t len);
int hull_q2_make_empty(struct hull_image *img, struct hull_err *err);
int hull_q2_unpack(struct hull_q2 *q, uint64_t word, uint32_t from, uint64_t len,
                   struct hull_q2_cursor *c);
int hull_q2_write_compressed(struct hull_image *img, uint64_t off, const void *buf, uint64_t len);

/* qcow2_header.c */
int hull_q2_header_read(struct hull_q2 *q, struct hull_err *err);
/* Write size, L1 place, reftable place, snapshots and feature bits: one sector.  X */
int hull_q2_header_update(struct hull_q2 *q);
/* Write all of it, extensions and backing name included.  X */
int hull_q2_header_write(struct hull_q2 *q, struct hull_err *err);
int hull_q2_bitmaps_in_use(struct hull_q2 *q, struct hull_err *err);
int hull_q2_bad(struct hull_q2 *q, struct hull_err *err, const char *format, ...)
	HULL_PRINTF(3, 4); /* E0321; HULL_EFORMAT */
int hull_q2_io_failed(struct hull_q2 *q, struct hull_err *err, int rc, const char *what);

/* qcow2_snapshot.c */
int hull_q2_snapshots_read(struct hull_q2 *q, struct hull_err *err);
void hull_q2_snapshots_free(struct hull_q2 *q);
/* Add `delta` to the counts of everything that an L1 table names, L2 tables included.  X */
int hull_q2_tree_refs(struct hull_q2 *q, const uint64_t *l1, uint32_t n, int delta);
/* Set the COPIED flags of the active tables as the refcounts are.  X, stopped */
int hull_q2_copied(struct hull_q2 *q);
/* Put l1->entries into new clusters, counted and stable, and set l1->at.  X */
int hull_q2_l1_store(struct hull_q2 *q, struct hull_q2_l1 *l1);
/*
 * Take *l1 (stored) for the active table of a disk of `size` bytes; *l1 becomes the old one, whose
 * clusters are free then.  X, stopped
 */
int hull_q2_l1_switch(struct hull_q2 *q, struct hull_q2_l1 *l1, uint64_t size);
int hull_q2_snapshot_at(struct hull_image *img, unsigned i, struct hull_image_snapshot *ret);
int hull_q2_snapshot_create(struct hull_image *img, const struct hull_image_snapshot *s,
                            struct hull_err *err);
int hull_q2_snapshot_apply(struct hull_image *img, const char *which, struct hull_err *err);
int hull_q2_snapshot_delete(struct hull_image *img, const char *which, struct hull_err *err);

/* qcow2_resize.c */
int hull_q2_resize(struct hull_image *img, uint64_t size, struct hull_err *err);
int hull_q2_l1_grow(struct hull_q2 *q, uint32_t n); /* X, stopped */

/* qcow2_check.c */
int hull_q2_check(struct hull_image *img, bool repair_leaks, bool repair_all,
                  struct hull_image_check *ret, struct hull_err *err);

/* qcow2_rebuild.c: how often each cluster of the file is named, as a check counts. */
struct hull_q2_counts {
	uint32_t **pages;
	uint64_t clusters; /* of the file */
	uint64_t npages, room;
	uint64_t end; /* behind the last one that is named */
};
int hull_q2_counts_init(struct hull_q2_counts *n, uint64_t clusters);
void hull_q2_counts_fini(struct hull_q2_counts *n);
uint32_t hull_q2_counts_get(const struct hull_q2_counts *n, uint64_t cluster);
int hull_q2_counts_add(struct hull_q2_counts *n, uint64_t cluster);
/* Is any cluster of [from, to) named? */
bool hull_q2_counts_any(const struct hull_q2_counts *n, uint64_t from, uint64_t to);
/* Write new refcounts as counted (without those of the old refcounts themselves).  X, stopped */
int hull_q2_rebuild(struct hull_q2 *q, struct hull_q2_counts *n);

/* qcow2_create.c */
/* Write an image of `size` bytes without data into an empty file. */
int hull_q2_format(const struct hull_image_create *c, uint64_t size, struct hull_image *file,
                   struct hull_err *err);
uint64_t hull_q2_measure(const struct hull_image_create *c, uint64_t data_bytes);
int hull_q2_create(const struct hull_image_create *c, struct hull_err *err);

#endif
