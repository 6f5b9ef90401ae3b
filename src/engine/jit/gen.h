/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The code generator: IR of one or more blocks in, one jit_unit out.
 *
 * Guest registers ("slots") that are pinned live in host registers from entry to exit; the others
 * are words of the state, written when they change and read when they are needed.  Inside a block,
 * pure values come into being when something uses them, in a register or directly in the pinned
 * register that they are SET to.  Whatever can be late or rare (misses of the TLB, NaNs, exits that
 * are not linked) is put behind the code ("stubs").
 *
 * Units of tier 1 use the canonical pins, the ones that host_entry() loads; a region may
 * choose others, and converts at its entry and exits.
 *
 * Threading: none of its own; a struct jit_gen belongs to one thread.
 */
#ifndef HULL_ENGINE_JIT_GEN_H
#define HULL_ENGINE_JIT_GEN_H

#include "engine/jit/host.h"
#include "engine/jit/unit.h"

/* Numbers in engine_cpu.stub: ways out, then thunks. */
enum jit_stub {
	JIT_EXIT_LINK,  /* desc: page offset of the target, exit number */
	JIT_EXIT_JUMP,  /* to engine_cpu.target */
	JIT_EXIT_FAULT, /* desc: offset and index of the instruction; a helper failed or TRAP */
	JIT_EXIT_STEP,  /* the same; one instruction is to be performed by another tier */
	JIT_EXIT_CALL,  /* desc: offset, helper that leaves; retired up to the instruction */
	JIT_EXITS_END,
	JIT_SLOW_LOAD = JIT_EXITS_END, /* + enum hull_ir_load; arg: base, -, offset */
	JIT_SLOW_STORE =
		JIT_SLOW_LOAD + HULL_IR_LOADS, /* + log2 of the bytes; arg: base, value, offset */
	JIT_HELPER = JIT_SLOW_STORE + 4,       /* arg: a, b, c, imm | helper << 32 */
	JIT_COMPUTE,                           /* arg: a, b, c, enum hull_ir_op */
	JIT_LOOK,                              /* fails if the machine must be looked at */
	JIT_STUBS_END,
	/* The same thunks, with floating-point registers kept. */
	JIT_KEEP_F = JIT_STUBS_END - JIT_EXITS_END,
	JIT_LOOKUP = JIT_STUBS_END + JIT_KEEP_F, /* host_jump_glue() */
	JIT_STUBS,
};
_Static_assert((int)JIT_STUBS <= (int)ENGINE_STUBS, "engine_cpu.stub is long enough");

/* What a helper is to the generator. */
struct jit_call {
	enum jit_call_kind {
		JIT_C_HELPER, /* a call of C */
		JIT_C_LEAVES,
		JIT_C_AMO,
		JIT_C_LR,
		JIT_C_SC,
		JIT_C_FOP, /* from here on: floating point */
		JIT_C_FSQRT,
		JIT_C_FMA,
		JIT_C_FCMP,
		JIT_C_FMINMAX,
		JIT_C_F_TO_INT,
		JIT_C_F_FROM_INT,
		JIT_C_F_CONVERT,
	} kind;
	uint8_t op;    /* enum host_fop, host_fcmp, host_int; FMINMAX: 1 for max */
	uint8_t bits;  /* of the operands; F_FROM_INT: of the result */
	bool f_result; /* HELPER: the result is a floating-point number of `bits` */
};

/* What the generator has to know about a guest architecture. */
struct jit_arch {
	const struct hull_ir_arch *ir;
	const struct jit_call *calls;      /* by helper */
	int32_t slot_state[HULL_IR_SLOTS]; /* offsets in the guest CPU */
	uint8_t first_f;                   /* slots from here on are floating-point */
	int32_t cause, tval, rm;           /* of the trap in flight; rounding mode (byte) */
	int32_t reserved, reserved_value;  /* LR/SC: host address (all ones: none), value */
	const uint8_t *pin_order;          /* slots that tier 1 pins, the most wanted first */
	unsigned pin_count;
};

enum jit_bail {
	JIT_BAIL_NONE,
	JIT_BAIL_TOO_LONG, /* buffer, labels, exits */
	JIT_BAIL_UNKNOWN_OP,
	JIT_BAILS,
};

struct jit_block {
	const struct hull_ir *ir;
	uint16_t offset; /* of its first byte in its page */
	uint16_t insns;
	int8_t page; /* number of its page minus that of the entry's */
	/* Calls: the same code may be there for several of them. */
	uint8_t context; /* which call it belongs to; 0: it knows nothing of that */
	uint8_t callee;  /* context that the GOTO at its end enters; 0: its own */
	uint8_t back;    /* block + 1 where the JUMP at its end will arrive, mostly; 0: not known */
	bool fp_on; /* the FP unit was looked at before; the entry: it is when the unit is entered
	             */
};

/* A pinned slot. */
struct jit_pin {
	uint8_t slot;
	host_reg reg;
	uint8_t f_bits; /* 0: integer; 32: the payload of a boxed number; 64 */
};

struct jit_input {
	const struct jit_block *blocks; /* the first one is the entry */
	unsigned block_count;
	const struct jit_pin *pins; /* NULL: the canonical ones */
	unsigned pin_count;
	bool hot; /* worth more code: tier 2 */
	/* Where the unit is entered, KEEP puts what KEPT names in its blocks into these registers.
	 */
	const struct hull_ir *entry; /* nodes without INSN and exits; NULL: nothing is kept */
	const host_reg *kept;        /* not of pins */
	unsigned kept_count;
};

enum { JIT_TEMPS_MIN = 2, JIT_BLOCKS = 64, JIT_KEPT = 8 };

struct jit_gen; /* working memory, some 300 KiB */

struct jit_gen *jit_gen_new(const struct jit_arch *arch, bool smp);
void jit_gen_free(struct jit_gen *g);
/* What this guest architecture pins in tier 1 on this host. */
unsigned jit_canonical_pins(const struct jit_arch *arch, struct jit_pin *ret, unsigned max);

/* A code generator; jit_generate() is ours.  g is its working memory. */
typedef enum jit_bail (*jit_generate_fn)(struct jit_gen *g, const struct jit_input *in,
                                         struct jit_unit *ret);

/*
 * Generate a unit of tier 1 (one block) or 2.  The unit's arrays belong to g and hold until the
 * next call; guest code and ranges are left to the caller.  Not everything can be translated: the
 * reason is returned.
 */
enum jit_bail jit_generate(struct jit_gen *g, const struct jit_input *in, struct jit_unit *ret);

#endif
