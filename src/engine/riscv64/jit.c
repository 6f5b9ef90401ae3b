/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Running generated code: entering it, leaving it, and what it calls. */
#include "engine/riscv64/jit.h"

#include "engine/engine.h"
#include "engine/jit/promote.h"
#include "engine/riscv64/region.h"

#include <stdlib.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/vcpu.h"

#include <hull/vm.h>

enum { TIER1_THRESHOLD = 8, CHAOS_EVERY = 2000 };

/* --- chaos: switches of the tier at random, which must not change what the guest does --- */

static bool chance(struct rv_jit *j, unsigned in)
{
	return j->chaotic && !hull_prng_below(&j->chaos, in);
}

/*
 * About every CHAOS_EVERY / 2 instructions, before `code` is entered: drop it or links, or (true)
 * do not enter it now.
 */
static bool disturb(struct rv_hart *h, const void *code)
{
	struct rv_jit *j = h->jit;
	struct jit_code *c;

	if (!j->chaotic || (h->retired < j->chaos_at && j->chaos_at - h->retired <= CHAOS_EVERY))
		return false;
	j->chaos_at = h->retired + 1 + hull_prng_below(&j->chaos, CHAOS_EVERY);
	c = jit_cache_of(j->cache, code);
	if (!c)
		return true;
	switch (hull_prng_below(&j->chaos, 8)) {
	case 0: jit_cache_drop(j->cache, c); return true;
	case 1: jit_cache_unlink_into(j->cache, c); return false;
	case 2:
		for (unsigned i = 0; i < c->exit_count; i++)
			if (jit_cache_is_linked(c, i) && chance(j, 2))
				jit_cache_unlink(j->cache, c, i);
		return false;
	case 3: rv_flush_jumps(h); return false;
	case 4:
	case 5: return true;
	default: return false;
	}
}

/* --- finding and making code --- */

/*
 * Compare the ranges that are in the entry's page with memory.  Others are compared when the unit
 * is looked up: which page they are in depends on the translation.
 */
static bool same_guest_code(struct rv_hart *h, const struct jit_code *c,
                            const struct rv_fetch_entry *e)
{
	const uint8_t *kept = jit_code_guest(c);

	for (unsigned i = 0; i < c->range_count; i++) {
		const struct jit_range *r = &c->ranges[i].range;

		if (!r->page && !rv_same_code(kept, e->hva + r->offset, r->bytes))
			return false;
		kept += r->bytes;
	}
	return true;
}

/* Are the ranges in other pages still mapped where they were, and the same? */
static bool same_elsewhere(struct rv_hart *h, const struct jit_code *c, uint64_t pc)
{
	const uint8_t *kept = jit_code_guest(c);

	for (unsigned i = 0; i < c->range_count; i++) {
		const struct jit_code_range *r = &c->ranges[i];
		const struct rv_fetch_entry *e;

		if (r->range.page) {
			uint64_t page = (pc & ~HULL_PAGE_MASK) +
			                ((uint64_t)(int64_t)r->range.page * HULL_PAGE_SIZE);

			e = rv_fetch_page(h, page + r->range.offset);
			if (!e || !e->tag || (e->gpa | r->range.offset) != r->gpa ||
			    !rv_same_code(kept, e->hva + r->range.offset, r->range.bytes))
				return false;
		}
		kept += r->range.bytes;
	}
	return true;
}

/* After fence.i: which units of this page are still what memory says?  The others lose their links.
 */
static void verify_page(struct rv_hart *h, const struct rv_fetch_entry *e)
{
	struct jit_cache *cache = h->jit->cache;
	struct jit_code_range *r = NULL;

	while ((r = jit_cache_page(cache, e->gpa, r))) {
		struct jit_code *c = jit_cache_owner(cache, r);

		if (c->epoch == h->code_epoch || (c->gpa & ~HULL_PAGE_MASK) != e->gpa)
			continue;
		if (same_guest_code(h, c, e)) {
			c->epoch = h->code_epoch;
		} else {
			h->stats.code_invalidated++;
			jit_cache_unlink_into(cache, c);
		}
	}
}

bool rv_jit_recheck(struct rv_hart *h, uint64_t page)
{
	struct jit_cache *cache = h->jit->cache;
	struct jit_code_range *r = NULL;
	struct hull_ram_page ram;

	if (!hull_aspace_page(h->vm, page, &ram))
		return false;
	while ((r = jit_cache_page(cache, page, r))) {
		struct jit_code *c = jit_cache_owner(cache, r);
		const uint8_t *kept = jit_code_guest(c);

		for (const struct jit_code_range *before = c->ranges; before < r; before++)
			kept += before->range.bytes;
		if (c->epoch != h->code_epoch ||
		    rv_same_code(kept, (uint8_t *)ram.hva + r->range.offset, r->range.bytes))
			continue;
		c->epoch = 0;
		h->stats.code_invalidated++;
		jit_cache_unlink_into(cache, c);
		rv_jit_forget_jumps(h, c);
	}
	return true;
}

/* The best unit for pc that is good; *ret_any: there is one, good or not. */
static struct jit_code *find_good(struct rv_hart *h, uint64_t pc, uint64_t gpa, bool *ret_any)
{
	struct jit_code *c = NULL, *best = NULL;

	*ret_any = false;
	while ((!best || best->tier < 2) && (c = jit_cache_find(h->jit->cache, gpa, c))) {
		*ret_any = true;
		if (c->tier == 2 && chance(h->jit, 4))
			continue;
		if (c->epoch == h->code_epoch && (!best || c->tier > best->tier) &&
		    same_elsewhere(h, c, pc))
			best = c;
	}
	return best;
}

static void name_code(struct rv_hart *h, const struct jit_code *c, const char *space, uint64_t at)
{
	char name[64];

	if (!h->jit->perf)
		return;
	hull_format(name, sizeof(name), "%s:0x%llx tier %u", space, (unsigned long long)at,
	            c->tier);
	jit_perf_add(h->jit->perf, c->entry, c->code_bytes, name);
}

static void tell_perf(struct rv_hart *h, const struct jit_code *c)
{
	name_code(h, c, "guest", h->pc);
}

void rv_jit_named(void *hart, const struct jit_code *c)
{
	name_code(hart, c, "physical", c->gpa);
}

/* Code for pc that is good now, or NULL; keep: see jit_cache_add(). */
static struct jit_code *find(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e,
                             struct jit_code **keep)
{
	uint64_t gpa = e->gpa | (pc & HULL_PAGE_MASK);
	struct jit_code *c;
	bool any;

	if (!e->tag)
		return NULL;
	c = find_good(h, pc, gpa, &any);
	if (!c && any) {
		verify_page(h, e);
		c = find_good(h, pc, gpa, &any);
	}
	if (!c && (c = rv_jit_restore(h, pc, e, keep)))
		tell_perf(h, c);
	return c;
}

/* jit_code.user: which entry of the jump cache may lead to the code, + 1; or several may. */
enum { JUMPS_NONE, JUMPS_MANY = ENGINE_JUMP_SIZE + 1 };

static void enter_jump(struct rv_hart *h, uint64_t pc, struct jit_code *c)
{
	unsigned jump = engine_jump_index(pc) + 1;

	for (unsigned i = 0; i < c->range_count; i++) { /* sfence.vma of each must drop the jump */
		unsigned bit = (unsigned)((pc >> 12) + (uint64_t)c->ranges[i].range.page) & 4095;

		h->code_pages[bit / 64] |= BIT(bit % 64);
	}
	h->cpu.jumps[engine_jump_index(pc)] = (struct engine_jump_entry){
		.pc = pc, .key = h->cpu.jump_key, .code = jit_code_enter(c)
	};
	c->user = c->user == JUMPS_NONE || c->user == jump ? jump : JUMPS_MANY;
	jit_cache_touch(c);
	if (h->jit->recent_count < RV_JIT_RECENT)
		h->jit->recent[h->jit->recent_count] = (uint16_t)(jump - 1);
	h->jit->recent_count += h->jit->recent_count <= RV_JIT_RECENT;
}

static bool in_one_page(const struct jit_code *c)
{
	for (unsigned i = 0; i < c->range_count; i++)
		if (c->ranges[i].range.page)
			return false;
	return true;
}

/*
 * A kernel that patches itself executes the same little code between one fence.i and the next, tens
 * of thousands of times: its pages are compared here, all at once, instead of each jump missing.
 */
void rv_jit_fence(struct rv_hart *h, uint64_t was_key)
{
	struct rv_jit *j = h->jit;
	unsigned count = j->recent_count, n = 0;

	for (unsigned i = 0; i < count && count <= RV_JIT_RECENT; i++) {
		struct engine_jump_entry *jump = &h->cpu.jumps[j->recent[i]];
		const struct rv_fetch_entry *e = rv_fetch_known(h, jump->pc);
		struct jit_code *c;

		if (!e || !jump->code || jump->key != was_key)
			continue;
		c = jit_cache_of(j->cache, jump->code);
		if (!c || (c->gpa & ~HULL_PAGE_MASK) != e->gpa || !in_one_page(c))
			continue;
		if (c->epoch != h->code_epoch)
			verify_page(h, e);
		if (c->epoch != h->code_epoch)
			continue;
		jump->key = h->cpu.jump_key;
		j->recent[n++] = j->recent[i];
	}
	/* What is of no use any more does not tell: begin anew now and then. */
	j->recent_count = h->stats.code_fences % 64 ? n : 0;
}

/* Guest code that is translated. */
struct source {
	struct jit_range ranges[2];
	uint64_t gpas[2];
	unsigned count; /* of ranges */
	unsigned bytes, insns;
	const uint8_t *code;
};

static struct jit_code *make(struct rv_hart *h, const struct source *s)
{
	struct rv_jit *j = h->jit;
	struct jit_block block = { &j->ir, s->ranges[0].offset, (uint16_t)s->insns };
	struct jit_unit unit;
	struct jit_code *c;
	enum jit_bail bail;

	if (rv_lift(&h->cache->decoder, s->code, s->bytes, &j->ir) != s->insns) {
		h->stats.bail_not_lifted++;
		return NULL;
	}
	bail = j->generate(j->gen, &(struct jit_input){ &block, 1, NULL, 0, false }, &unit);
	h->stats.bail_too_long += bail == JIT_BAIL_TOO_LONG;
	h->stats.bail_no_host_op += bail == JIT_BAIL_UNKNOWN_OP;
	if (bail)
		return NULL;
	unit.ranges = s->ranges;
	unit.range_count = (uint8_t)s->count;
	unit.guest = s->code;
	c = jit_cache_add(j->cache, &unit, s->gpas, NULL);
	if (!c) {
		h->stats.bail_no_room++;
		return NULL;
	}
	c->epoch = h->code_epoch;
	tell_perf(h, c);
	return c;
}

/* The same, counted. */
static struct jit_code *make_counted(struct rv_hart *h, const struct source *s)
{
	const struct hull_hal *hal = h->jit->hal;
	uint64_t start = hal->now_ns(hal), ns;
	struct jit_code *c = make(h, s);

	ns = hal->now_ns(hal) - start;
	h->stats.translate_ns += ns;
	h->stats.compile_max_ns = MAX(h->stats.compile_max_ns, ns);
	if (!c)
		return NULL;
	h->stats.blocks_translated++;
	h->stats.guest_insns_translated += c->insns;
	h->stats.host_bytes += c->code_bytes;
	return c;
}

/* The interpreter found h->pc hot: make code for the block there.  NULL if that cannot be done. */
static struct jit_code *translate(struct rv_hart *h)
{
	struct rv_block *b = rv_block_at(h, h->pc, false);
	struct jit_code *c;
	struct source s;

	if (!b || b->gpa == UINT64_MAX) {
		h->stats.bail_not_kept++;
		return NULL;
	}
	b->heat = 0; /* if nothing comes of it, later again */
	s = (struct source){ { { 0, b->gpa & HULL_PAGE_MASK, b->bytes } },
		             { b->gpa },
		             1,
		             b->bytes,
		             b->insns,
		             rv_block_code(b) };
	c = make_counted(h, &s);
	if (c)
		b->heat = UINT32_MAX;
	return c;
}

/*
 * An instruction that spans two pages is a unit of its own: it depends on how both are mapped, so
 * it is entered through the jump cache only.
 */
static struct jit_code *translate_spanning(struct rv_hart *h)
{
	struct rv_jit *j = h->jit;
	const struct rv_fetch_entry *e = rv_fetch_page(h, h->pc);
	struct source s = { { { 0, HULL_PAGE_SIZE - 2, 2 }, { 1, 0, 2 } }, { 0 }, 2, 4, 1, NULL };
	uint8_t *heat = &j->span_heat[h->pc >> 12 & (sizeof(j->span_heat) - 1)], code[4];
	uint32_t insn;

	if ((h->pc & HULL_PAGE_MASK) != HULL_PAGE_SIZE - 2 || !e || !e->tag ||
	    rv_code_is_kept(e, h->pc))
		return NULL;
	if (++*heat < MIN(h->cache->hot_limit, 200u))
		return NULL;
	*heat = 0;
	s.gpas[0] = e->gpa | s.ranges[0].offset;
	e = rv_fetch_page(h, h->pc + 2);
	if (!e || !e->tag || !rv_fetch(h, h->pc, &insn) || hull_rv_length((uint16_t)insn) != 4)
		return NULL;
	s.gpas[1] = e->gpa;
	store_le32(code, insn);
	s.code = code;
	return make_counted(h, &s);
}

static void forget(void *arg, struct jit_code *code, enum jit_forget why)
{
	struct rv_hart *h = arg;

	/* In a cache that is too small, code that runs once before it dies is not worth making. */
	if (why == JIT_DROPPED)
		rv_blocks_cool(h, code->gpa);
	if (code->user == JUMPS_MANY) {
		rv_flush_jumps(h);
	} else if (code->user != JUMPS_NONE) {
		struct engine_jump_entry *jump = &h->cpu.jumps[code->user - 1];

		if (jump->code == jit_code_enter(code))
			*jump = (struct engine_jump_entry){ 0 };
	}
	code->user = JUMPS_NONE;
}

/* jit_cache_user.wake */
static void wake(void *arg)
{
	struct rv_hart *h = arg;

	rv_regions_reclaim(h->jit->regions, h->jit->cache);
}

void rv_jit_forget_jumps(struct rv_hart *h, struct jit_code *code)
{
	forget(h, code, JIT_SUSPECT);
}

void rv_jit_supersede(struct rv_hart *h, uint64_t gpa)
{
	struct jit_code *old = NULL;

	while ((old = jit_cache_find(h->jit->cache, gpa, old)))
		if (old->tier == 1) {
			if (old->epoch == h->code_epoch)
				old->heat = JIT_NEVER;
			jit_cache_unlink_into(h->jit->cache, old);
			rv_jit_forget_jumps(h, old);
		}
}

/* --- leaving --- */

enum next { NEXT, RETURN };

static enum next fault(struct rv_hart *h, struct hull_exit *exit)
{
	return rv_take_trap(h, exit) ? RETURN : NEXT;
}

/* The bits of the instruction at h->pc, as they were translated. */
static uint32_t insn_bits(struct rv_hart *h)
{
	const struct jit_code *c = jit_cache_of(h->jit->cache, h->cpu.site);
	const struct rv_fetch_entry *e = c ? rv_fetch_page(h, h->pc) : NULL;
	const uint8_t *code;

	if (!e)
		return 0;
	code = jit_code_guest(c);
	for (unsigned i = 0; i < c->range_count; i++) {
		const struct jit_code_range *r = &c->ranges[i];
		uint64_t offset = (e->gpa | (h->pc & HULL_PAGE_MASK)) - r->gpa;

		if (offset < r->range.bytes) {
			code += offset;
			return hull_rv_length(load_le16(code)) == 4 ? load_le32(code)
			                                            : load_le16(code);
		}
		code += r->range.bytes;
	}
	return 0;
}

static enum next left_by_fault(struct rv_hart *h, struct hull_exit *exit)
{
	struct rv_jit *j = h->jit;

	rv_jit_sync(h);
	if (j->finish) {
		j->finish = false;
		rv_finish_access(h, &j->eval, insn_bits(h), j->value);
		return NEXT;
	}
	if (h->cause == RV_ILLEGAL)
		h->tval = insn_bits(h);
	return fault(h, exit);
}

static enum next left_by_call(struct rv_hart *h, struct hull_exit *exit)
{
	unsigned id = JIT_DESC_NUMBER(h->cpu.desc);
	enum rv_after after = RV_AFTER_GO;
	bool ok = false;

	h->pc = h->cpu.page + JIT_DESC_OFFSET(h->cpu.desc);
	switch (id) {
	case RV_CALL_ecall:
		if (h->sbi && h->priv == RV_PRIV_S) {
			rv_hypercall(h, exit);
			return RETURN;
		}
		rv_raise(h, RV_ECALL_U + h->priv, 0);
		break;
	case RV_CALL_mret: ok = rv_sys_mret(h); break;
	case RV_CALL_sret: ok = rv_sys_sret(h); break;
	default: ok = rv_sys_wfi(h, &after); h->pc += ok ? 4 : 0;
	}
	if (!ok && h->cause == RV_ILLEGAL)
		h->tval = insn_bits(h);
	if (!ok)
		return fault(h, exit);
	h->retired++;
	if (after == RV_AFTER_GO)
		return NEXT;
	exit->kind = HULL_EXIT_HALT;
	return RETURN;
}

/* The exit can go straight on next time if there is code for its target. */
static enum next left_by_link(struct rv_hart *h)
{
	struct rv_jit *j = h->jit;
	unsigned exit = JIT_DESC_NUMBER(h->cpu.desc);
	const struct rv_fetch_entry *e;
	struct jit_code *from, *to;

	h->pc = h->cpu.page + JIT_DESC_OFFSET(h->cpu.desc);
	if (h->cpu.fuel < 0) /* sampling may have changed the cache */
		return NEXT;
	from = exit < JIT_EXITS ? jit_cache_of(j->cache, h->cpu.site) : NULL;
	if (!from || from->epoch != h->code_epoch)
		return NEXT;
	e = rv_fetch_page(h, h->pc);
	if (!e || e->gpa != (from->gpa & ~HULL_PAGE_MASK))
		return NEXT;
	to = find(h, h->pc, e, &from);
	if (to && from)
		jit_cache_link(j->cache, from, exit, to);
	if (to)
		enter_jump(h, h->pc, to);
	return NEXT;
}

static enum next interpret(struct rv_hart *h, struct hull_exit *exit, int *ret)
{
	rv_fp_collect(h);
	h->host_flags = NULL;
	*ret = rv_interpret(h, exit);
	(void)host_fp_flags();
	h->host_flags = host_fp_flags;
	rv_fp_mode_changed(h);
	return *ret || exit->kind != (enum hull_exit_kind)RV_EXIT_HOT ? RETURN : NEXT;
}

/* One instruction by the interpreter. */
static enum next step(struct rv_hart *h, struct hull_exit *exit, int *ret)
{
	enum next next;

	h->step_from = h->retired + 1;
	next = interpret(h, exit, ret);
	h->step_from = 0;
	return next;
}

/* Does the budget leave room for a whole unit? */
static bool room(const struct rv_hart *h)
{
	return h->retire_limit > RV_JIT_MARGIN && h->retired < h->retire_limit - RV_JIT_MARGIN;
}

/* Instructions by the interpreter until the next disturbance. */
static enum next wander(struct rv_hart *h, struct hull_exit *exit, int *ret)
{
	enum next next = NEXT;

	while (next == NEXT && h->retired < h->jit->chaos_at && room(h))
		next = step(h, exit, ret);
	return next;
}

/* The slice of instructions is used up: where? */
static void sample(struct rv_hart *h, uint64_t reason)
{
	uint64_t pc = reason == JIT_EXIT_LINK ? h->cpu.page | JIT_DESC_OFFSET(h->cpu.desc)
	                                      : h->cpu.target;
	const struct engine_jump_entry *jump = rv_jump_find(h, pc);
	const struct rv_fetch_entry *e = &h->fetch_tlb[(pc >> 12) & (RV_FETCH_TLB_SIZE - 1)];

	if (reason == JIT_EXIT_LINK && JIT_DESC_NUMBER(h->cpu.desc) == JIT_EXITS) {
		const struct jit_code *c = jit_cache_of(h->jit->cache, h->cpu.site);

		if (c && c->tier == 2) /* in the middle of a region */
			return;
	}
	if ((reason == JIT_EXIT_LINK || (jump && jump->code)) &&
	    e->tag == ((pc & ~HULL_PAGE_MASK) | h->fetch_context))
		rv_regions_sample(h, pc, e->gpa | (pc & HULL_PAGE_MASK));
}

/* Generated code has no type for -fsanitize=function to look at. */
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
static uint64_t
call_code(struct rv_hart *h, const void *code)
{
	return h->jit->enter(h, code);
}

/*
 * Not always the same length: slices begin where the one before ended, so that those of a loop
 * would soon end at the same few places, and nothing else would be sampled.
 */
static uint64_t slice_at(uint64_t retired)
{
	/* A held page grows by at most so many steps before attention is looked at. */
	_Static_assert((int)RV_JIT_SLICE < (int)ENGINE_HELD_INSNS, "held pages end within a slice");
	return RV_JIT_SLICE - (retired * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}

static enum next enter(struct rv_hart *h, const void *code, struct hull_exit *exit, int *ret)
{
	struct rv_jit *j = h->jit;
	uint64_t room = h->retire_limit - RV_JIT_MARGIN - h->retired, reason;

	h->cpu.page = h->pc & ~HULL_PAGE_MASK;
	if (j->chaotic)
		room = MIN(room, j->chaos_at - h->retired);
	h->cpu.fuel = (int64_t)MIN(room, slice_at(h->retired)) - 1;
	h->cpu.fuel_base = h->retired + (uint64_t)h->cpu.fuel;
	j->retire_limit = h->retire_limit;
	h->stats.entries++;
	reason = call_code(h, code);
	h->retired = h->cpu.fuel_base - (uint64_t)h->cpu.fuel;
	if (h->cpu.fuel < 0 && j->regions && reason <= JIT_EXIT_JUMP)
		sample(h, reason);
	switch (reason) {
	case JIT_EXIT_LINK:
		if (h->cpu.fuel < 0)
			h->stats.exit_poll++;
		else
			h->stats.exit_link++;
		return left_by_link(h);
	case JIT_EXIT_JUMP:
		h->stats.exit_jump_miss++;
		h->pc = h->cpu.target;
		return NEXT;
	case JIT_EXIT_FAULT: h->stats.exit_fault++; return left_by_fault(h, exit);
	case JIT_EXIT_CALL: h->stats.exit_call++; return left_by_call(h, exit);
	default:
		h->stats.exit_step++;
		rv_jit_sync(h);
		return step(h, exit, ret);
	}
}

/* Code for h->pc; NULL: the interpreter has to do it, or (*ret_fault) fetching faults. */
static const void *code_here(struct rv_hart *h, bool *ret_fault)
{
	const struct engine_jump_entry *jump = rv_jump_find(h, h->pc);
	const struct rv_fetch_entry *e;
	struct jit_code *c;

	if (!room(h))
		return NULL;
	if (jump && jump->code)
		return jump->code;
	if (jump && ((const struct rv_block *)jump->block)->heat < h->cache->hot_limit)
		return NULL; /* none was there when the entry was made */
	e = rv_fetch_page(h, h->pc);
	*ret_fault = !e;
	if (!e)
		return NULL;
	c = find(h, h->pc, e, NULL);
	if (!c)
		return NULL;
	enter_jump(h, h->pc, c);
	return jit_code_enter(c);
}

static int run(struct rv_hart *h, struct hull_exit *exit)
{
	const uint32_t *attention = &h->vcpu->attention;
	bool hot = false, compiled = false;
	int rc = 0;

	for (;;) {
		bool faulted = false;
		enum next next;
		const void *code;

		if (hull_load_seqcst(attention)) { /* pairs with hull_vcpu_post */
			rv_poll(h);
			if (hull_load_seqcst(&h->vcpu->requests) & HULL_REQ_STOP) {
				exit->kind = HULL_EXIT_KICKED;
				return 0;
			}
		} else if (h->mip & h->csr.mie) {
			rv_take_interrupt(h);
		}
		if (h->jit->regions && rv_regions_ready(h->jit->regions))
			rv_regions_install(h);
		code = code_here(h, &faulted);
		if (!code && !faulted && room(h)) {
			struct jit_code *c = hot ? translate(h) : translate_spanning(h);

			if (c) {
				enter_jump(h, h->pc, c);
				code = jit_code_enter(c);
			}
		}
		if ((code != NULL) != compiled) {
			compiled = !compiled;
			h->stats.tier_switches++;
		}
		if (faulted)
			next = fault(h, exit);
		else if (code && disturb(h, code))
			next = wander(h, exit, &rc);
		else if (code)
			next = enter(h, code, exit, &rc);
		else if (hot) /* and cannot be translated: on with it, however hot it is */
			next = step(h, exit, &rc);
		else
			next = interpret(h, exit, &rc);
		hot = !faulted && !code && !hot;
		if (next == RETURN)
			return rc;
	}
}

int rv_jit_run(struct rv_hart *h, struct hull_exit *exit)
{
	int rc;

	(void)host_fp_flags();
	h->host_flags = host_fp_flags;
	rv_fp_mode_changed(h);
	rc = run(h, exit);
	rv_fp_collect(h);
	h->host_flags = NULL;
	return rc;
}

/* --- what people see --- */

void rv_jit_stats(const struct rv_hart *h, struct hull_engine_stats *ret)
{
	const struct jit_cache_stats *s = jit_cache_stats(h->jit->cache);

	ret->links_made = s->links_made;
	ret->links_undone = s->links_undone;
	ret->cache_evictions = s->died[JIT_DEATH_UNUSED] + s->died[JIT_DEATH_VERSION];
	ret->cache_evictions_forced = s->died[JIT_DEATH_FORCED];
	ret->cache_moves = s->moved;
	ret->cache_bytes = s->bytes;
	ret->cache_bytes_peak = s->bytes_peak;
	ret->pauses = s->pauses;
	ret->pause_ns = s->pause_total_ns;
	ret->pause_max_ns = s->pause_max_ns;
	ret->pause_cpu_max_ns = s->pause_cpu_max_ns;
}

unsigned rv_jit_describe(struct rv_hart *h, uint64_t gpa, rv_jit_code_fn fn, void *arg)
{
	const struct jit_code *c = NULL;
	unsigned n = 0;

	while ((c = jit_cache_next(h->jit->cache, c))) {
		const uint8_t *guest = jit_code_guest(c);

		for (unsigned i = 0; i < c->range_count; i++) {
			const struct jit_code_range *r = &c->ranges[i];

			if (gpa - r->gpa < r->range.bytes) {
				fn(arg, c, r, guest);
				n++;
			}
			guest += r->range.bytes;
		}
	}
	return n;
}

/* --- set-up --- */

int rv_jit_init(struct rv_hart *h, const struct hull_engine_config *config, uint64_t bytes,
                struct hull_err *err)
{
	const struct hull_hal *hal = hull_vm_hal(h->vm);
	struct jit_cache_user user = { .forget = forget, .moved = rv_jit_named, .arg = h };
	struct rv_jit *j = calloc(1, sizeof(*j));
	int rc = HULL_ENOMEM;
	bool concurrent;

	h->jit = j;
	if (!j)
		return hull_fail(err, rc, 801, "no memory for the translator");
	j->hal = hal;
	j->generate = jit_generate;
	j->gen = jit_gen_new(&rv_jit_arch, rv_jit_is_shared(hull_vm_config(h->vm)));
	if (!hal->code_alloc)
		rc = HULL_ENOTSUP;
	else if (j->gen)
		rc = rv_jit_make_glue(h);
	/* To wake another thread takes longer than to copy a little: only where it was asked for.
	 */
	concurrent = config->cache_policy == HULL_CODE_CACHE_CONCURRENT;
	j->tier2 = hull_engine_tier_of(config->mode) == HULL_TIER_REGION;
	if (!rc && (concurrent || j->tier2))
		j->regions = rv_regions_new(h, config);
	if (concurrent && j->regions)
		user.wake = wake;
	if (!rc)
		rc = jit_cache_new(hal, bytes, (enum jit_policy)config->cache_policy, &user,
		                   &j->cache);
	if (rc) {
		rv_jit_fini(h);
		return hull_fail(err, rc, 801, "no memory for translated code");
	}
	if (config->chaos) {
		j->chaotic = true;
		hull_prng_seed(&j->chaos, config->chaos ^ h->vcpu->id);
	}
	h->cache->profile = true;
	h->cache->hot_limit = config->tier1_threshold ? config->tier1_threshold : TIER1_THRESHOLD;
	return 0;
}

void rv_jit_fini(struct rv_hart *h)
{
	struct rv_jit *j = h->jit;

	if (!j)
		return;
	rv_regions_free(j->regions);
	jit_cache_free(j->cache);
	rv_jit_free_glue(h);
	jit_gen_free(j->gen);
	free(j);
	h->jit = NULL;
}
