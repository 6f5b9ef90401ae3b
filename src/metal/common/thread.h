/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Threads of the hypervisor: what a vCPU or a VM's timers run on.  Each belongs to one CPU and
 * gives it up by itself: when it waits, ends or yields.
 *
 * Threading: any CPU, after metal_thread_adopt() there.
 */
#ifndef HULL_METAL_COMMON_THREAD_H
#define HULL_METAL_COMMON_THREAD_H

#include <hull/types.h>

enum { METAL_MAX_CPUS = 8, METAL_STACK = 16384 };

enum metal_thread_state { METAL_READY, METAL_WAITING, METAL_ENDED };

struct metal_thread {
	uint64_t sp; /* while it does not run */
	uint32_t id; /* not 0 */
	uint32_t cpu;
	enum metal_thread_state state;
	const uint32_t *word; /* what it waits for */
	uint64_t deadline;
	uint64_t alarm; /* ready then, too, and metal_thread_alarmed(alarm_arg); HULL_NEVER */
	void *alarm_arg;
	struct metal_thread *next; /* of all threads */
	void *stack;
};

/* A CPU of the machine.  The first three words are what head.S needs to start it. */
struct metal_cpu {
	uint64_t stack_top, start[2];
	uint32_t index;
	uint64_t phys_id; /* as the architecture names it */
	struct metal_thread *current;
	struct metal_thread boot; /* what the CPU ran on when it came */
	void *resident;           /* the vCPU whose registers are in the CPU */
	uint32_t dirty;           /* atomic: threads came, waited or woke since metal_plan() */
};

extern struct metal_cpu metal_cpus[METAL_MAX_CPUS];
extern uint32_t metal_ncpus;

/* The architecture's part. */
struct metal_cpu *metal_this_cpu(void);
uint64_t metal_now(void);           /* ns since power-on, not 0 */
void metal_idle(uint64_t deadline); /* until an interrupt or then; serves interrupts */
void metal_poke(uint32_t cpu);      /* make it look */
void metal_switch(uint64_t *save_sp, uint64_t sp);
/* The sp of a new thread, which calls fn(arg) when metal_switch() first comes to it. */
uint64_t metal_thread_frame(void *stack_top, void (*fn)(void *arg), void *arg);

/* After metal_idle(), where a thread waited: what came may be for the resident vCPU. */
void metal_idled(void);
/* The alarm of the thread that runs went off. */
void metal_thread_alarmed(void *arg);

/* A thread's first step, in place of what follows metal_switch(); then fn, metal_thread_end(). */
void metal_thread_arrived(void);

void metal_evict(void);        /* no vCPU is resident on this CPU any more */
void metal_alarm(uint64_t at); /* leave a guest then; HULL_NEVER */

/* The code that runs becomes a thread of this CPU. */
void metal_thread_adopt(struct metal_cpu *cpu);

/* A new thread on `cpu`; its id, 0: no memory. */
uint32_t metal_thread_new(uint32_t cpu, void (*fn)(void *arg), void *arg);

/* Wait until a thread has ended and its stack is free again. */
void metal_thread_join(uint32_t id);

/* HAL: sleep while *word == expected; wake up to `count`. */
void metal_wait(const uint32_t *word, uint32_t expected, uint64_t deadline);
void metal_wake(const uint32_t *word, uint32_t count);

/* Wait until all threads that were made have ended and what they had is free again. */
void metal_threads_settle(void);

/* Wake a thread of this CPU at a time, if it waits then, with a word for it; HULL_NEVER. */
void metal_thread_alarm(struct metal_thread *t, void *arg, uint64_t at);

/* Wait for an interrupt, or for what other threads of this CPU wait for.  False: one is ready. */
bool metal_wait_here(void);

/* Let others run on this CPU. */
void metal_yield(void);
/* Before a guest runs, if the CPU is dirty: leave it when another thread wants to run. */
void metal_plan(struct metal_cpu *cpu);
/* The CPU of a thread; UINT32_MAX: there is none with this id. */
uint32_t metal_thread_cpu(uint32_t id);

_Noreturn void metal_thread_end(void);

#endif
