/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CSRs, fences and the firmware's calls.  Names are the assembler's. */
#ifndef HULL_METAL_RISCV64_CSR_H
#define HULL_METAL_RISCV64_CSR_H

#include <stdint.h>

#define csr_read(name)                                                          \
	({                                                                      \
		uint64_t csr_v;                                                 \
		__asm__ volatile("csrr %0, " #name : "=r"(csr_v) : : "memory"); \
		csr_v;                                                          \
	})
#define csr_write(name, value) \
	__asm__ volatile("csrw " #name ", %0" : : "rK"((uint64_t)(value)) : "memory")
#define csr_set(name, value) \
	__asm__ volatile("csrs " #name ", %0" : : "rK"((uint64_t)(value)) : "memory")
#define csr_clear(name, value) \
	__asm__ volatile("csrc " #name ", %0" : : "rK"((uint64_t)(value)) : "memory")

#define wfi()     __asm__ volatile("wfi" : : : "memory")
#define fence_i() __asm__ volatile("fence.i" : : : "memory")
/* HFENCE.GVMA and HFENCE.VVMA of everything, which assemblers do not know without the extension. */
#define hfence_gvma() __asm__ volatile(".4byte 0x62000073" : : : "memory")
#define hfence_vvma() __asm__ volatile(".4byte 0x22000073" : : : "memory")

/* SBI 2.0, chapter 3. */
static inline uint64_t sbi_call(uint64_t ext, uint64_t fn, uint64_t x, uint64_t y)
{
	register uint64_t a0 __asm__("a0") = x;
	register uint64_t a1 __asm__("a1") = y;
	register uint64_t a6 __asm__("a6") = fn;
	register uint64_t a7 __asm__("a7") = ext;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a6), "r"(a7) : "memory");
	return a0;
}

#endif
