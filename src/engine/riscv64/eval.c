/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The evaluator: IR performed node by node on a hart, with the helpers that
 * the interpreter uses.  It is what the IR means; backends are compared with it.
 */
#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "engine/hardfloat.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/lift.h"

enum after {
	AFTER_NODE,  /* go on with the next node */
	AFTER_BLOCK, /* h->pc and h->retired are those of the next block */
	AFTER_FAULT, /* h->cause and h->tval are set */
	AFTER_EXIT,  /* to the caller */
};

struct run {
	struct rv_hart *h;
	struct hull_exit *exit;
	const uint64_t *v;
	uint64_t pc0, retired0; /* at the block's begin */
	uint64_t insn;          /* imm of the INSN that is being performed */
};

static void sync(struct run *r)
{
	r->h->pc = r->pc0 + HULL_IR_INSN_OFFSET(r->insn);
	r->h->retired = r->retired0 + HULL_IR_INSN_INDEX(r->insn);
}

static enum after leave_to(struct run *r, uint64_t pc)
{
	r->h->retired = r->retired0 + HULL_IR_INSN_INDEX(r->insn) + 1;
	r->h->pc = pc;
	return AFTER_BLOCK;
}

static uint64_t extend(unsigned kind, uint64_t v)
{
	switch (kind) {
	case HULL_IR_s8: return (uint64_t)(int8_t)v;
	case HULL_IR_s16: return (uint64_t)(int16_t)v;
	case HULL_IR_s32: return (uint64_t)(int32_t)v;
	default: return v & low_mask(hull_ir_load_bits(kind));
	}
}

static enum after wait_for_interrupt(struct run *r)
{
	enum rv_after after;

	if (!rv_sys_wfi(r->h, &after))
		return AFTER_FAULT;
	leave_to(r, r->h->pc + 4);
	if (after == RV_AFTER_GO)
		return AFTER_BLOCK;
	r->exit->kind = HULL_EXIT_HALT;
	return AFTER_EXIT;
}

static enum after environment_call(struct run *r)
{
	struct rv_hart *h = r->h;

	if (!h->sbi || h->priv != RV_PRIV_S) {
		rv_raise(h, RV_ECALL_U + h->priv, 0);
		return AFTER_FAULT;
	}
	sync(r);
	(void)rv_hypercall(h, r->exit);
	return AFTER_EXIT;
}

static enum after return_from_trap(struct run *r, bool (*perform)(struct rv_hart *h))
{
	if (!perform(r->h))
		return AFTER_FAULT;
	r->h->retired++;
	return AFTER_BLOCK;
}

/* In software: generated code calls them too, and its exceptions are in the host's registers. */
#define FP_CALL_1(fn) hull_##fn(&h->fp, a)
#define FP_CALL_2(fn) hull_##fn(&h->fp, a, b)
#define FP_CALL_3(fn) hull_##fn(&h->fp, a, b, c)

static uint64_t call_fp(struct rv_hart *h, unsigned id, uint64_t a, uint64_t b, uint64_t c)
{
	switch (id) {
	case RV_CALL_f16_classify: return hull_f16_classify((uint16_t)a);
	case RV_CALL_f32_classify: return hull_f32_classify((uint32_t)a);
	case RV_CALL_f64_classify: return hull_f64_classify(a);
#define HELPER(name, operands, effects)
#define FP_HELPER(name, operands, effects) \
	case RV_CALL_##name: return (uint64_t)FP_CALL_##operands(name);
#include "engine/riscv64/helpers.def"
#undef HELPER
#undef FP_HELPER
	default: return 0;
	}
}

bool rv_helper(struct rv_hart *h, unsigned id, uint32_t imm, const uint64_t args[3], uint64_t *ret)
{
	uint64_t a = args[0], b = args[1];

	switch (id) {
	case RV_CALL_csr: return rv_csr_access(h, imm, a, ret);
	case RV_CALL_amo: return rv_amo(h, (enum rv_amo)(imm & 255), imm >> 8, a, b, ret);
	case RV_CALL_lr: return rv_lr(h, imm, a, ret);
	case RV_CALL_sc: return rv_sc(h, imm, a, b, ret);
	case RV_CALL_cbo: return rv_cbo(h, (enum rv_cbo)imm, a);
	case RV_CALL_sfence_vma: return rv_sys_sfence_vma(h, imm & 1, a, imm & 2, b);
	case RV_CALL_sfence_order: return rv_sys_sfence_order(h);
	case RV_CALL_fence_i: rv_sys_fence_i(h); return true;
	default: *ret = call_fp(h, id, a, b, args[2]); return true;
	}
}

static enum after call(struct run *r, const struct hull_ir_node *n, uint64_t *ret)
{
	const uint64_t args[3] = { r->v[n->a], r->v[n->b], r->v[n->c] };

	if (rv_ir_arch.helpers[n->aux].effects & HULL_IR_EXACT)
		sync(r);
	switch (n->aux) {
	case RV_CALL_ecall: return environment_call(r);
	case RV_CALL_mret: return return_from_trap(r, rv_sys_mret);
	case RV_CALL_sret: return return_from_trap(r, rv_sys_sret);
	case RV_CALL_wfi: return wait_for_interrupt(r);
	default: break;
	}
	return rv_helper(r->h, n->aux, (uint32_t)n->imm, args, ret) ? AFTER_NODE : AFTER_FAULT;
}

static enum after need_fp(struct run *r, bool rounds, unsigned field)
{
	struct rv_hart *h = r->h;

	if (rounds)
		h->fp.rm = h->rm_table[field];
	if ((rounds ? h->fp.rm : h->rm_table[0]) > 4) {
		rv_raise(h, RV_ILLEGAL, 0);
		return AFTER_FAULT;
	}
	h->fs_dirty = true;
	return AFTER_NODE;
}

/* The host address of an access that the TLB answers, or NULL: what is cached there counts. */
static void *tlb_address(const struct rv_hart *h, uint64_t va, unsigned bytes, bool write)
{
	const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];
	uint64_t tag = ((va + bytes - 1) & ~HULL_PAGE_MASK) | h->cpu.data_context;

	return (write ? e->write : e->read) == tag ? (void *)(va + e->addend) : NULL;
}

static enum after access(struct run *r, const struct hull_ir_node *n, uint64_t *ret)
{
	bool write = n->op == HULL_IR_STORE;
	unsigned bits = write ? n->aux : hull_ir_load_bits(n->aux);
	void *p = tlb_address(r->h, r->v[n->a], bits / 8, write);
	uint8_t bytes[8] = { 0 };

	if (p && write) {
		store_le64(bytes, r->v[n->b]);
		memcpy(p, bytes, bits / 8);
		return AFTER_NODE;
	}
	if (p) {
		memcpy(bytes, p, bits / 8);
		*ret = extend(n->aux, load_le64(bytes));
		return AFTER_NODE;
	}
	sync(r); /* devices may look at the clock */
	if (write)
		return rv_store_slow(r->h, r->v[n->a], bits, r->v[n->b] & low_mask(bits))
		               ? AFTER_NODE
		               : AFTER_FAULT;
	if (!rv_load_slow(r->h, r->v[n->a], bits, ret))
		return AFTER_FAULT;
	*ret = extend(n->aux, *ret);
	return AFTER_NODE;
}

/* Between instructions a block may be left: somebody wants attention, or the budget shrank. */
static enum after begin_insn(struct run *r, uint64_t insn)
{
	struct rv_hart *h = r->h;
	bool first = HULL_IR_INSN_INDEX(insn) == 0;

	if (!first && (hull_load_seqcst(&h->vcpu->attention) ||
	               h->retire_limit < r->retired0 + HULL_IR_INSN_INDEX(insn)))
		return leave_to(r, r->pc0 + HULL_IR_INSN_OFFSET(insn));
	r->insn = insn;
	return AFTER_NODE;
}

static enum after perform(struct run *r, const struct hull_ir_node *n, uint64_t *ret)
{
	struct rv_hart *h = r->h;
	uint64_t a = r->v[n->a];

	switch (n->op) {
	case HULL_IR_CONST: *ret = n->imm; break;
	case HULL_IR_PC: *ret = r->pc0 + n->imm; break;
	case HULL_IR_GET:
		*ret = n->imm < RV_SLOT_F ? h->x[n->imm] : h->f[n->imm - RV_SLOT_F];
		break;
	case HULL_IR_INSN: return begin_insn(r, n->imm);
	case HULL_IR_SET:
		if (n->imm < RV_SLOT_F)
			h->x[n->imm] = a;
		else
			h->f[n->imm - RV_SLOT_F] = a;
		break;
	case HULL_IR_LOAD:
	case HULL_IR_STORE: return access(r, n, ret);
	case HULL_IR_FENCE: __atomic_thread_fence(__ATOMIC_SEQ_CST); break;
	case HULL_IR_FP_ON: return need_fp(r, false, 0);
	case HULL_IR_FP_ROUND: return need_fp(r, true, (unsigned)n->imm);
	case HULL_IR_CALL: return call(r, n, ret);
	case HULL_IR_BRANCH: return a ? leave_to(r, r->pc0 + n->imm) : AFTER_NODE;
	case HULL_IR_GOTO:
	case HULL_IR_LOOK: return leave_to(r, r->pc0 + n->imm);
	case HULL_IR_JUMP: return leave_to(r, a);
	case HULL_IR_TRAP: rv_raise(h, n->imm, a); return AFTER_FAULT;
	default: *ret = hull_ir_compute((enum hull_ir_op)n->op, a, r->v[n->b], r->v[n->c]);
	}
	return AFTER_NODE;
}

static enum after run_block(struct rv_hart *h, struct rv_eval *e, struct hull_exit *exit)
{
	struct run r = { h, exit, e->values, h->pc, h->retired, 0 };
	enum after after = AFTER_NODE;

	e->values[0] = 0;
	for (unsigned i = 1; i < e->ir.count && after == AFTER_NODE; i++)
		after = perform(&r, &e->ir.nodes[i], &e->values[i]);
	if (after == AFTER_FAULT) {
		sync(&r);
		if (h->cause == RV_ILLEGAL)
			h->tval = HULL_IR_INSN_BITS(r.insn);
	}
	return after;
}

static int leave(struct hull_exit *exit, enum hull_exit_kind kind)
{
	exit->kind = kind;
	return 0;
}

/* As in the interpreter: the block that is known for this place, unless it may be stale. */
static struct rv_block *next_block(struct rv_hart *h)
{
	uint64_t limit = h->retire_limit > RV_BLOCK_INSNS ? h->retire_limit - RV_BLOCK_INSNS : 0;
	const struct engine_jump_entry *j = rv_jump_find(h, h->pc);
	struct rv_block *b = j ? j->block : NULL;

	if (h->retired >= limit)
		return rv_block_at(h, h->pc, true);
	if (b && b->epoch == h->block_epoch)
		return b;
	return rv_block_at(h, h->pc, false);
}

void rv_finish_access(struct rv_hart *h, struct rv_eval *e, uint32_t insn, uint64_t value)
{
	struct hull_exit exit;
	struct run r = { h, &exit, e->values, h->pc, h->retired, 0 };
	uint8_t code[4];

	store_le32(code, insn);
	rv_lift(&h->cache->decoder, code, hull_rv_length((uint16_t)insn), &e->ir);
	e->values[0] = 0;
	for (unsigned i = 1; i < e->ir.count; i++) {
		const struct hull_ir_node *n = &e->ir.nodes[i];

		if (n->op == HULL_IR_INSN)
			r.insn = n->imm;
		else if (n->op == HULL_IR_LOAD)
			e->values[i] = extend(n->aux, value);
		else if (n->op != HULL_IR_STORE)
			(void)perform(&r, n, &e->values[i]);
	}
}

int rv_evaluate(struct rv_hart *h, struct rv_eval *e, struct hull_exit *exit)
{
	for (;;) {
		struct rv_block *b;
		enum after after;

		if (hull_load_relaxed(&h->vcpu->attention)) { /* pairs with hull_vcpu_post */
			rv_poll(h);
			if (hull_load_seqcst(&h->vcpu->requests) & HULL_REQ_STOP)
				return leave(exit, HULL_EXIT_KICKED);
		} else if (h->mip & h->csr.mie) {
			rv_take_interrupt(h);
		}
		if (h->retired >= h->retire_limit)
			return leave(exit, HULL_EXIT_BUDGET);
		b = next_block(h);
		if (!b) {
			after = AFTER_FAULT;
		} else {
			rv_lift(&h->cache->decoder, rv_block_code(b), b->bytes, &e->ir);
			after = run_block(h, e, exit);
		}
		if (after == AFTER_EXIT)
			return 0;
		if (after == AFTER_FAULT && rv_take_trap(h, exit))
			return 0;
	}
}
