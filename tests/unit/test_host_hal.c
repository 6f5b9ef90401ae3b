/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The hosted HAL: memory, clocks, sleeping, kicks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <hull/error.h>
#include <hull/host.h>
#include "base/atomic.h"

static const struct hull_hal *hal;

static void pages_are_aligned_zeroed_and_lazy(void **state)
{
	static const uint64_t aligns[] = { 4096, 1 << 16, 1 << 21, 1 << 25 };

	for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
		uint8_t *p = hal->pages_alloc(hal, 5 << 20, aligns[i], i & 1);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % aligns[i], 0);
		assert_int_equal(p[0] | p[(5 << 20) - 1], 0);
		p[(5 << 20) - 1] = 1;
		assert_int_equal(hal->virt_to_phys(hal, p), (uintptr_t)p);
		assert_ptr_equal(hal->phys_to_virt(hal, (uintptr_t)p), p);
		hal->pages_free(hal, p, 5 << 20);
	}
	/* Nobody has this much; a refusal, not an accident. */
	assert_null(hal->pages_alloc(hal, UINT64_MAX & ~UINT64_C(4095), 4096, true));
	assert_null(hal->pages_alloc(hal, UINT64_MAX & ~UINT64_C(4095), 1 << 21, true));
	assert_null(hal->pages_alloc(hal, 0, 4096, true));
	assert_null(hal->pages_alloc(hal, 4096, 12288, true));
	hal->pages_free(hal, NULL, 4096);
}

/* Are all pages of a range mapped with these permissions, such as "r-x"? */
static void permissions_are(const void *p, uint64_t bytes, const char *expected)
{
	unsigned long from, to;
	uint64_t seen = 0;
	char line[512], flags[5];
	FILE *f = fopen("/proc/self/maps", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, flags) != 3 || to <= (uintptr_t)p ||
		    from >= (uintptr_t)p + bytes)
			continue;
		assert_memory_equal(flags, expected, 3);
		seen += to - from;
	}
	fclose(f);
	assert_true(seen >= bytes);
}

static void code_is_never_writable_and_executable(void **state)
{
	enum { BYTES = 1 << 20 };
	void *rw = NULL, *rx = NULL;
	uint8_t *w;
	const volatile uint8_t *x;

	assert_int_equal(hal->code_alloc(hal, BYTES, &rw, &rx), 0);
	w = rw;
	x = rx;
	assert_int_equal(w[0] | x[BYTES - 1], 0);
	w[BYTES - 1] = 0x5a;
	w[7] = 0xa5;
	assert_int_equal(x[BYTES - 1], 0x5a);
	assert_int_equal(x[7], 0xa5);
	permissions_are(rw, BYTES, "rw-");
	permissions_are(rx, BYTES, "r-x");
	hal->code_free(hal, BYTES, rw, rx);
	assert_int_equal(hal->code_alloc(hal, 0, &rw, &rx), HULL_EINVAL);
	assert_int_equal(hal->code_alloc(hal, 4097, &rw, &rx), HULL_EINVAL);
	assert_int_equal(hal->code_alloc(hal, UINT64_C(1) << 62, &rw, &rx), HULL_ENOMEM);
}

static void ranges_cannot_be_claimed(void **state)
{
	void *p = NULL;

	assert_int_equal(hal->range_claim(hal, 0x80000000, 4096, &p), HULL_ENOTSUP);
	assert_null(p);
}

static void clocks_and_chance(void **state)
{
	uint64_t a = hal->now_ns(hal), random[2] = { 0 };

	assert_true(a > 0);
	assert_true(hal->now_ns(hal) >= a);
	assert_true(hal->wallclock_ns(hal) > INT64_C(1600000000) * 1000000000);
	assert_true(hal->random(hal, random, sizeof(random)));
	assert_true(random[0] != random[1]);
	assert_true(hal->cpu_count(hal) >= 1);
	assert_true(hal->cpu_id(hal) != 0);
}

static void wait_ends_at_its_deadline(void **state)
{
	uint32_t word = 7;
	uint64_t until = hal->now_ns(hal) + 20000000;

	while (hal->now_ns(hal) < until)
		hal->wait(hal, &word, 7, until);
	assert_true(hal->now_ns(hal) - until < 1000000000);
	hal->wait(hal, &word, 8, HULL_NEVER); /* a different value: at once */
	hal->wait(hal, &word, 7, 0);          /* long past */
	hal->wait(hal, &word, 7, 1);
}

struct sleeper {
	uint32_t word, id, kicked;
};

static void *sleep_until_woken(void *arg)
{
	struct sleeper *s = arg;

	hull_store_release(&s->id, hal->cpu_id(hal));
	while (!hull_load_acquire(&s->word))
		hal->wait(hal, &s->word, 0, HULL_NEVER);
	/* A kick interrupts a sleep that nothing else would end. */
	hull_store_release(&s->kicked, sleep(60) ? 1 : 2);
	return NULL;
}

static void wake_and_kick(void **state)
{
	struct sleeper s = { 0 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, sleep_until_woken, &s), 0);
	while (!hull_load_acquire(&s.id))
		usleep(100);
	assert_int_not_equal(s.id, hal->cpu_id(hal));
	hull_store_release(&s.word, 1);
	hal->wake(hal, &s.word, UINT32_MAX);
	while (!hull_load_acquire(&s.kicked)) {
		hal->cpu_kick(hal, s.id);
		usleep(1000);
	}
	assert_int_equal(s.kicked, 1);
	pthread_join(thread, NULL);
	hal->cpu_kick(hal, s.id); /* gone: nothing happens */
	hal->cpu_kick(hal, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_aligned_zeroed_and_lazy),
		cmocka_unit_test(code_is_never_writable_and_executable),
		cmocka_unit_test(ranges_cannot_be_claimed),
		cmocka_unit_test(clocks_and_chance),
		cmocka_unit_test(wait_ends_at_its_deadline),
		cmocka_unit_test(wake_and_kick),
	};

	hal = hull_host_hal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
