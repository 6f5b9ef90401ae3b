/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Edges and loops between the blocks of a region. */
#include "engine/jit/flow.h"

#include "base/bits.h"
#include "base/mem.h"

unsigned jit_block_at(const struct jit_block *blocks, unsigned count, const struct jit_block *from,
                      int32_t target, unsigned context)
{
	int32_t page = from->page + (target >> 12);
	unsigned any = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct jit_block *b = &blocks[i];

		if (b->page != page || b->offset != (target & 0xfff))
			continue;
		if (b->context == context)
			return i + 1;
		if (!b->context)
			any = i + 1;
	}
	return any;
}

unsigned jit_block_after(const struct jit_block *blocks, unsigned count,
                         const struct jit_block *from, int32_t target)
{
	const struct jit_block *back = from->back ? &blocks[from->back - 1] : NULL;

	if (back && back->page == from->page + (target >> 12) && back->offset == (target & 0xfff))
		return from->back;
	return jit_block_at(blocks, count, from, target,
	                    from->callee ? from->callee : from->context);
}

static uint64_t edges_of(const struct jit_block *blocks, unsigned count, const struct jit_block *b)
{
	uint64_t to = 0;

	for (unsigned i = 1; i < b->ir->count; i++) {
		const struct hull_ir_node *n = &b->ir->nodes[i];
		int32_t target =
			(int32_t)((uint32_t)b->offset + (uint32_t)n->imm); /* if it jumps */
		unsigned next = 0;

		if (n->op == HULL_IR_BRANCH)
			next = jit_block_at(blocks, count, b, target, b->context);
		else if (n->op == HULL_IR_GOTO)
			next = jit_block_after(blocks, count, b, target);
		else if (n->op == HULL_IR_JUMP)
			next = b->back;
		if (next)
			to |= BIT(next - 1);
	}
	return to;
}

/* Blocks from which `end` is reached without `head`: the loop of the edge from `end` to `head`. */
static uint64_t loop_of(const struct jit_flow *f, unsigned count, unsigned head, unsigned end)
{
	uint64_t in = BIT(head) | BIT(end), before;

	do {
		before = in;
		for (unsigned i = 0; i < count; i++)
			if (f->to[i] & in & ~BIT(head))
				in |= BIT(i);
	} while (in != before);
	return in;
}

/* An edge to a block on the path from the entry closes a loop; these of one head are one. */
static void find_loops(const struct jit_flow *f, unsigned count, uint64_t *loop)
{
	uint8_t path[JIT_BLOCKS] = { 0 };
	uint64_t left[JIT_BLOCKS], on_path = 1, seen = 1;
	unsigned n = 1;

	memcpy(left, f->to, sizeof(left));
	while (n) {
		unsigned at = path[n - 1], next;

		if (!left[at]) {
			on_path &= ~BIT(at);
			n--;
			continue;
		}
		next = (unsigned)__builtin_ctzll(left[at]);
		left[at] &= left[at] - 1;
		if (on_path & BIT(next)) {
			loop[next] |= loop_of(f, count, next, at);
		} else if (!(seen & BIT(next))) {
			seen |= BIT(next);
			on_path |= BIT(next);
			path[n++] = (uint8_t)next;
		}
	}
}

void jit_flow_find(const struct jit_block *blocks, unsigned count, struct jit_flow *ret)
{
	uint64_t loop[JIT_BLOCKS] = { 0 };

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < count; i++)
		ret->to[i] = edges_of(blocks, count, &blocks[i]);
	find_loops(ret, count, loop);
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < count; k++)
			ret->depth[i] += loop[k] >> i & 1;
}
