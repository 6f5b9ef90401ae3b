/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * cpus: 2.  The GIC as IHI 0069H has it, in groups: nothing is taken as an exception, the guest
 * asks for what there is.
 */
#include "gic.h"

/* SPIs that nothing drives, and the UART's, a level. */
enum { A = 72, B = 73, UART_IRQ = 33, SGI = 5 };
enum { CTLR = 0, GRP1 = 2 };
#define UART UINT64_C(0x09000000)

static void restore_interface(void)
{
	sys_write(s3_0_c4_c6_0, 0xff);
	sys_write(s3_0_c12_c12_3, 0);
	sys_write(s3_0_c12_c12_4, 0);
	sys_write(s3_0_c12_c12_7, 1);
}

static void fresh(void)
{
	restore_interface();
	gic_prepare(A, 0x80);
	gic_prepare(B, 0x80);
	gic_edge(A, true);
	gic_edge(B, true);
	write64(GICD + IROUTER + 8 * A, 0);
	write64(GICD + IROUTER + 8 * B, 0);
}

static void enabling(void)
{
	fresh();
	gic_set(ICENABLER, A);
	gic_set(ISPENDR, A);
	ok(!gic_is(ISENABLER, A) && gic_is(ISPENDR, A) && quiet(), "disabled: it stays pending");
	gic_set(ISENABLER, A);
	ok(sys_read(s3_0_c12_c12_2) == A && comes(A) && quiet(), "enabled: it comes once");
	gic_set(ISPENDR, A);
	gic_set(ICENABLER, A);
	ok(quiet() && gic_is(ISPENDR, A), "disabled while it is pending");
	gic_set(ICPENDR, A);
	gic_set(ISENABLER, A);
	ok(quiet() && !gic_is(ISPENDR, A), "no longer pending");
	gic_set(ISPENDR, A);
	gic_set(ICPENDR, A);
	ok(quiet(), "pending for a moment only");
	gic_set(ISPENDR, A);
	write32(GICD + CTLR, 0);
	ok(quiet(), "the distributor is off");
	write32(GICD + CTLR, GRP1);
	sys_write(s3_0_c12_c12_7, 0);
	ok(quiet(), "the group is off here");
	sys_write(s3_0_c12_c12_7, 1);
	ok(comes(A) && quiet(), "all is on");
	write32(GICD + IGROUPR + A / 32 * 4, 0);
	gic_set(ISPENDR, A);
	ok(quiet(), "an interrupt of the other group");
	gic_set(ICPENDR, A);
}

static void priorities(void)
{
	bool good = true;

	fresh();
	gic_priority(B, 0x40);
	gic_set(ISPENDR, A);
	gic_set(ISPENDR, B);
	ok(comes(B) && comes(A) && quiet(), "by priority");
	gic_priority(B, 0x80);
	gic_set(ISPENDR, B);
	gic_set(ISPENDR, A);
	ok(comes(A) && comes(B) && quiet(), "by number");
	gic_set(ISPENDR, A);
	gic_priority(B, 0x40);
	gic_set(ISPENDR, B);
	gic_priority(B, 0x90);
	ok(comes(A) && comes(B) && quiet(), "by a priority that changed");
	gic_priority(A, 0x87);
	ok((read32(GICD + IPRIORITYR + A) & 7) == 0, "bits that are not there");
	for (unsigned p = 0; p < 0xf8; p += 8) {
		gic_priority(A, (uint8_t)p);
		gic_set(ISPENDR, A);
		sys_write(s3_0_c4_c6_0, p);
		good = good && quiet();
		sys_write(s3_0_c4_c6_0, p + 8);
		good = good && comes(A) && quiet();
	}
	ok(good, "the mask lets pass what is above it");
}

static void preemption(void)
{
	fresh();
	gic_priority(A, 0x60);
	gic_priority(B, 0x48);
	gic_set(ISPENDR, A);
	ok(take() == A && sys_read(s3_0_c12_c11_3) == 0x60, "the running priority");
	gic_set(ISPENDR, B);
	sys_write(s3_0_c12_c12_3, 6);
	ok(take() == NONE, "none of the same group of priorities");
	sys_write(s3_0_c12_c12_3, 3);
	ok(take() == B && sys_read(s3_0_c12_c11_3) == 0x48, "one of a better group");
	gic_set(ISPENDR, SGI);
	ok(gic_is(ISACTIVER, A) && gic_is(ISACTIVER, B), "both are active");
	gic_priority(SGI, 0x60);
	end(B);
	ok(take() == NONE && sys_read(s3_0_c12_c11_3) == 0x60, "the first goes on");
	end(A);
	ok(sys_read(s3_0_c12_c11_3) == 0xff, "it is over");
	ok(comes(SGI) && quiet(), "what waited comes");
	gic_priority(A, 0x60);
	gic_priority(B, 0x60);
	gic_set(ISPENDR, A);
	gic_set(ISPENDR, B);
	ok(take() == A && take() == NONE, "not one of the same priority");
	end(A);
	ok(comes(B) && quiet(), "but afterwards");
}

static void active(void)
{
	fresh();
	gic_set(ISPENDR, A);
	ok(take() == A && gic_is(ISACTIVER, A) && !gic_is(ISPENDR, A), "active, not pending");
	gic_set(ISPENDR, A);
	ok(gic_is(ISACTIVER, A) && gic_is(ISPENDR, A) && take() == NONE, "active and pending");
	end(A);
	ok(comes(A) && quiet(), "it comes again");
	ok(!gic_is(ISACTIVER, A) && !gic_is(ISPENDR, A), "neither of both");
	gic_set(ISACTIVER, A);
	gic_set(ISPENDR, A);
	ok(gic_is(ISACTIVER, A) && quiet(), "active by hand");
	gic_set(ICACTIVER, A);
	ok(comes(A) && quiet(), "not active by hand");
	gic_set(ISPENDR, A);
	ok(take() == A, "taken");
	gic_set(ICACTIVER, A);
	gic_set(ISPENDR, A);
	end(A);
	ok(!gic_is(ISACTIVER, A) && comes(A) && quiet(), "not active, before its end");
	gic_set(ISPENDR, A);
	gic_set(ISPENDR, A);
	ok(comes(A) && quiet(), "twice before it is taken is once");
}

/* EOImode 1: the end of the priority and of the interrupt are two. */
static void two_ends(void)
{
	fresh();
	sys_write(s3_0_c12_c12_4, 2);
	gic_set(ISPENDR, A);
	ok(take() == A, "taken, with two ends");
	end(A);
	ok(sys_read(s3_0_c12_c11_3) == 0xff && gic_is(ISACTIVER, A), "its priority is dropped");
	gic_set(ISPENDR, A);
	gic_set(ISPENDR, B);
	ok(take() == B && take() == NONE, "others come, it does not");
	end(B);
	sys_write(s3_0_c12_c11_1, B);
	ok(!gic_is(ISACTIVER, B) && gic_is(ISACTIVER, A), "the other is over");
	sys_write(s3_0_c12_c11_1, A);
	(void)gic_is(ISACTIVER, A);
	ok(take() == A, "deactivated, it comes again");
	end(A);
	sys_write(s3_0_c12_c11_1, A);
	ok(!gic_is(ISACTIVER, A) && take() == NONE, "all are over");
	restore_interface();
}

/* The UART's is high as long as it has room for more. */
static void levels(void)
{
	fresh();
	gic_prepare(UART_IRQ, 0x80);
	gic_edge(UART_IRQ, false);
	print("# a level\n");
	write32(UART + 0x38, 0x20);
	ok(gic_is(ISPENDR, UART_IRQ) && comes(UART_IRQ) && comes_soon(UART_IRQ),
	   "a level comes again");
	gic_set(ICPENDR, UART_IRQ);
	ok(gic_is(ISPENDR, UART_IRQ), "no hand makes it low");
	ok(take() == UART_IRQ, "taken while it is high");
	write32(UART + 0x38, 0);
	end(UART_IRQ);
	ok(quiet() && !gic_is(ISPENDR, UART_IRQ), "low before its end");
	write32(UART + 0x38, 0x20);
	write32(UART + 0x38, 0);
	ok(quiet(), "low before it was taken");
	gic_set(ISPENDR, UART_IRQ);
	ok(comes(UART_IRQ) && quiet(), "by hand it comes once");
	gic_edge(UART_IRQ, true);
	write32(UART + 0x38, 0x20);
	ok(comes(UART_IRQ) && quiet(), "an edge comes once");
	write32(UART + 0x38, 0);
	ok(quiet(), "it does not come when it falls");
	write32(UART + 0x38, 0x20);
	write32(UART + 0x38, 0);
	ok(comes(UART_IRQ) && quiet(), "an edge stays when the line is low");
	gic_edge(UART_IRQ, false);
	gic_set(ICENABLER, UART_IRQ);
}

/* What the other vCPU is asked to do, and what came to it. */
static volatile uint32_t other_is_up, other_looks_away, other_got[16], other_count;

static void other(void)
{
	restore_interface();
	gic_prepare(SGI, 0x80);
	gic_prepare(SGI + 1, 0x80);
	other_is_up = 1;
	for (;;) {
		unsigned intid = other_looks_away ? NONE : take();

		if (intid == NONE)
			continue;
		other_got[other_count % 16] = intid;
		end(intid);
		__atomic_fetch_add(&other_count, 1, __ATOMIC_SEQ_CST);
	}
}

/* That one comes to the other, once, and none to this one. */
static bool there(unsigned intid)
{
	static uint32_t seen;
	uint64_t until = now() + ms(2000);
	bool good;

	while (other_count == seen && now() < until)
		;
	pause_ms(2);
	good = other_count == seen + 1 && other_got[seen % 16] == intid;
	seen = other_count;
	return good && quiet();
}

static void sgi(uint64_t value)
{
	sys_write(s3_0_c12_c11_5, value | (uint64_t)SGI << 24);
}

static void between(void)
{
	uint64_t until = now() + ms(2000);

	fresh();
	gic_prepare(SGI, 0x80);
	arch_start(1, other);
	while (!other_is_up && now() < until)
		;
	ok(other_is_up, "another vCPU");
	sgi(1);
	ok(comes(SGI) && quiet(), "to itself");
	sgi(2);
	ok(there(SGI), "to the other");
	sgi(3);
	ok(comes_soon(SGI) && there(SGI), "to both");
	sgi(UINT64_C(1) << 40);
	ok(there(SGI), "to all others");
	sgi(0);
	sgi(4);
	sgi(1 | UINT64_C(1) << 44);
	sgi(1 | UINT64_C(1) << 16);
	sgi(1 | UINT64_C(1) << 32);
	sgi(1 | UINT64_C(1) << 48);
	pause_ms(2);
	ok(quiet(), "to none that there is");
	gic_set(ICENABLER, SGI);
	sgi(1);
	ok(quiet() && gic_is(ISPENDR, SGI), "disabled here");
	gic_set(ISENABLER, SGI);
	ok(comes(SGI) && quiet(), "enabled here");
	/* The word of the other's private interrupts. */
	write32(GICR + 0x20000 + ICENABLER, 1u << SGI);
	sgi(2);
	sys_write(s3_0_c12_c11_5, 2 | (uint64_t)(SGI + 1) << 24);
	ok(there(SGI + 1), "disabled there");
	write32(GICR + 0x20000 + ISENABLER, 1u << SGI);
	ok(there(SGI), "enabled there");
}

static void routes(void)
{
	uint64_t at = GICD + IROUTER + 8 * A;

	fresh();
	gic_set(ISPENDR, A);
	ok(comes(A) && quiet(), "routed here");
	write64(at, 1);
	gic_set(ISPENDR, A);
	ok(read32(at) == 1 && there(A), "routed to the other");
	write64(at, 7);
	gic_set(ISPENDR, A);
	pause_ms(2);
	ok(quiet() && gic_is(ISPENDR, A), "routed to none that there is");
	write64(at, 1);
	ok(there(A), "and on");
	gic_set(ICENABLER, A);
	gic_set(ISPENDR, A);
	write64(at, 0);
	gic_set(ISENABLER, A);
	/* The other leaves its guest first. */
	ok(comes_soon(A) && quiet(), "routed anew while it was pending");
	gic_set(ISPENDR, A);
	write64(at, 1);
	ok(there(A), "routed away before it was taken");
	write32(at, 0);
	gic_set(ISPENDR, A);
	ok(comes_soon(A) && quiet(), "half of a route");
	write64(at, UINT64_C(1) << 31);
	gic_set(ISPENDR, A);
	ok(comes(A) && quiet(), "routed to any");
	gic_set(ISPENDR, A);
	ok(take() == A, "taken here");
	write64(at, 1);
	gic_set(ISPENDR, A);
	pause_ms(2);
	ok(take() == NONE && gic_is(ISACTIVER, A), "active here it comes nowhere");
	end(A);
	(void)gic_is(ISPENDR, A);
	ok(there(A), "and there, when it has ended here");
}

/* What the other has been offered, and has not taken. */
static void withdrawn(void)
{
	uint32_t before = other_count;

	fresh();
	write64(GICD + IROUTER + 8 * A, 1);
	other_looks_away = 1;
	gic_set(ISPENDR, A);
	pause_ms(20);
	gic_set(ICENABLER, A);
	pause_ms(20);
	other_looks_away = 0;
	pause_ms(20);
	ok(other_count == before && quiet() && gic_is(ISPENDR, A), "disabled where it was offered");
	gic_set(ISENABLER, A);
	ok(there(A), "and enabled again");
	other_looks_away = 1;
	gic_set(ISPENDR, A);
	pause_ms(20);
	write64(GICD + IROUTER + 8 * A, 0);
	ok(comes_soon(A) && quiet(), "routed away from where it was offered");
	other_looks_away = 0;
	pause_ms(20);
	ok(other_count == before + 1, "it comes here alone");
	other_looks_away = 1;
	write64(GICD + IROUTER + 8 * A, 1);
	gic_set(ISPENDR, A);
	pause_ms(20);
	gic_set(ICPENDR, A);
	pause_ms(20);
	other_looks_away = 0;
	pause_ms(20);
	ok(other_count == before + 1 && !gic_is(ISPENDR, A),
	   "no longer pending where it was offered");
}

void test(void)
{
	plan(9 + 5 + 9 + 9 + 6 + 9 + 10 + 11 + 5);
	gic_prepare(SGI, 0x80);
	enabling();
	priorities();
	preemption();
	active();
	two_ends();
	levels();
	between();
	routes();
	withdrawn();
}
