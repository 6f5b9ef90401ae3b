/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs until it is stopped: a timer that is always on, and memory that changes. */
#include "micro.h"

static void again(void)
{
	arch_timer(20);
}

void test(void)
{
	static volatile uint64_t at[512];

	handlers[TIMER] = again;
	arch_timer(20);
	for (uint64_t n = 0;; n++) {
		at[n % 512] += n;
		if (n % 4096 == 0)
			arch_wait();
	}
}
