/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Local APICs: what a board needs beyond the device itself.
 *
 * Output i of the device is the INTR line of vCPU i.  NMI and INIT reach the vCPUs as edges,
 * start-up IPIs start them.  Level-triggered interrupts that end go to hull_vm_eoi().
 */
#ifndef HULL_DEV_IRQCHIP_LAPIC_H
#define HULL_DEV_IRQCHIP_LAPIC_H

#include "core/dev.h"

/* Offsets of the registers that are MSRs, 8 bytes each (core/bus.h). */
enum {
	HULL_LAPIC_MSRS = 0x1000,         /* from 0x800 on: x2APIC */
	HULL_LAPIC_BASE_MSR = 0x1800,     /* 0x1b */
	HULL_LAPIC_DEADLINE_MSR = 0x1808, /* 0x6e0 */
};

/* Where messages for the vCPUs go: the sink for I/O APIC and PCI. */
struct hull_msi_sink *hull_lapic_msi(struct hull_dev *lapic);

/* Make the vCPUs ask this device (hull_vm_set_intack, hull_vm_set_intr).  Build phase. */
void hull_lapic_serve(struct hull_dev *lapic);

#endif
