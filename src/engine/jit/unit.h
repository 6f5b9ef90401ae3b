/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A piece of generated code, as the code generator delivers it and the code cache keeps it:
 * position-independent bytes, the exits that can be linked, and the guest code that it stands for.
 *
 * It knows no addresses, neither of the host nor of the guest beyond offsets in a page, so it can
 * be copied, kept in a file, and used wherever the same guest code is found.
 */
#ifndef HULL_ENGINE_JIT_UNIT_H
#define HULL_ENGINE_JIT_UNIT_H

#include <stdint.h>

enum {
	JIT_EXITS = 255,
	JIT_RANGES = 32,
	JIT_GUEST_BYTES = 4096, /* all ranges together */
	JIT_CODE_BYTES = 1 << 17,
};

/* An exit to a fixed place of the page in which the unit is entered. */
struct jit_exit {
	uint32_t site;   /* offset of the jump for host_patch() */
	uint16_t target; /* offset in the page */
	uint16_t count;  /* number that the exit passes in engine_cpu.desc, see JIT_DESC */
};

/* Guest code that was translated: bytes within one page. */
struct jit_range {
	int32_t page;    /* virtual page number minus that of the entry */
	uint16_t offset; /* in the page */
	uint16_t bytes;
};

struct jit_unit {
	const uint8_t *code;
	uint32_t code_bytes;
	uint8_t tier; /* 1: block, 2: region */
	uint8_t exit_count, range_count;
	uint8_t enter;   /* offset in `code` for the jump cache; links go to its first byte */
	uint16_t insns;  /* of the guest */
	uint16_t offset; /* of the entry in its page */
	const struct jit_exit *exits;
	const struct jit_range *ranges; /* the first one holds the entry */
	const uint8_t *guest;           /* the bytes of all ranges, one after the other */
};

/* engine_cpu.desc at exits and calls: a page offset and a number (exit, or index of an
 * instruction). */
#define JIT_DESC(offset, number) ((uint32_t)(offset) | (uint32_t)(number) << 16)
#define JIT_DESC_OFFSET(desc)    ((desc) & 0xffff)
#define JIT_DESC_NUMBER(desc)    ((desc) >> 16)

#endif
