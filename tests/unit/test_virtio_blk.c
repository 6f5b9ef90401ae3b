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
#include <unistd.h>

#include "core/aspace.h"
#include "support/membackend.h"
#include "support/vdriver.h"

#define HEADER (RIG_RAM + 0x8000)
#define STATUS (RIG_RAM + 0x9000)
#define DATA   (RIG_RAM + 0x10000)
#define DATA2  (RIG_RAM + 0x20000)
#define RANGE  (HEADER + 16)

enum { DISK = 1 << 20, NUM = 128 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13, SECURE_ERASE = 14 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xff };

#define F_RO      (UINT64_C(1) << 5)
#define F_FLUSH   (UINT64_C(1) << 9)
#define F_DISCARD (UINT64_C(1) << 13)

struct env {
	struct rig *rig;
	struct membackend *disk;
	struct rig_dev *d;
	struct vqueue q;
};

static struct env *start_with(bool async, bool read_only)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->disk = membackend_new(DISK, async);
	e->disk->b.read_only = read_only;
	for (unsigned i = 0; i < DISK; i++)
		e->disk->data[i] = (uint8_t)(i / 512 + i);
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-blk"), NULL, 0, &e->disk->b);
	v_start(e->d, VF_INDIRECT, NUM, &e->q);
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

static void header(struct env *e, uint32_t type, uint64_t sector)
{
	uint8_t raw[16] = { 0 };

	store_le32(raw, type);
	store_le64(raw + 8, sector);
	put(e, HEADER, raw, sizeof(raw));
	put(e, STATUS, &(uint8_t){ NONE }, 1);
}

/* Header, one buffer (if len), status; in descriptors 0 to 2. */
static void post(struct env *e, hull_gpa data, uint32_t len, bool device_writes)
{
	hull_gpa t = e->q.desc;

	v_desc(e->rig, V_AT(t, 0), HEADER, 16, VD_NEXT, len ? 1 : 2);
	v_desc(e->rig, V_AT(t, 1), data, len, VD_NEXT | (device_writes ? VD_WRITE : 0), 2);
	v_desc(e->rig, V_AT(t, 2), STATUS, 1, VD_WRITE, 0);
	v_avail(&e->q, 0);
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
	assert_int_equal(id, 0);
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

static void test_read_write(void **state)
{
	(void)state;
	read_write(false);
	read_write(true);
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
	/* Only whole ranges, one of them; unknown flags. */
	assert_int_equal(request(e, DISCARD, 0, 0), IOERR);
	assert_int_equal(request(e, DISCARD, 0, 15), IOERR);
	assert_int_equal(request(e, DISCARD, 0, 32), IOERR);
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

static void test_errors_of_the_backend(void **state)
{
	(void)state;
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

/* A driver that did not take the flush feature gets a flush after each change. */
static void test_write_through(void **state)
{
	(void)state;
	for (int async = 0; async < 2; async++) {
		struct env *e = start_with(async, false);
		unsigned before = e->disk->submitted;

		v_start(e->d, F_FLUSH, NUM, &e->q);
		assert_int_equal(request(e, OUT, 0, 512), OK);
		assert_int_equal(e->disk->submitted, before + 1);
		v_start(e->d, 0, NUM, &e->q);
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
		v_start(e->d, 0, NUM, &e->q);
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
	v_start(e->d, 0, NUM, &e->q);
	assert_int_equal(request(e, IN, 0, 512), OK);
	end(e);
}

/* More requests than slots: the rest waits and is served when the first come back. */
static void test_many_in_flight(void **state)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;
	unsigned n = 0;

	(void)state;
	membackend_hold(e->disk, true);
	header(e, IN, 1);
	v_desc(e->rig, V_AT(e->q.desc, 0), HEADER, 16, VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->q.desc, 1), DATA, 512, VD_NEXT | VD_WRITE, 2);
	v_desc(e->rig, V_AT(e->q.desc, 2), STATUS, 1, VD_WRITE, 0);
	for (unsigned i = 0; i < NUM; i++)
		v_avail(&e->q, 0);
	v_kick(&e->q);
	v_kick(&e->q);
	assert_int_equal(e->disk->submitted, 64);
	assert_false(v_used(&e->q, &id, &len));
	membackend_hold(e->disk, false);
	for (unsigned i = 0; i < 5000 && n < NUM; i++) {
		while (v_used(&e->q, &id, &len))
			n++;
		usleep(1000);
	}
	assert_int_equal(n, NUM);
	end(e);
}

/* Reset while requests are held: when the status is 0, nobody writes into memory any more. */
static void test_reset_in_flight(void **state)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;

	(void)state;
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
		v_start(e->d, 0, NUM, &e->q);
		assert_memory_equal(get(e, DATA, 9), "untouched", 9);
		assert_int_equal(request(e, IN, 0, 512), OK);
	}
	end(e);
}

/* Destroying the VM waits for the backend. */
static void test_destroy_in_flight(void **state)
{
	struct env *e = start_with(true, false);

	(void)state;
	membackend_hold(e->disk, true);
	header(e, IN, 1);
	post(e, DATA, 512, true);
	end(e);
}

/* A queue that was disabled and enabled again gets no answers from its former life. */
static void test_requeue_in_flight(void **state)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;

	(void)state;
	membackend_hold(e->disk, true);
	header(e, FLUSH, 0);
	post(e, 0, 0, false);
	v_set(e->d, V_QUEUE_READY, 0);
	assert_true(v_queue(e->d, 0, RIG_RAM + 0x40000, NUM, &e->q));
	e->disk->b.drain(&e->disk->b);
	assert_false(v_used(&e->q, &id, &len));
	assert_int_equal(*get(e, STATUS, 1), NONE);
	assert_int_equal(request(e, IN, 0, 512), OK);
	end(e);
}

/* 4.2.2.1: a queue that is not ready is not worked on: no late read reaches its buffers. */
static void test_disable_in_flight(void **state)
{
	struct env *e = start_with(true, false);
	uint32_t id, len;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		membackend_hold(e->disk, true);
		header(e, IN, 1);
		post(e, DATA, 512, true);
		v_set(e->d, V_QUEUE_READY, 0);
		assert_int_equal(v_get(e->d, V_QUEUE_READY), 0);
		put(e, DATA, "untouched", 9);
		v_write16(e->rig, RIG_RAM + 0x41002, 0);
		v_write16(e->rig, RIG_RAM + 0x42002, 0);
		assert_true(v_queue(e->d, 0, RIG_RAM + 0x40000, NUM, &e->q));
		e->disk->b.drain(&e->disk->b);
		assert_memory_equal(get(e, DATA, 9), "untouched", 9);
		assert_false(v_used(&e->q, &id, &len));
		assert_int_equal(request(e, IN, 0, 512), OK);
	}
	end(e);
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
		cmocka_unit_test(test_reset_in_flight),
		cmocka_unit_test(test_destroy_in_flight),
		cmocka_unit_test(test_requeue_in_flight),
		cmocka_unit_test(test_disable_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
