/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A temporary directory with "in", which is shared, and "out" beside it, which holds what nobody
 * may reach: "out/secret", whose text is SECRET.
 */
#ifndef TESTS_SUPPORT_SHARED_DIR_H
#define TESTS_SUPPORT_SHARED_DIR_H

#include "support/p9client.h"

#define SECRET "nobody may read this"

struct shared_dir {
	char top[64];
	struct hull_share *share;
	struct p9 *c; /* a client that has attached as fid 0 */
	unsigned fds; /* of the process, before; 0: not to be compared */
};

struct shared_dir *shared_dir_new(const struct hull_share_options *o);
/* Also checks that everything was given back. */
void shared_dir_free(struct shared_dir *d);

/* A path below the top; valid until the fourth call after this one. */
const char *in_top(const struct shared_dir *d, const char *path);
/* Make or read a file there. */
void put_file(const struct shared_dir *d, const char *path, const char *text);
/* Its text, "" if there is no such file; valid until the next call. */
const char *get_file(const struct shared_dir *d, const char *path);
unsigned count_fds(void);

#endif
