/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Everything that a guest can ask for and should not: all system registers, calls with any number,
 * the GIC at every offset and width.  Afterwards the machine works as before.
 */
#include "micro.h"

static uint32_t code[16] __attribute__((aligned(64)));
static volatile uint32_t fired;
static uint64_t kept;

static void sync_code(void)
{
	__asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb"
	                 :
	                 : "r"(code)
	                 : "memory");
}

static void run_code(uintptr_t arg)
{
	kept = ((uint64_t (*)(uint64_t))code)(arg);
}

/* MRS, and where that works MSR of the same value. */
static void registers(void)
{
	unsigned works = 0, undefined = 0, wrong = 0;

	for (uint32_t n = 0; n < 1u << 15; n++) {
		uint32_t mrs = 0xd5300000 | n << 5;
		enum fault f;

		if (n >> 14 == 0)
			continue; /* op0 is 2 or 3; here 3 */
		code[0] = mrs;
		code[1] = 0xd65f03c0; /* ret */
		sync_code();
		f = arch_try(run_code, 0, NULL);
		works += f == NO_FAULT;
		undefined += f == OTHER_FAULT;
		wrong += f != NO_FAULT && f != OTHER_FAULT;
		if (f != NO_FAULT)
			continue;
		code[0] = 0xd5100000 | n << 5;
		sync_code();
		f = arch_try(run_code, kept, NULL);
		wrong += f != NO_FAULT && f != OTHER_FAULT;
	}
	ok(!wrong, "each register is there or undefined");
	ok(works > 50 && undefined > 10000, "most are undefined, some are there");
}

static uint64_t call(bool smc, uint64_t fn, uint64_t a)
{
	register uint64_t x0 __asm__("x0") = fn;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = ~a;
	register uint64_t x3 __asm__("x3") = a >> 7;

	if (smc)
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	else
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return x0;
}

/* CPU_SUSPEND, CPU_OFF, CPU_ON, SYSTEM_OFF, the resets: they work. */
static bool effective(uint32_t fn)
{
	unsigned n = fn & 0xffff;

	return (fn & 0xbfff0000) == 0x84000000 &&
	       ((n >= 1 && n <= 3) || n == 8 || n == 9 || n == 0x12);
}

static void calls(void)
{
	uint64_t seed = 88172645463325252;

	for (unsigned service = 0; service < 64; service++)
		for (unsigned n = 0; n < 64; n++) {
			uint32_t fn = 0x80000000 | (service & 63) << 24 | n;

			if (!effective(fn))
				call(n & 1, fn, ~UINT64_C(0));
		}
	for (unsigned i = 0; i < 4000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (!effective((uint32_t)seed))
			call(i & 1, seed, seed * 7);
	}
	ok(call(false, 0x84000000, 0) == 0x10001, "calls of any number");
}

static void read_any(uintptr_t at)
{
	switch (at >> 60) {
	case 0: (void)*(volatile uint8_t *)at; break;
	case 1: (void)*(volatile uint16_t *)(at & 0xffffffff); break;
	case 2: (void)*(volatile uint32_t *)(at & 0xffffffff); break;
	default: (void)*(volatile uint64_t *)(at & 0xffffffff); break;
	}
}

static void write_any(uintptr_t at)
{
	uintptr_t to = at & 0xffffffff;

	switch (at >> 60) {
	case 0: *(volatile uint8_t *)to = 0xa5; break;
	case 1: *(volatile uint16_t *)to = 0xa5a5; break;
	case 2: *(volatile uint32_t *)to = 0xa5a5a5a5; break;
	default: *(volatile uint64_t *)to = ~UINT64_C(0); break;
	}
}

static void frame(uintptr_t base)
{
	for (uint64_t width = 0; width < 4; width++)
		for (uintptr_t off = 0; off < 0x10000; off += UINT64_C(1) << width) {
			if (off > 0x1000 && off < 0x6000 && off & 0xff)
				continue; /* nothing but reserved words */
			arch_try(read_any, width << 60 | (base + off), NULL);
			arch_try(write_any, width << 60 | (base + off), NULL);
		}
}

static void count(void)
{
	fired++;
}

static void gic(void)
{
	frame(0x08000000);
	frame(0x080a0000);
	frame(0x080b0000);
	/* Everything is enabled and pending now: start over. */
	for (unsigned i = 0; i < 256 / 8; i += 4) {
		*(volatile uint32_t *)(UINT64_C(0x08000180) + i) = UINT32_MAX;
		*(volatile uint32_t *)(UINT64_C(0x08000280) + i) = UINT32_MAX;
		*(volatile uint32_t *)(UINT64_C(0x08000380) + i) = UINT32_MAX;
	}
	*(volatile uint32_t *)UINT64_C(0x080b0180) = UINT32_MAX;
	*(volatile uint32_t *)UINT64_C(0x080b0280) = UINT32_MAX;
	*(volatile uint32_t *)UINT64_C(0x080b0380) = UINT32_MAX;
	arch_init();
	handlers[IPI] = handlers[TIMER] = count;
	fired = 0;
	arch_ipi(0);
	arch_irq_on();
	arch_irq_off();
	arch_timer(100);
	arch_wait();
	ok(fired == 2, "the GIC, at every offset and width, works afterwards");
}

void test(void)
{
	plan(4);
	registers();
	calls();
	gic();
}
