/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Finding, decoding and forgetting blocks. */
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/mem.h"

_Static_assert(sizeof(struct rv_link) == sizeof(struct rv_op), "a link takes an op's place");
_Static_assert(RV_BLOCK_OPS <= UINT8_MAX, "rv_block.nops");

enum { FLOW_NONE, FLOW_BRANCH, FLOW_GOTO, FLOW_LEAVE };

/* How a row leaves its block. */

static unsigned flow_of(const struct hull_rv_insn *i)
{
	switch (i->id) {
	case HULL_RV_beq:
	case HULL_RV_bne:
	case HULL_RV_blt:
	case HULL_RV_bge:
	case HULL_RV_bltu:
	case HULL_RV_bgeu:
	case HULL_RV_c_beqz:
	case HULL_RV_c_bnez: return FLOW_BRANCH;
	case HULL_RV_jal:
	case HULL_RV_c_j: return FLOW_GOTO;
	case HULL_RV_jalr:
	case HULL_RV_c_jr:
	case HULL_RV_c_jalr:
	case HULL_RV_ecall:
	case HULL_RV_ebreak:
	case HULL_RV_c_ebreak:
	case HULL_RV_mret:
	case HULL_RV_sret:
	case HULL_RV_wfi:
	case HULL_RV_wrs_nto:
	case HULL_RV_wrs_sto:
	case HULL_RV_fence_i:
	case HULL_RV_sfence_vma:
	case HULL_RV_sinval_vma:
	case HULL_RV_reserved_c0:
	case HULL_RV_reserved_addiw:
	case HULL_RV_reserved_lui:
	case HULL_RV_reserved_addi16sp:
	case HULL_RV_reserved_lwsp:
	case HULL_RV_reserved_ldsp:
	case HULL_RV_reserved_jr:
	case HULL_RV_INVALID: return FLOW_LEAVE;
	case HULL_RV_csrrw:
	case HULL_RV_csrrs:
	case HULL_RV_csrrc:
	case HULL_RV_csrrwi:
	case HULL_RV_csrrsi:
	case HULL_RV_csrrci:
		return rv_csr_is_simple((unsigned)i->imm & 0xfff) ? FLOW_NONE : FLOW_LEAVE;
	default: return FLOW_NONE;
	}
}

static void make_op(const struct rv_cache *c, const struct hull_rv_insn *i, unsigned at,
                    struct rv_op *op)
{
	const struct hull_rv_format *f = i->id < HULL_RV_COUNT ? &c->decoder.formats[i->id] : NULL;

	op->go = c->labels[i->id];
	op->rd = i->rd || !i->has_rd ? i->rd : RV_X_DISCARD;
	op->rs1 = i->rs1;
	op->rs2 = i->rs2;
	op->at = (uint8_t)(at / 2);
	op->imm = i->imm;
	if (f && f->rm >= 0)
		op->imm = i->rs3 | i->rm << 8;
}

/* Floating-point destinations are real registers even if they are number 0. */
static bool writes_f(uint16_t id)
{
	const char *s = id < HULL_RV_COUNT ? hull_rv_rows[id].syntax : "";

	return *s == 'D' || *s == 'E';
}

/*
 * Decode from `memory`, at most `max` instructions and `avail` bytes, into b.
 * Other harts may write the code meanwhile: what is decoded and what is kept
 * to compare with later is one copy.
 */
HULL_GUEST_RACES static void decode(const struct rv_cache *c, struct rv_block *b,
                                    const uint8_t *memory, unsigned avail, unsigned max)
{
	unsigned at = 0, n = 0, flow = FLOW_NONE;
	struct rv_op *op = b->ops;
	uint8_t code[RV_BLOCK_BYTES];

	avail = MIN(avail, (unsigned)sizeof(code));
	memcpy(code, memory, avail);
	if (c->profile && b->gpa != UINT64_MAX)
		*op++ = (struct rv_op){ .go = c->label_profile };

	while (n < max && flow < FLOW_GOTO) {
		struct hull_rv_insn insn;
		unsigned len;

		if (avail - at < 2)
			break;
		len = hull_rv_length(load_le16(code + at));
		if (avail - at < len)
			break;
		hull_rv_decode(&c->decoder, len == 4 ? load_le32(code + at) : load_le16(code + at),
		               &insn);
		make_op(c, &insn, at, op);
		if (writes_f(insn.id))
			op->rd = insn.rd;
		flow = flow_of(&insn);
		at += len;
		n++;
		op++;
		if (flow == FLOW_BRANCH || flow == FLOW_GOTO)
			*(struct rv_link *)op++ = (struct rv_link){ NULL, n, 0 };
	}
	if (flow < FLOW_GOTO) {
		*op = (struct rv_op){ .go = c->label_end, .at = (uint8_t)(at / 2) };
		*(struct rv_link *)(op + 1) = (struct rv_link){ NULL, n, 0 };
		op += 2;
	}
	b->insns = (uint8_t)n;
	b->bytes = (uint16_t)at;
	b->nops = (uint8_t)(op - b->ops);
	memcpy(op, code, at);
}

unsigned rv_block_index(const struct rv_block *b, const struct rv_op *op)
{
	const uint8_t *code = rv_block_code(b);
	unsigned n = 0;

	for (unsigned at = 0; at < 2u * op->at && at < b->bytes; n++)
		at += hull_rv_length(load_le16(code + at));
	return n;
}

uint32_t rv_block_bits(const struct rv_block *b, const struct rv_op *op)
{
	const uint8_t *code = rv_block_code(b) + 2 * op->at;

	return hull_rv_length(load_le16(code)) == 4 ? load_le32(code) : load_le16(code);
}

static void forget_all(struct rv_hart *h)
{
	struct rv_cache *c = h->cache;

	memset(c->hash, 0, sizeof(c->hash));
	c->next = c->start;
	c->flushes++;
	h->stats.decode_flushes++;
	rv_flush_jumps(h);
}

static struct rv_block **bucket(struct rv_cache *c, uint64_t gpa)
{
	return &c->hash[(gpa >> 1 ^ gpa >> 15) & (RV_HASH_SIZE - 1)];
}

void rv_blocks_cool(struct rv_hart *h, uint64_t gpa)
{
	for (struct rv_block *b = *bucket(h->cache, gpa); b; b = b->hash_next)
		if (b->gpa == gpa)
			b->heat = 0;
}

/* A block that spans pages or is stepped through: decoded each time, linked to nothing. */
static struct rv_block *transient(struct rv_hart *h, uint64_t pc)
{
	struct rv_block *b = (struct rv_block *)h->cache->scratch;
	uint8_t code[4];
	uint32_t insn;

	if (!rv_fetch(h, pc, &insn))
		return NULL;
	store_le32(code, insn);
	b->gpa = UINT64_MAX;
	b->epoch = UINT64_MAX;
	decode(h->cache, b, code, hull_rv_length((uint16_t)insn), 1);
	return b;
}

/* Older versions of the same code are kept, since they may come back, but not many. */
enum { VERSIONS = 4 };

/* By words of constant size: a call of memcmp() would count as a race. */
HULL_GUEST_RACES bool rv_same_code(const uint8_t *kept, const uint8_t *memory, unsigned bytes)
{
	unsigned at = 0;
	uint64_t a, b;
	uint16_t x, y;

	for (; bytes - at >= sizeof(a); at += sizeof(a)) {
		memcpy(&a, kept + at, sizeof(a));
		memcpy(&b, memory + at, sizeof(b));
		if (a != b)
			return false;
	}
	for (; at < bytes; at += sizeof(x)) {
		memcpy(&x, kept + at, sizeof(x));
		memcpy(&y, memory + at, sizeof(y));
		if (x != y)
			return false;
	}
	return true;
}

static struct rv_block *lookup(struct rv_hart *h, uint64_t gpa, const uint8_t *code)
{
	struct rv_block **slot = bucket(h->cache, gpa);
	unsigned versions = 0;

	while (*slot) {
		struct rv_block *b = *slot;

		if (b->gpa == gpa) {
			if (b->epoch == h->block_epoch)
				return b;
			if (rv_same_code(rv_block_code(b), code, b->bytes)) {
				b->epoch = h->block_epoch;
				return b;
			}
			if (++versions == VERSIONS) {
				*slot = b->hash_next; /* its space comes back with the next flush */
				continue;
			}
		}
		slot = &b->hash_next;
	}
	return NULL;
}

/*
 * Move a block on if its ops have the same offsets in a page as the registers: hosts compare
 * only those bits at first, and would hold back the fetch of an op behind the store of a register.
 */
static struct rv_block *keep_apart(const struct rv_hart *h, struct rv_block *b, size_t size)
{
	uintptr_t ops = (uintptr_t)b->ops, x = (uintptr_t)h->x;
	size_t bytes = b->nops * sizeof(struct rv_op), past;

	if (((ops - x) & HULL_PAGE_MASK) >= sizeof(h->x) && ((x - ops) & HULL_PAGE_MASK) >= bytes)
		return b;
	past = align_up((x + sizeof(h->x) - ops) & HULL_PAGE_MASK, 16);
	return memmove((uint8_t *)b + past, b, size);
}

bool rv_code_is_kept(const struct rv_fetch_entry *e, uint64_t pc)
{
	unsigned offset = pc & HULL_PAGE_MASK;

	return e->tag &&
	       (offset != HULL_PAGE_SIZE - 2 || hull_rv_length(load_le16(e->hva + offset)) != 4);
}

struct rv_block *rv_block_at(struct rv_hart *h, uint64_t pc, bool single)
{
	struct rv_cache *c = h->cache;
	const struct rv_fetch_entry *e;
	unsigned offset = pc & HULL_PAGE_MASK, bit = (pc >> 12) & 4095;
	struct engine_jump_entry *j = &h->cpu.jumps[engine_jump_index(pc)];
	struct rv_block *b, **slot;

	if (single)
		return transient(h, pc);
	e = rv_fetch_page(h, pc);
	if (!e)
		return NULL;
	if (!rv_code_is_kept(e, pc))
		return transient(h, pc);
	b = lookup(h, e->gpa + offset, e->hva + offset);
	if (!b) {
		size_t size;

		if ((size_t)(c->end - c->next) < RV_BLOCK_SIZE_MAX + HULL_PAGE_SIZE)
			forget_all(h);
		b = (struct rv_block *)c->next;
		b->gpa = e->gpa + offset;
		b->epoch = h->block_epoch;
		b->heat = 0;
		decode(c, b, e->hva + offset, (unsigned)HULL_PAGE_SIZE - offset, RV_BLOCK_INSNS);
		if (!b->insns) /* became longer than its page since we looked */
			return transient(h, pc);
		size = sizeof(*b) + b->nops * sizeof(struct rv_op) + b->bytes;
		b = keep_apart(h, b, size);
		c->next = (uint8_t *)align_up((uintptr_t)b + size, 16);
		h->stats.blocks_decoded++;
		slot = bucket(c, b->gpa);
		b->hash_next = *slot;
		*slot = b;
		if (rv_jit_is_stored(h, pc, e))
			b->heat = c->hot_limit; /* needs no warming up */
	}
	h->code_pages[bit / 64] |= BIT(bit % 64);
	*j = (struct engine_jump_entry){ .pc = pc | 1, .key = h->cpu.jump_key, .block = b };
	return b;
}

int rv_cache_init(struct rv_hart *h, const struct hull_hal *hal, uint64_t bytes)
{
	struct rv_cache *c;

	/* Not like guest RAM, whose huge pages would cost a guest that runs little code too much.
	 */
	c = hal->pages_alloc(hal, bytes, HULL_PAGE_SIZE, false);
	if (!c)
		return HULL_ENOMEM;
	if (!hull_rv_decoder_init(&c->decoder)) {
		hal->pages_free(hal, c, bytes);
		return HULL_EINVAL;
	}
	c->size = bytes;
	c->start = (uint8_t *)align_up((uintptr_t)(c + 1), 16);
	c->next = c->start;
	c->end = (uint8_t *)c + bytes;
	h->cache = c;
	return rv_interpret(h, NULL); /* fills in the labels */
}

void rv_cache_fini(struct rv_hart *h, const struct hull_hal *hal)
{
	if (h->cache)
		hal->pages_free(hal, h->cache, h->cache->size);
	h->cache = NULL;
}
