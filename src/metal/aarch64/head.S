/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where the machine starts: the header that Linux boot loaders know, then EL2 with the MMU off and
 * the host's device tree in x0.
 *
 * Spec: Linux Documentation/arch/arm64/booting.rst.
 */
	.section .head.branch, "ax"
	.global _start
_start:
	b	entry			/* link.ld has the rest of the header */

	.section .head, "ax"
entry:
	msr	daifset, #0xf
	mov	x20, x0
	mrs	x1, CurrentEL
	cmp	x1, #(2 << 2)
	b.ne	stop			/* nobody to tell */
	adrp	x19, image_start

	/* R_AARCH64_RELATIVE: *(image + offset) = image + addend */
	adrp	x1, rela_start
	add	x1, x1, :lo12:rela_start
	adrp	x2, rela_end
	add	x2, x2, :lo12:rela_end
1:	cmp	x1, x2
	b.hs	2f
	ldp	x3, x4, [x1], #16
	ldr	x5, [x1], #8
	cmp	w4, #1027
	b.ne	stop
	add	x5, x5, x19
	str	x5, [x19, x3]
	b	1b
2:
	adrp	x1, boot_stack_end
	add	x1, x1, :lo12:boot_stack_end
	mov	sp, x1
	mov	x0, x19
	bl	metal_early_map		/* the first tables, in x0: MMU on */
	bl	turn_on
	mov	x0, x20
	mov	x1, x19
	bl	metal_main
stop:	wfi
	b	stop

/*
 * The MMU and the caches with the tables in x0 (TTBR0_EL2) and the sizes in x1 (TCR_EL2).  Nothing
 * dirty can be in the caches: booting.rst has the loader clean the image.
 */
turn_on:
	ldr	x2, =0xff440c0400	/* MAIR: 0 nGnRnE, 1 nGnRE, 3 Normal uncached, 4 Normal */
	msr	mair_el2, x2
	msr	tcr_el2, x1
	msr	ttbr0_el2, x0
	isb
	tlbi	alle2
	ic	iallu
	dsb	nsh
	isb
	ldr	x2, =0x30c5183d		/* SCTLR_EL2: RES1, I, SA, C, M */
	msr	sctlr_el2, x2
	isb
	ret

/*
 * A CPU that PSCI has turned on: x0 is its struct metal_cpu, and its first words are what it needs:
 * the stack, TTBR0_EL2, TCR_EL2.
 */
	.global metal_secondary
metal_secondary:
	msr	daifset, #0xf
	mov	x19, x0
	ldp	x3, x0, [x19]
	ldr	x1, [x19, #16]
	mov	sp, x3
	bl	turn_on
	mov	x0, x19
	bl	metal_main_secondary
	b	stop

	.bss
	.balign 4096
	.space	16384
	.global boot_stack_end
boot_stack_end:
