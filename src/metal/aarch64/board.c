/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Spec: Devicetree Specification v0.4, 2.3 and 3; Linux Documentation/devicetree/bindings:
 * arm/arm,gic-v3.yaml, arm/psci.yaml, timer/arm,arch_timer.yaml, serial/pl011.yaml.
 */
#include "metal/aarch64/board.h"

#include "base/bits.h"
#include "base/mem.h"

struct cells {
	uint32_t address, size;
};

static uint32_t u32_of(const struct hull_fdt *t, uint32_t node, const char *name, uint32_t dflt)
{
	struct hull_fdt_prop p;
	uint32_t v = dflt;

	if (hull_fdt_get(t, node, name, &p))
		(void)hull_fdt_get_u32(&p, 0, &v);
	return v;
}

static struct cells cells_of(const struct hull_fdt *t, uint32_t node)
{
	return (struct cells){ u32_of(t, node, "#address-cells", 2),
		               u32_of(t, node, "#size-cells", 1) };
}

static bool number(const struct hull_fdt_prop *p, uint32_t at, uint32_t cells, uint64_t *ret)
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

/* Entry `n` of a node's "reg"; `c` is its parent's. */
static bool reg(const struct hull_fdt *t, uint32_t node, struct cells c, uint32_t n,
                struct hull_fdt_range *ret)
{
	uint32_t at = n * (c.address + c.size);
	struct hull_fdt_prop p;

	return c.address <= 2 && c.size <= 2 && hull_fdt_get(t, node, "reg", &p) &&
	       number(&p, at, c.address, &ret->start) &&
	       number(&p, at + c.address, c.size, &ret->length) &&
	       ret->start + ret->length >= ret->start;
}

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
	if (!reg(t, node, cells_of(t, hull_fdt_root(t)), 0, &ret->reg) || !ret->reg.length)
		return false;
	ret->intid = interrupt(t, node, 0);
	if (ret->intid && hull_fdt_get(t, node, "interrupts", &p))
		(void)hull_fdt_get_u32(&p, 2, &flags);
	ret->edge = flags & 3; /* rising or falling */
	return true;
}

static bool is(const struct hull_fdt *t, uint32_t node, const char *name, const char *value)
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

static void read_memory(const struct hull_fdt *t, uint32_t node, struct cells c,
                        struct metal_board *b)
{
	struct hull_fdt_range r;

	for (uint32_t i = 0; b->nram < METAL_MAX_RAM && reg(t, node, c, i, &r); i++)
		if (r.length)
			b->ram[b->nram++] = r;
}

static void read_cpus(const struct hull_fdt *t, uint32_t node, struct metal_board *b)
{
	struct cells c = cells_of(t, node);
	struct hull_fdt_prop p;
	uint64_t id;

	for (uint32_t n = hull_fdt_child(t, node); n != HULL_FDT_NONE; n = hull_fdt_sibling(t, n))
		if (is(t, n, "device_type", "cpu") && b->ncpus < METAL_MAX_CPUS &&
		    hull_fdt_get(t, n, "reg", &p) && number(&p, 0, c.address, &id))
			b->mpidr[b->ncpus++] = id;
}

static void read_node(const struct hull_fdt *t, uint32_t node, struct cells c,
                      struct metal_board *b)
{
	if (is(t, node, "device_type", "memory")) {
		read_memory(t, node, c, b);
	} else if (is(t, node, "compatible", "arm,pl011") && !b->uart.length) {
		(void)reg(t, node, c, 0, &b->uart);
		b->uart_irq = interrupt(t, node, 0);
	} else if (is(t, node, "compatible", "arm,pl031") && !b->rtc.length) {
		(void)reg(t, node, c, 0, &b->rtc);
	} else if (is(t, node, "compatible", "arm,gic-v3")) {
		if (reg(t, node, c, 0, &b->gicd) && !reg(t, node, c, 1, &b->gicr))
			b->gicr.length = 0;
		b->maintenance = interrupt(t, node, 0);
	} else if (is(t, node, "compatible", "arm,armv8-timer")) {
		b->virtual_timer = interrupt(t, node, 2);
		b->hyp_timer = interrupt(t, node, 3);
	} else if (is(t, node, "compatible", "arm,psci-0.2")) {
		b->psci_hvc = is(t, node, "method", "hvc");
	}
}

/* What firmware keeps of the memory; more than there is room for is refused. */
static void reserve(struct metal_board *b, struct hull_fdt_range r)
{
	if (b->nreserved < METAL_MAX_RESERVED)
		b->reserved[b->nreserved] = r;
	b->nreserved++;
}

static void read_reservations(const struct hull_fdt *t, struct metal_board *b)
{
	const uint8_t *p = t->blob + t->reservations;

	for (uint32_t i = 0; i < t->reservation_count; i++, p += 16)
		reserve(b, (struct hull_fdt_range){ load_be64(p), load_be64(p + 8) });
}

static void read_reserved(const struct hull_fdt *t, uint32_t node, struct metal_board *b)
{
	struct cells c = cells_of(t, node);
	struct hull_fdt_range r;

	for (uint32_t n = hull_fdt_child(t, node); n != HULL_FDT_NONE; n = hull_fdt_sibling(t, n))
		for (uint32_t i = 0; reg(t, n, c, i, &r); i++)
			reserve(b, r);
}

static void read_chosen(const struct hull_fdt *t, uint32_t node, struct metal_board *b)
{
	struct hull_fdt_prop p;

	if (!hull_fdt_get(t, node, "rng-seed", &p))
		return;
	b->seed = p.data;
	b->seed_bytes = p.len;
}

int metal_board_read(const struct hull_fdt *t, struct metal_board *b, struct hull_err *err)
{
	struct cells c = cells_of(t, hull_fdt_root(t));
	const char *missing = NULL;

	*b = (struct metal_board){ 0 };
	read_reservations(t, b);
	for (uint32_t n = hull_fdt_child(t, hull_fdt_root(t)); n != HULL_FDT_NONE;
	     n = hull_fdt_sibling(t, n)) {
		if (hull_text_eq(hull_fdt_name(t, n), "cpus"))
			read_cpus(t, n, b);
		else if (hull_text_eq(hull_fdt_name(t, n), "chosen"))
			read_chosen(t, n, b);
		else if (hull_text_eq(hull_fdt_name(t, n), "reserved-memory"))
			read_reserved(t, n, b);
		else
			read_node(t, n, c, b);
	}
	if (b->nreserved > METAL_MAX_RESERVED)
		return hull_fail(err, HULL_ENOTSUP, 0,
		                 "the machine's device tree reserves more than %u ranges of memory",
		                 METAL_MAX_RESERVED);
	if (!b->nram)
		missing = "memory";
	else if (!b->ncpus)
		missing = "CPUs";
	else if (!b->gicd.length || !b->gicr.length || !b->maintenance)
		missing = "GICv3";
	else if (!b->hyp_timer || !b->virtual_timer)
		missing = "generic timer";
	return missing ? hull_fail(err, HULL_ENOTSUP, 0, "the machine's device tree names no %s",
	                           missing)
	               : 0;
}
