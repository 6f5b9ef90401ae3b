/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * All devices: the transcripts of tests/dev, and what every registered device
 * must do without its author writing a test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glob.h>

#include "base/prng.h"
#include "support/backends.h"
#include "support/rig.h"
#include "support/transcript.h"

enum { STATE = 1 << 20, STEPS = 4000 };

struct env {
	struct rig *rig;
	const struct hull_dev_type *type;
	void *backend[2];
	struct rig_dev *dev[2];
	struct hull_prng prng;
	uint8_t *state[2];
};

static uint64_t draw(struct env *e)
{
	return hull_prng_next(&e->prng);
}

/* Two equal devices of a type, with the properties at their largest values or their defaults. */
static void set_up(struct env *e, const struct hull_dev_type *type, bool largest)
{
	uint64_t args[HULL_DEV_PROPS];

	*e = (struct env){ .type = type };
	hull_prng_seed(&e->prng, 0x48756c6c);
	e->rig = rig_new();
	for (unsigned i = 0; i < type->nprops; i++)
		args[i] = largest ? type->props[i].max : type->props[i].dflt;
	for (unsigned i = 0; i < 2; i++) {
		e->backend[i] = backends_new(type);
		e->dev[i] = rig_add(e->rig, type, args, type->nprops, e->backend[i]);
		e->state[i] = malloc(STATE);
	}
}

static void tear_down(struct env *e)
{
	rig_free(e->rig);
	for (unsigned i = 0; i < 2; i++) {
		backends_free(e->type, e->backend[i]);
		free(e->state[i]);
	}
}

/* Mostly low offsets, some anywhere; values of all magnitudes, some addresses of RAM. */
static uint64_t any_offset(struct env *e, const struct hull_dev_type *type)
{
	uint64_t r = draw(e), off = r >> 8;

	if (r & 1)
		return off % MIN(type->region_size, UINT64_C(0x200)) & ~UINT64_C(3);
	return off % type->region_size & ~((r & 2) ? UINT64_C(0) : UINT64_C(3));
}

static uint64_t any_value(struct env *e)
{
	uint64_t r = draw(e);

	if (!(r & 7))
		return RIG_RAM + (r >> 8) % RIG_RAM_SIZE;
	return draw(e) >> r % 64;
}

static void step(struct env *e, struct rig_dev *d)
{
	const struct hull_dev_type *type = d->dev->type;
	uint64_t r = draw(e), val;
	unsigned size = 1u << r % 4;
	uint64_t off = any_offset(e, type);

	switch (r >> 8 & 15) {
	case 0: rig_clock(e->rig, hull_clock_now(e->rig->vm) + (draw(e) >> (30 + r % 34))); break;
	case 1: rig_char_in(d, &r, r >> 16 & 7); break;
	case 2: d->ch.room = r & 1 << 20 ? SIZE_MAX : r >> 16 & 7; break;
	case 3:
		if (type->irqchip && type->input)
			rig_input(d, (uint32_t)any_value(e), r & 1 << 20);
		break;
	case 4:
	case 5:
	case 6:
	case 7: rig_read(d, off, size, &val); break;
	default: rig_write(d, off, size, any_value(e));
	}
	d->ch.out_len = d->ch.in_len > RIG_CHARS / 2 ? (d->ch.in_len = 0) : 0;
}

static void fuzz_one(const struct hull_dev_type *type, bool largest)
{
	struct env e;

	set_up(&e, type, largest);
	for (unsigned i = 0; i < STEPS; i++) {
		size_t n;

		step(&e, e.dev[0]);
		if (i % 64)
			continue;
		n = rig_save(e.dev[0], e.state[0], STATE);
		assert_int_equal(rig_load(e.dev[0], e.state[0], n), 0);
		assert_int_equal(rig_save(e.dev[0], e.state[1], STATE), n);
		assert_memory_equal(e.state[0], e.state[1], n);
	}
	tear_down(&e);
}

static void test_fuzz(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		fuzz_one(*t, false);
		fuzz_one(*t, true);
	}
}

/* A state moves to another device and behaves like the first there. */
static void test_snapshot_moves(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		struct env e;
		size_t n;

		set_up(&e, *t, true);
		for (unsigned i = 0; i < STEPS; i++)
			step(&e, e.dev[0]);
		n = rig_save(e.dev[0], e.state[0], STATE);
		assert_int_equal(rig_load(e.dev[1], e.state[0], n), 0);
		assert_int_equal(rig_save(e.dev[1], e.state[1], STATE), n);
		assert_memory_equal(e.state[0], e.state[1], n);
		for (unsigned i = 0; i < (*t)->irqs; i++)
			assert_int_equal(e.dev[0]->irq.level[i], e.dev[1]->irq.level[i]);
		tear_down(&e);
	}
}

/* Bytes that are no snapshot, or a damaged one, are refused or survived. */
static void test_hostile_snapshot(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		struct env e;
		size_t n;

		set_up(&e, *t, true);
		n = rig_save(e.dev[0], e.state[0], STATE);
		for (unsigned i = 0; i < 400; i++) {
			memcpy(e.state[1], e.state[0], n);
			for (unsigned k = 0; k < 8; k++)
				e.state[1][draw(&e) % n] = (uint8_t)draw(&e);
			rig_load(e.dev[0], e.state[1], i % 4 ? n : draw(&e) % n);
			for (unsigned k = 0; k < 16; k++)
				step(&e, e.dev[0]);
		}
		tear_down(&e);
	}
}

/* A reset after anything equals a fresh device that was reset at the same moment. */
static void test_reset_is_fresh(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		struct env e;
		size_t n;

		set_up(&e, *t, true);
		for (unsigned i = 0; i < STEPS / 4; i++)
			step(&e, e.dev[0]);
		for (unsigned i = 0; (*t)->irqchip && (*t)->input && i < 1024; i++)
			rig_input(e.dev[0], i, false);
		e.dev[0]->ch.in_len = 0;
		rig_reset(e.dev[0]);
		rig_reset(e.dev[1]);
		n = rig_save(e.dev[0], e.state[0], STATE);
		assert_int_equal(rig_save(e.dev[1], e.state[1], STATE), n);
		/* Clocks survive a reset: the guest may have set them. */
		if (strcmp((*t)->node ? (*t)->node : "", "rtc"))
			assert_memory_equal(e.state[0], e.state[1], n);
		for (unsigned i = 0; i < (*t)->irqs; i++)
			assert_false(e.dev[0]->irq.level[i]);
		tear_down(&e);
	}
}

static void test_instances_are_independent(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		struct env e;
		size_t n;

		set_up(&e, *t, false);
		n = rig_save(e.dev[1], e.state[0], STATE);
		for (unsigned i = 0; i < STEPS / 4; i++)
			step(&e, e.dev[0]);
		assert_int_equal(rig_save(e.dev[1], e.state[1], STATE), n);
		assert_memory_equal(e.state[0], e.state[1], n);
		assert_int_equal(e.dev[1]->dev->guest_errors, 0);
		tear_down(&e);
	}
}

/* Every size at every offset of the first pages and at the end; only declared, aligned ones get in.
 */
static void test_every_boundary(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		uint64_t size = (*t)->region_size, span = MIN(size, UINT64_C(0x1100)), val;
		struct env e;

		set_up(&e, *t, false);
		for (uint64_t i = 0; i < 2 * span; i++) {
			uint64_t off = i < span ? i : size - 2 * span + i;

			for (unsigned n = 1; n <= 8; n *= 2) {
				bool fits = (*t)->access_sizes & n && off + n <= size &&
				            is_aligned(off, n);
				bool may = fits && (*t)->refuses;
				bool got = rig_read(e.dev[0], off, n, &val);

				assert_true(got == fits || may);
				if (got && n < 8)
					assert_int_equal(val >> 8 * n, 0);
				got = rig_write(e.dev[0], off, n, UINT64_MAX);
				assert_true(got == fits || may);
			}
		}
		assert_false(rig_read(e.dev[0], size, 4, &val));
		tear_down(&e);
	}
}

static void test_descriptions(void **state)
{
	(void)state;
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		assert_non_null((*t)->name);
		assert_non_null((*t)->summary);
		assert_ptr_equal(hull_dev_type_find((*t)->name), *t);
		assert_true((*t)->irqs <= HULL_DEV_IRQS);
		assert_true((*t)->nprops <= HULL_DEV_PROPS);
		for (unsigned i = 0; i < (*t)->nfields; i++) {
			const struct hull_field *f = &(*t)->fields[i];

			size_t stride = f->stride ? f->stride : f->size;

			assert_true(f->count && stride >= f->size);
			assert_true(f->offset + stride * (f->count - 1u) + f->size <=
			            (*t)->state_size);
			for (unsigned k = 0; k < i; k++)
				assert_string_not_equal(f->name, (*t)->fields[k].name);
		}
	}
}

static void test_transcripts(void **state)
{
	const char *root = getenv("HULL_SOURCE");
	char pattern[4096];
	unsigned failed = 0;
	glob_t g;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/tests/dev/*.dev", root ? root : ".");
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++)
		failed += !transcript_run(g.gl_pathv[i]);
	globfree(&g);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_transcripts),
		cmocka_unit_test(test_every_boundary),
		cmocka_unit_test(test_reset_is_fresh),
		cmocka_unit_test(test_instances_are_independent),
		cmocka_unit_test(test_fuzz),
		cmocka_unit_test(test_snapshot_moves),
		cmocka_unit_test(test_hostile_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
