/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the loaders of boards share: the memory that images go to, copying them there.
 * Threading: the loader runs wherever hull_vm_boot() and hull_vm_reset() do.
 */
#ifndef HULL_BOARD_LOAD_H
#define HULL_BOARD_LOAD_H

#include "board/board.h"
#include "fw/boot.h"

/* The memory that images go to: the largest region that is read, written and executed; or NULL. */
const struct hull_region_config *hull_board_memory(const struct hull_vm_config *c);

/* Copy an image as planned.  HULL_EFAULT (E0715). */
int hull_board_copy(const struct hull_machine *m, const struct hull_image_plan *p,
                    const struct hull_blob *b, struct hull_err *err);

/* Copy the initrd, if there is one, to where the layout has it.  HULL_EFAULT (E0720). */
int hull_board_put_initrd(const struct hull_machine *m, const struct hull_boot_layout *layout,
                          struct hull_err *err);

/* Call `fn` at each boot and reset, between boot.open() and boot.close(). */
void hull_board_set_loader(struct hull_machine *m, hull_board_loader fn);

/* HULL_EINVAL (E0750) if there is neither kernel nor firmware. */
int hull_board_has_image(const struct hull_machine *m, struct hull_err *err);

#endif
