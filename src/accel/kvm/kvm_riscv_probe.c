/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What probing runs on riscv64: S-mode, one page of code with a trap handler, one of page table.
 *
 * At 0 is the loop that is measured, A2 times two instructions; behind it SBI system reset (power
 * off); at 0x40 the test of what kernels need.  Each of its steps writes its number to STEP first;
 * 0: all passed.
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__riscv)

#include "base/bits.h"
#include "isa/riscv64/regs.h"

#define RAM UINT64_C(0x80000000)

enum { TABLE = 0x1000, STEP = 0x2000, RAM_BYTES = 0x3000, TEST = 0x40, A2 = 12 };

static const uint32_t code[] = {
	/* clang-format off */
	0xfff60613, /* add a2,a2,-1 */
	0xfe061ee3, /* bnez a2,0 */
	0x535258b7, /* lui a7,0x53525 */
	0x35488893, /* add a7,a7,852 */
	0x00000813, /* li a6,0 */
	0x00000513, /* li a0,0 */
	0x00000593, /* li a1,0 */
	0x00000073, /* ecall */
	0xfe9ff06f, /* j 8 */
	[0x40 / 4] = 0x00100913, /* li s2,1 */
	0x01f91913, /* sll s2,s2,0x1f */
	0x000029b7, /* lui s3,0x2 */
	0x013909b3, /* add s3,s2,s3 */
	0x7f090293, /* add t0,s2,2032 */
	0x01028293, /* add t0,t0,16 */
	0x10529073, /* csrw stvec,t0 */
	0x100002b7, /* lui t0,0x10000 */
	0x0002a303, /* lw t1,0(t0) */
	0x0a031463, /* bnez t1,10c */
	0x0062a023, /* sw t1,0(t0) */
	0x00200393, /* li t2,2 */
	0x0079a023, /* sw t2,0(s3) */
	0x00000a13, /* li s4,0 */
	0x00100073, /* ebreak */
	0x00100393, /* li t2,1 */
	0x087a1663, /* bne s4,t2,10c */
	0x00300393, /* li t2,3 */
	0x0079a023, /* sw t2,0(s3) */
	0x00800293, /* li t0,8 */
	0x03c29293, /* sll t0,t0,0x3c */
	0x00c95313, /* srl t1,s2,0xc */
	0x00130313, /* add t1,t1,1 */
	0x0062e2b3, /* or t0,t0,t1 */
	0x18029073, /* csrw satp,t0 */
	0x12000073, /* sfence.vma */
	0x00300293, /* li t0,3 */
	0x01e29293, /* sll t0,t0,0x1e */
	0x0002a303, /* lw t1,0(t0) */
	0x00200393, /* li t2,2 */
	0x047a1a63, /* bne s4,t2,10c */
	0x00400393, /* li t2,4 */
	0x0079a023, /* sw t2,0(s3) */
	0x000022b7, /* lui t0,0x2 */
	0x1002a073, /* csrs sstatus,t0 */
	0x00300293, /* li t0,3 */
	0xd2028553, /* fcvt.d.w fa0,t0 */
	0x02a575d3, /* fadd.d fa1,fa0,fa0 */
	0xc205f353, /* fcvt.w.d t1,fa1 */
	0x00600393, /* li t2,6 */
	0x02731663, /* bne t1,t2,10c */
	0x00500393, /* li t2,5 */
	0x0079a023, /* sw t2,0(s3) */
	0x1009a2af, /* lr.w t0,(s3) */
	0x00128293, /* add t0,t0,1 */
	0x1859a32f, /* sc.w t1,t0,(s3) */
	0xfe031ae3, /* bnez t1,ec */
	0x0009a283, /* lw t0,0(s3) */
	0x00600393, /* li t2,6 */
	0x00729463, /* bne t0,t2,10c */
	0x0009a023, /* sw zero,0(s3) */
	0x18001073, /* csrw satp,zero */
	0x12000073, /* sfence.vma */
	0xef5ff06f, /* j 8 */
	[0x800 / 4] = 0x001a0a13, /* add s4,s4,1 */
	0x14102373, /* csrr t1,sepc */
	0x00430313, /* add t1,t1,4 */
	0x14131073, /* csrw sepc,t1 */
	0x10200073, /* sret */
	/* clang-format on */
};

static const char *const steps[] = { "",
	                             "memory-mapped registers",
	                             "exceptions",
	                             "page faults",
	                             "floating point",
	                             "reserved accesses" };

const struct hull_kvm_payload hull_kvm_arch_payload = {
	.isa = HULL_ISA_RISCV64, .ram = RAM_BYTES, .ram_at = RAM, .loop_insns = 2
};

static bool put(struct hull_vm *vm, hull_gpa at, uint64_t value)
{
	uint8_t raw[8];

	store_le64(raw, value);
	return !hull_vm_write(vm, at, raw, sizeof(raw));
}

int hull_kvm_arch_payload_load(struct hull_vm *vm)
{
	/* Sv39: a page of 1 GiB, the third of the table. */
	const uint64_t memory = RAM >> 12 << 10 | PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;
	bool done = !hull_vm_write(vm, RAM, code, sizeof(code)) &&
	            put(vm, RAM + TABLE + 8 * (RAM >> 30), memory) && put(vm, RAM + STEP, 1);

	return done ? 0 : HULL_EFAULT;
}

int hull_kvm_arch_payload_start(struct hull_vcpu *vcpu, uint32_t loops)
{
	struct kvm_mp_state on = { KVM_MP_STATE_RUNNABLE };
	int r = hull_vcpu_reg_set(vcpu, HULL_RV_REG_PC, loops ? RAM : RAM + TEST);

	if (!r)
		r = hull_vcpu_reg_set(vcpu, HULL_RV_REG_X0 + A2, loops);
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
