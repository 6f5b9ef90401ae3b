/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Control and status registers: access checks, and the registers that are
 * more than a field.  The list is isa/riscv64/csr.def.
 */
#include "engine/riscv64/hart.h"

enum { FS_OFF = 0, FS_CLEAN = 2, FS_DIRTY = 3 };

#define SSTATUS_BITS                                                                         \
	(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR | \
	 MSTATUS_UXL | MSTATUS_SD)
#define MIP_S (BIT(RV_IRQ_SSI) | BIT(RV_IRQ_STI) | BIT(RV_IRQ_SEI))

uint64_t rv_mstatus(const struct rv_hart *h)
{
	uint64_t s = h->csr.mstatus;

	if (bits(s, 14, 13) != FS_OFF && h->fs_dirty)
		s |= MSTATUS_FS;
	if ((s & MSTATUS_FS) == MSTATUS_FS)
		s |= MSTATUS_SD;
	return s;
}

void rv_fp_changed(struct rv_hart *h)
{
	bool on = bits(h->csr.mstatus, 14, 13) != FS_OFF;

	for (unsigned i = 0; i < 8; i++)
		h->rm_table[i] = on && i <= 4 ? (uint8_t)i : 0xff;
	if (on && h->frm <= 4)
		h->rm_table[7] = h->frm;
	rv_fp_mode_changed(h);
}

void rv_fp_mode_changed(struct rv_hart *h)
{
	h->cpu.fp_fast = h->rm_table[7] == HULL_FP_RNE && h->fs_dirty;
}

void rv_set_mstatus(struct rv_hart *h, uint64_t value)
{
	const uint64_t writable = MSTATUS_SIE | MSTATUS_MIE | MSTATUS_SPIE | MSTATUS_MPIE |
	                          MSTATUS_SPP | MSTATUS_MPP | MSTATUS_FS | MSTATUS_MPRV |
	                          MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM | MSTATUS_TW |
	                          MSTATUS_TSR;
	uint64_t old = h->csr.mstatus, s = (old & ~writable) | (value & writable);

	if (bits(s, 12, 11) == 2) /* no such privilege: keep */
		s = (s & ~MSTATUS_MPP) | (old & MSTATUS_MPP);
	h->csr.mstatus = s;
	h->fs_dirty = bits(s, 14, 13) == FS_DIRTY;
	if ((old ^ s) & MSTATUS_FS)
		rv_fp_changed(h);
	rv_fp_mode_changed(h);
	if ((old ^ s) & (MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_MPP))
		rv_update_contexts(h);
}

static uint64_t read_sstatus(struct rv_hart *h)
{
	return rv_mstatus(h) & SSTATUS_BITS;
}

static void write_sstatus(struct rv_hart *h, uint64_t v)
{
	rv_set_mstatus(h, (rv_mstatus(h) & ~SSTATUS_BITS) | (v & SSTATUS_BITS));
}

static uint64_t read_mstatus(struct rv_hart *h)
{
	return rv_mstatus(h);
}

static void write_mstatus(struct rv_hart *h, uint64_t v)
{
	rv_set_mstatus(h, v);
}

static uint64_t read_fflags(struct rv_hart *h)
{
	rv_fp_collect(h);
	return h->fp.flags;
}

static void write_fflags(struct rv_hart *h, uint64_t v)
{
	rv_fp_discard(h);
	h->fp.flags = v & 31;
	h->fs_dirty = true;
	rv_fp_mode_changed(h);
}

static uint64_t read_frm(struct rv_hart *h)
{
	return h->frm;
}

static void write_frm(struct rv_hart *h, uint64_t v)
{
	h->frm = v & 7;
	h->fs_dirty = true;
	rv_fp_changed(h);
}

static uint64_t read_fcsr(struct rv_hart *h)
{
	return read_fflags(h) | (uint64_t)h->frm << 5;
}

static void write_fcsr(struct rv_hart *h, uint64_t v)
{
	write_fflags(h, v);
	write_frm(h, v >> 5);
}

static uint64_t read_cycle(struct rv_hart *h)
{
	return h->retired + h->csr.cycle_base;
}

static uint64_t read_instret(struct rv_hart *h)
{
	return h->retired + h->csr.instret_base;
}

static uint64_t read_time(struct rv_hart *h)
{
	return rv_time(h);
}

#define read_mcycle   read_cycle
#define read_minstret read_instret

static void write_mcycle(struct rv_hart *h, uint64_t v)
{
	h->csr.cycle_base = v - h->retired;
}

/* The write takes effect after the instruction itself has been counted (3.1.10). */
static void write_minstret(struct rv_hart *h, uint64_t v)
{
	h->csr.instret_base = v - h->retired - 1;
}

static void write_nothing(struct rv_hart *h, uint64_t v)
{
}

#define write_cycle   write_nothing
#define write_time    write_nothing
#define write_instret write_nothing
#define write_mhartid write_nothing

static uint64_t read_mhartid(struct rv_hart *h)
{
	return h->vcpu->phys_id;
}

static uint64_t read_mie(struct rv_hart *h)
{
	return h->csr.mie;
}

static void write_mie(struct rv_hart *h, uint64_t v)
{
	h->csr.mie = v & (MIP_S | BIT(RV_IRQ_MSI) | BIT(RV_IRQ_MTI) | BIT(RV_IRQ_MEI));
}

static uint64_t read_sie(struct rv_hart *h)
{
	return h->csr.mie & h->csr.mideleg;
}

static void write_sie(struct rv_hart *h, uint64_t v)
{
	write_mie(h, (h->csr.mie & ~h->csr.mideleg) | (v & h->csr.mideleg));
}

static uint64_t read_mip(struct rv_hart *h)
{
	rv_update_mip(h);
	return h->mip;
}

static void write_mip(struct rv_hart *h, uint64_t v)
{
	uint64_t writable = MIP_S;

	if (h->csr.menvcfg & ENVCFG_STCE) /* STIP is the comparator's then (Sstc 2.2) */
		writable &= ~BIT(RV_IRQ_STI);
	h->csr.soft_mip = (h->csr.soft_mip & ~writable) | (v & writable);
	rv_update_mip(h);
}

static uint64_t read_sip(struct rv_hart *h)
{
	rv_update_mip(h);
	return h->mip & h->csr.mideleg;
}

static void write_sip(struct rv_hart *h, uint64_t v)
{
	uint64_t writable = BIT(RV_IRQ_SSI) & h->csr.mideleg;

	h->csr.soft_mip = (h->csr.soft_mip & ~writable) | (v & writable);
	rv_update_mip(h);
}

static uint64_t read_stimecmp(struct rv_hart *h)
{
	return h->csr.stimecmp;
}

static void write_stimecmp(struct rv_hart *h, uint64_t v)
{
	rv_set_stimecmp(h, v);
}

static uint64_t read_satp(struct rv_hart *h)
{
	return h->csr.satp;
}

static void write_satp(struct rv_hart *h, uint64_t v)
{
	uint64_t mode = SATP_MODE(v), old = h->csr.satp;

	if (mode != SATP_BARE && (mode < SATP_SV39 || mode > SATP_SV57))
		return; /* an unsupported mode leaves the whole register alone (12.1.11) */
	if (v == old)
		return;
	h->csr.satp = v;
	rv_satp_changed(h, old);
}

/* CBIE = 2 is reserved (CMO 2.6): the field keeps its value. */
static uint64_t keep_cbie(uint64_t old, uint64_t v)
{
	return (v & ENVCFG_CBIE) == BIT(5) ? (v & ~ENVCFG_CBIE) | (old & ENVCFG_CBIE) : v;
}

static uint64_t read_senvcfg(struct rv_hart *h)
{
	return h->csr.senvcfg;
}

static void write_senvcfg(struct rv_hart *h, uint64_t v)
{
	h->csr.senvcfg = keep_cbie(h->csr.senvcfg, v) &
	                 (ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);
}

static uint64_t read_menvcfg(struct rv_hart *h)
{
	return h->csr.menvcfg;
}

static void write_menvcfg(struct rv_hart *h, uint64_t v)
{
	uint64_t old = h->csr.menvcfg;

	v = keep_cbie(old, v);
	h->csr.menvcfg = v & (ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_ADUE |
	                      ENVCFG_PBMTE | ENVCFG_STCE);
	if ((old ^ v) & (ENVCFG_ADUE | ENVCFG_PBMTE))
		rv_flush_tlb(h);
	if ((old ^ v) & ENVCFG_STCE)
		rv_set_stimecmp(h, h->csr.stimecmp);
}

static uint64_t read_pmpcfg0(struct rv_hart *h)
{
	return rv_pmp_read_cfg(h, 0);
}

static void write_pmpcfg0(struct rv_hart *h, uint64_t v)
{
	rv_pmp_write_cfg(h, 0, v);
}

static uint64_t read_pmpcfg2(struct rv_hart *h)
{
	return rv_pmp_read_cfg(h, 2);
}

static void write_pmpcfg2(struct rv_hart *h, uint64_t v)
{
	rv_pmp_write_cfg(h, 2, v);
}

#define PMPADDR(n)                                                  \
	static uint64_t read_pmpaddr##n(struct rv_hart *h)          \
	{                                                           \
		return h->csr.pmpaddr[n];                           \
	}                                                           \
	static void write_pmpaddr##n(struct rv_hart *h, uint64_t v) \
	{                                                           \
		rv_pmp_write_addr(h, n, v);                         \
	}
PMPADDR(0)
PMPADDR(1)
PMPADDR(2)
PMPADDR(3)
PMPADDR(4)
PMPADDR(5)
PMPADDR(6)
PMPADDR(7)
PMPADDR(8)
PMPADDR(9)
PMPADDR(10)
PMPADDR(11)
PMPADDR(12)
PMPADDR(13)
PMPADDR(14)
PMPADDR(15)

bool rv_csr_peek(struct rv_hart *h, unsigned csr, uint64_t *ret)
{
	switch (csr) {
#define CSR_FIELD(nr, name, mask, spec) \
	case nr: *ret = h->csr.name; return true;
#define CSR_HOOK(nr, name, spec) \
	case nr: *ret = read_##name(h); return true;
#define CSR_CONST(nr, name, value, spec) \
	case nr: *ret = (value); return true;
#define CSR_RANGE(nr, count, name, value, spec) \
	case nr ... nr + count - 1: *ret = (value); return true;
#include "isa/riscv64/csr.def"
	default: return false;
	}
#undef CSR_FIELD
#undef CSR_HOOK
}

bool rv_csr_poke(struct rv_hart *h, unsigned csr, uint64_t v)
{
	switch (csr) {
#define CSR_FIELD(nr, name, mask, spec) \
	case nr: h->csr.name = (h->csr.name & ~(mask)) | (v & (mask)); return true;
#define CSR_HOOK(nr, name, spec) \
	case nr: write_##name(h, v); return true;
#undef CSR_CONST
#undef CSR_RANGE
#define CSR_CONST(nr, name, value, spec) \
	case nr: return true;
#define CSR_RANGE(nr, count, name, value, spec) \
	case nr ... nr + count - 1: return true;
#include "isa/riscv64/csr.def"
	default: return false;
	}
}

/* mcounteren and scounteren gate cycle, time, instret and hpmcounters (3.1.11, 12.1.5). */
static bool counter_allowed(const struct rv_hart *h, unsigned csr)
{
	uint64_t bit = BIT(csr & 31);

	if (h->priv == RV_PRIV_M)
		return true;
	return (h->csr.mcounteren & bit) && (h->priv == RV_PRIV_S || (h->csr.scounteren & bit));
}

static bool allowed(const struct rv_hart *h, unsigned csr, bool write)
{
	if (h->priv < (csr >> 8 & 3) || (write && csr >> 10 == 3))
		return false;
	if (csr >= 0x001 && csr <= 0x003)
		return h->rm_table[0] <= 4; /* FS is on */
	if (csr >= 0xc00 && csr <= 0xc1f)
		return counter_allowed(h, csr);
	if (csr == 0x180) /* satp */
		return h->priv == RV_PRIV_M || !(h->csr.mstatus & MSTATUS_TVM);
	if (csr == 0x14d) /* stimecmp: Sstc 2.1 */
		return h->priv == RV_PRIV_M ||
		       ((h->csr.menvcfg & ENVCFG_STCE) && (h->csr.mcounteren & BIT(1)));
	return true;
}

bool rv_csr_is_simple(unsigned csr)
{
	switch (csr) {
	case 0x001 ... 0x003: /* fflags frm fcsr */
	case 0xc01:           /* time */
	case 0x105:           /* stvec */
	case 0x106:
	case 0x140 ... 0x143: /* sscratch sepc scause stval */
	case 0x340 ... 0x343:
	case 0xf11 ... 0xf15: return true;
	default: return false;
	}
}

bool rv_csr_access(struct rv_hart *h, unsigned request, uint64_t operand, uint64_t *ret_old)
{
	unsigned csr = request & 0xfff;
	enum rv_csr_op op = (enum rv_csr_op)(request >> 12 & 3);
	bool read = request >> 14 & 1, write = request >> 15 & 1;
	uint64_t old = 0;

	if (!allowed(h, csr, write))
		return rv_raise(h, RV_ILLEGAL, 0);
	if ((read || op != RV_CSR_write) && !rv_csr_peek(h, csr, &old))
		return rv_raise(h, RV_ILLEGAL, 0);
	if (write) {
		uint64_t value = op == RV_CSR_write ? operand
		                 : op == RV_CSR_set ? old | operand
		                                    : old & ~operand;

		/* Read-modify-write of mip acts on the software bits, not on the lines (3.1.9). */
		if ((csr == 0x344 || csr == 0x144) && op != RV_CSR_write)
			value = op == RV_CSR_set ? h->csr.soft_mip | operand
			                         : h->csr.soft_mip & ~operand;
		if (!rv_csr_poke(h, csr, value))
			return rv_raise(h, RV_ILLEGAL, 0);
	}
	*ret_old = old;
	return true;
}
