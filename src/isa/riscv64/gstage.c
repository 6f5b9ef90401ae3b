/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "isa/riscv64/gstage.h"

#include <hull/accel.h>

#include "base/bits.h"
#include "base/checked.h"
#include "isa/riscv64/regs.h"

/* Level 2 is the root's, with two bits of the address more than a table's; leaves are anywhere. */
enum { TOP = 2, SLOTS = 512, ROOT_SLOTS = 2048 };

#define RIGHTS (PTE_R | PTE_W | PTE_X)
/* A leaf without PTE_V has these still: it is mapped, and all access faults. */
#define MAPPED (PTE_U | PTE_A | PTE_D)

static unsigned shift_of(unsigned level)
{
	return 12 + 9 * level;
}

static uint64_t size_of(unsigned level)
{
	return BIT(shift_of(level));
}

static hull_hpa address(uint64_t e)
{
	return (e & PTE_PPN) << 2;
}

static uint64_t encode(unsigned attr)
{
	uint64_t r = 0;

	r |= attr & HULL_MEM_R ? PTE_R : 0;
	r |= attr & HULL_MEM_W ? PTE_W : 0;
	r |= attr & HULL_MEM_X ? PTE_X : 0;
	/* Writing without reading is reserved, and no right at all would be a table. */
	return MAPPED | (!r || (r & (PTE_R | PTE_W)) == PTE_W ? 0 : r | PTE_V);
}

static bool is_table(uint64_t e)
{
	return (e & (PTE_V | RIGHTS)) == PTE_V;
}

static void put(uint64_t *e, uint64_t value)
{
	__atomic_store_n(e, value, __ATOMIC_RELEASE);
}

static uint64_t *slot(const struct hull_rv_gs *s, hull_hpa table, unsigned level, hull_gpa gpa)
{
	uint64_t n = gpa >> shift_of(level);

	return s->ops->table_at(s->arg, table) + (level == TOP ? n : n % SLOTS);
}

static bool good_range(hull_gpa gpa, uint64_t len)
{
	uint64_t end;

	return len && is_aligned(gpa | len, HULL_PAGE_SIZE) && hull_add(gpa, len, &end) &&
	       end <= BIT(HULL_RV_GS_BITS);
}

uint64_t hull_rv_gs_hgatp(const struct hull_rv_gs *s)
{
	return (uint64_t)SATP_SV39 << 60 | s->root >> 12;
}

int hull_rv_gs_init(struct hull_rv_gs *s, const struct hull_rv_gs_ops *ops, void *arg)
{
	*s = (struct hull_rv_gs){ .ops = ops, .arg = arg };
	s->root = ops->table_alloc(arg, HULL_RV_GS_ROOT_PAGES);
	return s->root ? 0 : HULL_ENOMEM;
}

/* One leaf at `gpa`, as large as it fits; its size in *ret. */
static int map_leaf(struct hull_rv_gs *s, hull_gpa gpa, hull_hpa pa, uint64_t len, uint64_t flags,
                    uint64_t *ret)
{
	hull_hpa table = s->root;

	for (unsigned level = TOP;; level--) {
		uint64_t *e = slot(s, table, level, gpa);

		*ret = size_of(level);
		if (!*e && len >= *ret && is_aligned(gpa | pa, *ret)) {
			put(e, pa >> 2 | flags);
			return 0;
		}
		if (*e && !is_table(*e))
			return HULL_EEXIST;
		/* A page fits anywhere, so this is no last level. */
		table = *e ? address(*e) : s->ops->table_alloc(s->arg, 1);
		if (!table)
			return HULL_ENOMEM;
		if (!*e)
			put(e, table >> 2 | PTE_V);
	}
}

int hull_rv_gs_map(struct hull_rv_gs *s, hull_gpa gpa, hull_hpa pa, uint64_t len, unsigned attr)
{
	const uint64_t limit = BIT(56); /* of physical addresses */
	uint64_t done = 0, step = 0, end;
	int r = 0;

	if (!good_range(gpa, len) || !is_aligned(pa, HULL_PAGE_SIZE) || !hull_add(pa, len, &end) ||
	    end > limit)
		return HULL_EINVAL;
	for (; !r && done < len; done += r ? 0 : step)
		r = map_leaf(s, gpa + done, pa + done, len - done, encode(attr), &step);
	/* That nothing was there may be remembered, too (12.2.1). */
	s->ops->flush(s->arg, gpa, len);
	if (r && done)
		(void)hull_rv_gs_unmap(s, gpa, done);
	return r;
}

/* Where the walk to `gpa` ends, at a leaf or at nothing; its level. */
static unsigned walk(const struct hull_rv_gs *s, hull_gpa gpa, uint64_t **ret)
{
	hull_hpa table = s->root;

	for (unsigned level = TOP;; level--) {
		*ret = slot(s, table, level, gpa);
		if (!level || !is_table(**ret))
			return level;
		table = address(**ret);
	}
}

/* Make `edge` the border of a leaf.  Old and new translate alike: walks may see either (12.2.1). */
static int split_at(struct hull_rv_gs *s, hull_gpa edge)
{
	while (edge < BIT(HULL_RV_GS_BITS)) {
		uint64_t *e, *to;
		unsigned level = walk(s, edge, &e);
		hull_hpa table;

		if (!*e || is_aligned(edge, size_of(level)))
			return 0;
		table = s->ops->table_alloc(s->arg, 1);
		if (!table)
			return HULL_ENOMEM;
		to = s->ops->table_at(s->arg, table);
		for (unsigned i = 0; i < SLOTS; i++)
			to[i] = *e + (i * size_of(level - 1) >> 2);
		put(e, table >> 2 | PTE_V);
	}
	return 0;
}

/* Give each leaf in the range the flags `set` instead of its own; 0: nothing is mapped any more. */
static int change(struct hull_rv_gs *s, hull_gpa gpa, uint64_t len, uint64_t set)
{
	hull_gpa at = gpa;
	uint64_t *e;
	int r;

	if (!good_range(gpa, len))
		return HULL_EINVAL;
	r = split_at(s, gpa);
	if (!r)
		r = split_at(s, gpa + len);
	while (!r && at < gpa + len) {
		unsigned level = walk(s, at, &e);

		if (*e)
			put(e, set ? (*e & PTE_PPN) | set : 0);
		at = align_down(at, size_of(level)) + size_of(level);
	}
	s->ops->flush(s->arg, gpa, len);
	return r;
}

int hull_rv_gs_unmap(struct hull_rv_gs *s, hull_gpa gpa, uint64_t len)
{
	return change(s, gpa, len, 0);
}

int hull_rv_gs_protect(struct hull_rv_gs *s, hull_gpa gpa, uint64_t len, unsigned attr)
{
	return change(s, gpa, len, encode(attr));
}

bool hull_rv_gs_lookup(const struct hull_rv_gs *s, hull_gpa gpa, struct hull_rv_gs_leaf *ret)
{
	unsigned level;
	uint64_t *e;

	if (gpa >> HULL_RV_GS_BITS)
		return false;
	level = walk(s, gpa, &e);
	if (!*e)
		return false;
	*ret = (struct hull_rv_gs_leaf){ .gpa = align_down(gpa, size_of(level)),
		                         .pa = address(*e),
		                         .bytes = size_of(level) };
	ret->attr |= *e & PTE_R ? HULL_MEM_R : 0;
	ret->attr |= *e & PTE_W ? HULL_MEM_W : 0;
	ret->attr |= *e & PTE_X ? HULL_MEM_X : 0;
	return true;
}

/* The tables behind a table's entries, and behind theirs if it is the root. */
static void free_below(struct hull_rv_gs *s, hull_hpa table, unsigned slots)
{
	const uint64_t *e = s->ops->table_at(s->arg, table);

	for (unsigned i = 0; i < slots; i++) {
		if (!is_table(e[i]))
			continue;
		if (slots == ROOT_SLOTS)
			free_below(s, address(e[i]), SLOTS);
		s->ops->table_free(s->arg, address(e[i]), 1);
	}
}

void hull_rv_gs_fini(struct hull_rv_gs *s)
{
	if (!s->root)
		return;
	free_below(s, s->root, ROOT_SLOTS);
	s->ops->table_free(s->arg, s->root, HULL_RV_GS_ROOT_PAGES);
	s->root = 0;
}
