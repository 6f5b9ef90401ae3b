/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * As a real-time system does: something to do every 20 milliseconds, by the timer's compare value,
 * and nothing else.  Says how late it was at most, in ticks of the counter.
 */
#include "micro.h"

enum { PERIODS = 50, WARM = 2, PERIOD_MS = 20, FIRST_MS = 200 };

static volatile unsigned count;
static volatile uint64_t due, period, worst, least = UINT64_MAX, sum;

static uint64_t now(void)
{
	uint64_t v;

	__asm__ volatile("isb\n mrs %0, cntvct_el0" : "=r"(v) : : "memory");
	return v;
}

static void arm(void)
{
	__asm__ volatile("msr cntv_cval_el0, %0\n msr cntv_ctl_el0, %1\n isb"
	                 :
	                 : "r"(due), "r"(UINT64_C(1))
	                 : "memory");
}

static void tick(void)
{
	uint64_t late = now() - due;

	if (count++ >= WARM) {
		worst = late > worst ? late : worst;
		least = late < least ? late : least;
		sum += late;
	}
	due += period;
	if (count < PERIODS)
		arm();
}

static void number(const char *name, uint64_t v)
{
	char text[24];
	unsigned n = sizeof(text);

	text[--n] = 0;
	do
		text[--n] = (char)('0' + v % 10);
	while (v /= 10);
	print(name);
	print(text + n);
}

void test(void)
{
	uint64_t hz, begin;

	plan(2);
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	period = hz / 1000 * PERIOD_MS;
	handlers[TIMER] = tick;
	/* When the neighbour has come as far as being busy. */
	begin = due = now() + FIRST_MS * (period / PERIOD_MS);
	arm();
	while (count < PERIODS)
		arch_wait();
	ok(now() - begin < (PERIODS + 1) * period, "no period was missed");
	ok(worst < period / 2, "none was late by half of one");
	number("late: least ", least);
	number(" mean ", sum / (PERIODS - WARM));
	number(" worst ", worst);
	number(" ticks of ", hz);
	print(" a second\n");
}
