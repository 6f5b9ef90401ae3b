/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* fpu: yes.  Loads and stores on a device, of every kind: registers of the GIC's distributor. */
#include "micro.h"

#define ROUTERS    UINT64_C(0x08006100) /* of 32 and on: 64 bits each */
#define PRIORITIES UINT64_C(0x08000420) /* of 32 and on: bytes, of which five bits stay */

enum { A = 0x80000012, B = 0x80000034 };

static uint64_t read64(uintptr_t at)
{
	uint64_t v;

	__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static void clear(void)
{
	for (unsigned i = 0; i < 8; i++)
		__asm__ volatile("str xzr, [%0]" : : "r"(ROUTERS + 8 * i) : "memory");
	for (unsigned i = 0; i < 16; i += 4)
		__asm__ volatile("str wzr, [%0]" : : "r"(PRIORITIES + i) : "memory");
}

static void pairs(void)
{
	uint64_t at = ROUTERS, x = 0, y = 0;
	uint32_t w = 0, z = 0;

	clear();
	__asm__ volatile("stp %1, %2, [%0], #16"
	                 : "+r"(at)
	                 : "r"((uint64_t)A), "r"((uint64_t)B)
	                 : "memory");
	ok(at == ROUTERS + 16 && read64(ROUTERS) == A && read64(ROUTERS + 8) == B,
	   "stp, post-indexed");
	__asm__ volatile("ldp %0, %1, [%2, #-16]!" : "=&r"(x), "=&r"(y), "+r"(at) : : "memory");
	ok(at == ROUTERS && x == A && y == B, "ldp, pre-indexed");
	at = PRIORITIES;
	__asm__ volatile("stp %w1, %w2, [%0]"
	                 :
	                 : "r"(at), "r"(0x08101820), "r"(0x28303840)
	                 : "memory");
	__asm__ volatile("ldp %w0, %w1, [%2]" : "=&r"(w), "=&r"(z) : "r"(at) : "memory");
	ok(w == 0x08101820 && z == 0x28303840, "a pair of words");
	__asm__ volatile("ldpsw %0, %1, [%2]" : "=&r"(x), "=&r"(y) : "r"(at) : "memory");
	ok(x == 0x08101820 && y == 0x28303840, "a pair with a sign");
	__asm__ volatile("ldnp %w0, %w1, [%2]" : "=&r"(w), "=&r"(z) : "r"(at) : "memory");
	ok(w == 0x08101820 && z == 0x28303840, "ldnp");
}

static void indexed(void)
{
	uint64_t at = PRIORITIES, x = 0;
	uint32_t w = 0;

	clear();
	__asm__ volatile("strb %w1, [%0], #1" : "+r"(at) : "r"(0xf8) : "memory");
	__asm__ volatile("strb %w1, [%0, #1]!" : "+r"(at) : "r"(0x08) : "memory");
	ok(at == PRIORITIES + 2, "a byte, either way");
	__asm__ volatile("ldrb %w0, [%1], #-2" : "=&r"(w), "+r"(at) : : "memory");
	ok(w == 0x08 && at == PRIORITIES, "and back");
	__asm__ volatile("ldrsb %0, [%1], #4" : "=&r"(x), "+r"(at) : : "memory");
	ok(x == (uint64_t)-8 && at == PRIORITIES + 4, "with a sign, to 64 bits");
	at = PRIORITIES;
	__asm__ volatile("ldrsb %w0, [%1, #0]!" : "=&r"(x), "+r"(at) : : "memory");
	ok(x == 0xfffffff8, "with a sign, to 32 bits");
	at = ROUTERS;
	__asm__ volatile("str %1, [%0, #8]!" : "+r"(at) : "r"((uint64_t)A) : "memory");
	__asm__ volatile("ldr %0, [%1], #-8" : "=&r"(x), "+r"(at) : : "memory");
	ok(x == A && at == ROUTERS, "64 bits");
}

static void simd(void)
{
	uint64_t at = ROUTERS, x = 0, y = 0;
	static const uint64_t q[2] = { B, A };

	clear();
	__asm__ volatile("ldr q7, [%1]\n str q7, [%0], #16" : "+r"(at) : "r"(q) : "memory", "v7");
	ok(read64(ROUTERS) == B && read64(ROUTERS + 8) == A && at == ROUTERS + 16,
	   "a vector goes out");
	__asm__ volatile("movi v9.2d, #-1\n ldr q9, [%2]\n mov %0, v9.d[0]\n mov %1, v9.d[1]"
	                 : "=&r"(x), "=&r"(y)
	                 : "r"(ROUTERS)
	                 : "memory", "v9");
	ok(x == B && y == A, "and comes in");
	__asm__ volatile("movi v9.2d, #-1\n ldr d9, [%2]\n mov %0, v9.d[0]\n mov %1, v9.d[1]"
	                 : "=&r"(x), "=&r"(y)
	                 : "r"(ROUTERS)
	                 : "memory", "v9");
	ok(x == B && y == 0, "its lower half clears the upper");
	clear();
	__asm__ volatile("ldr q7, [%1]\n mov v8.16b, v7.16b\n st1 {v7.16b, v8.16b}, [%0]"
	                 :
	                 : "r"(ROUTERS), "r"(q)
	                 : "memory", "v7", "v8");
	ok(read64(ROUTERS + 16) == B && read64(ROUTERS + 24) == A, "two with st1");
	__asm__ volatile("ldp q5, q6, [%2]\n mov %0, v6.d[0]\n mov %1, v6.d[1]"
	                 : "=&r"(x), "=&r"(y)
	                 : "r"(ROUTERS)
	                 : "memory", "v5", "v6");
	ok(x == B && y == A, "a pair of vectors");
}

static void ordered(void)
{
	uint32_t w;

	clear();
	__asm__ volatile("stlr %w1, [%0]" : : "r"(PRIORITIES), "r"(0x10) : "memory");
	__asm__ volatile("ldar %w0, [%1]" : "=r"(w) : "r"(PRIORITIES) : "memory");
	ok(w == 0x10, "ldar and stlr");
}

static void exclusive(uintptr_t at)
{
	uint64_t v;

	__asm__ volatile("ldxr %0, [%1]" : "=r"(v) : "r"(at) : "memory");
}

static void straddling(uintptr_t at)
{
	uint64_t v, z;

	__asm__ volatile("ldp %0, %1, [%2]" : "=&r"(v), "=&r"(z) : "r"(at) : "memory");
}

static void interleaved(uintptr_t at)
{
	__asm__ volatile("ld2 {v1.16b, v2.16b}, [%0]" : : "r"(at) : "memory", "v1", "v2");
}

static void nowhere(uintptr_t at)
{
	__asm__ volatile("stp xzr, xzr, [%0], #16" : "+r"(at) : : "memory");
}

void test(void)
{
	uintptr_t at = 0;

	plan(20);
	pairs();
	indexed();
	simd();
	ordered();
	ok(arch_try(exclusive, ROUTERS, &at) == READ_FAULT && at == ROUTERS,
	   "no exclusives on devices");
	ok(arch_try(straddling, 0x08006ff8, &at) == READ_FAULT, "nothing over the end of a page");
	ok(arch_try(interleaved, ROUTERS, &at) == READ_FAULT, "what is not decoded is a fault");
	ok(arch_try(nowhere, arch_nothing(), &at) == WRITE_FAULT && at == arch_nothing(),
	   "where nothing is");
}
