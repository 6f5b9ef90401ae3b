/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Bindings: Linux Documentation/devicetree/bindings/pci/host-generic-pci.yaml and pci-msi.txt; IEEE
 * 1275 bus binding to PCI 2.1 (ranges, interrupt-map).
 */
#include "board/pci.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/text.h"
#include "dev/virtio/pci.h"

hull_gpa hull_board_pci_until(const struct hull_places *p, hull_gpa gpa, uint64_t size)
{
	for (int i = 0; p->pci && i < HULL_PCI_SPACES; i++) {
		const struct hull_pci_window *w =
			hull_pci_host_window_of(p->pci, (enum hull_pci_space)i);

		if (w && w->space == HULL_SPACE_MMIO &&
		    hull_ranges_overlap(gpa, size, w->base, w->size))
			return w->base + w->size;
	}
	return 0;
}

/* Behind all memory. */
static hull_gpa high_window(const struct hull_vm_config *c, uint64_t size)
{
	hull_gpa at = size;

	for (uint32_t i = 0; i < c->nregions; i++)
		at = MAX(at, align_up(c->regions[i].gpa + c->regions[i].size, size));
	return at;
}

static int open_windows(struct hull_places *p, struct hull_err *err)
{
	const uint64_t high_bytes = UINT64_C(1) << 34;
	const struct hull_place_pci *m = p->map->pci;
	hull_gpa high = high_window(hull_vm_config(p->machine->vm), high_bytes);
	const struct hull_pci_window windows[] = {
		{ HULL_PCI_IO, m->io_space, m->io, m->io_bytes, m->io_pci },
		{ HULL_PCI_MEM32, HULL_SPACE_MMIO, m->mem, m->mem_bytes, m->mem },
		{ HULL_PCI_MEM64, HULL_SPACE_MMIO, high, high_bytes, high },
	};
	int r = 0;

	for (unsigned i = 0; !r && i < ARRAY_LEN(windows); i++)
		r = hull_pci_host_window(p->pci, &windows[i], err);
	return r;
}

int hull_board_pci_build(struct hull_places *p, struct hull_err *err)
{
	const struct hull_place_pci *m = p->map->pci;
	struct hull_dev_setup s = { .type = hull_dev_type_find("pci-host"), .name = "pci" };
	int r;

	if (!m)
		return hull_fail(err, HULL_ENOTSUP, 906, "this machine has no PCI");
	s.gpa = hull_place_find(p, m->ecam, m->ecam_end, HULL_PCI_ECAM_BYTES);
	p->pci_irq = hull_place_irqs(p, m->irq, HULL_PCI_PINS);
	if (!s.gpa || !p->pci_irq)
		return hull_fail(err, HULL_ENOMEM, 906,
		                 "there is no free address or interrupt for PCI");
	r = hull_place_add(p, &s, p->pci_irq, &p->pci, err);
	return r ? r : open_windows(p, err);
}

int hull_board_pci_add(struct hull_places *p, const struct hull_device_config *dc,
                       struct hull_dev_setup *s, struct hull_err *err)
{
	bool virtio = s->type->node && hull_text_eq(s->type->node, "virtio_mmio");
	char name[HULL_NAME_MAX];
	struct hull_dev *d = NULL;
	int r;

	if (!virtio || dc->gpa || dc->irq)
		return hull_fail(err, HULL_EINVAL, 906, "a \"%s\" cannot be on PCI%s", dc->type,
		                 virtio ? " at a fixed address or interrupt" : "");
	if (!dc->name[0]) {
		hull_format(name, sizeof(name), "%s-pci%u", dc->type, p->n);
		s->name = name;
	}
	s->off_bus = true;
	r = hull_place_add(p, s, 0, &d, err);
	return r ? r : hull_virtio_pci_create(p->pci, d, 0, err);
}

static uint32_t *put64(uint32_t *cell, uint64_t val)
{
	*cell++ = (uint32_t)(val >> 32);
	*cell++ = (uint32_t)val;
	return cell;
}

static void prop_ranges(struct hull_fdt_writer *w, struct hull_dev *host)
{
	static const uint32_t space[HULL_PCI_SPACES] = { [HULL_PCI_IO] = 0x01000000,
		                                         [HULL_PCI_MEM32] = 0x02000000,
		                                         [HULL_PCI_MEM64] = 0x43000000 };
	uint32_t cells[7 * HULL_PCI_SPACES], *at = cells;

	for (int i = 0; i < HULL_PCI_SPACES; i++) {
		const struct hull_pci_window *win =
			hull_pci_host_window_of(host, (enum hull_pci_space)i);

		if (!win || win->space != HULL_SPACE_MMIO)
			continue;
		*at++ = space[i];
		at = put64(at, win->pci);
		at = put64(at, win->base);
		at = put64(at, win->size);
	}
	hull_fdt_prop_cells(w, "ranges", cells, (uint32_t)(at - cells));
}

/* Four devices with four pins each; the others repeat them. */
static void prop_interrupts(struct hull_fdt_writer *w, const struct hull_board_pci_irqs *irqs)
{
	const uint32_t mask[] = { (HULL_PCI_PINS - 1) << 11, 0, 0, 7 };
	uint32_t cells[HULL_PCI_PINS * HULL_PCI_PINS * (5 + HULL_BOARD_PCI_CELLS)], *at = cells;

	for (unsigned slot = 0; slot < HULL_PCI_PINS; slot++) {
		for (unsigned pin = 0; pin < HULL_PCI_PINS; pin++) {
			const uint32_t *line = irqs->cells[hull_pci_swizzle(slot, pin)];

			*at++ = slot << 11;
			at = put64(at, 0);
			*at++ = pin + 1;
			*at++ = irqs->intc;
			for (unsigned i = 0; i < MIN(irqs->ncells, HULL_BOARD_PCI_CELLS + 0U); i++)
				*at++ = line[i];
		}
	}
	hull_fdt_prop_u32(w, "#interrupt-cells", 1);
	hull_fdt_prop_cells(w, "interrupt-map-mask", mask, ARRAY_LEN(mask));
	hull_fdt_prop_cells(w, "interrupt-map", cells, (uint32_t)(at - cells));
}

void hull_board_pci_fdt(struct hull_fdt_writer *w, struct hull_dev *host,
                        const struct hull_board_pci_irqs *irqs)
{
	const uint32_t bus_range[] = { 0, 0 }, msi_map[] = { 0, irqs->msi, 0, 0x10000 };

	hull_fdt_begin_node_at(w, "pcie", host->gpa);
	hull_fdt_prop_string(w, "compatible", "pci-host-ecam-generic");
	hull_fdt_prop_string(w, "device_type", "pci");
	HULL_FDT_U64S(w, "reg", host->gpa, host->size);
	hull_fdt_prop_u32(w, "#address-cells", 3);
	hull_fdt_prop_u32(w, "#size-cells", 2);
	hull_fdt_prop_u32(w, "linux,pci-domain", 0);
	hull_fdt_prop_cells(w, "bus-range", bus_range, ARRAY_LEN(bus_range));
	hull_fdt_prop_empty(w, "dma-coherent");
	prop_ranges(w, host);
	prop_interrupts(w, irqs);
	if (irqs->msi)
		hull_fdt_prop_cells(w, "msi-map", msi_map, ARRAY_LEN(msi_map));
	hull_fdt_end_node(w);
}
