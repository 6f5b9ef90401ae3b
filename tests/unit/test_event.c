/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The ring of events. */
#include "support/vm_fixture.h"

static void test_sequence(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);
	struct hull_event e = { 0 };
	uint32_t kinds[8] = { 0 };

	(void)state;
	fake_hal_advance(&h, 41);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	for (uint64_t i = 1; !hull_vm_event_next(vm, i - 1, &e); i++) {
		assert_int_equal(e.sequence, i);
		if (i <= 8)
			kinds[i - 1] = e.kind;
	}
	assert_int_equal(e.sequence, 3);
	assert_int_equal(e.at_ns, 42);
	assert_int_equal(e.vcpu, UINT32_MAX);
	assert_int_equal(e.a, HULL_VM_READY);
	assert_int_equal(e.b, HULL_VM_RUNNING);
	assert_int_equal(kinds[0], HULL_EVENT_MAP);
	assert_int_equal(kinds[1], HULL_EVENT_STATE);
	assert_int_equal(hull_vm_event_next(vm, 3, &e), HULL_ENOENT);
	assert_int_equal(hull_vm_event_next(vm, UINT64_MAX, &e), HULL_ENOENT);
	assert_int_equal(hull_vm_event_next(vm, UINT64_MAX - 1, &e), HULL_ENOENT);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static void test_overwrites_the_oldest(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);
	struct hull_event e;
	uint64_t n = 0, first = 0;

	(void)state;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(hull_vm_pause(vm, NULL), 0);
		assert_int_equal(hull_vm_resume(vm, NULL), 0);
	}
	e.sequence = 0;
	while (!hull_vm_event_next(vm, e.sequence, &e)) {
		if (!n++)
			first = e.sequence;
		assert_int_equal(e.sequence, first + n - 1);
	}
	assert_int_equal(n, 64);
	assert_int_equal(e.sequence, 203);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_overwrites_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
