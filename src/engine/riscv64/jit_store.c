/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Code of earlier runs: taken instead of translating, handed over at the end. */
#include <stdlib.h>

#include "base/atomic.h"
#include "engine/jit/store.h"
#include "engine/riscv64/jit.h"

/* Other harts may be writing the code. */
HULL_GUEST_RACES static void search(const struct rv_fetch_entry *e, uint64_t pc,
                                    struct jit_store_search *ret)
{
	unsigned offset = pc & HULL_PAGE_MASK;
	unsigned avail = MIN((unsigned)HULL_PAGE_SIZE - offset, (unsigned)JIT_STORE_FIRST);
	uint8_t first[JIT_STORE_FIRST];

	for (unsigned i = 0; i < avail; i++)
		first[i] = e->hva[offset + i];
	jit_store_find(ret, (uint16_t)offset, first, avail);
}

/* Does a unit belong to the code at pc?  LATER: if some more pages were known. */
enum fit { FITS_NOT, FITS_LATER, FITS };

/*
 * Compare all guest code that the unit was made from with memory, where each of its pages is mapped
 * now; gpas: room for JIT_RANGES.  Pages that were not executed lately are not asked for, since
 * that could be seen in the page table.
 */
static enum fit fit(const struct rv_hart *h, const struct jit_unit *u, uint64_t pc,
                    const struct rv_fetch_entry *e, uint64_t *gpas)
{
	const uint8_t *code = u->guest;
	enum fit fit = FITS;

	for (unsigned i = 0; i < u->range_count; i++) {
		const struct jit_range *r = &u->ranges[i];
		uint64_t distance = (uint64_t)(int64_t)r->page * HULL_PAGE_SIZE;
		const struct rv_fetch_entry *in = r->page ? rv_fetch_known(h, pc + distance) : e;

		if (!in)
			fit = FITS_LATER;
		else if (!rv_same_code(code, in->hva + r->offset, r->bytes))
			return FITS_NOT;
		else
			gpas[i] = in->gpa | r->offset;
		code += r->bytes;
	}
	return fit;
}

/* A unit of the store that can be used at pc. */
struct found {
	struct jit_store_search search;
	struct jit_unit unit;
	uint64_t gpas[JIT_RANGES]; /* of its ranges */
};

enum { BLOCK = 1, REGION = 2, BOTH = BLOCK | REGION };

/*
 * The first unit of each tier in `tiers` that fits, ret[tier - 1]; returns which there are.
 * *ret_later: there is one that may fit.
 */
static unsigned find(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e, unsigned tiers,
                     struct found ret[2], bool *ret_later)
{
	struct jit_store_search s;
	struct jit_unit unit;
	unsigned found = 0;

	*ret_later = false;
	search(e, pc, &s);
	while (found != tiers && jit_store_next(h->jit->store, &s, &unit)) {
		struct found *f = &ret[unit.tier - 1];
		enum fit how;

		if (!(tiers & ~found & unit.tier))
			continue;
		how = fit(h, &unit, pc, e, f->gpas);
		*ret_later |= how == FITS_LATER;
		if (how != FITS)
			continue;
		f->search = s;
		f->unit = unit;
		found |= unit.tier;
	}
	return found;
}

bool rv_jit_is_stored(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e)
{
	struct found f[2];
	bool later;

	return h->jit && h->jit->store && find(h, pc, e, BLOCK, f, &later);
}

static struct jit_code *take(struct rv_hart *h, const struct found *f, struct jit_code **keep)
{
	struct jit_code *c = NULL;

	if (jit_store_take(h->jit->store, &f->search))
		c = jit_cache_add(h->jit->cache, &f->unit, f->gpas, keep);
	if (!c) {
		h->stats.cache_rejected++;
		return NULL;
	}
	c->epoch = h->code_epoch;
	h->stats.cache_loaded++;
	if (c->tier == 2) {
		h->stats.regions_loaded++;
		rv_jit_supersede(h, c->gpa);
	}
	return c;
}

struct jit_code *rv_jit_restore_hot(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e)
{
	struct found f[2];
	bool later;

	if (!h->jit->store || !h->jit->tier2 || !find(h, pc, e, REGION, f, &later))
		return NULL;
	return take(h, &f[1], NULL);
}

struct jit_code *rv_jit_restore(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e,
                                struct jit_code **keep)
{
	uint64_t gpa = e->gpa | (pc & HULL_PAGE_MASK);
	struct rv_jit *j = h->jit;
	uint64_t *not_stored = &j->not_stored[(gpa >> 1 ^ gpa >> 13) % RV_JIT_NOT_STORED];
	struct jit_code *block = NULL, *region = NULL;
	struct found f[2];
	unsigned found;
	bool later;

	/* Code that is not hot yet comes by often.  If it changes it is merely translated. */
	if (!j->store || *not_stored == gpa)
		return NULL;
	found = find(h, pc, e, j->tier2 ? BOTH : BLOCK, f, &later);
	/* The block is there beside the region: other loops may be made of it. */
	if (found & BLOCK)
		block = take(h, &f[0], keep);
	if (found & REGION)
		region = take(h, &f[1], keep);
	if (!block && !region && !later)
		*not_stored = gpa;
	return region ? region : block;
}

/* A unit's parts, copied out of the cache. */
struct copy {
	struct jit_exit exits[JIT_EXITS];
	struct jit_range ranges[JIT_RANGES];
	uint8_t code[JIT_CODE_BYTES];
};

int rv_jit_hand_over(struct rv_hart *h)
{
	struct jit_cache *cache = h->jit->cache;
	struct copy *copy = malloc(sizeof(*copy));
	struct jit_code *c = NULL;
	struct jit_unit unit;
	int rc = 0;

	if (!copy)
		return HULL_ENOMEM;
	while (!rc && (c = jit_cache_next(cache, c))) {
		jit_cache_unit(cache, c, copy->code, copy->exits, copy->ranges, &unit);
		rc = jit_store_add(h->jit->store, &unit);
	}
	free(copy);
	return rc;
}
