/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Import of the reference hypervisor's TOML files: tables [base], [kernel]
 * and [devices], with positional arrays where ours have names.
 */
#ifndef HULL_MANAGE_AXVM_H
#define HULL_MANAGE_AXVM_H

#include "manage/options.h"

/* Told about everything that has no counterpart; `text` is one line and belongs to the caller. */
typedef void (*hull_axvm_note)(void *arg, const char *text);

/*
 * Turn a parsed file into options of rank FILE.  `name` is the file's, for messages and for
 * relative paths.  What is malformed is HULL_EINVAL (E0112) with its line.
 */
HULL_CHECK_RESULT int hull_axvm_import(struct hull_options *o, const char *name,
                                       const struct hull_toml *root, hull_axvm_note note, void *arg,
                                       struct hull_err *err);

#endif
