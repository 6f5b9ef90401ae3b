/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Errors: what Hull reports to whoever called it.
 *
 * Functions return 0 or a negative HULL_E... code and describe the failure in
 * a caller-supplied struct hull_err, which may be NULL.  The structure has a
 * fixed size, so errors need no memory.  A guest's mistake is never an error:
 * the guest sees what the hardware would do.
 *
 * Threading: a struct hull_err belongs to one thread.  Outputs of a function
 * that fails are untouched.
 */
#ifndef HULL_ERROR_H
#define HULL_ERROR_H

#include <hull/types.h>

/* X(name, value, text): values are stable, they are part of the ABI. */
#define HULL_ERRORS(X)                                          \
	X(EINVAL, 1, "invalid argument")                        \
	X(ENOMEM, 2, "out of memory")                           \
	X(ESTATE, 3, "not allowed in this state")               \
	X(ENOTSUP, 4, "not supported")                          \
	X(EEXIST, 5, "already exists")                          \
	X(ENOENT, 6, "not found")                               \
	X(EBUSY, 7, "in use")                                   \
	X(EFAULT, 8, "address is not mapped or not accessible") \
	X(EIO, 9, "input/output error")                         \
	X(EPERM, 10, "not permitted")                           \
	X(ETIMEDOUT, 11, "timed out")                           \
	X(EOVERFLOW, 12, "value out of range")                  \
	X(EFORMAT, 13, "malformed data")                        \
	X(EAGAIN, 14, "try again")                              \
	X(ENOSPC, 15, "no space left")

enum hull_error {
#define X(name, value, text) HULL_##name = -(value),
	HULL_ERRORS(X)
#undef X
};

/*
 * One failure.  `id` is the catalogue number that users see as E0101
 * (0: none).  `text` says what happened to which object and why, `where`
 * names the place in the user's input, `fix` the next thing to do; the last
 * two may be empty.  All three are NUL-terminated and never hold a newline.
 */
struct hull_err {
	int code;
	uint16_t id;
	char text[256];
	char where[128];
	char fix[160];
};

/* The text of a code; "unknown error code" for a number that is none.  Never NULL. */
HULL_EXPORT const char *hull_error_text(int code);

/* The name of a code without its prefix, such as "EINVAL"; "?" if it is none. */
HULL_EXPORT const char *hull_error_name(int code);

/*
 * Fill `err` (may be NULL) and return `code`, so that `return hull_fail(...)`
 * reports and unwinds in one line.  The format is that of hull_format().
 */
HULL_EXPORT int hull_fail(struct hull_err *err, int code, uint16_t id, const char *format, ...)
	HULL_PRINTF(4, 5);

/* Set the place or the remedy of an error already filled in; no-ops on NULL. */
HULL_EXPORT void hull_err_where(struct hull_err *err, const char *format, ...) HULL_PRINTF(2, 3);
HULL_EXPORT void hull_err_fix(struct hull_err *err, const char *format, ...) HULL_PRINTF(2, 3);

#endif
