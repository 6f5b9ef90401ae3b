/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* riscv64: board virt-riscv64, SBI 2.0, PLIC, Sv39.  Privileged ISA 20240411. */
#include "micro.h"

#define UART   UINT64_C(0x10000000)
#define SYSCON UINT64_C(0x100000)
#define PLIC   UINT64_C(0xc000000)
#define RAM    UINT64_C(0x80000000)

enum { UART_SOURCE = 10, PCI_SOURCE = 32, SSIE = 1 << 1, STIE = 1 << 5, SEIE = 1 << 9 };
enum { V = 1, R = 2, W = 4, X = 8, A = 64, D = 128, RWX = V | R | W | X | A | D };

long try_call(void (*fn)(uintptr_t), uintptr_t arg);
extern const char trap[], ap_start[], try_out[];

#ifdef MICRO_NOTHING_READS /* KVM cannot make a fault of it */
const bool arch_nothing_faults = false;
#else
const bool arch_nothing_faults = true;
#endif
const bool arch_nothing_unaligned = false; /* Linux 6.12 ends KVM_RUN with EIO */
const uint64_t arch_nothing_value = 0;
const struct arch_pci arch_pci = { 0x30000000, 0x40000000, false, 0, 0 };

static uint64_t root[512] __attribute__((aligned(4096)));
static uint64_t directory[512] __attribute__((aligned(4096))); /* of the GiB of RAM */
static uint64_t table[512] __attribute__((aligned(4096)));     /* of 2 MiB at 16 MiB of it */
static char stacks[CPUS_MAX][8192] __attribute__((aligned(4096)));
static void (*volatile entry)(void);
static volatile bool up[CPUS_MAX];

static struct {
	volatile bool armed;
	enum fault fault;
	uintptr_t address;
} trying;

#define csr_read(name)                                                       \
	({                                                                   \
		uint64_t v_;                                                 \
		__asm__ volatile("csrr %0, " #name : "=r"(v_) : : "memory"); \
		v_;                                                          \
	})
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" : : "r"((uint64_t)(v)) : "memory")
#define csr_set(name, v)   __asm__ volatile("csrs " #name ", %0" : : "r"((uint64_t)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" : : "r"((uint64_t)(v)) : "memory")

static long sbi(uint64_t ext, uint64_t fn, uint64_t x, uint64_t y, uint64_t z)
{
	register uint64_t a0 __asm__("a0") = x;
	register uint64_t a1 __asm__("a1") = y;
	register uint64_t a2 __asm__("a2") = z;
	register uint64_t a6 __asm__("a6") = fn;
	register uint64_t a7 __asm__("a7") = ext;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
	return (long)a0;
}

static void write32(uintptr_t at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

uint8_t uart_get(unsigned reg)
{
	return *(volatile uint8_t *)(UART + reg);
}

void uart_set(unsigned reg, uint8_t value)
{
	*(volatile uint8_t *)(UART + reg) = value;
}

void arch_put(char c)
{
	while (!(uart_get(5) & 0x20))
		;
	uart_set(0, (uint8_t)c);
}

void arch_off(void)
{
	write32(SYSCON, 0x5555);
	for (;;)
		__asm__ volatile("wfi");
}

void arch_reset(void)
{
	write32(SYSCON, 0x7777);
	for (;;)
		__asm__ volatile("wfi");
}

static void hart_init(void)
{
	csr_write(stvec, trap);
	csr_write(sscratch, 0);
	csr_write(satp, UINT64_C(8) << 60 | (uintptr_t)root >> 12);
	__asm__ volatile("sfence.vma" : : : "memory");
	csr_write(sie, SSIE | STIE | SEIE);
}

static unsigned hart(void)
{
	unsigned long tp;

	__asm__ volatile("mv %0, tp" : "=r"(tp));
	return (unsigned)tp;
}

void arch_init(void)
{
	uint64_t spare = RAM + (16 << 20);

	root[0] = RWX; /* devices */
	root[1] = UINT64_C(0x40000000) >> 2 | RWX;
	root[2] = (uintptr_t)directory >> 2 | V;
	for (uint64_t i = 0; i < 512; i++)
		directory[i] = (RAM + (i << 21)) >> 2 | RWX;
	for (uint64_t i = 0; i < 512; i++)
		table[i] = (spare + (i << 12)) >> 2 | RWX;
	table[1] = (spare + 0x1000) >> 2 | V | R | A;
	table[2] = 0;
	directory[8] = (uintptr_t)table >> 2 | V;
	sbi(0x54494d45, 0, UINT64_MAX, 0, 0); /* no timer yet */
	hart_init();
	up[hart()] = true;
}

static void external(void)
{
	uintptr_t claim = PLIC + 0x201004 + 0x2000 * hart();
	uint32_t source = *(volatile uint32_t *)claim;

	if (source)
		micro_handle(LINE);
	write32(claim, source);
}

static enum fault fault_of(uint64_t cause)
{
	switch (cause) {
	case 5:
	case 13: return READ_FAULT;
	case 7:
	case 15: return WRITE_FAULT;
	case 1:
	case 12: return EXEC_FAULT;
	default: return OTHER_FAULT;
	}
}

void interrupted(void)
{
	uint64_t cause = csr_read(scause);

	switch (cause) {
	case UINT64_C(1) << 63 | 1:
		csr_clear(sip, SSIE);
		micro_handle(IPI);
		return;
	case UINT64_C(1) << 63 | 5:
		sbi(0x54494d45, 0, UINT64_MAX, 0, 0);
		micro_handle(TIMER);
		return;
	case UINT64_C(1) << 63 | 9: external(); return;
	default: break;
	}
	if (!trying.armed) {
		print("# exception ");
		print_hex(cause);
		print(" at ");
		print_hex(csr_read(sepc));
		print("\n");
		arch_off();
	}
	trying.armed = false;
	trying.fault = fault_of(cause);
	trying.address = csr_read(stval);
	csr_write(sepc, try_out);
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
	return RAM + (16 << 20) + 0x1000;
}

uintptr_t arch_no_page(void)
{
	return RAM + (16 << 20) + 0x2000;
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
	csr_set(sstatus, 2);
}

void arch_irq_off(void)
{
	csr_clear(sstatus, 2);
}

void arch_wait(void)
{
	__asm__ volatile("wfi" : : : "memory");
	arch_irq_on();
	arch_irq_off();
}

static void enable_source(unsigned source)
{
	write32(PLIC + 4 * source, 1);
	write32(PLIC + 0x2080 + 0x100 * hart() + source / 32 * 4, 1u << source % 32);
	write32(PLIC + 0x201000 + 0x2000 * hart(), 0);
}

void arch_line_enable(void)
{
	enable_source(UART_SOURCE);
}

void arch_pci_line(unsigned slot)
{
	enable_source(PCI_SOURCE + slot % 4);
}

/* The board's time base is 10 MHz. */
void arch_timer(uint32_t us)
{
	sbi(0x54494d45, 0, us ? csr_read(time) + (uint64_t)us * 10 : UINT64_MAX, 0, 0);
}

void arch_ipi(unsigned cpu)
{
	sbi(0x735049, 0, 1, cpu, 0);
}

unsigned arch_cpu(void)
{
	return hart();
}

void ap_main(void)
{
	hart_init();
	up[hart()] = true;
	entry();
	for (;;)
		__asm__ volatile("csrci sstatus, 2\n wfi");
}

bool arch_start(unsigned cpu, void (*fn)(void))
{
	entry = fn;
	if (sbi(0x48534d, 0, cpu, (uintptr_t)ap_start,
	        (uintptr_t)stacks[cpu] + sizeof(stacks[cpu])))
		return false;
	for (unsigned i = 0; i < 20000000; i++)
		if (up[cpu])
			return true;
	return false;
}
