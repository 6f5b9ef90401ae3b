/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What probing runs on aarch64: EL1, one page of code with vectors, one of a translation table.
 *
 * At 0 is the loop that is measured, X2 times two instructions; behind it PSCI SYSTEM_OFF; at 0x40
 * the test of what kernels need.  Each of its steps writes its number to STEP first; 0: all passed.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__aarch64__)

#include "base/bits.h"
#include "isa/aarch64/regs.h"

#define RAM UINT64_C(0x40000000)

enum { TABLE = 0x1000, STEP = 0x2000, RAM_BYTES = 0x3000, TEST = 0x40 };

static const uint32_t code[] = {
	/* clang-format off */
	0xf1000442, /* subs x2, x2, #0x1 */
	0x54ffffe1, /* b.ne 0 */
	0x52800100, /* mov w0, #0x8 */
	0x72b08000, /* movk w0, #0x8400, lsl #16 */
	0xd4000002, /* hvc #0x0 */
	0x17fffffd, /* b 8 */
	[0x40 / 4] = 0xd2a8000a, /* mov x10, #0x40000000 */
	0x9120014b, /* add x11, x10, #0x800 */
	0xd518c00b, /* msr vbar_el1, x11 */
	0x9140054b, /* add x11, x10, #0x1, lsl #12 */
	0xd518200b, /* msr ttbr0_el1, x11 */
	0xd29fe00b, /* mov x11, #0xff00 */
	0xd518a20b, /* msr mair_el1, x11 */
	0xd286a32b, /* mov x11, #0x3519 */
	0xf2a0100b, /* movk x11, #0x80, lsl #16 */
	0xd518204b, /* msr tcr_el1, x11 */
	0xd5033fdf, /* isb */
	0xd538100b, /* mrs x11, sctlr_el1 */
	0xd28200ac, /* mov x12, #0x1005 */
	0xaa0c016b, /* orr x11, x11, x12 */
	0xd518100b, /* msr sctlr_el1, x11 */
	0xd5033fdf, /* isb */
	0x52800049, /* mov w9, #0x2 */
	0xb9200149, /* str w9, [x10, #8192] */
	0xd2a1200b, /* mov x11, #0x9000000 */
	0xb9400160, /* ldr w0, [x11] */
	0x35000460, /* cbnz w0, 11c */
	0xb9000160, /* str w0, [x11] */
	0x52800069, /* mov w9, #0x3 */
	0xb9200149, /* str w9, [x10, #8192] */
	0xd2800001, /* mov x1, #0x0 */
	0xd4000001, /* svc #0x0 */
	0xf100043f, /* cmp x1, #0x1 */
	0x54000381, /* b.ne 11c */
	0x52800089, /* mov w9, #0x4 */
	0xb9200149, /* str w9, [x10, #8192] */
	0xd2b0000b, /* mov x11, #0x80000000 */
	0xb9400160, /* ldr w0, [x11] */
	0xf100083f, /* cmp x1, #0x2 */
	0x540002c1, /* b.ne 11c */
	0x528000a9, /* mov w9, #0x5 */
	0xb9200149, /* str w9, [x10, #8192] */
	0xd2a0060b, /* mov x11, #0x300000 */
	0xd518104b, /* msr cpacr_el1, x11 */
	0xd5033fdf, /* isb */
	0x1e6f1000, /* fmov d0, #1.500000000000000000e+00 */
	0x1e602801, /* fadd d1, d0, d0 */
	0x9e78002b, /* fcvtzs x11, d1 */
	0xf1000d7f, /* cmp x11, #0x3 */
	0x54000181, /* b.ne 11c */
	0x528000c9, /* mov w9, #0x6 */
	0xb9200149, /* str w9, [x10, #8192] */
	0x9140094b, /* add x11, x10, #0x2, lsl #12 */
	0x885f7d60, /* ldxr w0, [x11] */
	0x11000400, /* add w0, w0, #0x1 */
	0x88037d60, /* stxr w3, w0, [x11] */
	0x35ffffa3, /* cbnz w3, fc */
	0xb9400160, /* ldr w0, [x11] */
	0x71001c1f, /* cmp w0, #0x7 */
	0x54000041, /* b.ne 11c */
	0xb920015f, /* str wzr, [x10, #8192] */
	0x17ffffbb, /* b 8 */
	[0xa00 / 4] = 0x91000421, /* add x1, x1, #0x1 */
	0xd538520c, /* mrs x12, esr_el1 */
	0xd35afd8c, /* lsr x12, x12, #26 */
	0xf100959f, /* cmp x12, #0x25 */
	0x54000081, /* b.ne a20 */
	0xd538402c, /* mrs x12, elr_el1 */
	0x9100118c, /* add x12, x12, #0x4 */
	0xd518402c, /* msr elr_el1, x12 */
	0xd69f03e0, /* eret */
	/* clang-format on */
};

static const char *const steps[] = { "",
	                             "paging",
	                             "memory-mapped registers",
	                             "exceptions",
	                             "page faults",
	                             "floating point",
	                             "exclusive accesses" };

const struct hull_kvm_payload hull_kvm_arch_payload = {
	.isa = HULL_ISA_AARCH64, .ram = RAM_BYTES, .ram_at = RAM, .loop_insns = 2
};

static bool put(struct hull_vm *vm, hull_gpa at, uint64_t value)
{
	uint8_t raw[8];

	store_le64(raw, value);
	return !hull_vm_write(vm, at, raw, sizeof(raw));
}

int hull_kvm_arch_payload_load(struct hull_vm *vm)
{
	/* Blocks of 1 GiB (D8.3.1): valid, accessed; memory inner shareable and of MAIR's type 1.
	 */
	const uint64_t device = 1 | 1 << 10, memory = RAM | 1 | 1 << 2 | 3 << 8 | 1 << 10;
	bool done = !hull_vm_write(vm, RAM, code, sizeof(code)) && put(vm, RAM + TABLE, device) &&
	            put(vm, RAM + TABLE + 8, memory) && put(vm, RAM + STEP, 1);

	return done ? 0 : HULL_EFAULT;
}

int hull_kvm_arch_payload_start(struct hull_vcpu *vcpu, uint32_t loops)
{
	const struct hull_reg_value regs[] = { { HULL_A64_REG_PC, loops ? RAM : RAM + TEST },
		                               { HULL_A64_REG_PSTATE, A64_PSTATE_EL1H_MASKED },
		                               { HULL_A64_REG_X0 + 2, loops } };
	struct kvm_mp_state on = { KVM_MP_STATE_RUNNABLE };
	int r = 0;

	for (unsigned i = 0; !r && i < ARRAY_LEN(regs); i++)
		r = hull_vcpu_reg_set(vcpu, regs[i].reg, regs[i].value);
	/* The run before has ended with everything off. */
	if (!r && hull_kvm_vcpu_ioctl(hull_vcpu_accel_state(vcpu), KVM_SET_MP_STATE, &on) < 0)
		r = HULL_EIO;
	return r;
}

const char *hull_kvm_arch_payload_result(struct hull_vm *vm)
{
	uint8_t raw[4];
	uint32_t step;

	if (hull_vm_read(vm, RAM + STEP, raw, sizeof(raw)))
		return "its memory";
	step = load_le32(raw);
	if (!step)
		return NULL;
	return steps[MIN(step, (uint32_t)ARRAY_LEN(steps) - 1)];
}

#endif
