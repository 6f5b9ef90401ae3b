/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The GICv3 model and an accelerator that takes interrupts out of it (struct hull_vgic). */
#include "support/vm_fixture.h"

#include "core/bus.h"
#include "core/dev_impl.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "dev/irqchip/gicv3.h"

enum { GIC = 0x08000000, SGI_FRAME = 0x20000, CTLR = 0, SPI = 33 };
enum { IGROUPR = 0x80, ISENABLER = 0x100, ICENABLER = 0x180, ISPENDR = 0x200, ICPENDR = 0x280 };

struct gic {
	struct fake_hal h;
	struct hull_vm *vm;
	struct hull_dev *dev;
	const struct hull_vgic *g;
};

static void put(struct gic *t, uint64_t at, uint32_t value)
{
	assert_true(hull_bus_write(t->vm, HULL_SPACE_MMIO, GIC + at, 4, value));
}

static uint64_t get(struct gic *t, uint64_t at)
{
	uint64_t v = 0;

	assert_true(hull_bus_read(t->vm, HULL_SPACE_MMIO, GIC + at, 4, &v));
	return v;
}

/* Two vCPUs; SGIs of both and an SPI, level-triggered, for vCPU 0 are enabled. */
static void begin(struct gic *t)
{
	struct hull_dev_setup s = { .type = hull_dev_type_find("gicv3"),
		                    .name = "gic",
		                    .gpa = GIC };

	*t = (struct gic){ 0 };
	t->vm = fixture_make(&t->h, 2);
	assert_int_equal(hull_dev_create(t->vm, &s, &t->dev, NULL), 0);
	for (unsigned v = 0; v < 2; v++)
		hull_dev_wire(t->dev, v, hull_vcpu_line(hull_vm_vcpu(t->vm, v), 1));
	t->g = hull_vm_vgic(t->vm);
	hull_dev_enter(t->dev);
	t->dev->type->reset(t->dev);
	hull_dev_leave(t->dev);
	put(t, CTLR, 2);
	for (unsigned v = 0; v < 2; v++) {
		put(t, SGI_FRAME * v + SGI_FRAME + IGROUPR, UINT32_MAX);
		put(t, SGI_FRAME * v + SGI_FRAME + ISENABLER, 0xffff);
	}
	put(t, IGROUPR + 4, 2);
	put(t, ISENABLER + 4, 2);
}

static void end(struct gic *t)
{
	fixture_unmake(&t->h, t->vm);
}

static bool line(struct gic *t, unsigned v)
{
	return hull_vcpu_lines(hull_vm_vcpu(t->vm, v)) & BIT(1);
}

static struct hull_vgic_irq pull(struct gic *t, unsigned v)
{
	struct hull_vgic_irq irq = { 0 };

	assert_true(t->g->pull(t->g->arg, hull_vm_vcpu(t->vm, v), &irq));
	return irq;
}

static void push(struct gic *t, unsigned v, uint32_t intid, bool pending, bool active)
{
	const struct hull_vgic_irq irq = { .intid = intid, .pending = pending, .active = active };

	t->g->push(t->g->arg, hull_vm_vcpu(t->vm, v), &irq);
}

static bool nothing(struct gic *t, unsigned v)
{
	struct hull_vgic_irq irq;

	return !t->g->pull(t->g->arg, hull_vm_vcpu(t->vm, v), &irq);
}

/* The vCPU may have handled the first one long ago, in its list register: it has to look. */
static void again_while_it_is_out(void **state)
{
	struct hull_vgic_irq irq;
	struct gic t;

	(void)state;
	begin(&t);
	put(&t, 2 * SGI_FRAME + ISPENDR, 8);
	assert_true(line(&t, 1));
	assert_int_equal(pull(&t, 1).intid, 3);
	assert_false(line(&t, 1));
	put(&t, 2 * SGI_FRAME + ISPENDR, 8);
	assert_true(line(&t, 1));
	assert_false(line(&t, 0));
	assert_true(nothing(&t, 1));
	push(&t, 1, 3, false, false);
	assert_true(line(&t, 1));
	assert_int_equal(pull(&t, 1).intid, 3);
	assert_false(line(&t, 1));
	/* While it is active the end has to be told, which it is not of edges. */
	push(&t, 1, 3, false, true);
	irq = pull(&t, 1);
	assert_true(irq.active && !irq.pending && !irq.level);
	push(&t, 1, 3, false, true);
	put(&t, 2 * SGI_FRAME + ISPENDR, 8);
	irq = pull(&t, 1);
	assert_true(irq.active && !irq.pending && irq.level);
	push(&t, 1, 3, false, false);
	assert_true(line(&t, 1));
	assert_true(pull(&t, 1).pending);
	/* Disabled, it is no reason to look, once it is back. */
	put(&t, 2 * SGI_FRAME + ICENABLER, 8);
	assert_true(line(&t, 1));
	push(&t, 1, 3, false, false);
	put(&t, 2 * SGI_FRAME + ISPENDR, 8);
	assert_false(line(&t, 1));
	end(&t);
}

/* An SPI that was taken by one vCPU and then routed to another: the first has to bring it back. */
static void again_on_the_one_that_has_it(void **state)
{
	struct gic t;

	(void)state;
	begin(&t);
	put(&t, 0xc08, 8); /* an edge */
	put(&t, ISPENDR + 4, 2);
	assert_int_equal(pull(&t, 0).intid, SPI);
	put(&t, 0x6108, 1);
	put(&t, ISPENDR + 4, 2);
	assert_true(line(&t, 0));
	assert_false(line(&t, 1));
	push(&t, 0, SPI, false, false);
	assert_false(line(&t, 0));
	assert_true(line(&t, 1));
	assert_int_equal(pull(&t, 1).intid, SPI);
	end(&t);
}

/* What is out is brought back when it is disabled, routed elsewhere, or pending no more. */
static void recalled(void **state)
{
	struct gic t;

	(void)state;
	begin(&t);
	put(&t, 0xc08, 8); /* an edge */
	put(&t, ISPENDR + 4, 2);
	assert_int_equal(pull(&t, 0).intid, SPI);
	assert_false(line(&t, 0));
	put(&t, ICENABLER + 4, 2);
	assert_true(line(&t, 0));
	push(&t, 0, SPI, true, false);
	assert_false(line(&t, 0));
	assert_int_equal(get(&t, ISPENDR + 4), 2);
	put(&t, ISENABLER + 4, 2);
	assert_int_equal(pull(&t, 0).intid, SPI);
	put(&t, 0x6108, 1);
	assert_true(line(&t, 0));
	push(&t, 0, SPI, true, false);
	assert_false(line(&t, 0));
	assert_int_equal(pull(&t, 1).intid, SPI);
	put(&t, ICPENDR + 4, 2);
	assert_true(line(&t, 1));
	push(&t, 1, SPI, true, false);
	assert_false(line(&t, 1));
	assert_int_equal(get(&t, ISPENDR + 4), 0);
	/* Active it stays where it is. */
	put(&t, ISPENDR + 4, 2);
	assert_int_equal(pull(&t, 1).intid, SPI);
	put(&t, ICENABLER + 4, 2);
	push(&t, 1, SPI, false, true);
	assert_false(line(&t, 1));
	assert_true(pull(&t, 1).active);
	end(&t);
}

/* What software made pending stays so until it is acknowledged, of a level, too. */
static void level_set_by_hand(void **state)
{
	struct gic t;

	(void)state;
	begin(&t);
	put(&t, ISPENDR + 4, 2);
	assert_int_equal(pull(&t, 0).intid, SPI);
	push(&t, 0, SPI, true, false);
	assert_int_equal(get(&t, ISPENDR + 4), 2);
	assert_true(line(&t, 0));
	assert_int_equal(pull(&t, 0).intid, SPI);
	push(&t, 0, SPI, false, true);
	assert_int_equal(get(&t, ISPENDR + 4), 0);
	assert_true(pull(&t, 0).active);
	push(&t, 0, SPI, false, false);
	assert_true(nothing(&t, 0));
	/* Cleared by hand while it is out: what comes back as pending is the past. */
	put(&t, ISPENDR + 4, 2);
	assert_int_equal(pull(&t, 0).intid, SPI);
	put(&t, ICPENDR + 4, 2);
	push(&t, 0, SPI, true, false);
	assert_true(nothing(&t, 0));
	end(&t);
}

/* The level of an input decides alone. */
static void level_of_an_input(void **state)
{
	struct hull_irq input;
	struct gic t;

	(void)state;
	begin(&t);
	input = hull_dev_input(t.dev, SPI - 32);
	hull_irq_set(input, true);
	assert_int_equal(pull(&t, 0).intid, SPI);
	hull_irq_set(input, false);
	push(&t, 0, SPI, true, false);
	assert_true(nothing(&t, 0));
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(again_while_it_is_out),
		cmocka_unit_test(again_on_the_one_that_has_it),
		cmocka_unit_test(recalled),
		cmocka_unit_test(level_set_by_hand),
		cmocka_unit_test(level_of_an_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
