/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The GIC and the registers of the processor, for guests that ask for interrupts themselves. */
#ifndef GIC_H
#define GIC_H

#include "micro.h"

#define GICD UINT64_C(0x08000000)
#define GICR UINT64_C(0x080b0000) /* the second frame of vCPU 0 */

/* Of both, for interrupts. */
enum {
	IGROUPR = 0x080,
	ISENABLER = 0x100,
	ICENABLER = 0x180,
	ISPENDR = 0x200,
	ICPENDR = 0x280,
	ISACTIVER = 0x300,
	ICACTIVER = 0x380,
	IPRIORITYR = 0x400,
	ICFGR = 0xc00,
	IROUTER = 0x6000,
};
enum { NONE = 1023, PRIVATE = 32 };

#define ICC_PMR     s3_0_c4_c6_0
#define ICC_IAR1    s3_0_c12_c12_0
#define ICC_EOIR1   s3_0_c12_c12_1
#define ICC_HPPIR1  s3_0_c12_c12_2
#define ICC_BPR1    s3_0_c12_c12_3
#define ICC_CTLR    s3_0_c12_c12_4
#define ICC_IGRPEN1 s3_0_c12_c12_7
#define ICC_DIR     s3_0_c12_c11_1
#define ICC_RPR     s3_0_c12_c11_3
#define ICC_SGI1R   s3_0_c12_c11_5

#define TEXT(name)     #name
#define sys_read(name) sys_read_(TEXT(name))
#define sys_read_(name)                                                          \
	({                                                                       \
		uint64_t v_;                                                     \
		__asm__ volatile("isb\n mrs %0, " name : "=r"(v_) : : "memory"); \
		v_;                                                              \
	})
#define sys_write(name, v) sys_write_(TEXT(name), v)
#define sys_write_(name, v) \
	__asm__ volatile("msr " name ", %0\n isb" : : "r"((uint64_t)(v)) : "memory")

static inline uint32_t read32(uint64_t at)
{
	uint32_t v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static inline void write32(uint64_t at, uint32_t v)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static inline void write8(uint64_t at, uint8_t v)
{
	__asm__ volatile("strb %w0, [%1]" : : "r"(v), "r"(at) : "memory");
}

static inline void write64(uint64_t at, uint64_t v)
{
	__asm__ volatile("str %0, [%1]" : : "r"(v), "r"(at) : "memory");
}

/* The frame that has the registers of an interrupt as this vCPU sees it. */
static inline uint64_t frame_of(unsigned intid)
{
	return intid < PRIVATE ? GICR + arch_cpu() * UINT64_C(0x20000) : GICD;
}

static inline void gic_set(unsigned kind, unsigned intid)
{
	write32(frame_of(intid) + kind + intid / 32 * 4, 1u << intid % 32);
}

static inline bool gic_is(unsigned kind, unsigned intid)
{
	return read32(frame_of(intid) + kind + intid / 32 * 4) >> intid % 32 & 1;
}

static inline void gic_priority(unsigned intid, uint8_t priority)
{
	write8(frame_of(intid) + IPRIORITYR + intid, priority);
}

static inline void gic_edge(unsigned intid, bool edge)
{
	uint64_t at = frame_of(intid) + ICFGR + intid / 16 * 4;
	uint32_t bit = 2u << intid % 16 * 2;

	write32(at, edge ? read32(at) | bit : read32(at) & ~bit);
}

/* Group 1, enabled, of a priority, and nothing else. */
static inline void gic_prepare(unsigned intid, uint8_t priority)
{
	uint64_t group = frame_of(intid) + IGROUPR + intid / 32 * 4;

	gic_set(ICENABLER, intid);
	gic_set(ICPENDR, intid);
	gic_set(ICACTIVER, intid);
	write32(group, read32(group) | 1u << intid % 32);
	gic_priority(intid, priority);
	gic_set(ISENABLER, intid);
}

/* Acknowledge what there is (NONE: nothing); end it. */
static inline unsigned take(void)
{
	unsigned intid = (unsigned)sys_read(s3_0_c12_c12_0);

	__asm__ volatile("dsb sy" : : : "memory");
	return intid;
}

static inline void end(unsigned intid)
{
	sys_write(s3_0_c12_c12_1, intid);
}

/* What comes is this one, and ends. */
static inline bool comes(unsigned intid)
{
	unsigned got = take();

	if (got != NONE)
		end(got);
	return got == intid;
}

/* Nothing comes. */
static inline bool quiet(void)
{
	return comes(NONE);
}

static inline uint64_t now(void)
{
	return sys_read(cntvct_el0);
}

static inline uint64_t ms(unsigned n)
{
	return sys_read(cntfrq_el0) / 1000 * n;
}

/* The same within two seconds. */
static inline bool comes_soon(unsigned intid)
{
	uint64_t end_at = now() + ms(2000);

	while (now() < end_at) {
		unsigned got = take();

		if (got == NONE)
			continue;
		end(got);
		return got == intid;
	}
	return false;
}

static inline void pause_ms(unsigned n)
{
	uint64_t until = now() + ms(n);

	while (now() < until)
		;
}

#endif
