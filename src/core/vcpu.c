/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * vCPUs: running, completing exits, lines, requests, and the one place where
 * a vCPU's thread sleeps.
 *
 * Sleeping.  Whoever changes something that a vCPU may wait for does so, then
 * counts wait_word up, then wakes it if `sleeping` is set.  The vCPU sets
 * `sleeping`, reads wait_word, looks at everything, and sleeps while the word
 * is what it read.  All of it sequentially consistent: either it sees the
 * change, or the other side sees `sleeping` and a word that has moved on.
 *
 * Entering.  state = RUNNING is stored before `open` and `system_event` are
 * read; whoever closes the VM stores first and reads state or `claimed` then.
 */
#include "core/vm_impl.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"

enum { SYNC_SPINS = 200 };

/* A vCPU that clears its requests without hull_vcpu_done() is noticed after this long. */
static const uint64_t sync_poll_ns = 50000;

static unsigned this_cpu(const struct hull_vm *vm)
{
	return vm->hal->cpu_id(vm->hal);
}

void hull_vcpu_wake(struct hull_vcpu *vcpu)
{
	const struct hull_hal *hal = vcpu->vm->hal;

	hull_add_seqcst(&vcpu->wait_word, 1);
	if (hull_load_seqcst(&vcpu->sleeping))
		hal->wake(hal, &vcpu->wait_word, UINT32_MAX);
}

void hull_vm_wake_loops(struct hull_vm *vm)
{
	hull_add_seqcst(&vm->host_word, 1);
	vm->hal->wake(vm->hal, &vm->host_word, UINT32_MAX);
}

void hull_vcpu_wake_all(struct hull_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		hull_vcpu_wake(vm->vcpus[i]);
	hull_vm_wake_loops(vm);
}

uint64_t hull_vcpu_lines(const struct hull_vcpu *vcpu)
{
	return hull_load_seqcst(&vcpu->irq_lines);
}

void hull_vcpu_line_set(struct hull_vcpu *vcpu, uint32_t input, bool level)
{
	uint64_t old, bit;

	HULL_ASSERT(input < 64);
	bit = BIT(input);
	old = level ? hull_or_seqcst(&vcpu->irq_lines, bit)
	            : hull_and_seqcst(&vcpu->irq_lines, ~bit);
	if (!(old & bit) == !level)
		return;
	hull_store_seqcst(&vcpu->attention, 1);
	vcpu->vm->accel->irq_update(vcpu);
	if (!level)
		return;
	hull_add_seqcst(&vcpu->irq_word, 1);
	hull_vcpu_wake(vcpu);
}

static void line_sink(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	hull_vcpu_line_set(CONTAINER_OF(sink, struct hull_vcpu, sink), input, level);
}

struct hull_irq hull_vcpu_line(struct hull_vcpu *vcpu, uint32_t input)
{
	return (struct hull_irq){ .sink = &vcpu->sink, .input = input };
}

void hull_vcpu_raise(struct hull_vcpu *vcpu, uint64_t inputs)
{
	hull_or_seqcst(&vcpu->irq_edges, inputs);
	hull_vcpu_post(vcpu, HULL_REQ_IRQ_EDGE);
}

void hull_vcpu_post(struct hull_vcpu *vcpu, uint32_t requests)
{
	hull_or_seqcst(&vcpu->requests, requests);
	hull_store_seqcst(&vcpu->attention, 1);
	if (requests != HULL_REQ_STOP)
		hull_add_seqcst(&vcpu->irq_word, 1);
	vcpu->vm->accel->vcpu_kick(vcpu);
	hull_vcpu_wake(vcpu);
}

uint32_t hull_vcpu_take(struct hull_vcpu *vcpu, uint32_t mask)
{
	hull_store_seqcst(&vcpu->attention, 0);
	return hull_load_seqcst(&vcpu->requests) & mask;
}

static void sync_progress(struct hull_vm *vm)
{
	if (!hull_load_seqcst(&vm->sync_waiters))
		return;
	hull_add_seqcst(&vm->sync_word, 1);
	vm->hal->wake(vm->hal, &vm->sync_word, UINT32_MAX);
}

void hull_vcpu_done(struct hull_vcpu *vcpu, uint32_t performed)
{
	hull_and_seqcst(&vcpu->requests, ~performed);
	sync_progress(vcpu->vm);
}

struct hull_vcpu *hull_vcpu_current(struct hull_vm *vm)
{
	unsigned cpu = this_cpu(vm);

	for (uint32_t i = 0; i < vm->nvcpus; i++)
		if (hull_load_relaxed(&vm->vcpus[i]->claimed) == cpu)
			return vm->vcpus[i];
	return NULL;
}

bool hull_vm_in_vcpu(struct hull_vm *vm)
{
	return hull_vcpu_current(vm) != NULL;
}

static void set_state(struct hull_vcpu *vcpu, enum hull_vcpu_state state)
{
	hull_store_seqcst(&vcpu->state, state);
}

struct hull_vcpu *hull_vcpu_step_out(struct hull_vm *vm)
{
	struct hull_vcpu *vcpu = hull_vcpu_current(vm);

	if (!vcpu || hull_vcpu_state(vcpu) != HULL_VCPU_RUNNING)
		return NULL;
	set_state(vcpu, HULL_VCPU_READY);
	sync_progress(vm);
	return vcpu;
}

void hull_vcpu_come_back(struct hull_vcpu *vcpu)
{
	if (vcpu)
		set_state(vcpu, HULL_VCPU_RUNNING);
}

static bool still_to_do(struct hull_vcpu *vcpu, uint32_t requests)
{
	return hull_load_seqcst(&vcpu->state) == HULL_VCPU_RUNNING &&
	       hull_load_seqcst(&vcpu->requests) & requests;
}

static void await(struct hull_vcpu *vcpu, uint32_t requests)
{
	struct hull_vm *vm = vcpu->vm;
	const struct hull_hal *hal = vm->hal;

	for (int i = 0; i < SYNC_SPINS; i++)
		if (!still_to_do(vcpu, requests))
			return;
	hull_add_seqcst(&vm->sync_waiters, 1);
	for (;;) {
		uint32_t seen = hull_load_seqcst(&vm->sync_word);

		if (!still_to_do(vcpu, requests))
			break;
		hal->wait(hal, &vm->sync_word, seen, hal->now_ns(hal) + sync_poll_ns);
	}
	hull_add_seqcst(&vm->sync_waiters, UINT32_MAX);
}

/* One that sleeps performs them before it executes again: no need to wake it. */
static void post_quietly(struct hull_vcpu *vcpu, uint32_t requests)
{
	hull_or_seqcst(&vcpu->requests, requests);
	hull_store_seqcst(&vcpu->attention, 1);
	if (hull_load_seqcst(&vcpu->state) == HULL_VCPU_RUNNING)
		vcpu->vm->accel->vcpu_kick(vcpu);
}

void hull_vcpus_sync(struct hull_vm *vm, uint64_t mask, uint32_t requests)
{
	struct hull_vcpu *self = hull_vcpu_step_out(vm);
	unsigned cpu = this_cpu(vm);

	mask &= low_mask(vm->nvcpus);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		if (mask & BIT(i))
			post_quietly(vm->vcpus[i], requests);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		if (mask & BIT(i) && hull_load_relaxed(&vm->vcpus[i]->claimed) != cpu)
			await(vm->vcpus[i], requests);
	hull_vcpu_come_back(self);
}

int hull_vm_inject_irq(struct hull_vm *vm, uint64_t vcpu_mask, uint32_t irq)
{
	if (vcpu_mask & ~low_mask(vm->nvcpus) || irq > 63)
		return HULL_EINVAL;
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		if (vcpu_mask & BIT(i))
			hull_vcpu_raise(vm->vcpus[i], BIT(irq));
	return 0;
}

static bool try_claim(struct hull_vcpu *vcpu)
{
	uint32_t nobody = 0;

	return hull_cas_seqcst(&vcpu->claimed, &nobody, this_cpu(vcpu->vm));
}

void hull_vcpu_unclaim(struct hull_vcpu *vcpu)
{
	struct hull_vm *vm = vcpu->vm;

	hull_store_seqcst(&vcpu->claimed, 0);
	/* Pairs with the increment in hull_vcpu_claim_wait(). */
	if (!hull_load_seqcst(&vm->park_waiters))
		return;
	hull_add_seqcst(&vm->park_word, 1);
	vm->hal->wake(vm->hal, &vm->park_word, UINT32_MAX);
}

void hull_vcpu_claim_wait(struct hull_vcpu *vcpu)
{
	struct hull_vm *vm = vcpu->vm;

	if (try_claim(vcpu))
		return;
	hull_add_seqcst(&vm->park_waiters, 1);
	for (;;) {
		uint32_t seen = hull_load_seqcst(&vm->park_word);

		if (try_claim(vcpu))
			break;
		vm->hal->wait(vm->hal, &vm->park_word, seen, HULL_NEVER);
	}
	hull_add_seqcst(&vm->park_waiters, UINT32_MAX);
}

static int create_one(struct hull_vm *vm, uint32_t i, struct hull_err *err)
{
	struct hull_vcpu_place place;
	struct hull_vcpu *vcpu = hull_bump_alloc(&vm->arena, sizeof(*vcpu), 64);
	int ret;

	if (!vcpu)
		return hull_fail(err, HULL_ENOMEM, 0, "vm '%s': no memory for vCPU %u",
		                 vm->config.name, i);
	ret = hull_config_place(&vm->config, i, &place);
	HULL_ASSERT(!ret);
	vcpu->vm = vm;
	vcpu->id = i;
	vcpu->phys_id = place.phys_id;
	vcpu->budget = INT64_MAX;
	vcpu->sink.set = line_sink;
	hull_timer_init(&vcpu->timer, NULL);
	vm->vcpus[i] = vcpu;
	vm->nvcpus = i + 1;
	vcpu->accel = hull_bump_alloc(&vm->arena, MAX(vm->accel->vcpu_size, (size_t)1), 64);
	if (!vcpu->accel)
		return hull_fail(err, HULL_ENOMEM, 0, "vm '%s': no memory for vCPU %u",
		                 vm->config.name, i);
	ret = vm->accel->vcpu_init(vcpu, err);
	vcpu->ready = !ret;
	return ret;
}

int hull_vcpu_create_all(struct hull_vm *vm, struct hull_err *err)
{
	for (uint32_t i = 0; i < vm->config.cpu_num; i++) {
		int ret = create_one(vm, i, err);

		if (ret)
			return ret;
	}
	return 0;
}

void hull_vcpu_reset_all(struct hull_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++) {
		struct hull_vcpu *vcpu = vm->vcpus[i];

		hull_timer_set(vm, &vcpu->timer, HULL_NEVER);
		hull_store_seqcst(&vcpu->irq_lines, 0);
		hull_store_seqcst(&vcpu->irq_edges, 0);
		/* Flushes stay posted: memory may change before it runs again. */
		hull_and_seqcst(&vcpu->requests, ~(uint32_t)(HULL_REQ_STOP | HULL_REQ_IRQ_EDGE));
		set_state(vcpu, HULL_VCPU_OFF);
		vm->accel->vcpu_reset(vcpu);
		vm->accel->irq_update(vcpu);
	}
}

int hull_vcpu_start(struct hull_vcpu *vcpu, const struct hull_reg_value *regs, unsigned n)
{
	struct hull_vm *vm = vcpu->vm;
	/* By a loader: boot and reset have claimed all vCPUs on this thread. */
	bool ours = hull_load_relaxed(&vcpu->claimed) == this_cpu(vm);
	int ret = HULL_ESTATE;

	if (hull_load_seqcst(&vcpu->state) != HULL_VCPU_OFF)
		return HULL_ESTATE;
	/* Off: whoever holds it is leaving, or starting it as we are. */
	if (!ours)
		hull_vcpu_claim_wait(vcpu);
	if (hull_load_seqcst(&vcpu->state) == HULL_VCPU_OFF) {
		vm->accel->vcpu_reset(vcpu);
		/* What came while it was off, or going off, is not for what begins now. */
		hull_store_seqcst(&vcpu->irq_edges, 0);
		ret = 0;
		for (unsigned i = 0; i < n && !ret; i++)
			ret = vm->accel->reg_set(vcpu, regs[i].reg, regs[i].value);
		if (!ret)
			set_state(vcpu, HULL_VCPU_READY);
	}
	if (!ours)
		hull_vcpu_unclaim(vcpu);
	if (ret)
		return ret;
	hull_event_add(vm, HULL_EVENT_VCPU_ON, vcpu->id, n ? regs[0].value : 0, 0);
	hull_vcpu_wake(vcpu);
	hull_vm_wake_loops(vm);
	return 0;
}

enum hull_vcpu_state hull_vcpu_state(const struct hull_vcpu *vcpu)
{
	return (enum hull_vcpu_state)hull_load_seqcst(&vcpu->state);
}

void hull_vm_set_hypercall(struct hull_vm *vm, hull_hypercall_fn fn, void *arg)
{
	vm->hypercall = fn;
	vm->hypercall_arg = arg;
}

void hull_vm_set_intack(struct hull_vm *vm, hull_intack_fn fn, void *arg)
{
	vm->intack = fn;
	vm->intack_arg = arg;
}

int hull_vcpu_intack(struct hull_vcpu *vcpu)
{
	const struct hull_vm *vm = vcpu->vm;

	return vm->intack ? vm->intack(vcpu, vm->intack_arg) : HULL_ENOENT;
}

void hull_vm_set_intr(struct hull_vm *vm, const struct hull_intr *intr)
{
	vm->intr = *intr;
}

const struct hull_intr *hull_vm_intr(const struct hull_vm *vm)
{
	return vm->intr.apic_base ? &vm->intr : NULL;
}

/* Claim for a register access: by whoever runs or resets the vCPU it is claimed already. */
static bool borrow(struct hull_vcpu *vcpu, bool *ret_borrowed)
{
	*ret_borrowed = hull_load_relaxed(&vcpu->claimed) == this_cpu(vcpu->vm);
	return *ret_borrowed || try_claim(vcpu);
}

int hull_vcpu_reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret)
{
	bool borrowed;
	int result;

	if (!borrow(vcpu, &borrowed))
		return HULL_EBUSY;
	result = vcpu->vm->accel->reg_get(vcpu, reg, ret);
	if (!borrowed)
		hull_vcpu_unclaim(vcpu);
	return result;
}

int hull_vcpu_reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	bool borrowed;
	int result;

	if (!borrow(vcpu, &borrowed))
		return HULL_EBUSY;
	result = vcpu->vm->accel->reg_set(vcpu, reg, value);
	if (!borrowed)
		hull_vcpu_unclaim(vcpu);
	return result;
}

/* Memory that was mapped, or made accessible, since the guest faulted on it. */
static bool ram_access(struct hull_vm *vm, struct hull_exit *e)
{
	unsigned size = e->io.size;
	uint8_t raw[8] = { 0 };

	if (size > 8 || !is_pow2(size))
		return false;
	if (e->io.write) {
		store_le64(raw, e->io.data);
		return hull_mem_write(vm, e->io.addr, raw, size);
	}
	if (!hull_mem_read(vm, e->io.addr, raw, size))
		return false;
	e->io.data = load_le64(raw);
	return true;
}

static bool device_access(struct hull_vm *vm, enum hull_space space, struct hull_exit *e)
{
	if (e->io.write)
		return hull_bus_write(vm, space, e->io.addr, e->io.size, e->io.data);
	return hull_bus_read(vm, space, e->io.addr, e->io.size, &e->io.data);
}

HOT static void complete(struct hull_vcpu *vcpu, struct hull_exit *e)
{
	struct hull_vm *vm = vcpu->vm;
	bool done;

	if (e->kind == HULL_EXIT_PIO)
		done = device_access(vm, HULL_SPACE_PIO, e);
	else if (e->kind == HULL_EXIT_SYSREG)
		done = device_access(vm, HULL_SPACE_SYSREG, e);
	else
		done = device_access(vm, HULL_SPACE_MMIO, e) || ram_access(vm, e);
	e->io.failed = !done;
	vm->accel->vcpu_complete(vcpu, e);
}

/* Deal with one exit; true if the guest goes on without the caller. */
HOT static bool handle(struct hull_vcpu *vcpu, struct hull_exit *e)
{
	struct hull_vm *vm = vcpu->vm;

	switch (e->kind) {
	case HULL_EXIT_NONE: return true;
	case HULL_EXIT_MMIO:
	case HULL_EXIT_PIO:
	case HULL_EXIT_SYSREG:
	case HULL_EXIT_S2FAULT: complete(vcpu, e); return true;
	case HULL_EXIT_HYPERCALL:
	case HULL_EXIT_CPU_ON:
		if (!vm->hypercall || !vm->hypercall(vcpu, e, vm->hypercall_arg))
			return false;
		return e->kind == HULL_EXIT_NONE;
	case HULL_EXIT_KICKED: return !(hull_load_seqcst(&vcpu->requests) & HULL_REQ_STOP);
	default: return false;
	}
}

/* What the caller must see also changes the state of the vCPU. */
static void settle(struct hull_vcpu *vcpu, const struct hull_exit *e)
{
	switch (e->kind) {
	case HULL_EXIT_HALT: set_state(vcpu, HULL_VCPU_HALTED); return;
	case HULL_EXIT_CPU_OFF:
		hull_event_add(vcpu->vm, HULL_EVENT_VCPU_OFF, vcpu->id, 0, 0);
		set_state(vcpu, HULL_VCPU_OFF);
		if (vcpu->vm->intr.off)
			vcpu->vm->intr.off(vcpu->vm->intr.arg, vcpu);
		return;
	default: return;
	}
}

/* Take a system event that a device or the firmware asked for. */
static bool take_event(struct hull_vm *vm, struct hull_exit *exit)
{
	uint32_t event = hull_load_seqcst(&vm->system_event);

	if (!event || event > HULL_SYSTEM_CRASH + 1)
		return false;
	*exit = (struct hull_exit){ .kind = HULL_EXIT_SYSTEM };
	exit->system.event = (enum hull_system_event)(event - 1);
	exit->system.code = hull_load_seqcst(&vm->system_code);
	return hull_cas_seqcst(&vm->system_event, &event, 0);
}

/* One entry into the guest.  False: the caller looks at *ret and *exit. */
HOT static bool enter_guest(struct hull_vcpu *vcpu, struct hull_exit *exit, int *ret)
{
	struct hull_vm *vm = vcpu->vm;

	set_state(vcpu, HULL_VCPU_RUNNING);
	if (!hull_load_seqcst(&vm->open)) {
		set_state(vcpu, HULL_VCPU_READY);
		exit->kind = HULL_EXIT_KICKED;
		return false;
	}
	if (hull_load_seqcst(&vm->system_event) && take_event(vm, exit)) {
		set_state(vcpu, HULL_VCPU_READY);
		return false;
	}
	vcpu->halt_seq = hull_load_seqcst(&vcpu->irq_word);
	*ret = vm->accel->vcpu_run(vcpu, exit);
	set_state(vcpu, HULL_VCPU_READY);
	sync_progress(vm);
	if (*ret || exit->kind > HULL_EXIT_FAIL)
		return false;
	hull_store_relaxed(&vcpu->exits[exit->kind], vcpu->exits[exit->kind] + 1);
	if (handle(vcpu, exit))
		return true;
	settle(vcpu, exit);
	return false;
}

/* `vcpu` is claimed. */
HOT static int run_claimed(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	int ret = 0;

	if (hull_load_seqcst(&vcpu->vm->state) != HULL_VM_RUNNING ||
	    hull_vcpu_state(vcpu) == HULL_VCPU_OFF)
		return HULL_ESTATE;
	if (!vcpu->vm->stepped)
		vcpu->budget = INT64_MAX;
	*exit = (struct hull_exit){ .kind = HULL_EXIT_NONE };
	/* Whoever posted it changed `open` or `system_event` first: enter_guest() looks at them. */
	hull_and_seqcst(&vcpu->requests, ~(uint32_t)HULL_REQ_STOP);
	while (enter_guest(vcpu, exit, &ret))
		;
	return ret;
}

int hull_vcpu_debug(struct hull_vcpu *vcpu, const struct hull_debug *d)
{
	bool borrowed;
	int ret;

	if (!vcpu->vm->accel->debug)
		return HULL_ENOTSUP;
	if (d->n > HULL_BREAKPOINTS)
		return HULL_EINVAL;
	if (!borrow(vcpu, &borrowed))
		return HULL_EBUSY;
	ret = vcpu->vm->accel->debug(vcpu, d);
	if (!borrowed)
		hull_vcpu_unclaim(vcpu);
	return ret;
}

const char *hull_vm_failure(struct hull_vm *vm)
{
	const char *text = vm->accel->failure ? vm->accel->failure(vm) : NULL;

	return text && *text ? text : NULL;
}

int hull_vm_stats(struct hull_vm *vm, uint32_t id, hull_stat_fn fn, void *arg)
{
	if (id != UINT32_MAX && id >= vm->nvcpus)
		return HULL_EINVAL;
	if (!vm->accel->stats)
		return HULL_ENOTSUP;
	vm->accel->stats(vm, id, fn, arg);
	return 0;
}

int hull_vm_run_vcpu(struct hull_vm *vm, uint32_t id, struct hull_exit *exit)
{
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, id);
	struct hull_exit e;
	int ret;

	if (!vcpu || !exit)
		return HULL_EINVAL;
	hull_vm_enter(vm);
	ret = try_claim(vcpu) ? 0 : HULL_EBUSY;
	if (!ret) {
		ret = run_claimed(vcpu, &e);
		hull_vcpu_unclaim(vcpu);
	}
	/* Not while it is claimed: somebody may hold the lifecycle lock and wait for that. */
	if (!ret && e.kind == HULL_EXIT_FAIL)
		hull_vm_fault(vm, id, e.fail.code);
	hull_vm_leave(vm);
	if (!ret)
		*exit = e;
	return ret;
}

enum step { STEP_RUN, STEP_SLEEP, STEP_EVENT, STEP_LEAVE };

/* Could it execute if the VM lets it?  Only interrupts end a halt: a pause leaves no trace. */
static bool runnable(const struct hull_vcpu *vcpu)
{
	switch (hull_vcpu_state(vcpu)) {
	case HULL_VCPU_OFF: return false;
	case HULL_VCPU_HALTED: return hull_load_seqcst(&vcpu->irq_word) != vcpu->halt_seq;
	default: return true;
	}
}

static enum step next_step(struct hull_vcpu *vcpu)
{
	struct hull_vm *vm = vcpu->vm;

	switch (hull_vm_gate(vm)) {
	case HULL_GATE_LEAVE: return STEP_LEAVE;
	case HULL_GATE_WAIT: return STEP_SLEEP;
	case HULL_GATE_RUN: break;
	}
	if (hull_load_seqcst(&vm->system_event))
		return STEP_EVENT;
	return runnable(vcpu) ? STEP_RUN : STEP_SLEEP;
}

/* The single place where a vCPU's thread sleeps. */
static void sleep_vcpu(struct hull_vcpu *vcpu)
{
	const struct hull_hal *hal = vcpu->vm->hal;
	uint64_t start = hal->now_ns(hal);
	uint32_t seen;

	hull_store_seqcst(&vcpu->sleeping, 1);
	seen = hull_load_seqcst(&vcpu->wait_word);
	if (next_step(vcpu) == STEP_SLEEP)
		hal->wait(hal, &vcpu->wait_word, seen, HULL_NEVER);
	hull_store_seqcst(&vcpu->sleeping, 0);
	hull_store_relaxed(&vcpu->idle_ns, vcpu->idle_ns + (hal->now_ns(hal) - start));
}

/* What a loop does with an exit that run_claimed() did not deal with. */
static void decide(struct hull_vcpu *vcpu, int ret, const struct hull_exit *e)
{
	struct hull_vm *vm = vcpu->vm;

	if (ret && ret != HULL_ESTATE)
		hull_vm_fault(vm, vcpu->id, ret);
	else if (!ret && e->kind == HULL_EXIT_SYSTEM)
		hull_vm_do_event(vm, e->system.event, e->system.code);
	else if (!ret && e->kind == HULL_EXIT_FAIL)
		hull_vm_fault(vm, vcpu->id, e->fail.code);
	else if (!ret && e->kind > HULL_EXIT_FAIL)
		hull_vm_fault(vm, vcpu->id, (int64_t)e->kind);
	/*
	 * Calls that nobody has taken and debug stops go on: whoever wants to
	 * see them uses hull_vm_run_vcpu().
	 */
}

void hull_vm_vcpu_loop(struct hull_vm *vm, uint32_t id)
{
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, id);
	uint32_t nobody = 0;
	enum step step;

	if (!vcpu || !hull_cas_seqcst(&vcpu->in_loop, &nobody, 1))
		return;
	hull_vm_enter(vm);
	while ((step = next_step(vcpu)) != STEP_LEAVE) {
		struct hull_exit e;
		int ret;

		if (step == STEP_SLEEP) {
			sleep_vcpu(vcpu);
			continue;
		}
		if (step == STEP_EVENT) {
			hull_vm_serve_event(vm);
			continue;
		}
		hull_vcpu_claim_wait(vcpu);
		ret = run_claimed(vcpu, &e);
		hull_vcpu_unclaim(vcpu);
		decide(vcpu, ret, &e);
	}
	hull_store_seqcst(&vcpu->in_loop, 0);
	hull_vm_leave(vm);
}

void hull_vm_timer_loop(struct hull_vm *vm)
{
	if (vm->stepped)
		return;
	hull_vm_enter(vm);
	for (;;) {
		uint32_t seen = hull_load_seqcst(&vm->host_word);
		enum hull_gate gate = hull_vm_gate(vm);
		uint64_t next = HULL_NEVER;

		if (gate == HULL_GATE_LEAVE)
			break;
		if (gate == HULL_GATE_RUN)
			next = hull_timers_run(vm);
		if (gate != HULL_GATE_RUN || hull_timers_sleep(vm, next))
			vm->hal->wait(vm->hal, &vm->host_word, seen,
			              hull_clock_hal_deadline(vm, next));
		hull_store_seqcst(&vm->timers_asleep_until, 0);
	}
	hull_vm_leave(vm);
}

static uint64_t ns_per_insn(const struct hull_vm *vm)
{
	return vm->config.ns_per_insn ? vm->config.ns_per_insn : 10;
}

/* The instructions of a turn: up to the next timer, or what a pause has left. */
static int64_t turn_length(struct hull_vm *vm, uint64_t start)
{
	uint64_t next = vm->turn_left ? hull_timers_next(vm) : hull_timers_run(vm);
	uint64_t ns = ns_per_insn(vm);
	uint64_t wait = next - MIN(next, start);
	/* Not past the deadline: a pause there would let the guest see it one instruction early. */
	uint64_t room =
		next == HULL_NEVER ? UINT64_MAX : MAX(wait / ns + !!(wait % ns), UINT64_C(1));

	return (int64_t)MIN(room, (uint64_t)(vm->turn_left ? vm->turn_left : HULL_QUANTUM));
}

/*
 * One quantum, or less if a timer comes due within it.  A pause or the end of the caller's
 * `slice` comes at a place that the guest must not see: the turn then goes on where it was.
 */
static void take_turn(struct hull_vcpu *vcpu, int64_t *slice)
{
	struct hull_vm *vm = vcpu->vm;
	uint64_t start = hull_clock_now(vm);
	struct hull_exit e = { .kind = HULL_EXIT_KICKED };
	int64_t turn, part, done, left;
	bool cut, sliced;
	int ret;

	hull_vcpu_claim_wait(vcpu);
	turn = turn_length(vm, start);
	part = MIN(turn, *slice);
	hull_store_relaxed(&vm->quantum, part);
	hull_store_relaxed(&vcpu->budget, vm->quantum);
	hull_store_release(&vm->turn, vcpu);
	ret = run_claimed(vcpu, &e);
	left = MAX(hull_load_relaxed(&vcpu->budget), INT64_C(0));
	done = hull_load_relaxed(&vm->quantum) - left;
	cut = left && (ret == HULL_ESTATE || (!ret && e.kind == HULL_EXIT_KICKED));
	/* A quantum that was shortened, or is over for another reason, would have ended here, too.
	 */
	sliced = part < turn && hull_load_relaxed(&vm->quantum) == part &&
	         (cut || (!ret && e.kind == HULL_EXIT_BUDGET));
	vm->turn_left = (cut ? left : 0) + (sliced ? turn - part : 0);
	hull_store_release(&vm->turn, (struct hull_vcpu *)NULL);
	hull_vcpu_unclaim(vcpu);
	/* An exit without an instruction still takes time, so that no guest can stop the clock. */
	if (!cut)
		done = MAX(done, INT64_C(1));
	*slice -= done;
	hull_clock_step_to(vm, start + (uint64_t)done * ns_per_insn(vm));
	if (!cut && hull_timers_next(vm) <= hull_clock_now(vm))
		vm->turn_left = 0;
	vm->turn_ran = true;
	if (!vm->turn_left)
		vm->turn_of++;
	decide(vcpu, ret, &e);
}

/* Every vCPU waits: the next thing that happens is a timer. */
static void skip_idle(struct hull_vm *vm)
{
	uint64_t next = hull_timers_run(vm);

	if (hull_vm_gate(vm) != HULL_GATE_RUN || hull_load_seqcst(&vm->system_event))
		return;
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		if (runnable(vm->vcpus[i]))
			return;
	if (next == HULL_NEVER) {
		hull_vm_stop_idle(vm);
		return;
	}
	hull_clock_step_to(vm, next);
	hull_timers_run(vm);
}

static void end_round(struct hull_vm *vm)
{
	bool ran = vm->turn_ran;

	vm->turn_of = 0;
	vm->turn_ran = false;
	hull_timers_run(vm);
	if (!ran)
		skip_idle(vm);
}

/* The VM runs: one turn, or what comes between turns. */
static void next_turn(struct hull_vm *vm, int64_t *slice)
{
	if (hull_swap_acqrel(&vm->turn_restart, 0)) {
		vm->turn_of = 0;
		vm->turn_left = 0;
		vm->turn_ran = false;
	}
	if (hull_load_seqcst(&vm->system_event))
		hull_vm_serve_event(vm);
	else if (vm->turn_of >= vm->nvcpus)
		end_round(vm);
	else if (runnable(vm->vcpus[vm->turn_of]))
		take_turn(vm->vcpus[vm->turn_of], slice);
	else
		vm->turn_of++;
}

void hull_vm_deterministic_loop(struct hull_vm *vm)
{
	enum hull_gate gate;

	if (!vm->stepped)
		return;
	hull_vm_enter(vm);
	for (;;) {
		uint32_t seen = hull_load_seqcst(&vm->host_word);
		int64_t slice = INT64_MAX;

		gate = hull_vm_gate(vm);
		if (gate == HULL_GATE_LEAVE)
			break;
		if (gate == HULL_GATE_WAIT)
			vm->hal->wait(vm->hal, &vm->host_word, seen, HULL_NEVER);
		else
			next_turn(vm, &slice);
	}
	hull_vm_leave(vm);
}

bool hull_vm_deterministic_step(struct hull_vm *vm, uint64_t insns)
{
	int64_t slice = (int64_t)MIN(insns, (uint64_t)INT64_MAX);

	if (!vm->stepped)
		return false;
	hull_vm_enter(vm);
	while (slice > 0 && hull_vm_gate(vm) == HULL_GATE_RUN)
		next_turn(vm, &slice);
	hull_vm_leave(vm);
	return hull_vm_gate(vm) != HULL_GATE_LEAVE;
}
