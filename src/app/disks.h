/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The disks of a VM: from options to backends, and what happens to the VM
 * when the host cannot do what a disk asks for.
 *
 * A disk whose requests wait (on_error) pauses the VM; every second they are
 * tried again, and when all are done the VM goes on.
 *
 * Threading: one thread; failures may arrive from any.
 */
#ifndef HULL_APP_DISKS_H
#define HULL_APP_DISKS_H

#include <hull/vm.h>
#include "core/backend.h"
#include "manage/options.h"

enum { APP_DISKS = 16 };

struct app_disk;

/* Zeroed before use. */
struct app_disks {
	struct app_disk *disk[APP_DISKS];
	uint32_t n;
	bool paused; /* the VM, because of a disk */
	uint64_t tried_ns;
	/* Wakes who calls look(); from any thread.  May be NULL. */
	void (*announce)(void *arg);
	void *arg;
};

/*
 * Open element `i` of [[disk]]; it becomes the last of `d`, its backend *ret.
 * `at_once`: requests finish in submit(), for repeatable runs.  Errors of images and disks.
 */
int hull_app_disk_open(struct app_disks *d, const struct hull_options *o, uint32_t i, bool at_once,
                       struct hull_block **ret, struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Twice a second, and when announced: pause the VM or let it go on.  What to
 * say: 0 nothing, HULL_EIO the error in `err`, 1 all disks work again.
 */
int hull_app_disks_look(struct app_disks *d, struct hull_vm *vm,
                        struct hull_err *err) HULL_CHECK_RESULT;

/* The VM ends: finish what was submitted, without waiting for disks that fail. */
void hull_app_disks_quiet(struct app_disks *d);
void hull_app_disks_close(struct app_disks *d);

#endif
