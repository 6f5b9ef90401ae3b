/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Spec: Devicetree Specification v0.4, 2.3 and 3; Linux Documentation/devicetree/bindings:
 * arm/arm,gic-v3.yaml, arm/psci.yaml, timer/arm,arch_timer.yaml, serial/pl011.yaml.
 */
#include "metal/aarch64/board.h"

#include "base/mem.h"

/* Interrupt `n` of a node in the GIC's three cells, as an interrupt id; 0: none. */
static uint32_t interrupt(const struct hull_fdt *t, uint32_t node, uint32_t n)
{
	struct hull_fdt_prop p;
	uint32_t kind, id;

	if (!hull_fdt_get(t, node, "interrupts", &p) || !hull_fdt_get_u32(&p, 3 * n, &kind) ||
	    !hull_fdt_get_u32(&p, 3 * n + 1, &id))
		return 0;
	return kind == 1 && id < 16 ? 16 + id : kind == 0 && id < 988 ? 32 + id : 0;
}

bool metal_board_node(const struct hull_fdt *t, uint32_t node, struct metal_node *ret)
{
	struct hull_fdt_prop p;
	uint32_t flags = 0;

	*ret = (struct metal_node){ 0 };
	if (!metal_tree_reg(t, node, metal_tree_cells(t, hull_fdt_root(t)), 0, &ret->reg) ||
	    !ret->reg.length)
		return false;
	ret->intid = interrupt(t, node, 0);
	if (ret->intid && hull_fdt_get(t, node, "interrupts", &p))
		(void)hull_fdt_get_u32(&p, 2, &flags);
	ret->edge = flags & 3; /* rising or falling */
	return true;
}

static void read_cpus(const struct hull_fdt *t, uint32_t node, struct metal_board *b)
{
	struct metal_cells c = metal_tree_cells(t, node);
	struct hull_fdt_prop p;
	uint64_t id;

	for (uint32_t n = hull_fdt_child(t, node); n != HULL_FDT_NONE; n = hull_fdt_sibling(t, n))
		if (metal_tree_is(t, n, "device_type", "cpu") && b->ncpus < METAL_MAX_CPUS &&
		    hull_fdt_get(t, n, "reg", &p) && metal_tree_number(&p, 0, c.address, &id))
			b->mpidr[b->ncpus++] = id;
}

static void read_node(const struct hull_fdt *t, uint32_t node, struct metal_cells c,
                      struct metal_board *b)
{
	if (metal_tree_is(t, node, "compatible", "arm,pl011") && !b->uart.length) {
		(void)metal_tree_reg(t, node, c, 0, &b->uart);
		b->uart_irq = interrupt(t, node, 0);
	} else if (metal_tree_is(t, node, "compatible", "arm,pl031") && !b->rtc.length) {
		(void)metal_tree_reg(t, node, c, 0, &b->rtc);
	} else if (metal_tree_is(t, node, "compatible", "arm,gic-v3")) {
		if (metal_tree_reg(t, node, c, 0, &b->gicd) &&
		    !metal_tree_reg(t, node, c, 1, &b->gicr))
			b->gicr.length = 0;
		b->maintenance = interrupt(t, node, 0);
	} else if (metal_tree_is(t, node, "compatible", "arm,armv8-timer")) {
		b->virtual_timer = interrupt(t, node, 2);
		b->hyp_timer = interrupt(t, node, 3);
	} else if (metal_tree_is(t, node, "compatible", "arm,psci-0.2")) {
		b->psci_hvc = metal_tree_is(t, node, "method", "hvc");
	}
}

int metal_board_read(const struct hull_fdt *t, struct metal_board *b, struct hull_err *err)
{
	struct metal_cells c = metal_tree_cells(t, hull_fdt_root(t));
	const char *missing = NULL;
	int r;

	*b = (struct metal_board){ 0 };
	r = metal_tree_memory(t, &b->memory, err);
	for (uint32_t n = hull_fdt_child(t, hull_fdt_root(t)); n != HULL_FDT_NONE;
	     n = hull_fdt_sibling(t, n)) {
		if (hull_text_eq(hull_fdt_name(t, n), "cpus"))
			read_cpus(t, n, b);
		else
			read_node(t, n, c, b);
	}
	if (r)
		return r;
	if (!b->ncpus)
		missing = "CPUs";
	else if (!b->gicd.length || !b->gicr.length || !b->maintenance)
		missing = "GICv3";
	else if (!b->hyp_timer || !b->virtual_timer)
		missing = "generic timer";
	return missing ? hull_fail(err, HULL_ENOTSUP, 0, "the machine's device tree names no %s",
	                           missing)
	               : 0;
}
