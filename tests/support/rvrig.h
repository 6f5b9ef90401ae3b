/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A riscv64 hart of the engine without a board: RAM, nothing else, the clock
 * stands still.  Driven through rv_interpret() or rv_evaluate() directly.
 */
#ifndef TESTS_SUPPORT_RVRIG_H
#define TESTS_SUPPORT_RVRIG_H

#include <hull/vm.h>

#include "engine/riscv64/hart.h"
#include "support/fake_hal.h"

struct rvrig {
	struct fake_hal hal;
	struct hull_vm *vm;
	struct rv_hart *hart;
	uint8_t *ram; /* host address of `base` */
	uint64_t base, size;
};

/* False if the machine cannot be made. */
bool rvrig_init(struct rvrig *r, uint64_t base, uint64_t size);
void rvrig_fini(struct rvrig *r);

/* Run until `insns` more are retired; returns the kind of exit. */
enum hull_exit_kind rvrig_run(struct rvrig *r, uint64_t insns);

#endif
