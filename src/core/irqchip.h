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

struct hull_vcpu;

/* Where they are in this VM: never HULL_IRQCHIP_AUTO. */
enum hull_irqchip hull_vm_irqchip(struct hull_vm *vm);

/* What the accelerator does itself: HULL_BELOW_*. */
uint32_t hull_vm_below(struct hull_vm *vm);

/* Input `line` of the controller below (hull_accel.irq_line), as a line to wire devices to. */
struct hull_irq hull_vm_line(struct hull_vm *vm, uint32_t line);

/* Who takes messages below, to wire devices to; those that nobody understands are lost. */
struct hull_msi_sink *hull_vm_msi_sink(struct hull_vm *vm);

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

/*
 * USER, where the processor itself hands interrupts of a model to the guest (list registers): the
 * accelerator takes interrupts out of the model, and brings each back, in whatever state it is
 * then, before it takes others.  On the vCPU's thread, without a lane.
 */
struct hull_vgic_irq {
	uint32_t intid;
	uint8_t priority; /* 0: highest */
	bool level;       /* its end is to be told: it may be pending again */
	bool pending, active;
};
struct hull_vgic {
	/* What this vCPU has active, then what is pending, best first; false: nothing. */
	bool (*pull)(void *arg, struct hull_vcpu *vcpu, struct hull_vgic_irq *ret);
	void (*push)(void *arg, struct hull_vcpu *vcpu, const struct hull_vgic_irq *irq);
	/*
	 * An interrupt of the vCPU's own (0..31) comes into being below.  True: it may go to the
	 * guest at once, with this priority, and the model need not know, unless the guest has not
	 * finished with it when all is brought back: then line() first if it is a level, and
	 * push(). Takes no lock.
	 */
	bool (*direct)(void *arg, const struct hull_vcpu *vcpu, uint32_t intid,
	               uint8_t *ret_priority);
	/* An interrupt of the vCPU's own (16..31) changes its level: timers. */
	void (*line)(void *arg, struct hull_vcpu *vcpu, uint32_t intid, bool level);
	void *arg;
};
/* By the model, in the build phase; `g` lives as long as the VM.  NULL: there is none. */
void hull_vm_set_vgic(struct hull_vm *vm, const struct hull_vgic *g);
const struct hull_vgic *hull_vm_vgic(const struct hull_vm *vm);

#endif
