/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Generated code for a riscv64 hart: when it is made, how it is entered and left.
 *
 * Units are found by guest-physical address and compared with memory when fence.i has made them
 * suspect (rv_hart.code_epoch): all units of a page together, before the first of them is
 * entered, so that links inside a page need no checks.  Where it is known which pages were written
 * (watch.c), fence.i itself compares the units of those, and the others stay good.  Links never
 * leave a page; jumps to other pages go through the jump cache, whose entries belong to a
 * translation context.
 */
#ifndef HULL_ENGINE_RISCV64_JIT_H
#define HULL_ENGINE_RISCV64_JIT_H

#include <hull/config.h>

#include "base/prng.h"
#include "engine/jit/cache.h"
#include "engine/jit/gen.h"
#include "engine/jit/perf.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/lift.h"

extern const struct jit_arch rv_jit_arch;

enum {
	/* Instructions between looks at requests: a few microseconds. */
	RV_JIT_SLICE = 8192,
	/* Generated code is entered only if so many instructions fit into the budget. */
	RV_JIT_MARGIN = RV_BLOCK_INSNS,
	RV_JIT_RECENT = 64,
	RV_JIT_NOT_STORED = 1 << 15,
};

struct rv_jit {
	const struct hull_hal *hal;
	struct jit_cache *cache;
	jit_generate_fn generate; /* jit_generate(), or another one for both tiers */
	struct jit_gen *gen;
	struct jit_perf *perf;      /* the VM's; NULL: none */
	struct jit_store *store;    /* the VM's; NULL: none */
	struct rv_regions *regions; /* the other thread; NULL: none */
	uint64_t (*enter)(void *hart, const void *code);
	void *glue_rw, *glue_rx;
	/* Entries of the jump cache that were filled since the last fence.i; more: count only. */
	uint16_t recent[RV_JIT_RECENT];
	unsigned recent_count;
	uint64_t not_stored[RV_JIT_NOT_STORED]; /* guest-physical addresses; 0: none */
	uint64_t retire_limit;                  /* rv_hart's, when generated code was entered */
	bool finish;    /* the access that failed was made; the instruction is to be finished */
	uint64_t value; /* that was loaded */
	uint8_t span_heat[256]; /* of instructions that span pages, by page */
	bool tier2;             /* code of tier 2 may be used */
	bool chaotic;           /* --engine-chaos */
	uint64_t chaos_at;      /* `retired` at the next disturbance, if it is not far away */
	struct hull_prng chaos;
	struct rv_eval eval;
	struct hull_ir ir;
};

/* --- jit_store.c --- */

/* Does an earlier run's store have code for pc, in page `e`?  False without h->jit. */
bool rv_jit_is_stored(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e);
/*
 * Put that code into the cache, of each tier; the best of it, or NULL: there is none.  keep: see
 * jit_cache_add().
 */
struct jit_code *rv_jit_restore(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e,
                                struct jit_code **keep);
/* The same of tier 2 only: it may need pages that were not known when the block was restored. */
struct jit_code *rv_jit_restore_hot(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e);
/* Give h's code to its store; the vCPU does not run.  HULL_ENOMEM. */
int rv_jit_hand_over(struct rv_hart *h);

/* --- jit_glue.c --- */

/* The state of the hart becomes that of the instruction that called C, or left. */
void rv_jit_sync(struct rv_hart *h);
/* Make what generated code is entered, left and helped by; a negative error. */
int rv_jit_make_glue(struct rv_hart *h);
void rv_jit_free_glue(struct rv_hart *h);

/* --- jit.c --- */

/* Do others than one vCPU and its devices see the guest's memory?  Atomics must be atomic then. */
static inline bool rv_jit_is_shared(const struct hull_vm_config *config)
{
	return config->cpu_num > 1 || config->ivc_size;
}

/* No entry of the jump cache leads to `code` any more. */
void rv_jit_forget_jumps(struct rv_hart *h, struct jit_code *code);

/* There is code of tier 2 for gpa: nothing leads to that of tier 1 any more. */
void rv_jit_supersede(struct rv_hart *h, uint64_t gpa);

/*
 * Tell the host's profiler where `code` is: by its guest-physical address, since nobody knows
 * which of its virtual ones it was made for.
 */
void rv_jit_named(void *hart, const struct jit_code *code);

/* Counters that the code cache keeps. */
void rv_jit_stats(const struct rv_hart *h, struct hull_engine_stats *ret);

/* Give fn each piece of code with a range that holds `gpa`, that range and its guest code. */
typedef void (*rv_jit_code_fn)(void *arg, const struct jit_code *c, const struct jit_code_range *r,
                               const uint8_t *guest);
unsigned rv_jit_describe(struct rv_hart *h, uint64_t gpa, rv_jit_code_fn fn, void *arg);

#endif
