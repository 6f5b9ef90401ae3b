/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A reader of tar archives (POSIX.1-2008 ustar and pax, and GNU's long names) from a
 * stream.  Archives are hostile: lengths are checked, names are bounded, nothing is kept.
 *
 * One thread.  The caller's `read` says where the bytes come from.
 */
#ifndef HULL_MANAGE_INSTALL_TAR_H
#define HULL_MANAGE_INSTALL_TAR_H

#include <hull/error.h>
#include <hull/types.h>

enum { HULL_TAR_NAME_MAX = 4096 };

struct hull_tar {
	/* Exactly `len` bytes; HULL_EAGAIN without any: the end.  Else an error, with `err`. */
	int (*read)(void *arg, void *buf, size_t len, struct hull_err *err);
	void *arg;
	uint64_t left, padding; /* of the present member */
};

struct hull_tar_member {
	char name[HULL_TAR_NAME_MAX], target[HULL_TAR_NAME_MAX];
	char type; /* '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' folder, '6'
	              FIFO */
	uint32_t mode, uid, gid, mtime, major, minor;
	uint64_t size; /* of a file's data; else 0 */
};

/* The next member: 1, or 0 at the end.  HULL_EFORMAT (E0608): it is no tar archive. */
int hull_tar_next(struct hull_tar *t, struct hull_tar_member *m,
                  struct hull_err *err) HULL_CHECK_RESULT;

/* The next bytes of the present member, at most `len`; how many in *ret, 0: no more. */
int hull_tar_data(struct hull_tar *t, void *buf, size_t len, size_t *ret,
                  struct hull_err *err) HULL_CHECK_RESULT;

#endif
