/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Interrupt controllers that live below, in the accelerator: how a board reaches them.
 *
 *	KERNEL	wire devices to hull_vm_line(), send messages by hull_vm_msi()
 *	SPLIT	the board's own I/O controller sends hull_vm_msi(); nobody has a line below
 *	USER	the board's models drive hull_vcpu_line()
 *
 * Threading: any thread, under any lane.
 */
#ifndef HULL_CORE_IRQCHIP_H
#define HULL_CORE_IRQCHIP_H

#include <hull/accel.h>
#include "core/irq.h"

/* Where they are in this VM: never HULL_IRQCHIP_AUTO. */
enum hull_irqchip hull_vm_irqchip(struct hull_vm *vm);

/* What the accelerator does itself: HULL_BELOW_*. */
uint32_t hull_vm_below(struct hull_vm *vm);

/* Input `line` of the controller below (hull_accel.irq_line), as a line to wire devices to. */
struct hull_irq hull_vm_line(struct hull_vm *vm, uint32_t line);

/* Deliver a message of `data` to `addr`.  HULL_ENOTSUP (USER), HULL_EINVAL (nobody took it). */
int hull_vm_msi(struct hull_vm *vm, uint64_t addr, uint32_t data);

/*
 * SPLIT: the guest ended the interrupt of this vector, which came by a level-triggered message.
 * On a vCPU's thread, without a lane.
 */
typedef void (*hull_eoi_fn)(struct hull_vm *vm, uint32_t vector, void *arg);
void hull_vm_set_eoi(struct hull_vm *vm, hull_eoi_fn fn, void *arg);
void hull_vm_eoi(struct hull_vm *vm, uint32_t vector); /* for accelerators */

/* As the functions of struct hull_accel; HULL_ENOTSUP where the accelerator has none. */
int hull_vm_route(struct hull_vm *vm, uint32_t line, uint64_t addr, uint32_t data);
int hull_vm_irq_event(struct hull_vm *vm, uint32_t line, int fd, bool on);
int hull_vm_doorbell(struct hull_vm *vm, const struct hull_doorbell *d, bool on);
int hull_vm_lazy_writes(struct hull_vm *vm, enum hull_space space, uint64_t addr, uint64_t size,
                        bool on);

#endif
