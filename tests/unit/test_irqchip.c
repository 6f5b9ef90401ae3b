/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the core passes on to an accelerator with controllers, clocks and dirty logs of its own. */
#include "support/vm_fixture.h"

#include <string.h>

#include "core/irqchip.h"

enum { PAGE = 4096 };

static struct {
	uint32_t line, data, vector;
	bool level, running;
	unsigned lines, clocks, syncs;
	uint64_t addr;
	uint32_t requester;
} seen;

static enum hull_irqchip split(struct hull_vm *vm)
{
	(void)vm;
	return HULL_IRQCHIP_SPLIT;
}

static int set_line(struct hull_vm *vm, uint32_t line, bool level)
{
	(void)vm;
	seen.lines++;
	seen.line = line;
	seen.level = level;
	return 0;
}

static int send_msi(struct hull_vm *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	(void)vm;
	seen.requester = requester;
	seen.addr = addr;
	seen.data = data;
	return 0;
}

static void set_clock(struct hull_vm *vm, bool running)
{
	(void)vm;
	seen.clocks++;
	seen.running = running;
}

static int sync_dirty(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	const uint64_t bits[4] = { BIT(3) | BIT(63), 0, BIT(1), BIT(63) };

	seen.syncs++;
	hull_aspace_dirty_many(vm, gpa, bits, len / PAGE - 1); /* the last bit is beyond it */
	return 0;
}

static void ended(struct hull_vm *vm, uint32_t vector, void *arg)
{
	(void)vm;
	(void)arg;
	seen.vector = vector;
}

static int acknowledge(struct hull_vcpu *vcpu, void *arg)
{
	return (int)vcpu->id + *(const int *)arg;
}

static struct hull_vm *make(struct fake_hal *h, const struct hull_accel *accel)
{
	struct hull_vm_config c = fixture_config(2);
	struct hull_vm *vm = NULL;

	memset(&seen, 0, sizeof(seen));
	fake_hal_init(h);
	assert_int_equal(hull_vm_create(&c, &h->hal, accel, &vm, NULL), 0);
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	return vm;
}

static void test_where_controllers_are(void **state)
{
	struct hull_accel a = *hull_accel_find("fake");
	const struct hull_debug d = { .n = 0 };
	struct fake_hal h;
	struct hull_vm *vm = make(&h, &a);

	assert_int_equal(hull_vm_irqchip(vm), HULL_IRQCHIP_USER);
	hull_irq_set(hull_vm_line(vm, 5), true); /* nobody is there: nothing happens */
	assert_int_equal(hull_vm_msi(vm, 0xfee00000, 0x40), HULL_ENOTSUP);
	assert_int_equal(hull_vm_route(vm, 1, 0, 0), HULL_ENOTSUP);
	assert_int_equal(hull_vm_irq_event(vm, 1, -1, true), HULL_ENOTSUP);
	assert_int_equal(hull_vm_doorbell(vm, NULL, true), HULL_ENOTSUP);
	assert_int_equal(hull_vm_lazy_writes(vm, HULL_SPACE_MMIO, 0, 4, true), HULL_ENOTSUP);
	assert_int_equal(hull_vcpu_debug(hull_vm_vcpu(vm, 0), &d), HULL_ENOTSUP);
	assert_null(hull_vm_failure(vm));
	hull_vm_eoi(vm, 3);
	assert_true(hull_vcpu_intack(hull_vm_vcpu(vm, 0)) < 0);
	a.irq_line = set_line;
	assert_int_equal(hull_vm_irqchip(vm), HULL_IRQCHIP_KERNEL);
	a.irqchip = split;
	assert_int_equal(hull_vm_irqchip(vm), HULL_IRQCHIP_SPLIT);
	fixture_unmake(&h, vm);
}

static void test_lines_messages_and_ends(void **state)
{
	struct hull_accel a = *hull_accel_find("fake");
	int base = 0x30;
	struct fake_hal h;
	struct hull_vm *vm;

	a.irq_line = set_line;
	a.msi = send_msi;
	vm = make(&h, &a);
	hull_irq_set(hull_vm_line(vm, 17), true);
	assert_int_equal(seen.line, 17);
	assert_true(seen.level);
	hull_irq_set(hull_vm_line(vm, 17), false);
	assert_false(seen.level);
	assert_int_equal(seen.lines, 2);
	assert_int_equal(hull_vm_msi(vm, 0xfee01000, 0x4041), 0);
	assert_int_equal(seen.addr, 0xfee01000);
	assert_int_equal(seen.data, 0x4041);
	assert_int_equal(seen.requester, 0);
	hull_msi_send((struct hull_msi){ hull_vm_msi_sink(vm), 0x08090040, 7, 0x18 });
	assert_int_equal(seen.addr, 0x08090040);
	assert_int_equal(seen.data, 7);
	assert_int_equal(seen.requester, 0x18);
	hull_vm_set_eoi(vm, ended, NULL);
	hull_vm_eoi(vm, 0x41);
	assert_int_equal(seen.vector, 0x41);
	hull_vm_set_intack(vm, acknowledge, &base);
	assert_int_equal(hull_vcpu_intack(hull_vm_vcpu(vm, 1)), 0x31);
	fixture_unmake(&h, vm);
}

static void test_clock_stands_in_a_pause(void **state)
{
	struct hull_accel a = *hull_accel_find("fake");
	struct fake_hal h;
	struct hull_vm *vm;

	a.clock = set_clock;
	vm = make(&h, &a);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(seen.clocks, 0);
	assert_int_equal(hull_vm_pause(vm, NULL), 0);
	assert_int_equal(seen.clocks, 1);
	assert_false(seen.running);
	assert_int_equal(hull_vm_resume(vm, NULL), 0);
	assert_true(seen.running);
	assert_int_equal(hull_vm_reset(vm, NULL), 0); /* running before and after */
	assert_int_equal(seen.clocks, 2);
	assert_int_equal(hull_vm_pause(vm, NULL), 0);
	assert_int_equal(hull_vm_reset(vm, NULL), 0);
	assert_int_equal(seen.clocks, 4);
	assert_true(seen.running);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	hull_vm_vcpu_loop(vm, 0);
	fixture_unmake(&h, vm);
}

static void test_dirty_pages_are_asked_for(void **state)
{
	struct hull_accel a = *hull_accel_find("fake");
	uint64_t bits[RAM_SIZE / PAGE / 64] = { 0 };
	struct fake_hal h;
	struct hull_vm *vm;

	a.dirty_sync = sync_dirty;
	vm = make(&h, &a);
	assert_int_equal(hull_vm_dirty_start(vm, NULL), 0);
	assert_int_equal(hull_vm_dirty_fetch(vm, RAM_AT, bits, RAM_SIZE / PAGE), 0);
	assert_int_equal(seen.syncs, 1);
	assert_int_equal(bits[0], BIT(3) | BIT(63));
	assert_int_equal(bits[1], 0);
	assert_int_equal(bits[2], BIT(1));
	assert_int_equal(bits[3], 0);
	assert_int_equal(hull_vm_dirty_stop(vm), 0);
	hull_aspace_dirty_many(vm, RAM_AT, bits, 64); /* no log: ignored */
	fixture_unmake(&h, vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_controllers_are),
		cmocka_unit_test(test_lines_messages_and_ends),
		cmocka_unit_test(test_clock_stands_in_a_pause),
		cmocka_unit_test(test_dirty_pages_are_asked_for),
	};

	return cmocka_run_group_tests_name("irqchip", tests, NULL, NULL);
}
