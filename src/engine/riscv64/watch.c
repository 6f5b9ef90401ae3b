/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Which pages of code have been written since the last fence.i?
 *
 * Pages that code is fetched from are watched: the TLB gives no right to write them, so that the
 * first store comes by here, makes the page dirty, and gets the right.  fence.i looks at dirty
 * pages only, and takes the right back.  A page is watched before its code is read; stores that
 * come before that are in what is read.
 *
 * Writes by others (devices, the host's API) are counted by the core, which knows the watched
 * pages.  With several vCPUs, or code in memory that somebody else can write, fence.i makes all
 * code suspect.
 */
#include "core/aspace.h"
#include "engine/riscv64/hart.h"

enum { WATCHED = 1, DIRTY = 2 };

static uint64_t *slot_of(struct rv_watch *w, uint64_t page)
{
	uint64_t i = (page >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 50; /* 14 bits */

	_Static_assert(RV_WATCH_SIZE == 1 << 14, "bits of the hash");
	while (w->pages[i] && (w->pages[i] & ~HULL_PAGE_MASK) != page)
		i = (i + 1) % RV_WATCH_SIZE;
	return &w->pages[i];
}

bool rv_is_watched(struct rv_hart *h, uint64_t gpa)
{
	return h->watch.on && *slot_of(&h->watch, gpa & ~HULL_PAGE_MASK);
}

void rv_watch_code(struct rv_hart *h, uint64_t gpa, bool shared)
{
	struct rv_watch *w = &h->watch;
	uint64_t page = gpa & ~HULL_PAGE_MASK, *slot;

	if (!w->on)
		return;
	if (shared) {
		w->on = false; /* for good */
		return;
	}
	slot = slot_of(w, page);
	if (*slot)
		return;
	if (w->count == RV_WATCH_MAX) {
		w->lost = true;
		return;
	}
	w->count++;
	*slot = page | WATCHED;
	hull_aspace_watch(h->vm, page);
	rv_end_user_access(h);
	rv_drop_sites(h);
	for (struct engine_tlb_entry *e = h->cpu.tlb; e < h->cpu.tlb + ENGINE_TLB_SIZE; e++)
		if (e->gpa == page)
			e->write = 0;
}

void rv_watch_written(struct rv_hart *h, uint64_t gpa)
{
	struct rv_watch *w = &h->watch;
	uint64_t *slot;

	if (!w->on)
		return;
	slot = slot_of(w, gpa & ~HULL_PAGE_MASK);
	if (!*slot || *slot & DIRTY)
		return;
	if (w->dirty_count == RV_WATCH_DIRTY) {
		w->lost = true;
		return;
	}
	*slot |= DIRTY;
	w->dirty[w->dirty_count++] = gpa & ~HULL_PAGE_MASK;
}

void rv_watch_granted(struct rv_hart *h, const struct engine_tlb_entry *e)
{
	struct rv_watch *w = &h->watch;

	if (w->granted_count < RV_WATCH_DIRTY)
		w->granted[w->granted_count] = (uint16_t)(e - h->cpu.tlb);
	if (w->granted_count <= RV_WATCH_DIRTY)
		w->granted_count++;
}

/* All watched pages are clean and can only be written by way of rv_watch_written(). */
static void withdraw(struct rv_hart *h)
{
	struct rv_watch *w = &h->watch;

	for (unsigned i = 0; i < w->dirty_count; i++)
		*slot_of(w, w->dirty[i]) &= ~(uint64_t)DIRTY;
	w->dirty_count = 0;
	if (!w->granted_count)
		return;
	rv_end_user_access(h);
	rv_drop_sites(h);
	if (w->granted_count > RV_WATCH_DIRTY)
		rv_flush_tlb(h);
	for (unsigned i = 0; i < w->granted_count && w->granted_count <= RV_WATCH_DIRTY; i++)
		h->cpu.tlb[w->granted[i]].write = 0;
	w->granted_count = 0;
}

void rv_suspect_code(struct rv_hart *h)
{
	struct rv_watch *w = &h->watch;

	h->code_epoch++;
	h->block_epoch++;
	rv_flush_jumps(h);
	if (!w->on)
		return;
	w->writes_seen = hull_aspace_watched_writes(h->vm);
	withdraw(h);
	if (!w->lost)
		return;
	/* Whose code is entered from now on was fetched again. */
	__builtin_memset(w->pages, 0, sizeof(w->pages));
	__builtin_memset(h->fetch_tlb, 0, sizeof(h->fetch_tlb));
	w->count = 0;
	w->lost = false;
}

void rv_sys_fence_i(struct rv_hart *h)
{
	struct rv_watch *w = &h->watch;

	h->stats.code_fences++;
	if (!w->on || w->lost || w->writes_seen != hull_aspace_watched_writes(h->vm)) {
		uint64_t key = h->cpu.jump_key;

		h->stats.code_suspected++;
		rv_suspect_code(h);
		if (h->jit)
			rv_jit_fence(h, key);
		return;
	}
	if (!w->dirty_count)
		return;
	h->block_epoch++;
	for (unsigned i = 0; h->jit && i < w->dirty_count; i++)
		if (!rv_jit_recheck(h, w->dirty[i])) {
			rv_suspect_code(h);
			return;
		}
	withdraw(h);
}
