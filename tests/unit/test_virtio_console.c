/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-console: bounded work, slow backends, and a guest that changes memory under the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "base/prng.h"
#include "core/aspace.h"
#include "support/vdriver.h"

#define RX_RINGS RIG_RAM
#define TX_RINGS (RIG_RAM + 0x4000)
#define DATA     (RIG_RAM + 0x10000)

enum { NUM = 64, MS = 1000000 };

struct env {
	struct rig *rig;
	struct rig_dev *d;
	struct vqueue rx, tx;
	uint32_t stop; /* atomic */
};

static struct env *start(void)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-console"), NULL, 0, NULL);
	assert_true(v_negotiate(e->d, VF_INDIRECT | VF_EVENT_IDX));
	assert_true(v_queue(e->d, 0, RX_RINGS, NUM, &e->rx));
	assert_true(v_queue(e->d, 1, TX_RINGS, NUM, &e->tx));
	v_set(e->d, V_STATUS, 15);
	return e;
}

static void end(struct env *e)
{
	rig_free(e->rig);
	free(e);
}

/* A chain of 16 MiB: each turn of the device sends a little, none is lost. */
static void test_long_chain(void **state)
{
	struct env *e = start();
	uint64_t sent = 0, now = 0;
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < NUM; i++)
		v_desc(e->rig, V_AT(e->tx.desc, i), DATA, 0x40000, i + 1 < NUM ? VD_NEXT : 0,
		       (uint16_t)(i + 1));
	v_avail(&e->tx, 0);
	e->d->ch.room = UINT32_MAX;
	v_kick(&e->tx);
	assert_false(v_used(&e->tx, &id, &len));
	while (!v_used(&e->tx, &id, &len)) {
		uint64_t before = UINT32_MAX - e->d->ch.room;

		assert_true(before - sent <= 65536 + 256);
		sent = before;
		e->d->ch.out_len = 0;
		rig_clock(e->rig, ++now);
		assert_true(now < 1000);
	}
	assert_int_equal(UINT32_MAX - e->d->ch.room, NUM * 0x40000);
	end(e);
}

/* A backend that takes some bytes each millisecond gets all of them, in order. */
static void test_slow_backend(void **state)
{
	struct env *e = start();
	uint8_t text[1000];
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	assert_true(hull_mem_write(e->rig->vm, DATA, text, sizeof(text)));
	v_desc(e->rig, V_AT(e->tx.desc, 0), DATA, 300, VD_NEXT, 1);
	v_desc(e->rig, V_AT(e->tx.desc, 1), DATA + 300, 700, 0, 0);
	v_avail(&e->tx, 0);
	e->d->ch.room = 3;
	v_kick(&e->tx);
	for (uint64_t ms = 1; !v_used(&e->tx, &id, &len); ms++) {
		assert_true(ms < 1000);
		e->d->ch.room = 3;
		rig_clock(e->rig, ms * MS);
	}
	assert_int_equal(e->d->ch.out_len, sizeof(text));
	assert_memory_equal(e->d->ch.out, text, sizeof(text));
	end(e);
}

/* Input waits in the backend until there are buffers; empty ones are given back. */
static void test_input(void **state)
{
	struct env *e = start();
	uint32_t id, len;
	uint8_t got[8];

	(void)state;
	rig_char_in(e->d, "abcdefgh", 8);
	v_desc(e->rig, V_AT(e->rx.desc, 0), DATA, 0, VD_WRITE, 0);
	v_desc(e->rig, V_AT(e->rx.desc, 1), DATA, 3, VD_WRITE, 0);
	v_desc(e->rig, V_AT(e->rx.desc, 2), DATA + 3, 1, VD_WRITE | VD_NEXT, 3);
	v_desc(e->rig, V_AT(e->rx.desc, 3), DATA + 4, 100, VD_WRITE, 0);
	v_desc(e->rig, V_AT(e->rx.desc, 4), DATA, 100, 0, 0);
	v_avail(&e->rx, 0);
	v_avail(&e->rx, 4);
	v_avail(&e->rx, 1);
	v_avail(&e->rx, 2);
	v_kick(&e->rx);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(v_used(&e->rx, &id, &len));
		assert_int_equal(len, 0);
	}
	assert_true(v_used(&e->rx, &id, &len));
	assert_int_equal(len, 3);
	assert_true(v_used(&e->rx, &id, &len));
	assert_int_equal(id, 2);
	assert_int_equal(len, 5);
	assert_true(hull_mem_read(e->rig->vm, DATA, got, sizeof(got)));
	assert_memory_equal(got, "abcdefgh", 8);
	end(e);
}

/* Another processor of the guest: changes rings and descriptors as fast as it can. */
static void *scribble(void *arg)
{
	struct env *e = arg;
	struct hull_prng p;

	hull_prng_seed(&p, 1);
	while (!hull_load_relaxed(&e->stop)) {
		uint64_t r = hull_prng_next(&p);
		hull_gpa rings = r & 1 ? RX_RINGS : TX_RINGS;
		hull_gpa at = rings + (r & 2 ? 0x1000 : 0) + (r >> 8) % 256;

		switch (r >> 2 & 3) {
		case 0: hull_mem_store16(e->rig->vm, at & ~1, (uint16_t)(r >> 32) & 7); break;
		case 1: hull_mem_store32(e->rig->vm, at & ~3, (uint32_t)DATA); break;
		default: hull_mem_write(e->rig->vm, at, &r, (r >> 4 & 7) + 1);
		}
	}
	return NULL;
}

/* Nothing to compare: the sanitizers watch, and the device must survive. */
static void test_changing_memory(void **state)
{
	struct env *e;
	pthread_t t;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* guest memory is raced on by intent: copies of it are not synchronised */
#endif
	e = start();
	assert_int_equal(pthread_create(&t, NULL, scribble, e), 0);
	for (unsigned i = 0; i < 20000; i++) {
		rig_char_in(e->d, "x", 1);
		v_kick(i & 1 ? &e->rx : &e->tx);
		e->d->ch.out_len = e->d->ch.in_len = 0;
		if (!(i % 8)) {
			rig_clock(e->rig, i * (uint64_t)MS);
			v_negotiate(e->d, VF_INDIRECT | VF_EVENT_IDX);
			v_queue(e->d, 0, RX_RINGS, NUM, &e->rx);
			v_queue(e->d, 1, TX_RINGS, NUM, &e->tx);
			v_set(e->d, V_STATUS, 15);
		}
	}
	hull_store_relaxed(&e->stop, 1);
	pthread_join(t, NULL);
	end(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_chain),
		cmocka_unit_test(test_slow_backend),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_changing_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
