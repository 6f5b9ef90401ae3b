/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A rig (rig.h) with a PCI host bridge, whose messages the test counts; functions that record what
 * reaches them; virtio devices behind PCI functions.
 */
#ifndef TESTS_SUPPORT_PCIRIG_H
#define TESTS_SUPPORT_PCIRIG_H

#include "dev/pci/host.h"
#include "support/rig.h"

#define PCI_IO        UINT64_C(0x10000000) /* port 0 */
#define PCI_IO_SIZE   UINT64_C(0x10000)
#define PCI_MEM       UINT64_C(0x60000000)
#define PCI_MEM_SIZE  UINT64_C(0x10000000)
#define PCI_HIGH      UINT64_C(0x400000000)
#define PCI_HIGH_SIZE UINT64_C(0x100000000)

enum { PCI_MESSAGES = 256 };

struct pcirig {
	struct rig *rig;
	struct rig_dev *host;
	struct hull_msi_sink sink;
	struct hull_msi sent[PCI_MESSAGES]; /* the first */
	unsigned nsent;
};

struct pcirig *pcirig_new(void);
void pcirig_free(struct pcirig *p);

/* Configuration space of `devfn`. */
uint32_t pci_get(struct pcirig *p, unsigned devfn, unsigned off, unsigned size);
void pci_set(struct pcirig *p, unsigned devfn, unsigned off, unsigned size, uint32_t val);

/* The offset of the `nth` (from 0) capability with this id; 0: there is none. */
unsigned pci_cap(struct pcirig *p, unsigned devfn, uint8_t id, unsigned nth);

/* Addresses as a CPU sees them.  A bus error aborts. */
uint64_t pci_read(struct pcirig *p, hull_gpa gpa, unsigned size);
void pci_write(struct pcirig *p, hull_gpa gpa, unsigned size, uint64_t val);

/*
 * A virtio device at `devfn` with its BARs placed (0 at PCI_HIGH, 2 at PCI_MEM, each a page per
 * `devfn` further), memory and bus mastering on.  Registers of vdriver.h work.
 */
struct rig_dev *pcirig_add_virtio(struct pcirig *p, const char *type, unsigned devfn,
                                  void *backend);

#endif
