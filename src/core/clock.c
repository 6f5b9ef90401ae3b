/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Guest time, timers and random numbers.
 *
 * The running clock is one atomic word, so that reading it takes no lock.
 * Bit 63 clear: running, guest time = HAL time - the word (as a signed 63-bit
 * number).  Bit 63 set: standing at the rest of the word.  All ones: being
 * stopped, look again.
 */
#include "core/vm_impl.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"

#define STANDING BIT(63)
#define STOPPING UINT64_MAX

enum { MAX_FIRED = 256 }; /* timers of one hull_timers_run(): a guest can re-arm for ever */

/* The wall clock of stepped guests starts at 2024-01-01 00:00:00 UTC. */
static const int64_t stepped_wall_ns = INT64_C(1704067200) * 1000000000;

static uint64_t ns_per_insn(const struct hull_vm *vm)
{
	return vm->config.ns_per_insn ? vm->config.ns_per_insn : 10;
}

/* Instructions that the vCPU whose turn it is has executed in its quantum. */
static uint64_t executed(struct hull_vm *vm)
{
	const struct hull_vcpu *turn = hull_load_acquire(&vm->turn);
	int64_t left, quantum;

	if (!turn)
		return 0;
	left = hull_load_relaxed(&turn->budget);
	quantum = hull_load_relaxed(&vm->quantum);
	return left >= quantum ? 0 : (uint64_t)(quantum - MAX(left, INT64_C(0)));
}

static bool read_clock(struct hull_vm *vm, uint64_t *ret)
{
	uint64_t word = hull_load_seqcst(&vm->clock_word);
	uint64_t now;

	if (word == STOPPING)
		return false;
	if (word & STANDING) {
		*ret = word & ~STANDING;
		return true;
	}
	now = vm->hal->now_ns(vm->hal);
	/* Unchanged: our `now` is older than any stop (pairs with hull_clock_stop()). */
	if (hull_load_seqcst(&vm->clock_word) != word)
		return false;
	*ret = now - (uint64_t)sign_extend(word, 63);
	return true;
}

uint64_t hull_clock_now(struct hull_vm *vm)
{
	uint64_t now;

	if (vm->stepped)
		return hull_load_relaxed(&vm->stepped_ns) + executed(vm) * ns_per_insn(vm);
	while (!read_clock(vm, &now))
		;
	return now;
}

int64_t hull_clock_wall_ns(struct hull_vm *vm)
{
	if (vm->stepped)
		return (int64_t)((uint64_t)stepped_wall_ns + hull_clock_now(vm));
	return vm->hal->wallclock_ns(vm->hal);
}

void hull_clock_step_to(struct hull_vm *vm, uint64_t ns)
{
	uint64_t old = hull_load_seqcst(&vm->stepped_ns);

	if (!vm->stepped)
		return;
	while (ns > old && !hull_cas_seqcst(&vm->stepped_ns, &old, ns))
		;
}

bool hull_clock_stepped(const struct hull_vm *vm)
{
	return vm->stepped;
}

/* Stop and start are called under the lifecycle lock. */
void hull_clock_stop(struct hull_vm *vm)
{
	uint64_t word = hull_load_seqcst(&vm->clock_word);
	uint64_t now;

	if (vm->stepped || word & STANDING)
		return;
	hull_store_seqcst(&vm->clock_word, STOPPING);
	now = vm->hal->now_ns(vm->hal) - (uint64_t)sign_extend(word, 63);
	hull_store_seqcst(&vm->clock_word, (now & ~STANDING) | STANDING);
}

void hull_clock_start(struct hull_vm *vm)
{
	uint64_t word = hull_load_seqcst(&vm->clock_word);
	uint64_t offset;

	if (vm->stepped || !(word & STANDING))
		return;
	offset = vm->hal->now_ns(vm->hal) - (word & ~STANDING);
	hull_store_seqcst(&vm->clock_word, offset & ~STANDING);
}

uint64_t hull_clock_hal_deadline(struct hull_vm *vm, uint64_t guest_ns)
{
	uint64_t word = hull_load_seqcst(&vm->clock_word);

	if (guest_ns == HULL_NEVER || vm->stepped || word & STANDING)
		return HULL_NEVER;
	return guest_ns + (uint64_t)sign_extend(word, 63);
}

void hull_timer_init(struct hull_timer *t, void (*fire)(struct hull_timer *t))
{
	*t = (struct hull_timer){ .deadline = HULL_NEVER, .fire = fire };
}

static void unlink_timer(struct hull_vm *vm, struct hull_timer *t)
{
	struct hull_timer **at = &vm->timers;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	t->next = NULL;
}

/* A deadline within the running quantum ends the quantum there. */
static void shorten_turn(struct hull_vm *vm, uint64_t deadline)
{
	uint64_t start = hull_load_relaxed(&vm->stepped_ns);
	uint64_t ns = ns_per_insn(vm);
	struct hull_vcpu *turn = hull_load_acquire(&vm->turn);
	int64_t quantum = hull_load_relaxed(&vm->quantum), less;
	uint64_t insns;

	if (!turn)
		return;
	insns = deadline <= start ? 0 : (deadline - start) / ns + !!((deadline - start) % ns);
	insns = MAX(insns, executed(vm));
	if (insns >= (uint64_t)quantum)
		return;
	less = quantum - (int64_t)insns;
	hull_store_relaxed(&vm->quantum, quantum - less);
	hull_store_relaxed(&turn->budget, hull_load_relaxed(&turn->budget) - less);
}

void hull_timer_set(struct hull_vm *vm, struct hull_timer *t, uint64_t deadline_ns)
{
	struct hull_timer **at = &vm->timers;
	bool first = false;

	if (deadline_ns > INT64_MAX)
		deadline_ns = HULL_NEVER;
	hull_lock_acquire(&vm->timer_lock);
	t->due = false;
	if (t->deadline != HULL_NEVER)
		unlink_timer(vm, t);
	t->deadline = deadline_ns;
	if (deadline_ns != HULL_NEVER) {
		/* After those of the same deadline: they fire in the order of arming. */
		while (*at && (*at)->deadline <= deadline_ns)
			at = &(*at)->next;
		t->next = *at;
		*at = t;
		first = vm->timers == t;
	}
	hull_lock_release(&vm->timer_lock);
	if (!first)
		return;
	if (vm->stepped)
		shorten_turn(vm, deadline_ns);
	else if (deadline_ns < hull_load_seqcst(&vm->timers_asleep_until))
		hull_vm_wake_loops(vm); /* pairs with hull_timers_sleep() */
	if (vm->hal->deadline)
		vm->hal->deadline(vm->hal, &vm->host_word,
		                  hull_clock_hal_deadline(vm, deadline_ns));
}

/*
 * Announce a sleep until `next`, then look for timers that were armed before
 * anybody could know of it.  False: do not sleep.
 */
bool hull_timers_sleep(struct hull_vm *vm, uint64_t next)
{
	bool same;

	hull_store_seqcst(&vm->timers_asleep_until, next);
	hull_lock_acquire(&vm->timer_lock);
	same = !vm->timers || vm->timers->deadline >= next;
	hull_lock_release(&vm->timer_lock);
	return same;
}

bool hull_timer_take(struct hull_vm *vm, struct hull_timer *t)
{
	bool due;

	hull_lock_acquire(&vm->timer_lock);
	due = t->due;
	t->due = false;
	hull_lock_release(&vm->timer_lock);
	return due;
}

uint64_t hull_timers_run(struct hull_vm *vm)
{
	for (int i = 0;; i++) {
		uint64_t now = hull_clock_now(vm);
		struct hull_timer *t;
		uint64_t next;

		hull_lock_acquire(&vm->timer_lock);
		t = vm->timers;
		next = t ? t->deadline : HULL_NEVER;
		if (next > now || next == HULL_NEVER || i == MAX_FIRED) {
			hull_lock_release(&vm->timer_lock);
			return next;
		}
		vm->timers = t->next;
		t->next = NULL;
		t->deadline = HULL_NEVER;
		t->due = true;
		hull_lock_release(&vm->timer_lock);
		t->fire(t);
	}
}

uint64_t hull_timers_next(struct hull_vm *vm)
{
	uint64_t next;

	hull_lock_acquire(&vm->timer_lock);
	next = vm->timers ? vm->timers->deadline : HULL_NEVER;
	hull_lock_release(&vm->timer_lock);
	return next;
}

static void seeded_random(struct hull_vm *vm, void *buf, size_t len)
{
	hull_lock_acquire(&vm->random_lock);
	hull_prng_fill(&vm->random, buf, len);
	hull_lock_release(&vm->random_lock);
}

void hull_random(struct hull_vm *vm, void *buf, size_t len)
{
	bool seeded = vm->config.deterministic || vm->config.random_seed;

	/* A source that fails later is replaced by the generator that it seeded. */
	if (seeded || !vm->hal->random(vm->hal, buf, len))
		seeded_random(vm, buf, len);
}

int hull_clock_init(struct hull_vm *vm, struct hull_err *err)
{
	uint64_t seed = vm->config.random_seed;

	vm->stepped = vm->config.deterministic;
	vm->clock_word = STANDING;
	hull_lock_init(&vm->timer_lock, vm->hal, HULL_RANK_TIMER);
	hull_lock_init(&vm->random_lock, vm->hal, HULL_RANK_LEAF);
	if (!seed && vm->config.deterministic)
		seed = 1;
	if (!seed && !vm->hal->random(vm->hal, &seed, sizeof(seed)))
		return hull_fail(err, HULL_EIO, 0, "vm '%s': the host has no random numbers",
		                 vm->config.name);
	hull_prng_seed(&vm->random, seed);
	return 0;
}
