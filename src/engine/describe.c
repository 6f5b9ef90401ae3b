/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What people see of the engine's work: the code that it has, guest code as text. */
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"
#include "engine/riscv64/lift.h"
#include "isa/riscv64/disasm.h"

/* Two bytes of code at `va`, without side effects. */
static bool fetch_half(struct rv_hart *h, hull_va va, uint16_t *ret)
{
	uint8_t bytes[2];
	uint64_t gpa;

	if (!rv_translate(h, va, RV_FETCH, &gpa) || hull_vm_read(h->vm, gpa, bytes, sizeof(bytes)))
		return false;
	*ret = load_le16(bytes);
	return true;
}

unsigned hull_engine_disasm(struct hull_vcpu *vcpu, hull_va pc, char *dst, size_t size)
{
	struct rv_hart *h = hull_vcpu_accel_state(vcpu);
	uint16_t low, high = 0;
	unsigned length;

	hull_format(dst, size, "(not mapped)");
	if (pc & 1 || !fetch_half(h, pc, &low))
		return 0;
	length = hull_rv_length(low);
	if (length == 4 && !fetch_half(h, pc + 2, &high))
		return 0;
	hull_rv_disasm(&h->cache->decoder, low | (uint32_t)high << 16, pc, dst, size);
	return length;
}

unsigned hull_engine_disasm_bytes(struct hull_vcpu *vcpu, const uint8_t *code, size_t avail,
                                  hull_va pc, char *dst, size_t size)
{
	struct rv_hart *h = hull_vcpu_accel_state(vcpu);
	unsigned length = avail < 2 ? 0 : hull_rv_length(load_le16(code));

	dst[0] = 0;
	if (!length || length > avail)
		return 0;
	hull_rv_disasm(&h->cache->decoder, length == 4 ? load_le32(code) : load_le16(code), pc, dst,
	               size);
	return length;
}

static unsigned count_insns(const uint8_t *code, unsigned bytes)
{
	unsigned n = 0;

	for (unsigned at = 0; at < bytes; n++)
		at += hull_rv_length(load_le16(code + at));
	return n;
}

/* Does one of the instructions begin at this offset? */
static bool begins_at(const uint8_t *code, unsigned bytes, uint64_t offset)
{
	unsigned at = 0;

	while (at < bytes && at < offset)
		at += hull_rv_length(load_le16(code + at));
	return at < bytes && at == offset;
}

static void describe_block(struct rv_hart *h, const struct rv_block *b, hull_va pc,
                           struct hull_ir *room, hull_code_fn fn, void *arg)
{
	struct hull_code c = {
		.pc = pc,
		.gpa = b->gpa,
		.tier = HULL_TIER_INTERP,
		.insns = b->insns,
		.guest_bytes = b->bytes,
		.guest = rv_block_code(b),
		.ir = room,
		.executions = b->heat == UINT32_MAX ? 0 : b->heat, /* that: translated */
	};

	if (!rv_lift(&h->cache->decoder, c.guest, c.guest_bytes, room))
		c.ir = NULL;
	fn(arg, &c);
}

struct translated {
	struct rv_hart *h;
	uint64_t address, gpa;
	struct hull_ir *room;
	hull_code_fn fn;
	void *arg;
	unsigned count;
};

/* What a translator has made; the IR is that of the one block, before any optimisation. */
static void describe_translated(void *arg, const struct jit_code *code,
                                const struct jit_code_range *r, const uint8_t *guest)
{
	struct translated *t = arg;
	uint64_t offset = t->gpa - r->gpa;
	struct hull_code c = {
		.pc = t->address - offset,
		.gpa = r->gpa,
		.tier = code->tier == 1 ? HULL_TIER_BLOCK : HULL_TIER_REGION,
		.insns = code->insns,
		.pieces = code->range_count,
		.guest_bytes = r->range.bytes,
		.guest = guest,
		.host = code->entry,
		.host_bytes = code->code_bytes,
	};

	if (!begins_at(guest, c.guest_bytes, offset))
		return;
	if (code->range_count == 1 &&
	    rv_lift(&t->h->cache->decoder, c.guest, c.guest_bytes, t->room) == c.insns)
		c.ir = t->room;
	else if (code->tier == 2)
		c.insns = count_insns(guest, c.guest_bytes);
	t->fn(t->arg, &c);
	t->count++;
}

unsigned hull_engine_describe(struct hull_vcpu *vcpu, uint64_t address, struct hull_ir *room,
                              hull_code_fn fn, void *arg)
{
	struct rv_hart *h = hull_vcpu_accel_state(vcpu);
	uint64_t gpa = address;
	struct translated t;
	unsigned n = 0;

	if (address & 1)
		return 0;
	if (!rv_translate(h, address, RV_FETCH, &gpa))
		gpa = address;
	t = (struct translated){ h, address, gpa, room, fn, arg, 0 };
	for (unsigned i = 0; i < RV_HASH_SIZE; i++) {
		for (const struct rv_block *b = h->cache->hash[i]; b; b = b->hash_next) {
			uint64_t offset = gpa - b->gpa;

			if (offset >= b->bytes || !begins_at(rv_block_code(b), b->bytes, offset))
				continue;
			describe_block(h, b, address - offset, room, fn, arg);
			n++;
		}
	}
	if (h->jit)
		rv_jit_describe(h, gpa, describe_translated, &t);
	return n + t.count;
}
