/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The inside of a VM; for the files of the core only.
 *
 * Who writes what: `config` and the pointers are set before seal; `state`,
 * `stop_*` under the lifecycle lock; the tables under `map_lock`; everything
 * marked atomic by anybody.
 */
#ifndef HULL_CORE_VM_IMPL_H
#define HULL_CORE_VM_IMPL_H

#include <hull/vm.h>
#include "base/prng.h"
#include "core/bump.h"
#include "core/aspace.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/dev_impl.h"
#include "core/irqchip.h"
#include "core/lane.h"
#include "core/vcpu.h"

enum {
	HULL_MAX_MAPS = 64,
	HULL_MAX_DEVS = 128,
	HULL_MAX_CALLBACKS = 16,
	HULL_MAX_CHANNELS = 16,
	HULL_MAX_EVENTS = 64,
	HULL_QUANTUM = 20000, /* instructions of one turn in a deterministic run */
};

/* Readers share, the writer excludes; readers may nest, so they never wait for a waiting writer. */
struct hull_rwlock {
	uint32_t word;    /* atomic: number of readers, or RW_WRITER */
	uint32_t waiters; /* atomic */
	uint32_t wanted;  /* atomic: a writer waits */
};

/* Where the host memory of a mapping came from: who gives it back. */
enum hull_map_owner { HULL_OWN_PAGES, HULL_OWN_CLAIM, HULL_OWN_CALLER, HULL_OWN_IVC };

struct hull_map {
	hull_gpa gpa;
	uint64_t len;
	uint8_t *hva;
	uint64_t *dirty; /* one bit per page while the log runs */
	hull_hpa hpa;    /* HULL_OWN_CLAIM */
	unsigned attr;
	enum hull_map_owner owner;
};

struct hull_bus_range {
	uint64_t base, size, offset;
	struct hull_dev *dev;
};

/* Read without a lock: `seq` is odd while it changes (see bus.c). */
struct hull_bus_table {
	uint32_t seq, n;
	uint32_t capacity;
	uint32_t hint; /* where the last search ended */
	struct hull_bus_range *ranges;
};

struct hull_callback_slot {
	struct hull_dev dev;
	struct hull_irq no_irq;
	struct hull_callback_device cb;
	char name[HULL_NAME_MAX];
};

struct hull_ivc_pages;
struct hull_channel {
	hull_gpa gpa;
	uint64_t len;
	struct hull_ivc_pages *pages;
	enum { HULL_CHANNEL_FREE, HULL_CHANNEL_BUSY, HULL_CHANNEL_LIVE } state;
};

struct hull_vm {
	const struct hull_hal *hal;
	const struct hull_accel *accel;
	struct hull_vm_config config;
	struct hull_bump arena;
	uint32_t refs; /* atomic */

	/* lifecycle.c */
	struct hull_lock lifecycle;
	uint32_t state;        /* atomic: enum hull_vm_state */
	uint32_t open;         /* atomic: vCPUs may enter guest code */
	uint32_t inside;       /* atomic: threads in a loop or in run_vcpu */
	uint32_t park_word;    /* atomic: counts vCPUs that were let go */
	uint32_t park_waiters; /* atomic */
	uint32_t system_event; /* atomic: 0, or 1 + enum hull_system_event */
	uint64_t system_code;  /* atomic */
	uint32_t stop_reason;  /* atomic: enum hull_stop_reason */
	uint64_t stop_code;    /* atomic */
	hull_loader loader;
	void *loader_arg;

	/* vcpu.c */
	struct hull_vcpu *vcpus[HULL_MAX_VCPUS];
	uint32_t nvcpus;
	bool accel_ready; /* vm_init succeeded */
	void *accel_state;
	hull_hypercall_fn hypercall;
	void *hypercall_arg;
	hull_intack_fn intack;
	void *intack_arg;
	struct hull_intr intr;
	hull_eoi_fn eoi;
	void *eoi_arg;
	const struct hull_vgic *vgic; /* NULL: none */
	/* irqchip.c: lines and messages into the accelerator's controller */
	struct hull_irq_sink below;
	struct hull_msi_sink below_msi;
	uint32_t sync_word;    /* atomic: counts performed requests */
	uint32_t sync_waiters; /* atomic */
	uint32_t host_word;    /* atomic: what timer and deterministic loops sleep on */
	/* Deterministic loop; but for the atomic ones, of its thread alone. */
	struct hull_vcpu *turn; /* atomic: whose quantum runs */
	int64_t quantum;        /* atomic: its length */
	int64_t turn_left;      /* what a pause has left of it; 0: nothing */
	uint32_t turn_of;       /* the vCPU whose turn it is; nvcpus: the round is over */
	bool turn_ran;          /* some vCPU had a turn in this round */
	uint32_t turn_restart;  /* atomic: the VM was reset, begin with vCPU 0 */

	/* aspace.c */
	struct hull_lock map_lock; /* whoever changes maps or bus tables */
	struct hull_rwlock rw;
	struct hull_map maps[HULL_MAX_MAPS];
	uint32_t nmaps;
	uint32_t map_changes; /* never 0; under `rw` */
	uint32_t logging;     /* atomic */
	/* hull_aspace_watch(): atomic bits, by the low bits of the page number. */
	uint64_t watched[1024];
	uint64_t watched_writes; /* atomic */
	hull_hpa stage2_root;

	/* bus.c, dev.c */
	struct hull_bus_table bus[HULL_SPACES];
	struct hull_dev *devs[HULL_MAX_DEVS];
	uint32_t ndevs;               /* atomic: published after the entry */
	struct hull_dev *last_access; /* atomic: the device that the guest accessed last */
	struct hull_callback_slot *callbacks;
	uint32_t ncallbacks;

	/* clock.c */
	uint64_t clock_word; /* atomic: see clock.c */
	uint64_t stepped_ns; /* atomic */
	bool stepped;
	struct hull_lock timer_lock;
	struct hull_timer *timers;
	uint64_t timers_asleep_until; /* atomic: guest deadline of the timer loop's sleep; 0: awake
	                               */
	struct hull_lock random_lock;
	struct hull_prng random;

	/* event.c */
	struct hull_lock event_lock;
	struct hull_event events[HULL_MAX_EVENTS];
	uint64_t nevents;

	/* ivc.c */
	struct hull_lock ivc_lock;
	struct hull_channel channels[HULL_MAX_CHANNELS];
};

/* vm.c: give everything back; also for a VM that is only partly made. */
void hull_vm_teardown(struct hull_vm *vm);

/* lifecycle.c: an entering and a leaving thread; the last one out of a stopping VM stops it. */
void hull_vm_enter(struct hull_vm *vm);
void hull_vm_leave(struct hull_vm *vm);
/* Whether a state lets loops go on, makes them wait, or ends them. */
enum hull_gate { HULL_GATE_RUN, HULL_GATE_WAIT, HULL_GATE_LEAVE };
enum hull_gate hull_vm_gate(const struct hull_vm *vm);
/* Perform what hull_vm_system_event() asked for; on a thread without locks. */
void hull_vm_serve_event(struct hull_vm *vm);
void hull_vm_do_event(struct hull_vm *vm, enum hull_system_event event, uint64_t code);
/* The accelerator cannot go on. */
void hull_vm_fault(struct hull_vm *vm, uint32_t vcpu, int64_t code);
/* Is the calling thread inside run_vcpu of this VM? */
bool hull_vm_in_vcpu(struct hull_vm *vm);
/* Change the state to Stopping for a loop of the core (deterministic, idle). */
void hull_vm_stop_idle(struct hull_vm *vm);

/* vcpu.c */
int hull_vcpu_create_all(struct hull_vm *vm, struct hull_err *err);
void hull_vcpu_wake(struct hull_vcpu *vcpu);
void hull_vcpu_wake_all(struct hull_vm *vm);
/* Until hull_vcpu_come_back(), the calling thread's vCPU does not count as executing. */
struct hull_vcpu *hull_vcpu_step_out(struct hull_vm *vm);
void hull_vcpu_come_back(struct hull_vcpu *vcpu);
/* Wait until no thread is in run_vcpu of `vcpu`, then keep others out. */
void hull_vcpu_claim_wait(struct hull_vcpu *vcpu);
void hull_vcpu_unclaim(struct hull_vcpu *vcpu);
/* Reset, all vCPUs: off, no requests, no lines. */
void hull_vcpu_reset_all(struct hull_vm *vm);
/* Let the timer and deterministic loops look again. */
void hull_vm_wake_loops(struct hull_vm *vm);

/* aspace.c; map_lock is held for those with _locked. */
int hull_aspace_init(struct hull_vm *vm, struct hull_err *err);
void hull_aspace_fini(struct hull_vm *vm);
int hull_aspace_add(struct hull_vm *vm, const struct hull_map *m, struct hull_err *err);
int hull_aspace_remove(struct hull_vm *vm, hull_gpa gpa, uint64_t len, enum hull_map_owner owner,
                       struct hull_err *err);
const struct hull_map *hull_aspace_overlap_locked(struct hull_vm *vm, hull_gpa gpa, uint64_t len);
void hull_rw_read(struct hull_vm *vm);
void hull_rw_done(struct hull_vm *vm);

/* bus.c */
int hull_bus_attach_locked(struct hull_vm *vm, const struct hull_dev_place *place,
                           struct hull_dev *dev, struct hull_err *err);
int hull_bus_init(struct hull_vm *vm, struct hull_err *err);
const struct hull_bus_range *hull_bus_overlap_locked(struct hull_vm *vm, enum hull_space space,
                                                     uint64_t base, uint64_t size);

/* dev.c */
int hull_dev_init_all(struct hull_vm *vm, struct hull_err *err);
void hull_dev_fini_all(struct hull_vm *vm);
void hull_dev_reset_all(struct hull_vm *vm);

/* clock.c */
int hull_clock_init(struct hull_vm *vm, struct hull_err *err);
bool hull_timers_sleep(struct hull_vm *vm, uint64_t next);
/* HAL time of a guest deadline; HULL_NEVER while the clock stands. */
uint64_t hull_clock_hal_deadline(struct hull_vm *vm, uint64_t guest_ns);

/* irqchip.c */
void hull_irqchip_init(struct hull_vm *vm);

/* event.c */
void hull_event_init(struct hull_vm *vm);
void hull_event_add(struct hull_vm *vm, enum hull_event_kind kind, uint32_t vcpu, uint64_t a,
                    uint64_t b);

/* ivc.c */
void hull_ivc_init(struct hull_vm *vm);
void hull_ivc_fini(struct hull_vm *vm);

#endif
