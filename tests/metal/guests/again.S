/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A vCPU that goes off while its timer's interrupt is pending has a timer, and no interrupt, when it
 * is on again.
 */
#include "common.inc"

#define TIMER (1 << 27)

main:
	second_vcpu first
1:	ldr	x0, =PSCI_INFO
	mov	x1, #1
	mov	x2, #0
	hvc	#0
	cmp	x0, #1			/* off */
	b.ne	1b
	adr	x19, gone
	ldr	w1, [x19]
	cbz	w1, 1b
	second_vcpu next
	ldr	x3, =2 * PATIENCE
2:	subs	x3, x3, #1
	b.ne	2b
	say	"not ok: its timer does not interrupt"

/* The interrupt is masked, so it stays pending. */
first:
	mov	x27, #1
	ldr	x0, =TIMER
	bl	gic
	mov	x1, #1
	msr	cntv_tval_el0, x1
	msr	cntv_ctl_el0, x1
	isb
	ldr	x3, =1000000
1:	subs	x3, x3, #1
	b.ne	1b
	adr	x19, gone
	mov	w1, #1
	str	w1, [x19]
	ldr	x0, =PSCI_CPU_OFF
	hvc	#0
	b	.

next:
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	mov	x27, #1
	ldr	x0, =TIMER
	bl	gic
	msr	daifclr, #2
	ldr	x3, =1000000
1:	subs	x3, x3, #1		/* nothing is to come meanwhile */
	b.ne	1b
	mov	x1, #1000
	msr	cntv_tval_el0, x1
	mov	x1, #1
	msr	cntv_ctl_el0, x1
	isb
	b	.

irq:
	mrs	x1, cntv_ctl_el0
	take
	tbz	x1, #2, 1f
	say	"ok"
1:	say	"not ok: an interrupt without a cause"

sync:
	say	"not ok: an exception"

	.balign	8
gone:	.word	0
