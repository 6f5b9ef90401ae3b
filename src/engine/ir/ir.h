/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The engine's intermediate representation of one block of guest code.
 *
 * A block is a list of nodes in the order in which they are performed; the
 * operators are in ops.def.  A node's index is the name of its value, and every use
 * comes after the definition, so a backend is one pass over the list.  A block is entered at its
 * first node; BRANCH may leave it in the middle; its last node always does.
 *
 * Precise state.  The guest's registers are state slots.  SET says where a
 * slot changes, and at every node that may leave the block (LOAD, STORE,
 * FP_ON, FP_ROUND, TRAP, a CALL with HULL_IR_FAULTS, BRANCH and the exits) the
 * slots are exactly what the SETs before it made of them, the program counter that of
 * the last INSN, and as many instructions are retired as its index says.
 * KEEP and KEPT are for values that the blocks of a region share; a lifted block has none.
 *
 * At an INSN the block may be left, too: interrupts, budgets.  What a slot holds at such a node can
 * therefore be read off the list; a backend may keep slots in host registers and write them back
 * only on the way out.  Instructions perform their SETs after everything that may fault.
 *
 * Builders name values with hull_ir_name(), which appends nothing: C does not
 * order the evaluation of arguments.  The nodes come into being, left to
 * right, when a statement uses them, so that the list does not depend on the compiler.  Pure nodes
 * are value-numbered: equal ones in a block are one.  Some end up without a use; a
 * backend leaves those out.
 *
 * Threading: a block belongs to one thread; nothing is shared.
 */
#ifndef HULL_ENGINE_IR_IR_H
#define HULL_ENGINE_IR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hull_ir_op {
	HULL_IR_NONE,
#define IR_OP(name, kind, operands, meaning) HULL_IR_##name,
#include "engine/ir/ops.def"
#undef IR_OP
	HULL_IR_OPS
};

enum hull_ir_kind { HULL_IR_PURE, HULL_IR_VALUE, HULL_IR_EFFECT, HULL_IR_EXIT };

struct hull_ir_op_info {
	const char *name;    /* lower case is the printer's */
	uint8_t kind;        /* enum hull_ir_kind */
	uint8_t operands;    /* CALL: the most; the helper knows */
	const char *meaning; /* of the documentation */
};
extern const struct hull_ir_op_info hull_ir_ops[HULL_IR_OPS];

/* How LOAD extends: aux. */
enum hull_ir_load {
	HULL_IR_u8,
	HULL_IR_u16,
	HULL_IR_u32,
	HULL_IR_u64,
	HULL_IR_s8,
	HULL_IR_s16,
	HULL_IR_s32,
	HULL_IR_LOADS
};

/* Bits that a LOAD of this kind reads. */
static inline unsigned hull_ir_load_bits(unsigned kind)
{
	return 8u << (kind < HULL_IR_s8 ? kind : kind - HULL_IR_s8);
}

struct hull_ir_node {
	uint8_t op;       /* enum hull_ir_op */
	uint8_t aux;      /* LOAD: kind; STORE: bits; CALL: helper */
	uint16_t a, b, c; /* operands: earlier nodes, 0: none */
	uint64_t imm;
};

enum {
	HULL_IR_MAX = 2048,    /* nodes of a block, the unused node 0 included */
	HULL_IR_PER_INSN = 32, /* at most that many come from one instruction */
	HULL_IR_SLOTS = 64,
};

/* Effects of helpers. */
enum {
	HULL_IR_FAULTS = 1,  /* may raise an exception instead of returning */
	HULL_IR_EXACT = 2,   /* reads the program counter or the count of retired instructions */
	HULL_IR_FLAGS = 4,   /* accrues FP exception flags */
	HULL_IR_ROUNDS = 8,  /* uses the rounding mode that FP_ROUND has set */
	HULL_IR_MEMORY = 16, /* reads or writes guest memory */
	HULL_IR_SYSTEM = 32, /* changes state that is no slot: CSRs, translations, code */
	HULL_IR_LEAVES = 64, /* ends the block and sets the program counter itself */
	HULL_IR_NO_VALUE = 128,
};

struct hull_ir_helper {
	const char *name;
	uint8_t operands;
	uint8_t effects; /* 0: pure, equal calls are one */
};

/* What a guest architecture adds. */
struct hull_ir_arch {
	const struct hull_ir_helper *helpers;
	unsigned helper_count;
	const char *const *slots; /* names */
	unsigned slot_count;
};

struct hull_ir {
	const struct hull_ir_arch *arch;
	unsigned count; /* nodes in use, node 0 included */
	struct hull_ir_node nodes[HULL_IR_MAX];
};

/* imm of INSN. */
static inline uint64_t hull_ir_insn(uint32_t bits, unsigned offset, unsigned index)
{
	return bits | (uint64_t)offset << 32 | (uint64_t)index << 48;
}
#define HULL_IR_INSN_BITS(imm)   ((uint32_t)(imm))
#define HULL_IR_INSN_OFFSET(imm) ((unsigned)((imm) >> 32 & 0xffff))
#define HULL_IR_INSN_INDEX(imm)  ((unsigned)((imm) >> 48))

/*
 * A pure operator on numbers, exactly as a backend must compute it (CONST to UNBOX32; not PC, GET,
 * KEPT).
 */
uint64_t hull_ir_compute(enum hull_ir_op op, uint64_t a, uint64_t b, uint64_t c);

/* --- building --- */

typedef uint16_t hull_ir_name_t; /* of a value in the instruction being built; 0: none */

struct hull_ir_expr {
	struct hull_ir_node node; /* operands are names */
	uint16_t value;           /* node, once it has been used */
};

struct hull_ir_builder {
	struct hull_ir *ir;
	unsigned names;
	struct hull_ir_expr expr[HULL_IR_PER_INSN]; /* 0 unused */
	uint16_t slot[HULL_IR_SLOTS];               /* the node whose value it has; 0: not known */
	uint16_t hash[512];                         /* of pure nodes: the latest in each bucket */
	uint16_t chain[HULL_IR_MAX];
	bool ended; /* an exit that always leaves is there */
	bool full;  /* too many names or nodes: the block is not usable */
};

void hull_ir_begin(struct hull_ir_builder *b, struct hull_ir *ir, const struct hull_ir_arch *arch);

/* Is there room for another instruction and an exit? */
static inline bool hull_ir_room(const struct hull_ir_builder *b)
{
	return b->ir->count + 2 * HULL_IR_PER_INSN <= HULL_IR_MAX;
}

/* A new instruction: forgets all names. */
void hull_ir_insn_begin(struct hull_ir_builder *b, uint32_t bits, unsigned offset, unsigned index);

/* Name a value: a PURE operator, LOAD or CALL. */
hull_ir_name_t hull_ir_name(struct hull_ir_builder *b, struct hull_ir_node node);

/* Make the value now, if it is not there yet; returns its node. */
uint16_t hull_ir_use(struct hull_ir_builder *b, hull_ir_name_t name);

/* Append an EFFECT or EXIT operator whose operands are names; they come first, a before b. */
void hull_ir_do(struct hull_ir_builder *b, struct hull_ir_node node);

/* SET, remembering the value.  slot < arch->slot_count. */
void hull_ir_set(struct hull_ir_builder *b, unsigned slot, hull_ir_name_t value);

/* Perform only what has effects in the value of `name`, which nobody wants. */
void hull_ir_drop(struct hull_ir_builder *b, hull_ir_name_t name);

/* --- checking and printing --- */

/* NULL if the block obeys the rules of this file, else which one it breaks; *ret_at: the node. */
const char *hull_ir_verify(const struct hull_ir *ir, unsigned *ret_at);

/* One line per node; returns the length of the whole text (size > 0, always terminated). */
size_t hull_ir_print(const struct hull_ir *ir, char *dst, size_t size);

#endif
