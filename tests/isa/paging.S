/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Page tables: Sv39, Sv48, Sv57, superpages, rights, A and D, Svnapot, Svpbmt.  Privileged ISA 12.3 to 12.6. */
#include "test.inc"

	START
	/* Tables: root at `root` maps 1 GiB at 0x80000000 and, through mid and low, 0x40000000. */
	la	s0, root
	la	s1, mid
	la	s2, low
	la	s3, page

	/* Gigapage for S, code runs in it. */
	li	t0, (0x80000000 >> 2) | V|R|W|X|A|D
	sd	t0, 16(s0)
	srli	t0, s1, 2
	ori	t0, t0, V
	sd	t0, 8(s0)
	srli	t0, s2, 2
	ori	t0, t0, V
	sd	t0, 0(s1)
	/* 0x40000000 -> page, 0x40200000 -> 2 MiB at 0x80000000 (U), 0x40400000: see below */
	srli	t0, s3, 2
	ori	t0, t0, V|R|W|A|D
	sd	t0, 0(s2)
	li	t0, (0x80000000 >> 2) | V|R|W|X|U|A|D
	sd	t0, 8(s1)
	li	t0, 0x1122334455667788
	sd	t0, 0(s3)
	sd	t0, 2040(s3)

	TEST	1 /* Sv39 through three levels, two and one */
	srli	t0, s0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	csrr	t1, satp
	SAME	t0, t1
	GO	1
	li	t0, 0x40000000
	ld	a0, 0(t0)
	EQ	a0, 0x1122334455667788
	ld	a0, 2040(t0)
	EQ	a0, 0x1122334455667788
	li	a1, 5
	sd	a1, 8(t0)
	ld	a1, 8(s3)
	EQ	a1, 5

	TEST	2 /* unmapped, and tval */
	li	t0, 0x40001008
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	SAME	s10, t0
	TRAPS	STORE_PAGE, sd a0, 0(t0)
	SAME	s10, t0
#ifndef OLD /* QEMU 7.2 says LOAD_PAGE */
	TRAPS	STORE_PAGE, amoadd.d a0, a0, (t0)
#endif
	TRAPS	LOAD_PAGE, lr.d a0, (t0)
	TRAPS	INSN_PAGE, jr t0
	SAME	s9, t0
	SAME	s10, t0

	TEST	3 /* not canonical */
	li	t0, 0x0000004000000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	SAME	s10, t0
	li	t0, 0xfffffff040000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	li	t0, 0xffffffc000000000 /* canonical, empty */
	TRAPS	LOAD_PAGE, ld a0, 0(t0)

	TEST	4 /* no execution without X; no U pages without SUM, never executed by S */
	li	t0, 0x40000000
	TRAPS	INSN_PAGE, jr t0
	la	t1, value
	li	t2, 0x80000000 - 0x40200000
	sub	t0, t1, t2
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TRAPS	STORE_PAGE, sd a0, 0(t0)
	li	t2, SUM
	csrs	sstatus, t2
	FINE	ld a0, 0(t0)
	EQ	a0, 0x0123456789abcdef
	TRAPS	INSN_PAGE, jr t0
	csrc	sstatus, t2
	TRAPS	LOAD_PAGE, ld a0, 0(t0)

	TEST	5 /* U mode: its own pages only */
	TO_M
	GO	0, 0x40200000 - 0x80000000
	la	t0, value
	FINE	ld a0, 0(t0)
	EQ	a0, 0x0123456789abcdef
	li	t0, 0x40000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TRAPS	INSN_PAGE, jr t0
	TO_M

	TEST	6 /* X without R: MXR */
	srli	t0, s3, 2
	ori	t0, t0, V|X|A|D
	sd	t0, 8(s2)
	GO	1
	li	t0, 0x40001000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	li	t2, MXR
	csrs	sstatus, t2
	FINE	ld a0, 0(t0)
	TRAPS	STORE_PAGE, sd a0, 0(t0)
	csrc	sstatus, t2
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M

	TEST	7 /* MPRV: M loads as MPP says, fetches physically */
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, 1 << 11
	csrs	mstatus, t0
	li	t1, 0x40000000
	li	t0, MPRV
	csrs	mstatus, t0
	ld	a0, 0(t1)
	csrc	mstatus, t0
	EQ	a0, 0x1122334455667788

	TEST	8 /* reserved: W without R, bits 60:54, A D U in a pointer, PBMT without PBMTE, misaligned superpage */
	.macro	BAD value, shift=0
	srli	t0, s3, 2
	li	t1, \value
	or	t0, t0, t1
	sd	t0, 16(s2)
	sfence.vma
	GO	1
	li	t0, 0x40002000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M
	.endm
	BAD	V|W|A|D
	BAD	V|W|X|A|D
	BAD	R|W|A|D
#ifndef OLD /* QEMU 7.2 has no PBMTE and looks at the others only without Svnapot */
	BAD	V|R|W|A|D|(1<<54)
	BAD	V|R|W|A|D|(1<<60)
	BAD	V|R|W|A|D|(1<<61)
	BAD	V|R|W|A|D|(3<<61)
#endif
	BAD	V /* a pointer at the last level */
	BAD	V|R|W|A|D|(1<<63) /* Svnapot with a low PPN that is none */

	TEST	9
	.macro	BAD_POINTER value
	srli	t0, s2, 2
	li	t1, \value
	or	t0, t0, t1
	sd	t0, 0(s1)
	sfence.vma
	GO	1
	li	t0, 0x40000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M
	.endm
	BAD_POINTER V|A
	BAD_POINTER V|D
	BAD_POINTER V|U
	BAD_POINTER V|(1<<63)
	BAD_POINTER V|(1<<61)
	srli	t0, s2, 2
	ori	t0, t0, V
	sd	t0, 0(s1)
	sfence.vma

	TEST	10 /* misaligned superpages */
	li	t0, (0x80001000 >> 2) | V|R|W|X|A|D
	sd	t0, 16(s1)
	li	t0, (0x80200000 >> 2) | V|R|W|X|A|D
	sd	t0, 24(s0)
	sfence.vma
	GO	1
	li	t0, 0x40400000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	li	t0, 0xc0000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M

#ifndef OLD /* QEMU 7.2 gives page faults */
	TEST	11 /* a pointer to no memory: access fault */
	li	t0, (0x10000000000 >> 2) | V
	sd	t0, 32(s0)
	sfence.vma
	GO	1
	li	t0, 0x100000000
	TRAPS	LOAD_ACCESS, ld a0, 0(t0)
	SAME	s10, t0
	TRAPS	STORE_ACCESS, sd a0, 0(t0)
	TRAPS	INSN_ACCESS, jr t0
	TO_M
#endif

	TEST	12 /* a table that points to itself ends at the last level */
	srli	t0, s0, 2
	ori	t0, t0, V
	sd	t0, 40(s0)
	sfence.vma
	GO	1
	li	t0, 0x140000000 | (5<<21) | (5<<12)
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	li	t0, 0x140000000 | (5<<21) | (2<<12) /* root[5], root[5], root[2] as a leaf at level 0 */
	FINE	ld a0, 0(t0)
	TO_M

#ifndef OLD /* QEMU 7.2 has no switch */
	TEST	13 /* A and D: faults with ADUE = 0, set by hardware with 1 */
	srli	t0, s3, 2
	ori	t0, t0, V|R|W
	sd	t0, 24(s2)
	sfence.vma
	csrw	MENVCFG, zero
	GO	1
	li	t0, 0x40003000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	ld	a1, 24(s2)
	andi	a1, a1, A|D
	EQ	a1, 0
	TO_M
	li	t1, 1 << 61
	csrw	MENVCFG, t1
	GO	1
	FINE	ld a0, 0(t0)
	ld	a1, 24(s2)
	andi	a1, a1, A|D
	EQ	a1, A
	TO_M
	csrw	MENVCFG, zero
	sfence.vma
	GO	1
	TRAPS	STORE_PAGE, sd a0, 0(t0)
	FINE	ld a0, 0(t0)
	TO_M
	li	t1, 1 << 61
	csrw	MENVCFG, t1
	sfence.vma
	GO	1
	FINE	sd a0, 0(t0)
	ld	a1, 24(s2)
	andi	a1, a1, A|D
	EQ	a1, A|D
	TO_M
#endif

	TEST	14 /* Svnapot: sixteen pages from one entry in any of its slots */
	la	t1, napot
	srli	t0, t1, 2
	li	t2, (1 << 63) | (8 << 10) | V|R|W|A|D
	or	t0, t0, t2
	la	t3, low
	addi	t3, t3, 16*8
	li	t4, 16
1:	sd	t0, 0(t3)
	addi	t3, t3, 8
	addi	t4, t4, -1
	bnez	t4, 1b
	sfence.vma
	li	t2, 77
	li	t3, 11 << 12
	add	t1, t1, t3
	sd	t2, 16(t1)
	GO	1
	li	t0, 0x4001b010
	FINE	ld a0, 0(t0)
	EQ	a0, 77
	TO_M

#ifndef OLD
	TEST	15 /* Svpbmt with PBMTE */
	li	t1, 1 << 62
	csrw	MENVCFG, t1
	srli	t0, s3, 2
	li	t1, V|R|W|A|D|(1<<61)
	or	t0, t0, t1
	sd	t0, 16(s2)
	sfence.vma
	GO	1
	li	t0, 0x40002000
	FINE	ld a0, 0(t0)
	TO_M
	srli	t0, s3, 2
	li	t1, V|R|W|A|D|(3<<61)
	or	t0, t0, t1
	sd	t0, 16(s2)
	sfence.vma
	GO	1
	li	t0, 0x40002000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M
	csrw	MENVCFG, zero
#endif

	TEST	16 /* Sv48 and Sv57: the same tables one and two levels down */
	la	t1, top
	srli	t0, s0, 2
	ori	t0, t0, V
	sd	t0, 0(t1)
	srli	t2, t1, 12
	li	t3, 9 << 60
	or	t2, t2, t3
	csrw	satp, t2
	sfence.vma
	GO	1
	li	t0, 0x40000000
	FINE	ld a0, 0(t0)
	EQ	a0, 0x1122334455667788
	li	t0, 0x0000800000000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M
	la	t1, topmost
	la	t0, top
	srli	t0, t0, 2
	ori	t0, t0, V
	sd	t0, 0(t1)
	srli	t2, t1, 12
	li	t3, 10 << 60
	or	t2, t2, t3
	csrw	satp, t2
	sfence.vma
	GO	1
	li	t0, 0x40000000
	FINE	ld a0, 0(t0)
	EQ	a0, 0x1122334455667788
	li	t0, 0x0000800000000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	li	t0, 0x0100000000000000
	TRAPS	LOAD_PAGE, ld a0, 0(t0)
	TO_M

	TEST	17 /* an unsupported mode leaves satp alone */
	csrr	t0, satp
	li	t1, 7 << 60
	csrw	satp, t1
	csrr	t1, satp
	SAME	t0, t1

	TEST	18 /* TVM */
	li	t0, TVM
	csrs	mstatus, t0
	GO	1
	TRAPS	ILLEGAL, csrr t0, satp
	TRAPS	ILLEGAL, sfence.vma
	TO_M
	li	t0, TVM
	csrc	mstatus, t0
	j	pass

	.balign	8
value:	.dword	0x0123456789abcdef
	.balign	4096
root:	.fill	512, 8, 0
mid:	.fill	512, 8, 0
low:	.fill	512, 8, 0
page:	.fill	512, 8, 0
top:	.fill	512, 8, 0
topmost: .fill	512, 8, 0
	.balign	65536
napot:	.fill	8192, 8, 0
