/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A hart outside its instructions: reset, registers, traps, interrupts, time,
 * and the system instructions.  Privileged ISA, chapters 3 and 12.
 */
#include "base/atomic.h"
#include "base/mem.h"
#include "engine/riscv64/hart.h"

#define IRQ_BIT (UINT64_C(1) << 63)

void rv_hart_reset(struct rv_hart *h)
{
	struct hull_vcpu *vcpu = h->vcpu;

	hull_timer_set(h->vm, &vcpu->timer, HULL_NEVER);
	memset(h->x, 0, sizeof(h->x));
	memset(h->f, 0, sizeof(h->f));
	memset(&h->csr, 0, sizeof(h->csr));
	h->pc = 0;
	h->fp.flags = 0;
	h->frm = 0;
	h->priv = RV_PRIV_M;
	h->sbi = false;
	h->fs_dirty = false;
	h->pmp_active = false;
	h->mip = 0;
	h->trap_loop = 0;
	h->reserved = UINT64_MAX;
	h->csr.stimecmp = UINT64_MAX;
	h->csr.mstatus = UINT64_C(2) << 32 | UINT64_C(2) << 34; /* UXL and SXL: 64 bits */
	rv_fp_changed(h);
	rv_flush_host(h);
	rv_suspect_code(h);
}

/* Hull is the firmware: everything that M-mode would set up for a supervisor. */
static void become_firmware(struct rv_hart *h)
{
	h->sbi = true;
	h->csr.medeleg = 0xb3ff & ~BIT(RV_ECALL_S);
	h->csr.mideleg = BIT(RV_IRQ_SSI) | BIT(RV_IRQ_STI) | BIT(RV_IRQ_SEI);
	h->csr.mcounteren = 7;
	h->csr.scounteren = 7; /* Linux leaves it to the firmware, and its vDSO reads time in U */
	h->csr.menvcfg =
		ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_ADUE | ENVCFG_PBMTE | ENVCFG_STCE;
}

int rv_reg_get(struct rv_hart *h, uint32_t reg, uint64_t *ret)
{
	if (reg < 32)
		*ret = h->x[reg];
	else if (reg == HULL_RV_REG_PC)
		*ret = h->pc;
	else if (reg >= HULL_RV_REG_F0 && reg < HULL_RV_REG_F0 + 32)
		*ret = h->f[reg - HULL_RV_REG_F0];
	else if (reg == HULL_RV_REG_PRIV)
		*ret = h->priv;
	else if (reg == HULL_RV_REG_SBI)
		*ret = h->sbi;
	else if (reg < HULL_RV_REG_CSR || reg >= HULL_RV_REG_CSR + 4096 ||
	         !rv_csr_peek(h, reg - HULL_RV_REG_CSR, ret))
		return HULL_ENOENT;
	return 0;
}

int rv_reg_set(struct rv_hart *h, uint32_t reg, uint64_t v)
{
	if (reg == 0)
		return 0;
	if (reg < 32) {
		h->x[reg] = v;
	} else if (reg == HULL_RV_REG_PC) {
		if (v & 1)
			return HULL_EINVAL;
		h->pc = v;
	} else if (reg >= HULL_RV_REG_F0 && reg < HULL_RV_REG_F0 + 32) {
		h->f[reg - HULL_RV_REG_F0] = v;
	} else if (reg == HULL_RV_REG_PRIV) {
		if (v != RV_PRIV_U && v != RV_PRIV_S && v != RV_PRIV_M)
			return HULL_EINVAL;
		h->priv = (uint8_t)v;
		rv_update_contexts(h);
	} else if (reg == HULL_RV_REG_SBI) {
		if (v != 1)
			return HULL_EINVAL;
		become_firmware(h);
	} else if (reg == HULL_RV_REG_CSR + 0xb02) {
		h->csr.instret_base = v - h->retired; /* not by an instruction that counts */
	} else if (reg < HULL_RV_REG_CSR || reg >= HULL_RV_REG_CSR + 4096 ||
	           !rv_csr_poke(h, reg - HULL_RV_REG_CSR, v)) {
		return HULL_ENOENT;
	}
	return 0;
}

static uint64_t vector(uint64_t tvec, uint64_t cause)
{
	uint64_t base = tvec & ~UINT64_C(3);

	return (tvec & 1) && (cause & IRQ_BIT) ? base + 4 * (cause & ~IRQ_BIT) : base;
}

static void set_priv(struct rv_hart *h, uint8_t priv)
{
	if (h->priv == priv)
		return;
	h->priv = priv;
	rv_update_contexts(h);
}

/* 3.1.6.1, 12.1.1: the trap stacks IE and the privilege. */
void rv_trap(struct rv_hart *h, uint64_t cause, uint64_t tval)
{
	uint64_t deleg = cause & IRQ_BIT ? h->csr.mideleg : h->csr.medeleg;
	uint64_t s = h->csr.mstatus;

	h->stats.traps++;
	h->stats.interrupts += !!(cause & IRQ_BIT);
	h->reserved = UINT64_MAX;
	if (h->priv != RV_PRIV_M && (deleg >> (cause & 63) & 1)) {
		h->csr.scause = cause;
		h->csr.sepc = h->pc;
		h->csr.stval = tval;
		s = (s & ~(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE)) |
		    (s & MSTATUS_SIE ? MSTATUS_SPIE : 0) | (h->priv == RV_PRIV_S ? MSTATUS_SPP : 0);
		h->csr.mstatus = s;
		h->pc = vector(h->csr.stvec, cause);
		set_priv(h, RV_PRIV_S);
		return;
	}
	h->csr.mcause = cause;
	h->csr.mepc = h->pc;
	h->csr.mtval = tval;
	s = (s & ~(MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE)) |
	    (s & MSTATUS_MIE ? MSTATUS_MPIE : 0) | (uint64_t)h->priv << 11;
	h->csr.mstatus = s;
	h->pc = vector(h->csr.mtvec, cause);
	h->priv = RV_PRIV_M;
	rv_update_contexts(h); /* MPP governs MPRV accesses, too */
}

int rv_hypercall(struct rv_hart *h, struct hull_exit *exit)
{
	exit->kind = HULL_EXIT_HYPERCALL;
	exit->call.nr = h->x[17];
	for (unsigned i = 0; i < 6; i++)
		exit->call.args[i] = h->x[10 + i];
	h->pc += 4;
	h->retired++;
	return 0;
}

bool rv_take_trap(struct rv_hart *h, struct hull_exit *exit)
{
	rv_trap(h, h->cause, h->tval);
	if (LIKELY(h->retired != h->trap_mark)) {
		h->trap_mark = h->retired;
		h->trap_loop = 0;
		return false;
	}
	if (++h->trap_loop < RV_TRAP_LOOP)
		return false;
	h->trap_loop = 0;
	exit->kind = HULL_EXIT_NONE;
	if (h->retire_limit != UINT64_MAX) {
		h->retire_limit = h->retired; /* deterministic: the time slice is used up */
		exit->kind = HULL_EXIT_BUDGET;
	}
	return true;
}

void rv_tell_budget(struct rv_hart *h)
{
	if (h->retire_limit != UINT64_MAX)
		h->vcpu->budget = (int64_t)(h->retire_limit - h->retired);
}

void rv_heed_budget(struct rv_hart *h)
{
	if (h->retire_limit != UINT64_MAX)
		h->retire_limit = h->retired + (uint64_t)MAX(h->vcpu->budget, (int64_t)0);
}

uint64_t rv_time(struct rv_hart *h)
{
	rv_tell_budget(h);
	return hull_clock_now(h->vm) / RV_TIME_NS;
}

void rv_update_mip(struct rv_hart *h)
{
	uint64_t lines = hull_vcpu_lines(h->vcpu), mip;

	if (hull_load_relaxed(&h->vcpu->irq_edges))
		h->csr.soft_mip |= hull_swap_acqrel(&h->vcpu->irq_edges, 0) & BIT(RV_IRQ_SSI);
	mip = (lines & ~BIT(RV_IRQ_STI)) | h->csr.soft_mip;

	if (h->csr.menvcfg & ENVCFG_STCE) {
		mip &= ~BIT(RV_IRQ_STI);
		if (h->csr.stimecmp != UINT64_MAX && rv_time(h) >= h->csr.stimecmp)
			mip |= BIT(RV_IRQ_STI);
	}
	h->mip = mip;
}

/* The timer's thread only asks for a look: whether the time has come is decided by the hart. */
void rv_timer_fired(struct hull_timer *t)
{
	hull_vcpu_post(CONTAINER_OF(t, struct hull_vcpu, timer), 0);
}

void rv_set_stimecmp(struct rv_hart *h, uint64_t value)
{
	uint64_t deadline = HULL_NEVER;

	h->csr.stimecmp = value;
	if ((h->csr.menvcfg & ENVCFG_STCE) && value < HULL_NEVER / RV_TIME_NS)
		deadline = value * RV_TIME_NS;
	rv_tell_budget(h);
	hull_timer_set(h->vm, &h->vcpu->timer, deadline);
	rv_heed_budget(h);
	rv_update_mip(h);
}

/* 3.1.9: M before S; within a level external, software, timer. */
static unsigned most_urgent(uint64_t pending)
{
	static const uint8_t order[] = { RV_IRQ_MEI, RV_IRQ_MSI, RV_IRQ_MTI,
		                         RV_IRQ_SEI, RV_IRQ_SSI, RV_IRQ_STI };

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		if (pending & BIT(order[i]))
			return order[i];
	return 0;
}

bool rv_take_interrupt(struct rv_hart *h)
{
	uint64_t ready = h->mip & h->csr.mie, enabled = 0;

	if (!ready)
		return false;
	if (h->priv < RV_PRIV_M || (h->csr.mstatus & MSTATUS_MIE))
		enabled = ready & ~h->csr.mideleg;
	if (!enabled &&
	    (h->priv < RV_PRIV_S || (h->priv == RV_PRIV_S && (h->csr.mstatus & MSTATUS_SIE))))
		enabled = ready & h->csr.mideleg;
	if (!enabled)
		return false;
	rv_trap(h, IRQ_BIT | most_urgent(enabled), 0);
	return true;
}

bool rv_poll(struct rv_hart *h)
{
	const uint32_t ours = HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE | HULL_REQ_IRQ_EDGE;
	uint32_t req = hull_vcpu_take(h->vcpu, ours);

	if (req & HULL_REQ_IRQ_EDGE) {
		/* Cleared before the edges are read: one that comes later posts again. */
		hull_vcpu_done(h->vcpu, HULL_REQ_IRQ_EDGE);
	}
	if (req & HULL_REQ_FLUSH_TLB)
		rv_flush_host(h);
	if (req & HULL_REQ_FLUSH_CODE)
		rv_suspect_code(h);
	if (req & ~(uint32_t)HULL_REQ_IRQ_EDGE)
		hull_vcpu_done(h->vcpu, req & ~(uint32_t)HULL_REQ_IRQ_EDGE);
	rv_update_mip(h);
	return rv_take_interrupt(h);
}

bool rv_sys_mret(struct rv_hart *h)
{
	uint64_t s = h->csr.mstatus;
	uint8_t to = (uint8_t)bits(s, 12, 11);

	if (h->priv != RV_PRIV_M)
		return rv_raise(h, RV_ILLEGAL, 0);
	s = (s & ~(MSTATUS_MIE | MSTATUS_MPP)) | (s & MSTATUS_MPIE ? MSTATUS_MIE : 0) |
	    MSTATUS_MPIE;
	if (to != RV_PRIV_M)
		s &= ~MSTATUS_MPRV;
	h->csr.mstatus = s;
	h->pc = h->csr.mepc;
	h->priv = to;
	rv_update_contexts(h);
	return true;
}

bool rv_sys_sret(struct rv_hart *h)
{
	uint64_t s = h->csr.mstatus;
	uint8_t to = s & MSTATUS_SPP ? RV_PRIV_S : RV_PRIV_U;

	if (h->priv == RV_PRIV_U || (h->priv == RV_PRIV_S && (s & MSTATUS_TSR)))
		return rv_raise(h, RV_ILLEGAL, 0);
	s = (s & ~(MSTATUS_SIE | MSTATUS_SPP)) | (s & MSTATUS_SPIE ? MSTATUS_SIE : 0) |
	    MSTATUS_SPIE;
	s &= ~MSTATUS_MPRV;
	h->csr.mstatus = s;
	h->pc = h->csr.sepc;
	h->priv = to;
	rv_update_contexts(h);
	return true;
}

bool rv_sys_wfi(struct rv_hart *h, enum rv_after *ret)
{
	if (h->priv == RV_PRIV_U || (h->priv == RV_PRIV_S && (h->csr.mstatus & MSTATUS_TW)))
		return rv_raise(h, RV_ILLEGAL, 0);
	rv_update_mip(h);
	*ret = h->mip & h->csr.mie ? RV_AFTER_GO : RV_AFTER_HALT;
	return true;
}

bool rv_sys_sfence_vma(struct rv_hart *h, bool rs1_zero, uint64_t va, bool rs2_zero, uint64_t asid)
{
	if (h->priv == RV_PRIV_U || (h->priv == RV_PRIV_S && (h->csr.mstatus & MSTATUS_TVM)))
		return rv_raise(h, RV_ILLEGAL, 0);
	rv_sfence(h, rs1_zero, va, rs2_zero, asid);
	return true;
}

bool rv_sys_sfence_order(struct rv_hart *h)
{
	return h->priv != RV_PRIV_U || rv_raise(h, RV_ILLEGAL, 0);
}
