/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a host instruction set does for the code generator: one file per host
 * (x86_64.c, aarch64.c) implements these functions; the build compiles the one of its host.
 *
 * Registers.  A host has numbered general and floating-point registers that
 * the generator allocates (host_info.gpr, .fpr), and others that belong to
 * this layer: the pointer to the guest CPU ("state"), the fuel counter, and
 * scratch registers, which no function keeps alive over its end.  The one exception is
 * host_info.addend, see host_tlb().  A destination may be the same register as any operand.
 *
 * Operands are registers, constants of any size or 64-bit words of the state
 * (struct host_operand); whatever an instruction cannot take, its function brings into scratch.
 *
 * Positions.  Generated code is position-independent: it refers to itself
 * relatively and to everything else through the state.  It is written into a
 * buffer and copied into executable memory as one piece.
 *
 * Guest virtual addresses are known as engine_cpu.page + a constant: code serves each address at
 * which its page is mapped.
 *
 * Errors: when the buffer, the labels or the fixups are used up, `full` is set and nothing more is
 * written; the result is then useless.
 *
 * Threading: an emitter belongs to one thread.
 */
#ifndef HULL_ENGINE_JIT_HOST_H
#define HULL_ENGINE_JIT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu.h"
#include "engine/ir/ir.h"

typedef uint8_t host_reg;    /* the host's own number of a general or floating-point register */
typedef uint16_t host_label; /* 0: none */

enum { HOST_NO_REG = 0xff };

struct host_info {
	const char *name;
	/* Allocatable registers; those that survive calls of C come first. */
	uint8_t gpr_count, gpr_saved; /* all, and how many of them survive */
	host_reg gpr[24];
	uint8_t fpr_count;
	host_reg fpr[32];
	host_reg addend; /* scratch that may hold the result of host_tlb() */
	bool holds;      /* it has host_held() */
};
extern const struct host_info host_info;

/* Optional features of this host's CPUs, found out once; tests may take some away. */
enum host_feature {
	HOST_AVX = 1,
	HOST_BMI1 = 2, /* andn, tzcnt */
	HOST_BMI2 = 4, /* shlx, rorx, mulx */
	HOST_FMA = 8,
	HOST_LZCNT = 16,
	HOST_POPCNT = 32,
	HOST_PCLMUL = 64,
	HOST_SSE41 = 128,
	HOST_F16C = 256,
};
unsigned host_features(void);

enum { HOST_LABELS = 2048, HOST_FIXUPS = 4096, HOST_LATE = 1024 };

struct host_emit {
	uint8_t *start, *p, *end;
	unsigned features; /* enum host_feature; those that may be used */
	bool full;
	bool smp; /* other CPUs see guest memory: atomics must be atomic */
	unsigned label_count, fixup_count, late_count;
	uint32_t label_at[HOST_LABELS]; /* offset + 1; 0: not bound yet */
	struct {
		uint32_t at;
		host_label label;
		uint8_t kind;
	} fixup[HOST_FIXUPS];
	/* The host's own: rare code that host_end() puts behind all other. */
	struct host_late {
		uint32_t at;   /* the jump to it; it comes back behind that, */
		host_label to; /* or goes on here */
		uint8_t op, bits;
		host_reg d, a, b, c;
	} late[HOST_LATE];
};

/* Sets all fields; features and smp to what this host has and true, which the caller may change. */
void host_begin(struct host_emit *e, void *buffer, size_t size);
/* Finish the code: resolve all labels.  False if anything did not fit or a label was never bound.
 */
bool host_end(struct host_emit *e);
host_label host_new_label(struct host_emit *e);
void host_bind(struct host_emit *e, host_label l);
static inline uint32_t host_here(const struct host_emit *e)
{
	return (uint32_t)(e->p - e->start);
}

struct host_operand {
	enum host_operand_kind { HOST_REG, HOST_IMM, HOST_STATE } kind;
	host_reg reg;
	int32_t state; /* offset in the guest CPU */
	uint64_t imm;
};
static inline struct host_operand host_r(host_reg r)
{
	return (struct host_operand){ .kind = HOST_REG, .reg = r };
}
static inline struct host_operand host_i(uint64_t v)
{
	return (struct host_operand){ .kind = HOST_IMM, .imm = v };
}
static inline struct host_operand host_s(int32_t offset)
{
	return (struct host_operand){ .kind = HOST_STATE, .state = offset };
}

/* --- integers; all 64 bits unless W, which works on the low 32 and sign-extends the result --- */

void host_mov(struct host_emit *e, host_reg d, struct host_operand a);
void host_set_state(struct host_emit *e, int32_t state, struct host_operand a); /* 64 bits */
void host_set_state8(struct host_emit *e, int32_t state, uint8_t v);

enum host_alu { HOST_ADD, HOST_SUB, HOST_AND, HOST_OR, HOST_XOR, HOST_MUL };
enum host_shift { HOST_SHL, HOST_SHR, HOST_SAR, HOST_ROR }; /* count modulo 64, W: 32 */
void host_alu(struct host_emit *e, enum host_alu op, bool w, host_reg d, struct host_operand a,
              struct host_operand b);
void host_shift(struct host_emit *e, enum host_shift op, bool w, host_reg d, struct host_operand a,
                struct host_operand b);

/* d = a + (b << shift), shift 1 to 3 */
void host_add_shifted(struct host_emit *e, host_reg d, struct host_operand a, struct host_operand b,
                      unsigned shift);

/*
 * An IR operator that is none of the above: NOT, MULH, MULHU, MULHSU, DIV, DIVU, REM, REMU,
 * SX8 to ZX32, CLZ, CTZ, POP, REV8, ORCB, CLMUL, CLMULH, CLMULR, BOX16, BOX32, UNBOX16,
 * UNBOX32.  Meaning: hull_ir_compute().  False if this CPU has no good way; nothing was written.
 */
bool host_compute(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
                  struct host_operand b);
/* 32-bit division of RISC-V's W instructions: low halves of a and b, result sign-extended. */
void host_divw(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
               struct host_operand b);

/* An even condition and the odd one after it are opposites. */
enum host_cond { HOST_EQ, HOST_NE, HOST_LT, HOST_GE, HOST_LTU, HOST_GEU };
void host_set(struct host_emit *e, enum host_cond cond, host_reg d, struct host_operand a,
              struct host_operand b);
void host_branch(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_label to);
/* d = a cond b ? yes : no */
void host_select(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_reg d, struct host_operand yes,
                 struct host_operand no);
void host_jump(struct host_emit *e, host_label to);
/* Go to `to` if the state's byte is 0. */
void host_branch_byte(struct host_emit *e, int32_t state, host_label if_zero);

/* --- guest memory --- */

/*
 * Look up the page of [base + lo, base + hi] (base a register or a word of the state) for reading
 * or writing: if both ends are in one page and the TLB has it, its addend is in `addend` (an
 * allocated register or host_info.addend; the latter holds until the next function that is
 * not one of the accesses below).  Else goes to `slow`.
 * The entry is the one of base + lo; its tag must be page(base + hi) | data_context.
 */
void host_tlb(struct host_emit *e, bool write, struct host_operand base, int32_t lo, int32_t hi,
              host_reg addend, host_label slow);
/*
 * The same for an aligned access of size bytes at base + lo through sites[site]: if that does not
 * know the page, goes to `miss`.  False if this host has no such thing; nothing was written.
 */
bool host_site(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
               unsigned size, host_reg addend, host_label miss);
/* After host_tlb() for that access: the site knows the page from now on.  Keeps the addend. */
void host_site_fill(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
                    host_reg addend);
/*
 * The same for accesses of [base + lo, base + hi] through held[n] (cpu.h), for which
 * host_hold() was asked with them; n may be of use only while base grows.  Else goes to `miss`.
 */
void host_held(struct host_emit *e, unsigned n, host_reg base, host_reg addend, host_label miss);
/* After host_tlb() of all that held[n] is for.  Keeps the addend. */
void host_hold(struct host_emit *e, unsigned n, host_reg base, int32_t hi, host_reg addend);
void host_let_go(struct host_emit *e, unsigned n);
/* Go to `slow` unless base + off is a multiple of size. */
void host_check_aligned(struct host_emit *e, struct host_operand base, int32_t off, unsigned size,
                        host_label slow);

/* Access base + off + addend, which host_tlb() has allowed.  kind: enum hull_ir_load. */
void host_load(struct host_emit *e, unsigned kind, host_reg d, host_reg addend,
               struct host_operand base, int32_t off);
void host_load_f(struct host_emit *e, unsigned bits, host_reg fd, host_reg addend,
                 struct host_operand base, int32_t off); /* 32 or 64; upper half: any */
void host_store(struct host_emit *e, unsigned bits, struct host_operand v, host_reg addend,
                struct host_operand base, int32_t off);
void host_store_f(struct host_emit *e, unsigned bits, host_reg fs, host_reg addend,
                  struct host_operand base, int32_t off);

/*
 * d (unless HOST_NO_REG) = the old value there, sign-extended; it becomes old op v.  Sequentially
 * consistent.
 * op: enum host_atomic, in the order of RISC-V's AMOs.
 */
enum host_atomic {
	HOST_A_SWAP,
	HOST_A_ADD,
	HOST_A_XOR,
	HOST_A_AND,
	HOST_A_OR,
	HOST_A_MIN,
	HOST_A_MAX,
	HOST_A_MINU,
	HOST_A_MAXU,
};
void host_atomic(struct host_emit *e, enum host_atomic op, unsigned bits, host_reg d,
                 struct host_operand v, host_reg addend, struct host_operand base);
/*
 * Store conditional: if the word at base is `expected` (a word of the state; 32 bits: its low
 * half), it becomes v and d = 0, else d = 1.
 */
void host_compare_swap(struct host_emit *e, unsigned bits, host_reg d, int32_t expected,
                       struct host_operand v, host_reg addend, struct host_operand base);
/*
 * Barrier; store_load: earlier stores against later loads as well.  Threads of devices see the
 * memory of a machine with one CPU, too.
 */
void host_fence(struct host_emit *e, bool store_load);

/* --- floating point: bits is 32 or 64; the upper part of a 32-bit register may hold anything ---
 */

void host_fget(struct host_emit *e, unsigned bits, host_reg fd, int32_t state);
/* 64 bits always: a 32-bit value is NaN-boxed. */
void host_fput(struct host_emit *e, unsigned bits, int32_t state, host_reg fs);
void host_fmov(struct host_emit *e, host_reg fd, host_reg fs);
void host_f_from_gpr(struct host_emit *e, unsigned bits, host_reg fd, struct host_operand a);
void host_f_to_gpr(struct host_emit *e, unsigned bits, host_reg d,
                   host_reg fs); /* 32: zero-extended */
/* Go to `to` unless the state's word is a NaN-boxed 32-bit value. */
void host_branch_unboxed(struct host_emit *e, int32_t state, host_label to);

/*
 * Results and sticky flags are IEEE 754's (rounding: the host register's, nearest even in fast
 * mode); a result that is a NaN but not the canonical one goes to `nan`, where the generator puts
 * the canonical one into fd and comes back.
 */
enum host_fop { HOST_FADD, HOST_FSUB, HOST_FMUL, HOST_FDIV };
void host_fop(struct host_emit *e, enum host_fop op, unsigned bits, host_reg fd, host_reg fa,
              host_reg fb, host_label nan);
void host_fsqrt(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_label nan);
/* fd = ±(fa * fb) ± fc, one rounding; false without FMA.  negate_product, negate_c as named. */
bool host_fma(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_reg fb,
              host_reg fc, bool negate_product, bool negate_c, host_label nan);
void host_fnan(struct host_emit *e, unsigned bits, host_reg fd); /* the canonical NaN */
/* d = 0 or 1: EQ is quiet, LT and LE signal on any NaN; ordered only. */
enum host_fcmp { HOST_FEQ, HOST_FLT, HOST_FLE };
void host_fcompare(struct host_emit *e, enum host_fcmp op, unsigned bits, host_reg d, host_reg fa,
                   host_reg fb);
/* Lesser or greater; equal or unordered operands go to `slow`, before fd has changed. */
void host_fminmax(struct host_emit *e, bool max, unsigned bits, host_reg fd, host_reg fa,
                  host_reg fb, host_label slow);
/*
 * To an integer, truncating, d sign-extended from the type's bits (u32 as well); flags exact.  What
 * needs saturation or might goes to `slow` without having changed d or raised a flag that
 * the exact operation does not raise.
 */
enum host_int { HOST_I32, HOST_U32, HOST_I64, HOST_U64 };
void host_f_to_int(struct host_emit *e, unsigned bits, enum host_int to, host_reg d, host_reg fa,
                   host_label slow);
/* From an integer, rounding; false if there is no short way (nothing was written). */
bool host_f_from_int(struct host_emit *e, unsigned bits, enum host_int from, host_reg fd,
                     struct host_operand a);
/* 32 <-> 64; `from` is the width of fa */
void host_fconvert(struct host_emit *e, unsigned from, host_reg fd, host_reg fa, host_label nan);

/* --- control --- */

/* fuel -= insns; if it is negative then, go to `over`. */
void host_fuel(struct host_emit *e, unsigned insns, host_label over);
/* fuel -= insns; if it is not negative then, go to `to`. */
void host_fuel_jump(struct host_emit *e, unsigned insns, host_label to);
/* fuel += delta */
void host_fuel_add(struct host_emit *e, int32_t delta);

/* d = engine_cpu.page + offset */
void host_page_address(struct host_emit *e, host_reg d, int32_t offset);

/*
 * A jump that host_patch() can send elsewhere; at first it goes to `to`.  Returns the offset of
 * what will be patched.
 */
uint32_t host_link(struct host_emit *e, host_label to);
/*
 * rw and rx are the two mappings of the place, which is aligned to 4 bytes if the code was put at
 * a multiple of 16; target is executable code within 2 GiB (aarch64: 128 MiB).  Other threads may
 * be executing it.
 */
void host_patch(void *rw, const void *rx, const void *target);

/*
 * Go on at the guest address a + add with bit 0 cleared through the jump cache: if the entry of
 * that address has its pc and the current jump_key (cpu.h), set engine_cpu.page to its page and go
 * there. Else engine_cpu.target = the address, and go to `miss`.
 */
void host_jump_guest(struct host_emit *e, struct host_operand a, int32_t add, host_label miss);
/* The same for engine_cpu.page + offset. */
void host_jump_page(struct host_emit *e, int32_t offset, host_label miss);

/*
 * The same two, fuel included, through code that all share: stub[number], made by
 * host_jump_glue(), which leaves through stub[exit] if there is no fuel or no entry.  False if this
 * host does not have it; nothing was written.
 */
bool host_jump_shared(struct host_emit *e, unsigned insns, const struct host_operand *a,
                      int32_t add, unsigned number);
bool host_jump_glue(struct host_emit *e, unsigned exit);

/*
 * Call the thunk in stub[number]: engine_cpu.desc becomes desc, then the C function runs with
 * all allocatable registers preserved (floating-point ones only if keep_f).  What it returns
 * is for the next function:
 */
void host_call(struct host_emit *e, unsigned number, uint32_t desc, bool keep_f);
/* If the call failed go to `failed`; else d (unless HOST_NO_REG) = engine_cpu.arg[3]. */
void host_call_done(struct host_emit *e, host_reg d, host_label failed);

/* Leave through stub[number]: engine_cpu.desc = desc, engine_cpu.site = the emitter's first byte.
 */
void host_leave(struct host_emit *e, unsigned number, uint32_t desc);

/* --- glue, generated once per guest CPU --- */

struct host_pin {
	host_reg reg;
	int32_t state;
};

/*
 * A C function: uint64_t enter(void *state, const void *code): saves what C wants saved, loads fuel
 * and the pinned registers, goes to `code`; returns what host_exit() was given.
 */
void host_entry(struct host_emit *e, const struct host_pin *pins, unsigned count);
/*
 * The way out for host_leave(): stores desc, site, fuel and the pinned registers; returns `reason`
 * from enter().
 */
void host_exit(struct host_emit *e, const struct host_pin *pins, unsigned count, uint64_t reason);
/*
 * A thunk for host_call() of bool fn(void *state), true: done, with its value in
 * engine_cpu.arg[3].  Stores desc and fuel before.  Preserves all general registers; with keep_f
 * floating-point ones, too.
 */
void host_thunk(struct host_emit *e, bool (*fn)(void *state), bool keep_f);

/* Exception flags (HULL_FP_NV ...) that the host has collected since the last call, and forget
 * them; sets the rounding mode that generated code needs.  Called before and after generated code
 * runs. */
unsigned host_fp_flags(void);

/* New code was written through rw and is about to be executed at rx. */
void host_sync_code(const void *rw, const void *rx, size_t bytes);

#endif
