/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull run --lockstep ENGINE`: the same VM twice in one process, each with
 * its own engine, both deterministic.  After every slice of instructions all
 * registers must agree, now and then all memory.
 *
 * At the first difference both start again: a deterministic run repeats, so
 * the slice in which they part is found again and taken apart, instruction
 * by instruction; where that hides the difference (a translator may step
 * through short pieces) by the shortest piece that shows it.
 */
#ifndef HULL_APP_LOCKSTEP_H
#define HULL_APP_LOCKSTEP_H

#include "manage/options.h"

/*
 * Runs both to the end, the limit of the options, or a difference (E0804).
 * Returns the exit code; the report goes to stderr, in the form of `style`.
 */
int hull_app_lockstep(const struct hull_options *o, unsigned style);

#endif
