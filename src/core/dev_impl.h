/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Writing a device: one file with a state struct, a field table, and
 * HULL_DEVICE(name) = {...}.  tools/scan.py finds it; there is no list.
 *
 * All callbacks but post and fetch run under the device's lane, so device code is
 * single-threaded.  Guest mistakes are never errors: do what the hardware
 * does and call hull_guest_error().  Decode first, then perform.
 */
#ifndef HULL_CORE_DEV_IMPL_H
#define HULL_CORE_DEV_IMPL_H

#include <hull/error.h>
#include <hull/types.h>
#include "base/bits.h"
#include "core/backend.h"
#include "core/clock.h"
#include "core/dev.h"
#include "core/field.h"
#include "core/irq.h"
#include "core/lane.h"

#define HULL_DEVICE(id) const struct hull_dev_type hull_dev_type_##id

enum { HULL_DEV_IRQS = 2 * HULL_MAX_VCPUS, HULL_DEV_PROPS = 16 };

enum hull_backend_kind {
	HULL_BACKEND_NONE,
	HULL_BACKEND_CHAR,
	HULL_BACKEND_BLOCK,
	HULL_BACKEND_NET,
	HULL_BACKEND_VSOCK,
	HULL_BACKEND_PORTS, /* struct hull_ports */
	HULL_BACKEND_SHARE,
	HULL_BACKEND_IVC, /* struct hull_ivc_exchange (dev/ivc/ivc.h) */
};

/* A property: a number that the configuration may set. */
struct hull_prop {
	const char *name, *help;
	uint64_t dflt, min, max;
};

/* What a device adds to its device-tree node beside compatible, reg and interrupts. */
enum hull_dt_kind { HULL_DT_EMPTY, HULL_DT_U32, HULL_DT_STRING };
struct hull_dt_prop {
	const char *name;
	enum hull_dt_kind kind;
	uint32_t value;
	const char *text;
};

struct hull_dev {
	const struct hull_dev_type *type;
	struct hull_vm *vm;
	struct hull_lock lane;
	const char *name;
	hull_gpa gpa;
	uint64_t size;
	struct hull_dev_place first; /* where its registers are, or the first of several ranges */
	uint32_t index;
	unsigned nirqs;
	struct hull_irq *irq;          /* outputs: type->irqs of them */
	struct hull_msi_sink *msi;     /* for those that send messages; NULL: nowhere */
	uint64_t prop[HULL_DEV_PROPS]; /* values, in the order of type->props */
	void *backend;           /* struct hull_char, hull_block, hull_net, ...: by type->backend */
	struct hull_timer timer; /* calls type->timer under the lane */
	struct hull_irq_sink sink; /* calls type->input under the lane */
	bool refused;              /* hull_dev_refuse() was called; under the lane */
	uint64_t guest_errors;     /* atomic */
	uint64_t accesses;         /* atomic */
	uint64_t last_offset;      /* atomic: the guest's last access, for the boot doctor */
};

struct hull_dev_type {
	const char *name;       /* "pl031" */
	const char *summary;    /* one line for help and documentation */
	const char *compatible; /* device tree; several separated by ';' */
	const char *node;       /* device-tree node name without address: "serial", "rtc" */
	const char *acpi_id;    /* _HID in ACPI; NULL: the guest knows it otherwise */
	const struct hull_dt_prop *dt;
	unsigned ndt;
	size_t state_size; /* of a struct that begins with struct hull_dev */
	uint64_t region_size;
	uint8_t access_sizes; /* OR of the sizes 1, 2, 4, 8 that the guest may use */
	unsigned irqs;        /* interrupt outputs, at most HULL_DEV_IRQS */
	bool refuses;         /* calls hull_dev_refuse() */
	bool irqchip;         /* its lane has HULL_RANK_IRQCHIP, input() is called */
	enum hull_backend_kind backend;

	int (*init)(struct hull_dev *d, struct hull_err *err); /* may be NULL */
	/* Gives back what init took; without the lane.  May be NULL. */
	void (*fini)(struct hull_dev *d);
	void (*reset)(struct hull_dev *d);
	uint64_t (*read)(struct hull_dev *d, uint64_t off, unsigned size);
	void (*write)(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size);
	/*
	 * Before write, without the lane: true if this took care of the access, for doorbells of
	 * queues that have lanes of their own.  May be NULL.
	 */
	bool (*post)(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size);
	/* The same before read, for what passes accesses on to other devices.  May be NULL. */
	bool (*fetch)(struct hull_dev *d, uint64_t off, unsigned size, uint64_t *ret);
	void (*timer)(struct hull_dev *d); /* may be NULL */
	/* Interrupt controllers: input `n` changed. */
	void (*input)(struct hull_dev *d, uint32_t n, bool level);
	/* After all fields were loaded: re-arm timers, drive lines.  May be NULL. */
	void (*restored)(struct hull_dev *d);

	const struct hull_field *fields;
	unsigned nfields;
	const struct hull_prop *props;
	unsigned nprops;
};

/* A line into an interrupt controller: calls its type->input under its lane. */
struct hull_irq hull_dev_input(struct hull_dev *irqchip, uint32_t n);

/* Guest time, ns; and the guest's wall clock, s and ns since 1970 UTC. */
uint64_t hull_dev_now(struct hull_dev *d);
int64_t hull_wallclock_s(struct hull_dev *d);
int64_t hull_wallclock_ns(struct hull_dev *d);

/* Arm the device's timer for guest time `ns`; HULL_NEVER disarms. */
void hull_timer_at_ns(struct hull_dev *d, uint64_t ns);
/* The same for a wall-clock second. */
void hull_timer_at(struct hull_dev *d, int64_t wall_s);

/* Count and trace a guest mistake.  `what` is a constant text. */
void hull_guest_error(struct hull_dev *d, const char *what, uint64_t where);

/* In read() or write(): nobody answers, which the CPU turns into its bus error. */
void hull_dev_refuse(struct hull_dev *d);

/* Note the guest's access for counters and the boot doctor: for those that pass accesses on. */
void hull_dev_accessed(struct hull_dev *d, uint64_t off);

/* Take and leave the lane, for backend callbacks that come from elsewhere. */
void hull_dev_enter(struct hull_dev *d);
void hull_dev_leave(struct hull_dev *d);

/* Memory from the VM's arena, zeroed; NULL if exhausted.  In init() only. */
void *hull_dev_alloc(struct hull_dev *d, size_t bytes);

#endif
