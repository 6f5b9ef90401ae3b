/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/thread.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "metal/common/frames.h"
#include "metal/common/spin.h"

struct metal_cpu metal_cpus[METAL_MAX_CPUS];
uint32_t metal_ncpus = 1;

/* All threads, and the state of each: under `spin`. */
static struct metal_thread *all;
static uint32_t last_id;
static uint32_t ended;  /* atomic: how many threads wait for that */
static uint32_t reaped; /* atomic: how many threads are gone; who joins waits for it */
static struct metal_spin spin;

/* How long a thread runs while others are ready. */
static const uint64_t slice_ns = 5000000;

/* Something about the threads of `cpu` changed. */
static void touch(uint32_t cpu)
{
	hull_store_relaxed(&metal_cpus[cpu].dirty, 1);
}

static uint32_t add(struct metal_thread *t, uint32_t cpu)
{
	uint32_t id;

	metal_spin_lock(&spin);
	touch(cpu);
	t->alarm = HULL_NEVER;
	t->cpu = cpu;
	t->id = id = ++last_id;
	t->next = all;
	all = t;
	metal_spin_unlock(&spin);
	return id;
}

void metal_thread_adopt(struct metal_cpu *cpu)
{
	cpu->current = &cpu->boot;
	(void)add(&cpu->boot, cpu->index);
}

uint32_t metal_thread_new(uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	struct metal_thread *t = metal_frames_alloc(METAL_STACK, METAL_STACK);
	uint32_t id;

	if (!t)
		return 0;
	/* The record lies at the low end of the stack. */
	t->stack = t;
	t->sp = metal_thread_frame((char *)t + METAL_STACK, fn, arg);
	id = add(t, cpu);
	metal_poke(cpu);
	return id;
}

/* Give back what has ended on this CPU: its stack is not in use any more.  How many. */
static uint32_t reap(const struct metal_cpu *cpu)
{
	struct metal_thread **at = &all;
	uint32_t n = 0;

	while (*at) {
		struct metal_thread *t = *at;

		if (t->state != METAL_ENDED || t->cpu != cpu->index || t == cpu->current) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		metal_frames_free(t->stack, METAL_STACK);
		n++;
	}
	return n;
}

/* After a switch, on another thread's behalf perhaps: what has ended can go now. */
void metal_thread_arrived(void)
{
	uint32_t n;

	if (!hull_load_relaxed(&ended))
		return;
	metal_spin_lock(&spin);
	n = reap(metal_this_cpu());
	hull_store_relaxed(&ended, ended - n);
	metal_spin_unlock(&spin);
	if (!n)
		return;
	hull_add_seqcst(&reaped, n);
	metal_wake(&reaped, UINT32_MAX);
}

/* When a thread that waits wants to run at the latest. */
static uint64_t due(const struct metal_thread *t)
{
	return MIN(t->deadline, t->alarm);
}

static bool is_ready(struct metal_thread *t, uint64_t now)
{
	if (t->state == METAL_WAITING && due(t) <= now)
		t->state = METAL_READY;
	return t->state == METAL_READY;
}

/*
 * The next thread of the CPU behind the current one, which comes last; NULL: nobody is ready.
 * *ret_deadline: the earliest of those that were passed by.
 */
static struct metal_thread *pick(const struct metal_cpu *cpu, uint64_t *ret_deadline)
{
	struct metal_thread *t = cpu->current, *start = t;
	uint64_t now = metal_now(), deadline = HULL_NEVER;

	do {
		t = t->next ? t->next : all;
		if (t->cpu != cpu->index)
			continue;
		if (is_ready(t, now))
			break;
		if (t->state == METAL_WAITING)
			deadline = MIN(deadline, due(t));
	} while (t != start);
	*ret_deadline = deadline;
	return t->cpu == cpu->index && t->state == METAL_READY ? t : NULL;
}

/* Run somebody else, or nobody until somebody is ready.  `spin` is held, and given up. */
static void reschedule(struct metal_cpu *cpu)
{
	struct metal_thread *from = cpu->current, *to;
	uint64_t deadline;
	bool idled = false;

	while (!(to = pick(cpu, &deadline))) {
		/* Nobody idles on a stack that is to be given back. */
		if (from->state == METAL_ENDED) {
			to = &cpu->boot;
			break;
		}
		metal_spin_unlock(&spin);
		metal_idle(deadline);
		metal_idled();
		idled = true;
		metal_spin_lock(&spin);
	}
	cpu->current = to;
	if (to != from || idled)
		touch(cpu->index);
	metal_spin_unlock(&spin);
	if (to == from)
		return;
	metal_switch(&from->sp, to->sp);
	metal_thread_arrived();
}

void metal_wait(const uint32_t *word, uint32_t expected, uint64_t deadline)
{
	struct metal_cpu *cpu = metal_this_cpu();

	metal_spin_lock(&spin);
	/* Whoever changes it does so before metal_wake(), which takes the lock. */
	if (hull_load_seqcst(word) != expected) {
		metal_spin_unlock(&spin);
		return;
	}
	cpu->current->word = word;
	cpu->current->deadline = deadline;
	cpu->current->state = METAL_WAITING;
	reschedule(cpu);
	if (cpu->current->alarm != HULL_NEVER && cpu->current->alarm <= metal_now()) {
		cpu->current->alarm = HULL_NEVER;
		metal_thread_alarmed(cpu->current->alarm_arg);
	}
}

void metal_thread_alarm(struct metal_thread *t, void *arg, uint64_t at)
{
	if (!t || (at == HULL_NEVER && t->alarm == HULL_NEVER))
		return;
	t->alarm = at;
	t->alarm_arg = arg;
	touch(t->cpu);
}

bool metal_wait_here(void)
{
	struct metal_cpu *cpu = metal_this_cpu();
	uint64_t deadline;
	struct metal_thread *t;

	metal_spin_lock(&spin);
	t = pick(cpu, &deadline);
	metal_spin_unlock(&spin);
	if (t != cpu->current)
		return false;
	metal_idle(deadline);
	/* metal_alarm() is now another than metal_plan() wanted. */
	touch(cpu->index);
	return true;
}

void metal_wake(const uint32_t *word, uint32_t count)
{
	uint32_t pokes = 0;

	metal_spin_lock(&spin);
	for (struct metal_thread *t = all; t && count; t = t->next) {
		if (t->state != METAL_WAITING || t->word != word)
			continue;
		t->state = METAL_READY;
		touch(t->cpu);
		pokes |= UINT32_C(1) << t->cpu;
		count--;
	}
	metal_spin_unlock(&spin);
	for (uint32_t i = 0; i < METAL_MAX_CPUS; i++)
		if (pokes >> i & 1 && i != metal_this_cpu()->index)
			metal_poke(i);
}

void metal_yield(void)
{
	metal_spin_lock(&spin);
	reschedule(metal_this_cpu());
}

void metal_plan(struct metal_cpu *cpu)
{
	struct metal_thread *t;
	uint64_t deadline = HULL_NEVER;

	metal_spin_lock(&spin);
	hull_store_relaxed(&cpu->dirty, 0);
	t = pick(cpu, &deadline);
	metal_spin_unlock(&spin);
	/* The current one is found last. */
	metal_alarm(t && t != cpu->current ? metal_now() + slice_ns : deadline);
}

/* Threads that were made, not adopted. */
static bool any_made(void)
{
	bool any = false;

	metal_spin_lock(&spin);
	for (struct metal_thread *t = all; t; t = t->next)
		any |= t->stack != NULL;
	metal_spin_unlock(&spin);
	return any;
}

void metal_threads_settle(void)
{
	uint32_t seen;

	while (seen = hull_load_seqcst(&reaped), any_made())
		metal_wait(&reaped, seen, HULL_NEVER);
}

void metal_thread_join(uint32_t id)
{
	uint32_t seen;

	while (seen = hull_load_seqcst(&reaped), metal_thread_cpu(id) != UINT32_MAX)
		metal_wait(&reaped, seen, HULL_NEVER);
}

uint32_t metal_thread_cpu(uint32_t id)
{
	uint32_t cpu = UINT32_MAX;

	metal_spin_lock(&spin);
	for (struct metal_thread *t = all; t; t = t->next)
		if (t->id == id)
			cpu = t->cpu;
	metal_spin_unlock(&spin);
	return cpu;
}

void metal_thread_end(void)
{
	struct metal_cpu *cpu = metal_this_cpu();

	metal_spin_lock(&spin);
	cpu->current->state = METAL_ENDED;
	hull_store_relaxed(&ended, ended + 1);
	reschedule(cpu);
	__builtin_unreachable();
}
