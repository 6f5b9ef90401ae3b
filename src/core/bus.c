/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The bus: sorted tables, searched without a lock.
 *
 * A table only ever grows.  Its writer (under map_lock) makes `seq` odd,
 * moves entries and makes it even again; a reader that saw an odd or changed
 * number looks again.  So an access costs a binary search and the device's
 * lane.
 */
#include "core/vm_impl.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"

#define LL(x) ((unsigned long long)(x))

static const uint32_t capacity[HULL_SPACES] = { 192, 64, 64 };

int hull_bus_init(struct hull_vm *vm, struct hull_err *err)
{
	for (int i = 0; i < HULL_SPACES; i++) {
		struct hull_bus_table *t = &vm->bus[i];

		t->capacity = capacity[i];
		t->ranges = hull_bump_alloc(&vm->arena, t->capacity * sizeof(*t->ranges), 8);
		if (!t->ranges)
			return hull_fail(err, HULL_ENOMEM, 0, "vm '%s': no memory for its buses",
			                 vm->config.name);
	}
	return 0;
}

/* Index of the first range that ends above `addr`.  Loads in program order (acquire). */
static uint32_t search(struct hull_bus_table *t, uint64_t addr)
{
	uint32_t lo = 0, hi = hull_load_acquire(&t->n), hint = hull_load_relaxed(&t->hint);

	/* Mostly it is the same device again. */
	if (hint < hi && addr - hull_load_acquire(&t->ranges[hint].base) <
	                         hull_load_acquire(&t->ranges[hint].size))
		return hint;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		uint64_t base = hull_load_acquire(&t->ranges[mid].base);

		if (base + (hull_load_acquire(&t->ranges[mid].size) - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	hull_store_relaxed(&t->hint, lo);
	return lo;
}

static bool try_find(struct hull_bus_table *t, uint64_t addr, struct hull_bus_range *ret)
{
	uint32_t seq = hull_load_acquire(&t->seq);
	uint32_t i = search(t, addr);

	*ret = (struct hull_bus_range){ 0 };
	if (i < hull_load_acquire(&t->n)) {
		ret->base = hull_load_acquire(&t->ranges[i].base);
		ret->size = hull_load_acquire(&t->ranges[i].size);
		ret->offset = hull_load_acquire(&t->ranges[i].offset);
		ret->dev = hull_load_acquire(&t->ranges[i].dev);
	}
	return !(seq & 1) && hull_load_relaxed(&t->seq) == seq;
}

/* Whoever answers the whole access, or NULL. */
HOT static struct hull_dev *route(struct hull_vm *vm, enum hull_space space, uint64_t addr,
                                  unsigned size, uint64_t *ret_off)
{
	struct hull_bus_range r;
	uint64_t span = space == HULL_SPACE_SYSREG ? 1 : size;

	if (size > 8 || !is_pow2(size))
		return NULL;
	if (space == HULL_SPACE_MMIO && !is_aligned(addr, size))
		return NULL;
	while (!try_find(&vm->bus[space], addr, &r))
		;
	if (!r.dev || !hull_range_within(addr, span, r.base, r.size))
		return NULL;
	if (!(r.dev->type->access_sizes & size))
		return NULL;
	*ret_off = r.offset + (addr - r.base) * (space == HULL_SPACE_SYSREG ? 8 : 1);
	return r.dev;
}

HOT void hull_dev_accessed(struct hull_dev *d, uint64_t off)
{
	struct hull_vm *vm = d->vm;

	/* Mostly it is the same: the other vCPUs keep their copy of the line. */
	if (hull_load_relaxed(&vm->last_access) != d)
		hull_store_relaxed(&vm->last_access, d);
	hull_store_relaxed(&d->accesses, hull_load_relaxed(&d->accesses) + 1);
	hull_store_relaxed(&d->last_offset, off);
}

/* After an access, under the lane: has the device answered? */
static bool answered(struct hull_dev *d)
{
	bool ok = !d->refused;

	d->refused = false;
	return ok;
}

HOT bool hull_bus_read(struct hull_vm *vm, enum hull_space space, uint64_t addr, unsigned size,
                       uint64_t *ret)
{
	uint64_t off;
	struct hull_dev *d = route(vm, space, addr, size, &off);
	uint64_t value;
	bool ok;

	if (!d)
		return false;
	hull_dev_accessed(d, off);
	if (d->type->fetch && d->type->fetch(d, off, size, &value)) {
		*ret = value & low_mask(8 * size);
		return true;
	}
	hull_lock_acquire(&d->lane);
	value = (d->type->read ? d->type->read(d, off, size) : 0) & low_mask(8 * size);
	ok = answered(d);
	hull_lock_release(&d->lane);
	if (ok)
		*ret = value;
	return ok;
}

HOT bool hull_bus_write(struct hull_vm *vm, enum hull_space space, uint64_t addr, unsigned size,
                        uint64_t value)
{
	uint64_t off;
	struct hull_dev *d = route(vm, space, addr, size, &off);
	bool ok;

	if (!d)
		return false;
	value &= low_mask(8 * size);
	hull_dev_accessed(d, off);
	if (d->type->post && d->type->post(d, off, value, size))
		return true;
	hull_lock_acquire(&d->lane);
	if (d->type->write)
		d->type->write(d, off, value, size);
	ok = answered(d);
	hull_lock_release(&d->lane);
	return ok;
}

const struct hull_bus_range *hull_bus_overlap_locked(struct hull_vm *vm, enum hull_space space,
                                                     uint64_t base, uint64_t size)
{
	struct hull_bus_table *t = &vm->bus[space];
	uint32_t i = search(t, base);

	if (i < t->n && hull_ranges_overlap(base, size, t->ranges[i].base, t->ranges[i].size))
		return &t->ranges[i];
	return NULL;
}

static void insert(struct hull_bus_table *t, uint32_t at, const struct hull_bus_range *r)
{
	hull_add_seqcst(&t->seq, 1);
	for (uint32_t i = t->n; i > at; i--) {
		hull_store_release(&t->ranges[i].base, t->ranges[i - 1].base);
		hull_store_release(&t->ranges[i].size, t->ranges[i - 1].size);
		hull_store_release(&t->ranges[i].offset, t->ranges[i - 1].offset);
		hull_store_release(&t->ranges[i].dev, t->ranges[i - 1].dev);
	}
	hull_store_release(&t->ranges[at].base, r->base);
	hull_store_release(&t->ranges[at].size, r->size);
	hull_store_release(&t->ranges[at].offset, r->offset);
	hull_store_release(&t->ranges[at].dev, r->dev);
	hull_store_release(&t->n, t->n + 1);
	hull_add_seqcst(&t->seq, 1);
}

static int check_free(struct hull_vm *vm, enum hull_space space, const struct hull_bus_range *r,
                      struct hull_err *err)
{
	static const char *const names[] = { "address", "port", "register" };
	const struct hull_bus_range *other = hull_bus_overlap_locked(vm, space, r->base, r->size);
	const struct hull_map *m = NULL;

	if (other)
		return hull_fail(err, HULL_EEXIST, 131,
		                 "vm '%s': device '%s' at %s 0x%llx, size 0x%llx, overlaps device "
		                 "'%s' at 0x%llx, size 0x%llx",
		                 vm->config.name, r->dev->name, names[space], LL(r->base),
		                 LL(r->size), other->dev->name, LL(other->base), LL(other->size));
	if (space == HULL_SPACE_MMIO)
		m = hull_aspace_overlap_locked(vm, r->base, r->size);
	if (m)
		return hull_fail(err, HULL_EEXIST, 131,
		                 "vm '%s': device '%s' at address 0x%llx, size 0x%llx, overlaps "
		                 "memory at 0x%llx, size 0x%llx",
		                 vm->config.name, r->dev->name, LL(r->base), LL(r->size),
		                 LL(m->gpa), LL(m->len));
	if (vm->bus[space].n == vm->bus[space].capacity)
		return hull_fail(err, HULL_EOVERFLOW, 109, "vm '%s': more than %u device ranges",
		                 vm->config.name, vm->bus[space].capacity);
	return 0;
}

int hull_bus_attach_locked(struct hull_vm *vm, const struct hull_dev_place *p, struct hull_dev *dev,
                           struct hull_err *err)
{
	struct hull_bus_range r = {
		.base = p->base, .size = p->size, .offset = p->offset, .dev = dev
	};
	struct hull_bus_table *t;
	int ret;

	if (!p->size || !hull_range_valid(p->base, p->size) || (unsigned)p->space >= HULL_SPACES)
		return hull_fail(err, HULL_EINVAL, 130,
		                 "vm '%s': device '%s' cannot be at 0x%llx, size 0x%llx",
		                 vm->config.name, dev->name, LL(p->base), LL(p->size));
	t = &vm->bus[p->space];
	ret = check_free(vm, p->space, &r, err);
	if (!ret)
		insert(t, search(t, p->base), &r);
	return ret;
}

int hull_bus_attach_part(struct hull_vm *vm, const struct hull_dev_place *place,
                         struct hull_dev *dev, struct hull_err *err)
{
	struct hull_vcpu *self = hull_vcpu_step_out(vm);
	int ret;

	hull_lock_acquire(&vm->map_lock);
	ret = hull_bus_attach_locked(vm, place, dev, err);
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	return ret;
}

int hull_bus_attach(struct hull_vm *vm, enum hull_space space, uint64_t base, uint64_t size,
                    struct hull_dev *dev, struct hull_err *err)
{
	const struct hull_dev_place place = { .space = space, .base = base, .size = size };

	return hull_bus_attach_part(vm, &place, dev, err);
}
