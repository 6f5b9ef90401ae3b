/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Locks: exclusion, sleeping, and the order of ranks. */
#include "support/vm_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/lane.h"

struct shared {
	struct hull_lock lock;
	uint64_t count; /* guarded by the lock */
	uint64_t ready; /* atomic */
};

static void *add(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 20000; i++) {
		hull_lock_acquire(&s->lock);
		assert_true(hull_lock_held(&s->lock));
		s->count++;
		hull_lock_release(&s->lock);
		if (hull_lock_held(&s->lock))
			fail_msg("held after release");
	}
	return NULL;
}

static void test_exclusion(void **state)
{
	struct fake_hal h;
	struct shared s = { 0 };
	pthread_t threads[4];

	(void)state;
	fake_hal_init(&h);
	hull_lock_init(&s.lock, &h.hal, HULL_RANK_DEVICE);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, add, &s);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s.count, 80000);
	assert_int_equal(s.lock.word, 0);
	fake_hal_fini(&h);
}

static void *take_once(void *arg)
{
	struct shared *s = arg;

	hull_store_seqcst(&s->ready, 1);
	hull_lock_acquire(&s->lock);
	s->count++;
	hull_lock_release(&s->lock);
	return NULL;
}

/* Whoever waits long sleeps in the HAL, and is woken. */
static void test_sleeps(void **state)
{
	struct fake_hal h;
	struct shared s = { 0 };
	pthread_t thread;

	(void)state;
	fake_hal_init(&h);
	hull_lock_init(&s.lock, &h.hal, HULL_RANK_LEAF);
	hull_lock_acquire(&s.lock);
	pthread_create(&thread, NULL, take_once, &s);
	fixture_await(&s.ready, 1);
	fixture_await(&h.waits, 1);
	hull_lock_release(&s.lock);
	pthread_join(thread, NULL);
	assert_int_equal(s.count, 1);
	fake_hal_fini(&h);
}

/* How a child that does this ends: 0, or the signal. */
static int child(enum hull_lock_rank first, enum hull_lock_rank second)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct fake_hal h;
		struct hull_lock a, b;

		close(2); /* the message of the assertion is expected */
		signal(SIGABRT, SIG_DFL);
		fake_hal_init(&h);
		hull_lock_init(&a, &h.hal, first);
		hull_lock_init(&b, &h.hal, second);
		hull_lock_acquire(&a);
		hull_lock_acquire(&b);
		hull_lock_release(&b);
		hull_lock_release(&a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_ranks(void **state)
{
	(void)state;
#ifdef HULL_NO_ASSERT
	skip();
#endif
	assert_int_equal(child(HULL_RANK_LIFECYCLE, HULL_RANK_DEVICE), 0);
	assert_int_equal(child(HULL_RANK_DEVICE, HULL_RANK_IRQCHIP), 0);
	assert_int_equal(child(HULL_RANK_DEVICE, HULL_RANK_LEAF), 0);
	assert_int_equal(child(HULL_RANK_DEVICE, HULL_RANK_DEVICE), SIGABRT);
	assert_int_equal(child(HULL_RANK_ASPACE, HULL_RANK_DEVICE), SIGABRT);
	assert_int_equal(child(HULL_RANK_LEAF, HULL_RANK_LIFECYCLE), SIGABRT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_sleeps),
		cmocka_unit_test(test_ranks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
