/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Channels between VMs: the window, sharing, and when the pages are freed. */
#include "support/vm_fixture.h"

enum { WINDOW = 0x40000000, PAGE = 4096 };

static struct hull_vm *make(struct fake_hal *h, bool first)
{
	struct hull_vm_config c = fixture_config(1);
	struct hull_vm *vm;

	c.ivc_gpa = WINDOW;
	c.ivc_size = 4 * PAGE;
	if (first)
		return fixture_make_config(h, &c);
	assert_int_equal(hull_vm_create(&c, &h->hal, hull_accel_find("fake"), &vm, NULL), 0);
	return vm;
}

static void test_window(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = make(&h, true);
	hull_gpa a, b, c;
	uint64_t len, live = h.live_bytes;
	char text[4];

	(void)state;
	assert_int_equal(hull_vm_ivc_alloc(vm, 0, &a, &len, NULL), HULL_EINVAL);
	assert_int_equal(hull_vm_ivc_alloc(vm, UINT64_MAX, &a, &len, NULL), HULL_ENOMEM);
	assert_int_equal(hull_vm_ivc_alloc(vm, 4 * PAGE + 1, &a, &len, NULL), HULL_ENOMEM);
	assert_int_equal(hull_vm_ivc_alloc(vm, 1, &a, &len, NULL), 0);
	assert_int_equal(a, WINDOW);
	assert_int_equal(len, PAGE);
	assert_int_equal(hull_vm_ivc_alloc(vm, PAGE + 1, &b, &len, NULL), 0);
	assert_int_equal(b, WINDOW + PAGE);
	assert_int_equal(len, 2 * PAGE);
	assert_int_equal(hull_vm_ivc_alloc(vm, 2 * PAGE, &c, &len, NULL), HULL_ENOMEM);
	assert_int_equal(hull_vm_ivc_alloc(vm, PAGE, &c, &len, NULL), 0);
	assert_int_equal(c, WINDOW + 3 * PAGE);
	assert_int_equal(hull_vm_read(vm, WINDOW, text, 4), 0); /* zeroed */
	assert_int_equal(text[0], 0);
	/* Exactly one, or none. */
	assert_int_equal(hull_vm_ivc_free(vm, b, PAGE, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_ivc_free(vm, b + PAGE, PAGE, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_ivc_free(vm, b, 0, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_unmap(vm, b, 2 * PAGE, NULL), HULL_ENOENT); /* not by this door */
	assert_int_equal(hull_vm_ivc_free(vm, b, 2 * PAGE, NULL), 0);
	assert_int_equal(hull_vm_ivc_free(vm, b, 2 * PAGE, NULL), HULL_ENOENT);
	/* The hole is found again. */
	assert_int_equal(hull_vm_ivc_alloc(vm, 2 * PAGE, &b, &len, NULL), 0);
	assert_int_equal(b, WINDOW + PAGE);
	assert_int_equal(hull_vm_ivc_free(vm, a, PAGE, NULL), 0);
	assert_int_equal(hull_vm_ivc_free(vm, b, 2 * PAGE, NULL), 0);
	assert_int_equal(hull_vm_ivc_free(vm, c, PAGE, NULL), 0);
	assert_int_equal(h.live_bytes, live);
	fixture_unmake(&h, vm);
}

static void test_share(void **state)
{
	struct fake_hal h;
	struct hull_vm *one = make(&h, true), *two = make(&h, false);
	hull_gpa a, b, other;
	uint64_t len;
	char text[6];

	(void)state;
	assert_int_equal(hull_vm_ivc_alloc(two, PAGE, &other, &len, NULL), 0);
	assert_int_equal(hull_vm_ivc_alloc(one, 2 * PAGE, &a, &len, NULL), 0);
	assert_int_equal(hull_vm_ivc_share(one, a + PAGE, two, &b, NULL), HULL_ENOENT);
	assert_int_equal(hull_vm_ivc_share(one, a, two, &b, NULL), 0);
	assert_int_equal(b, WINDOW + PAGE);
	assert_int_equal(hull_vm_ivc_share(one, a, two, &other, NULL), HULL_ENOMEM); /* full */
	assert_int_equal(hull_vm_write(one, a + 100, "hello", 6), 0);
	assert_int_equal(hull_vm_read(two, b + 100, text, 6), 0);
	assert_string_equal(text, "hello");
	/* The allocator goes; the other one still has the pages. */
	assert_int_equal(hull_vm_destroy(one, NULL), 0);
	assert_int_equal(hull_vm_write(two, b + 2 * PAGE - 1, "x", 1), 0);
	assert_int_equal(hull_vm_read(two, b + 100, text, 6), 0);
	assert_string_equal(text, "hello");
	fixture_unmake(&h, two);
}

static void test_refusals(void **state)
{
	struct fake_hal h, elsewhere;
	struct hull_vm *vm = make(&h, true), *plain = fixture_make(&elsewhere, 1);
	hull_gpa a, b;
	uint64_t len, live = h.live_bytes;

	(void)state;
	assert_int_equal(hull_vm_ivc_alloc(plain, PAGE, &a, &len, NULL), HULL_EINVAL);
	/* Neither a failing allocation nor a failing map leaves anything. */
	h.fail_at = h.allocations + 1;
	assert_int_equal(hull_vm_ivc_alloc(vm, PAGE, &a, &len, NULL), HULL_ENOMEM);
	((struct hull_fake_vm *)hull_vm_accel_state(vm))->fail_maps = 1;
	assert_int_equal(hull_vm_ivc_alloc(vm, PAGE, &a, &len, NULL), HULL_ENOMEM);
	((struct hull_fake_vm *)hull_vm_accel_state(vm))->fail_maps = 0;
	assert_int_equal(h.live_bytes, live);
	assert_int_equal(hull_vm_ivc_alloc(vm, PAGE, &a, &len, NULL), 0);
	assert_int_equal(a, WINDOW);
	assert_int_equal(hull_vm_ivc_share(vm, a, plain, &b, NULL), HULL_EINVAL); /* another host */
	fixture_unmake(&elsewhere, plain);
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
