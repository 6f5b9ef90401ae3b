/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/probe.h"

#include <hull/regs.h>

#include "metal/aarch64/el2.h"

#define CALL UINT32_C(0xc6000001) /* of the vendor's hypervisor services, 64-bit */

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

int el2_self_test(const struct hull_hal *hal, uint64_t *ret_mips, struct hull_err *err)
{
	static const struct metal_probe guest = { .accel = "el2",
		                                  .isa = HULL_ISA_AARCH64,
		                                  .code = payload,
		                                  .bytes = sizeof(payload),
		                                  .reg_pc = HULL_A64_REG_PC,
		                                  .reg_answer = HULL_A64_REG_X0 + 5,
		                                  .call = CALL };

	return metal_probe_run(&guest, hal, ret_mips, err);
}
