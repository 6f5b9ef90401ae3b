/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A riscv64 hart of the engine without a board: RAM, nothing else, the clock
 * stands still.  Driven through rv_interpret(), rv_evaluate() or rv_jit_run() directly.
 */
#ifndef TESTS_SUPPORT_RVRIG_H
#define TESTS_SUPPORT_RVRIG_H

#include <hull/vm.h>

#include "engine/riscv64/hart.h"
#include "support/fake_hal.h"

struct rvrig {
	struct fake_hal hal;
	struct hull_vm *vm;
	struct rv_hart *hart;
	uint8_t *ram; /* host address of `base` */
	uint64_t base, size;
};

/* False if the machine cannot be made.  Tests call the tiers themselves: this one interprets. */
bool rvrig_init(struct rvrig *r, uint64_t base, uint64_t size);
/*
 * The same for rv_jit_run(), which translates what is entered for the `heat`th time, 0: at once.
 * False, and r->vm NULL, if this host has no translator.
 */
bool rvrig_init_jit(struct rvrig *r, uint64_t base, uint64_t size, uint32_t heat,
                    uint64_t cache_bytes);
/*
 * The same with tier 2: whatever is seen once becomes a region, which is waited for, and tiers
 * change every 1000 instructions or so, as `seed` says.
 */
bool rvrig_init_opt(struct rvrig *r, uint64_t base, uint64_t size, uint32_t heat, uint64_t seed);
void rvrig_fini(struct rvrig *r);

/*
 * The code that there is becomes that of an earlier run, with what was kept before: it is put
 * into a file in memory, read from there, and forgotten.  False: no memory.
 */
bool rvrig_keep(struct rvrig *r);

/* Make `to` what `from` is: registers, CSRs, memory.  Translations are dropped. */
void rvrig_copy(const struct rvrig *from, struct rvrig *to);
/* Print what differs: registers, CSRs, memory. */
bool rvrig_differ(const struct rvrig *a, const struct rvrig *b);

/* Run until `insns` more are retired; returns the kind of exit. */
enum hull_exit_kind rvrig_run(struct rvrig *r, uint64_t insns);

#endif
