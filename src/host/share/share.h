/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Shared directories: a server for 9P2000.L, as Linux's v9fs speaks it.
 *
 * Confinement: a fid is an O_PATH descriptor and never a path.  Names from the guest are single
 * components ("..", "/" and the like are refused) and are resolved by the kernel one at a time,
 * never through a symbolic link, never into another mount.  What a host process has moved out of
 * the directory can no longer be walked, opened or changed by name.  Only regular files and
 * directories are ever opened; device nodes are not made.
 *
 * Bounded: descriptors, fids, bytes of extended attributes, worker threads.
 *
 * Threading: the members of struct hull_share as core/backend.h says; open and close from one
 * thread.  What could wait for a file is done by worker threads.
 *
 * Catalogue: E0940 the directory cannot be shared, E0941 it is no directory, E0942 ids that need
 * root, E0943 the host's kernel lacks something.
 */
#ifndef HULL_HOST_SHARE_SHARE_H
#define HULL_HOST_SHARE_SHARE_H

#include "core/backend.h"

#define HULL_SHARE_KEEP_IDS UINT32_MAX

struct hull_share_options {
	const char *path;
	const char *tag; /* 1 to HULL_SHARE_TAG_MAX characters */
	bool read_only;
	bool never_now;    /* threads answer all requests: who asks may not use paths */
	bool at_once;      /* every request is answered when submit() returns: repeatable runs */
	uint32_t uid, gid; /* who owns everything, as the guest sees it; or HULL_SHARE_KEEP_IDS */
	uint32_t max_fds;  /* descriptors that the guest may hold, 0: a default */
};

/*
 * Share a directory.  HULL_ENOENT, HULL_EPERM, HULL_EINVAL, HULL_ENOTSUP, HULL_ENOMEM.
 */
int hull_share_open(const struct hull_share_options *o, struct hull_share **ret,
                    struct hull_err *err) HULL_CHECK_RESULT;

/* Finish what was submitted, then close everything.  NULL is fine. */
void hull_share_close(struct hull_share *s);

/* How many the guest holds now: fids, and descriptors behind them.  Any thread. */
struct hull_share_use {
	uint32_t fids, fds;
	uint64_t xattr_bytes;
};
void hull_share_usage(struct hull_share *s, struct hull_share_use *ret);

/*
 * Allow this process as many descriptors as it may have; returns how many that is, less what
 * everything else needs, divided among `shares`.
 */
uint32_t hull_share_raise_limit(unsigned shares);

#endif
