/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* fpu: yes.  Floating point: results to the last bit, kept across interrupts. */
#include "micro.h"

static volatile unsigned fired;

static void handle(void)
{
	volatile double x = 1.5;

	x = x * 3.25 + 7; /* registers of the interrupted code must not suffer */
	fired++;
	if (fired < 10)
		arch_timer(200);
}

static uint64_t bits_of(double d)
{
	union {
		double d;
		uint64_t u;
	} v = { .d = d };

	return v.u;
}

/* e = 1 + 1/1! + 1/2! ... */
static double series(void)
{
	double sum = 1, term = 1;

	for (int i = 1; i < 25; i++) {
		term /= i;
		sum += term;
	}
	return sum;
}

void test(void)
{
	volatile double third = 1.0, three = 3.0;
	uint64_t expected = bits_of(series());
	bool same = true;

	plan(3);
	ok(expected == 0x4005bf0a8b14576a || expected == 0x4005bf0a8b145769, "the series of e");
	ok(bits_of(third / three) == 0x3fd5555555555555, "a third");
	handlers[TIMER] = handle;
	arch_timer(200);
	arch_irq_on();
	while (fired < 10)
		same = same && bits_of(series()) == expected;
	arch_irq_off();
	ok(same, "interrupts leave it alone");
}
