/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Channels between VMs as guests use them: by name, with doorbells; and users that are hostile. */
#include "support/vm_fixture.h"

#include <string.h>

#include "base/prng.h"
#include "core/dev_impl.h"
#include "dev/ivc/ivc.h"

enum { WINDOW = 0x40000000, PAGE = 4096, PAGES = 4, VMS = 3, REGS = 0x10000000 };

struct party {
	struct hull_vm *vm;
	struct hull_dev *dev;
	struct hull_irq_sink sink;
	bool line;
};

static struct fake_hal hal;
static struct hull_ivc_exchange exchange;
static struct party party[VMS];
static uint64_t ret[3];

static void set_line(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	CONTAINER_OF(sink, struct party, sink)->line = level;
}

static struct hull_vm_config configuration(void)
{
	struct hull_vm_config c = fixture_config(1);

	c.ivc_gpa = WINDOW;
	c.ivc_size = PAGES * PAGE;
	return c;
}

static void add_device(struct party *p, void *backend)
{
	struct hull_dev_setup s = {
		.type = hull_dev_type_find("ivc"), .name = "ivc", .gpa = REGS, .backend = backend
	};

	assert_int_equal(hull_dev_create(p->vm, &s, &p->dev, NULL), 0);
	p->sink.set = set_line;
	p->line = false;
	hull_dev_wire(p->dev, 0, (struct hull_irq){ &p->sink, 0 });
}

static int setup(void **state)
{
	struct hull_vm_config c = configuration();

	memset(&exchange, 0, sizeof(exchange));
	for (unsigned i = 0; i < VMS; i++) {
		if (i)
			assert_int_equal(hull_vm_create(&c, &hal.hal, hull_accel_find("fake"),
			                                &party[i].vm, NULL),
			                 0);
		else
			party[i].vm = fixture_make_config(&hal, &c);
		if (!i)
			hull_ivc_exchange_init(&exchange, &hal.hal);
		add_device(&party[i], &exchange);
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = VMS; i-- > 1;)
		if (party[i].vm)
			assert_int_equal(hull_vm_destroy(party[i].vm, NULL), 0);
	fixture_unmake(&hal, party[0].vm);
	for (unsigned i = 0; i < HULL_IVC_CHANNELS; i++)
		assert_false(exchange.channels[i].used);
	return 0;
}

static int64_t call(unsigned who, enum hull_ivc_call nr, uint64_t a, uint64_t b)
{
	hull_ivc_call(party[who].dev, nr, (uint64_t[2]){ a, b }, ret);
	return (int64_t)ret[0];
}

static uint64_t reg(unsigned who, uint64_t off)
{
	return party[who].dev->type->read(party[who].dev, off, 8);
}

static void set_reg(unsigned who, uint64_t off, uint64_t value)
{
	party[who].dev->type->write(party[who].dev, off, value, 8);
}

static void reset_one(unsigned who)
{
	hull_dev_enter(party[who].dev);
	party[who].dev->type->reset(party[who].dev);
	hull_dev_leave(party[who].dev);
}

static void test_a_message_and_its_answer(void **state)
{
	hull_gpa a, b;
	char text[6];

	assert_int_equal(reg(0, HULL_IVC_ID), HULL_IVC_MAGIC);
	assert_int_equal(reg(0, HULL_IVC_WINDOW), WINDOW);
	assert_int_equal(reg(0, HULL_IVC_BYTES), PAGES * PAGE);
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 77, 100), 0);
	a = ret[1];
	assert_int_equal(ret[2], PAGE);
	assert_int_equal(call(1, HULL_IVC_PUBLISH, 5, PAGE), 0);
	assert_int_equal(call(1, HULL_IVC_SUBSCRIBE, 77, 0), 1);
	b = ret[1];
	assert_int_equal(hull_vm_write(party[0].vm, a, "hello", 6), 0);
	assert_int_equal(call(0, HULL_IVC_RING, 0, 0), 0);
	assert_true(party[1].line);
	assert_false(party[0].line);
	assert_false(party[2].line);
	assert_int_equal(reg(1, HULL_IVC_PENDING), 2);
	assert_int_equal(hull_vm_read(party[1].vm, b, text, 6), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(call(1, HULL_IVC_ACK, UINT64_MAX, 0), 2);
	assert_false(party[1].line);
	set_reg(1, HULL_IVC_DOORBELL, 1);
	assert_int_equal(reg(0, HULL_IVC_PENDING), 1);
	assert_true(party[0].line);
	set_reg(0, HULL_IVC_PENDING, 1);
	assert_false(party[0].line);
}

static void test_a_channel_outlives_who_made_it(void **state)
{
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 1, PAGE), 0);
	assert_int_equal(call(1, HULL_IVC_SUBSCRIBE, 1, 0), 0);
	assert_int_equal(call(0, HULL_IVC_LEAVE, 0, 0), 0);
	assert_int_equal(hull_vm_write(party[0].vm, WINDOW, "x", 1), HULL_EFAULT);
	assert_int_equal(hull_vm_write(party[1].vm, WINDOW, "x", 1), 0);
	assert_int_equal(call(2, HULL_IVC_SUBSCRIBE, 1, 0), 0);
	assert_int_equal(call(0, HULL_IVC_RING, 0, 0), HULL_IVC_INVALID);
	/* A VM that ends leaves. */
	assert_int_equal(hull_vm_destroy(party[1].vm, NULL), 0);
	party[1].vm = NULL;
	assert_int_equal(call(2, HULL_IVC_RING, 0, 0), 0);
	/* One that is reset, too. */
	reset_one(2);
	assert_int_equal(call(2, HULL_IVC_SUBSCRIBE, 1, 0), HULL_IVC_UNKNOWN);
}

static void test_mistakes(void **state)
{
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 1, 0), HULL_IVC_INVALID);
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 1, UINT64_MAX), HULL_IVC_INVALID);
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 1, PAGES * PAGE + 1), HULL_IVC_INVALID);
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 1, 2 * PAGE), 0);
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 1, PAGE), HULL_IVC_EXISTS);
	assert_int_equal(call(1, HULL_IVC_PUBLISH, 1, PAGE), HULL_IVC_EXISTS);
	assert_int_equal(call(0, HULL_IVC_SUBSCRIBE, 1, 0), HULL_IVC_EXISTS);
	assert_int_equal(call(0, HULL_IVC_PUBLISH, 2, 3 * PAGE), HULL_IVC_NO_ROOM);
	assert_int_equal(call(1, HULL_IVC_SUBSCRIBE, 2, 0), HULL_IVC_UNKNOWN);
	assert_int_equal(call(1, HULL_IVC_LEAVE, 0, 0), HULL_IVC_INVALID);
	assert_int_equal(call(1, HULL_IVC_LEAVE, UINT64_MAX, 0), HULL_IVC_INVALID);
	assert_int_equal(call(1, HULL_IVC_RING, 256, 0), HULL_IVC_INVALID);
	set_reg(0, HULL_IVC_DOORBELL, 300);
	set_reg(0, HULL_IVC_ID, 1);
	assert_int_equal(reg(0, 0x800), 0);
	assert_int_equal(reg(0, HULL_IVC_PENDING), 0);
}

static void test_without_others(void **state)
{
	struct hull_vm_config c = configuration();
	struct party p = { 0 };

	assert_int_equal(hull_vm_create(&c, &hal.hal, hull_accel_find("fake"), &p.vm, NULL), 0);
	add_device(&p, NULL);
	hull_ivc_call(p.dev, HULL_IVC_PUBLISH, (uint64_t[2]){ 1, PAGE }, ret);
	assert_int_equal((int64_t)ret[0], HULL_IVC_NOT_SUPPORTED);
	p.dev->type->write(p.dev, HULL_IVC_DOORBELL, 0, 8);
	assert_int_equal(hull_vm_destroy(p.vm, NULL), 0);
}

/* Whatever guests do, the host's memory comes back and nobody is rung from outside a channel. */
static void test_hostile_users(void **state)
{
	static const uint64_t sizes[] = { 0, 1, PAGE, PAGE + 1, 4 * PAGE, UINT64_MAX };
	struct hull_prng r;

	hull_prng_seed(&r, 3);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned who = hull_prng_next(&r) % VMS;
		uint64_t a = hull_prng_next(&r) % 20, b = sizes[hull_prng_next(&r) % 6];

		call(who, hull_prng_next(&r) % (HULL_IVC_CALLS + 1), a, b);
		set_reg(who, hull_prng_next(&r) % 8 * 8, a);
		assert_int_equal(party[who].line, reg(who, HULL_IVC_PENDING) != 0);
		if (i % 1000 == 0)
			reset_one(who);
	}
	reset_one(0);
	reset_one(1);
	call(2, HULL_IVC_ACK, UINT64_MAX, 0);
	for (unsigned slot = 0; slot < HULL_IVC_SLOTS; slot++)
		call(2, HULL_IVC_RING, slot, 0);
	for (unsigned i = 0; i < VMS; i++)
		assert_false(party[i].line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_message_and_its_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_channel_outlives_who_made_it, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_users, setup, teardown),
	};

	return cmocka_run_group_tests_name("ivc device", tests, NULL, NULL);
}
