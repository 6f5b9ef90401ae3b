/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Stage-2 tables in the machine's memory, and the instructions that keep TLBs and caches honest.
 *
 * Spec: Arm ARM, D8.17 "TLB maintenance": by IPA first, then all of stage 1, as entries that
 * combine both stages are found by neither address.
 */
#include "base/bits.h"
#include "metal/aarch64/el2.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/frames.h"

static hull_hpa table_alloc(void *arg, unsigned pages)
{
	return (hull_hpa)(uintptr_t)metal_frames_alloc(pages * HULL_PAGE_SIZE,
	                                               pages * HULL_PAGE_SIZE);
}

static void table_free(void *arg, hull_hpa table, unsigned pages)
{
	metal_frames_free((void *)(uintptr_t)table, pages * HULL_PAGE_SIZE);
}

static uint64_t *table_at(void *arg, hull_hpa table)
{
	return (uint64_t *)(uintptr_t)table;
}

static void publish(void *arg)
{
	dsb(ishst);
}

static void flush(void *arg, hull_gpa ipa, uint64_t bytes)
{
	const struct el2_vm *s = arg;
	uint64_t mine = sysreg_read(vttbr_el2);

	sysreg_write(vttbr_el2, s->vttbr);
	isb();
	dsb(ishst);
	/* What goes is one leaf, or one table: any address of it will do. */
	tlbi_at(ipas2e1is, ipa >> 12);
	dsb(ish);
	tlbi(vmalle1is);
	dsb(ish);
	isb();
	sysreg_write(vttbr_el2, mine);
	isb();
}

/* CTR_EL0.DminLine: words of the smallest line, as a power of two. */
void el2_clean(hull_hpa start, uint64_t bytes)
{
	uint64_t line = UINT64_C(4) << bits(sysreg_read(ctr_el0), 19, 16);
	hull_hpa at = start, end = start + bytes;

	/* With metal_zero(), most of what starting a VM costs. */
	while (end - at >= 8 * line)
		__asm__ volatile(".rept 8\n\tdc civac, %0\n\tadd %0, %0, %1\n\t.endr"
		                 : "+r"(at)
		                 : "r"(line)
		                 : "memory");
	for (; at < end; at += line)
		__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	dsb(sy);
}

void el2_forget_code(void)
{
	__asm__ volatile("ic ialluis" : : : "memory");
	dsb(ish);
	isb();
}

const struct hull_a64_s2_ops el2_s2_ops = { table_alloc, table_free, table_at, publish, flush };
