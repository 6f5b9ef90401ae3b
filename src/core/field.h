/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Field tables: the state of a thing, described once.
 *
 * Snapshot, restore, inspection and documentation read the same table.  The
 * encoding is by name: an unknown name is skipped, a missing one keeps its
 * value, so an old snapshot loads into a newer Hull.
 */
#ifndef HULL_CORE_FIELD_H
#define HULL_CORE_FIELD_H

#include <hull/error.h>
#include <hull/types.h>

struct hull_field {
	const char *name;
	uint32_t offset;
	uint16_t size;   /* bytes of one element: 1, 2, 4 or 8 */
	uint16_t count;  /* elements */
	uint32_t stride; /* bytes from one element to the next; 0: size */
};

#define HULL_FIELD(type, member) { #member, offsetof(type, member), sizeof(((type *)0)->member), 1 }
#define HULL_FIELD_ARRAY(type, member)                                     \
	{ #member, offsetof(type, member), sizeof(((type *)0)->member[0]), \
	  sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]) }

/* `member` of each struct in the array `array` of `type`. */
#define HULL_FIELD_EACH(type, array, member)                          \
	{ #array "[]." #member, offsetof(type, array[0].member),      \
	  sizeof(((type *)0)->array[0].member),                       \
	  sizeof(((type *)0)->array) / sizeof(((type *)0)->array[0]), \
	  sizeof(((type *)0)->array[0]) }

/*
 * Encode `n` fields of `object` as one section called `name`, appended at *pos
 * in buf[size].  HULL_EOVERFLOW if it does not fit.  Little-endian, portable.
 */
int hull_fields_save(const char *name, const struct hull_field *fields, unsigned n,
                     const void *object, uint8_t *buf, size_t size, size_t *pos);

/*
 * Decode the section at *pos, which must be called `name`, into `object`.
 * HULL_EFORMAT for anything malformed: then `object` is untouched.
 */
int hull_fields_load(const char *name, const struct hull_field *fields, unsigned n, void *object,
                     const uint8_t *buf, size_t size, size_t *pos, struct hull_err *err);

#endif
