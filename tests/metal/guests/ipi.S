/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Interprocessor interrupts reach a vCPU that leaves its guest for nothing else. */
#include "common.inc"

main:
	second_vcpu other
	adr	x19, count
	ldr	x3, =PATIENCE
1:	ldr	w1, [x19, #4]		/* is it ready? */
	cbnz	w1, 2f
	subs	x3, x3, #1
	b.ne	1b
	say	"not ok: the other vCPU does not start"
2:	mov	w4, #1
3:	mov	x1, #0x01000000		/* SGI 1, to affinity 1 */
	orr	x1, x1, #2
	msr	s3_0_c12_c11_5, x1	/* ICC_SGI1R_EL1 */
	isb
	ldr	x3, =PATIENCE
4:	ldr	w1, [x19]
	cmp	w1, w4
	b.eq	5f
	subs	x3, x3, #1
	b.ne	4b
	say	"not ok: one is lost"
5:	add	w4, w4, #1
	cmp	w4, #6
	b.ne	3b
	say	"ok"

other:
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	adr	x19, count
	mov	x20, #0
	mov	x27, #1
	mov	x0, #0xffff
	bl	gic
	msr	daifclr, #2
	mov	w1, #1
	str	w1, [x19, #4]
	b	.

irq:
	take
	add	x20, x20, #1
	str	w20, [x19]
	eret

sync:
	say	"not ok: an exception"

	.balign	8
count:	.word	0, 0
