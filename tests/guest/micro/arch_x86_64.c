/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* x86_64: board pc, xAPIC, I/O APIC.  Intel SDM vol. 3, chapters 4, 6 and 10. */
#include "micro.h"

#define LAPIC  UINT64_C(0xfee00000)
#define IOAPIC UINT64_C(0xfec00000)

enum {
	UART = 0x3f8,
	PM1_CONTROL = 0x604,
	I8042 = 0x64,
	VECTOR = 0x30, /* + enum source */
	SPURIOUS = 0x3f,
	PRESENT = 1,
	WRITABLE = 2,
	LARGE = 0x80,
};
#define NO_EXECUTE (UINT64_C(1) << 63)

struct frame {
	uint64_t regs[15], vector, error, rip, cs, rflags, rsp, ss;
};

extern const char stubs[], try_out[], trampoline[], trampoline_end[];
extern uint64_t saved_cr3, saved_stack, saved_entry;
uint64_t try_call(void (*fn)(uintptr_t), uintptr_t arg);

const bool arch_nothing_faults = false;
const bool arch_nothing_unaligned = true;
const uint64_t arch_nothing_value = UINT64_MAX;
const struct arch_pci arch_pci = { 0xe0000000, 0xc0000000, true, LAPIC, VECTOR + LINE };

static struct {
	uint64_t low, high;
} idt[64] __attribute__((aligned(16)));
static uint64_t gdt[3] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t directory[4][512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096))); /* of the 2 MiB at 16 MiB */
static char stacks[CPUS_MAX][8192] __attribute__((aligned(4096)));
static volatile bool up[CPUS_MAX];
static void (*volatile entry)(void);

static struct {
	volatile bool armed;
	enum fault fault;
	uintptr_t address;
} trying;

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void write32(uintptr_t at, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(at) : "memory");
}

static uint32_t read32(uintptr_t at)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(at) : "memory");
	return v;
}

uint8_t uart_get(unsigned reg)
{
	return in8((uint16_t)(UART + reg));
}

void uart_set(unsigned reg, uint8_t value)
{
	out8((uint16_t)(UART + reg), value);
}

void arch_put(char c)
{
	while (!(uart_get(5) & 0x20))
		;
	uart_set(0, (uint8_t)c);
}

/* ACPI: sleep state 5, enable. */
void arch_off(void)
{
	out16(PM1_CONTROL, 5 << 10 | 1 << 13);
	for (;;)
		__asm__ volatile("hlt");
}

/* The command of the keyboard controller that pulses the reset line. */
void arch_reset(void)
{
	out8(I8042, 0xfe);
	for (;;)
		__asm__ volatile("hlt");
}

static void load_tables(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) g = { sizeof(gdt) - 1, (uintptr_t)gdt },
				  i = { sizeof(idt) - 1, (uintptr_t)idt };

	__asm__ volatile("lgdt %0\n"
	                 "lidt %1\n"
	                 "push $8\n"
	                 "lea 1f(%%rip), %%rax\n"
	                 "push %%rax\n"
	                 "lretq\n"
	                 "1: mov %2, %%ds\n"
	                 "mov %2, %%es\n"
	                 "mov %2, %%ss\n"
	                 :
	                 : "m"(g), "m"(i), "r"(16)
	                 : "rax", "memory");
}

static void map_memory(void)
{
	uint64_t efer_low, efer_high;

	for (unsigned i = 0; i < 4 * 512; i++)
		directory[i / 512][i % 512] =
			(uint64_t)i << 21 | PRESENT | WRITABLE | LARGE | (i >= 3 * 512 ? 0x18 : 0);
	for (unsigned i = 0; i < 512; i++)
		table[i] = (UINT64_C(16) << 20) + ((uint64_t)i << 12) + (PRESENT | WRITABLE);
	table[1] &= ~(uint64_t)WRITABLE;
	table[1] |= NO_EXECUTE;
	table[2] = 0;
	directory[0][8] = (uintptr_t)table | PRESENT | WRITABLE;
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (uintptr_t)directory[i] | PRESENT | WRITABLE;
	pml4[0] = (uintptr_t)pdpt | PRESENT | WRITABLE;
	/* EFER.NXE, CR0.WP */
	__asm__ volatile("rdmsr" : "=a"(efer_low), "=d"(efer_high) : "c"(0xc0000080));
	__asm__ volatile("wrmsr" : : "a"(efer_low | 0x800), "d"(efer_high), "c"(0xc0000080));
	__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
	__asm__ volatile("mov %%cr0, %%rax\n or $0x10000, %%eax\n mov %%rax, %%cr0" : : : "rax");
}

static void enable_apic(void)
{
	write32(LAPIC + 0xf0, 0x100 | SPURIOUS);
}

void arch_init(void)
{
	for (unsigned v = 0; v < 64; v++) {
		uintptr_t at = (uintptr_t)stubs + 16 * v;

		idt[v].low = (at & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 |
		             (at >> 16 & 0xffff) << 48;
		idt[v].high = at >> 32;
	}
	map_memory();
	load_tables();
	enable_apic();
	up[0] = true;
}

void interrupted(struct frame *f)
{
	if (f->vector == SPURIOUS)
		return;
	if (f->vector >= VECTOR && f->vector < VECTOR + SOURCES) {
		micro_handle((enum source)(f->vector - VECTOR));
		write32(LAPIC + 0xb0, 0);
		return;
	}
	if (!trying.armed) {
		print("# exception ");
		print_hex(f->vector);
		print(" at ");
		print_hex(f->rip);
		print("\n");
		arch_off();
	}
	trying.armed = false;
	trying.fault = OTHER_FAULT;
	if (f->vector == 14) {
		uint64_t cr2;

		__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
		trying.address = cr2;
		trying.fault = f->error & 16 ? EXEC_FAULT : f->error & 2 ? WRITE_FAULT : READ_FAULT;
	}
	f->rip = (uintptr_t)try_out;
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
	return (16 << 20) + 0x1000;
}

uintptr_t arch_no_page(void)
{
	return (16 << 20) + 0x2000;
}

uintptr_t arch_nothing(void)
{
	return 0xe8000000;
}

uintptr_t arch_spare(void)
{
	return 24 << 20;
}

void arch_irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

void arch_irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

void arch_wait(void)
{
	__asm__ volatile("sti\n hlt\n cli" : : : "memory");
}

void arch_line_enable(void)
{
	write32(IOAPIC, 0x11 + 2 * 4);
	write32(IOAPIC + 16, 0);
	write32(IOAPIC, 0x10 + 2 * 4);
	write32(IOAPIC + 16, VECTOR + LINE);
}

void arch_pci_line(unsigned slot)
{
	(void)slot; /* messages are enough */
}

/* The local APIC's timer counts in units that nobody tells: take 1 GHz. */
void arch_timer(uint32_t us)
{
	write32(LAPIC + 0x3e0, 0xb); /* divide by 1 */
	write32(LAPIC + 0x320, VECTOR + TIMER);
	write32(LAPIC + 0x380, us * 1000);
}

static void command(unsigned cpu, uint32_t low)
{
	write32(LAPIC + 0x310, cpu << 24);
	write32(LAPIC + 0x300, low);
	while (read32(LAPIC + 0x300) & 0x1000)
		;
}

void arch_ipi(unsigned cpu)
{
	command(cpu, 0x4000 | (VECTOR + IPI));
}

unsigned arch_cpu(void)
{
	return read32(LAPIC + 0x20) >> 24;
}

static void ap_main(void)
{
	load_tables();
	enable_apic();
	up[arch_cpu()] = true;
	entry();
	for (;;)
		__asm__ volatile("cli\n hlt");
}

bool arch_start(unsigned cpu, void (*fn)(void))
{
	char *at = (char *)0x8000;

	saved_cr3 = (uintptr_t)pml4;
	saved_stack = (uintptr_t)stacks[cpu] + sizeof(stacks[cpu]);
	saved_entry = (uintptr_t)ap_main;
	entry = fn;
	for (long i = 0; i < trampoline_end - trampoline; i++)
		((volatile char *)at)[i] = trampoline[i];
	command(cpu, 0x4500); /* INIT */
	for (volatile unsigned i = 0; i < 1000; i++)
		;
	command(cpu, 0x4608); /* start at page 8 */
	for (unsigned i = 0; i < 200000; i++) {
		if (up[cpu])
			return true;
		__asm__ volatile("pause");
	}
	return false;
}
