/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Traps: delegation, priorities, vectors, mret and sret, timers, counters, wfi.  Privileged ISA 3.1, 12.1, Sstc. */
#include "test.inc"

	.equ	SSI, 1 << 1
	.equ	STI, 1 << 5
	.equ	SEI, 1 << 9
	.equ	IRQ, 1 << 63

	START
	csrw	mie, zero
	csrw	mideleg, zero
	csrw	medeleg, zero

	TEST	1 /* what ecall, ebreak and illegal encodings report */
	TRAPS	ECALL_M, ecall
	TRAPS	BREAKPOINT, ebreak
#ifndef OLD
	SAME	s9, s10
#endif
	TRAPS	BREAKPOINT, c.ebreak
	TRAPS	ILLEGAL, .4byte 0xffffffff
	EQ	s10, 0xffffffff
	TRAPS	ILLEGAL, .2byte 0
	EQ	s10, 0
	TRAPS	ILLEGAL, .2byte 0x8002
	EQ	s10, 0x8002
	TRAPS	ILLEGAL, csrw cycle, zero
	TRAPS	ILLEGAL, csrr t0, 0x7c0
	GO	1
	TRAPS	ECALL_S, ecall
	TRAPS	ILLEGAL, csrr t0, mstatus
	TRAPS	ILLEGAL, mret
	TO_M
	GO	0
	TRAPS	ECALL_U, ecall
	TRAPS	ILLEGAL, csrr t0, sstatus
	TRAPS	ILLEGAL, mret
	TRAPS	ILLEGAL, sret
	TRAPS	ILLEGAL, sfence.vma
	TO_M

	TEST	2 /* mret: MPP to U, MPIE to MIE, MPRV cleared when it leaves M */
	li	t0, MPRV
	csrs	mstatus, t0
	GO	1
	TO_M
	csrr	t0, mstatus
	li	t1, MPRV
	and	t0, t0, t1
#ifndef OLD
	EQ	t0, 0
#endif
	li	t0, 0x1808 /* MPP, MIE */
	csrc	mstatus, t0
	li	t0, 0x1880 /* MPP = M, MPIE */
	csrs	mstatus, t0
	la	t0, 1f
	csrw	mepc, t0
	mret
1:	csrr	t0, mstatus
	andi	t1, t0, 0x88
	EQ	t1, 0x88
	li	t1, 0x1800
	and	t0, t0, t1
	EQ	t0, 0
	csrci	mstatus, 8
#ifndef OLD
	li	t0, 0x1800 /* the reserved privilege 2 is not stored */
	csrc	mstatus, t0
	li	t0, 0x1000
	csrs	mstatus, t0
	csrr	t0, mstatus
	li	t1, 0x1800
	and	t0, t0, t1
	li	t1, 0x1000
	bne	t0, t1, 1f
	j	fail
1:
#endif
	TEST	3 /* delegation to S: scause, sepc, stval, sstatus; sret */
	la	t0, s_handler
	csrw	stvec, t0
	li	t0, 1 << ILLEGAL
	csrs	medeleg, t0
	csrr	t1, medeleg
	SAME	t0, t1
	GO	0
	li	s0, 0
	li	s8, -1
	.4byte	0xffffffff /* s_handler goes on behind it */
	EQ	s0, ILLEGAL
	EQ	s1, 0xffffffff
	EQ	s8, -1
	andi	s2, s2, 0x100
	EQ	s2, 0
	TO_M
	GO	1
	li	s0, 0
	.4byte	0xffffffff
	EQ	s0, ILLEGAL
	andi	s2, s2, 0x100
	EQ	s2, 0x100
	TO_M
	TRAPS	ILLEGAL, .4byte 0xffffffff /* M-mode's own is never delegated */
	csrw	medeleg, zero

	TEST	4 /* software interrupts of S in M's handler, in order of urgency */
	csrci	mstatus, 8
	li	t0, SSI|STI|SEI
	csrw	mie, t0
	csrw	mip, t0
	csrr	t1, mip
	and	t1, t1, t0
	SAME	t0, t1
	la	s7, 1f
	csrsi	mstatus, 8
	j	fail
1:	EQ	s8, IRQ | 9
	li	t1, SEI
	csrc	mip, t1
	la	s7, 1f
	csrsi	mstatus, 8
	j	fail
1:	li	t1, SSI
	csrc	mip, t1
	EQ	s8, IRQ | 1
	la	s7, 1f
	csrsi	mstatus, 8
	j	fail
1:	EQ	s8, IRQ | 5
	csrw	mip, zero

	TEST	5 /* MIE = 0 holds them in M, not below */
	csrci	mstatus, 8
	li	t0, SSI
	csrw	mip, t0
	nop
	li	s8, -1
	li	s6, 1 /* back to M */
	la	s7, 1f
	li	t0, 0x1800
	csrc	mstatus, t0
	la	t0, fail
	csrw	mepc, t0
	mret
1:	EQ	s8, IRQ | 1
	csrw	mip, zero

	TEST	6 /* delegated interrupts: SIE holds them in S, not in U, and M never sees them */
	li	t0, SSI|STI|SEI
	csrw	mideleg, t0
	li	t0, SSI
	csrw	mip, t0
	csrsi	mstatus, 8
	nop
	csrci	mstatus, 8
	csrci	sstatus, 2
	GO	1
	li	s0, 0
	nop
	EQ	s0, 0
	csrr	t0, sip
	EQ	t0, SSI
	csrsi	sstatus, 2
	nop
	EQ	s0, IRQ | 1
	csrr	t0, sip
	EQ	t0, 0
	csrsi	sip, 2 /* S may raise its software interrupt itself */
	nop
	csrci	sstatus, 2
	TO_M
	csrw	mip, zero

	TEST	7 /* sie and sip show only what is delegated */
	li	t0, SSI
	csrw	mideleg, t0
	li	t0, SSI|STI|SEI
	csrw	mie, t0
	csrw	mip, t0
	csrr	t0, sie
	EQ	t0, SSI
	csrr	t0, sip
	EQ	t0, SSI
	csrw	sie, zero
	csrr	t0, mie
	EQ	t0, STI|SEI
	csrw	mip, zero
	csrw	mie, zero

	TEST	8 /* vectors: interrupts at base + 4 * cause, exceptions at base */
	la	t0, vectors
	ori	t0, t0, 1
	csrw	stvec, t0
	li	t0, SSI|STI|SEI
	csrw	mideleg, t0
	csrw	mie, t0
	li	t0, 1 << BREAKPOINT
	csrw	medeleg, t0
	li	t0, SEI
	csrw	mip, t0
	GO	1
	li	s0, 0
	csrsi	sstatus, 2
	nop
	nop
	EQ	s0, 9
	csrci	sstatus, 2
	li	s0, 0
	.option	push
	.option	norvc
	ebreak
	.option	pop
	EQ	s0, 100
	TO_M
	csrw	mip, zero
	csrw	mie, zero
	csrw	medeleg, zero

	TEST	9 /* Sstc */
	li	t0, 1 << 63
	csrw	MENVCFG, t0
	li	t0, -1
	csrw	STIMECMP, t0
	csrr	t1, mip
	andi	t1, t1, STI
	EQ	t1, 0
	csrw	STIMECMP, zero
	csrr	t1, mip
	andi	t1, t1, STI
	EQ	t1, STI
	li	t0, STI
	csrc	mip, t0 /* read-only then */
	csrr	t1, mip
	andi	t1, t1, STI
	EQ	t1, STI
	li	t0, 2
	csrw	mcounteren, t0
	GO	1
	csrr	t0, time
	li	t1, 10000 /* a millisecond */
	add	t0, t0, t1
	csrw	STIMECMP, t0
	csrr	t1, STIMECMP
	SAME	t0, t1
1:	csrr	t1, sip
	andi	t1, t1, STI
	beqz	t1, 1b
	csrr	t1, time
	bltu	t1, t0, 1f
	TO_M
	csrw	mcounteren, zero
	GO	1
	TRAPS	ILLEGAL, csrr t0, STIMECMP
	TO_M
	csrw	MENVCFG, zero
	li	t0, 2
	csrw	mcounteren, t0
	GO	1
	TRAPS	ILLEGAL, csrr t0, STIMECMP
	TO_M
	j	2f
1:	j	fail
2:
	TEST	10 /* counters: mcounteren for S, both for U */
	csrw	mcounteren, zero
	csrw	scounteren, zero
	FINE	csrr t0, cycle
	FINE	csrr t0, instret
	GO	1
	TRAPS	ILLEGAL, csrr t0, cycle
	TRAPS	ILLEGAL, csrr t0, time
	TRAPS	ILLEGAL, csrr t0, instret
	TRAPS	ILLEGAL, csrr t0, hpmcounter3
	TO_M
	li	t0, 5
	csrw	mcounteren, t0
	GO	1
	FINE	csrr t0, cycle
	TRAPS	ILLEGAL, csrr t0, time
	FINE	csrr t0, instret
	TO_M
	GO	0
	TRAPS	ILLEGAL, csrr t0, cycle
	TO_M
	li	t0, 4
	csrw	scounteren, t0
	GO	0
	TRAPS	ILLEGAL, csrr t0, cycle
	FINE	csrr t0, instret
	TO_M
	csrr	t0, minstret
	nop
	nop
	csrr	t1, minstret
	sub	t1, t1, t0
#ifndef OLD
	EQ	t1, 3
	li	t0, 1000
	csrw	minstret, t0
	csrr	t1, minstret
	EQ	t1, 1000
	csrw	mcycle, t0
	csrr	t1, mcycle
	sub	t1, t1, t0
	sltiu	t1, t1, 100
	EQ	t1, 1
#endif

	TEST	11 /* TSR, TW, wfi */
	li	t0, TSR
	csrs	mstatus, t0
	GO	1
	TRAPS	ILLEGAL, sret
	TO_M
	li	t0, TSR
	csrc	mstatus, t0
	li	t0, SSI /* pending and enabled, but not taken: wfi goes on */
	csrw	mideleg, t0
	csrw	mie, t0
	csrw	mip, t0
	csrci	mstatus, 8
	csrci	sstatus, 2
	FINE	wfi
	GO	1
	FINE	wfi
	TO_M
	li	t0, TW
	csrs	mstatus, t0
	GO	1
#ifndef OLD
	TRAPS	ILLEGAL, wfi
#endif
	TO_M
	li	t0, TW
	csrc	mstatus, t0
	csrw	mie, zero
	csrw	mip, zero

	TEST	12 /* sret in M: SPP, SPIE, MPRV */
	li	t0, 0x122
	csrc	sstatus, t0
	li	t0, 0x120
	csrs	sstatus, t0
	la	t0, 1f
	csrw	sepc, t0
	sret
1:	TRAPS	ILLEGAL, csrr t0, mstatus /* in S now */
	csrr	t0, sstatus
	andi	t0, t0, 0x122
	EQ	t0, 0x22
	csrci	sstatus, 2
	TO_M

	TEST	13 /* FS: off traps everything, use makes it dirty */
	li	t0, 0x6000
	csrc	mstatus, t0
	TRAPS	ILLEGAL, fmv.x.d t0, f0
	TRAPS	ILLEGAL, fld f0, 0(sp)
	TRAPS	ILLEGAL, csrr t0, fflags
	li	t0, 0x4000 /* clean */
	csrs	mstatus, t0
	fmv.d.x	f0, zero
	csrr	t0, mstatus
	bgez	t0, 1f
	li	t1, 0x6000
	and	t0, t0, t1
	SAME	t0, t1
	li	t0, 5 /* a reserved mode is kept in frm, and traps when used */
	csrw	frm, t0
	csrr	t1, frm
	SAME	t0, t1
	TRAPS	ILLEGAL, fadd.d f0, f0, f0
	FINE	fadd.d f0, f0, f0, rtz
	TRAPS	ILLEGAL, .4byte 0x02005053 /* rm = 5 */
	csrw	frm, zero
	j	pass
1:	j	fail

	.balign	4
s_handler:
	csrr	s0, scause
	csrr	s1, stval
	csrr	s2, sstatus
	csrr	t6, sepc
	bltz	s0, 1f
	addi	t6, t6, 4
	csrw	sepc, t6
	sret
1:	csrci	sip, 2
	sret

	.balign	64
	.option	push
	.option	norvc
vectors:
	j	exception
	.rept	8
	j	fail
	.endr
	j	external
	.rept	8
	j	fail
	.endr
	.option	pop
exception:
	li	s0, 100
	csrr	t6, sepc
	addi	t6, t6, 4
	csrw	sepc, t6
	sret
external:
	li	s0, 9
	li	t6, SEI
	csrc	sie, t6
	sret
