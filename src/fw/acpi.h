/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ACPI tables of a PC: RSDP, XSDT, FADT, FACS, DSDT, MADT, and MCFG with PCI.
 *
 * Spec: ACPI 6.5, chapter 5; MCFG: PCI Firmware Specification 3.3, 4.1.2.
 *
 * Threading: pure.  Catalogue: E0735 there is not enough room.
 */
#ifndef HULL_FW_ACPI_H
#define HULL_FW_ACPI_H

#include "fw/aml.h"

/* A device of the DSDT, below \_SB. */
struct hull_acpi_device {
	const char *hid;               /* "PNP0501", "LNRO0005" */
	uint32_t uid;                  /* different for each of the same hid */
	uint64_t memory, memory_bytes; /* below 4 GiB; 0 bytes: none */
	uint16_t port;
	uint8_t ports; /* 0: none */
	bool has_irq, level, shared;
	uint32_t irq; /* input of the I/O APIC; an edge of the first 16 is an ISA interrupt */
};

struct hull_acpi {
	const uint32_t *apic_ids; /* one per vCPU */
	uint32_t ncpus;
	uint32_t lapic, ioapic; /* addresses */
	uint8_t ioapic_id;
	bool has_pic;     /* there is a pair of 8259s, too */
	uint16_t pm_port; /* registers of dev/power/acpi_pm.c */
	uint8_t sci;
	const struct hull_acpi_device *devices;
	unsigned ndevices;
	/* Adds more to \_SB; may be NULL. */
	void (*more)(struct hull_aml *a, const void *arg);
	const void *arg;
	/* PCI configuration space of segment 0; 0: there is none. */
	uint64_t ecam;
	uint8_t last_bus;
};

/*
 * Write all tables for a guest that finds them at `at`, a multiple of 64: the RSDP comes first.
 * HULL_EOVERFLOW if `size` bytes are not enough.
 */
int hull_acpi_write(const struct hull_acpi *c, hull_gpa at, void *buf, size_t size,
                    size_t *ret_size, struct hull_err *err) HULL_CHECK_RESULT;

#endif
