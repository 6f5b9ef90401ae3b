/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/aarch64/mmu.h"

#include "base/bits.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/frames.h"

enum { SLOTS = 512, GIB_SHIFT = 30 };

/* Descriptors of a single-privilege regime (D8.3): AP[1] and nG are RES1 and RES0. */
#define VALID     BIT(0)
#define TABLE     BIT(1)
#define INDEX(n)  ((uint64_t)(n) << 2)
#define AP1       BIT(6)
#define READ_ONLY BIT(7)
#define INNER     (UINT64_C(3) << 8)
#define ACCESSED  BIT(10)
#define NO_EXEC   BIT(54)
#define ADDRESS   UINT64_C(0x0000fffffffff000)

#define COMMON (VALID | AP1 | ACCESSED)

static const uint64_t flags[] = {
	[METAL_CODE] = COMMON | INNER | INDEX(4) | READ_ONLY,
	[METAL_CONST] = COMMON | INNER | INDEX(4) | READ_ONLY | NO_EXEC,
	[METAL_DATA] = COMMON | INNER | INDEX(4) | NO_EXEC,
	[METAL_DEVICE] = COMMON | INDEX(1) | NO_EXEC,
};

/* Of the code before the tables proper: the image's own GiB and the next are memory. */
static uint64_t early[SLOTS] __attribute__((aligned(4096)));
static uint64_t root[SLOTS] __attribute__((aligned(4096)));

/* What head.S takes from x0 and x1. */
struct metal_regime {
	uint64_t ttbr, tcr;
};
struct metal_regime metal_early_map(uint64_t image);

uint64_t metal_tcr(void)
{
	/* RES1 (31, 23), PS as the CPU has it, inner shareable write-back walks, 39 bits. */
	return BIT(31) | BIT(23) | (sysreg_read(id_aa64mmfr0_el1) & 7) << 16 | UINT64_C(3) << 12 |
	       BIT(10) | BIT(8) | (64 - METAL_VA_BITS);
}

uint64_t metal_ttbr(void)
{
	return (uint64_t)(uintptr_t)root;
}

/* With the MMU off: aligned accesses only. */
struct metal_regime metal_early_map(uint64_t image)
{
	uint64_t mine = image >> GIB_SHIFT;

	for (uint64_t i = 0; i < SLOTS; i++) {
		bool ram = i == mine || i == mine + 1;

		early[i] = i << GIB_SHIFT | (flags[METAL_DATA] & ~NO_EXEC);
		if (!ram)
			early[i] = i << GIB_SHIFT | flags[METAL_DEVICE];
	}
	return (struct metal_regime){ (uint64_t)(uintptr_t)early, metal_tcr() };
}

/* The table behind `e`, made if need be. */
static uint64_t *enter(uint64_t *e)
{
	uint64_t *t;

	if (*e)
		return *e & TABLE ? (uint64_t *)(uintptr_t)(*e & ADDRESS) : NULL;
	t = metal_frames_alloc(HULL_PAGE_SIZE, HULL_PAGE_SIZE);
	if (t)
		*e = (uint64_t)(uintptr_t)t | TABLE | VALID;
	return t;
}

/* One leaf as large as it fits; its size, 0: not possible. */
static uint64_t map_one(hull_hpa at, uint64_t bytes, uint64_t set)
{
	uint64_t *t = root;

	for (unsigned shift = GIB_SHIFT; t; shift -= 9) {
		uint64_t *e = &t[at >> shift & (SLOTS - 1)], size = BIT(shift);

		if (!*e && bytes >= size && is_aligned(at, size)) {
			*e = at | set | (shift == 12 ? TABLE : 0);
			return size;
		}
		if (shift == 12)
			return 0;
		t = enter(e);
	}
	return 0;
}

bool metal_map(hull_hpa start, uint64_t bytes, enum metal_mem kind)
{
	uint64_t done = 0, step;

	if (start >> METAL_VA_BITS || (start + bytes - 1) >> METAL_VA_BITS)
		return false;
	for (; done < bytes; done += step) {
		step = map_one(start + done, bytes - done, flags[kind]);
		if (!step)
			return false;
	}
	dsb(ishst);
	isb();
	return true;
}

void metal_mmu_switch(void)
{
	dsb(ish);
	sysreg_write(ttbr0_el2, metal_ttbr());
	isb();
	tlbi(alle2);
	dsb(nsh);
	isb();
}
