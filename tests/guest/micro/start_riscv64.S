/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* riscv64: started by SBI in S-mode, a0 = hart id, paging off. */
	.section .text.start, "ax"
	.globl _start
_start:
	csrw	sie, zero
	csrci	sstatus, 2
	mv	tp, a0
	la	sp, stack_top
	li	s0, 0
#ifdef MICRO_FPU
	li	t0, 0x2000
	csrs	sstatus, t0
#endif
	j	micro_main

	/* Other harts: a1 = top of the stack. */
	.globl	ap_start
ap_start:
	csrw	sie, zero
	csrci	sstatus, 2
	mv	tp, a0
	mv	sp, a1
	j	ap_main

	.balign	4
	.globl	trap
trap:
	addi	sp, sp, -256
	sd	ra, 0(sp)
	sd	t0, 8(sp)
	sd	t1, 16(sp)
	sd	t2, 24(sp)
	sd	t3, 32(sp)
	sd	t4, 40(sp)
	sd	t5, 48(sp)
	sd	t6, 56(sp)
	sd	a0, 64(sp)
	sd	a1, 72(sp)
	sd	a2, 80(sp)
	sd	a3, 88(sp)
	sd	a4, 96(sp)
	sd	a5, 104(sp)
	sd	a6, 112(sp)
	sd	a7, 120(sp)
#ifdef MICRO_FPU
	addi	sp, sp, -256
	fsd	ft0, 0(sp)
	fsd	ft1, 8(sp)
	fsd	ft2, 16(sp)
	fsd	ft3, 24(sp)
	fsd	ft4, 32(sp)
	fsd	ft5, 40(sp)
	fsd	ft6, 48(sp)
	fsd	ft7, 56(sp)
	fsd	ft8, 64(sp)
	fsd	ft9, 72(sp)
	fsd	ft10, 80(sp)
	fsd	ft11, 88(sp)
	fsd	fa0, 96(sp)
	fsd	fa1, 104(sp)
	fsd	fa2, 112(sp)
	fsd	fa3, 120(sp)
	fsd	fa4, 128(sp)
	fsd	fa5, 136(sp)
	fsd	fa6, 144(sp)
	fsd	fa7, 152(sp)
#endif
	call	interrupted
#ifdef MICRO_FPU
	fld	ft0, 0(sp)
	fld	ft1, 8(sp)
	fld	ft2, 16(sp)
	fld	ft3, 24(sp)
	fld	ft4, 32(sp)
	fld	ft5, 40(sp)
	fld	ft6, 48(sp)
	fld	ft7, 56(sp)
	fld	ft8, 64(sp)
	fld	ft9, 72(sp)
	fld	ft10, 80(sp)
	fld	ft11, 88(sp)
	fld	fa0, 96(sp)
	fld	fa1, 104(sp)
	fld	fa2, 112(sp)
	fld	fa3, 120(sp)
	fld	fa4, 128(sp)
	fld	fa5, 136(sp)
	fld	fa6, 144(sp)
	fld	fa7, 152(sp)
	addi	sp, sp, 256
#endif
	ld	ra, 0(sp)
	ld	t0, 8(sp)
	ld	t1, 16(sp)
	ld	t2, 24(sp)
	ld	t3, 32(sp)
	ld	t4, 40(sp)
	ld	t5, 48(sp)
	ld	t6, 56(sp)
	ld	a0, 64(sp)
	ld	a1, 72(sp)
	ld	a2, 80(sp)
	ld	a3, 88(sp)
	ld	a4, 96(sp)
	ld	a5, 104(sp)
	ld	a6, 112(sp)
	ld	a7, 120(sp)
	addi	sp, sp, 256
	sret

	.globl	try_call
try_call:
	addi	sp, sp, -128
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	la	t0, try_stack
	sd	sp, 0(t0)
	mv	t0, a0
	mv	a0, a1
	jalr	t0
	.balign	4
	.globl	try_out
try_out:
	la	t0, try_stack
	ld	sp, 0(t0)
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	addi	sp, sp, 128
	ret

	.bss
	.balign	16
try_stack:
	.skip	16
	.balign	4096
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
