/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* cpus: 2.  Exits as fast as they go, of all kinds: registers, places where nothing is, interrupts
 * to oneself and to others. */
#include "micro.h"

static void flood(void)
{
	uintptr_t nothing = arch_nothing();

	for (unsigned i = 0;; i++) {
		uart_set(7, (uint8_t)i);
		(void)uart_get(7);
		if (!arch_nothing_faults) {
			*(volatile uint32_t *)(nothing + (i & 0xffff) * 4) = i;
			(void)*(volatile uint64_t *)(nothing + (i & 0xffff) * 8);
		}
		arch_ipi(i & 1);
		uart_set(1, i & 2);
		arch_timer(i & 3);
	}
}

static void other(void)
{
	arch_irq_on();
	flood();
}

void test(void)
{
	arch_line_enable();
	arch_start(1, other);
	print("# ready\n");
	other();
}
