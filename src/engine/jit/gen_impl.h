/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of the code generator share. */
#ifndef HULL_ENGINE_JIT_GEN_IMPL_H
#define HULL_ENGINE_JIT_GEN_IMPL_H

#include "engine/jit/gen.h"

enum { GEN_STUBS = 1024 };

/* Where the value of a node is.  None of the places: it has not been computed. */
struct value {
	uint16_t uses; /* that are still to come */
	bool dead;    /* a SET that nobody sees: another one follows before the block can be left */
	bool done;    /* computed: its operands have been released */
	host_reg reg; /* general register: a temporary, a kept one, or the pin of a slot that has
	                 this value */
	host_reg freg;  /* floating-point register */
	uint8_t f_bits; /* width of the number in freg */
	bool boxed;     /* freg has the payload of a value that the architecture sees boxed */
	uint8_t home;   /* slot + 1 whose word of the state has the value; 0: none */
	uint8_t spill;  /* spill word + 1 */
	uint8_t set;    /* slot + 1 that it will be SET to, 0: none */
};

/* Code that is put behind the rest. */
struct stub {
	enum stub_kind {
		STUB_LINK,      /* exit to a page offset that is not a block of the unit */
		STUB_UNLINKED,  /* its way out */
		STUB_MISS,      /* exit to engine_cpu.target */
		STUB_OVER_PAGE, /* no fuel before a jump to page + offset */
		STUB_OVER_JUMP, /* no fuel before a jump to a + add */
		STUB_TAKEN,     /* taken branch */
		STUB_OVER,      /* no fuel before a jump to another block of the unit */
		STUB_LEAVE,     /* leave through `number` with desc */
		STUB_LOAD,
		STUB_STORE,
		STUB_NAN,
		STUB_GROUP, /* members [offset, offset + insns) of a group of accesses */
		STUB_CALL,  /* slow way of an inline helper: arguments are a, b */
	} kind;
	host_label at, back;
	uint32_t desc;
	uint8_t number; /* exit, thunk, or width of a load or store */
	uint8_t f_bits; /* d is a floating-point register of that width */
	bool keep_f;
	host_reg d;
	struct host_operand a, b;
	int32_t offset;
	uint64_t imm;
	uint16_t insns;
	bool a_is_f, b_is_f;
	uint16_t site;   /* LOAD, STORE: + 1 of the site that did not know the page; 0: no site */
	host_label fast; /* behind the look at the site */
	uint8_t held;    /* LOAD, STORE, GROUP: + 1 of the held page that is not the one; 0: none */
	bool canonical;  /* LEAVE: the pins are the canonical ones there */
	const struct jit_block *block; /* TAKEN: the block of the branch, in whose context it is */
};

/* One access of a group, see gen_group(). */
struct member {
	bool write;
	uint8_t width;  /* enum hull_ir_load, or bits */
	uint8_t f_bits; /* d is a floating-point register */
	uint8_t slot;   /* LOAD: + 1 of the unpinned slot that gets the value; 0: none */
	host_reg d;     /* LOAD: result.  STORE: value, if in a floating-point register */
	host_reg pin;   /* LOAD: floating-point pin that gets it from d; HOST_NO_REG: none */
	host_label fault;
	uint32_t desc;
	int32_t offset;
	struct host_operand value;
};

/* What held[] is for: accesses of [slot + lo, slot + hi]. */
struct held {
	uint8_t slot;
	bool write;
	int32_t lo, hi;
};

enum { GEN_MEMBERS = 512, GEN_GROUP = 16 };

struct jit_gen {
	const struct jit_arch *arch;
	struct host_emit e;
	bool smp;
	unsigned features; /* of the host that may be used; tests take some away */
	enum jit_bail bail;

	/* The unit. */
	const struct jit_input *in;
	host_label block_label[JIT_BLOCKS];
	uint64_t placed;     /* blocks whose code is there, or begun */
	unsigned next_block; /* number + 1 of the one whose code comes next; 0: other code */
	struct jit_exit exits[JIT_EXITS];
	unsigned exit_count;
	struct stub stubs[GEN_STUBS + 1]; /* the last one is nobody's */
	unsigned stub_count;
	struct member members[GEN_MEMBERS];
	unsigned member_count;

	/* Pins. */
	struct jit_pin pins[HULL_IR_SLOTS], canonical[HULL_IR_SLOTS];
	unsigned pin_count, canonical_count;
	bool regional;                   /* pins are not the canonical ones */
	host_reg pin_reg[HULL_IR_SLOTS]; /* HOST_NO_REG: in memory */
	uint64_t dirty;                  /* pinned slots that are SET somewhere in the unit */
	uint8_t pin_bits[HULL_IR_SLOTS]; /* as jit_pin.f_bits */
	struct held held[ENGINE_HELD];
	unsigned held_count;
	host_reg temps[24], f_temps[32];
	unsigned temp_count, f_temp_count;

	/* The block. */
	const struct jit_block *block;
	const struct hull_ir *ir;
	struct value v[HULL_IR_MAX];
	uint16_t slot_value[HULL_IR_SLOTS]; /* node whose value the slot has; 0: not known */
	uint16_t temp_value[24], f_temp_value[32];
	unsigned temp_next, f_temp_next;
	uint32_t site_salt;
	host_reg locked;        /* temporary that is not to be taken */
	uint32_t f_locked;      /* the same, of floating-point ones: a bit for each register */
	uint64_t spills;        /* words in use */
	uint64_t spills_over;   /* of those: until the next INSN, operands may still be there */
	uint64_t insn;          /* imm of the last INSN */
	host_label fault, step; /* of this instruction; 0: not yet asked for */
	bool fp_checked, in_group;
	uint64_t group_sets; /* slots that the group SETs */
	uint8_t rm;          /* field of the last FP_ROUND */

	uint8_t buffer[JIT_CODE_BYTES];
};

static inline const struct hull_ir_node *gen_node(const struct jit_gen *g, unsigned n)
{
	return &g->ir->nodes[n];
}

static inline uint32_t gen_desc(const struct jit_gen *g)
{
	return JIT_DESC(g->block->offset + HULL_IR_INSN_OFFSET(g->insn),
	                HULL_IR_INSN_INDEX(g->insn));
}

/* --- gen_value.c: where values are --- */

void gen_values_begin(struct jit_gen *g);
/* One use of n is over. */
void gen_release(struct jit_gen *g, unsigned n);
/* Make sure that n is somewhere; then gen_operand() says where. */
void gen_eval(struct jit_gen *g, unsigned n);
struct host_operand gen_operand(struct jit_gen *g, unsigned n);
/* n in a general register. */
host_reg gen_in_reg(struct jit_gen *g, unsigned n);
/* A general register for the result of node n: the pin it goes to, or a temporary; binds it. */
host_reg gen_result(struct jit_gen *g, unsigned n);
host_reg gen_f_result(struct jit_gen *g, unsigned n, unsigned bits);
/* n in a floating-point register, as a number of that width. */
host_reg gen_in_freg(struct jit_gen *g, unsigned n, unsigned bits);
/* All operands of an instruction: none takes the register of another one. */
void gen_in_fregs(struct jit_gen *g, const unsigned *nodes, unsigned count, unsigned bits,
                  host_reg *ret);
/* Two operands that have been evaluated, likewise. */
void gen_operands(struct jit_gen *g, unsigned a, unsigned b, struct host_operand *ret_a,
                  struct host_operand *ret_b);
void gen_set_slot(struct jit_gen *g, unsigned slot, unsigned n);
bool gen_any_f(const struct jit_gen *g);
/* Every value that is in a temporary only gets a copy in memory, so that taking one writes nothing.
 */
void gen_save_temps(struct jit_gen *g);
/* Is there anybody who still wants what the slot has now? */
static inline bool gen_slot_wanted(const struct jit_gen *g, unsigned slot)
{
	return g->slot_value[slot] && g->v[g->slot_value[slot]].uses;
}
bool gen_const(const struct jit_gen *g, unsigned n, uint64_t *ret);
/* Store n's value into a word of the state. */
void gen_put(struct jit_gen *g, int32_t state, unsigned n);

/* --- gen_region.c --- */

/* From the canonical pins to the unit's, at its entry, and back, at its exits.  Temporaries keep.
 */
void gen_glue_in(struct jit_gen *g);
void gen_glue_out(struct jit_gen *g);
/* Which pinned slots the unit changes. */
void gen_find_dirty(struct jit_gen *g);
/* Compute what the blocks find in registers that are not pinned, KEEP by KEEP. */
void gen_entry(struct jit_gen *g);
void gen_keep(struct jit_gen *g, unsigned n);

/* --- gen_held.c --- */

/* Choose what the region holds. */
void gen_hold_pages(struct jit_gen *g);
/* The held page + 1 for accesses of [base + lo, base + hi], a node in a register; 0: none. */
unsigned gen_held(const struct jit_gen *g, unsigned base, int32_t lo, int32_t hi, bool write);
/* Where the held page of s is not the one: ask the TLB, hold it and go to s->fast; or go on. */
void gen_hold(struct jit_gen *g, const struct stub *s);
/* The slot is about to be SET to n. */
void gen_let_go_set(struct jit_gen *g, unsigned slot, unsigned n);
/* Behind a group, where both of its ways have come. */
void gen_let_go_group(struct jit_gen *g);
/* The region is entered, or translations may have changed. */
void gen_let_go_all(struct jit_gen *g);

/* --- gen_pure.c --- */

/* Compute a pure node into d, releasing its operands. */
void gen_compute(struct jit_gen *g, unsigned n);
/* Split the condition in n (0 or not) into a comparison of two nodes; b may be 0: the constant 0.
 */
void gen_condition(struct jit_gen *g, unsigned n, enum host_cond *ret, unsigned *ret_a,
                   unsigned *ret_b);

/* --- gen_memory.c --- */

void gen_load(struct jit_gen *g, unsigned n);
void gen_store(struct jit_gen *g, unsigned n);
/*
 * Instructions that only load, or only store, close to one base register: one look at the TLB for
 * all.  If a group begins at node `at`, an INSN, generates it and returns the node behind it; else
 * `at`.
 */
unsigned gen_group(struct jit_gen *g, unsigned at);
void gen_group_slow(struct jit_gen *g, unsigned first, unsigned count, struct host_operand base,
                    bool keep_f);
void gen_amo(struct jit_gen *g, unsigned n);
void gen_lr(struct jit_gen *g, unsigned n);
void gen_sc(struct jit_gen *g, unsigned n);

/* Where a site does not know the page: ask the TLB. */
void gen_site_missed(struct jit_gen *g, const struct stub *s, bool write, unsigned bytes);

/* --- gen_call.c --- */

void gen_call(struct jit_gen *g, unsigned n);
/* Call C for node n with its operands as arguments. */
void gen_helper(struct jit_gen *g, unsigned n, unsigned number, uint64_t imm, bool f_result);
void gen_fp_on(struct jit_gen *g);

/* --- gen.c --- */

void gen_perform(struct jit_gen *g, unsigned n);
/* The slot + 1 that the value of node n, a load or call, is SET to in the same instruction; or 0.
 */
uint8_t gen_destination(const struct jit_gen *g, unsigned n);

struct stub *gen_stub(struct jit_gen *g, enum stub_kind kind);
host_label gen_fault(struct jit_gen *g);
host_label gen_step(struct jit_gen *g);

#endif
