/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An accelerator's self-test: a VM of a few instructions that counts in its memory, rings a device
 * and makes a call.
 */
#ifndef HULL_METAL_COMMON_PROBE_H
#define HULL_METAL_COMMON_PROBE_H

#include <hull/error.h>
#include <hull/hal.h>

#define METAL_PROBE_RAM    UINT64_C(0x40000000) /* two pages */
#define METAL_PROBE_DEVICE UINT64_C(0x1000)

/* Rounds, of five instructions; the byte that goes to the device, and the one that it answers. */
enum {
	METAL_PROBE_ROUNDS = 10000,
	METAL_PROBE_INSNS = 5,
	METAL_PROBE_BELL = 0x5a,
	METAL_PROBE_TURNED = 0xa5
};

/*
 * The guest: from METAL_PROBE_RAM on it adds 1 to the word in its second page in each round, writes
 * to the device, reads from it into `reg_answer`, and makes the call.
 */
struct metal_probe {
	const char *accel;
	enum hull_isa isa;
	const uint32_t *code;
	uint64_t bytes;
	uint32_t reg_pc, reg_answer; /* hull/regs.h */
	uint64_t call;               /* as HULL_EXIT_HYPERCALL has its number */
};

/* Its speed in millions of instructions a second; HULL_EIO: it does not do that. */
int metal_probe_run(const struct metal_probe *guest, const struct hull_hal *hal, uint64_t *ret_mips,
                    struct hull_err *err);

#endif
