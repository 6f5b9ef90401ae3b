/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The accelerator's self-test: a VM of a few instructions that counts in its memory, rings a device
 * and makes a call.
 */
#include <hull/regs.h>
#include <hull/vm.h>

#include "base/bits.h"
#include "metal/aarch64/el2.h"

#define RAM    UINT64_C(0x40000000)
#define COUNT  UINT64_C(0x40001000)
#define DEVICE UINT64_C(0x1000)
#define CALL   UINT32_C(0xc6000001) /* of the vendor's hypervisor services, 64-bit */

enum { ROUNDS = 10000, ROUND_INSNS = 5, BELL = 0x5a, TURNED = 0xa5 };

/*
 *	mov x0, RAM + 0x1000; mov x1, DEVICE; mov x2, ROUNDS
 * 1:	ldr x3, [x0]; add x3, x3, 1; str x3, [x0]; subs x2, x2, 1; b.ne 1b
 *	mov w4, BELL; strb w4, [x1]; ldrb w5, [x1]
 *	mov w0, CALL; hvc 0; b .
 */
static const uint32_t payload[] = {
	0xd2a80000, 0xf2820000, 0xd2820001, 0xd284e202, 0xf2a00002, 0xf9400003,
	0x91000463, 0xf9000003, 0xf1000442, 0x54ffff81, 0x52800b44, 0x39000024,
	0x39400025, 0x52800020, 0x72b8c000, 0xd4000002, 0x14000000,
};

struct probe {
	uint64_t rung;
	bool called;
	uint64_t answer; /* what the guest read back */
};

static uint64_t bell_read(void *opaque, uint64_t offset, unsigned size)
{
	return TURNED;
}

static void bell_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	((struct probe *)opaque)->rung = value;
}

static bool called(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg)
{
	struct probe *p = arg;

	p->called = exit->call.nr == CALL;
	(void)hull_vcpu_reg_get(vcpu, HULL_A64_REG_X0 + 5, &p->answer);
	exit->kind = HULL_EXIT_SYSTEM;
	exit->system.event = HULL_SYSTEM_OFF;
	exit->system.code = 0;
	return true;
}

static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	int r = hull_vm_write(vm, RAM, payload, sizeof(payload));

	return r ? r : hull_vcpu_reg_set(hull_vm_vcpu(vm, 0), HULL_A64_REG_PC, RAM);
}

static int run(struct hull_vm *vm, struct probe *p, const struct hull_hal *hal, uint64_t *ret_mips,
               struct hull_err *err)
{
	struct hull_exit exit;
	uint64_t start, ns, count = 0;
	int r;

	hull_vm_set_loader(vm, load, NULL);
	hull_vm_set_hypercall(vm, called, p);
	if ((r = hull_vm_seal(vm, err)) || (r = hull_vm_boot(vm, err)))
		return r;
	start = hal->now_ns(hal);
	r = hull_vm_run_vcpu(vm, 0, &exit);
	ns = hal->now_ns(hal) - start;
	if (r || !p->called || p->rung != BELL || p->answer != TURNED ||
	    hull_vm_read(vm, COUNT, &count, sizeof(count)) || count != ROUNDS)
		return hull_fail(err, HULL_EIO, 801,
		                 "the self-test at EL2 went wrong: %llu rounds, exit %u",
		                 (unsigned long long)count, exit.kind);
	*ret_mips = (uint64_t)ROUNDS * ROUND_INSNS * 1000 / MAX(ns, UINT64_C(1));
	return 0;
}

int el2_self_test(const struct hull_hal *hal, uint64_t *ret_mips, struct hull_err *err)
{
	struct hull_region_config ram = { .gpa = RAM,
		                          .size = 2 * HULL_PAGE_SIZE,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct probe p = { 0 };
	struct hull_callback_device bell = { .name = "bell",
		                             .gpa = DEVICE,
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
	hull_config_init(config, HULL_ISA_AARCH64, "probe");
	config->random_seed = 1;
	r = hull_config_add_region(config, &ram, err);
	if (!r)
		r = hull_vm_create(config, hal, hull_accel_find("el2"), &vm, err);
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
