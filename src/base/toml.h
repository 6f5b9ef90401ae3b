/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A reader of TOML 1.0 (https://toml.io/en/v1.0.0) for hostile input.
 *
 * The document becomes a tree in memory that the caller supplies; nothing
 * else is allocated and nothing needs to be freed.  Depth, keys per table and
 * memory are bounded, so time is, too.  There is no floating point here:
 * floats and dates are checked and kept as the text of the source.
 *
 * Beyond the standard: integers up to 2^64 - 1 are accepted, since
 * addresses need them, and a byte order mark at the start is skipped.
 *
 * Threading: a finished tree is read-only and may be shared.
 */
#ifndef HULL_BASE_TOML_H
#define HULL_BASE_TOML_H

#include <hull/error.h>

#define HULL_TOML_MAX_DEPTH 32   /* tables and arrays inside each other */
#define HULL_TOML_MAX_KEYS  1024 /* keys of one table */

/* Catalogue numbers of the errors below. */
enum { HULL_TOML_E_SYNTAX = 102, HULL_TOML_E_TWICE = 103, HULL_TOML_E_LIMIT = 105 };

enum hull_toml_kind {
	HULL_TOML_STRING,
	HULL_TOML_INTEGER,
	HULL_TOML_FLOAT,
	HULL_TOML_BOOL,
	HULL_TOML_DATETIME,
	HULL_TOML_ARRAY,
	HULL_TOML_TABLE,
};

/* One value.  The members of a table or array are `first` and its `next`s, in source order. */
struct hull_toml {
	struct hull_toml *next;
	struct hull_toml *first;
	struct hull_toml *last;
	const char *key;  /* NUL-terminated; "" for elements of arrays and for the root */
	const char *text; /* string: its value; float, date: as written; NUL-terminated */
	uint64_t integer; /* integer in two's complement; bool as 0 or 1 */
	uint32_t key_len; /* may be more than strlen(key): \u0000 is allowed */
	uint32_t len;     /* of `text`, likewise */
	uint32_t count;   /* members */
	uint32_t line;    /* where it begins in the source, from 1 */
	uint32_t column;  /* in characters, from 1 */
	uint8_t kind;     /* enum hull_toml_kind */
	uint8_t flags;    /* of the parser */
	uint8_t depth;
	bool negative; /* of an integer */
};

struct hull_toml_input {
	const char *name; /* of the file, for messages; NULL: none */
	const char *text; /* need not be terminated */
	size_t size;      /* bytes, at most 2^31 - 1 */
};

/*
 * Parse a document into `mem` (of `mem_size` bytes; any alignment), which the tree
 * then lives in; the input may go away.  120 bytes per value plus the text suffice.
 * On failure *ret_root is untouched and `err` names line and column:
 * HULL_EFORMAT (E0102, E0103) or, beyond a limit, HULL_EOVERFLOW or HULL_ENOMEM (E0105).
 */
HULL_CHECK_RESULT int hull_toml_parse(const struct hull_toml_input *in, void *mem, size_t mem_size,
                                      const struct hull_toml **ret_root, struct hull_err *err);

/* The member of a table by its key (one part, no dots); NULL if absent or not a table. */
const struct hull_toml *hull_toml_get(const struct hull_toml *table, const char *key);

/* The text of a string that holds no NUL character; NULL for anything else, including NULL. */
const char *hull_toml_text(const struct hull_toml *node);

/* The value of an integer that is not negative; false for anything else. */
bool hull_toml_u64(const struct hull_toml *node, uint64_t *ret);

/* "a string", "an integer", ...: for messages. */
const char *hull_toml_kind_name(unsigned kind);

#endif
