/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Tier 2: choosing loops, and compiling them on another thread; the thread's other work. */
#include "engine/riscv64/region.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/jit/promote.h"
#include "engine/riscv64/jit.h"

enum {
	REGION_BLOCKS = 24,
	REGION_EDGES = 32, /* of a block */
	REGION_MIN_F_TEMPS = 5,
	THRESHOLD = 3,                /* samples */
	EXECUTIONS_PER_SAMPLE = 1024, /* of a loop of some instructions: what a threshold means */
};

enum state { FREE, QUEUED, DONE };

struct region_block {
	uint16_t offset, bytes, insns;
	uint16_t at; /* of its code in `guest` */
};

struct rv_regions {
	const struct rv_jit *jit; /* its `generate` */
	struct jit_gen *gen;      /* NULL: the thread is for reclaiming only */
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
	/* Guest-physical page, and the epochs in which the code was good. */
	uint64_t page, epoch, block_epoch;
	bool loop; /* else the first block alone */
	unsigned count;
	struct region_block block[REGION_BLOCKS]; /* the head first */
	uint8_t guest[JIT_GUEST_BYTES];

	/* The answer. */
	enum jit_bail bail;
	struct jit_unit unit;
	struct jit_range ranges[REGION_BLOCKS];
	uint64_t compile_ns;
	const struct hull_hal *hal;

	struct hull_ir ir[REGION_BLOCKS]; /* the worker's */
	struct hull_ir scratch;           /* the vCPU's */
};

/* --- collecting, on the vCPU's thread --- */

static bool have_thread(struct rv_regions *r);

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

/* Offsets in the page that the block goes on at, as far as that was seen to happen. */
static unsigned targets_of(struct rv_regions *r, const struct jit_code *c, uint16_t *ret)
{
	unsigned offset = c->gpa & HULL_PAGE_MASK, n = 0;

	if (rv_lift(r->decoder, jit_code_guest(c), c->guest_bytes, &r->scratch) != c->insns)
		return 0;
	for (unsigned i = 1; i < r->scratch.count && n < REGION_EDGES; i++) {
		const struct hull_ir_node *node = &r->scratch.nodes[i];
		uint64_t target = offset + node->imm;

		if (node->op != HULL_IR_BRANCH && node->op != HULL_IR_GOTO)
			continue;
		if (target < HULL_PAGE_SIZE - 2 &&
		    (target == offset || is_linked_to(c, (unsigned)target)))
			ret[n++] = (uint16_t)target;
	}
	return n;
}

static unsigned find_block(const struct rv_regions *r, unsigned offset)
{
	for (unsigned i = 0; i < r->count; i++)
		if (r->block[i].offset == offset)
			return i;
	return REGION_BLOCKS;
}

static bool add_block(struct rv_hart *h, struct rv_regions *r, unsigned offset)
{
	struct jit_code *c = block_code(h, r->page | offset);
	unsigned at = r->count ? r->block[r->count - 1].at + r->block[r->count - 1].bytes : 0;

	if (!c || r->count == REGION_BLOCKS || at + c->guest_bytes > sizeof(r->guest))
		return false;
	r->block[r->count++] =
		(struct region_block){ (uint16_t)offset, c->guest_bytes, c->insns, (uint16_t)at };
	memcpy(r->guest + at, jit_code_guest(c), c->guest_bytes);
	return true;
}

/* Blocks that are reached from the head and lead back to it; false if there is no such loop. */
static bool collect(struct rv_hart *h, struct rv_regions *r, unsigned head)
{
	uint16_t edge[REGION_BLOCKS][REGION_EDGES];
	unsigned edges[REGION_BLOCKS], kept = 0;
	uint32_t back = 0, before;

	r->count = 0;
	if (!add_block(h, r, head))
		return false;
	for (unsigned i = 0; i < r->count; i++) {
		edges[i] = targets_of(r, block_code(h, r->page | r->block[i].offset), edge[i]);
		for (unsigned k = 0; k < edges[i]; k++)
			if (find_block(r, edge[i][k]) == REGION_BLOCKS)
				add_block(h, r, edge[i][k]);
	}
	do {
		before = back;
		for (unsigned i = 0; i < r->count; i++)
			for (unsigned k = 0; k < edges[i]; k++) {
				unsigned to = find_block(r, edge[i][k]);

				if (to == 0 || (to < REGION_BLOCKS && (back >> to & 1)))
					back |= 1u << i;
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

void rv_regions_sample(struct rv_hart *h, uint64_t gpa)
{
	struct rv_regions *r = h->jit->regions;
	struct jit_code *head = r->gen ? block_code(h, gpa) : NULL;

	if (!head || !r->promotion->sample(&r->heat, &head->heat) ||
	    hull_load_acquire(&r->state) != FREE || !have_thread(r))
		return;
	r->page = gpa & ~HULL_PAGE_MASK;
	r->epoch = h->code_epoch;
	r->block_epoch = h->block_epoch;
	r->loop = collect(h, r, gpa & HULL_PAGE_MASK);
	if (!r->loop)
		r->count = 1;
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

void rv_regions_install(struct rv_hart *h)
{
	struct rv_regions *r = h->jit->regions;
	uint64_t gpas[REGION_BLOCKS];
	struct jit_code *c, *old = NULL;

	h->stats.compile_ns += r->compile_ns;
	if (!r->bail) {
		for (unsigned i = 0; i < r->count; i++)
			gpas[i] = r->page | r->ranges[i].offset;
		c = jit_cache_add(h->jit->cache, &r->unit, gpas, NULL);
		if (c) {
			/* Of an older epoch: compared with memory when it is looked up. */
			c->epoch = r->epoch;
			rv_jit_named(h, c);
			if (r->block_epoch != h->block_epoch && !rv_jit_recheck(h, r->page))
				c->epoch = 0;
			h->stats.regions_compiled += r->loop;
			h->stats.blocks_promoted += !r->loop;
			while ((old = jit_cache_find(h->jit->cache, gpas[0], old)))
				if (old->tier == 1) {
					jit_cache_unlink_into(h->jit->cache, old);
					rv_jit_forget_jumps(h, old);
				}
		}
	}
	hull_store_release(&r->state, FREE);
}

/* --- compiling, on the other thread --- */

struct use {
	unsigned weight;
	unsigned f32, f64; /* ways in which a floating-point slot is used */
};

static void count_uses(const struct hull_ir *ir, struct use *use)
{
	for (unsigned i = 1; i < ir->count; i++) {
		const struct hull_ir_node *n = &ir->nodes[i];
		const uint16_t operands[3] = { n->a, n->b, n->c };

		if (n->op == HULL_IR_SET) {
			use[n->imm].weight++;
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
			use[from->imm].weight++;
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

static unsigned choose_pins(const struct use *use, struct jit_pin *ret)
{
	struct jit_pin canonical[HULL_IR_SLOTS];
	unsigned n = jit_canonical_pins(&rv_jit_arch, canonical, HULL_IR_SLOTS), count = 0;
	uint64_t taken = 0, stay = 0, placed = 0;
	unsigned f = host_info.fpr_count - REGION_MIN_F_TEMPS;
	int s;

	for (unsigned i = 0; i < n && (s = best(use, 1, RV_SLOT_F, taken)) >= 0; i++)
		taken |= BIT(s);
	for (unsigned i = 0; i < n; i++)
		if (taken & BIT(canonical[i].slot)) {
			ret[count++] = canonical[i];
			stay |= BIT(i);
			placed |= BIT(canonical[i].slot);
		}
	for (unsigned i = 0; i < n; i++) {
		uint64_t rest = taken & ~placed;

		if ((stay & BIT(i)) || !rest)
			continue;
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

unsigned rv_region_pins(const struct jit_block *blocks, unsigned count, struct jit_pin *ret)
{
	struct use use[HULL_IR_SLOTS] = { 0 };

	for (unsigned i = 0; i < count; i++)
		count_uses(blocks[i].ir, use);
	return choose_pins(use, ret);
}

static enum jit_bail compile(struct rv_regions *r)
{
	struct jit_block blocks[REGION_BLOCKS];
	struct jit_pin pins[HULL_IR_SLOTS];
	enum jit_bail bail;
	unsigned count;

	for (unsigned i = 0; i < r->count; i++) {
		const struct region_block *b = &r->block[i];

		if (rv_lift(r->decoder, r->guest + b->at, b->bytes, &r->ir[i]) != b->insns)
			return JIT_BAIL_UNKNOWN_OP;
		blocks[i] = (struct jit_block){ &r->ir[i], b->offset, b->insns };
		r->ranges[i] = (struct jit_range){ 0, b->offset, b->bytes };
	}
	count = rv_region_pins(blocks, r->count, pins);
	bail = r->jit->generate(
		r->gen, &(struct jit_input){ blocks, r->count, r->loop ? pins : NULL, count, true },
		&r->unit);
	if (bail)
		return bail;
	/* The guest code of the blocks that were kept, without gaps. */
	for (unsigned i = 0, at = 0; i < r->count; i++) {
		memmove(r->guest + at, r->guest + r->block[i].at, r->block[i].bytes);
		at += r->block[i].bytes;
	}
	r->unit.guest = r->guest;
	r->unit.ranges = r->ranges;
	r->unit.range_count = (uint8_t)r->count;
	return JIT_BAIL_NONE;
}

static void *work(void *arg)
{
	struct rv_regions *r = arg;

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
	if (!have_thread(r)) /* then nobody copies in the background */
		return;
	pthread_mutex_lock(&r->lock);
	r->reclaim = cache;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

/* The thread is there, from now on.  Signals are for the threads of whoever runs the VM. */
static bool have_thread(struct rv_regions *r)
{
	sigset_t all, old;

	if (r->started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r->started = !pthread_create(&r->thread, NULL, work, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r->started;
}

struct rv_regions *rv_regions_new(struct rv_hart *h, const struct hull_engine_config *config)
{
	bool tier2 = hull_engine_tier_of(config->mode) == HULL_TIER_REGION;
	struct rv_regions *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	if (tier2)
		r->gen = jit_gen_new(&rv_jit_arch, rv_jit_is_shared(hull_vm_config(h->vm)));
	r->jit = h->jit;
	r->decoder = &h->cache->decoder;
	r->promotion = &jit_promotions[config->promotion];
	r->heat.threshold =
		MAX(config->tier2_threshold / EXECUTIONS_PER_SAMPLE, (uint32_t)THRESHOLD);
	r->hal = h->jit->hal;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	if (tier2 && !r->gen) {
		rv_regions_free(r);
		return NULL;
	}
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
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
