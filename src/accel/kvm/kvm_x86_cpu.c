/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The processor that guests of KVM see: CPUID, MSRs, time stamps (api 4.20, 4.46, 4.97). */
#include "accel/kvm/kvm_impl.h"

#if defined(__x86_64__)

#include <errno.h>
#include <x86intrin.h>

#include "accel/kvm/kvm_x86_impl.h"
#include "base/bits.h"
#include "base/mem.h"
#include "isa/x86_64/cpuid.h"

/* What headers of Linux 6.1 lack or have with another name. */
#define CPUID_INDEXED 1u /* KVM_CPUID_FLAG_SIGNIFCANT_INDEX */

static struct x86_cpu describe(struct hull_kvm_vm *k)
{
	const struct hull_vm_config *c = hull_vm_config(k->vm);
	struct x86_cpu cpu = { .model = c->hw.cpu_model,
		               .cpus = c->cpu_num,
		               .lapic_below = k->irqchip != HULL_IRQCHIP_USER };

	for (uint32_t i = 0; i < c->cpu_num; i++) {
		struct hull_vcpu_place place;

		if (!hull_config_place(c, i, &place))
			cpu.max_apic_id = MAX(cpu.max_apic_id, place.phys_id);
	}
	return cpu;
}

/* Between KVM's rows and ours. */
static void take(struct x86_cpuid *row, const struct kvm_cpuid_entry2 *e)
{
	*row = (struct x86_cpuid){ .leaf = e->function,
		                   .subleaf = e->index,
		                   .indexed = e->flags & CPUID_INDEXED,
		                   .reg = { e->eax, e->ebx, e->ecx, e->edx } };
}

static void give(struct kvm_cpuid_entry2 *e, const struct x86_cpuid *row)
{
	*e = (struct kvm_cpuid_entry2){ .function = row->leaf,
		                        .index = row->indexed ? row->subleaf : 0,
		                        .flags = row->indexed ? CPUID_INDEXED : 0,
		                        .eax = row->reg[X86_EAX],
		                        .ebx = row->reg[X86_EBX],
		                        .ecx = row->reg[X86_ECX],
		                        .edx = row->reg[X86_EDX] };
}

int hull_kvm_x86_cpuid_init(struct hull_kvm_vm *k, struct hull_err *err)
{
	struct hull_kvm_cpuid *c = &k->arch.cpuid;
	struct x86_cpu cpu = describe(k);
	struct x86_cpuid rows[HULL_KVM_CPUID_MAX], *basic;
	uint32_t n;
	int r;

	c->nent = HULL_KVM_CPUID_MAX;
	r = hull_kvm_ioctl(k->kvm_fd - 1, KVM_GET_SUPPORTED_CPUID, c);
	if (r < 0)
		return hull_kvm_refused(err, "to describe the processor", -r);
	n = MIN(c->nent, (uint32_t)HULL_KVM_CPUID_MAX);
	for (uint32_t i = 0; i < n; i++)
		take(&rows[i], &c->entries[i]);
	basic = hull_x86_cpuid_find(rows, n, 1, 0);
	if (basic && hull_kvm_cap(k, KVM_CAP_TSC_DEADLINE_TIMER))
		basic->reg[X86_ECX] |= 1u << 24; /* which KVM leaves to us, api 4.46 */
	/* Likewise; without it guests do not look for KVM's clock. */
	if (basic)
		basic->reg[X86_ECX] |= 1u << 31;
	r = hull_x86_cpuid_filter(&cpu, rows, &n, err);
	if (r)
		return r;
	c->nent = n;
	for (uint32_t i = 0; i < n; i++)
		give(&c->entries[i], &rows[i]);
	return 0;
}

uint8_t hull_kvm_arch_gpa_bits(struct hull_kvm_vm *k)
{
	const struct hull_kvm_cpuid *c = &k->arch.cpuid;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0x80000008)
			return c->entries[i].eax & 0xff;
	return 36;
}

int hull_kvm_x86_cpuid_set(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	const struct hull_kvm_cpuid *all = &v->vm->arch.cpuid;
	struct x86_cpu cpu = { .cpus = 1 };
	struct hull_kvm_cpuid mine;
	int r;

	memcpy(&mine, all, sizeof(mine));
	for (uint32_t i = 0; i < mine.nent; i++) {
		struct x86_cpuid row;

		take(&row, &mine.entries[i]);
		hull_x86_cpuid_set_id(&cpu, &row, 1, (uint32_t)v->vcpu->phys_id);
		give(&mine.entries[i], &row);
	}
	r = hull_kvm_vcpu_ioctl(v, KVM_SET_CPUID2, &mine);
	return r < 0 ? hull_kvm_refused(err, "this processor model", -r) : 0;
}

enum kind { PLAIN, STATE };

static const struct msr_row {
	uint32_t first;
	uint16_t count;
	uint16_t kind;
} rows[] = {
#define X86_MSR(first, count, name, kind) { first, count, kind },
#include "isa/x86_64/msr.def"
#undef X86_MSR
};

static bool is_state(uint32_t msr)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].kind == STATE && msr - rows[i].first < rows[i].count)
			return true;
	return false;
}

enum { RANGE_MSRS = 0x2000 };

static void allow(uint8_t *bitmap, uint32_t base)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (uint32_t k = 0; k < rows[i].count; k++) {
			uint32_t n = rows[i].first + k - base;

			if (n < RANGE_MSRS)
				bitmap[n / 8] |= (uint8_t)(1u << n % 8);
		}
}

/*
 * Others than those of msr.def (api 4.97) are asked of the board, and a fault if it does not have
 * them. Without such filters (before Linux 5.10) guests see what KVM lets them.
 */
static int filter_msrs(struct hull_kvm_vm *k, struct hull_err *err)
{
	static const uint32_t bases[] = { 0, 0x4b564000, 0xc0000000, 0xc0010000 };
	uint8_t bitmaps[ARRAY_LEN(bases)][RANGE_MSRS / 8] = { 0 };
	struct kvm_msr_filter f = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	int r;

	if (!hull_kvm_cap(k, KVM_CAP_X86_MSR_FILTER))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		allow(bitmaps[i], bases[i]);
		f.ranges[i].flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
		f.ranges[i].nmsrs = RANGE_MSRS;
		f.ranges[i].base = bases[i];
		f.ranges[i].bitmap = bitmaps[i];
	}
	r = hull_kvm_enable(k, KVM_CAP_X86_USER_SPACE_MSR,
	                    KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER);
	if (r >= 0)
		r = hull_kvm_vm_ioctl(k, KVM_X86_SET_MSR_FILTER, &f);
	return r < 0 ? hull_kvm_refused(err, "a list of MSRs", -r) : 0;
}

/* The MSRs of msr.def that this KVM can save. */
int hull_kvm_x86_msr_init(struct hull_kvm_vm *k, struct hull_err *err)
{
	enum { MAX_LIST = 1024 };
	struct {
		uint32_t n, indices[MAX_LIST];
	} list = { .n = MAX_LIST };
	struct hull_kvm_msrs *m = &k->arch.msrs;
	int r = hull_kvm_ioctl(k->kvm_fd - 1, KVM_GET_MSR_INDEX_LIST, &list);

	if (r < 0)
		return hull_kvm_refused(err, "to list its MSRs", -r);
	for (uint32_t i = 0; i < MIN(list.n, (uint32_t)MAX_LIST); i++)
		if (is_state(list.indices[i]) && m->nmsrs < HULL_KVM_MSRS_MAX)
			m->entries[m->nmsrs++].index = list.indices[i];
	return filter_msrs(k, err);
}

/* The offset between the host's time stamp counter and the guest's (Linux 5.16). */
#define TSC_ATTR_GROUP  0
#define TSC_ATTR_OFFSET 0

static void shift_tsc(struct hull_kvm_vcpu *v, uint64_t by)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = { .group = TSC_ATTR_GROUP,
		                        .attr = TSC_ATTR_OFFSET,
		                        .addr = (uintptr_t)&offset };

	if (hull_kvm_vcpu_ioctl(v, KVM_GET_DEVICE_ATTR, &attr) < 0)
		return;
	offset -= by;
	(void)hull_kvm_vcpu_ioctl(v, KVM_SET_DEVICE_ATTR, &attr);
}

/*
 * Guest time stands: kvmclock goes on where it stood, and so does the time stamp counter where KVM
 * lets it (unscaled ones: those with a frequency of their own drift by the pause).
 */
void hull_kvm_arch_clock(struct hull_kvm_vm *k, bool running)
{
	struct hull_kvm_arch_vm *a = &k->arch;
	uint64_t by;

	if (running == !a->stopped)
		return;
	a->stopped = !running;
	if (!running) {
		a->stopped_tsc = __rdtsc();
		if (hull_kvm_vm_ioctl(k, KVM_GET_CLOCK, &a->clock) < 0)
			a->clock.clock = 0;
		/* Its watchdog must not take the pause for a hang; EINVAL: it has no kvmclock. */
		for (uint32_t i = 0; i < hull_vm_vcpu_count(k->vm); i++)
			(void)hull_kvm_vcpu_ioctl(hull_vcpu_accel_state(hull_vm_vcpu(k->vm, i)),
			                          KVM_KVMCLOCK_CTRL, NULL);
		return;
	}
	by = __rdtsc() - a->stopped_tsc;
	for (uint32_t i = 0; i < hull_vm_vcpu_count(k->vm); i++)
		shift_tsc(hull_vcpu_accel_state(hull_vm_vcpu(k->vm, i)), by);
	a->clock.flags = 0;
	if (a->clock.clock)
		(void)hull_kvm_vm_ioctl(k, KVM_SET_CLOCK, &a->clock);
}

#endif
