/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Memory slots and logs of writes (api 4.35, 4.8, 8.29).
 *
 * KVM cannot change a slot in one step: it goes and comes back.  A vCPU that runs meanwhile would
 * see no memory, so all of them are kept out of KVM_RUN for that long.  The core's map_lock keeps
 * two changes apart.
 */
#include "accel/kvm/kvm_impl.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "core/aspace.h"

#define POLL_NS UINT64_C(200000) /* a wake-up may be missed: look again after this long */

static struct hull_kvm_vcpu *vcpu_at(struct hull_kvm_vm *k, uint32_t i)
{
	return hull_vcpu_accel_state(hull_vm_vcpu(k->vm, i));
}

/* Let nobody be in KVM_RUN, except the vCPU that asks: its thread is here. */
static void freeze(struct hull_kvm_vm *k)
{
	const struct hull_hal *hal = hull_vm_hal(k->vm);

	hull_store_seqcst(&k->frozen, 1); /* pairs with enter() of kvm_run.c */
	for (uint32_t i = 0; i < hull_vm_vcpu_count(k->vm); i++) {
		struct hull_kvm_vcpu *v = vcpu_at(k, i);

		if (!v->run)
			continue;
		while (hull_load_seqcst(&v->in_run)) {
			hull_kvm_kick(v->vcpu);
			hal->wait(hal, &v->in_run, 1, hal->now_ns(hal) + POLL_NS);
		}
	}
}

static void thaw(struct hull_kvm_vm *k)
{
	const struct hull_hal *hal = hull_vm_hal(k->vm);

	hull_store_seqcst(&k->frozen, 0);
	hal->wake(hal, &k->frozen, UINT32_MAX);
}

static int set_slot(struct hull_kvm_vm *k, const struct hull_kvm_slot *s)
{
	struct kvm_userspace_memory_region r = { .slot = (uint32_t)(s - k->slots),
		                                 .guest_phys_addr = s->gpa,
		                                 .memory_size = s->len,
		                                 .userspace_addr = (uintptr_t)s->hva };
	int e;

	if (s->len && !(s->attr & HULL_MEM_W))
		r.flags |= KVM_MEM_READONLY;
	if (s->len && s->logged)
		r.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	e = hull_kvm_vm_ioctl(k, KVM_SET_USER_MEMORY_REGION, &r);
	if (e >= 0)
		return 0;
	return e == -ENOMEM ? HULL_ENOMEM : e == -EEXIST ? HULL_EEXIST : HULL_EINVAL;
}

static struct hull_kvm_slot *find(struct hull_kvm_vm *k, hull_gpa gpa, uint64_t len)
{
	for (unsigned i = 0; i < HULL_KVM_SLOTS; i++)
		if (k->slots[i].len == len && (!len || k->slots[i].gpa == gpa))
			return &k->slots[i];
	return NULL;
}

int hull_kvm_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr)
{
	struct hull_kvm_vm *k = hull_vm_accel_state(vm);
	struct hull_kvm_slot *s = find(k, 0, 0);
	int r;

	if (!s)
		return HULL_ENOMEM;
	if (!(attr & HULL_MEM_W) && !k->read_only_slots)
		return HULL_ENOTSUP;
	*s = (struct hull_kvm_slot){ gpa, len, hva, attr, false };
	r = set_slot(k, s);
	if (r)
		s->len = 0;
	return r;
}

/* Without its memory KVM has no translations of it when this returns. */
static void remove_slot(struct hull_kvm_vm *k, struct hull_kvm_slot *s)
{
	uint64_t len = s->len;

	s->len = 0;
	(void)set_slot(k, s);
	s->len = len;
}

int hull_kvm_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	struct hull_kvm_vm *k = hull_vm_accel_state(vm);
	struct hull_kvm_slot *s = find(k, gpa, len);

	if (!s)
		return HULL_ENOENT;
	remove_slot(k, s);
	s->len = 0;
	return 0;
}

int hull_kvm_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr)
{
	struct hull_kvm_vm *k = hull_vm_accel_state(vm);
	struct hull_kvm_slot *s = find(k, gpa, len), old;
	int r = 0;

	if (!s)
		return HULL_ENOENT;
	old = *s;
	if (!((old.attr ^ attr) & HULL_MEM_W)) {
		s->attr = attr;
		return 0;
	}
	if (!(attr & HULL_MEM_W) && !k->read_only_slots)
		return HULL_ENOTSUP;
	freeze(k);
	if (s->logged)
		(void)hull_kvm_dirty_sync(vm, gpa, len);
	remove_slot(k, s);
	s->attr = attr;
	r = set_slot(k, s);
	if (r) {
		*s = old;
		(void)set_slot(k, s);
	}
	thaw(k);
	return r;
}

/* Called again after each fetch: KVM has tracked anew since the last sync. */
int hull_kvm_dirty_log(struct hull_vm *vm, hull_gpa gpa, uint64_t len, bool on)
{
	struct hull_kvm_vm *k = hull_vm_accel_state(vm);
	struct hull_kvm_slot *s = find(k, gpa, len);
	int r;

	if (!s)
		return HULL_ENOENT;
	if (s->logged == on)
		return 0;
	s->logged = on;
	r = set_slot(k, s);
	if (r)
		s->logged = !on;
	return r;
}

static void collect_ring(struct hull_kvm_vm *k, struct hull_kvm_vcpu *v)
{
	const uint64_t one = 1;

	for (uint32_t n = 0; n < k->dirty_ring; n++) {
		struct kvm_dirty_gfn *g = &v->ring[v->ring_next % k->dirty_ring];
		uint32_t slot;
		uint64_t page;

		if (!(hull_load_acquire(&g->flags) & KVM_DIRTY_GFN_F_DIRTY))
			return;
		slot = hull_load_relaxed(&g->slot) % HULL_KVM_SLOTS;
		page = hull_load_relaxed(&g->offset);
		if (page < k->slots[slot].len / HULL_PAGE_SIZE)
			hull_aspace_dirty_many(k->vm, k->slots[slot].gpa + page * HULL_PAGE_SIZE,
			                       &one, 1);
		hull_store_release(&g->flags, KVM_DIRTY_GFN_F_RESET);
		v->ring_next++;
	}
}

void hull_kvm_collect_rings(struct hull_kvm_vm *k)
{
	pthread_mutex_lock(&k->ring_lock);
	for (uint32_t i = 0; i < hull_vm_vcpu_count(k->vm); i++)
		if (vcpu_at(k, i)->ring)
			collect_ring(k, vcpu_at(k, i));
	(void)hull_kvm_vm_ioctl(k, KVM_RESET_DIRTY_RINGS, NULL);
	pthread_mutex_unlock(&k->ring_lock);
}

int hull_kvm_dirty_sync(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	struct hull_kvm_vm *k = hull_vm_accel_state(vm);
	const struct hull_hal *hal = hull_vm_hal(vm);
	struct hull_kvm_slot *s = find(k, gpa, len);
	uint64_t pages = len / HULL_PAGE_SIZE, bytes = align_up(pages / 8 + 8, HULL_PAGE_SIZE);
	struct kvm_dirty_log log = { 0 };
	int r;

	if (!s || !s->logged)
		return 0;
	if (k->dirty_ring) {
		hull_kvm_collect_rings(k);
		return 0;
	}
	log.slot = (uint32_t)(s - k->slots);
	log.dirty_bitmap = hal->pages_alloc(hal, bytes, HULL_PAGE_SIZE, false);
	if (!log.dirty_bitmap)
		return HULL_ENOMEM;
	r = hull_kvm_vm_ioctl(k, KVM_GET_DIRTY_LOG, &log);
	if (r >= 0)
		hull_aspace_dirty_many(vm, gpa, log.dirty_bitmap, pages);
	hal->pages_free(hal, log.dirty_bitmap, bytes);
	return r < 0 ? HULL_EIO : 0;
}
