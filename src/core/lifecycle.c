/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The life of a VM: one table of transitions, and what each of them does.
 *
 * All changes happen under the lifecycle lock.  `open` says whether vCPUs may
 * enter guest code; closing it, posting a stop to each vCPU and waiting until
 * none is claimed is how a VM comes to rest.
 */
#include "core/vm_impl.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"

enum verb {
	VERB_SEAL,
	VERB_BOOT,
	VERB_PAUSE,
	VERB_RESUME,
	VERB_RESET,
	VERB_SHUTDOWN,
	VERB_STOPPED, /* the last loop has returned */
	VERB_FAULT,
	VERB_DESTROY,
	VERBS,
};

enum { STATES = HULL_VM_FAILED + 1 };

/* In `inside`: the VM is stopping, the last thread out has to say so. */
#define INSIDE_LAST UINT32_C(0x80000000)

/* 1 + the next state; 0: refused. */
#define TO(state) (1 + HULL_VM_##state)
static const uint8_t next_state[STATES][VERBS] = {
	[HULL_VM_LOADING] = { [VERB_SEAL] = TO(READY),
	                      [VERB_FAULT] = TO(FAILED),
	                      [VERB_DESTROY] = TO(LOADING) },
	[HULL_VM_READY] = { [VERB_BOOT] = TO(RUNNING),
	                    [VERB_SHUTDOWN] = TO(STOPPING),
	                    [VERB_FAULT] = TO(FAILED),
	                    [VERB_DESTROY] = TO(READY) },
	[HULL_VM_RUNNING] = { [VERB_PAUSE] = TO(PAUSED),
	                      [VERB_RESET] = TO(RUNNING),
	                      [VERB_SHUTDOWN] = TO(STOPPING),
	                      [VERB_FAULT] = TO(FAILED) },
	[HULL_VM_PAUSED] = { [VERB_RESUME] = TO(RUNNING),
	                     [VERB_RESET] = TO(RUNNING),
	                     [VERB_SHUTDOWN] = TO(STOPPING),
	                     [VERB_FAULT] = TO(FAILED) },
	[HULL_VM_STOPPING] = { [VERB_STOPPED] = TO(STOPPED), [VERB_FAULT] = TO(FAILED) },
	[HULL_VM_STOPPED] = { [VERB_BOOT] = TO(RUNNING),
	                      [VERB_FAULT] = TO(FAILED),
	                      [VERB_DESTROY] = TO(STOPPED) },
	[HULL_VM_FAILED] = { [VERB_DESTROY] = TO(FAILED) },
};

static const char *const verb_names[VERBS] = { "seal",     "boot",    "pause", "resume", "reset",
	                                       "shutdown", "stopped", "fault", "destroy" };
/* What a user may do in each state, for the refusals. */
static const char *const allowed[STATES] = {
	[HULL_VM_LOADING] = "seal or destroy",
	[HULL_VM_READY] = "boot, shutdown or destroy",
	[HULL_VM_RUNNING] = "pause, reset or shutdown",
	[HULL_VM_PAUSED] = "resume, reset or shutdown",
	[HULL_VM_STOPPING] = "nothing until its vCPUs have returned",
	[HULL_VM_STOPPED] = "boot or destroy",
	[HULL_VM_FAILED] = "destroy",
};

const char *hull_vm_state_name(enum hull_vm_state state)
{
	static const char *const names[STATES] = { "loading",  "ready",   "running", "paused",
		                                   "stopping", "stopped", "failed" };

	return (unsigned)state < STATES ? names[state] : "?";
}

enum hull_vm_state hull_vm_state(const struct hull_vm *vm)
{
	return (enum hull_vm_state)hull_load_seqcst(&vm->state);
}

enum hull_stop_reason hull_vm_stop_reason(const struct hull_vm *vm)
{
	return (enum hull_stop_reason)hull_load_seqcst(&vm->stop_reason);
}

uint64_t hull_vm_stop_code(const struct hull_vm *vm)
{
	return hull_load_seqcst(&vm->stop_code);
}

static int refuse(struct hull_vm *vm, enum hull_vm_state state, enum verb verb,
                  struct hull_err *err)
{
	hull_fail(err, HULL_ESTATE, 401, "vm '%s' is %s: it cannot %s", vm->config.name,
	          hull_vm_state_name(state), verb_names[verb]);
	hull_err_fix(err, "allowed now: %s", allowed[state]);
	return HULL_ESTATE;
}

/* Take the lifecycle lock if `verb` is allowed; otherwise it is not held. */
static int begin(struct hull_vm *vm, enum verb verb, struct hull_err *err)
{
	enum hull_vm_state state;

	if (hull_lock_held(&vm->lifecycle))
		return hull_fail(err, HULL_ESTATE, 401,
		                 "vm '%s': a loader cannot %s the VM that it loads",
		                 vm->config.name, verb_names[verb]);
	hull_lock_acquire(&vm->lifecycle);
	state = hull_vm_state(vm);
	if (next_state[state][verb])
		return 0;
	hull_lock_release(&vm->lifecycle);
	return refuse(vm, state, verb, err);
}

/* The lock is held and the table allows `verb`. */
static void advance(struct hull_vm *vm, enum verb verb)
{
	enum hull_vm_state old = hull_vm_state(vm);
	enum hull_vm_state new = (enum hull_vm_state)(next_state[old][verb] - 1);

	hull_store_seqcst(&vm->state, new);
	hull_event_add(vm, HULL_EVENT_STATE, UINT32_MAX, old, new);
}

static void end(struct hull_vm *vm)
{
	hull_lock_release(&vm->lifecycle);
	hull_vcpu_wake_all(vm);
}

static void close_gate(struct hull_vm *vm)
{
	hull_store_seqcst(&vm->open, 0);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		hull_vcpu_post(vm->vcpus[i], HULL_REQ_STOP);
}

/* With the gate closed: once a vCPU was out, it does not execute guest code any more. */
static void wait_all_out(struct hull_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++) {
		hull_vcpu_claim_wait(vm->vcpus[i]);
		hull_vcpu_unclaim(vm->vcpus[i]);
	}
}

/*
 * Only when all are out: a vCPU that executes may start another one and would
 * wait for a claim that we hold while we wait for its own.
 */
static void claim_all(struct hull_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		hull_vcpu_claim_wait(vm->vcpus[i]);
}

static void unclaim_all(struct hull_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		hull_vcpu_unclaim(vm->vcpus[i]);
}

/* Waiting for oneself would take for ever. */
static int refuse_vcpu(struct hull_vm *vm, enum verb verb, struct hull_err *err)
{
	if (!hull_vm_in_vcpu(vm))
		return 0;
	hull_fail(err, HULL_EBUSY, 402, "vm '%s': a vCPU that runs cannot %s its own VM",
	          vm->config.name, verb_names[verb]);
	hull_err_fix(err, "ask with hull_vm_system_event()");
	return HULL_EBUSY;
}

int hull_vm_seal(struct hull_vm *vm, struct hull_err *err)
{
	int ret = begin(vm, VERB_SEAL, err);

	if (ret)
		return ret;
	hull_bump_seal(&vm->arena);
	advance(vm, VERB_SEAL);
	end(vm);
	return 0;
}

/* From any rest to the reset state with vCPU 0 ready. */
static int start_over(struct hull_vm *vm, struct hull_err *err)
{
	int ret = 0;

	claim_all(vm);
	hull_store_seqcst(&vm->system_event, 0);
	hull_store_seqcst(&vm->turn_restart, 1);
	hull_vcpu_reset_all(vm);
	hull_dev_reset_all(vm);
	if (vm->loader)
		ret = vm->loader(vm, vm->loader_arg, err);
	if (ret >= 0) {
		hull_store_seqcst(&vm->vcpus[0]->state, HULL_VCPU_READY);
		hull_store_seqcst(&vm->stop_reason, HULL_STOP_NONE);
		hull_store_seqcst(&vm->stop_code, 0);
	}
	unclaim_all(vm);
	return MIN(ret, 0);
}

int hull_vm_boot(struct hull_vm *vm, struct hull_err *err)
{
	int ret = begin(vm, VERB_BOOT, err);

	if (ret)
		return ret;
	ret = start_over(vm, err);
	if (!ret) {
		hull_clock_start(vm);
		advance(vm, VERB_BOOT);
		hull_store_seqcst(&vm->open, 1);
	}
	end(vm);
	return ret;
}

/* Guest time stands or goes on; no vCPU runs. */
static void clock_set(struct hull_vm *vm, bool running)
{
	if (vm->accel->clock)
		vm->accel->clock(vm, running);
}

int hull_vm_pause(struct hull_vm *vm, struct hull_err *err)
{
	int ret = refuse_vcpu(vm, VERB_PAUSE, err);

	if (ret)
		return ret;
	ret = begin(vm, VERB_PAUSE, err);
	if (ret)
		return ret;
	close_gate(vm);
	advance(vm, VERB_PAUSE);
	wait_all_out(vm);
	hull_clock_stop(vm);
	clock_set(vm, false);
	end(vm);
	return 0;
}

int hull_vm_resume(struct hull_vm *vm, struct hull_err *err)
{
	int ret = begin(vm, VERB_RESUME, err);

	if (ret)
		return ret;
	clock_set(vm, true);
	hull_clock_start(vm);
	advance(vm, VERB_RESUME);
	hull_store_seqcst(&vm->open, 1);
	end(vm);
	return 0;
}

/* The lock is held. */
static void fault_locked(struct hull_vm *vm)
{
	close_gate(vm);
	hull_clock_stop(vm);
	hull_store_seqcst(&vm->stop_reason, HULL_STOP_FAULT);
	if (next_state[hull_vm_state(vm)][VERB_FAULT])
		advance(vm, VERB_FAULT);
}

static int reset_locked(struct hull_vm *vm, struct hull_err *err)
{
	int ret;

	close_gate(vm);
	wait_all_out(vm);
	hull_event_add(vm, HULL_EVENT_RESET, UINT32_MAX, 0, 0);
	ret = start_over(vm, err);
	if (ret) {
		fault_locked(vm);
		return ret;
	}
	hull_clock_start(vm);
	if (hull_vm_state(vm) == HULL_VM_PAUSED) {
		clock_set(vm, true);
		advance(vm, VERB_RESET);
	}
	hull_store_seqcst(&vm->open, 1);
	return 0;
}

int hull_vm_reset(struct hull_vm *vm, struct hull_err *err)
{
	int ret = refuse_vcpu(vm, VERB_RESET, err);

	if (ret)
		return ret;
	ret = begin(vm, VERB_RESET, err);
	if (ret)
		return ret;
	ret = reset_locked(vm, err);
	end(vm);
	return ret;
}

/* Stopping with nobody inside becomes Stopped.  The lock is held. */
static void try_stopped(struct hull_vm *vm)
{
	if (hull_vm_state(vm) != HULL_VM_STOPPING || hull_load_seqcst(&vm->inside) != INSIDE_LAST)
		return;
	hull_store_seqcst(&vm->inside, 0);
	advance(vm, VERB_STOPPED);
}

static void shutdown_locked(struct hull_vm *vm, enum hull_stop_reason reason, uint64_t code)
{
	hull_store_seqcst(&vm->stop_reason, reason);
	hull_store_seqcst(&vm->stop_code, code);
	close_gate(vm);
	hull_clock_stop(vm);
	advance(vm, VERB_SHUTDOWN);
	hull_or_seqcst(&vm->inside, INSIDE_LAST);
	try_stopped(vm);
}

int hull_vm_shutdown(struct hull_vm *vm, enum hull_stop_reason reason, struct hull_err *err)
{
	int ret = hull_lock_held(&vm->lifecycle) ? 0 : refuse_vcpu(vm, VERB_SHUTDOWN, err);

	/* Whoever has the lock may be waiting for this vCPU. */
	if (!ret)
		ret = begin(vm, VERB_SHUTDOWN, err);
	if (ret)
		return ret;
	shutdown_locked(vm, reason ? reason : HULL_STOP_FORCED, 0);
	end(vm);
	return 0;
}

void hull_vm_stop_idle(struct hull_vm *vm)
{
	(void)hull_vm_shutdown(vm, HULL_STOP_IDLE, NULL);
}

void hull_vm_fault(struct hull_vm *vm, uint32_t vcpu, int64_t code)
{
	hull_event_add(vm, HULL_EVENT_FAIL, vcpu, (uint64_t)code, 0);
	if (begin(vm, VERB_FAULT, NULL))
		return;
	fault_locked(vm);
	end(vm);
}

void hull_vm_enter(struct hull_vm *vm)
{
	hull_add_seqcst(&vm->inside, 1);
}

void hull_vm_leave(struct hull_vm *vm)
{
	uint32_t inside = hull_load_seqcst(&vm->inside);

	/* The count is the last thing touched: whoever reads 0 may destroy the VM. */
	while (!(inside & INSIDE_LAST))
		if (hull_cas_seqcst(&vm->inside, &inside, inside - 1))
			return;
	hull_lock_acquire(&vm->lifecycle);
	hull_add_seqcst(&vm->inside, UINT32_MAX);
	try_stopped(vm);
	hull_lock_release(&vm->lifecycle);
}

enum hull_gate hull_vm_gate(const struct hull_vm *vm)
{
	switch (hull_vm_state(vm)) {
	case HULL_VM_RUNNING: return hull_load_seqcst(&vm->open) ? HULL_GATE_RUN : HULL_GATE_WAIT;
	case HULL_VM_READY:
	case HULL_VM_PAUSED: return HULL_GATE_WAIT;
	default: return HULL_GATE_LEAVE;
	}
}

void hull_vm_system_event(struct hull_vm *vm, enum hull_system_event event, uint64_t code)
{
	uint32_t none = 0;

	if ((unsigned)event > HULL_SYSTEM_CRASH)
		return;
	/* The first event wins; nobody takes UINT32_MAX while its code is stored. */
	if (!hull_cas_seqcst(&vm->system_event, &none, UINT32_MAX))
		return;
	hull_store_seqcst(&vm->system_code, code);
	hull_store_seqcst(&vm->system_event, 1 + (uint32_t)event);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		hull_vcpu_post(vm->vcpus[i], HULL_REQ_STOP);
	hull_vm_wake_loops(vm);
}

void hull_vm_do_event(struct hull_vm *vm, enum hull_system_event event, uint64_t code)
{
	if (event == HULL_SYSTEM_RESET) {
		(void)hull_vm_reset(vm, NULL);
		return;
	}
	if (begin(vm, VERB_SHUTDOWN, NULL))
		return;
	shutdown_locked(vm, event == HULL_SYSTEM_CRASH ? HULL_STOP_CRASH : HULL_STOP_GUEST, code);
	end(vm);
}

void hull_vm_serve_event(struct hull_vm *vm)
{
	uint32_t event = hull_load_seqcst(&vm->system_event);
	uint64_t code = hull_load_seqcst(&vm->system_code);

	if (!event || event == UINT32_MAX || !hull_cas_seqcst(&vm->system_event, &event, 0))
		return;
	hull_vm_do_event(vm, (enum hull_system_event)(event - 1), code);
}

int hull_vm_destroy(struct hull_vm *vm, struct hull_err *err)
{
	int ret;

	if (!vm)
		return 0;
	if (hull_load_seqcst(&vm->refs) > 1)
		return hull_fail(err, HULL_EBUSY, 402, "vm '%s': somebody else still uses it",
		                 vm->config.name);
	ret = begin(vm, VERB_DESTROY, err);
	if (ret)
		return ret;
	if (hull_load_seqcst(&vm->inside) & ~INSIDE_LAST) {
		hull_lock_release(&vm->lifecycle);
		return hull_fail(err, HULL_EBUSY, 402,
		                 "vm '%s': threads are still in its loops: wait until they return",
		                 vm->config.name);
	}
	hull_lock_release(&vm->lifecycle);
	hull_vm_teardown(vm);
	return 0;
}

void hull_vm_ref(struct hull_vm *vm)
{
	hull_add_seqcst(&vm->refs, 1);
}

void hull_vm_unref(struct hull_vm *vm)
{
	uint32_t refs;

	if (!vm)
		return;
	refs = hull_load_seqcst(&vm->refs);
	HULL_ASSERT(refs);
	while (refs > 1)
		if (hull_cas_seqcst(&vm->refs, &refs, refs - 1))
			return;
	if (!next_state[hull_vm_state(vm)][VERB_DESTROY])
		(void)hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
	(void)hull_vm_destroy(vm, NULL);
}
