/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/probe.h"

#include <hull/vm.h>

#include "base/bits.h"
#include "core/vcpu.h"

#define COUNT (METAL_PROBE_RAM + HULL_PAGE_SIZE)

struct probe {
	const struct metal_probe *guest;
	uint64_t rung;
	bool called;
	uint64_t answer; /* what the guest read back */
};

static uint64_t bell_read(void *opaque, uint64_t offset, unsigned size)
{
	return METAL_PROBE_TURNED;
}

static void bell_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	((struct probe *)opaque)->rung = value;
}

static bool called(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg)
{
	struct probe *p = arg;

	p->called = exit->call.nr == p->guest->call;
	(void)hull_vcpu_reg_get(vcpu, p->guest->reg_answer, &p->answer);
	exit->kind = HULL_EXIT_SYSTEM;
	exit->system.event = HULL_SYSTEM_OFF;
	exit->system.code = 0;
	return true;
}

static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	const struct metal_probe *guest = arg;
	int r = hull_vm_write(vm, METAL_PROBE_RAM, guest->code, guest->bytes);

	return r ? r : hull_vcpu_reg_set(hull_vm_vcpu(vm, 0), guest->reg_pc, METAL_PROBE_RAM);
}

static int run(struct hull_vm *vm, struct probe *p, const struct hull_hal *hal, uint64_t *ret_mips,
               struct hull_err *err)
{
	struct hull_exit exit;
	uint64_t start, ns, count = 0;
	int r;

	hull_vm_set_loader(vm, load, (void *)(uintptr_t)p->guest);
	hull_vm_set_hypercall(vm, called, p);
	if ((r = hull_vm_seal(vm, err)) || (r = hull_vm_boot(vm, err)))
		return r;
	start = hal->now_ns(hal);
	r = hull_vm_run_vcpu(vm, 0, &exit);
	ns = hal->now_ns(hal) - start;
	if (r || !p->called || p->rung != METAL_PROBE_BELL || p->answer != METAL_PROBE_TURNED ||
	    hull_vm_read(vm, COUNT, &count, sizeof(count)) || count != METAL_PROBE_ROUNDS)
		return hull_fail(err, HULL_EIO, 801,
		                 "the self-test went wrong: %llu rounds, exit %u",
		                 (unsigned long long)count, exit.kind);
	*ret_mips = (uint64_t)METAL_PROBE_ROUNDS * METAL_PROBE_INSNS * 1000 / MAX(ns, UINT64_C(1));
	return 0;
}

int metal_probe_run(const struct metal_probe *guest, const struct hull_hal *hal, uint64_t *ret_mips,
                    struct hull_err *err)
{
	struct hull_region_config ram = { .gpa = METAL_PROBE_RAM,
		                          .size = 2 * HULL_PAGE_SIZE,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct probe p = { .guest = guest };
	struct hull_callback_device bell = { .name = "bell",
		                             .gpa = METAL_PROBE_DEVICE,
		                             .size = HULL_PAGE_SIZE,
		                             .opaque = &p,
		                             .read = bell_read,
		                             .write = bell_write };
	uint64_t bytes = align_up(sizeof(struct hull_vm_config), HULL_PAGE_SIZE);
	/* Too large for a stack of ours. */
	struct hull_vm_config *config = hal->pages_alloc(hal, bytes, HULL_PAGE_SIZE, false);
	struct hull_vm *vm;
	int r;

	if (!config)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a VM");
	hull_config_init(config, guest->isa, "probe");
	config->random_seed = 1;
	r = hull_config_add_region(config, &ram, err);
	if (!r)
		r = hull_vm_create(config, hal, hull_accel_find(guest->accel), &vm, err);
	hal->pages_free(hal, config, bytes);
	if (r)
		return r;
	r = hull_vm_register_device(vm, &bell, err);
	if (!r)
		r = run(vm, &p, hal, ret_mips, err);
	(void)hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
	hull_vm_unref(vm);
	return r;
}
