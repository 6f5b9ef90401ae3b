/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Raw disks: the bytes of a file or block device are the bytes of the disk.
 *
 * One worker thread per disk performs requests in order.  A flush returns
 * when the host says that the data is stable; a completed write is in the
 * host's page cache, so it survives the end of this process, but not of the host.
 *
 * The file is locked: one writer or any number of readers.  A file that
 * shrinks under a guest, or a medium that fails, gives the guest I/O errors.
 *
 * Catalogue: E0302 it cannot be opened, E0303 it is not a file or block
 * device, E0304 its size is no multiple of 512, E0305 it looks like another
 * format, E0412 it is in use.
 */
#ifndef HULL_HOST_BLOCK_RAW_H
#define HULL_HOST_BLOCK_RAW_H

#include "core/backend.h"

struct hull_raw_options {
	const char *path;
	bool read_only;
	bool format_given; /* the user said "raw": do not look at the contents */
	bool at_once; /* every request is finished when submit() returns: for repeatable runs */
	const char *serial; /* at most 20 characters are kept; NULL: none */
};

/*
 * Open a disk.  Writable files must have a multiple of 512 bytes; read-only
 * ones are rounded up, and read as zero past their end.  HULL_ENOENT,
 * HULL_EPERM, HULL_EBUSY, HULL_EINVAL, HULL_EFORMAT, HULL_ENOMEM.
 */
int hull_raw_open(const struct hull_raw_options *o, struct hull_block **ret,
                  struct hull_err *err) HULL_CHECK_RESULT;

/* Finish what was submitted, then close.  NULL is fine. */
void hull_raw_close(struct hull_block *b);

#endif
