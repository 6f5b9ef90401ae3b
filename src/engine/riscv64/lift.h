/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * riscv64 code as IR, and an evaluator of that IR: the second meaning of the
 * instruction rows, which has to agree with the interpreter.
 *
 * State slots are x0..x31 (x0 is never used) and f0..f31.
 */
#ifndef HULL_ENGINE_RISCV64_LIFT_H
#define HULL_ENGINE_RISCV64_LIFT_H

#include "engine/ir/ir.h"
#include "engine/riscv64/hart.h"

enum { RV_SLOT_X = 0, RV_SLOT_F = 32 };

enum rv_call {
#define HELPER(name, operands, effects)    RV_CALL_##name,
#define FP_HELPER(name, operands, effects) RV_CALL_##name,
#include "engine/riscv64/helpers.def"
#undef HELPER
#undef FP_HELPER
	RV_CALLS
};

extern const struct hull_ir_arch rv_ir_arch;

/*
 * Lift the straight-line code of a decoded block (rv_block.code, rv_block.bytes):
 * whole instructions, up to the first that always leaves, or `bytes`, or what a block can
 * hold.  Returns the number of instructions, 0 if there is none.
 */
unsigned rv_lift(const struct hull_rv_decoder *d, const uint8_t *code, unsigned bytes,
                 struct hull_ir *ret);

/* Room for rv_evaluate. */
struct rv_eval {
	struct hull_ir ir;
	uint64_t values[HULL_IR_MAX];
};

/*
 * rv_interpret() through the IR: the same exits and the same state, slowly.
 * Blocks are those of the hart's cache.
 */
int rv_evaluate(struct rv_hart *h, struct rv_eval *e, struct hull_exit *exit);

/*
 * A helper that neither leaves the block nor needs its place: imm and operands are the CALL's.
 * False with the trap set.
 */
bool rv_helper(struct rv_hart *h, unsigned id, uint32_t imm, const uint64_t args[3], uint64_t *ret);

/*
 * The rest of one load or store at h->pc whose access has been made: `value` is what was loaded,
 * its upper bits do not matter.
 * h->pc and h->retired become those of the next instruction.
 */
void rv_finish_access(struct rv_hart *h, struct rv_eval *e, uint32_t insn, uint64_t value);

#endif
