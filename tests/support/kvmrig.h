/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A machine of KVM for tests on x86_64: 640 KiB of RAM, a device that writes down what is done to
 * it, real-mode code at 0x1000.  Where there is no KVM, kvmrig_usable() says so.
 */
#ifndef KVMRIG_H
#define KVMRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hull/host.h>
#include <hull/vm.h>
#include "core/bus.h"
#include "core/dev_impl.h"
#include "core/irqchip.h"
#include "core/vcpu.h"
#include "isa/x86_64/regs.h"

enum {
	KVMRIG_CODE = 0x1000,
	KVMRIG_RAM = 0xa0000,
	KVMRIG_MMIO = 0xd0000,         /* 4 KiB, all sizes */
	KVMRIG_WIDE = 0x400,           /* 16 ports, 1 to 4 bytes */
	KVMRIG_NARROW = 0x500,         /* 16 ports, bytes only */
	KVMRIG_END = KVMRIG_WIDE + 15, /* a write ends hull_vm_run_vcpu() */
	KVMRIG_LOG = 8192,
};

struct kvmrig_access {
	uint64_t off;
	unsigned size;
	bool write;
	uint64_t value;
};

struct kvmrig {
	struct hull_vm *vm;
	struct hull_vcpu *vcpu; /* number 0 */
	struct kvmrig_access log[KVMRIG_LOG];
	unsigned n;      /* accesses */
	uint64_t answer; /* to reads */
	const void *code;
	size_t code_bytes;
	bool flat; /* the code is for 32 bits with flat segments, not for real mode */
};

/* Is there a /dev/kvm that can be opened? */
bool kvmrig_usable(void);

struct hull_vm_config kvmrig_config(uint32_t cpus);

/* Make it of `c` and seal it; the code is loaded at each boot. */
void kvmrig_make(struct kvmrig *r, const struct hull_vm_config *c, const void *code, size_t bytes);
/* The same with 32-bit code. */
void kvmrig_make_flat(struct kvmrig *r, const struct hull_vm_config *c, const void *code,
                      size_t bytes);
void kvmrig_unmake(struct kvmrig *r);

/* Boot. */
void kvmrig_boot(struct kvmrig *r);
/* vCPU 0 until its next exit for the caller. */
enum hull_exit_kind kvmrig_run(struct kvmrig *r);
uint64_t kvmrig_reg(struct kvmrig *r, uint32_t reg);

#define KVMRIG_START(r, irqchip_, code_)                          \
	do {                                                      \
		struct hull_vm_config config_ = kvmrig_config(1); \
		config_.hw.irqchip = HULL_IRQCHIP_##irqchip_;     \
		kvmrig_make(r, &config_, code_, sizeof(code_));   \
		kvmrig_boot(r);                                   \
	} while (0)

#endif
