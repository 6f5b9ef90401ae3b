/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Into the guest and out of it; from thread to thread.
 *
 * Spec: Privileged ISA 20240411, "H" extension, "Traps"; the calling convention of the psABI.
 *
 * The hypervisor runs with interrupts masked: a trap of its own is a fault of ours.  Guest registers
 * are a struct rv_regs: x0..x31, pc; x0 is the hypervisor's stack while the guest runs.
 */
#define REGS_PC 256

.macro all op, base			/* x1..x31 but x10, which is the base */
	.irp n, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	\op	x\n, 8 * \n(\base)
	.endr
.endm

.macro kept op				/* what calls keep, in 112 bytes of stack */
	\op	ra, 0(sp)
	\op	s0, 8(sp)
	\op	s1, 16(sp)
	\op	s2, 24(sp)
	\op	s3, 32(sp)
	\op	s4, 40(sp)
	\op	s5, 48(sp)
	\op	s6, 56(sp)
	\op	s7, 64(sp)
	\op	s8, 72(sp)
	\op	s9, 80(sp)
	\op	s10, 88(sp)
	\op	s11, 96(sp)
	\op	tp, 104(sp)
.endm

	.text

/* uint64_t metal_enter(struct rv_regs *): scause. */
	.global metal_enter
metal_enter:
	addi	sp, sp, -112
	kept	sd
	sd	sp, 0(a0)
	csrw	sscratch, a0
	lla	t0, left
	csrw	stvec, t0
	ld	t0, REGS_PC(a0)
	csrw	sepc, t0
	all	ld, a0
	ld	a0, 80(a0)
	sret

	.balign	4
left:
	csrrw	a0, sscratch, a0
	all	sd, a0
	lla	t0, metal_vector
	csrw	stvec, t0
	csrr	t0, sscratch
	sd	t0, 80(a0)
	csrr	t0, sepc
	sd	t0, REGS_PC(a0)
	ld	sp, 0(a0)
	kept	ld
	addi	sp, sp, 112
	csrr	a0, scause
	ret

/* A fault of ours: the registers go to the stack, if there is one, and on the console. */
	.global metal_vector
	.balign	4
metal_vector:
	addi	sp, sp, -272
	sd	a0, 80(sp)
	mv	a0, sp
	all	sd, a0
	csrr	t0, sepc
	sd	t0, REGS_PC(a0)
	call	metal_crash

/* void metal_switch(uint64_t *save_sp, uint64_t sp) */
	.global metal_switch
metal_switch:
	addi	sp, sp, -112
	kept	sd
	sd	sp, 0(a0)
	mv	sp, a1
	kept	ld
	addi	sp, sp, 112
	ret

/* Where a new thread's first switch returns to: s0 is its function, s1 the argument. */
	.global metal_thread_start
metal_thread_start:
	call	metal_thread_arrived
	mv	a0, s1
	jalr	s0
	call	metal_thread_end

/* bool hs_fetch(hull_va at, uint16_t *ret), by HLVX.HU */
	.global hs_fetch
hs_fetch:
	lla	t0, 1f
	csrrw	t0, stvec, t0
	.insn	r 0x73, 4, 0x32, t1, a0, x3
	sh	t1, 0(a1)
	csrw	stvec, t0
	li	a0, 1
	ret
	.balign	4
1:	csrw	stvec, t0
	li	a0, 0
	ret

/* void hs_fp_save(struct hs_fp *), hs_fp_restore(const struct hs_fp *) */
	.option	arch, +f, +d
	.global hs_fp_save, hs_fp_restore
hs_fp_save:
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fsd	f\n, 8 * \n(a0)
	.endr
	frcsr	t0
	sd	t0, 256(a0)
	ret
hs_fp_restore:
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fld	f\n, 8 * \n(a0)
	.endr
	ld	t0, 256(a0)
	fscsr	t0
	ret
