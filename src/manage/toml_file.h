/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* TOML documents of the host: read whole, parsed in memory of a fitting size.  Any thread. */
#ifndef HULL_MANAGE_TOML_FILE_H
#define HULL_MANAGE_TOML_FILE_H

#include "base/toml.h"

#define HULL_TOML_FILE_MAX ((size_t)256 << 10) /* bytes */

struct hull_toml_file {
	const struct hull_toml *root;
	void *memory; /* holds the tree */
};

/* Read and parse.  What hull_file_read() and hull_toml_parse() say; HULL_ENOMEM (E0120). */
HULL_CHECK_RESULT int hull_toml_file_load(const char *path, struct hull_toml_file *ret,
                                          struct hull_err *err);

/* Parse text in memory, at most HULL_TOML_FILE_MAX bytes (else HULL_EOVERFLOW, E0105). */
HULL_CHECK_RESULT int hull_toml_file_parse(const struct hull_toml_input *in,
                                           struct hull_toml_file *ret, struct hull_err *err);

/* Release and zero; NULL and zeroed objects are fine. */
void hull_toml_file_free(struct hull_toml_file *f);

#endif
