/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Threads for a sealed VM: one per vCPU and one for timers, or a single one
 * if the configuration says deterministic.
 *
 * Threading: start, wait and free from one thread; anybody may shut the VM
 * down or pause it in between.
 */
#ifndef HULL_HOST_RUN_H
#define HULL_HOST_RUN_H

#include <hull/vm.h>

struct hull_run;

/*
 * Boot the VM (Ready or Stopped) and start its threads.  On failure the VM is
 * shut down and no thread is left.  When the VM has stopped, a 1 is added to
 * the event descriptor `event_fd` (-1: none).  What hull_vm_boot() says, or
 * HULL_ENOMEM.
 */
int hull_run_start(struct hull_vm *vm, int event_fd, struct hull_run **ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* Has the VM stopped, so that wait() returns at once? */
bool hull_run_over(const struct hull_run *r);

/* Wait for the VM to stop, end its threads, free `r`.  Returns why it stopped. */
enum hull_stop_reason hull_run_wait(struct hull_run *r);

#endif
