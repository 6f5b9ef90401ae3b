/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The field codec.
 *
 * Section: magic u32, name length u16, body length u32, name, body, CRC-32 of
 * all that.  Body: one record per field: name length u8, element size u8,
 * elements u16, name, elements.  Everything little-endian.
 *
 * budget: section, table, object and buffer make more than six parameters.
 *
 * A table that has grown more elements than a snapshot keeps its own values for the
 * rest.  A field that changed its element size is a new field: give it a new name.
 */
#include "core/field.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define MAGIC UINT32_C(0x31534648) /* "HFS1" */

enum { SECTION_HEAD = 10, RECORD_HEAD = 4, CRC_SIZE = 4 };

/* CRC-32 (IEEE 802.3), bit by bit: sections are small. */
static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	while (n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
	}
	return ~crc;
}

static size_t record_size(const struct hull_field *f)
{
	return RECORD_HEAD + hull_text_len(f->name) + (size_t)f->size * f->count;
}

/* One element between host and little-endian order. */
static void put_element(uint8_t *dst, const uint8_t *src, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 1: *dst = *src; return;
	case 2:
		memcpy(&v2, src, 2);
		store_le16(dst, v2);
		return;
	case 4:
		memcpy(&v4, src, 4);
		store_le32(dst, v4);
		return;
	default:
		memcpy(&v8, src, 8);
		store_le64(dst, v8);
		return;
	}
}

static void get_element(uint8_t *dst, const uint8_t *src, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 1: *dst = *src; return;
	case 2:
		v2 = load_le16(src);
		memcpy(dst, &v2, 2);
		return;
	case 4:
		v4 = load_le32(src);
		memcpy(dst, &v4, 4);
		return;
	default:
		v8 = load_le64(src);
		memcpy(dst, &v8, 8);
		return;
	}
}

static size_t stride_of(const struct hull_field *f)
{
	return f->stride ? f->stride : f->size;
}

static uint8_t *put_record(uint8_t *at, const struct hull_field *f, const void *object)
{
	size_t name = hull_text_len(f->name);
	const uint8_t *src = (const uint8_t *)object + f->offset;

	at[0] = (uint8_t)name;
	at[1] = (uint8_t)f->size;
	store_le16(at + 2, f->count);
	memcpy(at + RECORD_HEAD, f->name, name);
	at += RECORD_HEAD + name;
	for (unsigned i = 0; i < f->count; i++, at += f->size, src += stride_of(f))
		put_element(at, src, f->size);
	return at;
}

int hull_fields_save(const char *name, const struct hull_field *fields, unsigned n,
                     const void *object, uint8_t *buf, size_t size, size_t *pos)
{
	size_t name_len = hull_text_len(name), body = 0, total;
	uint8_t *start, *at;

	HULL_ASSERT(name_len <= UINT16_MAX);
	for (unsigned i = 0; i < n; i++) {
		HULL_ASSERT(is_pow2(fields[i].size) && fields[i].size <= 8);
		HULL_ASSERT(hull_text_len(fields[i].name) <= UINT8_MAX);
		body += record_size(&fields[i]);
	}
	total = SECTION_HEAD + name_len + body + CRC_SIZE;
	if (body > UINT32_MAX || !hull_range_within(*pos, total, 0, size))
		return HULL_EOVERFLOW;
	start = buf + *pos;
	store_le32(start, MAGIC);
	store_le16(start + 4, (uint16_t)name_len);
	store_le32(start + 6, (uint32_t)body);
	memcpy(start + SECTION_HEAD, name, name_len);
	at = start + SECTION_HEAD + name_len;
	for (unsigned i = 0; i < n; i++)
		at = put_record(at, &fields[i], object);
	store_le32(at, crc32(start, total - CRC_SIZE));
	*pos += total;
	return 0;
}

struct record {
	const uint8_t *name, *data;
	size_t name_len;
	unsigned size, count;
};

/* Split one record off [*at, end).  False if it is malformed. */
static bool next_record(const uint8_t **at, const uint8_t *end, struct record *ret)
{
	const uint8_t *p = *at;
	size_t left = (size_t)(end - p);

	if (left < RECORD_HEAD)
		return false;
	ret->name_len = p[0];
	ret->size = p[1];
	ret->count = load_le16(p + 2);
	ret->name = p + RECORD_HEAD;
	ret->data = ret->name + ret->name_len;
	if (!is_pow2(ret->size) || ret->size > 8)
		return false;
	if (left - RECORD_HEAD < ret->name_len + (size_t)ret->size * ret->count)
		return false;
	*at = ret->data + (size_t)ret->size * ret->count;
	return true;
}

static const struct hull_field *match(const struct hull_field *fields, unsigned n,
                                      const struct record *r)
{
	for (unsigned i = 0; i < n; i++)
		if (hull_text_len(fields[i].name) == r->name_len &&
		    !memcmp(fields[i].name, r->name, r->name_len))
			return &fields[i];
	return NULL;
}

static int malformed(const char *name, const char *why, struct hull_err *err)
{
	return hull_fail(err, HULL_EFORMAT, 1001, "saved state of '%s': %s", name, why);
}

/* Check all records; with `object`, store them: the same walk twice, so storing cannot fail. */
static int records(const char *name, const struct hull_field *fields, unsigned n, void *object,
                   const uint8_t *at, const uint8_t *end, struct hull_err *err)
{
	struct record r;

	while (at < end) {
		const struct hull_field *f;

		if (!next_record(&at, end, &r))
			return malformed(name, "a field is cut off or has an impossible size", err);
		f = match(fields, n, &r);
		if (!f)
			continue;
		if (f->size != r.size || f->count < r.count)
			return hull_fail(err, HULL_EFORMAT, 1001,
			                 "saved state of '%s': field '%s' has another size", name,
			                 f->name);
		for (unsigned i = 0; object && i < r.count; i++)
			get_element((uint8_t *)object + f->offset + i * stride_of(f),
			            r.data + (size_t)i * f->size, f->size);
	}
	return 0;
}

int hull_fields_load(const char *name, const struct hull_field *fields, unsigned n, void *object,
                     const uint8_t *buf, size_t size, size_t *pos, struct hull_err *err)
{
	const uint8_t *start, *body;
	size_t name_len, body_len, total;
	int ret;

	if (!hull_range_within(*pos, SECTION_HEAD, 0, size))
		return malformed(name, "it is missing or cut off", err);
	start = buf + *pos;
	if (load_le32(start) != MAGIC)
		return malformed(name, "no section begins here", err);
	name_len = load_le16(start + 4);
	body_len = load_le32(start + 6);
	total = SECTION_HEAD + name_len + body_len + CRC_SIZE;
	if (!hull_range_within(*pos, total, 0, size))
		return malformed(name, "it is cut off", err);
	if (name_len != hull_text_len(name) || memcmp(start + SECTION_HEAD, name, name_len) != 0)
		return malformed(name, "another section is in its place", err);
	if (load_le32(start + total - CRC_SIZE) != crc32(start, total - CRC_SIZE))
		return malformed(name, "the checksum is wrong", err);
	body = start + SECTION_HEAD + name_len;
	ret = records(name, fields, n, NULL, body, body + body_len, err);
	if (ret)
		return ret;
	ret = records(name, fields, n, object, body, body + body_len, err);
	HULL_ASSERT(!ret);
	*pos += total;
	return 0;
}
