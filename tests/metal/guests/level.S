/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A level that stays high interrupts again after each end, though nothing else leaves the guest. */
#include "common.inc"

main:
	mov	x20, #0
	mov	x27, #0
	mov	x0, #0
	bl	gic
	ldr	x1, =GICD
	mov	w2, #2			/* interrupt 33: the UART */
	str	w2, [x1, #0x84]
	str	w2, [x1, #0x104]
	ldr	x1, =UART
	mov	w2, #'>'
	strb	w2, [x1]
	mov	w2, #0x20		/* room for more is reason enough */
	str	w2, [x1, #0x38]
	msr	daifclr, #2
	ldr	x3, =PATIENCE
1:	subs	x3, x3, #1
	b.ne	1b
	msr	daifset, #2
	ldr	x1, =UART
	str	wzr, [x1, #0x38]
	say	"not ok: it came too seldom"

irq:
	take
	add	x20, x20, #1
	cmp	x20, #5
	b.eq	1f
	eret
1:	ldr	x1, =UART
	str	wzr, [x1, #0x38]
	say	"ok"

sync:
	say	"not ok: an exception"
