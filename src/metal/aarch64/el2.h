/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The inside of the EL2 accelerator, for its files only. */
#ifndef HULL_METAL_AARCH64_EL2_H
#define HULL_METAL_AARCH64_EL2_H

#include <hull/accel.h>

#include "core/vcpu.h"
#include "isa/aarch64/access.h"
#include "isa/aarch64/stage2.h"
#include "metal/aarch64/cpu.h"

/*
 * Registers of EL1 and EL0 that a vCPU keeps in the CPU while it is resident: name, number
 * (op0, op1, CRn, CRm, op2), reset value.
 */
#define EL2_SYSREGS(X)                          \
	X(sctlr_el1, 3, 0, 1, 0, 0, 0x30d00800) \
	X(actlr_el1, 3, 0, 1, 0, 1, 0)          \
	X(cpacr_el1, 3, 0, 1, 0, 2, 0)          \
	X(ttbr0_el1, 3, 0, 2, 0, 0, 0)          \
	X(ttbr1_el1, 3, 0, 2, 0, 1, 0)          \
	X(tcr_el1, 3, 0, 2, 0, 2, 0)            \
	X(spsr_el1, 3, 0, 4, 0, 0, 0)           \
	X(elr_el1, 3, 0, 4, 0, 1, 0)            \
	X(sp_el0, 3, 0, 4, 1, 0, 0)             \
	X(sp_el1, 3, 4, 4, 1, 0, 0)             \
	X(afsr0_el1, 3, 0, 5, 1, 0, 0)          \
	X(afsr1_el1, 3, 0, 5, 1, 1, 0)          \
	X(esr_el1, 3, 0, 5, 2, 0, 0)            \
	X(far_el1, 3, 0, 6, 0, 0, 0)            \
	X(par_el1, 3, 0, 7, 4, 0, 0)            \
	X(mair_el1, 3, 0, 10, 2, 0, 0)          \
	X(amair_el1, 3, 0, 10, 3, 0, 0)         \
	X(vbar_el1, 3, 0, 12, 0, 0, 0)          \
	X(contextidr_el1, 3, 0, 13, 0, 1, 0)    \
	X(tpidr_el1, 3, 0, 13, 0, 4, 0)         \
	X(tpidr_el0, 3, 3, 13, 0, 2, 0)         \
	X(tpidrro_el0, 3, 3, 13, 0, 3, 0)       \
	X(cntkctl_el1, 3, 0, 14, 1, 0, 0)       \
	X(csselr_el1, 3, 2, 0, 0, 0, 0)         \
	X(mdscr_el1, 2, 0, 0, 2, 2, 0)          \
	X(cntv_cval_el0, 3, 3, 14, 3, 2, 0)     \
	X(cntv_ctl_el0, 3, 3, 14, 3, 1, 0)

enum el2_sysreg {
#define X(name, ...) EL2_##name,
	EL2_SYSREGS(X)
#undef X
		EL2_NSYSREGS,
};

/* Pointer authentication (FEAT_PAuth): ten halves of keys. */
enum { EL2_KEYS = 10, EL2_MAX_LRS = 16 };

struct el2_fp {
	uint64_t v[64];
	uint64_t fpcr, fpsr;
};

struct el2_vm {
	struct hull_a64_s2 s2;
	struct hull_vm *vm;
	uint64_t vttbr, vtcr;
	uint64_t cntvoff;
	bool loaded;      /* its memory may have been written since vCPU 0 was reset */
	uint64_t stopped; /* the counter when guest time stopped */
	const struct el2_vcpu *last[METAL_MAX_CPUS]; /* of its vCPUs, in each CPU */
};

/* An access in parts (access.c). */
struct el2_access {
	struct hull_a64_access insn;
	hull_gpa gpa;
	uint64_t base;        /* of the base register, afterwards */
	unsigned bytes, done; /* 0: there is none */
	uint8_t data[HULL_A64_ACCESS_BYTES];
};

/* EL1's physical timer (ptimer.c). */
struct el2_ptimer {
	struct hull_timer timer; /* first */
	struct hull_vcpu *vcpu;
	uint64_t ctl, cval;
	uint32_t due; /* atomic: look at it */
	bool high;    /* its line, as the model knows it */
};

struct el2_vcpu {
	struct a64_regs regs;
	struct hull_vcpu *vcpu;
	struct el2_vm *vm;
	struct metal_cpu *where; /* whose registers hold it; NULL: nobody's */
	uint64_t hcr;
	uint64_t sys[EL2_NSYSREGS]; /* while it is not resident */
	uint64_t keys[EL2_KEYS];
	uint64_t disr;
	struct el2_fp fp;
	uint32_t timer_intid;
	bool timer_high;              /* its virtual timer's interrupt is active in the GIC */
	bool timer_fired;             /* the same, and the model does not know yet */
	bool timer_known;             /* the model has its line high */
	bool timer_over;              /* the guest has ended it, and the model does not know yet */
	struct metal_thread *thread;  /* that runs it */
	uint64_t lr[EL2_MAX_LRS];     /* list registers, while it does not execute */
	unsigned nlrs;                /* how many are in use */
	unsigned lrs;                 /* how many there are */
	bool shown;                   /* they are in the CPU */
	const struct hull_vgic *vgic; /* of its VM */
	bool more;                    /* the model has interrupts for which they had no room */
	bool again;                   /* there are active interrupts to put into them */
	uint64_t vmcr, ap0r0, ap1r0;  /* its CPU interface, while it is not resident */
	uint64_t esr, far, hpfar;     /* of its last exit */
	struct el2_access access;     /* that is being completed */
	uint64_t aborts;              /* that were injected */
	struct el2_ptimer ptimer;
};

/*
 * Bring a vCPU into this CPU; take it out, if it is in this one; forget what any CPU has of it,
 * while it does not run.  None of them blocks: from el2_load() until the guest executes, and from
 * there until what the CPU has of it is read, no other thread may run on this CPU.
 */
void el2_load(struct el2_vcpu *v);
void el2_put(struct el2_vcpu *v);
void el2_drop(struct el2_vcpu *v);

/* What a vCPU reads as its MPIDR_EL1. */
uint64_t el2_mpidr(const struct hull_vcpu *vcpu);

/* A system register of a vCPU by its place in the list; resident or not. */
uint64_t el2_sys_get(struct el2_vcpu *v, enum el2_sysreg n);
void el2_sys_set(struct el2_vcpu *v, enum el2_sysreg n, uint64_t value);

/*
 * What the hardware would do: exceptions to EL1 (resident).  An abort is told as external, with
 * what the syndrome `esr` of the exit says of the access.
 */
void el2_inject_undefined(struct el2_vcpu *v);
void el2_inject_abort(struct el2_vcpu *v, uint64_t esr, uint64_t va);
void el2_inject_fault(struct el2_vcpu *v, uint64_t esr, uint64_t va, unsigned status);

/*
 * An access that the syndrome does not describe: its first part as an exit (false), or an abort.
 * Then, as long as there is one, the next; and what became of each.
 */
bool el2_access_begin(struct el2_vcpu *v, struct hull_exit *exit);
bool el2_access_go_on(struct el2_vcpu *v, struct hull_exit *exit);
void el2_access_complete(struct el2_vcpu *v, const struct hull_exit *exit);

/*
 * List registers.  Before the guest executes: take what the model has, then, resident, show it.
 * After: read them back, then tell the model.  The first and the last may block.
 */
unsigned el2_gic_capacity(void);
void el2_gic_pull(struct el2_vcpu *v);
void el2_gic_show(struct el2_vcpu *v);
void el2_gic_read(struct el2_vcpu *v);
void el2_gic_push(struct el2_vcpu *v);

/*
 * While they are in the CPU: hand the guest a private interrupt at once, that of the timer as the
 * physical one; false: the model must be asked.  Is anything pending?  Is none in use?
 */
bool el2_gic_direct(struct el2_vcpu *v, uint32_t intid, bool timer);
bool el2_gic_waits(const struct el2_vcpu *v);
bool el2_gic_idle(struct el2_vcpu *v);

/*
 * The virtual timer's interrupt came on this CPU, where `v` (or nobody: NULL) is resident: noted,
 * as this may be in the middle of anything.  Then the vCPU is woken if it waits, and on its own
 * thread tells the model.
 */
void el2_timer_fired(struct el2_vcpu *v);
void el2_timer_tell(struct el2_vcpu *v);
/* The vCPU, which is nowhere resident, is reset: so is its timer. */
void el2_timer_forget(struct el2_vcpu *v);

/*
 * The counter as the guest reads it.  EL1's physical timer, on the vCPU's thread, while nothing of
 * it is in the CPU: after it came due; on reset; an access to a register by the number of the bus
 * (false: it is none of the timer's).  They may block.
 */
uint64_t el2_counter(const struct el2_vcpu *v);
void el2_ptimer_init(struct el2_vcpu *v);
void el2_ptimer_update(struct el2_vcpu *v);
void el2_ptimer_reset(struct el2_vcpu *v);
bool el2_ptimer_access(struct el2_vcpu *v, uint32_t reg, bool to, uint64_t *value);

/* Deal with a synchronous exception from the guest; true: go on. */
bool el2_handle(struct el2_vcpu *v, struct hull_exit *exit);
/* The answer to an access that left vcpu_run. */
void el2_complete(struct el2_vcpu *v, const struct hull_exit *exit);

/* Run a payload of known outcome; its speed in millions of instructions a second.  HULL_EIO. */
int el2_self_test(const struct hull_hal *hal, uint64_t *ret_mips, struct hull_err *err);

/* Memory of a guest to the point of coherency; what any CPU has fetched of it is forgotten. */
void el2_clean(hull_hpa start, uint64_t bytes);
void el2_forget_code(void);

/* Stage 2 as hull_a64_s2_ops wants it; `arg` is the struct el2_vm. */
extern const struct hull_a64_s2_ops el2_s2_ops;

#endif
