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

/* Blocks only so far: each has one range. */
static bool usable(const struct jit_unit *u, const struct rv_fetch_entry *e)
{
	const struct jit_range *r = u->ranges;

	return u->tier == 1 && u->range_count == 1 && !r->page && r->offset == u->offset &&
	       rv_same_code(u->guest, e->hva + r->offset, r->bytes);
}

static bool next(const struct jit_store *store, struct jit_store_search *f,
                 const struct rv_fetch_entry *e, struct jit_unit *ret)
{
	while (jit_store_next(store, f, ret))
		if (usable(ret, e))
			return true;
	return false;
}

bool rv_jit_is_stored(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e)
{
	struct jit_store_search f;
	struct jit_unit unit;

	if (!h->jit || !h->jit->store)
		return false;
	search(e, pc, &f);
	return next(h->jit->store, &f, e, &unit);
}

struct jit_code *rv_jit_restore(struct rv_hart *h, uint64_t pc, const struct rv_fetch_entry *e,
                                struct jit_code **keep)
{
	uint64_t gpa = e->gpa | (pc & HULL_PAGE_MASK);
	struct rv_jit *j = h->jit;
	uint64_t *not_stored = &j->not_stored[(gpa >> 1 ^ gpa >> 13) % RV_JIT_NOT_STORED];
	struct jit_store_search f;
	struct jit_unit unit;
	struct jit_code *c;

	/* Code that is not hot yet comes by often.  If it changes it is merely translated. */
	if (!j->store || *not_stored == gpa || !rv_code_is_kept(e, pc))
		return NULL;
	search(e, pc, &f);
	if (!next(j->store, &f, e, &unit) || !jit_store_take(j->store, &f)) {
		*not_stored = gpa;
		return NULL;
	}
	c = jit_cache_add(j->cache, &unit, &gpa, keep);
	if (!c)
		return NULL;
	c->epoch = h->code_epoch;
	h->stats.cache_loaded++;
	return c;
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
		if (c->tier != 1 || c->range_count != 1)
			continue;
		jit_cache_unit(cache, c, copy->code, copy->exits, copy->ranges, &unit);
		rc = jit_store_add(h->jit->store, &unit);
	}
	free(copy);
	return rc;
}
