/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A virtio device behind a PCI function: any accesses to its configuration space, registers and
 * MSI-X table, with rings that hold anything.
 *
 * Input: one byte that selects the device and whether it is started, then steps of 9 bytes:
 * operation, place (4), value (4).
 */
#include <string.h>

#include "core/aspace.h"
#include "core/bus.h"
#include "support/backends.h"
#include "support/pcirig.h"
#include "support/vdriver.h"

enum { STEP = 9, FN = 2 << 3, STATE = 1 << 20 };

static const char *const types[] = { "virtio-rng",     "virtio-blk",   "virtio-net",
	                             "virtio-console", "virtio-9p",    "virtio-balloon",
	                             "virtio-vsock",   "virtio-serial" };

struct env {
	struct pcirig *p;
	struct rig_dev *d, fn;
};

static void registers(struct env *e, unsigned op, uint32_t where, unsigned size, uint32_t val)
{
	static const uint16_t pages[] = { 0, 0x1000, 0x2000, 0x3000 };
	uint64_t at = e->d->pci_regs + pages[where >> 30] + (where & 0x3f), got;

	if (op & 1)
		hull_bus_write(e->p->rig->vm, HULL_SPACE_MMIO, at, size, val);
	else
		hull_bus_read(e->p->rig->vm, HULL_SPACE_MMIO, at, size, &got);
}

static void table(struct env *e, uint32_t where, unsigned size, uint32_t val)
{
	uint64_t at = PCI_MEM + FN * 0x1000 + where % 0x1000, got;

	hull_bus_write(e->p->rig->vm, HULL_SPACE_MMIO, at, size, val);
	hull_bus_read(e->p->rig->vm, HULL_SPACE_MMIO, at, size, &got);
}

static void reload(struct env *e, uint32_t where, uint32_t val)
{
	static uint8_t buf[STATE];
	struct rig_dev *d = where & 1 ? &e->fn : e->d;
	size_t len = rig_save(d, buf, STATE);

	store_le32(buf + where % (len - 4), val);
	rig_load(d, buf, len);
}

static void step(struct env *e, const uint8_t *in)
{
	unsigned size = 1U << (in[0] >> 4 & 3);
	uint32_t where = load_le32(in + 1), val = load_le32(in + 5);
	uint64_t got;

	switch (in[0] & 15) {
	case 0: rig_clock(e->p->rig, hull_clock_now(e->p->rig->vm) + val); break;
	case 1: rig_write(e->p->host, FN * 4096 + where % 256, size, val); break;
	case 2: rig_read(e->p->host, FN * 4096 + where % 256, size, &got); break;
	case 3: table(e, where, size, val); break;
	case 4: hull_mem_write(e->p->rig->vm, RIG_RAM + where % 0x4000, in + 5, 4); break;
	case 5:
		v_desc(e->p->rig, V_AT(RIG_RAM, where % 8), RIG_RAM + (val & 0xffff), val >> 16,
		       (uint16_t)(where >> 8 & 7), (uint16_t)(where >> 12 & 7));
		break;
	case 6: v_set(e->d, V_NOTIFY, val % 64); break;
	case 7: reload(e, where, val); break;
	case 8: rig_reset(e->d); break;
	default: registers(e, in[0], where, size, val);
	}
}

/* A driver that got as far as DRIVER_OK, by messages. */
static void begin(struct env *e)
{
	struct vqueue q;

	pci_set(e->p, FN, pci_cap(e->p, FN, 0x11, 0) + 2, 2, 0x8000);
	if (v_negotiate(e->d, VF_INDIRECT) && v_queue(e->d, 0, RIG_RAM, 8, &q))
		v_set(e->d, V_STATUS, 15);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct hull_dev_type *type;
	struct env e;
	void *backend;

	if (!size)
		return 0;
	type = hull_dev_type_find(types[data[0] % ARRAY_LEN(types)]);
	e.p = pcirig_new();
	backend = backends_new(type);
	e.d = pcirig_add_virtio(e.p, type->name, FN, backend);
	e.fn = (struct rig_dev){ .rig = e.p->rig, .dev = hull_dev_find(e.p->rig->vm, "dev1.pci") };
	if (data[0] & 0x80)
		begin(&e);
	for (size_t at = 1; size - at >= STEP; at += STEP)
		step(&e, data + at);
	pcirig_free(e.p);
	backends_free(type, backend);
	return 0;
}
