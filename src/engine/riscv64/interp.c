/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The interpreter: tier 0, and the oracle for the other tiers.
 *
 * Direct-threaded: each decoded op holds the address of the code that executes
 * it, and that code ends by jumping to the next op's.  The code of an op is
 * its row's meaning with the operators of value.h and of this file.  Inside a
 * block the program counter is implicit (block's pc + op->at); instructions
 * are counted when a block is left.
 *
 * This is the one function of the engine that is longer than the budget: one
 * label per row is what makes it fast.  (budget: threaded dispatch)
 */
#include "base/atomic.h"
#include "engine/hardfloat.h"
#include "engine/riscv64/block.h"
#include "isa/riscv64/value.h"

#define PAGE_OF(va) ((va) & ~HULL_PAGE_MASK)

/* --- values --- */
#define RS1               (x[op->rs1])
#define RS2               (x[op->rs2])
#define RD                (x[op->rd])
#define SP                (x[2])
#define FS1               (h->f[op->rs1])
#define FS2               (h->f[op->rs2])
#define FS3               (h->f[op->imm & 31])
#define IMM               ((uint64_t)(int64_t)op->imm)
#define ZIMM              ((uint64_t)op->rs1)
#define PC                (pc0 + 2 * op->at)
#define FP0(fn, a)        hull_##fn(a)
#define FP1(fn, a)        hard_##fn(&h->fp, a)
#define FP2(fn, a, b)     hard_##fn(&h->fp, a, b)
#define FP1R(fn, a)       FP1(fn, a)
#define FP2R(fn, a, b)    FP2(fn, a, b)
#define FP3R(fn, a, b, c) hard_##fn(&h->fp, a, b, c)

/* --- statements --- */
#define NEXT_OP(n)             \
	do {                   \
		op += (n);     \
		goto * op->go; \
	} while (0)
#define SET_RD(v) x[op->rd] = (uint64_t)(v)
#define SET_SP(v) x[2] = (uint64_t)(v)
#define SET_FD(v) h->f[op->rd] = (uint64_t)(v)
#define NOP
#define FENCE __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Leave the fast code at this op: h->pc and h->retired become exact. */
#define SYNC()                                                \
	do {                                                  \
		h->pc = PC;                                   \
		h->retired = retired + rv_block_index(b, op); \
	} while (0)

#define FP_ON                             \
	if (UNLIKELY(h->rm_table[0] > 4)) \
		goto illegal;             \
	h->fs_dirty = true;
#define FP_ROUND                                                  \
	if (UNLIKELY((h->fp.rm = h->rm_table[op->imm >> 8]) > 4)) \
		goto illegal;                                     \
	h->fs_dirty = true;

#define LOAD_TYPE_u8  uint8_t
#define LOAD_TYPE_u16 uint16_t
#define LOAD_TYPE_u32 uint32_t
#define LOAD_TYPE_u64 uint64_t
#define LOAD_TYPE_s8  int8_t
#define LOAD_TYPE_s16 int16_t
#define LOAD_TYPE_s32 int32_t

/* After a call into the core: a look at what it may have posted or shortened. */
#define AFTER_SLOW()                                                                           \
	if (UNLIKELY(hull_load_seqcst(attention) || h->retire_limit < limit + RV_BLOCK_INSNS)) \
	goto next_insn

/* Guest memory is shared with other harts and has no alignment: a copy that is one access. */
#define GUEST_LOAD(type, p)                                                     \
	({                                                                      \
		type guest_v;                                                   \
		__builtin_memcpy(&guest_v, (const void *)(p), sizeof(guest_v)); \
		guest_v;                                                        \
	})

#define LOAD_AS(type, addr, assign)                                                              \
	{                                                                                        \
		uint64_t va = (addr), value;                                                     \
		const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];            \
		if (LIKELY(e->read == (PAGE_OF(va + sizeof(type) - 1) | h->cpu.data_context))) { \
			value = (uint64_t)GUEST_LOAD(type, va + e->addend);                      \
			assign;                                                                  \
		} else {                                                                         \
			SYNC();                                                                  \
			if (!rv_load_slow(h, va, 8 * sizeof(type), &value))                      \
				goto fault;                                                      \
			value = (uint64_t)(type)value;                                           \
			assign;                                                                  \
			AFTER_SLOW();                                                            \
		}                                                                                \
	}
#define LOAD(kind, addr)   LOAD_AS(LOAD_TYPE_##kind, addr, SET_RD(value))
#define FBOX_16(v)         BOX16(v)
#define FBOX_32(v)         BOX32(v)
#define FBOX_64(v)         (v)
#define LOAD_F(bits, addr) LOAD_AS(uint##bits##_t, addr, SET_FD(FBOX_##bits(value)))
#define STORE(bits, addr, val)                                                                \
	{                                                                                     \
		uint64_t va = (addr);                                                         \
		uint##bits##_t value = (uint##bits##_t)(val);                                 \
		const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];         \
		if (LIKELY(e->write == (PAGE_OF(va + bits / 8 - 1) | h->cpu.data_context))) { \
			__builtin_memcpy((void *)(va + e->addend), &value, sizeof(value));    \
		} else {                                                                      \
			SYNC();                                                               \
			if (!rv_store_slow(h, va, bits, value))                               \
				goto fault;                                                   \
			AFTER_SLOW();                                                         \
		}                                                                             \
	}

#define AMO_RESULT_32(v) SX32(v)
#define AMO_RESULT_64(v) (v)
#define AMO(kind, bits)                                                        \
	{                                                                      \
		uint64_t old;                                                  \
		if (UNLIKELY(!rv_amo(h, RV_AMO_##kind, bits, RS1, RS2, &old))) \
			goto fault_here;                                       \
		SET_RD(AMO_RESULT_##bits(old));                                \
	}
#define LR(bits)                                            \
	{                                                   \
		uint64_t value;                             \
		if (UNLIKELY(!rv_lr(h, bits, RS1, &value))) \
			goto fault_here;                    \
		SET_RD(value);                              \
	}
#define SC(bits)                                                  \
	{                                                         \
		uint64_t failed;                                  \
		if (UNLIKELY(!rv_sc(h, bits, RS1, RS2, &failed))) \
			goto fault_here;                          \
		SET_RD(failed);                                   \
	}
#define CBO(kind)                                     \
	if (UNLIKELY(!rv_cbo(h, RV_CBO_##kind, RS1))) \
		goto fault_here;

/* Go on in a block that is known, unless somebody wants attention. */
#define ENTER(next_block, at_pc)                                                   \
	do {                                                                       \
		if (UNLIKELY(hull_load_relaxed(attention) | (retired >= limit))) { \
			h->pc = (at_pc);                                           \
			h->retired = retired;                                      \
			goto resume;                                               \
		}                                                                  \
		b = (next_block);                                                  \
		pc0 = (at_pc);                                                     \
		op = b->ops;                                                       \
		goto * op->go;                                                     \
	} while (0)

/* Leave through the link slot behind `op`. */
#define LEAVE(target)                                              \
	do {                                                       \
		uint64_t to = (target);                            \
		struct rv_link *link = (struct rv_link *)(op + 1); \
		struct rv_block *next = link->to;                  \
		retired += link->count;                            \
		if (LIKELY(next && next->epoch == h->block_epoch)) \
			ENTER(next, to);                           \
		unlinked = link;                                   \
		h->pc = to;                                        \
		goto follow;                                       \
	} while (0)
#define BRANCH(condition)        \
	if (condition)           \
		LEAVE(PC + IMM); \
	NEXT_OP(2)
#define GOTO LEAVE(PC + IMM)
#define GOTO_LINK       \
	SET_RD(PC + 4); \
	LEAVE(PC + IMM)

/* Leave to an address that only now is known. */
#define LEAVE_TO(target)                                                                  \
	do {                                                                              \
		uint64_t to = (target);                                                   \
		const struct engine_jump_entry *j = &h->cpu.jumps[engine_jump_index(to)]; \
		struct rv_block *next = j->block;                                         \
		retired += b->insns;                                                      \
		if (LIKELY(j->pc == (to | 1) && j->key == h->cpu.jump_key &&              \
		           next->epoch == h->block_epoch))                                \
			ENTER(next, to);                                                  \
		h->pc = to;                                                               \
		h->retired = retired;                                                     \
		goto resume;                                                              \
	} while (0)
#define JUMP(target) LEAVE_TO(target)
#define JUMP_LINK(target)                  \
	{                                  \
		uint64_t there = (target); \
		SET_RD(PC + 4);            \
		LEAVE_TO(there);           \
	}
#define JUMP_RA(target)                    \
	{                                  \
		uint64_t there = (target); \
		x[1] = PC + 2;             \
		LEAVE_TO(there);           \
	}

#define CSR(kind, source)                                                                     \
	{                                                                                     \
		uint64_t operand = (source), old;                                             \
		unsigned csr = (unsigned)op->imm & 0xfff;                                     \
		SYNC();                                                                       \
		if (!rv_csr_access(h,                                                         \
		                   rv_csr_request(csr, RV_CSR_##kind, op->rd != RV_X_DISCARD, \
		                                  RV_CSR_##kind == RV_CSR_write || op->rs1),  \
		                   operand, &old))                                            \
			goto fault;                                                           \
		SET_RD(old);                                                                  \
		if (!rv_csr_is_simple(csr))                                                   \
			goto next_insn;                                                       \
	}
#define ILLEGAL goto illegal;

#define SYS(what) SYS_##what
#define SYS_CALL(call) \
	SYNC();        \
	if (!(call))   \
	goto fault
#define SYS_ecall goto ecall;
#define SYS_ebreak                         \
	SYNC();                            \
	rv_raise(h, RV_BREAKPOINT, h->pc); \
	goto fault;
#define SYS_mret                  \
	SYS_CALL(rv_sys_mret(h)); \
	h->retired++;             \
	goto resume;
#define SYS_sret                  \
	SYS_CALL(rv_sys_sret(h)); \
	h->retired++;             \
	goto resume;
#define SYS_wfi goto wfi;
/* Waiting for a reservation ends at once: the loop around it tests again. */
#define SYS_wrs_nto \
	SYNC();     \
	goto next_insn;
#define SYS_wrs_sto SYS_wrs_nto
#define SYS_fence_i        \
	SYNC();            \
	rv_sys_fence_i(h); \
	goto next_insn;
#define SYS_sfence_vma                                                \
	SYS_CALL(rv_sys_sfence_vma(h, !op->rs1, RS1, !op->rs2, RS2)); \
	goto next_insn;
#define SYS_sfence_order SYS_CALL(rv_sys_sfence_order(h));

static int leave(struct rv_hart *h, struct hull_exit *exit, enum hull_exit_kind kind)
{
	exit->kind = kind;
	return 0;
}

HULL_GUEST_RACES int rv_interpret(struct rv_hart *h, struct hull_exit *exit)
{
	static const void *const labels[HULL_RV_COUNT + 1] = {
#define INSN(name, pattern, syntax, meaning) &&do_##name,
#include "isa/riscv64/insns.def"
#undef INSN
		&&illegal,
	};
	uint64_t *const x = h->x;
	const uint32_t *attention = &h->vcpu->attention;
	const struct rv_op *op;
	struct rv_block *b;
	struct rv_link *unlinked;
	uint64_t pc0, retired, limit = 0;
	enum rv_after after;

	if (!exit) {
		h->cache->labels = labels;
		h->cache->label_end = &&end_of_block;
		h->cache->label_profile = &&profile;
		return 0;
	}
resume:                                    /* h->pc and h->retired are exact */
	if (hull_load_seqcst(attention)) { /* pairs with hull_vcpu_post; after state = RUNNING */
		rv_poll(h);
		if (hull_load_seqcst(&h->vcpu->requests) & HULL_REQ_STOP)
			return leave(h, exit, HULL_EXIT_KICKED);
	} else if (UNLIKELY(h->mip & h->csr.mie)) {
		rv_take_interrupt(h);
	}
	if (UNLIKELY(h->step_from)) {
		if (h->retired >= h->step_from)
			return leave(h, exit, RV_EXIT_HOT);
		b = rv_block_at(h, h->pc, true);
		goto enter;
	}
	/* Blocks are entered only if all of one fits; the rest is stepped through. */
	limit = h->retire_limit > RV_BLOCK_INSNS ? h->retire_limit - RV_BLOCK_INSNS : 0;
	if (UNLIKELY(h->retired >= limit)) {
		if (h->retired >= h->retire_limit)
			return leave(h, exit, HULL_EXIT_BUDGET);
		b = rv_block_at(h, h->pc, true);
	} else {
		const struct engine_jump_entry *j = rv_jump_find(h, h->pc);

		if (UNLIKELY(j && j->code))
			return leave(h, exit, RV_EXIT_HOT);
		b = j ? j->block : NULL;
		if (!b || b->epoch != h->block_epoch)
			b = rv_block_at(h, h->pc, false);
	}
enter:
	if (UNLIKELY(!b))
		goto trap;
	pc0 = h->pc;
	retired = h->retired;
	op = b->ops;
	goto * op->go;

follow: /* a direct jump to h->pc through a slot that is not linked, or no longer valid */
	h->retired = retired;
	if (hull_load_relaxed(attention) || retired >= limit || h->step_from)
		goto resume;
	{
		uint64_t here = PAGE_OF(pc0), flushes = h->cache->flushes;
		const struct engine_jump_entry *j = rv_jump_find(h, h->pc);
		struct rv_block *from = b;

		if (UNLIKELY(j && j->code))
			return leave(h, exit, RV_EXIT_HOT);
		b = rv_block_at(h, h->pc, false);
		if (UNLIKELY(!b))
			goto trap;
		/*
		 * Link within a page only: there the translation that led here leads there, too.
		 * Physical as well: a PTE may have changed whose sfence.vma is still to come.
		 */
		if (PAGE_OF(h->pc) == here && b->gpa != UINT64_MAX &&
		    h->cache->flushes == flushes && PAGE_OF(from->gpa) == PAGE_OF(b->gpa))
			unlinked->to = b;
	}
	pc0 = h->pc;
	op = b->ops;
	goto * op->go;

#define INSN(name, pattern, syntax, meaning) \
	do_##name:                           \
	{                                    \
		meaning;                     \
		NEXT_OP(1);                  \
	}
#include "isa/riscv64/insns.def"
#undef INSN

end_of_block:
	LEAVE(PC);

profile: /* first op of a block */
	if (LIKELY(b->heat < h->cache->hot_limit)) {
		b->heat++;
		NEXT_OP(1);
	}
	SYNC();
	return leave(h, exit, RV_EXIT_HOT);

next_insn: /* done with an instruction after which the state must be looked at; SYNC was done */
	h->pc += hull_rv_length((uint16_t)rv_block_bits(b, op));
	h->retired++;
	goto resume;

wfi:
	SYNC();
	if (!rv_sys_wfi(h, &after))
		goto fault;
	if (after == RV_AFTER_GO)
		goto next_insn;
	h->pc += 4;
	h->retired++;
	return leave(h, exit, HULL_EXIT_HALT);

ecall:
	SYNC();
	if (h->sbi && h->priv == RV_PRIV_S)
		return rv_hypercall(h, exit);
	rv_raise(h, RV_ECALL_U + h->priv, 0);
	goto fault;

illegal:
	SYNC();
	rv_raise(h, RV_ILLEGAL, 0);
	goto fault;

fault_here:
	SYNC();
fault: /* h->cause and h->tval are set, h->pc is the instruction's */
	if (h->cause == RV_ILLEGAL)
		h->tval = rv_block_bits(b, op);
trap:
	if (LIKELY(!rv_take_trap(h, exit)))
		goto resume;
	return 0;
}
