/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The aarch64 host: calls, ways in and out, what is done to finished code. */
#include "engine/jit/host.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

#include "engine/jit/aarch64.h"

#ifndef HWCAP_PMULL
#define HWCAP_PMULL (1 << 4)
#endif

unsigned host_features(void)
{
	return HOST_FMA | (getauxval(AT_HWCAP) & HWCAP_PMULL ? HOST_PCLMUL : 0);
}

/*
 * Between generated code and stubs: w16 is desc, x15 the site; a thunk returns its function's
 * answer in w16.
 */

static void to_stub(struct host_emit *e, enum a64_insn how, unsigned number, uint32_t desc)
{
	a64_mov_imm(e, A64_X16, desc);
	a64_mem(e, A64_LDR, 8, A64_X17, A64_STATE, ENGINE_STATE(stub) + (int64_t)number * 8);
	a64_rr(e, how, 0, A64_X17);
}

void host_call(struct host_emit *e, unsigned number, uint32_t desc, bool keep_f)
{
	to_stub(e, A64_BLR, number, desc);
}

void host_call_done(struct host_emit *e, host_reg d, host_label failed)
{
	a64_branch(e, a64_w(A64_CBZ, true) | A64_X16, failed);
	if (d != HOST_NO_REG)
		a64_mem(e, A64_LDR, 8, d, A64_STATE, ENGINE_STATE(arg[3]));
}

void host_leave(struct host_emit *e, unsigned number, uint32_t desc)
{
	uint32_t back = 0u - host_here(e);

	/* Units are shorter than the 1 MiB that ADR reaches. */
	if (host_here(e) >= 1u << 20)
		e->full = true;
	a64_put(e, A64_ADR | (back & 3) << 29 | (back >> 2 & 0x7ffff) << 5 | A64_X15);
	to_stub(e, A64_BR, number, desc);
}

/* --- glue --- */

/* Two registers at sp + at. */
static void pair(struct host_emit *e, enum a64_insn i, unsigned a, unsigned b, unsigned at)
{
	a64_put(e, (uint32_t)i | at / 8 << 15 | b << 10 | A64_SP << 5 | a);
}

static void move_sp(struct host_emit *e, enum a64_insn i, unsigned bytes)
{
	a64_put(e, (uint32_t)i | bytes << 10 | A64_SP << 5 | A64_SP);
}

enum { FRAME = 176 }; /* x29, x30, x19 to x28, d8 to d15 */

/* x29 and x30 are first: a frame record. */
static void frame(struct host_emit *e, enum a64_insn whole, enum a64_insn d)
{
	pair(e, whole, A64_FP, A64_LR, 0);
	for (unsigned i = 0; i < 10; i += 2)
		pair(e, whole, 19 + i, 20 + i, 16 + i * 8);
	for (unsigned i = 0; i < 8; i += 2)
		pair(e, d, 8 + i, 9 + i, 96 + i * 8);
}

void host_entry(struct host_emit *e, const struct host_pin *pins, unsigned count)
{
	move_sp(e, A64_SUB_I, FRAME);
	frame(e, A64_STP, A64_STP_D);
	a64_put(e, A64_ADD_I | A64_SP << 5 | A64_FP);
	a64_mov(e, A64_STATE, 0);
	a64_mov(e, A64_X16, 1);
	a64_mem(e, A64_LDR, 8, A64_FUEL, A64_STATE, ENGINE_STATE(fuel));
	for (unsigned i = 0; i < count; i++)
		a64_mem(e, A64_LDR, 8, pins[i].reg, A64_STATE, pins[i].state);
	a64_rr(e, A64_BR, 0, A64_X16);
}

void host_exit(struct host_emit *e, const struct host_pin *pins, unsigned count, uint64_t reason)
{
	a64_mem(e, A64_STR_W, 4, A64_X16, A64_STATE, ENGINE_STATE(desc));
	a64_mem(e, A64_STR, 8, A64_X15, A64_STATE, ENGINE_STATE(site));
	a64_mem(e, A64_STR, 8, A64_FUEL, A64_STATE, ENGINE_STATE(fuel));
	for (unsigned i = 0; i < count; i++)
		a64_mem(e, A64_STR, 8, pins[i].reg, A64_STATE, pins[i].state);
	a64_mov_imm(e, 0, reason);
	frame(e, A64_LDP, A64_LDP_D);
	move_sp(e, A64_ADD_I, FRAME);
	a64_put(e, A64_RET | A64_LR << 5);
}

/* x0 to x12, x30, then d0 to d7, d16 to d28; the functions of a frame keep the others. */
static void caller_saved(struct host_emit *e, enum a64_insn whole, enum a64_insn d, bool keep_f)
{
	for (unsigned i = 0; i < 12; i += 2)
		pair(e, whole, i, i + 1, 16 + i * 8);
	/* With x13, which is scratch, to have an even number. */
	pair(e, whole, 12, A64_X13, 112);
	for (unsigned i = 0; i < 8 && keep_f; i += 2)
		pair(e, d, i, i + 1, 128 + i * 8);
	for (unsigned i = 0; i < 14 && keep_f; i += 2)
		pair(e, d, 16 + i, 17 + i, 192 + i * 8);
}

void host_thunk(struct host_emit *e, bool (*fn)(void *state), bool keep_f)
{
	unsigned bytes = keep_f ? 304 : 128;

	move_sp(e, A64_SUB_I, bytes);
	pair(e, A64_STP, A64_FP, A64_LR, 0);
	a64_put(e, A64_ADD_I | A64_SP << 5 | A64_FP);
	caller_saved(e, A64_STP, A64_STP_D, keep_f);
	a64_mem(e, A64_STR_W, 4, A64_X16, A64_STATE, ENGINE_STATE(desc));
	a64_mem(e, A64_STR, 8, A64_FUEL, A64_STATE, ENGINE_STATE(fuel));
	a64_mov(e, 0, A64_STATE);
	a64_mov_imm(e, A64_X16, (uintptr_t)fn);
	a64_rr(e, A64_BLR, 0, A64_X16);
	/* A bool's upper bits are anything. */
	a64_bfm(e, A64_UBFM, A64_X16, 0, 0, 7);
	caller_saved(e, A64_LDP, A64_LDP_D, keep_f);
	a64_mem(e, A64_LDR, 8, A64_FUEL, A64_STATE, ENGINE_STATE(fuel));
	pair(e, A64_LDP, A64_FP, A64_LR, 0);
	move_sp(e, A64_ADD_I, bytes);
	a64_put(e, A64_RET | A64_LR << 5);
}

/* --- finished code --- */

void host_sync_code(const void *rw, const void *rx, size_t bytes)
{
	/* Caches of data are looked up by physical address, but those of instructions need not be,
	 * and only the mapping that is executed is sure to be invalidated. */
	__builtin___clear_cache((char *)rw, (char *)rw + bytes);
	__builtin___clear_cache((char *)rx, (char *)rx + bytes);
}

/* A B may be overwritten by another B while others execute it (DDI 0487, B2.2.5). */
void host_patch(void *rw, const void *rx, const void *target)
{
	int64_t words = ((const uint8_t *)target - (const uint8_t *)rx) / 4;

	__atomic_store_n((uint32_t *)rw, A64_B | ((uint32_t)words & 0x03ffffff), __ATOMIC_RELEASE);
	host_sync_code(rw, rx, 4);
}

#endif
