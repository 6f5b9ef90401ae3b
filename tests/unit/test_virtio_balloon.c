/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-balloon: pages given back, statistics, and drivers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "support/vdriver.h"

#define RINGS(q) (RIG_RAM + 0x3000 * (hull_gpa)(q))
#define LIST     (RIG_RAM + 0x18000)
#define DATA     (RIG_RAM + 0x20000) /* up to the end of RAM, over the border of its two halves */

enum { NUM = 16, QUEUES = 5, INFLATE = 0, DEFLATE = 1, STATS = 2, REPORT = 3, PAGE = 4096 };
#define ALL (UINT64_C(1) << 1 | UINT64_C(1) << 2 | UINT64_C(1) << 5)

struct env {
	struct rig *rig;
	struct rig_dev *d;
	struct vqueue q[QUEUES];
};

static void restart(struct env *e)
{
	static const uint8_t zero[0x3000];
	static uint8_t full[RIG_RAM + RIG_RAM_SIZE - DATA];

	assert_true(v_negotiate(e->d, ALL));
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_true(hull_mem_write(e->rig->vm, RINGS(i), zero, sizeof(zero)));
		assert_true(v_queue(e->d, i, RINGS(i), NUM, &e->q[i]));
	}
	v_set(e->d, V_STATUS, 15);
	memset(full, 0xaa, sizeof(full));
	assert_true(hull_mem_write(e->rig->vm, DATA, full, sizeof(full)));
}

static struct env *start(void)
{
	const uint64_t args[] = { 1000, 1, 10 };
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-balloon"), args, 3, NULL);
	restart(e);
	return e;
}

static void end(struct env *e)
{
	rig_free(e->rig);
	free(e);
}

static bool is_zero(struct env *e, hull_gpa gpa)
{
	uint8_t page[PAGE];

	assert_true(hull_mem_read(e->rig->vm, gpa, page, sizeof(page)));
	for (unsigned i = 1; i < PAGE; i++)
		assert_int_equal(page[i], page[0]);
	return !page[0];
}

static bool request(struct env *e, unsigned q, hull_gpa gpa, uint32_t len, uint16_t flags)
{
	struct vqueue *v = &e->q[q];
	uint16_t at = (uint16_t)(v->avail_idx % NUM);
	uint32_t id, n;

	v_desc(e->rig, V_AT(v->desc, at), gpa, len, flags, 0);
	v_avail(v, at);
	v_kick(v);
	return v_used(v, &id, &n);
}

static void pages(struct env *e, unsigned q, const uint32_t *pfn, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		v_write32(e->rig, LIST + 4 * i, pfn[i]);
	assert_true(request(e, q, LIST, 4 * n, 0));
}

static void test_pages(void **state)
{
	const uint32_t first = DATA / PAGE, border = (RIG_RAM + RIG_RAM_HALF) / PAGE;
	const uint32_t list[] = { first,      first + 1,
		                  first + 3,  border - 1,
		                  border,     RIG_ROM / PAGE,
		                  0,          RIG_MMIO / PAGE,
		                  UINT32_MAX, (uint32_t)((RIG_RAM + RIG_RAM_SIZE) / PAGE) };
	struct env *e = start();
	uint64_t v;

	(void)state;
	assert_true(rig_read(e->d, V_CONFIG, 4, &v));
	assert_int_equal(v, 1000);
	pages(e, INFLATE, list, ARRAY_LEN(list));
	assert_true(is_zero(e, DATA) && is_zero(e, DATA + PAGE));
	assert_false(is_zero(e, DATA + 2 * PAGE));
	assert_true(is_zero(e, DATA + 3 * PAGE));
	assert_true(is_zero(e, RIG_RAM + RIG_RAM_HALF - PAGE));
	assert_true(is_zero(e, RIG_RAM + RIG_RAM_HALF));
	assert_false(is_zero(e, RIG_RAM + RIG_RAM_HALF + PAGE));
	assert_true(rig_write(e->d, V_CONFIG + 4, 4, 5));
	assert_true(rig_read(e->d, V_CONFIG + 4, 4, &v));
	assert_int_equal(v, 5);
	pages(e, DEFLATE, list, 2);
	assert_true(rig_write(e->d, V_CONFIG + 6, 2, 1));
	assert_true(rig_read(e->d, V_CONFIG + 4, 4, &v));
	assert_int_equal(v, 0x10005);
	assert_int_equal(e->d->dev->guest_errors, 0);
	assert_true(rig_write(e->d, V_CONFIG, 4, 5));
	assert_true(rig_write(e->d, V_CONFIG + 2, 4, 5) || true);
	assert_true(e->d->dev->guest_errors > 0);
	end(e);
}

/* Reported as free: whole pages within; on whichever queue the driver counts to. */
static void test_reporting(void **state)
{
	struct env *e = start();

	(void)state;
	for (unsigned q = REPORT; q <= REPORT + 1; q++) {
		restart(e);
		assert_true(request(e, q, DATA, 8 * PAGE, VD_WRITE));
		assert_true(is_zero(e, DATA) && is_zero(e, DATA + 7 * PAGE));
		assert_false(is_zero(e, DATA + 8 * PAGE));
		assert_true(request(e, q, DATA + 8 * PAGE + 1, 2 * PAGE, VD_WRITE));
		assert_false(is_zero(e, DATA + 8 * PAGE));
		assert_true(is_zero(e, DATA + 9 * PAGE));
		assert_false(is_zero(e, DATA + 10 * PAGE));
		assert_true(request(e, q, DATA + 12 * PAGE, PAGE, 0)); /* not writable: no page */
		assert_false(is_zero(e, DATA + 12 * PAGE));
		assert_true(request(e, q, RIG_ROM, PAGE, VD_WRITE));
		assert_true(request(e, q, UINT64_MAX - 2 * PAGE, PAGE, VD_WRITE));
	}
	end(e);
}

/* A list of a million numbers: not all at once. */
static void test_long_list(void **state)
{
	struct env *e = start();
	struct vqueue *v = &e->q[INFLATE];
	uint32_t id, len;
	unsigned turns = 0;

	(void)state;
	for (uint16_t i = 0; i < NUM; i++)
		v_desc(e->rig, V_AT(v->desc, i), DATA, 0x40000, i + 1 < NUM ? VD_NEXT : 0,
		       (uint16_t)(i + 1));
	v_avail(v, 0);
	v_kick(v);
	assert_false(v_used(v, &id, &len));
	for (; !v_used(v, &id, &len); turns++)
		rig_clock(e->rig, hull_clock_now(e->rig->vm) + 1);
	assert_in_range(turns, 1, 70);
	end(e);
}

/* Sixteen times four gigabytes: neither. */
static void test_long_ranges(void **state)
{
	struct env *e = start();
	struct vqueue *v = &e->q[REPORT];
	unsigned turns = 0;
	uint32_t id, len;

	(void)state;
	for (uint16_t i = 0; i < NUM; i++) {
		v_desc(e->rig, V_AT(v->desc, i), DATA, UINT32_MAX, VD_WRITE, 0);
		v_avail(v, i);
	}
	v_kick(v);
	assert_true(v_used(v, &id, &len));
	assert_false(v_used(v, &id, &len));
	for (unsigned i = 1; i < NUM; i++)
		for (; !v_used(v, &id, &len); turns++)
			rig_clock(e->rig, hull_clock_now(e->rig->vm) + 1);
	assert_in_range(turns, 1, NUM);
	end(e);
}

static void test_statistics(void **state)
{
	struct env *e = start();
	uint8_t raw[30] = { 0 };
	uint32_t id, len;

	(void)state;
	store_le16(raw, 4);
	store_le64(raw + 2, 12345);
	store_le16(raw + 10, 0xffff);
	store_le64(raw + 12, 1);
	store_le16(raw + 20, 5);
	store_le64(raw + 22, 777);
	assert_true(hull_mem_write(e->rig->vm, LIST, raw, sizeof(raw)));
	assert_false(request(e, STATS, LIST, sizeof(raw), 0));
	for (unsigned i = 0; i < 1000; i++)
		v_kick(&e->q[STATS]);
	rig_clock(e->rig, UINT64_C(9000000000));
	assert_false(v_used(&e->q[STATS], &id, &len));
	rig_clock(e->rig, UINT64_C(11000000000));
	assert_true(v_used(&e->q[STATS], &id, &len));
	assert_false(request(e, STATS, LIST, 9, 0));
	rig_clock(e->rig, UINT64_C(22000000000));
	assert_true(v_used(&e->q[STATS], &id, &len));
	assert_false(request(e, STATS, RIG_MMIO, 30, 0));
	assert_int_equal(v_get(e->d, V_STATUS), 15 | 64);
	end(e);
}

static void test_reset_under_load(void **state)
{
	struct env *e = start();

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		v_desc(e->rig, V_AT(e->q[INFLATE].desc, 0), DATA, 0x40000, 0, 0);
		v_avail(&e->q[INFLATE], 0);
		v_kick(&e->q[INFLATE]);
		restart(e);
		rig_clock(e->rig, (i + 1) * UINT64_C(1000000));
		assert_false(is_zero(e, DATA));
	}
	end(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),      cmocka_unit_test(test_reporting),
		cmocka_unit_test(test_long_list),  cmocka_unit_test(test_long_ranges),
		cmocka_unit_test(test_statistics), cmocka_unit_test(test_reset_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
