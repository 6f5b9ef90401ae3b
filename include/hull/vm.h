/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * VM: one machine.
 *
 * Life: hull_vm_create() -> (devices and images are added, state Loading) ->
 * hull_vm_seal() -> Ready -> hull_vm_boot() -> Running <-> Paused -> Stopping
 * -> Stopped, which can be booted again; Failed from anywhere.  A transition
 * that the table refuses is HULL_ESTATE, and the text names what is allowed.
 *
 * Threading: create, seal and destroy from one thread.  One thread per vCPU
 * calls hull_vm_run_vcpu() or hull_vm_vcpu_loop().  Everything else may be
 * called from any thread while the VM runs.
 *
 * No guest action makes any of these functions crash, hang or abort.
 */
#ifndef HULL_VM_H
#define HULL_VM_H

#include <hull/accel.h>
#include <hull/config.h>
#include <hull/error.h>
#include <hull/hal.h>
#include <hull/types.h>

#define HULL_API_VERSION 1

enum hull_vm_state {
	HULL_VM_LOADING,
	HULL_VM_READY,
	HULL_VM_RUNNING,
	HULL_VM_PAUSED,
	HULL_VM_STOPPING,
	HULL_VM_STOPPED,
	HULL_VM_FAILED,
};

enum hull_stop_reason {
	HULL_STOP_NONE,   /* has not stopped */
	HULL_STOP_GUEST,  /* the guest powered itself off */
	HULL_STOP_RESET,  /* the guest asked for a reset and the caller wanted to know */
	HULL_STOP_CRASH,  /* the guest said that it crashed */
	HULL_STOP_FORCED, /* hull_vm_shutdown() */
	HULL_STOP_FAULT,  /* the accelerator failed */
	HULL_STOP_IDLE,   /* deterministic: every vCPU waits and nothing can wake one */
};

/*
 * Create a VM of `config` (checked, then copied) on `hal` with `accel`; both
 * must outlive it.  Maps the memory regions, creates the vCPUs.  The caller
 * owns one reference.  HULL_EINVAL (configuration), HULL_ENOMEM, HULL_EBUSY
 * (a claimed range is taken), HULL_ENOTSUP; nothing is left behind then.
 */
HULL_EXPORT int hull_vm_create(const struct hull_vm_config *config, const struct hull_hal *hal,
                               const struct hull_accel *accel, struct hull_vm **ret,
                               struct hull_err *err) HULL_CHECK_RESULT;

/*
 * One reference more, one less.  Dropping the last destroys the VM; if it still runs,
 * it is shut down instead and the reference kept: destroy it after its loops returned.
 */
HULL_EXPORT void hull_vm_ref(struct hull_vm *vm);
HULL_EXPORT void hull_vm_unref(struct hull_vm *vm);

/*
 * Destroy: HULL_EBUSY if other references exist, HULL_ESTATE while it runs
 * (shut it down first).  Gives everything back to the HAL.  NULL is fine.
 */
HULL_EXPORT int hull_vm_destroy(struct hull_vm *vm, struct hull_err *err);

/*
 * What fills memory and sets vCPU 0's registers; called by boot and by reset
 * with all vCPUs stopped and in their reset state.  A negative return fails the boot.
 * RAM is as the last run left it.  It must not call the functions that change the
 * VM's state: they answer HULL_ESTATE.
 */
typedef int (*hull_loader)(struct hull_vm *vm, void *arg, struct hull_err *err);
HULL_EXPORT void hull_vm_set_loader(struct hull_vm *vm, hull_loader loader, void *arg);

/* Loading -> Ready: from here on nothing is allocated.  HULL_ESTATE. */
HULL_EXPORT int hull_vm_seal(struct hull_vm *vm, struct hull_err *err);

/* Ready or Stopped -> Running: resets everything, calls the loader, starts vCPU 0. */
HULL_EXPORT int hull_vm_boot(struct hull_vm *vm, struct hull_err *err);

/*
 * Running -> Paused; returns when no vCPU executes guest code.  Guest time stands still.
 * Not from a device or a vCPU's exit: HULL_EBUSY.
 */
HULL_EXPORT int hull_vm_pause(struct hull_vm *vm, struct hull_err *err);
HULL_EXPORT int hull_vm_resume(struct hull_vm *vm, struct hull_err *err);

/*
 * Ready, Running or Paused -> Stopping; the loops return, the last one makes it Stopped.
 * From a device or a vCPU's exit: HULL_EBUSY, use hull_vm_system_event().
 */
HULL_EXPORT int hull_vm_shutdown(struct hull_vm *vm, enum hull_stop_reason reason,
                                 struct hull_err *err);

/*
 * Ask for power-off, reset or crash of the machine, as the guest would: from a device, the
 * firmware, any thread.  A vCPU loop performs it; hull_vm_run_vcpu() returns HULL_EXIT_SYSTEM
 * and leaves it to the caller.  Of several pending ones the first counts.
 */
HULL_EXPORT void hull_vm_system_event(struct hull_vm *vm, enum hull_system_event event,
                                      uint64_t code);

/* Running or Paused -> Running from the reset state, loader included.  Any thread but a vCPU's. */
HULL_EXPORT int hull_vm_reset(struct hull_vm *vm, struct hull_err *err);

HULL_EXPORT enum hull_vm_state hull_vm_state(const struct hull_vm *vm);
HULL_EXPORT const char *hull_vm_state_name(enum hull_vm_state state);
HULL_EXPORT enum hull_stop_reason hull_vm_stop_reason(const struct hull_vm *vm);
/* The code that came with the stop: the guest's exit code; 0 if none. */
HULL_EXPORT uint64_t hull_vm_stop_code(const struct hull_vm *vm);

HULL_EXPORT uint32_t hull_vm_id(const struct hull_vm *vm);
HULL_EXPORT const struct hull_vm_config *hull_vm_config(const struct hull_vm *vm);
HULL_EXPORT uint32_t hull_vm_vcpu_count(const struct hull_vm *vm);
/* vCPU `id`, or NULL if there is none; valid as long as the VM. */
HULL_EXPORT struct hull_vcpu *hull_vm_vcpu(struct hull_vm *vm, uint32_t id);

/*
 * Run vCPU `id`: completes MMIO, PIO, system-register and stage-2-fault exits
 * through the devices and returns what the caller must decide.  HULL_EINVAL
 * (no such vCPU), HULL_ESTATE (the VM does not run, the vCPU is off), HULL_EBUSY
 * (another thread runs it).  The vCPU is never left claimed, whatever happens.
 */
HULL_EXPORT int hull_vm_run_vcpu(struct hull_vm *vm, uint32_t id, struct hull_exit *exit);

/*
 * The whole life of a vCPU thread: runs, sleeps in halt, waits while off or
 * paused, performs power-off and reset.  Returns when the VM stops; at once if another
 * thread is in this vCPU's loop.  In Ready it waits, so threads may start before boot.
 */
HULL_EXPORT void hull_vm_vcpu_loop(struct hull_vm *vm, uint32_t id);

/*
 * The loop of a deterministic VM: all vCPUs and timers in turn on this thread, 20,000
 * instructions each.  Guest time is the sum of all vCPUs' instructions times ns_per_insn;
 * when every vCPU waits it jumps to the next deadline, and without one the VM stops with
 * HULL_STOP_IDLE.
 */
HULL_EXPORT void hull_vm_deterministic_loop(struct hull_vm *vm);

/*
 * A piece of that loop: `insns` instructions of all vCPUs together, or until the VM is paused or
 * stops.  Where the pieces end makes no difference to the guest, unless it does nothing but trap.
 * False if the VM is stopping or has stopped, or is not deterministic.
 */
HULL_EXPORT bool hull_vm_deterministic_step(struct hull_vm *vm, uint64_t insns);

/* The loop of the thread that fires a VM's timers; returns when the VM stops. */
HULL_EXPORT void hull_vm_timer_loop(struct hull_vm *vm);

/*
 * Map host memory at a guest-physical range while running or not.  gpa, hva
 * and len are page aligned, len not 0; the caller keeps the memory until
 * unmapped.  HULL_EINVAL, HULL_EEXIST (overlap), HULL_EOVERFLOW (wrap or table full).
 */
HULL_EXPORT int hull_vm_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len,
                            unsigned attr, struct hull_err *err);
/* Undo a whole earlier mapping.  HULL_ENOENT.  On return nothing uses it any more. */
HULL_EXPORT int hull_vm_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len, struct hull_err *err);
/* Change the rights of a whole mapping. */
HULL_EXPORT int hull_vm_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr,
                                struct hull_err *err);

/*
 * Copy between guest memory and a buffer; any length and alignment; may cross
 * adjacent regions.  HULL_EFAULT if any byte is not RAM or ROM: nothing was
 * written then.  Writing ignores the guest's own access rights.
 */
HULL_EXPORT int hull_vm_read(struct hull_vm *vm, hull_gpa gpa, void *buf,
                             uint64_t len) HULL_CHECK_RESULT;
HULL_EXPORT int hull_vm_write(struct hull_vm *vm, hull_gpa gpa, const void *buf,
                              uint64_t len) HULL_CHECK_RESULT;

/* Called with consecutive pieces of host memory; a negative return ends the walk with it. */
typedef int (*hull_span_fn)(void *arg, void *hva, uint64_t len);
/* Walk the host memory behind a guest range, to load images.  HULL_EFAULT before any call. */
HULL_EXPORT int hull_vm_image_regions(struct hull_vm *vm, hull_gpa gpa, uint64_t len,
                                      hull_span_fn fn, void *arg);

/* Host-physical root of the stage-2 tables; 0 where the accelerator has none. */
HULL_EXPORT hull_hpa hull_vm_stage2_root(const struct hull_vm *vm);

/*
 * Dirty log over all RAM: start, then fetch: for each page written since the
 * last fetch one bit in `bitmap` (bit 0 = the page at gpa).  `nbits` pages.
 */
HULL_EXPORT int hull_vm_dirty_start(struct hull_vm *vm, struct hull_err *err);
HULL_EXPORT int hull_vm_dirty_stop(struct hull_vm *vm);
HULL_EXPORT int hull_vm_dirty_fetch(struct hull_vm *vm, hull_gpa gpa, uint64_t *bitmap,
                                    uint64_t nbits);

/*
 * Raise interrupt `irq` (edge: pending until taken) on every vCPU in `mask`.
 * HULL_EINVAL if the mask names a vCPU that does not exist or irq > 63.
 */
HULL_EXPORT int hull_vm_inject_irq(struct hull_vm *vm, uint64_t vcpu_mask, uint32_t irq);

/*
 * Inter-VM channel: allocate zeroed shared pages in the VM's IVC window.
 * `bytes` is rounded up to pages and returned.  HULL_EINVAL (no window, 0),
 * HULL_ENOMEM (window or memory full).  free: HULL_ENOENT unless it is exactly one.
 */
HULL_EXPORT int hull_vm_ivc_alloc(struct hull_vm *vm, uint64_t bytes, hull_gpa *ret_gpa,
                                  uint64_t *ret_bytes, struct hull_err *err);
HULL_EXPORT int hull_vm_ivc_free(struct hull_vm *vm, hull_gpa gpa, uint64_t bytes,
                                 struct hull_err *err);
/* Show the same pages to another VM at its own address; ends with the last unmap. */
HULL_EXPORT int hull_vm_ivc_share(struct hull_vm *from, hull_gpa gpa, struct hull_vm *to,
                                  hull_gpa *ret_gpa, struct hull_err *err);

/* One device of the VM, for inspection. */
struct hull_device_info {
	const char *name, *type, *summary;
	hull_gpa gpa;
	uint64_t size;
	uint64_t guest_errors; /* accesses that the hardware would not have liked */
	uint64_t accesses;
	uint64_t last_offset; /* of the newest access */
	bool last;            /* the guest has accessed no other device since */
};
/* Device number `index`; HULL_ENOENT past the last. */
HULL_EXPORT int hull_vm_devices(struct hull_vm *vm, uint32_t index, struct hull_device_info *ret);

/*
 * Register a callback device of the embedding program.  `read` and `write` get
 * the offset in the range and a size of 1, 2, 4 or 8 and may be NULL (reads
 * as zero, ignores writes); `destroy` is called once with the VM's end.
 */
struct hull_callback_device {
	const char *name;
	hull_gpa gpa;
	uint64_t size;
	void *opaque;
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
	void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
	void (*destroy)(void *opaque);
};
HULL_EXPORT int hull_vm_register_device(struct hull_vm *vm, const struct hull_callback_device *d,
                                        struct hull_err *err);

/* Registers of a vCPU that is not running, by the ISA's numbers (accel.h). */
HULL_EXPORT int hull_vcpu_reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret);
HULL_EXPORT int hull_vcpu_reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value);

/*
 * Make a vCPU that is not running stop for a debugger: hull_vm_run_vcpu() then returns
 * HULL_EXIT_DEBUG.  Replaces what was set before; all zero: nothing.  HULL_ENOTSUP (this
 * accelerator or this kind of stop), HULL_EINVAL, HULL_EBUSY (it runs).
 */
HULL_EXPORT int hull_vcpu_debug(struct hull_vcpu *vcpu, const struct hull_debug *d);

/*
 * Why the accelerator failed, after HULL_STOP_FAULT: lines of text with the registers of the vCPU;
 * NULL: it has nothing to say.  Valid as long as the VM.
 */
HULL_EXPORT const char *hull_vm_failure(struct hull_vm *vm);

/*
 * What the accelerator has counted on vCPU `id`, or on all together (UINT32_MAX): each counter is
 * given to fn.  While the VM runs the values may be a little old.  HULL_EINVAL (no such vCPU),
 * HULL_ENOTSUP (it counts nothing).
 */
HULL_EXPORT int hull_vm_stats(struct hull_vm *vm, uint32_t id, hull_stat_fn fn, void *arg);

/* The newest events of a VM (created, booted, paused, stopped, fault, ...). */
struct hull_event {
	uint64_t sequence; /* counts from 1 */
	uint64_t at_ns;    /* HAL time */
	uint32_t kind;     /* enum hull_event_kind */
	uint32_t vcpu;     /* UINT32_MAX: none */
	uint64_t a, b;     /* depend on the kind */
};
enum hull_event_kind {
	HULL_EVENT_STATE,   /* a: old, b: new state */
	HULL_EVENT_VCPU_ON, /* a: entry */
	HULL_EVENT_VCPU_OFF,
	HULL_EVENT_RESET,
	HULL_EVENT_GUEST_ERROR, /* a: address, b: device index */
	HULL_EVENT_FAIL,        /* a: accelerator code */
	HULL_EVENT_MAP,         /* a: gpa, b: len */
	HULL_EVENT_UNMAP,
};
/* The first event after sequence number `after` that is still kept; HULL_ENOENT if none. */
HULL_EXPORT int hull_vm_event_next(struct hull_vm *vm, uint64_t after, struct hull_event *ret);

#endif
