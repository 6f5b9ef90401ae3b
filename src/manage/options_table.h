/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The rows of options.def as data, and the conversion of single values.
 * Shared by the files that implement options, and by help.  Pure.
 */
#ifndef HULL_MANAGE_OPTIONS_TABLE_H
#define HULL_MANAGE_OPTIONS_TABLE_H

#include "manage/options.h"

#define HULL_OPTION_NAME_MAX 64

enum hull_option_type {
	HULL_TYPE_TEXT,
	HULL_TYPE_MAIN_TEXT,
	HULL_TYPE_PATH,
	HULL_TYPE_MAIN_PATH,
	HULL_TYPE_SINK,
	HULL_TYPE_SEED,
	HULL_TYPE_CHOICE,
	HULL_TYPE_BOOL,
	HULL_TYPE_COUNT,
	HULL_TYPE_ADDRESS,
	HULL_TYPE_SIZE,
	HULL_TYPE_PAGES,
	HULL_TYPE_NUMBERS,
	HULL_TYPE_SETS,
	HULL_TYPE_STRINGS,
	HULL_TYPE_PAIRS,
};

enum hull_group_kind { HULL_GROUP_ONE, HULL_GROUP_ADD, HULL_GROUP_REPLACE };

struct hull_option_row {
	const char *key; /* within the group */
	const char *preset;
	const char *flag;
	const char *value; /* placeholder, or the choices */
	const char *help;
	const char *example;
	uint64_t least;
	uint64_t most;
	uint8_t group;
	uint8_t type;
	char letter;
};

struct hull_group_row {
	const char *name;
	const char *help;
	uint8_t kind;
	uint8_t most;
};

/* Options of one invocation; ids continue behind the options'. */
enum hull_switch {
#define OPT(...)
#define GROUP(...)
#define ALIAS(...)
#define SWITCH(id, ...) HULL_SWITCH_##id,
#include "manage/options.def"
#undef OPT
#undef GROUP
#undef ALIAS
#undef SWITCH
	HULL_SWITCH_COUNT
};

struct hull_switch_row {
	const char *flag;
	const char *value;
	const char *help;
	char letter;
};

struct hull_alias_row {
	const char *flag;
	const char *value; /* NULL: the argument's */
	enum hull_option id;
};

extern const struct hull_option_row hull_option_rows[HULL_OPT_COUNT];
extern const struct hull_group_row hull_group_rows[HULL_GROUP_COUNT];
extern const struct hull_switch_row hull_switch_rows[HULL_SWITCH_COUNT];
extern const struct hull_alias_row hull_alias_rows[];
extern const size_t hull_alias_count;

/* The first option of a group, and how many it has. */
enum hull_option hull_option_first(unsigned group);
unsigned hull_option_keys(unsigned group);

/* "memory.size", "boot.kernel", "disk.path": `dst` has HULL_OPTION_NAME_MAX bytes. */
void hull_option_name(enum hull_option id, char *dst);

/* "HULL_MEMORY_SIZE"; empty for the keys of arrays of tables. */
void hull_option_variable(enum hull_option id, char *dst);

/* The option with this name (boot.kernel.path is boot.kernel, too); HULL_OPT_COUNT: none. */
enum hull_option hull_option_find(const char *name);

/* The name nearest to a mistyped one, in `dst`; false if none is near. */
bool hull_option_near(const char *name, char *dst);

/* Where a value stands, for messages. */
struct hull_place {
	struct hull_origin origin;
	const char *key; /* as in disk[0].path; NULL: the origin's name says it */
};

/* Set err->where for a value that stands there. */
void hull_place_where(struct hull_err *err, const struct hull_place *at);

/* A value as given, such as "memory.size = 12Q" or "--memory 12Q". */
void hull_place_subject(const struct hull_place *at, const char *value, char *dst, size_t size);

/* Convert and check one value.  Texts are copied into the pool; *ret is set on success only. */
HULL_CHECK_RESULT int hull_value_from_text(struct hull_pool *a, enum hull_option id,
                                           const char *text, const struct hull_place *at,
                                           struct hull_value *ret, struct hull_err *err);
HULL_CHECK_RESULT int hull_value_from_toml(struct hull_pool *a, enum hull_option id,
                                           const struct hull_toml *node,
                                           const struct hull_place *at, struct hull_value *ret,
                                           struct hull_err *err);

/* Print a value as TOML. */
void hull_value_write(FILE *out, enum hull_option id, const struct hull_value *v);

/* Print text as a TOML string. */
void hull_text_write(FILE *out, const char *text);

/* Set a value that was converted, unless one of a higher rank is there. */
void hull_value_store(struct hull_value *slot, const struct hull_value *v);

/*
 * Add an element to an array of tables, with defaults; *ret may be one that nobody
 * keeps, if a higher rank replaces it.  E0109, E0120.
 */
HULL_CHECK_RESULT int hull_options_add_item(struct hull_options *o, unsigned group,
                                            const struct hull_place *at, struct hull_item **ret,
                                            struct hull_err *err);

/* Complain about a key that does not exist. */
HULL_CHECK_RESULT int hull_option_unknown(const char *name, const struct hull_place *at,
                                          struct hull_err *err);

/* HULL_ENOMEM with its text. */
HULL_CHECK_RESULT int hull_options_no_memory(struct hull_err *err);

#endif
