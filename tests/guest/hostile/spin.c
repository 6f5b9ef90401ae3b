/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* cpus: 2.  Interrupts off, no exits, for ever. */
#include "micro.h"

static void other(void)
{
	arch_irq_off();
	for (;;)
		__asm__ volatile("");
}

void test(void)
{
	arch_start(1, other);
	print("# ready\n");
	other();
}
