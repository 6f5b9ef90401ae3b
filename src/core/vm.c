/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Making and unmaking a VM, and its plain getters. */
#include "core/vm_impl.h"

#include "base/bits.h"
#include "base/mem.h"

#define LL(x) ((unsigned long long)(x))

const struct hull_accel *hull_accel_find(const char *name)
{
	for (uint32_t i = 0; hull_accels[i]; i++)
		if (hull_text_eq(hull_accels[i]->name, name))
			return hull_accels[i];
	return NULL;
}

uint32_t hull_vm_id(const struct hull_vm *vm)
{
	return vm->config.id;
}

const struct hull_vm_config *hull_vm_config(const struct hull_vm *vm)
{
	return &vm->config;
}

uint32_t hull_vm_vcpu_count(const struct hull_vm *vm)
{
	return vm->nvcpus;
}

struct hull_vcpu *hull_vm_vcpu(struct hull_vm *vm, uint32_t id)
{
	return id < vm->nvcpus ? vm->vcpus[id] : NULL;
}

const struct hull_hal *hull_vm_hal(const struct hull_vm *vm)
{
	return vm->hal;
}

void *hull_vm_accel_state(struct hull_vm *vm)
{
	return vm->accel_state;
}

void *hull_vcpu_accel_state(struct hull_vcpu *vcpu)
{
	return vcpu->accel;
}

void hull_vm_set_loader(struct hull_vm *vm, hull_loader loader, void *arg)
{
	vm->loader = loader;
	vm->loader_arg = arg;
}

static int no_memory(struct hull_vm *vm, struct hull_err *err)
{
	hull_fail(err, HULL_ENOMEM, 120, "vm '%s': the host has no memory left", vm->config.name);
	return HULL_ENOMEM;
}

static int claim(struct hull_vm *vm, struct hull_map *m, struct hull_err *err)
{
	void *hva = NULL;
	int ret = vm->hal->range_claim(vm->hal, m->hpa, m->len, &hva);

	if (ret)
		return hull_fail(
			err, ret, 0,
			"vm '%s': the host memory at 0x%llx, size 0x%llx, cannot be claimed: "
			"%s",
			vm->config.name, LL(m->hpa), LL(m->len), hull_error_text(ret));
	m->owner = HULL_OWN_CLAIM;
	m->hva = hva;
	return 0;
}

/* Get the memory, map it, or give it back. */
static int map_region(struct hull_vm *vm, struct hull_map *m, bool allocate, struct hull_err *err)
{
	int ret = 0;

	if (allocate) {
		m->owner = HULL_OWN_PAGES;
		m->hva = vm->hal->pages_alloc(vm->hal, m->len, HULL_PAGE_SIZE, true);
		if (!m->hva)
			return hull_fail(err, HULL_ENOMEM, 120,
			                 "vm '%s': the host has no 0x%llx bytes of memory for it",
			                 vm->config.name, LL(m->len));
	} else {
		ret = claim(vm, m, err);
		if (ret)
			return ret;
	}
	ret = hull_aspace_add(vm, m, err);
	if (!ret)
		return 0;
	if (allocate)
		vm->hal->pages_free(vm->hal, m->hva, m->len);
	else
		vm->hal->range_release(vm->hal, m->hpa, m->len);
	return ret;
}

static int map_passthrough(struct hull_vm *vm, const struct hull_passthrough_config *p,
                           struct hull_err *err)
{
	struct hull_map m = { .gpa = p->gpa,
		              .len = p->size,
		              .hpa = p->hpa,
		              .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_DEVICE };
	int ret = map_region(vm, &m, false, err);

	if (ret == HULL_ENOTSUP) {
		hull_fail(err, ret, 904,
		          "the host cannot give away its memory at 0x%llx (passthrough '%s')",
		          LL(p->hpa), p->name);
		hull_err_fix(err, "take the device out of the configuration");
	}
	return ret;
}

static int map_memory(struct hull_vm *vm, struct hull_err *err)
{
	const struct hull_vm_config *c = &vm->config;

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];
		struct hull_map m = { .gpa = r->gpa, .len = r->size, .attr = r->attr };
		int ret;

		m.hpa = r->map == HULL_MAP_RESERVED ? r->hpa : r->gpa;
		ret = map_region(vm, &m, r->map == HULL_MAP_ALLOC, err);
		if (ret)
			return ret;
	}
	for (uint32_t i = 0; i < c->npassthrough; i++) {
		int ret = map_passthrough(vm, &c->passthrough[i], err);

		if (ret)
			return ret;
	}
	return 0;
}

static int init_parts(struct hull_vm *vm, struct hull_err *err)
{
	int ret;

	hull_event_init(vm);
	hull_irqchip_init(vm);
	hull_ivc_init(vm);
	ret = hull_clock_init(vm, err);
	if (!ret)
		ret = hull_aspace_init(vm, err);
	if (!ret)
		ret = hull_bus_init(vm, err);
	if (!ret)
		ret = hull_dev_init_all(vm, err);
	return ret;
}

static int fill(struct hull_vm *vm, struct hull_err *err)
{
	int ret = init_parts(vm, err);

	if (ret)
		return ret;
	vm->accel_state = hull_bump_alloc(&vm->arena, MAX(vm->accel->vm_size, (size_t)1), 64);
	if (!vm->accel_state)
		return no_memory(vm, err);
	ret = vm->accel->vm_init(vm, err);
	if (ret)
		return ret;
	vm->accel_ready = true;
	ret = map_memory(vm, err);
	if (ret)
		return ret;
	return hull_vcpu_create_all(vm, err);
}

int hull_vm_create(const struct hull_vm_config *config, const struct hull_hal *hal,
                   const struct hull_accel *accel, struct hull_vm **ret_vm, struct hull_err *err)
{
	struct hull_bump arena;
	struct hull_vm *vm;
	int ret = hull_config_check(config, err);

	if (ret)
		return ret;
	hull_bump_init(&arena, hal);
	vm = hull_bump_alloc(&arena, sizeof(*vm), 64);
	if (!vm)
		return hull_fail(err, HULL_ENOMEM, 120, "vm '%s': the host has no memory left",
		                 config->name);
	vm->arena = arena;
	vm->hal = hal;
	vm->accel = accel;
	vm->config = *config;
	vm->refs = 1;
	hull_lock_init(&vm->lifecycle, hal, HULL_RANK_LIFECYCLE);
	ret = fill(vm, err);
	if (ret) {
		hull_vm_teardown(vm);
		return ret;
	}
	*ret_vm = vm;
	return 0;
}

void hull_vm_teardown(struct hull_vm *vm)
{
	hull_dev_fini_all(vm);
	for (uint32_t i = vm->nvcpus; i-- > 0;)
		if (vm->vcpus[i]->ready)
			vm->accel->vcpu_fini(vm->vcpus[i]);
	hull_ivc_fini(vm);
	hull_aspace_fini(vm);
	if (vm->accel_ready)
		vm->accel->vm_fini(vm);
	hull_bump_fini(&vm->arena);
}
