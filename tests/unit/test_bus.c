/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Buses and devices: creation, routing, lanes, counters, interrupts, timers. */
#include "support/vm_fixture.h"

#include <string.h>

#include "core/bus.h"
#include "core/dev_impl.h"

struct probe {
	struct hull_dev dev;
	uint64_t value, last_off;
	unsigned last_size, resets, fired, inited, inputs;
	int init_ret;
};

static unsigned finis;

static int probe_init(struct hull_dev *d, struct hull_err *err)
{
	struct probe *p = (struct probe *)d;

	p->inited++;
	if (!hull_dev_alloc(d, 100))
		return HULL_ENOMEM;
	if (d->prop[1])
		return hull_fail(err, HULL_EIO, 0, "the probe does not want to");
	return 0;
}

static void probe_fini(struct hull_dev *d)
{
	(void)d;
	finis++;
}

static void probe_reset(struct hull_dev *d)
{
	((struct probe *)d)->resets++;
}

static uint64_t probe_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct probe *p = (struct probe *)d;

	p->last_off = off;
	p->last_size = size;
	if (off == 0x20)
		hull_guest_error(d, "nothing is there", off);
	if (off == 0x28)
		hull_dev_refuse(d);
	return UINT64_MAX;
}

static void probe_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct probe *p = (struct probe *)d;

	assert_true(hull_lock_held(&d->lane));
	(void)size;
	p->value = val;
	if (off == 0x8)
		hull_timer_at_ns(d, val);
	if (off == 0xc)
		hull_irq_set(d->irq[0], val);
}

static void probe_timer(struct hull_dev *d)
{
	((struct probe *)d)->fired++;
}

static void probe_input(struct hull_dev *d, uint32_t n, bool level)
{
	struct probe *p = (struct probe *)d;

	assert_true(hull_lock_held(&d->lane));
	p->inputs = level ? p->inputs | 1U << n : p->inputs & ~(1U << n);
}

static const struct hull_prop probe_props[] = {
	{ "depth", "how deep", 16, 1, 64 },
	{ "refuse", "init fails", 0, 0, 1 },
};

static const struct hull_dev_type probe_type = {
	.name = "probe",
	.summary = "a device of this test",
	.state_size = sizeof(struct probe),
	.region_size = 0x100,
	.access_sizes = 1 | 4,
	.irqs = 1,
	.init = probe_init,
	.fini = probe_fini,
	.reset = probe_reset,
	.read = probe_read,
	.write = probe_write,
	.timer = probe_timer,
	.props = probe_props,
	.nprops = 2,
};

static const struct hull_dev_type chip_type = {
	.name = "chip",
	.state_size = sizeof(struct probe),
	.region_size = 0x100,
	.access_sizes = 4,
	.irqchip = true,
	.read = probe_read,
	.write = probe_write,
	.input = probe_input,
};

static struct probe *create(struct hull_vm *vm, const struct hull_dev_type *type, const char *name,
                            hull_gpa gpa)
{
	struct hull_dev_setup s = { .type = type, .name = name, .gpa = gpa };
	struct hull_dev *d = NULL;

	assert_int_equal(hull_dev_create(vm, &s, &d, NULL), 0);
	return (struct probe *)d;
}

static void test_create(void **state)
{
	static const uint64_t good[] = { 64 }, bad[] = { 65 }, refuse[] = { 1, 1 },
			      many[] = { 1, 0, 0 };
	struct {
		struct hull_dev_setup setup;
		int ret;
	} rows[] = {
		{ { &probe_type, "a", 0x1000, good, 1, NULL }, 0 },
		{ { &probe_type, "a", 0x2000, NULL, 0, NULL }, HULL_EEXIST },
		{ { &probe_type, "b", 0x10ff, NULL, 0, NULL }, HULL_EEXIST },
		{ { &probe_type, "b", 0xf01, NULL, 0, NULL }, HULL_EEXIST },
		{ { &probe_type, "b", RAM_AT + 5, NULL, 0, NULL }, HULL_EEXIST },
		{ { &probe_type, "b", UINT64_MAX - 0x10, NULL, 0, NULL }, HULL_EINVAL },
		{ { &probe_type, "", 0x2000, NULL, 0, NULL }, HULL_EINVAL },
		{ { &probe_type, NULL, 0x2000, NULL, 0, NULL }, HULL_EINVAL },
		{ { NULL, "b", 0x2000, NULL, 0, NULL }, HULL_EINVAL },
		{ { &probe_type, "b", 0x2000, bad, 1, NULL }, HULL_EINVAL },
		{ { &probe_type, "b", 0x2000, many, 3, NULL }, HULL_EINVAL },
		{ { &probe_type, "b", 0x2000, refuse, 2, NULL }, HULL_EIO },
		{ { &probe_type, "b", 0xf00, NULL, 0, NULL }, 0 }, /* touches a */
		{ { &probe_type, "c", UINT64_MAX - 0xff, NULL, 0, NULL }, 0 },
	};
	struct hull_dev *d;
	struct hull_err err;
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);

	(void)state;
	finis = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(hull_dev_create(vm, &rows[i].setup, &d, &err), rows[i].ret);
	assert_int_equal(hull_dev_find(vm, "a")->prop[0], 64);
	assert_int_equal(hull_dev_find(vm, "b")->prop[0], 16);
	assert_null(hull_dev_find(vm, "z"));
	assert_ptr_equal(hull_dev_at(vm, 2), hull_dev_find(vm, "c"));
	assert_null(hull_dev_at(vm, 3));
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	assert_int_equal(hull_dev_create(vm, &rows[0].setup, &d, &err), HULL_ESTATE);
	assert_int_equal(finis, 4); /* those that could not be attached */
	fixture_unmake(&h, vm);
	assert_int_equal(finis, 7);
}

static void test_routing(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned size;
		bool answered;
	} rows[] = {
		{ 0x1000, 4, true },      { 0x10fc, 4, true },      { 0x10ff, 1, true },
		{ 0x1100, 4, false },     { 0xffc, 4, false },      { 0x10fe, 4, false },
		{ 0x1002, 4, false },     { 0x1000, 2, false },     { 0x1000, 8, false },
		{ 0x1000, 3, false },     { 0x1000, 0, false },     { 0x1000, 16, false },
		{ UINT64_MAX, 4, false }, { UINT64_MAX, 1, false }, { 0, 4, false },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct probe *p = create(vm, &probe_type, "p", 0x1000);
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(hull_bus_read(vm, HULL_SPACE_MMIO, rows[i].addr, rows[i].size, &v),
		                 rows[i].answered);
		assert_int_equal(hull_bus_write(vm, HULL_SPACE_MMIO, rows[i].addr, rows[i].size, 0),
		                 rows[i].answered);
	}
	assert_int_equal(p->dev.accesses, 6);
	assert_int_equal(v, 0xff); /* cut to the size */
	assert_false(hull_bus_read(vm, HULL_SPACE_PIO, 0x1000, 4, &v));
	/* Ports may be unaligned, a register is one address whatever its size. */
	assert_int_equal(hull_bus_attach(vm, HULL_SPACE_PIO, 0x3f8, 8, &p->dev, NULL), 0);
	assert_true(hull_bus_read(vm, HULL_SPACE_PIO, 0x3f9, 4, &v));
	assert_int_equal(p->last_off, 1);
	assert_false(hull_bus_read(vm, HULL_SPACE_PIO, 0x3fd, 4, &v));
	assert_int_equal(hull_bus_attach(vm, HULL_SPACE_SYSREG, 0xc00, 1, &p->dev, NULL), 0);
	assert_true(hull_bus_write(vm, HULL_SPACE_SYSREG, 0xc00, 4, 0x123456789));
	assert_int_equal(p->value, 0x23456789);
	assert_int_equal(hull_bus_attach(vm, HULL_SPACE_PIO, 0x3ff, 1, &p->dev, NULL), HULL_EEXIST);
	assert_int_equal(hull_bus_attach(vm, HULL_SPACE_PIO, 1, 0, &p->dev, NULL), HULL_EINVAL);
	assert_int_equal(hull_bus_attach(vm, HULL_SPACES, 1, 1, &p->dev, NULL), HULL_EINVAL);
	for (uint64_t port = 0x1000;; port++) {
		int ret = hull_bus_attach(vm, HULL_SPACE_PIO, port, 1, &p->dev, NULL);

		if (ret) {
			assert_int_equal(ret, HULL_EOVERFLOW);
			break;
		}
	}
	fixture_unmake(&h, vm);
}

/* A device with registers in two spaces; and one register that is not there at the moment. */
static void test_places(void **state)
{
	static const struct hull_dev_place places[] = {
		{ HULL_SPACE_PIO, 0x40, 4, 0 },
		{ HULL_SPACE_PIO, 0x61, 1, 4 },
		{ HULL_SPACE_SYSREG, 0x800, 0x10, 0x20 },
	};
	struct hull_dev_setup setup = {
		.type = &probe_type, .name = "p", .places = places, .nplaces = ARRAY_LEN(places)
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct hull_dev *d;
	struct probe *p;
	uint64_t v = 7;

	(void)state;
	assert_int_equal(hull_dev_create(vm, &setup, &d, NULL), 0);
	p = (struct probe *)d;
	assert_false(hull_bus_read(vm, HULL_SPACE_MMIO, 0, 1, &v));
	assert_true(hull_bus_read(vm, HULL_SPACE_PIO, 0x42, 1, &v));
	assert_int_equal(p->last_off, 2);
	assert_true(hull_bus_read(vm, HULL_SPACE_PIO, 0x61, 1, &v));
	assert_int_equal(p->last_off, 4);
	v = 7;
	assert_false(hull_bus_read(vm, HULL_SPACE_SYSREG, 0x801, 4, &v));
	assert_int_equal(p->last_off, 0x28);
	assert_int_equal(v, 7);
	assert_true(hull_bus_read(vm, HULL_SPACE_SYSREG, 0x802, 4, &v));
	assert_int_equal(p->last_off, 0x30);
	/* A place that is taken: nothing is created. */
	setup.name = "q";
	finis = 0;
	assert_int_equal(hull_dev_create(vm, &setup, &d, NULL), HULL_EEXIST);
	assert_int_equal(finis, 1);
	fixture_unmake(&h, vm);
}

/* For the boot doctor: which device the guest was busy with when it fell silent. */
static void test_last_access(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct hull_device_info p, q;
	uint64_t v;

	(void)state;
	create(vm, &probe_type, "p", 0x1000);
	create(vm, &probe_type, "q", 0x2000);
	assert_int_equal(hull_vm_devices(vm, 0, &p), 0);
	assert_false(p.last);
	for (unsigned i = 0; i < 4; i++) {
		hull_gpa at = i & 1 ? 0x1008 : 0x2004;

		if (i & 2)
			assert_true(hull_bus_read(vm, HULL_SPACE_MMIO, at, 4, &v));
		else
			assert_true(hull_bus_write(vm, HULL_SPACE_MMIO, at, 4, 0));
		assert_int_equal(hull_vm_devices(vm, 0, &p), 0);
		assert_int_equal(hull_vm_devices(vm, 1, &q), 0);
		assert_int_equal(p.last, i & 1);
		assert_int_equal(q.last, !(i & 1));
		assert_int_equal(i & 1 ? p.last_offset : q.last_offset, at & 0xfff);
	}
	fixture_unmake(&h, vm);
}

static void test_guest_errors(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct hull_device_info info;
	struct hull_event e = { 0 };
	uint64_t v, events = 0;

	(void)state;
	create(vm, &probe_type, "p", 0x1000);
	for (int i = 0; i < 1000; i++)
		assert_true(hull_bus_read(vm, HULL_SPACE_MMIO, 0x1020, 4, &v));
	assert_int_equal(hull_vm_devices(vm, 0, &info), 0);
	assert_int_equal(info.guest_errors, 1000);
	assert_int_equal(info.accesses, 1000);
	assert_string_equal(info.name, "p");
	assert_string_equal(info.type, "probe");
	assert_int_equal(hull_vm_devices(vm, 1, &info), HULL_ENOENT);
	while (!hull_vm_event_next(vm, e.sequence, &e))
		if (e.kind == HULL_EVENT_GUEST_ERROR) {
			assert_int_equal(e.a, 0x1020);
			events++;
		}
	assert_in_range(events, 8, 20); /* a guest cannot flood the ring */
	fixture_unmake(&h, vm);
}

static void test_interrupts_and_reset(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct probe *chip = create(vm, &chip_type, "chip", 0x2000);
	struct probe *p = create(vm, &probe_type, "p", 0x1000);

	(void)state;
	/* Unconnected lines go nowhere. */
	assert_true(hull_bus_write(vm, HULL_SPACE_MMIO, 0x100c, 4, 1));
	hull_dev_wire(&p->dev, 0, hull_dev_input(&chip->dev, 5));
	assert_true(hull_bus_write(vm, HULL_SPACE_MMIO, 0x100c, 4, 1));
	assert_int_equal(chip->inputs, 1U << 5);
	assert_true(hull_bus_write(vm, HULL_SPACE_MMIO, 0x100c, 4, 0));
	assert_int_equal(chip->inputs, 0);
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(p->resets, 1);
	assert_int_equal(hull_vm_reset(vm, NULL), 0);
	assert_int_equal(p->resets, 2);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static void test_device_timer(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct probe *p = create(vm, &probe_type, "p", 0x1000);

	(void)state;
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_true(hull_bus_write(vm, HULL_SPACE_MMIO, 0x1008, 4, 1000));
	assert_int_equal(hull_timers_run(vm), 1000);
	fake_hal_advance(&h, 999);
	hull_timers_run(vm);
	assert_int_equal(p->fired, 0);
	fake_hal_advance(&h, 1);
	assert_int_equal(hull_timers_run(vm), HULL_NEVER);
	assert_int_equal(p->fired, 1);
	/* A wall-clock second; the past is now, the far future never. */
	hull_dev_enter(&p->dev);
	hull_timer_at(&p->dev, hull_wallclock_s(&p->dev) + 2);
	hull_dev_leave(&p->dev);
	assert_int_equal(hull_timers_run(vm), 1000 + 2000000000 - h.wall % 1000000000);
	hull_timer_at(&p->dev, INT64_MIN);
	assert_int_equal(p->dev.timer.deadline, 1000);
	hull_timer_at(&p->dev, INT64_MAX);
	assert_int_equal(p->dev.timer.deadline, HULL_NEVER);
	h.wall = -1;
	assert_int_equal(hull_wallclock_s(&p->dev), -1);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

/* The device disarms its timer after it came due and before the callback has the lane. */
static void test_stale_timer(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_make(&h, 1);
	struct probe *p = create(vm, &probe_type, "p", 0x1000);

	(void)state;
	hull_timer_at_ns(&p->dev, 0);
	p->dev.timer.due = true;
	hull_timer_at_ns(&p->dev, HULL_NEVER);
	p->dev.timer.fire(&p->dev.timer);
	assert_int_equal(p->fired, 0);
	fixture_unmake(&h, vm);
}

static uint64_t answer(void *opaque, uint64_t offset, unsigned size)
{
	(void)size;
	return (uintptr_t)opaque + offset;
}

struct poller {
	struct hull_vm *vm;
	uint64_t stop; /* atomic */
};

static void *poll_bus(void *arg)
{
	struct poller *p = arg;

	while (!hull_load_seqcst(&p->stop)) {
		uint64_t v;

		assert_true(hull_bus_read(p->vm, HULL_SPACE_MMIO, 0x9000, 8, &v));
		assert_int_equal(v, 1000);
		if (hull_bus_read(p->vm, HULL_SPACE_MMIO, 0x8f00, 8, &v))
			assert_int_equal(v, 2000);
	}
	return NULL;
}

/* Devices appear below an existing one while others are used. */
static void test_register_while_running(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct fake_hal h;
		struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);
		struct hull_callback_device d = { .name = "fixed",
			                          .gpa = 0x9000,
			                          .size = 8,
			                          .opaque = (void *)1000,
			                          .read = answer };
		struct poller p = { .vm = vm };
		pthread_t thread;

		assert_int_equal(hull_vm_register_device(vm, &d, NULL), 0);
		assert_int_equal(hull_vm_register_device(vm, &d, NULL), HULL_EEXIST);
		pthread_create(&thread, NULL, poll_bus, &p);
		d.opaque = (void *)2000;
		for (int i = 1; i < 20; i++) {
			char name[] = { 'd', (char)('a' + i), 0 };
			int ret;

			d.name = name;
			d.gpa = 0x9000 - (uint64_t)i * 0x100;
			ret = hull_vm_register_device(vm, &d, NULL);
			assert_int_equal(ret, i < 16 ? 0 : HULL_EOVERFLOW);
		}
		hull_store_seqcst(&p.stop, 1);
		pthread_join(thread, NULL);
		d.name = "";
		assert_int_equal(hull_vm_register_device(vm, &d, NULL), HULL_EINVAL);
		fixture_unmake(&h, vm);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_routing),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_last_access),
		cmocka_unit_test(test_guest_errors),
		cmocka_unit_test(test_interrupts_and_reset),
		cmocka_unit_test(test_device_timer),
		cmocka_unit_test(test_stale_timer),
		cmocka_unit_test(test_register_while_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
