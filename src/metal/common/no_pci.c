/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* VMs on bare metal have no PCI: its devices would want messages as interrupts, and an ITS. */
#include "board/pci.h"

hull_gpa hull_board_pci_until(const struct hull_places *p, hull_gpa gpa, uint64_t size)
{
	return 0;
}

int hull_board_pci_build(struct hull_places *p, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 1112, "a VM on bare metal has no PCI");
}

int hull_board_pci_add(struct hull_places *p, const struct hull_device_config *dc,
                       struct hull_dev_setup *s, struct hull_err *err)
{
	return hull_board_pci_build(p, err);
}

void hull_board_pci_fdt(struct hull_fdt_writer *w, struct hull_dev *host,
                        const struct hull_board_pci_irqs *irqs)
{
}
