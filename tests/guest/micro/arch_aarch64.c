/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* aarch64: board virt-aarch64, PSCI by HVC, GICv3, the virtual timer, PL011.  Arm ARM, D8, D11. */
#include "micro.h"

#define UART  UINT64_C(0x09000000)
#define GICD  UINT64_C(0x08000000)
#define GICR  UINT64_C(0x080a0000)
#define RAM   UINT64_C(0x40000000)
#define SPARE (RAM + (16 << 20))

enum { INTID_IPI = 0, INTID_TIMER = 27, INTID_UART = 33, INTID_PCI = 35 };
/* PL011 */
enum {
	DR = 0,
	FR = 0x18,
	IBRD = 0x24,
	LCR_H = 0x2c,
	CR = 0x30,
	IMSC = 0x38,
	MIS = 0x40,
	ICR = 0x44
};
enum { FR_TXFF = 32, CR_ON = 0x301, CR_LOOP = 0x80, INT_RX = 16 };
/* Descriptors (D8.3): blocks and pages, index 0 memory, 1 devices. */
enum {
	BLOCK = 1,
	TABLE = 3,
	PAGE = 3,
	DEVICE = 1 << 2,
	READ_ONLY = 1 << 7,
	INNER = 3 << 8,
	AF = 1 << 10
};
#define NO_EXEC (UINT64_C(3) << 53)

long try_call(void (*fn)(uintptr_t), uintptr_t arg);
void interrupted(unsigned kind, uint64_t *frame);
void ap_main(void);
extern const char vectors[], ap_start[], try_out[];

#ifdef MICRO_NOTHING_READS /* KVM cannot make a fault of it */
const bool arch_nothing_faults = false;
#else
const bool arch_nothing_faults = true;
#endif
const bool arch_nothing_unaligned = true;
const uint64_t arch_nothing_value = 0;
const struct arch_pci arch_pci = { 0x3f000000, 0x10000000, false, 0, 0 };

static uint64_t root[512] __attribute__((aligned(4096)));
static uint64_t directory[512] __attribute__((aligned(4096))); /* of the GiB of RAM */
static uint64_t table[512] __attribute__((aligned(4096)));     /* of the 2 MiB at SPARE */
static char stacks[CPUS_MAX][8192] __attribute__((aligned(4096)));
static void (*volatile entry)(void);
static volatile bool up[CPUS_MAX];

static struct {
	volatile bool armed;
	enum fault fault;
	uintptr_t address;
} trying;

#define sys_read(name)                                                      \
	({                                                                  \
		uint64_t v_;                                                \
		__asm__ volatile("mrs %0, " #name : "=r"(v_) : : "memory"); \
		v_;                                                         \
	})
#define sys_write(name, v) __asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(v)) : "memory")
#define isb()              __asm__ volatile("isb" : : : "memory")

static uint64_t psci(uint32_t fn, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = fn;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

/* By ldr and str alone: others have no syndrome. */
static void write32(uintptr_t at, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static uint32_t read32(uintptr_t at)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

/* As a 16550 has them: 0 data, 1 interrupts, 2 why, 5 status, 7 scratch. */
uint8_t uart_get(unsigned reg)
{
	uint8_t why;

	switch (reg) {
	case 2:
		why = read32(UART + MIS) & INT_RX ? 2 : 1;
		(void)read32(UART + DR);
		return why;
	case 5: return read32(UART + FR) & FR_TXFF ? 0 : 0x60;
	case 7: return (uint8_t)read32(UART + IBRD);
	default: return 0;
	}
}

/* The interrupt is that of a character which the port sends to itself. */
void uart_set(unsigned reg, uint8_t value)
{
	if (reg == 0) {
		write32(UART + DR, value);
	} else if (reg == 7) {
		write32(UART + IBRD, value);
	} else if (reg == 1 && value) {
		write32(UART + CR, CR_ON | CR_LOOP);
		write32(UART + IMSC, INT_RX);
		write32(UART + DR, 0);
	} else if (reg == 1) {
		write32(UART + IMSC, 0);
		(void)read32(UART + DR);
		write32(UART + ICR, 0x7ff);
		write32(UART + CR, CR_ON);
	}
}

void arch_put(char c)
{
	while (!(uart_get(5) & 0x20))
		;
	uart_set(0, (uint8_t)c);
}

void arch_off(void)
{
	psci(0x84000008, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

void arch_reset(void)
{
	psci(0x84000009, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

unsigned arch_cpu(void)
{
	return sys_read(mpidr_el1) & 0xff;
}

static void cpu_init(void)
{
	uint64_t redist = GICR + (uint64_t)arch_cpu() * 0x20000;

	sys_write(vbar_el1, (uintptr_t)vectors);
	sys_write(mair_el1, 0x04ff);
	sys_write(tcr_el1, UINT64_C(2) << 32 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 25);
	sys_write(ttbr0_el1, (uintptr_t)root);
	__asm__ volatile("tlbi vmalle1\n dsb nsh\n isb" : : : "memory");
	sys_write(sctlr_el1, 0x30d0181d); /* MMU, caches */
	isb();
	write32(redist + 0x14, 0);
	write32(redist + 0x10080, UINT32_MAX);
	write32(redist + 0x10100, 1u << INTID_IPI | 1u << INTID_TIMER);
	sys_write(s3_0_c12_c12_5, 7); /* ICC_SRE_EL1 */
	isb();
	sys_write(s3_0_c4_c6_0, 0xff); /* ICC_PMR_EL1 */
	sys_write(s3_0_c12_c12_7, 1);  /* ICC_IGRPEN1_EL1 */
	sys_write(cntv_ctl_el0, 0);
	isb();
	up[arch_cpu()] = true;
}

void arch_init(void)
{
	root[0] = BLOCK | DEVICE | AF | NO_EXEC;
	root[1] = (uintptr_t)directory | TABLE;
	for (uint64_t i = 0; i < 512; i++)
		directory[i] = (RAM + (i << 21)) | BLOCK | INNER | AF;
	for (uint64_t i = 0; i < 512; i++)
		table[i] = (SPARE + (i << 12)) | PAGE | INNER | AF;
	table[1] |= READ_ONLY | NO_EXEC;
	table[2] = 0;
	directory[8] = (uintptr_t)table | TABLE;
	__asm__ volatile("dsb ish" : : : "memory");
	write32(GICD, 0x12);
	write32(UART + LCR_H, 0x60);
	write32(UART + CR, CR_ON);
	cpu_init();
}

static void served(void)
{
	uint64_t intid = sys_read(s3_0_c12_c12_0); /* ICC_IAR1_EL1 */

	if (intid >= 1020)
		return;
	if (intid == INTID_TIMER) {
		sys_write(cntv_ctl_el0, 0);
		isb();
		micro_handle(TIMER);
	} else {
		micro_handle(intid == INTID_IPI ? IPI : LINE);
	}
	sys_write(s3_0_c12_c12_1, intid); /* ICC_EOIR1_EL1 */
	isb();
}

static enum fault fault_of(uint64_t esr)
{
	switch (esr >> 26) {
	case 0x21: return EXEC_FAULT;
	case 0x25: return esr & 64 ? WRITE_FAULT : READ_FAULT;
	default: return OTHER_FAULT;
	}
}

void interrupted(unsigned kind, uint64_t *frame)
{
	uint64_t esr = sys_read(esr_el1);

	if (kind == 1) {
		served();
		return;
	}
	if (kind || !trying.armed) {
		print("# exception ");
		print_hex(esr);
		print(" at ");
		print_hex(sys_read(elr_el1));
		print("\n");
		arch_off();
	}
	trying.armed = false;
	trying.fault = fault_of(esr);
	trying.address = sys_read(far_el1);
	frame[20] = (uintptr_t)try_out;
}

enum fault arch_try(void (*fn)(uintptr_t), uintptr_t arg, uintptr_t *ret_address)
{
	trying.fault = NO_FAULT;
	trying.address = 0;
	trying.armed = true;
	try_call(fn, arg);
	trying.armed = false;
	if (ret_address)
		*ret_address = trying.address;
	return trying.fault;
}

uintptr_t arch_ro_page(void)
{
	return SPARE + 0x1000;
}

uintptr_t arch_no_page(void)
{
	return SPARE + 0x2000;
}

uintptr_t arch_nothing(void)
{
	return 0x50000000;
}

uintptr_t arch_spare(void)
{
	return RAM + (24 << 20);
}

void arch_irq_on(void)
{
	__asm__ volatile("msr daifclr, #2" : : : "memory");
}

void arch_irq_off(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}

void arch_wait(void)
{
	__asm__ volatile("dsb sy\n wfi" : : : "memory");
	arch_irq_on();
	isb();
	arch_irq_off();
}

static void enable(unsigned intid)
{
	write32(GICD + 0x84, UINT32_MAX); /* group 1 */
	write32(GICD + 0x104, 1u << (intid - 32));
}

void arch_line_enable(void)
{
	enable(INTID_UART);
}

void arch_pci_line(unsigned slot)
{
	enable(INTID_PCI + slot % 4);
}

void arch_timer(uint32_t us)
{
	uint64_t ticks = (uint64_t)us * sys_read(cntfrq_el0) / 1000000;

	sys_write(cntv_ctl_el0, 0);
	if (us) {
		sys_write(cntv_cval_el0, sys_read(cntvct_el0) + ticks);
		sys_write(cntv_ctl_el0, 1);
	}
	isb();
}

void arch_ipi(unsigned cpu)
{
	__asm__ volatile("dsb ish" : : : "memory");
	sys_write(s3_0_c12_c11_5, UINT64_C(1) << (cpu & 15)); /* ICC_SGI1R_EL1 */
	isb();
}

void ap_main(void)
{
	cpu_init();
	entry();
	for (;;)
		__asm__ volatile("msr daifset, #2\n wfi");
}

bool arch_start(unsigned cpu, void (*fn)(void))
{
	entry = fn;
	if (psci(0xc4000003, cpu, (uintptr_t)ap_start,
	         (uintptr_t)stacks[cpu] + sizeof(stacks[cpu])))
		return false;
	for (unsigned i = 0; i < 20000000; i++)
		if (up[cpu])
			return true;
	return false;
}
