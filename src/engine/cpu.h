/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The part of a guest CPU that generated code touches besides the guest's
 * registers: translation caches, the way in and out, arguments of helpers.
 *
 * It does not depend on the guest's instruction set.  A guest CPU (struct rv_hart)
 * begins with its registers, in ENGINE_CPU_AT bytes, and goes on with this structure; generated
 * code reaches everything by its offset from the guest CPU ("state").
 *
 * Threading: touched only by the thread that runs the vCPU.
 */
#ifndef HULL_ENGINE_CPU_H
#define HULL_ENGINE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ENGINE_CPU_AT = 576,
	ENGINE_TLB_SHIFT = 12,
	ENGINE_TLB_SIZE = 1 << ENGINE_TLB_SHIFT,
	ENGINE_JUMP_SHIFT = 15,
	ENGINE_JUMP_SIZE = 1 << ENGINE_JUMP_SHIFT,
	ENGINE_SPILLS = 64,
	ENGINE_STUBS = 96,
	ENGINE_SITES = 512,
	ENGINE_CONTEXTS = 512, /* numbers of contexts are below */
	ENGINE_SITE_SHIFT = 3, /* of the context in a site's tag */
	ENGINE_HELD = 8,
	ENGINE_HELD_STEP = 1 << 11,
	ENGINE_HELD_INSNS = 1 << 14,
	ENGINE_HELD_LAST = 1 << 28, /* bytes at the end of the address space */
};

/* A tag is page address | context.  0 matches nothing, since contexts start at 1. */
struct engine_tlb_entry {
	uint64_t read;
	uint64_t write;
	uintptr_t addend; /* host address = guest virtual address + addend */
	uint64_t gpa;     /* page's guest-physical address */
};

/*
 * Where code starts, by virtual address.  Generated code looks for the even address and the current
 * jump_key, which is never 0, and does not ask whether there is code: an entry without code must
 * have bit 0 of its pc set, or key 0.
 */
struct engine_jump_entry {
	uint64_t pc;
	uint64_t key;     /* engine_cpu.jump_key that it belongs to; 0: the entry is empty */
	const void *code; /* host code; NULL: none, look at `block`; then pc is odd */
	void *block;
};

/*
 * The page that an instruction accessed last, for reading or for writing: a TLB of one entry, at a
 * place that is known before the address is.  The tag is page | context << ENGINE_SITE_SHIFT;
 * the bits below are 0, so that an address whose low bits are kept matches only if it is aligned.
 * Contexts start at 1: 0 matches nothing.  Even sites are for reading, odd ones for writing.
 * Whoever drops an entry of the TLB drops all sites, or those of its page.
 */
struct engine_site {
	uint64_t tag;
	uintptr_t addend;
};

/*
 * What a unit found out about the page that a register points into, for reading or for writing: as
 * long as the register only grows, and is less than `end`, the addend is right.  Code that is not
 * of the unit, or gives the register another value, sets `end` to 0.  A register grows by less
 * than ENGINE_HELD_STEP an instruction, a unit runs less than ENGINE_HELD_INSNS of them before it
 * is entered anew and holds nothing, and nothing is held in the last pages of the address space:
 * so no register comes round to 0 meanwhile.
 */
struct engine_held {
	uint64_t end;
	uintptr_t addend;
};

struct engine_cpu {
	/*
	 * Instructions that may still be executed before the code must leave; negative:
	 * over.  Retired so far = fuel_base - fuel, + index of the instruction in its block.
	 */
	int64_t fuel;
	uint64_t fuel_base;
	uint64_t page;    /* virtual address of the page whose code runs */
	uint64_t target;  /* exits to an address: where to */
	const void *site; /* exits: first byte of the code that was left */
	uint32_t desc;    /* exits and helper calls: what the code passed */
	uint32_t
		mxcsr; /* host floating-point flags, in the host's own encoding, at the last exit */
	uint64_t arg[4];                /* of helpers */
	uint64_t data_context;          /* number for loads and stores */
	uint64_t site_context;          /* data_context << ENGINE_SITE_SHIFT */
	uint64_t sites_used;            /* not 0: some site has a tag */
	uint64_t jump_key;              /* never 0 */
	uint8_t fp_fast;                /* FP unit on and dirty, rounding mode nearest even */
	const void *stub[ENGINE_STUBS]; /* thunks and ways out, by number */
	uint64_t spill[ENGINE_SPILLS];
	struct engine_held held[ENGINE_HELD];
	struct engine_site sites[ENGINE_SITES];
	struct engine_tlb_entry tlb[ENGINE_TLB_SIZE];
	struct engine_jump_entry jumps[ENGINE_JUMP_SIZE];
};

/*
 * Neighbouring pages must never share an entry, or an access that spans them would hit the second
 * one: the index is the page number's low bits.
 */
static inline unsigned engine_tlb_index(uint64_t va)
{
	return va >> 12 & (ENGINE_TLB_SIZE - 1);
}

_Static_assert(ENGINE_HELD_STEP *ENGINE_HELD_INSNS < ENGINE_HELD_LAST, "see engine_held");

/* Offset of a field from the guest CPU. */
#define ENGINE_STATE(field) ((int32_t)(ENGINE_CPU_AT + offsetof(struct engine_cpu, field)))

static inline unsigned engine_jump_index(uint64_t pc)
{
	return pc >> 1 & (ENGINE_JUMP_SIZE - 1);
}

#endif
