/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the identification registers do not offer is not there: they are the machine's own. */
#include "common.inc"

/* A register that must be undefined. */
.macro	absent name
	mov	x22, #0
	mrs	x1, \name
	cbz	x22, 8f
.endm

main:
	mrs	x1, id_aa64pfr0_el1
	ubfx	x1, x1, #32, #4
	cbz	x1, 1f
	say	"not ok: SVE, which traps"
1:	absent	s3_0_c1_c2_0		/* ZCR_EL1: SVE */
	absent	s3_0_c5_c3_0		/* ERRIDR_EL1: RAS */
	absent	s3_0_c10_c4_0		/* LORSA_EL1 */
	say	"ok"
8:	say	"not ok: a register"

sync:
	mov	x22, #1
	mrs	x2, elr_el1
	add	x2, x2, #4
	msr	elr_el1, x2
	eret

irq:
	say	"not ok: an interrupt"
