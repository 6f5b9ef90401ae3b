/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where the machine starts: the header that boot loaders know, then HS-mode without translation,
 * the hart's number in a0 and the host's device tree in a1 (SBI 2.0, 9.1).
 *
 * Spec: Linux Documentation/arch/riscv/boot-image-header.rst.
 */
	.section .head.branch, "ax"
	.option norvc
	.global _start
_start:
	j	entry			/* link.ld has the rest of the header */
	nop

	.section .head, "ax"
entry:
	csrw	sie, zero
	csrci	sstatus, 2
	lla	s0, stop
	csrw	stvec, s0
	mv	s0, a0
	mv	s1, a1
	lla	s2, image_start

	/* R_RISCV_RELATIVE: *(image + offset) = image + addend */
	lla	t0, rela_start
	lla	t1, rela_end
1:	bgeu	t0, t1, 2f
	ld	t2, 0(t0)
	lw	t3, 8(t0)
	ld	t4, 16(t0)
	li	t5, 3
	bne	t3, t5, stop
	add	t2, t2, s2
	add	t4, t4, s2
	sd	t4, 0(t2)
	addi	t0, t0, 24
	j	1b
2:
	lla	sp, boot_stack_end
	mv	a0, s0
	mv	a1, s1
	call	metal_main
	.balign	4
stop:	wfi
	j	stop

	.bss
	.balign 4096
	.space	16384
	.global boot_stack_end
boot_stack_end:
