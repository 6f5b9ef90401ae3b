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

/* Read a size: "20G"; a multiple of 512 after rounding up.  HULL_EINVAL (E0003). */
int hull_disk_size(const char *text, uint64_t *ret, struct hull_err *err) HULL_CHECK_RESULT;

/* The format of a new image: what was said, else what its name ends in (.qcow2), else raw. */
const char *hull_disk_new_format(const char *said, const char *path);

/*
 * What the header of image `top` calls its backing image `base`: a relative name on the command
 * line is meant from here, one in a header from the image.  *ret is the caller's to free.
 * HULL_ENOENT (E0302).
 */
int hull_disk_header_name(const char *top, const char *base, char **ret,
                          struct hull_err *err) HULL_CHECK_RESULT;

/* "1.5 GiB": at most 16 bytes. */
const char *hull_disk_amount(uint64_t bytes, char *buf, size_t size);

/* The verbs: 0 or HULL_E.... */
int hull_disk_create(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_info(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_convert(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_resize(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_check(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_map(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_compare(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_commit(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_rebase(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_snapshot(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_measure(const struct hull_disk_call *c, struct hull_err *err);
int hull_disk_serve(const struct hull_disk_call *c, struct hull_err *err);

#endif
