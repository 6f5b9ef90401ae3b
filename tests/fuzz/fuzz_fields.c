/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The field codec reads whatever somebody calls a snapshot.  The checksum is
 * repaired first, or nothing would get past it.  What was accepted is saved
 * and loaded again and must be the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "core/field.h"

struct thing {
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	uint16_t list[5];
};

static const struct hull_field fields[] = {
	HULL_FIELD(struct thing, a),          HULL_FIELD(struct thing, b),
	HULL_FIELD(struct thing, c),          HULL_FIELD(struct thing, d),
	HULL_FIELD_ARRAY(struct thing, list),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thing one, two;
	uint8_t saved[512];
	size_t pos = 0, end = 0;
	uint8_t *copy;

	if (size < 4)
		return 0;
	copy = malloc(size);
	memcpy(copy, data, size);
	store_le32(copy + size - 4, crc32(copy, size - 4));
	memset(&one, 0, sizeof(one));
	memset(&two, 0, sizeof(two));
	if (!hull_fields_load("t", fields, ARRAY_LEN(fields), &one, copy, size, &pos, NULL)) {
		pos = 0;
		if (hull_fields_save("t", fields, ARRAY_LEN(fields), &one, saved, sizeof(saved),
		                     &end) ||
		    hull_fields_load("t", fields, ARRAY_LEN(fields), &two, saved, end, &pos,
		                     NULL) ||
		    pos != end || memcmp(&one, &two, sizeof(one)) != 0)
			__builtin_trap();
	}
	free(copy);
	return 0;
}
