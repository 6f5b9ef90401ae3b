/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/tree.h"

#include "base/bits.h"
#include "base/mem.h"

uint32_t metal_tree_u32(const struct hull_fdt *t, uint32_t node, const char *name, uint32_t dflt)
{
	struct hull_fdt_prop p;
	uint32_t v = dflt;

	if (hull_fdt_get(t, node, name, &p))
		(void)hull_fdt_get_u32(&p, 0, &v);
	return v;
}

struct metal_cells metal_tree_cells(const struct hull_fdt *t, uint32_t node)
{
	return (struct metal_cells){ metal_tree_u32(t, node, "#address-cells", 2),
		                     metal_tree_u32(t, node, "#size-cells", 1) };
}

bool metal_tree_number(const struct hull_fdt_prop *p, uint32_t at, uint32_t cells, uint64_t *ret)
{
	uint32_t v;

	if (cells < 1 || cells > 2)
		return false;
	for (*ret = 0; cells; cells--, at++) {
		if (!hull_fdt_get_u32(p, at, &v))
			return false;
		*ret = *ret << 32 | v;
	}
	return true;
}

bool metal_tree_reg(const struct hull_fdt *t, uint32_t node, struct metal_cells c, uint32_t n,
                    struct hull_fdt_range *ret)
{
	uint32_t at = n * (c.address + c.size);
	struct hull_fdt_prop p;

	return c.address <= 2 && c.size <= 2 && hull_fdt_get(t, node, "reg", &p) &&
	       metal_tree_number(&p, at, c.address, &ret->start) &&
	       metal_tree_number(&p, at + c.address, c.size, &ret->length) &&
	       ret->start + ret->length >= ret->start;
}

bool metal_tree_is(const struct hull_fdt *t, uint32_t node, const char *name, const char *value)
{
	struct hull_fdt_prop p;
	const char *text;

	if (!hull_fdt_get(t, node, name, &p))
		return false;
	for (uint32_t i = 0; (text = hull_fdt_get_string(&p, i)); i++)
		if (hull_text_eq(text, value))
			return true;
	return false;
}

static void read_ram(const struct hull_fdt *t, uint32_t node, struct metal_cells c,
                     struct metal_memory *m)
{
	struct hull_fdt_range r;

	for (uint32_t i = 0; m->nram < METAL_MAX_RAM && metal_tree_reg(t, node, c, i, &r); i++)
		if (r.length)
			m->ram[m->nram++] = r;
}

/* What firmware keeps of the memory; more than there is room for is refused. */
static void reserve(struct metal_memory *m, struct hull_fdt_range r)
{
	if (m->nreserved < METAL_MAX_RESERVED)
		m->reserved[m->nreserved] = r;
	m->nreserved++;
}

static void read_reservations(const struct hull_fdt *t, struct metal_memory *m)
{
	const uint8_t *p = t->blob + t->reservations;

	for (uint32_t i = 0; i < t->reservation_count; i++, p += 16)
		reserve(m, (struct hull_fdt_range){ load_be64(p), load_be64(p + 8) });
}

static void read_reserved(const struct hull_fdt *t, uint32_t node, struct metal_memory *m)
{
	struct metal_cells c = metal_tree_cells(t, node);
	struct hull_fdt_range r;

	for (uint32_t n = hull_fdt_child(t, node); n != HULL_FDT_NONE; n = hull_fdt_sibling(t, n))
		for (uint32_t i = 0; metal_tree_reg(t, n, c, i, &r); i++)
			reserve(m, r);
}

static void read_chosen(const struct hull_fdt *t, uint32_t node, struct metal_memory *m)
{
	struct hull_fdt_prop p;

	if (!hull_fdt_get(t, node, "rng-seed", &p))
		return;
	m->seed = p.data;
	m->seed_bytes = p.len;
}

int metal_tree_memory(const struct hull_fdt *t, struct metal_memory *m, struct hull_err *err)
{
	struct metal_cells c = metal_tree_cells(t, hull_fdt_root(t));

	*m = (struct metal_memory){ 0 };
	read_reservations(t, m);
	for (uint32_t n = hull_fdt_child(t, hull_fdt_root(t)); n != HULL_FDT_NONE;
	     n = hull_fdt_sibling(t, n)) {
		if (hull_text_eq(hull_fdt_name(t, n), "chosen"))
			read_chosen(t, n, m);
		else if (hull_text_eq(hull_fdt_name(t, n), "reserved-memory"))
			read_reserved(t, n, m);
		else if (metal_tree_is(t, n, "device_type", "memory"))
			read_ram(t, n, c, m);
	}
	if (m->nreserved > METAL_MAX_RESERVED)
		return hull_fail(err, HULL_ENOTSUP, 0,
		                 "the machine's device tree reserves more than %u ranges of memory",
		                 METAL_MAX_RESERVED);
	return m->nram ? 0
	               : hull_fail(err, HULL_ENOTSUP, 0,
	                           "the machine's device tree names no memory");
}
