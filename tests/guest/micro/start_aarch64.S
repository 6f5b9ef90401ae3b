/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* aarch64: started at EL1 with the MMU off, as arm64 kernels are. */
	.arch	armv8-a+fp+simd
	.section .text.start, "ax"
	.globl _start
_start:
	msr	daifset, #0xf
	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	bl	fp_on
	b	micro_main

	/* Other CPUs: x0 = top of the stack. */
	.globl	ap_start
ap_start:
	msr	daifset, #0xf
	mov	sp, x0
	bl	fp_on
	b	ap_main

fp_on:
#ifdef MICRO_FPU
	mov	x1, #(3 << 20)
	msr	cpacr_el1, x1
	isb
#endif
	ret

	.macro	vector to
	.balign	128
	b	\to
	.endm

	.balign	2048
	.globl	vectors
vectors:
	.rept	4
	vector	broken
	.endr
	vector	synchronous
	vector	interrupt
	vector	broken
	vector	broken
	.rept	8
	vector	broken
	.endr

broken:
	mov	x0, #2
	b	1f
synchronous:
	sub	sp, sp, #704
	stp	x0, x1, [sp]
	mov	x0, #0
	b	1f
interrupt:
	sub	sp, sp, #704
	stp	x0, x1, [sp]
	mov	x0, #1
1:	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x1, elr_el1
	mrs	x2, spsr_el1
	stp	x1, x2, [sp, #160]
#ifdef MICRO_FPU
	stp	q0, q1, [sp, #176]
	stp	q2, q3, [sp, #208]
	stp	q4, q5, [sp, #240]
	stp	q6, q7, [sp, #272]
	stp	q16, q17, [sp, #304]
	stp	q18, q19, [sp, #336]
	stp	q20, q21, [sp, #368]
	stp	q22, q23, [sp, #400]
	stp	q24, q25, [sp, #432]
	stp	q26, q27, [sp, #464]
	stp	q28, q29, [sp, #496]
	stp	q30, q31, [sp, #528]
#endif
	mov	x1, sp
	bl	interrupted
#ifdef MICRO_FPU
	ldp	q0, q1, [sp, #176]
	ldp	q2, q3, [sp, #208]
	ldp	q4, q5, [sp, #240]
	ldp	q6, q7, [sp, #272]
	ldp	q16, q17, [sp, #304]
	ldp	q18, q19, [sp, #336]
	ldp	q20, q21, [sp, #368]
	ldp	q22, q23, [sp, #400]
	ldp	q24, q25, [sp, #432]
	ldp	q26, q27, [sp, #464]
	ldp	q28, q29, [sp, #496]
	ldp	q30, q31, [sp, #528]
#endif
	ldp	x1, x2, [sp, #160]
	msr	elr_el1, x1
	msr	spsr_el1, x2
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	ldp	x0, x1, [sp]
	add	sp, sp, #704
	eret

	.globl	try_call
try_call:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	adrp	x2, try_stack
	mov	x3, sp
	str	x3, [x2, :lo12:try_stack]
	mov	x2, x0
	mov	x0, x1
	blr	x2
	.globl	try_out
try_out:
	adrp	x2, try_stack
	ldr	x3, [x2, :lo12:try_stack]
	mov	sp, x3
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

	.bss
	.balign	16
try_stack:
	.skip	16
	.balign	4096
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
