/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Cache-block operations: effect, enables, faults.  Unprivileged ISA, chapter 20; privileged 3.1.18, 12.1.10. */
#include "test.inc"

	START
	la	s0, area

	TEST	1 /* zero clears 64 bytes, wherever in them the address is */
	li	a0, -1
	sd	a0, -8(s0)
	sd	a0, 0(s0)
	sd	a0, 56(s0)
	sd	a0, 64(s0)
	addi	t0, s0, 37
	FINE	cbo.zero 0(t0)
	ld	a1, -8(s0)
	EQ	a1, -1
	ld	a1, 0(s0)
	EQ	a1, 0
	ld	a1, 56(s0)
	EQ	a1, 0
	ld	a1, 64(s0)
	EQ	a1, -1
	FINE	cbo.clean 0(t0)
	FINE	cbo.flush 0(t0)
	FINE	cbo.inval 0(t0)

	TEST	2 /* menvcfg for S, both for U */
	.macro	ALL what
	\what	ILLEGAL, cbo.zero 0(s0)
	\what	ILLEGAL, cbo.clean 0(s0)
	\what	ILLEGAL, cbo.flush 0(s0)
	\what	ILLEGAL, cbo.inval 0(s0)
	.endm
	csrw	MENVCFG, zero
	csrw	SENVCFG, zero
	GO	1
	ALL	TRAPS
	TO_M
	GO	0
	ALL	TRAPS
	TO_M
	.macro	ONE bits, insn, other
	li	t0, \bits
	csrw	MENVCFG, t0
	GO	1
	FINE	\insn 0(s0)
	TRAPS	ILLEGAL, \other 0(s0)
	TO_M
	GO	0
	TRAPS	ILLEGAL, \insn 0(s0)
	TO_M
	li	t0, \bits
	csrw	SENVCFG, t0
	GO	0
	FINE	\insn 0(s0)
	TO_M
	csrw	MENVCFG, zero
	GO	0
	TRAPS	ILLEGAL, \insn 0(s0)
	TO_M
	csrw	SENVCFG, zero
	.endm
	ONE	0x80, cbo.zero, cbo.clean
	ONE	0x40, cbo.clean, cbo.zero
	ONE	0x40, cbo.flush, cbo.inval
	ONE	0x10, cbo.inval, cbo.flush
	ONE	0x30, cbo.inval, cbo.clean

	TEST	3 /* CBIE 2 is reserved */
	li	t0, 0x20
	csrw	MENVCFG, t0
	csrr	t1, MENVCFG
	andi	t1, t1, 0x30
	li	t2, 0x20
	bne	t1, t2, 1f
	j	fail
1:	csrw	MENVCFG, zero

	TEST	4 /* faults are those of stores, with the address as it was given */
	li	t0, 0x7fffff40
	addi	t0, t0, 5
	TRAPS	STORE_ACCESS, cbo.zero 0(t0)
	SAME	s10, t0
	TRAPS	STORE_ACCESS, cbo.clean 0(t0)
	SAME	s10, t0
	j	pass

	.balign	4096
area:	.fill	1024, 8, 0
