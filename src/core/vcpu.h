/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * vCPU, as accelerators and boards see it.
 *
 * Others talk to a running vCPU in two ways: by driving its interrupt lines
 * (levels) and by posting requests (edges).  Both set `attention`, which the
 * engine polls between blocks, and wake the thread if it sleeps.
 */
#ifndef HULL_CORE_VCPU_H
#define HULL_CORE_VCPU_H

#include <hull/accel.h>
#include <hull/types.h>
#include <hull/vm.h>
#include "core/clock.h"
#include "core/irq.h"

enum hull_vcpu_state {
	HULL_VCPU_OFF,     /* waits to be started */
	HULL_VCPU_READY,   /* may run */
	HULL_VCPU_RUNNING, /* in vcpu_run */
	HULL_VCPU_HALTED,  /* waits for an interrupt */
};

/* Requests: bits of `requests`, cleared by whoever performs them. */
enum {
	HULL_REQ_FLUSH_TLB = 1 << 0,  /* drop all address translations (accelerator) */
	HULL_REQ_FLUSH_CODE = 1 << 1, /* drop decoded code, as fence.i (accelerator) */
	HULL_REQ_IRQ_EDGE = 1 << 2,   /* `irq_edges` has bits to take (accelerator) */
	HULL_REQ_STOP = 1 << 3,       /* leave vcpu_run: pause, stop, reset (core) */
};

struct hull_vcpu {
	uint32_t attention; /* atomic: not 0 while there is anything to look at */
	uint32_t requests;  /* atomic: HULL_REQ_* */
	uint64_t irq_lines; /* atomic: level of each of the ISA's interrupt inputs */
	uint64_t irq_edges; /* atomic: interrupts to be made pending once */
	struct hull_vm *vm;
	uint32_t id;             /* index in the VM */
	uint32_t state;          /* atomic: enum hull_vcpu_state */
	uint64_t phys_id;        /* hart id, MPIDR, APIC id */
	uint32_t claimed;        /* atomic: cpu_id of the thread in hull_vm_run_vcpu, 0: none */
	uint32_t wait_word;      /* atomic: counts wake-ups; what the thread sleeps on */
	int64_t budget;          /* instructions left in a deterministic run; INT64_MAX: no limit */
	struct hull_timer timer; /* the architecture's own timer; fire is set by the accelerator */
	struct hull_irq_sink sink; /* drives irq_lines: input = the ISA's interrupt number */
	uint64_t insns;            /* atomic: retired instructions, updated when the vCPU leaves */
	uint64_t idle_ns;          /* atomic: time asleep */
	uint64_t exits[HULL_EXIT_FAIL + 1]; /* atomic: returns of vcpu_run by kind */
	void *accel;                        /* the accelerator's state */
	uint32_t sleeping; /* atomic: its thread is, or is about to be, in hal->wait */
	uint32_t in_loop;  /* atomic: some thread is in hull_vm_vcpu_loop */
	uint32_t irq_word; /* atomic: counts what ends a halt: anything but a stop */
	uint32_t halt_seq; /* irq_word before the run that ended in a halt */
	bool ready;        /* vcpu_init succeeded */
};

/* Levels of the interrupt inputs, bit n = input n. */
uint64_t hull_vcpu_lines(const struct hull_vcpu *vcpu);

/* Drive one input; makes the vCPU look and wakes it.  Any thread. */
void hull_vcpu_line_set(struct hull_vcpu *vcpu, uint32_t input, bool level);

/* The same as a line value, for wiring controllers to the vCPU. */
struct hull_irq hull_vcpu_line(struct hull_vcpu *vcpu, uint32_t input);

/* Make interrupts pending once (software-clearable, like SSIP).  Any thread. */
void hull_vcpu_raise(struct hull_vcpu *vcpu, uint64_t inputs);

/*
 * For accelerators, on the vCPU's own thread: clear attention, then read which of `mask`
 * are posted.  hull_vcpu_done() afterwards, when they are performed.
 */
uint32_t hull_vcpu_take(struct hull_vcpu *vcpu, uint32_t mask);
/* Clear requests that were performed and let hull_vcpus_sync() callers go. */
void hull_vcpu_done(struct hull_vcpu *vcpu, uint32_t performed);

/*
 * Post requests; makes the vCPU look and wakes it.  Any but a stop also end a halt, 0 included.
 * Any thread.
 */
void hull_vcpu_post(struct hull_vcpu *vcpu, uint32_t requests);

/*
 * Post requests to every vCPU in `mask` and wait until each that executes
 * guest code has performed them (one that does not will before it does
 * again).  A vCPU's own thread may call it with itself in the mask: its own
 * request is then only posted.  A vCPU inside this function counts as not executing
 * guest code, so two may call it for each other; like every call into the core from
 * within vcpu_run it must be followed by a look at `attention` before guest code goes on.
 * Not under a device's lane: a vCPU may be waiting for that lane.
 */
void hull_vcpus_sync(struct hull_vm *vm, uint64_t mask, uint32_t requests);

/*
 * Start a vCPU that is off: reset it, set registers, let it run.  HULL_ESTATE
 * if it is not off.  Any thread; also a loader, for vCPUs other than 0.
 */
struct hull_reg_value {
	uint32_t reg;
	uint64_t value;
};
int hull_vcpu_start(struct hull_vcpu *vcpu, const struct hull_reg_value *regs, unsigned n);

enum hull_vcpu_state hull_vcpu_state(const struct hull_vcpu *vcpu);

/* The vCPU that the calling thread runs, or NULL. */
struct hull_vcpu *hull_vcpu_current(struct hull_vm *vm);

/*
 * Interrupt inputs of an x86_64 vCPU (isa/x86_64/regs.h).  INTR is a line that may be high for
 * nothing: only hull_vcpu_intack() knows.  The others are edges; INIT makes vcpu_run return
 * HULL_EXIT_CPU_OFF, a start-up IPI is hull_vcpu_start().
 */
enum { HULL_X86_INPUT_INTR, HULL_X86_INPUT_NMI, HULL_X86_INPUT_INIT };

/*
 * x86_64: what a vCPU and its local APIC ask of each other, beside hull_vcpu_intack(), where the
 * APIC is a device of ours.  All on the vCPU's thread, without a lane; any may be called within
 * vcpu_run but off(), which the core calls after INIT; it may call hull_vcpu_start() for it.
 */
struct hull_intr {
	/* CR8: bits 7..4 of the task priority. */
	uint8_t (*cr8_get)(void *arg, struct hull_vcpu *vcpu);
	void (*cr8_set)(void *arg, struct hull_vcpu *vcpu, uint8_t value);
	/* The value of IA32_APIC_BASE. */
	uint64_t (*apic_base)(void *arg, struct hull_vcpu *vcpu);
	void (*off)(void *arg, struct hull_vcpu *vcpu);
	void *arg;
};
/* Build phase.  Copied. */
void hull_vm_set_intr(struct hull_vm *vm, const struct hull_intr *intr);
/* NULL: the VM has no such APIC. */
const struct hull_intr *hull_vm_intr(const struct hull_vm *vm);

/*
 * What the board does with a hypercall (SBI, PSCI) or a CPU_ON exit: puts the answer into the
 * vCPU's registers and returns true, with exit->kind set to HULL_EXIT_NONE to
 * go on or to what the caller must see (HALT, CPU_OFF, SYSTEM).  False: not its call.
 */
typedef bool (*hull_hypercall_fn)(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg);
void hull_vm_set_hypercall(struct hull_vm *vm, hull_hypercall_fn fn, void *arg);

/*
 * x86_64 with interrupt controllers of the board: the vCPU takes the interrupt that its line
 * announces.  Answers the vector (0..255), or negative if there is none any more; the line may
 * change meanwhile.  On the vCPU's thread, without a lane.
 */
typedef int (*hull_intack_fn)(struct hull_vcpu *vcpu, void *arg);
void hull_vm_set_intack(struct hull_vm *vm, hull_intack_fn fn, void *arg);
int hull_vcpu_intack(struct hull_vcpu *vcpu); /* for accelerators */

#endif
