/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Into the guest and out of it.
 *
 * Spec: Arm ARM, D1.3 "Exceptions"; the AAPCS64 for what calls keep.
 *
 * The hypervisor runs with everything masked: an exception at EL2 is a fault of ours.  Guest
 * registers are a struct a64_regs: x0..x30, pc, pstate.
 */
#define REGS_PC 248

	.text

/*
 * unsigned metal_enter(struct a64_regs *): 0 synchronous, 1 IRQ, 2 FIQ, 3 SError, 4 dealt with.  In
 * between, el2_fast() may send the guest on; the registers are its struct el2_vcpu, too.
 */
	.global metal_enter
	.balign 64
metal_enter:
	stp	x29, x30, [sp, #-112]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	str	x0, [sp, #96]
again:	ldp	x1, x2, [x0, #REGS_PC]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	eret
	/* No speculation past it. */
	dsb	nsh
	isb

.macro leave kind
	stp	x0, x1, [sp, #-16]!
	ldr	x0, [sp, #112]
	stp	x2, x3, [x0, #16]
	mov	w1, #\kind
	b	left
	.balign 128
.endm

/* Out of a guest: w1 is what metal_enter() returns. */
left:
	stp	x4, x5, [x0, #32]
	stp	x6, x7, [x0, #48]
	stp	x8, x9, [x0, #64]
	stp	x10, x11, [x0, #80]
	stp	x12, x13, [x0, #96]
	stp	x14, x15, [x0, #112]
	stp	x16, x17, [x0, #128]
	stp	x18, x19, [x0, #144]
	stp	x20, x21, [x0, #160]
	stp	x22, x23, [x0, #176]
	stp	x24, x25, [x0, #192]
	stp	x26, x27, [x0, #208]
	stp	x28, x29, [x0, #224]
	str	x30, [x0, #240]
	ldp	x2, x3, [sp], #16
	stp	x2, x3, [x0]
	mrs	x2, elr_el2
	mrs	x3, spsr_el2
	stp	x2, x3, [x0, #REGS_PC]
	mov	x19, x0
	bl	el2_fast
	mov	w1, w0
	mov	x0, x19
	tbnz	w1, #31, again
	mov	w0, w1
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #112
	ret

/* A fault of ours: the registers go to the stack, if there is one, and on the console. */
.macro fault kind
	sub	sp, sp, #272
	stp	x0, x1, [sp]
	mov	x1, #\kind
	b	faulted
	.balign 128
.endm

faulted:
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	str	x30, [sp, #240]
	mrs	x2, elr_el2
	mrs	x3, spsr_el2
	stp	x2, x3, [sp, #REGS_PC]
	mov	x0, sp
	bl	metal_crash
	b	.

	.global metal_vectors
	.balign 2048
metal_vectors:
	fault	0	/* current EL, SP_EL0: never used */
	fault	1
	fault	2
	fault	3
	fault	4	/* current EL */
	fault	5
	fault	6
	fault	7
	leave	0	/* AArch64 guest */
	leave	1
	leave	2
	leave	3
	fault	12	/* AArch32: HCR_EL2.RW forbids it at EL1; EL0 comes through the same entries */
	fault	13
	fault	14
	fault	15

/* void metal_switch(uint64_t *save_sp, uint64_t sp): what a call keeps, on the stack. */
	.global metal_switch
metal_switch:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	mov	x2, sp
	str	x2, [x0]
	mov	sp, x1
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

/* Where a new thread's first switch returns to: x19 is its function, x20 the argument. */
	.global metal_thread_start
metal_thread_start:
	bl	metal_thread_arrived
	mov	x0, x20
	blr	x19
	b	metal_thread_end
