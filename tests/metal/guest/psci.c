/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* cpus: 4.  PSCI 1.1 (Arm DEN 0022F) as a guest sees it, and two CPUs that start a third at once.
 */
#include "micro.h"

enum { CPU_OFF = 0x84000002 };
#define CPU_ON        0xc4000003
#define CPU_SUSPEND   0xc4000001
#define AFFINITY_INFO 0xc4000004

enum { RACES = 200 };

static volatile uint32_t round_no, won, ready[2], came;

static int64_t call(uint32_t fn, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = fn;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (int64_t)x0;
}

/* Counts at x0, without a stack, and is off again. */
void visitor(void);
__asm__("visitor:\n	ldr w1, [x0]\n	add w1, w1, #1\n	str w1, [x0]\n	dsb sy\n"
        "	movz x0, #0x8400, lsl #16\n	movk x0, #2\n	hvc #0\n	b .\n");

static void race(unsigned me)
{
	for (uint32_t n = 1; n <= RACES; n++) {
		__atomic_store_n(&ready[me], n, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&ready[!me], __ATOMIC_SEQ_CST) < n)
			;
		if (!call(CPU_ON, 3, (uintptr_t)visitor, (uintptr_t)&came))
			__atomic_fetch_add(&won, 1, __ATOMIC_SEQ_CST);
		/* Both have asked, and the third is off again, before the next round. */
		__atomic_fetch_add(&round_no, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&round_no, __ATOMIC_SEQ_CST) < 2 * n)
			;
		while (call(AFFINITY_INFO, 3, 0, 0) != 1)
			;
	}
}

static void second(void)
{
	race(1);
	call(CPU_OFF, 0, 0, 0);
}

static void off(void)
{
	call(CPU_OFF, 0, 0, 0);
}

static void nothing(void)
{
}

void test(void)
{
	plan(16);
	ok(call(0x84000000, 0, 0, 0) == 0x10001, "version 1.1");
	ok(call(0x80000000, 0, 0, 0) == 0x10001, "SMCCC 1.1");
	ok(call(0x8400000a, CPU_ON, 0, 0) == 0 && call(0x8400000a, 0x84000005, 0, 0) == -1,
	   "features");
	ok(call(0x84000006, 0, 0, 0) == 2, "no trusted OS");
	ok(call(0x84001234, 0, 0, 0) == -1 && call(0xc400ffff, 0, 0, 0) == -1, "unknown functions");
	ok(call(AFFINITY_INFO, 0, 0, 0) == 0 && call(AFFINITY_INFO, 1, 0, 0) == 1,
	   "one is on, others off");
	ok(call(AFFINITY_INFO, 99, 0, 0) == -2 && call(AFFINITY_INFO, 0, 5, 0) == -2,
	   "no such CPU or level");
	ok(call(CPU_ON, 0, (uintptr_t)off, 0) == -4, "on already");
	ok(call(CPU_ON, 77, (uintptr_t)off, 0) == -2, "no such CPU");
	ok(call(CPU_ON, 1, 0x1000, 0) == -9 && call(CPU_ON, 1, (uintptr_t)off + 1, 0) == -9,
	   "no such address");
	ok(arch_start(1, off), "started");
	while (call(AFFINITY_INFO, 1, 0, 0) != 1)
		;
	ok(true, "and off again");
	handlers[TIMER] = nothing;
	arch_timer(300);
	ok(call(CPU_SUSPEND, 0, 0, 0) == 0, "a timer ends a suspension");
	arch_irq_on();
	arch_irq_off();
	ok(arch_start(2, second), "two CPUs");
	race(0);
	ok(won == RACES || won > RACES, "each round starts the third");
	ok(came == won, "as often as somebody was told so");
}
