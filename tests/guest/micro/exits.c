/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Accesses that leave the guest: a device register, what nobody answers. */
#include "micro.h"

static void read_all(uintptr_t at)
{
	(void)*(volatile uint8_t *)at;
	(void)*(volatile uint16_t *)at;
	(void)*(volatile uint32_t *)at;
	(void)*(volatile uint64_t *)at;
}

static void write_all(uintptr_t at)
{
	*(volatile uint8_t *)at = 1;
	*(volatile uint16_t *)at = 2;
	*(volatile uint32_t *)at = 3;
	*(volatile uint64_t *)at = 4;
}

void test(void)
{
	uintptr_t at = 0, nothing = arch_nothing();
	bool same = true;

	plan(4);
	for (unsigned i = 0; i < 256; i++) {
		uart_set(7, (uint8_t)i);
		same = same && uart_get(7) == i;
	}
	ok(same, "a register keeps all 256 values");
	if (arch_nothing_faults) {
		ok(arch_try(read_all, nothing, &at) == READ_FAULT && at == nothing,
		   "reading where nothing is");
		ok(arch_try(write_all, nothing, &at) == WRITE_FAULT && at == nothing,
		   "writing where nothing is");
	} else {
		same = *(volatile uint8_t *)nothing == (uint8_t)arch_nothing_value &&
		       *(volatile uint16_t *)(nothing + 2) == (uint16_t)arch_nothing_value &&
		       *(volatile uint32_t *)(nothing + 4) == (uint32_t)arch_nothing_value &&
		       *(volatile uint64_t *)(nothing + 8) == (uint64_t)arch_nothing_value &&
		       (!arch_nothing_unaligned ||
		        *(volatile uint32_t *)(nothing + 13) == (uint32_t)arch_nothing_value);
		ok(same && !arch_try(read_all, nothing, NULL), "reading where nothing is");
		ok(arch_try(write_all, nothing, NULL) == NO_FAULT, "writing where nothing is");
	}
	ok(uart_get(5) != 0xff, "the device is still there");
}
