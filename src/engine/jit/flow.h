/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The blocks of a region as a graph: which goes on at which, and which loops they are in.
 *
 * Only the first block is entered from outside.
 */
#ifndef HULL_ENGINE_JIT_FLOW_H
#define HULL_ENGINE_JIT_FLOW_H

#include "engine/jit/gen.h"

struct jit_flow {
	uint64_t to[JIT_BLOCKS];   /* by block: a bit for each that it may go on at */
	uint8_t depth[JIT_BLOCKS]; /* how many loops it is in */
};

/*
 * The block that goes on at `target`, an offset from the page of `from`, number + 1, if it is of
 * the call `context`, or of none; 0: there is none.
 */
unsigned jit_block_at(const struct jit_block *blocks, unsigned count, const struct jit_block *from,
                      int32_t target, unsigned context);

/* count <= JIT_BLOCKS */
void jit_flow_find(const struct jit_block *blocks, unsigned count, struct jit_flow *ret);

#endif
