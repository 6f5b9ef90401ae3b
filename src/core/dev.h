/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Devices, as boards see them: create, wire, find.
 *
 * Lifetime: a device lives in the VM's arena, from hull_dev_create() until the
 * VM is destroyed.  Threading: build phase only, before hull_vm_seal().
 */
#ifndef HULL_CORE_DEV_H
#define HULL_CORE_DEV_H

#include <hull/error.h>
#include <hull/types.h>
#include "core/bus.h"
#include "core/irq.h"

struct hull_vm;
struct hull_dev;
struct hull_dev_type;

/* The registered device types, ending with NULL; and the one called `name`, or NULL. */
extern const struct hull_dev_type *const hull_dev_types[];
const struct hull_dev_type *hull_dev_type_find(const char *name);

/* One range of a device's registers in one of the spaces. */
struct hull_dev_place {
	enum hull_space space;
	uint64_t base, size;
	uint64_t offset; /* of its first address in the device */
};

struct hull_dev_setup {
	const struct hull_dev_type *type;
	const char *name;     /* unique in the VM; copied */
	hull_gpa gpa;         /* where its registers are; checked against everything else */
	const uint64_t *args; /* values of the type's properties; NULL or short: defaults */
	unsigned nargs;
	void *backend; /* what the type's backend kind says; may be NULL */
	/* Where its registers are if not all of them are memory at gpa. */
	const struct hull_dev_place *places;
	unsigned nplaces;
	bool off_bus; /* they are on no bus: a PCI function leads to the device */
};

/*
 * Create a device and attach it to the MMIO bus, or to its places.  HULL_EINVAL, HULL_EEXIST,
 * HULL_ENOMEM; or what the type's init says.
 */
int hull_dev_create(struct hull_vm *vm, const struct hull_dev_setup *setup, struct hull_dev **ret,
                    struct hull_err *err);

/* Connect interrupt output `n` of a device. */
void hull_dev_wire(struct hull_dev *dev, unsigned n, struct hull_irq line);

/* Say where the messages of a device that sends some go. */
void hull_dev_wire_msi(struct hull_dev *dev, struct hull_msi_sink *sink);

/* The `i`-th device in order of creation, or NULL; the one called `name`, or NULL. */
struct hull_dev *hull_dev_at(struct hull_vm *vm, uint32_t i);
struct hull_dev *hull_dev_find(struct hull_vm *vm, const char *name);

#endif
