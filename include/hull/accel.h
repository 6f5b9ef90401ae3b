/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Accelerator: what runs vCPUs and holds stage-2 mappings.
 *
 * A const vtable; several coexist in one binary and are chosen at run time.
 * A file registers one with HULL_ACCEL(name) = {...}.
 *
 * Threading: vcpu_run, reg_get and reg_set of a vCPU are called by the one
 * thread that runs it, or by any thread while it is not running.  vcpu_kick,
 * irq_update, map, unmap, protect and dirty_log may be called from any thread
 * at any time.  The rest is serialised by the core.
 */
#ifndef HULL_ACCEL_H
#define HULL_ACCEL_H

#include <hull/error.h>
#include <hull/hal.h>
#include <hull/types.h>

struct hull_vm;
struct hull_vcpu;

#define HULL_ACCEL(id) const struct hull_accel hull_accel_##id

/* Access rights and memory types of a mapping. */
enum {
	HULL_MEM_R = 1,
	HULL_MEM_W = 2,
	HULL_MEM_X = 4,
	HULL_MEM_DEVICE = 8,    /* device memory type (pass-through) */
	HULL_MEM_UNCACHED = 16, /* normal, not cacheable */
};

/* Why a vCPU stopped running guest code. */
enum hull_exit_kind {
	HULL_EXIT_NONE,      /* nothing to do: call again */
	HULL_EXIT_MMIO,      /* completed by the core */
	HULL_EXIT_PIO,       /* completed by the core */
	HULL_EXIT_SYSREG,    /* completed by the core */
	HULL_EXIT_S2FAULT,   /* guest access to unmapped memory: answered with the bus error */
	HULL_EXIT_HALT,      /* waits for an interrupt */
	HULL_EXIT_CPU_ON,    /* asks to start another vCPU */
	HULL_EXIT_CPU_OFF,   /* this vCPU stops itself */
	HULL_EXIT_HYPERCALL, /* a call that no firmware of the board has taken */
	HULL_EXIT_SYSTEM,    /* power-off, reset or crash of the whole machine */
	HULL_EXIT_DEBUG,     /* single step done or breakpoint hit */
	HULL_EXIT_BUDGET,    /* the instruction budget is used up */
	HULL_EXIT_KICKED,    /* somebody asked for attention: pause, stop, request */
	HULL_EXIT_FAIL,      /* the accelerator cannot go on; terminal */
};

enum hull_system_event { HULL_SYSTEM_OFF, HULL_SYSTEM_RESET, HULL_SYSTEM_CRASH };

struct hull_exit {
	enum hull_exit_kind kind;
	union {
		struct {
			uint64_t addr; /* GPA, port or system-register number */
			uint64_t data; /* to write; the answer to a read goes here */
			uint8_t size;  /* 1, 2, 4 or 8 bytes */
			bool write;
			bool failed; /* set by the core: nobody answered */
		} io;                /* MMIO, PIO, SYSREG, S2FAULT */
		struct {
			uint64_t nr;
			uint64_t args[6];
		} call; /* HYPERCALL */
		struct {
			uint64_t target, entry, arg;
		} cpu; /* CPU_ON */
		struct {
			enum hull_system_event event;
			uint64_t code; /* the guest's own exit code, 0 if it has none */
		} system;
		struct {
			hull_va pc;
		} debug;
		struct {
			int64_t code; /* accelerator's own number */
			const char *why;
		} fail;
	};
};

/* Where the interrupt controllers of a VM are. */
enum hull_irqchip {
	HULL_IRQCHIP_AUTO,   /* configuration only: as far below as the accelerator can */
	HULL_IRQCHIP_KERNEL, /* all below: irq_line() and msi() */
	HULL_IRQCHIP_SPLIT,  /* those of the vCPUs below: msi() only, the rest is the board's */
	HULL_IRQCHIP_USER,   /* all of them models of the board, which drive the vCPUs' lines */
};

/* What else an accelerator does itself for a VM, so that the board must not: hull_accel.below(). */
enum {
	HULL_BELOW_POWER =
		1, /* starting and stopping vCPUs (PSCI, SBI): their threads always run */
	HULL_BELOW_GICV2 = 2, /* isa/aarch64/gic.h says where */
	HULL_BELOW_GICV3 = 4,
	HULL_BELOW_ITS = 8,
	HULL_BELOW_VGIC = 16, /* the last step of a GICv3 model: core/irqchip.h, struct hull_vgic */
};

enum hull_space { HULL_SPACE_MMIO, HULL_SPACE_PIO, HULL_SPACE_SYSREG, HULL_SPACES };

/* A write of the guest that is only a signal: it ends in an event descriptor, not in an exit. */
struct hull_doorbell {
	enum hull_space space; /* MMIO or PIO */
	uint64_t addr;
	uint8_t size;   /* bytes of the write: 1, 2, 4, 8; 0: any */
	bool has_value; /* only writes of `value` */
	uint64_t value;
	int fd; /* event descriptor of the host */
};

/* Debug stops of one vCPU (HULL_EXIT_DEBUG). */
enum { HULL_BREAKPOINTS = 4 };
enum hull_break_kind { HULL_BREAK_EXEC, HULL_BREAK_WRITE, HULL_BREAK_ACCESS };

struct hull_debug {
	bool step; /* stop after each instruction */
	bool soft; /* stop at the breakpoint instructions that a debugger has put into the code */
	unsigned n;
	struct hull_breakpoint {
		hull_va addr;
		enum hull_break_kind kind;
		uint8_t len;    /* bytes, of WRITE and ACCESS: 1, 2, 4, 8 */
	} at[HULL_BREAKPOINTS]; /* by the processor's own registers */
};

/* What probe() found out by running something. */
struct hull_accel_caps {
	uint32_t isas; /* bit mask of enum hull_isa */
	uint32_t max_vcpus;
	uint8_t gpa_bits;
	bool needs_vcpu_thread; /* vcpu_init must run in the thread that runs the vCPU */
	bool has_dirty_log;
	bool deterministic; /* can honour an exact instruction budget */
	uint64_t mips;      /* measured speed, millions of guest instructions a second */
};

/* One counter: its name, its meaning in a few words, its value. */
typedef void (*hull_stat_fn)(void *arg, const char *name, const char *text, uint64_t value);

struct hull_accel {
	const char *name; /* "engine", "kvm", ... */
	const char *summary;
	uint32_t isas;    /* bit mask of enum hull_isa that it is for, as far as this build goes */
	size_t vm_size;   /* bytes of hull_vm_accel_state(), zeroed by the core */
	size_t vcpu_size; /* bytes of hull_vcpu_accel_state(), zeroed by the core */

	/* Measure by running a built-in payload.  0, or HULL_ENOTSUP with the reason. */
	int (*probe)(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err);

	int (*vm_init)(struct hull_vm *vm, struct hull_err *err);
	void (*vm_fini)(struct hull_vm *vm);

	/*
	 * Stage-2 mappings, page aligned; `attr` is HULL_MEM_*.  On return of unmap
	 * and protect no vCPU uses the old mapping any more.  HULL_ENOMEM, HULL_EINVAL.
	 */
	int (*map)(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr);
	int (*unmap)(struct hull_vm *vm, hull_gpa gpa,
	             uint64_t len); /* never fails for a mapping */
	int (*protect)(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr);

	int (*vcpu_init)(struct hull_vcpu *vcpu, struct hull_err *err);
	void (*vcpu_fini)(struct hull_vcpu *vcpu);
	void (*vcpu_reset)(struct hull_vcpu *vcpu); /* to the architecture's reset state */

	/*
	 * Run until something must be done.  0 with *exit filled in; negative only if misused.
	 *
	 * On entry, and whenever hull_vcpu.attention is seen: clear attention, perform and
	 * clear the accelerator's own requests (hull_vcpu_take()), look at the interrupt lines
	 * and edges, and return HULL_EXIT_KICKED if HULL_REQ_STOP is set.  The same before guest
	 * code goes on after any call into the core from within vcpu_run.  HULL_EXIT_HALT only
	 * after a look at lines and edges found nothing that wakes the guest; the next call
	 * looks again, so a halted vCPU may be run at any time.
	 */
	int (*vcpu_run)(struct hull_vcpu *vcpu, struct hull_exit *exit);
	/* Hand back the answer to an MMIO, PIO or SYSREG exit; called before the next vcpu_run. */
	void (*vcpu_complete)(struct hull_vcpu *vcpu, const struct hull_exit *exit);
	/* Make vcpu_run return, or not start, until the request is seen. */
	void (*vcpu_kick)(struct hull_vcpu *vcpu);

	/* Registers by the number of the ISA's table.  HULL_ENOENT, HULL_EINVAL. */
	int (*reg_get)(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret);
	int (*reg_set)(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value);

	/* The vCPU's interrupt lines (hull_vcpu_lines()) changed; any thread, under any lane. */
	void (*irq_update)(struct hull_vcpu *vcpu);
	/*
	 * Where this VM's interrupt controllers are, after vm_init: by hull_vm_config.irqchip and
	 * what the host can.  NULL: all are the board's.  A board asks hull_vm_irqchip().
	 */
	enum hull_irqchip (*irqchip)(struct hull_vm *vm);
	/* HULL_BELOW_*, after vm_init.  NULL: nothing. */
	uint32_t (*below)(struct hull_vm *vm);
	/*
	 * Drive input `line` of the controller below (pc: the pin of the I/O APIC; virt-aarch64:
	 * the SPI, from 0; virt-riscv64: the source), deliver a message.  Any thread.
	 * HULL_ENOTSUP if that controller is not below.  NULL: it never is.
	 */
	int (*irq_line)(struct hull_vm *vm, uint32_t line, bool level);
	/* `requester`: of a PCI function, for controllers that tell senders apart; else 0. */
	int (*msi)(struct hull_vm *vm, uint32_t requester, uint64_t addr, uint32_t data);
	/*
	 * SPLIT: the message that input `line` of the board's I/O controller stands for; addr and
	 * data 0: none.  After each change of it: only so the end of a level-triggered interrupt
	 * comes back (hull_vm_set_eoi()).
	 */
	int (*route)(struct hull_vm *vm, uint32_t line, uint64_t addr, uint32_t data);
	/*
	 * As irq_line() by an event descriptor, without this process (vhost): each event is a
	 * pulse. In SPLIT, of what route() says.  NULL: it cannot.  HULL_ENOTSUP, HULL_EEXIST,
	 * HULL_ENOENT.
	 */
	int (*irq_event)(struct hull_vm *vm, uint32_t line, int fd, bool on);
	int (*doorbell)(struct hull_vm *vm, const struct hull_doorbell *d, bool on);
	/*
	 * Writes to this range need not be seen at once, but in their order and before the next
	 * exit of any other kind on the same vCPU.  Advice; NULL: it does nothing.
	 */
	int (*lazy_writes)(struct hull_vm *vm, enum hull_space space, uint64_t addr, uint64_t size,
	                   bool on);

	/*
	 * Switch write tracking of a range on or off; NULL if the core's own log suffices.
	 * Called again with `on` after each fetch: report the next write of every page anew.
	 */
	int (*dirty_log)(struct hull_vm *vm, hull_gpa gpa, uint64_t len, bool on);
	/*
	 * Tell the core of all writes to the range since tracking began or since the last call
	 * (hull_aspace_dirty_many()).  NULL: they are told as they happen.
	 */
	int (*dirty_sync)(struct hull_vm *vm, hull_gpa gpa, uint64_t len);

	/*
	 * Guest time stops (pause) or goes on; no vCPU runs.  For clocks of the guest that the core
	 * does not make.  May be NULL.
	 */
	void (*clock)(struct hull_vm *vm, bool running);

	/* Stops for a debugger; replaces what was set before.  NULL: none.  HULL_ENOTSUP. */
	int (*debug)(struct hull_vcpu *vcpu, const struct hull_debug *d);

	/*
	 * Why the VM failed (HULL_STOP_FAULT): text of several lines, with the vCPU's registers;
	 * valid as long as the VM.  NULL, or an empty text: nothing to say.
	 */
	const char *(*failure)(struct hull_vm *vm);

	/*
	 * Give all counters of one vCPU to fn, or their sums (vcpu = UINT32_MAX), always the same
	 * ones in the same order.  At any time; NULL: there are none.
	 */
	void (*stats)(struct hull_vm *vm, uint32_t vcpu, hull_stat_fn fn, void *arg);

	/* State that no register number covers.  Sizes as in *len; HULL_EOVERFLOW if too small. */
	int (*state_save)(struct hull_vcpu *vcpu, void *buf, size_t *len);
	int (*state_load)(struct hull_vcpu *vcpu, const void *buf, size_t len);
};

/* The registered accelerators, ending with NULL. */
extern HULL_EXPORT const struct hull_accel *const hull_accels[];

/* The one called `name`, or NULL. */
HULL_EXPORT const struct hull_accel *hull_accel_find(const char *name);

/* The HAL that the VM was created on. */
HULL_EXPORT const struct hull_hal *hull_vm_hal(const struct hull_vm *vm);

/* The accelerator's own state, vm_size and vcpu_size bytes; valid as long as the VM. */
HULL_EXPORT void *hull_vm_accel_state(struct hull_vm *vm);
HULL_EXPORT void *hull_vcpu_accel_state(struct hull_vcpu *vcpu);

#endif
