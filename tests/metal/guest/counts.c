/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * cpus: 2, on one CPU.  What the hypervisor spends on an exit, in instructions at EL2: the first
 * counter of the PMU, which the hypervisor of the tests has set up to count nothing else.  "count
 * NAME N" for each.
 */
#include "micro.h"

enum { ROUNDS = 1000 };

static volatile uint32_t fired;

#define sys_read(name)                                                            \
	({                                                                        \
		uint64_t v_;                                                      \
		__asm__ volatile("isb\n mrs %0, " #name : "=r"(v_) : : "memory"); \
		v_;                                                               \
	})

static void print_number(uint64_t v)
{
	if (v > 9)
		print_number(v / 10);
	arch_put((char)('0' + v % 10));
}

static void show(const char *name, uint64_t total)
{
	print("count ");
	print(name);
	print(" ");
	print_number((total + ROUNDS / 2) / ROUNDS);
	print("\n");
}

static void hypercall(void)
{
	register uint64_t x0 __asm__("x0") = 0x80000000; /* SMCCC_VERSION */

	__asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

static void read_device(void)
{
	(void)uart_get(7);
}

static void count(void)
{
	fired++;
}

static void self(void)
{
	uint32_t before = fired;

	arch_ipi(0);
	arch_irq_on();
	while (fired == before)
		;
	arch_irq_off();
}

/* It fires while the guest runs. */
static void timer(void)
{
	uint32_t before = fired;

	arch_timer(5);
	arch_irq_on();
	while (fired == before)
		;
	arch_irq_off();
}

/* The same while it waits. */
static void wake(void)
{
	arch_timer(5);
	arch_wait();
}

static void measure(const char *name, void (*fn)(void))
{
	uint64_t start;

	for (unsigned i = 0; i < 10; i++)
		fn();
	start = sys_read(pmevcntr0_el0);
	for (unsigned i = 0; i < ROUNDS; i++)
		fn();
	show(name, (uint32_t)(sys_read(pmevcntr0_el0) - start));
}

/* Two vCPUs that want to run take turns. */
static volatile uint32_t ran, turns;

static void spin(void)
{
	uint32_t me = arch_cpu();

	while (turns < 40)
		if (ran != me) {
			ran = me;
			turns++;
		}
}

static void other(void)
{
	spin();
	for (;;)
		arch_wait();
}

static void take_turns(void)
{
	uint64_t start;

	arch_start(1, other);
	while (turns < 2)
		spin();
	start = sys_read(pmevcntr0_el0);
	turns = 0;
	spin();
	show("switch", (uint32_t)(sys_read(pmevcntr0_el0) - start) * (uint64_t)ROUNDS / 40);
}

static void nothing(void)
{
}

void test(void)
{
	handlers[TIMER] = handlers[IPI] = count;
	measure("none", nothing);
	measure("hypercall", hypercall);
	measure("device", read_device);
	measure("sgi", self);
	measure("timer", timer);
	measure("wake", wake);
	take_turns();
}
