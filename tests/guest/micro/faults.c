/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Page faults: not mapped, read-only, not executable; and none where all is well. */
#include "micro.h"

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

void test(void)
{
	uintptr_t at = 0, ro = arch_ro_page(), no = arch_no_page();

	plan(8);
	ok(arch_try(load, ro, NULL) == NO_FAULT, "read a read-only page");
	ok(arch_try(store, ro + 8, &at) == WRITE_FAULT && at == ro + 8, "write a read-only page");
	ok(arch_try(call, ro, &at) == EXEC_FAULT && at == ro, "execute a page of data");
	ok(arch_try(load, no + 4, &at) == READ_FAULT && at == no + 4, "read no page");
	ok(arch_try(store, no, &at) == WRITE_FAULT && at == no, "write no page");
	ok(arch_try(call, no, &at) == EXEC_FAULT && at == no, "execute no page");
	ok(arch_try(store, arch_spare(), NULL) == NO_FAULT, "write a page");
	for (unsigned i = 0; i < 100; i++)
		if (arch_try(load, no, NULL) != READ_FAULT)
			at = 0;
	ok(at == no, "a hundred faults in a row");
}
