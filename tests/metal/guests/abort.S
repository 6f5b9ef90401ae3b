/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The state in which an abort begins: PAN follows SCTLR_EL1.SPAN, flags stay. */
#include "common.inc"

#define SPAN (1 << 23)

/* An access that nobody answers, with SPAN and PAN as given; the handler's PAN is to be `want`. */
.macro	try span, pan, want
	mrs	x1, sctlr_el1
	bic	x1, x1, #SPAN
	.if	\span
	orr	x1, x1, #SPAN
	.endif
	msr	sctlr_el1, x1
	isb
	msr	pan, #\pan
	mov	x1, #0x1000
	mov	x22, #-1
	cmp	x1, x1
	ldr	w2, [x1]
	cmp	x22, #(\want << 22)
	b.ne	wrong
.endm

main:
	try	1, 0, 0
	try	1, 1, 1
	try	0, 0, 1
	try	0, 1, 1
	say	"ok"
wrong:
	say	"not ok: PAN is wrong"

sync:
	b.ne	flags
	mrs	x22, pan
	mrs	x2, elr_el1
	add	x2, x2, #4
	msr	elr_el1, x2
	eret
flags:
	say	"not ok: the flags are lost"

irq:
	say	"not ok: an interrupt"
