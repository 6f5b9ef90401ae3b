/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The architecture's part of what metal/common needs, by the firmware's calls; and what happens on
 * a fault of ours.  One CPU so far: nobody has to be poked.
 *
 * Specs: RISC-V SBI 2.0, chapters 5, 6 and 10; Privileged ISA 20240411, 12.1.
 */
#include "metal/riscv64/cpu.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "isa/riscv64/regs.h"
#include "metal/common/console.h"
#include "metal/common/spin.h"
#include "metal/riscv64/csr.h"

enum { EXT_PUTCHAR = 1, EXT_TIME = 0x54494d45, EXT_SRST = 0x53525354 };

#define NS_PER_S UINT64_C(1000000000)

extern const char metal_vector[], metal_thread_start[];
void metal_crash(const struct rv_regs *r);

static uint64_t hz = 1; /* of the time CSR */
/* When the timer is to fire: for threads, for the guest; and when it does. */
static uint64_t planned, wanted, armed;

struct metal_cpu *metal_this_cpu(void)
{
	struct metal_cpu *cpu;

	__asm__ volatile("mv %0, tp" : "=r"(cpu));
	return cpu;
}

void metal_cpu_init(struct metal_cpu *cpu, const struct metal_board *b)
{
	hz = MAX(b->hz, 1U);
	planned = wanted = armed = HULL_NEVER;
	__asm__ volatile("mv tp, %0" : : "r"(cpu));
	csr_write(stvec, (uintptr_t)metal_vector);
	sbi_call(EXT_TIME, 0, UINT64_MAX, 0);
	csr_write(sie, BIT(RV_IRQ_STI));
}

uint64_t metal_ns(uint64_t ticks)
{
	if (ticks / hz >= HULL_NEVER / NS_PER_S)
		return HULL_NEVER;
	return ticks / hz * NS_PER_S + ticks % hz * NS_PER_S / hz;
}

uint64_t metal_ticks(uint64_t ns)
{
	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S + 1;
}

uint64_t metal_hz(void)
{
	return hz;
}

uint64_t metal_now(void)
{
	return metal_ns(csr_read(time)) | 1;
}

/* A call of the firmware only if something changed. */
static void arm(void)
{
	uint64_t at = MIN(planned, wanted);

	if (at == armed)
		return;
	armed = at;
	sbi_call(EXT_TIME, 0, at == HULL_NEVER ? UINT64_MAX : metal_ticks(at), 0);
}

void metal_alarm(uint64_t at)
{
	planned = at;
	arm();
}

void metal_guest_alarm(uint64_t at)
{
	wanted = at;
	arm();
}

void metal_serve_interrupts(void)
{
	if (!(csr_read(sip) & BIT(RV_IRQ_STI)))
		return;
	planned = wanted = HULL_NEVER;
	arm();
	hull_store_relaxed(&metal_this_cpu()->dirty, 1);
}

void metal_idle(uint64_t deadline)
{
	metal_alarm(deadline);
	wfi();
	metal_serve_interrupts();
}

void metal_poke(uint32_t cpu)
{
}

void metal_relax(void)
{
	__asm__ volatile(".4byte 0x0100000f" : : : "memory"); /* pause, of Zihintpause */
}

void metal_zero(void *at, uint64_t bytes)
{
	memset(at, 0, bytes);
}

/* What metal_switch() pops: ra, s0 and s1, which are metal_thread_start()'s, and tp. */
uint64_t metal_thread_frame(void *stack_top, void (*fn)(void *arg), void *arg)
{
	uint64_t *frame = (uint64_t *)stack_top - 14;

	frame[0] = (uintptr_t)metal_thread_start;
	frame[1] = (uintptr_t)fn;
	frame[2] = (uintptr_t)arg;
	frame[13] = (uintptr_t)metal_this_cpu();
	return (uintptr_t)frame;
}

void metal_sbi_write(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sbi_call(EXT_PUTCHAR, 0, (uint8_t)text[i], 0);
}

void metal_sbi_off(void)
{
	sbi_call(EXT_SRST, 0, 0, 0);
	for (;;)
		wfi();
}

void hull_assert_failed(const char *expr, const char *file, int line)
{
	metal_console_break();
	metal_say("hull: %s:%d: %s does not hold", file, line, expr);
	metal_sbi_off();
}

void metal_crash(const struct rv_regs *r)
{
	metal_console_break();
	metal_say("hull: trap in HS-mode: scause 0x%llx stval 0x%llx pc 0x%llx",
	          (unsigned long long)csr_read(scause), (unsigned long long)csr_read(stval),
	          (unsigned long long)r->pc);
	for (unsigned i = 0; i < 32; i += 4)
		metal_say("  x%02u %016llx %016llx %016llx %016llx", i, (unsigned long long)r->x[i],
		          (unsigned long long)r->x[i + 1], (unsigned long long)r->x[i + 2],
		          (unsigned long long)r->x[i + 3]);
	metal_sbi_off();
}
