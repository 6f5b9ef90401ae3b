/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The counter never goes back, though guest time stands still now and then: for five seconds. */
#include "common.inc"

main:
	ldr	x1, =UART
	mov	w2, #'>'
	strb	w2, [x1]
	mov	w2, #10
	strb	w2, [x1]
	mrs	x5, cntfrq_el0
	add	x5, x5, x5, lsl #2
	isb
	mrs	x6, cntvct_el0
	add	x5, x5, x6
1:	isb
	mrs	x7, cntvct_el0
	cmp	x7, x6
	b.lo	2f
	mov	x6, x7
	cmp	x7, x5
	b.lo	1b
	say	"ok"
2:	say	"not ok: it went back"

irq:
sync:
	say	"not ok: an exception"
