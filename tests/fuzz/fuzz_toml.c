/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Any bytes through the TOML reader; a tree that comes out must be consistent. */
#include <stdlib.h>
#include <string.h>

#include "base/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t memory[8192];

static void walk(const struct hull_toml *n, unsigned depth)
{
	const struct hull_toml *c;
	uint32_t count = 0;

	if (depth > HULL_TOML_MAX_DEPTH || !n->line || !n->column || n->text[n->len] ||
	    n->key[n->key_len])
		abort();
	for (c = n->first; c; c = c->next) {
		if (n->kind == HULL_TOML_TABLE && strlen(c->key) == c->key_len &&
		    hull_toml_get(n, c->key) != c)
			abort();
		walk(c, depth + 1);
		count++;
	}
	if (count != n->count ||
	    (count && n->kind != HULL_TOML_ARRAY && n->kind != HULL_TOML_TABLE))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_toml_input in = { .name = "fuzz.toml",
		                      .text = (const char *)data,
		                      .size = size };
	const struct hull_toml *root = NULL;
	struct hull_err err;
	int ret;

	memset(&err, 0, sizeof(err));
	ret = hull_toml_parse(&in, memory, sizeof(memory), &root, &err);
	if (!ret)
		walk(root, 0);
	else if (root || err.code != ret || !err.id || !err.text[0] || !err.where[0])
		abort();
	return 0;
}
