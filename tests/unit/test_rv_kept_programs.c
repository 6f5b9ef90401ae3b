/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The random programs of test_rv_programs.c, with code of every tier that earlier runs of them
 * kept. */
#define INIT_RIGHT rvrig_init_opt(&right, BASE, PAGES * 4096, 0, seed)
#define KEEPS
#include "test_rv_programs.c"
