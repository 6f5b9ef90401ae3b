/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The JIT's code cache, against a model that remakes each unit from its number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hull/error.h>
#include <hull/host.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Runs from the entry through the first link, or leaves with the unit's seed. */
static void make(const struct fake *f, struct made *m)
{
	struct host_emit *e = &m->emit;
	unsigned bytes = 0;

	host_begin(e, m->code, sizeof(m->code));
	for (unsigned i = 0; i < f->pad; i++)
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
	struct jit_cache_user user = { forget, NULL, r };

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
