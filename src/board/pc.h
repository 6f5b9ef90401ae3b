/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The inside of the pc board: shared by its files only. */
#ifndef HULL_BOARD_PC_H
#define HULL_BOARD_PC_H

#include "board/place.h"

/*
 * The memory map.  RAM up to 3 GiB, the rest from 4 GiB on; everything of ours that the guest
 * finds when it starts is below 1 MiB, so images go above.
 */
#define PC_RAM_LOW_END UINT64_C(0xc0000000)
#define PC_RAM_HIGH    UINT64_C(0x100000000)
#define PC_PCI_MEM     UINT64_C(0xc0000000)
#define PC_VIRTIO      UINT64_C(0xd0000000)
#define PC_SMALL       UINT64_C(0xd0100000)
#define PC_SMALL_END   UINT64_C(0xd0200000)
#define PC_LARGE       UINT64_C(0xd1000000)
#define PC_LARGE_END   UINT64_C(0xe0000000)
#define PC_ECAM        UINT64_C(0xe0000000)
#define PC_ECAM_END    UINT64_C(0xe0100000)
#define PC_IOAPIC      UINT64_C(0xfec00000)
#define PC_LAPIC       UINT64_C(0xfee00000)
#define PC_MIB         UINT64_C(0x100000)

enum {
	PC_GDT = 0x500,
	PC_PVH = 0x6000,
	PC_PARAMS = 0x7000,
	PC_SEED = 0x8000,
	PC_TABLES = 0x9000,   /* HULL_X86_TABLES pages */
	PC_CMDLINE = 0x20000, /* up to 64 KiB */
	PC_EBDA = 0x9fc00,    /* where RAM below 640 KiB ends for the guest */
	PC_VGA = 0xa0000,
	PC_ACPI = 0xe0000,
	PC_ACPI_BYTES = 0x20000,
};

enum { PC_PCI_MEM_BYTES = 0x10000000, PC_PCI_IO = 0xc000, PC_PCI_IO_BYTES = 0x4000 };
enum { PC_PINS = 24, PC_IRQ_PIT = 2, PC_IRQ_RTC = 8, PC_IRQ_SCI = 9, PC_IOAPIC_ID = 0 };
enum { PC_PM_PORT = 0x600 };

struct pc {
	struct hull_places places;
	enum hull_irqchip where;
	struct hull_dev *lapic, *ioapic; /* NULL: below */
	struct hull_msi_sink below;      /* messages to local APICs that are not ours */
	struct hull_msi_sink *msi;       /* where messages of devices go */
};

/* Memory and registers for a start; a hull_board_loader. */
int hull_pc_load(struct hull_machine *m, struct hull_err *err);

/* Write the ACPI tables into guest memory at PC_ACPI.  HULL_EOVERFLOW (E0735), HULL_EFAULT. */
int hull_pc_acpi(struct pc *pc, struct hull_err *err);

#endif
