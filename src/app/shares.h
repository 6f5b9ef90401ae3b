/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From the options of [[share]] to a directory that is shared.  Threading: one thread. */
#ifndef HULL_APP_SHARES_H
#define HULL_APP_SHARES_H

#include "host/share/share.h"
#include "manage/options.h"

/*
 * Open the i-th share of the options; hull_share_close() gives it back.  What hull_share_open()
 * says, or HULL_EINVAL (E0942, E0944).
 */
int hull_app_share_open(const struct hull_options *o, uint32_t i, bool at_once,
                        struct hull_share **ret, struct hull_err *err) HULL_CHECK_RESULT;

#endif
