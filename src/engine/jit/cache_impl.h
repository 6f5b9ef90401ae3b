/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Inside of the code cache: cache.c has the indexes and links, cache_policy.c decides what is
 * reclaimed and when.
 *
 * A piece of code has a block of code memory (8 bytes that say whose it is, then the code, which
 * starts at a multiple of 16) and a record, struct jit_code, in data memory.  References
 * between records are offsets in data memory, 0 is none.
 */
#ifndef HULL_ENGINE_JIT_CACHE_IMPL_H
#define HULL_ENGINE_JIT_CACHE_IMPL_H

#include "engine/jit/cache.h"

enum { BLOCK_HEADER = 8, BLOCK_ALIGN = 16, CACHE_JOBS = 64 };
enum { YOUNG, OLD };

struct cache_size {
	uint32_t code, data;
};

/*
 * Two rings with the same things in the same order: blocks in code memory, records in data
 * memory.  Positions in the latter count on for ever; modulo data_size they are offsets.
 */
struct cache_gen {
	uint32_t code_at, code_size;
	uint32_t code_head; /* from code_at */
	uint32_t data_at, data_size;
	uint64_t tail, head;
	uint64_t cursor; /* between them: before it, everything is on probation */
};

struct cache_job {
	uint32_t from, to; /* records; from 0: taken back, not for the background to look at */
	uint32_t code_from, code_to, bytes;
};

/* Of the jobs: who may touch them and the code memory that they name. */
enum cache_jobs_state {
	JOBS_NONE,  /* the vCPU's */
	JOBS_READY, /* whoever takes them */
	JOBS_BUSY,  /* the background's */
	JOBS_DONE,  /* the vCPU's again */
};

struct cache_params {
	uint32_t batch;  /* code bytes to reclaim at least once reclaiming starts */
	uint32_t credit; /* most code bytes to keep in one add */
	bool background;
};

struct jit_cache {
	const struct hull_hal *hal;
	struct jit_cache_user user;
	uint8_t *rw;
	const uint8_t *rx;
	uint8_t *data;
	uint64_t code_bytes, own_bytes;
	uint32_t *hash, *pages; /* buckets */
	unsigned hash_bits, page_bits;
	struct cache_gen gen[2];
	struct jit_code *keep; /* see jit_cache_add() */

	enum jit_policy policy, now; /* asked for, at work */
	uint32_t credit;             /* code bytes that may be kept before others must die */
	uint64_t started;            /* when this pause began; 0: no pause yet */
	uint64_t started_cpu;        /* the thread's CPU time then */
	uint64_t added;              /* code bytes (or data in proportion) since jobs were made */
	struct {                     /* JIT_ADAPTIVE: the time since it was decided last */
		uint64_t adds, pause_max_ns;
		uint64_t moved, died; /* counts of then */
		unsigned calm;        /* decisions to wait before long pauses are risked again */
	} since;

	uint32_t jobs_state; /* enum cache_jobs_state; atomic */
	uint32_t seen;       /* jit_cache_background() was called; atomic */
	unsigned job_count;
	struct cache_job job[CACHE_JOBS];

	struct jit_cache_stats stats;
};

static inline struct jit_code *cache_at(const struct jit_cache *c, uint32_t ref)
{
	return (struct jit_code *)(c->data + ref);
}

static inline uint32_t cache_ref(const struct jit_cache *c, const void *record)
{
	return (uint32_t)((const uint8_t *)record - c->data);
}

static inline uint32_t cache_code_offset(const struct jit_cache *c, const struct jit_code *code)
{
	return (uint32_t)((const uint8_t *)code->entry - c->rx);
}

static inline uint32_t cache_block_bytes(uint32_t code_bytes)
{
	return (code_bytes + BLOCK_HEADER + BLOCK_ALIGN - 1) & ~(uint32_t)(BLOCK_ALIGN - 1);
}

/* Whose block this is: the four bytes at its start. */
void jit_cache_set_owner(struct jit_cache *c, uint32_t code_offset, uint32_t ref);
/* Enter a new record into the indexes. */
void jit_cache_enter(struct jit_cache *c, struct jit_code *code);
void jit_cache_die(struct jit_cache *c, struct jit_code *code, enum jit_death why);
/*
 * Move code to the record `ref` and the code memory at `offset`, which may overlap what it has.
 * `copied`: its bytes are there, but for those at its exits.
 */
void jit_cache_move(struct jit_cache *c, struct jit_code *code, uint32_t ref, uint32_t offset,
                    bool copied);

/* --- cache_policy.c --- */

void jit_cache_policy_init(struct jit_cache *c);
/* Make room for a record and a block in a generation and allot it: returns the record's offset. */
uint32_t jit_cache_allot(struct jit_cache *c, struct cache_gen *g, struct cache_size n,
                         uint32_t *ret_code_offset);
/* Before and after an add. */
void jit_cache_begin(struct jit_cache *c, struct cache_size n);
void jit_cache_end(struct jit_cache *c);
/* Get the jobs back, wherever they are, and carry them out. */
void jit_cache_finish_jobs(struct jit_cache *c);
/* Empty both generations, whose records are of no use any more. */
void jit_cache_empty(struct jit_cache *c);

#endif
