/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Boards: which devices sit where, how that is told to the guest, and what
 * the first vCPU starts with.
 *
 * A file registers one with HULL_BOARD(name) = {...}.  To use one:
 *
 *	configure()	fills in what the configuration leaves open: memory
 *	hull_vm_create(), then fill in struct hull_machine
 *	build()		makes and wires the devices, sets loader and hypercalls
 *	hull_vm_seal(), hull_vm_boot()
 *
 * Threading: build phase only, from one thread; the loader runs wherever
 * hull_vm_boot() and hull_vm_reset() do.
 */
#ifndef HULL_BOARD_BOARD_H
#define HULL_BOARD_BOARD_H

#include <hull/config.h>
#include <hull/vm.h>
#include "core/dev.h"

#define HULL_BOARD(id) const struct hull_board hull_board_##id

struct hull_board;
struct hull_machine;

/* A file in memory.  `data` NULL: there is none. */
struct hull_blob {
	const void *data;
	size_t size;
	const char *name; /* for messages */
	bool has_at;      /* the user chose where it goes: */
	hull_gpa at;
};

/*
 * What the machine starts with.  The texts outlive the VM, the blobs need
 * their data during build() and between open() and close() only.
 */
struct hull_boot {
	struct hull_blob kernel, initrd, dtb, firmware;
	const char *cmdline; /* NULL: none */
	bool has_entry;      /* the user chose where the first vCPU starts: */
	hull_gpa entry;
	bool no_dtb; /* no device tree for the guest */

	/*
	 * Called by the loader, so that nobody has to keep a kernel in memory for
	 * a reset that may never come: open() provides the data of all blobs (and
	 * may fail the boot), close() may drop them.  NULL: the data just stay.
	 */
	int (*open)(struct hull_boot *b, struct hull_err *err);
	void (*close)(struct hull_boot *b);
	void *arg; /* the caller's */
};

/* Where things went, for inspection; valid after a boot. */
struct hull_placement {
	hull_gpa entry, dtb, initrd;
	uint64_t dtb_bytes;
};

/* Fills memory and the first vCPU's registers, with the data of all blobs at hand. */
typedef int (*hull_board_loader)(struct hull_machine *m, struct hull_err *err);

/* One machine; the caller's memory, zeroed, lives as long as the VM. */
/* A device of the host that the guest uses itself, as its device tree is to have it. */
struct hull_passed {
	const char *name;       /* of the host's node: up to "@" */
	const void *compatible; /* the property's bytes */
	uint32_t compatible_bytes;
	hull_gpa gpa;
	uint64_t size;
	uint32_t irq; /* interrupt id; 0: none */
	bool edge, coherent;
};

struct hull_machine {
	struct hull_vm *vm;
	const struct hull_board *board;
	struct hull_boot boot;
	void *state;              /* board->state_size zeroed bytes */
	struct hull_dev *console; /* set by build(): the first serial port, NULL if there is none */
	const struct hull_passed *passed; /* before boot(); the memory is the caller's */
	uint32_t npassed;
	struct hull_placement placed;
	hull_board_loader load; /* set by build() */
	bool booted;            /* memory is no longer fresh */
	struct hull_err error;  /* why the loader failed, for a reset that nobody waits for */
};

struct hull_board {
	const char *name, *summary;
	enum hull_isa isa;
	const char *serial; /* the device type of its serial ports */
	size_t state_size;

	/*
	 * Complete a configuration: `ram_bytes` of memory where the board has it,
	 * unless regions are given.  HULL_EINVAL (E0715) if they do not suit the board.
	 */
	int (*configure)(struct hull_vm_config *c, uint64_t ram_bytes, struct hull_err *err);

	/*
	 * Make the board's own devices and those of the configuration, and wire
	 * them; set the VM's loader and hypercall handler.  `backends` has one
	 * entry per config device, of the kind that its type wants, NULL for none.
	 * HULL_EINVAL (E0903: unknown type, E0906: no free place), or what a device says.
	 */
	int (*build)(struct hull_machine *m, void *const *backends, struct hull_err *err);
};

/* The registered boards, ending with NULL. */
extern const struct hull_board *const hull_boards[];

/* The first board of an architecture, or the one called `name` ("virt" is the first); or NULL. */
const struct hull_board *hull_board_find(enum hull_isa isa, const char *name);

#endif
