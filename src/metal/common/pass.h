/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Devices of the machine that a VM uses itself: its registers are mapped for the guest, its
 * interrupts (SPIs) go to the guest's GIC model and are ended by the guest in the machine's GIC.
 *
 * A device has one owner.  What the hypervisor uses, and memory, has none.  A device that reads and
 * writes memory by itself is trusted: nothing holds it to its VM's.
 *
 * Threading: from who makes VMs; the owner is the VM's number.
 */
#ifndef HULL_METAL_COMMON_PASS_H
#define HULL_METAL_COMMON_PASS_H

#include <hull/config.h>

#include "board/board.h"

enum { METAL_PASSED = 32 };

/*
 * Reserve what `c` names; what the machine's device tree says of it goes to `ret`, METAL_PASSED of
 * them.  HULL_EBUSY, HULL_EINVAL (E0904): it is not to be had.
 */
int metal_pass_take(const struct hull_vm_config *c, uint32_t owner, struct hull_passed *ret,
                    uint32_t *ret_n, struct hull_err *err);

/* Is this range, all of it, a device's that some VM took? */
bool metal_pass_has(hull_hpa at, uint64_t bytes);

/* Let its interrupts through.  The VM is built. */
int metal_pass_connect(struct hull_vm *vm, uint32_t owner, struct hull_err *err);

/* Before the VM is destroyed; its vCPUs run no more.  And after it, or if it was never made. */
void metal_pass_disconnect(const struct hull_vm *vm);
void metal_pass_give_back(uint32_t owner);

#endif
