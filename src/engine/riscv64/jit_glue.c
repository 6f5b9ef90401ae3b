/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Between generated code and C: ways in and out, and what is called from it. */
#include "engine/riscv64/jit.h"

#include <stdlib.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/vcpu.h"

#include <hull/vm.h>

/* Sanitizers of calls through pointers read what is in front of a function. */
enum { GLUE_FRONT = 64, GLUE_BYTES = 64 << 10 };

/* --- what it calls: true if it may go on --- */

void rv_jit_sync(struct rv_hart *h)
{
	h->pc = h->cpu.page + JIT_DESC_OFFSET(h->cpu.desc);
	h->retired = h->cpu.fuel_base - (uint64_t)h->cpu.fuel + JIT_DESC_NUMBER(h->cpu.desc);
}

/*
 * A device may have asked for attention or shortened the time slice: then the instruction is
 * finished by rv_finish_access() and generated code is left.
 */
static bool after_slow(struct rv_hart *h, uint64_t value)
{
	struct rv_jit *j = h->jit;
	bool go = !hull_load_seqcst(&h->vcpu->attention) && h->retire_limit == j->retire_limit;

	j->finish = !go;
	j->value = value;
	return go;
}

static bool slow_load(struct rv_hart *h, unsigned bits, uint64_t *ret)
{
	rv_jit_sync(h);
	h->stats.call_load++;
	return rv_load_slow(h, h->cpu.arg[0] + h->cpu.arg[2], bits, ret) && after_slow(h, *ret);
}

#define SLOW_LOAD(kind, type, bits)                \
	static bool load_##kind(void *state)       \
	{                                          \
		struct rv_hart *h = state;         \
		uint64_t v = 0;                    \
		bool ok = slow_load(h, bits, &v);  \
		h->cpu.arg[3] = (uint64_t)(type)v; \
		return ok;                         \
	}
SLOW_LOAD(u8, uint8_t, 8)
SLOW_LOAD(u16, uint16_t, 16)
SLOW_LOAD(u32, uint32_t, 32)
SLOW_LOAD(u64, uint64_t, 64)
SLOW_LOAD(s8, int8_t, 8)
SLOW_LOAD(s16, int16_t, 16)
SLOW_LOAD(s32, int32_t, 32)

static bool slow_store(struct rv_hart *h, unsigned bits)
{
	rv_jit_sync(h);
	h->stats.call_store++;
	return rv_store_slow(h, h->cpu.arg[0] + h->cpu.arg[2], bits,
	                     h->cpu.arg[1] & low_mask(bits)) &&
	       after_slow(h, 0);
}

static bool store_8(void *state)
{
	return slow_store(state, 8);
}

static bool store_16(void *state)
{
	return slow_store(state, 16);
}

static bool store_32(void *state)
{
	return slow_store(state, 32);
}

static bool store_64(void *state)
{
	return slow_store(state, 64);
}

static bool helper(void *state)
{
	struct rv_hart *h = state;

	rv_jit_sync(h);
	h->stats.call_helper++;
	return rv_helper(h, h->cpu.arg[3] >> 32, (uint32_t)h->cpu.arg[3], h->cpu.arg,
	                 &h->cpu.arg[3]);
}

static bool compute(void *state)
{
	struct rv_hart *h = state;

	h->stats.call_compute++;
	h->cpu.arg[3] =
		hull_ir_compute((enum hull_ir_op)h->cpu.arg[3], h->cpu.arg[0], h->cpu.arg[1], 0);
	return true;
}

/* May code go on after an instruction that changed the machine? */
static bool look(void *state)
{
	struct rv_hart *h = state;

	h->stats.call_look++;
	return !hull_load_seqcst(&h->vcpu->attention) && !(h->mip & h->csr.mie) &&
	       h->retire_limit == h->jit->retire_limit;
}

static bool (*const thunks[])(void *state) = {
	[JIT_SLOW_LOAD + HULL_IR_u8] = load_u8,
	[JIT_SLOW_LOAD + HULL_IR_u16] = load_u16,
	[JIT_SLOW_LOAD + HULL_IR_u32] = load_u32,
	[JIT_SLOW_LOAD + HULL_IR_u64] = load_u64,
	[JIT_SLOW_LOAD + HULL_IR_s8] = load_s8,
	[JIT_SLOW_LOAD + HULL_IR_s16] = load_s16,
	[JIT_SLOW_LOAD + HULL_IR_s32] = load_s32,
	[JIT_SLOW_STORE + 0] = store_8,
	[JIT_SLOW_STORE + 1] = store_16,
	[JIT_SLOW_STORE + 2] = store_32,
	[JIT_SLOW_STORE + 3] = store_64,
	[JIT_HELPER] = helper,
	[JIT_COMPUTE] = compute,
	[JIT_LOOK] = look,
};
_Static_assert(ARRAY_LEN(thunks) == JIT_STUBS_END, "a function for each thunk");

/* --- ways in and out --- */

/* Ways in and out, and thunks: generated, too. */
static bool generate(struct rv_hart *h)
{
	struct rv_jit *j = h->jit;
	struct jit_pin pins[HULL_IR_SLOTS];
	struct host_pin host_pins[HULL_IR_SLOTS];
	unsigned n = jit_canonical_pins(&rv_jit_arch, pins, ARRAY_LEN(pins));
	struct host_emit *e = calloc(1, sizeof(*e));
	uint32_t at[JIT_STUBS] = { 0 };
	bool ok;

	if (!e)
		return false;
	for (unsigned i = 0; i < n; i++)
		host_pins[i] =
			(struct host_pin){ pins[i].reg, rv_jit_arch.slot_state[pins[i].slot] };
	host_begin(e, (uint8_t *)j->glue_rw + GLUE_FRONT, GLUE_BYTES - GLUE_FRONT);
	host_entry(e, host_pins, n);
	for (unsigned i = 0; i < JIT_STUBS; i++) {
		bool keep_f = i >= JIT_STUBS_END;

		at[i] = host_here(e);
		if (i == JIT_LOOKUP)
			host_jump_glue(e, JIT_EXIT_JUMP);
		else if (i < JIT_EXITS_END)
			host_exit(e, host_pins, n, i);
		else
			host_thunk(e, thunks[keep_f ? i - JIT_KEEP_F : i], keep_f);
	}
	ok = host_end(e);
	host_sync_code(j->glue_rw, j->glue_rx, GLUE_BYTES);
	for (unsigned i = 0; i < JIT_STUBS; i++)
		h->cpu.stub[i] = (const uint8_t *)j->glue_rx + GLUE_FRONT + at[i];
	j->enter = (uint64_t (*)(void *, const void *))((uintptr_t)j->glue_rx + GLUE_FRONT);
	free(e);
	return ok;
}

int rv_jit_make_glue(struct rv_hart *h)
{
	struct rv_jit *j = h->jit;
	int rc = j->hal->code_alloc(j->hal, GLUE_BYTES, &j->glue_rw, &j->glue_rx);

	return rc ? rc : generate(h) ? 0 : HULL_EINVAL;
}

void rv_jit_free_glue(struct rv_hart *h)
{
	struct rv_jit *j = h->jit;

	if (j->glue_rw)
		j->hal->code_free(j->hal, GLUE_BYTES, j->glue_rw, j->glue_rx);
}
