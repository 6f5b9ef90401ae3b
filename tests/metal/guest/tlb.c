/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * cpus: 2.  The second reads a page all the time, with stage 1 on and off.  The hypervisor of the
 * tests puts other pages in its place, from the first CPU: the reader must see them, and never an
 * old one.
 */
#include "micro.h"

#define WINDOW UINT64_C(0x50000000)

enum { PAGES = 50 };

static volatile uint32_t now, backwards, seen, on;

static void load(uintptr_t at)
{
	now = *(volatile uint32_t *)at;
}

static void stage1(bool enable)
{
	uint64_t v;

	__asm__ volatile("mrs %0, sctlr_el1" : "=r"(v));
	v = enable ? v | 1 : v & ~UINT64_C(1);
	__asm__ volatile("dsb sy\n msr sctlr_el1, %0\n isb" : : "r"(v) : "memory");
}

/* Between two pages there is none, for a moment: a fault. */
static void reader(void)
{
	uint32_t last = 0;

	on = 1;
	while (last < PAGES) {
		if (arch_try(load, WINDOW, NULL) != NO_FAULT)
			continue;
		backwards += now < last;
		seen += now != last;
		if (now >= PAGES / 2 && last < PAGES / 2)
			stage1(false);
		last = now;
	}
	stage1(true);
	on = 2;
	for (;;)
		arch_wait();
}

void test(void)
{
	plan(4);
	ok(arch_start(1, reader), "another CPU");
	while (on < 2)
		;
	ok(now == PAGES, "the last page is seen");
	ok(seen > PAGES / 4, "and many of the others");
	ok(!backwards, "no page comes back");
}
