/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A writer of JSON (RFC 8259) that needs no memory.  Text that is not UTF-8
 * comes out with U+FFFD in place of each bad byte, so the output is always valid.
 * `key` is NULL inside arrays and for the outermost value.
 */
#ifndef HULL_MANAGE_JSON_H
#define HULL_MANAGE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HULL_JSON_MAX_DEPTH 32

struct hull_json {
	FILE *out;
	unsigned depth;
	char close[HULL_JSON_MAX_DEPTH];
	bool comma[HULL_JSON_MAX_DEPTH + 1];
};

void hull_json_init(struct hull_json *j, FILE *out);
void hull_json_object(struct hull_json *j, const char *key);
void hull_json_array(struct hull_json *j, const char *key);
/* Close the innermost object or array; the last one is followed by a newline. */
void hull_json_end(struct hull_json *j);
void hull_json_text(struct hull_json *j, const char *key, const char *text); /* NULL: null */
void hull_json_u64(struct hull_json *j, const char *key, uint64_t value);
void hull_json_bool(struct hull_json *j, const char *key, bool value);

#endif
