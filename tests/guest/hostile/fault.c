/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A fault whose handler faults, and so on. */
#include "micro.h"

void test(void)
{
	print("# ready\n");
#if defined(__x86_64__)
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0" : : "m"(none));
	*(volatile uint32_t *)arch_no_page() = 0;
#elif defined(__riscv)
	__asm__ volatile("csrw stvec, zero\n .word 0");
#endif
	for (;;)
		;
}
