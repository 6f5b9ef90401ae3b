/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull disk VERB`: what its verbs share.  A verb is a function in a file
 * cmd_disk_*.c and a row in cmd_disk.c.
 *
 * Threading: one thread.
 */
#ifndef HULL_MANAGE_CMD_DISK_H
#define HULL_MANAGE_CMD_DISK_H

#include <stdio.h>

#include "host/block/image.h"
#include "manage/args.h"

/* One call of a verb; argv[0] is the verb.  Results go to `out`, everything else to `err`. */
struct hull_disk_call {
	struct hull_options *o;
	int argc;
	char *const *argv;
	FILE *out, *err;
};

/* Read the arguments.  0: go on; 1: help was asked for and printed; or HULL_E.... */
int hull_disk_args(const struct hull_disk_call *c, const struct hull_verb *v, const char **word,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* How results and remarks are to be printed: HULL_REPORT_*. */
unsigned hull_disk_style(const struct hull_disk_call *c);

/* The verbs: 0 or HULL_E.... */
int hull_disk_serve(const struct hull_disk_call *c, struct hull_err *err);

#endif
