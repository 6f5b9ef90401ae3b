/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A guest that prints a letter to the first serial port and stops.  The same bytes are 32- and 64-bit code. */
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start

	.section .text, "ax"
	.globl	_start
_start:
	mov	$0x3f8, %dx
	mov	$0x78, %al
	out	%al, %dx
1:	hlt
	jmp	1b
	.section .note.GNU-stack, "", @progbits
