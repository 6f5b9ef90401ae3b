/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Flattened device trees: a writer, a reader for blobs of unknown origin, and
 * the edit that turns a user's tree into the one a guest boots with.
 *
 * Spec: Devicetree Specification v0.4, chapter 5 (format version 17).
 *
 * Threading: a writer or a blob belongs to one thread at a time; the reader
 * only reads.  Lifetime: nothing is allocated; names and values point into
 * the blob, which must stay unchanged and alive while they are used.
 *
 * Catalogue: E0730 the blob is not a device tree or not version 17,
 * E0731 the blob is damaged, E0732 a tree does not fit in its buffer,
 * E0733 the tree was built in a wrong order, E0734 a requested edit is impossible.
 */
#ifndef HULL_FW_FDT_H
#define HULL_FW_FDT_H

#include <hull/error.h>
#include <hull/types.h>

#define HULL_FDT_MAX_SIZE  (UINT32_C(2) << 20) /* what Linux maps early on arm64 and riscv */
#define HULL_FDT_MAX_DEPTH 32
#define HULL_FDT_MAX_NAME  255        /* the spec says 31; trees in the field have more */
#define HULL_FDT_NONE      UINT32_MAX /* no such node */
#define HULL_FDT_HEADER    40

/*
 * The writer.  Errors are sticky: after the first one every call is a no-op
 * and hull_fdt_finish() reports it, so callers check once.
 */
struct hull_fdt_writer {
	uint8_t *buf;
	size_t size;
	size_t used;      /* header, reservations and structure, from the front */
	size_t strings;   /* bytes of names, kept at the end of the buffer until finish */
	size_t structure; /* where the structure block starts; 0: still reservations */
	unsigned depth;
	bool props_over; /* the open node has children: no more properties */
	bool rooted;
	uint32_t boot_cpu; /* the header's boot_cpuid_phys; set it after hull_fdt_begin() */
	int error;
};

/* Start a tree in `buf`; at most HULL_FDT_MAX_SIZE bytes of it are used. */
void hull_fdt_begin(struct hull_fdt_writer *w, void *buf, size_t size);

/* Reserve guest memory (spec 5.3); before the first node.  Empty ranges are ignored. */
void hull_fdt_reserve(struct hull_fdt_writer *w, hull_gpa start, uint64_t length);

/* Open a node: "" for the root, otherwise NAME or NAME@UNIT-ADDRESS. */
void hull_fdt_begin_node(struct hull_fdt_writer *w, const char *name);
void hull_fdt_begin_node_at(struct hull_fdt_writer *w, const char *name, uint64_t unit);
void hull_fdt_end_node(struct hull_fdt_writer *w);

/*
 * Properties of the open node; all before its first child.  The caller
 * chooses phandles and writes them with hull_fdt_prop_u32(w, "phandle", n).
 */
void hull_fdt_prop_empty(struct hull_fdt_writer *w, const char *name);
void hull_fdt_prop_u32(struct hull_fdt_writer *w, const char *name, uint32_t value);
void hull_fdt_prop_u64(struct hull_fdt_writer *w, const char *name, uint64_t value);
void hull_fdt_prop_string(struct hull_fdt_writer *w, const char *name, const char *value);
void hull_fdt_prop_strings(struct hull_fdt_writer *w, const char *name, const char *const *list,
                           size_t count);
void hull_fdt_prop_cells(struct hull_fdt_writer *w, const char *name, const uint32_t *cells,
                         size_t count);
void hull_fdt_prop_u64s(struct hull_fdt_writer *w, const char *name, const uint64_t *values,
                        size_t count);
void hull_fdt_prop_bytes(struct hull_fdt_writer *w, const char *name, const void *data, size_t len);

/* The same with the values written in the call. */
#define HULL_FDT_CELLS(w, name, ...)                                    \
	hull_fdt_prop_cells(w, name, (const uint32_t[]){ __VA_ARGS__ }, \
	                    sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)
#define HULL_FDT_U64S(w, name, ...)                                    \
	hull_fdt_prop_u64s(w, name, (const uint64_t[]){ __VA_ARGS__ }, \
	                   sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)
#define HULL_FDT_STRINGS(w, name, ...)                                       \
	hull_fdt_prop_strings(w, name, (const char *const[]){ __VA_ARGS__ }, \
	                      sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/*
 * Close the tree and write its size (a multiple of 8).  HULL_EOVERFLOW
 * (E0732) if it did not fit, HULL_ESTATE (E0733) if calls were out of order.
 */
int hull_fdt_finish(struct hull_fdt_writer *w, size_t *ret_size,
                    struct hull_err *err) HULL_CHECK_RESULT;

/* A blob that passed hull_fdt_check(); offsets are bytes from its start. */
struct hull_fdt {
	const uint8_t *blob;
	uint32_t size; /* totalsize */
	uint32_t reservations, reservation_count;
	uint32_t structure, structure_size;
	uint32_t strings, strings_size;
	uint32_t boot_cpu;
};

/* A property: name and value inside the blob.  `len` is the value's length in bytes. */
struct hull_fdt_prop {
	const char *name;
	const uint8_t *data;
	uint32_t len;
	uint32_t next; /* for hull_fdt_next_prop() */
};

/*
 * Check everything about a blob once: header, block bounds and overlap,
 * alignment, token order, nesting (HULL_FDT_MAX_DEPTH), names, terminators.
 * `blob` needs no alignment; bytes after totalsize are ignored.
 * HULL_EFORMAT (E0730, E0731) if it is not sound.
 */
int hull_fdt_check(const void *blob, size_t size, struct hull_fdt *ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Walking.  A node is the offset of its token; HULL_FDT_NONE means there is
 * none, and every function accepts it and answers "none".  A number that is
 * no node is answered with nonsense or "none", never with an access outside the blob.
 */
uint32_t hull_fdt_root(const struct hull_fdt *t);
uint32_t hull_fdt_child(const struct hull_fdt *t, uint32_t node);
uint32_t hull_fdt_sibling(const struct hull_fdt *t, uint32_t node);

/* The node's name with its unit address; "" for the root, NULL if there is no node. */
const char *hull_fdt_name(const struct hull_fdt *t, uint32_t node);

/*
 * The node at an absolute path such as "/soc/serial@10000000".  If no
 * node is called exactly so, a component also finds the first NAME@UNIT-ADDRESS.
 */
uint32_t hull_fdt_find(const struct hull_fdt *t, const char *path);

/* The first node after `after` (HULL_FDT_NONE: from the start) compatible with `name`. */
uint32_t hull_fdt_find_compatible(const struct hull_fdt *t, uint32_t after, const char *name);

/* The node whose "phandle" (or old "linux,phandle") is `phandle`. */
uint32_t hull_fdt_find_phandle(const struct hull_fdt *t, uint32_t phandle);

/* Step through the properties of a node: start with *prop zeroed, stop at false. */
bool hull_fdt_next_prop(const struct hull_fdt *t, uint32_t node, struct hull_fdt_prop *prop);

/* Look a property up by name; false, and *ret untouched, if the node lacks it. */
bool hull_fdt_get(const struct hull_fdt *t, uint32_t node, const char *name,
                  struct hull_fdt_prop *ret);

/* Value number `index` of an array of 32- or 64-bit numbers; false if it is too short. */
bool hull_fdt_get_u32(const struct hull_fdt_prop *prop, uint32_t index, uint32_t *ret);
bool hull_fdt_get_u64(const struct hull_fdt_prop *prop, uint32_t index, uint64_t *ret);

/* Text number `index` of a string list; NULL if there is none or it is not terminated. */
const char *hull_fdt_get_string(const struct hull_fdt_prop *prop, uint32_t index);

/* Memory reservation number `index`; false after the last. */
bool hull_fdt_reservation(const struct hull_fdt *t, uint32_t index, hull_gpa *ret_start,
                          uint64_t *ret_length);

/* What the next piece of the structure block is (spec 5.4.1). */
enum hull_fdt_kind {
	HULL_FDT_BAD = 0, /* not a token, or cut off */
	HULL_FDT_BEGIN_NODE = 1,
	HULL_FDT_END_NODE = 2,
	HULL_FDT_PROP = 3,
	HULL_FDT_END = 9,
};

struct hull_fdt_token {
	enum hull_fdt_kind kind;
	struct hull_fdt_prop prop; /* of a PROP; of a BEGIN_NODE its name */
	uint32_t at;               /* offset of this token, NOPs skipped */
	uint32_t next;             /* offset after it */
};

/* The token at offset `at`, NOPs skipped.  Bounds are checked at every step. */
struct hull_fdt_token hull_fdt_token(const struct hull_fdt *t, uint32_t at);

struct hull_fdt_range {
	hull_gpa start;
	uint64_t length;
};

/* Changes to a tree; a zero or NULL member keeps what the tree says. */
struct hull_fdt_edit {
	const char *bootargs;
	const char *stdout_path;
	struct hull_fdt_range initrd;
	const void *rng_seed;
	size_t rng_seed_len;
	const struct hull_fdt_range *memory; /* replaces every memory node */
	size_t memory_count;
};

/*
 * Copy a checked tree into `buf` with changes to /chosen and to the memory
 * nodes, either of which is created if absent.  An initrd, rng-seed or
 * kaslr-seed that the tree brought along is stale and is dropped if the edit
 * replaces it.  `buf` must not overlap the blob.  HULL_EOVERFLOW (E0732) if
 * it is too small; HULL_EINVAL (E0734) if the tree's #address-cells or
 * #size-cells cannot express a range.
 */
int hull_fdt_apply(const struct hull_fdt *t, const struct hull_fdt_edit *edit, void *buf,
                   size_t size, size_t *ret_size, struct hull_err *err) HULL_CHECK_RESULT;

#endif
