/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The newest events of a VM, in a ring that overwrites the oldest. */
#include "core/vm_impl.h"

#include "base/bits.h"

void hull_event_init(struct hull_vm *vm)
{
	hull_lock_init(&vm->event_lock, vm->hal, HULL_RANK_LEAF);
}

void hull_event_add(struct hull_vm *vm, enum hull_event_kind kind, uint32_t vcpu, uint64_t a,
                    uint64_t b)
{
	struct hull_event e = { .kind = kind, .vcpu = vcpu, .a = a, .b = b };

	e.at_ns = vm->hal->now_ns(vm->hal);
	hull_lock_acquire(&vm->event_lock);
	e.sequence = ++vm->nevents;
	vm->events[e.sequence % HULL_MAX_EVENTS] = e;
	hull_lock_release(&vm->event_lock);
}

int hull_vm_event_next(struct hull_vm *vm, uint64_t after, struct hull_event *ret)
{
	uint64_t oldest, wanted;
	int result = HULL_ENOENT;

	if (after == UINT64_MAX)
		return HULL_ENOENT;
	hull_lock_acquire(&vm->event_lock);
	oldest = vm->nevents >= HULL_MAX_EVENTS ? vm->nevents - HULL_MAX_EVENTS + 1 : 1;
	wanted = MAX(after + 1, oldest);
	if (wanted <= vm->nevents) {
		*ret = vm->events[wanted % HULL_MAX_EVENTS];
		result = 0;
	}
	hull_lock_release(&vm->event_lock);
	return result;
}
