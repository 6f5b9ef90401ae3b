/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Tiny guests: what each of them has.  One file per feature; it prints TAP to the first serial
 * port, and the same bytes whatever runs it.  What depends on the architecture is in arch_*.c.
 */
#ifndef MICRO_H
#define MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CPUS_MAX = 8 };

/* The test: prints its results.  `cpus` as on the command line of the machine. */
void test(void);

/* TAP. */
void plan(unsigned n);
void ok(bool passed, const char *name);
void skip(const char *name, const char *why);
void print(const char *text);
void print_hex(uint64_t v);

/* The architecture. */
void arch_init(void); /* by the entry code, on CPU 0 */
void arch_put(char c);
_Noreturn void arch_off(void);
_Noreturn void arch_reset(void);

/* The first serial port's registers (16550), bytes. */
uint8_t uart_get(unsigned reg);
void uart_set(unsigned reg, uint8_t value);

/* Interrupts: handlers run with interrupts off and need not tell the controller. */
enum source { TIMER, IPI, LINE, SOURCES };
extern void (*volatile handlers[SOURCES])(void);
void arch_irq_on(void);
void arch_irq_off(void);
void arch_wait(void);        /* on, until an interrupt, off */
void arch_line_enable(void); /* that of the first serial port */
/* Once, after about `us` microseconds; 0: never. */
void arch_timer(uint32_t us);
void arch_ipi(unsigned cpu);
unsigned arch_cpu(void);
/* Start another CPU in fn(), with its interrupts off and enabled at the controller. */
bool arch_start(unsigned cpu, void (*fn)(void));

/* Exceptions: run fn(arg); what happened, and the address. */
enum fault { NO_FAULT, READ_FAULT, WRITE_FAULT, EXEC_FAULT, OTHER_FAULT };
enum fault arch_try(void (*fn)(uintptr_t), uintptr_t arg, uintptr_t *ret_address);

/* A page that is mapped read-only and not executable, one that is not mapped at all. */
uintptr_t arch_ro_page(void);
uintptr_t arch_no_page(void);
/* An address with nothing behind; whether an access to it is a fault, or else what is read. */
uintptr_t arch_nothing(void);
extern const bool arch_nothing_faults;
extern const bool arch_nothing_unaligned; /* if it is none: also of an unaligned one */
extern const uint64_t arch_nothing_value; /* all its bits are the same */
/* Memory that neither the image nor the loader touches. */
uintptr_t arch_spare(void);

/* PCI: configuration space, addresses for BARs, a message that is LINE; or arch_pci_line(). */
struct arch_pci {
	uintptr_t ecam, window;
	bool messages;
	uint64_t address;
	uint32_t data;
};
extern const struct arch_pci arch_pci;
void arch_pci_line(unsigned slot); /* make pin A of a device LINE */

/* For the architecture: after an interrupt. */
void micro_handle(enum source s);
_Noreturn void micro_main(void);

#endif
