/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bus.h"

_Noreturn static void die(const char *what, const struct hull_err *err)
{
	fprintf(stderr, "rig: %s: %s\n", what, err ? err->text : "");
	abort();
}

static void region(struct hull_vm_config *c, hull_gpa gpa, uint64_t size, unsigned attr)
{
	struct hull_region_config r = { .gpa = gpa, .size = size, .attr = attr };
	struct hull_err err;

	if (hull_config_add_region(c, &r, &err))
		die("region", &err);
}

struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct hull_vm_config *c = calloc(1, sizeof(*c));
	struct hull_err err = { 0 };

	if (!r || !c)
		die("no memory", NULL);
	fake_hal_init(&r->hal);
	hull_config_init(c, HULL_ISA_RISCV64, "rig");
	c->deterministic = true;
	region(c, RIG_RAM, RIG_RAM_HALF, HULL_MEM_R | HULL_MEM_W | HULL_MEM_X);
	region(c, RIG_RAM + RIG_RAM_HALF, RIG_RAM_HALF, HULL_MEM_R | HULL_MEM_W | HULL_MEM_X);
	region(c, RIG_ROM, RIG_ROM_SIZE, HULL_MEM_R | HULL_MEM_X);
	if (hull_vm_create(c, &r->hal.hal, hull_accel_find("fake"), &r->vm, &err))
		die("create", &err);
	free(c);
	return r;
}

void rig_free(struct rig *r)
{
	struct hull_err err = { 0 };

	if (hull_vm_destroy(r->vm, &err))
		die("destroy", &err);
	fake_hal_fini(&r->hal);
	free(r);
}

static size_t char_write(struct hull_char *c, const void *buf, size_t len)
{
	struct rig_char *ch = (struct rig_char *)c;
	size_t n = MIN(len, ch->room), kept = MIN(n, RIG_CHARS - ch->out_len);

	if (ch->room != SIZE_MAX)
		ch->room -= n;
	memcpy(ch->out + ch->out_len, buf, kept);
	ch->out_len += kept;
	return n;
}

static size_t char_read(struct hull_char *c, void *buf, size_t len)
{
	struct rig_char *ch = (struct rig_char *)c;
	size_t n = MIN(len, ch->in_len);

	memcpy(buf, ch->in, n);
	ch->in_len -= n;
	memmove(ch->in, ch->in + n, ch->in_len);
	return n;
}

static void irq_set(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	struct rig_irq *irq = (struct rig_irq *)sink;

	irq->rises[input] += level && !irq->level[input];
	irq->level[input] = level;
}

static void msi_send(struct hull_msi_sink *sink, uint64_t addr, uint32_t data)
{
	struct rig_msi *m = (struct rig_msi *)sink;

	if (m->n == RIG_MSIS)
		return;
	m->addr[m->n] = addr;
	m->data[m->n++] = data;
}

struct rig_dev *rig_add(struct rig *r, const struct hull_dev_type *type, const uint64_t *args,
                        unsigned nargs, void *backend)
{
	struct rig_dev *d = &r->devs[r->ndevs];
	char name[32];
	struct hull_dev_setup setup = { .type = type, .name = name, .args = args, .nargs = nargs };
	struct hull_err err = { 0 };

	if (r->ndevs == RIG_DEVS)
		die("too many devices", NULL);
	snprintf(name, sizeof(name), "dev%u", r->ndevs);
	setup.off_bus = r->off_bus;
	setup.gpa = RIG_MMIO + r->ndevs++ * RIG_STRIDE;
	d->rig = r;
	d->irq.sink.set = irq_set;
	d->ch.c.write = char_write;
	d->ch.c.read = char_read;
	d->ch.room = SIZE_MAX;
	if (type->backend == HULL_BACKEND_CHAR)
		setup.backend = &d->ch.c;
	else if (type->backend != HULL_BACKEND_NONE)
		setup.backend = backend;
	if (hull_dev_create(r->vm, &setup, &d->dev, &err))
		die(type->name, &err);
	for (unsigned i = 0; i < type->irqs && !r->off_bus; i++)
		hull_dev_wire(d->dev, i, (struct hull_irq){ &d->irq.sink, i });
	d->msi.sink.send = msi_send;
	hull_dev_wire_msi(d->dev, &d->msi.sink);
	rig_reset(d);
	return d;
}

bool rig_read(struct rig_dev *d, uint64_t off, unsigned size, uint64_t *ret)
{
	return hull_bus_read(d->rig->vm, HULL_SPACE_MMIO, d->dev->gpa + off, size, ret);
}

bool rig_write(struct rig_dev *d, uint64_t off, unsigned size, uint64_t val)
{
	return hull_bus_write(d->rig->vm, HULL_SPACE_MMIO, d->dev->gpa + off, size, val);
}

void rig_clock(struct rig *r, uint64_t ns)
{
	hull_clock_step_to(r->vm, ns);
	hull_timers_run(r->vm);
}

void rig_reset(struct rig_dev *d)
{
	hull_dev_enter(d->dev);
	d->dev->type->reset(d->dev);
	hull_dev_leave(d->dev);
}

void rig_input(struct rig_dev *d, uint32_t n, bool level)
{
	hull_irq_set(hull_dev_input(d->dev, n), level);
}

size_t rig_save(struct rig_dev *d, uint8_t *buf, size_t size)
{
	const struct hull_dev_type *t = d->dev->type;
	size_t pos = 0;

	hull_dev_enter(d->dev);
	if (hull_fields_save(t->name, t->fields, t->nfields, d->dev, buf, size, &pos))
		die("save", NULL);
	hull_dev_leave(d->dev);
	return pos;
}

int rig_load(struct rig_dev *d, const uint8_t *buf, size_t len)
{
	const struct hull_dev_type *t = d->dev->type;
	struct hull_err err;
	size_t pos = 0;
	int r;

	hull_dev_enter(d->dev);
	r = hull_fields_load(t->name, t->fields, t->nfields, d->dev, buf, len, &pos, &err);
	if (!r && t->restored)
		t->restored(d->dev);
	hull_dev_leave(d->dev);
	return r;
}

void rig_char_in(struct rig_dev *d, const void *buf, size_t len)
{
	struct rig_char *ch = &d->ch;
	size_t n = MIN(len, RIG_CHARS - ch->in_len);

	memcpy(ch->in + ch->in_len, buf, n);
	ch->in_len += n;
	if (ch->c.readable)
		ch->c.readable(ch->c.readable_arg);
}
