/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Device trees of boards; see tree.h. */
#include "board/tree.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/pci.h"

enum { DEVICE_ROOM = 512, FIXED_ROOM = 8192 + HULL_BOARD_PCI_FDT_BYTES };

uint64_t hull_tree_room(const struct hull_places *p, uint64_t cpu_bytes)
{
	const struct hull_boot *b = &p->machine->boot;
	uint64_t cmdline = b->cmdline ? hull_text_len(b->cmdline) : 0;

	if (b->dtb.data)
		return b->dtb.size + cmdline + FIXED_ROOM;
	return FIXED_ROOM + cmdline + hull_vm_vcpu_count(p->machine->vm) * cpu_bytes +
	       (uint64_t)(p->n + 8) * DEVICE_ROOM;
}

/* "a;b" as a list of texts. */
static void prop_compatible(struct hull_fdt_writer *w, const char *list)
{
	char bytes[128];
	size_t len = hull_text_len(list) + 1;

	if (len > sizeof(bytes))
		return;
	memcpy(bytes, list, len);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == ';')
			bytes[i] = '\0';
	}
	hull_fdt_prop_bytes(w, "compatible", bytes, len);
}

bool hull_tree_has(const struct hull_dev *d)
{
	return d->size && d->type->compatible && d->type->node;
}

void hull_tree_begin_device(struct hull_fdt_writer *w, const struct hull_dev *d)
{
	const struct hull_dev_type *t = d->type;

	hull_fdt_begin_node_at(w, t->node, d->gpa);
	prop_compatible(w, t->compatible);
	HULL_FDT_U64S(w, "reg", d->gpa, d->size);
	for (unsigned i = 0; i < t->ndt; i++) {
		const struct hull_dt_prop *p = &t->dt[i];

		switch (p->kind) {
		case HULL_DT_EMPTY: hull_fdt_prop_empty(w, p->name); break;
		case HULL_DT_U32: hull_fdt_prop_u32(w, p->name, p->value); break;
		case HULL_DT_STRING: hull_fdt_prop_string(w, p->name, p->text); break;
		}
	}
}

void hull_tree_begin_soc(struct hull_fdt_writer *w)
{
	hull_fdt_begin_node(w, "soc");
	hull_fdt_prop_u32(w, "#address-cells", 2);
	hull_fdt_prop_u32(w, "#size-cells", 2);
	hull_fdt_prop_string(w, "compatible", "simple-bus");
	hull_fdt_prop_empty(w, "ranges");
}

void hull_tree_memory(struct hull_fdt_writer *w, const struct hull_vm_config *c)
{
	const unsigned ram = HULL_MEM_R | HULL_MEM_W;

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];

		if ((r->attr & ram) != ram || r->attr & HULL_MEM_DEVICE)
			continue;
		hull_fdt_begin_node_at(w, "memory", r->gpa);
		hull_fdt_prop_string(w, "device_type", "memory");
		HULL_FDT_U64S(w, "reg", r->gpa, r->size);
		hull_fdt_end_node(w);
	}
}

void hull_tree_chosen(struct hull_fdt_writer *w, const struct hull_machine *m,
                      const struct hull_boot_layout *layout)
{
	uint8_t seed[32];
	char path[64];

	hull_random(m->vm, seed, sizeof(seed));
	hull_fdt_begin_node(w, "chosen");
	if (m->boot.cmdline)
		hull_fdt_prop_string(w, "bootargs", m->boot.cmdline);
	if (m->console) {
		hull_format(path, sizeof(path), "/soc/%s@%llx", m->console->type->node,
		            (unsigned long long)m->console->gpa);
		hull_fdt_prop_string(w, "stdout-path", path);
	}
	if (layout->initrd.length) {
		hull_fdt_prop_u64(w, "linux,initrd-start", layout->initrd.start);
		hull_fdt_prop_u64(w, "linux,initrd-end",
		                  layout->initrd.start + layout->initrd.length);
	}
	hull_fdt_prop_bytes(w, "rng-seed", seed, sizeof(seed));
	hull_fdt_end_node(w);
}

int hull_tree_edit(const struct hull_machine *m, const struct hull_boot_layout *layout, void *buf,
                   size_t size, size_t *ret_size, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(m->vm);
	const struct hull_boot *b = &m->boot;
	struct hull_fdt_range memory[HULL_MAX_REGIONS];
	struct hull_fdt_edit edit = { .bootargs = b->cmdline, .memory = memory };
	const unsigned ram = HULL_MEM_R | HULL_MEM_W;
	struct hull_fdt tree;
	uint8_t seed[32];
	int r;

	r = hull_fdt_check(b->dtb.data, b->dtb.size, &tree, err);
	if (r) {
		hull_err_where(err, "%s", b->dtb.name ? b->dtb.name : "--dtb");
		return r;
	}
	for (uint32_t i = 0; i < c->nregions; i++) {
		if ((c->regions[i].attr & ram) == ram && !(c->regions[i].attr & HULL_MEM_DEVICE))
			memory[edit.memory_count++] =
				(struct hull_fdt_range){ c->regions[i].gpa, c->regions[i].size };
	}
	hull_random(m->vm, seed, sizeof(seed));
	edit.rng_seed = seed;
	edit.rng_seed_len = sizeof(seed);
	edit.initrd = layout->initrd;
	return hull_fdt_apply(&tree, &edit, buf, size, ret_size, err);
}
