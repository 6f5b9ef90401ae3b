/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Decoded blocks: what the interpreter executes.
 *
 * A block is straight-line code within one page, up to an instruction that
 * always leaves it; conditional branches stay inside and leave when taken.
 * Blocks belong to one hart and are found by guest-physical address, so they
 * survive address-space switches.
 *
 * Code that changes.  RISC-V promises nothing to a hart that has not executed
 * fence.i.  If code was written since the last one (watch.c), fence.i makes
 * every block suspect, and a suspect block is compared with memory when it is
 * next entered.
 */
#ifndef HULL_ENGINE_RISCV64_BLOCK_H
#define HULL_ENGINE_RISCV64_BLOCK_H

#include "engine/riscv64/hart.h"

enum {
	RV_BLOCK_INSNS = 64,
	RV_BLOCK_BYTES = 4 * RV_BLOCK_INSNS,
	/* Two slots for each branch and for the end, one for the profile. */
	RV_BLOCK_OPS = 2 * RV_BLOCK_INSNS + 3,
	RV_HASH_SIZE = 16384,
};

struct rv_op {
	const void *go; /* label in rv_interpret */
	uint8_t rd;     /* RV_X_DISCARD for x0 */
	uint8_t rs1, rs2;
	uint8_t at;  /* offset in the block, halfwords */
	int32_t imm; /* fused multiply-add: rs3 | rm << 8; others that round: rm << 8 */
};

/* The slot behind an op that may leave the block to a fixed place. */
struct rv_link {
	struct rv_block *to; /* NULL: not linked; else in the same page */
	uint32_t count;      /* instructions executed when leaving here */
	uint32_t pad;
};

struct rv_block {
	struct rv_block *hash_next;
	uint64_t gpa;
	uint64_t epoch; /* rv_hart.block_epoch that it is known good for */
	uint8_t insns;
	uint8_t nops;
	uint16_t bytes;     /* of the code that it was decoded from: rv_block_code() */
	uint32_t heat;      /* times that it was entered, up to hot_limit; only with `profile` */
	struct rv_op ops[]; /* links take the place of an op; then the code */
};

enum {
	RV_BLOCK_SIZE_MAX =
		sizeof(struct rv_block) + RV_BLOCK_OPS * sizeof(struct rv_op) + RV_BLOCK_BYTES
};

static inline const uint8_t *rv_block_code(const struct rv_block *b)
{
	return (const uint8_t *)(b->ops + b->nops);
}

struct rv_cache {
	struct hull_rv_decoder decoder;
	const void *const *labels; /* of rv_interpret, by instruction */
	const void *label_end, *label_profile;
	/*
	 * Blocks count how often they are entered; from hot_limit on, rv_interpret() returns
	 * RV_EXIT_HOT instead of entering them.  To be set before any block is decoded.
	 */
	bool profile;
	uint32_t hot_limit;
	uint8_t *next, *end; /* free space for blocks */
	uint8_t *start;
	uint64_t size; /* bytes, this struct included */
	uint64_t flushes;
	/* For code that is not kept: single steps and instructions that span pages. */
	_Alignas(16) uint8_t scratch[sizeof(struct rv_block) + 5 * sizeof(struct rv_op)];
	struct rv_block *hash[RV_HASH_SIZE];
};

/*
 * The block at pc, decoded if need be; NULL with the trap set.  `single`: just
 * one instruction, in memory that the next call reuses.
 */
struct rv_block *rv_block_at(struct rv_hart *h, uint64_t pc, bool single);

/* Blocks at this guest-physical address have to be entered hot_limit times again to be hot. */
void rv_blocks_cool(struct rv_hart *h, uint64_t gpa);

/*
 * May code be kept that begins at pc, in page `e`?  Not if PMP splits the page or the first
 * instruction spans two: then rv_block_at() gives a block of one instruction that is not kept.
 */
bool rv_code_is_kept(const struct rv_fetch_entry *e, uint64_t pc);
/* Is the code in memory, which other harts may be writing, still the one that was kept? */
bool rv_same_code(const uint8_t *kept, const uint8_t *memory, unsigned bytes);

/* Instructions of `b` before `op`, and the bits of the instruction at `op`. */
unsigned rv_block_index(const struct rv_block *b, const struct rv_op *op);
uint32_t rv_block_bits(const struct rv_block *b, const struct rv_op *op);

#endif
