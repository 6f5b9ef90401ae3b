/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Pages of a channel between VMs, apart from any VM: for who brings VMs together.
 *
 * They are counted: each VM that shows them has one reference, and gives it back when it unmaps
 * them or ends (hull_vm_ivc_free()).  Threading: any thread.
 */
#ifndef HULL_CORE_IVC_H
#define HULL_CORE_IVC_H

#include <hull/vm.h>

struct hull_ivc_pages;

/* Zeroed pages with one reference, the caller's; NULL: no memory, or 0 bytes. */
struct hull_ivc_pages *hull_ivc_pages_new(const struct hull_hal *hal, uint64_t bytes);
uint64_t hull_ivc_pages_bytes(const struct hull_ivc_pages *p);
void hull_ivc_pages_get(struct hull_ivc_pages *p);
void hull_ivc_pages_put(struct hull_ivc_pages *p);

/*
 * Map pages into the VM's window, which takes one reference over, on failure, too.  HULL_ENOMEM:
 * the window is full.
 */
int hull_vm_ivc_show(struct hull_vm *vm, struct hull_ivc_pages *pages, hull_gpa *ret_gpa,
                     struct hull_err *err);

#endif
