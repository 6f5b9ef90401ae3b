/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What KVM keeps per VM and vCPU on x86_64 hosts; included by kvm_impl.h only. */
#ifndef HULL_ACCEL_KVM_KVM_X86_H
#define HULL_ACCEL_KVM_KVM_X86_H

#include <linux/kvm.h>
#include <pthread.h>

#include <hull/types.h>

#define HULL_KVM_ISAS     (1u << HULL_ISA_X86_64)
#define HULL_KVM_HAS_ARCH 1

enum {
	HULL_KVM_CPUID_MAX = 256,
	HULL_KVM_MSRS_MAX = 192,
	HULL_KVM_PINS = 24, /* of the I/O APIC */
	HULL_KVM_MSI_ROUTES = 4,
};

/* Groups of registers that KVM moves in one call: bits of `have` and `dirty`. */
enum {
	HULL_KVM_REGS = 1,
	HULL_KVM_SREGS = 2,
	HULL_KVM_DEBUGREGS = 4,
	HULL_KVM_XCRS = 8,
	HULL_KVM_XSAVE = 16,
};

struct hull_kvm_regs {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	uint32_t xsave[1024]; /* as struct kvm_xsave */
};

struct hull_kvm_cpuid {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[HULL_KVM_CPUID_MAX]; /* as struct kvm_cpuid2 */
};

struct hull_kvm_msrs {
	uint32_t nmsrs;
	uint32_t pad;
	struct kvm_msr_entry entries[HULL_KVM_MSRS_MAX]; /* as struct kvm_msrs */
};

struct hull_kvm_route {
	uint64_t addr;
	uint32_t data;
	bool used;
};

struct hull_kvm_arch_vm {
	struct hull_kvm_cpuid cpuid; /* what vCPUs get, but for their ids */
	struct hull_kvm_msrs msrs;   /* indices of those that make up the state */
	struct kvm_irqchip ioapic;   /* KERNEL: as created */
	bool has_ioapic;
	bool has_xcrs;                               /* processors before XSAVE have none */
	struct hull_kvm_route routes[HULL_KVM_PINS]; /* SPLIT: of the board's I/O APIC */
	pthread_mutex_t route_lock;
	/* While guest time stands: */
	struct kvm_clock_data clock;
	uint64_t stopped_tsc;
	bool stopped;
};

struct hull_kvm_arch_vcpu {
	uint32_t have, dirty; /* HULL_KVM_REGS...: copies below are valid, are newer than KVM's */
	struct hull_kvm_regs now;
	struct hull_kvm_regs reset; /* as created */
	struct kvm_vcpu_events reset_events;
	struct kvm_lapic_state reset_lapic;
	struct hull_kvm_msrs reset_msrs;
	bool fresh;  /* as created */
	uint8_t cr8; /* USER: as the board's local APIC has it */
};

#endif
