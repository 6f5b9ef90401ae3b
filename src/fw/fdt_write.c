/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The device tree writer of fw/fdt.h.
 *
 * The structure block grows from the front of the buffer and the strings
 * block from its end downward, so neither needs a size in advance.  Until
 * hull_fdt_finish() a property holds the distance of its name from the end
 * of the buffer; finish moves the strings down and turns distances into offsets.
 */
#include "fw/fdt.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"

enum { MAGIC_WORD = 0xd00dfeed, RESERVE_ENTRY = 16 };

/*
 * How many of the latest names are searched for one to share.  Real trees
 * have a few hundred; the bound keeps a hostile one from costing quadratic time.
 */
enum { MAX_SEARCHED = 1024 };

/* `n` fresh bytes at the front, or NULL (and the sticky error) if they do not fit. */
static uint8_t *extend(struct hull_fdt_writer *w, size_t n)
{
	uint8_t *p;

	if (w->error)
		return NULL;
	if (n > w->size - w->used - w->strings) {
		w->error = HULL_EOVERFLOW;
		return NULL;
	}
	p = w->buf + w->used;
	w->used += n;
	return p;
}

static void put_u32(struct hull_fdt_writer *w, uint32_t value)
{
	uint8_t *p = extend(w, 4);

	if (p)
		store_be32(p, value);
}

/* Space for `len` bytes, padded with zeros to the token alignment. */
static uint8_t *put_padded(struct hull_fdt_writer *w, size_t len)
{
	uint8_t *p;

	if (len > HULL_FDT_MAX_SIZE) {
		w->error = w->error ? w->error : HULL_EOVERFLOW;
		return NULL;
	}
	p = extend(w, align_up(len, 4));
	if (p)
		memset(p + len, 0, align_up(len, 4) - len);
	return p;
}

static void out_of_order(struct hull_fdt_writer *w)
{
	if (!w->error)
		w->error = HULL_ESTATE;
}

void hull_fdt_begin(struct hull_fdt_writer *w, void *buf, size_t size)
{
	memset(w, 0, sizeof(*w));
	w->buf = buf;
	w->size = MIN(size, (size_t)HULL_FDT_MAX_SIZE);
	extend(w, HULL_FDT_HEADER);
}

static void put_reservation(struct hull_fdt_writer *w, uint64_t start, uint64_t length)
{
	uint8_t *p = extend(w, RESERVE_ENTRY);

	if (p) {
		store_be64(p, start);
		store_be64(p + 8, length);
	}
}

void hull_fdt_reserve(struct hull_fdt_writer *w, hull_gpa start, uint64_t length)
{
	if (w->structure)
		out_of_order(w);
	else if (length)
		put_reservation(w, start, length);
}

void hull_fdt_begin_node(struct hull_fdt_writer *w, const char *name)
{
	size_t len = hull_text_len(name);
	uint8_t *p;

	if (!w->structure) {
		put_reservation(w, 0, 0);
		w->structure = w->used;
	}
	if (w->depth == 0 ? w->rooted || len : !len)
		out_of_order(w);
	if (len > HULL_FDT_MAX_NAME || w->depth == HULL_FDT_MAX_DEPTH)
		w->error = w->error ? w->error : HULL_EOVERFLOW;
	put_u32(w, HULL_FDT_BEGIN_NODE);
	p = put_padded(w, len + 1);
	if (!p)
		return;
	memcpy(p, name, len + 1);
	w->rooted = true;
	w->props_over = false;
	w->depth++;
}

void hull_fdt_begin_node_at(struct hull_fdt_writer *w, const char *name, uint64_t unit)
{
	char full[HULL_FDT_MAX_NAME + 2];

	/* A cut name is longer than the maximum, so that begin_node refuses it. */
	hull_format(full, sizeof(full), "%s@%llx", name, (unsigned long long)unit);
	hull_fdt_begin_node(w, full);
}

void hull_fdt_end_node(struct hull_fdt_writer *w)
{
	if (!w->depth)
		out_of_order(w);
	put_u32(w, HULL_FDT_END_NODE);
	if (w->error)
		return;
	w->depth--;
	w->props_over = true;
}

/* Find or add a property name; its distance from the end of the buffer. */
static uint32_t intern(struct hull_fdt_writer *w, const char *name)
{
	const char *end = (const char *)w->buf + w->size;
	size_t len = hull_text_len(name);
	const char *s;
	unsigned i;

	if (!len || len > HULL_FDT_MAX_NAME) {
		out_of_order(w);
		return 0;
	}
	if (w->error)
		return 0;
	s = end - w->strings;
	for (i = 0; s < end && i < MAX_SEARCHED; i++, s += hull_text_len(s) + 1)
		if (hull_text_eq(s, name))
			return (uint32_t)(end - s);
	if (len + 1 > w->size - w->used - w->strings) {
		w->error = HULL_EOVERFLOW;
		return 0;
	}
	w->strings += len + 1;
	memcpy(w->buf + w->size - w->strings, name, len + 1);
	return (uint32_t)w->strings;
}

/* The head of a property; returns where its `len` bytes go, NULL after an error. */
static uint8_t *put_prop(struct hull_fdt_writer *w, const char *name, size_t len)
{
	uint32_t distance;

	if (!w->depth || w->props_over)
		out_of_order(w);
	distance = intern(w, name);
	put_u32(w, HULL_FDT_PROP);
	put_u32(w, (uint32_t)len);
	put_u32(w, distance);
	return put_padded(w, len);
}

void hull_fdt_prop_bytes(struct hull_fdt_writer *w, const char *name, const void *data, size_t len)
{
	uint8_t *p = put_prop(w, name, len);

	if (p && len)
		memcpy(p, data, len);
}

void hull_fdt_prop_empty(struct hull_fdt_writer *w, const char *name)
{
	put_prop(w, name, 0);
}

void hull_fdt_prop_string(struct hull_fdt_writer *w, const char *name, const char *value)
{
	hull_fdt_prop_bytes(w, name, value, hull_text_len(value) + 1);
}

void hull_fdt_prop_strings(struct hull_fdt_writer *w, const char *name, const char *const *list,
                           size_t count)
{
	size_t total = 0, i, len;
	uint8_t *p;

	for (i = 0; i < count && total <= HULL_FDT_MAX_SIZE; i++)
		total += hull_text_len(list[i]) + 1;
	p = put_prop(w, name, total);
	for (i = 0; p && i < count; i++, p += len) {
		len = hull_text_len(list[i]) + 1;
		memcpy(p, list[i], len);
	}
}

void hull_fdt_prop_cells(struct hull_fdt_writer *w, const char *name, const uint32_t *cells,
                         size_t count)
{
	/* Clamped before the multiplication; put_padded() refuses anything that large. */
	uint8_t *p = put_prop(w, name, MIN(count, (size_t)HULL_FDT_MAX_SIZE) * 4);
	size_t i;

	for (i = 0; p && i < count; i++)
		store_be32(p + 4 * i, cells[i]);
}

void hull_fdt_prop_u64s(struct hull_fdt_writer *w, const char *name, const uint64_t *values,
                        size_t count)
{
	uint8_t *p = put_prop(w, name, MIN(count, (size_t)HULL_FDT_MAX_SIZE) * 8);
	size_t i;

	for (i = 0; p && i < count; i++)
		store_be64(p + 8 * i, values[i]);
}

void hull_fdt_prop_u32(struct hull_fdt_writer *w, const char *name, uint32_t value)
{
	hull_fdt_prop_cells(w, name, &value, 1);
}

void hull_fdt_prop_u64(struct hull_fdt_writer *w, const char *name, uint64_t value)
{
	hull_fdt_prop_u64s(w, name, &value, 1);
}

/* Turn name distances into offsets: distance `strings` is offset 0. */
static void fix_names(struct hull_fdt_writer *w)
{
	uint8_t *p = w->buf + w->structure;
	uint8_t *end = w->buf + w->used;

	while (p < end) {
		uint32_t kind = load_be32(p);

		p += 4;
		if (kind == HULL_FDT_BEGIN_NODE) {
			p += align_up(hull_text_len((const char *)p) + 1, 4);
		} else if (kind == HULL_FDT_PROP) {
			store_be32(p + 4, (uint32_t)w->strings - load_be32(p + 4));
			p += 8 + align_up(load_be32(p), 4);
		}
	}
}

static int report(const struct hull_fdt_writer *w, struct hull_err *err)
{
	if (w->error == HULL_ESTATE)
		return hull_fail(err, HULL_ESTATE, 733,
		                 "the device tree was built in a wrong order (a bug in hull)");
	return hull_fail(err, HULL_EOVERFLOW, 732, "the device tree does not fit in %zu bytes",
	                 w->size);
}

int hull_fdt_finish(struct hull_fdt_writer *w, size_t *ret_size, struct hull_err *err)
{
	/* Spec 5.2: the header's ten words, in this order. */
	uint32_t words[10] = { MAGIC_WORD, 0, 0, 0, HULL_FDT_HEADER, 17, 16, 0, 0, 0 };
	size_t total, i;

	if (!w->rooted || w->depth)
		out_of_order(w);
	put_u32(w, HULL_FDT_END);
	if (w->error)
		return report(w, err);
	total = align_up(w->used + w->strings, 8);
	if (total > w->size) {
		w->error = HULL_EOVERFLOW;
		return report(w, err);
	}
	fix_names(w);
	memmove(w->buf + w->used, w->buf + w->size - w->strings, w->strings);
	memset(w->buf + w->used + w->strings, 0, total - w->used - w->strings);
	words[1] = (uint32_t)total;
	words[2] = (uint32_t)w->structure;
	words[3] = (uint32_t)w->used;
	words[7] = w->boot_cpu;
	words[8] = (uint32_t)w->strings;
	words[9] = (uint32_t)(w->used - w->structure);
	for (i = 0; i < ARRAY_LEN(words); i++)
		store_be32(w->buf + 4 * i, words[i]);
	w->error = HULL_ESTATE; /* the tree is closed: a further call is a mistake */
	*ret_size = total;
	return 0;
}
