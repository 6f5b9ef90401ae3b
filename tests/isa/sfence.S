/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What sfence.vma must drop: one page, an ASID, all; global pages; code.  Privileged ISA 12.2.1. */
#include "test.inc"

	/* Map 0x40000000 + 4096 n in root `r` to page `p` with `flags`. */
	.macro	MAP low, n, target, flags
	la	t0, \target
	srli	t0, t0, 2
	ori	t0, t0, \flags
	la	t1, \low
	li	t2, \n * 8
	add	t1, t1, t2
	sd	t0, 0(t1)
	.endm
	.macro	TABLES root, mid, low
	la	t1, \root
	li	t0, (0x80000000 >> 2) | V|R|W|X|G|A|D
	sd	t0, 16(t1)
	la	t0, \mid
	srli	t0, t0, 2
	ori	t0, t0, V
	sd	t0, 8(t1)
	la	t1, \mid
	la	t0, \low
	srli	t0, t0, 2
	ori	t0, t0, V
	sd	t0, 0(t1)
	.endm
	.macro	SWITCH root, asid
	la	t0, \root
	srli	t0, t0, 12
	li	t1, (8 << 60) | (\asid << 44)
	or	t0, t0, t1
	csrw	satp, t0
	.endm
	.equ	FLAGS, V|R|W|X|A|D

	START
	TABLES	root1, mid1, low1
	TABLES	root2, mid2, low2
	MAP	low1, 0, one, FLAGS
	MAP	low1, 1, one, FLAGS
	MAP	low2, 0, two, FLAGS
	MAP	low2, 1, two, FLAGS
	SWITCH	root1, 1
	sfence.vma
	GO	1
	li	s0, 0x40000000
	li	s1, 0x40001000

	TEST	1 /* address spaces apart without a fence */
	ld	a0, 0(s0)
	EQ	a0, 1
	SWITCH	root2, 2
	ld	a0, 0(s0)
	EQ	a0, 2
	SWITCH	root1, 1
	ld	a0, 0(s0)
	EQ	a0, 1

	TEST	2 /* one address, any ASID */
	ld	a0, 0(s1)
	MAP	low1, 0, two, FLAGS
	sfence.vma s0, zero
	ld	a0, 0(s0)
	EQ	a0, 2
	ld	a0, 0(s1)
	EQ	a0, 1

	TEST	3 /* one address of one ASID */
	MAP	low1, 0, one, FLAGS
	li	a1, 1
	sfence.vma s0, a1
	ld	a0, 0(s0)
	EQ	a0, 1

	TEST	4 /* all addresses of one ASID */
	MAP	low1, 0, two, FLAGS
	MAP	low1, 1, two, FLAGS
	sfence.vma zero, a1
	ld	a0, 0(s0)
	EQ	a0, 2
	ld	a0, 0(s1)
	EQ	a0, 2

	TEST	5 /* the other ASID, while this one is active */
	SWITCH	root2, 2
	ld	a0, 0(s0)
	EQ	a0, 2
	SWITCH	root1, 1
	MAP	low2, 0, one, FLAGS
	li	a1, 2
	sfence.vma zero, a1
	SWITCH	root2, 2
	ld	a0, 0(s0)
	EQ	a0, 1
	SWITCH	root1, 1

	TEST	6 /* all */
	MAP	low1, 0, one, FLAGS
	MAP	low1, 1, one, FLAGS
	sfence.vma
	ld	a0, 0(s0)
	EQ	a0, 1
	ld	a0, 0(s1)
	EQ	a0, 1

	TEST	7 /* a right taken away; an address with an offset; the last page byte */
	sd	zero, 8(s1)
	MAP	low1, 1, one, V|R|A|D
	addi	a2, s1, 1
	sfence.vma a2
	TRAPS	STORE_PAGE, sd zero, 8(s1)
	FINE	ld a0, 0(s1)
	la	t1, low1
	sd	zero, 8(t1)
	sfence.vma s1
	TRAPS	LOAD_PAGE, ld a0, 0(s1)

	TEST	8 /* code: the page under a function changes */
	MAP	low1, 2, returns1, FLAGS
	li	s2, 0x40002000
	li	s3, 100
1:	jalr	s2
	EQ	a0, 1
	addi	s3, s3, -1
	bnez	s3, 1b
	MAP	low1, 2, returns2, FLAGS
	sfence.vma s2
	jalr	s2
	EQ	a0, 2
	MAP	low1, 2, returns1, V|R|W|A|D
	sfence.vma s2, zero
	TRAPS	INSN_PAGE, jalr s2

	TEST	9 /* a superpage replaced: every address in it */
	la	t1, mid1
	li	t0, (0x80000000 >> 2) | FLAGS
	sd	t0, 8(t1)
	sfence.vma
	li	s4, 0x40200000
	la	t0, one
	li	t1, 0x1fffff
	and	t0, t0, t1
	add	s4, s4, t0
	ld	a0, 0(s4)
	EQ	a0, 1
	li	t0, 4096
	add	s5, s4, t0
	ld	a0, 0(s5)
	EQ	a0, 2
	la	t1, mid1
	sd	zero, 8(t1)
	li	t0, 0x40200000
	sfence.vma t0
	TRAPS	LOAD_PAGE, ld a0, 0(s4)
	TRAPS	LOAD_PAGE, ld a0, 0(s5)

	TEST	10 /* global pages survive in every address space */
	MAP	low1, 3, one, FLAGS|G
	MAP	low2, 3, one, FLAGS|G
	sfence.vma
	li	s4, 0x40003000
	ld	a0, 0(s4)
	EQ	a0, 1
	SWITCH	root2, 2
	ld	a0, 0(s4)
	EQ	a0, 1
	MAP	low1, 3, two, FLAGS|G
	MAP	low2, 3, two, FLAGS|G
	sfence.vma s4, zero
	ld	a0, 0(s4)
	EQ	a0, 2
	SWITCH	root1, 1
	ld	a0, 0(s4)
	EQ	a0, 2

#ifndef OLD
	TEST	11 /* Svinval */
	MAP	low1, 3, one, FLAGS
	.insn	r 0x73, 0, 0x0c, x0, x0, x0 /* sfence.w.inval */
	.insn	r 0x73, 0, 0x0b, x0, s4, x0 /* sinval.vma s4, zero */
	.insn	r 0x73, 0, 0x0c, x0, x0, x1 /* sfence.inval.ir */
	ld	a0, 0(s4)
	EQ	a0, 1
#endif

	TEST	12 /* bare and back */
	csrw	satp, zero
	sfence.vma
#ifndef OLD /* a PCI window on QEMU's board */
	TRAPS	LOAD_ACCESS, ld a0, 0(s0)
#endif
	SWITCH	root1, 1
	sfence.vma
	ld	a0, 0(s0)
	EQ	a0, 1
	j	pass

	.balign	4096
root1:	.fill	512, 8, 0
mid1:	.fill	512, 8, 0
low1:	.fill	512, 8, 0
root2:	.fill	512, 8, 0
mid2:	.fill	512, 8, 0
low2:	.fill	512, 8, 0
one:	.dword	1
	.balign	4096
two:	.dword	2
	.balign	4096
returns1: li	a0, 1
	ret
	.balign	4096
returns2: li	a0, 2
	ret
	.balign	4096
