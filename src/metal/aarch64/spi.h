/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Interrupts of the machine's devices (SPIs) that VMs serve.
 *
 * One that comes is dropped, but stays active until the guest ends its own: list registers lead
 * from one to the other.  A thread tells the model, as an interrupt may come in the middle of
 * anything.
 *
 * Threading: assign and release by who makes VMs, others as said.
 */
#ifndef HULL_METAL_AARCH64_SPI_H
#define HULL_METAL_AARCH64_SPI_H

#include <hull/error.h>
#include <hull/vm.h>
#include "core/irq.h"

/* HULL_EBUSY (E0904): another VM has it.  HULL_ENOMEM. */
int metal_spi_assign(uint32_t intid, bool edge, struct hull_vm *vm, struct hull_irq line,
                     struct hull_err *err);
/* All of a VM. */
void metal_spi_release(const struct hull_vm *vm);

/* In an interrupt: true: it is a VM's, which will end it. */
bool metal_spi_arrived(uint32_t intid);

/* On a vCPU's thread: is this interrupt active in the machine's GIC?  It goes into a list register
 * now. */
bool metal_spi_shown(const struct hull_vm *vm, uint32_t intid);
/* The guest has ended what was shown; before the model is told. */
void metal_spi_over(const struct hull_vm *vm, uint32_t intid);
/* The VM is reset: nothing is active. */
void metal_spi_reset(const struct hull_vm *vm);

#endif
