/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The device tree reader of fw/fdt.h.
 *
 * One function, hull_fdt_token(), reads the structure block, and it checks
 * every bound each time: hull_fdt_check() proves that a tree makes sense,
 * memory safety does not depend on it.
 */
#include "fw/fdt.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define MAGIC UINT32_C(0xd00dfeed)

enum { NOP = 4, RESERVE_ENTRY = 16 };

/* Header words, spec 5.2. */
enum {
	TOTALSIZE = 4,
	OFF_STRUCT = 8,
	OFF_STRINGS = 12,
	OFF_RSVMAP = 16,
	VERSION = 20,
	LAST_COMPATIBLE = 24,
	BOOT_CPU = 28,
	SIZE_STRINGS = 32,
	SIZE_STRUCT = 36,
};

/* Length of the name at `s` if it is printable and ends within `room` bytes and the limit; else -1.
 */
static int name_len(const uint8_t *s, size_t room)
{
	int i;

	for (i = 0; i <= HULL_FDT_MAX_NAME && (size_t)i < room; i++) {
		if (!s[i])
			return i;
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return -1;
	}
	return -1;
}

static struct hull_fdt_token read_node(const struct hull_fdt *t, struct hull_fdt_token tok)
{
	const uint8_t *name = t->blob + t->structure + tok.next;
	int len = name_len(name, t->structure_size - tok.next);

	if (len < 0)
		return tok;
	tok.prop.name = (const char *)name;
	tok.next += (uint32_t)align_up((uint32_t)len + 1, 4);
	tok.kind = HULL_FDT_BEGIN_NODE;
	return tok;
}

static struct hull_fdt_token read_prop(const struct hull_fdt *t, struct hull_fdt_token tok)
{
	const uint8_t *head = t->blob + t->structure + tok.next;
	uint32_t room = t->structure_size - tok.next;
	uint32_t len, name;

	if (room < 8)
		return tok;
	len = load_be32(head);
	name = load_be32(head + 4);
	if (len > room - 8 || name >= t->strings_size)
		return tok;
	if (name_len(t->blob + t->strings + name, t->strings_size - name) < 1)
		return tok;
	tok.prop.name = (const char *)t->blob + t->strings + name;
	tok.prop.data = head + 8;
	tok.prop.len = len;
	tok.next += 8 + (uint32_t)align_up(len, 4);
	tok.prop.next = tok.next;
	tok.kind = HULL_FDT_PROP;
	return tok;
}

struct hull_fdt_token hull_fdt_token(const struct hull_fdt *t, uint32_t at)
{
	struct hull_fdt_token tok = { .kind = HULL_FDT_BAD, .at = at, .next = at };
	uint32_t word;

	do {
		if (!is_aligned(tok.next, 4) ||
		    !hull_range_within(tok.next, 4, 0, t->structure_size))
			return tok;
		tok.at = tok.next;
		word = load_be32(t->blob + t->structure + tok.at);
		tok.next = tok.at + 4;
	} while (word == NOP);

	switch (word) {
	case HULL_FDT_BEGIN_NODE: return read_node(t, tok);
	case HULL_FDT_PROP: return read_prop(t, tok);
	case HULL_FDT_END_NODE: tok.kind = HULL_FDT_END_NODE; return tok;
	case HULL_FDT_END: tok.kind = HULL_FDT_END; return tok;
	default: return tok;
	}
}

static int damaged(struct hull_err *err, const char *what, uint32_t at)
{
	hull_fail(err, HULL_EFORMAT, 731, "the device tree blob is damaged: %s", what);
	hull_err_where(err, "byte 0x%x", at);
	hull_err_fix(err, "check it with: dtc -I dtb -O dts FILE");
	return HULL_EFORMAT;
}

static int check_header(const uint8_t *b, size_t size, struct hull_err *err)
{
	uint32_t total;

	if (size < HULL_FDT_HEADER || load_be32(b) != MAGIC) {
		hull_fail(err, HULL_EFORMAT, 730, "this is not a device tree blob (no magic)");
		hull_err_fix(err, "if it is source text: dtc -I dts -O dtb -o OUT.dtb FILE");
		return HULL_EFORMAT;
	}
	if (load_be32(b + VERSION) < 17 || load_be32(b + LAST_COMPATIBLE) > 17) {
		hull_fail(err, HULL_EFORMAT, 730,
		          "device tree blob version %u (compatible back to %u) is not version 17",
		          load_be32(b + VERSION), load_be32(b + LAST_COMPATIBLE));
		hull_err_fix(err, "convert it: dtc -I dtb -O dtb -V 17 -o OUT.dtb FILE");
		return HULL_EFORMAT;
	}
	total = load_be32(b + TOTALSIZE);
	if (total > HULL_FDT_MAX_SIZE)
		return hull_fail(err, HULL_EFORMAT, 731,
		                 "device tree of %u bytes is larger than the limit of %u bytes",
		                 total, HULL_FDT_MAX_SIZE);
	if (total < HULL_FDT_HEADER || total > size)
		return hull_fail(err, HULL_EFORMAT, 731,
		                 "the device tree blob says it has %u bytes, but there are %zu",
		                 total, size);
	return 0;
}

/* The reservation block has no size; it ends with a zero entry (spec 5.3). */
static int check_reservations(struct hull_fdt *t, struct hull_err *err)
{
	uint32_t at;

	for (at = t->reservations;; at += RESERVE_ENTRY) {
		if (!hull_range_within(at, RESERVE_ENTRY, HULL_FDT_HEADER,
		                       t->size - HULL_FDT_HEADER))
			return damaged(err, "the memory reservations do not end", at);
		if (!load_be64(t->blob + at) && !load_be64(t->blob + at + 8))
			return 0;
		if (!hull_range_valid(load_be64(t->blob + at), load_be64(t->blob + at + 8)))
			return damaged(err, "a memory reservation wraps around", at);
		t->reservation_count++;
	}
}

static int check_blocks(struct hull_fdt *t, struct hull_err *err)
{
	uint32_t room = t->size - HULL_FDT_HEADER;

	if (!is_aligned(t->structure, 4) || !is_aligned(t->structure_size, 4))
		return damaged(err, "the structure block is not aligned", OFF_STRUCT);
	if (!is_aligned(t->reservations, 8))
		return damaged(err, "the memory reservation block is not aligned", OFF_RSVMAP);
	if (!hull_range_within(t->structure, t->structure_size, HULL_FDT_HEADER, room))
		return damaged(err, "the structure block is out of bounds", OFF_STRUCT);
	if (!hull_range_within(t->strings, t->strings_size, HULL_FDT_HEADER, room))
		return damaged(err, "the strings block is out of bounds", OFF_STRINGS);
	if (hull_ranges_overlap(t->structure, t->structure_size, t->strings, t->strings_size))
		return damaged(err, "the structure and strings blocks overlap", OFF_STRINGS);
	return check_reservations(t, err);
}

/* What is wrong with `tok` at this depth, or NULL.  props_over: children have begun. */
static const char *complaint(const struct hull_fdt_token *tok, unsigned depth, bool props_over,
                             bool rooted)
{
	switch (tok->kind) {
	case HULL_FDT_BEGIN_NODE:
		if (depth == 0 && rooted)
			return "there is a second root node";
		if (depth == HULL_FDT_MAX_DEPTH)
			return "nodes are nested too deeply";
		/* Some old tools named the root "/". */
		if (depth == 0 && tok->prop.name[0] && !hull_text_eq(tok->prop.name, "/"))
			return "the root node has a name";
		return depth && !tok->prop.name[0] ? "a node has no name" : NULL;
	case HULL_FDT_PROP:
		if (!depth || props_over)
			return "a property stands where none is allowed";
		return NULL;
	case HULL_FDT_END_NODE: return depth ? NULL : "a node ends that never began";
	case HULL_FDT_END: return !depth && rooted ? NULL : "the tree ends inside a node";
	case HULL_FDT_BAD:
	default: return "a token, name or value is invalid or cut off";
	}
}

static int check_structure(const struct hull_fdt *t, struct hull_err *err)
{
	bool rooted = false, props_over = false;
	struct hull_fdt_token tok = { 0 };
	unsigned depth = 0;
	const char *what;

	/* Every step consumes at least four bytes, so this ends. */
	do {
		tok = hull_fdt_token(t, tok.next);
		what = complaint(&tok, depth, props_over, rooted);
		if (what)
			return damaged(err, what, t->structure + tok.at);
		if (tok.kind == HULL_FDT_BEGIN_NODE) {
			depth++;
			rooted = true;
			props_over = false;
		} else if (tok.kind == HULL_FDT_END_NODE) {
			depth--;
			props_over = true;
		}
	} while (tok.kind != HULL_FDT_END);
	return 0;
}

int hull_fdt_check(const void *blob, size_t size, struct hull_fdt *ret, struct hull_err *err)
{
	const uint8_t *b = blob;
	struct hull_fdt t = { .blob = b };
	int rc = check_header(b, size, err);

	if (rc)
		return rc;
	t.size = load_be32(b + TOTALSIZE);
	t.reservations = load_be32(b + OFF_RSVMAP);
	t.structure = load_be32(b + OFF_STRUCT);
	t.structure_size = load_be32(b + SIZE_STRUCT);
	t.strings = load_be32(b + OFF_STRINGS);
	t.strings_size = load_be32(b + SIZE_STRINGS);
	t.boot_cpu = load_be32(b + BOOT_CPU);
	rc = check_blocks(&t, err);
	if (!rc)
		rc = check_structure(&t, err);
	if (!rc)
		*ret = t;
	return rc;
}

uint32_t hull_fdt_root(const struct hull_fdt *t)
{
	struct hull_fdt_token tok = hull_fdt_token(t, 0);

	return tok.kind == HULL_FDT_BEGIN_NODE ? tok.at : HULL_FDT_NONE;
}

const char *hull_fdt_name(const struct hull_fdt *t, uint32_t node)
{
	struct hull_fdt_token tok = hull_fdt_token(t, node);

	return tok.kind == HULL_FDT_BEGIN_NODE ? tok.prop.name : NULL;
}

uint32_t hull_fdt_child(const struct hull_fdt *t, uint32_t node)
{
	struct hull_fdt_token tok = hull_fdt_token(t, node);

	if (tok.kind != HULL_FDT_BEGIN_NODE)
		return HULL_FDT_NONE;
	do
		tok = hull_fdt_token(t, tok.next);
	while (tok.kind == HULL_FDT_PROP);
	return tok.kind == HULL_FDT_BEGIN_NODE ? tok.at : HULL_FDT_NONE;
}

uint32_t hull_fdt_sibling(const struct hull_fdt *t, uint32_t node)
{
	struct hull_fdt_token tok = hull_fdt_token(t, node);
	unsigned depth = 0;

	if (tok.kind != HULL_FDT_BEGIN_NODE)
		return HULL_FDT_NONE;
	do {
		if (tok.kind == HULL_FDT_BEGIN_NODE)
			depth++;
		else if (tok.kind == HULL_FDT_END_NODE)
			depth--;
		tok = hull_fdt_token(t, tok.next);
	} while (tok.kind != HULL_FDT_BAD && tok.kind != HULL_FDT_END &&
	         (depth || tok.kind == HULL_FDT_PROP));
	return tok.kind == HULL_FDT_BEGIN_NODE ? tok.at : HULL_FDT_NONE;
}

/*
 * The child called `want` (len characters), or else, if that has no unit
 * address, the first child of that name with one.
 */
static uint32_t child_named(const struct hull_fdt *t, uint32_t parent, const char *want, size_t len)
{
	uint32_t node = hull_fdt_child(t, parent), with_unit = HULL_FDT_NONE;
	const char *name;
	size_t i;

	for (; node != HULL_FDT_NONE; node = hull_fdt_sibling(t, node)) {
		name = hull_fdt_name(t, node);
		for (i = 0; i < len && name[i] == want[i];)
			i++;
		if (i < len)
			continue;
		if (!name[len])
			return node;
		if (name[len] == '@' && with_unit == HULL_FDT_NONE)
			with_unit = node;
	}
	return with_unit;
}

uint32_t hull_fdt_find(const struct hull_fdt *t, const char *path)
{
	uint32_t node = hull_fdt_root(t);
	size_t len;

	if (path[0] != '/')
		return HULL_FDT_NONE;
	while (node != HULL_FDT_NONE) {
		while (*path == '/')
			path++;
		if (!*path)
			return node;
		for (len = 0; path[len] && path[len] != '/';)
			len++;
		node = child_named(t, node, path, len);
		path += len;
	}
	return HULL_FDT_NONE;
}

/* The next node in the order of the blob, however deep; HULL_FDT_NONE: the first. */
static uint32_t next_node(const struct hull_fdt *t, uint32_t node)
{
	struct hull_fdt_token tok = { 0 };

	if (node != HULL_FDT_NONE)
		tok = hull_fdt_token(t, node);
	do
		tok = hull_fdt_token(t, tok.next);
	while (tok.kind == HULL_FDT_PROP || tok.kind == HULL_FDT_END_NODE);
	return tok.kind == HULL_FDT_BEGIN_NODE ? tok.at : HULL_FDT_NONE;
}

uint32_t hull_fdt_find_compatible(const struct hull_fdt *t, uint32_t after, const char *name)
{
	struct hull_fdt_prop prop;
	uint32_t node, at, len;

	len = (uint32_t)hull_text_len(name) + 1;
	for (node = next_node(t, after); node != HULL_FDT_NONE; node = next_node(t, node)) {
		if (!hull_fdt_get(t, node, "compatible", &prop))
			continue;
		for (at = 0; at < prop.len && len <= prop.len - at; at++) {
			if ((!at || !prop.data[at - 1]) && !memcmp(prop.data + at, name, len))
				return node;
		}
	}
	return HULL_FDT_NONE;
}

uint32_t hull_fdt_find_phandle(const struct hull_fdt *t, uint32_t phandle)
{
	struct hull_fdt_prop prop;
	uint32_t node, value;

	for (node = next_node(t, HULL_FDT_NONE); node != HULL_FDT_NONE; node = next_node(t, node)) {
		if (!hull_fdt_get(t, node, "phandle", &prop) &&
		    !hull_fdt_get(t, node, "linux,phandle", &prop))
			continue;
		if (hull_fdt_get_u32(&prop, 0, &value) && value == phandle)
			return node;
	}
	return HULL_FDT_NONE;
}

bool hull_fdt_next_prop(const struct hull_fdt *t, uint32_t node, struct hull_fdt_prop *prop)
{
	struct hull_fdt_token tok = { .next = prop->next };

	if (!prop->next) {
		tok = hull_fdt_token(t, node);
		if (tok.kind != HULL_FDT_BEGIN_NODE)
			return false;
	}
	tok = hull_fdt_token(t, tok.next);
	if (tok.kind != HULL_FDT_PROP)
		return false;
	*prop = tok.prop;
	return true;
}

bool hull_fdt_get(const struct hull_fdt *t, uint32_t node, const char *name,
                  struct hull_fdt_prop *ret)
{
	struct hull_fdt_prop prop = { 0 };

	while (hull_fdt_next_prop(t, node, &prop)) {
		if (hull_text_eq(prop.name, name)) {
			*ret = prop;
			return true;
		}
	}
	return false;
}

bool hull_fdt_get_u32(const struct hull_fdt_prop *prop, uint32_t index, uint32_t *ret)
{
	if (index >= prop->len / 4)
		return false;
	*ret = load_be32(prop->data + 4 * (size_t)index);
	return true;
}

bool hull_fdt_get_u64(const struct hull_fdt_prop *prop, uint32_t index, uint64_t *ret)
{
	if (index >= prop->len / 8)
		return false;
	*ret = load_be64(prop->data + 8 * (size_t)index);
	return true;
}

const char *hull_fdt_get_string(const struct hull_fdt_prop *prop, uint32_t index)
{
	uint32_t i, start = 0;

	for (i = 0; i < prop->len; i++) {
		if (prop->data[i])
			continue;
		if (!index--)
			return (const char *)prop->data + start;
		start = i + 1;
	}
	return NULL;
}

bool hull_fdt_reservation(const struct hull_fdt *t, uint32_t index, hull_gpa *ret_start,
                          uint64_t *ret_length)
{
	uint64_t at = t->reservations + (uint64_t)index * RESERVE_ENTRY;

	if (index >= t->reservation_count || !hull_range_within(at, RESERVE_ENTRY, 0, t->size))
		return false;
	*ret_start = load_be64(t->blob + at);
	*ret_length = load_be64(t->blob + at + 8);
	return true;
}
