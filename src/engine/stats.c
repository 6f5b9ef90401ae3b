/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The rows of stats.def as data. */
#include "engine/stats.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/bits.h"

enum { SUM, MAX_OF };
#define HOW_SUM SUM
#define HOW_MAX MAX_OF

static const struct {
	const char *name, *text;
	size_t offset;
	uint8_t how;
} rows[] = {
#define STAT(name, how, text) { #name, text, offsetof(struct hull_engine_stats, name), HOW_##how },
#include "engine/stats.def"
#undef STAT
};

void hull_engine_stats_add(struct hull_engine_stats *sum, const struct hull_engine_stats *s)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t *to = (uint64_t *)((uint8_t *)sum + rows[i].offset);
		uint64_t v = *(const uint64_t *)((const uint8_t *)s + rows[i].offset);

		*to = rows[i].how == SUM ? *to + v : MAX(*to, v);
	}
}

const char *hull_engine_stats_get(const struct hull_engine_stats *s, unsigned i,
                                  const char **ret_text, uint64_t *ret_value)
{
	if (i >= ARRAY_LEN(rows))
		return NULL;
	*ret_text = rows[i].text;
	*ret_value = *(const uint64_t *)((const uint8_t *)s + rows[i].offset);
	return rows[i].name;
}
