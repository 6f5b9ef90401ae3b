/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Editing a device tree by copying it: the structure block is read token by
 * token and written again, with properties left out and put in on the way.
 *
 * Spec: Devicetree Specification v0.4, 3.4 (memory) and 3.6 (chosen); Linux
 * Documentation/devicetree/bindings/chosen.txt for linux,initrd-* and the seeds.
 */
#include "fw/fdt.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define MAX_REG_CELLS 256 /* 64 ranges of four cells */

struct copy {
	const struct hull_fdt *from;
	const struct hull_fdt_edit *edit;
	struct hull_fdt_writer w;
	unsigned depth;
	bool in_chosen; /* the open child of the root is /chosen */
	bool put_chosen, put_memory;
	uint32_t reg[MAX_REG_CELLS]; /* the new memory in the root's cells */
	size_t reg_cells;
};

/* One number in `cells` big-endian cells; false if it does not fit in them. */
static bool encode(struct copy *c, uint64_t value, uint32_t cells)
{
	if (!cells || cells > 2 || (cells == 1 && value > UINT32_MAX))
		return false;
	if (c->reg_cells + cells > MAX_REG_CELLS)
		return false;
	if (cells == 2)
		c->reg[c->reg_cells++] = (uint32_t)(value >> 32);
	c->reg[c->reg_cells++] = (uint32_t)value;
	return true;
}

static int encode_memory(struct copy *c, struct hull_err *err)
{
	uint32_t root = hull_fdt_root(c->from);
	uint32_t address_cells = 2, size_cells = 1; /* defaults: spec 2.3.5 */
	struct hull_fdt_prop prop;
	size_t i;

	if (hull_fdt_get(c->from, root, "#address-cells", &prop))
		hull_fdt_get_u32(&prop, 0, &address_cells);
	if (hull_fdt_get(c->from, root, "#size-cells", &prop))
		hull_fdt_get_u32(&prop, 0, &size_cells);
	for (i = 0; i < c->edit->memory_count; i++) {
		const struct hull_fdt_range *m = &c->edit->memory[i];

		if (encode(c, m->start, address_cells) && encode(c, m->length, size_cells))
			continue;
		hull_fail(err, HULL_EINVAL, 734,
		          "the device tree cannot describe %llu bytes of memory at 0x%llx: "
		          "#address-cells is %u, #size-cells is %u",
		          (unsigned long long)m->length, (unsigned long long)m->start,
		          address_cells, size_cells);
		hull_err_fix(err, "set both to <2> in the root node of the tree");
		return HULL_EINVAL;
	}
	return 0;
}

/* Does `edit` give /chosen a new value for this property? */
static bool replaces(const struct hull_fdt_edit *edit, const char *name)
{
	if (hull_text_eq(name, "bootargs"))
		return edit->bootargs;
	if (hull_text_eq(name, "stdout-path"))
		return edit->stdout_path;
	if (hull_text_eq(name, "linux,initrd-start") || hull_text_eq(name, "linux,initrd-end"))
		return edit->initrd.length;
	if (hull_text_eq(name, "rng-seed") || hull_text_eq(name, "kaslr-seed"))
		return edit->rng_seed_len;
	return false;
}

static void put_chosen_props(struct copy *c)
{
	const struct hull_fdt_edit *e = c->edit;

	if (c->put_chosen)
		return;
	c->put_chosen = true;
	if (e->bootargs)
		hull_fdt_prop_string(&c->w, "bootargs", e->bootargs);
	if (e->stdout_path)
		hull_fdt_prop_string(&c->w, "stdout-path", e->stdout_path);
	if (e->initrd.length) {
		hull_fdt_prop_u64(&c->w, "linux,initrd-start", e->initrd.start);
		hull_fdt_prop_u64(&c->w, "linux,initrd-end", e->initrd.start + e->initrd.length);
	}
	if (e->rng_seed_len)
		hull_fdt_prop_bytes(&c->w, "rng-seed", e->rng_seed, e->rng_seed_len);
}

/* What the root still lacks when it ends. */
static void put_missing(struct copy *c)
{
	if (!c->put_memory && c->edit->memory_count) {
		hull_fdt_begin_node_at(&c->w, "memory", c->edit->memory[0].start);
		hull_fdt_prop_string(&c->w, "device_type", "memory");
		hull_fdt_prop_cells(&c->w, "reg", c->reg, c->reg_cells);
		hull_fdt_end_node(&c->w);
	}
	if (!c->put_chosen) {
		hull_fdt_begin_node(&c->w, "chosen");
		put_chosen_props(c);
		hull_fdt_end_node(&c->w);
	}
}

static bool is_memory(const struct hull_fdt *t, uint32_t node)
{
	struct hull_fdt_prop prop;
	const char *type = NULL;

	if (hull_fdt_get(t, node, "device_type", &prop))
		type = hull_fdt_get_string(&prop, 0);
	return hull_text_eq(type, "memory");
}

/*
 * A memory node of the old tree: the first is kept under its new address for
 * the sake of its other properties (a phandle, say), the rest disappear.
 * Returns where to read on.
 */
static uint32_t replace_memory(struct copy *c, const struct hull_fdt_token *node)
{
	struct hull_fdt_token tok = *node;
	struct hull_fdt_prop prop = { 0 };
	unsigned depth = 0;

	if (!c->put_memory) {
		c->put_memory = true;
		hull_fdt_begin_node_at(&c->w, "memory", c->edit->memory[0].start);
		while (hull_fdt_next_prop(c->from, node->at, &prop))
			if (!hull_text_eq(prop.name, "reg"))
				hull_fdt_prop_bytes(&c->w, prop.name, prop.data, prop.len);
		hull_fdt_prop_cells(&c->w, "reg", c->reg, c->reg_cells);
		hull_fdt_end_node(&c->w);
	}
	do {
		if (tok.kind == HULL_FDT_BEGIN_NODE)
			depth++;
		else if (tok.kind == HULL_FDT_END_NODE)
			depth--;
		if (!depth)
			return tok.next;
		tok = hull_fdt_token(c->from, tok.next);
	} while (tok.kind != HULL_FDT_BAD && tok.kind != HULL_FDT_END);
	return tok.at;
}

static uint32_t copy_node(struct copy *c, const struct hull_fdt_token *tok)
{
	if (c->depth == 1) {
		if (c->edit->memory_count && is_memory(c->from, tok->at))
			return replace_memory(c, tok);
		c->in_chosen = !c->put_chosen && hull_text_eq(tok->prop.name, "chosen");
	} else if (c->depth == 2 && c->in_chosen) {
		put_chosen_props(c);
	}
	/* The root is called "" whatever the old tree called it. */
	hull_fdt_begin_node(&c->w, c->depth ? tok->prop.name : "");
	c->depth++;
	return tok->next;
}

static void copy_end(struct copy *c)
{
	if (c->depth == 2 && c->in_chosen) {
		put_chosen_props(c);
		c->in_chosen = false;
	} else if (c->depth == 1) {
		put_missing(c);
	}
	hull_fdt_end_node(&c->w);
	c->depth--;
}

static void copy_structure(struct copy *c)
{
	struct hull_fdt_token tok = hull_fdt_token(c->from, 0);
	uint32_t next;

	while (tok.kind != HULL_FDT_END && tok.kind != HULL_FDT_BAD && !c->w.error) {
		next = tok.next;
		if (tok.kind == HULL_FDT_BEGIN_NODE)
			next = copy_node(c, &tok);
		else if (tok.kind == HULL_FDT_END_NODE)
			copy_end(c);
		else if (c->depth != 2 || !c->in_chosen || !replaces(c->edit, tok.prop.name))
			hull_fdt_prop_bytes(&c->w, tok.prop.name, tok.prop.data, tok.prop.len);
		tok = hull_fdt_token(c->from, next);
	}
}

int hull_fdt_apply(const struct hull_fdt *t, const struct hull_fdt_edit *edit, void *buf,
                   size_t size, size_t *ret_size, struct hull_err *err)
{
	struct copy c = { .from = t, .edit = edit };
	hull_gpa start;
	uint64_t length, end;
	uint32_t i;
	int rc;

	if (!hull_add(edit->initrd.start, edit->initrd.length, &end))
		return hull_fail(err, HULL_EINVAL, 734, "the initrd's address range wraps around");
	rc = encode_memory(&c, err);
	if (rc)
		return rc;
	hull_fdt_begin(&c.w, buf, size);
	c.w.boot_cpu = t->boot_cpu;
	for (i = 0; hull_fdt_reservation(t, i, &start, &length); i++)
		hull_fdt_reserve(&c.w, start, length);
	copy_structure(&c);
	return hull_fdt_finish(&c.w, ret_size, err);
}
