/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ELF64, little-endian: recognising, planning and symbol lookup.
 *
 * Spec: System V ABI (gABI) chapters 4 and 5.  Files are hostile; nothing
 * outside `size` bytes is read, and every loop is bounded by it.
 * Threading: pure functions.
 */
#ifndef HULL_FW_ELF_H
#define HULL_FW_ELF_H

#include "fw/image_impl.h"

/* Which of our architectures an ELF64 file is for; false if none or no such file. */
bool hull_elf_isa(const void *data, size_t size, enum hull_isa *ret);

/* Plan an ELF file; called by hull_image_plan(). */
int hull_elf_plan(struct image_job *job) HULL_CHECK_RESULT;

struct hull_elf_symbol {
	const char *name; /* inside the file, NUL-terminated, not empty; may hold any bytes */
	hull_va value;
	uint64_t size; /* 0: unknown */
};

/*
 * The function or label that covers `addr`, or the nearest one before it
 * whose size is unknown.  False if the file has no symbol table or nothing
 * fits.  Reads the whole table: meant for reports, not for hot paths.
 */
bool hull_elf_symbol_at(const void *data, size_t size, hull_va addr, struct hull_elf_symbol *ret);

#endif
