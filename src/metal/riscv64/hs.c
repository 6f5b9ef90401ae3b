/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * RISC-V in HS-mode as an accelerator: vCPUs run in VS-mode and VU-mode behind the G-stage.
 *
 * A vCPU's registers stay in the CPU until another one comes.  There is one VMID, so then all of
 * the last one's translations go.  The guest's timer is the hypervisor's: SBI calls set it.
 *
 * Spec: Privileged ISA 20240411, "H" extension.
 */
#include "metal/riscv64/hs.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "isa/riscv64/regs.h"
#include "metal/common/frames.h"
#include "metal/common/probe.h"
#include "metal/riscv64/csr.h"

#define HSTATUS_SPV  BIT(7)
#define HSTATUS_SPVP BIT(8)
#define HSTATUS_VTW  BIT(21)
#define HSTATUS_VSXL (UINT64_C(2) << 32)
#define CAUSE_IRQ    BIT(63)

/* hideleg, hvip: VS-level interrupts are one bit above those of S. */
#define VS_IRQS (BIT(RV_IRQ_SSI) << 1 | BIT(RV_IRQ_STI) << 1 | BIT(RV_IRQ_SEI) << 1)
/* hedeleg: all that a guest without a hypervisor would take in S-mode. */
#define VS_EXCEPTIONS UINT64_C(0xb1ff)

enum { CSR_FCSR = 0x003, CSR_MIE = 0x304, CSR_MIP = 0x344, CSR_STIMECMP = 0x14d, CSR_TIME = 0xc01 };

/* The CSRs that are of M-mode. */
static bool is_machine(uint32_t csr)
{
	return csr >= 0x300 && csr < 0x400;
}

uint64_t metal_enter(struct rv_regs *regs);
void hs_fp_save(struct hs_fp *fp);
void hs_fp_restore(const struct hs_fp *fp);

static struct hs_vcpu *state(struct hull_vcpu *vcpu)
{
	return hull_vcpu_accel_state(vcpu);
}

static hull_hpa table_alloc(void *arg, unsigned pages)
{
	return (uintptr_t)metal_frames_alloc(pages * HULL_PAGE_SIZE, pages * HULL_PAGE_SIZE);
}

static void table_free(void *arg, hull_hpa table, unsigned pages)
{
	metal_frames_free((void *)(uintptr_t)table, pages * HULL_PAGE_SIZE);
}

static uint64_t *table_at(void *arg, hull_hpa table)
{
	return (uint64_t *)(uintptr_t)table;
}

static void flush(void *arg, hull_gpa gpa, uint64_t bytes)
{
	hfence_gvma();
}

static const struct hull_rv_gs_ops gs_ops = { table_alloc, table_free, table_at, flush };

/*
 *	lui a0, 0x40001; lui a1, 1; lui a2, 2; addiw a2, a2, 1808
 * 1:	ld a3, 0(a0); addi a3, a3, 1; sd a3, 0(a0); addi a2, a2, -1; bnez a2, 1b
 *	li a4, 0x5a; sb a4, 0(a1); lbu a5, 0(a1)
 *	lui a7, 0x9000; ecall; j .
 */
static const uint32_t payload[] = {
	0x40001537, 0x000015b7, 0x00002637, 0x7106061b, 0x00053683,
	0x00168693, 0x00d53023, 0xfff60613, 0xfe0618e3, 0x05a00713,
	0x00e58023, 0x0005c783, 0x090008b7, 0x00000073, 0x0000006f,
};

static int hs_probe(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err)
{
	static const struct metal_probe probe = { .accel = "hs",
		                                  .isa = HULL_ISA_RISCV64,
		                                  .code = payload,
		                                  .bytes = sizeof(payload),
		                                  .reg_pc = HULL_RV_REG_PC,
		                                  .reg_answer = HULL_RV_REG_X0 + 15,
		                                  .call = 0x9000000 };
	uint64_t mips = 0;
	int r = metal_probe_run(&probe, hal, &mips, err);

	if (r)
		return r;
	*ret = (struct hull_accel_caps){ .isas = 1U << HULL_ISA_RISCV64,
		                         .max_vcpus = METAL_MAX_CPUS,
		                         .gpa_bits = HULL_RV_GS_BITS,
		                         .mips = mips };
	return 0;
}

static int hs_vm_init(struct hull_vm *vm, struct hull_err *err)
{
	struct hs_vm *s = hull_vm_accel_state(vm);
	int r;

	if (hull_vm_config(vm)->isa != HULL_ISA_RISCV64)
		return hull_fail(err, HULL_ENOTSUP, 1301, "HS-mode runs riscv64 guests only");
	s->start = csr_read(time);
	r = hull_rv_gs_init(&s->gs, &gs_ops, s);
	return r ? hull_fail(err, r, 120, "no memory for G-stage tables") : 0;
}

static void hs_vm_fini(struct hull_vm *vm)
{
	struct hs_vm *s = hull_vm_accel_state(vm);

	hull_rv_gs_fini(&s->gs);
}

static int hs_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr)
{
	struct hs_vm *s = hull_vm_accel_state(vm);

	return hull_rv_gs_map(&s->gs, gpa, (uintptr_t)hva, len, attr);
}

static int hs_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	struct hs_vm *s = hull_vm_accel_state(vm);

	return hull_rv_gs_unmap(&s->gs, gpa, len);
}

static int hs_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr)
{
	struct hs_vm *s = hull_vm_accel_state(vm);

	return hull_rv_gs_protect(&s->gs, gpa, len, attr);
}

/* Guest time stands still with the rest. */
static void hs_clock(struct hull_vm *vm, bool running)
{
	struct hs_vm *s = hull_vm_accel_state(vm);

	if (running && s->stopped) {
		s->start += csr_read(time) - s->stopped;
		s->stopped = 0;
	} else if (!running && !s->stopped) {
		s->stopped = csr_read(time);
	}
}

static void take_out(struct hs_vcpu *v)
{
#define X(name, number) v->csrs[HS_##name] = csr_read(name);
	HS_CSRS(X)
#undef X
	hs_fp_save(&v->fp);
	metal_guest_alarm(HULL_NEVER);
}

void metal_evict(void)
{
	struct hs_vcpu *v = metal_this_cpu()->resident;

	metal_this_cpu()->resident = NULL;
	if (v)
		take_out(v);
}

void hs_load(struct hs_vcpu *v)
{
	struct metal_cpu *cpu = metal_this_cpu();

	if (cpu->resident == v)
		return;
	metal_evict();
#define X(name, number) csr_write(name, v->csrs[HS_##name]);
	HS_CSRS(X)
#undef X
	csr_set(sstatus, MSTATUS_FS);
	hs_fp_restore(&v->fp);
	csr_write(hedeleg, VS_EXCEPTIONS);
	csr_write(hideleg, VS_IRQS);
	csr_write(hcounteren, 7);
	csr_write(henvcfg, 0);
	csr_write(hgatp, hull_rv_gs_hgatp(&v->vm->gs));
	hfence_gvma();
	hfence_vvma();
	/* Its memory may have been written since it ran. */
	fence_i();
	cpu->resident = v;
}

static void hs_vcpu_reset(struct hull_vcpu *vcpu)
{
	struct hs_vcpu *v = state(vcpu);

	if (metal_this_cpu()->resident == v)
		metal_evict();
	memset(&v->regs, 0, sizeof(v->regs));
	memset(v->csrs, 0, sizeof(v->csrs));
	memset(&v->fp, 0, sizeof(v->fp));
	v->csrs[HS_vsstatus] = UINT64_C(2) << 32; /* UXL */
	v->user = v->ssip = false;
	v->timecmp = UINT64_MAX;
	v->access.bytes = 0;
}

static int hs_vcpu_init(struct hull_vcpu *vcpu, struct hull_err *err)
{
	struct hs_vcpu *v = state(vcpu);

	v->vcpu = vcpu;
	v->vm = hull_vm_accel_state(vcpu->vm);
	hs_vcpu_reset(vcpu);
	return 0;
}

static void hs_vcpu_fini(struct hull_vcpu *vcpu)
{
	if (metal_this_cpu()->resident == state(vcpu))
		metal_evict();
}

uint64_t hs_pending(const struct hs_vcpu *v)
{
	uint64_t p = hull_vcpu_lines(v->vcpu) & BIT(RV_IRQ_SEI);

	p |= csr_read(time) - v->vm->start >= v->timecmp ? BIT(RV_IRQ_STI) : 0;
	return p | (v->ssip ? BIT(RV_IRQ_SSI) : 0);
}

static uint64_t enabled(const struct hs_vcpu *v)
{
	return metal_this_cpu()->resident == v ? csr_read(vsie) : v->csrs[HS_vsie];
}

bool hs_wakes(const struct hs_vcpu *v)
{
	return hs_pending(v) & enabled(v);
}

/* When the guest's timer will be pending, as metal_now(); HULL_NEVER: it is, or is off. */
static uint64_t timer_due(const struct hs_vcpu *v)
{
	uint64_t at;

	if (hs_pending(v) & BIT(RV_IRQ_STI) || !hull_add(v->timecmp, v->vm->start, &at))
		return HULL_NEVER;
	return metal_ns(at);
}

/* Into the guest and out of it.  Nothing here blocks. */
static uint64_t execute(struct hs_vcpu *v)
{
	struct metal_cpu *cpu = metal_this_cpu();
	uint64_t cause;

	hs_load(v);
	if (hull_load_relaxed(&cpu->dirty))
		metal_plan(cpu);
	metal_guest_alarm(timer_due(v));
	csr_write(htimedelta, 0 - v->vm->start);
	csr_write(hvip, hs_pending(v) << 1);
	csr_write(hstatus, HSTATUS_VSXL | HSTATUS_VTW | HSTATUS_SPV | HSTATUS_SPVP);
	csr_clear(sstatus, MSTATUS_SPP | MSTATUS_SPIE);
	csr_set(sstatus, v->user ? 0 : MSTATUS_SPP);
	cause = metal_enter(&v->regs);
	HULL_ASSERT(csr_read(hstatus) & HSTATUS_SPV);
	v->user = !(csr_read(sstatus) & MSTATUS_SPP);
	v->ssip = csr_read(hvip) & BIT(RV_IRQ_SSI) << 1;
	return cause;
}

/* True: vcpu_run must return. */
static bool attend(struct hs_vcpu *v, struct hull_exit *exit)
{
	struct hull_vcpu *vcpu = v->vcpu;
	uint32_t r = hull_vcpu_take(vcpu, UINT32_MAX);

	if (r & (HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE)) {
		hs_load(v);
		hfence_vvma();
		fence_i();
	}
	hull_vcpu_done(vcpu, r & ~(uint32_t)HULL_REQ_STOP);
	/* An edge that comes from here on is posted anew. */
	if (r & HULL_REQ_IRQ_EDGE)
		v->ssip |= (hull_swap_acqrel(&vcpu->irq_edges, UINT64_C(0)) & BIT(RV_IRQ_SSI)) != 0;
	exit->kind = HULL_EXIT_KICKED;
	return r & HULL_REQ_STOP;
}

static int hs_vcpu_run(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	struct hs_vcpu *v = state(vcpu);

	v->thread = metal_this_cpu()->current;
	metal_thread_alarm(v->thread, NULL, HULL_NEVER);
	for (;;) {
		uint64_t cause;

		if (hull_load_seqcst(&vcpu->attention) && attend(v, exit))
			return 0;
		cause = execute(v);
		if (cause & CAUSE_IRQ) {
			metal_serve_interrupts();
			metal_yield();
		} else if (!hs_handle(v, cause, exit)) {
			break;
		}
	}
	/* Its thread will sleep. */
	if (exit->kind == HULL_EXIT_HALT)
		metal_thread_alarm(v->thread, v, timer_due(v));
	return 0;
}

void metal_thread_alarmed(void *arg)
{
	struct hs_vcpu *v = arg;

	hull_vcpu_post(v->vcpu, 0);
}

void metal_idled(void)
{
}

static void hs_vcpu_complete(struct hull_vcpu *vcpu, const struct hull_exit *exit)
{
	hs_complete(state(vcpu), exit);
}

/* One CPU: whoever asks runs there, so no guest does. */
static void hs_vcpu_kick(struct hull_vcpu *vcpu)
{
}

/* Where a register lies; NULL: nowhere in memory. */
static uint64_t *place(struct hs_vcpu *v, uint32_t reg)
{
	static const uint16_t numbers[HS_NCSRS] = {
#define X(name, number) [HS_##name] = (number),
		HS_CSRS(X)
#undef X
	};

	if (reg > HULL_RV_REG_X0 && reg < HULL_RV_REG_X0 + 32)
		return &v->regs.x[reg];
	if (reg == HULL_RV_REG_PC)
		return &v->regs.pc;
	if (reg == HULL_RV_REG_CSR + CSR_STIMECMP)
		return &v->timecmp;
	/* The rest may be in the CPU. */
	if (metal_this_cpu()->resident == v)
		metal_evict();
	if (reg >= HULL_RV_REG_F0 && reg < HULL_RV_REG_F0 + 32)
		return &v->fp.f[reg - HULL_RV_REG_F0];
	if (reg == HULL_RV_REG_CSR + CSR_FCSR)
		return &v->fp.fcsr;
	for (unsigned i = 0; i < HS_NCSRS; i++)
		if (reg - HULL_RV_REG_CSR == numbers[i])
			return &v->csrs[i];
	return NULL;
}

static int hs_reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret)
{
	struct hs_vcpu *v = state(vcpu);
	const uint64_t *at;

	switch (reg) {
	case HULL_RV_REG_X0: *ret = 0; return 0;
	case HULL_RV_REG_PRIV: *ret = v->user ? RV_PRIV_U : RV_PRIV_S; return 0;
	case HULL_RV_REG_SBI: *ret = 1; return 0;
	case HULL_RV_REG_TIMEBASE: *ret = metal_hz(); return 0;
	case HULL_RV_REG_CSR + CSR_TIME: *ret = csr_read(time) - v->vm->start; return 0;
	case HULL_RV_REG_CSR + CSR_MIP: *ret = hs_pending(v); return 0;
	case HULL_RV_REG_CSR + CSR_MIE: *ret = enabled(v); return 0;
	default: break;
	}
	/* Of all extensions the first six, which Linux wants: IMAFDC. */
	if (reg >= HULL_RV_REG_EXT) {
		*ret = reg < HULL_RV_REG_EXT + 6U;
		return 0;
	}
	at = place(v, reg);
	if (at)
		*ret = *at;
	return at ? 0 : HULL_ENOENT;
}

static int hs_reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	struct hs_vcpu *v = state(vcpu);
	uint64_t *at;

	if (reg == HULL_RV_REG_X0)
		return 0;
	if (reg == HULL_RV_REG_SBI)
		return value == 1 ? 0 : HULL_EINVAL;
	if (reg == HULL_RV_REG_PRIV) {
		if (value > RV_PRIV_S)
			return HULL_EINVAL;
		v->user = value == RV_PRIV_U;
		return 0;
	}
	/* What firmware would set up in M-mode is so already. */
	if (is_machine(reg - HULL_RV_REG_CSR))
		return 0;
	at = place(v, reg);
	if (at)
		*at = value;
	return at ? 0 : HULL_ENOENT;
}

static void hs_irq_update(struct hull_vcpu *vcpu)
{
}

static enum hull_irqchip hs_irqchip(struct hull_vm *vm)
{
	return HULL_IRQCHIP_USER;
}

HULL_ACCEL(hs) = {
	.name = "hs",
	.summary = "RISC-V hypervisor extension, on bare metal",
	.isas = 1U << HULL_ISA_RISCV64,
	.vm_size = sizeof(struct hs_vm),
	.vcpu_size = sizeof(struct hs_vcpu),
	.probe = hs_probe,
	.vm_init = hs_vm_init,
	.vm_fini = hs_vm_fini,
	.map = hs_map,
	.unmap = hs_unmap,
	.protect = hs_protect,
	.vcpu_init = hs_vcpu_init,
	.vcpu_fini = hs_vcpu_fini,
	.vcpu_reset = hs_vcpu_reset,
	.vcpu_run = hs_vcpu_run,
	.vcpu_complete = hs_vcpu_complete,
	.vcpu_kick = hs_vcpu_kick,
	.reg_get = hs_reg_get,
	.reg_set = hs_reg_set,
	.irq_update = hs_irq_update,
	.irqchip = hs_irqchip,
	.clock = hs_clock,
};
