/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Physical memory protection: NAPOT, NA4, TOR, priority, locks, pages in parts.  Privileged ISA 3.7. */
#include "test.inc"

	/* Entry 7 opens all memory for S and U; 0 to 3 are the test's. */
	.macro	CFG value
	li	t6, \value | (0x1f << 56)
	csrw	pmpcfg0, t6
	.endm
	.equ	PR, 1
	.equ	PW, 2
	.equ	PX, 4
	.equ	TOR, 1 << 3
	.equ	NA4, 2 << 3
	.equ	NAPOT, 3 << 3
	.equ	LOCK, 0x80

	START
	li	t0, -1
	csrw	pmpaddr7, t0
	csrr	t0, pmpaddr7
	EQ	t0, (1 << 54) - 1
	la	s0, area
	srli	s1, s0, 2

	TEST	1 /* NAPOT 4 KiB without rights, then with each; M is not bound */
	ori	t0, s1, 511
	csrw	pmpaddr0, t0
	CFG	NAPOT
	FINE	ld a0, 0(s0)
	GO	1
	TRAPS	LOAD_ACCESS, ld a0, 0(s0)
	SAME	s10, s0
	TRAPS	STORE_ACCESS, sd a0, 0(s0)
	TRAPS	INSN_ACCESS, jr s0
	TRAPS	STORE_ACCESS, amoswap.w a0, a0, (s0)
	TO_M
	CFG	NAPOT|PR
	GO	1
	FINE	ld a0, 0(s0)
	TRAPS	STORE_ACCESS, sd a0, 0(s0)
	TO_M
	CFG	NAPOT|PR|PW
	GO	0
	FINE	sd a0, 0(s0)
	TRAPS	INSN_ACCESS, jr s0
	TO_M

	TEST	2 /* the page after it is open */
	li	t0, 4096
	add	s2, s0, t0
	CFG	NAPOT
	GO	1
	FINE	ld a0, 0(s2)
	FINE	ld a0, -8(s0)
	TO_M

	TEST	3 /* NA4 in a page: the words beside it stay open, a wider access fails */
	addi	t0, s1, 4
	csrw	pmpaddr0, t0
	CFG	NA4
	GO	1
	FINE	lw a0, 12(s0)
	FINE	lw a0, 20(s0)
	TRAPS	LOAD_ACCESS, lw a0, 16(s0)
	TRAPS	LOAD_ACCESS, lb a0, 19(s0)
	TRAPS	LOAD_ACCESS, ld a0, 16(s0)
	TRAPS	STORE_ACCESS, sd a0, 16(s0)
	FINE	ld a0, 24(s0)
	TO_M
	CFG	NA4|PR|PW|PX /* partly matched: fails although both parts may be read */
	GO	1
	FINE	lw a0, 16(s0)
	TRAPS	LOAD_ACCESS, ld a0, 16(s0)
	TO_M

	TEST	4 /* TOR from entry 0 to entry 1 */
	csrw	pmpaddr0, s1
	addi	t0, s1, 16
	csrw	pmpaddr1, t0
	CFG	(TOR|PR) << 8
	GO	1
	TRAPS	STORE_ACCESS, sd a0, 0(s0)
	FINE	ld a0, 56(s0)
	TRAPS	STORE_ACCESS, sd a0, 56(s0)
	FINE	sd a0, 64(s0)
	FINE	sd a0, -8(s0)
	TO_M

	TEST	5 /* an empty TOR range matches nothing */
	csrw	pmpaddr1, s1
	CFG	TOR << 8
	GO	1
	FINE	sd a0, 0(s0)
	TO_M

	TEST	6 /* the lowest entry wins */
	ori	t0, s1, 511
	csrw	pmpaddr0, t0
	csrw	pmpaddr1, t0
	CFG	(NAPOT|PR) | (NAPOT|PR|PW) << 8
	GO	1
	FINE	ld a0, 0(s0)
	TRAPS	STORE_ACCESS, sd a0, 0(s0)
	TO_M

	TEST	7 /* MPRV */
	CFG	NAPOT
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, MPRV
	csrs	mstatus, t0
	li	s8, -1
	la	s7, 1f
	ld	a0, 0(s0)
1:	li	t0, MPRV
	csrc	mstatus, t0
	EQ	s8, LOAD_ACCESS

	TEST	8 /* page tables are read with S rights */
	CFG	NAPOT
	srli	t0, s0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	li	t0, 0x1800
	csrc	mstatus, t0
	li	t0, MPRV | (1 << 11)
	csrs	mstatus, t0
	li	s8, -1
	la	s7, 1f
	ld	a0, 0(s2)
1:	li	t0, MPRV
	csrc	mstatus, t0
	EQ	s8, LOAD_ACCESS
	csrw	satp, zero

	TEST	9 /* a locked entry binds M, and cannot be changed */
	addi	t0, s1, 4
	csrw	pmpaddr2, t0
	CFG	(LOCK|NA4|PR) << 16
	FINE	lw a0, 16(s0)
	TRAPS	STORE_ACCESS, sw a0, 16(s0)
	FINE	sw a0, 20(s0)
	CFG	0
	csrr	t0, pmpcfg0
	srli	t0, t0, 16
	andi	t0, t0, 0xff
	EQ	t0, LOCK|NA4|PR
	csrw	pmpaddr2, zero
	csrr	t0, pmpaddr2
	addi	t1, s1, 4
	SAME	t0, t1
	TRAPS	STORE_ACCESS, sw a0, 16(s0)

	TEST	10 /* a locked TOR entry locks the address below it */
	csrw	pmpaddr3, s1
	addi	t0, s1, 2
	csrw	pmpaddr4, t0
	CFG	(LOCK|TOR|PR) << 32
	csrw	pmpaddr3, zero
	csrr	t0, pmpaddr3
	SAME	t0, s1
	TRAPS	STORE_ACCESS, sd a0, 0(s0)
	FINE	sd a0, 8(s0)

	TEST	11 /* W without R is reserved and not stored */
	li	t0, NAPOT|PW
	csrw	pmpcfg2, t0
	csrr	t0, pmpcfg2
	andi	t0, t0, 3
	EQ	t0, 0
	csrw	pmpcfg2, zero
	GO	1
	TRAPS	ILLEGAL, csrr t0, pmpcfg0
	TRAPS	ILLEGAL, csrr t0, pmpaddr0
	TO_M
	TRAPS	ILLEGAL, csrr t0, 0x3a1 /* odd: RV32 only */
	j	pass

	.balign	4096
area:	.fill	1024, 8, 0
