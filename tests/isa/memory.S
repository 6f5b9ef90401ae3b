/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Memory: misaligned accesses over two pages, LR and SC, code that changes, code at the end of a page. */
#include "test.inc"

	.macro	MAP n, target, flags
	la	t0, \target
	srli	t0, t0, 2
	ori	t0, t0, \flags
	la	t1, low
	li	t2, \n * 8
	add	t1, t1, t2
	sd	t0, 0(t1)
	.endm
	.equ	FLAGS, V|R|W|X|A|D

	START
	la	t1, root
	li	t0, (0x80000000 >> 2) | V|R|W|X|A|D
	sd	t0, 16(t1)
	la	t0, mid
	srli	t0, t0, 2
	ori	t0, t0, V
	sd	t0, 8(t1)
	la	t1, mid
	la	t0, low
	srli	t0, t0, 2
	ori	t0, t0, V
	sd	t0, 0(t1)
	/* 0 and 1 far apart, 2 missing, 3 read-only, 4 the code page, 5 missing */
	MAP	0, second, FLAGS
	MAP	1, first, FLAGS
	MAP	3, second, V|R|A|D
	MAP	4, edge, FLAGS
	la	t0, root
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	GO	1
	li	s0, 0x40000000
	la	s1, first
	la	s2, second
	li	s3, 0x40001000
	li	s4, 0x40002000

	TEST	1 /* over two pages that are not neighbours */
	li	a0, 0x1122334455667788
	sd	a0, -3(s3)
	ld	a1, -3(s3)
	SAME	a0, a1
	lbu	a1, 0(s1)
	EQ	a1, 0x55
	li	t0, 4093
	add	t0, t0, s2
	lbu	a1, 0(t0)
	EQ	a1, 0x88
	lw	a1, -2(s3)
	EQ	a1, 0x44556677
	lhu	a1, -1(s3)
	EQ	a1, 0x5566
	fld	f1, -5(s3)
	fmv.x.d	a1, f1
	ld	a0, -5(s3)
	SAME	a0, a1

	TEST	2 /* the second page is missing: nothing is written, tval is in it */
	sd	zero, -8(s4)
	li	a0, -1
	TRAPS	STORE_PAGE, sd a0, -3(s4)
	SAME	s10, s4
	ld	a1, -8(s4)
	EQ	a1, 0
	TRAPS	LOAD_PAGE, ld a1, -3(s4)
	SAME	s10, s4
	EQ	a1, 0
	TRAPS	LOAD_PAGE, fld f1, -1(s4)

	TEST	3 /* the first is missing, the second read-only */
	li	t0, 0x40003000
	TRAPS	STORE_PAGE, sd a0, -3(t0)
	addi	t1, t0, -3
	SAME	s10, t1
	TRAPS	LOAD_PAGE, ld a0, -3(t0)
	SAME	s10, t1
	TRAPS	STORE_PAGE, sd a0, 1(t0)
	FINE	ld a0, 1(t0)

	TEST	4 /* atomics must be aligned */
	addi	t0, s1, 2
#ifndef OLD /* QEMU 7.2 checks the reservation's address first, and calls them all loads */
	TRAPS	STORE_MISALIGNED, amoadd.w a0, a0, (t0)
	SAME	s10, t0
	TRAPS	LOAD_MISALIGNED, lr.w a0, (t0)
	TRAPS	STORE_MISALIGNED, sc.w a0, a0, (t0)
	addi	t0, s1, 4
	TRAPS	LOAD_MISALIGNED, lr.d a0, (t0)
#endif
#ifndef OLD
	TRAPS	STORE_PAGE, sc.w a0, a0, (s4)
#endif
	TRAPS	LOAD_PAGE, lr.w a0, (s4)

	TEST	5 /* LR and SC */
	li	a0, 7
	sd	a0, 0(s1)
	sd	zero, 8(s1)
	addi	t1, s1, 8
	lr.d	a1, (s1)
	EQ	a1, 7
	sc.d	a2, a0, (s1)
	EQ	a2, 0
	sc.d	a2, a0, (s1) /* the reservation is used up */

	bnez	a2, 1f
	j	fail
1:	lr.d	a1, (s1)
	sc.d	a2, a0, (t1) /* elsewhere */
	beqz	a2, 2f
#ifndef OLD
	lr.d	a1, (s1)
	sd	a1, 8(s1)

	li	s8, -1
	la	s7, 1f
	.4byte	0xffffffff
1:	sc.d	a2, a0, (s1) /* a trap ends the reservation: Hull's choice */
	beqz	a2, 2f
#endif
	lr.d	a1, (s1)
	li	a3, 9
	sd	a3, 0(s1) /* written in between */
	sc.d	a2, a0, (s1)
	beqz	a2, 2f
	ld	a1, 0(s1)
	EQ	a1, 9
	li	a0, 0x80000000
	sw	a0, 0(s1)
	lr.w	a1, (s1)
	EQ	a1, -0x80000000
	sc.w	a2, zero, (s1)
	EQ	a2, 0
	li	a4, 0x40001000 /* another address of the same memory: may fail, and does */
	lr.w	a1, (a4)
	sc.w	a2, a0, (s1)
	EQ	a2, 1
	j	3f
2:	j	fail
3:
	TEST	6 /* code that changes is seen after fence.i */
	la	s5, patch
	lw	t3, 0(s5)
	li	s6, 0
	li	t4, 200
1:	jal	patch
	addi	t4, t4, -1
	bnez	t4, 1b
	EQ	a0, 1
	lw	t0, with
	sw	t0, 0(s5)
	fence.i
	jal	patch
	EQ	a0, 2
	sw	t3, 0(s5)
	fence.i
	jal	patch
	EQ	a0, 1
	/* in the block that runs */
	lw	t0, with
	la	t1, 1f
	sw	t0, 0(t1)
	fence.i
	.balign	4
1:	.option	push
	.option	norvc
	li	a0, 1
	.option	pop
	EQ	a0, 2
	lw	t3, without
	sw	t3, 0(t1)

	TEST	7 /* the last instructions of a page: whole, and with its second half missing */
	li	s5, 0x40005000
	addi	t0, s5, -4
	la	t1, edge
	li	t2, 4096
	add	t1, t1, t2
	lw	t3, with
	sw	t3, -6(t1) /* li a0, 2; c.jr t5 */
	li	t2, 0x8f02
	sh	t2, -2(t1)
	fence.i
	addi	t0, s5, -6
	la	t5, 1f
	jr	t0
1:	EQ	a0, 2
	sw	t3, -2(t1)
	fence.i
	addi	t0, s5, -2
	TRAPS	INSN_PAGE, jr t0
	SAME	s9, t0
	SAME	s10, s5
	addi	t0, s5, -4
	li	t2, 0x0001 /* c.nop falls into it */
	sh	t2, -4(t1)
	fence.i
	TRAPS	INSN_PAGE, jr t0
	addi	t0, s5, -2
	SAME	s9, t0
	SAME	s10, s5
	li	t0, 0x40002000 /* straight into a missing page */
	TRAPS	INSN_PAGE, jr t0
	SAME	s9, t0

	TEST	8 /* an instruction over two pages, and its second half replaced */
	la	t1, low
	la	t0, second
	srli	t0, t0, 2
	ori	t0, t0, FLAGS
	sd	t0, 40(t1)
	sfence.vma
	la	t1, edge
	li	t2, 4096
	add	t1, t1, t2
	lw	t3, with
	sh	t3, -2(t1)
	srli	t3, t3, 16
	sh	t3, 0(s2)
	li	t2, 0x8f02
	sh	t2, 2(s2)
	fence.i
	addi	t0, s5, -2
	la	t5, 1f
	jr	t0
1:	EQ	a0, 2
	lw	t3, without
	srli	t3, t3, 16
	sh	t3, 0(s2)
	fence.i
	la	t5, 1f
	jr	t0
1:	EQ	a0, 1

	TEST	9 /* jumps do not trap on the low bit, and rd may be rs1 */
	la	t0, 1f
	addi	t0, t0, 1
	jalr	t0, 0(t0)
2:	j	fail
1:	la	t1, 2b
	SAME	t0, t1
	TO_M

	TEST	10 /* beyond memory */
	csrw	satp, zero
	sfence.vma
	li	t0, 0x7fffffff
	slli	t0, t0, 8
	TRAPS	LOAD_ACCESS, ld a0, 0(t0)
	SAME	s10, t0
	TRAPS	STORE_ACCESS, sb a0, 0(t0)
	TRAPS	INSN_ACCESS, jr t0
	SAME	s9, t0
	j	pass

	.balign	4
	.option	push
	.option	norvc
with:	li	a0, 2
without: li	a0, 1
patch:	li	a0, 1
	ret
	.option	pop
	.balign	4096
root:	.fill	512, 8, 0
mid:	.fill	512, 8, 0
low:	.fill	512, 8, 0
first:	.fill	512, 8, 0
edge:	.fill	512, 8, 0
	.fill	512, 8, 0
second:	.fill	512, 8, 0
