/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The machine's device tree: what every board reads, and how.
 *
 * Spec: Devicetree Specification v0.4, 2.3, 3 and 5.3.
 */
#ifndef HULL_METAL_COMMON_TREE_H
#define HULL_METAL_COMMON_TREE_H

#include "fw/fdt.h"

enum { METAL_MAX_RAM = 8, METAL_MAX_RESERVED = 32 };

struct metal_memory {
	struct hull_fdt_range ram[METAL_MAX_RAM];
	uint32_t nram;
	struct hull_fdt_range reserved[METAL_MAX_RESERVED]; /* of it: somebody else's */
	uint32_t nreserved;
	const void *seed; /* /chosen/rng-seed, in the tree; NULL: none */
	uint32_t seed_bytes;
};

/* HULL_ENOTSUP: there is none, or too much is reserved. */
int metal_tree_memory(const struct hull_fdt *t, struct metal_memory *ret, struct hull_err *err);

/* What a node says of its children's "reg". */
struct metal_cells {
	uint32_t address, size;
};
struct metal_cells metal_tree_cells(const struct hull_fdt *t, uint32_t node);

/* The number of `cells` cells (1 or 2) from cell `at` on; false: there is none. */
bool metal_tree_number(const struct hull_fdt_prop *p, uint32_t at, uint32_t cells, uint64_t *ret);

/* Entry `n` of a node's "reg"; `c` is its parent's. */
bool metal_tree_reg(const struct hull_fdt *t, uint32_t node, struct metal_cells c, uint32_t n,
                    struct hull_fdt_range *ret);

/* A property that is one cell. */
uint32_t metal_tree_u32(const struct hull_fdt *t, uint32_t node, const char *name, uint32_t dflt);

/* Is one of the strings of property `name` this one? */
bool metal_tree_is(const struct hull_fdt *t, uint32_t node, const char *name, const char *value);

#endif
