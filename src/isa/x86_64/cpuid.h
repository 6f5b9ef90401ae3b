/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Models of x86_64 processors: what CPUID tells a guest, out of what the host can.
 *
 * A model is "host", "x86-64-v1" to "x86-64-v4", or "max" (the same as host), followed by features
 * to add and to take away: "x86-64-v2,+aes,-x2apic".  Pure; any thread.
 */
#ifndef HULL_ISA_X86_64_CPUID_H
#define HULL_ISA_X86_64_CPUID_H

#include <hull/error.h>
#include <hull/types.h>

enum x86_cpuid_reg { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

struct x86_cpuid {
	uint32_t leaf, subleaf;
	bool indexed; /* the subleaf matters */
	uint32_t reg[4];
};

struct x86_cpu {
	const char *model; /* NULL or empty: "host" */
	uint32_t cpus;     /* of the machine */
	uint64_t max_apic_id;
	bool lapic_below; /* the accelerator has LAPICs: x2APIC, deadline timer, paravirtual IPIs */
};

/*
 * Filter `n` rows of the host's CPUID in place: leaves and features that cpuid.def does not know
 * or the model does not have go, the topology becomes cores of one package.  *n shrinks.
 * HULL_EINVAL (E0208): no such model or feature; HULL_ENOTSUP (E0208): the host lacks a part of it.
 */
int hull_x86_cpuid_filter(const struct x86_cpu *cpu, struct x86_cpuid *rows, uint32_t *n,
                          struct hull_err *err);

/* Put the id of one vCPU into the rows. */
void hull_x86_cpuid_set_id(const struct x86_cpu *cpu, struct x86_cpuid *rows, uint32_t n,
                           uint32_t apic_id);

/* The row of a leaf, or NULL. */
struct x86_cpuid *hull_x86_cpuid_find(struct x86_cpuid *rows, uint32_t n, uint32_t leaf,
                                      uint32_t subleaf);

#endif
