/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The assembler of the x86-64 host: encodings, labels, features. */
#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>

#include "base/bits.h"
#include "base/mem.h"
#include "engine/jit/x86_64.h"

enum { REG8 = 1, RM8 = 2, LONGEST = 16 };

static const struct {
	uint8_t prefix, map, opcode, form;
} rows[] = {
#define X86(name, prefix, map, opcode, form) { prefix, map, opcode, form },
#include "engine/jit/x86_64.def"
#undef X86
};

/* rbx and r12 to r14 survive calls; the rest are saved by thunks. */
const struct host_info host_info = {
	.name = "x86_64",
	.gpr_count = 10,
	.gpr_saved = 4,
	.gpr = { RBX, R12, R13, R14, R8, R9, R10, R11, RDI, RSI },
	.fpr_count = 14,
	.fpr = { 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	.addend = RAX,
	.holds = true,
};

static bool os_saves_avx(unsigned ecx)
{
	uint32_t low, high;

	if (!(ecx & bit_OSXSAVE))
		return false;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & 6) == 6;
}

unsigned host_features(void)
{
	static _Atomic unsigned known; /* with a bit on top; every thread finds the same */
	enum { KNOWN = 1 << 30 };
	unsigned a, b, c, d, f = atomic_load_explicit(&known, memory_order_relaxed);

	if (f)
		return f & ~KNOWN;
	f = KNOWN;
	if (__get_cpuid(1, &a, &b, &c, &d)) {
		bool avx = (c & bit_AVX) && os_saves_avx(c);

		f |= avx ? HOST_AVX : 0;
		f |= avx && (c & bit_FMA) ? HOST_FMA : 0;
		f |= avx && (c & bit_F16C) ? HOST_F16C : 0;
		f |= c & bit_POPCNT ? HOST_POPCNT : 0;
		f |= c & bit_PCLMUL ? HOST_PCLMUL : 0;
		f |= c & bit_SSE4_1 ? HOST_SSE41 : 0;
		/* BMI instructions have a VEX prefix, which the OS must allow. */
		if (avx && __get_cpuid_count(7, 0, &a, &b, &c, &d)) {
			f |= b & bit_BMI ? HOST_BMI1 : 0;
			f |= b & bit_BMI2 ? HOST_BMI2 : 0;
		}
	}
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		f |= c & (1 << 5) ? HOST_LZCNT : 0;
	atomic_store_explicit(&known, f, memory_order_relaxed);
	return f & ~KNOWN;
}

void host_begin(struct host_emit *e, void *buffer, size_t size)
{
	e->start = e->p = buffer;
	e->end = e->start + size;
	e->features = host_features();
	e->full = false;
	e->smp = true;
	e->label_at[0] = 0;
	e->label_count = 1;
	e->fixup_count = 0;
	e->late_count = 0;
}

/* --- encodings --- */

/* Is there room for any instruction? */
static bool room(struct host_emit *e)
{
	if (e->end - e->p < LONGEST)
		e->full = true;
	return !e->full;
}

static void put(struct host_emit *e, unsigned byte)
{
	*e->p++ = (uint8_t)byte;
}

static void put32(struct host_emit *e, uint32_t v)
{
	store_le32(e->p, v);
	e->p += 4;
}

void x86_imm(struct host_emit *e, uint64_t v, unsigned bytes)
{
	for (; bytes && !e->full; bytes--, v >>= 8)
		put(e, (uint8_t)v);
}

void x86_bytes(struct host_emit *e, uint32_t v, unsigned bytes)
{
	if (room(e))
		x86_imm(e, v, bytes);
}

static void put_operands(struct host_emit *e, unsigned reg, struct x86_rm rm)
{
	unsigned mod, at = rm.reg & 7;
	bool sib = rm.index != HOST_NO_REG || at == RSP;

	reg = (reg & 7) << 3;
	if (!rm.memory) {
		put(e, 0xc0 | reg | at);
		return;
	}
	if (rm.reg == HOST_NO_REG) { /* index << scale, disp */
		put(e, reg | 4);
		put(e, (unsigned)rm.scale << 6 | (rm.index & 7u) << 3 | 5);
		put32(e, (uint32_t)rm.disp);
		return;
	}
	mod = !rm.disp && at != RBP ? 0 : x86_fits8(rm.disp) ? 1 : 2;
	put(e, mod << 6 | reg | (sib ? 4 : at));
	if (sib)
		put(e, (unsigned)rm.scale << 6 |
		               (rm.index == HOST_NO_REG ? 4u : rm.index & 7u) << 3 | at);
	if (mod == 1)
		put(e, (uint8_t)rm.disp);
	else if (mod == 2)
		put32(e, (uint32_t)rm.disp);
}

/* rbp and r13 as base cost a displacement: change roles if that helps. */
static void choose_base(struct x86_rm *rm)
{
	host_reg base = rm->reg;

	if (!rm->memory || rm->index == HOST_NO_REG || base == HOST_NO_REG || rm->scale ||
	    rm->disp || (base & 7) != RBP || (rm->index & 7) == RBP)
		return;
	rm->reg = rm->index;
	rm->index = base;
}

/* The bits that extend a register's number, in REX's order: R X B. */
static unsigned extensions(unsigned reg, const struct x86_rm *rm)
{
	unsigned x = rm->memory && rm->index != HOST_NO_REG ? rm->index >> 3 & 1 : 0;
	unsigned b = rm->memory && rm->reg == HOST_NO_REG ? 0 : rm->reg >> 3 & 1;

	return (reg >> 3 & 1) << 2 | x << 1 | b;
}

static void encode(struct host_emit *e, unsigned op, unsigned add, bool w, unsigned reg,
                   struct x86_rm rm)
{
	unsigned form = rows[op].form, rex;

	if (!room(e))
		return;
	choose_base(&rm);
	rex = extensions(reg, &rm) | (w ? 8 : 0);
	if (((form & REG8) && reg >= RSP) || ((form & RM8) && !rm.memory && rm.reg >= RSP))
		rex |= 0x40;
	if (rows[op].prefix)
		put(e, rows[op].prefix);
	if (rex)
		put(e, rex | 0x40);
	if (rows[op].map)
		put(e, 0x0f);
	if (rows[op].map == 3) /* 2: only with VEX */
		put(e, 0x3a);
	put(e, rows[op].opcode + add);
	put_operands(e, reg, rm);
}

void x86_op(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, struct x86_rm rm)
{
	encode(e, op, 0, w, reg, rm);
}

void x86_cc_op(struct host_emit *e, enum x86_insn op, unsigned cc, bool w, unsigned reg,
               struct x86_rm rm)
{
	encode(e, op, cc, w, reg, rm);
}

void x86_lock_op(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, struct x86_rm rm)
{
	x86_bytes(e, 0xf0, 1);
	encode(e, op, 0, w, reg, rm);
}

void x86_vex(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, unsigned second,
             struct x86_rm rm)
{
	unsigned pp = rows[op].prefix == 0x66   ? 1
	              : rows[op].prefix == 0xf3 ? 2
	              : rows[op].prefix == 0xf2 ? 3
	                                        : 0;
	unsigned ext, last;

	if (!room(e))
		return;
	choose_base(&rm);
	ext = extensions(reg, &rm);
	last = (~second & 15) << 3 | pp;
	if (!(ext & 3) && !w && rows[op].map == 1) {
		put(e, 0xc5);
		put(e, (ext & 4 ? 0 : 0x80) | last);
	} else {
		put(e, 0xc4);
		put(e, (~ext & 7) << 5 | rows[op].map);
		put(e, (w ? 0x80 : 0) | last);
	}
	put(e, rows[op].opcode);
	put_operands(e, reg, rm);
}

/* --- small things --- */

void x86_alu_imm(struct host_emit *e, enum x86_insn op, bool w, struct x86_rm rm, int32_t v)
{
	unsigned digit = rows[op].opcode >> 3;
	bool small = x86_fits8(v);

	x86_op(e, small ? X86_GROUP1_I8 : X86_GROUP1_I32, w, digit, rm);
	x86_imm(e, (uint64_t)(int64_t)v, small ? 1 : 4);
}

void x86_const(struct host_emit *e, host_reg d, uint64_t v)
{
	bool wide = v > UINT32_MAX;

	if (wide && x86_fits32(v)) {
		x86_op(e, X86_MOV_MI, true, 0, x86_r(d));
		x86_imm(e, v, 4);
	} else if (room(e)) {
		if (wide || d >= R8)
			put(e, 0x40u | (wide ? 8 : 0) | d >> 3);
		put(e, 0xb8u | (d & 7));
		x86_imm(e, v, wide ? 8 : 4);
	}
}

void x86_move(struct host_emit *e, host_reg d, host_reg a)
{
	if (d != a)
		x86_op(e, X86_MOV, true, d, x86_r(a));
}

host_reg x86_in(struct host_emit *e, struct host_operand o, host_reg scratch)
{
	if (o.kind == HOST_REG)
		return o.reg;
	if (o.kind == HOST_IMM)
		x86_const(e, scratch, o.imm);
	else
		x86_op(e, X86_MOV, true, scratch, x86_state(o.state));
	return scratch;
}

struct x86_rm x86_rm(struct host_emit *e, struct host_operand o, host_reg scratch)
{
	return o.kind == HOST_STATE ? x86_state(o.state) : x86_r(x86_in(e, o, scratch));
}

/* --- labels --- */

host_label host_new_label(struct host_emit *e)
{
	if (e->label_count == HOST_LABELS) {
		e->full = true;
		return 0;
	}
	e->label_at[e->label_count] = 0;
	return (host_label)e->label_count++;
}

void host_bind(struct host_emit *e, host_label l)
{
	if (!e->full)
		e->label_at[l] = host_here(e) + 1;
}

/* The 32-bit distance at the current place to `to`. */
static void put_distance(struct host_emit *e, host_label to)
{
	if (e->fixup_count == HOST_FIXUPS || !to || to >= e->label_count) {
		e->full = true;
		return;
	}
	e->fixup[e->fixup_count].at = host_here(e);
	e->fixup[e->fixup_count++].label = to;
	put32(e, 0);
}

void x86_jump(struct host_emit *e, unsigned cc, host_label to)
{
	if (!room(e))
		return;
	if (to < e->label_count && e->label_at[to]) {
		int64_t distance = (int64_t)e->label_at[to] - 1 - (host_here(e) + 2);

		if (x86_fits8(distance)) {
			put(e, cc == CC_ALWAYS ? 0xeb : 0x70 | cc);
			put(e, (uint8_t)distance);
			return;
		}
	}
	if (cc == CC_ALWAYS) {
		put(e, 0xe9);
	} else {
		put(e, 0x0f);
		put(e, 0x80 | cc);
	}
	put_distance(e, to);
}

uint8_t *x86_skip(struct host_emit *e, unsigned cc)
{
	if (!room(e))
		return NULL;
	put(e, cc == CC_ALWAYS ? 0xeb : 0x70 | cc);
	put(e, 0);
	return e->p;
}

void x86_land(struct host_emit *e, uint8_t *from)
{
	if (!e->full)
		from[-1] = (uint8_t)(e->p - from);
}

bool host_end(struct host_emit *e)
{
	x86_fma_late(e);
	for (unsigned i = 0; i < e->fixup_count && !e->full; i++) {
		uint32_t at = e->fixup[i].at, target = e->label_at[e->fixup[i].label];

		if (target)
			store_le32(e->start + at, target - 1 - (at + 4));
		else
			e->full = true;
	}
	return !e->full;
}

/*
 * The distance is 4 aligned bytes, given that code is placed at a multiple of 4: another CPU that
 * executes the jump meanwhile sees the old or the new one.
 */
uint32_t host_link(struct host_emit *e, host_label to)
{
	static const uint32_t nops[] = { 0, 0x90, 0x9066, 0x001f0f };
	unsigned pad = (3 - host_here(e)) & 3;
	uint32_t at;

	x86_bytes(e, nops[pad], pad);
	if (!room(e))
		return 0;
	put(e, 0xe9);
	at = host_here(e);
	put_distance(e, to);
	return at;
}

void host_patch(void *rw, const void *rx, const void *target)
{
	int64_t distance = (intptr_t)target - ((intptr_t)rx + 4);

	__atomic_store_n((int32_t *)rw, (int32_t)distance, __ATOMIC_RELEASE);
}

/* Caches are coherent; whoever jumps to the code has got its address after this. */
void host_sync_code(const void *rw, const void *rx, size_t bytes)
{
	(void)rw, (void)rx, (void)bytes;
	atomic_thread_fence(memory_order_release);
}

#endif
