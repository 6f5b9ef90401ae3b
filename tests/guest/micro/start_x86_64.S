/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * x86_64: started in 64-bit mode with memory mapped one to one, at least where the image is.
 * Other CPUs start in real mode at 0x8000, to where `trampoline` is copied.
 */
	.code64
	.section .text.start, "ax"
	.globl _start
_start:
	cli
	lea	stack_top(%rip), %rsp
	xor	%ebp, %ebp
	jmp	micro_main

	/* What is pushed: vector, an error code or 0, then what the processor pushes. */
	.macro	stub vector, has_error
	.balign	16
	.if	!\has_error
	push	$0
	.endif
	push	$\vector
	jmp	common
	.endm

	.globl	stubs
	.balign	16
stubs:
	.set	v, 0
	.rept	64
	.if	v == 8 || (v >= 10 && v <= 14) || v == 17
	stub	v, 1
	.else
	stub	v, 0
	.endif
	.set	v, v + 1
	.endr

common:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	cld
#ifdef MICRO_FPU
	mov	%rsp, %rbp
	sub	$512, %rsp
	and	$-16, %rsp
	fxsave64 (%rsp)
	call	interrupted
	fxrstor64 (%rsp)
	mov	%rbp, %rsp
#else
	call	interrupted
#endif
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	/* uint64_t try_call(fn, arg): 0, or what `recover` returns here with. */
	.globl	try_call
try_call:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, try_stack
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
	xor	%eax, %eax
	.globl	try_out
try_out:
	mov	try_stack, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.globl	trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	0x8000 + gdtr - trampoline
	mov	%cr4, %eax
	or	$0x620, %eax
	mov	%eax, %cr4
	mov	0x8000 + saved_cr3 - trampoline, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x900, %eax
	wrmsr
	mov	%cr0, %eax
	and	$0x9fffffff, %eax
	or	$0x80010023, %eax
	mov	%eax, %cr0
	ljmpl	$8, $(0x8000 + long_mode - trampoline)
	.code64
long_mode:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	0x8000 + saved_stack - trampoline, %rsp
	mov	0x8000 + saved_entry - trampoline, %rax
	jmp	*%rax
	.balign	8
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	23
	.long	0x8000 + gdt - trampoline
	.balign	8
	.globl	saved_cr3, saved_stack, saved_entry
saved_cr3:	.quad	0
saved_stack:	.quad	0
saved_entry:	.quad	0
trampoline_end:

	.bss
	.globl	try_stack
	.balign	16
try_stack:
	.skip	8
	.balign	4096
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
