/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Tier 2: loops as one unit each, and other hot blocks with all jumps inline, generated on another
 * thread.
 *
 * What a loop calls is in its unit, once for each call: so a return is a comparison with the
 * address that it will be, and the loop is closed.  Blocks may be in several pages; such a unit is
 * entered through the jump cache only, after all its pages were found mapped where they were and
 * unchanged (unit.h: enter), and whatever changes translations leaves it.
 *
 * The vCPU's thread samples (engine/jit/promote.h), collects the blocks of a loop and their
 * guest code from tier 1's units, and hands them over; it goes on in tier 1 meanwhile and installs
 * what comes back.  The other thread touches nothing of the hart but its decoder, which does not
 * change, and copies code for the code cache (jit_cache_background()), with or without tier 2.
 */
#ifndef HULL_ENGINE_RISCV64_REGION_H
#define HULL_ENGINE_RISCV64_REGION_H

#include "engine/jit/cache.h"
#include "engine/jit/host.h"
#include "engine/riscv64/hart.h"

struct jit_block;
struct jit_invariants;
struct jit_pin;
struct rv_regions;

/*
 * What a region of these blocks pins, and which invariant values it keeps in ret_kept[JIT_KEPT]:
 * what it uses most; slots of the canonical pins stay in their registers.  ret: room for
 * HULL_IR_SLOTS.
 */
unsigned rv_region_pins(const struct jit_block *blocks, unsigned count, struct jit_invariants *inv,
                        struct jit_pin *ret, host_reg *ret_kept);

/* Without tier 2 if the engine's mode has none; the thread starts when it is needed.  NULL: no
 * memory. */
struct rv_regions *rv_regions_new(struct rv_hart *h, const struct hull_engine_config *config);
void rv_regions_free(struct rv_regions *r);

/*
 * The slice of instructions was used up before the code at pc, guest-physical address gpa: if that
 * is hot, ask for a region around it, or for a better unit; or take an earlier run's.  Pointers to
 * other code are invalid afterwards.
 */
void rv_regions_sample(struct rv_hart *h, uint64_t pc, uint64_t gpa);

/* The cache has work for the other thread; jit_cache_user.wake. */
void rv_regions_reclaim(struct rv_regions *r, struct jit_cache *cache);

/* Is there a region to be installed? */
bool rv_regions_ready(const struct rv_regions *r);
/* Put it into the code cache.  Pointers to other code are invalid afterwards. */
void rv_regions_install(struct rv_hart *h);

#endif
