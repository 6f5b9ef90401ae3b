/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the engine has counted, for `hull run --engine-stats`. */
#ifndef HULL_APP_STATS_H
#define HULL_APP_STATS_H

#include <stdio.h>

#include <hull/vm.h>

/*
 * Print a table of what is not 0, or (HULL_REPORT_JSON in `style`) everything as one JSON object
 * with the numbers of each vCPU.  `guest_ns`: host time for which the VM ran; 0: not known.
 */
void hull_app_print_stats(FILE *out, struct hull_vm *vm, unsigned style, uint64_t guest_ns);

#endif
