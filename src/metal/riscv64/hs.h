/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The inside of the HS accelerator, for its files only. */
#ifndef HULL_METAL_RISCV64_HS_H
#define HULL_METAL_RISCV64_HS_H

#include <hull/accel.h>

#include "core/vcpu.h"
#include "isa/riscv64/access.h"
#include "isa/riscv64/gstage.h"
#include "metal/riscv64/cpu.h"

/* CSRs of VS-mode that a vCPU keeps in the CPU while it is resident: name, the guest's number. */
#define HS_CSRS(X)           \
	X(vsstatus, 0x100)   \
	X(vsie, 0x104)       \
	X(vstvec, 0x105)     \
	X(scounteren, 0x106) \
	X(senvcfg, 0x10a)    \
	X(vsscratch, 0x140)  \
	X(vsepc, 0x141)      \
	X(vscause, 0x142)    \
	X(vstval, 0x143)     \
	X(vsatp, 0x180)

enum hs_csr {
#define X(name, number) HS_##name,
	HS_CSRS(X)
#undef X
		HS_NCSRS,
};

struct hs_fp {
	uint64_t f[32];
	uint64_t fcsr;
};

struct hs_vm {
	struct hull_rv_gs gs;
	uint64_t start;   /* the counter when guest time was 0 */
	uint64_t stopped; /* the counter when guest time stopped; 0: it goes on */
};

struct hs_vcpu {
	struct rv_regs regs;
	struct hull_vcpu *vcpu;
	struct hs_vm *vm;
	struct metal_thread *thread; /* that runs it */
	uint64_t csrs[HS_NCSRS];     /* while it is not resident */
	struct hs_fp fp;
	bool user;                    /* it was in VU-mode */
	bool ssip;                    /* software interrupt pending */
	uint64_t timecmp;             /* guest time, ticks */
	struct hull_rv_access access; /* of a device, to be completed; bytes 0: there is none */
	hull_va access_at;
};

/* What is pending, as sip has it; which of it is enabled by the guest. */
uint64_t hs_pending(const struct hs_vcpu *v);
bool hs_wakes(const struct hs_vcpu *v);

/* Deal with an exception from the guest, which is resident; true: go on. */
bool hs_handle(struct hs_vcpu *v, uint64_t cause, struct hull_exit *exit);
/* The answer to an access that left vcpu_run; resident or not. */
void hs_complete(struct hs_vcpu *v, const struct hull_exit *exit);
/* The guest takes an exception.  Makes it resident. */
void hs_inject(struct hs_vcpu *v, uint64_t cause, uint64_t value);

/* Bring a vCPU into this CPU, if it is not there. */
void hs_load(struct hs_vcpu *v);

#endif
