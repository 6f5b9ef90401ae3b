/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the machine is, from the device tree that it was started with.  What the tree does not say
 * is not assumed.
 */
#ifndef HULL_METAL_AARCH64_BOARD_H
#define HULL_METAL_AARCH64_BOARD_H

#include "metal/common/thread.h"
#include "metal/common/tree.h"

struct metal_board {
	struct metal_memory memory;
	uint64_t mpidr[METAL_MAX_CPUS];
	uint32_t ncpus; /* of the tree, at most METAL_MAX_CPUS */
	struct hull_fdt_range uart;
	uint32_t uart_irq;                /* interrupt id; 0: none */
	struct hull_fdt_range rtc;        /* PL031; length 0: none */
	struct hull_fdt_range gicd, gicr; /* GICv3; the first redistributor region */
	bool psci_hvc;
	uint32_t hyp_timer; /* interrupt ids */
	uint32_t virtual_timer;
	uint32_t maintenance;
};

/* A node of the machine's root that has registers; and its first interrupt. */
struct metal_node {
	struct hull_fdt_range reg;
	uint32_t intid; /* 0: none */
	bool edge;
};
bool metal_board_node(const struct hull_fdt *t, uint32_t node, struct metal_node *ret);

/* HULL_ENOTSUP, HULL_EFORMAT with what is missing. */
int metal_board_read(const struct hull_fdt *t, struct metal_board *b, struct hull_err *err);

#endif
