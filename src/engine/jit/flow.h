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

/* What the passes over a region did. */
struct jit_passes {
	unsigned constants; /* nodes that turned out to be constants */
	unsigned copies;  /* reads of a slot that another one does for, SETs that change nothing */
	unsigned reduced; /* operators that became cheaper ones */
	unsigned invariants; /* values that are computed where the region is entered */
};

/* count <= JIT_BLOCKS */
void jit_flow_find(const struct jit_block *blocks, unsigned count, struct jit_flow *ret);

/* --- facts.c --- */

struct jit_facts;

/* Working memory, some 100 KiB, for jit_arch.first_f; NULL: there is none. */
struct jit_facts *jit_facts_new(unsigned first_f);
void jit_facts_free(struct jit_facts *f);

/*
 * Find out what is known where the blocks begin, and put it into their IR: constants, copies,
 * addresses of code, branches that are decided, returns whose target is known.  Blocks get their
 * fp_on; that of the entry says that whoever enters must look.  irs[i] is what blocks[i].ir points
 * at.
 */
void jit_facts_use(struct jit_facts *f, struct jit_block *blocks, struct hull_ir *irs,
                   unsigned count, struct jit_passes *done);

/* --- reduce.c --- */

/*
 * Replace operators by cheaper ones; scratch is overwritten.  Returns how many; a block that would
 * become too long stays.
 */
unsigned jit_reduce(struct hull_ir *ir, struct hull_ir *scratch);

/* --- invariant.c --- */

enum { JIT_INVARIANT_NODES = 160 };

/* Invariant values of a region, and which of them are kept in registers. */
struct jit_invariants {
	struct hull_ir ir;                 /* how they are computed; at the end: jit_input.entry */
	unsigned count;                    /* that are kept */
	uint8_t kept[JIT_INVARIANT_NODES]; /* by node: number + 1; 0: it is not */
	unsigned weight[JIT_INVARIANT_NODES], cost[JIT_INVARIANT_NODES];
	unsigned first_f;
	uint64_t changed;         /* slots that the region SETs */
	uint16_t at[HULL_IR_MAX]; /* of a block that is looked at */
};

/* first_f: of jit_arch */
void jit_invariants_find(struct jit_invariants *v, const struct jit_block *blocks, unsigned count,
                         const struct jit_flow *flow, unsigned first_f);
/* What is most worth a register, and by how much, in the unit of uses; 0: nothing is. */
unsigned jit_invariants_best(const struct jit_invariants *v, unsigned *ret_weight);
void jit_invariants_keep(struct jit_invariants *v, unsigned at);
/* Let the blocks use what is kept.  irs[i] is what blocks[i].ir points at. */
void jit_invariants_use(struct jit_invariants *v, const struct jit_block *blocks,
                        struct hull_ir *irs, unsigned count);

#endif
