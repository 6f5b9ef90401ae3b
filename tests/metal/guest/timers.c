/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* cpus: 2.  Both timers of EL1 and their counters as the Arm ARM has them (D11.2). */
#include "gic.h"

enum { VIRTUAL = 27, PHYSICAL = 30 };
/* An hour less than the end: the emulator hangs when the sum with an offset is too large. */
#define FAR (UINT64_MAX - ms(3600 * 1000))

enum { ENABLE = 1, MASK = 2, STATUS = 4 };

/* One timer. */
struct timer {
	const char *name;
	unsigned intid;
	uint64_t (*ctl)(void);
	void (*set_ctl)(uint64_t v);
	uint64_t (*cval)(void);
	void (*set_cval)(uint64_t v);
	uint64_t (*tval)(void);
	void (*set_tval)(uint64_t v);
	uint64_t (*counter)(void);
};

#define REGISTER(reg)                     \
	static uint64_t get_##reg(void)   \
	{                                 \
		return sys_read(reg);     \
	}                                 \
	static void set_##reg(uint64_t v) \
	{                                 \
		sys_write(reg, v);        \
	}
#define TIMER_OF(text, id, prefix, count) \
	{ text,                           \
	  id,                             \
	  get_##prefix##_ctl_el0,         \
	  set_##prefix##_ctl_el0,         \
	  get_##prefix##_cval_el0,        \
	  set_##prefix##_cval_el0,        \
	  get_##prefix##_tval_el0,        \
	  set_##prefix##_tval_el0,        \
	  count }

REGISTER(cntv_ctl_el0)
REGISTER(cntv_cval_el0)
REGISTER(cntv_tval_el0)
REGISTER(cntp_ctl_el0)
REGISTER(cntp_cval_el0)
REGISTER(cntp_tval_el0)

static uint64_t physical_now(void)
{
	return sys_read(cntpct_el0);
}

static const struct timer timers[] = {
	TIMER_OF("virtual: ", VIRTUAL, cntv, now),
	TIMER_OF("physical: ", PHYSICAL, cntp, physical_now),
};
static const struct timer *volatile t;

static void judge(bool passed, const char *what)
{
	char text[80], *at = text;

	for (const char *s = t->name; *s;)
		*at++ = *s++;
	while (*what)
		*at++ = *what++;
	*at = 0;
	ok(passed, text);
}

static void off(void)
{
	t->set_ctl(0);
	/* Out of the guest once: what was on its way is gone. */
	(void)gic_is(ISPENDR, t->intid);
}

static void reached(void)
{
	uint64_t late;

	t->set_cval(t->counter() - 1);
	t->set_ctl(ENABLE);
	judge(t->ctl() == (ENABLE | STATUS) && comes_soon(t->intid), "a time that has passed");
	judge(comes_soon(t->intid), "it is a level");
	off();
	judge(quiet(), "until it is off");
	t->set_cval(0);
	t->set_ctl(ENABLE);
	judge(comes_soon(t->intid), "zero has passed");
	off();
	t->set_cval(t->counter() + ms(100));
	t->set_ctl(ENABLE);
	judge(t->ctl() == ENABLE && quiet(), "100 ms have not passed");
	judge(comes_soon(t->intid), "100 ms pass");
	late = t->counter() - t->cval();
	judge((int64_t)late >= 0 && late < ms(1000) && t->ctl() == (ENABLE | STATUS), "not before");
	off();
}

static void not_reached(void)
{
	t->set_cval(FAR);
	t->set_ctl(ENABLE);
	pause_ms(5);
	judge(t->ctl() == ENABLE && quiet(), "the end of time");
	t->set_cval(t->counter() + (UINT64_C(1) << 62));
	judge(t->ctl() == ENABLE && quiet(), "centuries");
	t->set_cval(t->counter() + ms(100));
	t->set_cval(FAR);
	pause_ms(105);
	judge(quiet(), "moved away in time");
	t->set_cval(0);
	pause_ms(1);
	t->set_cval(FAR);
	(void)gic_is(ISPENDR, t->intid);
	judge(t->ctl() == ENABLE && quiet(), "moved away too late, the level is low again");
	t->set_cval(t->counter() + ms(100));
	t->set_ctl(0);
	pause_ms(105);
	judge(!(t->ctl() & ENABLE) && quiet(), "off");
	t->set_ctl(ENABLE);
	judge(comes_soon(t->intid), "on again");
	off();
}

static void masks(void)
{
	t->set_cval(0);
	t->set_ctl(ENABLE | MASK);
	pause_ms(1);
	judge(t->ctl() == (ENABLE | MASK | STATUS) && quiet(), "masked, it can be seen only");
	t->set_ctl(ENABLE);
	judge(comes_soon(t->intid), "no longer masked");
	t->set_ctl(ENABLE | MASK);
	(void)gic_is(ISPENDR, t->intid);
	judge(quiet(), "masked after it came");
	gic_set(ICENABLER, t->intid);
	t->set_ctl(ENABLE);
	pause_ms(1);
	judge(quiet() && gic_is(ISPENDR, t->intid), "pending while the GIC has it disabled");
	gic_set(ISENABLER, t->intid);
	judge(comes_soon(t->intid), "enabled there");
	off();
	judge(!gic_is(ISPENDR, t->intid) && !gic_is(ISACTIVER, t->intid), "nothing is left");
}

static void values(void)
{
	uint64_t at;

	t->set_cval(UINT64_C(0x123456789abcdef0));
	judge(t->cval() == UINT64_C(0x123456789abcdef0), "CVAL has 64 bits");
	at = t->counter();
	t->set_tval(ms(1000));
	judge(t->cval() - at >= ms(1000) && t->cval() - at < ms(2000), "TVAL is from now");
	at = t->tval();
	judge(at <= ms(1000) && at > 0 && t->tval() <= at, "TVAL counts down");
	at = t->counter();
	t->set_tval(0xffffffff);
	judge(t->cval() - at + 1 < ms(1000) && t->tval() >> 31 == 1, "TVAL has a sign");
	t->set_ctl(UINT64_MAX);
	judge((t->ctl() & ~(uint64_t)STATUS) == (ENABLE | MASK), "CTL has two bits to write");
	off();
}

static void wakes(void)
{
	bool good = true;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t at = t->counter() + ms(1) / 4 * i;

		t->set_cval(at);
		t->set_ctl(ENABLE);
		do
			__asm__ volatile("wfi" : : : "memory");
		while (t->ctl() != (ENABLE | STATUS));
		good = good && t->counter() >= at && comes_soon(t->intid);
		off();
	}
	judge(good && quiet(), "it ends a wait");
}

/* vCPU 1 leaves with its timer running, and comes back. */
static volatile uint32_t visits, clean;

static int64_t psci(uint32_t fn, uint64_t a)
{
	register uint64_t x0 __asm__("x0") = fn;
	register uint64_t x1 __asm__("x1") = a;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1) : : "x2", "x3", "memory");
	return (int64_t)x0;
}

static void visit(void)
{
	clean = !(t->ctl() & (ENABLE | MASK)) && quiet();
	gic_set(ISENABLER, t->intid);
	t->set_cval(t->counter() + ms(2));
	t->set_ctl(ENABLE);
	visits++;
	for (;;)
		psci(0x84000002, 0); /* CPU_OFF */
}

static void leaves(void)
{
	bool good = true;

	visits = 0;
	for (unsigned i = 1; i <= 3; i++) {
		uint64_t until = now() + ms(2000);

		good = good && arch_start(1, visit);
		while ((visits < i || psci(0xc4000004, 1) != 1) && now() < until)
			;
		good = good && visits == i && clean;
		pause_ms(5);
	}
	judge(good, "off with its vCPU");
}

static void counters(void)
{
	bool good = true;

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t a = now(), b = physical_now(), c = now();

		good = good && a <= b && b <= c;
	}
	ok(good, "both counters are one, and never go back");
	ok(now() < ms(60000), "it began with the machine");
}

void test(void)
{
	plan(2 + 2 * 26);
	counters();
	for (t = timers; t < timers + 2; t++) {
		gic_prepare(t->intid, 0x80);
		reached();
		not_reached();
		masks();
		values();
		wakes();
		leaves();
		gic_set(ICENABLER, t->intid);
	}
}
