/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Interrupts by line: the serial port says that it can send (16550, IER bit 1). */
#include "micro.h"

static volatile unsigned seen;
static volatile uint8_t why;

static void handle(void)
{
	seen++;
	why = uart_get(2) & 15; /* reading it takes the interrupt back */
}

static void spin(void)
{
	for (volatile unsigned i = 0; i < 2000; i++)
		;
}

void test(void)
{
	bool off;

	plan(5);
	handlers[LINE] = handle;
	arch_line_enable();
	uart_set(1, 2);
	spin();
	off = seen == 0;
	arch_irq_on();
	spin();
	arch_irq_off();
	uart_set(1, 0); /* before printing makes more of them */
	ok(off, "interrupts that are off stay away");
	ok(seen == 1 && why == 2, "one comes when they are on");
	uart_set(1, 2);
	arch_wait();
	uart_set(1, 0);
	ok(seen == 2, "one ends a wait");
	arch_irq_on();
	for (unsigned i = 0; i < 50; i++) {
		uart_set(1, 2);
		spin();
		uart_set(1, 0);
	}
	arch_irq_off();
	ok(seen == 52, "fifty in a row, none lost, none twice");
	arch_irq_on();
	spin();
	arch_irq_off();
	ok(seen == 52, "none that nobody asked for");
}
