/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* No devices of the machine for VMs here: their interrupts would want the machine's PLIC or IMSIC.
 */
#include "metal/common/pass.h"

int metal_pass_take(const struct hull_vm_config *c, uint32_t owner, struct hull_passed *ret,
                    uint32_t *ret_n, struct hull_err *err)
{
	*ret_n = 0;
	if (!c->npassthrough && !c->nspis)
		return 0;
	return hull_fail(err, HULL_ENOTSUP, 904, "VMs have none of the machine's devices here");
}

bool metal_pass_has(hull_hpa at, uint64_t bytes)
{
	return false;
}

int metal_pass_connect(struct hull_vm *vm, uint32_t owner, struct hull_err *err)
{
	return 0;
}

void metal_pass_disconnect(const struct hull_vm *vm)
{
}

void metal_pass_give_back(uint32_t owner)
{
}
