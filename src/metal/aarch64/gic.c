/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/aarch64/gic.h"

#include "base/bits.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/spin.h"

enum {
	GICD_CTLR = 0,
	GICD_IGROUPR = 0x80,
	GICD_ISENABLER = 0x100,
	GICD_ICENABLER = 0x180,
	GICD_ICPENDR = 0x280,
	GICD_ICACTIVER = 0x380,
	GICD_IPRIORITYR = 0x400,
	GICD_ICFGR = 0xc00,
	GICD_IROUTER = 0x6000,
	GICR_TYPER = 8,
	GICR_WAKER = 0x14,
	GICR_SGI = 0x10000, /* the second frame */
	GICR_IGROUPR0 = GICR_SGI + 0x80,
	GICR_ISENABLER0 = GICR_SGI + 0x100,
	GICR_ICENABLER0 = GICR_SGI + 0x180,
	GICR_ISACTIVER0 = GICR_SGI + 0x300,
	GICR_ICACTIVER0 = GICR_SGI + 0x380,
	GICR_IPRIORITYR = GICR_SGI + 0x400,
	GICR_STRIDE = 0x20000,
};
enum { CTLR_GRP1 = 1 << 1, CTLR_ARE = 1 << 4, CTLR_RWP = 1 << 31 };
enum { WAKER_SLEEP = 1 << 1, WAKER_ASLEEP = 1 << 2, TYPER_LAST = 1 << 4 };
enum { PRIORITY = 0x80, PATIENCE = 1000000 };

/* The redistributor of each CPU. */
static uint64_t redistributor[METAL_MAX_CPUS];
static uint64_t distributor;
static struct metal_spin spin; /* registers that several interrupts share */

static uint64_t mine(void)
{
	return redistributor[metal_this_cpu()->index];
}

static bool settles(uint64_t at, uint32_t mask)
{
	for (unsigned i = 0; i < PATIENCE; i++)
		if (!(mmio_read32(at) & mask))
			return true;
	return false;
}

int metal_gic_init(const struct metal_board *b, struct hull_err *err)
{
	distributor = b->gicd.start;
	mmio_write32(b->gicd.start + GICD_CTLR, CTLR_ARE | CTLR_GRP1);
	if (!settles(b->gicd.start + GICD_CTLR, (uint32_t)CTLR_RWP))
		return hull_fail(err, HULL_ENOTSUP, 0, "the GIC's distributor does not settle");
	return metal_gic_init_cpu(b, err);
}

/* Aff3..Aff0 as GICR_TYPER and as MPIDR_EL1 have them. */
static uint32_t affinity(uint64_t mpidr)
{
	return (uint32_t)(mpidr & 0xffffff) | (uint32_t)(mpidr >> 32 & 0xff) << 24;
}

static uint64_t find(const struct metal_board *b, uint64_t mpidr)
{
	for (uint64_t at = 0; at + GICR_STRIDE <= b->gicr.length; at += GICR_STRIDE) {
		uint64_t typer = mmio_read64(b->gicr.start + at + GICR_TYPER);

		if (typer >> 32 == affinity(mpidr))
			return b->gicr.start + at;
		if (typer & TYPER_LAST)
			break;
	}
	return 0;
}

int metal_gic_init_cpu(const struct metal_board *b, struct hull_err *err)
{
	uint64_t r = find(b, sysreg_read(mpidr_el1));

	if (!r)
		return hull_fail(err, HULL_ENOTSUP, 0, "the GIC has no redistributor of CPU %u",
		                 metal_this_cpu()->index);
	redistributor[metal_this_cpu()->index] = r;
	mmio_write32(r + GICR_WAKER, mmio_read32(r + GICR_WAKER) & ~(uint32_t)WAKER_SLEEP);
	if (!settles(r + GICR_WAKER, WAKER_ASLEEP))
		return hull_fail(err, HULL_ENOTSUP, 0, "the GIC's redistributor does not wake");
	mmio_write32(r + GICR_ICENABLER0, UINT32_MAX);
	mmio_write32(r + GICR_IGROUPR0, UINT32_MAX);
	for (unsigned i = 0; i < 32; i += 4)
		mmio_write32(r + GICR_IPRIORITYR + i, PRIORITY * 0x01010101U);
	sysreg_write(icc_sre_el2, 0xf); /* system registers, here and for EL1; no bypass */
	isb();
	sysreg_write(icc_pmr_el1, 0xff);
	sysreg_write(icc_bpr1_el1, 0);
	sysreg_write(icc_ctlr_el1, BIT(1)); /* EOImode */
	sysreg_write(icc_igrpen1_el1, 1);
	isb();
	mmio_write32(r + GICR_ISENABLER0, 1U << METAL_SGI_KICK);
	return 0;
}

void metal_gic_enable_ppi(uint32_t intid)
{
	mmio_write32(mine() + GICR_ISENABLER0, 1U << intid % 32);
}

static void change(uint64_t at, uint32_t mask, uint32_t value)
{
	mmio_write32(at, (mmio_read32(at) & ~mask) | value);
}

void metal_gic_enable_spi(uint32_t intid, bool edge)
{
	uint64_t word = distributor + intid / 32 * 4;
	uint32_t bit = 1U << intid % 32, byte = intid % 4 * 8, pair = intid % 16 * 2;

	metal_spin_lock(&spin);
	mmio_write32(word + GICD_ICENABLER, bit);
	change(word + GICD_IGROUPR, bit, bit);
	change(distributor + GICD_IPRIORITYR + align_down(intid, 4), 0xffU << byte,
	       (uint32_t)PRIORITY << byte);
	change(distributor + GICD_ICFGR + intid / 16 * 4, 3U << pair, edge ? 2U << pair : 0);
	mmio_write64(distributor + GICD_IROUTER + intid * UINT64_C(8),
	             sysreg_read(mpidr_el1) & UINT64_C(0xff00ffffff));
	mmio_write32(word + GICD_ISENABLER, bit);
	metal_spin_unlock(&spin);
}

void metal_gic_disable_spi(uint32_t intid)
{
	mmio_write32(distributor + GICD_ICENABLER + intid / 32 * 4, 1U << intid % 32);
	(void)settles(distributor + GICD_CTLR, (uint32_t)CTLR_RWP);
}

void metal_gic_end_spi(uint32_t intid)
{
	mmio_write32(distributor + GICD_ICPENDR + intid / 32 * 4, 1U << intid % 32);
	mmio_write32(distributor + GICD_ICACTIVER + intid / 32 * 4, 1U << intid % 32);
}

uint32_t metal_gic_take(void)
{
	uint32_t intid = sysreg_read(icc_iar1_el1) & 0xffffff;

	if (intid >= 1020)
		return METAL_INTID_NONE;
	sysreg_write(icc_eoir1_el1, intid);
	return intid;
}

void metal_gic_deactivate(uint32_t intid)
{
	sysreg_write(icc_dir_el1, intid);
}

void metal_gic_set_active(uint32_t intid, bool on)
{
	mmio_write32(mine() + (on ? GICR_ISACTIVER0 : GICR_ICACTIVER0), 1U << intid % 32);
}

void metal_gic_kick(uint64_t mpidr)
{
	dsb(ishst);
	/* Target list of one; the affinities above level 0 (12.2.26). */
	sysreg_write(icc_sgi1r_el1, (mpidr >> 32 & 0xff) << 48 | (mpidr >> 16 & 0xff) << 32 |
	                                    (mpidr >> 8 & 0xff) << 16 |
	                                    (uint64_t)METAL_SGI_KICK << 24 | BIT(mpidr & 15));
	isb();
}
