/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "isa/aarch64/stage2.h"

#include <hull/accel.h>

#include "base/bits.h"
#include "base/checked.h"

enum { LAST = 3, SLOTS = 512 };

/* Descriptors (D8.3.1, D8.3.2). */
#define VALID    BIT(0)
#define TABLE    BIT(1) /* also what makes a page of level 3 */
#define READ     BIT(6)
#define WRITE    BIT(7)
#define INNER    (UINT64_C(3) << 8)
#define ACCESSED BIT(10)
#define NO_EXEC  BIT(54)
#define ADDRESS  UINT64_C(0x0000fffffffff000)

/* MemAttr[3:0] (D8.6.2), not FWB. */
#define ATTR_DEVICE   (UINT64_C(1) << 2)  /* nGnRE */
#define ATTR_UNCACHED (UINT64_C(5) << 2)  /* Normal, not cacheable */
#define ATTR_CACHED   (UINT64_C(15) << 2) /* Normal, write-back */
#define ATTR_MASK     (UINT64_C(15) << 2)

static unsigned shift_of(unsigned level)
{
	return 12 + 9 * (LAST - level);
}

static uint64_t size_of(unsigned level)
{
	return BIT(shift_of(level));
}

static uint64_t encode(unsigned attr)
{
	uint64_t d = VALID | ACCESSED;

	d |= attr & HULL_MEM_R ? READ : 0;
	d |= attr & HULL_MEM_W ? WRITE : 0;
	d |= attr & HULL_MEM_X ? 0 : NO_EXEC;
	if (attr & HULL_MEM_DEVICE)
		return d | ATTR_DEVICE;
	return d | INNER | (attr & HULL_MEM_UNCACHED ? ATTR_UNCACHED : ATTR_CACHED);
}

static unsigned decode(uint64_t d)
{
	unsigned attr = 0;

	attr |= d & READ ? HULL_MEM_R : 0;
	attr |= d & WRITE ? HULL_MEM_W : 0;
	attr |= d & NO_EXEC ? 0 : HULL_MEM_X;
	if ((d & ATTR_MASK) == ATTR_DEVICE)
		attr |= HULL_MEM_DEVICE;
	else if ((d & ATTR_MASK) == ATTR_UNCACHED)
		attr |= HULL_MEM_UNCACHED;
	return attr;
}

static bool is_table(uint64_t d, unsigned level)
{
	return level < LAST && (d & (VALID | TABLE)) == (VALID | TABLE);
}

static uint64_t leaf(hull_hpa pa, uint64_t flags, unsigned level)
{
	return pa | flags | (level == LAST ? TABLE : 0);
}

/* The descriptor of `ipa` in a table of `level`; the root's tables follow each other. */
static uint64_t *slot(const struct hull_a64_s2 *s, hull_hpa table, unsigned level, hull_gpa ipa)
{
	uint64_t n = ipa >> shift_of(level);

	if (level != s->start_level)
		n %= SLOTS;
	return s->ops->table_at(s->arg, table) + n;
}

static bool good_range(const struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len)
{
	uint64_t end;

	return len && is_aligned(ipa | len, HULL_PAGE_SIZE) && hull_add(ipa, len, &end) &&
	       end <= BIT(s->ipa_bits);
}

uint64_t hull_a64_s2_vtcr(const struct hull_a64_s2 *s, unsigned parange)
{
	/* Write-back, inner shareable walks (IRGN0, ORGN0, SH0); bit 31 is RES1. */
	return BIT(31) | (uint64_t)parange << 16 | UINT64_C(3) << 12 | UINT64_C(1) << 10 |
	       UINT64_C(1) << 8 | (uint64_t)(2 - s->start_level) << 6 | (64U - s->ipa_bits);
}

int hull_a64_s2_init(struct hull_a64_s2 *s, const struct hull_a64_s2_ops *ops, void *arg,
                     unsigned ipa_bits)
{
	unsigned level = ipa_bits <= 43 ? 1 : 0, covers = level ? 39 : 48;

	if (ipa_bits < 32 || ipa_bits > 48)
		return HULL_EINVAL;
	*s = (struct hull_a64_s2){
		.ops = ops,
		.arg = arg,
		.ipa_bits = (uint8_t)ipa_bits,
		.start_level = (uint8_t)level,
		.root_pages = (uint8_t)(ipa_bits > covers ? 1U << (ipa_bits - covers) : 1)
	};
	s->root = ops->table_alloc(arg, s->root_pages);
	return s->root ? 0 : HULL_ENOMEM;
}

/* The table behind the descriptor `e`, made if there is none; 0: no memory. */
static hull_hpa enter(struct hull_a64_s2 *s, uint64_t *e)
{
	hull_hpa table;

	if (*e)
		return *e & ADDRESS;
	table = s->ops->table_alloc(s->arg, 1);
	if (!table)
		return 0;
	s->ops->publish(s->arg);
	__atomic_store_n(e, table | TABLE | VALID, __ATOMIC_RELEASE);
	return table;
}

static bool block_fits(unsigned level, hull_gpa ipa, hull_hpa pa, uint64_t len)
{
	return level >= 1 && len >= size_of(level) && is_aligned(ipa | pa, size_of(level));
}

/* One leaf at `ipa`, as large as it fits; its size in *ret. */
static int map_leaf(struct hull_a64_s2 *s, hull_gpa ipa, hull_hpa pa, uint64_t len, uint64_t flags,
                    uint64_t *ret)
{
	hull_hpa table = s->root;
	unsigned level = s->start_level;

	for (;; level++) {
		uint64_t *e = slot(s, table, level, ipa);

		if (block_fits(level, ipa, pa, len) && !*e) {
			__atomic_store_n(e, leaf(pa, flags, level), __ATOMIC_RELEASE);
			*ret = size_of(level);
			return 0;
		}
		if (*e && !is_table(*e, level))
			return HULL_EEXIST;
		table = enter(s, e);
		if (!table)
			return HULL_ENOMEM;
	}
}

int hull_a64_s2_map(struct hull_a64_s2 *s, hull_gpa ipa, hull_hpa pa, uint64_t len, unsigned attr)
{
	uint64_t done = 0, step = 0;
	int r = 0;

	if (!good_range(s, ipa, len) || !is_aligned(pa, HULL_PAGE_SIZE) || pa & ~ADDRESS ||
	    (pa + len - 1) & ~(ADDRESS | HULL_PAGE_MASK))
		return HULL_EINVAL;
	for (; !r && done < len; done += r ? 0 : step)
		r = map_leaf(s, ipa + done, pa + done, len - done, encode(attr), &step);
	s->ops->publish(s->arg);
	if (r && done)
		(void)hull_a64_s2_unmap(s, ipa, done);
	return r;
}

/* Where the walk to `ipa` ends: at a leaf, at nothing, or at `deepest`.  Returns its level. */
static unsigned walk(const struct hull_a64_s2 *s, hull_gpa ipa, unsigned deepest, uint64_t **ret)
{
	hull_hpa table = s->root;
	unsigned level = s->start_level;

	for (;; level++) {
		uint64_t *e = slot(s, table, level, ipa);

		if (level == deepest || !is_table(*e, level)) {
			*ret = e;
			return level;
		}
		table = *e & ADDRESS;
	}
}

/*
 * Replace a block by a table of smaller ones.  Other CPUs may see neither for a moment, and fault;
 * never both (D8.16.1).
 */
static int split(struct hull_a64_s2 *s, uint64_t *e, unsigned level, hull_gpa ipa)
{
	hull_hpa table = s->ops->table_alloc(s->arg, 1);
	uint64_t old = *e, *to;

	if (!table)
		return HULL_ENOMEM;
	to = s->ops->table_at(s->arg, table);
	for (unsigned i = 0; i < SLOTS; i++)
		to[i] = leaf((old & ADDRESS) + i * size_of(level + 1), old & ~(ADDRESS | TABLE),
		             level + 1);
	__atomic_store_n(e, UINT64_C(0), __ATOMIC_RELEASE);
	s->ops->flush(s->arg, align_down(ipa, size_of(level)), size_of(level));
	__atomic_store_n(e, table | TABLE | VALID, __ATOMIC_RELEASE);
	s->ops->publish(s->arg);
	return 0;
}

/* Make `edge` the border of a leaf. */
static int split_at(struct hull_a64_s2 *s, hull_gpa edge)
{
	for (;;) {
		uint64_t *e;
		unsigned level;
		int r;

		if (edge == BIT(s->ipa_bits))
			return 0;
		level = walk(s, edge, LAST, &e);
		if (!*e || is_aligned(edge, size_of(level)))
			return 0;
		r = split(s, e, level, edge);
		if (r)
			return r;
	}
}

/*
 * Replace a leaf; 0: by nothing.  One of another memory type must be seen nowhere beside the old
 * one; other rights need no break (D8.16.1).
 */
static void replace(struct hull_a64_s2 *s, uint64_t *e, uint64_t new, hull_gpa ipa, uint64_t bytes)
{
	bool first = new && (*e ^ new) & (ATTR_MASK | INNER);

	__atomic_store_n(e, first ? 0 : new, __ATOMIC_RELEASE);
	s->ops->flush(s->arg, ipa, bytes);
	if (!first)
		return;
	__atomic_store_n(e, new, __ATOMIC_RELEASE);
	s->ops->publish(s->arg);
}

/* Give each leaf in the range the flags `set` instead of its own; 0: nothing is mapped any more. */
static void change(struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len, uint64_t set)
{
	uint64_t at = ipa, *e;

	while (at < ipa + len) {
		unsigned level = walk(s, at, LAST, &e);
		uint64_t next = align_down(at, size_of(level)) + size_of(level);

		if (*e)
			replace(s, e, set ? leaf(*e & ADDRESS, set, level) : 0,
			        align_down(at, size_of(level)), size_of(level));
		at = next;
	}
}

static bool is_empty(const struct hull_a64_s2 *s, hull_hpa table)
{
	const uint64_t *e = s->ops->table_at(s->arg, table);

	for (unsigned i = 0; i < SLOTS; i++)
		if (e[i])
			return false;
	return true;
}

/* Free the tables of `level` in the range that have become empty: unlink, flush, then free. */
static void prune(struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len, unsigned level)
{
	uint64_t at = ipa, *e;

	while (at < ipa + len) {
		unsigned found = walk(s, at, level, &e);
		hull_gpa block = align_down(at, size_of(found));
		hull_hpa table = *e & ADDRESS;

		at = block + size_of(found);
		if (found != level || !is_table(*e, level) || !is_empty(s, table))
			continue;
		__atomic_store_n(e, UINT64_C(0), __ATOMIC_RELEASE);
		s->ops->flush(s->arg, block, size_of(level));
		s->ops->table_free(s->arg, table, 1);
	}
}

int hull_a64_s2_unmap(struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len)
{
	int r;

	if (!good_range(s, ipa, len))
		return HULL_EINVAL;
	r = split_at(s, ipa);
	if (!r)
		r = split_at(s, ipa + len);
	if (r)
		return r;
	change(s, ipa, len, 0);
	for (unsigned level = LAST - 1; level >= s->start_level && level < LAST; level--)
		prune(s, ipa, len, level);
	return 0;
}

int hull_a64_s2_protect(struct hull_a64_s2 *s, hull_gpa ipa, uint64_t len, unsigned attr)
{
	int r;

	if (!good_range(s, ipa, len))
		return HULL_EINVAL;
	r = split_at(s, ipa);
	if (!r)
		r = split_at(s, ipa + len);
	if (!r)
		change(s, ipa, len, encode(attr));
	return r;
}

bool hull_a64_s2_lookup(const struct hull_a64_s2 *s, hull_gpa ipa, struct hull_a64_s2_leaf *ret)
{
	unsigned level;
	uint64_t *e;

	if (ipa >> s->ipa_bits)
		return false;
	level = walk(s, ipa, LAST, &e);
	if (!*e)
		return false;
	*ret = (struct hull_a64_s2_leaf){ .ipa = align_down(ipa, size_of(level)),
		                          .pa = *e & ADDRESS,
		                          .bytes = size_of(level),
		                          .attr = decode(*e) };
	return true;
}

void hull_a64_s2_fini(struct hull_a64_s2 *s)
{
	if (!s->root)
		return;
	(void)hull_a64_s2_unmap(s, 0, BIT(s->ipa_bits));
	s->ops->table_free(s->arg, s->root, s->root_pages);
	s->root = 0;
}
