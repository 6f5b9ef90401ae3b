/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The CPU engine, for those who choose how it runs. */
#ifndef HULL_ENGINE_ENGINE_H
#define HULL_ENGINE_ENGINE_H

#include <hull/config.h>
#include <hull/vm.h>

/* Ways to run guest code; bits. */
enum hull_engine_tier {
	HULL_TIER_INTERP = 1,
	HULL_TIER_EVAL = 2,   /* the IR, node by node */
	HULL_TIER_BLOCK = 4,  /* translated blocks */
	HULL_TIER_REGION = 8, /* translated and optimised regions */
};

/* The tiers that this build has and this host can run.  Any thread. */
unsigned hull_engine_tiers(void);

/* The highest tier that `mode` allows; 0 if this build or host does not have what it names. */
enum hull_engine_tier hull_engine_tier_of(enum hull_engine_mode mode);

/*
 * The guest's instruction at virtual address `pc` as text, in dst (size > 0).  Returns its length
 * in bytes, 0 if no code is mapped there.  The vCPU is one of this engine and does not run.
 */
unsigned hull_engine_disasm(struct hull_vcpu *vcpu, hull_va pc, char *dst, size_t size);

#endif
