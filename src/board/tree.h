/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The parts of a device tree that boards share, made from the devices that exist.
 * Spec: Devicetree Specification 0.4.  A writer that is full stays full (fw/fdt.h).
 */
#ifndef HULL_BOARD_TREE_H
#define HULL_BOARD_TREE_H

#include "board/place.h"
#include "fw/boot.h"

/* Bytes that the tree needs at most, with `cpu_bytes` for each vCPU. */
uint64_t hull_tree_room(const struct hull_places *p, uint64_t cpu_bytes);

/* Begin "/soc", in which the nodes of devices are. */
void hull_tree_begin_soc(struct hull_fdt_writer *w);

/* Does it have a node?  Not if there is no binding, or PCI tells the guest of it. */
bool hull_tree_has(const struct hull_dev *d);

/* Begin a device's node: compatible, reg and its type's properties. */
void hull_tree_begin_device(struct hull_fdt_writer *w, const struct hull_dev *d);

void hull_tree_memory(struct hull_fdt_writer *w, const struct hull_vm_config *c);

/* "/chosen": command line, console, initrd, a seed of random bytes. */
void hull_tree_chosen(struct hull_fdt_writer *w, const struct hull_machine *m,
                      const struct hull_boot_layout *layout);

/* The user's own tree with what only we know: memory, command line, initrd, seed.  E0730..0733. */
int hull_tree_edit(const struct hull_machine *m, const struct hull_boot_layout *layout, void *buf,
                   size_t size, size_t *ret_size, struct hull_err *err);

#endif
