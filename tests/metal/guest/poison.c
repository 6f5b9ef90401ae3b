/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * fpu: yes.  cpus: 2.  Every register of a vCPU's context has a value of its own, here and in
 * whoever shares the CPU; after a while of spinning each is still there.
 */
#include "micro.h"

#ifndef SEED
#define SEED 0x1111
#endif

enum { ROUNDS = 60 };

uint64_t poison_general(uint64_t seed, uint64_t spins);
uint64_t poison_vectors(uint64_t seed, uint64_t spins);

/* x2..x30, then V0..V31: set, spin, compare.  Returns a bit for each that differs. */
__asm__(".text\n"
        ".macro keep\n"
        "	stp x29, x30, [sp, #-96]!\n	stp x19, x20, [sp, #16]\n	stp x21, x22, [sp, "
        "#32]\n"
        "	stp x23, x24, [sp, #48]\n	stp x25, x26, [sp, #64]\n	stp x27, x28, [sp, "
        "#80]\n"
        ".endm\n"
        ".macro back\n"
        "	ldp x19, x20, [sp, #16]\n	ldp x21, x22, [sp, #32]\n	ldp x23, x24, [sp, "
        "#48]\n"
        "	ldp x25, x26, [sp, #64]\n	ldp x27, x28, [sp, #80]\n	ldp x29, x30, "
        "[sp], #96\n	ret\n"
        ".endm\n"
        "poison_general:\n	keep\n"
        ".irp n,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
        "	add x\\n, x0, #\\n\n"
        ".endr\n"
        "1:	subs x1, x1, #1\n	b.ne 1b\n"
        ".irp n,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
        "	sub x\\n, x\\n, #\\n\n	eor x\\n, x\\n, x0\n	orr x1, x1, x\\n\n"
        ".endr\n"
        "	mov x0, x1\n	back\n"
        "poison_vectors:\n"
        "	sub sp, sp, #64\n	stp d8, d9, [sp]\n	stp d10, d11, [sp, #16]\n"
        "	stp d12, d13, [sp, #32]\n	stp d14, d15, [sp, #48]\n"
        ".irp "
        "n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "	add x2, x0, #\\n\n	mov v\\n\\().d[0], x2\n	mvn x2, x2\n	mov v\\n\\().d[1], "
        "x2\n"
        ".endr\n"
        "1:	subs x1, x1, #1\n	b.ne 1b\n"
        ".irp "
        "n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "	add x2, x0, #\\n\n	mov x3, v\\n\\().d[0]\n	eor x3, x3, x2\n	orr x1, "
        "x1, x3\n"
        "	mvn x2, x2\n	mov x3, v\\n\\().d[1]\n	eor x3, x3, x2\n	orr x1, x1, x3\n"
        ".endr\n"
        "	ldp d8, d9, [sp]\n	ldp d10, d11, [sp, #16]\n	ldp d12, d13, [sp, #32]\n"
        "	ldp d14, d15, [sp, #48]\n	add sp, sp, #64\n	mov x0, x1\n	ret\n");

/* Registers that nothing here needs, with the bits that stay. */
#define REGISTERS(X)                               \
	X(tpidr_el0, UINT64_MAX)                   \
	X(tpidrro_el0, UINT64_MAX)                 \
	X(tpidr_el1, UINT64_MAX)                   \
	X(sp_el0, UINT64_MAX)                      \
	X(elr_el1, UINT64_MAX)                     \
	X(far_el1, UINT64_MAX)                     \
	X(esr_el1, UINT32_MAX)                     \
	X(spsr_el1, UINT64_C(0xf00003c0))          \
	X(contextidr_el1, UINT32_MAX)              \
	X(ttbr1_el1, UINT64_C(0x0000fffffffff000)) \
	X(par_el1, UINT64_C(0x000ffffffffff000))   \
	X(csselr_el1, 6)                           \
	X(cntkctl_el1, 3)                          \
	X(cntv_cval_el0, UINT64_MAX)               \
	X(fpcr, UINT64_C(0x03c00000))              \
	X(fpsr, UINT64_C(0x0800009f))

static uint64_t value(uint64_t seed, unsigned n, uint64_t mask)
{
	return (seed * 0x9e3779b97f4a7c15 + n * 0xbf58476d1ce4e5b9) & mask;
}

static unsigned system_registers(uint64_t seed)
{
	unsigned n = 0, bad = 0;
	uint64_t v;

#define X(name, mask)               \
	v = value(seed, n++, mask); \
	__asm__ volatile("msr " #name ", %0" : : "r"(v) : "memory");
	REGISTERS(X)
#undef X
	__asm__ volatile("isb" : : : "memory");
	for (volatile unsigned i = 0; i < 30000; i++)
		;
	n = 0;
#define X(name, mask)                                              \
	__asm__ volatile("mrs %0, " #name : "=r"(v) : : "memory"); \
	bad += (v & (mask)) != value(seed, n++, mask);
	REGISTERS(X)
#undef X
	__asm__ volatile("msr fpcr, xzr\n isb" : : : "memory");
	return bad;
}

static volatile uint32_t bad[3], finished;

static void rounds(void)
{
	uint64_t seed = SEED + 0x1000001 * (arch_cpu() + 1);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t mixed = seed * (2 * i + 1);

		bad[0] += poison_general(mixed, 100000) != 0;
		bad[1] += poison_vectors(mixed, 100000) != 0;
		bad[2] += system_registers(mixed);
	}
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static void other(void)
{
	rounds();
	for (;;)
		arch_wait();
}

void test(void)
{
	plan(4);
	ok(arch_start(1, other), "another vCPU");
	rounds();
	while (finished < 2)
		;
	ok(!bad[0], "general registers");
	ok(!bad[1], "vectors");
	ok(!bad[2], "system registers");
}
