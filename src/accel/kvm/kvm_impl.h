/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM from the inside: what the files of this directory share.
 *
 *	kvm.c		the accelerator: VMs, vCPUs, interrupts, errors
 *	kvm_memory.c	memory slots, dirty logs, keeping vCPUs out meanwhile
 *	kvm_run.c	the run loop: kicks, exits, their completion
 *	kvm_probe.c	does it work here, and how fast
 *	kvm_x86*.c, kvm_arm64*.c, kvm_riscv*.c
 *			hull_kvm_arch_*() below, for one architecture of hosts each
 *
 * Reference: Linux, Documentation/virt/kvm/api.rst; sections are named as "api 4.35".
 */
#ifndef HULL_ACCEL_KVM_KVM_IMPL_H
#define HULL_ACCEL_KVM_KVM_IMPL_H

#include <linux/kvm.h>
#include <pthread.h>

#include <hull/accel.h>
#include <hull/vm.h>
#include "core/vcpu.h"

#if defined(__x86_64__)
#include "accel/kvm/kvm_x86.h"
#elif defined(__aarch64__)
#include "accel/kvm/kvm_arm64.h"
#elif defined(__riscv)
#include "accel/kvm/kvm_riscv.h"
#else
#include "accel/kvm/kvm_none.h"
#endif

/* The calls into the host; tests put others in their place. */
struct hull_kvm_sys {
	const char *path; /* of the device */
	int (*open)(const char *path, int flags);
	int (*ioctl)(int fd, unsigned long request, void *arg); /* -1 and errno */
	void *(*map)(int fd, size_t bytes, long offset);        /* NULL and errno */
};
extern struct hull_kvm_sys hull_kvm_sys;

/* As many as the core has mappings. */
enum { HULL_KVM_SLOTS = 64, HULL_KVM_FAILURE_MAX = 4096 };

struct hull_kvm_slot {
	hull_gpa gpa;
	uint64_t len; /* 0: unused */
	void *hva;
	unsigned attr;
	bool logged;
};

struct hull_kvm_vm {
	struct hull_vm *vm;
	int kvm_fd, fd; /* + 1, so that zeroed memory has none */
	size_t run_bytes, host_page;
	unsigned coalesced_page;   /* where in them the ring is; 0: no such ring */
	enum hull_irqchip irqchip; /* never AUTO */
	uint32_t dirty_ring;       /* entries per vCPU; 0: bitmaps */
	bool read_only_slots;      /* it has them */
	uint32_t frozen;           /* atomic: vCPUs stay out of KVM_RUN */
	pthread_mutex_t ring_lock; /* of the ring of lazy writes, and those of dirty pages */
	struct hull_kvm_slot slots[HULL_KVM_SLOTS]; /* under the core's map_lock */
	struct hull_kvm_arch_vm arch;
	uint32_t failed; /* atomic: `failure` is taken */
	char failure[HULL_KVM_FAILURE_MAX];
};

/* An exit that wants data moved: pieces of it go to the core one by one. */
struct hull_kvm_io {
	enum hull_exit_kind kind;
	bool write;
	uint8_t unit;  /* bytes of each access to the same address; 0: memory, addresses go up */
	uint8_t part;  /* bytes left of a unit that is given out byte by byte */
	uint32_t left; /* bytes */
	uint64_t addr;
	uint8_t *at; /* next byte, in the page shared with KVM */
};

struct hull_kvm_vcpu {
	struct hull_vcpu *vcpu;
	struct hull_kvm_vm *vm;
	struct kvm_run *run; /* shared with the host's kernel, not with the guest */
	int fd;              /* + 1 */
	uint32_t in_run;     /* atomic: in KVM_RUN, or about to be */
	bool unfinished;     /* the last exit is completed by the next KVM_RUN (api 5, NOTE) */
	int refused;         /* errno with which KVM refused registers; 0: it did not */
	bool halted;         /* USER: waits for an interrupt */
	struct hull_kvm_io io;
	struct kvm_dirty_gfn *ring; /* of dirty pages; NULL: none */
	uint32_t ring_next;
	struct hull_kvm_arch_vcpu arch;
};

/* kvm.c */

/* An ioctl: its answer (not negative), or -errno.  Interruptions are none. */
int hull_kvm_ioctl(int fd, unsigned long request, void *arg);
int hull_kvm_vm_ioctl(struct hull_kvm_vm *k, unsigned long request, void *arg);
int hull_kvm_vcpu_ioctl(struct hull_kvm_vcpu *v, unsigned long request, void *arg);
/* What a capability is worth in this VM; 0: it is not there. */
int hull_kvm_cap(struct hull_kvm_vm *k, int cap);
/* Enable a capability of the VM (api 4.37). */
int hull_kvm_enable(struct hull_kvm_vm *k, uint32_t cap, uint64_t arg);
/* E0207: KVM refuses `what`; `error` is an errno value. */
int hull_kvm_refused(struct hull_err *err, const char *what, int error);
/*
 * Open the device: a descriptor, or HULL_ENOENT (E0205), HULL_EPERM (E0204), HULL_ENOTSUP
 * (E0206: of another API, or `needed`, ending with 0, is not there).
 */
int hull_kvm_open(struct hull_err *err);

/* kvm_memory.c */
int hull_kvm_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr);
int hull_kvm_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len);
int hull_kvm_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr);
int hull_kvm_dirty_log(struct hull_vm *vm, hull_gpa gpa, uint64_t len, bool on);
int hull_kvm_dirty_sync(struct hull_vm *vm, hull_gpa gpa, uint64_t len);
/* Empty the rings of all vCPUs into the core's log.  Any thread. */
void hull_kvm_collect_rings(struct hull_kvm_vm *k);

/* kvm_run.c */
int hull_kvm_run(struct hull_vcpu *vcpu, struct hull_exit *exit);
void hull_kvm_complete(struct hull_vcpu *vcpu, const struct hull_exit *exit);
void hull_kvm_kick(struct hull_vcpu *vcpu);
/*
 * Let KVM complete the last exit, so that registers are what the guest has.  HULL_EAGAIN: parts of
 * it still wait for devices.  `drop` them: for a reset.
 */
int hull_kvm_settle(struct hull_kvm_vcpu *v, bool drop);
/* End the VM: HULL_EXIT_FAIL with `format` and the registers as the reason. */
void hull_kvm_fail(struct hull_kvm_vcpu *v, struct hull_exit *exit, int64_t code,
                   const char *format, ...) HULL_PRINTF(4, 5);
/* Give out the first piece of v->io. */
void hull_kvm_start_io(struct hull_kvm_vcpu *v, struct hull_exit *exit);

/* kvm_probe.c */
int hull_kvm_probe(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err);

/*
 * The architecture.  Errors are described in `err` where there is one.
 */

/* Guests, and capabilities without which nothing goes (ending with 0). */
extern const uint32_t hull_kvm_arch_isas;
extern const int hull_kvm_arch_needs[];
/* The argument of KVM_CREATE_VM. */
unsigned long hull_kvm_arch_vm_type(struct hull_kvm_vm *k);
/* The argument of KVM_CREATE_VCPU. */
unsigned long hull_kvm_arch_vcpu_id(const struct hull_vcpu *vcpu);
/* After KVM_CREATE_VM, before memory and vCPUs: sets k->irqchip from the wish in the config. */
int hull_kvm_arch_vm_init(struct hull_kvm_vm *k, struct hull_err *err);
/* After memory, before the first KVM_CREATE_VCPU: interrupt controllers. */
int hull_kvm_arch_before_vcpus(struct hull_kvm_vm *k, struct hull_err *err);
void hull_kvm_arch_vm_fini(struct hull_kvm_vm *k);
/* HULL_BELOW_*, after that. */
uint32_t hull_kvm_arch_below(struct hull_kvm_vm *k);
/* After KVM_CREATE_VCPU, with v->run in place; once per vCPU, in order. */
int hull_kvm_arch_vcpu_init(struct hull_kvm_vcpu *v, struct hull_err *err);
void hull_kvm_arch_vcpu_fini(struct hull_kvm_vcpu *v);
/* To the reset state; that of vCPU 0 resets controllers and clocks below, too. */
void hull_kvm_arch_vcpu_reset(struct hull_kvm_vcpu *v);
/*
 * Before KVM_RUN: write back registers, inject what the lines and `edges` say.  False: it does not
 * run, *exit says why (HALT: nothing wakes it; CPU_OFF).
 */
bool hull_kvm_arch_enter(struct hull_kvm_vcpu *v, uint64_t edges, struct hull_exit *exit);
/* After KVM_RUN: registers may have changed. */
void hull_kvm_arch_left(struct hull_kvm_vcpu *v);
/* An exit that kvm_run.c does not know.  True: *exit is filled in; false: go on. */
bool hull_kvm_arch_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit);
/* Nobody has answered: what the guest reads, or a fault.  exit->io.failed is set. */
void hull_kvm_arch_unanswered(struct hull_kvm_vcpu *v, struct hull_exit *exit);
/* Where KVM_EXIT_DEBUG stopped. */
uint64_t hull_kvm_arch_debug_pc(struct hull_kvm_vcpu *v);
/* hull_vcpu_lines() changed; any thread. */
void hull_kvm_arch_irq_update(struct hull_kvm_vcpu *v);
int hull_kvm_arch_irq_line(struct hull_kvm_vm *k, uint32_t line, bool level);
/* The routing of KVM (api 4.52), for lines and events. */
int hull_kvm_arch_route(struct hull_kvm_vm *k, uint32_t line, uint64_t addr, uint32_t data);
/* The number by which KVM_IRQFD knows `line`; negative: HULL_E... */
int hull_kvm_arch_gsi(struct hull_kvm_vm *k, uint32_t line);
int hull_kvm_arch_reg_get(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t *ret);
int hull_kvm_arch_reg_set(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t value);
int hull_kvm_arch_save(struct hull_kvm_vcpu *v, void *buf, size_t *len);
int hull_kvm_arch_load(struct hull_kvm_vcpu *v, const void *buf, size_t len);
/* Fill in what depends on the architecture; HULL_ENOTSUP. */
int hull_kvm_arch_debug(struct hull_kvm_vcpu *v, const struct hull_debug *d,
                        struct kvm_guest_debug *ret);
void hull_kvm_arch_clock(struct hull_kvm_vm *k, bool running);
/* The registers as text, lines ending with '\n'. */
void hull_kvm_arch_dump(struct hull_kvm_vcpu *v, char *dst, size_t size);

/*
 * What probing runs: a machine with a little memory, whose vCPU 0 ends each run with HALT or
 * SYSTEM.
 */
struct hull_kvm_payload {
	enum hull_isa isa;
	uint64_t ram; /* bytes */
	hull_gpa ram_at;
	uint32_t loop_insns; /* of the loop that is measured */
};
extern const struct hull_kvm_payload hull_kvm_arch_payload;
/* Put code and tables into memory. */
int hull_kvm_arch_payload_load(struct hull_vm *vm);
/* Set the registers: `loops` times round the loop; 0: the test of what kernels need. */
int hull_kvm_arch_payload_start(struct hull_vcpu *vcpu, uint32_t loops);
/* What failed in the test; NULL: nothing. */
const char *hull_kvm_arch_payload_result(struct hull_vm *vm);
/* Bits of a guest-physical address. */
uint8_t hull_kvm_arch_gpa_bits(struct hull_kvm_vm *k);

#endif
