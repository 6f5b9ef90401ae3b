/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The random programs of test_rv_programs.c, with tier 2 and with changes of the tier at random. */
#define INIT_RIGHT rvrig_init_opt(&right, BASE, PAGES * 4096, 0, seed)
#include "test_rv_programs.c"
