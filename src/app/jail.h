/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How `hull run` confines itself (host/sandbox/jail.h): which level, and which paths remain. */
#ifndef HULL_APP_JAIL_H
#define HULL_APP_JAIL_H

#include "app/machine.h"

/*
 * Before the machine is opened.  *note: why it is less than strict, though nobody asked for less;
 * NULL.  `wake`: as in struct hull_jail_options.
 */
int hull_app_jail_begin(const struct hull_options *o, int wake, const char **note,
                        struct hull_err *err) HULL_CHECK_RESULT;

/* When it is open: name the paths that it still needs, and enter. */
int hull_app_jail_enter(const struct app_machine *m, struct hull_err *err) HULL_CHECK_RESULT;

#endif
