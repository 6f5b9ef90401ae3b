/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Guest time, timers, random numbers. */
#include "support/vm_fixture.h"

#include <string.h>

static void test_stop_and_go(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);

	(void)state;
	fake_hal_advance(&h, 500);
	assert_int_equal(hull_clock_now(vm), 0); /* stands until boot */
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fake_hal_advance(&h, 100);
	assert_int_equal(hull_clock_now(vm), 100);
	assert_int_equal(hull_vm_pause(vm, NULL), 0);
	fake_hal_advance(&h, 1000);
	assert_int_equal(hull_clock_now(vm), 100);
	hull_clock_stop(vm); /* again: nothing */
	assert_int_equal(hull_vm_resume(vm, NULL), 0);
	hull_clock_start(vm);
	fake_hal_advance(&h, 7);
	assert_int_equal(hull_clock_now(vm), 107);
	hull_clock_step_to(vm, 5000); /* not stepped: ignored */
	assert_int_equal(hull_clock_now(vm), 107);
	assert_false(hull_clock_stepped(vm));
	assert_int_equal(hull_clock_wall_ns(vm), h.wall);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fake_hal_advance(&h, 7);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(hull_clock_now(vm), 107); /* goes on where it stood */
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static void test_stepped(void **state)
{
	struct hull_vm_config c = fixture_config(1);
	struct fake_hal h;
	struct hull_vm *vm;
	int64_t wall;

	(void)state;
	c.deterministic = true;
	vm = fixture_make_config(&h, &c);
	wall = hull_clock_wall_ns(vm);
	fake_hal_advance(&h, 1000);
	assert_int_equal(hull_clock_now(vm), 0);
	hull_clock_step_to(vm, 50);
	hull_clock_step_to(vm, 40);
	assert_int_equal(hull_clock_now(vm), 50);
	assert_int_equal(hull_clock_wall_ns(vm), wall + 50);
	assert_true(hull_clock_stepped(vm));
	hull_vm_timer_loop(vm); /* not for stepped VMs: returns */
	fixture_unmake(&h, vm);
}

struct log {
	struct hull_timer timer;
	struct hull_vm *vm;
	uint64_t fired, at, again;
	struct log **last;
};

static struct log *last_fired;

static void note(struct hull_timer *t)
{
	struct log *l = CONTAINER_OF(t, struct log, timer);

	l->fired++;
	l->at = hull_clock_now(l->vm);
	last_fired = l;
	assert_true(t->due);
	assert_true(hull_timer_take(l->vm, t));
	assert_false(hull_timer_take(l->vm, t));
	if (l->again)
		hull_timer_set(l->vm, t, 0);
}

static void test_timers(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);
	struct log a = { .vm = vm }, b = { .vm = vm }, c = { .vm = vm };

	(void)state;
	hull_timer_init(&a.timer, note);
	hull_timer_init(&b.timer, note);
	hull_timer_init(&c.timer, note);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(hull_timers_run(vm), HULL_NEVER);
	hull_timer_set(vm, &b.timer, 20);
	hull_timer_set(vm, &a.timer, 10);
	hull_timer_set(vm, &c.timer, 20);
	assert_int_equal(hull_timers_run(vm), 10);
	hull_timer_set(vm, &a.timer, 30); /* moved */
	assert_int_equal(hull_timers_run(vm), 20);
	fake_hal_advance(&h, 20);
	assert_int_equal(hull_timers_run(vm), 30);
	assert_int_equal(b.fired + c.fired, 2);
	assert_ptr_equal(last_fired, &c); /* in the order of arming */
	hull_timer_set(vm, &a.timer, HULL_NEVER);
	fake_hal_advance(&h, 100);
	assert_int_equal(hull_timers_run(vm), HULL_NEVER);
	assert_int_equal(a.fired, 0);
	hull_timer_set(vm, &a.timer, UINT64_MAX - 1); /* 292 years and more: never */
	assert_int_equal(hull_timers_run(vm), HULL_NEVER);
	/* One that re-arms itself in the past cannot keep us. */
	b.again = 1;
	hull_timer_set(vm, &b.timer, 0);
	assert_int_equal(hull_timers_run(vm), 0);
	assert_in_range(b.fired, 100, 1000);
	hull_timer_set(vm, &b.timer, HULL_NEVER);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static void test_random(void **state)
{
	struct hull_vm_config c = fixture_config(1);
	uint8_t first[40], second[40];
	struct fake_hal h;
	struct hull_vm *vm;

	(void)state;
	c.random_seed = 5;
	for (int i = 0; i < 2; i++) {
		vm = fixture_make_config(&h, &c);
		hull_random(vm, i ? second : first, sizeof(first));
		fixture_unmake(&h, vm);
	}
	assert_memory_equal(first, second, sizeof(first));
	c.random_seed = 0;
	vm = fixture_make_config(&h, &c);
	hull_random(vm, second, sizeof(second));
	assert_int_equal(second[39], 0x5a); /* the HAL's */
	h.random_fails = true;
	hull_random(vm, second, sizeof(second)); /* a source that fails later: still random */
	assert_true(memcmp(second, second + 20, 20) != 0);
	fixture_unmake(&h, vm);
	fake_hal_init(&h);
	h.random_fails = true;
	assert_int_equal(hull_vm_create(&c, &h.hal, hull_accel_find("fake"), &vm, NULL), HULL_EIO);
	assert_int_equal(h.live_bytes, 0);
	fake_hal_fini(&h);
}

struct watch {
	struct hull_vm *vm;
	uint64_t stop; /* atomic */
};

static void *watch_clock(void *arg)
{
	struct watch *w = arg;
	uint64_t last = 0;

	while (!hull_load_seqcst(&w->stop)) {
		uint64_t now = hull_clock_now(w->vm);

		assert_true(now >= last);
		last = now;
	}
	return NULL;
}

/* Never backwards, whoever stops and starts it meanwhile. */
static void test_never_backwards(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);
	struct watch w = { .vm = vm };
	pthread_t thread;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	pthread_create(&thread, NULL, watch_clock, &w);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(hull_vm_pause(vm, NULL), 0);
		assert_int_equal(hull_vm_resume(vm, NULL), 0);
	}
	hull_store_seqcst(&w.stop, 1);
	pthread_join(thread, NULL);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_and_go),     cmocka_unit_test(test_stepped),
		cmocka_unit_test(test_timers),          cmocka_unit_test(test_random),
		cmocka_unit_test(test_never_backwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
