/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Unix stream sockets by path.  Any thread.
 */
#ifndef HULL_HOST_UNIX_H
#define HULL_HOST_UNIX_H

#include <hull/error.h>

/*
 * Listen on `path`; the descriptor does not block.  A socket there that nobody listens on any more
 * is replaced; anything else is in the way.  The errors have no catalogue number.
 */
int hull_unix_listen(const char *path, int *ret_fd, struct hull_err *err) HULL_CHECK_RESULT;

/* Connect without waiting: HULL_ENOENT, HULL_EPERM, HULL_EAGAIN (many wait there), HULL_EIO ... */
int hull_unix_connect(const char *path, int *ret_fd) HULL_CHECK_RESULT;

#endif
