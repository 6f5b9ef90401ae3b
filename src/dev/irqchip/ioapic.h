/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The I/O APIC: what a board needs beyond the device itself. */
#ifndef HULL_DEV_IRQCHIP_IOAPIC_H
#define HULL_DEV_IRQCHIP_IOAPIC_H

#include "core/dev.h"

/* Let it see the ends of interrupts (hull_vm_set_eoi).  Build phase. */
void hull_ioapic_serve(struct hull_dev *ioapic);

#endif
