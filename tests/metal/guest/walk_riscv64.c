/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Page tables where no memory is: every access behind them is an access fault (Privileged ISA
 * 12.3.2, step 2), and not an access to what is at the table's place.  Which kind of fault is not
 * asked: QEMU 7.2 tells its hypervisor that all of them were loads.
 */
#include "micro.h"

#define UART  UINT64_C(0x10000000)
#define GIB   UINT64_C(0x40000000)
#define VALID 1

static void load(uintptr_t at)
{
	(void)*(volatile uint32_t *)at;
}

static void store(uintptr_t at)
{
	*(volatile uint32_t *)at = 0;
}

static void call(uintptr_t at)
{
	((void (*)(void))at)();
}

/* The root's entry for `at`; all memory is where it was before translation. */
static volatile uint64_t *entry(uintptr_t at)
{
	uint64_t satp;

	__asm__ volatile("csrr %0, satp" : "=r"(satp));
	return (volatile uint64_t *)(satp << 20 >> 8) + at / GIB;
}

static void behind(uintptr_t at, uint64_t table)
{
	*entry(at) = table >> 2 | VALID;
	__asm__ volatile("sfence.vma" : : : "memory");
}

static bool faults(void (*fn)(uintptr_t), uintptr_t arg)
{
	uintptr_t at = 0;

	return arch_try(fn, arg, &at) != NO_FAULT && at == arg;
}

void test(void)
{
	const uintptr_t device = 5 * GIB, nothing = 6 * GIB + 0x123000;

	plan(6);
	behind(device, UART);
	behind(nothing, arch_nothing());
	ok(faults(load, device), "read: the table is a device");
	ok(faults(store, device), "write: the table is a device");
	ok(faults(call, device), "execute: the table is a device");
	ok(faults(load, nothing), "read: there is no table");
	ok(faults(store, nothing), "write: there is no table");
	ok(faults(call, nothing), "execute: there is no table");
}
