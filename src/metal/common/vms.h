/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The VMs of the image: made, run, and given back.
 *
 * VM i is the package's.  One that is off has nothing: no memory, no threads, no address space; it
 * is read from the package whenever it starts.
 *
 * Threading: hull_metal_vm_*() from any thread of the hypervisor but a vCPU's or a VM's timers;
 * each waits for others that change the same VM.
 */
#ifndef HULL_METAL_COMMON_VMS_H
#define HULL_METAL_COMMON_VMS_H

#include <hull/error.h>
#include <hull/types.h>
#include <hull/vm.h>

/* Make every VM of the package at `data` and start it.  Returns how many run. */
unsigned metal_vms_start(const void *data, uint64_t size);

/*
 * Give back each VM that stops, until none is left and nobody keeps the machine.  True: all ended
 * as their guests or hull_metal_vm_stop() wanted.
 */
bool metal_vms_finish(void);
/* Make that look: something was typed.  From an interrupt, too. */
void metal_vms_poke(void);

/* Keep the machine without VMs (a shell does), or not any more. */
void hull_metal_vms_keep(bool on);

uint32_t hull_metal_vm_count(void);
const char *hull_metal_vm_name(uint32_t i); /* "" if it could not be read */
/* One that is off is HULL_VM_STOPPED. */
enum hull_vm_state hull_metal_vm_state(uint32_t i);

/* Call fn with a VM that is on, while nobody stops it.  HULL_ENOENT, HULL_ESTATE. */
int hull_metal_vm_visit(uint32_t i, void (*fn)(struct hull_vm *vm, void *arg), void *arg,
                        struct hull_err *err);

/*
 * Start VM i, or let it go on if it is paused; pause it; stop it and give back all it has; stop it,
 * if it runs, and start it anew.  HULL_ENOENT: there is no VM i.  HULL_ESTATE: not now.  Of start:
 * HULL_ENOMEM and what the board says; the VM is then off.
 */
int hull_metal_vm_start(uint32_t i, struct hull_err *err);
int hull_metal_vm_pause(uint32_t i, struct hull_err *err);
int hull_metal_vm_stop(uint32_t i, struct hull_err *err);
int hull_metal_vm_restart(uint32_t i, struct hull_err *err);

/* For tests: VM i while it runs and nobody else changes it; NULL: it is off. */
struct hull_vm *metal_vm(uint32_t i);

/*
 * What metal_vms_start() does before VMs start, without starting any: for those who start them
 * themselves.  Error text goes to the console.
 */
bool metal_vms_open(const void *data, uint64_t size);

#endif
