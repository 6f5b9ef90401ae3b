/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* System registers and barriers.  Names are the assembler's. */
#ifndef HULL_METAL_AARCH64_SYSREG_H
#define HULL_METAL_AARCH64_SYSREG_H

#include <stdint.h>

#define sysreg_read(name)                                            \
	({                                                           \
		uint64_t sysreg_v;                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(sysreg_v)); \
		sysreg_v;                                            \
	})
#define sysreg_write(name, value) \
	__asm__ volatile("msr " #name ", %x0" : : "rZ"((uint64_t)(value)) : "memory")

#define isb()           __asm__ volatile("isb" : : : "memory")
#define dsb(domain)     __asm__ volatile("dsb " #domain : : : "memory")
#define tlbi(op)        __asm__ volatile("tlbi " #op : : : "memory")
#define tlbi_at(op, at) __asm__ volatile("tlbi " #op ", %0" : : "r"((uint64_t)(at)) : "memory")
#define wfi()           __asm__ volatile("wfi" : : : "memory")
#define wfe()           __asm__ volatile("wfe" : : : "memory")
#define sev()           __asm__ volatile("sev" : : : "memory")

static inline uint32_t mmio_read32(uint64_t at)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static inline uint64_t mmio_read64(uint64_t at)
{
	uint64_t v;

	__asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static inline void mmio_write32(uint64_t at, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" : : "rZ"(v), "r"(at) : "memory");
}

static inline void mmio_write64(uint64_t at, uint64_t v)
{
	__asm__ volatile("str %x0, [%1]" : : "rZ"(v), "r"(at) : "memory");
}

#endif
