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

/* The block that the GOTO at the end of `from` goes on at, likewise. */
unsigned jit_block_after(const struct jit_block *blocks, unsigned count,
                         const struct jit_block *from, int32_t target);

/* count <= JIT_BLOCKS */
void jit_flow_find(const struct jit_block *blocks, unsigned count, struct jit_flow *ret);

/* --- facts.c --- */

struct jit_facts;

/* Working memory, some 100 KiB, for jit_arch.first_f; NULL: there is none. */
struct jit_facts *jit_facts_new(unsigned first_f);
void jit_facts_free(struct jit_facts *f);

/*
 * Find out what is known where the blocks begin, and put it into their IR: constants, addresses of
 * code, branches that are decided, returns whose target is known.  Blocks get their fp_on; that
 * of the entry says that whoever enters must look.  irs[i] is what blocks[i].ir points at.
 */
void jit_facts_use(struct jit_facts *f, struct jit_block *blocks, struct hull_ir *irs,
                   unsigned count);

#endif
