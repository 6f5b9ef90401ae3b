/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/frames.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"
#include "metal/common/spin.h"

/* An extent of free memory; it lies at its own start. */
struct extent {
	struct extent *next;
	uint64_t bytes;
};

static struct extent *first;
static uint64_t left;
static uint32_t failing; /* metal_frames_fail() */
static struct metal_spin spin;

static hull_hpa start_of(const struct extent *e)
{
	return (hull_hpa)(uintptr_t)e;
}

static hull_hpa end_of(const struct extent *e)
{
	return start_of(e) + e->bytes;
}

/* Put a range between its neighbours, and join it with those that it touches. */
static void put(hull_hpa start, uint64_t bytes)
{
	struct extent *e = (struct extent *)(uintptr_t)start, **at = &first, *before = NULL;

	while (*at && start_of(*at) < start) {
		before = *at;
		at = &(*at)->next;
	}
	HULL_ASSERT(!before || end_of(before) <= start);
	HULL_ASSERT(!*at || start + bytes <= start_of(*at));
	e->bytes = bytes;
	e->next = *at;
	*at = e;
	left += bytes;
	if (e->next && end_of(e) == start_of(e->next)) {
		e->bytes += e->next->bytes;
		e->next = e->next->next;
	}
	if (before && end_of(before) == start) {
		before->bytes += e->bytes;
		before->next = e->next;
	}
}

/* Take [start, start + bytes) out of *at, which contains it. */
static void take(struct extent **at, hull_hpa start, uint64_t bytes)
{
	struct extent *e = *at, *after = e->next;
	hull_hpa end = end_of(e);

	left -= bytes;
	if (start > start_of(e)) {
		e->bytes = start - start_of(e);
		at = &e->next;
	}
	if (start + bytes < end) {
		struct extent *rest = (struct extent *)(uintptr_t)(start + bytes);

		rest->bytes = end - (start + bytes);
		rest->next = after;
		after = rest;
	}
	*at = after;
}

void metal_frames_add(hull_hpa start, uint64_t bytes)
{
	hull_hpa from = align_up(start, HULL_PAGE_SIZE);
	hull_hpa to = align_down(start + bytes, HULL_PAGE_SIZE);

	if (from >= to)
		return;
	metal_spin_lock(&spin);
	put(from, to - from);
	metal_spin_unlock(&spin);
}

bool metal_frames_claim(hull_hpa start, uint64_t bytes)
{
	bool found = false;

	metal_spin_lock(&spin);
	for (struct extent **at = &first; *at && !found; at = &(*at)->next) {
		if (start < start_of(*at) || start + bytes > end_of(*at))
			continue;
		take(at, start, bytes);
		found = true;
		break;
	}
	metal_spin_unlock(&spin);
	return found;
}

void *metal_frames_alloc(uint64_t bytes, uint64_t align)
{
	hull_hpa start = 0;

	bytes = align_up(bytes, HULL_PAGE_SIZE);
	align = MAX(align, HULL_PAGE_SIZE);
	metal_spin_lock(&spin);
	if (failing && !--failing)
		bytes = 0;
	for (struct extent **at = &first; bytes && *at; at = &(*at)->next) {
		hull_hpa fit = align_up(start_of(*at), align);

		if (fit < start_of(*at) || fit > end_of(*at) || end_of(*at) - fit < bytes)
			continue;
		take(at, fit, bytes);
		start = fit;
		break;
	}
	metal_spin_unlock(&spin);
	if (start)
		metal_zero((void *)(uintptr_t)start, bytes);
	return (void *)(uintptr_t)start;
}

void metal_frames_free(void *at, uint64_t bytes)
{
	if (!at)
		return;
	metal_spin_lock(&spin);
	put((hull_hpa)(uintptr_t)at, align_up(bytes, HULL_PAGE_SIZE));
	metal_spin_unlock(&spin);
}

void metal_frames_fail(uint32_t n)
{
	metal_spin_lock(&spin);
	failing = n;
	metal_spin_unlock(&spin);
}

uint64_t metal_frames_left(void)
{
	return __atomic_load_n(&left, __ATOMIC_RELAXED);
}
