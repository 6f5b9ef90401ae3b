/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-9p: messages to and from the guest's memory, hostile drivers, resets with requests in
 * flight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "core/aspace.h"
#include "host/share/wire.h"
#include "support/sharebackend.h"
#include "support/vdriver.h"

#define MESSAGE (RIG_RAM + 0x8000)
#define ANSWER  (RIG_RAM + 0x9000)
#define DATA    (RIG_RAM + 0x3f800) /* over the seam of the two regions */

enum { NUM = 128, NEEDS_RESET = 64 };

struct env {
	struct rig *rig;
	struct sharebackend *b;
	struct rig_dev *d;
	struct vqueue q;
};

static struct env *start(bool async)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->b = sharebackend_new(async);
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-9p"), NULL, 0, &e->b->s);
	v_start(e->d, VF_INDIRECT | 1, NUM, &e->q);
	return e;
}

static void end(struct env *e)
{
	rig_free(e->rig);
	sharebackend_free(e->b);
	free(e);
}

static uint8_t *get(struct env *e, hull_gpa gpa, uint64_t len)
{
	static uint8_t buf[65536];

	assert_true(len <= sizeof(buf) && hull_mem_read(e->rig->vm, gpa, buf, len));
	return buf;
}

/* A message of `len` bytes in memory, with what Tread and Twrite have at their places. */
static void message(struct env *e, uint8_t type, uint32_t len, uint32_t count)
{
	uint8_t raw[64] = { 0 };

	store_le32(raw, len);
	raw[4] = type;
	store_le16(raw + 5, 0x1234);
	store_le32(raw + 19, count);
	assert_true(hull_mem_write(e->rig->vm, MESSAGE, raw, sizeof(raw)));
}

static void post(struct env *e, const struct vbuf *b, unsigned n)
{
	v_post(&e->q, b, n, 0);
	v_kick(&e->q);
}

/* Bytes in the used ring's entry. */
static uint32_t answer(struct env *e)
{
	uint32_t id, len = 0;

	for (unsigned i = 0; i < 5000 && !v_used(&e->q, &id, &len); i++) {
		usleep(1000);
		if (i == 4999)
			fail_msg("no answer");
	}
	return len;
}

static void messages_go_both_ways(void **state)
{
	for (int async = 0; async < 2; async++) {
		struct env *e = start(async);
		const struct vbuf b[] = { { MESSAGE, 20, false }, { ANSWER, 100, true } };

		message(e, P9_TGETATTR, 20, 0);
		post(e, b, 2);
		assert_int_equal(answer(e), 11);
		assert_int_equal(load_le32(get(e, ANSWER, 4)), 11);
		assert_int_equal(get(e, ANSWER, 11)[4], P9_TGETATTR + 1);
		assert_int_equal(load_le16(get(e, ANSWER, 11) + 5), 0x1234);
		/* What was flushed is given back without an answer. */
		message(e, P9_TFLUSH, 9, 0);
		post(e, b, 2);
		assert_int_equal(answer(e), 0);
		end(e);
	}
}

static void data_go_by_windows(void **state)
{
	struct env *e = start(true);
	const struct vbuf in[] = { { MESSAGE, 23, false },
		                   { ANSWER, 11, true },
		                   { DATA, 4096, true } };
	const struct vbuf out[] = { { MESSAGE, 23, false },
		                    { DATA, 4096, false },
		                    { ANSWER, 11, true } };
	uint64_t sum = 0;
	uint8_t *p;

	message(e, P9_TREAD, 23, 4000);
	post(e, in, 3);
	assert_int_equal(answer(e), 4011);
	p = get(e, DATA, 4096);
	for (unsigned i = 0; i < 4096; i++) {
		assert_int_equal(p[i], i < 4000 ? (uint8_t)(i + 1) : 0);
		sum += p[i];
	}
	message(e, P9_TWRITE, 23 + 4096, 4096);
	post(e, out, 3);
	assert_int_equal(answer(e), 11);
	assert_int_equal(e->b->sum, sum);
	/* A count that is larger than the buffers only fills the buffers. */
	message(e, P9_TREAD, 23, UINT32_MAX);
	post(e, in, 3);
	assert_int_equal(answer(e), 4096 + 11);
	end(e);
}

static void the_tag_is_told(void **state)
{
	struct env *e = start(false);
	uint64_t v;

	assert_true(rig_read(e->d, V_CONFIG, 2, &v));
	assert_int_equal(v, 7);
	for (unsigned i = 0; i < 7; i++) {
		assert_true(rig_read(e->d, V_CONFIG + 2 + i, 1, &v));
		assert_int_equal(v, "nothing"[i]);
	}
	end(e);
}

static void hostile_buffers(void **state)
{
	static const struct {
		struct vbuf b[3];
		unsigned n;
		bool broken;
	} cases[] = {
		{ { { MESSAGE, 6, false }, { ANSWER, 11, true } }, 2, true },
		{ { { MESSAGE, 23, false }, { ANSWER, 10, true } }, 2, true },
		{ { { MESSAGE, 23, false } }, 1, true },
		{ { { ANSWER, 23, true } }, 1, true },
		{ { { 0x1000, 23, false }, { ANSWER, 11, true } }, 2, true },
		{ { { MESSAGE, 23, false }, { 0x1000, 11, true } }, 2, true },
		{ { { MESSAGE, 23, false }, { RIG_ROM, 11, true } }, 2, true },
		/* The data of Tread are not memory: an error that the driver can read. */
		{ { { MESSAGE, 23, false }, { ANSWER, 11, true }, { RIG_ROM, 64, true } },
		  3,
		  false },
		{ { { MESSAGE, 23, false }, { ANSWER, 11, true }, { 0x1000, 64, true } },
		  3,
		  false },
		{ { { MESSAGE, 23, false },
		    { ANSWER, 11, true },
		    { RIG_RAM + RIG_RAM_SIZE - 16, 64, true } },
		  3,
		  false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct env *e = start(false);

		message(e, P9_TREAD, 23, 64);
		post(e, cases[i].b, cases[i].n);
		assert_int_equal(!!(v_get(e->d, V_STATUS) & NEEDS_RESET), cases[i].broken);
		if (!cases[i].broken) {
			assert_int_equal(answer(e), 11);
			assert_int_equal(get(e, ANSWER, 11)[4], P9_RLERROR);
			assert_int_equal(load_le32(get(e, ANSWER, 11) + 7), 14);
			assert_int_equal(e->b->submitted, 0);
		}
		end(e);
	}
}

/* More requests than slots: all are answered, none twice. */
static void many_requests(void **state)
{
	struct env *e = start(true);
	const struct vbuf b[] = { { MESSAGE, 20, false }, { ANSWER, 64, true } };
	unsigned n = NUM / 2;

	message(e, P9_TGETATTR, 20, 0);
	sharebackend_hold(e->b, true);
	for (unsigned i = 0; i < n; i++)
		v_post(&e->q, b, 2, 0);
	v_kick(&e->q);
	assert_true(e->b->submitted && e->b->submitted < n);
	sharebackend_hold(e->b, false);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(answer(e), 11);
	assert_int_equal(e->b->submitted, n);
	end(e);
}

static void reset_waits_and_forgets(void **state)
{
	struct env *e = start(true);
	const struct vbuf in[] = { { MESSAGE, 23, false },
		                   { ANSWER, 11, true },
		                   { DATA, 64, true } };
	unsigned resets = e->b->resets;
	uint32_t id, len;

	message(e, P9_TREAD, 23, 64);
	sharebackend_hold(e->b, true);
	post(e, in, 3);
	assert_false(v_used(&e->q, &id, &len));
	v_set(e->d, V_STATUS, 0); /* drains, which releases it */
	assert_int_equal(v_get(e->d, V_STATUS), 0);
	assert_int_equal(e->b->resets, resets + 1);
	assert_int_equal(v_read16(e->rig, e->q.used + 2), 0);
	assert_int_equal(load_le32(get(e, ANSWER, 4)), 0);
	v_start(e->d, 0, NUM, &e->q);
	message(e, P9_TREAD, 23, 64);
	post(e, in, 3);
	assert_int_equal(answer(e), 75);
	/* And the end of the VM with a request in flight. */
	sharebackend_hold(e->b, true);
	post(e, in, 3);
	end(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_go_both_ways), cmocka_unit_test(data_go_by_windows),
		cmocka_unit_test(the_tag_is_told),       cmocka_unit_test(hostile_buffers),
		cmocka_unit_test(many_requests),         cmocka_unit_test(reset_waits_and_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
