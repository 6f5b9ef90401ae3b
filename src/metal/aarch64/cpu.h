/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One CPU at EL2: start, time, interrupts of the hypervisor's own. */
#ifndef HULL_METAL_AARCH64_CPU_H
#define HULL_METAL_AARCH64_CPU_H

#include "metal/aarch64/board.h"

/* General registers of a guest, as vectors.S keeps them. */
struct a64_regs {
	uint64_t x[31];
	uint64_t pc, pstate;
};

/* The CPU that runs becomes `cpu`: TPIDR_EL2, vectors, timers.  `b`: the machine. */
void metal_cpu_init(struct metal_cpu *cpu, const struct metal_board *b);

/* Counter ticks as ns since power-on, HULL_NEVER if that is too many; and the other way round (not
 * before). */
uint64_t metal_ns(uint64_t ticks);
uint64_t metal_ticks(uint64_t ns);

/*
 * Serve what the GIC has for this CPU.  The virtual timer's interrupt is left active, for
 * el2_timer_fired().
 */
void metal_serve_interrupts(void);
void metal_serve_interrupt(uint32_t intid); /* of one that is taken */
uint32_t metal_virtual_timer(void);         /* its interrupt id */

/* PSCI of the firmware below (DEN 0022): start a CPU; stop the machine. */
int metal_psci_cpu_on(uint64_t mpidr, struct metal_cpu *cpu);
_Noreturn void metal_psci_off(void);
_Noreturn void metal_psci_reset(void);

#endif
