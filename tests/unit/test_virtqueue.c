/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Virtqueues and the mmio transport against a hostile driver, with virtio-rng
 * as the device behind them since it accepts any buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "dev/virtio/virtio.h"
#include "support/membackend.h"
#include "support/vdriver.h"

#define BUF     (RIG_RAM + 0x10000)
#define TABLE   (RIG_RAM + 0x20000)
#define HOLE    (RIG_RAM + RIG_RAM_SIZE)
#define ALL     (VF_INDIRECT | VF_EVENT_IDX)
#define RAM_END (RIG_RAM + RIG_RAM_SIZE)

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

/* One buffer goes through: `len` bytes come back. */
static void works(struct env *e, uint32_t len)
{
	uint32_t id, got;

	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, len, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &got));
	assert_int_equal(id, 0);
	assert_int_equal(got, len);
}

/* The queue is broken: status, configuration interrupt, nothing used; a reset repairs it. */
static void is_broken(struct env *e)
{
	uint32_t id, len;

	assert_int_equal(v_get(e->d, V_STATUS), 15 | 64);
	assert_int_equal(v_get(e->d, V_INT_STATUS) & 2, 2);
	assert_true(e->d->irq.level[0]);
	assert_true(e->d->dev->guest_errors > 0);
	assert_false(v_used(&e->q, &id, &len));
	v_kick(&e->q);
	assert_false(v_used(&e->q, &id, &len));
	v_start(e->d, ALL, 8, &e->q);
	assert_false(e->d->irq.level[0]);
	works(e, 16);
	end(e);
}

static void submit_breaks(struct env *e, uint16_t head)
{
	v_avail(&e->q, head);
	v_kick(&e->q);
	is_broken(e);
}

static void test_loops(void **state)
{
	struct env *e = start(0, 8);

	(void)state;
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE | VD_NEXT, 0);
	submit_breaks(e, 0);
	e = start(0, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE | VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), BUF, 16, VD_WRITE | VD_NEXT, 0);
	submit_breaks(e, 0);
	/* The same in an indirect table, and with empty buffers. */
	e = start(ALL, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), TABLE, 32, VD_INDIRECT, 0);
	v_desc(e->rig, V_AT(TABLE, 0), BUF, 0, VD_WRITE | VD_NEXT, 1);
	v_desc(e->rig, V_AT(TABLE, 1), BUF, 0, VD_WRITE | VD_NEXT, 0);
	submit_breaks(e, 0);
}

static void test_numbers_out_of_range(void **state)
{
	static const uint16_t wrong[] = { 8, 9, 255, 256, 0x7fff, 0x8000, 0xffff };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		struct env *e = start(0, 8);

		v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE | VD_NEXT, wrong[i]);
		submit_breaks(e, 0);
		submit_breaks(start(0, 8), wrong[i]);
	}
}

static void test_chain_lengths(void **state)
{
	struct env *e = start(ALL, 8);
	uint32_t id, len;

	(void)state;
	/* Exactly as long as the queue. */
	for (unsigned i = 0; i < 8; i++)
		v_desc(e->rig, V_AT(e->q.desc, i), BUF + 16 * i, 16,
		       VD_WRITE | (i < 7 ? VD_NEXT : 0), (uint16_t)(i + 1));
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 128);
	/* Longer, in an indirect table. */
	v_desc(e->rig, V_AT(e->q.desc, 0), TABLE, 16 * 9, VD_INDIRECT, 0);
	for (unsigned i = 0; i < 9; i++)
		v_desc(e->rig, V_AT(TABLE, i), BUF, 16, VD_WRITE | (i < 8 ? VD_NEXT : 0),
		       (uint16_t)(i + 1));
	submit_breaks(e, 0);
	/* All of length zero, and a readable one only: nothing to fill. */
	e = start(ALL, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 0, VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), BUF, 0, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 0);
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 64, 0, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 0);
	end(e);
}

static void indirect_breaks(hull_gpa addr, uint32_t len, uint16_t flags)
{
	struct env *e = start(ALL, 8);

	v_desc(e->rig, V_AT(e->q.desc, 0), addr, len, flags, 1);
	v_desc(e->rig, V_AT(TABLE, 0), BUF, 16, VD_WRITE, 0);
	submit_breaks(e, 0);
}

static void test_indirect(void **state)
{
	struct env *e = start(ALL, 8);
	uint32_t id, len;

	(void)state;
	/* Ordinary descriptors may come before (2.7.5.3.2); the table may be long. */
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), TABLE, 16 * 65535, VD_INDIRECT, 0);
	v_desc(e->rig, V_AT(TABLE, 0), BUF, 16, VD_WRITE | VD_NEXT, 100);
	v_desc(e->rig, V_AT(TABLE, 100), BUF, 16, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 32);
	/* What no descriptor leads to may be no memory. */
	v_desc(e->rig, V_AT(e->q.desc, 0), RAM_END - 32, 16 * 8, VD_INDIRECT, 0);
	v_desc(e->rig, RAM_END - 32, BUF, 16, VD_WRITE | VD_NEXT, 1);
	v_desc(e->rig, RAM_END - 16, BUF, 16, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 32);
	end(e);
	/* Inside another one; not negotiated. */
	e = start(ALL, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), TABLE, 16, VD_INDIRECT, 0);
	v_desc(e->rig, V_AT(TABLE, 0), TABLE, 16, VD_INDIRECT, 0);
	submit_breaks(e, 0);
	e = start(0, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), TABLE, 16, VD_INDIRECT, 0);
	submit_breaks(e, 0);
	indirect_breaks(TABLE, 17, VD_INDIRECT);
	indirect_breaks(TABLE, 0, VD_INDIRECT);
	indirect_breaks(TABLE, 15, VD_INDIRECT);
	indirect_breaks(TABLE, UINT32_MAX, VD_INDIRECT);
	indirect_breaks(TABLE, 16, VD_INDIRECT | VD_NEXT);
	indirect_breaks(HOLE, 16, VD_INDIRECT);
	indirect_breaks(UINT64_MAX - 7, 16, VD_INDIRECT);
	indirect_breaks(RIG_MMIO, 16, VD_INDIRECT);
}

static void buffer_breaks(hull_gpa addr, uint32_t len)
{
	struct env *e = start(ALL, 8);

	v_desc(e->rig, V_AT(e->q.desc, 0), addr, len, VD_WRITE, 0);
	submit_breaks(e, 0);
}

static void test_buffers(void **state)
{
	struct env *e = start(ALL, 8);
	uint32_t id, len;

	(void)state;
	/* Across two adjacent regions, and up to the very end of memory. */
	v_desc(e->rig, V_AT(e->q.desc, 0), RIG_RAM + RIG_RAM_HALF - 8, 16, VD_WRITE | VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), RAM_END - 16, 16, VD_WRITE, 0);
	v_avail(&e->q, 0);
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
	/* The device's own registers: no recursion. */
	buffer_breaks(RIG_MMIO, 0x100);
	/* Readable after writable. */
	e = start(ALL, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE | VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), BUF, 16, 0, 0);
	submit_breaks(e, 0);
	/* A huge buffer is bounded. */
	e = start(ALL, 8);
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 0x100000, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 4096);
	end(e);
}

static void test_avail_index(void **state)
{
	static const uint16_t wrong[] = { 9, 100, 0x8000, 0xffff };
	struct env *e;
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		e = start(0, 8);
		v_write16(e->rig, e->q.avail + 2, wrong[i]);
		v_kick(&e->q);
		is_broken(e);
	}
	/* Backwards. */
	e = start(0, 8);
	works(e, 16);
	works(e, 16);
	v_write16(e->rig, e->q.avail + 2, 1);
	v_kick(&e->q);
	assert_int_equal(v_get(e->d, V_STATUS) & 64, 64);
	end(e);
	/* A full ring, and many times around. */
	e = start(ALL, 8);
	for (unsigned round = 0; round < 9000; round++) {
		v_desc(e->rig, V_AT(e->q.desc, round % 8), BUF, 1, VD_WRITE, 0);
		for (unsigned i = 0; i < 8; i++)
			v_avail(&e->q, (uint16_t)(round % 8));
		v_kick(&e->q);
		for (unsigned i = 0; i < 8; i++)
			assert_true(v_used(&e->q, &id, &len));
		assert_false(v_used(&e->q, &id, &len));
	}
	end(e);
}

/* Rings anywhere: what is not memory breaks; what overlaps only harms the guest. */
static void ring_breaks(hull_gpa desc, hull_gpa avail, hull_gpa used)
{
	struct env *e = start(ALL, 8);
	uint16_t one = 1;

	v_negotiate(e->d, ALL);
	v_set(e->d, V_QUEUE_NUM, 8);
	v_set(e->d, V_DESC, (uint32_t)desc);
	v_set(e->d, V_DESC + 4, (uint32_t)(desc >> 32));
	v_set(e->d, V_DRIVER, (uint32_t)avail);
	v_set(e->d, V_DRIVER + 4, (uint32_t)(avail >> 32));
	v_set(e->d, V_DEVICE, (uint32_t)used);
	v_set(e->d, V_DEVICE + 4, (uint32_t)(used >> 32));
	v_set(e->d, V_QUEUE_READY, 1);
	if (hull_mem_write(e->rig->vm, avail + 2, &one, 2))
		v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE, 0);
	v_set(e->d, V_STATUS, 15);
	v_kick(&e->q);
	assert_true(v_get(e->d, V_STATUS) & 64 || !v_get(e->d, V_QUEUE_READY));
	assert_true(e->d->dev->guest_errors > 0);
	end(e);
}

static void test_ring_places(void **state)
{
	static const hull_gpa bad[] = { 0, HOLE, RIG_MMIO, RAM_END - 4,
		                        UINT64_MAX & ~UINT64_C(15) };
	struct env *e;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		ring_breaks(bad[i], RIG_RAM + 0x1000, RIG_RAM + 0x2000);
		ring_breaks(RIG_RAM, bad[i], RIG_RAM + 0x2000);
		ring_breaks(RIG_RAM, RIG_RAM + 0x1000, bad[i]);
	}
	ring_breaks(RIG_RAM, RIG_RAM + 0x1000, RIG_ROM);
	for (unsigned i = 1; i < 16; i++)
		ring_breaks(RIG_RAM + i, RIG_RAM + 0x1000, RIG_RAM + 0x2000);
	ring_breaks(RIG_RAM, RIG_RAM + 0x1001, RIG_RAM + 0x2000);
	ring_breaks(RIG_RAM, RIG_RAM + 0x1000, RIG_RAM + 0x2002);
	/* All three in one place, and a buffer that covers them. */
	for (unsigned i = 0; i < 64; i += 4) {
		e = start(ALL, 8);
		v_negotiate(e->d, ALL);
		v_set(e->d, V_QUEUE_NUM, 8);
		v_set(e->d, V_DESC, (uint32_t)RIG_RAM);
		v_set(e->d, V_DRIVER, (uint32_t)RIG_RAM);
		v_set(e->d, V_DEVICE, (uint32_t)RIG_RAM + i);
		v_set(e->d, V_QUEUE_READY, 1);
		v_set(e->d, V_STATUS, 15);
		v_desc(e->rig, V_AT(RIG_RAM, 0), RIG_RAM, 0x3000, VD_WRITE, 0);
		for (unsigned k = 0; k < 20; k++) {
			v_write16(e->rig, RIG_RAM + 2, (uint16_t)k);
			v_kick(&e->q);
		}
		end(e);
	}
}

static void test_queue_sizes(void **state)
{
	static const uint32_t wrong[] = { 0,     3,       65,      128,         0x8000,
		                          65535, 0x10000, 0x10008, 0x80000000u, UINT32_MAX };
	struct env *e = start(ALL, 8);
	struct vqueue q;

	(void)state;
	v_negotiate(e->d, ALL);
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		v_set(e->d, V_QUEUE_NUM, wrong[i]);
		v_set(e->d, V_QUEUE_READY, 1);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	}
	for (unsigned n = 1; n <= 64; n *= 2) {
		assert_true(v_queue(e->d, 0, RIG_RAM, (uint16_t)n, &q));
		/* Changed and enabled again while it is enabled: no effect. */
		v_set(e->d, V_QUEUE_NUM, 2 * n);
		v_set(e->d, V_DESC, 0x1234);
		v_set(e->d, V_QUEUE_READY, 1);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 1);
		v_set(e->d, V_QUEUE_READY, 0);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	}
	/* Before FEATURES_OK. */
	v_set(e->d, V_STATUS, 0);
	v_set(e->d, V_STATUS, 3);
	assert_false(v_queue(e->d, 0, RIG_RAM, 8, &q));
	end(e);
}

static void test_notify(void **state)
{
	struct env *e = start(ALL, 8);
	uint32_t id, len;

	(void)state;
	v_set(e->d, V_NOTIFY, 1);
	v_set(e->d, V_NOTIFY, UINT32_MAX);
	assert_int_equal(e->d->dev->guest_errors, 2);
	/* Disabled, and of a device in reset. */
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_set(e->d, V_QUEUE_READY, 0);
	v_kick(&e->q);
	assert_false(v_used(&e->q, &id, &len));
	v_set(e->d, V_STATUS, 0);
	v_kick(&e->q);
	assert_false(v_used(&e->q, &id, &len));
	/* Before DRIVER_OK: served as soon as that comes. */
	v_start(e->d, ALL, 8, &e->q);
	v_negotiate(e->d, ALL);
	assert_true(v_queue(e->d, 0, RIG_RAM, 8, &e->q));
	v_desc(e->rig, V_AT(e->q.desc, 0), BUF, 16, VD_WRITE, 0);
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_false(v_used(&e->q, &id, &len));
	v_set(e->d, V_STATUS, 15);
	assert_true(v_used(&e->q, &id, &len));
	/* A storm without requests costs nothing but time and raises nothing. */
	v_set(e->d, V_INT_ACK, 3);
	for (unsigned i = 0; i < 100000; i++)
		v_kick(&e->q);
	assert_false(e->d->irq.level[0]);
	end(e);
}

static void test_queue_select(void **state)
{
	static const uint32_t regs[] = { V_QUEUE_NUM, V_QUEUE_READY, V_DESC,   V_DESC + 4,
		                         V_DRIVER,    V_DRIVER + 4,  V_DEVICE, V_DEVICE + 4 };
	static const uint32_t wrong[] = { 1, 3, 4, 5, 0xffff, 0x10000, UINT32_MAX };
	struct env *e = start(ALL, 8);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		v_set(e->d, V_QUEUE_SEL, wrong[i]);
		assert_int_equal(v_get(e->d, V_QUEUE_MAX), 0);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
		for (unsigned k = 0; k < ARRAY_LEN(regs); k++)
			v_set(e->d, regs[k], UINT32_MAX);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	}
	v_set(e->d, V_QUEUE_SEL, 0);
	assert_int_equal(v_get(e->d, V_QUEUE_READY), 1);
	works(e, 16);
	end(e);
}

static void test_event_index(void **state)
{
	struct env *e = start(VF_EVENT_IDX, 8);
	hull_gpa used_event = e->q.avail + 4 + 2 * 8, avail_event = e->q.used + 4 + 8 * 8;

	(void)state;
	/* The device asks for a notification about the next entry. */
	assert_int_equal(v_read16(e->rig, avail_event), 0);
	works(e, 16);
	assert_true(e->d->irq.level[0]);
	assert_int_equal(v_read16(e->rig, avail_event), 1);
	v_set(e->d, V_INT_ACK, 1);
	/* Not before entry 3 is used. */
	v_write16(e->rig, used_event, 3);
	works(e, 16);
	works(e, 16);
	assert_false(e->d->irq.level[0]);
	works(e, 16);
	assert_true(e->d->irq.level[0]);
	v_set(e->d, V_INT_ACK, 1);
	/* A threshold in the past suppresses everything; a reset forgets it. */
	v_write16(e->rig, used_event, 3);
	for (unsigned i = 0; i < 20; i++)
		works(e, 16);
	assert_false(e->d->irq.level[0]);
	v_start(e->d, VF_EVENT_IDX, 8, &e->q);
	works(e, 16);
	assert_true(e->d->irq.level[0]);
	end(e);
	/* Without the feature: the flag. */
	e = start(0, 8);
	v_write16(e->rig, e->q.avail, 1);
	works(e, 16);
	assert_false(e->d->irq.level[0]);
	v_write16(e->rig, e->q.avail, 0);
	works(e, 16);
	assert_true(e->d->irq.level[0]);
	end(e);
}

static void test_features(void **state)
{
	struct env *e = start(ALL, 8);
	uint64_t errors;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		bool offered =
			BIT(bit) & (ALL | VF_RING_RESET | VF_PACKED | VF_IN_ORDER | VF_VERSION_1);

		assert_int_equal(v_negotiate(e->d, BIT(bit)), offered);
	}
	/* VERSION_1 is not optional. */
	v_set(e->d, V_STATUS, 0);
	v_set(e->d, V_STATUS, 3);
	v_set(e->d, V_STATUS, 11);
	assert_int_equal(v_get(e->d, V_STATUS), 3);
	/* Written after FEATURES_OK: without effect.  Selectors out of range. */
	assert_true(v_negotiate(e->d, ALL));
	errors = e->d->dev->guest_errors;
	v_set(e->d, V_DRIVER_SEL, 0);
	v_set(e->d, V_DRIVER_FEATURES, UINT32_MAX);
	v_set(e->d, V_DRIVER_SEL, 2);
	v_set(e->d, V_DRIVER_FEATURES, UINT32_MAX);
	v_set(e->d, V_DRIVER_SEL, UINT32_MAX);
	v_set(e->d, V_DRIVER_FEATURES, UINT32_MAX);
	assert_int_equal(e->d->dev->guest_errors, errors + 3);
	v_set(e->d, V_DEVICE_SEL, 2);
	assert_int_equal(v_get(e->d, V_DEVICE_FEATURES), 0);
	v_set(e->d, V_DEVICE_SEL, UINT32_MAX);
	assert_int_equal(v_get(e->d, V_DEVICE_FEATURES), 0);
	end(e);
}

/* 2.6.1: one queue alone is reset, and set up again while the device goes on. */
static void test_ring_reset(void **state)
{
	struct env *e = start(VF_RING_RESET, 8);

	(void)state;
	works(e, 16);
	v_set(e->d, V_QUEUE_RESET, 0);
	assert_int_equal(v_get(e->d, V_QUEUE_READY), 1);
	v_set(e->d, V_QUEUE_RESET, 1);
	assert_int_equal(v_get(e->d, V_QUEUE_RESET), 0);
	assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	assert_int_equal(v_get(e->d, V_STATUS), 15);
	assert_true(v_queue(e->d, 0, RIG_RAM + 0x4000, 16, &e->q));
	works(e, 16);
	assert_int_equal(e->d->dev->guest_errors, 0);
	/* Of a queue that is not there; without the feature. */
	v_set(e->d, V_QUEUE_SEL, 1);
	v_set(e->d, V_QUEUE_RESET, 1);
	assert_int_equal(e->d->dev->guest_errors, 1);
	v_start(e->d, 0, 8, &e->q);
	v_set(e->d, V_QUEUE_RESET, 1);
	assert_int_equal(e->d->dev->guest_errors, 2);
	works(e, 16);
	end(e);
}

/* The driver is told once it listens, and sees another generation. */
static void test_config_change(void **state)
{
	struct env *e = start(ALL, 8);
	struct hull_virtio *v = (struct hull_virtio *)e->d->dev;
	uint32_t generation = v_get(e->d, V_GENERATION);

	(void)state;
	hull_dev_enter(e->d->dev);
	hull_virtio_config_changed(v);
	hull_dev_leave(e->d->dev);
	assert_int_equal(v_get(e->d, V_INT_STATUS), 2);
	assert_true(e->d->irq.level[0]);
	assert_int_not_equal(v_get(e->d, V_GENERATION), generation);
	v_set(e->d, V_INT_ACK, 2);
	assert_false(e->d->irq.level[0]);
	v_set(e->d, V_STATUS, 0);
	hull_dev_enter(e->d->dev);
	hull_virtio_config_changed(v);
	hull_dev_leave(e->d->dev);
	assert_false(e->d->irq.level[0]);
	end(e);
}

static void test_status(void **state)
{
	struct env *e = start(ALL, 8);

	(void)state;
	v_set(e->d, V_STATUS, 0);
	/* Steps skipped: the later ones do not stick. */
	v_set(e->d, V_STATUS, 4);
	assert_int_equal(v_get(e->d, V_STATUS), 0);
	v_set(e->d, V_STATUS, 8);
	assert_int_equal(v_get(e->d, V_STATUS), 0);
	v_set(e->d, V_STATUS, 64);
	assert_int_equal(v_get(e->d, V_STATUS), 0);
	v_set(e->d, V_STATUS, 0xffffff00);
	assert_int_equal(v_get(e->d, V_STATUS), 0);
	/* Bits cannot be cleared without a reset. */
	v_start(e->d, ALL, 8, &e->q);
	v_set(e->d, V_STATUS, 1);
	assert_int_equal(v_get(e->d, V_STATUS), 15);
	v_set(e->d, V_STATUS, 15 | 128);
	assert_int_equal(v_get(e->d, V_STATUS), 15 | 128);
	v_set(e->d, V_STATUS, 0);
	assert_int_equal(v_get(e->d, V_STATUS), 0);
	v_start(e->d, ALL, 8, &e->q);
	works(e, 16);
	end(e);
}

/* Requests that were taken go back to the ring; several are returned at once. */
static void take_back_and_push_all(uint64_t features)
{
	struct env *e = start(features, 8);
	struct hull_virtq *q = ((struct hull_virtio *)e->d->dev)->queue, before;
	struct hull_virtq_chain *c = calloc(1, sizeof(*c));
	struct hull_virtq_used used[3];
	uint32_t id, len;

	assert_non_null(c);
	e->q.next_id = 5;
	for (uint16_t i = 0; i < 3; i++)
		v_post(&e->q, &(struct vbuf){ BUF, 16, true }, 1, 0);
	before = *q;
	for (unsigned round = 0; round < 2; round++) {
		for (uint16_t i = 0; i < 3; i++) {
			assert_int_equal(hull_virtq_peek(q, c), 1);
			assert_int_equal(c->head, 5 + i);
			used[i] = (struct hull_virtq_used){ c->head, 100u + i };
			hull_virtq_take(q);
		}
		assert_int_equal(hull_virtq_peek(q, c), 0);
		if (!round)
			*q = before;
	}
	assert_int_equal(hull_virtq_push_all(q, used, 3), 0);
	assert_false(v_used(&e->q, &id, &len));
	assert_true(hull_virtq_must_signal(q));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(v_used(&e->q, &id, &len));
		assert_int_equal(id, 5 + i);
		assert_int_equal(len, 100 + i);
	}
	free(c);
	end(e);
}

static void test_take_back_and_push_all(void **state)
{
	(void)state;
	take_back_and_push_all(0);
	take_back_and_push_all(VF_IN_ORDER);
	take_back_and_push_all(VF_PACKED);
	take_back_and_push_all(VF_PACKED | VF_IN_ORDER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loops),         cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_chain_lengths), cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_buffers),       cmocka_unit_test(test_avail_index),
		cmocka_unit_test(test_ring_places),   cmocka_unit_test(test_queue_sizes),
		cmocka_unit_test(test_notify),        cmocka_unit_test(test_queue_select),
		cmocka_unit_test(test_event_index),   cmocka_unit_test(test_features),
		cmocka_unit_test(test_status),        cmocka_unit_test(test_ring_reset),
		cmocka_unit_test(test_config_change), cmocka_unit_test(test_take_back_and_push_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
