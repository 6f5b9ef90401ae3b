/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Tier 2: choosing loops, and compiling them on another thread; the thread's other work. */
#include "engine/riscv64/region.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/jit/flow.h"
#include "engine/jit/promote.h"
#include "engine/riscv64/jit.h"

enum {
	REGION_BLOCKS = 32,
	REGION_REACH = 100, /* pages */
	REGION_CALLS = 16,  /* that are copied into the region */
	REGION_DEPTH = 3,   /* of these */
	LOOP_SHIFT = 3,     /* a loop is executed 8 times, more or less */
	REGION_EDGES = 32,  /* of a block */
	REGION_MIN_F_TEMPS = 5,
	THRESHOLD = 3,                /* samples */
	EXECUTIONS_PER_SAMPLE = 1024, /* of a loop of some instructions: what a threshold means */
};

enum state { FREE, QUEUED, DONE };

struct place {
	int16_t page; /* number minus that of the head */
	uint16_t offset;
};

struct region_block {
	struct place place;
	uint16_t bytes, insns;
	uint16_t at;             /* of its code in `guest` */
	uint8_t context, callee; /* of jit_block */
	bool returns;            /* from the call it is of */
};

/* What is called is copied for each call, so that it is known where it comes back. */
struct region_call {
	struct place back;
	uint8_t context; /* of the caller */
	uint8_t depth;
};

struct rv_regions {
	const struct rv_jit *jit; /* its `generate` */
	struct jit_gen *gen;      /* NULL: the thread is for reclaiming only */
	struct jit_facts *facts;
	const struct hull_rv_decoder *decoder;
	const struct jit_promotion *promotion;
	struct jit_heat heat;
	pthread_t thread;
	bool started; /* once there is work */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;                 /* under lock */
	struct jit_cache *reclaim; /* under lock; NULL: nothing to reclaim */
	uint32_t state;            /* atomic; the thread that may touch the rest follows from it */

	/* The request. */
	/* Virtual page of the head, and the epochs in which the code was good. */
	uint64_t va, epoch, block_epoch;
	bool loop; /* else the first block alone */
	unsigned count, calls, ranges_count;
	struct region_block block[REGION_BLOCKS]; /* the head first */
	struct region_call call[REGION_CALLS];    /* context 1 first */
	struct jit_range ranges[REGION_BLOCKS];
	uint64_t gpas[REGION_BLOCKS]; /* of the ranges */
	uint8_t guest[JIT_GUEST_BYTES];

	/* The answer. */
	enum jit_bail bail;
	struct jit_unit unit;
	struct jit_passes done;
	uint64_t compile_ns;
	const struct hull_hal *hal;

	/* The worker's. */
	struct hull_ir ir[REGION_BLOCKS];
	struct jit_invariants invariants;
	struct jit_pin pins[HULL_IR_SLOTS];
	host_reg kept_registers[JIT_KEPT];

	struct hull_ir scratch; /* the vCPU's */
};

/* --- collecting, on the vCPU's thread --- */

static struct jit_code *block_code(struct rv_hart *h, uint64_t gpa)
{
	struct jit_code *c = NULL;

	while ((c = jit_cache_find(h->jit->cache, gpa, c)))
		if (c->tier == 1 && c->range_count == 1 && c->epoch == h->code_epoch)
			return c;
	return NULL;
}

static bool is_linked_to(const struct jit_code *c, unsigned target)
{
	for (unsigned i = 0; i < c->exit_count; i++)
		if (jit_code_exits(c)[i].exit.target == target && jit_cache_is_linked(c, i))
			return true;
	return false;
}

/* Where the page is, if it is mapped and was executed lately; UINT64_MAX: it is not. */
static uint64_t page_at(const struct rv_hart *h, const struct rv_regions *r, int page)
{
	const struct rv_fetch_entry *e =
		rv_fetch_known(h, r->va + (uint64_t)((int64_t)page * (int64_t)HULL_PAGE_SIZE));

	return e && page >= -REGION_REACH && page <= REGION_REACH ? e->gpa : UINT64_MAX;
}

static struct jit_code *code_of(struct rv_hart *h, const struct rv_regions *r, struct place at)
{
	uint64_t page = page_at(h, r, at.page);

	return page == UINT64_MAX ? NULL : block_code(h, page | at.offset);
}

static struct place place_from(struct place from, int64_t offset)
{
	int64_t to = from.offset + offset;

	return (struct place){ (int16_t)(from.page + (to >> 12)), to & HULL_PAGE_MASK };
}

static bool same_place(struct place a, struct place b)
{
	return a.page == b.page && a.offset == b.offset;
}

/* Was code seen to go on there? */
static bool is_used(struct rv_hart *h, const struct rv_regions *r, const struct jit_code *from,
                    struct place at, struct place to)
{
	const struct engine_jump_entry *jump;

	if (at.page == to.page)
		return at.offset == to.offset || is_linked_to(from, to.offset);
	jump = rv_jump_find(h, r->va + (uint64_t)((int64_t)to.page * (int64_t)HULL_PAGE_SIZE) +
	                               to.offset);
	return jump && jump->code;
}

/* Exact, or of no call: the block that generated code will go on at; REGION_BLOCKS: none. */
static unsigned find_block(const struct rv_regions *r, struct place at, unsigned context)
{
	unsigned any = REGION_BLOCKS;

	for (unsigned i = 0; i < r->count; i++) {
		const struct region_block *b = &r->block[i];

		if (!same_place(b->place, at))
			continue;
		if (b->context == context)
			return i;
		if (!b->context)
			any = i;
	}
	return any;
}

static void add_block(struct rv_hart *h, struct rv_regions *r, struct place at, unsigned context)
{
	struct jit_code *c = code_of(h, r, at);
	unsigned bytes = 0;

	for (unsigned i = 0; i < r->count; i++)
		bytes += r->block[i].bytes;
	if (!c || r->count == REGION_BLOCKS || bytes + c->guest_bytes > sizeof(r->guest))
		return;
	r->block[r->count++] = (struct region_block){
		.place = at, .bytes = c->guest_bytes, .insns = c->insns, .context = (uint8_t)context
	};
}

/* The context of a call that comes back there; 0: no more of them. */
static unsigned call_from(struct rv_regions *r, struct place back, unsigned context)
{
	struct region_call *c = r->call, *outer = context ? &r->call[context - 1] : NULL;

	for (; c < r->call + r->calls; c++)
		if (same_place(c->back, back) && c->context == context)
			return (unsigned)(c - r->call) + 1;
	if (r->calls == REGION_CALLS || (outer && outer->depth == REGION_DEPTH))
		return 0;
	*c = (struct region_call){ back, (uint8_t)context,
		                   (uint8_t)(outer ? outer->depth + 1 : 1) };
	return ++r->calls;
}

/* Node `at` is a GOTO: the offset of what is behind it, if it is a call; else 0. */
static uint64_t is_call(const struct hull_ir *ir, unsigned at)
{
	for (; ir->nodes[at].op != HULL_IR_INSN; at--) {
		const struct hull_ir_node *n = &ir->nodes[at];

		if (n->op == HULL_IR_SET && n->imm == RV_SLOT_X + 1 &&
		    ir->nodes[n->a].op == HULL_IR_PC)
			return ir->nodes[n->a].imm;
	}
	return 0;
}

static bool is_return(const struct hull_ir *ir, unsigned at)
{
	while (ir->nodes[at].op != HULL_IR_INSN)
		at--;
	return HULL_IR_INSN_BITS(ir->nodes[at].imm) == 0x8082 || /* ret, short and long */
	       HULL_IR_INSN_BITS(ir->nodes[at].imm) == 0x8067;
}

struct edge {
	struct place to;
	uint8_t context;
};

/* Where block i goes on, as far as that was seen to happen; and back from its call. */
static unsigned edges_of(struct rv_hart *h, struct rv_regions *r, unsigned i, struct edge *ret)
{
	struct region_block *b = &r->block[i];
	const struct jit_code *c = code_of(h, r, b->place);
	const struct hull_ir *ir = &r->scratch;
	unsigned n = 0;

	if (rv_lift(r->decoder, jit_code_guest(c), c->guest_bytes, &r->scratch) != c->insns)
		return 0;
	for (unsigned k = 1; k < ir->count && n < REGION_EDGES; k++) {
		const struct hull_ir_node *node = &ir->nodes[k];
		struct edge e = { place_from(b->place, (int64_t)node->imm), b->context };
		uint64_t behind;

		if (node->op == HULL_IR_JUMP && b->context && is_return(ir, k)) {
			const struct region_call *call = &r->call[b->context - 1];

			b->returns = true;
			ret[n++] = (struct edge){ call->back, call->context };
		}
		if ((node->op != HULL_IR_BRANCH && node->op != HULL_IR_GOTO) ||
		    !is_used(h, r, c, b->place, e.to))
			continue;
		if (node->op == HULL_IR_GOTO && (behind = is_call(ir, k)) != 0) {
			struct place back = place_from(b->place, (int64_t)behind);

			e.context = b->callee = (uint8_t)call_from(r, back, b->context);
		}
		ret[n++] = e;
	}
	return n;
}

/* The blocks of the region: what they are made of, and where. */
static void pack(struct rv_hart *h, struct rv_regions *r)
{
	unsigned bytes = 0;

	r->ranges_count = 0;
	for (unsigned i = 0; i < r->count; i++) {
		struct region_block *b = &r->block[i];
		unsigned same = 0;

		while (!same_place(r->block[same].place, b->place))
			same++;
		b->at = (uint16_t)bytes;
		if (same < i) { /* of another call */
			b->at = r->block[same].at;
			continue;
		}
		memcpy(r->guest + bytes, jit_code_guest(code_of(h, r, b->place)), b->bytes);
		bytes += b->bytes;
		r->gpas[r->ranges_count] = page_at(h, r, b->place.page) | b->place.offset;
		r->ranges[r->ranges_count++] =
			(struct jit_range){ b->place.page, b->place.offset, b->bytes };
	}
}

/* Blocks that are reached from the head and lead back to it; false if there is no such loop. */
static bool collect(struct rv_hart *h, struct rv_regions *r, struct place head)
{
	struct edge edge[REGION_BLOCKS][REGION_EDGES];
	unsigned edges[REGION_BLOCKS], kept = 0;
	uint64_t back = 0, before;

	r->count = r->calls = 0;
	add_block(h, r, head, 0);
	for (unsigned i = 0; i < r->count; i++) {
		edges[i] = edges_of(h, r, i, edge[i]);
		for (unsigned k = 0; k < edges[i]; k++) {
			const struct edge *e = &edge[i][k];
			unsigned to = find_block(r, e->to, e->context);

			if (to == REGION_BLOCKS || r->block[to].context != e->context)
				add_block(h, r, e->to, e->context);
		}
	}
	do {
		before = back;
		for (unsigned i = 0; i < r->count; i++)
			for (unsigned k = 0; k < edges[i]; k++) {
				unsigned to = find_block(r, edge[i][k].to, edge[i][k].context);

				if (to == 0 || (to < REGION_BLOCKS && (back >> to & 1)))
					back |= BIT(i);
			}
	} while (back != before);
	if (!(back & 1))
		return false;
	for (unsigned i = 0; i < r->count; i++)
		if (back >> i & 1)
			r->block[kept++] = r->block[i];
	r->count = kept;
	return true;
}

/* Is there code of an earlier run for what begins to be hot, or is hot now? */
static bool restored(struct rv_hart *h, uint64_t pc, uint64_t gpa)
{
	const struct rv_fetch_entry *e = rv_fetch_known(h, pc);
	struct jit_code *c;

	if (!e || (e->gpa ^ gpa) >= HULL_PAGE_SIZE)
		return false;
	c = rv_jit_restore_hot(h, pc, e);
	if (c)
		rv_jit_named(h, c);
	return c;
}

void rv_regions_sample(struct rv_hart *h, uint64_t pc, uint64_t gpa)
{
	struct rv_regions *r = h->jit->regions;
	struct jit_code *head = r->gen ? block_code(h, gpa) : NULL;

	if (!head || (!head->heat && restored(h, pc, gpa)) ||
	    !r->promotion->sample(&r->heat, &head->heat) || hull_load_acquire(&r->state) != FREE ||
	    !r->started || restored(h, pc, gpa))
		return;
	r->va = pc & ~HULL_PAGE_MASK;
	r->epoch = h->code_epoch;
	r->block_epoch = h->block_epoch;
	r->loop = collect(h, r, (struct place){ 0, pc & HULL_PAGE_MASK });
	if (!r->loop)
		r->count = 1;
	pack(h, r);
	head->heat = JIT_NEVER;
	pthread_mutex_lock(&r->lock);
	hull_store_release(&r->state, QUEUED); /* pairs with the worker's load */
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	while (h->jit->chaotic && !rv_regions_ready(r)) /* tests want it to be used */
		sched_yield();
}

bool rv_regions_ready(const struct rv_regions *r)
{
	return hull_load_acquire(&r->state) == DONE; /* pairs with the worker's store */
}

/* Memory has changed since the code was collected: is it still the same? */
static void recheck(struct rv_hart *h, const struct rv_regions *r, struct jit_code *c)
{
	for (unsigned i = 0; i < r->ranges_count; i++)
		if (!rv_jit_recheck(h, r->gpas[i] & ~HULL_PAGE_MASK))
			c->epoch = 0;
}

void rv_regions_install(struct rv_hart *h)
{
	struct rv_regions *r = h->jit->regions;
	struct jit_code *c;

	h->stats.compile_ns += r->compile_ns;
	c = r->bail ? NULL : jit_cache_add(h->jit->cache, &r->unit, r->gpas, NULL);
	if (c) {
		/* Of an older epoch: compared with memory when it is looked up. */
		c->epoch = r->epoch;
		rv_jit_named(h, c);
		if (r->block_epoch != h->block_epoch)
			recheck(h, r, c);
		h->stats.regions_compiled += r->loop;
		h->stats.regions_of_pages += r->unit.enter != 0;
		h->stats.blocks_promoted += !r->loop;
		h->stats.region_constants += r->done.constants;
		h->stats.region_copies += r->done.copies;
		h->stats.region_reduced += r->done.reduced;
		h->stats.region_invariants += r->done.invariants;
		rv_jit_supersede(h, c->gpa);
	}
	hull_store_release(&r->state, FREE);
}

/* --- compiling, on the other thread --- */

struct use {
	unsigned weight;
	unsigned f32, f64; /* ways in which a floating-point slot is used */
};

/* In a block that is executed `often`, compared with others. */
static void count_uses(const struct hull_ir *ir, unsigned often, struct use *use)
{
	for (unsigned i = 1; i < ir->count; i++) {
		const struct hull_ir_node *n = &ir->nodes[i];
		const uint16_t operands[3] = { n->a, n->b, n->c };

		if (n->op == HULL_IR_SET) {
			use[n->imm].weight += often;
			if (ir->nodes[n->a].op == HULL_IR_BOX32)
				use[n->imm].f32++;
			else
				use[n->imm].f64++;
			continue;
		}
		for (unsigned k = 0; k < 3; k++) {
			const struct hull_ir_node *from = &ir->nodes[operands[k]];

			if (!operands[k] || from->op != HULL_IR_GET)
				continue;
			use[from->imm].weight += often;
			if (n->op == HULL_IR_UNBOX32)
				use[from->imm].f32++;
			else if (n->op != HULL_IR_STORE || n->aux == 64)
				use[from->imm].f64++;
		}
	}
}

static int best(const struct use *use, unsigned from, unsigned to, uint64_t taken)
{
	int at = -1;

	for (unsigned s = from; s < to; s++) {
		bool mixed = s >= RV_SLOT_F && use[s].f32 && use[s].f64;

		if (!use[s].weight || (taken & BIT(s)) || mixed)
			continue;
		if (at < 0 || use[s].weight > use[at].weight)
			at = (int)s;
	}
	return at;
}

/* The slots and invariant values that get the n general registers. */
static uint64_t share_out(const struct use *use, struct jit_invariants *inv, unsigned n)
{
	uint64_t taken = 0;

	for (unsigned i = 0; i < n; i++) {
		int s = best(use, 1, RV_SLOT_F, taken);
		unsigned weight, at = jit_invariants_best(inv, &weight);

		if (at && (s < 0 || weight > use[s].weight))
			jit_invariants_keep(inv, at);
		else if (s >= 0)
			taken |= BIT(s);
		else
			break;
	}
	return taken;
}

static unsigned choose_pins(const struct use *use, struct jit_invariants *inv, struct jit_pin *ret,
                            host_reg *ret_kept)
{
	struct jit_pin canonical[HULL_IR_SLOTS];
	unsigned n = jit_canonical_pins(&rv_jit_arch, canonical, HULL_IR_SLOTS), count = 0;
	uint64_t taken = share_out(use, inv, n), stay = 0, placed = 0;
	unsigned f = host_info.fpr_count - REGION_MIN_F_TEMPS, kept = 0;
	int s;

	for (unsigned i = 0; i < n; i++)
		if (taken & BIT(canonical[i].slot)) {
			ret[count++] = canonical[i];
			stay |= BIT(i);
			placed |= BIT(canonical[i].slot);
		}
	for (unsigned i = 0; i < n; i++) {
		uint64_t rest = taken & ~placed;

		if (stay & BIT(i))
			continue;
		if (!rest) {
			if (kept < inv->count)
				ret_kept[kept++] = canonical[i].reg;
			continue;
		}
		s = __builtin_ctzll(rest);
		placed |= BIT(s);
		ret[count++] = (struct jit_pin){ (uint8_t)s, canonical[i].reg, 0 };
	}
	for (unsigned i = 0; i < f && (s = best(use, RV_SLOT_F, HULL_IR_SLOTS, taken)) >= 0; i++) {
		taken |= BIT(s);
		ret[count++] =
			(struct jit_pin){ (uint8_t)s, host_info.fpr[i], use[s].f32 ? 32 : 64 };
	}
	return count;
}

unsigned rv_region_pins(const struct jit_block *blocks, unsigned count, struct jit_invariants *inv,
                        struct jit_pin *ret, host_reg *ret_kept)
{
	struct use use[HULL_IR_SLOTS] = { 0 };
	struct jit_flow flow;

	jit_flow_find(blocks, count, &flow);
	jit_invariants_find(inv, blocks, count, &flow, RV_SLOT_F);
	for (unsigned i = 0; i < count; i++)
		count_uses(blocks[i].ir, 1u << LOOP_SHIFT * MIN(flow.depth[i], 4u), use);
	return choose_pins(use, inv, ret, ret_kept);
}

/* The block + 1 that a call comes back to; 0: it is not in the region. */
static uint8_t returns_to(const struct rv_regions *r, const struct region_call *call)
{
	unsigned block = find_block(r, call->back, call->context);

	return block == REGION_BLOCKS ? 0 : (uint8_t)(block + 1);
}

/* The passes over a loop; *ret gets what it has registers for. */
static void optimize(struct rv_regions *r, struct jit_block *blocks, struct jit_input *ret)
{
	jit_facts_use(r->facts, blocks, r->ir, r->count, &r->done);
	for (unsigned i = 0; i < r->count; i++)
		r->done.reduced += jit_reduce(&r->ir[i], &r->invariants.ir);
	ret->pin_count =
		rv_region_pins(blocks, r->count, &r->invariants, r->pins, r->kept_registers);
	ret->pins = r->pins;
	jit_invariants_use(&r->invariants, blocks, r->ir, r->count);
	r->done.invariants = ret->kept_count = r->invariants.count;
	ret->kept = r->kept_registers;
	ret->entry = ret->kept_count ? &r->invariants.ir : NULL;
}

static enum jit_bail compile(struct rv_regions *r)
{
	struct jit_block blocks[REGION_BLOCKS];
	struct jit_input in = { .blocks = blocks, .block_count = r->count, .hot = true };
	enum jit_bail bail;

	r->done = (struct jit_passes){ 0 };
	for (unsigned i = 0; i < r->count; i++) {
		const struct region_block *b = &r->block[i];

		if (rv_lift(r->decoder, r->guest + b->at, b->bytes, &r->ir[i]) != b->insns)
			return JIT_BAIL_UNKNOWN_OP;
		blocks[i] = (struct jit_block){ .ir = &r->ir[i],
			                        .offset = b->place.offset,
			                        .insns = b->insns,
			                        .page = (int8_t)b->place.page,
			                        .context = b->context,
			                        .callee = b->callee };
		if (b->returns)
			blocks[i].back = returns_to(r, &r->call[b->context - 1]);
	}
	if (r->loop)
		optimize(r, blocks, &in);
	else
		r->done.reduced = jit_reduce(&r->ir[0], &r->invariants.ir);
	bail = r->jit->generate(r->gen, &in, &r->unit);
	if (bail)
		return bail;
	r->unit.guest = r->guest;
	r->unit.ranges = r->ranges;
	r->unit.range_count = (uint8_t)r->ranges_count;
	return JIT_BAIL_NONE;
}

static void (*thread_begins)(const char *name); /* atomic */

void hull_engine_thread_hook(void (*begins)(const char *name))
{
	hull_store_release(&thread_begins, begins);
}

static void *work(void *arg)
{
	static const char name[] = "hull-compile";
	void (*begins)(const char *) = hull_load_acquire(&thread_begins);
	struct rv_regions *r = arg;

	pthread_setname_np(pthread_self(), name);
	if (begins)
		begins(name);
	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct jit_cache *reclaim = r->reclaim;
		uint64_t start;

		if (reclaim) {
			r->reclaim = NULL;
			pthread_mutex_unlock(&r->lock);
			jit_cache_background(reclaim);
			pthread_mutex_lock(&r->lock);
			continue;
		}
		if (hull_load_acquire(&r->state) != QUEUED) {
			pthread_cond_wait(&r->wake, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		start = r->hal->now_ns(r->hal);
		r->bail = compile(r);
		r->compile_ns = r->hal->now_ns(r->hal) - start;
		pthread_mutex_lock(&r->lock);
		hull_store_release(&r->state, DONE);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

void rv_regions_reclaim(struct rv_regions *r, struct jit_cache *cache)
{
	if (!r->started) /* then nobody copies in the background */
		return;
	pthread_mutex_lock(&r->lock);
	r->reclaim = cache;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

/* Signals are for the threads of whoever runs the VM, but for what a sandbox refuses (SIGSYS). */
static void start(struct rv_regions *r)
{
	sigset_t all, old;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r->started = !pthread_create(&r->thread, NULL, work, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct rv_regions *rv_regions_new(struct rv_hart *h, const struct hull_engine_config *config)
{
	bool tier2 = hull_engine_tier_of(config->mode) == HULL_TIER_REGION;
	struct rv_regions *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	if (tier2) {
		r->gen = jit_gen_new(&rv_jit_arch, rv_jit_is_shared(hull_vm_config(h->vm)));
		r->facts = jit_facts_new(rv_jit_arch.first_f);
	}
	r->jit = h->jit;
	r->decoder = &h->cache->decoder;
	r->promotion = &jit_promotions[config->promotion];
	r->heat.threshold =
		MAX(config->tier2_threshold / EXECUTIONS_PER_SAMPLE, (uint32_t)THRESHOLD);
	r->hal = h->jit->hal;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	if (tier2 && (!r->gen || !r->facts)) {
		rv_regions_free(r);
		return NULL;
	}
	/* Now, since later nobody may be allowed to: without it there are no regions. */
	start(r);
	return r;
}

void rv_regions_free(struct rv_regions *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	jit_gen_free(r->gen);
	jit_facts_free(r->facts);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
