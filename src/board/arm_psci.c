/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* PSCI by Hull; see arm_psci.h.  Sections are those of DEN 0022F. */
#include "board/arm_psci.h"

#include "base/bits.h"
#include "core/aspace.h"
#include "isa/aarch64/regs.h"

/* Function numbers (5.1); those with addresses exist with SMC64 as well. */
enum {
	SMCCC_VERSION = 0x80000000,
	VERSION = 0x84000000,
	CPU_SUSPEND,
	CPU_OFF,
	CPU_ON,
	AFFINITY_INFO,
	MIGRATE,
	MIGRATE_INFO_TYPE,
	MIGRATE_INFO_UP_CPU,
	SYSTEM_OFF,
	SYSTEM_RESET,
	FEATURES,
	SYSTEM_RESET2 = 0x84000012,
	SMC64 = 0x40000000,
};
enum {
	SUCCESS = 0,
	NOT_SUPPORTED = -1,
	INVALID_PARAMETERS = -2,
	ALREADY_ON = -4,
	INTERNAL_FAILURE = -6,
	INVALID_ADDRESS = -9,
};
enum { PSCI_1_1 = 0x10001, SMCCC_1_1 = 0x10001, NO_TRUSTED_OS = 2 };

struct call {
	struct hull_vcpu *vcpu;
	struct hull_exit *exit;
	uint64_t a[3];
};

uint64_t hull_psci_affinity(struct hull_vcpu *vcpu)
{
	uint64_t mpidr;

	if (hull_vcpu_reg_get(vcpu, A64_MPIDR, &mpidr))
		mpidr = vcpu->phys_id;
	return mpidr & A64_MPIDR_AFFINITY;
}

/* By phys_id: MPIDR is that of another vCPU, whose registers only its thread may read. */
static struct hull_vcpu *find(const struct call *c, uint64_t affinity)
{
	for (uint32_t i = 0; i < hull_vm_vcpu_count(c->vcpu->vm); i++) {
		struct hull_vcpu *v = hull_vm_vcpu(c->vcpu->vm, i);

		if (v->phys_id == affinity)
			return v;
	}
	return NULL;
}

/* 5.4.3: what was asked for may become a standby state, which keeps everything. */
static int cpu_suspend(struct call *c)
{
	/* What is pending already will not wake it: a vCPU's thread waits for changes. */
	if (!hull_vcpu_lines(c->vcpu))
		c->exit->kind = HULL_EXIT_HALT;
	return SUCCESS;
}

/* 5.6 */
static int cpu_on(struct call *c)
{
	struct hull_vcpu *target = find(c, c->a[0]);
	const struct hull_reg_value regs[] = { { HULL_A64_REG_PC, c->a[1] },
		                               { HULL_A64_REG_X0, c->a[2] },
		                               { HULL_A64_REG_PSTATE, A64_PSTATE_EL1H_MASKED } };
	struct hull_ram_page page;

	if (!target)
		return INVALID_PARAMETERS;
	if (c->a[1] & 3 || !hull_aspace_page(c->vcpu->vm, c->a[1], &page) ||
	    !(page.attr & HULL_MEM_X))
		return INVALID_ADDRESS;
	if (hull_vcpu_state(target) != HULL_VCPU_OFF)
		return ALREADY_ON;
	switch (hull_vcpu_start(target, regs, ARRAY_LEN(regs))) {
	case 0: return SUCCESS;
	case HULL_ESTATE: return ALREADY_ON; /* another vCPU was faster */
	default: return INTERNAL_FAILURE;
	}
}

/* 5.7: 0 on, 1 off.  Groups of processors are not powered as one. */
static int affinity_info(const struct call *c)
{
	const struct hull_vcpu *target = find(c, c->a[0]);

	if (!target || c->a[1])
		return INVALID_PARAMETERS;
	return hull_vcpu_state(target) == HULL_VCPU_OFF;
}

static int system_event(struct call *c, enum hull_system_event event)
{
	c->exit->kind = HULL_EXIT_SYSTEM;
	c->exit->system.event = event;
	c->exit->system.code = 0;
	return SUCCESS;
}

/* 5.16 */
static int features(uint32_t nr)
{
	switch (nr) {
	case SMCCC_VERSION:
	case VERSION:
	case CPU_SUSPEND:
	case CPU_SUSPEND | SMC64:
	case CPU_OFF:
	case CPU_ON:
	case CPU_ON | SMC64:
	case AFFINITY_INFO:
	case AFFINITY_INFO | SMC64:
	case MIGRATE_INFO_TYPE:
	case SYSTEM_OFF:
	case SYSTEM_RESET:
	case SYSTEM_RESET2:
	case SYSTEM_RESET2 | SMC64:
	case FEATURES: return SUCCESS;
	default: return NOT_SUPPORTED;
	}
}

static int dispatch(struct call *c, uint32_t nr)
{
	switch (nr) {
	case SMCCC_VERSION: return SMCCC_1_1;
	case VERSION: return PSCI_1_1;
	case CPU_SUSPEND:
	case CPU_SUSPEND | SMC64: return cpu_suspend(c);
	case CPU_OFF: c->exit->kind = HULL_EXIT_CPU_OFF; return SUCCESS;
	case CPU_ON:
	case CPU_ON | SMC64: return cpu_on(c);
	case AFFINITY_INFO:
	case AFFINITY_INFO | SMC64: return affinity_info(c);
	case MIGRATE_INFO_TYPE: return NO_TRUSTED_OS;
	case SYSTEM_OFF: return system_event(c, HULL_SYSTEM_OFF);
	case SYSTEM_RESET: return system_event(c, HULL_SYSTEM_RESET);
	case SYSTEM_RESET2:
	case SYSTEM_RESET2 | SMC64:
		/* 5.11: type 0 is a warm reset, vendors' own have bit 31. */
		return c->a[0] ? INVALID_PARAMETERS : system_event(c, HULL_SYSTEM_RESET);
	case FEATURES: return features((uint32_t)c->a[0]);
	default: return NOT_SUPPORTED;
	}
}

bool hull_psci_call(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg)
{
	struct call c = { .vcpu = vcpu, .exit = exit };
	uint32_t nr;

	(void)arg;
	if (exit->kind != HULL_EXIT_HYPERCALL)
		return false;
	nr = (uint32_t)exit->call.nr; /* W0: SMCCC 2.5 */
	for (unsigned i = 0; i < ARRAY_LEN(c.a); i++)
		c.a[i] = nr & SMC64 ? exit->call.args[i] : (uint32_t)exit->call.args[i];
	exit->kind = HULL_EXIT_NONE;
	return !hull_vcpu_reg_set(vcpu, HULL_A64_REG_X0, (uint64_t)(int64_t)dispatch(&c, nr));
}
