/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PCI on boards: the host bridge (dev/pci/host.h) and virtio devices behind it, and what a device
 * tree says about it.  Build phase.
 */
#ifndef HULL_BOARD_PCI_H
#define HULL_BOARD_PCI_H

#include "board/place.h"
#include "dev/pci/host.h"
#include "fw/fdt.h"

enum { HULL_BOARD_PCI_CELLS = 6, HULL_BOARD_PCI_FDT_BYTES = 2048 };

/*
 * Make the bridge as the board's map says: sets places->pci and pci_irq.  HULL_ENOTSUP (the board
 * has none), HULL_ENOMEM (no address or interrupt is free): E0906.
 */
int hull_board_pci_build(struct hull_places *p, struct hull_err *err);

/* A virtio device behind it; `s` is filled in from `dc`.  E0906, or what the device says. */
int hull_board_pci_add(struct hull_places *p, const struct hull_device_config *dc,
                       struct hull_dev_setup *s, struct hull_err *err);

/* The PCI window in the way of [gpa, gpa + size): where it ends; 0: none is. */
hull_gpa hull_board_pci_until(const struct hull_places *p, hull_gpa gpa, uint64_t size);

/* How the tree names the interrupts of a host bridge. */
struct hull_board_pci_irqs {
	uint32_t intc; /* phandle of the interrupt controller */
	/* Per output what follows the phandle: the controller's unit address, then its cells. */
	uint32_t cells[HULL_PCI_PINS][HULL_BOARD_PCI_CELLS];
	unsigned ncells;
	uint32_t msi; /* phandle of who takes messages; 0: nobody does */
};

/*
 * Write the node of the host bridge into a bus with two cells for addresses and sizes.  At most
 * HULL_BOARD_PCI_FDT_BYTES.
 */
void hull_board_pci_fdt(struct hull_fdt_writer *w, struct hull_dev *host,
                        const struct hull_board_pci_irqs *irqs);

#endif
