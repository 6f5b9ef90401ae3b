/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From boards to the interrupt controllers of the accelerator; see irqchip.h. */
#include "core/irqchip.h"

#include "core/vm_impl.h"

static void drive(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	struct hull_vm *vm = CONTAINER_OF(sink, struct hull_vm, below);

	if (vm->accel->irq_line)
		(void)vm->accel->irq_line(vm, input, level);
}

static void send(struct hull_msi_sink *sink, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct hull_vm *vm = CONTAINER_OF(sink, struct hull_vm, below_msi);

	if (vm->accel->msi)
		(void)vm->accel->msi(vm, requester, addr, data);
}

void hull_irqchip_init(struct hull_vm *vm)
{
	vm->below_msi.send_from = send;
	vm->below.set = drive;
}

enum hull_irqchip hull_vm_irqchip(struct hull_vm *vm)
{
	if (vm->accel->irqchip)
		return vm->accel->irqchip(vm);
	return vm->accel->irq_line ? HULL_IRQCHIP_KERNEL : HULL_IRQCHIP_USER;
}

uint32_t hull_vm_below(struct hull_vm *vm)
{
	return vm->accel->below ? vm->accel->below(vm) : 0;
}

struct hull_irq hull_vm_line(struct hull_vm *vm, uint32_t line)
{
	return (struct hull_irq){ .sink = &vm->below, .input = line };
}

struct hull_msi_sink *hull_vm_msi_sink(struct hull_vm *vm)
{
	return &vm->below_msi;
}

int hull_vm_msi(struct hull_vm *vm, uint64_t addr, uint32_t data)
{
	return vm->accel->msi ? vm->accel->msi(vm, 0, addr, data) : HULL_ENOTSUP;
}

void hull_vm_set_eoi(struct hull_vm *vm, hull_eoi_fn fn, void *arg)
{
	vm->eoi = fn;
	vm->eoi_arg = arg;
}

void hull_vm_eoi(struct hull_vm *vm, uint32_t vector)
{
	if (vm->eoi)
		vm->eoi(vm, vector, vm->eoi_arg);
}

int hull_vm_route(struct hull_vm *vm, uint32_t line, uint64_t addr, uint32_t data)
{
	return vm->accel->route ? vm->accel->route(vm, line, addr, data) : HULL_ENOTSUP;
}

int hull_vm_irq_event(struct hull_vm *vm, uint32_t line, int fd, bool on)
{
	return vm->accel->irq_event ? vm->accel->irq_event(vm, line, fd, on) : HULL_ENOTSUP;
}

int hull_vm_doorbell(struct hull_vm *vm, const struct hull_doorbell *d, bool on)
{
	return vm->accel->doorbell ? vm->accel->doorbell(vm, d, on) : HULL_ENOTSUP;
}

int hull_vm_lazy_writes(struct hull_vm *vm, enum hull_space space, uint64_t addr, uint64_t size,
                        bool on)
{
	return vm->accel->lazy_writes ? vm->accel->lazy_writes(vm, space, addr, size, on)
	                              : HULL_ENOTSUP;
}

void hull_vm_set_vgic(struct hull_vm *vm, const struct hull_vgic *g)
{
	vm->vgic = g;
}

const struct hull_vgic *hull_vm_vgic(const struct hull_vm *vm)
{
	return vm->vgic;
}
