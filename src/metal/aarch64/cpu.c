/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The architecture's part of what metal/common needs; PSCI of the firmware; and what happens on a
 * fault of ours.
 *
 * Specs: Arm ARM, D11 "The Generic Timer"; Arm DEN 0022, 5.
 */
#include "metal/aarch64/cpu.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "metal/aarch64/el2.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/mmu.h"
#include "metal/aarch64/spi.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/console.h"
#include "metal/common/spin.h"
#include "metal/common/vms.h"
#include "metal/drivers/pl011.h"

#define CPU_ON_CALL UINT32_C(0xc4000003)
#define OFF_CALL    UINT32_C(0x84000008)
#define RESET_CALL  UINT32_C(0x84000009)
#define NS_PER_S    UINT64_C(1000000000)
#define CTL_ENABLE  UINT64_C(1)

extern const char metal_vectors[], metal_secondary[], metal_thread_start[];
void metal_crash(const struct a64_regs *r, unsigned vector);

/* 32.32 fixed point. */
static uint64_t ns_per_tick, ticks_per_ns;
static uint32_t hyp_timer, virtual_timer, uart_irq;
static uint64_t uart;
static bool psci_hvc;

struct metal_cpu *metal_this_cpu(void)
{
	return (struct metal_cpu *)(uintptr_t)sysreg_read(tpidr_el2);
}

uint64_t metal_ns(uint64_t ticks)
{
	unsigned __int128 ns = (unsigned __int128)ticks * ns_per_tick >> 32;

	return (uint64_t)MIN(ns, (unsigned __int128)HULL_NEVER);
}

uint64_t metal_ticks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * ticks_per_ns >> 32) + 1;
}

uint64_t metal_now(void)
{
	isb();
	return metal_ns(sysreg_read(cntpct_el0)) | 1;
}

void metal_cpu_init(struct metal_cpu *cpu, const struct metal_board *b)
{
	uint64_t hz = sysreg_read(cntfrq_el0) & UINT32_MAX;

	ns_per_tick = (NS_PER_S << 32) / hz;
	ticks_per_ns = (hz << 32) / NS_PER_S;
	hyp_timer = b->hyp_timer;
	virtual_timer = b->virtual_timer;
	uart_irq = b->uart_irq;
	uart = b->uart.start;
	psci_hvc = b->psci_hvc;
	cpu->phys_id = sysreg_read(mpidr_el1);
	sysreg_write(tpidr_el2, (uintptr_t)cpu);
	sysreg_write(vbar_el2, (uintptr_t)metal_vectors);
	/* RW: EL1 is AArch64.  Interrupts come here, and wake WFI, though they are masked. */
	sysreg_write(hcr_el2, BIT(31) | BIT(5) | BIT(4) | BIT(3));
	sysreg_write(cnthp_ctl_el2, 0);
	/* The physical counter and timer trap: ptimer.c. */
	sysreg_write(cnthctl_el2, 0);
	/* Debug registers and the PMU trap, SVE, SME, trace and AMU, too. */
	sysreg_write(mdcr_el2, BIT(11) | BIT(10) | BIT(9) | BIT(6) | BIT(5));
	sysreg_write(cptr_el2, 0x33ff | BIT(20) | BIT(30));
	sysreg_write(hstr_el2, 0);
	isb();
}

void metal_relax(void)
{
	__asm__ volatile("yield" : : : "memory");
}

void metal_zero(void *at, uint64_t bytes)
{
	uint64_t id = sysreg_read(dczid_el0), step = UINT64_C(4) << (id & 15);
	uint64_t p = (uintptr_t)at, end = p + bytes;

	if (id & BIT(4)) { /* forbidden */
		memset(at, 0, bytes);
		return;
	}
	/* Eight at once: most of what making a VM costs. */
	while (end - p >= 8 * step)
		__asm__ volatile(".rept 8\n\tdc zva, %0\n\tadd %0, %0, %1\n\t.endr"
		                 : "+r"(p)
		                 : "r"(step)
		                 : "memory");
	for (; p < end; p += step)
		__asm__ volatile("dc zva, %0" : : "r"(p) : "memory");
}

/* What metal_switch() pops: x29, x30, then x19 and x20, which are metal_thread_start()'s. */
uint64_t metal_thread_frame(void *stack_top, void (*fn)(void *arg), void *arg)
{
	uint64_t *frame = (uint64_t *)stack_top - 12;

	frame[1] = (uintptr_t)metal_thread_start;
	frame[2] = (uintptr_t)fn;
	frame[3] = (uintptr_t)arg;
	return (uintptr_t)frame;
}

void metal_poke(uint32_t cpu)
{
	if (metal_this_cpu() && metal_this_cpu()->index != cpu && cpu < metal_ncpus)
		metal_gic_kick(metal_cpus[cpu].phys_id);
}

uint32_t metal_virtual_timer(void)
{
	return virtual_timer;
}

static void typed(void)
{
	int c;

	while ((c = metal_pl011_read(uart)) >= 0)
		metal_console_arrived((uint8_t)c);
	metal_vms_poke();
}

void metal_serve_interrupt(uint32_t intid)
{
	if (intid == virtual_timer) {
		el2_timer_fired(metal_this_cpu()->resident);
		return;
	}
	if (intid == hyp_timer) {
		sysreg_write(cnthp_ctl_el2, 0);
		hull_store_relaxed(&metal_this_cpu()->dirty, 1);
	} else if (intid == uart_irq) {
		typed();
	} else if (intid >= 32 && metal_spi_arrived(intid)) {
		return;
	}
	metal_gic_deactivate(intid);
}

void metal_serve_interrupts(void)
{
	uint32_t intid;

	while ((intid = metal_gic_take()) != METAL_INTID_NONE)
		metal_serve_interrupt(intid);
}

void metal_alarm(uint64_t at)
{
	sysreg_write(cnthp_ctl_el2, 0);
	if (at != HULL_NEVER) {
		sysreg_write(cnthp_cval_el2, metal_ticks(at));
		sysreg_write(cnthp_ctl_el2, CTL_ENABLE);
	}
	isb();
}

void metal_idle(uint64_t deadline)
{
	metal_alarm(deadline);
	wfi();
	metal_serve_interrupts();
}

static uint64_t firmware(uint64_t fn, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = fn;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	/* SMCCC 1.0 lets x4..x17 change. */
	if (psci_hvc)
		__asm__ volatile("hvc #0"
		                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
		                 :
		                 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
		                   "x14", "x15", "x16", "x17", "memory");
	else
		__asm__ volatile("smc #0"
		                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
		                 :
		                 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
		                   "x14", "x15", "x16", "x17", "memory");
	return x0;
}

int metal_psci_cpu_on(uint64_t mpidr, struct metal_cpu *cpu)
{
	cpu->start[0] = metal_ttbr();
	cpu->start[1] = metal_tcr();
	/* It reads them with its caches off. */
	for (uint64_t at = (uintptr_t)cpu; at < (uintptr_t)(cpu + 1); at += 16)
		__asm__ volatile("dc cvac, %0" : : "r"(at) : "memory");
	dsb(sy);
	return (int)(int64_t)firmware(CPU_ON_CALL, mpidr & UINT64_C(0xff00ffffff),
	                              (uintptr_t)metal_secondary, (uintptr_t)cpu);
}

static _Noreturn void stop_for_good(uint32_t call)
{
	(void)firmware(call, 0, 0, 0);
	for (;;)
		wfi();
}

void metal_psci_off(void)
{
	stop_for_good(OFF_CALL);
}

void metal_psci_reset(void)
{
	stop_for_good(RESET_CALL);
}

void hull_assert_failed(const char *expr, const char *file, int line)
{
	metal_console_break();
	metal_say("hull: %s:%d: %s does not hold", file, line, expr);
	metal_psci_off();
}

static const char *vector_name(unsigned vector)
{
	static const char *const kinds[] = { "synchronous exception", "IRQ", "FIQ", "SError" };

	return kinds[vector % 4];
}

void metal_crash(const struct a64_regs *r, unsigned vector)
{
	metal_console_break();
	metal_say("hull: %s at EL2 on CPU %u: ESR 0x%llx FAR 0x%llx HPFAR 0x%llx",
	          vector_name(vector), metal_this_cpu() ? metal_this_cpu()->index : 0,
	          (unsigned long long)sysreg_read(esr_el2),
	          (unsigned long long)sysreg_read(far_el2),
	          (unsigned long long)sysreg_read(hpfar_el2));
	for (unsigned i = 0; i < 30; i += 3)
		metal_say("  x%02u %016llx  x%02u %016llx  x%02u %016llx", i,
		          (unsigned long long)r->x[i], i + 1, (unsigned long long)r->x[i + 1],
		          i + 2, (unsigned long long)r->x[i + 2]);
	metal_say("  x30 %016llx  pc  %016llx  pstate %llx", (unsigned long long)r->x[30],
	          (unsigned long long)r->pc, (unsigned long long)r->pstate);
	metal_psci_off();
}
