/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-blk: what requests do, what a hostile driver may ask, and resets with requests in flight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/aspace.h"
#include "host/block/disk.h"
#include "support/membackend.h"
#include "support/memimage.h"
#include "support/vdriver.h"

#define HEADER (RIG_RAM + 0x8000)
#define STATUS (RIG_RAM + 0x9000)
#define DATA   (RIG_RAM + 0x10000)
#define DATA2  (RIG_RAM + 0x20000)
#define RANGE  (HEADER + 16)

enum { DISK = 1 << 20, NUM = 128 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13, SECURE_ERASE = 14 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xff };

#define F_RO         (UINT64_C(1) << 5)
#define F_FLUSH      (UINT64_C(1) << 9)
#define F_DISCARD    (UINT64_C(1) << 13)
#define F_CONFIG_WCE (UINT64_C(1) << 11)

struct env {
	struct rig *rig;
	struct membackend *disk;
	struct rig_dev *d;
	struct vqueue q;
	uint16_t posted;
};

/* How rings look; every test of requests in flight runs with each. */
static const uint64_t formats[] = { 0,
	                            VF_EVENT_IDX,
	                            VF_IN_ORDER,
	                            VF_PACKED,
	                            VF_PACKED | VF_EVENT_IDX,
	                            VF_PACKED | VF_IN_ORDER | VF_EVENT_IDX };
static uint64_t format;
static bool batches; /* of the backend */

static struct env *start_with(bool async, bool read_only)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->disk = membackend_new(DISK, async);
	e->disk->b.read_only = read_only;
	e->disk->batch = batches;
	for (unsigned i = 0; i < DISK; i++)
		e->disk->data[i] = (uint8_t)(i / 512 + i);
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-blk"), NULL, 0, &e->disk->b);
	v_start(e->d, VF_INDIRECT | format, NUM, &e->q);
	return e;
}

static struct env *start(void)
{
	return start_with(false, false);
}

static void end(struct env *e)
{
	rig_free(e->rig);
	membackend_free(e->disk);
	free(e);
}

static void put(struct env *e, hull_gpa gpa, const void *buf, uint64_t len)
{
	assert_true(hull_mem_write(e->rig->vm, gpa, buf, len));
}

static uint8_t *get(struct env *e, hull_gpa gpa, uint64_t len)
{
	static uint8_t buf[65536];

	assert_true(len <= sizeof(buf) && hull_mem_read(e->rig->vm, gpa, buf, len));
	return buf;
}

/* Rings at `base` are empty. */
static void clear(struct env *e, hull_gpa base)
{
	static const uint8_t zero[0x3000];

	put(e, base, zero, sizeof(zero));
}

static void header(struct env *e, uint32_t type, uint64_t sector)
{
	uint8_t raw[16] = { 0 };

	store_le32(raw, type);
	store_le64(raw + 8, sector);
	put(e, HEADER, raw, sizeof(raw));
	put(e, STATUS, &(uint8_t){ NONE }, 1);
}

/* Header, one buffer (if len), status. */
static void post(struct env *e, hull_gpa data, uint32_t len, bool device_writes)
{
	const struct vbuf with[] = { { HEADER, 16, false },
		                     { data, len, device_writes },
		                     { STATUS, 1, true } };
	const struct vbuf without[] = { with[0], with[2] };

	e->posted = len ? v_post(&e->q, with, 3, 0) : v_post(&e->q, without, 2, 0);
	v_kick(&e->q);
}

/* The answer, which async backends give a little later. */
static unsigned answer(struct env *e, uint32_t *ret_len)
{
	uint32_t id;

	for (unsigned i = 0; i < 5000 && !v_used(&e->q, &id, ret_len); i++) {
		usleep(1000);
		if (i == 4999)
			fail_msg("no answer");
	}
	assert_int_equal(id, e->posted);
	return *get(e, STATUS, 1);
}

static unsigned request(struct env *e, uint32_t type, uint64_t sector, uint32_t len)
{
	bool device_writes = type == IN || type == GET_ID;
	uint32_t got;

	header(e, type, sector);
	post(e, DATA, len, device_writes);
	return answer(e, &got);
}

static unsigned range(struct env *e, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	uint8_t raw[16];
	uint32_t got;

	store_le64(raw, sector);
	store_le32(raw + 8, n);
	store_le32(raw + 12, flags);
	header(e, type, 0);
	put(e, RANGE, raw, sizeof(raw));
	post(e, RANGE, sizeof(raw), false);
	return answer(e, &got);
}

static void read_write(bool async)
{
	struct env *e = start_with(async, false);
	uint8_t buf[4096];
	uint32_t len;

	header(e, IN, 3);
	post(e, DATA, 1024, true);
	assert_int_equal(answer(e, &len), OK);
	assert_int_equal(len, 1025);
	assert_memory_equal(get(e, DATA, 1024), e->disk->data + 3 * 512, 1024);
	memset(buf, 0xa7, sizeof(buf));
	put(e, DATA, buf, sizeof(buf));
	header(e, OUT, 8);
	post(e, DATA, sizeof(buf), false);
	assert_int_equal(answer(e, &len), OK);
	assert_int_equal(len, 1);
	assert_memory_equal(e->disk->data + 8 * 512, buf, sizeof(buf));
	assert_int_not_equal(e->disk->data[8 * 512 - 1], 0xa7);
	assert_int_not_equal(e->disk->data[16 * 512], 0xa7);
	assert_int_equal(request(e, FLUSH, 0, 0), OK);
	assert_int_equal(range(e, ZEROES, 8, 2, 1), OK);
	assert_int_equal(e->disk->data[8 * 512], 0);
	assert_int_equal(e->disk->data[10 * 512], 0xa7);
	assert_int_equal(range(e, DISCARD, 10, 1, 0), OK);
	assert_int_equal(e->disk->data[10 * 512], 0xdd);
	assert_int_equal(request(e, GET_ID, 0, 20), OK);
	assert_string_equal((char *)get(e, DATA, 20), "memory-disk");
	assert_int_equal(e->d->dev->guest_errors, 0);
	end(e);
}

/* In each format, with a backend that answers one by one and in batches. */
static void each(void (*test)(void))
{
	for (unsigned i = 0; i < 2 * ARRAY_LEN(formats); i++) {
		format = formats[i / 2];
		batches = i % 2;
		test();
	}
	format = 0;
	batches = false;
}

static void read_write_both(void)
{
	read_write(false);
	read_write(true);
}

static void test_read_write(void **state)
{
	(void)state;
	each(read_write_both);
}

/* The last sector works, the next does not; sums and products that wrap do not. */
static void test_limits(void **state)
{
	static const uint64_t beyond[] = { DISK / 512,        UINT64_MAX,
		                           UINT64_MAX / 512,  UINT64_MAX / 512 - 1,
		                           UINT64_C(1) << 55, UINT64_C(1) << 63 };
	struct env *e = start();

	(void)state;
	assert_int_equal(request(e, IN, DISK / 512 - 1, 512), OK);
	assert_int_equal(request(e, IN, DISK / 512 - 1, 1024), IOERR);
	assert_int_equal(request(e, OUT, DISK / 512 - 1, 1024), IOERR);
	for (unsigned i = 0; i < ARRAY_LEN(beyond); i++) {
		assert_int_equal(request(e, IN, beyond[i], 512), IOERR);
		assert_int_equal(request(e, OUT, beyond[i], 512), IOERR);
		assert_int_equal(range(e, DISCARD, beyond[i], 1, 0), IOERR);
		assert_int_equal(range(e, ZEROES, beyond[i], 1, 0), IOERR);
	}
	assert_int_equal(range(e, DISCARD, 0, UINT32_MAX, 0), IOERR);
	assert_int_equal(range(e, ZEROES, DISK / 512 - 1, 2, 0), IOERR);
	/* Not whole sectors; nothing at all. */
	assert_int_equal(request(e, IN, 0, 511), IOERR);
	assert_int_equal(request(e, OUT, 0, 513), IOERR);
	assert_int_equal(request(e, IN, 0, 0), OK);
	assert_int_equal(request(e, OUT, 0, 0), OK);
	assert_int_equal(range(e, ZEROES, 0, 0, 0), OK);
	/* Only whole ranges, not too many; unknown flags. */
	assert_int_equal(request(e, DISCARD, 0, 0), IOERR);
	assert_int_equal(request(e, DISCARD, 0, 15), IOERR);
	assert_int_equal(request(e, DISCARD, 0, 33 * 16), IOERR);
	assert_int_equal(request(e, DISCARD, 0, 1u << 31), IOERR);
	assert_int_equal(range(e, DISCARD, 0, 1, 1), UNSUPP);
	assert_int_equal(range(e, ZEROES, 0, 1, 2), UNSUPP);
	assert_int_equal(request(e, SECURE_ERASE, 0, 16), UNSUPP);
	assert_int_equal(request(e, UINT32_MAX, 0, 16), UNSUPP);
	/* An identification into less, or far more, than it has. */
	assert_int_equal(request(e, GET_ID, 0, 0), OK);
	assert_int_equal(request(e, GET_ID, 0, 5), OK);
	assert_int_equal(request(e, GET_ID, 0, 1u << 31), OK);
	assert_int_equal(request(e, IN, 0, 1u << 31), IOERR);
	end(e);
}

static void test_read_only(void **state)
{
	struct env *e = start_with(false, true);

	(void)state;
	v_set(e->d, V_DEVICE_SEL, 0);
	assert_true(v_get(e->d, V_DEVICE_FEATURES) & F_RO);
	assert_false(v_get(e->d, V_DEVICE_FEATURES) & F_DISCARD);
	assert_int_equal(request(e, IN, 0, 512), OK);
	assert_int_equal(request(e, OUT, 0, 512), IOERR);
	assert_int_equal(range(e, DISCARD, 0, 1, 0), IOERR);
	assert_int_equal(range(e, ZEROES, 0, 1, 0), IOERR);
	assert_int_equal(request(e, FLUSH, 0, 0), OK);
	for (unsigned i = 0; i < DISK; i++)
		assert_int_equal(e->disk->data[i], (uint8_t)(i / 512 + i));
	end(e);
}

static void errors_of_the_backend(void)
{
	for (int async = 0; async < 2; async++) {
		struct env *e = start_with(async, false);
		uint32_t len;

		e->disk->fail = HULL_EIO;
		header(e, IN, 0);
		post(e, DATA, 512, true);
		assert_int_equal(answer(e, &len), IOERR);
		assert_int_equal(len, 0);
		assert_int_equal(request(e, OUT, 0, 512), IOERR);
		assert_int_equal(request(e, FLUSH, 0, 0), IOERR);
		e->disk->fail = HULL_ENOTSUP;
		assert_int_equal(range(e, DISCARD, 0, 1, 0), UNSUPP);
		e->disk->fail = 0;
		assert_int_equal(request(e, IN, 0, 512), OK);
		end(e);
	}
}

static void test_errors_of_the_backend(void **state)
{
	(void)state;
	each(errors_of_the_backend);
}

/* A driver that did not take the flush feature gets a flush after each change. */
static void test_write_through(void **state)
{
	(void)state;
	for (int async = 0; async < 2; async++) {
		struct env *e = start_with(async, false);
		unsigned before = e->disk->submitted;

		v_start(e->d, F_FLUSH | format, NUM, &e->q);
		assert_int_equal(request(e, OUT, 0, 512), OK);
		assert_int_equal(e->disk->submitted, before + 1);
		v_start(e->d, format, NUM, &e->q);
		assert_int_equal(request(e, OUT, 0, 512), OK);
		assert_int_equal(e->disk->submitted, before + 3);
		assert_int_equal(e->disk->last, HULL_BLOCK_FLUSH);
		assert_int_equal(range(e, ZEROES, 0, 1, 0), OK);
		assert_int_equal(e->disk->submitted, before + 5);
		assert_int_equal(request(e, IN, 0, 512), OK);
		assert_int_equal(request(e, FLUSH, 0, 0), OK);
		assert_int_equal(e->disk->submitted, before + 7);
		end(e);
	}
}

/* Buffers that are no memory: the request fails, the queue goes on. */
static void test_buffers(void **state)
{
	static const hull_gpa bad[] = { 0, RIG_MMIO, RIG_RAM + RIG_RAM_SIZE,
		                        RIG_RAM + RIG_RAM_SIZE - 256, RIG_RAM - 256 };
	struct env *e = start();
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		header(e, IN, 0);
		post(e, bad[i], 512, true);
		assert_int_equal(answer(e, &len), IOERR);
		header(e, OUT, 0);
		post(e, bad[i], 512, false);
		assert_int_equal(answer(e, &len), IOERR);
	}
	/* A ROM can be written to the disk, not read into. */
	header(e, OUT, 0);
	post(e, RIG_ROM, 512, false);
	assert_int_equal(answer(e, &len), OK);
	header(e, IN, 0);
	post(e, RIG_ROM, 512, true);
	assert_int_equal(answer(e, &len), IOERR);
	/* Across two regions: two windows. */
	header(e, IN, 5);
	post(e, RIG_RAM + RIG_RAM_HALF - 100, 512, true);
	assert_int_equal(answer(e, &len), OK);
	assert_memory_equal(get(e, RIG_RAM + RIG_RAM_HALF - 100, 512), e->disk->data + 5 * 512,
	                    512);
	end(e);
}

/* Header, data and status split and joined in unusual ways (2.7.4.2: layout is the driver's). */
static void test_framing(void **state)
{
	struct env *e = start();
	hull_gpa t = RIG_RAM + 0x30000;
	uint32_t len, i;

	(void)state;
	/* One readable buffer for header and data, one writable byte. */
	header(e, OUT, 7);
	v_desc(e->rig, V_AT(e->q.desc, 0), HEADER, 16 + 512, VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), STATUS, 1, VD_WRITE, 0);
	e->posted = 0;
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_int_equal(answer(e, &len), OK);
	assert_memory_equal(get(e, HEADER + 16, 512), e->disk->data + 7 * 512, 512);
	/* One writable buffer for data and status; a header of sixteen pieces; indirect. */
	header(e, IN, 9);
	for (i = 0; i < 16; i++)
		v_desc(e->rig, V_AT(t, i), HEADER + i, 1, VD_NEXT, (uint16_t)(i + 1));
	v_desc(e->rig, V_AT(t, 16), STATUS - 512, 513, VD_WRITE, 0);
	v_desc(e->rig, V_AT(e->q.desc, 0), t, 16 * 17, VD_INDIRECT, 0);
	e->posted = 0;
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_int_equal(answer(e, &len), OK);
	assert_int_equal(len, 513);
	assert_memory_equal(get(e, STATUS - 512, 512), e->disk->data + 9 * 512, 512);
	/* 126 segments of data, the most that we announce. */
	header(e, IN, 0);
	v_desc(e->rig, V_AT(t, 0), HEADER, 16, VD_NEXT, 1);
	for (i = 1; i < 127; i++)
		v_desc(e->rig, V_AT(t, i), DATA2 + 512 * i, 512, VD_NEXT | VD_WRITE,
		       (uint16_t)(i + 1));
	v_desc(e->rig, V_AT(t, 127), STATUS, 1, VD_WRITE, 0);
	v_desc(e->rig, V_AT(e->q.desc, 0), t, 16 * 128, VD_INDIRECT, 0);
	e->posted = 0;
	v_avail(&e->q, 0);
	v_kick(&e->q);
	assert_int_equal(answer(e, &len), OK);
	assert_int_equal(len, 126 * 512 + 1);
	assert_memory_equal(get(e, DATA2 + 512 * 126, 512), e->disk->data + 125 * 512, 512);
	end(e);
}

/* No room for an answer: the driver is broken, and told so. */
static void test_no_status(void **state)
{
	struct env *e;

	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		e = start();
		header(e, IN, 0);
		if (kind == 0)
			v_desc(e->rig, V_AT(e->q.desc, 0), HEADER, 16, 0, 0);
		else if (kind == 1)
			v_desc(e->rig, V_AT(e->q.desc, 0), STATUS, 1, VD_WRITE, 0);
		else if (kind == 2)
			v_desc(e->rig, V_AT(e->q.desc, 0), HEADER, 15, VD_NEXT, 1);
		else
			v_desc(e->rig, V_AT(e->q.desc, 0), HEADER, 16, VD_NEXT, 1);
		v_desc(e->rig, V_AT(e->q.desc, 1), kind == 3 ? RIG_ROM : STATUS, 1, VD_WRITE, 0);
		v_avail(&e->q, 0);
		v_kick(&e->q);
		assert_int_equal(v_get(e->d, V_STATUS), 15 | 64);
		assert_int_equal(v_get(e->d, V_INT_STATUS) & 2, 2);
		v_start(e->d, format, NUM, &e->q);
		assert_int_equal(request(e, IN, 0, 512), OK);
		end(e);
	}
}

/* The status byte in the used ring, data over the descriptors: only the guest is harmed. */
static void test_self_overlap(void **state)
{
	struct env *e = start();

	(void)state;
	header(e, IN, 0);
	v_desc(e->rig, V_AT(e->q.desc, 0), HEADER, 16, VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), e->q.desc, 0x3000, VD_NEXT | VD_WRITE, 2);
	v_desc(e->rig, V_AT(e->q.desc, 2), e->q.used + 2, 1, VD_WRITE, 0);
	v_avail(&e->q, 0);
	for (unsigned i = 0; i < 10; i++)
		v_kick(&e->q);
	v_start(e->d, format, NUM, &e->q);
	assert_int_equal(request(e, IN, 0, 512), OK);
	end(e);
}

/* More requests than slots: the rest waits and is served when the first come back. */
static void many_in_flight(void)
{
	const struct vbuf b[] = { { HEADER, 16, false }, { DATA, 512, true }, { STATUS, 1, true } };
	struct env *e = start_with(true, false);
	uint16_t ids[NUM];
	uint32_t id, len;
	unsigned n = 0;

	membackend_hold(e->disk, true);
	header(e, IN, 1);
	for (unsigned i = 0; i < NUM; i++)
		ids[i] = v_post(&e->q, b, 3, DATA2);
	v_kick(&e->q);
	v_kick(&e->q);
	assert_int_equal(e->disk->submitted, 64);
	assert_false(v_used(&e->q, &id, &len));
	membackend_hold(e->disk, false);
	/* The backend answers the newest first. */
	for (unsigned i = 0; i < 5000 && n < NUM; i++) {
		for (; v_used(&e->q, &id, &len); n++)
			if (format & VF_IN_ORDER)
				assert_int_equal(id, ids[n]);
		usleep(1000);
	}
	assert_int_equal(n, NUM);
	end(e);
}

static void test_many_in_flight(void **state)
{
	(void)state;
	each(many_in_flight);
}

static void (*real_settled)(void *arg, unsigned queue);
static struct env *watched;

static void watch_settled(void *arg, unsigned queue)
{
	uint32_t id, len;

	assert_false(v_used(&watched->q, &id, &len));
	assert_false(watched->d->irq.level[0]);
	real_settled(arg, queue);
	for (unsigned i = 0; i < 3; i++)
		assert_true(v_used(&watched->q, &id, &len));
	assert_true(watched->d->irq.level[0]);
}

/* The driver learns of a batch when it is whole. */
static void one_batch(void)
{
	const struct vbuf b[] = { { HEADER, 16, false }, { DATA, 512, true }, { STATUS, 1, true } };
	struct env *e = start_with(true, false);

	if (!batches) {
		end(e);
		return;
	}
	watched = e;
	real_settled = e->disk->b.settled;
	e->disk->b.settled = watch_settled;
	membackend_hold(e->disk, true);
	header(e, IN, 1);
	for (unsigned i = 0; i < 3; i++)
		v_post(&e->q, b, 3, DATA2);
	v_kick(&e->q);
	e->disk->b.drain(&e->disk->b);
	assert_true(e->d->irq.level[0]);
	end(e);
}

static void test_batches(void **state)
{
	(void)state;
	each(one_batch);
}

/* Reset while requests are held: when the status is 0, nobody writes into memory any more. */
static void reset_in_flight(void)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;

	for (unsigned round = 0; round < 50; round++) {
		membackend_hold(e->disk, true);
		header(e, IN, 1);
		post(e, DATA, 512, true);
		if (round & 1)
			v_set(e->d, V_QUEUE_READY, 0);
		if (round & 2)
			rig_reset(e->d);
		else
			v_set(e->d, V_STATUS, 0);
		assert_int_equal(v_get(e->d, V_STATUS), 0);
		put(e, DATA, "untouched", 9);
		assert_int_equal(*get(e, STATUS, 1), NONE);
		assert_false(v_used(&e->q, &id, &len));
		assert_false(e->d->irq.level[0]);
		v_start(e->d, format, NUM, &e->q);
		assert_memory_equal(get(e, DATA, 9), "untouched", 9);
		assert_int_equal(request(e, IN, 0, 512), OK);
	}
	end(e);
}

static void test_reset_in_flight(void **state)
{
	(void)state;
	each(reset_in_flight);
}

/* Destroying the VM waits for the backend. */
static void destroy_in_flight(void)
{
	struct env *e = start_with(true, false);

	membackend_hold(e->disk, true);
	header(e, IN, 1);
	post(e, DATA, 512, true);
	end(e);
}

static void test_destroy_in_flight(void **state)
{
	(void)state;
	each(destroy_in_flight);
}

/* A queue that was disabled and enabled again gets no answers from its former life. */
static void requeue_in_flight(void)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;

	membackend_hold(e->disk, true);
	header(e, FLUSH, 0);
	post(e, 0, 0, false);
	v_set(e->d, V_QUEUE_READY, 0);
	clear(e, RIG_RAM + 0x40000);
	assert_true(v_queue(e->d, 0, RIG_RAM + 0x40000, NUM, &e->q));
	e->disk->b.drain(&e->disk->b);
	assert_false(v_used(&e->q, &id, &len));
	assert_int_equal(*get(e, STATUS, 1), NONE);
	assert_int_equal(request(e, IN, 0, 512), OK);
	end(e);
}

static void test_requeue_in_flight(void **state)
{
	(void)state;
	each(requeue_in_flight);
}

/* 4.2.2.1: a queue that is not ready is not worked on: no late read reaches its buffers. */
static void disable_in_flight(void)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;

	for (unsigned round = 0; round < 50; round++) {
		membackend_hold(e->disk, true);
		header(e, IN, 1);
		post(e, DATA, 512, true);
		v_set(e->d, V_QUEUE_READY, 0);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
		put(e, DATA, "untouched", 9);
		clear(e, RIG_RAM + 0x40000);
		assert_true(v_queue(e->d, 0, RIG_RAM + 0x40000, NUM, &e->q));
		e->disk->b.drain(&e->disk->b);
		assert_memory_equal(get(e, DATA, 9), "untouched", 9);
		assert_false(v_used(&e->q, &id, &len));
		assert_int_equal(request(e, IN, 0, 512), OK);
	}
	end(e);
}

static void test_disable_in_flight(void **state)
{
	(void)state;
	each(disable_in_flight);
}

static void put_range(struct env *e, unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
	uint8_t raw[16];

	store_le64(raw, sector);
	store_le32(raw + 8, n);
	store_le32(raw + 12, flags);
	put(e, RANGE + 16 * i, raw, sizeof(raw));
}

static unsigned ranges(struct env *e, uint32_t type, unsigned n)
{
	uint32_t got;

	header(e, type, 0);
	post(e, RANGE, 16 * n, false);
	return answer(e, &got);
}

/* Several ranges in a request: all or, if one is wrong, none. */
static void many_ranges(void)
{
	for (int async = 0; async < 2; async++) {
		struct env *e = start_with(async, false);
		unsigned before;

		for (unsigned i = 0; i < 32; i++)
			put_range(e, i, 2 * i, i % 5 ? 1 : 0, 0);
		before = e->disk->submitted;
		assert_int_equal(ranges(e, DISCARD, 32), OK);
		/* A driver without flushes gets one at the end. */
		assert_int_equal(e->disk->submitted, before + 25 + 1);
		for (unsigned i = 0; i < 32; i++) {
			assert_int_equal(e->disk->data[1024 * i] == 0xdd, i % 5 != 0);
			assert_int_not_equal(e->disk->data[1024 * i + 513], 0xdd);
		}
		assert_int_equal(ranges(e, ZEROES, 33), IOERR);
		put_range(e, 31, DISK / 512, 1, 0);
		assert_int_equal(ranges(e, ZEROES, 32), IOERR);
		put_range(e, 31, 0, 1, 2);
		assert_int_equal(ranges(e, ZEROES, 32), UNSUPP);
		assert_int_equal(e->disk->data[1024], 0xdd);
		/* May be given back only if no range says otherwise. */
		put_range(e, 0, 0, 1, 1);
		assert_int_equal(ranges(e, ZEROES, 1), OK);
		assert_true(e->disk->unmap);
		put_range(e, 1, 2, 1, 1);
		assert_int_equal(ranges(e, ZEROES, 2), OK);
		assert_true(e->disk->unmap);
		put_range(e, 2, 2, 1, 0);
		assert_int_equal(ranges(e, ZEROES, 3), OK);
		assert_false(e->disk->unmap);
		/* The first error ends the request. */
		e->disk->fail = HULL_EIO;
		before = e->disk->submitted;
		assert_int_equal(ranges(e, ZEROES, 3), IOERR);
		assert_int_equal(e->disk->submitted, before + 1);
		end(e);
	}
}

static void test_many_ranges(void **state)
{
	(void)state;
	each(many_ranges);
}

static uint64_t config(struct env *e, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	assert_true(rig_read(e->d, V_CONFIG + off, size, &val));
	return val;
}

/* 5.2.5.2: the driver chooses between write-back and write-through, if it may. */
static void test_writeback(void **state)
{
	struct env *e = start();
	unsigned before = e->disk->submitted;

	(void)state;
	v_start(e->d, F_FLUSH | F_CONFIG_WCE, NUM, &e->q);
	assert_int_equal(config(e, 32, 1), 1);
	assert_int_equal(request(e, OUT, 0, 512), OK);
	assert_int_equal(e->disk->submitted, before + 1);
	rig_write(e->d, V_CONFIG + 32, 1, 0);
	assert_int_equal(config(e, 32, 1), 0);
	assert_int_equal(request(e, OUT, 0, 512), OK);
	assert_int_equal(e->disk->submitted, before + 3);
	assert_int_equal(e->disk->last, HULL_BLOCK_FLUSH);
	rig_write(e->d, V_CONFIG + 32, 1, 1);
	assert_int_equal(request(e, OUT, 0, 512), OK);
	assert_int_equal(e->disk->submitted, before + 4);
	assert_int_equal(e->d->dev->guest_errors, 0);
	/* Wrong values, sizes and places; without the feature. */
	rig_write(e->d, V_CONFIG + 32, 1, 2);
	rig_write(e->d, V_CONFIG + 32, 2, 0);
	rig_write(e->d, V_CONFIG + 33, 1, 0);
	rig_write(e->d, V_CONFIG + 0, 8, UINT64_MAX);
	assert_int_equal(e->d->dev->guest_errors, 4);
	v_start(e->d, F_FLUSH, NUM, &e->q);
	rig_write(e->d, V_CONFIG + 32, 1, 0);
	assert_int_equal(e->d->dev->guest_errors, 5);
	assert_int_equal(config(e, 32, 1), 1);
	end(e);
}

static void test_topology(void **state)
{
	struct env *e = start();

	(void)state;
	assert_int_equal(config(e, 24, 1), 0);
	assert_int_equal(config(e, 26, 2), 1);
	assert_int_equal(config(e, 44, 4), 1);
	e->disk->b.physical_size = 4096;
	e->disk->b.discard_granularity = 65536;
	assert_int_equal(config(e, 24, 1), 3);
	assert_int_equal(config(e, 25, 1), 0);
	assert_int_equal(config(e, 26, 2), 8);
	assert_int_equal(config(e, 28, 4), 128);
	assert_int_equal(config(e, 44, 4), 128);
	assert_int_equal(config(e, 56, 1), 1);
	end(e);
}

/* The driver is told of another size, and requests are checked against it. */
static void test_resize(void **state)
{
	struct env *e = start();
	uint32_t generation = v_get(e->d, V_GENERATION);

	(void)state;
	e->disk->b.size = DISK / 2;
	e->disk->b.resized(e->disk->b.resized_arg);
	assert_int_equal(v_get(e->d, V_INT_STATUS), 2);
	assert_int_not_equal(v_get(e->d, V_GENERATION), generation);
	assert_int_equal(config(e, 0, 8), DISK / 1024);
	assert_int_equal(request(e, IN, DISK / 1024 - 1, 512), OK);
	assert_int_equal(request(e, IN, DISK / 1024, 512), IOERR);
	e->disk->b.size = DISK;
	e->disk->b.resized(e->disk->b.resized_arg);
	assert_int_equal(request(e, IN, DISK / 1024, 512), OK);
	end(e);
}

/* As many queues as the backend has use for, and the property allows. */
static void test_queues(void **state)
{
	static const unsigned wanted[] = { 0, 1, 2, 5, 16, 17, 1000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
		for (uint64_t most = 1; most <= 16; most += 15) {
			const uint64_t args[] = { 1, 1, 1, most };
			unsigned n = (unsigned)MIN(MAX(wanted[i], 1u), most);
			struct rig *rig = rig_new();
			struct membackend *disk = membackend_new(DISK, false);
			uint64_t got;
			struct rig_dev *d;

			disk->b.queues = wanted[i];
			d = rig_add(rig, hull_dev_type_find("virtio-blk"), args, 4, &disk->b);
			rig_read(d, V_CONFIG + 34, 2, &got);
			assert_int_equal(got, n);
			v_set(d, V_DEVICE_SEL, 0);
			assert_int_equal(v_get(d, V_DEVICE_FEATURES) >> 12 & 1, n > 1);
			for (unsigned q = 0; q < 20; q++) {
				v_set(d, V_QUEUE_SEL, q);
				assert_int_equal(v_get(d, V_QUEUE_MAX), q < n ? 256 : 0);
			}
			rig_free(rig);
			membackend_free(disk);
		}
}

/* A number that is in flight is used again: only a packed or ordered queue must know. */
static void test_number_in_flight(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
		struct env *e;

		format = formats[i];
		e = start_with(true, false);
		membackend_hold(e->disk, true);
		header(e, IN, 1);
		post(e, DATA, 512, true);
		e->q.next_id = 0;
		post(e, DATA, 512, true);
		assert_int_equal(v_get(e->d, V_STATUS) & 64,
		                 format & (VF_PACKED | VF_IN_ORDER) ? 64 : 0);
		v_start(e->d, format, NUM, &e->q);
		assert_int_equal(request(e, IN, 0, 512), OK);
		end(e);
	}
	format = 0;
}

struct load {
	struct env *e;
	struct vqueue q;
	hull_gpa base;
	unsigned answers;
	bool *gone; /* atomic: the device was reset */
};

enum { LOADS = 4, ROUNDS = 300 };

/* A vCPU that keeps one queue busy, until the device is gone. */
static void *load(void *arg)
{
	struct load *l = arg;
	const struct vbuf b[] = { { l->base + 0x4000, 16, false },
		                  { l->base + 0x5000, 4096, true },
		                  { l->base + 0x4100, 1, true } };
	uint32_t id, len;

	for (unsigned i = 0; i < ROUNDS && !hull_load_relaxed(l->gone); i++) {
		unsigned got = 0;

		v_post(&l->q, b, 3, 0);
		v_post(&l->q, b, 3, 0);
		v_kick(&l->q);
		while (got < 2 && !hull_load_relaxed(l->gone))
			if (v_used(&l->q, &id, &len))
				got++;
			else
				sched_yield();
		l->answers += got;
	}
	return NULL;
}

/* Queues on their own threads, completions on another, and resets in between. */
static void under_load(bool resets)
{
	struct env *e = calloc(1, sizeof(*e));
	struct load loads[LOADS];
	pthread_t thread[LOADS];
	bool gone;

	assert_non_null(e);
	e->rig = rig_new();
	e->disk = membackend_new(DISK, true);
	e->disk->b.queues = LOADS;
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-blk"), NULL, 0, &e->disk->b);
	for (unsigned round = 0; round < (resets ? 10 : 1); round++) {
		gone = false;
		v_negotiate(e->d, format);
		for (unsigned i = 0; i < LOADS; i++) {
			loads[i] = (struct load){ .e = e,
				                  .base = RIG_RAM + 0x8000 * i,
				                  .gone = &gone };
			clear(e, loads[i].base);
			put(e, loads[i].base + 0x4000, (uint8_t[16]){ 0 }, 16);
			assert_true(v_queue(e->d, i, loads[i].base, 64, &loads[i].q));
		}
		v_set(e->d, V_STATUS, 15);
		for (unsigned i = 0; i < LOADS; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, load, &loads[i]), 0);
		if (resets) {
			usleep(1000 * (round % 4));
			v_set(e->d, V_STATUS, 0);
			assert_int_equal(v_get(e->d, V_STATUS), 0);
			hull_store_relaxed(&gone, true);
		}
		for (unsigned i = 0; i < LOADS; i++) {
			pthread_join(thread[i], NULL);
			if (!resets)
				assert_int_equal(loads[i].answers, 2 * ROUNDS);
		}
	}
	end(e);
}

static void load_and_resets(void)
{
	under_load(false);
	under_load(true);
}

static void test_lanes(void **state)
{
	(void)state;
	each(load_and_resets);
}

struct kicks {
	struct env *e;
	uint32_t stop; /* atomic */
};

static void *kick_on(void *arg)
{
	struct kicks *k = arg;

	while (!hull_load_acquire(&k->stop))
		v_set(k->e->d, V_NOTIFY, 0);
	return NULL;
}

/* Another vCPU notifies all the time: nothing new begins once a reset waits for the old. */
static void test_kicks_during_reset(void **state)
{
	const struct vbuf b[] = { { HEADER, 16, false }, { DATA, 512, true }, { STATUS, 1, true } };
	struct env *e;
	struct kicks k = { 0 };
	pthread_t thread;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* rings change under the device by intent: copies are not synchronised */
#endif
	k.e = e = start_with(true, false);
	header(e, IN, 1);
	assert_int_equal(pthread_create(&thread, NULL, kick_on, &k), 0);
	for (unsigned round = 0; round < 200; round++) {
		unsigned before = e->disk->submitted;

		membackend_hold(e->disk, true);
		for (unsigned i = 0; i < NUM; i++)
			v_post(&e->q, b, 3, DATA2);
		v_kick(&e->q);
		v_set(e->d, V_STATUS, 0);
		assert_int_equal(e->disk->submitted, before + 64);
		v_start(e->d, VF_INDIRECT, NUM, &e->q);
	}
	hull_store_release(&k.stop, 1);
	pthread_join(thread, NULL);
	end(e);
}

static void *start_log(void *arg)
{
	struct env *e = arg;

	assert_int_equal(hull_vm_dirty_start(e->rig->vm, NULL), 0);
	return NULL;
}

/* Windows of requests hold the map in place: no new ones while a change of it waits. */
static void test_change_of_the_map(void **state)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;
	pthread_t thread;

	(void)state;
	membackend_hold(e->disk, true);
	header(e, IN, 1);
	post(e, DATA, 512, true);
	assert_int_equal(e->disk->submitted, 1);
	assert_int_equal(pthread_create(&thread, NULL, start_log, e), 0);
	while (!hull_mem_wanted(e->rig->vm))
		usleep(100);
	post(e, DATA, 512, true);
	assert_int_equal(e->disk->submitted, 1);
	membackend_hold(e->disk, false);
	pthread_join(thread, NULL);
	rig_clock(e->rig, hull_clock_now(e->rig->vm) + 1000000);
	assert_int_equal(e->disk->submitted, 2);
	e->disk->b.drain(&e->disk->b);
	assert_true(v_used(&e->q, &id, &len) && v_used(&e->q, &id, &len));
	end(e);
}

/* A disk whose drain() waits until it may end. */
static uint32_t draining, may_end; /* atomic */

static void slow_drain(struct hull_block *b)
{
	hull_store_seqcst(&draining, 1);
	while (!hull_load_seqcst(&may_end))
		usleep(500);
	membackend_hold((struct membackend *)b, false);
}

static void *disable_first(void *arg)
{
	struct rig_dev *d = arg;

	v_set(d, V_QUEUE_SEL, 0);
	v_set(d, V_QUEUE_READY, 0);
	return NULL;
}

/* One vCPU waits for a queue; what another one writes for the second queue is not lost. */
static void test_other_queue_during_reset(void **state)
{
	struct env *e = calloc(1, sizeof(*e));
	void (*drain)(struct hull_block *b);
	struct vqueue second;
	pthread_t thread;

	e->rig = rig_new();
	e->disk = membackend_new(DISK, true);
	e->disk->b.queues = 2;
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-blk"), (uint64_t[]){ 0, 0, 0, 2 }, 4,
	               &e->disk->b);
	v_start(e->d, VF_INDIRECT, NUM, &e->q);
	drain = e->disk->b.drain;
	e->disk->b.drain = slow_drain;
	hull_store_seqcst(&draining, 0);
	hull_store_seqcst(&may_end, 0);
	membackend_hold(e->disk, true);
	header(e, IN, 1);
	post(e, DATA, 512, true);
	assert_int_equal(pthread_create(&thread, NULL, disable_first, e->d), 0);
	while (!hull_load_seqcst(&draining))
		usleep(500);
	clear(e, RIG_RAM + 0x40000);
	assert_true(v_queue(e->d, 1, RIG_RAM + 0x40000, NUM, &second));
	/* The queue itself must wait. */
	v_set(e->d, V_QUEUE_SEL, 0);
	v_set(e->d, V_QUEUE_READY, 1);
	assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
	hull_store_seqcst(&may_end, 1);
	pthread_join(thread, NULL);
	e->disk->b.drain = drain;
	e->q = second;
	assert_int_equal(request(e, IN, 0, 512), OK);
	end(e);
}

/* A real disk that lets one request in half a second through, behind the device. */
static struct env *start_limited(struct mem_image **ret)
{
	struct hull_disk_options o = { .iops = 2, .burst_ns = 1000000 };
	struct env *e = calloc(1, sizeof(*e));
	struct hull_block *b;

	assert_non_null(e);
	e->rig = rig_new();
	*ret = mem_image_new(DISK);
	memset((*ret)->bytes, 0x5a, DISK);
	assert_int_equal(hull_disk_open(&o, &(*ret)->img, &b, NULL), 0);
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-blk"), NULL, 0, b);
	v_start(e->d, VF_INDIRECT | format, NUM, &e->q);
	return e;
}

static void end_limited(struct env *e)
{
	struct hull_block *b = e->d->dev->backend;

	rig_free(e->rig);
	hull_disk_close(b);
	free(e);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A request that a limit holds back does not hold the map; it goes on, or fails, with the map that
 * there is then. */
static void test_waiting_holds_no_memory(void **state)
{
	static uint8_t other[2][8192] __attribute__((aligned(4096)));
	const hull_gpa at = RIG_RAM + (UINT64_C(1) << 32);
	struct mem_image *m;
	struct env *e = start_limited(&m);
	double begun;
	uint32_t len;

	/* The first is let through, the second waits; its buffer is in memory of its own. */
	for (int gone = 0; gone < 2; gone++) {
		memset(other, 0, sizeof(other));
		assert_int_equal(
			hull_vm_map(e->rig->vm, at, other[0], 8192, HULL_MEM_R | HULL_MEM_W, NULL),
			0);
		assert_int_equal(request(e, IN, 0, 512), OK);
		begun = seconds();
		header(e, IN, 8);
		post(e, at + 4096 - 512, 1024, true);
		assert_int_equal(hull_vm_unmap(e->rig->vm, at, 8192, NULL), 0);
		if (!gone) {
			/* Now in two pieces. */
			assert_int_equal(hull_vm_map(e->rig->vm, at, other[1], 4096,
			                             HULL_MEM_R | HULL_MEM_W, NULL),
			                 0);
			assert_int_equal(hull_vm_map(e->rig->vm, at + 4096, other[0], 4096,
			                             HULL_MEM_R | HULL_MEM_W, NULL),
			                 0);
		}
		assert_true(seconds() - begun < 0.25);
		assert_int_equal(answer(e, &len), gone ? IOERR : OK);
		assert_int_equal(len, gone ? 0 : 1025);
		assert_int_equal(other[1][4096 - 513], 0);
		assert_int_equal(other[1][4096 - 512], gone ? 0 : 0x5a);
		assert_int_equal(other[0][511], gone ? 0 : 0x5a);
		assert_int_equal(other[0][512], 0);
		if (!gone) {
			assert_int_equal(hull_vm_unmap(e->rig->vm, at, 4096, NULL), 0);
			assert_int_equal(hull_vm_unmap(e->rig->vm, at + 4096, 4096, NULL), 0);
		}
	}
	end_limited(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_errors_of_the_backend),
		cmocka_unit_test(test_write_through),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_no_status),
		cmocka_unit_test(test_self_overlap),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_reset_in_flight),
		cmocka_unit_test(test_destroy_in_flight),
		cmocka_unit_test(test_requeue_in_flight),
		cmocka_unit_test(test_disable_in_flight),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_writeback),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_number_in_flight),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_kicks_during_reset),
		cmocka_unit_test(test_change_of_the_map),
		cmocka_unit_test(test_other_queue_during_reset),
		cmocka_unit_test(test_waiting_holds_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
