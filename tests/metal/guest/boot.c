/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How long it took until here, by the machine's own counter, which the hypervisor of the tests
 * shows: with -icount shift=0, a nanosecond is an instruction. */
#include "micro.h"

static void print_number(uint64_t v)
{
	if (v > 9)
		print_number(v / 10);
	arch_put((char)('0' + v % 10));
}

void test(void)
{
	uint64_t now, hz;

	__asm__ volatile("mrs %0, cntpct_el0\n mrs %1, cntfrq_el0" : "=r"(now), "=r"(hz));
	print("count boot ");
	print_number(now * (1000000000 / hz));
	print("\n");
}
