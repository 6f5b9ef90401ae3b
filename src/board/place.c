/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Places and interrupts of a board's devices; see place.h. */
#include "board/place.h"

#include "base/checked.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/pci.h"

static bool irq_used(const struct hull_places *p, uint32_t irq)
{
	return p->irqs_used[irq / 64] >> irq % 64 & 1;
}

void hull_place_use(struct hull_places *p, uint32_t irq, uint32_t n)
{
	for (; n && irq < HULL_PLACE_IRQS; irq++, n--)
		p->irqs_used[irq / 64] |= BIT(irq % 64);
}

int hull_place_add(struct hull_places *p, const struct hull_dev_setup *s, uint32_t irq,
                   struct hull_dev **ret, struct hull_err *err)
{
	struct hull_dev *d;
	int r;

	if (!s->type)
		return hull_fail(err, HULL_ENOTSUP, 903, "this build has no device \"%s\"",
		                 s->name);
	if (p->n == HULL_PLACES)
		return hull_fail(err, HULL_EOVERFLOW, 906, "too many devices");
	r = hull_dev_create(p->machine->vm, s, &d, err);
	if (r)
		return r;
	p->at[p->n++] = (struct hull_place){ d, irq };
	hull_place_use(p, irq, irq ? d->nirqs : 0);
	for (unsigned i = 0; irq && i < d->nirqs; i++)
		hull_dev_wire(d, i, p->line(p, irq + i));
	*ret = d;
	return 0;
}

uint32_t hull_place_irqs(const struct hull_places *p, uint32_t first, uint32_t n)
{
	for (uint32_t irq = first; irq + n - 1 <= p->map->last_irq; irq++) {
		uint32_t k = 0;

		while (k < n && !irq_used(p, irq + k))
			k++;
		if (k == n)
			return irq;
	}
	return 0;
}

/* The first device or memory in the way of [gpa, gpa + size): where it ends; 0: none is. */
static hull_gpa blocked_until(const struct hull_places *p, hull_gpa gpa, uint64_t size)
{
	const struct hull_vm_config *c = hull_vm_config(p->machine->vm);

	for (unsigned i = 0; i < p->n; i++) {
		const struct hull_dev *d = p->at[i].dev;

		if (hull_ranges_overlap(gpa, size, d->gpa, d->size))
			return d->gpa + d->size;
	}
	for (uint32_t i = 0; i < c->nregions; i++) {
		if (hull_ranges_overlap(gpa, size, c->regions[i].gpa, c->regions[i].size))
			return c->regions[i].gpa + c->regions[i].size;
	}
	for (uint32_t i = 0; i < c->npassthrough; i++) {
		const struct hull_passthrough_config *t = &c->passthrough[i];

		if (hull_ranges_overlap(gpa, size, t->gpa, t->size))
			return t->gpa + t->size;
	}
	for (uint32_t i = 0; i < c->ndevices; i++) {
		const struct hull_device_config *d = &c->devices[i];
		const struct hull_dev_type *t = hull_dev_type_find(d->type);

		/* Those with a place of their own come later, but it is theirs. */
		if (d->gpa && t && hull_ranges_overlap(gpa, size, d->gpa, t->region_size))
			return d->gpa + t->region_size;
	}
	return hull_board_pci_until(p, gpa, size);
}

hull_gpa hull_place_find(const struct hull_places *p, hull_gpa from, hull_gpa end, uint64_t size)
{
	uint64_t step = HULL_PAGE_SIZE;
	hull_gpa at, next;

	while (step < size)
		step <<= 1;
	for (at = align_up(from, step); at < end && end - at >= size; at = align_up(next, step)) {
		next = blocked_until(p, at, size);
		if (!next)
			return at;
		if (next <= at)
			break;
	}
	return 0;
}

static bool is_virtio(const struct hull_dev_type *t)
{
	return t->node && hull_text_eq(t->node, "virtio_mmio");
}

static bool is_serial(const struct hull_places *p, const struct hull_dev_type *t)
{
	return hull_text_eq(t->name, p->map->serial);
}

/* Where a device of the configuration goes if that does not say so. */
static int choose_place(const struct hull_places *p, const struct hull_dev_type *t, hull_gpa *gpa,
                        uint32_t *irq, struct hull_err *err)
{
	const struct hull_place_map *m = p->map;
	hull_gpa virtio_end = m->virtio + m->virtio_slots * HULL_PAGE_SIZE;
	uint32_t first = m->irq;

	if (!*gpa && is_serial(p, t) && m->serial_at &&
	    !blocked_until(p, m->serial_at, t->region_size))
		*gpa = m->serial_at;
	if (!*gpa && is_virtio(t))
		*gpa = hull_place_find(p, m->virtio, virtio_end, t->region_size);
	if (!*gpa && t->region_size <= HULL_PAGE_SIZE)
		*gpa = hull_place_find(p, m->small, m->small_end, t->region_size);
	if (!*gpa)
		*gpa = hull_place_find(p, m->large, m->large_end, t->region_size);
	if (!*gpa)
		return hull_fail(err, HULL_ENOMEM, 906, "there is no free address for a \"%s\"",
		                 t->name);
	if (*irq || !t->irqs)
		return 0;
	if (*gpa == m->serial_at)
		first = m->serial_irq;
	else if (*gpa >= m->virtio && *gpa < virtio_end)
		first = m->virtio_irq + (uint32_t)((*gpa - m->virtio) / HULL_PAGE_SIZE);
	*irq = hull_place_irqs(p, first, t->irqs);
	if (!*irq)
		*irq = hull_place_irqs(p, m->irq, t->irqs);
	if (!*irq)
		return hull_fail(err, HULL_ENOMEM, 906, "there is no free interrupt for a \"%s\"",
		                 t->name);
	return 0;
}

static int add_configured(struct hull_places *p, const struct hull_device_config *dc, void *backend,
                          struct hull_err *err)
{
	struct hull_dev_setup s = { .type = hull_dev_type_find(dc->type),
		                    .name = dc->name,
		                    .gpa = dc->gpa,
		                    .args = dc->args,
		                    .nargs = dc->nargs,
		                    .backend = backend };
	char name[HULL_NAME_MAX];
	uint32_t irq = dc->irq, last = p->map->last_irq;
	struct hull_dev_place ports;
	struct hull_dev *d;
	int r;

	if (!s.type) {
		hull_fail(err, HULL_EINVAL, 903, "there is no device type \"%s\"", dc->type);
		hull_err_fix(err, "`hull help devices` lists the types");
		return HULL_EINVAL;
	}
	if (irq > last || (irq && s.type->irqs && irq + s.type->irqs - 1 > last))
		return hull_fail(err, HULL_EINVAL, 906, "interrupt %u of \"%s\" is above %u", irq,
		                 dc->type, last);
	if (dc->bus == HULL_BUS_PCI)
		return hull_board_pci_add(p, dc, &s, err);
	if (is_serial(p, s.type) && p->map->choose_ports &&
	    p->map->choose_ports(p, &s, &ports, &irq)) {
		s.gpa = ports.base;
		s.places = &ports;
		s.nplaces = 1;
	}
	r = choose_place(p, s.type, &s.gpa, &irq, err);
	if (r)
		return r;
	if (!dc->name[0]) {
		hull_format(name, sizeof(name), "%s-%llx", dc->type, (unsigned long long)s.gpa);
		s.name = name;
	}
	r = hull_place_add(p, &s, irq, &d, err);
	if (!r && !p->machine->console && is_serial(p, s.type))
		p->machine->console = d;
	return r;
}

int hull_place_configured(struct hull_places *p, void *const *backends, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(p->machine->vm);
	int r = 0;

	for (uint32_t i = 0; i < c->ndevices; i++)
		hull_place_use(p, c->devices[i].irq, c->devices[i].irq ? 1 : 0);
	for (uint32_t i = 0; !r && !p->pci && i < c->ndevices; i++)
		if (c->devices[i].bus == HULL_BUS_PCI)
			r = hull_board_pci_build(p, err);
	for (uint32_t i = 0; !r && i < c->ndevices; i++)
		r = add_configured(p, &c->devices[i], backends ? backends[i] : NULL, err);
	return r;
}
