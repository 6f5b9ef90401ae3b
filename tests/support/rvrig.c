/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/rvrig.h"

#include "core/aspace.h"

bool rvrig_init(struct rvrig *r, uint64_t base, uint64_t size)
{
	struct hull_region_config ram = { .gpa = base,
		                          .size = size,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config config;
	struct hull_ram_page page;

	fake_hal_init(&r->hal);
	hull_config_init(&config, HULL_ISA_RISCV64, "rig");
	config.engine.mode = HULL_ENGINE_INTERP; /* tests call the tiers themselves */
	if (hull_config_add_region(&config, &ram, NULL) ||
	    hull_vm_create(&config, &r->hal.hal, hull_accel_find("engine"), &r->vm, NULL))
		return false;
	if (hull_vm_seal(r->vm, NULL) || hull_vm_boot(r->vm, NULL) ||
	    !hull_aspace_page(r->vm, base, &page))
		return false;
	r->hart = hull_vcpu_accel_state(hull_vm_vcpu(r->vm, 0));
	r->ram = page.hva;
	r->base = base;
	r->size = size;
	return true;
}

void rvrig_fini(struct rvrig *r)
{
	hull_vm_shutdown(r->vm, HULL_STOP_FORCED, NULL);
	hull_vm_unref(r->vm);
	fake_hal_fini(&r->hal);
}

enum hull_exit_kind rvrig_run(struct rvrig *r, uint64_t insns)
{
	struct hull_exit exit = { .kind = HULL_EXIT_NONE };

	r->hart->retire_limit = r->hart->retired + insns;
	rv_interpret(r->hart, &exit);
	return exit.kind;
}
