/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The arguments of one verb, such as `hull disk create`: options of its own
 * beside the global ones, and words.  (What describes a VM is in options.def.)
 *
 * Threading: one thread.
 */
#ifndef HULL_MANAGE_ARGS_H
#define HULL_MANAGE_ARGS_H

#include "manage/options.h"

/* One option.  Exactly one of `text` and `given` is set. */
struct hull_arg {
	const char *flag;  /* without its dashes */
	char letter;       /* 0: none */
	const char **text; /* takes a value, which goes here */
	bool *given;       /* a switch */
	const char *value; /* placeholder for help: "FILE"; NULL for a switch */
	const char *help;
};

/*
 * A verb.  `words` is how its words are written in help: "PATH SIZE"; at least `least`
 * and at most `most` of them.
 */
struct hull_verb {
	const char *command; /* what stands before the verb: "hull disk" */
	const char *name;
	const char *words;
	unsigned least, most;
	const struct hull_arg *args;
	size_t nargs;
};

/*
 * Read argv[1..]: options into where they say, words into `word` (room for
 * v->most; missing ones become NULL).  Global options such as --json go to `o`.
 * HULL_EINVAL: E0001 unknown option (with the nearest), E0002 value missing or too
 * many, E0007 too few or too many words.
 */
int hull_args_parse(struct hull_options *o, const struct hull_verb *v, int argc, char *const argv[],
                    const char **word, struct hull_err *err) HULL_CHECK_RESULT;

/* Print how a verb is used. */
void hull_args_help(const struct hull_verb *v, FILE *out);

#endif
