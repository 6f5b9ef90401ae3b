/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A timer that is set to thousands of years from now wakes nobody, where two vCPUs share a CPU. */
#include "common.inc"

main:
	second_vcpu other
	ldr	x3, =PATIENCE
1:	subs	x3, x3, #1
	b.ne	1b
	adr	x19, count
	ldr	w1, [x19]
	cbz	w1, none
	cmp	w1, #20			/* a wait may end for other reasons */
	b.hi	2f
	say	"ok"
2:	say	"not ok: it wakes all the time"
none:	say	"not ok: the other vCPU does not start"

other:
	adr	x19, count
	mov	w20, #0
	mov	x1, #(1 << 62)
	msr	cntv_cval_el0, x1
	mov	x1, #1
	msr	cntv_ctl_el0, x1
	isb
1:	add	w20, w20, #1
	str	w20, [x19]
	wfi
	b	1b

irq:
	say	"not ok: an interrupt"

sync:
	say	"not ok: an exception"

	.balign	8
count:	.word	0
