/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* cpus: 4.  Starting the others, interrupts between them, counting together. */
#include "micro.h"

enum { CPUS = 4, ROUNDS = 100, ADDS = 1000 };

static volatile uint32_t running, go, total, answered[CPUS];

static void answer(void)
{
	__atomic_fetch_add(&answered[arch_cpu()], 1, __ATOMIC_SEQ_CST);
}

static void other(void)
{
	__atomic_fetch_add(&running, 1, __ATOMIC_SEQ_CST);
	while (!go)
		arch_wait();
	for (unsigned i = 0; i < ADDS; i++)
		__atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&running, 1, __ATOMIC_SEQ_CST);
	for (;;)
		arch_wait();
}

void test(void)
{
	bool started = true, right = true;

	plan(5);
	handlers[IPI] = answer;
	for (unsigned i = 1; i < CPUS; i++)
		started = started && arch_start(i, other);
	while (started && running < CPUS - 1)
		;
	ok(started, "three CPUs start");
	for (unsigned n = 1; n <= ROUNDS; n++)
		for (unsigned i = 1; i < CPUS; i++) {
			arch_ipi(i);
			while (answered[i] < n)
				;
		}
	for (unsigned i = 1; i < CPUS; i++)
		right = right && answered[i] == ROUNDS;
	ok(right && !answered[0], "each answers a hundred interrupts");
	arch_ipi(0);
	arch_wait();
	ok(answered[0] == 1, "one to itself");
	go = 1;
	for (unsigned i = 1; i < CPUS; i++)
		arch_ipi(i);
	for (unsigned i = 0; i < ADDS; i++)
		__atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST);
	while (running)
		;
	ok(total == CPUS * ADDS, "they count together");
	arch_ipi(7); /* there is none */
	ok(true, "an interrupt for a CPU that is not there");
}
