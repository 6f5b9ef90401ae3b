/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A vCPU's registers, in the CPU and out of it.
 *
 * Lazily: they stay where they are until another vCPU comes, or somebody asks.  FP and SIMD go with
 * the rest: the hypervisor uses none of them.
 */
#include "metal/aarch64/el2.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/spin.h"

#define CTL_ENABLE BIT(0)
#define CTL_MASK   BIT(1)

void el2_fp_save(struct el2_fp *fp);
void el2_fp_restore(const struct el2_fp *fp);

static void save_sys(uint64_t *sys)
{
#define X(name, ...) sys[EL2_##name] = sysreg_read(name);
	EL2_SYSREGS(X)
#undef X
}

static void restore_sys(const uint64_t *sys)
{
#define X(name, ...) sysreg_write(name, sys[EL2_##name]);
	EL2_SYSREGS(X)
#undef X
}

static uint64_t read_one(enum el2_sysreg n)
{
	switch (n) {
#define X(name, ...) \
	case EL2_##name: return sysreg_read(name);
		EL2_SYSREGS(X)
#undef X
	default: return 0;
	}
}

static void write_one(enum el2_sysreg n, uint64_t value)
{
	switch (n) {
#define X(name, ...) \
	case EL2_##name: sysreg_write(name, value); return;
		EL2_SYSREGS(X)
#undef X
	default: return;
	}
}

/* ID_AA64ISAR1_EL1: API, APA; ID_AA64ISAR2_EL1: APA3. */
static bool has_keys(void)
{
	return sysreg_read(id_aa64isar1_el1) & 0xff0 || sysreg_read(s3_0_c0_c6_2) & 0xf000;
}

/* ID_AA64PFR0_EL1.RAS; then a guest's DISR_EL1 is VDISR_EL2, here S3_4_C12_C1_1. */
static bool has_disr(void)
{
	return sysreg_read(id_aa64pfr0_el1) & UINT64_C(0xf0000000);
}

/* APIAKeyLo_EL1 and on, S3_0_C2_C1_0 to S3_0_C2_C3_1: only where they exist. */
#define EL2_KEY_REGS(X)    \
	X(0, s3_0_c2_c1_0) \
	X(1, s3_0_c2_c1_1) \
	X(2, s3_0_c2_c1_2) \
	X(3, s3_0_c2_c1_3) \
	X(4, s3_0_c2_c2_0) \
	X(5, s3_0_c2_c2_1) \
	X(6, s3_0_c2_c2_2) \
	X(7, s3_0_c2_c2_3) \
	X(8, s3_0_c2_c3_0) \
	X(9, s3_0_c2_c3_1)

/* Wake it when its timer would have fired: by its thread, which is one of this CPU's. */
static void watch_timer(struct el2_vcpu *v)
{
	uint64_t ctl = v->sys[EL2_cntv_ctl_el0], cval = v->sys[EL2_cntv_cval_el0], at;

	if (v->thread && (ctl & (CTL_ENABLE | CTL_MASK)) == CTL_ENABLE)
		metal_thread_alarm(v->thread, v,
		                   hull_add(cval, v->vm->cntvoff, &at) ? metal_ns(at) : HULL_NEVER);
}

/* `v` is in this CPU, whose `resident` does not name it any more. */
static void take_out(struct el2_vcpu *v)
{
	if (v->shown)
		el2_gic_read(v);
	save_sys(v->sys);
	/* It may not fire into the next one, nor keep its interrupt active. */
	sysreg_write(cntv_ctl_el0, 0);
	isb();
	if (v->timer_high || v->timer_fired)
		metal_gic_set_active(v->timer_intid, false);
	v->vmcr = sysreg_read(ich_vmcr_el2);
	v->ap0r0 = sysreg_read(ich_ap0r0_el2);
	v->ap1r0 = sysreg_read(ich_ap1r0_el2);
	el2_fp_save(&v->fp);
	if (has_keys()) {
#define X(n, name) v->keys[n] = sysreg_read(name);
		EL2_KEY_REGS(X)
#undef X
	}
	if (has_disr())
		v->disr = sysreg_read(s3_4_c12_c1_1);
	watch_timer(v);
	hull_store_release(&v->where, (struct metal_cpu *)NULL);
}

void el2_put(struct el2_vcpu *v)
{
	struct metal_cpu *cpu = metal_this_cpu();
	void *mine = v;

	if (hull_load_acquire(&v->where) == cpu && hull_cas_seqcst(&cpu->resident, &mine, NULL))
		take_out(v);
}

void metal_evict(void)
{
	struct el2_vcpu *v = hull_swap_acqrel(&metal_this_cpu()->resident, NULL);

	if (v)
		take_out(v);
}

void el2_drop(struct el2_vcpu *v)
{
	struct metal_cpu *cpu = hull_load_acquire(&v->where);
	void *mine = v;

	if (!cpu)
		return;
	if (hull_cas_seqcst(&cpu->resident, &mine, NULL)) {
		hull_store_release(&v->where, (struct metal_cpu *)NULL);
		return;
	}
	/* That CPU is taking it out at this moment. */
	while (hull_load_acquire(&v->where))
		metal_relax();
}

/*
 * vCPUs are CPUs of their own and may mean different things by one ASID, or have global entries
 * that differ (CnP is 0): of one VM they share a VMID, so what another has left goes.
 */
static void forget_other(struct el2_vcpu *v, const struct metal_cpu *cpu)
{
	if (v->vm->last[cpu->index] == v)
		return;
	v->vm->last[cpu->index] = v;
	tlbi(vmalle1);
	dsb(nsh);
	isb();
}

void el2_load(struct el2_vcpu *v)
{
	struct metal_cpu *cpu = metal_this_cpu();
	struct el2_vcpu *other;

	if (hull_load_acquire(&v->where) == cpu) {
		/* Guest time may have stood still since. */
		sysreg_write(cntvoff_el2, v->vm->cntvoff);
		return;
	}
	other = hull_swap_acqrel(&cpu->resident, NULL);
	if (other)
		take_out(other);
	metal_thread_alarm(v->thread, NULL, HULL_NEVER);
	sysreg_write(cntvoff_el2, v->vm->cntvoff);
	restore_sys(v->sys);
	el2_fp_restore(&v->fp);
	if (has_keys()) {
#define X(n, name) sysreg_write(name, v->keys[n]);
		EL2_KEY_REGS(X)
#undef X
	}
	if (has_disr())
		sysreg_write(s3_4_c12_c1_1, v->disr);
	/* Whoever was here before may have left it in any state. */
	metal_gic_set_active(v->timer_intid, v->timer_high || v->timer_fired);
	sysreg_write(ich_hcr_el2, 1);
	sysreg_write(ich_vmcr_el2, v->vmcr);
	sysreg_write(ich_ap0r0_el2, v->ap0r0);
	sysreg_write(ich_ap1r0_el2, v->ap1r0);
	sysreg_write(vmpidr_el2, el2_mpidr(v->vcpu));
	sysreg_write(vpidr_el2, sysreg_read(midr_el1));
	sysreg_write(vtcr_el2, v->vm->vtcr);
	sysreg_write(vttbr_el2, v->vm->vttbr);
	sysreg_write(hcr_el2, v->hcr);
	isb();
	forget_other(v, cpu);
	hull_store_release(&v->where, cpu);
	hull_store_seqcst(&cpu->resident, (void *)v);
}

uint64_t el2_sys_get(struct el2_vcpu *v, enum el2_sysreg n)
{
	return v->where ? read_one(n) : v->sys[n];
}

void el2_sys_set(struct el2_vcpu *v, enum el2_sysreg n, uint64_t value)
{
	if (v->where)
		write_one(n, value);
	else
		v->sys[n] = value;
}
