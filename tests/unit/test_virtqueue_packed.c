/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Packed virtqueues against a hostile driver, as test_virtqueue does for split ones; in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "dev/virtio/virtio.h"
#include "support/vdriver.h"

#define BUF     (RIG_RAM + 0x10000)
#define TABLE   (RIG_RAM + 0x20000)
#define HOLE    (RIG_RAM + RIG_RAM_SIZE)
#define RAM_END (RIG_RAM + RIG_RAM_SIZE)
#define ALL     (VF_PACKED | VF_INDIRECT | VF_EVENT_IDX)

enum { ENABLE = 0, DISABLE = 1, DESC = 2, NUM = 8 };

struct env {
	struct rig *rig;
	struct rig_dev *d;
	struct vqueue q;
};

static struct env *start(uint64_t features, uint16_t num)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-rng"), NULL, 0, NULL);
	v_start(e->d, features, num, &e->q);
	return e;
}

static void end(struct env *e)
{
	rig_free(e->rig);
	free(e);
}

/* n pieces of `len` bytes, perhaps in a table, come back filled. */
static void works_as(struct env *e, unsigned n, uint32_t len, hull_gpa table)
{
	struct vbuf b[NUM];
	uint32_t id, got;
	uint16_t posted;

	for (unsigned i = 0; i < n; i++)
		b[i] = (struct vbuf){ BUF + i * len, len, true };
	posted = v_post(&e->q, b, n, table);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &got));
	assert_int_equal(id, posted);
	assert_int_equal(got, n * len);
	assert_false(v_used(&e->q, &id, &got));
}

static void works(struct env *e)
{
	works_as(e, 1, 16, 0);
}

static void is_broken(struct env *e)
{
	uint32_t id, len;

	v_kick(&e->q);
	assert_int_equal(v_get(e->d, V_STATUS), 15 | 64);
	assert_int_equal(v_get(e->d, V_INT_STATUS) & 2, 2);
	assert_true(e->d->irq.level[0]);
	assert_true(e->d->dev->guest_errors > 0);
	assert_false(v_used(&e->q, &id, &len));
	v_kick(&e->q);
	assert_false(v_used(&e->q, &id, &len));
	v_start(e->d, ALL, NUM, &e->q);
	assert_false(e->d->irq.level[0]);
	works(e);
	end(e);
}

/* Descriptor `i` of the ring in its first round, writable 16 bytes. */
static void put(struct env *e, unsigned i, uint16_t id, uint16_t flags)
{
	v_pdesc(e->rig, V_AT(e->q.desc, i), &(struct vbuf){ BUF, 16, true }, id,
	        (uint16_t)(flags | VD_AVAIL));
}

static void test_works(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 3, 5, 7, 8, 33, 64 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct env *e = start(ALL, sizes[i]);

		for (unsigned n = 0; n < 500; n++)
			works_as(e, 1 + n % MIN(sizes[i], (uint16_t)NUM), 16, 0);
		for (unsigned n = 0; n < 100; n++)
			works_as(e, 1 + n % MIN(sizes[i], (uint16_t)NUM), 16, TABLE);
		assert_int_equal(e->d->dev->guest_errors, 0);
		end(e);
	}
}

/* Many in one batch: all at once, in the order of the driver. */
static void test_batches(void **state)
{
	struct env *e = start(ALL, 7);
	uint32_t id, len;

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		uint16_t ids[7];
		unsigned n = 1 + round % 7;

		for (unsigned i = 0; i < n; i++)
			ids[i] = v_post(&e->q, &(struct vbuf){ BUF, 4, true }, 1, 0);
		v_kick(&e->q);
		for (unsigned i = 0; i < n; i++) {
			assert_true(v_used(&e->q, &id, &len));
			assert_int_equal(id, ids[i]);
		}
		assert_false(v_used(&e->q, &id, &len));
	}
	end(e);
}

/* A chain that never ends is one that is longer than the ring. */
static void test_chains(void **state)
{
	struct env *e = start(ALL, NUM);

	(void)state;
	works_as(e, NUM, 16, 0);
	end(e);
	e = start(ALL, NUM);
	for (unsigned i = 0; i < NUM; i++)
		put(e, i, 0, VD_NEXT);
	is_broken(e);
	e = start(ALL, 1);
	put(e, 0, 0, VD_NEXT);
	is_broken(e);
	/* Readable after writable, in the ring and in a table. */
	e = start(ALL, NUM);
	v_pdesc(e->rig, V_AT(e->q.desc, 1), &(struct vbuf){ BUF, 16, false }, 0, VD_AVAIL);
	put(e, 0, 0, VD_NEXT);
	is_broken(e);
	e = start(ALL, NUM);
	v_post(&e->q, (struct vbuf[]){ { BUF, 16, true }, { BUF, 16, false } }, 2, TABLE);
	is_broken(e);
	/* Nothing to fill: no error. */
	e = start(ALL, NUM);
	works_as(e, 3, 0, 0);
	end(e);
}

static void test_ids(void **state)
{
	static const uint16_t wrong[] = { NUM, NUM + 1, 255, 1024, 0x7fff, 0x8000, 0xffff };
	struct env *e;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		e = start(ALL, NUM);
		put(e, 0, wrong[i], 0);
		is_broken(e);
		/* Only the last descriptor's counts (2.8.6). */
		e = start(ALL, NUM);
		v_post(&e->q, (struct vbuf[]){ { BUF, 16, true }, { BUF, 16, true } }, 2, 0);
		v_write16(e->rig, V_AT(e->q.desc, 0) + 12, wrong[i]);
		v_kick(&e->q);
		assert_int_equal(v_get(e->d, V_STATUS), 15);
		end(e);
	}
}

/* Flags of another round are not available, whatever the driver turns. */
static void test_wrap_counters(void **state)
{
	static const uint16_t not_yet[] = { 0, VD_USED, VD_AVAIL | VD_USED };
	struct env *e = start(ALL, NUM);
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(not_yet); i++) {
		v_write16(e->rig, V_AT(e->q.desc, 0) + 14, not_yet[i]);
		v_kick(&e->q);
		assert_int_equal(v_read16(e->rig, V_AT(e->q.desc, 0) + 14), not_yet[i]);
	}
	v_write16(e->rig, V_AT(e->q.desc, 0) + 14, 0);
	for (unsigned i = 0; i < 3 * NUM; i++)
		works(e);
	/* All of the ring, in both senses, again and again: work stays bounded. */
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < NUM; i++)
			v_pdesc(e->rig, V_AT(e->q.desc, i), &(struct vbuf){ BUF, 1, true },
			        (uint16_t)i, round & 1 ? VD_AVAIL : VD_USED);
		v_kick(&e->q);
	}
	v_start(e->d, ALL, NUM, &e->q);
	works(e);
	assert_false(v_used(&e->q, &id, &len));
	end(e);
}

static void table_breaks(hull_gpa addr, uint32_t len, uint16_t flags)
{
	struct env *e = start(ALL, NUM);

	v_pdesc(e->rig, V_AT(TABLE, 0), &(struct vbuf){ BUF, 16, true }, 0, 0);
	v_pdesc(e->rig, V_AT(e->q.desc, 0), &(struct vbuf){ addr, len, false }, 0,
	        (uint16_t)(flags | VD_AVAIL));
	is_broken(e);
}

static void test_indirect(void **state)
{
	struct env *e = start(ALL, NUM);

	(void)state;
	works_as(e, NUM, 16, TABLE);
	end(e);
	table_breaks(TABLE, 17, VD_INDIRECT);
	table_breaks(TABLE, 0, VD_INDIRECT);
	table_breaks(TABLE, 15, VD_INDIRECT);
	table_breaks(TABLE, 16 * (NUM + 1), VD_INDIRECT);
	table_breaks(TABLE, 16 * 65535, VD_INDIRECT);
	table_breaks(TABLE, UINT32_MAX, VD_INDIRECT);
	table_breaks(TABLE, 16, VD_INDIRECT | VD_NEXT);
	table_breaks(HOLE, 16, VD_INDIRECT);
	table_breaks(RAM_END - 16, 32, VD_INDIRECT);
	table_breaks(UINT64_MAX - 7, 16, VD_INDIRECT);
	table_breaks(RIG_MMIO, 16, VD_INDIRECT);
	/* In a chain; inside another one; not negotiated. */
	e = start(ALL, NUM);
	v_pdesc(e->rig, V_AT(e->q.desc, 1), &(struct vbuf){ TABLE, 16, false }, 0,
	        VD_AVAIL | VD_INDIRECT);
	put(e, 0, 0, VD_NEXT);
	is_broken(e);
	e = start(ALL, NUM);
	v_pdesc(e->rig, V_AT(TABLE, 0), &(struct vbuf){ TABLE, 16, false }, 0, VD_INDIRECT);
	v_pdesc(e->rig, V_AT(e->q.desc, 0), &(struct vbuf){ TABLE, 16, false }, 0,
	        VD_AVAIL | VD_INDIRECT);
	is_broken(e);
	e = start(VF_PACKED, NUM);
	v_post(&e->q, &(struct vbuf){ BUF, 16, true }, 1, TABLE);
	is_broken(e);
}

static void buffer_breaks(hull_gpa addr, uint32_t len)
{
	struct env *e = start(ALL, NUM);

	v_post(&e->q, &(struct vbuf){ addr, len, true }, 1, 0);
	is_broken(e);
}

static void test_buffers(void **state)
{
	struct env *e = start(ALL, NUM);
	uint32_t id, len;

	(void)state;
	v_post(&e->q,
	       (struct vbuf[]){ { RIG_RAM + RIG_RAM_HALF - 8, 16, true },
	                        { RAM_END - 16, 16, true } },
	       2, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 32);
	end(e);
	buffer_breaks(RAM_END - 8, 16);
	buffer_breaks(HOLE, 16);
	buffer_breaks(RIG_RAM - 8, 16);
	buffer_breaks(UINT64_MAX - 7, 16);
	buffer_breaks(UINT64_MAX, UINT32_MAX);
	buffer_breaks(RIG_ROM, 16);
	buffer_breaks(RIG_MMIO, 0x100);
}

static void place(struct env *e, hull_gpa desc, hull_gpa driver, hull_gpa device)
{
	const hull_gpa where[] = { desc, driver, device };

	v_negotiate(e->d, ALL);
	v_set(e->d, V_QUEUE_NUM, NUM);
	for (unsigned i = 0; i < 3; i++) {
		v_set(e->d, V_DESC + 16 * i, (uint32_t)where[i]);
		v_set(e->d, V_DESC + 16 * i + 4, (uint32_t)(where[i] >> 32));
	}
	v_set(e->d, V_QUEUE_READY, 1);
	v_set(e->d, V_STATUS, 15);
}

static void ring_breaks(hull_gpa desc, hull_gpa driver, hull_gpa device)
{
	struct env *e = start(ALL, NUM);

	place(e, desc, driver, device);
	v_kick(&e->q);
	assert_true(v_get(e->d, V_STATUS) & 64 || !v_get(e->d, V_QUEUE_READY));
	assert_true(e->d->dev->guest_errors > 0);
	end(e);
}

/* Rings anywhere: what is not memory breaks; what overlaps only harms the guest. */
static void test_ring_places(void **state)
{
	static const hull_gpa bad[] = { 0, HOLE, RIG_MMIO, RAM_END - 2,
		                        UINT64_MAX & ~UINT64_C(15) };
	struct env *e;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		ring_breaks(bad[i], RIG_RAM + 0x1000, RIG_RAM + 0x2000);
		ring_breaks(RIG_RAM, RIG_RAM + 0x1000, bad[i]);
	}
	ring_breaks(RIG_RAM, RIG_RAM + 0x1000, RIG_ROM);
	for (unsigned i = 1; i < 16; i++)
		ring_breaks(RIG_RAM + i, RIG_RAM + 0x1000, RIG_RAM + 0x2000);
	ring_breaks(RIG_RAM, RIG_RAM + 0x1002, RIG_RAM + 0x2000);
	ring_breaks(RIG_RAM, RIG_RAM + 0x1000, RIG_RAM + 0x2002);
	ring_breaks(RIG_RAM, UINT64_MAX & ~UINT64_C(1), RIG_RAM + 0x2000);
	/* A driver area that is no memory wants to be interrupted. */
	e = start(ALL, NUM);
	place(e, RIG_RAM, HOLE, RIG_RAM + 0x2000);
	works(e);
	assert_true(e->d->irq.level[0]);
	end(e);
	/* A ring in a ROM: read, but never answered. */
	e = start(ALL, NUM);
	v_pdesc(e->rig, V_AT(e->q.desc, 0), &(struct vbuf){ BUF, 16, true }, 0, VD_AVAIL);
	place(e, RIG_ROM, RIG_RAM + 0x1000, RIG_RAM + 0x2000);
	v_kick(&e->q);
	assert_int_equal(v_get(e->d, V_STATUS), 15);
	end(e);
	for (unsigned i = 0; i < 64; i += 4) {
		e = start(ALL, NUM);
		place(e, RIG_RAM, RIG_RAM, RIG_RAM + i);
		v_pdesc(e->rig, RIG_RAM, &(struct vbuf){ RIG_RAM, 0x3000, true }, 0, VD_AVAIL);
		for (unsigned k = 0; k < 20; k++) {
			v_write16(e->rig, V_AT(RIG_RAM, k % NUM) + 14, k & 8 ? VD_USED : VD_AVAIL);
			v_kick(&e->q);
		}
		end(e);
	}
}

/* Part of the ring in another region: no view, but it works. */
static void test_two_regions(void **state)
{
	const uint64_t both[] = { ALL, VF_EVENT_IDX | VF_INDIRECT };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct env *e = start(both[k], NUM);

		v_negotiate(e->d, both[k]);
		assert_true(v_queue(e->d, 0, RIG_RAM + RIG_RAM_HALF - 0x40, NUM, &e->q));
		v_set(e->d, V_STATUS, 15);
		for (unsigned i = 0; i < 50; i++)
			works_as(e, 1 + i % NUM, 16, 0);
		end(e);
		e = start(both[k], NUM);
		v_negotiate(e->d, both[k]);
		assert_true(v_queue(e->d, 0, RIG_RAM + RIG_RAM_HALF - 0x2010, NUM, &e->q));
		v_set(e->d, V_STATUS, 15);
		for (unsigned i = 0; i < 50; i++)
			works_as(e, 1 + i % NUM, 16, 0);
		end(e);
	}
}

static void test_sizes(void **state)
{
	static const uint32_t wrong[] = { 0, 65, 128, 0x8000, 65535, 0x10000, UINT32_MAX };
	struct env *e = start(ALL, NUM);
	struct vqueue q;

	(void)state;
	v_negotiate(e->d, ALL);
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		v_set(e->d, V_QUEUE_NUM, wrong[i]);
		v_set(e->d, V_QUEUE_READY, 1);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	}
	for (unsigned n = 1; n <= 64; n++) {
		assert_true(v_queue(e->d, 0, RIG_RAM, (uint16_t)n, &q));
		v_set(e->d, V_QUEUE_READY, 0);
	}
	end(e);
}

static void want(struct env *e, uint16_t at, bool wrap, uint16_t how)
{
	v_write16(e->rig, e->q.avail, (uint16_t)(at | wrap << 15));
	v_write16(e->rig, e->q.avail + 2, how);
}

static bool interrupts(struct env *e)
{
	bool level;

	works(e);
	level = e->d->irq.level[0];
	v_set(e->d, V_INT_ACK, 1);
	return level;
}

static void test_events(void **state)
{
	struct env *e = start(ALL, NUM);

	(void)state;
	/* The device asks for a notification about the next descriptor. */
	assert_int_equal(v_read16(e->rig, e->q.used), 0x8000);
	assert_int_equal(v_read16(e->rig, e->q.used + 2), DESC);
	assert_true(interrupts(e));
	assert_int_equal(v_read16(e->rig, e->q.used), 0x8001);
	want(e, 0, true, DISABLE);
	assert_false(interrupts(e));
	want(e, 4, true, DESC); /* positions used so far: 0, 1 */
	assert_false(interrupts(e));
	assert_false(interrupts(e));
	assert_true(interrupts(e));
	/* The next round's position 1. */
	want(e, 1, false, DESC);
	for (unsigned i = 5; i < NUM + 1; i++)
		assert_false(interrupts(e));
	assert_true(interrupts(e));
	/* Thresholds that never come, then a reset. */
	want(e, 0x7fff, true, DESC);
	for (unsigned i = 0; i < 40; i++)
		assert_false(interrupts(e));
	v_start(e->d, ALL, NUM, &e->q);
	assert_true(interrupts(e));
	/* A reserved value is no reason to be silent. */
	want(e, 0, true, 3);
	assert_true(interrupts(e));
	end(e);
	/* Without the feature: on or off. */
	e = start(VF_PACKED, NUM);
	assert_int_equal(v_read16(e->rig, e->q.used + 2), ENABLE);
	want(e, 5, true, DESC);
	assert_true(interrupts(e));
	want(e, 0, true, DISABLE);
	assert_false(interrupts(e));
	end(e);
}

/* A snapshot in the middle of a round; then indexes that no ring has. */
static void test_snapshot(void **state)
{
	static uint8_t state_buf[1 << 16];
	struct env *e = start(ALL, 5);
	struct hull_virtq *q = ((struct hull_virtio *)e->d->dev)->queue;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 23; i++) {
		works_as(e, 1 + i % 3, 16, 0);
		n = rig_save(e->d, state_buf, sizeof(state_buf));
		v_set(e->d, V_STATUS, 0);
		assert_int_equal(rig_load(e->d, state_buf, n), 0);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 1);
	}
	q->last_avail = 5;
	n = rig_save(e->d, state_buf, sizeof(state_buf));
	assert_int_equal(rig_load(e->d, state_buf, n), 0);
	assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	end(e);
}

/* Features that are switched off by a property are not offered. */
static void test_properties(void **state)
{
	static const uint64_t bits[] = { VF_PACKED, VF_IN_ORDER, VF_EVENT_IDX };
	const struct hull_dev_type *type = hull_dev_type_find("virtio-rng");

	(void)state;
	for (unsigned off = 0; off < 8; off++) {
		const uint64_t args[] = { !(off & 1), !(off & 2), !(off & 4) };
		struct rig *rig = rig_new();
		struct rig_dev *d = rig_add(rig, type, args, 3, NULL);

		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(v_negotiate(d, bits[i]), args[i]);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_works),         cmocka_unit_test(test_batches),
		cmocka_unit_test(test_chains),        cmocka_unit_test(test_ids),
		cmocka_unit_test(test_wrap_counters), cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_buffers),       cmocka_unit_test(test_ring_places),
		cmocka_unit_test(test_two_regions),   cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_events),        cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_properties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
