/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The host bridge: one PCI bus, configured through ECAM.
 *
 * Spec: PCI Express Base 4.0, 7.2.2 (ECAM); devicetree bindings, pci/host-generic-pci.yaml.
 *
 * A board creates a device of type "pci-host", which is the ECAM region of bus 0; opens windows
 * through which BARs are reached; wires the four interrupt outputs; and adds functions.  Accesses
 * that nobody answers read as ones.  Messages go where hull_dev_wire_msi() says; without, devices
 * have only the lines.  All in the build phase.
 *
 * Threading: accesses of the guest take the lane of the function that they are for, none of the
 * bridge's own; where BARs are is read without a lock.
 */
#ifndef HULL_DEV_PCI_HOST_H
#define HULL_DEV_PCI_HOST_H

#include "core/bus.h"
#include "dev/pci/pci.h"

enum { HULL_PCI_ECAM_BYTES = 1 << 20, HULL_PCI_SLOTS = 32, HULL_PCI_PINS = 4 };

/* A window: CPU addresses [base, base + size) of `space` are `pci` and up on the bus. */
struct hull_pci_window {
	enum hull_pci_space kind;
	enum hull_space space;
	uint64_t base, size, pci;
};

/* Open a window; one of each kind.  Errors of hull_bus_attach(). */
int hull_pci_host_window(struct hull_dev *host, const struct hull_pci_window *w,
                         struct hull_err *err);

/* The window of a kind, or NULL: there is none. */
const struct hull_pci_window *hull_pci_host_window_of(struct hull_dev *host,
                                                      enum hull_pci_space kind);

/*
 * Add a function at `devfn` (device * 8 + function), or the next free place if it is 0.
 * HULL_EEXIST, HULL_EOVERFLOW (E0906): the place is taken, the bus is full.
 */
int hull_pci_host_add(struct hull_dev *host, struct hull_pci_fn *fn, unsigned devfn,
                      struct hull_err *err);

/* The output that pin `pin` (0: INTA) of device `slot` leads to, 0 to 3. */
static inline unsigned hull_pci_swizzle(unsigned slot, unsigned pin)
{
	return (slot + pin) % HULL_PCI_PINS;
}

#endif
