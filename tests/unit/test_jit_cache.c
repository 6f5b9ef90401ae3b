/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The JIT's code cache, against a model that remakes each unit from its number.
 *
 *   test_jit_cache pauses    print what each policy does with synthetic working sets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hull/error.h>
#include <hull/host.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"
#include "engine/jit/cache.h"
#include "engine/jit/host.h"
#include "support/fake_hal.h"

/* --- units that are made from numbers --- */

enum { UNITS = 1 << 16, MODEL_EXITS = 8 };

/* A unit and what the cache should know about it.  Its number is jit_code.user - 1. */
struct fake {
	uint64_t gpa;
	uint32_t seed;
	uint8_t tier, exits, ranges;
	bool alive, suspect;
	uint16_t pad;               /* words of filling */
	uint32_t link[MODEL_EXITS]; /* number + 1 of what each exit was linked to; 0: nothing */
};

struct made {
	struct jit_unit unit;
	struct jit_exit exits[JIT_EXITS];
	struct jit_range ranges[JIT_RANGES];
	uint64_t range_gpas[JIT_RANGES];
	uint8_t guest[JIT_GUEST_BYTES];
	uint8_t code[JIT_CODE_BYTES];
	host_label stub[JIT_EXITS];
	struct host_emit emit;
};

struct rig {
	struct fake_hal hal;
	struct jit_cache *cache;
	struct hull_prng prng;
	struct fake *fakes; /* UNITS */
	uint32_t made;
	uint64_t alive;
	struct made m, again; /* the second one for checks */
	bool stop;            /* atomic: of the background thread */
};

enum { MAX_PAD = JIT_CODE_BYTES * 23 / 25 };

/* Runs from the entry through the first link, or leaves with the unit's seed. */
static void make(const struct fake *f, struct made *m)
{
	struct host_emit *e = &m->emit;
	unsigned bytes = 0;

	host_begin(e, m->code, sizeof(m->code));
	/* 7 bytes each on x86-64, 8 on aarch64. */
	for (unsigned i = 0; i < f->pad && host_here(e) < MAX_PAD; i++)
		host_set_state8(e, ENGINE_STATE(fp_fast), (uint8_t)(f->seed + i));
	for (unsigned i = 0; i < f->exits; i++) {
		m->stub[i] = host_new_label(e);
		m->exits[i] = (struct jit_exit){ host_link(e, m->stub[i]), (uint16_t)(2 * i), 1 };
	}
	for (unsigned i = 0; i < f->exits; i++) {
		host_bind(e, m->stub[i]);
		host_leave(e, 0, f->seed ^ i);
	}
	assert_true(host_end(e));
	for (unsigned i = 0; i < f->ranges; i++) {
		uint16_t offset = i ? (uint16_t)(f->seed % 1000 * 2) : f->gpa & 0xfff;
		uint16_t n = (uint16_t)MIN(2U + f->seed % 60 / 2 * 2, 4096U - offset);

		m->ranges[i] = (struct jit_range){ (int32_t)i, offset, n };
		m->range_gpas[i] = (f->gpa & ~UINT64_C(0xfff)) + i * UINT64_C(0x3000) + offset;
		for (unsigned k = 0; k < n; k++)
			m->guest[bytes++] = (uint8_t)(f->seed * 7 + k);
	}
	m->unit = (struct jit_unit){
		.code = m->code,
		.code_bytes = host_here(e),
		.tier = f->tier,
		.exit_count = f->exits,
		.range_count = f->ranges,
		.insns = 3,
		.offset = f->gpa & 0xfff,
		.exits = m->exits,
		.ranges = m->ranges,
		.guest = m->guest,
	};
}

static void forget(void *arg, struct jit_code *code, enum jit_forget why)
{
	struct rig *r = arg;
	struct fake *f = &r->fakes[code->user - 1];

	if (why == JIT_SUSPECT) {
		f->suspect = true;
	} else if (why == JIT_DROPPED) {
		assert_true(f->alive);
		f->alive = false;
		r->alive--;
	}
}

static void open_rig(struct rig *r, uint64_t bytes, enum jit_policy policy, uint64_t seed)
{
	struct jit_cache_user user = { .forget = forget, .arg = r };

	memset(r, 0, sizeof(*r));
	fake_hal_init(&r->hal);
	r->hal.real_time = true;
	r->fakes = calloc(UNITS, sizeof(*r->fakes));
	hull_prng_seed(&r->prng, seed);
	assert_int_equal(jit_cache_new(&r->hal.hal, bytes, policy, &user, &r->cache), 0);
}

static void close_rig(struct rig *r)
{
	jit_cache_free(r->cache);
	assert_int_equal(r->hal.live_bytes, 0);
	assert_int_equal(r->hal.live_blocks, 0);
	free(r->fakes);
	fake_hal_fini(&r->hal);
}

static uint32_t chance(struct rig *r, uint32_t below)
{
	return (uint32_t)(hull_prng_next(&r->prng) % below);
}

static struct jit_code *add(struct rig *r, struct fake f, struct jit_code **keep)
{
	struct jit_code *code;
	uint32_t n = r->made++ % UNITS;

	/* Numbers come again once what had them is dead. */
	while (r->fakes[n].alive)
		n = r->made++ % UNITS;
	make(&f, &r->m);
	f.alive = true;
	code = jit_cache_add(r->cache, &r->m.unit, r->m.range_gpas, keep);
	assert_non_null(code);
	r->fakes[n] = f;
	r->alive++;
	code->user = n + 1;
	return code;
}

/* --- the model --- */

/* Where a jump at `site` goes: `jmp rel32` or `b imm26`. */
static const void *target_of(const uint8_t *site)
{
	int32_t word;

	memcpy(&word, site, sizeof(word));
	if (strcmp(host_info.name, "x86_64") == 0)
		return site + 4 + word;
	return site + (int32_t)((uint32_t)word << 6) / 64 * 4;
}

static struct jit_code *by_number(struct rig *r, uint32_t n)
{
	struct jit_code *c = NULL;

	while ((c = jit_cache_find(r->cache, r->fakes[n].gpa, c)))
		if (c->user == n + 1)
			return c;
	return NULL;
}

static void check_exits(struct rig *r, struct jit_code *code, const struct fake *f)
{
	const uint8_t *rx = code->entry;

	for (unsigned i = 0; i < code->exit_count; i++) {
		const struct made *m = &r->again;
		const void *target = target_of(rx + m->exits[i].site), *stub;
		struct jit_code *to;

		stub = rx + ((const uint8_t *)target_of(m->code + m->exits[i].site) - m->code);
		if (!jit_cache_is_linked(code, i)) {
			assert_ptr_equal(target, stub);
			continue;
		}
		to = jit_cache_of(r->cache, target);
		assert_non_null(to);
		assert_ptr_equal(to->entry, target);
		if (i < MODEL_EXITS)
			assert_int_equal(to->user, f->link[i]);
	}
}

static void check_code(struct rig *r, struct jit_code *code)
{
	static uint8_t bytes[JIT_CODE_BYTES];
	static struct jit_exit exits[JIT_EXITS];
	static struct jit_range ranges[JIT_RANGES];
	const struct fake *f = &r->fakes[code->user - 1];
	const struct made *m = &r->again;
	struct jit_unit u;

	assert_true(f->alive);
	make(f, &r->again);
	assert_ptr_equal(jit_cache_of(r->cache, code->entry), code);
	assert_ptr_equal(by_number(r, code->user - 1), code);
	jit_cache_unit(r->cache, code, bytes, exits, ranges, &u);
	assert_int_equal(u.code_bytes, m->unit.code_bytes);
	assert_memory_equal(u.code, m->code, u.code_bytes);
	assert_int_equal(u.exit_count, f->exits);
	assert_memory_equal(exits, m->exits, f->exits * sizeof(*exits));
	assert_int_equal(u.range_count, f->ranges);
	assert_memory_equal(ranges, m->ranges, f->ranges * sizeof(*ranges));
	assert_memory_equal(u.guest, m->guest, code->guest_bytes);
	assert_int_equal(u.offset, m->unit.offset);
	assert_int_equal(u.tier, f->tier);
	assert_int_equal(u.insns, 3);
	check_exits(r, code, f);
	for (unsigned i = 0; i < f->ranges; i++) {
		struct jit_code_range *p = NULL;
		unsigned found = 0;

		assert_int_equal(code->ranges[i].gpa, m->range_gpas[i]);
		while ((p = jit_cache_page(r->cache, m->range_gpas[i], p))) {
			assert_int_equal(p->gpa >> 12, m->range_gpas[i] >> 12);
			found += p == &code->ranges[i];
			assert_false(jit_cache_owner(r->cache, p)->flags & JIT_CODE_DEAD);
		}
		assert_int_equal(found, 1);
	}
}

static void check(struct rig *r)
{
	const struct jit_cache_stats *s = jit_cache_stats(r->cache);
	uint64_t n = 0, died = 0, pauses = 0;

	for (struct jit_code *c = NULL; (c = jit_cache_next(r->cache, c)); n++)
		check_code(r, c);
	assert_int_equal(n, r->alive);
	assert_int_equal(n, s->alive[1] + s->alive[2]);
	for (unsigned i = 0; i < JIT_DEATHS; i++)
		died += s->died[i];
	assert_int_equal(s->added, n + died);
	for (unsigned i = 0; i < JIT_PAUSE_BUCKETS; i++)
		pauses += s->pause_histogram[i];
	assert_int_equal(pauses, s->pauses);
	assert_true(s->bytes <= s->bytes_peak);
}

/* --- tests --- */

static struct jit_code *any(struct rig *r)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		uint32_t n = chance(r, MIN(r->made + 1, (uint32_t)UNITS));

		if (r->fakes[n].alive)
			return by_number(r, n);
	}
	return NULL;
}

static struct fake anything(struct rig *r, uint32_t spread)
{
	bool region = chance(r, 8) == 0;

	return (struct fake){
		.gpa = 0x80000000 + chance(r, spread) * UINT64_C(2),
		.seed = chance(r, 1 << 30),
		.tier = region ? 2 : 1,
		.exits = (uint8_t)chance(r, chance(r, 50) ? MODEL_EXITS + 1 : 255),
		.ranges = (uint8_t)(1 + chance(r, chance(r, 10) ? 3 : JIT_RANGES)),
		.pad = (uint16_t)(1 + chance(r, chance(r, 200) ? 60 : 8000)),
	};
}

static void relink(struct rig *r, struct jit_code *from, unsigned exit, struct jit_code *to)
{
	jit_cache_link(r->cache, from, exit, to);
	if (exit < MODEL_EXITS)
		r->fakes[from->user - 1].link[exit] = to->user;
}

static void step(struct rig *r)
{
	struct jit_code *a = any(r), *b = any(r), *keep = a;
	uint32_t user = a ? a->user : 0;

	switch (chance(r, 10)) {
	case 0:
	case 1:
	case 2:
	case 3:
		b = add(r, anything(r, 30000), &keep);
		assert_true(!a || !!keep == r->fakes[user - 1].alive);
		if (keep) {
			assert_int_equal(keep->user, user);
			if (keep->exit_count)
				relink(r, keep, chance(r, keep->exit_count), b);
		}
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		if (a && b && a->exit_count)
			relink(r, a, chance(r, a->exit_count), b);
		break;
	case 8:
		if (a)
			jit_cache_touch(a);
		break;
	default:
		if (a && chance(r, 10) == 0) {
			jit_cache_drop(r->cache, a);
			assert_null(jit_cache_of(r->cache, a->entry));
		} else if (a && chance(r, 4) == 0) {
			jit_cache_unlink_into(r->cache, a);
		} else if (a && a->exit_count) {
			jit_cache_unlink(r->cache, a, chance(r, a->exit_count));
		}
	}
}

static void flush(struct rig *r)
{
	jit_cache_flush(r->cache);
	for (uint32_t i = 0; i < UNITS; i++)
		r->fakes[i].alive = false;
	r->alive = 0;
}

static void random_steps(enum jit_policy policy, uint64_t seed, unsigned steps, bool background)
{
	static struct rig r;

	open_rig(&r, JIT_CACHE_MIN, policy, seed);
	for (unsigned i = 0; i < steps; i++) {
		step(&r);
		if (background && chance(&r, 50) == 0)
			jit_cache_background(r.cache);
		if (i % 2000 == 1999)
			check(&r);
		if (chance(&r, 9000) == 0)
			flush(&r);
	}
	check(&r);
	close_rig(&r);
}

static void test_against_model(void **state)
{
	for (unsigned p = 0; p < JIT_POLICIES; p++) {
		random_steps(p, 1 + p, 20000, false);
		random_steps(p, 11 + p, 20000, true);
	}
}

static void *in_background(void *arg)
{
	struct rig *r = arg;

	while (!hull_load_relaxed(&r->stop)) {
		jit_cache_background(r->cache);
		sched_yield();
	}
	return NULL;
}

/* With a thread that copies whenever it likes. */
static void test_background_thread(void **state)
{
	static struct rig r;
	static const enum jit_policy policies[] = { JIT_CONCURRENT, JIT_ADAPTIVE };

	for (unsigned p = 0; p < ARRAY_LEN(policies); p++) {
		pthread_t thread;

		open_rig(&r, JIT_CACHE_MIN, policies[p], 77);
		pthread_create(&thread, NULL, in_background, &r);
		for (unsigned i = 0; i < 20000; i++) {
			step(&r);
			if (i % 5000 == 4999)
				check(&r);
			if (i == 12345)
				flush(&r);
		}
		hull_store_relaxed(&r.stop, true);
		pthread_join(thread, NULL);
		check(&r);
		close_rig(&r);
	}
}

static struct fake small(struct rig *r)
{
	return (struct fake){
		.gpa = 0x90000000 + r->made * UINT64_C(2),
		.seed = r->made,
		.tier = 1,
		.exits = 1,
		.ranges = 1,
		.pad = 1,
	};
}

/* What is entered through the dispatcher while it is on probation stays; the rest goes. */
static void test_use_decides(void **state)
{
	enum { SET = 100, FLOOD = 60000 };
	static struct rig r;

	for (unsigned p = 0; p < JIT_POLICIES; p++) {
		const struct jit_cache_stats *s;
		uint32_t lost = 0, others = 0;

		open_rig(&r, JIT_CACHE_MIN, p, 5);
		for (unsigned i = 0; i < SET; i++)
			add(&r, small(&r), NULL);
		for (unsigned i = 0; i < FLOOD; i++) {
			struct jit_code *c = add(&r, small(&r), NULL);
			struct fake *f = &r.fakes[i % SET];

			/* Links and jump caches enter what is not suspect. */
			if (f->alive && f->suspect && i % SET < SET / 2) {
				jit_cache_touch(by_number(&r, i % SET));
				f->suspect = false;
			}
			if (r.made >= UNITS - 1)
				r.made = SET;
			if (i % 100 == 0 && p == JIT_CONCURRENT)
				jit_cache_background(r.cache);
			assert_non_null(c);
		}
		check(&r);
		s = jit_cache_stats(r.cache);
		assert_true(s->bytes_peak <= JIT_CACHE_MIN);
		for (unsigned i = 0; i < SET; i++) {
			lost += i < SET / 2 && !r.fakes[i].alive;
			others += i >= SET / 2 && r.fakes[i].alive;
		}
		assert_int_equal(lost, 0);
		assert_int_equal(others, 0);
		assert_true(s->moved >= SET / 2 && s->died[JIT_DEATH_UNUSED] > FLOOD / 2);
		assert_int_equal(s->moved_in_background > 0, p == JIT_CONCURRENT);
		close_rig(&r);
	}
}

/* The greatest units, and more in use than there is room for: everything can be added. */
static void test_thrashing(void **state)
{
	static struct rig r;

	for (unsigned p = 0; p < JIT_POLICIES; p++) {
		open_rig(&r, JIT_CACHE_MIN, p, 6);
		for (unsigned i = 0; i < 300; i++) {
			struct fake f = small(&r);
			struct jit_code *c = NULL;

			f.tier = 1 + (i / 50 & 1);
			f.pad = (uint16_t)(i % 3 ? 17200 - i : 100);
			f.ranges = i & 1 ? 32 : 1;
			f.exits = i & 2 ? 255 : 1;
			c = add(&r, f, &c);
			if (i % 3)
				assert_true(c->code_bytes > JIT_CODE_BYTES * 9 / 10);
			while ((c = jit_cache_next(r.cache, c)))
				jit_cache_touch(c);
		}
		check(&r);
		close_rig(&r);
	}
}

static void test_versions(void **state)
{
	static struct rig r;
	struct jit_code *c = NULL, *first;
	unsigned n = 0;

	open_rig(&r, JIT_CACHE_MIN, JIT_ADAPTIVE, 7);
	for (unsigned i = 0; i < 10 * JIT_VERSIONS; i++) {
		struct fake f = small(&r);

		f.gpa = 0x80000010;
		f.tier = 1 + (i & 1);
		first = add(&r, f, NULL);
		assert_ptr_equal(jit_cache_find(r.cache, 0x80000010, NULL), first);
	}
	while ((c = jit_cache_find(r.cache, 0x80000010, c)))
		n++;
	assert_int_equal(n, 2 * JIT_VERSIONS);
	assert_int_equal(jit_cache_stats(r.cache)->died[JIT_DEATH_VERSION],
	                 8 * JIT_VERSIONS * 2 / 2);
	check(&r);
	while (jit_cache_page(r.cache, 0x80000fff, NULL))
		jit_cache_drop(r.cache,
		               jit_cache_owner(r.cache, jit_cache_page(r.cache, 0x80000000, NULL)));
	assert_null(jit_cache_find(r.cache, 0x80000010, NULL));
	assert_int_equal(r.alive, 0);
	close_rig(&r);
}

static void test_refusals(void **state)
{
	struct fake_hal h;
	struct jit_cache *c = NULL;
	struct hull_hal bare;

	fake_hal_init(&h);
	assert_int_equal(jit_cache_new(&h.hal, JIT_CACHE_MIN - 1, 0, NULL, &c), HULL_EINVAL);
	assert_int_equal(jit_cache_new(&h.hal, JIT_CACHE_MAX + 4096, 0, NULL, &c), HULL_EINVAL);
	assert_int_equal(jit_cache_new(&h.hal, JIT_CACHE_MIN, JIT_POLICIES, NULL, &c), HULL_EINVAL);
	for (unsigned i = 1; i <= 2; i++) {
		h.fail_at = h.allocations + i;
		assert_int_equal(jit_cache_new(&h.hal, JIT_CACHE_MIN, 0, NULL, &c), HULL_ENOMEM);
	}
	h.no_code = true;
	assert_int_equal(jit_cache_new(&h.hal, JIT_CACHE_MIN, 0, NULL, &c), HULL_ENOTSUP);
	bare = h.hal;
	bare.code_alloc = NULL;
	assert_int_equal(jit_cache_new(&bare, JIT_CACHE_MIN, 0, NULL, &c), HULL_ENOTSUP);
	assert_null(c);
	jit_cache_free(NULL);
	assert_int_equal(h.live_blocks, 0);

	h.no_code = false;
	assert_int_equal(jit_cache_new(&h.hal, JIT_CACHE_MAX, 0, NULL, &c), 0);
	assert_int_equal(h.live_code, JIT_CACHE_MAX);
	assert_true(h.live_bytes - h.live_code <= JIT_CACHE_MAX / 8 * 3 + JIT_CACHE_MAX / 64);
	assert_null(jit_cache_of(c, NULL));
	assert_null(jit_cache_of(c, c));
	assert_null(jit_cache_next(c, NULL));
	jit_cache_flush(c);
	jit_cache_free(c);
	assert_int_equal(h.live_blocks, 0);
	fake_hal_fini(&h);
}

static void refuse(struct rig *r, const struct jit_unit *u, const uint64_t *gpas)
{
	assert_null(jit_cache_add(r->cache, u, gpas, NULL));
}

static void test_senseless_units(void **state)
{
	static struct rig r;
	struct jit_unit u;
	struct fake f;
	uint64_t gpa;

	open_rig(&r, JIT_CACHE_MIN, JIT_ADAPTIVE, 8);
	f = small(&r);
	make(&f, &r.m);
	gpa = r.m.range_gpas[0] + 2;
	refuse(&r, &r.m.unit, &gpa); /* not where the range says */
	gpa = r.m.range_gpas[0];
#define REFUSE(field, value) (u = r.m.unit, u.field = (value), refuse(&r, &u, &gpa))
	REFUSE(code_bytes, 0);
	REFUSE(code_bytes, JIT_CODE_BYTES + 1);
	REFUSE(code_bytes, r.m.exits[0].site);
	REFUSE(tier, 0);
	REFUSE(tier, 3);
	REFUSE(range_count, 0);
	REFUSE(range_count, JIT_RANGES + 1);
	REFUSE(offset, 4096);
	r.m.ranges[0].bytes = (uint16_t)(4097 - r.m.ranges[0].offset);
	refuse(&r, &r.m.unit, &gpa);
	check(&r);
	close_rig(&r);
}

static uint64_t hundred_later(const struct hull_hal *hal)
{
	return hull_add_relaxed(&((struct fake_hal *)(uintptr_t)hal)->now, 100) + 100;
}

/* CPU time of the thread: what other processes take is not the cache's. */
static uint64_t cpu_ns(const struct hull_hal *hal)
{
	struct timespec t;

	(void)hal;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Time is only asked for around reclamation, and none is missed. */
static void test_pauses_are_measured(void **state)
{
	static struct rig r;
	const struct jit_cache_stats *s;

	open_rig(&r, JIT_CACHE_MIN, JIT_INCREMENTAL, 9);
	r.hal.hal.now_ns = hundred_later;
	s = jit_cache_stats(r.cache);
	for (unsigned i = 0; i < 100; i++)
		add(&r, small(&r), NULL);
	assert_int_equal(s->pauses, 0);
	assert_int_equal(r.hal.now, 1);
	for (unsigned i = 0; i < 20000; i++)
		add(&r, small(&r), NULL);
	assert_true(s->pauses > 10000);
	assert_int_equal(s->pause_total_ns, s->pauses * 100);
	assert_int_equal(s->pause_max_ns, 100);
	assert_true(s->pause_cpu_max_ns > 0);
	assert_true(s->pause_cpu_max_ns < cpu_ns(NULL));
	assert_int_equal(s->pause_histogram[6], s->pauses);
	assert_int_equal(r.hal.now, 1 + s->pauses * 200);
	close_rig(&r);
}

/* --- generated code that runs --- */

typedef uint64_t enter_fn(void *state, const void *code);

struct machine {
	uint8_t *rw;
	const uint8_t *rx;
	enter_fn *enter;
	struct {
		_Alignas(64) uint8_t guest[ENGINE_CPU_AT];
		struct engine_cpu cpu;
	} state;
};

enum { GLUE_BYTES = 4096, REASON = 42 };

static void open_machine(struct machine *m, struct host_emit *e)
{
	void *rw, *rx;
	uint32_t out;

	assert_int_equal(hull_host_hal()->code_alloc(hull_host_hal(), GLUE_BYTES, &rw, &rx), 0);
	m->rw = rw;
	m->rx = rx;
	host_begin(e, m->rw + 64, GLUE_BYTES - 64);
	host_entry(e, NULL, 0);
	out = host_here(e);
	host_exit(e, NULL, 0, REASON);
	assert_true(host_end(e));
	host_sync_code(m->rw, m->rx, GLUE_BYTES);
	m->enter = (enter_fn *)(uintptr_t)(m->rx + 64);
	m->state.cpu.stub[0] = m->rx + 64 + out;
}

/* Follow the first exits, by the cache's word, from `n`; then do it. */
static void run_chain(struct rig *r, struct machine *m, uint32_t n)
{
	struct jit_code *code = by_number(r, n);
	const void *entry = code->entry;

	while (jit_cache_is_linked(code, 0))
		code = by_number(r, r->fakes[code->user - 1].link[0] - 1);
	assert_int_equal(m->enter(&m->state, entry), REASON);
	assert_ptr_equal(m->state.cpu.site, code->entry);
	assert_ptr_equal(jit_cache_of(r->cache, m->state.cpu.site), code);
	assert_int_equal(m->state.cpu.desc, r->fakes[code->user - 1].seed);
}

static void test_links_lead_there(void **state)
{
	enum { CHAIN = 40 };
	static struct rig r;
	static struct machine m;

	for (unsigned p = 0; p < JIT_POLICIES; p++) {
		open_rig(&r, JIT_CACHE_MIN, p, 10);
		open_machine(&m, &r.m.emit);
		for (unsigned i = 0; i < CHAIN; i++)
			add(&r, small(&r), NULL);
		for (unsigned i = 0; i < 20000; i++) {
			unsigned n = i % (CHAIN - 1);
			struct jit_code *from = by_number(&r, n), *to = by_number(&r, n + 1);
			struct fake other;

			assert_non_null(from);
			assert_non_null(to);
			if (chance(&r, 4))
				relink(&r, from, 0, to);
			else if (chance(&r, 8) == 0)
				jit_cache_unlink(r.cache, from, 0);
			jit_cache_touch(from);
			run_chain(&r, &m, chance(&r, CHAIN));
			other = small(&r);
			other.tier = 1 + (i & 1);
			add(&r, other, NULL);
			if (i % 16 == 0)
				jit_cache_background(r.cache);
		}
		assert_true(jit_cache_stats(r.cache)->moved > CHAIN);
		assert_true(jit_cache_stats(r.cache)->links_undone > CHAIN);
		hull_host_hal()->code_free(hull_host_hal(), GLUE_BYTES, m.rw,
		                           (void *)(uintptr_t)m.rx);
		close_rig(&r);
	}
}

/* --- pauses: a program, not a test --- */

enum { SHAPES = 16, BENCH_ADDS = 400000 };

static const char *const policy_names[JIT_POLICIES] = {
	[JIT_ADAPTIVE] = "adaptive",
	[JIT_GENERATIONAL] = "generational",
	[JIT_INCREMENTAL] = "incremental",
	[JIT_CONCURRENT] = "concurrent",
};

/* Enter the block `n` of the working set, coming from `*from`. */
static void enter(struct rig *r, const struct made *shapes, uint32_t n, uint32_t *from)
{
	struct fake *f = &r->fakes[n];
	struct jit_code *code,
		*before = *from != n && r->fakes[*from].alive ? by_number(r, *from) : NULL;

	if (f->alive && !f->suspect) {
		*from = n;
		return; /* through a link or the jump cache: nobody notices */
	}
	f->gpa = 0x80000000 + n * UINT64_C(64);
	code = f->alive ? by_number(r, n) : NULL;
	if (!code) {
		const struct made *m = &shapes[n % SHAPES];
		struct jit_unit u = m->unit;
		struct jit_range range = { 0, f->gpa & 0xfff, 16 };

		u.offset = range.offset;
		u.range_count = 1;
		u.ranges = &range;
		code = jit_cache_add(r->cache, &u, &f->gpa, &before);
		code->user = n + 1;
		f->alive = true;
	}
	f->suspect = false;
	jit_cache_touch(code);
	if (before)
		jit_cache_link(r->cache, before, n & 1, code);
	*from = n;
}

/* Mostly a hot set that moves on now and then, and a rest that is run once in a while. */
static uint64_t run_set(struct rig *r, const struct made *shapes, uint32_t set)
{
	uint32_t hot = 0, from = 0;
	uint64_t entered = 0;

	while (jit_cache_stats(r->cache)->added < BENCH_ADDS && entered < 30 * BENCH_ADDS) {
		uint32_t n = chance(r, set / 3);

		if (entered++ % 400000 == 0)
			hot = chance(r, set);
		if (chance(r, 16) == 0)
			n = chance(r, set);
		enter(r, shapes, (hot + n) % set, &from);
	}
	return entered;
}

static void print_pauses(const struct rig *r, const char *name, uint32_t set, uint64_t entered)
{
	const struct jit_cache_stats *s = jit_cache_stats(r->cache);
	uint64_t seen = 0, limit[2] = { 0 };

	for (unsigned i = 0; i < JIT_PAUSE_BUCKETS; i++) {
		seen += s->pause_histogram[i];
		for (unsigned k = 0; k < 2; k++)
			if (!limit[k] && seen * 1000 >= s->pauses * (k ? 999 : 500))
				limit[k] = UINT64_C(2) << i;
	}
	printf("%-13s %6u %8.2f%% %8.1f %9llu %9.1f %9.1f %9.1f %8llu %8llu %8llu %8llu\n", name,
	       set, 100.0 * (double)s->added / (double)entered, (double)s->bytes / (1 << 20),
	       (unsigned long long)s->pauses, (double)limit[0] / 1e3, (double)limit[1] / 1e3,
	       (double)s->pause_max_ns / 1e3, (unsigned long long)(s->pause_total_ns / s->added),
	       (unsigned long long)s->moved, (unsigned long long)s->moved_in_background,
	       (unsigned long long)s->died[JIT_DEATH_FORCED]);
	printf("%-13s", "");
	for (unsigned i = 0; i < JIT_PAUSE_BUCKETS; i++)
		if (s->pause_histogram[i])
			printf(" 2^%u:%llu", i, (unsigned long long)s->pause_histogram[i]);
	printf("\n");
}

static void pauses(void)
{
	static const uint32_t sets[] = { 30000, 45000, 65000 };
	static struct made shapes[SHAPES];
	static struct rig r;

	for (unsigned i = 0; i < SHAPES; i++) {
		struct fake f = { .gpa = 0x80000000, .tier = 1, .exits = 2, .ranges = 1 };

		f.pad = (uint16_t)(4 + i * i / 2);
		make(&f, &shapes[i]);
	}
	printf("%-13s %6s %9s %8s %9s %9s %9s %9s %8s %8s %8s %8s\n", "policy", "set", "misses",
	       "MiB", "pauses", "half<us", "99.9%<us", "max us", "ns/add", "moved", "in bg",
	       "forced");
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
		for (unsigned p = 0; p < JIT_POLICIES; p++) {
			pthread_t thread;
			uint64_t entered;

			open_rig(&r, 16 << 20, p, 1);
			r.hal.hal.now_ns = cpu_ns;
			if (p == JIT_CONCURRENT || p == JIT_ADAPTIVE)
				pthread_create(&thread, NULL, in_background, &r);
			entered = run_set(&r, shapes, sets[i]);
			hull_store_relaxed(&r.stop, true);
			if (p == JIT_CONCURRENT || p == JIT_ADAPTIVE)
				pthread_join(thread, NULL);
			print_pauses(&r, policy_names[p], sets[i], entered);
			close_rig(&r);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),    cmocka_unit_test(test_background_thread),
		cmocka_unit_test(test_use_decides),      cmocka_unit_test(test_thrashing),
		cmocka_unit_test(test_versions),         cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_senseless_units),  cmocka_unit_test(test_pauses_are_measured),
		cmocka_unit_test(test_links_lead_there),
	};

	if (argc == 2 && strcmp(argv[1], "pauses") == 0) {
		pauses();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
