/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Reclaiming code.
 *
 * Everything happens on the way to room for new code, at the tails of the rings.  To retire a
 * block costs time only in proportion to its size, its exits and the links to it.  What is kept
 * needs credit, which new code brings with it; without credit, code dies that is in use.  So the
 * work of an add is bounded by the size of what is added, up to a limit, even if the working set
 * is greater than the cache.
 */
#include <time.h>

#include <hull/error.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "engine/jit/cache_impl.h"
#include "engine/jit/host.h"

static const struct cache_params params[JIT_POLICIES] = {
	[JIT_GENERATIONAL] = { .batch = 256 << 10, .credit = 512 << 10 },
	[JIT_INCREMENTAL] = { .batch = 0, .credit = 64 << 10 },
	[JIT_CONCURRENT] = { .batch = 0, .credit = 64 << 10, .background = true },
};

enum {
	CREDIT_FACTOR = 8,       /* bytes that may be kept for each byte that is added */
	PROBATION = 3,           /* this part of a ring is on probation */
	JOBS_EVERY = 16 << 10,   /* code bytes added between rounds of jobs */
	DECIDE_EVERY = 256,      /* adds that had to reclaim, JIT_ADAPTIVE */
	LONG_PAUSE_NS = 1000000, /* longer ones end JIT_GENERATIONAL there */
	CALM = 16,
};

void jit_cache_policy_init(struct jit_cache *c)
{
	c->now = c->policy == JIT_ADAPTIVE ? JIT_INCREMENTAL : c->policy;
}

static uint64_t cpu_ns(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pause_begins(struct jit_cache *c)
{
	if (c->started)
		return;
	c->started = c->hal->now_ns(c->hal);
	c->started_cpu = cpu_ns();
}

/* --- rings --- */

static uint32_t ref_at(const struct cache_gen *g, uint64_t at)
{
	return g->data_at + (uint32_t)(at % g->data_size);
}

static struct jit_code *code_at(const struct jit_cache *c, const struct cache_gen *g, uint64_t at)
{
	return cache_at(c, ref_at(g, at));
}

/* Neither code nor about to become code. */
static bool is_gap(const struct jit_code *code)
{
	return (code->flags & (JIT_CODE_DEAD | JIT_CODE_COPYING)) == JIT_CODE_DEAD;
}

static uint64_t skip_gaps(const struct jit_cache *c, const struct cache_gen *g, uint64_t at)
{
	while (at < g->head && is_gap(code_at(c, g, at)))
		at += code_at(c, g, at)->size;
	return at;
}

/* An empty ring begins anew, so that there is no gap at the end. */
static void begin_anew(struct cache_gen *g)
{
	g->head = (g->head + g->data_size - 1) / g->data_size * g->data_size;
	g->tail = g->cursor = g->head;
	g->code_head = 0;
}

void jit_cache_empty(struct jit_cache *c)
{
	begin_anew(&c->gen[YOUNG]);
	begin_anew(&c->gen[OLD]);
}

static void pop_gaps(struct jit_cache *c, struct cache_gen *g)
{
	g->tail = skip_gaps(c, g, g->tail);
	g->cursor = MAX(g->cursor, g->tail);
	if (g->tail == g->head)
		begin_anew(g);
}

/*
 * Is the code at `at` less than n and `more` bytes of code (and data in proportion) ahead of the
 * head?
 */
static bool in_the_way(const struct jit_cache *c, const struct cache_gen *g, uint64_t at,
                       struct cache_size n, uint32_t more)
{
	uint32_t block = cache_code_offset(c, code_at(c, g, at)) - BLOCK_HEADER - g->code_at;
	uint32_t room = g->code_size - g->code_head;
	uint32_t ahead = block - g->code_head;

	if (block < g->code_head)
		ahead += g->code_size;
	if (ahead < (n.code <= room ? 0 : room) + n.code + more)
		return true;
	room = g->data_size - (uint32_t)(g->head % g->data_size);
	return at + g->data_size - g->head <
	       (n.data <= room ? 0 : room) + (uint64_t)n.data + more / 8 * 3;
}

/* Allot what is free. */
static uint32_t place(struct jit_cache *c, struct cache_gen *g, struct cache_size n,
                      uint32_t *ret_code_offset)
{
	uint32_t room = g->data_size - (uint32_t)(g->head % g->data_size), ref;

	if (n.code > g->code_size - g->code_head)
		g->code_head = 0;
	*ret_code_offset = g->code_at + g->code_head + BLOCK_HEADER;
	g->code_head += n.code;
	if (n.data > room) {
		struct jit_code *gap = code_at(c, g, g->head);

		gap->size = room;
		gap->flags = JIT_CODE_DEAD;
		g->head += room;
	}
	ref = ref_at(g, g->head);
	g->head += n.data;
	return ref;
}

static struct cache_size size_of(const struct jit_code *code)
{
	return (struct cache_size){ cache_block_bytes(code->code_bytes), code->size };
}

/* --- reclaiming --- */

static void suspect(struct jit_cache *c, struct jit_code *code)
{
	pause_begins(c);
	code->flags = (code->flags & ~JIT_CODE_USED) | JIT_CODE_SUSPECT;
	if (code == c->keep)
		jit_cache_touch(code);
	jit_cache_unlink_into(c, code);
	if (c->user.forget)
		c->user.forget(c->user.arg, code, JIT_SUSPECT);
	c->stats.suspected++;
}

static void put_on_probation(struct jit_cache *c, struct cache_gen *g, struct cache_size n,
                             uint32_t batch)
{
	uint32_t more = g->code_size / PROBATION;

	for (bool begun = false;; begun = true) {
		g->cursor = skip_gaps(c, g, g->cursor);
		if (g->cursor == g->head ||
		    !in_the_way(c, g, g->cursor, n, begun ? more + batch : more))
			return;
		if (!(code_at(c, g, g->cursor)->flags & JIT_CODE_DEAD))
			suspect(c, code_at(c, g, g->cursor));
		g->cursor += code_at(c, g, g->cursor)->size;
	}
}

/* The code at the tail of a generation lives on at the head of the old one. */
static void keep_tail(struct jit_cache *c, struct cache_gen *g, struct jit_code *code)
{
	struct cache_gen *old = &c->gen[OLD];
	struct cache_size n = size_of(code);
	uint32_t ref, offset;

	if (g == old) {
		/* What it has becomes free first: there is room even if there is no other. */
		g->tail += n.data;
		g->cursor = MAX(g->cursor, g->tail);
		pop_gaps(c, g);
		ref = place(c, g, n, &offset);
	} else {
		ref = jit_cache_allot(c, old, n, &offset);
	}
	jit_cache_move(c, code, ref, offset, false);
}

/*
 * The code at a tail waits to be copied, and whoever copies may not be running now.  Do not wait:
 * it moves as other code does, and the place reserved for it is a gap once the jobs are done.
 */
static void take_back(struct jit_cache *c, struct jit_code *code)
{
	if (!(code->flags & JIT_CODE_DEAD) && hull_load_acquire(&c->jobs_state) == JOBS_BUSY)
		for (unsigned i = 0; i < c->job_count; i++)
			if (c->job[i].from == cache_ref(c, code)) {
				c->job[i].from = 0;
				c->credit += cache_block_bytes(code->code_bytes);
				code->flags &= ~JIT_CODE_COPYING;
				return;
			}
	jit_cache_finish_jobs(c);
}

/* Make the code at the tail die or move on. */
static void retire(struct jit_cache *c, struct cache_gen *g)
{
	struct jit_code *code = code_at(c, g, g->tail);
	uint32_t bytes = cache_block_bytes(code->code_bytes);

	pause_begins(c);
	if (code->flags & JIT_CODE_COPYING) {
		take_back(c, code);
	} else if (!(code->flags & JIT_CODE_USED)) {
		jit_cache_die(c, code, JIT_DEATH_UNUSED);
	} else if (c->credit < bytes) {
		jit_cache_die(c, code, JIT_DEATH_FORCED);
	} else {
		c->credit -= bytes;
		keep_tail(c, g, code);
	}
}

uint32_t jit_cache_allot(struct jit_cache *c, struct cache_gen *g, struct cache_size n,
                         uint32_t *ret_code_offset)
{
	uint32_t batch = MIN(params[c->now].batch, g->code_size / 8);

	put_on_probation(c, g, n, batch);
	for (bool begun = false;; begun = true) {
		pop_gaps(c, g);
		if (g->tail == g->head || !in_the_way(c, g, g->tail, n, begun ? batch : 0))
			return place(c, g, n, ret_code_offset);
		retire(c, g);
	}
}

/* --- copying in the background --- */

static void carry_out(struct jit_cache *c, bool copied)
{
	for (unsigned i = 0; i < c->job_count; i++) {
		const struct cache_job *j = &c->job[i];
		struct jit_code *from = cache_at(c, j->from);

		if (!j->from) {
			cache_at(c, j->to)->flags = JIT_CODE_DEAD;
			continue;
		}
		from->flags &= ~JIT_CODE_COPYING;
		if (from->flags & JIT_CODE_DEAD)
			cache_at(c, j->to)->flags = JIT_CODE_DEAD;
		else
			jit_cache_move(c, from, j->to, j->code_to, copied);
	}
	c->job_count = 0;
	/* Nobody else looks at it in this state. */
	hull_store_relaxed(&c->jobs_state, JOBS_NONE);
}

void jit_cache_finish_jobs(struct jit_cache *c)
{
	uint32_t state = JOBS_READY;

	/* Pairs with the swap in jit_cache_background(): only one of us gets them. */
	if (!c->job_count)
		return;
	if (hull_load_relaxed(&c->jobs_state) == JOBS_NONE ||
	    hull_cas_seqcst(&c->jobs_state, &state, (uint32_t)JOBS_NONE)) {
		carry_out(c, false);
		return;
	}
	/* Pairs with the release there: what was copied can be seen. */
	while (hull_load_acquire(&c->jobs_state) == JOBS_BUSY)
		c->hal->wait(c->hal, &c->jobs_state, JOBS_BUSY, HULL_NEVER);
	carry_out(c, true);
}

/* Reserve the place that code in use will have in the old generation. */
static void make_job(struct jit_cache *c, struct jit_code *code)
{
	struct cache_size n = size_of(code);
	struct jit_code *to;
	uint32_t ref, offset;

	c->credit -= n.code;
	ref = jit_cache_allot(c, &c->gen[OLD], n, &offset);
	to = cache_at(c, ref);
	to->size = n.data;
	to->flags = JIT_CODE_DEAD | JIT_CODE_COPYING;
	to->entry = c->rx + offset;
	to->code_bytes = code->code_bytes;
	code->flags |= JIT_CODE_COPYING;
	c->job[c->job_count++] = (struct cache_job){
		.from = cache_ref(c, code),
		.to = ref,
		.code_from = cache_code_offset(c, code),
		.code_to = offset,
		.bytes = code->code_bytes,
	};
}

/*
 * Have copied what will be retired soon and is in use already.  What becomes used later
 * is copied when its turn comes.
 */
static void make_jobs(struct jit_cache *c)
{
	struct cache_gen *g = &c->gen[YOUNG];
	uint32_t zone = g->code_size / PROBATION / 2;
	uint64_t at = g->tail;

	if (c->job_count || c->added < MIN((uint32_t)JOBS_EVERY, zone / 8))
		return;
	c->added = 0;
	for (; c->job_count < CACHE_JOBS; at += code_at(c, g, at)->size) {
		struct jit_code *code;

		at = skip_gaps(c, g, at);
		if (at >= g->cursor || !in_the_way(c, g, at, (struct cache_size){ 0, 0 }, zone))
			break;
		code = code_at(c, g, at);
		if ((code->flags & (JIT_CODE_USED | JIT_CODE_DEAD)) == JIT_CODE_USED &&
		    c->credit >= cache_block_bytes(code->code_bytes))
			make_job(c, code);
	}
	if (!c->job_count)
		return;
	pause_begins(c);
	/* Pairs with the swap in jit_cache_background(). */
	hull_store_release(&c->jobs_state, JOBS_READY);
	if (c->user.wake)
		c->user.wake(c->user.arg);
}

/* The bytes at exits may change meanwhile: jit_cache_move() copies them again. */
HULL_GUEST_RACES static void copy_racing(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
	uint64_t word;
	uint32_t at = 0;

	for (; bytes - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, from + at, sizeof(word));
		memcpy(to + at, &word, sizeof(word));
	}
	for (; at < bytes; at++)
		to[at] = from[at];
}

void jit_cache_background(struct jit_cache *c)
{
	uint32_t state = JOBS_READY;

	hull_store_relaxed(&c->seen, 1);
	if (!hull_cas_seqcst(&c->jobs_state, &state, (uint32_t)JOBS_BUSY))
		return;
	for (unsigned i = 0; i < c->job_count; i++) {
		const struct cache_job *j = &c->job[i];

		copy_racing(c->rw + j->code_to, c->rw + j->code_from, j->bytes);
		host_sync_code(c->rw + j->code_to, c->rx + j->code_to, j->bytes);
	}
	/* Pairs with the acquire in jit_cache_finish_jobs() and jit_cache_begin(). */
	hull_store_release(&c->jobs_state, JOBS_DONE);
	c->hal->wake(c->hal, &c->jobs_state, 1);
}

/* --- each add --- */

/*
 * Batches are the least work, above all where most code dies; they cost long pauses where much
 * is kept.  Then it is better done in small steps, and best if somebody else copies.
 */
static void adapt(struct jit_cache *c)
{
	uint64_t died = c->stats.died[JIT_DEATH_UNUSED] + c->stats.died[JIT_DEATH_FORCED];
	bool mostly_dies = c->stats.moved - c->since.moved < (died - c->since.died) / 4;

	if (c->now == JIT_GENERATIONAL && c->since.pause_max_ns > LONG_PAUSE_NS)
		c->since.calm = CALM;
	else if (c->since.calm)
		c->since.calm--;
	if (mostly_dies && !c->since.calm)
		c->now = JIT_GENERATIONAL;
	else
		c->now = hull_load_relaxed(&c->seen) ? JIT_CONCURRENT : JIT_INCREMENTAL;
	c->since.adds = c->since.pause_max_ns = 0;
	c->since.moved = c->stats.moved;
	c->since.died = died;
}

void jit_cache_begin(struct jit_cache *c, struct cache_size n)
{
	c->started = 0;
	if (c->policy == JIT_ADAPTIVE && c->since.adds >= DECIDE_EVERY)
		adapt(c);
	c->credit = (uint32_t)MIN(c->credit + (uint64_t)n.code * CREDIT_FACTOR,
	                          (uint64_t)MAX(params[c->now].credit, n.code));
	c->added += MAX(n.code, n.data / 3 * 8);
	if (hull_load_acquire(&c->jobs_state) == JOBS_DONE) {
		pause_begins(c);
		jit_cache_finish_jobs(c);
	}
	/* Without somebody to copy, nothing is gained by preparing it. */
	if (params[c->now].background && (c->user.wake || hull_load_relaxed(&c->seen)))
		make_jobs(c);
}

void jit_cache_end(struct jit_cache *c)
{
	struct jit_cache_stats *s = &c->stats;
	uint64_t ns;
	unsigned bucket;

	if (!c->started)
		return;
	ns = c->hal->now_ns(c->hal) - c->started;
	bucket = ns ? 63 - (unsigned)__builtin_clzll(ns) : 0;
	s->pauses++;
	s->pause_total_ns += ns;
	s->pause_max_ns = MAX(s->pause_max_ns, ns);
	s->pause_cpu_max_ns = MAX(s->pause_cpu_max_ns, cpu_ns() - c->started_cpu);
	s->pause_histogram[MIN(bucket, (unsigned)JIT_PAUSE_BUCKETS - 1)]++;
	c->since.pause_max_ns = MAX(c->since.pause_max_ns, ns);
	c->since.adds++;
}
