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
uint64_t poison_used(uint64_t seed, uint64_t spins);

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

/*
 * Registers that this guest cannot be without, each with the bits that stay: translation is off
 * meanwhile, and no memory is touched.  SP and the flags go with them.
 */
__asm__(".macro used do\n"
        "	\\do cpacr_el1, 20, 0x00300000\n	\\do ttbr0_el1, 3, 0x00fffffffffff000\n"
        "	\\do tcr_el1, 5, 0x17ffffffbf\n	\\do mair_el1, 7, 0xffffffffffffffff\n"
        "	\\do vbar_el1, 11, 0x0000fffffffff800\n"
        ".endm\n"
        ".macro kept name, n, mask\n	mrs x2, \\name\n	stp x2, xzr, [sp, #-16]!\n"
        ".endm\n"
        ".macro set name, n, mask\n"
        "	ldr x3, =\\mask\n	ror x2, x0, #\\n\n	and x2, x2, x3\n	msr "
        "\\name, x2\n"
        ".endm\n"
        ".macro differs name, n, mask\n"
        "	ldr x3, =\\mask\n	ror x2, x0, #\\n\n	mrs x4, \\name\n	eor x2, "
        "x2, x4\n"
        "	and x2, x2, x3\n	orr x1, x1, x2\n"
        ".endm\n"
        "poison_used:\n	keep\n	used kept\n	mrs x19, sctlr_el1\n	mov x20, sp\n"
        /* SCTLR_EL1: what only EL0 would see. */
        "	ldr x21, =0x0105c200\n	ldr x2, =0x30d00800\n	bic x2, x2, x21\n	and x22, "
        "x0, x21\n"
        "	orr x22, x22, x2\n	msr sctlr_el1, x22\n	isb\n"
        "	used set\n	ror x23, x0, #13\n	mov sp, x23\n"
        "	and x24, x0, #0xf0000000\n	msr nzcv, x24\n	isb\n"
        "1:	sub x1, x1, #1\n	cbnz x1, 1b\n"
        "	mrs x2, nzcv\n	eor x2, x2, x24\n	orr x1, x1, x2\n"
        "	mov x2, sp\n	eor x2, x2, x23\n	orr x1, x1, x2\n	mov sp, x20\n"
        "	mrs x2, sctlr_el1\n	eor x2, x2, x22\n	and x2, x2, x21\n	orr x1, "
        "x1, x2\n"
        "	used differs\n"
        ".macro restore name\n	ldp x2, x3, [sp], #16\n	msr \\name, x2\n.endm\n"
        "	restore vbar_el1\n	restore mair_el1\n	restore tcr_el1\n	restore "
        "ttbr0_el1\n"
        "	restore cpacr_el1\n	isb\n	msr sctlr_el1, x19\n	isb\n"
        "	mov x0, x1\n	back\n"
        "	.ltorg\n");

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

/* Of these a processor has only some bits, or none: what each reads as at first is to stay. */
#define OPTIONAL(X)                                            \
	X(cntv_ctl_el0, 1, 2) /* masked */                     \
	X(afsr0_el1, UINT64_MAX, 0)                            \
	X(afsr1_el1, UINT64_MAX, 0)                            \
	X(amair_el1, UINT64_MAX, 0)                            \
	X(actlr_el1, UINT64_MAX, 0)                            \
	X(mdscr_el1, UINT64_MAX, 0)                            \
	X(s3_0_c4_c6_0, UINT64_MAX, 0)   /* ICC_PMR_EL1 */     \
	X(s3_0_c12_c8_3, UINT64_MAX, 4)  /* ICC_BPR0_EL1 */    \
	X(s3_0_c12_c8_4, UINT64_MAX, 0)  /* ICC_AP0R0_EL1 */   \
	X(s3_0_c12_c9_0, UINT64_MAX, 0)  /* ICC_AP1R0_EL1 */   \
	X(s3_0_c12_c12_3, UINT64_MAX, 4) /* ICC_BPR1_EL1 */    \
	X(s3_0_c12_c12_4, UINT64_MAX, 0) /* ICC_CTLR_EL1 */    \
	X(s3_0_c12_c12_6, UINT64_MAX, 0) /* ICC_IGRPEN0_EL1 */ \
	X(s3_0_c12_c12_7, UINT64_MAX, 0) /* ICC_IGRPEN1_EL1 */

/* APIAKeyLo_EL1 and on: five keys of pointer authentication. */
#define KEYS(X)                        \
	X(s3_0_c2_c1_0, UINT64_MAX, 0) \
	X(s3_0_c2_c1_1, UINT64_MAX, 0) \
	X(s3_0_c2_c1_2, UINT64_MAX, 0) \
	X(s3_0_c2_c1_3, UINT64_MAX, 0) \
	X(s3_0_c2_c2_0, UINT64_MAX, 0) \
	X(s3_0_c2_c2_1, UINT64_MAX, 0) \
	X(s3_0_c2_c2_2, UINT64_MAX, 0) \
	X(s3_0_c2_c2_3, UINT64_MAX, 0) \
	X(s3_0_c2_c3_0, UINT64_MAX, 0) \
	X(s3_0_c2_c3_1, UINT64_MAX, 0)

/* DISR_EL1, which processors with FEAT_RAS have, whether they are asked to tell or not. */
#define DEFERRED(X) X(s3_0_c12_c1_1, UINT64_MAX, 0)

enum { SPINS = 100000, MANY = 24 };

#define sys_read(name)                                                      \
	({                                                                  \
		uint64_t v_;                                                \
		__asm__ volatile("mrs %0, " #name : "=r"(v_) : : "memory"); \
		v_;                                                         \
	})
#define sys_write(name, v) __asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(v)) : "memory")
#define isb()              __asm__ volatile("isb" : : : "memory")

static uint64_t value(uint64_t seed, unsigned n, uint64_t mask)
{
	return (seed * 0x9e3779b97f4a7c15 + n * 0xbf58476d1ce4e5b9) & mask;
}

static void spin(void)
{
	isb();
	for (volatile unsigned i = 0; i < SPINS; i++)
		;
}

static unsigned system_registers(uint64_t seed)
{
	unsigned n = 0, bad = 0;

#define X(name, mask) sys_write(name, value(seed, n++, mask));
	REGISTERS(X)
#undef X
	spin();
	n = 0;
#define X(name, mask) bad += (sys_read(name) & (mask)) != value(seed, n++, mask);
	REGISTERS(X)
#undef X
	sys_write(fpcr, 0);
	isb();
	return bad;
}

/* Set, read, spin, read again; what was there comes back. */
#define READ(name, mask, set) was[n++] = sys_read(name);
#define WRITE(name, mask, set) \
	sys_write(name, (value(seed, n++, UINT64_MAX) & ~UINT64_C(set)) | (set));
#define TAKE(name, mask, set)  now[n++] = sys_read(name);
#define CHECK(name, mask, set) bad += ((sys_read(name) ^ now[n++]) & (mask)) != 0;
#define BACK(name, mask, set)  sys_write(name, was[n++]);
#define STEPS(LIST)                    \
	unsigned n = 0, bad = 0;       \
	uint64_t was[MANY], now[MANY]; \
                                       \
	LIST(READ) n = 0;              \
	LIST(WRITE) n = 0;             \
	isb();                         \
	LIST(TAKE) n = 0;              \
	spin();                        \
	LIST(CHECK) n = 0;             \
	LIST(BACK)                     \
	isb();                         \
	return bad;

static unsigned optional_registers(uint64_t seed)
{
	STEPS(OPTIONAL)
}

static unsigned keys(uint64_t seed)
{
	STEPS(KEYS)
}

static unsigned deferred(uint64_t seed)
{
	STEPS(DEFERRED)
}

static void read_deferred(uintptr_t arg)
{
	(void)arg;
	(void)sys_read(s3_0_c12_c1_1);
}

/* ID_AA64ISAR1_EL1: API, APA; ID_AA64ISAR2_EL1: APA3. */
static bool has_keys(void)
{
	return sys_read(id_aa64isar1_el1) & 0xff0 || sys_read(s3_0_c0_c6_2) & 0xf000;
}

static volatile uint32_t bad[7], finished;
static bool has_deferred;

static void rounds(void)
{
	uint64_t seed = SEED + 0x1000001 * (arch_cpu() + 1);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t mixed = seed * (2 * i + 1);

		bad[0] += poison_general(mixed, 100000) != 0;
		bad[1] += poison_vectors(mixed, 100000) != 0;
		bad[2] += system_registers(mixed);
		bad[3] += poison_used(mixed, 500000) != 0;
		bad[4] += optional_registers(mixed);
		bad[5] += has_keys() ? keys(mixed) : 0;
		bad[6] += has_deferred ? deferred(mixed) : 0;
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
	plan(8);
	has_deferred = arch_try(read_deferred, 0, NULL) == NO_FAULT;
	ok(arch_start(1, other), "another vCPU");
	rounds();
	while (finished < 2)
		;
	ok(!bad[0], "general registers");
	ok(!bad[1], "vectors");
	ok(!bad[2], "system registers");
	ok(!bad[3], "those of translation and exceptions, SP and flags");
	ok(!bad[4], "those that need not be there, and the GIC's");
	ok(!bad[5], "keys");
	ok(!bad[6], "deferred errors");
}
