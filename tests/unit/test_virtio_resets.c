/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every virtio device is reset while a driver on another thread gives it requests, sensible and
 * not, on all its queues.  Afterwards it is as new, and what it took of the host is given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/prng.h"
#include "core/aspace.h"
#include "support/backends.h"
#include "support/membackend.h"
#include "support/sharebackend.h"
#include "support/vdriver.h"

enum { NUM = 32, QUEUES = 8, ROUNDS = 24, DISK = 1 << 20, DATA_BYTES = 0x8000 };

#define RINGS(i) (RIG_RAM + 0x4000 * (hull_gpa)(i))
#define DATA     (RIG_RAM + RIG_RAM_HALF)

static const uint64_t formats[] = { 0, VF_EVENT_IDX | VF_INDIRECT, VF_PACKED | VF_IN_ORDER };

struct load {
	struct rig_dev *d;
	unsigned nqueues;
	struct vqueue q[QUEUES];
	struct hull_prng dice;
	bool gone;
	uint64_t posted;
};

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A thread that was joined may be listed for a moment more. */
static void assert_entries(const char *dir, unsigned n)
{
	for (unsigned i = 0; i < 1000 && entries(dir) != n; i++)
		usleep(1000);
	assert_int_equal(entries(dir), n);
}

/* A header that many devices understand, or noise. */
static void fill(struct load *l, hull_gpa at)
{
	uint8_t raw[64] = { 0 };

	if (hull_prng_below(&l->dice, 2))
		hull_prng_fill(&l->dice, raw, sizeof(raw));
	else
		raw[0] = (uint8_t)hull_prng_below(&l->dice, 3);
	assert_true(hull_mem_write(l->d->rig->vm, at, raw, sizeof(raw)));
}

static void post(struct load *l, struct vqueue *q)
{
	unsigned n = 1 + (unsigned)hull_prng_below(&l->dice, 3);
	unsigned reads = (unsigned)hull_prng_below(&l->dice, n + 1);
	struct vbuf b[3];

	for (unsigned i = 0; i < n; i++) {
		b[i] = (struct vbuf){ DATA + 64 * hull_prng_below(&l->dice, DATA_BYTES / 64), 512,
			              i >= reads };
		if (hull_prng_below(&l->dice, 4) == 0)
			b[i].len = 1 + (uint32_t)hull_prng_below(&l->dice, 4096);
	}
	fill(l, b[0].gpa);
	(void)v_post(q, b, n, 0);
	v_kick(q);
	l->posted++;
}

static void *drive(void *arg)
{
	struct load *l = arg;
	uint32_t id, len;

	while (!hull_load_relaxed(&l->gone)) {
		for (unsigned i = 0; i < l->nqueues; i++) {
			for (unsigned k = 0; k < NUM / 4 && !hull_load_relaxed(&l->gone); k++)
				post(l, &l->q[i]);
			while (v_used(&l->q[i], &id, &len))
				;
		}
		v_set(l->d, V_INT_ACK, 3);
		sched_yield();
	}
	return NULL;
}

static void begin(struct load *l, uint64_t features)
{
	static const uint8_t zero[0x4000];

	if (!v_negotiate(l->d, features))
		assert_true(v_negotiate(l->d, 0));
	for (l->nqueues = 0; l->nqueues < QUEUES; l->nqueues++) {
		v_set(l->d, V_QUEUE_SEL, l->nqueues);
		if (!v_get(l->d, V_QUEUE_MAX))
			break;
		assert_true(hull_mem_write(l->d->rig->vm, RINGS(l->nqueues), zero, sizeof(zero)));
		assert_true(v_queue(l->d, l->nqueues, RINGS(l->nqueues), NUM, &l->q[l->nqueues]));
	}
	assert_true(l->nqueues > 0);
	v_set(l->d, V_STATUS, 15);
}

/* Nothing of the former life is left in the registers, and nobody touches the rings any more. */
static void check_as_new(struct load *l)
{
	uint8_t before[16], after[16];

	assert_int_equal(v_get(l->d, V_STATUS), 0);
	assert_int_equal(v_get(l->d, V_INT_STATUS), 0);
	assert_false(l->d->irq.level[0]);
	for (unsigned i = 0; i < l->nqueues; i++) {
		v_set(l->d, V_QUEUE_SEL, i);
		assert_int_equal(v_get(l->d, V_QUEUE_READY), 0);
	}
	assert_true(hull_mem_read(l->d->rig->vm, RINGS(0) + 0x2000, before, sizeof(before)));
	usleep(300);
	assert_true(hull_mem_read(l->d->rig->vm, RINGS(0) + 0x2000, after, sizeof(after)));
	assert_memory_equal(before, after, sizeof(after));
}

static void one_device(const struct hull_dev_type *type, void *backend)
{
	static struct load l;
	struct rig *rig = rig_new();
	uint64_t posted = 0;

	memset(&l, 0, sizeof(l));
	l.d = rig_add(rig, type, NULL, 0, backend);
	hull_prng_seed(&l.dice, 7);
	for (unsigned round = 0; round < ROUNDS; round++) {
		pthread_t thread;

		begin(&l, formats[round % 3]);
		l.posted = 0;
		hull_store_relaxed(&l.gone, false);
		assert_int_equal(pthread_create(&thread, NULL, drive, &l), 0);
		usleep(300 * (1 + round % 5));
		/* The driver goes on for a while: it has not heard of the reset. */
		if (round & 1)
			v_set(l.d, V_STATUS, 0);
		else
			rig_reset(l.d);
		hull_store_relaxed(&l.gone, true);
		pthread_join(thread, NULL);
		check_as_new(&l);
		posted += l.posted;
	}
	assert_true(posted > ROUNDS);
	rig_free(rig);
}

static void *new_backend(const struct hull_dev_type *type)
{
	switch (type->backend) {
	case HULL_BACKEND_BLOCK: return membackend_new(DISK, true);
	case HULL_BACKEND_SHARE: return sharebackend_new(true);
	default: return backends_new(type);
	}
}

static void *nothing(void *arg)
{
	return arg;
}

static void every_device(void **state)
{
	unsigned fds, threads, n = 0;
	pthread_t first;

	(void)state;
	assert_int_equal(pthread_create(&first, NULL, nothing, NULL), 0); /* and TSan's own */
	pthread_join(first, NULL);
	fds = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	for (const struct hull_dev_type *const *t = hull_dev_types; *t; t++) {
		void *backend;

		if (strncmp((*t)->name, "virtio-", 7) || !(*t)->init)
			continue;
		print_message("%s\n", (*t)->name);
		backend = new_backend(*t);
		one_device(*t, backend);
		backends_free(*t, backend);
		assert_entries("/proc/self/task", threads);
		assert_entries("/proc/self/fd", fds);
		n++;
	}
	assert_true(n >= 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_device) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
