/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * G-stage translation tables of RISC-V: Sv39x4, from guest-physical to physical addresses.
 *
 * Spec: Privileged ISA 20240411, "H" extension, "Two-Stage Address Translation"; 12.3.1 (entries).
 *
 * Pure: memory and fences come from the caller's struct hull_rv_gs_ops.  A table stays until the
 * space is given back.  Memory types are the machine's: HULL_MEM_DEVICE and _UNCACHED say nothing.
 *
 * Threading: the caller serialises map, unmap and protect of one space; hardware walks beside them.
 */
#ifndef HULL_ISA_RISCV64_GSTAGE_H
#define HULL_ISA_RISCV64_GSTAGE_H

#include <hull/types.h>

enum { HULL_RV_GS_BITS = 41, HULL_RV_GS_ROOT_PAGES = 4 };

struct hull_rv_gs_ops {
	/* A zeroed, physically contiguous and aligned block of `pages` (1 or 4); 0: none. */
	hull_hpa (*table_alloc)(void *arg, unsigned pages);
	void (*table_free)(void *arg, hull_hpa table, unsigned pages);
	/* Where a table can be read and written. */
	uint64_t *(*table_at)(void *arg, hull_hpa table);
	/* From now on every walk sees the tables as they are: HFENCE.GVMA wherever they are used.
	 */
	void (*flush)(void *arg, hull_gpa gpa, uint64_t bytes);
};

struct hull_rv_gs {
	const struct hull_rv_gs_ops *ops;
	void *arg;
	hull_hpa root;
};

/* hgatp without a VMID. */
uint64_t hull_rv_gs_hgatp(const struct hull_rv_gs *s);

/* HULL_ENOMEM. */
int hull_rv_gs_init(struct hull_rv_gs *s, const struct hull_rv_gs_ops *ops, void *arg);
/* Give all tables back.  No CPU may use them.  A zeroed space is fine. */
void hull_rv_gs_fini(struct hull_rv_gs *s);

/*
 * Map [gpa, gpa + len) to [pa, pa + len): page aligned, not 0, within 41 bits; attr is HULL_MEM_*.
 * Largest blocks first.  Rights that entries cannot express (writing without reading) are none.
 * HULL_EINVAL, HULL_EEXIST (something is mapped there), HULL_ENOMEM: what was mapped is undone.
 */
int hull_rv_gs_map(struct hull_rv_gs *s, hull_gpa gpa, hull_hpa pa, uint64_t len, unsigned attr);

/*
 * Undo mappings; parts of larger blocks are split off first.  What is not mapped stays so.
 * HULL_EINVAL; HULL_ENOMEM only if a block has to be split: nothing changed then.
 */
int hull_rv_gs_unmap(struct hull_rv_gs *s, hull_gpa gpa, uint64_t len);

/* New rights for what is mapped in the range.  Errors as for unmap. */
int hull_rv_gs_protect(struct hull_rv_gs *s, hull_gpa gpa, uint64_t len, unsigned attr);

/* The leaf that translates `gpa`; false: none. */
struct hull_rv_gs_leaf {
	hull_gpa gpa; /* of its first byte */
	hull_hpa pa;
	uint64_t bytes;
	unsigned attr; /* HULL_MEM_R, _W, _X */
};
bool hull_rv_gs_lookup(const struct hull_rv_gs *s, hull_gpa gpa, struct hull_rv_gs_leaf *ret);

#endif
