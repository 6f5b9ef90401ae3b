/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Counters of the engine, one struct per vCPU.
 *
 * Threading: written by the vCPU's thread, without atomics.  Whoever reads them while it runs gets
 * numbers that are a little old; statistics only.
 */
#ifndef HULL_ENGINE_STATS_H
#define HULL_ENGINE_STATS_H

#include <stdint.h>

struct hull_engine_stats {
#define STAT(name, how, text) uint64_t name;
#include "engine/stats.def"
#undef STAT
};

/* Add the counters of one vCPU to a sum, each in its way. */
void hull_engine_stats_add(struct hull_engine_stats *sum, const struct hull_engine_stats *s);

/* Counter `i` in the order of stats.def: its name (NULL behind the last), meaning and value. */
const char *hull_engine_stats_get(const struct hull_engine_stats *s, unsigned i,
                                  const char **ret_text, uint64_t *ret_value);

#endif
