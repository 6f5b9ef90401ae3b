/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The bus: which device answers an address in one of three spaces.
 *
 * Ranges are half-open, sorted and never overlap.  An access must lie wholly
 * in one range and have a size that the device declared, and in the MMIO space
 * be naturally aligned; a system register counts as one address whatever its
 * size, and as 8 bytes of offset.  Anything else is answered with false, which the CPU turns into
 * the architecture's bus error.
 *
 * Threading: access from any vCPU thread; the device's lane is taken around
 * its callback.
 */
#ifndef HULL_CORE_BUS_H
#define HULL_CORE_BUS_H

#include <hull/accel.h>
#include <hull/error.h>
#include <hull/types.h>

struct hull_vm;
struct hull_dev;
struct hull_dev_place;

/* Read `size` (1, 2, 4, 8) bytes, zero-extended.  False: nobody there, *ret untouched. */
bool hull_bus_read(struct hull_vm *vm, enum hull_space space, uint64_t addr, unsigned size,
                   uint64_t *ret);
bool hull_bus_write(struct hull_vm *vm, enum hull_space space, uint64_t addr, unsigned size,
                    uint64_t value);

/*
 * Attach a device range.  HULL_EINVAL (empty, wraps), HULL_EEXIST (overlaps a
 * device or memory; the text names both), HULL_EOVERFLOW (table full).
 */
int hull_bus_attach(struct hull_vm *vm, enum hull_space space, uint64_t base, uint64_t size,
                    struct hull_dev *dev, struct hull_err *err);

/* The same for one of several ranges of a device, which need not begin at its offset 0. */
int hull_bus_attach_part(struct hull_vm *vm, const struct hull_dev_place *place,
                         struct hull_dev *dev, struct hull_err *err);

#endif
