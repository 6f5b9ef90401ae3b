/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Whole files in memory: kernels, initrds, device trees, configurations.
 *
 * Files are copied, never mapped, so that somebody who changes or cuts a file
 * later cannot change what was checked or end the process with SIGBUS.
 *
 * Threading: independent calls from any thread.  Lifetime: hull_file_free()
 * releases what the other functions fill in.
 *
 * Catalogue: E0220 not found, E0221 not a regular file, E0222 not permitted,
 * E0223 too large, E0224 empty, E0225 input/output error, E0226 out of
 * memory, E0740 gzip support is not built in, E0741 damaged or truncated
 * gzip data, E0742 gzip data that grow beyond the limits, E0743 a damaged
 * or differently compressed EFI self-extracting kernel.
 */
#ifndef HULL_HOST_FILE_H
#define HULL_HOST_FILE_H

#include <hull/error.h>
#include <hull/types.h>

/* Limits that suit what is read; a caller may choose its own. */
#define HULL_FILE_MAX_IMAGE  (UINT64_C(4) << 30)
#define HULL_FILE_MAX_CONFIG (UINT64_C(1) << 20)

/*
 * Compressed data may grow this many times.  Kernels grow three to five
 * times; only long runs of one byte come near deflate's own limit of 1032.
 * The first HULL_GUNZIP_FREE bytes of output are exempt.
 */
#define HULL_GUNZIP_RATIO 100
#define HULL_GUNZIP_FREE  (UINT64_C(16) << 20)

struct hull_file {
	uint8_t *data; /* followed by a NUL that `size` does not count */
	size_t size;   /* > 0 */
};

/*
 * Read a regular file of 1 to `max_bytes` bytes.  Directories, FIFOs, sockets
 * and devices are refused without blocking on them.
 */
int hull_file_read(const char *path, uint64_t max_bytes, struct hull_file *ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/*
 * The same in two steps, for a file that is read again when nothing may be opened any more: open
 * it, then read it as often as needed.  All of that is the file that was opened, in the size that
 * it had.  The caller closes `fd`; `path` has to live as long.
 */
struct hull_open_file {
	const char *path;
	int fd;
	uint64_t size;
};

int hull_file_open(const char *path, uint64_t max_bytes, struct hull_open_file *ret,
                   struct hull_err *err) HULL_CHECK_RESULT;
int hull_file_read_open(const struct hull_open_file *o, struct hull_file *ret,
                        struct hull_err *err) HULL_CHECK_RESULT;

/* Does it begin like gzip data (RFC 1952)? */
bool hull_file_is_gzip(const struct hull_file *f);

/*
 * Unpack gzip data of one or more members; what follows the last one is
 * ignored.  The output has at most `max_bytes` bytes.  `name` is for messages.
 */
int hull_gunzip(const char *name, const struct hull_file *in, uint64_t max_bytes,
                struct hull_file *ret, struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Read a kernel: as hull_file_read(), and unpacked if it is gzip data or an
 * EFI self-extracting kernel ("zboot") that holds gzip data.
 */
int hull_file_read_kernel(const char *path, uint64_t max_bytes, struct hull_file *ret,
                          struct hull_err *err) HULL_CHECK_RESULT;

/* The second half of that: unpack *f in place; it is freed if that fails. */
int hull_file_unpack_kernel(const char *path, uint64_t max_bytes, struct hull_file *f,
                            struct hull_err *err) HULL_CHECK_RESULT;

/* Release and zero *f; NULL and zeroed objects are fine. */
void hull_file_free(struct hull_file *f);

#endif
