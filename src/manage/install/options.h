/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The arguments of `hull install`.  One thread. */
#ifndef HULL_MANAGE_INSTALL_OPTIONS_H
#define HULL_MANAGE_INSTALL_OPTIONS_H

#include "manage/install/install.h"
#include "manage/options.h"

/*
 * Read `install OS [VM] [OPTIONS]` into in->o and check it.  Options that every command
 * has go into `o`.  HULL_EINVAL with E00xx or E0615, HULL_ENOTSUP (E0601) for what a later
 * version will do.
 */
int hull_install_parse(struct hull_install *in, struct hull_options *o, int argc,
                       char *const argv[], struct hull_err *err) HULL_CHECK_RESULT;

/* The options, for help. */
void hull_install_help(FILE *out);

#endif
