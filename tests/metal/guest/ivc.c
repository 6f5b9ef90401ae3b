/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A driver for channels between VMs (src/dev/ivc/ivc.h): two VMs run this.  Who publishes first
 * sends numbers, the other one answers each; every message is told by a doorbell.
 */
#include "micro.h"

#define REGS UINT64_C(0x0a100000) /* as the test's configuration has it: interrupt 50 */
#define GICD UINT64_C(0x08000000)
#define KEY  UINT64_C(0x1234567890abcdef)

enum { ID = 0, WINDOW = 0x08, BYTES = 0x10, PENDING = 0x18, DOORBELL = 0x20, SPI = 50 };
enum { PUBLISH = 0, SUBSCRIBE, LEAVE, RING, ACK };
enum { EXISTS = -3, ROUNDS = 200, CHANNEL = 8192 };

static volatile unsigned rung;

static uint64_t read64(uintptr_t at)
{
	uint64_t v;

	__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static void write64(uintptr_t at, uint64_t v)
{
	__asm__ volatile("str %0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static int64_t call(unsigned nr, uint64_t a, uint64_t b, uint64_t ret[2])
{
	register uint64_t x0 __asm__("x0") = 0xc6000010 + nr;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2) : : "memory");
	if (ret) {
		ret[0] = x1;
		ret[1] = x2;
	}
	return (int64_t)x0;
}

static void belled(void)
{
	rung++;
	call(ACK, UINT64_MAX, 0, NULL);
}

/* Until `word` is `value`; only doorbells end a wait. */
static void await(uintptr_t word, uint64_t value)
{
	while (read64(word) != value)
		arch_wait();
}

static void touch(uintptr_t at)
{
	(void)read64(at);
}

static void line_on(void)
{
	uint32_t all = UINT32_MAX, bit = 1u << (SPI + 32) % 32;

	handlers[LINE] = belled;
	__asm__ volatile("str %w0, [%1]" : : "r"(all), "r"(GICD + 0x80 + (SPI + 32) / 32 * 4));
	__asm__ volatile("str %w0, [%1]" : : "r"(bit), "r"(GICD + 0x100 + (SPI + 32) / 32 * 4));
}

static void mistakes(void)
{
	ok(call(PUBLISH, 1, 0, NULL) < 0 && call(PUBLISH, 1, UINT64_MAX, NULL) < 0 &&
	           call(PUBLISH, KEY, 4096, NULL) < 0 && call(SUBSCRIBE, 99, 0, NULL) < 0 &&
	           call(LEAVE, 7, 0, NULL) < 0 && call(RING, UINT64_MAX, 0, NULL) < 0 &&
	           call(5, 0, 0, NULL) < 0,
	   "what makes no sense is refused");
	write64(REGS + DOORBELL, 12345);
	write64(REGS + ID, 1);
	for (uint64_t i = 0; i < 2000; i++) {
		uint64_t out[2];
		int64_t slot = call(PUBLISH, 5000 + read64(REGS + BYTES) % 7 + i % 3, 4096, out);

		if (slot >= 0)
			call(LEAVE, (uint64_t)slot, 0, NULL);
	}
	ok(read64(REGS + ID) == 0x3156434c4c5548, "its registers are there after all that");
}

void test(void)
{
	uint64_t at[2] = { 0 };
	int64_t slot = call(PUBLISH, KEY, CHANNEL, at);
	bool first = slot >= 0;

	plan(6);
	line_on();
	if (slot == EXISTS)
		while ((slot = call(SUBSCRIBE, KEY, 0, at)) < 0)
			;
	print(first ? "publisher\n" : "subscriber\n");
	ok(slot >= 0 && at[0] >= read64(REGS + WINDOW) && at[1] == CHANNEL,
	   "a channel is in the window");
	/* Word 0 leads there, word 8 back; word 16 tells that both have come this far. */
	for (uint64_t i = 1; first && i <= ROUNDS; i++) {
		write64(at[0], i);
		call(RING, (uint64_t)slot, 0, NULL);
		/* Before somebody has subscribed, nobody hears it. */
		while (i == 1 && read64(at[0] + 64) != 1)
			call(RING, (uint64_t)slot, 0, NULL);
		await(at[0] + 64, i);
	}
	for (uint64_t i = 1; !first && i <= ROUNDS; i++) {
		await(at[0], i);
		write64(at[0] + 64, i);
		write64(REGS + DOORBELL, (uint64_t)slot);
	}
	ok(rung >= ROUNDS / 2, "each message was told by a doorbell");
	mistakes();
	ok(call(LEAVE, (uint64_t)slot, 0, NULL) == 0, "it is left");
	ok(arch_try(touch, at[0], NULL) == READ_FAULT, "and is not there any more");
}
