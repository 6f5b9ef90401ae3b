/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * cpus: 4.  Interrupts between CPUs, timers, CPUs that switch themselves off and are started again,
 * suspend, resets: everything at once, until it is stopped.
 */
#include "micro.h"

enum { CPUS = 4 };

static volatile uint32_t kicks[CPUS];

static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static uint64_t psci(uint32_t fn, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = fn;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

static void fired(void)
{
	kicks[arch_cpu()]++;
}

static void restless(void);

static void step(uint32_t *seed)
{
	uint32_t v = next(seed);

	switch (v >> 4 & 15) {
	case 0: arch_start(v % CPUS, restless); break;
	case 1:
		if (arch_cpu())
			psci(0x84000002, 0, 0, 0); /* CPU_OFF */
		break;
	case 2:
		arch_timer(30);
		psci(0xc4000001, 0, 0, 0); /* CPU_SUSPEND */
		break;
	case 3:
		if (v >> 8 % 64 == 0)
			arch_reset();
		break;
	case 4:
	case 5:
		arch_timer(20 + v % 64);
		arch_wait();
		break;
	case 6: psci(0xc4000004, v % CPUS, 0, 0); break; /* AFFINITY_INFO */
	default: arch_ipi(v % CPUS); break;
	}
	arch_irq_on();
	for (volatile uint32_t i = 0; i < (v >> 16 & 255); i++)
		;
	arch_irq_off();
}

static void restless(void)
{
	uint32_t seed = 0x9e3779b9u * (arch_cpu() + 1) ^ kicks[arch_cpu()];

	for (;;)
		step(&seed);
}

void test(void)
{
	handlers[IPI] = handlers[TIMER] = fired;
	restless();
}
