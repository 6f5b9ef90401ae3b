/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The options of one VM: what the command line, the environment and the
 * configuration files say, with the origin of every value.
 *
 * Every option is a row of options.def.  An option of a plain table has one
 * value, reached by its id; an array of tables ([[disk]]) has items, each
 * with a value for every key of its group.  The order in which sources are
 * read does not matter: a value only gives way to one of a higher rank.
 *
 * Memory: texts live in the options' pool until hull_options_free().
 * Threading: one thread at a time while it is filled in; then read-only.
 */
#ifndef HULL_MANAGE_OPTIONS_H
#define HULL_MANAGE_OPTIONS_H

#include <stdio.h>

#include <hull/config.h>
#include <hull/error.h>
#include "base/toml.h"
#include "manage/pool.h"

enum hull_option {
#define OPT(group, id, ...) HULL_OPT_##id,
#define GROUP(...)
#define SWITCH(...)
#define ALIAS(...)
#include "manage/options.def"
#undef OPT
#undef GROUP
	HULL_OPT_COUNT
};

enum hull_option_group {
#define OPT(...)
#define GROUP(id, ...) HULL_GROUP_##id,
#include "manage/options.def"
#undef OPT
#undef GROUP
#undef SWITCH
#undef ALIAS
	HULL_GROUP_COUNT
};

/*
 * Choices, in the order of options.def; that of machine.arch is enum hull_isa, that of
 * machine.irqchip enum hull_irqchip, those of the engine are in struct hull_engine_config.
 */
enum { HULL_ACCEL_AUTO, HULL_ACCEL_KVM, HULL_ACCEL_HVF, HULL_ACCEL_WHP, HULL_ACCEL_NONE };
enum { HULL_OUTPUT_TABLE, HULL_OUTPUT_JSON, HULL_OUTPUT_TOML };

/* Who said it: the higher rank wins. */
enum hull_origin_rank {
	HULL_ORIGIN_NONE, /* nobody, and there is no default */
	HULL_ORIGIN_DEFAULT,
	HULL_ORIGIN_SYSTEM, /* /etc/hull/config.toml */
	HULL_ORIGIN_USER,   /* config.toml in the user's configuration directory */
	HULL_ORIGIN_FILE,   /* the VM's own file */
	HULL_ORIGIN_ENV,
	HULL_ORIGIN_FLAG,
};

struct hull_origin {
	enum hull_origin_rank rank;
	uint32_t line;    /* of a file; else 0 */
	const char *name; /* the file, the variable or the flag; "" for a default */
};

/*
 * An element of a list of texts (key = "") or of a table such as opts = { vectors = 4 }; a list
 * of texts in such a table is one text with spaces.
 */
struct hull_pair {
	const char *key;
	const char *text;
	uint64_t num;
	bool is_num;
};

/* One value.  Which members mean something follows from the option's type. */
struct hull_value {
	struct hull_origin origin;
	const char *text; /* any type but lists: as given, in its main spelling; NULL: no value */
	uint64_t num;     /* number, size, address; bool as 0 or 1; index of the choice */
	const uint64_t *nums;          /* NUMBERS, and SETS as bit masks: `count` of them */
	const struct hull_pair *pairs; /* STRINGS, PAIRS: `count` of them */
	uint32_t count;
};

#define HULL_ITEM_KEYS 24

/* One element of an array of tables. */
struct hull_item {
	struct hull_origin origin;
	struct hull_value value[HULL_ITEM_KEYS]; /* by id, counted from the group's first */
};

struct hull_options {
	struct hull_pool pool;
	struct hull_value value[HULL_OPT_COUNT]; /* of plain tables */
	struct hull_item *items[HULL_GROUP_COUNT];
	uint32_t nitems[HULL_GROUP_COUNT];
	const char *config; /* VM file named on the command line; NULL: none */
	bool help;          /* -h */
	bool version;       /* -V */
};

/* All defaults.  HULL_ENOMEM (E0120); hull_options_free() is due even then. */
HULL_CHECK_RESULT int hull_options_init(struct hull_options *o, struct hull_err *err);
void hull_options_free(struct hull_options *o);

/*
 * Read the arguments of `hull run` (argv[0] is skipped).  A positional argument that ends in
 * .toml becomes o->config and is not read yet; another one is the kernel.
 * HULL_EINVAL and E00xx, in the user's words.
 */
HULL_CHECK_RESULT int hull_options_parse_args(struct hull_options *o, int argc, char *const argv[],
                                              struct hull_err *err);

/*
 * Read the options before the command word: *ret_used is the index of the first
 * argument that is not one of them (argc if none).
 */
HULL_CHECK_RESULT int hull_options_parse_globals(struct hull_options *o, int argc,
                                                 char *const argv[], int *ret_used,
                                                 struct hull_err *err);

/* Read HULL_SECTION_KEY and the old VM_ names from an environment (as `environ`). */
HULL_CHECK_RESULT int hull_options_load_env(struct hull_options *o, char *const envp[],
                                            struct hull_err *err);

/* Read a file at the given rank.  What hull_file_read() says (E022x), or E01xx with file and line.
 */
HULL_CHECK_RESULT int hull_options_load_toml(struct hull_options *o, const char *path,
                                             enum hull_origin_rank rank, struct hull_err *err);

/* The same from memory; `path` is for messages, and relative paths start at its directory. */
HULL_CHECK_RESULT int hull_options_parse_toml(struct hull_options *o,
                                              const struct hull_toml_input *in,
                                              enum hull_origin_rank rank, struct hull_err *err);

/*
 * Set one key from text: "memory.size", "boot.kernel", "disk[0].path" (an index equal to the
 * number of elements adds one).  `origin` is kept; E0101, E0010 or the value's own error.
 */
HULL_CHECK_RESULT int hull_options_set(struct hull_options *o, const char *key, const char *value,
                                       const struct hull_origin *origin, struct hull_err *err);

/* Everything that concerns more than one value.  Call when all sources have been read. */
HULL_CHECK_RESULT int hull_options_check(const struct hull_options *o, struct hull_err *err);

/*
 * The whole of it: arguments, environment, the file they name, the user's and the
 * system's file, check.  Stops after the arguments if they ask for help or the version.
 */
HULL_CHECK_RESULT int hull_options_collect(struct hull_options *o, int argc, char *const argv[],
                                           char *const envp[], struct hull_err *err);

/* The i-th file that is read besides the VM's own, with its rank; false behind the last. */
bool hull_options_file(char *const envp[], unsigned i, char *path, size_t size,
                       enum hull_origin_rank *ret_rank);

/* Print as TOML that reads back as the same options: every value above `least`. */
void hull_options_write_toml(const struct hull_options *o, enum hull_origin_rank least, FILE *out);

/* Print a complete, commented file with all defaults, which loads without change.  HULL_ENOMEM. */
HULL_CHECK_RESULT int hull_options_write_template(FILE *out, struct hull_err *err);

/*
 * The configuration that these options describe, for a guest of this architecture.  No
 * region means: one of memory.size where the board has its memory.  Types of devices
 * and their opts are looked up in the registry.  E0101, E0106, E0108, E0903.
 */
HULL_CHECK_RESULT int hull_options_to_config(const struct hull_options *o, enum hull_isa isa,
                                             struct hull_vm_config *ret, struct hull_err *err);

/* How errors are printed: JSON if the options say so or --json is among the arguments. */
unsigned hull_options_style(const struct hull_options *o, int argc, char *const argv[], FILE *f);

/* Plain options: the value's text or NULL, its number (0 without a value), is there one? */
static inline const char *hull_options_text(const struct hull_options *o, enum hull_option id)
{
	return o->value[id].text;
}

static inline uint64_t hull_options_num(const struct hull_options *o, enum hull_option id)
{
	return o->value[id].num;
}

static inline bool hull_options_has(const struct hull_options *o, enum hull_option id)
{
	return o->value[id].origin.rank != HULL_ORIGIN_NONE;
}

/* The value of an item, such as HULL_OPT_DISK_PATH of the second disk; i < o->nitems[group]. */
const struct hull_value *hull_options_item(const struct hull_options *o, enum hull_option id,
                                           uint32_t i);

#endif
