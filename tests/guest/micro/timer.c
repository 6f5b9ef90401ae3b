/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The CPU's own timer. */
#include "micro.h"

static volatile unsigned fired;

static void handle(void)
{
	fired++;
}

static void again(void)
{
	fired++;
	if (fired < 20)
		arch_timer(100);
}

void test(void)
{
	plan(5);
	handlers[TIMER] = handle;
	arch_timer(1000);
	ok(fired == 0, "it does not fire at once");
	arch_wait();
	ok(fired == 1, "it ends a wait");
	arch_irq_on();
	for (volatile unsigned i = 0; i < 20000; i++)
		;
	arch_irq_off();
	ok(fired == 1, "it fires once");
	arch_timer(1000);
	arch_timer(0);
	arch_irq_on();
	for (volatile unsigned i = 0; i < 20000; i++)
		;
	arch_irq_off();
	ok(fired == 1, "it can be switched off");
	fired = 0;
	handlers[TIMER] = again;
	arch_timer(100);
	while (fired < 20)
		arch_wait();
	ok(fired == 20, "twenty times, armed by its handler");
}
