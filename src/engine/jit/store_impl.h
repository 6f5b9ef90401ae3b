/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The layout of a file of generated code, and what store.c (memory) and store_file.c (files) share.
 *
 * Header, buckets + 1 numbers (where each bucket's entries begin, and the end), entries, records;
 * each begins at a multiple of 8 bytes.  Numbers are the host's: a file is of use only to the
 * program that wrote it.  The header's sum covers the header, its index_sum the buckets and
 * entries, an entry's sum its record: every byte of the file is covered.
 */
#ifndef HULL_ENGINE_JIT_STORE_IMPL_H
#define HULL_ENGINE_JIT_STORE_IMPL_H

#include "engine/jit/store.h"

enum {
	STORE_VERSION = 2,
	STORE_BUILD = 32, /* bytes of the program's build id that count */
	STORE_FILE_MAX = 1 << 28,
	STORE_UNITS_MAX = 1 << 22,
	STORE_BUCKET_MAX = 128,
};

#define STORE_MAGIC "HullJIT"

struct store_id {
	uint8_t build[STORE_BUILD];
	char guest[24];
	uint32_t features;
	uint32_t smp;
};

struct store_header {
	char magic[8];
	uint32_t version, header_bytes;
	struct store_id id;
	uint64_t size; /* of the file */
	uint32_t units;
	uint32_t buckets; /* a power of two */
	uint64_t index_sum;
	uint64_t sum; /* of everything above */
};
_Static_assert(sizeof(struct store_header) == 112, "no holes");

struct store_entry {
	uint64_t sum;      /* of the record */
	uint64_t identity; /* guest code, tier and place in the page */
	uint32_t key;      /* of the first bytes; its low bits are the bucket */
	uint32_t at;       /* of the record, in 8 bytes from the start of the file */
	uint32_t bytes;    /* of the record, a multiple of 8 */
	uint32_t age;      /* runs since the last one that used it */
};
_Static_assert(sizeof(struct store_entry) == 32, "no holes");

/* Then the exits, ranges, guest code, code. */
struct store_record {
	uint32_t code_bytes;
	uint16_t insns, offset, guest_bytes;
	uint8_t tier, exit_count, range_count, enter, pad[2];
};
_Static_assert(sizeof(struct store_record) == 16, "no holes");
_Static_assert(sizeof(struct jit_exit) == 8 && sizeof(struct jit_range) == 8, "no holes");

/* A file in memory that was checked, but for its records. */
struct store_image {
	uint8_t *data;
	size_t size;
	const struct store_header *header;
	const uint32_t *buckets;
	const struct store_entry *entries;
	uint8_t *state; /* of each entry: enum store_state; atomic */
};

enum store_state { STORE_UNUSED, STORE_TAKEN, STORE_DAMAGED };

struct store_new {
	struct store_new *next;
	struct store_entry entry; /* `at` is not used */
	uint64_t record[];
};

struct store_set {
	uint64_t *slots; /* 0: free */
	uint32_t count, size;
};

struct store_stamp { /* of the file that the image was read from */
	uint64_t device, inode, size;
	int64_t time_s, time_ns;
};

struct jit_store {
	struct store_id id;
	struct store_image image; /* data NULL: empty */
	struct store_new *added;
	uint32_t added_count;
	struct store_set known; /* identities in the image and of `added` */
	char note[256];
	int dir;
	char name[32];
	struct store_stamp stamp;
};

uint64_t store_sum(const void *data, size_t bytes, uint64_t seed);

/* Take over `data` (from malloc) as the image; NULL, or a text why not: then `data` is freed. */
const char *store_load(struct store_image *ret, const struct store_id *id, uint8_t *data,
                       size_t size);
void store_unload(struct store_image *image);

/* The record of an entry as a unit that makes sense and lies within the image; or false. */
bool store_unit(const struct store_image *image, uint32_t entry, struct jit_unit *ret);
/* Is the record's sum right? */
bool store_sound(const struct store_image *image, uint32_t entry);

struct jit_store *store_new(const struct store_id *id);

/*
 * A file of at most `limit` bytes out of what the store has and `other` (may be empty); NULL if
 * there is no memory.
 */
uint8_t *store_build(const struct jit_store *s, const struct store_image *other, uint64_t limit,
                     size_t *ret_size);

#endif
