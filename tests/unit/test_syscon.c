/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The test finisher ends and restarts a machine that runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "accel/fake/fake.h"
#include "support/rig.h"

static unsigned boots;

static int loader(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	static const struct hull_fake_op off = {
		.kind = HULL_FAKE_EXIT,
		.exit = { .kind = HULL_EXIT_MMIO,
		          .io = { .addr = RIG_MMIO, .data = 0x5555, .size = 4, .write = true } },
	};

	(void)arg;
	(void)err;
	/* The second time around, the guest switches itself off. */
	if (++boots == 2)
		hull_fake_script(hull_vm_vcpu(vm, 0), &off, 1);
	return 0;
}

/* Run a guest that writes `val`; returns how often it was started. */
static unsigned run(uint64_t val, unsigned size, enum hull_stop_reason reason, uint64_t code)
{
	struct hull_fake_op ops[] = {
		{ .kind = HULL_FAKE_EXIT,
		  .exit = { .kind = HULL_EXIT_MMIO,
		            .io = { .addr = RIG_MMIO,
		                    .data = val,
		                    .size = (uint8_t)size,
		                    .write = true } } },
		{ .kind = HULL_FAKE_SPIN },
	};
	struct rig *r = rig_new();

	boots = 0;
	rig_add(r, hull_dev_type_find("syscon"), NULL, 0, NULL);
	hull_vm_set_loader(r->vm, loader, NULL);
	hull_fake_script(hull_vm_vcpu(r->vm, 0), ops, ARRAY_LEN(ops));
	assert_int_equal(hull_vm_seal(r->vm, NULL), 0);
	assert_int_equal(hull_vm_boot(r->vm, NULL), 0);
	hull_vm_deterministic_loop(r->vm);
	assert_int_equal(hull_vm_stop_reason(r->vm), reason);
	assert_int_equal(hull_vm_stop_code(r->vm), code);
	rig_free(r);
	return boots;
}

static void test_finisher(void **state)
{
	(void)state;
	assert_int_equal(run(0x5555, 4, HULL_STOP_GUEST, 0), 1);
	assert_int_equal(run(0x5555, 2, HULL_STOP_GUEST, 0), 1);
	assert_int_equal(run(0x00033333, 4, HULL_STOP_GUEST, 3), 1);
	assert_int_equal(run(0xffff3333, 4, HULL_STOP_GUEST, 0xffff), 1);
	/* A failure is never reported as success. */
	assert_int_equal(run(0x3333, 4, HULL_STOP_GUEST, 1), 1);
	assert_int_equal(run(0x7777, 4, HULL_STOP_GUEST, 0), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_finisher) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
