/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A reset starts over: memory stays, the image is new, devices forget. */
#include "micro.h"

static volatile uint32_t changed = 1;

void test(void)
{
	volatile uint32_t *lives = (volatile uint32_t *)arch_spare();

	if (*lives == 0)
		plan(3);
	if (++*lives < 3) {
		changed = 2;
		uart_set(7, 0x5a);
		arch_reset();
	}
	ok(*lives == 3, "memory stays");
	ok(changed == 1, "the image is loaded again");
	ok(uart_get(7) != 0x5a, "devices forget");
}
