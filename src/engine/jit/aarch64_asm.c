/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "engine/jit/host.h"

#if defined(__aarch64__)

#include <string.h>

#include "engine/jit/aarch64.h"

void host_begin(struct host_emit *e, void *buffer, size_t size)
{
	memset(e, 0, offsetof(struct host_emit, label_at));
	e->start = buffer;
	e->p = buffer;
	e->end = e->p + size;
	e->features = host_features();
	e->smp = true;
}

void a64_put(struct host_emit *e, uint32_t word)
{
	if (e->full || e->end - e->p < 4) {
		e->full = true;
		return;
	}
	memcpy(e->p, &word, 4);
	e->p += 4;
}

host_label host_new_label(struct host_emit *e)
{
	if (e->label_count + 1 >= HOST_LABELS) {
		e->full = true;
		return 0;
	}
	e->label_at[++e->label_count] = 0;
	return (host_label)e->label_count;
}

void host_bind(struct host_emit *e, host_label l)
{
	if (l == 0 || l > e->label_count)
		e->full = true;
	else
		e->label_at[l] = host_here(e) + 1;
}

/* Put the distance in words into the instruction at `at`. */
static bool set_distance(uint8_t *at, enum a64_fixup kind, int64_t bytes)
{
	int64_t words = bytes / 4, reach = kind == A64_IMM26 ? 1 << 25 : 1 << 18;
	uint32_t word;

	if (bytes % 4 != 0 || words < -reach || words >= reach)
		return false;
	memcpy(&word, at, 4);
	if (kind == A64_IMM26)
		word = (word & ~0x03ffffffu) | ((uint32_t)words & 0x03ffffff);
	else
		word = (word & ~0x00ffffe0u) | ((uint32_t)words & 0x7ffff) << 5;
	memcpy(at, &word, 4);
	return true;
}

bool host_end(struct host_emit *e)
{
	a64_late(e);
	for (unsigned i = 0; i < e->fixup_count && !e->full; i++) {
		uint32_t at = e->fixup[i].at, to = e->label_at[e->fixup[i].label];
		if (to == 0 || !set_distance(e->start + at, e->fixup[i].kind, (int64_t)to - 1 - at))
			e->full = true;
	}
	return !e->full;
}

void a64_branch(struct host_emit *e, uint32_t word, host_label to)
{
	bool far = (word & 0x7c000000) == A64_B;

	if (e->fixup_count == HOST_FIXUPS || to == 0 || to > e->label_count) {
		e->full = true;
		return;
	}
	e->fixup[e->fixup_count].at = host_here(e);
	e->fixup[e->fixup_count].label = to;
	e->fixup[e->fixup_count++].kind = far ? A64_IMM26 : A64_IMM19;
	a64_put(e, word);
}

void a64_land(struct host_emit *e, uint32_t at)
{
	if (!e->full && !set_distance(e->start + at, A64_IMM19, (int64_t)host_here(e) - at))
		e->full = true;
}

uint8_t *a64_skip(struct host_emit *e, uint32_t word)
{
	uint8_t *at = e->p;

	a64_put(e, word);
	return e->full ? NULL : at;
}

void a64_skip_end(struct host_emit *e, uint8_t *skip)
{
	if (skip && !e->full)
		(void)set_distance(skip, A64_IMM19, e->p - skip);
}

/* --- constants --- */

bool a64_logical_imm(uint64_t v, bool w, uint32_t *field)
{
	unsigned size = 64, ones, rotate;
	uint64_t mask;

	if (w)
		v = (v & 0xffffffff) | v << 32;
	if (v == 0 || v == UINT64_MAX)
		return false;
	/* The shortest element whose repetition v is. */
	while (size > 2 && ((v >> size / 2 ^ v) & (((uint64_t)1 << size / 2) - 1)) == 0)
		size /= 2;
	mask = UINT64_MAX >> (64 - size);
	v &= mask;
	/* It has to be ones, rotated right by `rotate`. */
	ones = (unsigned)__builtin_popcountll(v);
	for (rotate = 0; rotate < size; rotate++) {
		uint64_t run = ((uint64_t)1 << ones) - 1;
		if (rotate)
			run = (run >> rotate | run << (size - rotate)) & mask;
		if (run == v)
			break;
	}
	if (rotate == size)
		return false;
	*field = (uint32_t)(size == 64) << 22 | rotate << 16 |
	         ((~(size * 2 - 1) & 0x3f) | (ones - 1)) << 10;
	return true;
}

void a64_mov_imm(struct host_emit *e, unsigned d, uint64_t v)
{
	unsigned zeros = 0, ones = 0;
	uint32_t field;

	for (unsigned i = 0; i < 64; i += 16) {
		zeros += (v >> i & 0xffff) == 0;
		ones += (v >> i & 0xffff) == 0xffff;
	}
	if (zeros < 3 && ones < 3 && a64_logical_imm(v, false, &field)) {
		a64_put(e, A64_ORR_I | field | A64_ZR << 5 | d);
		return;
	}
	bool inverted = ones > zeros, first = true;
	uint64_t skip = inverted ? 0xffff : 0;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t part = v >> i * 16 & 0xffff;
		/* Where every part is the same, one instruction has to be there all the same. */
		if (part == skip && !(i == 3 && first))
			continue;
		uint32_t word = !first ? A64_MOVK : inverted ? A64_MOVN : A64_MOVZ;
		if (first && inverted)
			part ^= 0xffff;
		a64_put(e, word | i << 21 | (uint32_t)part << 5 | d);
		first = false;
	}
}

static bool add_field(uint64_t v, uint32_t *field)
{
	if (v < 0x1000)
		*field = (uint32_t)v << 10;
	else if (v < 0x1000000 && (v & 0xfff) == 0)
		*field = (uint32_t)(v >> 12) << 10 | 1 << 22;
	else
		return false;
	return true;
}

void a64_add_imm(struct host_emit *e, bool w, unsigned d, unsigned n, uint64_t v)
{
	uint64_t minus = -v;
	uint32_t field;

	if (w) {
		v = (uint64_t)(int64_t)(int32_t)(uint32_t)v;
		minus = (uint64_t)(int64_t)(int32_t)(uint32_t)minus;
	}
	if (v == 0 && !w) {
		a64_mov(e, d, n);
	} else if (add_field(v, &field)) {
		a64_put(e, a64_w(A64_ADD_I, w) | field | n << 5 | d);
	} else if (add_field(minus, &field)) {
		a64_put(e, a64_w(A64_SUB_I, w) | field | n << 5 | d);
	} else if (v < 0x1000000) {
		a64_put(e, a64_w(A64_ADD_I, w) | 1 << 22 | (uint32_t)(v >> 12) << 10 | n << 5 | d);
		a64_put(e, a64_w(A64_ADD_I, w) | (uint32_t)(v & 0xfff) << 10 | d << 5 | d);
	} else {
		a64_mov_imm(e, A64_LR, v);
		a64_rrr(e, a64_w(A64_ADD, w), d, n, A64_LR);
	}
}

void a64_cmp_imm(struct host_emit *e, unsigned n, uint64_t v)
{
	uint32_t field;

	if (v == 0) {
		a64_rrr(e, A64_SUBS, A64_ZR, n, A64_ZR);
	} else if (n != A64_ZR && add_field(v, &field)) {
		a64_put(e, A64_SUBS_I | field | n << 5 | A64_ZR);
	} else if (n != A64_ZR && add_field(-v, &field)) {
		a64_put(e, A64_ADDS_I | field | n << 5 | A64_ZR);
	} else {
		a64_mov_imm(e, A64_LR, v);
		a64_rrr(e, A64_SUBS, A64_ZR, n, A64_LR);
	}
}

/* --- memory and operands --- */

void a64_mem_rr(struct host_emit *e, enum a64_insn i, unsigned t, unsigned n, unsigned m)
{
	a64_rrr(e, ((uint32_t)i & ~(1u << 24)) | 0x00206800, t, n, m);
}

void a64_mem(struct host_emit *e, enum a64_insn i, unsigned size, unsigned t, unsigned n,
             int64_t offset)
{
	if (offset >= 0 && offset % size == 0 && offset / size < 0x1000) {
		a64_put(e, (uint32_t)i | (uint32_t)(offset / size) << 10 | n << 5 | t);
	} else if (offset >= -256 && offset < 256) {
		a64_put(e, ((uint32_t)i & ~(1u << 24)) | ((uint32_t)offset & 0x1ff) << 12 | n << 5 |
		                   t);
	} else {
		a64_mov_imm(e, A64_LR, (uint64_t)offset);
		a64_mem_rr(e, i, t, n, A64_LR);
	}
}

unsigned a64_use(struct host_emit *e, struct host_operand a, unsigned scratch)
{
	if (a.kind == HOST_REG)
		return a.reg;
	if (a.kind == HOST_IMM)
		a64_mov_imm(e, scratch, a.imm);
	else
		a64_mem(e, A64_LDR, 8, scratch, A64_STATE, a.state);
	return scratch;
}

unsigned a64_use_z(struct host_emit *e, struct host_operand a, unsigned scratch)
{
	return a.kind == HOST_IMM && a.imm == 0 ? A64_ZR : a64_use(e, a, scratch);
}

#endif
