/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A board's devices: where those go that do not say so themselves, and their interrupts.
 * Shared by boards; build phase only, from one thread.
 */
#ifndef HULL_BOARD_PLACE_H
#define HULL_BOARD_PLACE_H

#include "board/board.h"
#include "core/dev_impl.h"

enum { HULL_PLACES = HULL_MAX_DEVICES + 8, HULL_PLACE_IRQS = 256 };

struct hull_places;

/* Addresses and interrupt numbers that a board gives away. */
struct hull_place_map {
	const char *serial; /* device type; the first one goes to: */
	hull_gpa serial_at;
	uint32_t serial_irq;
	hull_gpa virtio;       /* slots of a page each, */
	uint32_t virtio_slots; /* whose interrupts follow each other: */
	uint32_t virtio_irq;
	hull_gpa small, small_end;        /* other devices of at most a page */
	hull_gpa large, large_end;        /* the rest */
	uint32_t irq, last_irq;           /* interrupts of others: from, and the highest of all */
	const struct hull_place_pci *pci; /* NULL: no PCI */
	/*
	 * Serial ports at ports of the processor instead of serial_at: fills in *place and, unless
	 * it is given, *irq (0: any), or answers false.  NULL: the machine has no such ports.
	 */
	bool (*choose_ports)(const struct hull_places *p, struct hull_dev_setup *s,
	                     struct hull_dev_place *place, uint32_t *irq);
};

/* Where PCI goes (board/pci.h), if a device is on it. */
struct hull_place_pci {
	hull_gpa ecam, ecam_end; /* somewhere there */
	hull_gpa mem;            /* for 32-bit BARs; those of 64 bits are behind all memory */
	uint64_t mem_bytes;
	enum hull_space io_space;
	uint64_t io, io_bytes, io_pci;
	uint32_t irq; /* four in a row, from here on */
};

/* A device and its first interrupt (0: none). */
struct hull_place {
	struct hull_dev *dev;
	uint32_t irq;
};

struct hull_places {
	struct hull_machine *machine;
	const struct hull_place_map *map;
	/* The line that is interrupt `irq` (not 0) of this board. */
	struct hull_irq (*line)(const struct hull_places *p, uint32_t irq);
	struct hull_place at[HULL_PLACES];
	unsigned n;
	struct hull_dev *pci; /* the host bridge, if a device is on PCI */
	uint32_t pci_irq;     /* the first of its four interrupts */
	uint64_t irqs_used[HULL_PLACE_IRQS / 64];
};

/* Interrupts from `irq` on are taken. */
void hull_place_use(struct hull_places *p, uint32_t irq, uint32_t n);

/* `n` unused interrupts in a row from `first` on; a free place in [from, end).  0: there is none.
 */
uint32_t hull_place_irqs(const struct hull_places *p, uint32_t first, uint32_t n);
hull_gpa hull_place_find(const struct hull_places *p, hull_gpa from, hull_gpa end, uint64_t size);

/*
 * Make a device; its outputs are interrupts from `irq` on, or (0) wired by the caller.
 * HULL_ENOTSUP (E0903: no such type), HULL_EOVERFLOW (E0906), or what the device says.
 */
int hull_place_add(struct hull_places *p, const struct hull_dev_setup *s, uint32_t irq,
                   struct hull_dev **ret, struct hull_err *err);

/*
 * Make the devices of the configuration, after the board's own; `backends` as in hull_board.build.
 * Sets machine->console to the first serial port.  E0903, E0906, or what a device says.
 */
int hull_place_configured(struct hull_places *p, void *const *backends, struct hull_err *err);

#endif
