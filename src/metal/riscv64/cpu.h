/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One CPU in HS-mode: start, time, traps of the hypervisor's own. */
#ifndef HULL_METAL_RISCV64_CPU_H
#define HULL_METAL_RISCV64_CPU_H

#include "metal/common/thread.h"
#include "metal/riscv64/board.h"

/* General registers of a guest, as vectors.S keeps them. */
struct rv_regs {
	uint64_t x[32];
	uint64_t pc;
};

/* The CPU that runs becomes `cpu`: tp, the vector, the timer. */
void metal_cpu_init(struct metal_cpu *cpu, const struct metal_board *b);

/* Ticks of the time CSR as ns, HULL_NEVER if that is too many; and the other way (not before). */
uint64_t metal_ns(uint64_t ticks);
uint64_t metal_ticks(uint64_t ns);
uint64_t metal_hz(void);

/* The guest that is to run wants to be left then, too: metal_now(), HULL_NEVER. */
void metal_guest_alarm(uint64_t at);

/* Serve the interrupts that are pending. */
void metal_serve_interrupts(void);

void metal_sbi_write(const char *text, size_t len); /* the firmware's console */
_Noreturn void metal_sbi_off(void);

#endif
