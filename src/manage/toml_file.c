/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/toml_file.h"

#include <stdlib.h>
#include <string.h>

#include "host/file.h"

/* A value takes at least two characters ("1,"), and its node at most 112 bytes. */
int hull_toml_file_parse(const struct hull_toml_input *in, struct hull_toml_file *ret,
                         struct hull_err *err)
{
	const char *name = in->name ? in->name : "the text";
	const struct hull_toml *root;
	size_t size = 4096 + 60 * in->size;
	void *memory;
	int r;

	if (in->size > HULL_TOML_FILE_MAX)
		return hull_fail(err, HULL_EOVERFLOW, 105, "%.120s is larger than %zu bytes", name,
		                 HULL_TOML_FILE_MAX);
	memory = malloc(size);
	if (!memory)
		return hull_fail(err, HULL_ENOMEM, 120, "out of memory reading %.120s", name);
	r = hull_toml_parse(in, memory, size, &root, err);
	if (r) {
		free(memory);
		return r;
	}
	ret->memory = memory;
	ret->root = root;
	return 0;
}

int hull_toml_file_load(const char *path, struct hull_toml_file *ret, struct hull_err *err)
{
	struct hull_toml_input in = { .name = path };
	struct hull_file file;
	int r = hull_file_read(path, HULL_TOML_FILE_MAX, &file, err);

	if (r)
		return r;
	in.text = (const char *)file.data;
	in.size = file.size;
	r = hull_toml_file_parse(&in, ret, err);
	hull_file_free(&file);
	return r;
}

void hull_toml_file_free(struct hull_toml_file *f)
{
	if (!f)
		return;
	free(f->memory);
	memset(f, 0, sizeof(*f));
}
