/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A kernel that repeats a few instructions TIMES times and switches the machine off.  What is
 * repeated, one of the words below, is defined on the command line of the compiler; so that host
 * instructions for each can be counted, benchlib/count.py knows how many instructions it is.
 * No compressed instructions: with them the count would be the same, the addresses not.
 */
	.option	norvc
	.text
	/* Documentation/arch/riscv/boot-image-header.rst; firmware that jumps here passes over it. */
	.globl	_start
_start:	j	begin
	.word	0
	.dword	0x200000, 0x20000, 0
	.word	2, 0
	.dword	0
	.ascii	"RISCV\0\0\0RSC\5"
	.word	0

begin:	lla	sp, stack
	lla	s1, data
	li	s2, 0x10000000		/* the 16550; its scratch register does nothing */
	lla	s3, far
	li	s0, TIMES
	li	a0, 3
	li	a1, 5
	li	a2, 7
	li	a3, 11
	.balign	64
loop:
#if defined(ALU)
	.rept	4
	add	a0, a0, a1
	xor	a1, a1, a2
	slli	a2, a0, 3
	sub	a3, a2, a1
	.endr
#elif defined(MEMORY)
	.rept	4
	ld	a0, 0(s1)
	sd	a1, 8(s1)
	lw	a2, 16(s1)
	sb	a3, 24(s1)
	.endr
#elif defined(PAGES)
	/* Loads of 16 pages, all in other lines. */
	li	t1, 16
	mv	t0, s1
	li	t2, 4096 + 64
1:	ld	a0, 0(t0)
	add	t0, t0, t2
	addi	t1, t1, -1
	bnez	t1, 1b
#elif defined(CALL)
	.rept	4
	jal	ra, near
	.endr
	.rept	4
	jalr	ra, 0(s3)
	.endr
#elif defined(BRANCH)
	/* The first is taken every other time, the second never, the third always. */
	.rept	4
	andi	t0, s0, 1
	beqz	t0, 1f
	addi	a0, a0, 1
1:	bltz	s0, 2f
	bgtz	s0, 2f
	nop
2:
	.endr
#elif defined(MULDIV)
	mul	a0, a1, a2
	mulhu	a3, a0, a1
	divu	t0, a0, a1
	remu	t1, a3, a2
#elif defined(CSR)
	.rept	4
	csrrw	t0, sscratch, a0
	.endr
#elif defined(TIME)
	rdtime	t0
#elif defined(ATOMIC)
	.rept	4
	amoadd.d a0, a1, (s1)
	.endr
#elif defined(HYPERCALL)
	li	a7, 0x10		/* SBI, extension BASE: the version of the specification */
	li	a6, 0
	ecall
#elif defined(MMIO)
	sb	a1, 7(s2)
#elif defined(NOTHING)
#else
#error "nothing to repeat"
#endif
	addi	s0, s0, -1
	bnez	s0, loop

	li	t0, 0x100000		/* the test device of the board */
	li	t1, 0x5555
	sw	t1, 0(t0)
wait:	wfi
	j	wait

	.balign	64
near:	ret
	.balign	64
far:	ret
	.balign	4096
data:	.skip	17 * 4096
	.skip	1024
stack:
