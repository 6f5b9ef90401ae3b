/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What an x86_64 kernel finds when it starts: Linux's boot parameters or PVH's start info, page
 * tables, segments.
 *
 * Specs: Linux Documentation/arch/x86/boot.rst (64-bit boot protocol) and zero-page.rst; Xen
 * public/arch-x86/hvm/start_info.h and docs/misc/pvh.pandoc (PVH); Intel SDM vol. 3, chapter 4.
 *
 * Writers fill buffers that the caller copies into guest memory.  Threading: pure.
 */
#ifndef HULL_FW_X86BOOT_H
#define HULL_FW_X86BOOT_H

#include <hull/error.h>
#include <hull/types.h>

enum { HULL_E820_RAM = 1, HULL_E820_RESERVED = 2, HULL_E820_MAX = 32 };

struct hull_e820 {
	hull_gpa start;
	uint64_t length;
	uint32_t type;
};

/* Addresses of what lies in guest memory; 0: there is none. */
struct hull_x86_boot {
	const struct hull_e820 *map;
	unsigned nmap; /* at most HULL_E820_MAX */
	hull_gpa rsdp, cmdline, setup_data;
	hull_gpa initrd;
	uint64_t initrd_bytes;
};

/*
 * Linux's boot parameters, one page.  `kernel` is a bzImage that hull_bzimage_check() has passed,
 * whose header is copied, or NULL for a kernel without one.
 */
void hull_x86_boot_params(const struct hull_x86_boot *b, const void *kernel, uint8_t page[4096]);

/* A setup_data node with a seed for the kernel's random numbers; returns its length. */
enum { HULL_X86_SEED_BYTES = 16 + 32 };
void hull_x86_seed(const uint8_t seed[32], uint8_t node[HULL_X86_SEED_BYTES]);

/* PVH's start info, module and memory map, for the address `at`; one page. */
void hull_x86_pvh_info(const struct hull_x86_boot *b, hull_gpa at, uint8_t page[4096]);

/*
 * Page tables that map the first 4 GiB to themselves by 2 MiB pages: page number `n` of
 * HULL_X86_TABLES that lie one after the other from `at` on; the first is the root.
 */
enum { HULL_X86_TABLES = 6 };
void hull_x86_page_table(unsigned n, hull_gpa at, uint8_t page[4096]);

/* Descriptors at the selectors that both protocols want; see hull_x86_segments. */
enum {
	HULL_X86_CODE64 = 0x10,
	HULL_X86_DATA = 0x18,
	HULL_X86_TSS = 0x20,
	HULL_X86_CODE32 = 0x30,
	HULL_X86_GDT_BYTES = 0x38
};
void hull_x86_gdt(uint8_t gdt[HULL_X86_GDT_BYTES]);

#endif
