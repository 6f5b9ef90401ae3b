/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Stage-2 translation tables of AArch64, 4 KiB granule.
 *
 * Spec: Arm ARM (DDI 0487), D8.2 "Translation process", D8.3 "Translation table descriptor
 * formats", D8.16 "Use of break-before-make".
 *
 * Pure: memory, and the instructions that keep TLBs honest, come from the caller's struct
 * hull_a64_s2_ops, in the order in which they must happen; so the order can be tested anywhere.
 *
 * Threading: the caller serialises map, unmap and protect of one space; hardware walks beside them.
 */
#ifndef HULL_ISA_AARCH64_STAGE2_H
#define HULL_ISA_AARCH64_STAGE2_H

#include <hull/types.h>

struct hull_a64_s2_ops {
	/* A zeroed, physically contiguous and aligned block of `pages` (1, 2, 4, 8, 16); 0: none.
	 */
	hull_hpa (*table_alloc)(void *arg, unsigned pages);
	void (*table_free)(void *arg, hull_hpa table, unsigned pages);
	/* Where a table can be read and written. */
	uint64_t *(*table_at)(void *arg, hull_hpa table);
	/* A new valid descriptor is to be seen by walks: DSB ISHST. */
	void (*publish)(void *arg);
	/* No walk and no TLB of any CPU uses the old leaf at `ipa` (`bytes` long) any more. */
	void (*flush)(void *arg, hull_gpa ipa, uint64_t bytes);
};

struct hull_a64_s2 {
	const struct hull_a64_s2_ops *ops;
	void *arg;
	hull_hpa root;
	uint8_t ipa_bits;    /* 32..48 */
	uint8_t start_level; /* 0 or 1 */
	uint8_t root_pages;  /* concatenated tables of the start level */
};

/* VTCR_EL2 without VS, HA and HD: T0SZ, SL0, caches, shareability, PS = `parange`, RES1. */
uint64_t hull_a64_s2_vtcr(const struct hull_a64_s2 *s, unsigned parange);

/* HULL_ENOMEM; HULL_EINVAL if ipa_bits is not 32..48. */
int hull_a64_s2_init(struct hull_a64_s2 *s, const struct hull_a64_s2_ops *ops, void *arg,
                     unsigned ipa_bits);
/* Give all tables back.  No CPU may use them. */
void hull_a64_s2_fini(struct hull_a64_s2 *s);

/*
 * Map [ipa, ipa + len) to [pa, pa + len): page aligned, not 0, within ipa_bits; attr is HULL_MEM_*.
 * Largest blocks first.  HULL_EINVAL, HULL_EEXIST (something is mapped there), HULL_ENOMEM: what
 * was mapped is undone.
 */
int hull_a64_s2_map(struct hull_a64_s2 *s, hull_gpa ipa, hull_hpa pa, uint64_t len, unsigned attr);

/*
 * Undo mappings; parts of larger blocks are split off first.  What is not mapped stays so.
 * HULL_EINVAL; HULL_ENOMEM only if a block has to be split: nothing changed then.
 */
int hull_a64_s2_unmap(struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len);

/* New rights for what is mapped in the range.  Errors as for unmap. */
int hull_a64_s2_protect(struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len, unsigned attr);

/* The leaf that translates `ipa`; false: none. */
struct hull_a64_s2_leaf {
	hull_gpa ipa; /* of its first byte */
	hull_hpa pa;
	uint64_t bytes;
	unsigned attr;
};
bool hull_a64_s2_lookup(const struct hull_a64_s2 *s, hull_gpa ipa, struct hull_a64_s2_leaf *ret);

#endif
