/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Devices: creation, wiring, timers, counters, and the embedding program's callback devices. */
#include "core/vm_impl.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define LL(x) ((unsigned long long)(x))

static const uint64_t second_ns = 1000000000;

const struct hull_dev_type *hull_dev_type_find(const char *name)
{
	for (uint32_t i = 0; hull_dev_types[i]; i++)
		if (hull_text_eq(hull_dev_types[i]->name, name))
			return hull_dev_types[i];
	return NULL;
}

struct hull_dev *hull_dev_at(struct hull_vm *vm, uint32_t i)
{
	return i < hull_load_acquire(&vm->ndevs) ? vm->devs[i] : NULL;
}

struct hull_dev *hull_dev_find(struct hull_vm *vm, const char *name)
{
	struct hull_dev *d;

	for (uint32_t i = 0; (d = hull_dev_at(vm, i)); i++)
		if (hull_text_eq(d->name, name))
			return d;
	return NULL;
}

void hull_dev_enter(struct hull_dev *d)
{
	hull_lock_acquire(&d->lane);
}

void hull_dev_leave(struct hull_dev *d)
{
	hull_lock_release(&d->lane);
}

static void timer_fire(struct hull_timer *t)
{
	struct hull_dev *d = CONTAINER_OF(t, struct hull_dev, timer);

	hull_dev_enter(d);
	/* The device may have changed its mind before we got its lane. */
	if (hull_timer_take(d->vm, t) && d->type->timer)
		d->type->timer(d);
	hull_dev_leave(d);
}

static void input_set(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	struct hull_dev *d = CONTAINER_OF(sink, struct hull_dev, sink);

	hull_dev_enter(d);
	d->type->input(d, input, level);
	hull_dev_leave(d);
}

struct hull_irq hull_dev_input(struct hull_dev *irqchip, uint32_t n)
{
	HULL_ASSERT(irqchip->type->input);
	return (struct hull_irq){ .sink = &irqchip->sink, .input = n };
}

void hull_dev_wire(struct hull_dev *dev, unsigned n, struct hull_irq line)
{
	HULL_ASSERT(n < dev->nirqs);
	dev->irq[n] = line;
}

void hull_dev_wire_msi(struct hull_dev *dev, struct hull_msi_sink *sink)
{
	dev->msi = sink;
}

void hull_dev_refuse(struct hull_dev *d)
{
	d->refused = true;
}

static int refuse(struct hull_vm *vm, const struct hull_dev_setup *setup, int code, uint16_t id,
                  const char *why, struct hull_err *err)
{
	return hull_fail(err, code, id, "vm '%s': device '%s': %s", vm->config.name,
	                 setup->name ? setup->name : "?", why);
}

static int check_setup(struct hull_vm *vm, const struct hull_dev_setup *setup, struct hull_err *err)
{
	const struct hull_dev_type *type = setup->type;
	struct hull_dev *other;

	if (hull_vm_state(vm) != HULL_VM_LOADING)
		return refuse(vm, setup, HULL_ESTATE, 401, "the VM is sealed", err);
	if (!type || !setup->name || !*setup->name)
		return refuse(vm, setup, HULL_EINVAL, 130, "it has no type or no name", err);
	other = hull_dev_find(vm, setup->name);
	if (other)
		return refuse(vm, setup, HULL_EEXIST, 132, "another device has this name", err);
	if (vm->ndevs == HULL_MAX_DEVS)
		return refuse(vm, setup, HULL_EOVERFLOW, 109, "there are too many devices", err);
	HULL_ASSERT(type->state_size >= sizeof(struct hull_dev));
	HULL_ASSERT(type->irqs <= HULL_DEV_IRQS && type->nprops <= HULL_DEV_PROPS);
	if (setup->nargs > type->nprops)
		return refuse(vm, setup, HULL_EINVAL, 130, "it has fewer properties than values",
		              err);
	for (unsigned i = 0; i < setup->nargs; i++) {
		const struct hull_prop *p = &type->props[i];

		if (setup->args[i] >= p->min && setup->args[i] <= p->max)
			continue;
		return hull_fail(err, HULL_EINVAL, 5,
		                 "vm '%s': device '%s': %s = %llu is not within %llu to %llu",
		                 vm->config.name, setup->name, p->name, LL(setup->args[i]),
		                 LL(p->min), LL(p->max));
	}
	return 0;
}

/* The parts that every device has; `irq` has room for the type's outputs. */
static void init_dev(struct hull_vm *vm, struct hull_dev *d, const struct hull_dev_type *type,
                     const char *name)
{
	d->type = type;
	d->vm = vm;
	d->name = name;
	d->size = type->region_size;
	hull_lock_init(&d->lane, vm->hal, type->irqchip ? HULL_RANK_IRQCHIP : HULL_RANK_DEVICE);
	hull_timer_init(&d->timer, timer_fire);
	d->sink.set = input_set;
}

static struct hull_dev *allocate(struct hull_vm *vm, const struct hull_dev_setup *setup)
{
	const struct hull_dev_type *type = setup->type;
	size_t name_size = hull_text_len(setup->name) + 1;
	struct hull_dev *d = hull_bump_alloc(&vm->arena, type->state_size, 64);
	char *name = hull_bump_alloc(&vm->arena, name_size, 1);
	struct hull_irq *irq =
		hull_bump_alloc(&vm->arena, MAX(type->irqs, 1U) * sizeof(struct hull_irq), 8);

	if (!d || !name || !irq)
		return NULL;
	hull_text_copy(name, name_size, setup->name);
	init_dev(vm, d, type, name);
	d->gpa = setup->gpa;
	d->irq = irq;
	d->nirqs = type->irqs;
	d->backend = setup->backend;
	for (unsigned i = 0; i < type->nprops; i++)
		d->prop[i] = i < setup->nargs ? setup->args[i] : type->props[i].dflt;
	return d;
}

/* Under map_lock or in the build phase. */
static void publish(struct hull_vm *vm, struct hull_dev *d)
{
	d->index = vm->ndevs;
	vm->devs[d->index] = d;
	hull_store_release(&vm->ndevs, d->index + 1); /* pairs with hull_dev_at() */
}

static int attach(struct hull_dev *d, const struct hull_dev_setup *setup, struct hull_err *err)
{
	/* d->size: init may have sized the range by a property. */
	const struct hull_dev_place all = { HULL_SPACE_MMIO, d->gpa, d->size, 0 };
	const struct hull_dev_place *p = setup->nplaces ? setup->places : &all;
	unsigned n = setup->nplaces ? setup->nplaces : d->size ? 1 : 0;
	int r = 0;

	if (n)
		d->first = p[0];
	for (unsigned i = 0; !r && i < n; i++)
		r = hull_bus_attach_part(d->vm, &p[i], d, err);
	return r;
}

int hull_dev_create(struct hull_vm *vm, const struct hull_dev_setup *setup, struct hull_dev **ret,
                    struct hull_err *err)
{
	struct hull_dev *d;
	int result = check_setup(vm, setup, err);

	if (result)
		return result;
	d = allocate(vm, setup);
	if (!d)
		return refuse(vm, setup, HULL_ENOMEM, 120, "there is no memory for it", err);
	d->index = vm->ndevs;
	if (setup->type->init) {
		result = setup->type->init(d, err);
		if (result)
			return result == HULL_ENOMEM ? refuse(vm, setup, result, 120,
			                                      "there is no memory for it", err)
			                             : result;
	}
	if (setup->off_bus)
		d->size = 0;
	result = attach(d, setup, err);
	if (result) {
		if (setup->type->fini)
			setup->type->fini(d);
		return result;
	}
	publish(vm, d);
	*ret = d;
	return 0;
}

void *hull_dev_alloc(struct hull_dev *d, size_t bytes)
{
	return hull_bump_alloc(&d->vm->arena, bytes, 64);
}

uint64_t hull_dev_now(struct hull_dev *d)
{
	return hull_clock_now(d->vm);
}

int64_t hull_wallclock_ns(struct hull_dev *d)
{
	return hull_clock_wall_ns(d->vm);
}

int64_t hull_wallclock_s(struct hull_dev *d)
{
	int64_t ns = hull_wallclock_ns(d), s = ns / (int64_t)second_ns;

	return s - (ns % (int64_t)second_ns < 0);
}

void hull_timer_at_ns(struct hull_dev *d, uint64_t ns)
{
	hull_timer_set(d->vm, &d->timer, ns);
}

void hull_timer_at(struct hull_dev *d, int64_t wall_s)
{
	int64_t ns, wait;
	uint64_t at;

	/* Beyond the range of the clock: never, or in the past and so at once. */
	if (__builtin_mul_overflow(wall_s, (int64_t)second_ns, &ns) ||
	    __builtin_sub_overflow(ns, hull_wallclock_ns(d), &wait)) {
		hull_timer_at_ns(d, wall_s < 0 ? hull_dev_now(d) : HULL_NEVER);
		return;
	}
	if (!hull_add(hull_dev_now(d), (uint64_t)MAX(wait, INT64_C(0)), &at))
		at = HULL_NEVER;
	hull_timer_at_ns(d, at);
}

void hull_guest_error(struct hull_dev *d, const char *what, uint64_t where)
{
	uint64_t n = hull_add_relaxed(&d->guest_errors, 1) + 1;

	(void)what;
	/* The first few and every power of two: a guest cannot flood the ring. */
	if (n <= 8 || is_pow2(n))
		hull_event_add(d->vm, HULL_EVENT_GUEST_ERROR, UINT32_MAX, d->gpa + where, d->index);
}

int hull_vm_devices(struct hull_vm *vm, uint32_t index, struct hull_device_info *ret)
{
	struct hull_dev *d = hull_dev_at(vm, index);

	if (!d)
		return HULL_ENOENT;
	*ret = (struct hull_device_info){
		.name = d->name,
		.type = d->type->name,
		.summary = d->type->summary,
		.gpa = d->gpa,
		.size = d->size,
		.guest_errors = hull_load_relaxed(&d->guest_errors),
		.accesses = hull_load_relaxed(&d->accesses),
		.last_offset = hull_load_relaxed(&d->last_offset),
		.last = hull_load_relaxed(&vm->last_access) == d,
	};
	return 0;
}

void hull_dev_reset_all(struct hull_vm *vm)
{
	struct hull_dev *d;

	for (uint32_t i = 0; (d = hull_dev_at(vm, i)); i++) {
		hull_dev_enter(d);
		hull_timer_set(vm, &d->timer, HULL_NEVER);
		if (d->type->reset)
			d->type->reset(d);
		hull_dev_leave(d);
	}
}

void hull_dev_fini_all(struct hull_vm *vm)
{
	for (uint32_t i = vm->ndevs; i-- > 0;)
		if (vm->devs[i]->type->fini)
			vm->devs[i]->type->fini(vm->devs[i]);
}

static struct hull_callback_slot *slot_of(struct hull_dev *d)
{
	return CONTAINER_OF(d, struct hull_callback_slot, dev);
}

static uint64_t callback_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct hull_callback_device *cb = &slot_of(d)->cb;

	return cb->read ? cb->read(cb->opaque, off, size) : 0;
}

static void callback_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct hull_callback_device *cb = &slot_of(d)->cb;

	if (cb->write)
		cb->write(cb->opaque, off, val, size);
}

static void callback_fini(struct hull_dev *d)
{
	struct hull_callback_device *cb = &slot_of(d)->cb;

	if (cb->destroy)
		cb->destroy(cb->opaque);
}

static const struct hull_dev_type callback_type = {
	.name = "callback",
	.summary = "device of the embedding program",
	.access_sizes = 1 | 2 | 4 | 8,
	.state_size = sizeof(struct hull_callback_slot),
	.read = callback_read,
	.write = callback_write,
	.fini = callback_fini,
};

int hull_dev_init_all(struct hull_vm *vm, struct hull_err *err)
{
	vm->callbacks =
		hull_bump_alloc(&vm->arena, HULL_MAX_CALLBACKS * sizeof(*vm->callbacks), 64);
	if (!vm->callbacks)
		return hull_fail(err, HULL_ENOMEM, 120, "vm '%s': the host has no memory left",
		                 vm->config.name);
	return 0;
}

static int register_locked(struct hull_vm *vm, const struct hull_callback_device *cb,
                           struct hull_err *err)
{
	const struct hull_dev_setup named = { .name = cb->name };
	struct hull_callback_slot *slot;
	int ret;

	if (hull_dev_find(vm, cb->name))
		return refuse(vm, &named, HULL_EEXIST, 132, "another device has this name", err);
	if (vm->ncallbacks == HULL_MAX_CALLBACKS || vm->ndevs == HULL_MAX_DEVS)
		return refuse(vm, &named, HULL_EOVERFLOW, 109, "there are too many devices", err);
	slot = &vm->callbacks[vm->ncallbacks];
	*slot = (struct hull_callback_slot){ .cb = *cb };
	hull_text_copy(slot->name, sizeof(slot->name), cb->name);
	slot->cb.name = slot->name;
	init_dev(vm, &slot->dev, &callback_type, slot->name);
	slot->dev.gpa = cb->gpa;
	slot->dev.size = cb->size;
	slot->dev.irq = &slot->no_irq;
	slot->dev.index = vm->ndevs;
	ret = hull_bus_attach_locked(
		vm, &(struct hull_dev_place){ HULL_SPACE_MMIO, cb->gpa, cb->size, 0 }, &slot->dev,
		err);
	if (ret)
		return ret;
	vm->ncallbacks++;
	publish(vm, &slot->dev);
	return 0;
}

int hull_vm_register_device(struct hull_vm *vm, const struct hull_callback_device *d,
                            struct hull_err *err)
{
	struct hull_vcpu *self;
	int ret;

	if (!d->name || !*d->name || hull_text_len(d->name) >= HULL_NAME_MAX)
		return hull_fail(err, HULL_EINVAL, 130,
		                 "vm '%s': a device needs a name of 1 to %d characters",
		                 vm->config.name, HULL_NAME_MAX - 1);
	self = hull_vcpu_step_out(vm);
	hull_lock_acquire(&vm->map_lock);
	ret = register_locked(vm, d, err);
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	return ret;
}
